// The bundles that are deployed: each holds its own adapter alone, and does its work with the rights of its role.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import metrics from "../../config/metrics/index.ts";
import { type Bundle, bundle, type Entry } from "../../infra/bundle.ts";
import { adaptersOf } from "../../infra/sinks.ts";
import {
  fieldsOf,
  flatten,
  listOf,
  type Resource,
  type Statement,
  statementsOf,
} from "../../infra/template.ts";
import { generateObjects } from "../../samples/generate.ts";
import { sampleRecord } from "../../src/routing/event-rules.ts";
import { type Fault, serveTwin } from "../../src/testing/index.ts";
import { createS3Twin } from "../support/s3-twin.ts";
import { type SinkName, serveVendors, sinkNames, type Vendors } from "../support/vendors.ts";
import { invoke } from "./invoke.ts";
import { type Guard, guardS3, secretsTwin } from "./policy.ts";
import { type Synthesised, synthesise } from "./synthesised.ts";

const marker = "SECRET-MARKER";
const { objects } = generateObjects({ now: Date.now(), records: 60, tenants: 3, objects: 1 });
const groups: readonly (readonly SinkName[])[] = [sinkNames];

let perSink: Synthesised;
let single: Synthesised;
const open: { close(): Promise<void> }[] = [];

beforeAll(() => {
  perSink = synthesise({ sinks: sinkNames });
  single = synthesise({ sinks: sinkNames, topology: "single" });
  // Four seconds of a core, which a busy machine may not have at once.
}, 60_000);
afterAll(async () => {
  await Promise.all(open.map((each) => each.close()));
});

/** Vendors, and the secrets that open them. */
interface World {
  readonly vendors: Vendors;
  readonly secrets: Readonly<Record<string, string>>;
}

async function createWorld(): Promise<World> {
  const vendors = await serveVendors();
  open.push(vendors);
  const variables = (names: RegExp) =>
    Object.fromEntries(Object.entries(vendors.env).filter(([name]) => names.test(name)));
  const secrets = {
    "fanout/segment": JSON.stringify({ ...variables(/^SEGMENT_/), SEGMENT_WRITE_KEY: `${marker}-1` }),
    "fanout/mixpanel": JSON.stringify(variables(/^MIXPANEL_/)),
    "fanout/hubspot": JSON.stringify({ ...variables(/^HUBSPOT_/), HUBSPOT_ACCESS_TOKEN: `${marker}-2` }),
  };
  return { vendors, secrets };
}

/** Refused by every vendor at once, as a wrong credential is. */
const denied: Fault = { kind: "status", status: 403, body: '{"__type":"AccessDeniedException"}' };

/** One function of a template in a world of its own: its bundle, its variables, its role, and an S3 that heeds it. */
async function deploy(
  { vendors, secrets }: World,
  entry: Entry,
  sinks: readonly string[],
  s3 = createS3Twin({ buckets: ["data", "books"] }),
) {
  const { resources } = sinks.length === 1 ? perSink : single;
  const place = sinks.length === 1 ? sinks.join("") : "all";
  const find = (id: RegExp, type: string): Resource => {
    const found = resources.find((each) => each.type === type && id.test(each.id));
    if (found === undefined) throw new Error(`no ${type} is called ${id}`);
    return found;
  };
  const construct = entry === "worker" ? "Worker" : "Replayer";
  const name = `FanoutDelivery${place.replaceAll("-", "")}${construct}`;
  const lambda = find(new RegExp(`^${name}[0-9A-F]{8}$`), "AWS::Lambda::Function");
  const role = find(new RegExp(`^${name}Role[0-9A-F]{8}$`), "AWS::IAM::Role");
  const bucket = (id: string) => find(new RegExp(`^FanoutStorage${id}[0-9A-F]{8}$`), "AWS::S3::Bucket").id;
  const [data, books] = [bucket("Data"), bucket("Books")];
  const statements = (): readonly Statement[] => statementsOf([role]);
  const guard: Guard = guardS3(s3.handle, statements, { data: `<${data}.Arn>`, books: `<${books}.Arn>` });
  const [s3Url, secretsUrl] = await Promise.all(
    [guard.handle, secretsTwin(secrets, statements)].map(async (handle) => {
      const twin = await serveTwin(handle);
      open.push(twin);
      return twin.url;
    }),
  );
  const variables = Object.entries(fieldsOf(fieldsOf(lambda.properties["Environment"])["Variables"])).map(
    ([key, value]) => [key, flatten(value).replace(`<${books}>`, "books")],
  );
  const env: Readonly<Record<string, string>> = {
    ...Object.fromEntries(variables),
    // What Lambda sets itself, and where AWS is in this world.
    AWS_REGION: "us-east-1",
    AWS_ACCESS_KEY_ID: "test",
    AWS_SECRET_ACCESS_KEY: `${marker}-3`,
    AWS_ENDPOINT_URL_S3: s3Url,
    AWS_ENDPOINT_URL_SECRETS_MANAGER: secretsUrl,
    AWS_ENDPOINT_URL_TIMESTREAM_WRITE: vendors.env["AWS_ENDPOINT_URL_TIMESTREAM_WRITE"],
  };
  return { env, guard, s3, ...bundle(entry, adaptersOf(sinks), metrics) };
}

