// What a configuration file says: which sinks, which routes, where the books and the dead letters are.
import * as z from "zod";
import type { BreakerPolicy } from "./delivery/breaker.ts";
import type { RetryPolicy } from "./delivery/retry.ts";
import type { Sink } from "./delivery/sink.ts";
import type { Route } from "./routing/route.ts";
import type { WorkerLimits } from "./worker.ts";

export interface FanoutConfig {
  readonly sinks: readonly Sink<unknown>[];
  /** A folder or an `s3://bucket/prefix` URL. */
  readonly receipts: string;
  /** A folder or an `s3://bucket/prefix` URL. */
  readonly deadLetters: string;
  /** Default: every event to every sink. */
  readonly routes?: readonly Route[];
  readonly limits?: Partial<WorkerLimits>;
  readonly retry?: Partial<RetryPolicy>;
  readonly breaker?: Partial<BreakerPolicy>;
}

/** What a configuration may look at. */
export interface ConfigRequest {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Names given on the command line with `--sinks`; they come before the environment's. */
  readonly sinks?: readonly string[];
}

export type MakeConfig = (request: ConfigRequest) => FanoutConfig | Promise<FanoutConfig>;

/** Types a configuration file's default export. */
export function defineConfig(make: MakeConfig): MakeConfig {
  return make;
}

/** The configuration is wrong; every problem is one sentence that says what and where. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.problems = problems;
  }
}

const names = z.union([z.literal("*"), z.array(z.string().min(1))], {
  error: 'must be "*" or a list of names',
});
const called = z.custom((value) => typeof value === "function", "must be a function");
const whole = z.int().positive();
const milliseconds = z.number().nonnegative();

const configSchema = z.strictObject({
  sinks: z
    .array(
      z.looseObject({
        // It is part of the books' keys.
        name: z.string().regex(/^[a-z0-9][a-z0-9-]*$/, 'must consist of a-z, 0-9 and "-"'),
        limits: z.looseObject({
          itemsPerRequest: whole,
          bytesPerRequest: whole,
          bytesPerItem: whole,
          concurrency: whole,
        }),
        encode: called,
        send: called,
      }),
    )
    .min(1, "must name at least one sink"),
  receipts: z.string().min(1),
  deadLetters: z.string().min(1),
  routes: z.array(z.strictObject({ metrics: names, sinks: names })).optional(),
  limits: z
    .strictObject({ maxItems: whole, maxBytes: whole, maxRecordBytes: whole, patienceMs: milliseconds })
    .partial()
    .optional(),
  retry: z
    .strictObject({
      attempts: whole,
      firstMs: milliseconds,
      maxMs: milliseconds,
      longestWaitMs: milliseconds,
    })
    .partial()
    .optional(),
  breaker: z
    .strictObject({ failures: whole, overMs: milliseconds, openMs: milliseconds })
    .partial()
    .optional(),
});

/** @throws {ConfigError} when the configuration, or the environment that it reads, is wrong. */
export async function resolveConfig(make: MakeConfig, request: ConfigRequest): Promise<FanoutConfig> {
  const config = await make(request);
  const checked = configSchema.safeParse(config);
  if (!checked.success) throw new ConfigError(checked.error.issues.map(sentence));
  const known = config.sinks.map(({ name }) => name);
  const doubled = new Set(known.filter((name, index) => known.indexOf(name) !== index));
  const problems = [...doubled].map((name) => `two sinks are named ${name}; their books would mix`);
  const strange = (config.routes ?? []).flatMap(({ sinks }) =>
    sinks === "*" ? [] : sinks.filter((name) => !known.includes(name)),
  );
  // A route may name sinks of other deployments: with one function a sink, each one knows only its own.
  if (request.sinks === undefined && request.env["SINKS"] === undefined) {
    problems.push(
      ...[...new Set(strange)].map((name) => `routes name the sink ${name}, which is not configured`),
    );
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

/** zod's own words say what was expected and what kind of thing was there, never its value. */
function sentence({ path, message }: z.core.$ZodIssue): string {
  const where = path.length === 0 ? "the configuration" : path.map(String).join(".");
  return `${where}: ${message}`;
}
