// The replayer: what it takes up, what it leaves, and what it measures.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { hubspotEventsSink } from "../../adapters/hubspot/index.ts";
import { createHubspotTwin } from "../../adapters/hubspot/twin.ts";
import { addBooks, completeness } from "../../src/books/query.ts";
import { type Outcome, sinkUnavailable, type Worker } from "../../src/index.ts";
import { createReplayer, type ReplayerOptions } from "../../src/lambda/replayer.ts";
import { StoreError } from "../../src/store/object-store.ts";
import { injectFaults, twinHttp } from "../../src/testing/index.ts";
import { createWorld, delivered, type ScriptedSink, scriptedSink, type World } from "../support/world.ts";

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

const context = (remaining = 15 * minute) => ({
  awsRequestId: "request-1",
  getRemainingTimeInMillis: () => remaining,
});

let written: string;
beforeEach(() => {
  written = "";
  for (const stream of [process.stdout, process.stderr]) {
    vi.spyOn(stream, "write").mockImplementation((chunk) => {
      written += typeof chunk === "string" ? chunk : Buffer.from(chunk).toString("utf8");
      return true;
    });
  }
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** The gauges of the last run, by sink. */
function gauges(): Record<string, Record<string, unknown>> {
  const lines: Record<string, unknown>[] = written
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
  return Object.fromEntries(
    lines
      .filter((line) => "WaitingDeadLetters" in line || "PendingAge" in line)
      .map(({ _aws, Sink, ...values }) => [String(Sink), values]),
  );
}

async function replayerIn(
  world: World,
  sinks: readonly ScriptedSink[],
  options: Partial<ReplayerOptions> = {},
) {
  const replayer = await createReplayer({
    sinks: sinks.map(({ name }) => name),
    receipts: world.receipts,
    deadLetters: world.deadLetters,
    clock: world.clock,
    createWorker: (log) => world.worker(sinks, { log }),
    ...options,
  });
  return (remaining?: number) => {
    written = "";
    return world.clock.run(replayer({}, context(remaining)));
  };
}

const down =
  (message = "the token is revoked", retryAfterMs?: number) =>
  () =>
    Promise.reject(sinkUnavailable(message, retryAfterMs === undefined ? {} : { retryAfterMs }));

/** Objects of ten events each, of which the sinks that are down have taken none. */
async function deferred(sinks: readonly ScriptedSink[], ...keys: readonly string[]): Promise<World> {
  const world = createWorld();
  const worker = world.worker(sinks);
  for (const key of keys) {
    world.putEvents(key, 10, (index) => ({
      metadata: { tenant_id: "t", event_id: `${key}${index}` },
    }));
    await world.clock.run(worker.process({ bucket: "source", key }));
  }
  for (const sink of sinks) sink.requests.length = 0;
  return world;
}

describe("deferrals that are due", () => {
  test("are drained for the sinks that were missing them alone, each record once, and removed", async () => {
    const [well, ill] = [scriptedSink("well"), scriptedSink("ill")];
    ill.reply = down();
    const world = await deferred([well, ill], "a", "b");
    expect(world.deferrals()).toHaveLength(2);
    ill.reply = () => delivered;
    const replay = await replayerIn(world, [well, ill]);
    expect(await replay()).toMatchObject({ waiting: 2, notDue: 2, settled: 0 });
    await world.clock.advance(2 * minute);
    expect(await replay()).toMatchObject({ waiting: 2, settled: 2, left: 0, delivered: 20 });
    expect(world.deferrals()).toEqual([]);
    expect([...ill.stored.values()]).toEqual(Array.from({ length: 20 }, () => 1));
    expect(well.requests).toEqual([]);
  });

  test("wait longer after every run that leaves something, up to an hour", async () => {
    const ill = scriptedSink("ill");
    ill.reply = down();
    const world = await deferred([ill], "a");
    const replay = await replayerIn(world, [ill]);
    const tried: number[] = [];
    const began = world.clock.now();
    for (let minutes = 0; minutes < 5 * 60; minutes++) {
      await world.clock.advance(minute);
      const before = ill.requests.length;
      await replay();
      if (ill.requests.length > before) tried.push(Math.round((world.clock.now() - began) / minute));
    }
    const waits = tried.map((at, index) => at - (tried[index - 1] ?? 0));
    expect(waits.slice(0, 6)).toEqual([1, 2, 4, 8, 16, 32]);
    expect(Math.max(...waits)).toBeLessThanOrEqual(61);
  });

  test("of a sink that asked to be left alone until tomorrow wait, whatever else of it is due", async () => {
    const ill = scriptedSink("ill");
    ill.reply = down("the daily quota is spent", 10 * hour);
    const world = await deferred([ill], "a");
    // What was deferred before the sink said so knows nothing of it.
    const other = scriptedSink("ill");
    other.reply = down();
    world.putEvents("b", 10);
    await world.clock.run(world.worker([other]).process({ bucket: "source", key: "b" }));
    ill.requests.length = 0;
    const replay = await replayerIn(world, [ill]);
    await world.clock.advance(5 * hour);
    expect(await replay()).toMatchObject({ waiting: 2, notDue: 1, resting: 1 });
    expect(ill.requests).toEqual([]);
    ill.reply = () => delivered;
    await world.clock.advance(6 * hour);
    expect(await replay()).toMatchObject({ settled: 2 });
  });

  test("of a sink that takes nothing cost it one request a run, not one a deferral", async () => {
    const ill = scriptedSink("ill");
    ill.reply = down();
    const keys = Array.from({ length: 20 }, (_, index) => `k${index}`);
    const world = await deferred([ill], ...keys);
    const replay = await replayerIn(world, [ill]);
    await world.clock.advance(day);
    const report = await replay();
    expect(report.waiting).toBe(20);
    expect(report.left).toBeGreaterThan(10);
    expect(ill.requests.length).toBeLessThanOrEqual(4);
  });

  test("are not begun when the time is over, and wait as they are", async () => {
    const ill = scriptedSink("ill");
    ill.reply = down();
    const world = await deferred([ill], ...Array.from({ length: 12 }, (_, index) => `k${index}`));
    await world.clock.advance(day);
    ill.reply = async (_, { clock }) => {
      await clock.sleep(5_000);
      return delivered;
    };
    const replay = await replayerIn(world, [ill]);
    const report = await replay(12_000);
    expect(report.left).toBeGreaterThan(0);
    expect(report.settled + report.left + report.failed).toBeLessThanOrEqual(12);
    await world.clock.advance(day);
    expect(await replay()).toMatchObject({ left: 0, failed: 0 });
    expect(world.deferrals()).toEqual([]);
    expect(new Set(ill.stored.keys()).size).toBe(120);
  });

  test("taken up by two replayers at once are delivered by one of them", async () => {
    const ill = scriptedSink("ill");
    ill.reply = down();
    const world = await deferred([ill], "a", "b");
    await world.clock.advance(day);
    ill.reply = async (_, { clock }) => {
      await clock.sleep(1_000);
      return delivered;
    };
    const two = await Promise.all(
      ["one", "two"].map((id) =>
        createReplayer({
          sinks: ["ill"],
          receipts: world.receipts,
          deadLetters: world.deadLetters,
          clock: world.clock,
          createWorker: (log) => world.worker([ill], { log, owner: { id } }),
        }),
      ),
    );
    const reports = await world.clock.run(Promise.all(two.map((replay) => replay({}, context()))));
    expect(reports.reduce((sum, { busy }) => sum + busy, 0)).toBe(2);
    expect([...ill.stored.values()].every((times) => times === 1)).toBe(true);
    expect(ill.stored.size).toBe(20);
    expect(world.deferrals()).toEqual([]);
  });

  test("of an object that is gone are told loudly, hold up no other, and wait for a person in the end", async () => {
    const ill = scriptedSink("ill");
    ill.reply = down();
    const world = await deferred([ill], "a", "b");
    ill.reply = () => delivered;
    world.source.objects.delete("a");
    const replay = await replayerIn(world, [ill]);
    await world.clock.advance(day);
    expect(await replay()).toMatchObject({ settled: 1, failed: 1 });
    expect(written).toMatch(/memory:\/\/source\/a, version \w+, does not exist or was deleted/);
    await world.clock.advance(7 * day);
    expect(await replay()).toMatchObject({ waiting: 1, givenUp: 1, failed: 0 });
    expect(gauges()["ill"]).toMatchObject({ PendingAge: expect.closeTo(8 * 86_400, -3) });
  });

  test("of an object that was not read to its end are drained for its invalid records, too", async () => {
    const world = createWorld();
    world.putEvents("a", 200, (index) => (index % 10 === 9 ? { data: {} } : {}));
    const slow = scriptedSink("slow");
    slow.reply = async (_, { clock }) => {
      await clock.sleep(1_000);
      return delivered;
    };
    const worker = world.worker([slow], { limits: { maxItems: 20 } });
    const deadline = world.clock.now() + 2_500;
    await world.clock.run(worker.process({ bucket: "source", key: "a" }, { deadline }));
    expect(
      world
        .deferrals()
        .map((key) => key.split("/")[1])
        .sort(),
    ).toEqual(["sink=_intake", "sink=slow"]);
    await world.clock.advance(day);
    const replay = await replayerIn(world, [slow]);
    expect(await replay()).toMatchObject({ waiting: 2, settled: 2 });
    expect(world.deferrals()).toEqual([]);
    const { _intake } = await world.latestReceipts();
    expect(_intake?.counts).toMatchObject({ records: 200, valid: 180, deadLettered: 20 });
    expect(slow.stored.size).toBe(180);
  });

  test("of which one cannot be understood are drained all the same, and that one fails the function", async () => {
    const ill = scriptedSink("ill");
    ill.reply = down();
    const world = await deferred([ill], "a", "b");
    ill.reply = () => delivered;
    const [first = ""] = world.deferrals();
    world.receipts.objects.set(first, { bytes: Buffer.from("{"), lastModified: 0 });
    await world.clock.advance(day);
    const replay = await replayerIn(world, [ill]);
    // Nobody is calm while something waits that nobody drains: the function fails, and the alarm on its errors rings.
    await expect(replay()).rejects.toThrow("1 deferrals cannot be read");
    expect(written).toContain('"settled":1');
    expect(written).toContain("is not a deferral that this version understands");
    expect(world.deferrals()).toEqual([first]);
    world.receipts.objects.delete(first);
    expect(await replay()).toMatchObject({ waiting: 0 });
  });

  test("that a settled lane has left behind are removed", async () => {
    const ill = scriptedSink("ill");
    ill.reply = down();
    const world = await deferred([ill], "a");
    ill.reply = () => delivered;
    world.receipts.before = (operation, key) => {
      if (operation === "delete" && key.startsWith("deferrals/")) throw new StoreError("TRANSIENT", "503");
    };
    await world.clock.run(world.worker([ill]).process({ bucket: "source", key: "a" }));
    world.receipts.before = () => {};
    expect(world.deferrals()).toHaveLength(1);
    const replay = await replayerIn(world, [ill]);
    await world.clock.advance(day);
    ill.requests.length = 0;
    expect(await replay()).toMatchObject({ settled: 1, delivered: 0 });
    expect(world.deferrals()).toEqual([]);
    expect(ill.requests).toEqual([]);
  });
});

describe("the gauges", () => {
  test("tell what waits and since when, and fall to nothing when it is handled, so that an alarm clears", async () => {
    const [well, ill] = [scriptedSink("well"), scriptedSink("ill")];
    ill.reply = ({ items }, _, request) => {
      if (request === 1) {
        return items.map((): Outcome => ({ status: "rejected", reason: "no", code: "NO" }));
      }
      throw sinkUnavailable("the token is revoked");
    };
    const world = await deferred([well, ill], "a", "b");
    const replay = await replayerIn(world, [well, ill]);
    await world.clock.advance(30_000);
    await replay();
    expect(gauges()).toEqual({
      ill: {
        WaitingDeadLetters: 10,
        PendingAge: expect.closeTo(30, 0),
      },
    });
    ill.reply = () => delivered;
    const receipt = (await world.latestReceipts())["ill"];
    const letters = [...world.deadLetters.objects.keys()];
    expect(receipt).toBeDefined();
    const worker: Worker = world.worker([well, ill]);
    for (const key of letters) {
      const object = {
        bucket: "memory://source",
        key: "a",
        version: (await world.source.look("a"))?.version ?? "",
      };
      await world.clock.run(
        worker.replay({ object, lane: "ill", file: key }, { id: "r", select: () => true }),
      );
    }
    await world.clock.advance(day);
    await replay();
    expect(gauges()).toEqual({});
  });

  test("do not count what an attempt without a receipt has left", async () => {
    const world = createWorld();
    world.putEvents("a", 10);
    const ill = scriptedSink("ill");
    ill.reply = () => ({ status: "refused", reason: "no", code: "NO" });
    world.receipts.before = (operation, key) => {
      if (operation === "putIfAbsent" && key.endsWith(".receipt.json"))
        throw new StoreError("FAILED", "gone");
    };
    await expect(
      world.clock.run(world.worker([ill]).process({ bucket: "source", key: "a" })),
    ).rejects.toThrow();
    world.receipts.before = () => {};
    expect(world.deadLetters.objects.size).toBe(1);
    const replay = await replayerIn(world, [ill]);
    await replay();
    expect(gauges()).toEqual({});
  });

  test("that cannot be counted fail the function, and what was drained counts all the same", async () => {
    const ill = scriptedSink("ill");
    ill.reply = down();
    const world = await deferred([ill], "a");
    ill.reply = () => delivered;
    await world.clock.advance(day);
    world.deadLetters.before = (operation) => {
      if (operation === "list") throw new StoreError("DENIED", "403");
    };
    const replay = await replayerIn(world, [ill]);
    await expect(replay()).rejects.toThrow("what waits could not be counted: DENIED");
    expect(written).toContain('"settled":1');
    expect(ill.stored.size).toBe(10);
  });

  test("of a file are read once, however often the function runs", async () => {
    const world = createWorld();
    world.putEvents("a", 10);
    const ill = scriptedSink("ill");
    ill.reply = () => ({ status: "refused", reason: "no", code: "NO" });
    await world.clock.run(world.worker([ill]).process({ bucket: "source", key: "a" }));
    const replay = await replayerIn(world, [ill]);
    await replay();
    const { reads } = world.deadLetters;
    await replay();
    expect(world.deadLetters.reads).toBe(reads);
    expect(gauges()["ill"]).toMatchObject({ WaitingDeadLetters: 10 });
  });
});

test("HubSpot was down for 5,000 events; when it is back the replayer drains them, and the books say 100 %", async () => {
  const world = createWorld();
  const { clock } = world;
  for (let object = 0; object < 5; object++) {
    world.putEvents(`k${object}`, 1_000, (index) => ({
      metadata: { tenant_id: "acme.com", event_id: `${object}-${index}` },
    }));
  }
  const twin = createHubspotTwin();
  let isDown = true;
  const handle = injectFaults(
    twin.handle,
    () => (isDown ? { kind: "status", status: 503 } : undefined),
    clock,
  );
  const sink = hubspotEventsSink({ accessToken: "token" });
  const options = { http: twinHttp(handle, clock) };
  const worker = world.worker([sink], options);
  for (let object = 0; object < 5; object++) {
    await clock.run(worker.process({ bucket: "source", key: `k${object}` }));
  }
  const books = async () => {
    const { receipts, deadLetters } = world;
    const all = await addBooks({ receipts, deadLetters, sinks: [sink.name], owner: { id: "reader" } });
    const [own] = all.sinks;
    if (own === undefined) throw new Error("there are no books of the sink");
    return { ...own, completeness: completeness(own), problems: all.problems };
  };
  expect(await books()).toMatchObject({
    valid: 5_000,
    delivered: 0,
    pending: 5_000,
    completeness: 0,
    problems: [],
  });

  isDown = false;
  const replay = await createReplayer({
    sinks: [sink.name],
    receipts: world.receipts,
    deadLetters: world.deadLetters,
    clock,
    createWorker: (log) => world.worker([sink], { ...options, log }),
  });
  await clock.advance(hour);
  expect(await clock.run(replay({}, context()))).toMatchObject({ waiting: 5, settled: 5, delivered: 5_000 });
  expect(await books()).toMatchObject({ delivered: 5_000, pending: 0, completeness: 1, problems: [] });
  expect(twin.stored.size).toBe(5_000);
  expect([...twin.stored.values()].every((times) => times === 1)).toBe(true);
});
