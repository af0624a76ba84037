import { describe, expect, test } from "vitest";
import { hashOf } from "../../src/books/books.ts";
import type { DeadLetter } from "../../src/dead-letter/dead-letter.ts";
import { coverName, type LetterFilter } from "../../src/dead-letter/filter.ts";
import { visitLetters } from "../../src/dead-letter/query.ts";
import { type ReplayOptions, type ReplayResult, replay } from "../../src/dead-letter/replay.ts";
import { silent } from "../../src/log.ts";
import { breakDown, refuse, somethingWaits, takeAll, type Waiting } from "../support/waiting.ts";
import { delivered, type ScriptedSink, scriptedSink } from "../support/world.ts";

const never = new AbortController().signal;

function begin(
  { world, a, b }: Waiting,
  filter: LetterFilter,
  more: Partial<ReplayOptions> = {},
): Promise<ReplayResult> {
  const { clock } = world;
  return replay({
    stores: world,
    filter: { ...filter, until: clock.now() },
    worker: world.worker([a, b]),
    sinks: ["a", "b"],
    id: "r",
    canary: 0.01,
    maxFailures: Number.POSITIVE_INFINITY,
    clock,
    signal: never,
    log: silent,
    ...more,
  });
}

const run = (waiting: Waiting, filter: LetterFilter = {}, more: Partial<ReplayOptions> = {}) =>
  waiting.world.clock.run(begin(waiting, filter, more));

/** How often each record was delivered by the sink, at most. */
const mostOf = ({ stored }: ScriptedSink) => Math.max(0, ...stored.values());

describe("a replay", () => {
  test("delivers what the sinks take now, letters and what is pending, each once", async () => {
    const waiting = await somethingWaits();
    const { world, a, b } = waiting;
    const before = new Map(a.stored);
    const result = await run({ ...waiting, a: takeAll(a), b: takeAll(b) }, { sinks: ["a", "b"] });
    expect(result).toMatchObject({
      outcome: "finished",
      selected: { letters: 12, pending: 30, stays: 0, fails: 0 },
      tally: { delivered: 12, drained: 30, refused: 0 },
      busy: 0,
      failures: [],
    });
    expect(result.left.size).toBe(0);
    expect([a.stored.size, b.stored.size]).toEqual([30, 30]);
    expect([mostOf(a), mostOf(b)]).toEqual([1, 1]);
    // Nothing that was delivered before was sent again.
    expect(a.requests.flat().some((id) => before.has(id))).toBe(false);
    expect((await lettersOf(waiting)).map(({ sink }) => sink)).toEqual(["_intake", "_intake", "_intake"]);
    expect(world.deferrals()).toEqual([]);
  });

  test("of a selection leaves the others as they are", async () => {
    const waiting = await somethingWaits();
    takeAll(waiting.a);
    const result = await run(waiting, { objects: ["object-1"], stages: ["send"] });
    expect(result.tally).toMatchObject({ delivered: 4, drained: 0 });
    expect(waiting.a.requests.flat().sort()).toEqual(["e1-0", "e1-3", "e1-6", "e1-9"]);
    expect(await lettersOf(waiting)).toHaveLength(11);
  });

  test("leaves what would be refused again before it is sent, with no refusal more", async () => {
    const waiting = await somethingWaits();
    takeAll(waiting.a);
    const result = await run(
      waiting,
      { sinks: ["a"] },
      { wouldFail: (_, { event }) => event?.id !== "e0-3" },
    );
    expect(result).toMatchObject({ outcome: "finished", selected: { letters: 1, fails: 11 } });
    expect(waiting.a.requests).toEqual([["e0-3"]]);
    for (const letter of await lettersOf(waiting)) expect(letter.history).toBeUndefined();
  });

  test("does not try the letters of a sink that is not configured", async () => {
    const waiting = await somethingWaits();
    const { world, b } = waiting;
    const result = await run(waiting, {}, { without: ["a"], worker: world.worker([b]), sinks: ["b"] });
    expect(result.selected).toMatchObject({ stays: 12 });
    expect(result.failures).toEqual([]);
    expect(await lettersOf(waiting)).toHaveLength(15);
  });

  test("gives each refusal one line of history, and tries nothing twice", async () => {
    const waiting = await somethingWaits();
    const result = await run(waiting, { sinks: ["a"] }, { canary: 0 });
    expect(result).toMatchObject({ outcome: "finished", tally: { delivered: 0, refused: 12 } });
    const refused = (await lettersOf(waiting)).filter(({ sink }) => sink === "a");
    expect(refused).toHaveLength(12);
    for (const letter of refused) expect(letter.history).toHaveLength(1);
    expect(waiting.a.requests.flat()).toHaveLength(12);
  });
});

