// What people read of dlq list, show and plan: it fits, it says what to do, and it shows no more than it should.
import { rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { hashOf } from "../../src/books/books.ts";
import { dlqList } from "../../src/cli/dlq-list.ts";
import type { DlqCommand } from "../../src/cli/dlq-options.ts";
import { dlqPlan } from "../../src/cli/dlq-plan.ts";
import { dlqShow } from "../../src/cli/dlq-show.ts";
import { letterId } from "../../src/dead-letter/filter.ts";
import { somethingWaits, type Waiting } from "../support/waiting.ts";
import { scriptedSink } from "../support/world.ts";

function commandOf(waiting: Waiting, more: Partial<DlqCommand> = {}) {
  const written: string[] = [];
  const stream = { isTTY: false, write: (text: string) => written.push(text) };
  const { world, a, b } = waiting;
  const command: DlqCommand = {
    config: { sinks: [a, b], receipts: "receipts", deadLetters: "dead-letters" },
    stores: world,
    filter: {},
    clock: world.clock,
    json: false,
    // Only these two of a stream are used where there is no terminal.
    stdout: stream as unknown as NodeJS.WriteStream,
    stderr: stream as unknown as NodeJS.WriteStream,
    signal: new AbortController().signal,
    ...more,
  };
  return { command, text: () => written.join("") };
}

const fits = (text: string) => {
  for (const line of text.split("\n")) expect(line.length, line).toBeLessThanOrEqual(100);
};

test("the list names every cause, what is pending, and one thing to do about each", async () => {
  const waiting = await somethingWaits();
  const { command, text } = commandOf(waiting);
  expect(await dlqList(command)).toBe(0);
  fits(text());
  expect(text()).toContain("15 dead letters of 2 causes");
  expect(text()).toContain("30 deliveries pending");
  expect(text()).toMatch(/│ b +│ +30 │ +3 │ +1 h │ +now │/);
  expect(text().match(/^ {2}do {6}/gm)).toHaveLength(3);
  expect(text()).toMatch(/tenants tenant-0 12\n/);
  expect(text()).toContain("because b is closed");
});

test("the list fits, whatever things are called", async () => {
  const waiting = await somethingWaits(1);
  const { objects } = waiting.world.deadLetters;
  for (const [key, { bytes }] of [...objects]) {
    const lines = gunzipSync(bytes).toString().trimEnd().split("\n");
    const changed = lines.map((line) => {
      const letter = JSON.parse(line);
      const event = { id: "e", metricName: "m", tenantId: `\u001b[31m${"tenant".repeat(40)}` };
      return JSON.stringify({
        ...letter,
        code: "A_CODE_OF_MANY_WORDS".repeat(3),
        reason: "long ".repeat(60),
        event,
      });
    });
    objects.set(key, { bytes: gzipSync(`${changed.join("\n")}\n`), lastModified: 0 });
  }
  const { command, text } = commandOf(waiting);
  await dlqList(command);
  fits(text());
  expect(text()).not.toContain("\u001b");
  // Wrapped, not cut off.
  expect(text()).not.toContain("…");
});

test("an empty store is told in two lines", async () => {
  const waiting = await somethingWaits(1);
  const { command, text } = commandOf(waiting, { filter: { objects: ["nowhere"] } });
  expect(await dlqList(command)).toBe(0);
  expect(text()).toBe("No dead letter of that kind waits.\n\nNothing of that kind is pending.\n");
});

test("a letter is shown with its record, its refusals, and what its sink would receive now", async () => {
  const waiting = await somethingWaits(1);
  const [letter] = (await waiting.world.letters()).filter(({ sink }) => sink === "a");
  if (letter === undefined) throw new Error("the test's letter is not there");
  const id = letterId(hashOf(letter.origin), "a", letter.origin.index);
  const { command, text } = commandOf(waiting);
  expect(await dlqShow(command, id)).toBe(0);
  fits(text());
  for (const part of [
    id,
    "NO_PLAN",
    "sent 1 time",
    "a would be sent, 10 bytes:",
    '"id": "e0-0"',
    "tenant-0",
    "memory://source/object-0",
  ]) {
    expect(text()).toContain(part);
  }
});

test("a payload that a sink keeps as JSON text is shown as what it says, in lines and as a document", async () => {
  const waiting = await somethingWaits(1);
  const [letter] = (await waiting.world.letters()).filter(({ sink }) => sink === "a");
  if (letter === undefined) throw new Error("the test's letter is not there");
  const id = letterId(hashOf(letter.origin), "a", letter.origin.index);
  const sinks = [{ ...waiting.a, encode: () => ({ payload: '{"said":["é"]}', bytes: 16 }) }];
  for (const json of [false, true]) {
    const { command, text } = commandOf(waiting, { json });
    await dlqShow({ ...command, config: { ...command.config, sinks } }, id);
    if (!json) expect(text()).toContain('a would be sent, 16 bytes:\n    {\n      "said": [\n        "é"\n');
    else expect(JSON.parse(text())).toMatchObject({ today: [{ sink: "a", payload: { said: ["é"] } }] });
  }
});

test("an invalid record is shown with what each sink would make of it, or why it still is none", async () => {
  const waiting = await somethingWaits(1);
  const [letter] = (await waiting.world.letters()).filter(({ sink }) => sink === "_intake");
  const { command, text } = commandOf(waiting);
  await dlqShow(command, letter?.id ?? "");
  expect(text()).toContain("_intake still no valid event: METRIC_NAME_MISSING");
  expect(text()).toContain('"metric_name": 7');
});

test("what is pending is shown with its ranges and its next attempt", async () => {
  const waiting = await somethingWaits(1);
  const [receipt] = Object.values(await waiting.world.latestReceipts());
  if (receipt === undefined) throw new Error("the test's receipt is not there");
  const { command, text } = commandOf(waiting);
  await dlqShow(command, letterId(hashOf(receipt.object), "b"));
  fits(text());
  expect(text()).toContain("10 deliveries pending");
  expect(text()).toMatch(/records 0 to 9\n/);
  expect(text()).toMatch(/next +now, /);
});

test("an id that means nothing, or several things, is told in one sentence", async () => {
  const waiting = await somethingWaits(1);
  const { command } = commandOf(waiting);
  await expect(dlqShow(command, "ffffffff")).rejects.toThrow(
    "no dead letter, nothing pending and nothing in the",
  );
  const [receipt] = Object.values(await waiting.world.latestReceipts());
  const hash = receipt === undefined ? "" : hashOf(receipt.object).slice(0, 8);
  await expect(dlqShow(command, hash)).rejects.toThrow(/means more than one; give one of .*-a-0, .*-a-3/);
});

test("a plan fits, names what would fail again, and tells the risk of every vendor", async () => {
  const waiting = await somethingWaits();
  const broken = scriptedSink("a", {
    encode: () => ({ rejected: "still no plan ".repeat(12), code: "NO_PLAN" }),
  });
  const config = { sinks: [broken, waiting.b], receipts: "receipts", deadLetters: "dead-letters" };
  const { command, text } = commandOf(waiting, { config });
  const out = path.join(os.tmpdir(), `fanout-plan-${process.pid}.json`);
  try {
    // Deferrals of this world are of a store in memory, which no address opens: letters alone.
    await dlqPlan({ ...command, filter: { sinks: ["a", "_intake"] } }, { out });
    fits(text());
    expect(text()).toContain("15 dead letters and 0 pending deliveries");
    expect(text()).toMatch(/12 of a, NO_PLAN [0-9a-f]{12}: still no plan/);
    expect(text()).toContain(`fanout dlq replay --plan ${out}`);
  } finally {
    await rm(out, { force: true });
  }
});
