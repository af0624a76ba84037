import { expect, test } from "vitest";
import { ObjectBusy, sampleBusEvent, sampleRecord, systemClock } from "../../src/index.ts";
import type { QueueEntry } from "../../src/queues/queue.ts";
import { StoreError } from "../../src/store/object-store.ts";
import * as worlds from "../support/world.ts";
import {
  dropOrder,
  entriesOf,
  metrics,
  operatorsWorld,
  order,
  putAllBack,
  scriptedWorker,
  textOf,
} from "./world.ts";

const [metric] = metrics;
if (metric === undefined) throw new Error("the catalog is empty");
const busEvent = sampleBusEvent(metric);
const record = JSON.stringify(sampleRecord(metric));
const streamArn = "arn:aws:firehose:eu-central-1:123456789012:deliverystream/product-events";
const ruleOf = (bus: string, name: string) =>
  `arn:aws:events:eu-central-1:123456789012:rule/${bus === "default" ? "" : `${bus}/`}${name}`;
/** A rule's name as CloudFormation makes it. */
const ruleArn = ruleOf(metric.source.bus, `Fanout-PipelineRules${metric.name.replaceAll("_", "")}0F3A-1XYZ`);

const attributes = {
  RULE_ARN: ruleArn,
  TARGET_ARN: streamArn,
  ERROR_CODE: "THROTTLING",
  ERROR_MESSAGE: "Rate exceeded.",
  EXHAUSTED_RETRY_CONDITION: "MaximumEventAgeInSeconds",
  RETRY_ATTEMPTS: "184",
};

const statuses = (outcomes: readonly { readonly status: string }[]) => outcomes.map(({ status }) => status);
const event = (id: number) => JSON.stringify({ ...busEvent, id: `event-${id}` });

function created(key: string, more: object = {}): string {
  return JSON.stringify({
    Records: [
      {
        eventSource: "aws:s3",
        eventName: "ObjectCreated:Put",
        s3: { bucket: { name: "data" }, object: { key, ...more } },
      },
    ],
  });
}

test("an event that EventBridge could not deliver becomes the record that its rule makes, in the stream of its target", async () => {
  const world = await operatorsWorld();
  world.sqs.send(JSON.stringify(busEvent), attributes);
  world.clock.advance(60_000);
  const queue = await world.open(world.queueUrl);
  expect(queue).toMatchObject({ name: "dead-letters", limits: { itemsPerRequest: 10 } });
  const [entry] = await entriesOf(queue);
  expect(entry).toMatchObject({
    code: "THROTTLING",
    reason: "Rate exceeded. (given up by MaximumEventAgeInSeconds)",
    attempts: 185,
    firstAt: Date.parse("2026-11-20T09:30:00Z"),
    lastAt: world.clock.now() - 60_000,
    place: expect.stringContaining(world.queueUrl),
    event: { metricName: metric.name, id: busEvent["id"] },
  });
  if (entry === undefined) throw new Error("nothing was listed");
  expect(await textOf(entry)).toBe(JSON.stringify(busEvent));
  expect(await queue.judge(entry)).toEqual({ status: "passes" });
  expect(await queue.putBack([entry], order)).toEqual([{ status: "delivered" }]);
  expect(JSON.parse(world.firehose.taken.get("product-events")?.[0] ?? "")).toEqual(sampleRecord(metric));
  expect(world.sqs.bodies).toEqual([]);
  await queue.close?.();
});

test("should the message ever hold the transformed input, that goes on as it is", async () => {
  const world = await operatorsWorld();
  world.sqs.send(record, attributes);
  expect(statuses(await putAllBack(await world.open(world.queueUrl)))).toEqual(["delivered"]);
  expect(world.firehose.taken.get("product-events")).toEqual([record]);
});

test("of two metrics made of the same event, the rule's name tells which one was meant", async () => {
  const world = await operatorsWorld();
  const longer = { ...metric, name: `${metric.name}_again` };
  for (const name of [metric.name, longer.name]) {
    const rule = ruleOf(metric.source.bus, `Fanout-Rules${name.replaceAll("_", "")}AB12`);
    world.sqs.send(JSON.stringify(busEvent), { ...attributes, RULE_ARN: rule });
  }
  world.sqs.send(JSON.stringify(busEvent), { ...attributes, RULE_ARN: ruleOf(metric.source.bus, "by-hand") });
  const queue = await world.open(world.queueUrl, { metrics: [metric, longer] });
  expect(await putAllBack(queue)).toMatchObject([
    { status: "delivered" },
    { status: "delivered" },
    { status: "refused", code: "RULE_AMBIGUOUS" },
  ]);
  const names = world.firehose.taken.get("product-events")?.map((text) => JSON.parse(text).metric_name);
  expect(names).toEqual([metric.name, longer.name]);
});