/** What SQS hands over: S3's notification as SNS delivers it raw. */
function queued(key: string, eTag: string) {
  const s3 = { bucket: { name: "data" }, object: { key: encodeURIComponent(key), eTag, size: 1 } };
  const body = JSON.stringify({ Records: [{ eventSource: "aws:s3", eventName: "ObjectCreated:Put", s3 }] });
  return { Records: [{ messageId: key, eventSource: "aws:sqs", body }] };
}

function metricOf(lines: readonly string[], metric: string, sink: string): number {
  return lines
    .map((line) => fieldsOf(JSON.parse(line)))
    .filter((each) => "_aws" in each && each["Sink"] === sink && metric in each)
    .reduce((sum, each) => sum + Number(each[metric]), 0);
}

describe("a bundle", () => {
  const packages: Readonly<Record<SinkName, RegExp>> = {
    timestream: /node_modules\/@aws-sdk\/client-timestream-write\//,
    segment: /node_modules\/@segment\//,
    mixpanel: /node_modules\/mixpanel\//,
    "hubspot-events": /node_modules\/@hubspot\//,
  };
  const holds = ({ inputs }: Bundle, pattern: RegExp) =>
    [...inputs.keys()].some((file) => pattern.test(file));

  test.each(sinkNames)("for %s holds its adapter, and no other's, nor another vendor's code", (sink) => {
    for (const entry of ["worker", "replayer"] as const) {
      const made = bundle(entry, adaptersOf([sink]), metrics);
      const adapters = [...made.inputs.keys()].flatMap((file) => /^adapters\/([^/]+)/.exec(file)?.[1] ?? []);
      expect([...new Set(adapters)]).toEqual(adaptersOf([sink]));
      for (const [name, pattern] of Object.entries(packages)) {
        // Not every adapter sends by its vendor's SDK.
        if (name !== sink) expect([name, holds(made, pattern)]).toEqual([name, false]);
      }
    }
  });

  test("holds no test, no twin and no tool of the build", () => {
    for (const entry of ["worker", "replayer", "transform"] as const) {
      const made = bundle(entry, entry === "transform" ? [] : adaptersOf(sinkNames), metrics);
      expect(holds(made, /^(test|samples|bench)\/|\/twin\.ts$|^src\/(cli|testing)\//)).toBe(false);
      expect(holds(made, /node_modules\/(aws-cdk-lib|esbuild|vitest|commander)\//)).toBe(false);
    }
  });

  test("stays small: its size is most of its cold start", () => {
    const kilobytes = (entry: Entry, sinks: readonly string[]) =>
      Math.round(bundle(entry, adaptersOf(sinks), metrics).bytes / 1000);
    expect(kilobytes("transform", [])).toBeLessThan(800);
    for (const sink of sinkNames) expect(kilobytes("worker", [sink])).toBeLessThan(1400);
    expect(kilobytes("worker", sinkNames)).toBeLessThan(1800);
  });
});

describe.each(groups.map((sinks) => ({ name: sinks.join(", "), sinks })))(
  "the functions of $name",
  ({ sinks }) => {
    test("deliver an object, and what was pending of it, with the rights of their roles", async () => {
      const [{ key, bytes } = { key: "", bytes: Buffer.alloc(0) }] = objects;
      const world = await createWorld();
      const { vendors } = world;
      const { env, guard, s3, directory } = await deploy(world, "worker", sinks);
      const event = queued(key, s3.put("data", key, bytes));
      const [down = "mixpanel"] = sinks;

      vendors.faults[down] = denied;
      const first = await invoke(directory, event, env);
      delete vendors.faults[down];
      expect(first).toMatchObject({ code: 0, answer: { batchItemFailures: [] } });
      expect([...guard.denied]).toEqual([]);
      for (const sink of sinks)
        expect(metricOf(first.lines, "Delivered", sink)).toBe(vendors.stored[sink].size);
      const pending = metricOf(first.lines, "Pending", down);
      expect(pending).toBeGreaterThan(0);

      const [deferral = ""] = s3.keys("books", `receipts/deferrals/sink=${down}/`);
      const document = fieldsOf(JSON.parse(String(s3.get("books", deferral))));
      s3.put("books", deferral, JSON.stringify({ ...document, nextAttemptAt: 0, sinkNotBefore: 0 }));
      const replayer = await deploy(world, "replayer", sinks, s3);
      const second = await invoke(replayer.directory, {}, replayer.env);
      expect(second).toMatchObject({ code: 0, answer: { waiting: 1, settled: 1, failed: 0 } });
      expect([...replayer.guard.denied]).toEqual([]);
      expect(s3.keys("books", "receipts/deferrals/")).toEqual([]);
      expect(vendors.stored[down].size).toBeGreaterThan(0);
      expect(second.lines.join("\n")).not.toContain(`"PendingAge"`);
      expect(metricOf(second.lines, "WaitingDeadLetters", "_intake")).toBeGreaterThan(0);
      // Nothing is granted that nobody needs.
      expect([...new Set([...guard.used, ...replayer.guard.used])].sort()).toEqual([
        "s3:DeleteObject",
        "s3:GetObject",
        "s3:ListBucket",
        "s3:PutObject",
      ]);
      expect([...first.lines, ...second.lines].join("\n")).not.toContain(marker);
    });
  },
);

describe("a cold start fails with one sentence, and without a secret", () => {
  let world: World;
  beforeAll(async () => {
    world = await createWorld();
  });

  const cold = async (sink: SinkName, change: { secret?: string; env?: Record<string, string> }) => {
    const name = `fanout/${adaptersOf([sink]).join("")}`;
    const { [name]: _, ...others } = world.secrets;
    const own = change.secret === undefined ? {} : { [name]: change.secret };
    const { env, directory } = await deploy({ ...world, secrets: { ...others, ...own } }, "worker", [sink]);
    const { code, lines } = await invoke(directory, { Records: [] }, { ...env, ...change.env });
    expect(code).toBe(1);
    expect(lines.join("\n")).not.toContain(marker);
    return lines.join("\n");
  };

  test("when a secret is missing", async () => {
    const said = await cold("mixpanel", {});
    expect(said).toContain("the secret fanout/mixpanel could not be read (ResourceNotFoundException)");
  });

  test("when a secret is another function's", async () => {
    const said = await cold("mixpanel", { env: { SECRETS: "fanout/hubspot" } });
    expect(said).toContain("the secret fanout/hubspot could not be read (AccessDeniedException)");
  });

  test.each([
    ["no JSON", marker],
    ["a list", `["${marker}"]`],
    ["a number in the place of text", `{"SEGMENT_WRITE_KEY":"${marker}","SEGMENT_HOST":1}`],
  ])("when a secret holds %s", async (_, secret) => {
    const said = await cold("segment", { secret });
    expect(said).toContain("the secret fanout/segment must be a JSON object of variables");
  });

  test("when a secret lacks a variable", async () => {
    const said = await cold("hubspot-events", { secret: "{}" });
    expect(said).toContain("HUBSPOT_ACCESS_TOKEN is not set");
  });
});

test("the transform's bundle knows the catalog: its records go on with a newline, others are refused", async () => {
  const { directory } = bundle("transform", [], metrics);
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64");
  const records = [
    ...metrics.map((metric) => ({ recordId: metric.name, data: encode(sampleRecord(metric)) })),
    { recordId: "unknown", data: encode({ metric_name: "unknown" }) },
  ];
  const event = { deliveryStreamArn: "arn", records };
  const { answer } = await invoke(directory, event, { AWS_REGION: "us-east-1" });
  const results = listOf(fieldsOf(answer)["records"]).map(fieldsOf);
  expect(results.map(({ recordId, result }) => [recordId, result])).toEqual([
    ...metrics.map(({ name }) => [name, "Ok"]),
    ["unknown", "ProcessingFailed"],
  ]);
  const lines = results.slice(0, -1).map(({ data }) => Buffer.from(String(data), "base64").toString());
  for (const line of lines) expect(line).toMatch(/^[^\n]+\n$/);
  expect(lines.map((line) => fieldsOf(JSON.parse(line))["metric_name"])).toEqual(
    metrics.map(({ name }) => name),
  );
});
