// What Firehose and EventBridge do to records on their way, and what the vendors hold in the end.
import { afterEach, expect, test } from "vitest";
import { hubspotEventsSink } from "../../adapters/hubspot/index.ts";
import { mixpanelSink } from "../../adapters/mixpanel/index.ts";
import { segmentSink } from "../../adapters/segment/index.ts";
import { timestreamSink } from "../../adapters/timestream/index.ts";
import { createHttp, systemClock } from "../../src/index.ts";
import { serveVendors, sinkNames } from "../support/vendors.ts";
import { createWorld, eventRecord, idsOf, scriptedSink } from "../support/world.ts";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

/** The four vendors on loopback, and a worker with their sinks. */
async function fourVendors() {
  const vendors = await serveVendors();
  closing.push(() => vendors.close());
  const at = (name: string) => vendors.env[name] ?? "";
  const sinks = [
    hubspotEventsSink({ accessToken: "token", baseUrl: at("HUBSPOT_BASE_URL") }),
    mixpanelSink({ token: "token", host: at("MIXPANEL_HOST") }),
    segmentSink({ writeKey: "key", host: at("SEGMENT_HOST") }),
    timestreamSink({
      database: "product",
      region: "us-east-1",
      endpoint: at("AWS_ENDPOINT_URL_TIMESTREAM_WRITE"),
      credentials: { accessKeyId: "test", secretAccessKey: "test" },
    }),
  ];
  const http = createHttp();
  closing.push(http.close);
  const world = createWorld();
  const worker = world.worker(sinks, { clock: systemClock, http: http.send });
  closing.push(() => worker.close());
  const put = (key: string, ...records: readonly object[]) => {
    const bytes = Buffer.from(records.map((record) => JSON.stringify(record)).join("\n"));
    world.source.objects.set(key, { bytes, lastModified: Date.now() });
  };
  return { vendors, world, put, process: (key: string) => worker.process({ bucket: "source", key }) };
}

/** An event of now, since Timestream takes none that is older than its memory. */
function record(fields: object, id?: string, more: object = {}): object {
  const metadata = { tenant_id: "acme", ...(id === undefined ? {} : { event_id: id }), ...more };
  return {
    metric_name: "findings_upload_completed",
    metadata,
    data: { event_time: new Date().toISOString(), count: 1, ...fields },
  };
}

const ofEach = <T>(value: T) => Object.fromEntries(sinkNames.map((name) => [name, value]));

test("a record that Firehose delivered twice, in two objects, is one event at each vendor, by its event_id", async () => {
  const { vendors, put, process } = await fourVendors();
  const twice = record({}, "e-1");
  put("one", twice);
  put("other", record({ more: true }, "e-2"), twice);
  expect((await process("one")).sinks).toMatchObject(ofEach({ delivered: 1 }));
  expect((await process("other")).sinks).toMatchObject(ofEach({ delivered: 2, deadLettered: 0, pending: 0 }));
  for (const name of sinkNames) expect([...vendors.stored[name].values()], name).toEqual([1, 1]);
});

test("without an event_id the same record in two objects is two events: nothing tells them from two real ones", async () => {
  const { vendors, put, process } = await fourVendors();
  const twice = record({});
  put("one", twice);
  put("other", twice);
  for (const key of ["one", "other"]) {
    expect((await process(key)).sinks).toMatchObject(ofEach({ delivered: 1, pending: 0 }));
  }
  for (const name of sinkNames) expect([...vendors.stored[name].values()], name).toEqual([1, 1]);
});

test("what EventBridge's template did not find may be absent, empty or null: the event reaches each vendor", async () => {
  const { vendors, world, put, process } = await fourVendors();
  const lacking = [{}, { region: "" }, { region: null }].map((fields, index) => record(fields, `e-${index}`));
  const empty = [null, ""].map((user_id, index) => {
    return record({}, `m-${index}`, { user_id, environment: user_id });
  });
  put("a", ...lacking, ...empty);
  const { valid, invalid, sinks } = await process("a");
  expect({ valid, invalid }).toEqual({ valid: 5, invalid: 0 });
  expect(sinks).toMatchObject(ofEach({ delivered: 5, deadLettered: 0, pending: 0 }));
  expect(await world.letters()).toEqual([]);
  for (const name of sinkNames) expect([...vendors.stored[name].values()], name).toEqual([1, 1, 1, 1, 1]);
});

test("Firehose's own refusals, delivered as if they were events, are letters with their bytes, and reach no sink", async () => {
  const world = createWorld();
  const refusal = (attemptsMade: string | number) => ({
    attemptsMade,
    arrivalTimestamp: attemptsMade === 4 ? 1767225600000 : "1767225600000",
    errorCode: "Lambda.FunctionError",
    errorMessage: "The Lambda function returned an error.",
    attemptEndingTimestamp: 1767225601000,
    rawData: Buffer.from(JSON.stringify(eventRecord(9))).toString("base64"),
    lambdaArn: "arn:aws:lambda:eu-west-1:1:function:transform",
  });
  const documents = [refusal(4), refusal("4")].map((document) => JSON.stringify(document));
  const bytes = Buffer.from(documents.join("\n"));
  world.source.objects.set("renamed/2026/x", { bytes, lastModified: world.clock.now() });
  const sink = scriptedSink("a");
  const report = await world.clock.run(
    world.worker([sink]).process({ bucket: "source", key: "renamed/2026/x" }),
  );
  expect(report).toMatchObject({ valid: 0, invalid: 2 });
  const letters = await world.letters();
  expect(letters.map(({ sink: lane, code }) => [lane, code])).toEqual([
    ["_intake", "METRIC_NAME_MISSING"],
    ["_intake", "METRIC_NAME_MISSING"],
  ]);
  expect(letters.map((letter) => letter.record)).toEqual(documents);
  expect(sink.requests).toEqual([]);
});

test("a record as large as Firehose takes, and one that the transform made larger still, are read", async () => {
  const world = createWorld();
  const sizes = [1000 * 1024, 4 * 1024 * 1024];
  const lines = sizes.map((size, index) => {
    const text = JSON.stringify({ ...eventRecord(index), padding: "" });
    return text.replace('"padding":""', `"padding":"${"x".repeat(size - text.length)}"`);
  });
  expect(lines.map((line) => line.length)).toEqual(sizes);
  world.source.objects.set("a", { bytes: Buffer.from(lines.join("")), lastModified: world.clock.now() });
  const sink = scriptedSink("a");
  await world.clock.run(world.worker([sink]).process({ bucket: "source", key: "a" }));
  expect([...sink.stored.keys()]).toEqual(idsOf(2));
});