describe("the canary", () => {
  test("is at least one letter of every cause, and the rest follows when it passes", async () => {
    const waiting = await somethingWaits();
    takeAll(waiting.a);
    const sizes: number[] = [];
    waiting.a.reply = ({ items }) => {
      sizes.push(items.length);
      return delivered;
    };
    const result = await run(waiting, { sinks: ["a"] });
    expect(result.canary).toEqual({ letters: 1, passed: [expect.any(String)], returned: [] });
    expect(sizes[0]).toBe(1);
    expect(result.tally.delivered).toBe(12);
    expect(mostOf(waiting.a)).toBe(1);
  });

  test("halts the replay when the same cause comes back, and nothing else is touched", async () => {
    const waiting = await somethingWaits();
    takeAll(waiting.b);
    const result = await run(waiting, { sinks: ["a", "b"] });
    const [cause] = (await lettersOf(waiting)).filter(({ sink }) => sink === "a");
    expect(result).toMatchObject({ outcome: "halted", tally: { tried: 1, refused: 1, drained: 0 } });
    expect(result.why).toContain(cause?.fingerprint);
    expect(result.canary?.returned).toEqual([cause?.fingerprint]);
    expect(waiting.a.requests).toHaveLength(1);
    expect(waiting.b.requests).toEqual([]);
    expect(waiting.world.deferrals()).toHaveLength(3);
  });

  test("halts the replay when its letters fail for another cause, unless some failures are expected", async () => {
    const waiting = await somethingWaits();
    const causes = new Set((await lettersOf(waiting)).map(({ fingerprint }) => fingerprint));
    waiting.a.reply = () => ({ status: "refused", reason: "not this either", code: "OTHER" });
    const result = await run(waiting, { sinks: ["a"] }, { canary: 0.25 });
    expect(result).toMatchObject({ outcome: "halted", tally: { tried: 3, refused: 3, delivered: 0 } });
    expect(result.why).toContain("another cause");
    expect(result.canary?.passed).toEqual([]);
    expect(causes).toContain(result.canary?.returned[0]);
    // What came back is another cause now; three are tried, and four may fail.
    const more = await run(waiting, { sinks: ["a"], codes: ["NO_PLAN"] }, { canary: 0.25, maxFailures: 4 });
    expect(more).toMatchObject({ outcome: "halted" });
    expect(more.why).toContain("--max-failures is 4");
  });

  test("of a share takes that share of every cause", async () => {
    const waiting = await somethingWaits();
    const result = await run(waiting, { sinks: ["a"] }, { canary: 0.5 });
    expect(result).toMatchObject({ outcome: "halted", tally: { tried: 6, refused: 6 } });
  });

  test("says which causes passed when another one came back", async () => {
    const waiting = await somethingWaits();
    takeAll(waiting.a);
    // The intake's are as invalid as they were.
    const result = await run(waiting, { stages: ["intake", "send"] });
    expect(result.outcome).toBe("halted");
    expect(result.canary?.passed).toHaveLength(1);
    expect(result.canary?.returned).toHaveLength(1);
  });

  test("halts when the sink is not ready, and every letter is as it was", async () => {
    const waiting = await somethingWaits();
    const before = await lettersOf(waiting);
    breakDown(waiting.a);
    const result = await run(waiting, { sinks: ["a"] });
    expect(result).toMatchObject({ outcome: "halted", tally: { delivered: 0, refused: 0 } });
    expect(result.why).toContain("a is closed");
    expect(await lettersOf(waiting)).toEqual(before);
  });

  test("of none tries everything at once", async () => {
    const waiting = await somethingWaits();
    const result = await run(waiting, { sinks: ["a"] }, { canary: 0 });
    expect(result.canary).toBeUndefined();
    expect(result.tally.tried).toBe(12);
  });
});

