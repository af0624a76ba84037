// What wakes somebody: each alarm says what is wrong, and goes to one topic that chats can subscribe to.
import { Duration, Stack } from "aws-cdk-lib";
import * as cloudwatch from "aws-cdk-lib/aws-cloudwatch";
import { SnsAction } from "aws-cdk-lib/aws-cloudwatch-actions";
import * as iam from "aws-cdk-lib/aws-iam";
import type * as kms from "aws-cdk-lib/aws-kms";
import type * as lambda from "aws-cdk-lib/aws-lambda";
import * as sns from "aws-cdk-lib/aws-sns";
import * as subscriptions from "aws-cdk-lib/aws-sns-subscriptions";
import type * as sqs from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";
import { intakeLane } from "../src/dead-letter/dead-letter.ts";
import { ConfigError } from "../src/index.ts";
import type { Delivery } from "./delivery.ts";
import {
  failingAge,
  ignored,
  matchedMetric,
  reconcilerMetric,
  type SinkFigure,
  type Statistic,
  sinkMetric,
  streamMetric,
  transformMetric,
} from "./metrics.ts";
import { reconcileHours } from "./schedule.ts";
import type { Stream } from "./stream.ts";

export interface AlarmsProps {
  readonly deliveries: readonly Delivery[];
  readonly stream: Stream;
  /** Bus events that the stream did not take. */
  readonly undelivered: sqs.Queue;
  /** Counts what nobody delivers. */
  readonly reconciler: lambda.Function;
  /** Rings when nothing comes into the stream for so long. Default: never. */
  readonly quietMinutes?: number;
  /** Rules of which each rings when it matches no event for so long. */
  readonly quietRules?: readonly QuietRule[];
  /** Gets the alarms by mail. Default: nobody does. */
  readonly email?: string;
  /** For how long the stream collects an object: what is delivered comes so often. */
  readonly bufferSeconds: number;
  readonly key?: kms.IKey | undefined;
}

/** A rule that should match something all the time. */
export interface QuietRule {
  readonly metric: string;
  readonly busName: string;
  readonly ruleName: string;
}

/** Nothing is as old in a pipeline that works: events are in a batch for a minute, and in a queue for seconds. */
const lateMinutes = 15;
/** The first attempts of a deferral come sooner; what waits for longer is more than a hiccup of its sink. */
const waitingMinutes = 60;
/** What the replayer counts every five minutes: what waits is in each such period, whenever exactly it runs. */
const gaugeMinutes = 15;
/** Three runs of the replayer in a row did not happen. */
const silentMinutes = 15;

const minute = 60_000;
const mostChildren = 100;

