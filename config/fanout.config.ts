// The configuration that ships: every sink that the environment names, and of events what the catalog says.
import * as z from "zod";
import {
  ConfigError,
  catalogRoutes,
  defineConfig,
  type JsonObject,
  type Metric,
  type MetricEvent,
  openStore,
  type Sink,
  StoreError,
} from "../src/index.ts";
import metrics from "./metrics/index.ts";
import { numbersBySink, ratesForm } from "./rates.ts";

/** Variables that are set to something: a blank one counts as absent. */
type Env = Readonly<Record<string, string | undefined>>;

/**
 * By name. An adapter is imported only where it is configured, after its variables have been found right: a
 * vendor's SDK costs up to 120 ms of a cold start.
 */
const makers: Readonly<Record<string, (env: Env, name: string) => Promise<Sink<unknown>>>> = {
  timestream: async (env, name) => {
    const options = await timestreamOptions(env, name);
    const { timestreamSink } = await import("../adapters/timestream/index.ts");
    return timestreamSink({ ...options, measures: measureTypes(metrics) });
  },
  segment: async (env, name) => {
    const options = segmentOptions(env, name);
    const { segmentSink } = await import("../adapters/segment/index.ts");
    return blamingHost(() => segmentSink({ ...options, eventName: namesAt(name), properties: allFields }));
  },
  "segment-groups": async (env, name) => {
    const options = segmentOptions(env, name);
    const { segmentGroupsSink } = await import("../adapters/segment/index.ts");
    return blamingHost(() => segmentGroupsSink(options));
  },
  mixpanel: async (env, name) => {
    const options = mixpanelOptions(env, name);
    const { mixpanelSink } = await import("../adapters/mixpanel/index.ts");
    return mixpanelSink({ ...options, eventName: namesAt(name) });
  },
  "hubspot-events": async (env, name) => {
    const { HUBSPOT_PORTAL_ID: portalId, ...connection } = read(env, name, {
      ...hubspotVariables,
      HUBSPOT_PORTAL_ID: digits.optional(),
    });
    const { hubspotEventsSink } = await import("../adapters/hubspot/index.ts");
    return hubspotEventsSink({
      ...hubspotConnection(connection),
      ...(portalId && { portalId }),
      eventName: namesAt(name),
    });
  },
  "hubspot-companies": async (env, name) => {
    const { HUBSPOT_CREATE_COMPANIES: create, ...connection } = read(env, name, {
      ...hubspotVariables,
      HUBSPOT_CREATE_COMPANIES: flag.optional(),
    });
    const { hubspotCompaniesSink } = await import("../adapters/hubspot/index.ts");
    return hubspotCompaniesSink({
      ...hubspotConnection(connection),
      createUnknown: create === "true",
      properties: companyProperties(name),
    });
  },
  file: async (env) => {
    const { fileSink } = await import("../adapters/file/index.ts");
    return fileSink({ directory: env["FILE_DIRECTORY"] ?? ".fanout/file" });
  },
  webhook: async (env, name) => {
    const options = webhookOptions(env, name);
    const { webhookSink } = await import("../adapters/webhook/index.ts");
    return webhookSink(options);
  },
};

/** Without `SINKS`: one sink a vendor. */
const defaultSinks = "timestream,segment,mixpanel,hubspot";

/** They take every metric, also what the catalog does not know: no metric need name them. */
const unnamed = ["file", "segment-groups"];

/** It takes every metric of the catalog, and only those: of no other is it known what must stay in the house. */
const outsider = "webhook";

