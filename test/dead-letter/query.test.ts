import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import type { DeadLetter } from "../../src/dead-letter/dead-letter.ts";
import type { LetterFilter } from "../../src/dead-letter/filter.ts";
import { letterId } from "../../src/dead-letter/filter.ts";
import { pendingOf, raise, visitLetters } from "../../src/dead-letter/query.ts";
import { survey } from "../../src/dead-letter/survey.ts";
import { StoreError } from "../../src/store/object-store.ts";
import { somethingWaits, type Waiting } from "../support/waiting.ts";

async function idsOf({ world }: Waiting, filter: LetterFilter): Promise<string[]> {
  const ids: string[] = [];
  await visitLetters(world, filter, async ({ objectHash }, letters) => {
    for await (const { sink, origin } of letters) ids.push(letterId(objectHash, sink, origin.index));
  });
  return ids.sort();
}

async function pending({ world }: Waiting, filter: LetterFilter): Promise<number> {
  let count = 0;
  for await (const each of pendingOf(world.receipts, filter, raise)) count += each.count;
  return count;
}

describe("of all that stands in the stores", () => {
  test("letters that a receipt names are shown, each once", async () => {
    const waiting = await somethingWaits();
    const ids = await idsOf(waiting, {});
    // Of each object four events and one invalid record.
    expect(ids).toHaveLength(15);
    expect(new Set(ids).size).toBe(15);
    expect(await pending(waiting, {})).toBe(30);
  });

  test("a file of an attempt that never came to its receipt is passed over", async () => {
    const waiting = await somethingWaits(1);
    const { objects } = waiting.world.deadLetters;
    const [key = ""] = [...objects.keys()].filter((each) => each.startsWith("sink=a/"));
    const file = objects.get(key);
    if (file === undefined) throw new Error("the test's letters are not there");
    objects.set(key.replace("-0001.jsonl", "-0002.jsonl"), file);
    objects.set(`archive/${key}`, file);
    expect(await idsOf(waiting, {})).toHaveLength(5);
  });

  test("a file that goes while it is looked for is no error, since its letters stand elsewhere", async () => {
    const waiting = await somethingWaits(1);
    const { deadLetters } = waiting.world;
    deadLetters.before = (operation, key) => {
      if (operation === "read" && key.startsWith("sink=a/"))
        throw new StoreError("NOT_FOUND", `${key} is gone`);
    };
    expect(await idsOf(waiting, {})).toHaveLength(1);
  });

  test("a damaged file is told, and the others are shown all the same", async () => {
    const waiting = await somethingWaits(2);
    const { objects } = waiting.world.deadLetters;
    const [key = ""] = [...objects.keys()].filter((each) => each.startsWith("sink=a/"));
    objects.set(key, { bytes: Buffer.from("no gzip"), lastModified: waiting.world.clock.now() });
    const damaged: string[] = [];
    const { letters } = await survey(waiting.world, {}, ({ message }) => damaged.push(message));
    expect(letters).toBe(6);
    expect(damaged).toEqual([expect.stringContaining(key)]);
    await expect(survey(waiting.world, {})).rejects.toThrow(key);
  });

  test("a store that cannot be read is an error, never an empty list", async () => {
    const waiting = await somethingWaits(1);
    waiting.world.deadLetters.before = () => {
      throw new StoreError("DENIED", "not allowed");
    };
    await expect(survey(waiting.world, {}, () => {})).rejects.toThrow("not allowed");
  });

  test("a deferral whose receipt has nothing pending any more is passed over", async () => {
    const waiting = await somethingWaits(1);
    const { receipts } = waiting.world;
    const [key = ""] = waiting.world.deferrals();
    const left = receipts.objects.get(key);
    waiting.b.reply = () => ({ status: "delivered" });
    await waiting.run();
    if (left === undefined) throw new Error("the test's deferral is not there");
    receipts.objects.set(key, left);
    expect(await pending(waiting, {})).toBe(0);
  });
});

