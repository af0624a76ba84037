// The figures that the functions write themselves, as CloudWatch knows them; see docs/configuration.md.
import * as cloudwatch from "aws-cdk-lib/aws-cloudwatch";
import { transformMetrics } from "../src/lambda/transform.ts";

/** The handlers' namespace. */
const namespace = "FirehoseFanout";

export type Statistic = "Sum" | "Average" | "Minimum" | "Maximum" | "SampleCount";

export type SinkFigure =
  | "Delivered"
  | "Filtered"
  | "DeadLettered"
  | "Pending"
  | "Requests"
  | "Retries"
  | "Latency"
  | "LatencyMax"
  | "Freshness"
  | "WaitingDeadLetters"
  | "WaitingDeferrals"
  | "DeferralsGivenUp"
  | "OldestAge";

export function sinkMetric(metricName: SinkFigure, sink: string, statistic: Statistic): cloudwatch.Metric {
  return new cloudwatch.Metric({
    namespace,
    metricName,
    statistic,
    dimensionsMap: { Sink: sink },
  });
}

/** The worker's of the intake, which belong to no sink. */
export function intakeMetric(metricName: "Records" | "Invalid" | "Ignored"): cloudwatch.Metric {
  return new cloudwatch.Metric({ namespace, metricName, statistic: "Sum" });
}

export function streamMetric(stream: string, metricName: string, statistic: Statistic): cloudwatch.Metric {
  return new cloudwatch.Metric({
    namespace: "AWS/Firehose",
    metricName,
    statistic,
    dimensionsMap: { DeliveryStreamName: stream },
  });
}

/** The transform's, which belong to no sink. */
export function transformMetric(figure: keyof typeof transformMetrics): cloudwatch.Metric {
  return new cloudwatch.Metric({ namespace, metricName: transformMetrics[figure], statistic: "Sum" });
}
