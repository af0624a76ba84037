import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { type ProgressState, progressLine, startProgress } from "../../src/cli/progress.ts";
import { systemClock } from "../../src/delivery/clock.ts";
import { readAll } from "../../src/store/object-store.ts";
import { memoryStore } from "../support/memory-store.ts";

const begun: ProgressState = {
  bytes: 1000,
  bytesRead: 0,
  objects: 1,
  objectsDone: 0,
  records: 0,
  seconds: 0,
  ending: false,
};

test("one large object moves the bar while it is read", () => {
  const line = progressLine({ ...begun, bytesRead: 430, records: 12_345, seconds: 65.4 }, 100);
  expect(line).toMatch(/^█+░+ 43 % read · 0\/1 objects · 12,345 records · 188\/s · 1 min 5 s$/);
  const [full = "", empty = ""] = [line.match(/█/g)?.join(""), line.match(/░/g)?.join("")];
  expect(full.length / (full.length + empty.length)).toBeCloseTo(0.43, 1);
  expect(line.length).toBeLessThanOrEqual(100);
});

test("fits into a narrow terminal: the facts come before the bar", () => {
  const state = { ...begun, bytesRead: 430, records: 52_321, seconds: 9 };
  expect(progressLine(state, 60)).toBe("43 % read · 0/1 objects · 52,321 records · 5,813/s · 9 s");
  for (const columns of [60, 70, 80, 100, 200])
    expect(progressLine(state, columns).length).toBeLessThanOrEqual(columns);
});

test("is full when there is nothing to read, and never before all is read", () => {
  expect(progressLine({ ...begun, bytes: 0, objects: 0 }, 100)).toContain("█ 100 % read · 0/0 objects");
  expect(progressLine({ ...begun, bytesRead: 999 }, 100)).toContain("░ 99 % read");
});

test("says what a second Ctrl-C does, once the first has come", () => {
  expect(progressLine({ ...begun, ending: true }, 100)).toMatch(/^Ending, Ctrl-C again stops at once · 0 % /);
});

test("what is read twice counts once, what need not be read counts as done, and the cursor comes back", async () => {
  const store = memoryStore("memory://bucket", systemClock);
  await store.put("a", Buffer.alloc(600));
  await store.put("b", Buffer.alloc(400));
  const objects = [];
  for await (const object of store.list("")) objects.push(object);
  let screen = "";
  const pass = new PassThrough({ encoding: "utf8" }).on("data", (text: string) => {
    screen += text;
  });
  // As much of a terminal as cli-progress and the bar ask for: a stream that says it is one, and how wide.
  const terminal = Object.assign(pass, { isTTY: true, columns: 100 }) as unknown as NodeJS.WriteStream;
  const listeners = () => ["exit", "SIGINT", "SIGTERM"].map((name) => process.listenerCount(name));
  const before = listeners();
  const progress = startProgress(terminal, objects);
  const watched = progress.watch(store);
  expect(watched.location).toBe(store.location);
  // Only the end of the process: what Ctrl-C means is main's to say.
  expect(listeners()).toEqual(before.map((count, index) => count + (index === 0 ? 1 : 0)));

  const shown = async () => {
    screen = "";
    await expect.poll(() => screen, { interval: 20 }).toMatch(/% read/);
    return /\d+ % read · \d\/\d objects · \d+ records/.exec(screen)?.[0];
  };
  await readAll(watched, "a");
  await readAll(watched, "a");
  progress.records(7);
  expect(await shown()).toBe("60 % read · 0/2 objects · 7 records");
  progress.done("a");
  progress.done("b");
  expect(await shown()).toBe("100 % read · 2/2 objects · 7 records");
  screen = "";
  progress.stop();
  expect(screen).toContain("\u001b[?25h");
  expect(listeners()).toEqual(before);
});
