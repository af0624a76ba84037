import { describe, expect, test } from "vitest";
import { ObjectBusy } from "../../src/books/claim.ts";
import { recordBytes } from "../../src/dead-letter/dead-letter.ts";
import { sinkUnavailable } from "../../src/delivery/sink.ts";
import {
  createWorld,
  delivered,
  eventRecord,
  idsOf,
  type ScriptedSink,
  scriptedSink,
} from "../support/world.ts";

const ref = (key: string) => ({ bucket: "source", key });
const never = () => new Promise<never>(() => {});

describe("the main way", () => {
  test("every event reaches every sink once, in full batches, and the books close", async () => {
    const world = createWorld();
    world.putEvents("a", 25);
    const [a, b] = [scriptedSink("a"), scriptedSink("b")];
    const report = await world.clock.run(world.worker([a, b]).process(ref("a")));
    expect(report).toMatchObject({ records: 25, valid: 25, invalid: 0, unread: false });
    for (const sink of [a, b]) {
      expect(sink.requests.map((ids) => ids.length)).toEqual([10, 10, 5]);
      expect(sink.requests.flat()).toEqual(idsOf(25));
      expect(report.sinks[sink.name]).toMatchObject({
        valid: 25,
        delivered: 25,
        pending: 0,
        requests: 3,
        retries: 0,
      });
    }
  });

  test("a second run of the same object delivers nothing and reads nothing", async () => {
    const world = createWorld();
    world.putEvents("a", 25);
    const sink = scriptedSink("a");
    await world.clock.run(world.worker([sink]).process(ref("a")));
    const reads = world.source.reads;
    const again = await world.clock.run(world.worker([sink]).process(ref("a")));
    expect(again).toMatchObject({ records: 0, sinks: { a: { valid: 0, delivered: 0 } } });
    expect(sink.requests).toHaveLength(3);
    expect(world.source.reads).toBe(reads);
  });

  test("a sink that is added later gets what the others have had, and nobody gets it twice", async () => {
    const world = createWorld();
    world.putEvents("a", 25);
    world.source.objects.set("a", {
      bytes: Buffer.concat([world.source.objects.get("a")?.bytes ?? Buffer.of(), Buffer.from("broken\n")]),
      lastModified: 0,
    });
    const [first, second] = [scriptedSink("first"), scriptedSink("second")];
    await world.clock.run(world.worker([first]).process(ref("a")));
    const report = await world.clock.run(world.worker([first, second]).process(ref("a")));
    expect(first.stored.size).toBe(25);
    expect([...first.stored.values()].every((times) => times === 1)).toBe(true);
    expect([...second.stored.keys()]).toEqual(idsOf(25));
    expect(report).toMatchObject({ records: 25, valid: 25, invalid: 0 });
    expect((await world.letters()).filter(({ sink }) => sink === "_intake")).toHaveLength(1);
  });

  test("an object without a byte is settled with a receipt", async () => {
    const world = createWorld();
    world.putEvents("empty", 0);
    const report = await world.clock.run(world.worker([scriptedSink("a")]).process(ref("empty")));
    expect(report).toMatchObject({ records: 0, valid: 0, invalid: 0, unread: false });
    expect(Object.keys(await world.latestReceipts()).sort()).toEqual(["_intake", "a"]);
  });

  test("an object that does not exist fails with a sentence that names it", async () => {
    const world = createWorld();
    const gone = world.worker([scriptedSink("a")]).process(ref("gone"));
    await expect(gone).rejects.toThrow("memory://source/gone does not exist");
  });
});

