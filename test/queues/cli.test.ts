// The commands themselves, and clients that find region, credentials and endpoints where every AWS tool does.
import { expect, test, vi } from "vitest";
import { sampleBusEvent, sampleRecord } from "../../src/index.ts";
import { createOpenQueue } from "../../src/queues/open.ts";
import { fanout } from "../support/fanout.ts";
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
    const world = await operatorsWorld();
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