test.each([
  ["no metric is made of it", { ...busEvent, source: "other" }, attributes, {}, "RULE_UNKNOWN"],
  [
    "it was on another bus",
    busEvent,
    { ...attributes, RULE_ARN: ruleOf("other/bus", "r") },
    {},
    "RULE_UNKNOWN",
  ],
  ["there is no catalog", busEvent, attributes, { noCatalog: true }, "CATALOG_MISSING"],
  ["it is no JSON", "secret {", attributes, {}, "NOT_JSON"],
] as const)("an event stays, with a code, when %s", async (_, body, given, options, code) => {
  const world = await operatorsWorld();
  world.sqs.send(typeof body === "string" ? body : JSON.stringify(body), given);
  const queue = await world.open(world.queueUrl, options);
  const [entry] = await entriesOf(queue);
  if (entry === undefined) throw new Error("nothing was listed");
  expect(entry.event).toBeUndefined();
  expect(await queue.judge(entry)).toMatchObject({ status: "fails", code });
  expect(await queue.putBack([entry], order)).toMatchObject([{ status: "refused", code }]);
  expect(world.sqs.bodies).toHaveLength(1);
  expect(JSON.stringify([entry.reason, await queue.judge(entry)])).not.toContain("secret");
});

test("a catalog that refuses what an event would become says so before it is put back", async () => {
  const world = await operatorsWorld();
  world.sqs.send(
    JSON.stringify({ ...busEvent, detail: { ...metric.sample, tenant: undefined, tenantId: undefined } }),
    attributes,
  );
  const strict = { ...metric, tenantId: "$.detail.nobody" };
  const queue = await world.open(world.queueUrl, { metrics: [strict] });
  const [entry] = await entriesOf(queue);
  if (entry === undefined) throw new Error("nothing was listed");
  expect(await queue.judge(entry)).toMatchObject({ status: "fails", code: "TENANT_ID_MISSING" });
});

test("only what Firehose took is removed; events that it did not take stay", async () => {
  const world = await operatorsWorld();
  for (let id = 0; id < 3; id++) world.sqs.send(event(id), attributes);
  world.firehose.refuse = (text) => (text.includes("event-1") ? "ServiceUnavailableException" : undefined);
  const outcomes = await putAllBack(await world.open(world.queueUrl));
  expect(outcomes).toMatchObject([
    { status: "delivered" },
    { status: "kept", reason: "Firehose did not take it: Slow down." },
    { status: "delivered" },
  ]);
  expect(world.sqs.bodies).toEqual([event(1)]);
});

test("a message that was put back and cannot be removed stays, says so, and is put back once more", async () => {
  const world = await operatorsWorld();
  world.sqs.send(event(0), attributes);
  world.sqs.failDeletions(1);
  const first = await world.open(world.queueUrl);
  expect(await putAllBack(first)).toEqual([
    {
      status: "kept",
      reason:
        "it was put back, but could not be removed, so it will be put back once more: SQS answered InternalError",
    },
  ]);
  await first.close?.();
  expect(statuses(await putAllBack(await world.open(world.queueUrl)))).toEqual(["delivered"]);
  expect(world.firehose.taken.get("product-events")).toHaveLength(2);
  expect(world.sqs.bodies).toEqual([]);
});

test("a crash after the put leaves the message to whoever comes when its time is over: put once more, never lost", async () => {
  const world = await operatorsWorld();
  world.sqs.send(event(0), attributes);
  world.faults.sqs = (request) =>
    request.headers.get("x-amz-target") === "AmazonSQS.DeleteMessageBatch" ? { kind: "reset" } : undefined;
  // Killed: it is never closed.
  expect(statuses(await putAllBack(await world.open(world.queueUrl)))).toEqual(["kept"]);
  world.faults.sqs = () => undefined;
  const resumed = await world.open(world.queueUrl);
  expect(await entriesOf(resumed)).toEqual([]);
  world.clock.advance(5 * 60_000);
  expect(statuses(await putAllBack(resumed))).toEqual(["delivered"]);
  expect(world.firehose.taken.get("product-events")).toHaveLength(2);
});

