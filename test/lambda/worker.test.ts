// The worker's handler, from messages to replies, metrics and logs. One file, since all of it is told of the same runs.
import { hash } from "node:crypto";
import { Metrics } from "@aws-lambda-powertools/metrics";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import * as z from "zod";
import { openBooks } from "../../src/books/books.ts";
import { ObjectBusy } from "../../src/books/claim.ts";
import { emptySink, type ObjectReport } from "../../src/books/report.ts";
import { ConfigError } from "../../src/config.ts";
import { sinkUnavailable } from "../../src/delivery/sink.ts";
import { createHandler, type LambdaOptions } from "../../src/lambda/worker.ts";
import { silent } from "../../src/log.ts";
import { StoreError } from "../../src/store/object-store.ts";
import { virtualClock } from "../../src/testing/index.ts";
import type { Worker } from "../../src/worker.ts";
import {
  createWorld,
  delivered,
  eventRecord,
  idsOf,
  type ScriptedSink,
  scriptedSink,
  type World,
} from "../support/world.ts";

type Processor = Pick<Worker, "process">;

const never = () => new Promise<never>(() => {});

// ── what goes in ────────────────────────────────────────────────────────────────────────────────────────────

const created = (key: string, eventName = "ObjectCreated:Put") => ({
  eventVersion: "2.1",
  eventSource: "aws:s3",
  eventName,
  s3: { bucket: { name: "source" }, object: { key } },
});
const direct = (...keys: string[]) => ({ Records: keys.map((key) => created(key)) });
const queued = (messages: Readonly<Record<string, unknown>>) => ({
  Records: Object.entries(messages).map(([messageId, body]) => ({
    messageId,
    eventSource: "aws:sqs",
    body: typeof body === "string" ? body : JSON.stringify(body),
  })),
});
const testEvent = { Service: "Amazon S3", Event: "s3:TestEvent", Bucket: "source" };

/** An invocation with so many milliseconds. */
const context = (remaining = 900_000) => ({
  awsRequestId: "request-1",
  getRemainingTimeInMillis: () => remaining,
});
const failed = (...ids: string[]) => ({
  batchItemFailures: ids.map((itemIdentifier) => ({ itemIdentifier })),
});

function handlerIn(world: World, sinks: readonly ScriptedSink[], options: Partial<LambdaOptions> = {}) {
  return createHandler({
    createWorker: (log) => world.worker(sinks, { log }),
    clock: world.clock,
    ...options,
  });
}

// ── what comes out ──────────────────────────────────────────────────────────────────────────────────────────

type Line = Readonly<Record<string, unknown>>;
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

/** All that was written, each line as the JSON document that it must be. */
function lines(): Line[] {
  expect(written === "" || written.endsWith("\n")).toBe(true);
  return written
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line));
}
const logged = () => lines().filter((line) => !("_aws" in line));
const emitted = () => lines().filter((line) => "_aws" in line);

/**
 * The format's own rules.
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
 */
const embedded = z.strictObject({
  Timestamp: z.int(),
  CloudWatchMetrics: z
    .array(
      z.strictObject({
        Namespace: z.string().min(1),
        // At least one set, which may be empty.
        Dimensions: z.array(z.array(z.string().min(1)).max(30)).length(1),
        Metrics: z
          .array(z.strictObject({ Name: z.string().min(1), Unit: z.enum(["Count", "Milliseconds"]) }))
          .min(1)
          .max(100),
      }),
    )
    .length(1),
});

/** Every set of metrics as its dimensions, values and units; what they name must be there, and nothing else. */
function metricSets() {
  return emitted().map(({ _aws, ...members }) => {
    const { CloudWatchMetrics: directives } = embedded.parse(_aws);
    const metrics = directives.flatMap((each) => each.Metrics);
    const names = directives.flatMap((each) => each.Dimensions.flat());
    for (const name of names) expect(members[name]).toEqual(expect.any(String));
    for (const { Name } of metrics) expect(members[Name]).toEqual(expect.any(Number));
    const known = [...names, ...metrics.map(({ Name }) => Name)];
    const fields = Object.entries(members).filter(([name]) => !known.includes(name));
    for (const [, value] of fields) expect(value).toMatch(/^\d+$/);
    expect(directives.map(({ Namespace }) => Namespace)).toEqual(["FirehoseFanout"]);
    return {
      dimensions: Object.fromEntries(names.map((name) => [name, members[name]])),
      values: Object.fromEntries(metrics.map(({ Name }) => [Name, members[Name]])),
      // What the line has beside the figures: nobody pays for it as one.
      fields: Object.fromEntries(fields.map(([name, value]) => [name, Number(value)])),
      units: Object.fromEntries(metrics.map(({ Name, Unit }) => [Name, Unit])),
    };
  });
}

