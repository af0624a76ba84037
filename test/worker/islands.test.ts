// Regressions: what one lane, one request or one run does to the others, and what is left when something fails.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { reportOf, sinkUnavailable } from "../../src/index.ts";
import { StoreError } from "../../src/store/object-store.ts";
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
const hour = 3_600_000;

/** Every request of the sink takes so long. */
function slowly(sink: ScriptedSink, ms: number): ScriptedSink {
  sink.reply = async (_batch, { clock }) => {
    await clock.sleep(ms);
    return delivered;
  };
  return sink;
}

function limits(change: Partial<ScriptedSink["limits"]>): ScriptedSink["limits"] {
  return { ...scriptedSink("any").limits, ...change };
}

describe("how far a lane has read", () => {
  test("never goes back, however little a later run reads", async () => {
    const world = createWorld();
    world.putEvents("a", 2_000);
    const sink = slowly(scriptedSink("a"), 100);
    const worker = world.worker([sink], { limits: { maxItems: 20 } });
    for (const deadline of [5_000, 0, 300, 20]) {
      await world.clock.run(worker.process(ref("a"), { deadline: world.clock.now() + deadline }));
    }
    const last = await world.clock.run(worker.process(ref("a"), { deadline: world.clock.now() + hour }));
    expect(last).toMatchObject({ unread: false, sinks: { a: { pending: 0 } } });
    expect(sink.stored.size).toBe(2_000);
    // Those that a deadline cut are unknown, and sent again: one batch a place.
    const { length: sent } = sink.requests.flat();
    expect(sent).toBeLessThanOrEqual(2_000 + 4 * sink.limits.concurrency * sink.limits.itemsPerRequest);
    const { a, _intake } = await world.latestReceipts();
    expect(a?.counts).toMatchObject({ valid: 2_000, delivered: 2_000 });
    expect(_intake?.counts).toMatchObject({ records: 2_000, valid: 2_000 });
  });
});

describe("what fails for one lane", () => {
  test("letters of one sink that cannot be stored take no other sink's receipt along", async () => {
    const world = createWorld();
    world.putEvents("a", 100);
    const [well, ill] = [scriptedSink("well"), scriptedSink("ill")];
    ill.reply = () => ({ status: "refused", reason: "no", code: "NO" });
    world.deadLetters.before = () => {
      throw new StoreError("TRANSIENT", "the bucket is on fire");
    };
    const worker = world.worker([well, ill]);
    const error = await world.clock.run(worker.process(ref("a"))).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "TRANSIENT", message: "the bucket is on fire" });
    expect(Object.keys(await world.latestReceipts()).sort()).toEqual(["_intake", "well"]);
    // What is durable is reported now or never.
    expect(reportOf(error)).toMatchObject({
      records: 100,
      sinks: { well: { delivered: 100 }, ill: { valid: 0, deadLettered: 0 } },
    });
    world.deadLetters.before = () => {};
    const again = await world.clock.run(worker.process(ref("a")));
    expect(again.sinks).toMatchObject({ well: { valid: 0 }, ill: { deadLettered: 100 } });
    expect(well.requests.flat()).toEqual(idsOf(100));
    expect(await world.letters()).toHaveLength(100);
  });

  test("a defect of one sink is told as itself, and the others' receipts are written", async () => {
    const world = createWorld();
    world.putEvents("a", 10);
    const [well, ill] = [scriptedSink("well"), scriptedSink("ill")];
    ill.reply = () => {
      let reads = 0;
      return [
        {
          status: "rejected",
          code: "X",
          // The check of the answer has read it once: what throws later nobody can foresee.
          get reason(): string {
            if (reads++ > 0) throw new Error("the defect");
            return "no";
          },
        },
      ];
    };
    await expect(world.clock.run(world.worker([well, ill]).process(ref("a")))).rejects.toThrow("the defect");
    expect(Object.keys(await world.latestReceipts()).sort()).toEqual(["_intake", "well"]);
  });

  test("a partition or a coalescing key that throws costs its record alone", async () => {
    for (const part of ["partition", "coalesceKey"] as const) {
      const world = createWorld();
      world.putEvents("a", 3);
      const sink = scriptedSink("a", {
        [part]: (event: { id: string }) => {
          if (event.id === "e1") throw new TypeError("a payload");
          return event.id;
        },
      });
      const report = await world.clock.run(world.worker([sink]).process(ref("a")));
      expect(report.sinks["a"]).toMatchObject({ delivered: 2, deadLettered: 1 });
      expect(await world.letters()).toMatchObject([
        { code: "ENCODE_FAILED", reason: "the mapping failed: TypeError" },
      ]);
    }
  });

  test("an error's own words reach no reason, unless they were written for one", async () => {
    const world = createWorld();
    world.putEvents("a", 1);
    const sink = scriptedSink("a");
    sink.reply = () => JSON.parse("a secret payload");
    const report = await world.clock.run(world.worker([sink]).process(ref("a")));
    expect(report.sinks["a"]).toMatchObject({ pending: 1, pendingReason: "the sink failed: SyntaxError" });
    const deferrals = world.deferrals().map((key) => world.receipts.objects.get(key)?.bytes.toString());
    expect(deferrals.join()).not.toContain("secret");
  });
});

