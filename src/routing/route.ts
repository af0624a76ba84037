// Which sinks an event is meant for.
import type { MetricEvent } from "../event.ts";
import type { Metric } from "./metric.ts";

/** Sends the named metrics to the named sinks. An event goes wherever at least one route sends it. */
export interface Route {
  /** Values of `metric_name`; `"*"` for every metric. */
  readonly metrics: readonly string[] | "*";
  /** Names of sinks; `"*"` for every sink. */
  readonly sinks: readonly string[] | "*";
}

export const everywhere: readonly Route[] = [{ metrics: "*", sinks: "*" }];

/**
 * Every metric to the sinks that it names, of those there are. What the catalog does not know goes nowhere: nobody has
 * said what is in it, or who may see it.
 */
export function catalogRoutes(metrics: readonly Metric[], sinks: readonly string[]): Route[] {
  return metrics.map(({ name, sinks: mappings }) => ({
    metrics: [name],
    sinks: Object.keys(mappings).filter((sink) => sinks.includes(sink)),
  }));
}

/** Answers, for one sink, whether an event is meant for it. */
export function createRouter(routes: readonly Route[], sink: string): (event: MetricEvent) => boolean {
  const toSink = routes.filter(({ sinks }) => sinks === "*" || sinks.includes(sink));
  if (toSink.some(({ metrics }) => metrics === "*")) return () => true;
  const metrics = new Set(toSink.flatMap((route) => route.metrics));
  return (event) => metrics.has(event.metricName);
}