// ── messages ────────────────────────────────────────────────────────────────────────────────────────────────

describe("a batch of a queue", () => {
  test("gets back exactly the messages that failed; the receipts of the others are there", async () => {
    const world = createWorld();
    for (const key of ["fine", "busy", "unreadable", "also-fine"]) world.putEvents(key, 3);
    const version = hash("md5", world.source.objects.get("busy")?.bytes ?? "", "hex");
    const books = openBooks(
      world.receipts,
      { bucket: "memory://source", key: "busy", version },
      { id: "another worker" },
      world.clock,
      silent,
    );
    await books.claim("a", undefined, world.clock.now() + 60_000);
    world.source.before = (operation, key) => {
      if (operation === "look" && key === "unreadable") throw new StoreError("TRANSIENT", "S3 is slow today");
    };
    const sink = scriptedSink("a");
    const handler = await handlerIn(world, [sink]);
    const answer = await world.clock.run(
      handler(
        queued({
          m1: direct("fine"),
          m2: direct("busy"),
          m3: "this is no JSON",
          m4: direct("unreadable"),
          m5: testEvent,
          m6: direct("also-fine"),
        }),
        context(),
      ),
    );
    expect(answer).toEqual(failed("m2", "m3", "m4"));
    expect(sink.requests).toHaveLength(2);
    const receipts = [...world.receipts.objects.keys()].filter((key) => key.endsWith(".receipt.json"));
    expect(receipts).toHaveLength(4);
    expect(
      logged()
        .filter((line) => "code" in line)
        .map(({ level, messageId, code, object }) => ({ level, messageId, code, object })),
    ).toEqual([
      { level: "WARN", messageId: "m2", code: "OBJECT_BUSY", object: "source/busy" },
      { level: "ERROR", messageId: "m3", code: "MALFORMED", object: undefined },
      { level: "WARN", messageId: "m4", code: "TRANSIENT", object: "source/unreadable" },
    ]);
  });

  test("is answered only when the receipts are durable", async () => {
    const world = createWorld();
    world.putEvents("a", 3);
    const sink = scriptedSink("a");
    const durable = Promise.withResolvers<void>();
    world.receipts.before = (operation, key) =>
      operation === "putIfAbsent" && key.endsWith("a/000001.receipt.json") ? durable.promise : undefined;
    const handler = await handlerIn(world, [sink]);
    let answered = false;
    const answer = handler(queued({ m1: direct("a") }), context()).finally(() => {
      answered = true;
    });
    await world.clock.advance(10_000);
    expect(sink.stored.size).toBe(3);
    expect(answered).toBe(false);
    durable.resolve();
    expect(await world.clock.run(answer)).toEqual(failed());
  });

  test("a message whose receipt cannot be written fails, though everything was delivered", async () => {
    const world = createWorld();
    world.putEvents("a", 3);
    world.receipts.before = (operation, key) => {
      if (operation === "putIfAbsent" && key.includes("receipt"))
        throw new StoreError("TRANSIENT", "503 SlowDown");
    };
    const sink = scriptedSink("a");
    const handler = await handlerIn(world, [sink]);
    expect(await world.clock.run(handler(queued({ m1: direct("a") }), context()))).toEqual(failed("m1"));
    expect(sink.stored.size).toBe(3);
  });

  test("a message of several objects fails as a whole; none waits for another, and a redelivery does what is left", async () => {
    const world = createWorld();
    for (const key of ["a", "b", "c"]) world.putEvents(key, 3);
    let isBroken = true;
    world.source.before = (operation, key) => {
      if (isBroken && operation === "read" && key === "a") throw new StoreError("FAILED", "a is broken");
    };
    const sink = scriptedSink("a");
    const handler = await handlerIn(world, [sink]);
    const event = queued({ m1: direct("a", "b", "c"), m2: direct("c") });
    expect(await world.clock.run(handler(event, context()))).toEqual(failed("m1"));
    // All objects of this world hold the same ids: two of three have been delivered.
    expect([...sink.stored.values()]).toEqual([2, 2, 2]);
    isBroken = false;
    expect(await world.clock.run(handler(event, context()))).toEqual(failed());
    expect([...sink.stored.values()]).toEqual([3, 3, 3]);
    expect(sink.requests).toHaveLength(3);
  });

  test("a message of which two objects fail is named once", async () => {
    const world = createWorld();
    const handler = await handlerIn(world, [scriptedSink("a")]);
    const answer = await world.clock.run(handler(queued({ m1: direct("gone", "gone-too") }), context()));
    expect(answer).toEqual(failed("m1"));
    expect(logged().filter(({ code }) => code === "NOT_FOUND")).toHaveLength(2);
  });
});