export default defineConfig(async ({ env: given, sinks }) => {
  const env: Env = Object.fromEntries(Object.entries(given).filter(([, value]) => value?.trim()));
  const problems: string[] = [];
  /** Runs one part of the work, so that every part's problems are told at once. */
  const part = async <T>(work: () => T | Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      problems.push(...error.problems);
      return undefined;
    }
  };

  // A variable that is there but blank names no sink; that is more likely a mistake than a wish for all of them.
  const wanted = new Set<string>();
  for (const each of sinks ?? (given["SINKS"] ?? defaultSinks).split(",")) {
    const name = each.trim() === "hubspot" ? await part(() => hubspotSink(env)) : each.trim();
    if (name) wanted.add(name);
  }
  if (wanted.size === 0 && problems.length === 0) {
    problems.push(`${sinks === undefined ? "SINKS" : "--sinks"} names no sink`);
  }

  const made: Sink<unknown>[] = [];
  for (const name of wanted) {
    const sink = await part(() => {
      const make = Object.hasOwn(makers, name) ? makers[name] : undefined;
      if (make !== undefined) return make(env, name);
      const known = [...Object.keys(makers), "hubspot"].join(", ");
      throw new ConfigError([`there is no sink named "${name}"; known are ${known}`]);
    });
    if (sink !== undefined) made.push(sink);
  }
  const quotas = await part(() => read(env, "of every kind", { WORKERS: workerCount, RATES: rateList }));
  const bySink = numbersBySink(quotas?.RATES ?? "");
  for (const name of Object.keys(bySink)) {
    if (!wanted.has(name))
      problems.push(`RATES names ${name}, which is none of the sinks: ${[...wanted].join(", ")}`);
  }
  const atRate = (sink: Sink<unknown>): Sink<unknown> => {
    const rate = bySink[sink.name];
    return rate === undefined ? sink : { ...sink, limits: { ...sink.limits, requestsPerSecond: rate } };
  };
  const receipts = await part(() => address(env, "RECEIPTS", ".fanout/receipts"));
  const deadLetters = await part(() => address(env, "DEAD_LETTERS", ".fanout/dead-letters"));
  if (receipts === undefined || deadLetters === undefined || problems.length > 0) {
    throw new ConfigError([...new Set(problems)]);
  }
  const names = made.map(({ name }) => name);
  const routes = [
    ...catalogRoutes(metrics, names),
    { metrics: "*" as const, sinks: unnamed.filter((name) => names.includes(name)) },
    { metrics: metrics.map(({ name }) => name), sinks: names.filter((name) => name === outsider) },
  ];
  const share = quotas?.WORKERS === undefined ? {} : { workers: Number(quotas.WORKERS) };
  return { sinks: made.map(atRate), metrics, routes, receipts, deadLetters, ...share };
});

// ── the catalog ─────────────────────────────────────────────────────────────────────────────────────────────

// A typo would be a sink that never gets the metric, without a word.
const strangers = metrics.flatMap(({ name, sinks }) =>
  Object.keys(sinks)
    .filter((sink) => !Object.hasOwn(makers, sink))
    .map(
      (sink) => `${name}: sinks.${sink}: there is no such sink; known are ${Object.keys(makers).join(", ")}`,
    ),
);
if (strangers.length > 0) throw new ConfigError(strangers);

/** What a sink calls events. */
function namesAt(sink: string): (event: MetricEvent) => string {
  const names = new Map(metrics.map((metric) => [metric.name, metric.sinks[sink]?.name ?? metric.name]));
  return ({ metricName }) => names.get(metricName) ?? metricName;
}

/** Measures of the catalog have its types for ever, whatever value comes first. */
function measureTypes(catalog: readonly Metric[]) {
  const types = { string: "VARCHAR", integer: "BIGINT", number: "DOUBLE", boolean: "BOOLEAN" } as const;
  const fields = catalog.flatMap(({ data = {} }) => Object.entries(data));
  return Object.fromEntries(fields.map(([name, { type }]) => [name, types[type]]));
}

/** Company properties by metric; a metric without any is not meant for companies. */
function companyProperties(sink: string): Record<string, Readonly<Record<string, string>>> {
  return Object.fromEntries(
    metrics.flatMap(({ name, sinks }) => {
      const properties = sinks[sink]?.properties;
      return properties === undefined ? [] : [[name, properties]];
    }),
  );
}

/** The dimensions as well, which Segment's adapter leaves out by itself; not the ids, which it sends as what they are. */
function allFields({ metadata, data }: MetricEvent): JsonObject {
  const { event_id: _, user_id: __, ...rest } = metadata;
  return { ...data, ...rest };
}

// ── variables ───────────────────────────────────────────────────────────────────────────────────────────────