test("every message is listed once, also one that SQS gives out twice, and all are visible again afterwards", async () => {
  const world = await operatorsWorld();
  const ids = Array.from({ length: 25 }, (_, id) => world.sqs.send(event(id), attributes));
  const queue = await world.open(world.queueUrl);
  const seen: QueueEntry[] = [];
  for await (const entry of queue.entries(order)) {
    seen.push(entry);
    if (seen.length === 3) world.sqs.deliverAgain(ids[0] ?? "");
  }
  expect(seen.map(({ id }) => id)).toEqual(ids);
  expect(world.sqs.visible).toEqual([]);
  // What was given out twice has a new receipt, and only with that it can be put back.
  expect(statuses(await queue.putBack(seen.slice(0, 5), order))).toEqual(
    Array.from({ length: 5 }, () => "delivered"),
  );
  await queue.close?.();
  expect(world.sqs.visible).toEqual(ids.slice(5));
  expect(world.sqs.bodies).toHaveLength(20);
});

test("who looks at a few messages and goes hides none of them from others", async () => {
  const world = await operatorsWorld();
  const ids = Array.from({ length: 25 }, (_, id) => world.sqs.send(event(id), attributes));
  const queue = await world.open(world.queueUrl);
  for await (const _ of queue.entries(order)) break;
  expect(world.sqs.visible).toHaveLength(15);
  await queue.close?.();
  expect(world.sqs.visible).toEqual(ids);
});

test("a second look of the same command begins anew, without a word of closing", async () => {
  const world = await operatorsWorld();
  for (let id = 0; id < 12; id++) world.sqs.send(event(id), attributes);
  const queue = await world.open(world.queueUrl);
  expect(await entriesOf(queue)).toHaveLength(12);
  expect(statuses(await putAllBack(queue))).toEqual(Array.from({ length: 12 }, () => "delivered"));
});

test("a listing so slow that its first messages are visible again ends all the same, each message once", async () => {
  const world = await operatorsWorld();
  const ids = Array.from({ length: 30 }, (_, id) => world.sqs.send(event(id), attributes));
  const queue = await world.open(world.queueUrl);
  const seen: string[] = [];
  for await (const { id } of queue.entries(order)) {
    seen.push(id);
    world.clock.advance(60_000);
  }
  expect(seen.toSorted()).toEqual(ids.toSorted());
});

test("a queue that gives out the same messages for ever does not hold a listing for ever", async () => {
  const world = await operatorsWorld();
  const id = world.sqs.send(event(0), attributes);
  world.faults.sqs = () => {
    world.sqs.deliverAgain(id);
    return undefined;
  };
  expect(await entriesOf(await world.open(world.queueUrl))).toHaveLength(1);
});

test("two operators at once never put the same message back: what one has, the other does not see", async () => {
  const world = await operatorsWorld();
  for (let id = 0; id < 30; id++) world.sqs.send(event(id), attributes);
  const queues = [await world.open(world.queueUrl), await world.open(world.queueUrl)];
  const outcomes = await Promise.all(queues.map((queue) => putAllBack(queue)));
  expect(statuses(outcomes.flat())).toEqual(Array.from({ length: 30 }, () => "delivered"));
  expect(new Set(world.firehose.taken.get("product-events")).size).toBe(30);
  expect(world.firehose.taken.get("product-events")).toHaveLength(30);
});

test("a message whose time was over belongs to whoever took it since; it is neither put back nor dropped by the first", async () => {
  const world = await operatorsWorld();
  world.sqs.send(event(0), attributes);
  world.sqs.send(created("a"));
  const { worker, processed } = scriptedWorker();
  const queue = await world.open(world.queueUrl, { worker });
  const entries = await entriesOf(queue);
  world.clock.advance(5 * 60_000);
  expect(world.sqs.take(600)).toHaveLength(2);
  expect(await queue.putBack(entries, order)).toEqual(
    Array.from({ length: 2 }, () => ({
      status: "kept",
      reason: "somebody else has the message, or it is gone: list the queue again",
    })),
  );
  await expect(queue.drop(entries, dropOrder)).rejects.toThrow(
    "nothing was dropped: somebody else has 2 of these messages",
  );
  expect([world.firehose.calls, processed, world.archived()]).toEqual([[], [], []]);
  expect(world.sqs.bodies).toHaveLength(2);
});