describe("a replay halts", () => {
  test("when so many were refused, and what was not tried is as it was", async () => {
    const waiting = await somethingWaits();
    // One at a time, so that a refusal is known before the next one is sent.
    const a = refuse(
      scriptedSink("a", { limits: { ...waiting.a.limits, itemsPerRequest: 1, concurrency: 1 } }),
      () => true,
    );
    const worker = waiting.world.worker([a]);
    const result = await run(waiting, { sinks: ["a"] }, { canary: 0, maxFailures: 2, worker, sinks: ["a"] });
    expect(result.outcome).toBe("halted");
    expect(result.why).toContain("--max-failures is 2");
    expect(result.tally.refused).toBeLessThan(12);
    const refused = (await lettersOf(waiting)).filter(({ history }) => history !== undefined);
    expect(refused).toHaveLength(result.tally.refused);
    expect(await lettersOf(waiting)).toHaveLength(15);
  });

  test("when it is interrupted, and going on delivers the rest, none of it twice", async () => {
    const waiting = await somethingWaits();
    const interrupted = new AbortController();
    waiting.a.reply = () => {
      interrupted.abort();
      return delivered;
    };
    const first = await run(waiting, { sinks: ["a"] }, { canary: 0, signal: interrupted.signal });
    expect(first.outcome).toBe("interrupted");
    takeAll(waiting.a);
    const second = await run(waiting, { sinks: ["a"] });
    expect(second.outcome).toBe("finished");
    expect(first.tally.delivered + second.tally.delivered).toBe(12);
    expect(waiting.a.stored.size).toBe(30);
  });
});

describe("an object that is gone", () => {
  test("is told as the failure that it is, and not as what its sink said long ago", async () => {
    const waiting = await somethingWaits();
    waiting.world.source.objects.delete("object-1");
    const result = await run({ ...waiting, b: takeAll(waiting.b) }, { stages: ["pending"] });
    expect(result.failures).toEqual([expect.stringMatching(/object-1.*does not exist/)]);
    expect(result.tally.drained).toBe(20);
    expect([...result.left]).toEqual([["their object could not be processed", 10]]);
  });
});

describe("two replays at once", () => {
  test("deliver everything, each record at most once, and neither fails", async () => {
    const waiting = await somethingWaits();
    const { world } = waiting;
    takeAll(waiting.a);
    takeAll(waiting.b);
    const filter = { sinks: ["a", "b"] };
    const results = await world.clock.run(
      Promise.all([begin(waiting, filter, { id: "one" }), begin(waiting, filter, { id: "two" })]),
    );
    for (const { outcome, failures } of results)
      expect({ outcome, failures }).toEqual({ outcome: "finished", failures: [] });
    expect(results.reduce((sum, { tally }) => sum + tally.delivered, 0)).toBe(12);
    expect([mostOf(waiting.a), mostOf(waiting.b)]).toEqual([1, 1]);
    expect([waiting.a.stored.size, waiting.b.stored.size]).toEqual([30, 30]);
    expect(world.deferrals()).toEqual([]);
  });
});

describe("a replay of a plan", () => {
  test("tries only what the plan covers, and nothing that was refused since", async () => {
    const waiting = await somethingWaits();
    const { world, a } = waiting;
    takeAll(a);
    const receipts = await world.latestReceipts();
    const object = receipts["a"]?.object;
    if (object === undefined) throw new Error("the test's object is not there");
    const within = new Set([coverName(hashOf(object), "a")]);
    const result = await run(waiting, { within });
    expect(result.tally).toMatchObject({ delivered: 4, drained: 0 });
    const since = await run(waiting, { since: 0 }, { canary: 0 });
    expect(since.tally.delivered).toBe(8);
  });
});

describe("a drop", () => {
  const drop = { reason: "a test account", by: "me" };

  test("moves letters to the archive with the reason, and what is pending stays", async () => {
    const waiting = await somethingWaits();
    const { world } = waiting;
    const result = await run(waiting, { sinks: ["a"] }, { drop });
    expect(result).toMatchObject({ outcome: "finished", tally: { dropped: 12, delivered: 0 } });
    expect(await lettersOf(waiting)).toHaveLength(3);
    expect(waiting.a.requests).toEqual([]);
    const archived = [...world.deadLetters.objects.keys()].filter((key) => key.startsWith("archive/sink=a/"));
    expect(archived).toHaveLength(3);
    expect((await world.latestReceipts())["a"]?.counts).toMatchObject({ dropped: 4, deadLettered: 0 });
    expect(world.deferrals()).toHaveLength(3);
  });

  test("needs neither the sink nor the letter's bytes", async () => {
    const waiting = await somethingWaits();
    const { world, b } = waiting;
    const result = await run(waiting, { sinks: ["a"] }, { drop, worker: world.worker([b]), sinks: ["b"] });
    expect(result.tally.dropped).toBe(12);
  });
});

/** What counts, of all objects, in the order of their ids. */
async function lettersOf({ world }: Waiting): Promise<DeadLetter[]> {
  const found: DeadLetter[] = [];
  await visitLetters(world, {}, async (_, letters) => {
    for await (const letter of letters) found.push(letter);
  });
  return found.sort((one, other) => (one.id < other.id ? -1 : 1));
}