export function createAlarms(parent: Construct, props: AlarmsProps): sns.Topic {
  const { deliveries, stream, undelivered, reconciler, quietMinutes, email, key } = props;
  /** CloudWatch's periods slide: one that holds two runs of the replayer always holds one. */
  const schedulePeriod = Duration.minutes(gaugeMinutes);
  /** Each has an object in it, however the stream's batches fall. */
  const freshnessPeriod = Duration.minutes(Math.max(5, Math.ceil((2 * props.bufferSeconds) / 60)));
  const scope = new Construct(parent, "Alarms");
  const topic = new sns.Topic(scope, "Topic", {
    displayName: "firehose-fanout",
    enforceSSL: true,
    ...(key !== undefined && { masterKey: key }),
  });
  topic.addToResourcePolicy(
    new iam.PolicyStatement({
      principals: [new iam.ServicePrincipal("cloudwatch.amazonaws.com")],
      actions: ["sns:Publish"],
      resources: [topic.topicArn],
      conditions: { StringEquals: { "aws:SourceAccount": Stack.of(scope).account } },
    }),
  );
  if (email !== undefined) topic.addSubscription(new subscriptions.EmailSubscription(email));

  const alarm = (id: string, alarmDescription: string, metric: cloudwatch.IMetric, when: When) => {
    const { above, below, periods = 1, silence = "fine" } = when;
    const made = new cloudwatch.Alarm(scope, id, {
      alarmDescription,
      metric,
      threshold: above ?? below ?? 0,
      comparisonOperator:
        above === undefined
          ? cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD
          : cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
      evaluationPeriods: periods,
      treatMissingData:
        silence === "fine"
          ? cloudwatch.TreatMissingData.NOT_BREACHING
          : cloudwatch.TreatMissingData.BREACHING,
    });
    made.addAlarmAction(new SnsAction(topic));
    made.addOkAction(new SnsAction(topic));
    return made;
  };
  /** One that means that data is late or lost. */
  const lateAlarms: cloudwatch.IAlarm[] = [];
  const late = (...given: Parameters<typeof alarm>) => {
    // CDK is compiled without exactOptionalPropertyTypes: its Alarm differs from its IAlarm in nothing else.
    lateAlarms.push(alarm(...given) as cloudwatch.IAlarm);
  };
  /** Missing figures are none, so that one of several that is missing does not hide the others. */
  const sumOf = (usingMetrics: Record<string, cloudwatch.Metric>) =>
    new cloudwatch.MathExpression({
      expression: Object.keys(usingMetrics)
        .map((name) => `FILL(${name}, 0)`)
        .join(" + "),
      usingMetrics,
      label: "failures",
      period: Object.values(usingMetrics)[0]?.period ?? Duration.minutes(5),
    });
  /**
   * What is missing is none at once. Else CloudWatch looks back for older figures before it takes silence for one.
   * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
   */
  const filled = (figure: cloudwatch.Metric) => sumOf({ figure });

  for (const { name, sinks, queue, deadLetters, worker, replayer } of deliveries) {
    late(
      `${name}-queue-age`,
      `Objects wait for ${lateMinutes} minutes for the worker of ${name}: it fails, or is too slow.`,
      queue.metricApproximateAgeOfOldestMessage(),
      { above: lateMinutes * 60 },
    );
    late(
      `${name}-queue-dead-letters`,
      `Notifications of objects failed for good on their way to ${name}: nothing of these objects is acknowledged.`,
      deadLetters.metricApproximateNumberOfMessagesVisible(),
      { above: 0 },
    );
    late(
      `${name}-fails`,
      `The worker or the replayer of ${name} fails as a whole or is throttled: a secret, the configuration, its time, ` +
        "its memory, a listing that is denied, or the account's concurrency. The log's first line says which.",
      sumOf({
        errors: worker.metricErrors({ period: schedulePeriod }),
        throttles: worker.metricThrottles({ period: schedulePeriod }),
        replayer: replayer.metricErrors({ period: schedulePeriod }),
      }),
      { above: 0 },
    );
    late(
      `${name}-replayer-silent`,
      `The replayer of ${name} has not run for ${silentMinutes} minutes: nobody would know of what waits.`,
      filled(replayer.metricInvocations({ period: Duration.minutes(silentMinutes) })),
      { below: 1, silence: "bad" },
    );
    for (const sink of sinks) {
      alarm(
        `${sink}-waiting-letters`,
        `Records that ${sink} refused for good wait for a decision: see fanout dlq.`,
        filled(gauge(scope, "WaitingDeadLetters", sink, "Maximum")),
        { above: 0 },
      );
      late(
        `${sink}-waiting-long`,
        `Records have waited for ${sink} for ${waitingMinutes} minutes: the sink is down, or refuses its credentials. ` +
          "After seven days the replayer leaves them to a person: see fanout dlq.",
        filled(gauge(scope, "PendingAge", sink, "Maximum")),
        { above: waitingMinutes * 60 },
      );
      late(
        `${sink}-freshness`,
        `Even the newest event that reached ${sink} was ${lateMinutes} minutes old, three times in a row.`,
        // The least of a period: what a replay delivers late does not hide, nor fake, how fresh the rest is.
        sinkMetric(scope, "Freshness", sink, "Minimum").with({ period: freshnessPeriod }),
        { above: lateMinutes * minute, periods: 3 },
      );
    }
  }
  late(
    "messages-late",
    `Messages that failed again and again are ${lateMinutes} minutes old: their objects are delivered to nobody meanwhile. ` +
      "The workers' logs say why; after 20 times a message lies in its dead-letter queue.",
    filled(failingAge(scope, 2 * lateMinutes)),
    { above: lateMinutes * 60 },
  );
  alarm(
    "intake-waiting-letters",
    "Records that are no valid events wait for a decision: see fanout dlq.",
    filled(gauge(scope, "WaitingDeadLetters", intakeLane, "Maximum")),
    { above: 0 },
  );
  late(
    "intake-waiting-long",
    `The end of an object has not been read for ${waitingMinutes} minutes: S3 breaks off, or denies it.`,
    filled(gauge(scope, "PendingAge", intakeLane, "Maximum")),
    { above: waitingMinutes * 60 },
  );
  late(
    "transform-fails",
    "The transform fails as a whole or is throttled: its batches go to Error/.",
    sumOf({ errors: stream.transform.metricErrors(), throttles: stream.transform.metricThrottles() }),
    { above: 0 },
  );
  late(
    "stream-transform-failed",
    "Firehose could not call the transform, or got no answer in time: after three tries the batch goes to Error/.",
    // "The sum of successful Lambda invocations over the sum of total Lambda invocations."
    // https://docs.aws.amazon.com/firehose/latest/dev/cw-metrics-data-transformation.html
    streamMetric(stream.name, "ExecuteProcessing.Success", "Average"),
    { below: 1 },
  );
  late(
    "stream-comes-to-nothing",
    `Records have come into the stream for ${lateMinutes} minutes and none has left its transform: all of them are ` +
      "refused, or go to Error/.",
    new cloudwatch.MathExpression({
      // Records that the transform has let pass: "SucceedProcessing.Records".
      // https://docs.aws.amazon.com/firehose/latest/dev/cw-metrics-data-transformation.html
      expression: "IF(FILL(came, 0) > 0 AND FILL(passed, 0) < 1, 1, 0)",
      usingMetrics: {
        came: streamMetric(stream.name, "IncomingRecords", "Sum"),
        passed: streamMetric(stream.name, "SucceedProcessing.Records", "Sum"),
      },
      label: "nothing passes",
      period: Duration.minutes(lateMinutes),
    }),
    // In the first period records may have come that the transform gets in the second.
    { above: 0, periods: 2 },
  );
  alarm(
    "transform-refused",
    "The transform refused records: they are below Error/, with the reason in its log.",
    transformMetric(scope, "refused"),
    { above: 0 },
  );
  alarm(
    "tenant-directory-down",
    "The tenants' directory does not answer: events go on without names, or are refused, as configured.",
    transformMetric(scope, "directoryDown"),
    { above: 0, periods: 3 },
  );
  late(
    "stream-freshness",
    `Firehose holds records that are ${lateMinutes} minutes old: it cannot write to its bucket.`,
    streamMetric(stream.name, "DeliveryToS3.DataFreshness", "Maximum"),
    { above: lateMinutes * 60 },
  );
  late(
    "stream-throttled",
    "The stream takes less than the buses put in: EventBridge tries again for 24 hours; raise the stream's quota.",
    streamMetric(stream.name, "ThrottledRecords", "Sum"),
    { above: 0, periods: 3 },
  );
  if (quietMinutes !== undefined) {
    late(
      "stream-silent",
      `Nothing has come into the stream for ${quietMinutes} minutes: no rule matches, or no producer puts events.`,
      filled(
        streamMetric(stream.name, "IncomingRecords", "Sum").with({ period: Duration.minutes(quietMinutes) }),
      ),
      { below: 1, silence: "bad" },
    );
  }
  for (const { metric, busName, ruleName } of props.quietRules ?? []) {
    late(
      `${metric}-silent`,
      `The rule of the metric ${metric} has matched no event for ${quietMinutes} minutes: its producer is silent, or ` +
        "puts events that the rule does not know.",
      filled(matchedMetric(busName, ruleName, quietMinutes ?? 0)),
      { below: 1, silence: "bad" },
    );
  }
  late(
    "rules-dead-letters",
    "Events of a bus did not get into the stream: they are in the rules' dead-letter queue.",
    undelivered.metricApproximateNumberOfMessagesVisible(),
    { above: 0 },
  );
  late(
    "objects-unknown",
    "Objects of the stream are known to no receipt: their notifications are lost. fanout books --in names them, and " +
      "fanout run delivers them.",
    filled(reconcilerMetric(scope, "unknown")),
    { above: 0 },
  );
  late(
    "error-objects-new",
    "In the last two hours the stream wrote below Error/ what it could not process: fanout dlq --queue " +
      "s3://<bucket>/Error/ says why, and puts it back.",
    filled(reconcilerMetric(scope, "refusedLately")),
    { above: 0 },
  );
  alarm(
    "error-objects",
    "Below Error/ lies what the stream could not process, and waits for a decision: see fanout dlq --queue.",
    filled(reconcilerMetric(scope, "refused")),
    { above: 0 },
  );
  alarm(
    "notifications-ignored",
    "For three hours notifications have come that are no work, such as of objects that the workers wrote themselves: a " +
      "trigger's prefix is too wide. The worker's log names the objects.",
    filled(ignored(scope)),
    { above: 0, periods: 3 },
  );
  late(
    "reconciler-fails",
    "The reconciler fails: nobody would know of objects whose notifications are lost.",
    reconciler.metricErrors({ period: Duration.hours(2 * reconcileHours) }),
    { above: 0 },
  );
  late(
    "reconciler-silent",
    `The reconciler has not run for ${2 * reconcileHours} hours: nobody would know of objects whose notifications are lost.`,
    filled(reconciler.metricInvocations({ period: Duration.hours(2 * reconcileHours) })),
    { below: 1, silence: "bad" },
  );
  // https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutCompositeAlarm.html: "up to 100 metric alarms".
  if (lateAlarms.length > mostChildren) {
    throw new ConfigError([
      `late-or-lost would stand for ${lateAlarms.length} alarms, and CloudWatch takes ${mostChildren}: fewer quietMetrics, or a second stack`,
    ]);
  }
  const first = new cloudwatch.CompositeAlarm(scope, "late-or-lost", {
    alarmDescription:
      "Data is late or lost: look here first. The alarms behind it, in the console, say where it stays.",
    alarmRule: cloudwatch.AlarmRule.anyOf(...lateAlarms),
  });
  first.addAlarmAction(new SnsAction(topic));
  first.addOkAction(new SnsAction(topic));
  return topic;
}

function gauge(scope: Construct, figure: SinkFigure, sink: string, statistic: Statistic): cloudwatch.Metric {
  return sinkMetric(scope, figure, sink, statistic).with({ period: Duration.minutes(gaugeMinutes) });
}

interface When {
  readonly above?: number;
  readonly below?: number;
  /** How often in a row. Default once. */
  readonly periods?: number;
  /** What it means that there is no figure at all. Default: nothing is wrong. */
  readonly silence?: "fine" | "bad";
}