describe("a batch that names an object more than once", () => {
  test("processes it once, and its outcome is that of every message", async () => {
    const world = createWorld();
    for (const key of ["fine", "broken"]) world.putEvents(key, 3);
    const looks: string[] = [];
    world.source.before = (operation, key) => {
      if (operation === "look") looks.push(key);
      if (operation === "read" && key === "broken") throw new StoreError("FAILED", "broken is broken");
    };
    const sink = scriptedSink("a");
    const handler = await handlerIn(world, [sink]);
    const event = queued({
      m1: direct("fine", "fine"),
      m2: direct("broken"),
      m3: direct("broken", "fine"),
      m4: direct("fine"),
    });
    expect(await world.clock.run(handler(event, context()))).toEqual(failed("m2", "m3"));
    expect(looks).toEqual(["fine", "broken"]);
    expect(sink.requests).toEqual([idsOf(3)]);
    expect(
      logged()
        .filter(({ code }) => code === "FAILED")
        .map(({ messageId }) => messageId),
    ).toEqual(["m2", "m3"]);
  });

  test("takes two versions of one key for two objects", async () => {
    const processed: unknown[] = [];
    const handler = await createHandler({ createWorker: () => recorder(processed) });
    const versioned = (versionId: string) => ({
      Records: [{ ...created("k"), s3: { bucket: { name: "source" }, object: { key: "k", versionId } } }],
    });
    await handler(
      queued({ m1: versioned("v1"), m2: versioned("v2"), m3: versioned("v1"), m4: versioned("null") }),
      context(),
    );
    expect(processed).toEqual([
      { bucket: "source", key: "k", version: "v1" },
      { bucket: "source", key: "k", version: "v2" },
      { bucket: "source", key: "k" },
    ]);
  });
});

test("a queue that refuses to hide a message changes nothing: it is given back, and the log says so", async () => {
  const world = createWorld();
  const asked: [receiptHandle: string, seconds: number][] = [];
  const handler = await handlerIn(world, [scriptedSink("a")], {
    changeVisibility: ({ receiptHandle }, seconds) => {
      asked.push([receiptHandle, seconds]);
      return Promise.reject(new Error("https://queue.example/ says SECRET"));
    },
  });
  const { Records } = queued({ m1: direct("gone") });
  const message = {
    ...Records[0],
    eventSourceARN: "arn:aws:sqs:eu-central-1:123456789012:work",
    receiptHandle: "handle-1",
    attributes: { ApproximateReceiveCount: "1" },
  };
  expect(await handler({ Records: [message] }, context())).toEqual(failed("m1"));
  expect(asked).toEqual([["handle-1", 60]]);
  expect(written).toContain("comes back after its queue's visibility timeout");
  expect(written).not.toContain("SECRET");
});

test("of ten messages, on every path of AWS, the busy one alone comes back", async () => {
  const world = createWorld();
  for (let index = 0; index < 8; index++) world.putEvents(`k${index}`, 1, () => ({ rows: index }));
  world.source.before = (operation, key) => {
    if (operation === "look" && key === "k3") throw new ObjectBusy("k3: another worker has it");
  };
  const envelope = (content: unknown) => ({ Type: "Notification", Message: JSON.stringify(content) });
  const bridged = (key: string) => ({
    source: "aws.s3",
    "detail-type": "Object Created",
    detail: { bucket: { name: "source" }, object: { key } },
  });
  const sink = scriptedSink("a");
  const handler = await handlerIn(world, [sink]);
  const answer = await world.clock.run(
    handler(
      queued({
        m0: direct("k0"),
        m1: envelope(direct("k1")),
        m2: bridged("k2"),
        m3: direct("k3"),
        m4: envelope(bridged("k4")),
        m5: `\ufeff${JSON.stringify(direct("k5"))}`,
        m6: envelope(testEvent),
        m7: direct("k6"),
        m8: { Records: [created("gone", "ObjectRemoved:Delete")] },
        m9: direct("k7"),
      }),
      context(),
    ),
  );
  expect(answer).toEqual(failed("m3"));
  expect(sink.requests).toHaveLength(7);
});

describe("a message that is malformed in part", () => {
  test("comes back, and what could be read of it has been delivered", async () => {
    const world = createWorld();
    world.putEvents("a", 3);
    const sink = scriptedSink("a");
    const handler = await handlerIn(world, [sink]);
    const body = { Records: [{ s3: {} }, created("a")] };
    expect(await world.clock.run(handler(queued({ m1: body }), context()))).toEqual(failed("m1"));
    expect(sink.stored.size).toBe(3);
    await expect(handler(body, context())).rejects.toThrow(/^MALFORMED: /);
  });
});