describe("an object that cannot be read to its end", () => {
  test("what was delivered of it has its receipt, then the failure is thrown; nothing is sent twice", async () => {
    const world = createWorld();
    world.putEvents("a", 2_000);
    const read = world.source.read.bind(world.source);
    let fails = true;
    world.source.read = async function* (key, options) {
      let chunks = 0;
      for await (const chunk of read(key, options)) {
        if (fails && ++chunks > 2) throw new StoreError("NOT_FOUND", "memory://source/a is gone");
        yield chunk;
      }
    };
    const [one, two] = [scriptedSink("one"), scriptedSink("two")];
    const worker = world.worker([one, two]);
    await expect(world.clock.run(worker.process(ref("a")))).rejects.toThrow("is gone");
    const sent = one.requests.flat().length;
    expect(sent).toBeGreaterThan(100);
    expect(sent).toBeLessThan(2_000);
    const halfway = await world.latestReceipts();
    expect(halfway["one"]).toMatchObject({ readTo: sent, counts: { delivered: sent } });
    expect(halfway["_intake"]).toMatchObject({ readTo: sent, counts: { records: sent } });
    fails = false;
    await world.clock.run(worker.process(ref("a")));
    for (const sink of [one, two]) {
      expect(sink.stored.size).toBe(2_000);
      expect(sink.requests.flat()).toHaveLength(2_000);
    }
  });

  test("in a pass for one slow lane: the others' receipts are written, and the failure is thrown", async () => {
    const world = createWorld();
    world.putEvents("a", 2_000);
    const [fast, slow] = [scriptedSink("fast"), slowly(scriptedSink("slow"), 1_000)];
    let reads = 0;
    world.source.before = (operation) => {
      // The first byte of each pass is looked at before the rest is read: two reads a pass.
      if (operation === "read" && ++reads > 2)
        throw new StoreError("CHANGED", "memory://source/a was overwritten");
    };
    const worker = world.worker([fast, slow], { limits: { maxItems: 100, patienceMs: 100 } });
    await expect(world.clock.run(worker.process(ref("a"), { deadline: hour * 1e6 }))).rejects.toThrow(
      "was overwritten",
    );
    const receipts = await world.latestReceipts();
    expect(receipts["fast"]).toMatchObject({ counts: { delivered: 2_000, pending: 0 }, readTo: null });
    expect(receipts["slow"]?.counts).toMatchObject({ valid: 2_000, delivered: slow.stored.size });
    expect(slow.stored.size).toBeLessThan(2_000);
  });
});

