// What a configuration file says: which sinks, which routes, where the books and the dead letters are.
import type { BreakerPolicy } from "./delivery/breaker.ts";
import type { RetryPolicy } from "./delivery/retry.ts";
import type { Sink } from "./delivery/sink.ts";
import { policyShapes, routesShape, sinkShape } from "./option-check.ts";
import { concealing } from "./routing/conceal.ts";
import type { Metric } from "./routing/metric.ts";
import { catalogRoutes, type Route } from "./routing/route.ts";
import { sinkProblems } from "./routing/sink-check.ts";
import { list, must, object, optional, problemsOf, unrecognized } from "./shape.ts";
import type { WorkerLimits } from "./worker.ts";

export interface FanoutConfig {
  readonly sinks: readonly Sink<unknown>[];
  /** A folder or an `s3://bucket/prefix` URL. */
  readonly receipts: string;
  /** A folder or an `s3://bucket/prefix` URL. */
  readonly deadLetters: string;
  /**
   * The catalog, see `loadCatalog`: it says which sinks get a metric, and hides personal data from those that may not
   * see it. Every sink must be able to take every metric that goes to it. Default: nothing is known of any metric.
   */
  readonly metrics?: readonly Metric[];
  /** Default: what the catalog says; without one, every event to every sink. */
  readonly routes?: readonly Route[];
  readonly limits?: Partial<WorkerLimits>;
  readonly retry?: Partial<RetryPolicy>;
  readonly breaker?: Partial<BreakerPolicy>;
  /** How many workers share the sinks' quotas, this one included. Default 1. */
  readonly workers?: number;
}

/** What a configuration may look at. */
export interface ConfigRequest {
  readonly env: Readonly<Record<string, string | undefined>>;
  /**
   * Names given on the command line with `--sinks`; they come before the environment's. A configuration need not
   * look at them: what it names beside them is left out, see {@link resolveConfig}.
   */
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

const place = must(
  (value): value is string => typeof value === "string" && value !== "",
  "must be a folder or an s3:// URL",
);

const configShape = object(
  {
    sinks: list(sinkShape, { empty: "must name at least one sink" }),
    receipts: place,
    deadLetters: place,
    // Checked when it was loaded.
    metrics: optional(must(Array.isArray, "must be what loadCatalog returns")),
    routes: optional(routesShape),
    ...policyShapes,
  },
  { closed: unrecognized },
);

/**
 * Makes the configuration and checks it. With `request.sinks` only the sinks of these names are kept, whatever the
 * configuration makes of them. A name that no sink has stands for those that go on behind it with a dash: `hubspot`
 * for `hubspot-events` and `hubspot-companies`.
 *
 * @throws {ConfigError} when the configuration, or the environment that it reads, is wrong.
 */
export async function resolveConfig(make: MakeConfig, request: ConfigRequest): Promise<FanoutConfig> {
  const config = await make(request);
  const wrong = problemsOf(configShape, config, "the configuration");
  if (wrong.length > 0) throw new ConfigError(wrong);
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
  const complete = config.metrics === undefined ? config : withCatalog(config, config.metrics);
  if (complete.metrics !== undefined) {
    problems.push(...sinkProblems(complete.metrics, complete.sinks), ...idleSinks(complete));
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return request.sinks === undefined ? complete : only(request.sinks, complete);
}

function withCatalog(config: FanoutConfig, metrics: readonly Metric[]): FanoutConfig {
  const sinks = config.sinks.map((sink) => concealing(sink, metrics));
  const names = sinks.map(({ name }) => name);
  return { ...config, sinks, routes: config.routes ?? catalogRoutes(metrics, names) };
}

/** A sink to which nothing goes would be silent for ever, and nobody would know that it is a mistake. */
function idleSinks({ sinks, routes = [] }: FanoutConfig): string[] {
  const busy = routes.filter(({ metrics }) => metrics.length > 0).map((route) => route.sinks);
  return sinks
    .filter(({ name }) => !busy.some((names) => names === "*" || names.includes(name)))
    .map(
      ({ name }) => `no metric goes to the sink ${name}: name it under the sinks of a metric, or in a route`,
    );
}

function only(wanted: readonly string[], config: FanoutConfig): FanoutConfig {
  const known = config.sinks.map(({ name }) => name);
  const asked = [...new Set(wanted.map((name) => name.trim()).filter((name) => name !== ""))];
  const meant = new Map(
    asked.map((name) => [
      name,
      known.includes(name) ? [name] : known.filter((each) => each.startsWith(`${name}-`)),
    ]),
  );
  const unknown = asked.filter((name) => meant.get(name)?.length === 0);
  if (asked.length === 0) throw new ConfigError(["--sinks names no sink"]);
  if (unknown.length > 0) {
    throw new ConfigError(
      unknown.map((name) => `--sinks names ${name}, which is not configured; known are ${known.join(", ")}`),
    );
  }
  const kept = new Set([...meant.values()].flat());
  return { ...config, sinks: config.sinks.filter(({ name }) => kept.has(name)) };
}
