// What a function measures, in CloudWatch's embedded metric format: lines of its log that become metrics.
import { Metrics, MetricUnit } from "@aws-lambda-powertools/metrics";
import type { MetricUnit as Unit } from "@aws-lambda-powertools/metrics/types";
import type { ObjectReport, SinkReport } from "../books/report.ts";

/** Of a function that is not told another one, see {@link createMetrics}. */
export const defaultNamespace = "FirehoseFanout";

/** The only dimension is the sink: which deployment it is, the namespace says. */
export function createMetrics(namespace = defaultNamespace): Metrics {
  const metrics = new Metrics({ namespace });
  metrics.clearDefaultDimensions();
  return metrics;
}

/**
 * What a run did for every sink, in CloudWatch's embedded metric format. Each figure of each sink costs, so there are
 * two: the others are fields of the same line of the log, which can be asked for them.
 */
export function measureSinks(metrics: Metrics, sinks: ObjectReport["sinks"], now: number): void {
  for (const [name, sink] of Object.entries(sinks)) {
    metrics.addDimension("Sink", name);
    for (const [metric, unit, value] of sinkMetrics(sink, now)) metrics.addMetric(metric, unit, value);
    for (const [name, value] of sinkFields(sink)) metrics.addMetadata(name, String(value));
    metrics.publishStoredMetrics();
  }
}

function sinkMetrics(sink: SinkReport, now: number): readonly (readonly [string, Unit, number])[] {
  return [
    ["Delivered", MetricUnit.Count, sink.delivered],
    // Without a delivery there is no freshness, rather than a perfect one. A clock that runs ahead somewhere must not
    // make up for what is late.
    ...(sink.newestTime === undefined
      ? []
      : [["Freshness", MetricUnit.Milliseconds, Math.max(0, now - sink.newestTime)] as const]),
  ];
}

function sinkFields(sink: SinkReport): readonly (readonly [string, number])[] {
  return [
    ["Filtered", sink.filtered],
    ["DeadLettered", sink.deadLettered],
    ["Pending", sink.pending],
    ["Requests", sink.requests],
    ["Retries", sink.retries],
    // Without a request there is no latency, rather than a perfect one. In milliseconds.
    ...(sink.requests === 0
      ? []
      : [
          ["Latency", Math.round(sink.requestMs / sink.requests)] as const,
          ["LatencyMax", Math.round(sink.slowestMs)] as const,
        ]),
  ];
}
