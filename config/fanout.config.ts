// The configuration that ships: every sink that the environment names, every event to all of them.
import * as z from "zod";
import { ConfigError, defineConfig, type Sink } from "../src/index.ts";

type Env = Readonly<Record<string, string | undefined>>;

/** An adapter is imported only where it is configured: a vendor's SDK costs up to 120 ms of a cold start. */
const makers: Readonly<Record<string, (env: Env) => Promise<Sink<unknown>>>> = {
  timestream: async (env) => {
    const { TIMESTREAM_DATABASE: database } = read(env, "timestream", { TIMESTREAM_DATABASE: text });
    const endpoint = env["AWS_ENDPOINT_URL_TIMESTREAM_WRITE"] ?? env["AWS_ENDPOINT_URL"];
    const { timestreamSink } = await import("../adapters/timestream/index.ts");
    return timestreamSink({ database, ...(endpoint === undefined ? {} : { endpoint }) });
  },
  segment: async (env) => {
    const { segmentSink } = await import("../adapters/segment/index.ts");
    return segmentSink(segmentOptions(env, "segment"));
  },
  "segment-groups": async (env) => {
    const { segmentGroupsSink } = await import("../adapters/segment/index.ts");
    return segmentGroupsSink(segmentOptions(env, "segment-groups"));
  },
  mixpanel: async (env) => {
    const host = hostOf(env, "mixpanel", "MIXPANEL_HOST");
    const access = mixpanelAccess(env);
    const { mixpanelSink } = await import("../adapters/mixpanel/index.ts");
    return mixpanelSink({ ...access, ...(host === undefined ? {} : { host }) });
  },
  "hubspot-events": async (env) => {
    const { hubspotEventsSink } = await import("../adapters/hubspot/index.ts");
    const portalId = env["HUBSPOT_PORTAL_ID"];
    return hubspotEventsSink({
      ...hubspotOptions(env, "hubspot-events"),
      ...(portalId === undefined || portalId === "" ? {} : { portalId }),
    });
  },
  "hubspot-companies": async (env) => {
    const { hubspotCompaniesSink } = await import("../adapters/hubspot/index.ts");
    const { HUBSPOT_CREATE_COMPANIES: createUnknown } = read(env, "hubspot-companies", {
      HUBSPOT_CREATE_COMPANIES: z.enum(["true", "false"]).optional(),
    });
    return hubspotCompaniesSink({
      ...hubspotOptions(env, "hubspot-companies"),
      createUnknown: createUnknown === "true",
    });
  },
  file: async (env) => {
    const { fileSink } = await import("../adapters/file/index.ts");
    return fileSink({ directory: env["FILE_DIRECTORY"] ?? ".fanout/file" });
  },
};

export default defineConfig(async ({ env, sinks }) => {
  const names = sinks ?? (env["SINKS"] ?? "timestream,segment,mixpanel,hubspot").split(",");
  const problems: string[] = [];
  const made: Sink<unknown>[] = [];
  for (const name of new Set(names.map((each) => each.trim()).filter((each) => each !== ""))) {
    try {
      const real = name === "hubspot" ? `hubspot-${hubspotMode(env)}` : name;
      const make = makers[real];
      if (make === undefined) {
        throw new ConfigError([
          `there is no sink named "${name}"; known are ${Object.keys(makers).join(", ")} and hubspot`,
        ]);
      }
      made.push(await make(env));
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      problems.push(...error.problems);
    }
  }
  if (problems.length > 0) throw new ConfigError([...new Set(problems)]);
  if (made.length === 0) throw new ConfigError(["SINKS names no sink"]);
  return {
    sinks: made,
    receipts: env["RECEIPTS"] ?? ".fanout/receipts",
    deadLetters: env["DEAD_LETTERS"] ?? ".fanout/dead-letters",
  };
});

const text = z.string().min(1);
const url = z.url({ protocol: /^https?$/ });

/** Reads what a sink needs; a variable that is missing or wrong is one sentence that names it. */
function read<Shape extends z.ZodRawShape>(
  env: Env,
  sink: string,
  shape: Shape,
): z.output<z.ZodObject<Shape>> {
  const result = z.object(shape).safeParse(env);
  if (result.success) return result.data;
  const names = [...new Set(result.error.issues.map((issue) => String(issue.path[0])))];
  throw new ConfigError(
    names.map((name) =>
      env[name] === undefined || env[name] === ""
        ? `${name} is not set; the sink ${sink} needs it`
        : `${name} is not valid for the sink ${sink}`,
    ),
  );
}

function hostOf(env: Env, sink: string, name: string): string | undefined {
  return env[name] === undefined ? undefined : read(env, sink, { [name]: url })[name];
}

function segmentOptions(env: Env, sink: string): { writeKey: string; host?: string } {
  const { SEGMENT_WRITE_KEY: writeKey } = read(env, sink, { SEGMENT_WRITE_KEY: text });
  const host = hostOf(env, sink, "SEGMENT_HOST");
  return { writeKey, ...(host === undefined ? {} : { host }) };
}

function mixpanelAccess(
  env: Env,
): { token: string } | { serviceAccount: { username: string; secret: string; projectId: string } } {
  if (env["MIXPANEL_SERVICE_ACCOUNT"] === undefined) {
    const { MIXPANEL_TOKEN: token } = read(env, "mixpanel", { MIXPANEL_TOKEN: text });
    return { token };
  }
  const account = read(env, "mixpanel", {
    MIXPANEL_SERVICE_ACCOUNT: text,
    MIXPANEL_SERVICE_SECRET: text,
    MIXPANEL_PROJECT_ID: text,
  });
  return {
    serviceAccount: {
      username: account.MIXPANEL_SERVICE_ACCOUNT,
      secret: account.MIXPANEL_SERVICE_SECRET,
      projectId: account.MIXPANEL_PROJECT_ID,
    },
  };
}

function hubspotOptions(env: Env, sink: string): { accessToken: string; baseUrl?: string } {
  const { HUBSPOT_ACCESS_TOKEN: accessToken } = read(env, sink, { HUBSPOT_ACCESS_TOKEN: text });
  const baseUrl = hostOf(env, sink, "HUBSPOT_BASE_URL");
  return { accessToken, ...(baseUrl === undefined ? {} : { baseUrl }) };
}

function hubspotMode(env: Env): "events" | "companies" {
  const { HUBSPOT_MODE: mode } = read(env, "hubspot", {
    HUBSPOT_MODE: z.enum(["events", "companies"]).default("events"),
  });
  return mode;
}