describe("a key of EventBridge", () => {
  const bridged = (key: string) => ({
    source: "aws.s3",
    "detail-type": "Object Created",
    detail: { bucket: { name: "source" }, object: { key } },
  });

  test.each([
    ["as it came, when there is such an object", ["a+b%2B", "a b+"], "a+b%2B"],
    ["decoded, when there is not", ["a b+"], "a b+"],
  ])("is taken %s", async (_, keys, taken) => {
    const world = createWorld();
    for (const key of keys) world.putEvents(key, 3);
    const handler = await handlerIn(world, [scriptedSink("a")]);
    expect(await world.clock.run(handler(queued({ m1: bridged("a+b%2B") }), context()))).toEqual(failed());
    expect(logged()).toContainEqual(
      expect.objectContaining({ message: "object processed", object: `memory://source/${taken}`, valid: 3 }),
    );
  });

  test("is decoded as well where S3 denies what is missing, for want of s3:ListBucket", async () => {
    const world = createWorld();
    world.putEvents("a b", 3);
    world.source.before = (operation, key) => {
      if (operation === "look" && key !== "a b") throw new StoreError("DENIED", "403");
    };
    const sink = scriptedSink("a");
    const handler = await handlerIn(world, [sink]);
    expect(await world.clock.run(handler(bridged("a+b"), context()))).toEqual(failed());
    expect(sink.stored.size).toBe(3);
  });

  test("that leads to nothing either way fails its message, by the key as it came", async () => {
    const handler = await handlerIn(createWorld(), [scriptedSink("a")]);
    expect(await handler(queued({ m1: bridged("a+b") }), context())).toEqual(failed("m1"));
    expect(logged()).toEqual([
      expect.objectContaining({
        code: "NOT_FOUND",
        object: "source/a+b",
        reason: expect.stringContaining("/a+b "),
      }),
    ]);
  });

  test("is not tried another way when the first try failed for another reason", async () => {
    const world = createWorld();
    world.putEvents("a b", 3);
    world.source.before = (_, key) => {
      if (key === "a+b") throw new StoreError("TRANSIENT", "503");
    };
    const sink = scriptedSink("a");
    const handler = await handlerIn(world, [sink]);
    expect(await handler(queued({ m1: bridged("a+b") }), context())).toEqual(failed("m1"));
    expect(sink.requests).toEqual([]);
  });

  test("that only decodes to the worker's own is ignored, too", async () => {
    const handler = await handlerIn(createWorld(), [scriptedSink("a")]);
    expect(await handler(queued({ m1: bridged("Error%2Fx") }), context())).toEqual(failed());
  });
});

/** A worker that does nothing but to note what it was asked. */
function recorder(processed: unknown[]): Processor {
  return {
    process(ref) {
      processed.push(ref);
      const object = { ...ref, version: "1" };
      return Promise.resolve({
        object,
        records: 0,
        valid: 0,
        invalid: 0,
        sinks: {},
        unread: false,
        settled: [],
        busy: [],
      });
    },
  };
}

describe("S3 without a queue", () => {
  test("a batch of which only a part has ids of SQS is no queue's: what failed is thrown", async () => {
    const handler = await handlerIn(createWorld(), [scriptedSink("a")]);
    const { Records: queue } = queued({ m1: testEvent });
    const { Records: bare } = direct("gone");
    await expect(handler({ Records: [...queue, ...bare] }, context())).rejects.toThrow("NOT_FOUND");
    expect(await handler({ Records: [] }, context())).toEqual(failed());
  });

  test("what was done is answered, what failed is thrown, so that Lambda tries again", async () => {
    const world = createWorld();
    world.putEvents("a", 3);
    const sink = scriptedSink("a");
    const handler = await handlerIn(world, [sink]);
    expect(await world.clock.run(handler(direct("a"), context()))).toEqual(failed());
    world.source.before = () => {
      throw new StoreError("TRANSIENT", "reading source/b failed: 503");
    };
    await expect(world.clock.run(handler(direct("b"), context()))).rejects.toThrow(
      "TRANSIENT: reading source/b failed: 503",
    );
  });

  test.each([[{ hello: "world" }], [null], ["text"], [[]], [{ Records: "x" }]])(
    "a malformed event is thrown, too: %j",
    async (event) => {
      const handler = await handlerIn(createWorld(), [scriptedSink("a")]);
      await expect(handler(event, context())).rejects.toThrow("MALFORMED");
    },
  );
});