describe("a late duplicate of a notification", () => {
  test("asks for nothing when its object is settled and deleted since; unsettled, it fails", async () => {
    const world = createWorld();
    world.putEvents("a", 10);
    const sink = scriptedSink("a");
    const worker = world.worker([sink]);
    const version = (await world.source.look("a"))?.version ?? "";
    const notified = { ...ref("a"), version };
    await world.clock.run(worker.process(notified));
    world.source.objects.delete("a");
    expect(await world.clock.run(worker.process(notified))).toMatchObject({
      records: 0,
      sinks: { a: { valid: 0 } },
    });
    const more = world.worker([sink, scriptedSink("b")]);
    await expect(world.clock.run(more.process(notified))).rejects.toMatchObject({ code: "NOT_FOUND" });
    world.source.look = () => Promise.reject(new StoreError("CHANGED", "memory://source/a was overwritten"));
    expect(await world.clock.run(worker.process(notified))).toMatchObject({ records: 0 });
    await expect(world.clock.run(more.process(notified))).rejects.toMatchObject({ code: "CHANGED" });
  });

  test("does not wait for a store that hangs beyond its deadline", async () => {
    const world = createWorld();
    world.source.look = (_key, options) =>
      new Promise((_resolve, reject) => {
        options?.signal?.addEventListener("abort", () =>
          reject(new StoreError("TRANSIENT", "no reply in time")),
        );
      });
    const start = world.clock.now();
    const running = world.worker([scriptedSink("a")]).process(ref("a"), { deadline: start + 5_000 });
    await expect(world.clock.run(running)).rejects.toThrow("no reply in time");
    expect(world.clock.now() - start).toBe(5_000);
  });
});