test("a notification goes back to the worker: its object is delivered once, through the books, and the message is gone", async () => {
  const world = await operatorsWorld();
  const pipeline = worlds.createWorld();
  pipeline.putEvents("a", 5);
  const sink = worlds.scriptedSink("a");
  const worker = pipeline.worker([sink], { clock: systemClock });
  world.sqs.send(created("a"));
  world.sqs.send(created("a"));
  const queue = await world.open(world.queueUrl, { worker, clock: systemClock });
  const entries = await entriesOf(queue);
  expect(entries).toMatchObject([{ code: "NOT_ACKNOWLEDGED", attempts: 1 }, { code: "NOT_ACKNOWLEDGED" }]);
  expect((await Promise.all(entries.map((entry) => queue.judge(entry)))).map(({ status }) => status)).toEqual(
    ["unknown", "unknown"],
  );
  expect(statuses(await queue.putBack(entries, order))).toEqual(["delivered", "delivered"]);
  expect([...sink.stored.entries()]).toEqual(worlds.idsOf(5).map((id) => [id, 1]));
  expect(world.sqs.bodies).toEqual([]);
});

test("what a sink cannot take now is deferred durably, and the message may go", async () => {
  const world = await operatorsWorld();
  const pipeline = worlds.createWorld();
  pipeline.putEvents("a", 5);
  const sink = worlds.scriptedSink("a");
  sink.reply = () => ({ status: "transient", reason: "down" });
  world.sqs.send(created("a"));
  const worker = pipeline.worker([sink], { clock: systemClock, retry: { attempts: 1 } });
  const queue = await world.open(world.queueUrl, { worker, clock: systemClock });
  expect(statuses(await putAllBack(queue))).toEqual(["delivered"]);
  expect(pipeline.deferrals()).toHaveLength(1);
  expect(world.sqs.bodies).toEqual([]);
});

test.each([
  ["NOT_FOUND", { status: "refused", code: "NOT_FOUND", reason: "it is so" }],
  ["CHANGED", { status: "refused", code: "CHANGED", reason: "it is so" }],
  ["DENIED", { status: "refused", code: "DENIED", reason: "it is so" }],
  ["TRANSIENT", { status: "kept", reason: "it is so" }],
  ["BUSY", { status: "kept", reason: "it is so" }],
  ["BUG", { status: "refused", code: "UNEXPECTED", reason: "an unexpected TypeError" }],
] as const)("a notification whose object fails with %s stays, with the reason", async (code, outcome) => {
  const world = await operatorsWorld();
  const { worker } = scriptedWorker(() => {
    if (code === "BUG") throw new TypeError("secret");
    throw code === "BUSY" ? new ObjectBusy("it is so") : new StoreError(code, "it is so");
  });
  world.sqs.send(created("a"));
  expect(await putAllBack(await world.open(world.queueUrl, { worker }))).toEqual([outcome]);
  expect(world.sqs.bodies).toHaveLength(1);
});

test("of several objects in a message the good ones are processed, and it stays for the one that failed", async () => {
  const world = await operatorsWorld();
  const { worker, processed } = scriptedWorker(({ key }) => {
    if (key === "b") throw new StoreError("NOT_FOUND", "b is gone");
  });
  const records = ["a", "b", "c"].map((key) => JSON.parse(created(key)).Records[0]);
  world.sqs.send(JSON.stringify({ Records: [...records, { s3: {} }] }));
  world.sqs.send(JSON.stringify({ Records: records.slice(0, 2) }));
  const queue = await world.open(world.queueUrl, { worker });
  expect(
    (await entriesOf(queue)).map(({ action }) => /drop/.test(action) && /fanout run/.test(action)),
  ).toEqual([true, false]);
  expect(await putAllBack(queue)).toMatchObject([
    { status: "refused", code: "MALFORMED" },
    { status: "refused", code: "NOT_FOUND", reason: "b is gone" },
  ]);
  expect(processed).toEqual(["data/a", "data/b", "data/c", "data/a", "data/b"]);
});