describe("a filter", () => {
  test.each<readonly [LetterFilter, number, number]>([
    [{ sinks: ["a"] }, 12, 0],
    [{ sinks: ["b"] }, 0, 30],
    [{ sinks: ["_intake"] }, 3, 0],
    [{ sinks: ["a", "_intake"] }, 15, 0],
    [{ tenants: ["tenant-0"] }, 12, 0],
    [{ tenants: ["tenant-1"] }, 0, 0],
    [{ stages: ["send"] }, 12, 0],
    [{ stages: ["pending"] }, 0, 30],
    [{ codes: ["NO_PLAN"] }, 12, 0],
    [{ objects: ["object-1"] }, 5, 10],
    [{ metrics: ["findings_upload_completed"] }, 12, 0],
    [{ until: 0 }, 0, 0],
  ])("%j lets %i letters and %i pending deliveries through", async (filter, letters, deliveries) => {
    const waiting = await somethingWaits();
    expect(await idsOf(waiting, filter)).toHaveLength(letters);
    expect(await pending(waiting, filter)).toBe(deliveries);
  });

  test("for the last hours reads no file that was written before", async () => {
    const waiting = await somethingWaits();
    const { clock, deadLetters } = waiting.world;
    await clock.run(clock.sleep(3 * 60 * 60_000));
    deadLetters.reads = 0;
    expect(await idsOf(waiting, { since: clock.now() - 60_000 })).toEqual([]);
    expect(deadLetters.reads).toBe(0);
  });

  test("by id reads only the files of that object", async () => {
    const waiting = await somethingWaits();
    const all = await idsOf(waiting, {});
    const [id = ""] = all.filter((each) => each.includes("-a-"));
    waiting.world.deadLetters.reads = 0;
    expect(await idsOf(waiting, { ids: [id] })).toEqual([id]);
    expect(waiting.world.deadLetters.reads).toBeLessThanOrEqual(2);
  });

  test("takes the UUID of a letter as well", async () => {
    const waiting = await somethingWaits(1);
    const [letter] = await waiting.world.letters();
    expect(await idsOf(waiting, { ids: [letter?.id ?? ""] })).toHaveLength(1);
  });
});

test("a survey groups by cause and keeps the oldest, the newest, the tenants and an example of each", async () => {
  const waiting = await somethingWaits();
  const { causes, delays, letters, pending: deliveries } = await survey(waiting.world, {});
  expect({ letters, deliveries }).toEqual({ letters: 15, deliveries: 30 });
  expect(causes.map(({ sink, code, count }) => [sink, code, count])).toEqual([
    ["a", "NO_PLAN", 12],
    ["_intake", "METRIC_NAME_MISSING", 3],
  ]);
  const [cause] = causes;
  expect(cause?.tenants).toEqual(new Map([["tenant-0", 12]]));
  expect(cause?.oldest).toBeLessThanOrEqual(cause?.newest ?? 0);
  expect(await idsOf(waiting, { ids: [cause?.example ?? ""] })).toEqual([cause?.example]);
  expect(delays).toMatchObject([{ sink: "b", reason: "b is closed", objects: 3, count: 30, unread: 0 }]);
});

test("a hundred thousand letters of a hundred files are grouped into their twelve causes", async () => {
  const waiting = await somethingWaits(1);
  const { deadLetters, receipts } = waiting.world;
  const [key = ""] = [...deadLetters.objects.keys()].filter((each) => each.startsWith("sink=a/"));
  const [letter] = (await waiting.world.letters()).filter(({ sink }) => sink === "a");
  if (letter === undefined) throw new Error("the test's letter is not there");
  const lines = Array.from({ length: 1000 }, (_, index): DeadLetter => {
    return { ...letter, origin: { ...letter.origin, index }, fingerprint: `${index % 12}`.padStart(12, "0") };
  });
  const bytes = gzipSync(`${lines.map((line) => JSON.stringify(line)).join("\n")}\n`);
  deadLetters.objects.set(key, { bytes, lastModified: 0 });
  const names = Array.from({ length: 100 }, (_, part) =>
    key.replace("-0001.", `-${String(part + 1).padStart(4, "0")}.`),
  );
  for (const name of names) deadLetters.objects.set(name, { bytes, lastModified: 0 });
  const [receiptKey = ""] = [...receipts.objects.keys()].filter((each) => /\/a\/\d+\.receipt/.test(each));
  const receipt = JSON.parse(receipts.objects.get(receiptKey)?.bytes.toString() ?? "{}");
  const named = Buffer.from(JSON.stringify({ ...receipt, letters: names }));
  receipts.objects.set(receiptKey, { bytes: named, lastModified: 0 });
  const { causes, letters } = await survey(waiting.world, { sinks: ["a"] });
  expect(letters).toBe(100_000);
  expect(causes).toHaveLength(12);
});