describe("invalid records", () => {
  test("each costs itself alone and is a dead letter with its bytes, its place and its reason", async () => {
    const world = createWorld();
    const lines = [
      JSON.stringify(eventRecord(0)),
      "not json",
      '{"metric_name":"","metadata":{},"data":{}}',
      JSON.stringify(eventRecord(1)),
      '{"metric_name":"m","metadata":{"tenant_id":"t"},"data":{"event_time":"yesterday"}}',
    ];
    world.source.objects.set("a", { bytes: Buffer.from(lines.join("\n")), lastModified: 0 });
    const sink = scriptedSink("a");
    const report = await world.clock.run(world.worker([sink]).process(ref("a")));
    expect(report).toMatchObject({ records: 5, valid: 2, invalid: 3 });
    expect([...sink.stored.keys()]).toEqual(["e0", "e1"]);
    const letters = await world.letters();
    expect(letters.map(({ code, origin }) => [origin.index, code])).toEqual([
      [1, "NOT_JSON"],
      [2, "METRIC_NAME_MISSING"],
      [4, "EVENT_TIME_INVALID"],
    ]);
    const whole = lines.join("\n");
    for (const letter of letters) {
      expect(letter).toMatchObject({ stage: "intake", sink: "_intake", attempts: 0 });
      expect(letter.origin).toMatchObject({ bucket: "memory://source", key: "a" });
      expect(recordBytes(letter)?.toString()).toBe(lines[letter.origin.index]);
      expect(whole.slice(letter.origin.start, letter.origin.end)).toBe(lines[letter.origin.index]);
    }
  });

  test("letters that cannot be stored fail the notification, and their lane is not acknowledged", async () => {
    const world = createWorld();
    world.source.objects.set("a", { bytes: Buffer.from("broken\n"), lastModified: 0 });
    world.deadLetters.before = (operation) => {
      if (operation === "putIfAbsent") throw new Error("the bucket is on fire");
    };
    const worker = world.worker([scriptedSink("a")]);
    await expect(world.clock.run(worker.process(ref("a")))).rejects.toThrow("on fire");
    expect(Object.keys(await world.latestReceipts())).toEqual(["a"]);
    world.deadLetters.before = () => {};
    const again = await world.clock.run(worker.process(ref("a")));
    expect(again).toMatchObject({ records: 1, invalid: 1 });
    expect(await world.letters()).toHaveLength(1);
  });
});

describe("a vendor's refusal", () => {
  test("leaves little to a deadline that ends the search for the poison, so that later runs find it", async () => {
    const world = createWorld();
    world.putEvents("a", 64);
    const sink = scriptedSink("a", {
      limits: { itemsPerRequest: 64, bytesPerRequest: 10_000, bytesPerItem: 5_000, concurrency: 1 },
    });
    sink.reply = async ({ items }, { clock }) => {
      await clock.sleep(10_000);
      return items.some(({ event }) => event.id === "e0")
        ? { status: "refused", reason: "the file is bad", code: "BAD" }
        : delivered;
    };
    const worker = world.worker([sink]);
    // Time for five requests: fewer than it takes to halve 64 items down to one.
    const run = () => world.clock.run(worker.process(ref("a"), { deadline: world.clock.now() + 55_000 }));
    expect((await run()).sinks["a"]).toMatchObject({ delivered: 32 + 16, pending: 16, deadLettered: 0 });
    expect((await run()).sinks["a"]).toMatchObject({ delivered: 8 + 4, pending: 4, deadLettered: 0 });
    expect((await run()).sinks["a"]).toMatchObject({ delivered: 3, pending: 0, deadLettered: 1 });
  });

  test("one poison record of a refused batch is found by halving; the others are delivered", async () => {
    const world = createWorld();
    world.putEvents("a", 30);
    const sink = scriptedSink("a", {
      limits: { itemsPerRequest: 30, bytesPerRequest: 10_000, bytesPerItem: 5_000, concurrency: 1 },
    });
    sink.reply = ({ items }) =>
      items.some(({ event }) => event.id === "e17")
        ? { status: "refused", reason: "the batch is bad", code: "BAD" }
        : delivered;
    const report = await world.clock.run(world.worker([sink]).process(ref("a")));
    expect(report.sinks["a"]).toMatchObject({
      valid: 30,
      delivered: 29,
      deadLettered: 1,
      pending: 0,
      retries: 0,
    });
    expect(sink.stored.has("e17")).toBe(false);
    expect([...sink.stored.values()].every((times) => times === 1)).toBe(true);
    expect(report.sinks["a"]?.requests).toBeLessThanOrEqual(1 + 2 * Math.ceil(Math.log2(30)));
    expect(await world.letters()).toMatchObject([
      {
        stage: "send",
        sink: "a",
        code: "BAD",
        reason: "the batch is bad",
        attempts: 1,
        event: { id: "e17" },
      },
    ]);
  });

  test("rejected records are dead letters, transient ones alone are sent again, with the same ids", async () => {
    const world = createWorld();
    world.putEvents("a", 4);
    const sink = scriptedSink("a");
    sink.reply = ({ items }, _context, request) =>
      items.map(({ event }) => {
        if (event.id === "e0") return { status: "rejected", reason: "too old", code: "TOO_OLD" };
        return event.id === "e2" && request < 3 ? { status: "transient", reason: "busy" } : delivered;
      });
    const report = await world.clock.run(world.worker([sink]).process(ref("a")));
    expect(sink.requests).toEqual([["e0", "e1", "e2", "e3"], ["e2"], ["e2"]]);
    expect(report.sinks["a"]).toMatchObject({
      delivered: 3,
      deadLettered: 1,
      pending: 0,
      requests: 3,
      retries: 2,
    });
  });

  test("an outcome that is missing is unknown, and the record is sent again", async () => {
    const world = createWorld();
    world.putEvents("a", 3);
    const sink = scriptedSink("a");
    sink.reply = (_batch, _context, request) => (request === 1 ? [delivered, delivered] : delivered);
    const report = await world.clock.run(world.worker([sink]).process(ref("a")));
    expect(sink.requests).toEqual([["e0", "e1", "e2"], ["e2"]]);
    expect(report.sinks["a"]).toMatchObject({ delivered: 3, retries: 1 });
  });

  test("a mapping that throws costs its record alone", async () => {
    const world = createWorld();
    world.putEvents("a", 3);
    const sink = scriptedSink("a", {
      encode(event) {
        if (event.id === "e1") throw new TypeError("secret value");
        return { payload: { id: event.id }, bytes: 10 };
      },
    });
    const report = await world.clock.run(world.worker([sink]).process(ref("a")));
    expect(report.sinks["a"]).toMatchObject({ delivered: 2, deadLettered: 1 });
    const [letter] = await world.letters();
    expect(letter).toMatchObject({
      stage: "encode",
      code: "ENCODE_FAILED",
      reason: "the mapping failed: TypeError",
    });
  });

  test("an item over the limit is a dead letter before anything is sent", async () => {
    const world = createWorld();
    world.putEvents("a", 2);
    const sink = scriptedSink("a", {
      encode: (event) => ({ payload: { id: event.id }, bytes: event.id === "e0" ? 5_001 : 5_000 }),
    });
    const report = await world.clock.run(world.worker([sink]).process(ref("a")));
    expect(report.sinks["a"]).toMatchObject({ delivered: 1, deadLettered: 1, requests: 1 });
    expect(await world.letters()).toMatchObject([{ code: "ITEM_TOO_LARGE", event: { id: "e0" } }]);
  });
});

