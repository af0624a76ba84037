// The figures that the functions write themselves, as CloudWatch knows them; see docs/configuration.md.
import { Duration, Stack } from "aws-cdk-lib";
import * as cloudwatch from "aws-cdk-lib/aws-cloudwatch";
import type { Construct } from "constructs";
import { defaultNamespace } from "../src/lambda/metrics.ts";
import { reconcilerMetrics } from "../src/lambda/reconciler.ts";
import { transformMetrics } from "../src/lambda/transform.ts";
import { failingAgeMetric, ignoredMetric } from "../src/lambda/worker.ts";
import { reconcileHours } from "./schedule.ts";

/** Where the functions of a deployment write: one of its own, so that two in one account do not add up. */
export function namespaceOf(scope: Construct): string {
  return `${defaultNamespace}/${Stack.of(scope).stackName}`;
}

export type Statistic = "Sum" | "Average" | "Minimum" | "Maximum" | "SampleCount";

export type SinkFigure = "Delivered" | "Freshness" | "WaitingDeadLetters" | "PendingAge";

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

/**
 * The reconciler's, over all sinks; it writes them once an hour. CloudWatch's periods slide, so one of two hours always holds
 * a figure, and an alarm on it does not come and go between two runs.
 */
export function reconcilerMetric(
  scope: Construct,
  figure: keyof typeof reconcilerMetrics,
): cloudwatch.Metric {
  return new cloudwatch.Metric({
    namespace: namespaceOf(scope),
    metricName: reconcilerMetrics[figure],
    statistic: "Maximum",
    period: Duration.hours(2 * reconcileHours),
  });
}

/** Notifications that were no work, over all workers. */
export function ignored(scope: Construct): cloudwatch.Metric {
  return new cloudwatch.Metric({
    namespace: namespaceOf(scope),
    metricName: ignoredMetric,
    statistic: "Sum",
    period: Duration.hours(1),
  });
}

/** For how long messages have come back that failed again and again, over all queues. */
export function failingAge(scope: Construct, minutes: number): cloudwatch.Metric {
  return new cloudwatch.Metric({
    namespace: namespaceOf(scope),
    metricName: failingAgeMetric,
    statistic: "Maximum",
    period: Duration.minutes(minutes),
  });
}

/** Events that a rule has matched. https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html */
export function matchedMetric(busName: string, ruleName: string, minutes: number): cloudwatch.Metric {
  return new cloudwatch.Metric({
    namespace: "AWS/Events",
    metricName: "MatchedEvents",
    statistic: "Sum",
    period: Duration.minutes(minutes),
    // A rule of the default bus has no other dimension.
    dimensionsMap:
      busName === "default" ? { RuleName: ruleName } : { EventBusName: busName, RuleName: ruleName },
  });
}
