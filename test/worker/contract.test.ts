// What crosses the contract is checked as it crosses: a sink may be plain JavaScript, or have stripped its types.
import { describe, expect, test } from "vitest";
import { createWorker, type Sink } from "../../src/index.ts";
import { createWorld, type ScriptedSink, scriptedSink, type World } from "../support/world.ts";

const ref = (key: string) => ({ bucket: "source", key });

/** What a sink of plain JavaScript is to the compiler. */
const untyped = (value: unknown): never => value as never;

async function run(world: World, sink: ScriptedSink) {
  const report = await world.clock.run(world.worker([sink]).process(ref("a")));
  return report.sinks[sink.name];
}

describe("an encode that is wrong costs each record a letter that says what, and nothing is sent", () => {
  test.each<[string, unknown, string]>([
    [
      "a promise",
      Promise.resolve({ payload: "x", bytes: 1 }),
      "encode returned a promise, and must return at once",
    ],
    ["nothing", undefined, "encode returned nothing"],
    ["null", null, "encode returned null"],
    ["text", "x", "encode returned a string"],
    ["no bytes", { payload: "x" }, "bytes is no whole number, 0 or more"],
    ["bytes that are none", { payload: "x", bytes: "12" }, "bytes is no whole number, 0 or more"],
    ["fewer bytes than none", { payload: "x", bytes: -1 }, "bytes is no whole number, 0 or more"],
    ["NaN bytes", { payload: "x", bytes: Number.NaN }, "bytes is no whole number, 0 or more"],
    ["no payload", { bytes: 1 }, "encode returned no payload"],
    ["a rejection without a code", { rejected: "no" }, "has no code in UPPER_SNAKE_CASE"],
    ["a code in lower case", { rejected: "no", code: "not-valid" }, "has no code in UPPER_SNAKE_CASE"],
    ["a rejection without a reason", { rejected: true, code: "NO" }, "rejected is no text that says why"],
    ["a filter without a reason", { filtered: true }, "filtered is no text that says why"],
  ])("%s", async (_, encoded, problem) => {
    const world = createWorld();
    world.putEvents("a", 3);
    const sink = scriptedSink("a", { encode: () => untyped(encoded) });
    expect(await run(world, sink)).toMatchObject({ delivered: 0, deadLettered: 3, pending: 0, requests: 0 });
    const letters = await world.letters();
    expect(letters.map(({ code }) => code)).toEqual(Array(3).fill("ENCODE_FAILED"));
    expect(letters[0]?.reason).toContain(problem);
  });

  test.each<[string, Pick<Partial<Sink<unknown>>, "partition" | "coalesceKey">, string]>([
    ["a partition", { partition: () => untyped(7) }, "partition is a number"],
    ["a coalescing key", { coalesceKey: () => untyped({}) }, "coalesceKey is an object"],
  ])("%s that is no text", async (_, part, problem) => {
    const world = createWorld();
    world.putEvents("a", 1);
    expect(await run(world, scriptedSink("a", part))).toMatchObject({ deadLettered: 1, requests: 0 });
    expect((await world.letters())[0]?.reason).toContain(problem);
  });
});

describe("an outcome that is wrong is unknown: it counts as an attempt, and what is left is pending and says why", () => {
  test.each<[string, unknown, string]>([
    ["a misspelt verdict", { status: "deliverd" }, 'its status is "deliverd"'],
    [
      "a status with more than a word",
      { status: "<script>alert(1)</script>" },
      "its status is no word that is known",
    ],
    ["nothing", undefined, "it is nothing, neither outcomes nor a verdict"],
    ["true", true, "it is a boolean"],
    ["a refusal without a code", { status: "refused", reason: "no" }, "it has no code in UPPER_SNAKE_CASE"],
    ["a transient without a reason", { status: "transient" }, "it has no reason that is text"],
    [
      "a rejection of the whole",
      { status: "rejected", reason: "no", code: "NO" },
      "rejected is an outcome of one item",
    ],
    ["text per item", ["delivered", "delivered"], "it is a string, not an outcome"],
    [
      "refused per item",
      Array(2).fill({ status: "refused", reason: "no", code: "NO" }),
      "an item is rejected",
    ],
    [
      "a rejection without a code",
      Array(2).fill({ status: "rejected", reason: "no" }),
      "it has no code in UPPER_SNAKE_CASE",
    ],
    [
      "a rejection without a reason",
      Array(2).fill({ status: "rejected", code: "NO" }),
      "it has no reason that is text",
    ],
    ["a promise per item", Array(2).fill(Promise.resolve({ status: "delivered" })), "it is a promise"],
    ["more outcomes than items", Array(3).fill({ status: "delivered" }), "3 outcomes for 2 items"],
  ])("%s", async (_, answer, problem) => {
    const world = createWorld();
    world.putEvents("a", 2);
    const sink = Object.assign(scriptedSink("a"), { send: async () => untyped(answer) });
    const report = await run(world, sink);
    expect(report).toMatchObject({ delivered: 0, deadLettered: 0, pending: 2 });
    expect(report?.requests).toBeLessThanOrEqual(6);
    expect(report?.pendingReason).toContain(problem);
    expect(await world.letters()).toEqual([]);
  });

  test("of one item, costs no other", async () => {
    const world = createWorld();
    world.putEvents("a", 3);
    const sink = scriptedSink("a");
    sink.reply = ({ items }) =>
      items.map(({ event }) => (event.id === "e1" ? untyped({ status: "ok" }) : { status: "delivered" }));
    expect(await run(world, sink)).toMatchObject({ delivered: 2, pending: 1 });
  });

  test.each([Number.NaN, -1, "60", Number.POSITIVE_INFINITY, 1e300])(
    "a wait of %s ends in a deferral that can be read, a day from now at most",
    async (retryAfterMs) => {
      const world = createWorld();
      world.putEvents("a", 1);
      const sink = scriptedSink("a");
      sink.reply = () => untyped({ status: "transient", reason: "later", retryAfterMs });
      expect(await run(world, sink)).toMatchObject({ pending: 1 });
      const [receipt] = Object.values(await world.latestReceipts()).filter(({ lane }) => lane === "a");
      expect(receipt).toBeDefined();
      for (const key of world.deferrals()) {
        const { nextAttemptAt } = JSON.parse(String(world.receipts.objects.get(key)?.bytes));
        expect(nextAttemptAt - world.clock.now()).toBeLessThanOrEqual(86_400_000);
      }
      expect(world.deferrals()).toHaveLength(1);
    },
  );
});

test.each<[string, object, string]>([
  ["no sink", { sinks: [] }, "sinks: must name at least one sink"],
  [
    "a source that is no function",
    { source: 1 },
    "source: must be a function that answers the store of a bucket",
  ],
  ["a misspelt option", { routs: [] }, 'Unrecognized key: "routs"'],
  ["a route that is none", { routes: [{ metric: "a", sinks: "*" }] }, "routes.0.metrics: must be"],
  ["a store that is an address", { receipts: "s3://books" }, "receipts: must be a store"],
  ["a clock of another kind", { clock: Date }, "clock: must be a clock"],
  ["a logger without errors", { log: { info() {} } }, "log: must be a logger"],
])("a worker with %s is not made, and one sentence says why", (_, change, sentence) => {
  const { source, receipts, deadLetters, clock } = createWorld();
  const good = { sinks: [scriptedSink("a")], source: () => source, receipts, deadLetters, clock };
  expect(() => createWorker(good)).not.toThrow();
  expect(() => createWorker({ ...good, ...change })).toThrow(sentence);
});