test("every envelope is understood; what is no work is removed without any", async () => {
  const world = await operatorsWorld();
  const { worker, processed } = scriptedWorker(({ key }) => {
    if (key === "raw%2Bkey") throw new StoreError("NOT_FOUND", "there is no such key");
  });
  const bus = {
    source: "aws.s3",
    "detail-type": "Object Created",
    detail: { bucket: { name: "data" }, object: { key: "raw%2Bkey" } },
  };
  for (const body of [
    created("plain%2Bkey"),
    JSON.stringify({ Type: "Notification", Message: created("sns") }),
    JSON.stringify(bus),
    JSON.stringify({ Service: "Amazon S3", Event: "s3:TestEvent", Bucket: "data" }),
    created("gone").replace("ObjectCreated:Put", "ObjectRemoved:Delete"),
    created("Error/processing-failed/x"),
  ]) {
    world.sqs.send(body);
  }
  // What EventBridge could not hand to the worker's queue is a notification, too.
  world.sqs.send(JSON.stringify(bus), { ...attributes, TARGET_ARN: "arn:aws:sqs:eu-central-1:1:worker" });
  const queue = await world.open(world.queueUrl, { worker });
  expect(statuses(await putAllBack(queue))).toEqual(Array.from({ length: 7 }, () => "delivered"));
  expect(processed).toEqual([
    "data/plain+key",
    "data/sns",
    "data/raw%2Bkey",
    "data/raw+key",
    "data/raw%2Bkey",
    "data/raw+key",
  ]);
  expect(world.sqs.bodies).toEqual([]);
});

const destination = (condition: string, requestPayload: unknown) => ({
  version: "1.0",
  requestContext: {
    requestId: "r",
    functionArn: "arn:aws:lambda:eu-central-1:123456789012:function:worker:$LATEST",
    condition,
    approximateInvokeCount: 3,
  },
  requestPayload,
  responseContext: { statusCode: 200, functionError: "Unhandled" },
  responsePayload: { errorMessage: "SECRET" },
});

test("what Lambda's on-failure destination holds goes back to the worker, whatever the function was asked by", async () => {
  const world = await operatorsWorld();
  const { worker, processed } = scriptedWorker();
  const asked = JSON.parse(created("Data/x"));
  const bus = {
    source: "aws.s3",
    "detail-type": "AWS API Call via CloudTrail",
    detail: {
      eventSource: "s3.amazonaws.com",
      eventName: "PutObject",
      requestParameters: { bucketName: "data", key: "Data/trail" },
    },
  };
  const failed = destination("RetriesExhausted", asked);
  for (const body of [
    failed,
    destination("EventAgeExceeded", { Records: [{ Sns: { Message: created("Data/sns") } }] }),
    destination("RetriesExhausted", bus),
    destination("RetriesExhausted", [{ messageId: "m", body: created("Data/pipe") }]),
    { Type: "Notification", Message: JSON.stringify(failed) },
    { source: "lambda", "detail-type": "Lambda Function Invocation Result - Failure", detail: failed },
  ]) {
    world.sqs.send(JSON.stringify(body));
  }
  const queue = await world.open(world.queueUrl, { worker });
  const entries = await entriesOf(queue);
  expect(entries.map(({ code }) => code)).toEqual(Array.from({ length: 6 }, () => "NOT_ACKNOWLEDGED"));
  expect(entries[0]).toMatchObject({
    attempts: 3,
    reason: "Lambda ended the worker's asynchronous invocation with RetriesExhausted",
    action: expect.stringContaining("put it back"),
  });
  expect(JSON.stringify(entries.map(({ content: _, ...entry }) => entry))).not.toContain("SECRET");
  expect(statuses(await queue.putBack(entries, order))).toEqual(Array.from({ length: 6 }, () => "delivered"));
  expect(processed).toEqual([
    "data/Data/x",
    "data/Data/sns",
    "data/Data/trail",
    "data/Data/pipe",
    "data/Data/x",
    "data/Data/x",
  ]);
  expect(world.sqs.bodies).toEqual([]);
});

test.each([
  { requestPayload: { objects: ["s3://data/Data/x"] } },
  { bucket: "data", key: "Data/x" },
  {
    source: "aws.s3",
    "detail-type": "Object Made",
    detail: { bucket: { name: "data" }, object: { key: "x" } },
  },
])("what may name an object is never to be dropped before the object is delivered: %j", async (content) => {
  const world = await operatorsWorld();
  world.sqs.send(JSON.stringify(content));
  const [entry] = await entriesOf(await world.open(world.queueUrl));
  expect(entry).toMatchObject({
    code: "MESSAGE_UNKNOWN",
    action: expect.stringMatching(/deliver the object with fanout run .* and drop the message only when/),
  });
});