describe("what is no work is acknowledged", () => {
  test("S3's test event", async () => {
    const handler = await handlerIn(createWorld(), [scriptedSink("a")]);
    expect(await handler(testEvent, context())).toEqual(failed());
    expect(await handler(queued({ m1: testEvent }), context())).toEqual(failed());
    expect(ignoredIn(metricSets())).toEqual([1, 1]);
  });

  test("removals are counted in the log, and the objects beside them delivered", async () => {
    const world = createWorld();
    world.putEvents("a", 3);
    const sink = scriptedSink("a");
    const handler = await handlerIn(world, [sink]);
    const removed = created("old", "ObjectRemoved:Delete");
    const body = { Records: [removed, created("a"), removed] };
    expect(await world.clock.run(handler(queued({ m1: body }), context()))).toEqual(failed());
    expect(sink.stored.size).toBe(3);
    expect(logged()).toContainEqual(expect.objectContaining({ level: "INFO", messageId: "m1", ignored: 2 }));
    expect(ignoredIn(metricSets())).toEqual([2]);
  });

  test("the ignored of a whole batch are one figure for an alarm, and none without any", async () => {
    const handler = await handlerIn(createWorld(), [scriptedSink("a")]);
    const removed = { Records: [created("old", "s3:ObjectRemoved:Delete")] };
    const bridged = { source: "aws.s3", "detail-type": "Object Deleted", detail: {} };
    await handler(queued({ m1: removed, m2: removed, m3: bridged }), context());
    expect(ignoredIn(metricSets())).toEqual([3]);
    expect(metricSets()[0]?.dimensions).toEqual({});
    written = "";
    await handler(queued({}), context());
    expect(metricSets()).toEqual([]);
  });
});

const ignoredIn = (sets: readonly { values: Readonly<Record<string, unknown>> }[]) =>
  sets.flatMap(({ values }) => ("Ignored" in values ? [values["Ignored"]] : []));

describe("nothing is read that would make the next thing to read", () => {
  test.each([
    ["Firehose's refusals", "Error/processing-failed/2026/11/21/12/stream-1", {}],
    ["Firehose's refusals without a prefix of their own", "processing-failed/2026/x", {}],
    ["refusals under a prefix that is told", "bad/x", { errorPrefixes: ["bad/"] }],
    ["the books", "fanout/receipts/books/x.json", { own: ["s3://source/fanout/receipts"] }],
    [
      "dead letters",
      "fanout/dead/sink=a/x.gz",
      { own: ["s3://source/fanout/receipts", "s3://source/fanout/dead/"] },
    ],
  ])("%s are ignored, with a warning and a count, and the rest is delivered", async (_, key, options) => {
    const world = createWorld();
    for (const each of [key, "Data/fine"]) world.putEvents(each, 3);
    const sink = scriptedSink("a");
    const handler = await handlerIn(world, [sink], options);
    expect(await world.clock.run(handler(queued({ m1: direct(key, "Data/fine") }), context()))).toEqual(
      failed(),
    );
    expect(await handler(direct(key), context())).toEqual(failed());
    expect(sink.requests).toEqual([idsOf(3)]);
    expect(logged()).toContainEqual(
      expect.objectContaining({
        level: "WARN",
        messageId: "m1",
        object: `source/${key}`,
        message: expect.stringContaining("ignored"),
      }),
    );
    expect(ignoredIn(metricSets())).toEqual([1, 1]);
  });

  test.each([
    ["a prefix is of a key's beginning only", "Data/Error/x", {}],
    [
      "a name that only begins like a folder is another one",
      "fanout/receipts-of-others/x",
      { own: ["s3://source/fanout/receipts"] },
    ],
    ["another bucket's books are no matter", "fanout/receipts/x", { own: ["s3://books/fanout/receipts"] }],
    ["a bucket whose name only begins alike is another one", "x", { own: ["s3://sour"] }],
    ["an empty prefix means none", "x", { errorPrefixes: [""] }],
    ["a list of prefixes replaces the defaults", "Error/x", { errorPrefixes: [] }],
  ])("%s: %s is delivered", async (_, key, options) => {
    const world = createWorld();
    world.putEvents(key, 3);
    const sink = scriptedSink("a");
    const handler = await handlerIn(world, [sink], options);
    await world.clock.run(handler(direct(key), context()));
    expect(sink.stored.size).toBe(3);
  });

  test("books without a prefix in the bucket of the events: nothing can be told from them, so all of it fails", async () => {
    const world = createWorld();
    world.putEvents("Data/x", 3);
    const sink = scriptedSink("a");
    const handler = await handlerIn(world, [sink], { own: ["s3://source/"] });
    expect(await handler(queued({ m1: direct("Data/x") }), context())).toEqual(failed("m1"));
    expect(sink.requests).toEqual([]);
    expect(logged()).toEqual([
      expect.objectContaining({
        level: "ERROR",
        code: "OWN_BUCKET",
        reason: expect.stringMatching(/give them a prefix$/),
      }),
    ]);
  });
});

