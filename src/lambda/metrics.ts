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

/** CloudWatch's embedded metric format: the intake's counts without a dimension, then every sink's with its name. */
export function measure(metrics: Metrics, report: ObjectReport, now: number): void {
  // The format wants at least one set of dimensions, of which an empty one is lawful.
  // https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
  metrics.addDimensions({});
  metrics.addMetric("Records", MetricUnit.Count, report.records);
  metrics.addMetric("Invalid", MetricUnit.Count, report.invalid);
  metrics.publishStoredMetrics();
  measureSinks(metrics, report.sinks, now);
}

/** What a run did for every sink. */
export function measureSinks(metrics: Metrics, sinks: ObjectReport["sinks"], now: number): void {
  for (const [name, sink] of Object.entries(sinks)) {
    metrics.addDimension("Sink", name);
    for (const [metric, unit, value] of sinkMetrics(sink, now)) metrics.addMetric(metric, unit, value);
    metrics.publishStoredMetrics();
  }
}

function sinkMetrics(sink: SinkReport, now: number): readonly (readonly [string, Unit, number])[] {
  return [
    ["Delivered", MetricUnit.Count, sink.delivered],
    ["Filtered", MetricUnit.Count, sink.filtered],
    ["DeadLettered", MetricUnit.Count, sink.deadLettered],
    ["Pending", MetricUnit.Count, sink.pending],
    ["Requests", MetricUnit.Count, sink.requests],
    ["Retries", MetricUnit.Count, sink.retries],
    // Without a request or a delivery there is no latency and no freshness, rather than a perfect one.
    ...(sink.requests === 0
      ? []
      : [
          ["Latency", MetricUnit.Milliseconds, sink.requestMs / sink.requests] as const,
          ["LatencyMax", MetricUnit.Milliseconds, sink.slowestMs] as const,
        ]),
    ...(sink.newestTime === undefined
      ? []
      : // A clock that runs ahead somewhere must not make up for what is late.
        [["Freshness", MetricUnit.Milliseconds, Math.max(0, now - sink.newestTime)] as const]),
  ];
}