test("the worker's own objects are no more given to it than by its function, and an unclear bucket is refused", async () => {
  const world = await operatorsWorld();
  const { worker, processed } = scriptedWorker();
  for (const key of ["fanout/receipts/books/x.json", "fanout/dead/sink=a/x.gz", "Error/x", "Data/x"]) {
    world.sqs.send(created(key));
  }
  const own = ["s3://data/fanout/receipts", "s3://data/fanout/dead/", "file:///elsewhere"];
  const queue = await world.open(world.queueUrl, { worker, own });
  expect(statuses(await putAllBack(queue))).toEqual(Array.from({ length: 4 }, () => "delivered"));
  expect(processed).toEqual(["data/Data/x"]);
  expect(world.sqs.bodies).toEqual([]);

  world.sqs.send(created("Data/y"));
  const unclear = await world.open(world.queueUrl, { worker, own: ["s3://data"] });
  expect(await putAllBack(unclear)).toMatchObject([
    { status: "refused", code: "OWN_BUCKET", reason: expect.stringMatching(/give them a prefix$/) },
  ]);
  expect(processed).toHaveLength(1);
  expect(world.sqs.bodies).toHaveLength(1);
});

test("while an object is processed, for minutes, nobody else gets its message", async () => {
  const world = await operatorsWorld();
  const others: number[] = [];
  const { worker } = scriptedWorker(() => {
    world.clock.advance(10 * 60_000);
    others.push(world.sqs.take(600).length);
  });
  const records = ["a", "b"].map((key) => JSON.parse(created(key)).Records[0]);
  world.sqs.send(JSON.stringify({ Records: records }));
  expect(statuses(await putAllBack(await world.open(world.queueUrl, { worker })))).toEqual(["delivered"]);
  expect(others).toEqual([0, 0]);
  expect(world.sqs.bodies).toEqual([]);
});

test("one queue may hold both kinds and others; each message goes its own way, and what is neither stays until it is dropped", async () => {
  const world = await operatorsWorld();
  const { worker, processed } = scriptedWorker();
  world.sqs.send(event(0), attributes);
  world.sqs.send(created("a"));
  for (const body of ["hello", '{"a":1}', ""]) world.sqs.send(body);
  // Of a rule whose target is a function of somebody's.
  world.sqs.send(event(1), { ...attributes, TARGET_ARN: "arn:aws:lambda:eu-central-1:1:function:f" });
  const queue = await world.open(world.queueUrl, { worker });
  const entries = await entriesOf(queue);
  expect(entries.map(({ code }) => code)).toEqual([
    "THROTTLING",
    "NOT_ACKNOWLEDGED",
    ...Array.from({ length: 4 }, () => "MESSAGE_UNKNOWN"),
  ]);
  expect(await queue.judge(entries[2] ?? never())).toMatchObject({
    status: "fails",
    code: "MESSAGE_UNKNOWN",
  });
  const outcomes = await queue.putBack(entries, order);
  expect(statuses(outcomes)).toEqual([
    "delivered",
    "delivered",
    ...Array.from({ length: 4 }, () => "refused"),
  ]);
  expect(processed).toEqual(["data/a"]);
  expect(world.firehose.taken.get("product-events")).toHaveLength(1);
  await queue.drop(entries.slice(2), dropOrder);
  expect(world.sqs.bodies).toEqual([]);
  expect(world.archived().map((line) => line["record"])).toEqual(["hello", '{"a":1}', "", event(1)]);
});

test("what is dropped is in the archive first, with its attributes, the reason and who said so", async () => {
  const world = await operatorsWorld();
  world.sqs.send(event(0), attributes);
  const queue = await world.open(world.queueUrl);
  const entries = await entriesOf(queue);
  world.deadLetters.before = () => {
    throw new StoreError("TRANSIENT", "the store is away");
  };
  await expect(queue.drop(entries, dropOrder)).rejects.toThrow("the store is away");
  expect(world.sqs.bodies).toHaveLength(1);
  world.deadLetters.before = () => {};
  world.sqs.failDeletions(1);
  await expect(queue.drop(entries, dropOrder)).rejects.toThrow(
    "are in the archive but could not be removed: drop them again: SQS answered InternalError",
  );
  await queue.drop(entries, dropOrder);
  expect(world.sqs.bodies).toEqual([]);
  expect(world.archived()).toEqual([
    expect.objectContaining({
      queue: "dead-letters",
      code: "THROTTLING",
      attributes,
      dropped: { reason: "a test of last year", by: "operator", at: world.clock.now() },
      record: event(0),
    }),
  ]);
});