describe("coalescing", () => {
  const coalescing = () =>
    scriptedSink("a", { partition: ({ metricName }) => metricName, coalesceKey: ({ tenantId }) => tenantId });

  test("the newest of a key is sent, the older ones are filtered as superseded", async () => {
    const world = createWorld();
    world.putEvents("a", 9);
    const sink = coalescing();
    const report = await world.clock.run(world.worker([sink]).process(ref("a")));
    expect(sink.requests).toEqual([["e6", "e7", "e8"]]);
    expect(report.sinks["a"]).toMatchObject({ valid: 9, delivered: 3, filtered: 6 });
  });

  test("when the newest is rejected, the next one gets its turn", async () => {
    const world = createWorld();
    world.putEvents("a", 9);
    const sink = coalescing();
    sink.reply = ({ items }) =>
      items.map(({ event }) =>
        event.id === "e6" ? { status: "rejected", reason: "no", code: "NO" } : delivered,
      );
    const report = await world.clock.run(world.worker([sink]).process(ref("a")));
    expect([...sink.stored.keys()].sort()).toEqual(["e3", "e7", "e8"]);
    expect(report.sinks["a"]).toMatchObject({ valid: 9, delivered: 3, filtered: 5, deadLettered: 1 });
  });

  test("what waits keeps its older ones waiting, and a later run settles all of them", async () => {
    const world = createWorld();
    world.putEvents("a", 9);
    const sink = coalescing();
    sink.reply = () => {
      throw sinkUnavailable("the token is not valid");
    };
    const report = await world.clock.run(world.worker([sink]).process(ref("a")));
    expect(report.sinks["a"]).toMatchObject({ valid: 9, pending: 9 });
    sink.reply = () => delivered;
    const later = await world.clock.run(world.worker([sink]).process(ref("a")));
    expect(later.sinks["a"]).toMatchObject({ valid: 9, delivered: 3, filtered: 6, pending: 0 });
  });
});

