// The same round trips against a server for SQS that is not ours.
import {
  CreateQueueCommand,
  GetQueueAttributesCommand,
  SendMessageCommand,
  SQSClient,
} from "@aws-sdk/client-sqs";
import { createSqsServer } from "local-aws-sqs";
import { expect, test } from "vitest";
import { sampleBusEvent, sampleRecord, systemClock } from "../../src/index.ts";
import { closing, credentials, metrics, operatorsWorld, putAllBack } from "./world.ts";

const [metric] = metrics;
if (metric === undefined) throw new Error("the catalog is empty");
const streamArn = "arn:aws:firehose:eu-central-1:123456789012:deliverystream/product-events";

test("messages of both kinds leave another server's queue when they are where they belong, and those of neither stay", async () => {
  const server = await createSqsServer({ port: 0, hostname: "127.0.0.1" });
  closing.push(() => server.close());
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the server has no port");
  const client = new SQSClient({
    region: "us-east-1",
    credentials,
    endpoint: `http://127.0.0.1:${address.port}`,
  });
  closing.push(() => client.destroy());
  const { QueueUrl: url = "" } = await client.send(new CreateQueueCommand({ QueueName: "dead-letters" }));
  const attributes = {
    RULE_ARN: `arn:aws:events:eu-central-1:123456789012:rule/${metric.source.bus}/Fanout-Rules${metric.name.replaceAll("_", "")}0F-1X`,
    TARGET_ARN: streamArn,
    ERROR_CODE: "THROTTLING",
  };
  const busEvent = sampleBusEvent(metric);
  await client.send(
    new SendMessageCommand({
      QueueUrl: url,
      MessageBody: JSON.stringify(busEvent),
      MessageAttributes: Object.fromEntries(
        Object.entries(attributes).map(([name, value]) => [name, { DataType: "String", StringValue: value }]),
      ),
    }),
  );
  const s3 = { bucket: { name: "data" }, object: { key: "Data/1" } };
  const notification = { Records: [{ eventSource: "aws:s3", eventName: "ObjectCreated:Put", s3 }] };
  await client.send(new SendMessageCommand({ QueueUrl: url, MessageBody: JSON.stringify(notification) }));
  await client.send(new SendMessageCommand({ QueueUrl: url, MessageBody: "neither" }));

  const world = await operatorsWorld();
  const processed: string[] = [];
  const worker = {
    async process({ bucket, key }: { bucket: string; key: string }) {
      processed.push(key);
      return {
        object: { bucket, key, version: "1" },
        records: 0,
        valid: 0,
        invalid: 0,
        sinks: {},
        unread: false,
        settled: [],
        busy: [],
      };
    },
  };
  const queue = await world.open(url, { sqs: client, worker, clock: systemClock });
  const outcomes = await putAllBack(queue);
  expect(outcomes.map(({ status }) => status).sort()).toEqual(["delivered", "delivered", "refused"]);
  expect(processed).toEqual(["Data/1"]);
  expect((world.firehose.taken.get("product-events") ?? []).map((each) => JSON.parse(each))).toEqual([
    sampleRecord(metric),
  ]);
  await queue.close?.();

  const { Attributes: left } = await client.send(
    new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ["All"] }),
  );
  expect(left).toMatchObject({
    ApproximateNumberOfMessages: "1",
    ApproximateNumberOfMessagesNotVisible: "0",
  });
});
