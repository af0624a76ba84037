// One page that says whether every tool has what it should have.
import * as cloudwatch from "aws-cdk-lib/aws-cloudwatch";
import type { Construct } from "constructs";
import type { Delivery } from "./delivery.ts";
import { reconcilerMetric, type SinkFigure, type Statistic, sinkMetric, streamMetric } from "./metrics.ts";
import type { Stream } from "./stream.ts";

export interface DashboardProps {
  readonly deliveries: readonly Delivery[];
  readonly stream: Stream;
}

/** Of the grid's 24 columns. */
const width = 8;
const height = 6;

export function createDashboard(
  scope: Construct,
  { deliveries, stream }: DashboardProps,
): cloudwatch.Dashboard {
  const sinks = [...new Set(deliveries.flatMap((delivery) => delivery.sinks))];
  const graph = (title: string, left: readonly cloudwatch.IMetric[]) =>
    new cloudwatch.GraphWidget({ title, left: [...left], width, height, leftYAxis: { min: 0 } });
  const bySink = (title: string, figure: SinkFigure, statistic: Statistic) =>
    graph(
      title,
      sinks.map((sink) => sinkMetric(scope, figure, sink, statistic).with({ label: sink })),
    );
  /** Written only where something waits, so what is missing is none. */
  const waiting = (title: string, figure: SinkFigure) =>
    graph(
      title,
      sinks.map(
        (sink, index) =>
          new cloudwatch.MathExpression({
            expression: `FILL(waiting${index}, 0)`,
            usingMetrics: { [`waiting${index}`]: sinkMetric(scope, figure, sink, "Maximum") },
            label: sink,
          }),
      ),
    );
  return new cloudwatch.Dashboard(scope, "Dashboard", {
    widgets: [
      [
        bySink("Freshness: how old the newest delivered event is (ms)", "Freshness", "Minimum"),
        bySink("Delivered events", "Delivered", "Sum"),
        waiting("Waiting dead letters", "WaitingDeadLetters"),
      ],
      [
        waiting("How long pending records have waited (s)", "PendingAge"),
        graph(
          "Backlog: objects in the queue",
          deliveries.map(({ name, queue }) =>
            queue.metricApproximateNumberOfMessagesVisible({ statistic: "Maximum", label: name }),
          ),
        ),
      ],
      [
        graph("Stream: records in, age of the oldest (s)", [
          streamMetric(stream.name, "IncomingRecords", "Sum"),
          streamMetric(stream.name, "DeliveryToS3.DataFreshness", "Maximum"),
        ]),
        graph("What nobody delivers: objects without a receipt, objects below Error/", [
          reconcilerMetric(scope, "unknown"),
          reconcilerMetric(scope, "refused"),
        ]),
        graph("Functions that failed", [
          stream.transform.metricErrors({ label: "transform" }),
          ...deliveries.flatMap(({ name, worker, replayer }) => [
            worker.metricErrors({ label: `worker ${name}` }),
            replayer.metricErrors({ label: `replayer ${name}` }),
          ]),
        ]),
      ],
    ],
  });
}