describe("a sink that is down", () => {
  test("leaves the others' outcomes and times as they are; its events are pending; a later run drains them", async () => {
    const healthy = async (withIll: boolean) => {
      const world = createWorld();
      world.putEvents("a", 2_000);
      const [well, ill] = [scriptedSink("well"), scriptedSink("ill")];
      well.reply = async (_batch, { clock }) => {
        await clock.sleep(50);
        return delivered;
      };
      ill.reply = never;
      const sinks = withIll ? [well, ill] : [well];
      const report = await world.clock.run(world.worker(sinks).process(ref("a")));
      return { world, well, ill, report };
    };
    const alone = await healthy(false);
    const { world, well, ill, report } = await healthy(true);
    expect(report.sinks["well"]).toEqual(alone.report.sinks["well"]);
    expect(well.storedAt).toEqual(alone.well.storedAt);
    expect(report.sinks["ill"]).toMatchObject({ valid: 2_000, delivered: 0, pending: 2_000 });
    expect(world.deferrals()).toHaveLength(1);

    ill.reply = () => delivered;
    const later = await world.clock.run(world.worker([well, ill]).process(ref("a")));
    expect(later.sinks["ill"]).toMatchObject({ valid: 2_000, delivered: 2_000, pending: 0 });
    expect(later.sinks["well"]).toMatchObject({ valid: 0, requests: 0 });
    expect([...ill.stored.keys()].sort()).toEqual(idsOf(2_000).sort());
    expect(world.deferrals()).toEqual([]);
  });

  test("delays the others by no more than the patience when the object is larger than its queue", async () => {
    const lastDelivery = async (withIll: boolean) => {
      const world = createWorld();
      world.putEvents("a", 3_000);
      const [well, ill] = [scriptedSink("well"), scriptedSink("ill")];
      ill.reply = never;
      const worker = world.worker(withIll ? [well, ill] : [well], {
        limits: { maxItems: 100, patienceMs: 300 },
      });
      const start = world.clock.now();
      await world.clock.run(worker.process(ref("a")));
      expect(well.stored.size).toBe(3_000);
      return Math.max(...well.storedAt.values()) - start;
    };
    expect(await lastDelivery(true)).toBeLessThanOrEqual((await lastDelivery(false)) + 300);
  });

  test("a fact about the whole sink stops its lane at once: one request, everything else pending", async () => {
    const world = createWorld();
    world.putEvents("a", 500);
    const sink = scriptedSink("a", {
      limits: { itemsPerRequest: 10, bytesPerRequest: 10_000, bytesPerItem: 5_000, concurrency: 1 },
    });
    sink.reply = () => {
      throw sinkUnavailable("the token is not valid");
    };
    const report = await world.clock.run(world.worker([sink]).process(ref("a")));
    expect(report.sinks["a"]).toMatchObject({
      requests: 1,
      pending: 500,
      pendingReason: "the token is not valid",
    });
  });

  test("only what is pending is sent again, whatever its pattern", async () => {
    const world = createWorld();
    world.putEvents("a", 300);
    const sink = scriptedSink("a");
    sink.reply = ({ items }) =>
      items.map(({ event }) =>
        Number(event.id.slice(1)) % 7 === 3 ? { status: "transient", reason: "busy" } : delivered,
      );
    const report = await world.clock.run(world.worker([sink]).process(ref("a")));
    const waiting = idsOf(300).filter((id) => Number(id.slice(1)) % 7 === 3);
    expect(report.sinks["a"]).toMatchObject({ delivered: 300 - waiting.length, pending: waiting.length });
    sink.reply = () => delivered;
    sink.requests.length = 0;
    const later = await world.clock.run(world.worker([sink]).process(ref("a")));
    expect(sink.requests.flat()).toEqual(waiting);
    expect(later).toMatchObject({
      records: waiting.length,
      sinks: { a: { delivered: waiting.length, pending: 0 } },
    });
    const { a } = await world.latestReceipts();
    expect(a?.counts).toMatchObject({ valid: 300, delivered: 300, pending: 0 });
  });

  test("a wait that the vendor asks for is kept by all requests; a long one is not waited for", async () => {
    const world = createWorld();
    world.putEvents("a", 100);
    const sink = scriptedSink("a");
    const starts: number[] = [];
    let quietUntil = 0;
    sink.reply = (_batch, { clock }, request) => {
      starts.push(clock.now() - quietUntil);
      if (request > 1) return delivered;
      quietUntil = clock.now() + 20_000;
      return { status: "transient", reason: "slow down", retryAfterMs: 20_000 };
    };
    const report = await world.clock.run(world.worker([sink]).process(ref("a")));
    expect(report.sinks["a"]).toMatchObject({ delivered: 100, pending: 0 });
    // The request that was under way beside the first one is the only one inside the window.
    expect(starts.slice(2).every((since) => since >= 0)).toBe(true);

    const other = createWorld();
    other.putEvents("a", 100);
    const daily = scriptedSink("a");
    daily.reply = () => ({
      status: "transient",
      reason: "the daily quota is spent",
      retryAfterMs: 3_600_000,
    });
    const before = other.clock.now();
    const given = await other.clock.run(other.worker([daily]).process(ref("a")));
    expect(given.sinks["a"]).toMatchObject({ delivered: 0, pending: 100 });
    expect(other.clock.now() - before).toBeLessThan(1_000);
    expect(daily.requests.length).toBeLessThanOrEqual(2);
  });
});

