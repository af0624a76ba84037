// In which region Firehose's refusals are put back: told by the document or by the operator, never by the shell.
import { expect, test, vi } from "vitest";
import { createOpenQueue } from "../../src/queues/open.ts";
import { injectFaults, serveTwin } from "../../src/testing/index.ts";
import { closing, entriesOf, metrics, operatorsWorld, order, putAllBack } from "./world.ts";

const document = (more: object = {}) =>
  `${JSON.stringify({
    rawData: "e30=",
    errorCode: "Lambda.ProcessingFailedStatus",
    errorMessage: "ProcessingFailed status set for record",
    attemptsMade: 1,
    ...more,
  })}\n`;
const arn = (region: string) => `arn:aws:lambda:${region}:123456789012:function:transform`;

/** A shell that is configured for eu-central-1, and for which region each put was signed. */
async function shell() {
  const world = await operatorsWorld();
  const signedFor: string[] = [];
  const served = await serveTwin(
    injectFaults(world.firehose.handle, (request) => {
      signedFor.push(/\/\d{8}\/([^/]+)\//.exec(request.headers.get("authorization") ?? "")?.[1] ?? "");
      return undefined;
    }),
  );
  closing.push(served.close);
  for (const [name, value] of Object.entries(world.env)) vi.stubEnv(name, value);
  vi.stubEnv("AWS_ENDPOINT_URL_FIREHOSE", served.url);
  closing.push(() => vi.unstubAllEnvs());
  const warnings: unknown[] = [];
  const open = createOpenQueue({
    deadLetters: world.deadLetters,
    worker: { process: () => Promise.reject(new Error("there is no notification")) },
    clock: world.clock,
    log: { debug() {}, info() {}, error() {}, warn: (_, fields) => warnings.push(fields) },
  });
  return { world, signedFor, warnings, open };
}

test.each(["lambdaARN", "lambdaArn"])(
  "a put goes where the transform of the document is: %s",
  async (name) => {
    const { world, signedFor, open } = await shell();
    await world.putObject(document({ [name]: arn("us-west-2") }));
    const queue = await open(world.folder);
    expect(await putAllBack(queue)).toEqual([{ status: "delivered" }]);
    expect(signedFor).toEqual(["us-west-2"]);
    await queue.close?.();
  },
);

test("records of two regions in one object go each to its own", async () => {
  const { world, signedFor, open } = await shell();
  await world.putObject(
    document({ lambdaARN: arn("us-west-2") }) + document({ lambdaArn: arn("us-east-1") }),
  );
  const queue = await open(world.folder);
  expect(await putAllBack(queue)).toEqual([{ status: "delivered" }, { status: "delivered" }]);
  expect(signedFor.toSorted()).toEqual(["us-east-1", "us-west-2"]);
  await queue.close?.();
});

test.each([{}, { lambdaARN: "" }, { lambdaARN: "transform" }, { lambdaArn: null }])(
  "a document that names no region is put nowhere, and stays: %j",
  async (more) => {
    const { world, signedFor, warnings, open } = await shell();
    await world.putObject(document(more) + document(more));
    const queue = await open(world.folder);
    const entries = await entriesOf(queue);
    const refusal = {
      code: "REGION_UNKNOWN",
      reason: expect.stringMatching(/ in which region the stream is: add \?region=<region> to the address$/),
    };
    for (const entry of entries) expect(await queue.judge(entry)).toEqual({ status: "fails", ...refusal });
    // Said once, and not for each record.
    expect(warnings).toEqual([{ reason: refusal.reason }]);
    expect(await queue.putBack(entries, order)).toEqual(
      entries.map(() => ({ status: "refused", ...refusal })),
    );
    expect(signedFor).toEqual([]);
    expect(await entriesOf(queue)).toHaveLength(2);
    await queue.close?.();
  },
);

test.each([
  "?region=us-west-2",
  "?stream=product-events&region=us-west-2",
  "?region=us-west-2&stream=product-events",
])("%s says it for all documents, whatever they say themselves", async (query) => {
  const { world, signedFor, open } = await shell();
  await world.putObject(document() + document({ lambdaARN: arn("us-east-1") }));
  const queue = await open(`${world.folder}${query}`);
  expect(await putAllBack(queue)).toEqual([{ status: "delivered" }, { status: "delivered" }]);
  expect(signedFor).toEqual(["us-west-2"]);
  await queue.close?.();
});

test.each([
  ["?region=", "is no AWS region, such as eu-central-1"],
  ["?region=frankfurt", "is no AWS region, such as eu-central-1"],
  ["?stream=a&stream=b", "the address says stream twice"],
  ["?stream=a&rgion=us-west-2", "says nothing that is known"],
])("an address that ends in %s is refused", async (query, sentence) => {
  const world = await operatorsWorld();
  await expect(world.open(`${world.folder}${query}`)).rejects.toThrow(sentence);
});

test("without a catalog a region is as much wanted as with one", async () => {
  const world = await operatorsWorld();
  await world.putObject(document());
  for (const options of [{ noCatalog: true } as const, { metrics }]) {
    const queue = await world.open(world.folder, options);
    const [entry] = await entriesOf(queue);
    expect(entry && (await queue.judge(entry))).toMatchObject({ status: "fails", code: "REGION_UNKNOWN" });
  }
});