describe("an object that was overwritten", () => {
  test("fails its message every time with an error line, and is never replaced by what came after", async () => {
    const world = createWorld();
    world.source.before = (operation) => {
      if (operation === "look") throw new StoreError("CHANGED", "the object was overwritten");
    };
    const sink = scriptedSink("a");
    const handler = await handlerIn(world, [sink]);
    world.putEvents("a", 3);
    for (const _ of [1, 2]) {
      written = "";
      expect(await handler(queued({ m1: direct("a") }), context())).toEqual(failed("m1"));
      expect(logged()).toEqual([
        expect.objectContaining({ level: "ERROR", code: "CHANGED", reason: "the object was overwritten" }),
      ]);
    }
    expect(sink.requests).toEqual([]);
    expect([...world.receipts.objects.keys()]).toEqual([]);
    await expect(handler(direct("a"), context())).rejects.toThrow("CHANGED: the object was overwritten");
  });
});

describe("an object that is gone", () => {
  test("fails its message every time, with an error line that says so, until the queue gives it up", async () => {
    const world = createWorld();
    const handler = await handlerIn(world, [scriptedSink("a")]);
    for (const _ of [1, 2]) {
      written = "";
      expect(await handler(queued({ m1: direct("gone") }), context())).toEqual(failed("m1"));
      expect(logged()).toEqual([
        expect.objectContaining({
          level: "ERROR",
          code: "NOT_FOUND",
          messageId: "m1",
          requestId: "request-1",
          object: "source/gone",
          reason: expect.stringContaining("memory://source/gone does not exist"),
        }),
      ]);
    }
    await expect(handler(direct("gone"), context())).rejects.toThrow("NOT_FOUND");
  });
});

// ── time ────────────────────────────────────────────────────────────────────────────────────────────────────

describe("the deadline", () => {
  test.each([
    [900_000, 885_000],
    [60_000, 45_000],
    [30_000, 22_500],
    [10_000, 7_500],
    [3_000, 2_250],
  ])("of a function with %i ms left, sending has %i", async (remaining, sending) => {
    const clock = virtualClock();
    const deadlines: (number | undefined)[] = [];
    const worker: Processor = {
      process(ref, { deadline } = {}) {
        deadlines.push(deadline === undefined ? undefined : deadline - clock.now());
        const object = { ...ref, version: "1" };
        return Promise.resolve({
          object,
          records: 0,
          valid: 0,
          invalid: 0,
          sinks: {},
          unread: false,
          settled: [],
          busy: [],
        });
      },
    };
    const handler = await createHandler({ createWorker: () => worker, clock });
    await handler(direct("a"), context(remaining));
    expect(deadlines).toEqual([sending]);
  });

  test("what is pending then has its deferral and is acknowledged; what had not begun is not", async () => {
    const world = createWorld();
    world.putEvents("a", 3);
    world.putEvents("b", 3);
    const [good, hung] = [scriptedSink("good"), scriptedSink("hung")];
    hung.reply = never;
    const handler = await handlerIn(world, [good, hung]);
    const began = world.clock.now();
    const event = queued({ m1: direct("a"), m2: direct("b") });
    expect(await world.clock.run(handler(event, context(30_000)))).toEqual(failed("m2"));
    expect(world.clock.now() - began).toBeLessThan(30_000);
    expect(good.stored.size).toBe(3);
    expect(world.deferrals()).toEqual([expect.stringContaining("deferrals/sink=hung/")]);
    expect((await world.latestReceipts())["hung"]).toMatchObject({ counts: { pending: 3 } });
    expect(logged()).toContainEqual(
      expect.objectContaining({ level: "WARN", messageId: "m2", code: "OUT_OF_TIME", object: "source/b" }),
    );
    // The redelivery finds all of its time.
    expect(await world.clock.run(handler(queued({ m2: direct("b") }), context(30_000)))).toEqual(failed());
    expect([...good.stored.values()]).toEqual([2, 2, 2]);
  });
});

// ── metrics ─────────────────────────────────────────────────────────────────────────────────────────────────