describe("a slow sink and the deadline", () => {
  test("a slow lane detaches, the object is read again for it alone, and nothing is sent twice", async () => {
    const world = createWorld();
    world.putEvents("a", 3_000);
    const [fast, slow] = [scriptedSink("fast"), scriptedSink("slow")];
    slow.reply = async (_batch, { clock }) => {
      await clock.sleep(1_000);
      return delivered;
    };
    const worker = world.worker([fast, slow], { limits: { maxItems: 100, patienceMs: 200 } });
    const report = await world.clock.run(
      worker.process(ref("a"), { deadline: world.clock.now() + 3_600_000 }),
    );
    expect(report.sinks).toMatchObject({
      fast: { delivered: 3_000 },
      slow: { delivered: 3_000, pending: 0 },
    });
    expect(world.source.reads).toBeGreaterThan(2);
    expect(slow.requests.flat()).toEqual(idsOf(3_000));
  });

  test("what the deadline leaves is pending, exactly once, and later runs finish it", async () => {
    const world = createWorld();
    world.putEvents("a", 1_000);
    const sink = scriptedSink("a");
    sink.reply = async (_batch, { clock }) => {
      await clock.sleep(1_000);
      return delivered;
    };
    const worker = world.worker([sink], { limits: { maxItems: 50 } });
    let sent = 0;
    for (let runs = 0; runs < 20; runs++) {
      const report = await world.clock.run(
        worker.process(ref("a"), { deadline: world.clock.now() + 10_500 }),
      );
      sent += report.sinks["a"]?.delivered ?? 0;
      if (report.sinks["a"]?.pending === 0) break;
      expect(sent).toBeLessThan(1_000);
    }
    expect(sent).toBe(1_000);
    expect(sink.stored.size).toBe(1_000);
    const { a, _intake } = await world.latestReceipts();
    expect(a?.counts).toMatchObject({ valid: 1_000, delivered: 1_000, pending: 0 });
    expect(_intake?.counts).toMatchObject({ records: 1_000, valid: 1_000 });
    expect(world.deferrals()).toEqual([]);
  });
});

describe("a sink of large, slow requests", () => {
  const fileSink = () => {
    const sink = scriptedSink("files", {
      // More of them than a lane usually holds.
      limits: {
        itemsPerRequest: 21_000,
        bytesPerRequest: 2 ** 24,
        bytesPerItem: 5_000,
        concurrency: 1,
        timeoutMs: 120_000,
      },
    });
    sink.reply = async (_batch, { clock }) => {
      await clock.sleep(20_000);
      return delivered;
    };
    return sink;
  };
  const sizesOf = ({ requests }: ScriptedSink) => requests.map((ids) => ids.length);

  test("gets them full, since its lane holds one that is under way and the next", async () => {
    const world = createWorld();
    world.putEvents("a", 45_000);
    const files = fileSink();
    const report = await world.clock.run(world.worker([files]).process(ref("a")));
    expect(report.sinks["files"]).toMatchObject({ delivered: 45_000, pending: 0 });
    expect(sizesOf(files)).toEqual([21_000, 21_000, 3_000]);
  });

  test("gets smaller ones when the configuration lets its lane hold less", async () => {
    const world = createWorld();
    world.putEvents("a", 12_000);
    const files = fileSink();
    const worker = world.worker([files], { limits: { maxItems: 5_000 } });
    const report = await world.clock.run(worker.process(ref("a")));
    expect(report.sinks["files"]).toMatchObject({ delivered: 12_000, pending: 0 });
    expect(sizesOf(files)).toEqual([5_000, 5_000, 2_000]);
  });
});

