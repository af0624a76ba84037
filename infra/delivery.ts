// From an object in the bucket to one sink, or to all of them: a queue, a worker behind it, and a replayer beside it.
import { Duration, Stack } from "aws-cdk-lib";
import * as events from "aws-cdk-lib/aws-events";
import * as targets from "aws-cdk-lib/aws-events-targets";
import type * as kms from "aws-cdk-lib/aws-kms";
import * as lambda from "aws-cdk-lib/aws-lambda";
import type * as sns from "aws-cdk-lib/aws-sns";
import * as subscriptions from "aws-cdk-lib/aws-sns-subscriptions";
import * as sqs from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";
import { deferralsPrefix } from "../src/books/books.ts";
import { writersPrefix } from "../src/books/writer-lease.ts";
import { intakeLane } from "../src/dead-letter/dead-letter.ts";
import { receives } from "../src/lambda/come-back.ts";
import { createFunction, type Vpc } from "./function.ts";
import { objectKeyPermissions, queueKeyPermissions } from "./key.ts";
import { dataPrefix, deadLettersPrefix, receiptsPrefix } from "./prefixes.ts";
import { createDeadLetterQueue, safeQueue } from "./queue.ts";
import type { Permission } from "./role.ts";
import { replayMinutes } from "./schedule.ts";
import { hasOneWriter, secretsOf } from "./sinks.ts";
import type { Storage } from "./storage.ts";

export interface DeliveryProps {
  /** `all`, or the sink's. */
  readonly name: string;
  readonly sinks: readonly string[];
  readonly topic: sns.Topic;
  readonly storage: Storage;
  readonly workerCode: lambda.Code;
  readonly replayerCode: lambda.Code;
  /** Objects delivered at once. From 2 to 1,000. */
  readonly concurrency: number;
  /** Requests a second that a sink's vendor grants the account, by sink, where it differs from the adapter's own. */
  readonly rates: Readonly<Record<string, number>>;
  /** How the names of the sinks' secrets begin. */
  readonly secretPrefix: string;
  /** The database of the sink `timestream`. */
  readonly timestreamDatabase: string;
  readonly vpc?: Vpc | undefined;
  readonly key?: kms.IKey | undefined;
}

export interface Delivery {
  readonly name: string;
  readonly sinks: readonly string[];
  readonly queue: sqs.Queue;
  readonly deadLetters: sqs.Queue;
  readonly worker: lambda.Function;
  readonly replayer: lambda.Function;
}

/** A batch of 5 MB takes seconds; the rest is for a vendor that answers slowly. What is left then is a deferral. */
const workerSeconds = 5 * 60;
/** The core's limits are made for it; see docs/configuration.md. */
const memoryMb = 1024;

/** https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html: "at least six times" the timeout. */
const visibilityShare = 6;
/** Less than the dead-letter queue's, since a message keeps its age when it goes there. */
const queueDays = 4;

/** An object has all of the function's time for itself: a second one could only run out of it. */
const batchSize = 1;

export function createDelivery(parent: Construct, props: DeliveryProps): Delivery {
  const { name, sinks, topic, storage, concurrency, key } = props;
  const rates = Object.entries(props.rates).filter(([sink]) => sinks.includes(sink));
  const scope = new Construct(parent, `Delivery-${name}`);
  const deadLetters = createDeadLetterQueue(scope, "DeadLetters", key);
  const queue = new sqs.Queue(scope, "Queue", {
    ...safeQueue(key),
    visibilityTimeout: Duration.seconds(workerSeconds * visibilityShare),
    retentionPeriod: Duration.days(queueDays),
    deadLetterQueue: { queue: deadLetters, maxReceiveCount: receives },
  });
  topic.addSubscription(
    // Also what SNS itself could not hand over goes to the dead letters of this queue.
    new subscriptions.SqsSubscription(queue, { rawMessageDelivery: true, deadLetterQueue: deadLetters }),
  );

  const common = {
    vpc: props.vpc,
    key,
    memoryMb,
    timeoutSeconds: workerSeconds,
    secrets: secretsOf(sinks).map((adapter) => `${props.secretPrefix}${adapter}`),
    environment: {
      SINKS: sinks.join(","),
      // The queue's workers, and the replayer beside them: they share the vendors' quotas.
      WORKERS: String(concurrency + 1),
      ...(rates.length > 0 && { RATES: rates.map(([sink, rate]) => `${sink}=${rate}`).join(",") }),
      RECEIPTS: `s3://${storage.books.bucketName}/${receiptsPrefix}`,
      DEAD_LETTERS: `s3://${storage.books.bucketName}/${deadLettersPrefix}`,
      ...(sinks.includes("timestream") && { TIMESTREAM_DATABASE: props.timestreamDatabase }),
    },
  };
  const worker = createFunction(scope, "Worker", {
    ...common,
    description: `delivers objects to ${sinks.join(", ")}`,
    code: props.workerCode,
    permissions: [
      ...deliveryPermissions(scope, props),
      {
        // https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html#events-sqs-permissions
        // The last one is the function's own: what failed comes back when it makes sense.
        actions: [
          "sqs:ReceiveMessage",
          "sqs:DeleteMessage",
          "sqs:GetQueueAttributes",
          "sqs:ChangeMessageVisibility",
        ],
        resources: [queue.queueArn],
      },
      ...queueKeyPermissions(scope, queue),
    ],
  });
  new lambda.EventSourceMapping(scope, "Trigger", {
    target: worker,
    eventSourceArn: queue.queueArn,
    batchSize,
    maxConcurrency: concurrency,
    reportBatchItemFailures: true,
  });

  const replayer = createFunction(scope, "Replayer", {
    ...common,
    description: `delivers what waits for ${sinks.join(", ")}`,
    code: props.replayerCode,
    permissions: deliveryPermissions(scope, props),
  });
  // The next run does what this one could not, so a run that fails needs neither a retry nor a dead letter.
  replayer.configureAsyncInvoke({ retryAttempts: 0, maxEventAge: Duration.minutes(replayMinutes) });
  new events.Rule(scope, "Schedule", {
    description: `Deliver what waits for ${sinks.join(", ")}`,
    schedule: events.Schedule.rate(Duration.minutes(replayMinutes)),
    targets: [
      new targets.LambdaFunction(replayer, {
        retryAttempts: 0,
        maxEventAge: Duration.minutes(replayMinutes),
      }),
    ],
  });
  return { name, sinks, queue, deadLetters, worker, replayer };
}

