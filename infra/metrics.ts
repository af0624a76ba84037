// The figures that the functions write themselves, as CloudWatch knows them; see docs/configuration.md.
import { Stack } from "aws-cdk-lib";
import * as cloudwatch from "aws-cdk-lib/aws-cloudwatch";
import type { Construct } from "constructs";
import { defaultNamespace } from "../src/lambda/metrics.ts";
import { transformMetrics } from "../src/lambda/transform.ts";

/** Where the functions of a deployment write: one of its own, so that two in one account do not add up. */
export function namespaceOf(scope: Construct): string {
  return `${defaultNamespace}/${Stack.of(scope).stackName}`;
}

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

export function sinkMetric(
  scope: Construct,
  metricName: SinkFigure,
  sink: string,
  statistic: Statistic,
): cloudwatch.Metric {
  return new cloudwatch.Metric({
    namespace: namespaceOf(scope),
    metricName,
    statistic,
    dimensionsMap: { Sink: sink },
  });
}

/** The worker's of the intake, which belong to no sink. */
export function intakeMetric(
  scope: Construct,
  metricName: "Records" | "Invalid" | "Ignored",
): cloudwatch.Metric {
  return new cloudwatch.Metric({ namespace: namespaceOf(scope), metricName, statistic: "Sum" });
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
export function transformMetric(scope: Construct, figure: keyof typeof transformMetrics): cloudwatch.Metric {
  return new cloudwatch.Metric({
    namespace: namespaceOf(scope),
    metricName: transformMetrics[figure],
    statistic: "Sum",
  });
}