test("a command that was ended puts nothing more back and begins no object", async () => {
  const world = await operatorsWorld();
  const { worker, processed } = scriptedWorker();
  world.sqs.send(event(0), attributes);
  world.sqs.send(created("a"));
  const queue = await world.open(world.queueUrl, { worker });
  const entries = await entriesOf(queue);
  const ended = { ...order, signal: AbortSignal.abort() };
  expect(statuses(await queue.putBack(entries, ended))).toEqual(["kept", "kept"]);
  expect([world.firehose.calls, processed]).toEqual([[], []]);
  const nothing: QueueEntry[] = [];
  for await (const entry of queue.entries(ended)) nothing.push(entry);
  expect(nothing).toEqual([]);
});

test.each([
  [
    "there is no such queue",
    { kind: "status", status: 400, body: '{"__type":"com.amazonaws.sqs#QueueDoesNotExist"}' },
    "FAILED",
    "there is no such queue",
  ],
  [
    "nobody may read it",
    { kind: "status", status: 403, body: '{"__type":"AccessDeniedException","message":"secret"}' },
    "DENIED",
    "check that its messages may be received",
  ],
  [
    "SQS is down",
    { kind: "status", status: 503, body: '{"__type":"ServiceUnavailable"}' },
    "TRANSIENT",
    "HTTP 503",
  ],
  ["the connection breaks", { kind: "reset" }, "TRANSIENT", "ECONNRESET"],
] as const)("when %s, one sentence says so", async (_, fault, code, text) => {
  const world = await operatorsWorld();
  world.sqs.send(event(0), attributes);
  world.faults.sqs = () => fault;
  const error = await entriesOf(await world.open(world.queueUrl)).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(StoreError);
  expect(error).toMatchObject({ code, message: expect.stringContaining(text) });
  expect(String(error)).not.toContain("secret");
});

test("a message that was damaged on its way is not believed", async () => {
  const world = await operatorsWorld();
  world.sqs.send(event(0), attributes);
  const honest = await entriesOf(await world.open(world.queueUrl));
  expect(honest).toHaveLength(1);
  world.clock.advance(5 * 60_000);
  world.faults.sqs = () => ({
    kind: "garbled",
    body: JSON.stringify({
      Messages: [{ MessageId: "m", ReceiptHandle: "h", Body: "x", MD5OfBody: "0".repeat(32) }],
    }),
  });
  await expect(entriesOf(await world.open(world.queueUrl))).rejects.toMatchObject({
    code: "TRANSIENT",
    message: expect.stringContaining("BrokenChecksum"),
  });
});

test("while messages cannot be held, nothing is put back and nothing is lost", async () => {
  const world = await operatorsWorld();
  const { worker, processed } = scriptedWorker();
  world.sqs.send(event(0), attributes);
  world.sqs.send(created("a"));
  const queue = await world.open(world.queueUrl, { worker });
  const entries = await entriesOf(queue);
  world.faults.sqs = () => ({ kind: "reset" });
  expect(await queue.putBack(entries, order)).toMatchObject(
    Array.from({ length: 2 }, () => ({
      status: "kept",
      reason: expect.stringContaining("holding messages of the queue"),
    })),
  );
  expect([world.firehose.calls, processed]).toEqual([[], []]);
  await queue.close?.();
});

test("an address that names no queue is refused with the form that it should have", async () => {
  const world = await operatorsWorld();
  for (const address of [
    "https://sqs.eu-central-1.amazonaws.com/",
    "https://example.com/a/b/c",
    "http://h/a/b?c=d",
  ]) {
    await expect(world.open(address)).rejects.toThrow(
      "is no queue: write https://sqs.<region>.amazonaws.com/<account>/<queue>, a folder, or s3://bucket/prefix",
    );
  }
});

function never(): never {
  throw new Error("there is no such entry");
}
