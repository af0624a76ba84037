// A plan on disk: what was counted, and which letters a replay of it means, also when it goes on after a crash.
import { hash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import * as z from "zod";
import { ConfigError } from "../config.ts";
import { everywhere } from "../routing/route.ts";
import type { LetterFilter } from "./filter.ts";
import type { Plan, PlanOptions } from "./plan.ts";

const count = z.int().nonnegative();
const texts = z.array(z.string()).optional();
const verdicts = { passes: count, filtered: count, fails: count, stays: count };
const failures = z.record(
  z.string(),
  z.object({ stage: z.enum(["intake", "encode", "send"]), code: z.string(), reason: z.string(), count }),
);

const planSchema = z.object({
  format: z.literal(1),
  /** Stands in receipts and audits beside everything that a replay of this plan does. */
  id: z.string().regex(/^plan-[0-9a-f]{12}$/),
  /** ISO 8601. Only what had been refused by then is meant: what a replay of the plan fails with is not tried twice. */
  at: z.iso.datetime(),
  /** See {@link configFingerprint}. */
  config: z.string(),
  filter: z.strictObject({
    sinks: texts,
    tenants: texts,
    metrics: texts,
    stages: z.array(z.enum(["intake", "encode", "send", "pending"])).optional(),
    codes: texts,
    fingerprints: texts,
    since: z.number().optional(),
    until: z.number().optional(),
    objects: texts,
    ids: texts,
  }),
  classes: z.array(
    z.object({
      sink: z.string(),
      fingerprint: z.string(),
      code: z.string(),
      reason: z.string(),
      letters: count,
      ...verdicts,
      failures,
    }),
  ),
  pending: z.array(
    z.object({ sink: z.string(), objects: count, pending: count, gone: count, ...verdicts, failures }),
  ),
  sinks: z.array(
    z.object({
      sink: z.string(),
      records: count,
      requests: count,
      leastMs: z.number().optional(),
      uncertain: count,
      repeats: z.object({ effect: z.enum(["merged", "counted"]), reason: z.string() }),
    }),
  ),
  /** By object and lane: what is meant stands in their dead-letter files, whatever these are called by then. */
  covers: z.array(
    z.object({
      object: z.object({ bucket: z.string(), key: z.string(), version: z.string() }),
      lane: z.string(),
      letters: count,
      pending: count,
    }),
  ),
  gone: z.array(z.string()),
});
export type PlanFile = z.infer<typeof planSchema>;

/**
 * What a plan was made with: differs when the sinks, their limits, their own mapping functions or the routes do. A
 * change behind them, in what a mapping calls, does not show here; it shows in what a new plan says.
 */
export function configFingerprint(config: Pick<PlanOptions, "sinks" | "routes" | "limits">): string {
  const { sinks, routes = everywhere, limits = {} } = config;
  const mappings = sinks.map(({ name, limits: own, encode, partition, coalesceKey }) => [
    name,
    own,
    ...[encode, partition, coalesceKey].map(String),
  ]);
  return hash("sha256", JSON.stringify({ mappings, routes, limits }), "hex").slice(0, 12);
}

/** @param at when it was made, in milliseconds since the epoch: before it began to look. */
export function toPlanFile(plan: Plan, filter: LetterFilter, at: number, config: string): PlanFile {
  const told = {
    at: new Date(at).toISOString(),
    config,
    filter: planSchema.shape.filter.parse(filter),
    classes: plan.classes.map((each) => ({ ...each, failures: Object.fromEntries(each.failures) })),
    pending: plan.pending.map((each) => ({ ...each, failures: Object.fromEntries(each.failures) })),
    sinks: [...plan.sinks],
    covers: plan.covers.map((each) => ({ ...each })),
    gone: [...plan.gone],
  };
  const id = `plan-${hash("sha256", JSON.stringify(told), "hex").slice(0, 12)}`;
  return { format: 1, id, ...told };
}

/** @throws {ConfigError} when the file cannot be written. */
export async function writePlanFile(file: string, plan: PlanFile): Promise<void> {
  try {
    await writeFile(file, `${JSON.stringify(plan, undefined, 1)}\n`);
  } catch (error) {
    throw new ConfigError([`the plan cannot be written to ${file}: ${codeOf(error)}`]);
  }
}

/** @throws {ConfigError} when the file cannot be read or holds no plan of this version. */
export async function readPlanFile(file: string): Promise<PlanFile> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    throw new ConfigError([`the plan ${file} cannot be read: ${codeOf(error)}`]);
  }
  try {
    return planSchema.parse(JSON.parse(text));
  } catch {
    throw new ConfigError([
      `${file} is no plan that this version understands; make one with fanout dlq plan`,
    ]);
  }
}

/** The filter of a plan as commands take it. */
export function filterOfPlan({ filter }: PlanFile): LetterFilter {
  // What the schema calls undefined is absent after JSON.
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined));
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "an unexpected error";
}