describe("the books", () => {
  test("a claim whose receipt was stored though its reply was lost is not given back", async () => {
    const world = createWorld();
    world.putEvents("a", 10);
    const sink = scriptedSink("a");
    const put = world.receipts.putIfAbsent.bind(world.receipts);
    let lost = false;
    world.receipts.putIfAbsent = async (key, bytes) => {
      const made = await put(key, bytes);
      if (!lost && key.includes("/a/") && key.endsWith(".receipt.json")) {
        lost = true;
        throw new StoreError("TRANSIENT", "the reply was lost");
      }
      return made;
    };
    const worker = world.worker([sink]);
    await expect(world.clock.run(worker.process(ref("a")))).rejects.toThrow("the reply was lost");
    expect([...world.receipts.objects.keys()].filter((key) => key.includes("/a/"))).toHaveLength(2);
    await world.clock.run(worker.process(ref("a")));
    expect(sink.requests.flat()).toEqual(idsOf(10));
  });

  test("a deferral that cannot be removed fails nothing: the receipt is written, and the log tells", async () => {
    const world = createWorld();
    world.putEvents("a", 10);
    const sink = scriptedSink("a");
    sink.reply = () => ({ status: "transient", reason: "busy" });
    const told: string[] = [];
    const tell = (message: string) => told.push(message);
    const log = { debug() {}, info() {}, warn: tell, error: tell };
    const worker = world.worker([sink], { log });
    await world.clock.run(worker.process(ref("a")));
    expect(world.deferrals()).toHaveLength(1);
    await world.clock.advance(60_000);
    sink.reply = () => delivered;
    world.receipts.before = (operation) => {
      if (operation === "delete") throw new StoreError("DENIED", "s3:DeleteObject is missing");
    };
    expect(await world.clock.run(worker.process(ref("a")))).toMatchObject({
      sinks: { a: { delivered: 10 } },
    });
    expect(told).toContain("a deferral of which nothing is left could not be removed");
  });

  test("a deferral has one key a sink and object: the next one replaces it, the end removes it", async () => {
    const world = createWorld();
    world.putEvents("a", 10);
    const sink = scriptedSink("a");
    sink.reply = () => ({ status: "transient", reason: "busy" });
    const worker = world.worker([sink]);
    const seen = new Set<string>();
    for (let runs = 0; runs < 3; runs++) {
      await world.clock.run(worker.process(ref("a")));
      for (const key of world.deferrals()) seen.add(key);
      await world.clock.advance(60_000);
    }
    expect(seen.size).toBe(1);
    expect([...seen][0]).toMatch(/^deferrals\/sink=a\/[0-9a-f]{32}\.json$/);
    sink.reply = () => delivered;
    await world.clock.run(worker.process(ref("a")));
    expect(world.deferrals()).toEqual([]);
  });

  test("two claims of one generation write to different dead-letter files", async () => {
    const world = createWorld();
    world.source.objects.set("a", { bytes: Buffer.from("broken\n"), lastModified: 0 });
    const worker = world.worker([scriptedSink("a")]);
    let fails = true;
    world.deadLetters.before = (operation) => {
      if (operation === "putIfAbsent" && fails) {
        fails = false;
        throw new StoreError("TRANSIENT", "no reply");
      }
    };
    const written: string[] = [];
    const put = world.deadLetters.putIfAbsent.bind(world.deadLetters);
    world.deadLetters.putIfAbsent = (key, bytes) => {
      written.push(key);
      return put(key, bytes);
    };
    await expect(world.clock.run(worker.process(ref("a")))).rejects.toThrow("no reply");
    await world.clock.run(worker.process(ref("a")));
    expect(written).toHaveLength(2);
    expect(new Set(written).size).toBe(2);
    expect((await world.latestReceipts())["_intake"]).toMatchObject({ generation: 1, letters: [written[1]] });
  });

  test("a takeover that cannot look for its predecessor's receipt gives its claim back", async () => {
    const world = createWorld();
    world.putEvents("a", 10);
    const sink = scriptedSink("a");
    sink.reply = never;
    void world.worker([sink], { owner: { id: "killed" } }).process(ref("a"));
    await world.clock.advance(0);
    sink.reply = () => delivered;
    const next = world.worker([sink], { owner: { id: "next", isGone: (id) => id === "killed" } });
    world.receipts.before = (operation, key) => {
      if (operation === "look" && key.endsWith("000001.receipt.json"))
        throw new StoreError("TRANSIENT", "no reply");
    };
    await expect(world.clock.run(next.process(ref("a")))).rejects.toThrow("no reply");
    world.receipts.before = () => {};
    expect(await world.clock.run(next.process(ref("a")))).toMatchObject({ sinks: { a: { delivered: 10 } } });
    expect((await world.latestReceipts())["a"]).toMatchObject({ generation: 2 });
  });

  test("an outcome that no contract knows is unknown", async () => {
    const world = createWorld();
    world.putEvents("a", 10);
    const [well, ill] = [scriptedSink("well"), scriptedSink("ill")];
    // An outcome that no contract knows: nobody can say what became of the records.
    ill.reply = () => [Object.assign({ ...delivered }, { status: "lost" })];
    const worker = world.worker([well, ill], { retry: { attempts: 1 } });
    await expect(world.clock.run(worker.process(ref("a")))).resolves.toMatchObject({
      sinks: { well: { delivered: 10 }, ill: { delivered: 0, pending: 10 } },
    });
  });

  test("the next attempt is not planned before the vendor wants to be asked again", async () => {
    const world = createWorld();
    world.putEvents("a", 10);
    const sink = scriptedSink("a");
    sink.reply = () => ({ status: "transient", reason: "the daily quota is spent", retryAfterMs: 6 * hour });
    await world.clock.run(world.worker([sink]).process(ref("a")));
    const [key = ""] = world.deferrals();
    const deferral = JSON.parse(world.receipts.objects.get(key)?.bytes.toString() ?? "");
    expect(deferral.nextAttemptAt).toBeGreaterThanOrEqual(world.clock.now() + 6 * hour - 1_000);
  });
});