// What they say of a wrong value never quotes it: it may be a secret in the wrong place.
const secret = z.string().regex(/^[\x21-\x7e]+$/, { error: "must be visible ASCII characters, no space" });
const flag = z.enum(["true", "false"], { error: "must be true or false" });
const digits = z.string().regex(/^\d+$/, { error: "must be a number" });
const url = z.string().refine(isHttpUrl, {
  error: "must be an http:// or https:// address, without credentials, query and fragment",
});
/** https://docs.aws.amazon.com/timestream/latest/developerguide/API_CreateDatabase.html */
const database = z
  .string()
  .regex(/^[\w.-]{3,256}$/, { error: "must be 3 to 256 of a-z, A-Z, 0-9, _, . and -" });
const workerCount = z
  .string()
  .regex(/^[1-9]\d{0,4}$/, { error: "must be a whole number, 1 or more" })
  .optional();
const rateList = z
  .string()
  .regex(ratesForm, { error: "must be sinks with their requests a second, as in mixpanel=15,segment=500" })
  .optional();
const region = z.string().regex(/^[a-z0-9-]+$/, { error: "must be the name of an AWS region" });

function isHttpUrl(text: string): boolean {
  return /^https?:\/\/[^\s/?#@\\][^\s?#@\\]*$/.test(text) && URL.canParse(text);
}

/** Reads what a sink needs; a variable that is missing or wrong is one sentence that names it. */
function read<Shape extends z.ZodRawShape>(
  env: Env,
  sink: string,
  shape: Shape,
): z.output<z.ZodObject<Shape>> {
  const result = z.object(shape).safeParse(env);
  if (result.success) return result.data;
  throw new ConfigError(
    result.error.issues.map(({ path, message }) => {
      const name = String(path[0]);
      return env[name] === undefined
        ? `${name} is not set; the sink ${sink} needs it`
        : `${name} is not valid for the sink ${sink}: it ${message}`;
    }),
  );
}

/** Segment's adapter is stricter about its host than an address is; the write key has been found right before. */
function blamingHost<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw new ConfigError([`SEGMENT_HOST is not valid: ${error.message}`]);
  }
}

/** A folder or `s3://` URL, which nothing is asked of yet but to be one. */
function address(env: Env, name: string, fallback: string): string {
  const place = env[name] ?? fallback;
  try {
    openStore(place);
    return place;
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    throw new ConfigError([`${name} is not valid: ${error.message.replace(JSON.stringify(place), "it")}`]);
  }
}

async function timestreamOptions(env: Env, sink: string) {
  const options = read({ ...env, AWS_REGION: await regionOf(env) }, sink, {
    TIMESTREAM_DATABASE: database,
    AWS_REGION: region,
    AWS_ENDPOINT_URL_TIMESTREAM_WRITE: url.optional(),
    AWS_ENDPOINT_URL: url.optional(),
  });
  const endpoint = options.AWS_ENDPOINT_URL_TIMESTREAM_WRITE ?? options.AWS_ENDPOINT_URL;
  return {
    database: options.TIMESTREAM_DATABASE,
    region: options.AWS_REGION,
    ...(endpoint && { endpoint }),
  };
}

/** As the SDK finds it: `AWS_REGION`, else the profile's. Without one every request would fail, one by one. */
async function regionOf(env: Env): Promise<string | undefined> {
  if (env["AWS_REGION"] !== undefined) return env["AWS_REGION"];
  const { TimestreamWriteClient } = await import("@aws-sdk/client-timestream-write");
  return await new TimestreamWriteClient().config.region().catch(() => undefined);
}

function segmentOptions(env: Env, sink: string) {
  const options = read(env, sink, {
    SEGMENT_WRITE_KEY: secret,
    SEGMENT_HOST: url.optional(),
    SEGMENT_GZIP: flag.optional(),
  });
  const { SEGMENT_WRITE_KEY: writeKey, SEGMENT_HOST: host, SEGMENT_GZIP: gzip } = options;
  return { writeKey, ...(host && { host }), ...(gzip && { gzip: gzip === "true" }) };
}

