// Lambda's on-failure destination as a bucket: what the worker was asked is put back through the worker.
import { readdir } from "node:fs/promises";
import { expect, test } from "vitest";
import { ObjectBusy, systemClock } from "../../src/index.ts";
import { StoreError } from "../../src/store/object-store.ts";
import { world as s3World } from "../store/s3-world.ts";
import * as worlds from "../support/world.ts";
import {
  dropOrder,
  entriesOf,
  objectName,
  operatorsWorld,
  order,
  putAllBack,
  scriptedWorker,
} from "./world.ts";

const name = (second: number) => `2026-11-20T09.30.0${second}-5f3c1f6e-2d1b-4c5a-9a53-0c6b1f0e7a11`;
const prefix = "aws/lambda/async/worker/2026/11/20/";
const created = (...keys: string[]) => ({
  Records: keys.map((key) => ({
    eventName: "ObjectCreated:Put",
    s3: { bucket: { name: "data" }, object: { key } },
  })),
});
const invocation = (requestPayload: unknown) =>
  JSON.stringify({
    version: "1.0",
    requestContext: {
      requestId: "r",
      functionArn: "arn:aws:lambda:eu-central-1:123456789012:function:worker:$LATEST",
      condition: "RetriesExhausted",
      approximateInvokeCount: 3,
    },
    requestPayload,
    responsePayload: { errorMessage: "SECRET" },
  });

test("an invocation in a bucket goes back to the worker, once, through the books; then its document is gone", async () => {
  const world = await operatorsWorld();
  const s3 = await s3World();
  const pipeline = worlds.createWorld();
  pipeline.putEvents("a", 5);
  const sink = worlds.scriptedSink("a");
  const worker = pipeline.worker([sink], { clock: systemClock });
  for (const second of [1, 2]) s3.twin.put("bucket", `${prefix}${name(second)}`, invocation(created("a")));
  const queue = await world.open(`s3://bucket/${prefix}`, { s3: s3.client, worker, clock: systemClock });
  const entries = await entriesOf(queue);
  expect(entries).toMatchObject(
    [1, 2].map((second) => ({
      code: "NOT_ACKNOWLEDGED",
      reason: "Lambda ended the worker's asynchronous invocation with RetriesExhausted",
      attempts: 3,
      place: `s3://bucket/${prefix}${name(second)}, record 1`,
    })),
  );
  expect(JSON.stringify(entries.map(({ content: _, ...entry }) => entry))).not.toContain("SECRET");
  const [first] = entries;
  expect(first && (await queue.judge(first))).toMatchObject({ status: "unknown" });
  expect(await queue.putBack(entries, order)).toEqual([{ status: "delivered" }, { status: "delivered" }]);
  expect([...sink.stored.values()]).toEqual([1, 1, 1, 1, 1]);
  expect(s3.twin.keys("bucket")).toEqual([]);
  expect([...world.deadLetters.objects.keys()]).toEqual([]);
});

test("what fails stays with its reason, and costs neither its neighbours nor Firehose's records anything", async () => {
  const world = await operatorsWorld();
  const { worker, processed } = scriptedWorker(({ key }) => {
    if (key === "gone") throw new StoreError("NOT_FOUND", "it is gone");
    if (key === "busy") throw new ObjectBusy("another worker has it");
  });
  const refused = JSON.stringify({
    errorCode: "Lambda.FunctionError",
    rawData: Buffer.from("{}").toString("base64"),
    lambdaARN: "arn:aws:lambda:eu-central-1:123456789012:function:transform",
  });
  await world.putObject(refused, objectName);
  await world.putObject(invocation(created("fine", "gone")), name(1));
  await world.putObject(invocation(created("busy")), name(2));
  await world.putObject(invocation(created("fine", "Error/x")), name(3));
  await world.putObject(invocation({ bucket: "data" }), name(4));
  const queue = await world.open(world.folder, { worker, noCatalog: true });
  const outcomes = await putAllBack(queue);
  expect(outcomes).toEqual(
    expect.arrayContaining([
      { status: "refused", code: "NOT_FOUND", reason: "it is gone" },
      { status: "kept", reason: "another worker has it" },
      { status: "delivered" },
      { status: "refused", code: "MESSAGE_UNKNOWN", reason: "the message is no S3 notification" },
    ]),
  );
  expect(outcomes.filter(({ status }) => status === "delivered")).toHaveLength(2);
  expect(processed.toSorted()).toEqual(["data/busy", "data/fine", "data/fine", "data/gone"]);
  expect(world.firehose.taken.get("product-events")).toEqual(["{}"]);
  expect((await readdir(world.folder)).toSorted()).toEqual([name(1), name(2), name(4)]);
});

test("one that says nothing that is known is judged to fail, is not to be dropped unseen, and is kept in the archive", async () => {
  const world = await operatorsWorld();
  const body = invocation({ bucket: "data" });
  await world.putObject(body, name(1));
  const queue = await world.open(world.folder);
  const entries = await entriesOf(queue);
  expect(entries).toMatchObject([
    { code: "MESSAGE_UNKNOWN", action: expect.stringContaining("deliver the object with fanout run") },
  ]);
  for (const entry of entries) expect(await queue.judge(entry)).toMatchObject({ status: "fails" });
  await queue.drop(entries, dropOrder);
  expect(world.archived()).toMatchObject([{ record: body }]);
  expect(await readdir(world.folder)).toEqual([]);
});

test("two operators at once: while one has the objects of an invocation processed, the other waits", async () => {
  const world = await operatorsWorld();
  await world.putObject(invocation(created("a")), name(1));
  const meanwhile: unknown[] = [];
  const other = scriptedWorker();
  const first = await world.open(world.folder, {
    worker: {
      async process(ref) {
        const second = await world.open(world.folder, { worker: other.worker });
        meanwhile.push(...(await putAllBack(second)));
        return await scriptedWorker().worker.process(ref);
      },
    },
  });
  expect(await putAllBack(first)).toEqual([{ status: "delivered" }]);
  expect(meanwhile).toEqual([{ status: "kept", reason: expect.any(String) }]);
  expect(other.processed).toEqual([]);
});
