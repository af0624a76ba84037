// What a deployment can choose on the command line: `-c name=value`.
import type { Node } from "constructs";
import * as z from "zod";
import { numbersBySink, ratesForm } from "../config/rates.ts";
import { ConfigError } from "../src/index.ts";
import { leftoverSettings } from "./adoption.ts";
import { readContext } from "./context.ts";
import { keyArnForm } from "./key.ts";
import type { EventFanoutProps } from "./pipeline.ts";
import { defaultBuffer, mostBuffer } from "./stream.ts";

export type Settings = Omit<EventFanoutProps, "metrics" | "code"> & { readonly stack: string };

const days = z.coerce.number({ error: "must be a number of days" }).int("must be a whole number of days");
const list = z.string().transform((text) =>
  text
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== ""),
);

const idsOf = (kind: string) =>
  list.refine((ids) => ids.length > 0 && ids.every((id) => new RegExp(`^${kind}-[0-9a-f]{8,17}$`).test(id)), {
    error: `must be ids such as ${kind}-0123456789abcdef0, separated by commas`,
  });
const flag = z.enum(["true", "false"], { error: "must be true or false" });

const whole = (unit: string, least: number, most: number) =>
  z.coerce
    .number({ error: `must be a number of ${unit}` })
    .int(`must be a whole number of ${unit}`)
    .min(least, `must be ${least} or more`)
    .max(most, `must be ${most} or less`)
    .exactOptional();