/** A service account comes before a token: whoever names one wants it, and half of one is a mistake to be told. */
function mixpanelOptions(env: Env, sink: string) {
  const optional = { MIXPANEL_HOST: url.optional(), MIXPANEL_GZIP: flag.optional() };
  if (env["MIXPANEL_SERVICE_ACCOUNT"] === undefined && env["MIXPANEL_SERVICE_SECRET"] === undefined) {
    const { MIXPANEL_TOKEN: token, ...how } = read(env, sink, { MIXPANEL_TOKEN: secret, ...optional });
    return { token, ...mixpanelWay(how) };
  }
  const options = read(env, sink, {
    MIXPANEL_SERVICE_ACCOUNT: secret,
    MIXPANEL_SERVICE_SECRET: secret,
    MIXPANEL_PROJECT_ID: digits,
    ...optional,
  });
  const serviceAccount = {
    username: options.MIXPANEL_SERVICE_ACCOUNT,
    secret: options.MIXPANEL_SERVICE_SECRET,
    projectId: options.MIXPANEL_PROJECT_ID,
  };
  return { serviceAccount, ...mixpanelWay(options) };
}

function mixpanelWay({
  MIXPANEL_HOST: host,
  MIXPANEL_GZIP: gzip,
}: {
  readonly MIXPANEL_HOST?: string | undefined;
  readonly MIXPANEL_GZIP?: string | undefined;
}) {
  return { ...(host && { host }), ...(gzip && { gzip: gzip === "true" }) };
}

function webhookOptions(env: Env, sink: string) {
  const options = read(env, sink, {
    WEBHOOK_URL: env["WEBHOOK_ALLOW_PRIVATE"] === "true" ? webhookUrl(/^https?:$/) : webhookUrl(/^https:$/),
    WEBHOOK_SECRET: webhookSecrets,
    WEBHOOK_BATCH_SIZE: z
      .string()
      .regex(/^[1-9]\d{0,5}$/, { error: "must be a whole number, 1 or more" })
      .optional(),
    WEBHOOK_ALLOW_PRIVATE: flag.optional(),
  });
  const { WEBHOOK_URL: url, WEBHOOK_SECRET: secret, WEBHOOK_BATCH_SIZE: batchSize } = options;
  return {
    url,
    secret: secret.split(","),
    ...(batchSize && { batchSize: Number(batchSize) }),
    allowPrivate: options.WEBHOOK_ALLOW_PRIVATE === "true",
  };
}

/** Unlike a vendor's it may have a query, which often holds a token. */
function webhookUrl(protocol: RegExp) {
  const isRight = (text: string) => {
    const url = URL.parse(text);
    return url !== null && protocol.test(url.protocol) && url.username === "" && url.password === "";
  };
  const error = "must be an https:// address, without a user and a password";
  return z.string().refine(isRight, { error });
}

/** 24 to 64 bytes are 32 to 88 characters of base64. */
const webhookSecrets = z
  .string()
  .regex(/^whsec_[A-Za-z0-9+/]{32,86}={0,2}(,whsec_[A-Za-z0-9+/]{32,86}={0,2})*$/, {
    error: "must be whsec_ and 24 to 64 bytes in base64; two of them are separated by a comma",
  });

/**
 * The sink that `hubspot` stands for: custom events, unless `HUBSPOT_MODE` says `companies`. Events keep every
 * record, companies only their newest figures; events need an Enterprise subscription, companies none.
 */
function hubspotSink(env: Env): string {
  const { HUBSPOT_MODE: mode } = read(env, "hubspot", {
    HUBSPOT_MODE: z.enum(["events", "companies"], { error: "must be events or companies" }).default("events"),
  });
  return `hubspot-${mode}`;
}

const hubspotVariables = { HUBSPOT_ACCESS_TOKEN: secret, HUBSPOT_BASE_URL: url.optional() };

function hubspotConnection(variables: z.output<z.ZodObject<typeof hubspotVariables>>) {
  const { HUBSPOT_ACCESS_TOKEN: accessToken, HUBSPOT_BASE_URL: baseUrl } = variables;
  return { accessToken, ...(baseUrl && { baseUrl }) };
}