describe("two workers", () => {
  test("on one object at once: one delivers, the other fails its notification and holds nothing", async () => {
    const world = createWorld();
    world.putEvents("a", 100);
    const sink = scriptedSink("a");
    sink.reply = async (_batch, { clock }) => {
      await clock.sleep(100);
      return delivered;
    };
    const both = [world.worker([sink]), world.worker([sink])].map((worker) => worker.process(ref("a")));
    const results = await world.clock.run(Promise.allSettled(both));
    expect(results.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    const [lost] = results.filter((result) => result.status === "rejected");
    expect(lost?.reason).toBeInstanceOf(ObjectBusy);
    expect([...sink.stored.values()].every((times) => times === 1)).toBe(true);
    expect(sink.stored.size).toBe(100);
  });

  test("a dead worker's claim holds until its deadline and a minute more, then the next one takes over", async () => {
    const world = createWorld();
    world.putEvents("a", 20);
    const sink = scriptedSink("a");
    // The first worker claims, and is never heard of again.
    world.source.before = (operation) => (operation === "read" ? never() : undefined);
    const claimedAt = world.clock.now();
    void world.worker([sink]).process(ref("a"), { deadline: claimedAt + 10_000 });
    await world.clock.advance(0);
    world.source.before = () => {};
    const next = world.worker([sink]);
    await world.clock.advance(69_999);
    await expect(world.clock.run(next.process(ref("a")))).rejects.toThrow(ObjectBusy);
    expect(sink.requests).toEqual([]);
    await world.clock.advance(1);
    const report = await world.clock.run(next.process(ref("a")));
    expect(report.sinks["a"]).toMatchObject({ delivered: 20 });
    expect((await world.latestReceipts())["a"]).toMatchObject({ generation: 2, continues: null });
  });

  test("a worker whose process is known to be gone does not have to be waited for", async () => {
    const world = createWorld();
    world.putEvents("a", 20);
    const sink = scriptedSink("a");
    sink.reply = never;
    void world.worker([sink], { owner: { id: "killed" } }).process(ref("a"));
    await world.clock.advance(0);
    sink.reply = () => delivered;
    const next = world.worker([sink], { owner: { id: "next", isGone: (id) => id === "killed" } });
    const report = await world.clock.run(next.process(ref("a")));
    expect(report.sinks["a"]).toMatchObject({ delivered: 20 });
    const { a } = await world.latestReceipts();
    expect(a?.generation).toBe(2);
  });
});

describe("routes", () => {
  test("an event goes where a route sends it and is filtered elsewhere", async () => {
    const world = createWorld();
    world.putEvents("a", 10, (index) => (index % 2 === 0 ? { metric_name: "other" } : {}));
    const [a, b] = [scriptedSink("a"), scriptedSink("b")];
    const routes = [
      { metrics: ["other"], sinks: ["a"] },
      { metrics: "*", sinks: ["b"] },
    ] as const;
    const report = await world.clock.run(world.worker([a, b], { routes }).process(ref("a")));
    expect(report.sinks).toMatchObject({
      a: { delivered: 5, filtered: 5 },
      b: { delivered: 10, filtered: 0 },
    });
  });
});

test("numbers that no worker can work with are refused by name, before anything is read", () => {
  const world = createWorld();
  const sink = scriptedSink("a", { limits: { ...scriptedSink("a").limits, itemsPerRequest: 0 } });
  const make = () => world.worker([sink], { limits: { maxItems: Number.NaN }, retry: { attempts: 0 } });
  expect(make).toThrow(/sinks\.0\.limits\.itemsPerRequest: .*limits\.maxItems: .*retry\.attempts: /);
});