describe("metrics", () => {
  test("one set a sink: two figures, and its other counts and its latency as fields of the line", async () => {
    const world = createWorld();
    world.putEvents("a", 20);
    const broken = Buffer.from("no json\n");
    const bytes = Buffer.concat([world.source.objects.get("a")?.bytes ?? broken, broken]);
    world.source.objects.set("a", { bytes, lastModified: 0 });
    const [good, picky, down] = [scriptedSink("good"), scriptedSink("picky"), scriptedSink("down")];
    good.reply = async (_, { clock }, request) => {
      await clock.sleep(request === 1 ? 100 : 300);
      return delivered;
    };
    picky.encode = ({ id }) => (id < "e3" ? { filtered: "not wanted" } : { payload: { id }, bytes: 10 });
    picky.reply = ({ items }, { attempt }) =>
      items.map((_, index) => {
        if (index === 0) return { status: "rejected", code: "NO", reason: "never" };
        return attempt === 1 ? { status: "transient", reason: "later" } : delivered;
      });
    down.reply = () => Promise.reject(sinkUnavailable("the token is wrong"));
    const handler = await handlerIn(world, [good, picky, down]);
    await world.clock.advance(60_000);
    await world.clock.run(handler(direct("a"), context()));

    const sets = metricSets();
    expect(sets.map(({ dimensions }) => dimensions)).toEqual([
      { Sink: "down" },
      { Sink: "good" },
      { Sink: "picky" },
    ]);
    const [ofDown, ofGood, ofPicky] = sets;
    expect(ofGood?.values).toEqual({
      Delivered: 20,
      Freshness: world.clock.now() - (Date.UTC(2026, 0, 1) + 19_000),
    });
    expect(ofGood?.fields).toEqual({
      Filtered: 0,
      DeadLettered: 0,
      Pending: 0,
      Requests: 2,
      Retries: 0,
      Latency: 200,
      LatencyMax: 300,
    });
    // e1, e10 to e19 and e2 are below "e3", and e0: 13 of 20; the first of the others is refused for good.
    expect(ofPicky?.values).toMatchObject({ Delivered: 5 });
    expect(ofPicky?.fields).toMatchObject({ Filtered: 13, DeadLettered: 2, Retries: 1, Pending: 0 });
    // What was not delivered is not fresh, and not stale either.
    expect(ofDown?.values).toEqual({ Delivered: 0 });
    expect(ofDown?.fields).toMatchObject({ Pending: 20 });
    expect(ofGood?.units).toEqual({ Delivered: "Count", Freshness: "Milliseconds" });
  });

  test("an event from the future is fresh, not better than that", async () => {
    const world = createWorld();
    world.putEvents("a", 1, () => ({
      data: { event_time: new Date(world.clock.now() + 3_600_000).toISOString(), rows: 1 },
    }));
    const handler = await handlerIn(world, [scriptedSink("a")]);
    await world.clock.run(handler(direct("a"), context()));
    expect(metricSets()[0]?.values).toMatchObject({ Delivered: 1, Freshness: 0 });
  });

  test("are written of what succeeded before another message failed", async () => {
    const world = createWorld();
    world.putEvents("a", 3);
    const handler = await handlerIn(world, [scriptedSink("a")]);
    const event = queued({ m1: direct("a"), m2: direct("gone") });
    expect(await world.clock.run(handler(event, context()))).toEqual(failed("m2"));
    expect(metricSets().map(({ values }) => values["Delivered"])).toEqual([3]);
    written = "";
    world.putEvents("b", 4);
    await expect(world.clock.run(handler(direct("b", "gone"), context()))).rejects.toThrow("NOT_FOUND");
    expect(metricSets().map(({ values }) => values["Delivered"])).toEqual([4]);
  });

  test("of a second object carry nothing of the first", async () => {
    const report = (key: string): ObjectReport => {
      const object = { bucket: "s3://source", key, version: "1" };
      return {
        object,
        records: 1,
        valid: 1,
        invalid: 0,
        sinks: { a: emptySink, b: emptySink },
        unread: false,
        settled: [],
        busy: [],
      };
    };
    const worker: Processor = {
      process: ({ key }) => Promise.resolve(report(key)),
    };
    const handler = await createHandler({ createWorker: () => worker });
    await handler(direct("x", "y"), context());
    expect(metricSets().map(({ dimensions }) => dimensions)).toEqual([
      { Sink: "a" },
      { Sink: "b" },
      { Sink: "a" },
      { Sink: "b" },
    ]);
    // No request, no latency: neither a division by zero nor a perfect one.
    expect(metricSets()[0]?.values).toEqual({ Delivered: 0 });
    expect(metricSets()[0]?.fields).toEqual({
      Filtered: 0,
      DeadLettered: 0,
      Pending: 0,
      Requests: 0,
      Retries: 0,
    });
  });

  test("of an instance that is given keep its namespace and its dimensions", async () => {
    const world = createWorld();
    world.putEvents("a", 1);
    const metrics = new Metrics({ namespace: "Acme", serviceName: "staging" });
    const handler = await handlerIn(world, [scriptedSink("a")], { metrics });
    await world.clock.run(handler(direct("a"), context()));
    expect(emitted().map(({ _aws, service, Sink }) => ({ _aws, service, Sink }))).toMatchObject([
      {
        _aws: { CloudWatchMetrics: [{ Namespace: "Acme", Dimensions: [["service", "Sink"]] }] },
        service: "staging",
        Sink: "a",
      },
    ]);
  });
});

// ── logs ────────────────────────────────────────────────────────────────────────────────────────────────────

