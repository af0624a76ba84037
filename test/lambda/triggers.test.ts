// Triggers beside a queue of S3's: what each is answered, and that nothing of theirs is acknowledged and lost.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createHandler, type LambdaOptions } from "../../src/lambda/worker.ts";
import { StoreError } from "../../src/store/object-store.ts";
import { createWorld, type ScriptedSink, scriptedSink, type World } from "../support/world.ts";

let written: string;
beforeEach(() => {
  written = "";
  for (const stream of [process.stdout, process.stderr]) {
    vi.spyOn(stream, "write").mockImplementation((chunk) => {
      written += String(chunk);
      return true;
    });
  }
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** The metric `Ignored`, added up. */
const ignored = () =>
  written
    .split("\n")
    .filter((line) => line !== "")
    .map((line): { readonly Ignored?: number } => JSON.parse(line))
    .reduce((sum, { Ignored: count = 0 }) => sum + count, 0);

const worker = "arn:aws:lambda:us-east-1:123456789012:function:worker";
const context = { awsRequestId: "r", invokedFunctionArn: worker, getRemainingTimeInMillis: () => 900_000 };

async function handlerIn(world: World, sink: ScriptedSink, options: Partial<LambdaOptions> = {}) {
  const createWorker: LambdaOptions["createWorker"] = (log) => world.worker([sink], { log });
  const handler = await createHandler({ createWorker, clock: world.clock, ...options });
  return (event: unknown) => world.clock.run(handler(event, context));
}

const created = (key: string) => ({
  eventName: "ObjectCreated:Put",
  s3: { bucket: { name: "source" }, object: { key } },
});
const message = (messageId: string, content: unknown) => ({
  messageId,
  eventSource: "aws:sqs",
  body: JSON.stringify(content),
});
const failure = (condition: string, requestPayload: unknown, functionArn = `${worker}:$LATEST`) => ({
  version: "1.0",
  requestContext: { requestId: "r", functionArn, condition, approximateInvokeCount: 3 },
  requestPayload,
});
const called = (eventName: string, key: string) => ({
  source: "aws.s3",
  "detail-type": "AWS API Call via CloudTrail",
  detail: {
    eventSource: "s3.amazonaws.com",
    eventName,
    requestParameters: { bucketName: "source", key },
  },
});

describe("S3 Batch Operations", () => {
  const job = (schema: "1.0" | "2.0", tasks: Readonly<Record<string, string>>) => ({
    invocationSchemaVersion: schema,
    invocationId: "invocation-1",
    job: { id: "job-1" },
    tasks: Object.entries(tasks).map(([taskId, s3Key]) => ({
      taskId,
      s3Key,
      s3VersionId: null,
      ...(schema === "1.0" ? { s3BucketArn: "arn:aws:s3:::source" } : { s3Bucket: "source" }),
    })),
  });

  test.each(["1.0", "2.0"] as const)(
    "schema %s: each task has its own result, and what a receipt knows is not sent again",
    async (schema) => {
      const world = createWorld();
      world.putEvents("Data/year=2026/a b", 3);
      world.source.before = (operation, key) => {
        if (operation === "look" && key === "Data/slow") throw new StoreError("TRANSIENT", "503 SlowDown");
      };
      const sink = scriptedSink("a");
      const handle = await handlerIn(world, sink);
      const tasks = {
        t1: "Data/year%3D2026/a+b",
        t2: "Data/gone",
        t3: "Data/slow",
        t4: "Error/processing-failed/x",
      };
      const answer = (first: string) => ({
        invocationSchemaVersion: schema,
        treatMissingKeysAs: "TemporaryFailure",
        invocationId: "invocation-1",
        results: [
          { taskId: "t1", resultCode: "Succeeded", resultString: first },
          {
            taskId: "t2",
            resultCode: "PermanentFailure",
            resultString: expect.stringMatching(/^NOT_FOUND: .*Data\/gone does not exist/),
          },
          { taskId: "t3", resultCode: "TemporaryFailure", resultString: "TRANSIENT: 503 SlowDown" },
          {
            taskId: "t4",
            resultCode: "Succeeded",
            resultString: "ignored: Firehose wrote it for what its transform refused",
          },
        ],
      });
      expect(await handle(job(schema, tasks))).toEqual(answer("records 3, pending 0"));
      expect(ignored()).toBe(1);
      expect(sink.requests).toHaveLength(1);
      expect(await handle(job(schema, tasks))).toEqual(answer("nothing was left to send"));
      expect(sink.requests).toHaveLength(1);
    },
  );

  test("what is pending has its deferral, so its task has succeeded, and says so", async () => {
    const world = createWorld();
    world.putEvents("Data/a", 3);
    const sink = scriptedSink("a");
    sink.reply = () => ({ status: "transient", reason: "the vendor answered 503" });
    const handle = await handlerIn(world, sink);
    expect(await handle(job("1.0", { t1: "Data/a" }))).toMatchObject({
      results: [{ resultCode: "Succeeded", resultString: "records 3, pending 3" }],
    });
    expect(world.deferrals()).toHaveLength(1);
  });

  test("a task that names no object fails for good, and the others are done", async () => {
    const world = createWorld();
    world.putEvents("Data/a", 3);
    const handle = await handlerIn(world, scriptedSink("a"));
    const event = job("2.0", { t1: "", t2: "Data/a" });
    expect(await handle(event)).toMatchObject({
      results: [
        {
          taskId: "t1",
          resultCode: "PermanentFailure",
          resultString: "MALFORMED: the notification names no key",
        },
        { taskId: "t2", resultCode: "Succeeded" },
      ],
    });
  });
});

describe("EventBridge Pipes", () => {
  test("are given back exactly the messages of an SQS queue that failed", async () => {
    const world = createWorld();
    world.putEvents("a", 3);
    const sink = scriptedSink("a");
    const handle = await handlerIn(world, sink);
    const pipe = [
      message("m1", { Records: [created("a")] }),
      message("m2", { Records: [created("gone")] }),
      { messageId: "m3", body: "no JSON" },
    ];
    expect(await handle(pipe)).toEqual({
      batchItemFailures: [{ itemIdentifier: "m2" }, { itemIdentifier: "m3" }],
    });
    expect(sink.stored.size).toBe(3);
  });

  test("whose records have no id of SQS's fail as a whole, after the others are done", async () => {
    const world = createWorld();
    world.putEvents("a", 3);
    const sink = scriptedSink("a");
    const handle = await handlerIn(world, sink);
    await expect(
      handle([{ Records: [created("a")] }, { eventSource: "aws:kinesis", data: "e30=" }]),
    ).rejects.toThrow("MALFORMED: the message is no S3 notification");
    expect(sink.stored.size).toBe(3);
  });
});

describe("S3 through CloudTrail", () => {
  test("is delivered; a call that makes no object is counted; one that nobody knows fails", async () => {
    const world = createWorld();
    world.putEvents("Data/a", 3);
    const sink = scriptedSink("a");
    const handle = await handlerIn(world, sink);
    expect(await handle(called("PutObject", "Data/a"))).toEqual({ batchItemFailures: [] });
    expect(sink.stored.size).toBe(3);
    expect(ignored()).toBe(0);
    expect(await handle(called("GetObject", "Data/a"))).toEqual({ batchItemFailures: [] });
    expect(ignored()).toBe(1);
    await expect(handle(called("RenameObject", "Data/a"))).rejects.toThrow("MALFORMED");
    expect(await handle({ Records: [message("m1", called("RenameObject", "Data/a"))] })).toEqual({
      batchItemFailures: [{ itemIdentifier: "m1" }],
    });
  });
});

describe("Lambda's destinations", () => {
  test.each(["RetriesExhausted", "EventAgeExceeded"])(
    "what failed for good is tried again from the queue that has it: %s",
    async (condition) => {
      const world = createWorld();
      world.putEvents("a", 3);
      const sink = scriptedSink("a");
      const handle = await handlerIn(world, sink);
      const event = { Records: [message("m1", failure(condition, { Records: [created("a")] }))] };
      expect(await handle(event)).toEqual({ batchItemFailures: [] });
      expect(sink.stored.size).toBe(3);
    },
  );

  test("a success that comes back to the function ends there, and is counted", async () => {
    const world = createWorld();
    world.putEvents("a", 3);
    const sink = scriptedSink("a");
    const handle = await handlerIn(world, sink);
    expect(await handle(failure("Success", { Records: [created("a")] }))).toEqual({ batchItemFailures: [] });
    expect(sink.requests).toEqual([]);
    expect(ignored()).toBe(1);
  });

  test("a success of a function that comes first is what the worker waits for", async () => {
    const world = createWorld();
    world.putEvents("a", 3);
    const sink = scriptedSink("a");
    const handle = await handlerIn(world, sink);
    const scanner = `${worker.replace("worker", "scanner")}:$LATEST`;
    await handle(failure("Success", { Records: [created("a")] }, scanner));
    expect(sink.stored.size).toBe(3);
    expect(ignored()).toBe(0);
  });
});

describe("a key that somebody else wrote into S3's old form", () => {
  test.each(["Data/a+b", "Data/100%", "Data/50%25", "Data/a+b%41"])("is found as it is: %s", async (key) => {
    const world = createWorld();
    world.putEvents(key, 3);
    const sink = scriptedSink("a");
    const handle = await handlerIn(world, sink);
    expect(await handle({ Records: [message("m1", { Records: [created(key)] })] })).toEqual({
      batchItemFailures: [],
    });
    expect(sink.stored.size).toBe(3);
  });

  test("is decoded first, as S3 encodes it, where there are both", async () => {
    const world = createWorld();
    world.putEvents("Data/a b", 2);
    world.putEvents("Data/a+b", 3);
    const sink = scriptedSink("a");
    const handle = await handlerIn(world, sink);
    await handle({ Records: [created("Data/a+b")] });
    expect(sink.stored.size).toBe(2);
  });

  test("of which there is no object under any reading fails with the first one's reason", async () => {
    const handle = await handlerIn(createWorld(), scriptedSink("a"));
    await expect(handle({ Records: [created("Data/a+b")] })).rejects.toThrow(/NOT_FOUND: .*Data\/a b does/);
  });

  test("never finds another object of another version", async () => {
    const world = createWorld();
    world.putEvents("Data/a+b", 3);
    world.source.before = (operation, key) => {
      if (operation === "look" && key === "Data/a+b") throw new StoreError("CHANGED", "it was overwritten");
    };
    const sink = scriptedSink("a");
    const handle = await handlerIn(world, sink);
    const object = { key: "Data/a+b", eTag: "of Data/a b" };
    const record = { eventName: "ObjectCreated:Put", s3: { bucket: { name: "source" }, object } };
    await expect(handle({ Records: [record] })).rejects.toThrow("NOT_FOUND");
    expect(sink.requests).toEqual([]);
  });

  test("that two messages mean differently is looked for each in its own way", async () => {
    const world = createWorld();
    world.putEvents("Data/a+b", 3);
    const sink = scriptedSink("a");
    const handle = await handlerIn(world, sink);
    const event = {
      Records: [
        message("raw", { Records: [created("Data/a+b")] }),
        message("gone", { Records: [created("Data/a%20b")] }),
      ],
    };
    expect(await handle(event)).toEqual({ batchItemFailures: [{ itemIdentifier: "gone" }] });
    expect(sink.stored.size).toBe(3);
  });

  test("below an error prefix is ignored under the reading that is an object", async () => {
    const world = createWorld();
    world.putEvents("Error/x", 3);
    world.putEvents("Error%2Fy", 2);
    const sink = scriptedSink("a");
    const handle = await handlerIn(world, sink);
    const bridged = (key: string) => ({
      source: "aws.s3",
      "detail-type": "Object Created",
      detail: { bucket: { name: "source" }, object: { key } },
    });
    await handle(bridged("Error%2Fx"));
    expect(sink.requests).toEqual([]);
    expect(ignored()).toBe(1);
    await handle(bridged("Error%2Fy"));
    expect(sink.stored.size).toBe(2);
  });
});

test("one batch of all these shapes: each is delivered, counted or given back, and none is lost", async () => {
  const world = createWorld();
  const keys = ["trail", "failed", "scanned", "detail", "a+b", "sns"];
  for (const key of keys)
    world.putEvents(key, 1, () => ({ data: { event_time: "2026-01-01T00:00:00Z", key } }));
  const sink = scriptedSink("a");
  const handle = await handlerIn(world, sink);
  const scanner = `${worker.replace("worker", "scanner")}:$LATEST`;
  const detail = { bucket: { name: "source" }, object: { key: "detail" }, reason: "CopyObject" };
  const failed = failure("RetriesExhausted", { Records: [created("failed")] });
  const answer = await handle({
    Records: [
      message("m1", called("CompleteMultipartUpload", "trail")),
      message("m2", failed),
      message("m3", failure("Success", { Records: [created("scanned")] }, scanner)),
      message("m4", detail),
      message("m5", { Records: [created("a+b")] }),
      message("m6", { Message: JSON.stringify({ Records: [created("sns")] }) }),
      message("ignored-1", called("DeleteObject", "trail")),
      message("ignored-2", failure("Success", { Records: [created("gone")] })),
      message("back-1", called("RenameObject", "trail")),
      message("back-2", failure("RetriesExhausted", undefined)),
      message("back-3", { bucket: "source", key: "trail" }),
      message("back-4", { Records: [created("gone")] }),
    ],
  });
  expect(answer).toEqual({
    batchItemFailures: [1, 2, 3, 4].map((number) => ({ itemIdentifier: `back-${number}` })),
  });
  expect(sink.requests).toHaveLength(keys.length);
  expect(ignored()).toBe(2);
});
