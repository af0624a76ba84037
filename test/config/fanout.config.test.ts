import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createHubspotTwin } from "../../adapters/hubspot/twin.ts";
import makeConfig from "../../config/fanout.config.ts";
import {
  ConfigError,
  type ConfigRequest,
  type HttpClient,
  type HttpReply,
  type MetricEvent,
  resolveConfig,
  type SendContext,
  type Sink,
  systemClock,
} from "../../src/index.ts";
import { twinHttp } from "../../src/testing/index.ts";

type Env = Record<string, string | undefined>;

/** Everything that the default sinks need. */
const complete = {
  AWS_REGION: "eu-west-1",
  TIMESTREAM_DATABASE: "product",
  SEGMENT_WRITE_KEY: "key",
  MIXPANEL_TOKEN: "token",
  HUBSPOT_ACCESS_TOKEN: "token",
  WEBHOOK_URL: "https://hooks.acme.test/in?token=SECRET-MARKER",
  WEBHOOK_SECRET: `whsec_${"key+".repeat(8)}`,
} as const;

const resolve = (env: Env, sinks?: readonly string[]) =>
  resolveConfig(makeConfig, { env, ...(sinks && { sinks }) } satisfies ConfigRequest);

async function problemsOf(env: Env, sinks?: readonly string[]): Promise<readonly string[]> {
  try {
    await resolve(env, sinks);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}
const namesOf = async (env: Env, sinks?: readonly string[]) =>
  (await resolve(env, sinks)).sinks.map(({ name }) => name);

// What the AWS SDK finds on this machine is none of these tests' business.
beforeEach(() => {
  for (const name of ["AWS_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
    vi.stubEnv(name, undefined);
  vi.stubEnv("AWS_CONFIG_FILE", "/nonexistent/config");
  vi.stubEnv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials");
  vi.stubEnv("AWS_EC2_METADATA_DISABLED", "true");
});
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "fanout-config-"));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

describe("SINKS", () => {
  test("by default names one sink a vendor, HubSpot by custom events", async () => {
    expect(await namesOf(complete)).toEqual(["timestream", "segment", "mixpanel", "hubspot-events"]);
    expect(await resolve(complete)).toMatchObject({
      receipts: ".fanout/receipts",
      deadLetters: ".fanout/dead-letters",
    });
  });

  test("hubspot is what HUBSPOT_MODE says", async () => {
    expect(await namesOf({ ...complete, SINKS: "hubspot", HUBSPOT_MODE: "companies" })).toEqual([
      "hubspot-companies",
    ]);
    expect(await namesOf({ ...complete, SINKS: "hubspot", HUBSPOT_MODE: "events" })).toEqual([
      "hubspot-events",
    ]);
    expect(await problemsOf({ ...complete, SINKS: "hubspot", HUBSPOT_MODE: "contacts" })).toEqual([
      "HUBSPOT_MODE is not valid for the sink hubspot: it must be events or companies",
    ]);
  });

  test("every sink can be named, with spaces, empty places and doubles", async () => {
    const SINKS =
      " segment-groups, segment,,file ,hubspot,hubspot-events,hubspot-companies,mixpanel,timestream,file,webhook";
    const all = [
      "segment-groups",
      "segment",
      "file",
      "hubspot-events",
      "hubspot-companies",
      "mixpanel",
      "timestream",
      "webhook",
    ];
    expect(await namesOf({ ...complete, SINKS })).toEqual(all);
  });

  test("the command line's names come before the environment's", async () => {
    expect(await namesOf({ ...complete, SINKS: "mixpanel" }, ["file"])).toEqual(["file"]);
  });

  test.each(["", "  ", ",", " , "])("%j names no sink, rather than all of them", async (SINKS) => {
    expect(await problemsOf({ ...complete, SINKS })).toEqual(["SINKS names no sink"]);
    expect(await problemsOf(complete, SINKS.split(","))).toEqual(["--sinks names no sink"]);
  });

  test.each(["mixpannel", "constructor", "__proto__", "Segment"])(
    "%s is no sink, and the sentence says which are",
    async (name) => {
      expect(await problemsOf({ ...complete, SINKS: `file,${name}` })).toEqual([
        `there is no sink named "${name}"; known are timestream, segment, segment-groups, mixpanel, hubspot-events, hubspot-companies, file, webhook, hubspot`,
      ]);
    },
  );
});

describe("the webhook", () => {
  const SINKS = "webhook";

  test("takes plain http only where private addresses are allowed, and two secrets at once", async () => {
    const WEBHOOK_URL = "http://127.0.0.1:4010/in";
    expect(await namesOf({ ...complete, SINKS, WEBHOOK_URL, WEBHOOK_ALLOW_PRIVATE: "true" })).toEqual([
      "webhook",
    ]);
    const WEBHOOK_SECRET = `${complete.WEBHOOK_SECRET},whsec_${"a".repeat(86)}==`;
    expect(await namesOf({ ...complete, SINKS, WEBHOOK_SECRET, WEBHOOK_BATCH_SIZE: "500" })).toEqual([
      "webhook",
    ]);
  });

  test("gets the metrics of the catalog, and none that it does not know", async () => {
    const { routes, sinks } = await resolve({ ...complete, SINKS: "webhook,file" });
    expect(sinks.map(({ name }) => name)).toEqual(["webhook", "file"]);
    const reach = (metric: string) =>
      routes?.flatMap(({ metrics, sinks: to }) => (metrics === "*" || metrics.includes(metric) ? to : []));
    expect(reach("scan_completed")).toContain("webhook");
    expect(reach("of_nobody")).toEqual(["file"]);
  });
});

describe("a missing variable", () => {
  const needed: [string, string, Env][] = [
    ["webhook", "WEBHOOK_URL", {}],
    ["webhook", "WEBHOOK_SECRET", {}],
    ["timestream", "TIMESTREAM_DATABASE", {}],
    ["timestream", "AWS_REGION", {}],
    ["segment", "SEGMENT_WRITE_KEY", {}],
    ["segment-groups", "SEGMENT_WRITE_KEY", {}],
    ["mixpanel", "MIXPANEL_TOKEN", {}],
    ["mixpanel", "MIXPANEL_SERVICE_ACCOUNT", { MIXPANEL_SERVICE_SECRET: "s", MIXPANEL_PROJECT_ID: "1" }],
    ["mixpanel", "MIXPANEL_SERVICE_SECRET", { MIXPANEL_SERVICE_ACCOUNT: "a", MIXPANEL_PROJECT_ID: "1" }],
    ["mixpanel", "MIXPANEL_PROJECT_ID", { MIXPANEL_SERVICE_ACCOUNT: "a", MIXPANEL_SERVICE_SECRET: "s" }],
    ["hubspot-events", "HUBSPOT_ACCESS_TOKEN", {}],
    ["hubspot-companies", "HUBSPOT_ACCESS_TOKEN", {}],
  ];
  test.each(needed)(
    "of %s, %s, is one sentence that names both, absent or blank",
    async (sink, name, more) => {
      for (const blank of [undefined, "", " \n"]) {
        const env = { ...complete, ...more, SINKS: sink, [name]: blank };
        expect(await problemsOf(env)).toEqual([`${name} is not set; the sink ${sink} needs it`]);
      }
    },
  );

  test("does not hide the others: all problems of all sinks and stores are told at once", async () => {
    const env = {
      SINKS: "timestream,segment,mixpanel,hubspot,nothing",
      AWS_ENDPOINT_URL_TIMESTREAM_WRITE: "localhost",
      SEGMENT_HOST: "localhost:8080",
      MIXPANEL_SERVICE_ACCOUNT: "someone",
      MIXPANEL_HOST: "ftp://localhost",
      HUBSPOT_PORTAL_ID: "acme",
      RECEIPTS: "s3://",
      DEAD_LETTERS: "gs://bucket",
    };
    expect((await problemsOf(env)).map((problem) => problem.replace(/[;:].*/, ""))).toEqual([
      "TIMESTREAM_DATABASE is not set",
      "AWS_REGION is not set",
      "AWS_ENDPOINT_URL_TIMESTREAM_WRITE is not valid for the sink timestream",
      "SEGMENT_WRITE_KEY is not set",
      "SEGMENT_HOST is not valid for the sink segment",
      "MIXPANEL_SERVICE_SECRET is not set",
      "MIXPANEL_PROJECT_ID is not set",
      "MIXPANEL_HOST is not valid for the sink mixpanel",
      "HUBSPOT_ACCESS_TOKEN is not set",
      "HUBSPOT_PORTAL_ID is not valid for the sink hubspot-events",
      'there is no sink named "nothing"',
      "RECEIPTS is not valid",
      "DEAD_LETTERS is not valid",
    ]);
  });
});

describe("an invalid variable", () => {
  const hosts: [string, string][] = [
    ["timestream", "AWS_ENDPOINT_URL_TIMESTREAM_WRITE"],
    ["timestream", "AWS_ENDPOINT_URL"],
    ["segment", "SEGMENT_HOST"],
    ["segment-groups", "SEGMENT_HOST"],
    ["mixpanel", "MIXPANEL_HOST"],
    ["hubspot-events", "HUBSPOT_BASE_URL"],
    ["hubspot-companies", "HUBSPOT_BASE_URL"],
  ];
  test.each(hosts)("%s takes plain http and https for %s", async (sink, name) => {
    for (const url of ["http://127.0.0.1:4010", "http://localhost:8080/", "https://eu.vendor.test"]) {
      expect(await namesOf({ ...complete, SINKS: sink, [name]: url })).toEqual([sink]);
    }
  });

  const rubbish = [
    "localhost:8080",
    "vendor.test",
    "ftp://vendor.test",
    "http://",
    "http:///path",
    "http://two words",
    "http://127.0.0.1 ",
    "http://127.0.0.1:99999",
    "https://user:SECRET-MARKER@vendor.test",
    "https://vendor.test?key=SECRET-MARKER",
    "https://vendor.test#SECRET-MARKER",
  ];
  test.each(hosts)("%s refuses rubbish for %s", async (sink, name) => {
    for (const url of rubbish) {
      const problems = await problemsOf({ ...complete, SINKS: sink, [name]: url });
      expect(problems, url).toEqual([expect.stringContaining(`${name} is not valid for the sink ${sink}`)]);
      expect(problems.join()).not.toContain("SECRET-MARKER");
    }
  });

  test.each(hosts)("%s takes a blank %s for none", async (sink, name) => {
    expect(await namesOf({ ...complete, SINKS: sink, [name]: "" })).toEqual([sink]);
  });

  test("the write key of Segment does not cross a network in the clear", async () => {
    const env = { ...complete, SINKS: "segment", SEGMENT_HOST: "http://segment.test" };
    expect(await problemsOf(env)).toEqual([expect.stringMatching(/^SEGMENT_HOST is not valid: /)]);
  });

  const others: [string, string, string][] = [
    ["timestream", "TIMESTREAM_DATABASE", "two words"],
    ["timestream", "TIMESTREAM_DATABASE", "ab"],
    ["timestream", "AWS_REGION", "eu west 1"],
    ["segment", "SEGMENT_WRITE_KEY", "SECRET-MARKER\n"],
    ["webhook", "WEBHOOK_URL", "http://hooks.acme.test/SECRET-MARKER"],
    ["webhook", "WEBHOOK_URL", "https://user:SECRET-MARKER@hooks.acme.test"],
    ["webhook", "WEBHOOK_URL", "hooks.acme.test/SECRET-MARKER"],
    ["webhook", "WEBHOOK_SECRET", "SECRET-MARKER"],
    ["webhook", "WEBHOOK_SECRET", `whsec_${"key+".repeat(7)}`],
    ["webhook", "WEBHOOK_SECRET", `whsec_${"key+".repeat(8)},SECRET-MARKER`],
    ["webhook", "WEBHOOK_BATCH_SIZE", "0"],
    ["webhook", "WEBHOOK_BATCH_SIZE", "1e3"],
    ["webhook", "WEBHOOK_ALLOW_PRIVATE", "SECRET-MARKER"],
    ["mixpanel", "MIXPANEL_TOKEN", "SECRET-MARKER\u00a0"],
    ["hubspot-events", "HUBSPOT_ACCESS_TOKEN", "Bearer SECRET-MARKER"],
    ["hubspot-events", "HUBSPOT_PORTAL_ID", "pe1_SECRET-MARKER"],
    ["hubspot-companies", "HUBSPOT_CREATE_COMPANIES", "SECRET-MARKER"],
  ];
  test.each(others)(
    "of %s, %s, is one sentence that names both and does not quote it",
    async (sink, name, value) => {
      const problems = await problemsOf({ ...complete, SINKS: sink, [name]: value });
      expect(problems).toEqual([
        expect.stringMatching(`^${name} is not valid for the sink ${sink}: it must be `),
      ]);
      expect(problems.join()).not.toContain("SECRET-MARKER");
      expect(problems.join()).not.toContain(value);
    },
  );

  test("a place for the books that is none does not quote it, either", async () => {
    const env = {
      ...complete,
      SINKS: "file",
      RECEIPTS: "https://u:SECRET-MARKER@vendor.test",
      DEAD_LETTERS: "s3://",
    };
    expect(await problemsOf(env)).toEqual([
      "RECEIPTS is not valid: it has the scheme https, known are s3:// and file://",
      "DEAD_LETTERS is not valid: it names no bucket: write s3://bucket/prefix",
    ]);
  });
});

// ── what the sinks make of it ───────────────────────────────────────────────────────────────────────────────

const event: MetricEvent = {
  id: "e1",
  metricName: "scan_completed",
  tenantId: "tenant-1",
  time: Date.UTC(2026, 0, 1),
  metadata: { tenant_id: "tenant-1", tenant_name: "Acme" },
  data: { event_time: "2026-01-01T00:00:00Z", rows: 1 },
};

const unanswered: HttpReply = { status: 503, headers: {}, body: "" };

/** What a sink sends for one event, and what it answers or throws. */
async function send(sink: Sink<unknown>, http: HttpClient = () => Promise.resolve(unanswered)) {
  const encoded = sink.encode(event);
  if (!("payload" in encoded)) throw new Error("the sink does not want the event");
  const requests: { url: string; headers: Readonly<Record<string, string>>; body: string }[] = [];
  const item = { event, payload: encoded.payload, bytes: encoded.bytes };
  const context: SendContext = {
    attempt: 1,
    signal: AbortSignal.timeout(5_000),
    clock: systemClock,
    http(request, signal) {
      const body = Buffer.from(request.body ?? "").toString("utf8");
      requests.push({ url: request.url, headers: request.headers, body });
      return http(request, signal);
    },
  };
  const sent = sink.send({ partition: sink.partition?.(event) ?? "", items: [item] }, context);
  const [settled] = await Promise.allSettled([sent]);
  return { request: requests[0], settled };
}
const requestOf = async (sink: Sink<unknown>) => (await send(sink)).request;
const only = async (env: Env) => {
  const [sink] = (await resolve(env)).sinks;
  if (sink === undefined) throw new Error("no sink");
  return sink;
};
const basic = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`;

describe("every variable reaches its sink", () => {
  test("Mixpanel takes a token, or a service account, which comes first", async () => {
    const env = { SINKS: "mixpanel", MIXPANEL_TOKEN: "tok", MIXPANEL_HOST: "http://127.0.0.1:1" };
    expect(await requestOf(await only(env))).toMatchObject({
      url: "http://127.0.0.1:1/import?strict=1",
      headers: { authorization: basic("tok:") },
    });
    const account = {
      MIXPANEL_SERVICE_ACCOUNT: "me",
      MIXPANEL_SERVICE_SECRET: "hush",
      MIXPANEL_PROJECT_ID: "42",
    };
    expect(await requestOf(await only({ ...env, ...account }))).toMatchObject({
      url: "http://127.0.0.1:1/import?strict=1&project_id=42",
      headers: { authorization: basic("me:hush") },
    });
    // A project alone is no account.
    expect((await requestOf(await only({ ...env, MIXPANEL_PROJECT_ID: "42" })))?.url).not.toContain("42");
  });

  test("RATES is what a vendor grants the account, and WORKERS how many share it", async () => {
    const { sinks, workers } = await resolve({
      ...complete,
      SINKS: "segment,mixpanel",
      RATES: "mixpanel=12.5",
      WORKERS: "5",
    });
    expect(workers).toBe(5);
    const rates = new Map(sinks.map(({ name, limits }) => [name, limits.requestsPerSecond]));
    expect(rates.get("mixpanel")).toBe(12.5);
    expect(rates.get("segment")).not.toBe(12.5);
  });

  test.each([
    [{ RATES: "mixpanel" }, /^RATES .*must be sinks with their requests a second/],
    [{ RATES: "segment=5" }, /RATES names segment, which is none of the sinks: mixpanel/],
    [{ RATES: "mixpanel=0" }, /^RATES .*must be sinks with their requests a second/],
    [{ WORKERS: "0" }, /^WORKERS .*must be a whole number, 1 or more/],
  ])("%j is told in a sentence", async (env, sentence) => {
    const problems = await problemsOf({ ...complete, SINKS: "mixpanel", ...env });
    expect(problems).toEqual([expect.stringMatching(sentence)]);
  });

  test("Segment's key and host", async () => {
    const env = { SEGMENT_WRITE_KEY: "wk", SEGMENT_HOST: "http://127.0.0.1:1" };
    for (const SINKS of ["segment", "segment-groups"]) {
      expect(await requestOf(await only({ ...env, SINKS }))).toMatchObject({
        url: "http://127.0.0.1:1/v1/batch",
        headers: { authorization: basic("wk:") },
      });
    }
  });

  test("HubSpot's token, host and portal", async () => {
    const env = { SINKS: "hubspot", HUBSPOT_ACCESS_TOKEN: "tok", HUBSPOT_BASE_URL: "http://127.0.0.1:1" };
    for (const HUBSPOT_MODE of ["events", "companies"]) {
      const request = await requestOf(await only({ ...env, HUBSPOT_MODE }));
      expect(request?.url).toMatch(/^http:\/\/127\.0\.0\.1:1\//);
      expect(JSON.stringify(request?.headers)).toContain("Bearer tok");
    }
    const request = await requestOf(await only({ ...env, HUBSPOT_PORTAL_ID: "77" }));
    expect(request?.body).toContain("pe77_scan_completed");
  });

  test("HubSpot's unknown companies are made only where that is wished for", async () => {
    const env = { SINKS: "hubspot-companies", HUBSPOT_ACCESS_TOKEN: "tok" };
    const outcome = async (more: Env) => {
      const { settled } = await send(await only({ ...env, ...more }), twinHttp(createHubspotTwin().handle));
      return settled;
    };
    const refused = { value: [{ status: "rejected" }] };
    expect(await outcome({ HUBSPOT_CREATE_COMPANIES: "true" })).toMatchObject({
      value: [{ status: "delivered" }],
    });
    expect(await outcome({ HUBSPOT_CREATE_COMPANIES: "false" })).toMatchObject(refused);
    expect(await outcome({})).toMatchObject(refused);
  });

  test("Timestream's database, region and endpoint, its own before the one of all services", async () => {
    vi.stubEnv("AWS_ACCESS_KEY_ID", "id");
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", "secret");
    const env = { SINKS: "timestream", TIMESTREAM_DATABASE: "product", AWS_REGION: "eu-west-9" };
    const all = { ...env, AWS_ENDPOINT_URL: "http://127.0.0.1:1" };
    const request = await requestOf(await only(all));
    expect(request?.url).toBe("http://127.0.0.1:1/");
    expect(request?.body).toContain('"DatabaseName":"product"');
    expect(JSON.stringify(request?.headers)).toContain("/eu-west-9/timestream/aws4_request");
    const own = { ...all, AWS_ENDPOINT_URL_TIMESTREAM_WRITE: "http://127.0.0.1:2" };
    expect((await requestOf(await only(own)))?.url).toBe("http://127.0.0.1:2/");
  });

  test("the file sink's folder, and the books'", async () => {
    const env = { SINKS: "file", FILE_DIRECTORY: folder, RECEIPTS: "s3://books/r", DEAD_LETTERS: "letters" };
    expect(await resolve(env)).toMatchObject({ receipts: "s3://books/r", deadLetters: "letters" });
    await requestOf(await only(env));
    expect(await readdir(folder)).toEqual(["tenant-1"]);
  });
});

describe("AWS", () => {
  const env = {
    SINKS: "timestream",
    TIMESTREAM_DATABASE: "product",
    AWS_ENDPOINT_URL_TIMESTREAM_WRITE: "http://127.0.0.1:1",
  };

  test("without a region Timestream fails the start, by name, though its endpoint is known", async () => {
    expect(await problemsOf(env)).toEqual(["AWS_REGION is not set; the sink timestream needs it"]);
  });

  test("a region may come from the profile instead", async () => {
    await writeFile(path.join(folder, "config"), "[default]\nregion = eu-north-1\n");
    vi.stubEnv("AWS_CONFIG_FILE", path.join(folder, "config"));
    vi.stubEnv("AWS_ACCESS_KEY_ID", "id");
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", "secret");
    const request = await requestOf(await only(env));
    expect(JSON.stringify(request?.headers)).toContain("/eu-north-1/timestream/aws4_request");
  });

  test("without credentials the sink says so and is unavailable, rather than tried for ever", async () => {
    const { request, settled } = await send(await only({ ...env, AWS_REGION: "eu-west-1" }));
    expect(request).toBeUndefined();
    expect(settled).toMatchObject({
      status: "rejected",
      reason: { code: "SINK_UNAVAILABLE", message: expect.stringContaining("AWS credentials") },
    });
  });
});