describe("the log", () => {
  test("tells each object and each sink in a line of its own, with the request's id", async () => {
    const world = createWorld();
    world.putEvents("a", 3);
    const handler = await handlerIn(world, [scriptedSink("a"), scriptedSink("b")]);
    await world.clock.run(handler(direct("a"), context()));
    expect(logged()).toEqual([
      expect.objectContaining({
        message: "object processed",
        object: "memory://source/a",
        records: 3,
        invalid: 0,
      }),
      expect.objectContaining({ message: "sink served", sink: "a", delivered: 3, pending: 0 }),
      expect.objectContaining({ message: "sink served", sink: "b", delivered: 3, pending: 0 }),
    ]);
    for (const line of logged()) {
      expect(line).toMatchObject({ level: "INFO", service: "firehose-fanout", requestId: "request-1" });
    }
  });

  test("has no payload: not of events, invalid records, refusals, or what is pending", async () => {
    const marker = "PAYLOAD-MARKER";
    const world = createWorld();
    const marked = (index: number) => {
      const record = { ...eventRecord(index, `${marker}-tenant`), metric_name: `${marker}-metric` };
      return JSON.stringify({ ...record, secret: marker });
    };
    const records = [
      marked(0),
      marked(1),
      marked(2),
      `{"${marker}": `,
      marked(3),
      `${marker} no json`,
      marked(4),
    ];
    world.source.objects.set("a", { bytes: Buffer.from(records.join("\n")), lastModified: 0 });
    const [refusing, failing, buggy] = [
      scriptedSink("refusing"),
      scriptedSink("failing"),
      scriptedSink("buggy"),
    ];
    refusing.reply = ({ items }) =>
      items.map(() => ({ status: "rejected", code: "NO", reason: "the vendor does not like it" }));
    failing.reply = () => ({ status: "transient", reason: "the vendor answered 503" });
    buggy.encode = ({ tenantId }) => {
      throw new Error(`cannot map ${tenantId}`);
    };
    const handler = await handlerIn(world, [refusing, failing, buggy]);
    const answer = await world.clock.run(handler(queued({ m1: direct("a"), m2: `${marker}` }), context()));
    expect(answer).toEqual(failed("m2"));
    expect(logged().length).toBeGreaterThan(4);
    expect(written).not.toContain(marker);
  });

  test("tells of a defect its kind and its place, since its message may quote a record", async () => {
    const marker = "PAYLOAD-MARKER";
    const worker: Processor = {
      process: () => Promise.reject(new TypeError(`${marker}\n    at ${marker} is not a function`)),
    };
    const handler = await createHandler({ createWorker: () => worker });
    expect(await handler(queued({ m1: direct("a") }), context())).toEqual(failed("m1"));
    await expect(handler(direct("a"), context())).rejects.toThrow(/^UNEXPECTED: an unexpected TypeError$/);
    expect(logged()[0]).toMatchObject({
      level: "ERROR",
      code: "UNEXPECTED",
      reason: "an unexpected TypeError",
      at: expect.stringContaining("worker.test.ts"),
    });
    expect(written).not.toContain(marker);
  });

  test("is silent about what the handler was asked, even where it is told to log events", async () => {
    vi.stubEnv("POWERTOOLS_LOGGER_LOG_EVENT", "true");
    const handler = await handlerIn(createWorld(), [scriptedSink("a")]);
    await handler(queued({ m1: { ...testEvent, note: "PAYLOAD-MARKER" } }), context());
    vi.unstubAllEnvs();
    expect(written).not.toContain("PAYLOAD-MARKER");
  });
});

test("a cold start without its configuration fails with the configuration's own sentences", async () => {
  const createWorker = () =>
    Promise.reject(new ConfigError(["MIXPANEL_TOKEN is not set; the sink mixpanel needs it"]));
  await expect(createHandler({ createWorker })).rejects.toThrow("MIXPANEL_TOKEN is not set");
});

test("one worker serves all invocations of a function", async () => {
  const world = createWorld();
  world.putEvents("a", 3);
  world.putEvents("b", 3);
  const sink = scriptedSink("a");
  const createWorker = vi.fn(() => world.worker([sink]));
  const handler = await handlerIn(world, [], { createWorker });
  await world.clock.run(handler(direct("a"), context()));
  await world.clock.run(handler(direct("b"), context()));
  expect(createWorker).toHaveBeenCalledTimes(1);
  expect(sink.requests).toEqual([idsOf(3), idsOf(3)]);
});

test("the handler is an async function without a callback, which Node 24 would refuse", async () => {
  const handler = await handlerIn(createWorld(), [scriptedSink("a")]);
  expect(handler).toHaveLength(2);
  expect(handler(testEvent, context())).toBeInstanceOf(Promise);
});