describe("time", () => {
  test("a lane that is slow but moves delays the others by no more than the patience, in all", async () => {
    const lastOf = async (withSlow: boolean) => {
      const world = createWorld();
      world.putEvents("a", 3_000);
      const [well, slow] = [scriptedSink("well"), slowly(scriptedSink("slow"), 250)];
      const worker = world.worker(withSlow ? [well, slow] : [well], {
        limits: { maxItems: 100, patienceMs: 300 },
      });
      const start = world.clock.now();
      await world.clock.run(worker.process(ref("a"), { deadline: start + hour }));
      if (withSlow) expect(slow.requests.flat().sort()).toEqual(idsOf(3_000).sort());
      return Math.max(...well.storedAt.values()) - start;
    };
    expect(await lastOf(true)).toBeLessThanOrEqual((await lastOf(false)) + 300);
  });

  test("two slow lanes do not wait for each other, and each is read for once more at most", async () => {
    const lastOf = async (names: readonly string[]) => {
      const world = createWorld();
      world.putEvents("a", 2_000);
      const sinks = names.map((name) => slowly(scriptedSink(name), name === "slower" ? 2_000 : 200));
      const worker = world.worker([scriptedSink("well"), ...sinks], {
        limits: { maxItems: 100, patienceMs: 100 },
      });
      const start = world.clock.now();
      await world.clock.run(worker.process(ref("a"), { deadline: start + hour }));
      const [slow] = sinks;
      // A pass reads the first bytes, then all of them.
      expect(world.source.reads).toBeLessThanOrEqual(2 * (1 + names.length));
      return Math.max(...(slow?.storedAt.values() ?? [])) - start;
    };
    expect(await lastOf(["slow", "slower"])).toBeLessThanOrEqual((await lastOf(["slow"])) + 100);
  });

  test("many partitions: requests run in parallel although no batch is full", async () => {
    const world = createWorld();
    world.putEvents("a", 2_000);
    const sink = scriptedSink("a", {
      limits: limits({ itemsPerRequest: 100, concurrency: 8 }),
      partition: ({ id }) => id,
    });
    slowly(sink, 100);
    const start = world.clock.now();
    const worker = world.worker([sink], { limits: { maxItems: 200 } });
    await world.clock.run(worker.process(ref("a"), { deadline: start + hour }));
    expect(sink.stored.size).toBe(2_000);
    expect(world.clock.now() - start).toBeLessThan(((2_000 * 100) / 8) * 1.1);
  });

  test("a deadline that cuts requests says nothing of the sink: the next object is delivered", async () => {
    const world = createWorld();
    for (const key of ["a", "b"]) world.putEvents(key, 200);
    const sink = slowly(scriptedSink("a", { limits: limits({ concurrency: 8, timeoutMs: 30_000 }) }), 5_000);
    const worker = world.worker([sink]);
    await world.clock.run(worker.process(ref("a"), { deadline: world.clock.now() + 9_000 }));
    const report = await world.clock.run(worker.process(ref("b")));
    expect(report.sinks["a"]).toMatchObject({ delivered: 200, requests: 20 });
  });

  test("a lane whose deadline comes while another one's trial is under way sends nothing, and settles then", async () => {
    const world = createWorld();
    for (const key of ["a", "b", "c"]) world.putEvents(key, 10);
    const sink = scriptedSink("a", { limits: limits({ timeoutMs: 60_000 }) });
    const worker = world.worker([sink]);
    sink.reply = () => {
      throw sinkUnavailable("the token is not valid", { retryAfterMs: 1_000 });
    };
    await world.clock.run(worker.process(ref("a")));
    await world.clock.advance(1_000);
    slowly(sink, 50_000);
    const start = world.clock.now();
    const trial = worker.process(ref("b"), { deadline: start + 300_000 });
    await world.clock.advance(10);
    const requests = sink.requests.length;
    const other = worker.process(ref("c"), { deadline: start + 5_000 }).then((report) => {
      expect(world.clock.now() - start).toBeLessThanOrEqual(5_000);
      expect(sink.requests).toHaveLength(requests);
      return report;
    });
    const [tried, report] = await world.clock.run(Promise.all([trial, other]));
    expect(report.sinks["a"]).toMatchObject({ pending: 10, requests: 0 });
    expect(tried.sinks["a"]).toMatchObject({ delivered: 10 });
  });

  test("what waits for a trial keeps the wait that the trial was asked for", async () => {
    const world = createWorld();
    for (const key of ["a", "b"]) world.putEvents(key, 40);
    const sink = scriptedSink("a", { limits: limits({ concurrency: 4 }) });
    const worker = world.worker([sink]);
    sink.reply = () => {
      throw sinkUnavailable("the token is not valid", { retryAfterMs: 1_000 });
    };
    await world.clock.run(worker.process(ref("a")));
    await world.clock.advance(1_000);
    const times: number[] = [];
    sink.reply = async (batch, { clock }) => {
      times.push(clock.now());
      await clock.sleep(100);
      if (times.length > 1) return delivered;
      // It is there, and it is busy.
      return batch.items.map(() => ({ status: "transient", reason: "busy", retryAfterMs: 10_000 }));
    };
    await world.clock.run(worker.process(ref("b")));
    const [first = 0, ...others] = times;
    expect(others.length).toBeGreaterThan(3);
    expect(Math.min(...others)).toBeGreaterThanOrEqual(first + 100 + 10_000);
    expect(sink.stored.size).toBe(40);
  });

  test("who waits to try again hears at once that others found the sink down", async () => {
    const world = createWorld();
    for (const key of ["a", "b"]) world.putEvents(key, 10);
    const sink = scriptedSink("a");
    const worker = world.worker([sink], { retry: { firstMs: 20_000 } });
    sink.reply = () => ({ status: "transient", reason: "busy" });
    const start = world.clock.now();
    const waiting = worker.process(ref("a")).then(() => world.clock.now() - start);
    await world.clock.advance(1_000);
    sink.reply = () => {
      throw sinkUnavailable("the token is not valid");
    };
    const [took] = await world.clock.run(Promise.all([waiting, worker.process(ref("b"))]));
    expect(took).toBe(1_000);
  });

  test("a run that is told to end ends as at its deadline: pending, with receipts", async () => {
    const world = createWorld();
    world.putEvents("a", 100);
    const sink = scriptedSink("a");
    sink.reply = never;
    const stop = new AbortController();
    const start = world.clock.now();
    const running = world.worker([sink]).process(ref("a"), { signal: stop.signal });
    await world.clock.advance(500);
    stop.abort();
    const report = await world.clock.run(running);
    expect(world.clock.now() - start).toBe(500);
    expect(report.sinks["a"]).toMatchObject({ valid: 100, pending: 100, delivered: 0 });
    expect(world.deferrals()).toHaveLength(1);
  });

  test("a sink that hangs without a socket does not end the process before its deadline", () => {
    const index = fileURLToPath(new URL("../../src/index.ts", import.meta.url));
    const store = fileURLToPath(new URL("../support/memory-store.ts", import.meta.url));
    const script = `
      import { createWorker, systemClock } from ${JSON.stringify(index)};
      import { memoryStore } from ${JSON.stringify(store)};
      const [source, receipts, deadLetters] = ["s", "r", "d"].map((name) => memoryStore("memory://" + name, systemClock));
      source.objects.set("a", { bytes: Buffer.from(${JSON.stringify(JSON.stringify(eventRecord(0)))}), lastModified: 0 });
      const sink = {
        name: "a",
        limits: { itemsPerRequest: 1, bytesPerRequest: 100, bytesPerItem: 100, concurrency: 1 },
        encode: () => ({ payload: {}, bytes: 2 }),
        send: () => new Promise(() => {}),
      };
      const worker = createWorker({ sinks: [sink], source: () => source, receipts, deadLetters });
      const report = await worker.process({ bucket: "s", key: "a" }, { deadline: Date.now() + 200 });
      console.log(report.sinks.a.pending);
    `;
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ["--input-type=module-typescript", "-e", script],
      {
        encoding: "utf8",
        timeout: 20_000,
      },
    );
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: "1\n", stderr: "" });
  });
});

test("a defect while an object is read ends the run, and the next one does what is left", async () => {
  const world = createWorld();
  world.putEvents("a", 5);
  const sink = scriptedSink("a");
  const onRecords = () => {
    throw new RangeError("a defect");
  };
  await expect(world.clock.run(world.worker([sink], { onRecords }).process(ref("a")))).rejects.toThrow(
    "a defect",
  );
  await world.clock.run(world.worker([sink]).process(ref("a")));
  expect([...sink.stored.keys()]).toEqual(idsOf(5));
});
