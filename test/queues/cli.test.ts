// The commands themselves, and clients that find region, credentials and endpoints where every AWS tool does.
import { expect, test, vi } from "vitest";
import { sampleBusEvent, sampleRecord, systemClock } from "../../src/index.ts";
import { createOpenQueue } from "../../src/queues/open.ts";
import { serveTwin } from "../../src/testing/index.ts";
import { fanout } from "../support/fanout.ts";
import { createS3Twin } from "../support/s3-twin.ts";
import { serveVendors } from "../support/vendors.ts";
import { closing, metrics, objectName, operatorsWorld, putAllBack } from "./world.ts";

const [metric] = metrics;
if (metric === undefined) throw new Error("the catalog is empty");
const record = JSON.stringify(sampleRecord(metric));
const streamArn = "arn:aws:firehose:eu-central-1:123456789012:deliverystream/product-events";
const attributes = {
  RULE_ARN: `arn:aws:events:eu-central-1:123456789012:rule/${metric.source.bus}/${metric.name}`,
  TARGET_ARN: streamArn,
  ERROR_CODE: "NO_PERMISSIONS",
  ERROR_MESSAGE: "The rule's role may not put records.",
};
const failed = `${JSON.stringify({
  errorCode: "Lambda.FunctionError",
  errorMessage: "The function failed.",
  rawData: Buffer.from(record).toString("base64"),
  lambdaArn: "arn:aws:lambda:eu-central-1:123456789012:function:transform",
})}\n`;

// A process needs a second or two on two busy cores.
const patience = { timeout: 60_000 };

test(
  "fanout dlq lists and shows what waits in SQS and in Firehose's objects, and hides it from nobody",
  patience,
  async () => {
    const world = await operatorsWorld({ sqsClock: systemClock });
    const vendors = await serveVendors();
    closing.push(() => vendors.close());
    const id = world.sqs.send(JSON.stringify(sampleBusEvent(metric)), attributes);
    const file = await world.putObject(failed);
    const env = { ...vendors.env, ...world.env };
    const dlq = (...args: readonly string[]) => fanout(["dlq", ...args], env, world.folder);

    const listed = await dlq("list", "--queue", world.queueUrl, "--json");
    expect(listed).toMatchObject({ code: 0, stderr: "" });
    expect(JSON.parse(listed.stdout)).toMatchObject({
      causes: [{ sink: "dead-letters", code: "NO_PERMISSIONS", count: 1, example: id }],
    });
    expect(world.sqs.visible).toEqual([id]);

    const shown = await dlq("show", id, "--queue", world.queueUrl, "--json");
    expect(JSON.parse(shown.stdout)).toMatchObject({
      id,
      event: { metricName: metric.name },
      today: { status: "passes" },
      record: JSON.stringify(sampleBusEvent(metric)),
    });
    expect(world.sqs.visible).toEqual([id]);

    const objects = await dlq("list", "--queue", file, "--json");
    expect(JSON.parse(objects.stdout)).toMatchObject({
      causes: [{ sink: "firehose", code: "LAMBDA_FUNCTION_ERROR", count: 1 }],
    });
    const wrong = await dlq("list", "--queue", "https://example.com/");
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toContain("is no queue: write https://sqs.");
  },
);

test(
  "fanout dlq replay puts all of it back, to the stream and through the worker, and drop clears the rest",
  patience,
  async () => {
    const world = await operatorsWorld({ sqsClock: systemClock });
    const vendors = await serveVendors();
    closing.push(() => vendors.close());
    const s3 = createS3Twin({ buckets: ["data"] });
    const served = await serveTwin(s3.handle);
    closing.push(() => served.close());
    const event = sampleRecord(metric);
    const key = "Data/product-events-1-2026-11-20-09-30-00-5f3c1f6e-2d1b-4c5a-9a53-0c6b1f0e7a11";
    s3.put("data", key, JSON.stringify(event));
    world.sqs.send(JSON.stringify(sampleBusEvent(metric)), attributes);
    world.sqs.send(
      JSON.stringify({
        Records: [{ eventName: "ObjectCreated:Put", s3: { bucket: { name: "data" }, object: { key } } }],
      }),
    );
    // What the command itself writes below RECEIPTS is in the bucket of the events, too.
    const receipt = { bucket: { name: "data" }, object: { key: "fanout/receipts/books/x.json" } };
    const other = { ...event, metadata: { tenant_id: "acme", event_id: "of-a-receipt" } };
    s3.put("data", receipt.object.key, JSON.stringify(other));
    world.sqs.send(JSON.stringify({ Records: [{ eventName: "ObjectCreated:Put", s3: receipt }] }));
    world.sqs.send("nobody knows what this is");
    const file = await world.putObject(failed);
    const env = {
      ...vendors.env,
      ...world.env,
      SINKS: "segment",
      AWS_ENDPOINT_URL_S3: served.url,
      RECEIPTS: "s3://data/fanout/receipts",
    };
    const dlq = (...args: readonly string[]) => fanout(["dlq", ...args, "--json"], env, world.folder);

    const replayed = await dlq("replay", "--queue", world.queueUrl);
    expect(JSON.parse(replayed.stdout)).toMatchObject({ outcome: "finished", delivered: 3, left: {} });
    expect(world.firehose.taken.get("product-events")?.map((text) => JSON.parse(text))).toEqual([event]);
    expect([...vendors.stored.segment.values()]).toEqual([1]);
    expect(world.sqs.bodies).toEqual(["nobody knows what this is"]);

    const again = await dlq("replay", "--queue", file);
    expect(JSON.parse(again.stdout)).toMatchObject({ outcome: "finished", delivered: 1 });
    expect(world.firehose.taken.get("product-events")).toHaveLength(2);

    const dropped = await dlq(
      "drop",
      "--queue",
      world.queueUrl,
      "--code",
      "MESSAGE_UNKNOWN",
      "--reason",
      "x",
    );
    expect(JSON.parse(dropped.stdout)).toMatchObject({ dropped: 1 });
    expect(world.sqs.bodies).toEqual([]);
  },
);

test("without clients of the caller's, those of the queue's own reach SQS and Firehose", async () => {
  const world = await operatorsWorld();
  for (const [name, value] of Object.entries(world.env)) vi.stubEnv(name, value);
  closing.push(() => vi.unstubAllEnvs());
  const warned = vi.spyOn(console, "warn");
  closing.push(() => warned.mockRestore());
  world.sqs.send(JSON.stringify(sampleBusEvent(metric)), attributes);
  await world.putObject(failed, objectName);
  const open = createOpenQueue({
    deadLetters: world.deadLetters,
    worker: { process: () => Promise.reject(new Error("there is no notification")) },
    metrics,
    clock: world.clock,
  });
  for (const address of [world.queueUrl, world.folder]) {
    const queue = await open(address);
    expect(await putAllBack(queue)).toEqual([{ status: "delivered" }]);
    await queue.close?.();
  }
  expect(world.firehose.taken.get("product-events")?.map((text) => JSON.parse(text))).toEqual([
    sampleRecord(metric),
    sampleRecord(metric),
  ]);
  expect(warned).not.toHaveBeenCalled();
});
