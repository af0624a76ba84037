// Which sinks an event is meant for.
import type { MetricEvent } from "../event.ts";
import type { Metric } from "./metric.ts";

/** Sends the named metrics to the named sinks. An event goes wherever at least one route sends it. */
export interface Route {
  /** Values of `metric_name`; `"*"` for every metric. */
  readonly metrics: readonly string[] | "*";
  /** Metrics that `"*"` leaves out. Default none. */
  readonly except?: readonly string[];
  /** Names of sinks; `"*"` for every sink. */
  readonly sinks: readonly string[] | "*";
}

export const everywhere: readonly Route[] = [{ metrics: "*", sinks: "*" }];

/**
 * Every metric to the sinks that it names, of those there are. What the catalog does not know goes everywhere: the
 * transform refuses it, so here it comes from a pipeline that has none, or from before the metric was taken out.
 */
export function catalogRoutes(metrics: readonly Metric[], sinks: readonly string[]): Route[] {
  const declared = metrics.map(({ name, sinks: mappings }) => ({
    metrics: [name],
    sinks: Object.keys(mappings).filter((sink) => sinks.includes(sink)),
  }));
  return [...declared, { metrics: "*", except: metrics.map(({ name }) => name), sinks: "*" }];
}

/** Answers, for one sink, whether an event is meant for it. */
export function createRouter(routes: readonly Route[], sink: string): (event: MetricEvent) => boolean {
  const toSink = routes.filter(({ sinks }) => sinks === "*" || sinks.includes(sink));
  const named = new Set(toSink.flatMap(({ metrics }) => (metrics === "*" ? [] : metrics)));
  const others = toSink.filter(({ metrics }) => metrics === "*").map(({ except = [] }) => new Set(except));
  // What every such route leaves out, and none names, goes nowhere.
  const [first] = others;
  if (first === undefined) return ({ metricName }) => named.has(metricName);
  const left = [...first].filter((name) => !named.has(name) && others.every((except) => except.has(name)));
  if (left.length === 0) return () => true;
  const out = new Set(left);
  return ({ metricName }) => !out.has(metricName);
}