/** Every setting is text, as the command line gives it. */
const schema = z
  .object({
    stack: z
      .string()
      .regex(
        /^[A-Za-z][A-Za-z0-9-]{0,127}$/,
        "must begin with a letter, and consist of letters, digits and -",
      )
      .default("firehose-fanout"),
    sinks: list.default(["segment", "mixpanel", "hubspot-events"]),
    topology: z.enum(["per-sink", "single"], { error: "must be per-sink or single" }).exactOptional(),
    compression: z.enum(["GZIP", "ZIP"], { error: "must be GZIP or ZIP" }).exactOptional(),
    bufferSeconds: whole("seconds", defaultBuffer.seconds, mostBuffer.seconds),
    bufferMb: whole("MB", defaultBuffer.mb, mostBuffer.mb),
    dashboard: flag.default("true"),
    secretPrefix: z.string().exactOptional(),
    timestreamDatabase: z
      .string()
      .regex(/^[\w.-]{3,256}$/, "must be 3 to 256 of a-z, A-Z, 0-9, _, . and -")
      .default("product"),
    createTimestreamDatabase: flag.default("true"),
    concurrency: z
      .string()
      .regex(/^(\d+|[a-z-]+=\d+)(,[a-z-]+=\d+)*$/, "must be a number, or sinks with theirs: 4,mixpanel=2")
      .exactOptional(),
    rates: z
      .string()
      .regex(ratesForm, "must be sinks with their requests a second: mixpanel=15,segment=500")
      .exactOptional(),
    dataDays: days.exactOptional(),
    booksDays: days.exactOptional(),
    quietMinutes: whole("minutes", 5, 1440),
    quietMetrics: list.exactOptional(),
    alarmEmail: z.email({ error: "must be an e-mail address" }).exactOptional(),
    slackWorkspace: z.string().exactOptional(),
    slackChannel: z.string().exactOptional(),
    tenantDirectory: z
      .string()
      .regex(/^https:\/\/.*\{tenant_id\}/, "must be an https:// address with {tenant_id} in it")
      .exactOptional(),
    tenantDirectoryDown: z.enum(["pass", "fail"], { error: "must be pass or fail" }).default("pass"),
    tenantDirectorySecret: flag.default("false"),
    eventAccounts: list
      .refine((accounts) => accounts.length > 0 && accounts.every((each) => /^\d{12}$/.test(each)), {
        error: "must be account numbers of 12 digits, separated by commas",
      })
      .exactOptional(),
    strictTrust: flag.default("false"),
    operators: list
      .refine((arns) => arns.length > 0 && arns.every((each) => /^arn:aws[\w-]*:iam::\d{12}:/.test(each)), {
        error: "must be ARNs of IAM roles or users, separated by commas",
      })
      .exactOptional(),
    permissionsBoundary: z
      .string()
      .regex(/^arn:aws[\w-]*:iam::(\d{12}|aws):policy\//, "must be the ARN of a managed policy")
      .exactOptional(),
    kmsKey: z
      .string()
      .regex(keyArnForm, "must be the ARN of a KMS key, and of no alias: arn:aws:kms:…:key/…")
      .exactOptional(),
    vpcSubnets: idsOf("subnet").exactOptional(),
    vpcSecurityGroups: idsOf("sg").exactOptional(),
    tags: z
      .string()
      .regex(/^[^=,]+=[^=,]*(,[^=,]+=[^=,]*)*$/, "must be name=value, separated by commas")
      .exactOptional(),
  })
  .refine(
    ({ slackWorkspace, slackChannel }) => (slackWorkspace === undefined) === (slackChannel === undefined),
    { path: ["slackChannel"], error: "and slackWorkspace need each other" },
  )
  .refine(
    ({ vpcSubnets, vpcSecurityGroups }) => (vpcSubnets === undefined) === (vpcSecurityGroups === undefined),
    { path: ["vpcSubnets"], error: "and vpcSecurityGroups need each other" },
  );

/**
 * Reads the settings of a CDK app.
 *
 * @throws {ConfigError} one sentence for each setting that is wrong.
 */
export function readSettings(node: Node): Settings {
  const misplaced = Object.values(leftoverSettings).filter((name) => node.tryGetContext(name) !== undefined);
  if (misplaced.length > 0) {
    throw new ConfigError(
      misplaced.map((name) => `-c ${name} is for npm run adopt, which comes once before the deployment`),
    );
  }
  const { timestreamDatabase, createTimestreamDatabase, slackWorkspace, slackChannel, ...others } =
    readContext(node, schema);
  const { tenantDirectory, tenantDirectoryDown, tenantDirectorySecret, ...rest } = others;
  const { concurrency, rates, ...plain } = rest;
  const { strictTrust, vpcSubnets, vpcSecurityGroups, tags, permissionsBoundary, kmsKey, ...rare } = plain;
  const { bufferSeconds: seconds, bufferMb: mb, dashboard, ...settings } = rare;
  return {
    ...settings,
    timestream: { database: timestreamDatabase, create: createTimestreamDatabase === "true" },
    ...(slackWorkspace !== undefined &&
      slackChannel !== undefined && {
        slack: { workspaceId: slackWorkspace, channelId: slackChannel },
      }),
    strictTrust: strictTrust === "true",
    buffer: { ...(seconds !== undefined && { seconds }), ...(mb !== undefined && { mb }) },
    hasDashboard: dashboard === "true",
    ...concurrencies(concurrency),
    ...(rates !== undefined && { rates: numbersBySink(rates) }),
    ...(permissionsBoundary !== undefined && { permissionsBoundaryArn: permissionsBoundary }),
    ...(kmsKey !== undefined && { kmsKeyArn: kmsKey }),
    ...(vpcSubnets !== undefined &&
      vpcSecurityGroups !== undefined && {
        vpc: { subnetIds: vpcSubnets, securityGroupIds: vpcSecurityGroups },
      }),
    ...(tags !== undefined && {
      resourceTags: Object.fromEntries(
        tags.split(",").map((tag) => [tag.split("=")[0], tag.split("=")[1] ?? ""]),
      ),
    }),
    ...(tenantDirectory !== undefined && {
      tenants: {
        directory: tenantDirectory,
        down: tenantDirectoryDown,
        secret: tenantDirectorySecret === "true",
      },
    }),
  };
}

/** `4,mixpanel=2`: for every sink, and for one of them. */
function concurrencies(text: string | undefined): Pick<EventFanoutProps, "concurrency" | "concurrencyOf"> {
  if (text === undefined) return {};
  const [first = ""] = text.split(",");
  const bySink = numbersBySink(first.includes("=") ? text : text.slice(first.length + 1));
  return {
    ...(first.includes("=") ? {} : { concurrency: Number(first) }),
    ...(Object.keys(bySink).length > 0 && { concurrencyOf: bySink }),
  };
}