/** What it takes to read objects, keep the books, write letters, and reach AWS's own sinks. */
function deliveryPermissions(scope: Construct, props: DeliveryProps): readonly Permission[] {
  const { sinks, timestreamDatabase } = props;
  const { data, books } = props.storage;
  const ofLanes = (keysOf: (lane: string) => readonly string[]) =>
    [...sinks, intakeLane].flatMap((lane) => keysOf(lane).map((keys) => books.arnForObjects(keys)));
  return [
    {
      // Of a bucket with versions, HEAD and GET name the version.
      // https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
      actions: ["s3:GetObject", "s3:GetObjectVersion"],
      resources: [data.arnForObjects(`${dataPrefix}*`)],
      wildcard: "The stream names its objects; the function reads whichever it is told of below the prefix.",
    },
    {
      // Of all of a bucket, since S3 says that a key is free, and not that it is denied, only to whom may list.
      // https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
      actions: ["s3:ListBucket"],
      resources: [data.bucketArn, books.bucketArn],
    },
    {
      // Receipts and letters are evidence: they are created and never overwritten (see storage.ts). A function removes
      // neither; an operator's replay removes a file of letters that it has settled.
      actions: ["s3:GetObject", "s3:PutObject"],
      resources: ofLanes((lane) => [
        `${receiptsPrefix}/books/*/${lane}/*`,
        `${receiptsPrefix}/${deferralsPrefix}sink=${lane}/*`,
        `${deadLettersPrefix}/sink=${lane}/*`,
        ...(hasOneWriter(lane) ? [`${receiptsPrefix}/${writersPrefix}sink=${lane}/*`] : []),
      ]),
      wildcard: "Books and dead letters are named after objects; each function has those of its sinks alone.",
    },
    {
      // A claim under which nothing was written is given back, and a deferral of which nothing is left goes.
      actions: ["s3:DeleteObject"],
      resources: ofLanes((lane) => [
        `${receiptsPrefix}/books/*/${lane}/*.claim.json`,
        `${receiptsPrefix}/${deferralsPrefix}sink=${lane}/*`,
        ...(hasOneWriter(lane) ? [`${receiptsPrefix}/${writersPrefix}sink=${lane}/*`] : []),
      ]),
      wildcard: "Claims and deferrals are named after objects; each function has those of its sinks alone.",
    },
    ...objectKeyPermissions(scope, { reads: [data, books], writes: [books] }),
    ...timestreamPermissions(scope, sinks, timestreamDatabase),
  ];
}

/** What writing to Timestream takes; nothing where no sink does. */
export function timestreamPermissions(
  scope: Construct,
  sinks: readonly string[],
  database: string,
): readonly Permission[] {
  if (!sinks.includes("timestream")) return [];
  const tables = Stack.of(scope).formatArn({
    service: "timestream",
    resource: "database",
    resourceName: `${database}/table/*`,
  });
  return [
    {
      actions: ["timestream:WriteRecords", "timestream:CreateTable"],
      resources: [tables],
      wildcard: "One table a tenant, which appears with the tenant's first event.",
    },
    {
      actions: ["timestream:DescribeEndpoints"],
      resources: ["*"],
      wildcard: "The SDK asks where its account is served; the action knows no resource.",
    },
  ];
}
