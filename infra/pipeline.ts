// The whole pipeline: from events on buses to one queue and one worker a sink, with what watches it.
import { Stack, Tags } from "aws-cdk-lib";
import type * as cloudwatch from "aws-cdk-lib/aws-cloudwatch";
import * as iam from "aws-cdk-lib/aws-iam";
import type * as kms from "aws-cdk-lib/aws-kms";
import * as lambda from "aws-cdk-lib/aws-lambda";
import * as sns from "aws-cdk-lib/aws-sns";
import type * as sqs from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";
import { ConfigError, type Metric } from "../src/index.ts";
import { createAlarms, type QuietRule } from "./alarms.ts";
import { createBackfill } from "./backfill.ts";
import { bundle, type Entry } from "./bundle.ts";
import { createChat, type SlackChannel } from "./chat.ts";
import { createDashboard } from "./dashboard.ts";
import { createDelivery, type Delivery } from "./delivery.ts";
import type { Vpc } from "./function.ts";
import { importKey } from "./key.ts";
import { createOperators } from "./operators.ts";
import { createReconciliation } from "./reconciliation.ts";
import { createRules, type Rules } from "./rules.ts";
import { adaptersOf, hasOneWriter } from "./sinks.ts";
import { createStorage, type Storage } from "./storage.ts";
import {
  type Buffer,
  type Compression,
  createStream,
  defaultBuffer,
  mostBuffer,
  type Stream,
} from "./stream.ts";
import { createTimestreamDatabase } from "./timestream.ts";

/** One queue and one function a sink, so that each has its own pace, secrets and rights; or one for all of them. */
export type Topology = "per-sink" | "single";

export interface EventFanoutProps {
  /** The catalog: each metric is a rule on its bus. */
  readonly metrics: readonly Metric[];
  /** Names of `deployableSinks`. */
  readonly sinks: readonly string[];
  /** Default `per-sink`. */
  readonly topology?: Topology;
  /** What Firehose makes of a batch. Default `GZIP`. */
  readonly compression?: Compression;
  /**
   * For how long and up to which size the stream collects an object: 60 to 600 s, 5 to 64 MB. Default 60 s and 5 MB.
   * Fewer and larger objects cost less, see `npm run cost`, and come later.
   */
  readonly buffer?: Partial<Buffer>;
  /** Whether there is a dashboard, which costs $3 a month beyond the account's first three. Default true. */
  readonly hasDashboard?: boolean;
  /** How the names of the secrets begin. Default `fanout/`: the variables of Mixpanel are in `fanout/mixpanel`. */
  readonly secretPrefix?: string;
  /** For the sink `timestream`. Default: the database `product`, made by this stack. */
  readonly timestream?: { readonly database: string; readonly create: boolean };
  /** How many objects of one queue are delivered at once, 2 to 1,000: the throttle. Default 4; 2 where one may write. */
  readonly concurrency?: number;
  /** The same by sink, which wins. In the topology `single` the least of its sinks' holds for the one queue. */
  readonly concurrencyOf?: Readonly<Record<string, number>>;
  /** Requests a second that the vendor grants the account, by sink. Default: the adapter's own. */
  readonly rates?: Readonly<Record<string, number>>;
  /** How long the bucket keeps what the stream wrote. Default 90, at least 30. */
  readonly dataDays?: number;
  /** How long books and dead letters are kept. Default 400; longer than `dataDays`. */
  readonly booksDays?: number;
  /**
   * Rings when nothing has come into the stream for so many minutes, 5 to 1,440. Default: never, since a product may be
   * idle.
   */
  readonly quietMinutes?: number;
  /** Metrics of which each rings when its rule matches no event for `quietMinutes`. Default: none does. */
  readonly quietMetrics?: readonly string[];
  /** Gets the alarms by mail. Default: nobody does. */
  readonly alarmEmail?: string;
  /** Gets the alarms in a channel. Default: none does. */
  readonly slack?: SlackChannel;
  /** Who tells the transform a tenant's name and environment. Default: nobody does. */
  readonly tenants?: TenantsProps;
  /** Accounts whose events the rules take. Default: the stack's own. */
  readonly eventAccounts?: readonly string[];
  /**
   * Whether Firehose and S3 Batch Operations must say for which account they take their roles. AWS does not document
   * that they do: try it before you rely on it. Default false.
   */
  readonly strictTrust?: boolean;
  /** Who may take the role for the `fanout` commands: ARNs of roles or users. Default: there is no such role. */
  readonly operators?: readonly string[];
  /** ARN of a policy that bounds every role. Default: none. */
  readonly permissionsBoundaryArn?: string;
  /** The network that the functions run in. Default: Lambda's own. */
  readonly vpc?: Vpc;
  /**
   * ARN of a KMS key of the account and region, which encrypts what the pipeline stores. Its policy must let AWS's services
   * use it: see docs/deploy.md. Default: AWS's own keys.
   */
  readonly kmsKeyArn?: string;
  /** Of every resource that can have tags. */
  readonly resourceTags?: Readonly<Record<string, string>>;
  /** The code of a function. Default: what {@link bundle} makes of it. */
  readonly code?: (entry: Entry, adapters: readonly string[]) => lambda.Code;
}

export interface TenantsProps {
  /** An address with `{tenant_id}` in it. */
  readonly directory: string;
  /** What becomes of events while it is down: they go on without a name, or are refused. Default `pass`. */
  readonly down?: "pass" | "fail";
  /** Whether it wants a token, `TENANT_DIRECTORY_TOKEN` of the secret `<secretPrefix>transform`. Default false. */
  readonly secret?: boolean;
}

/** https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html: "between 2 and 1,000". */
const leastConcurrency = 2;
const mostConcurrency = 1000;

export class EventFanout extends Construct {
  readonly storage: Storage;
  readonly stream: Stream;
  readonly deliveries: readonly Delivery[];
  /** Counts what nobody delivers. */
  readonly reconciler: lambda.Function;
  /** Bus events that the stream did not take. */
  readonly undelivered: sqs.Queue;
  /** For jobs of S3 Batch Operations that deliver history. */
  readonly backfill: iam.Role;
  /** For the `fanout` commands, when somebody may take it. */
  readonly operators: iam.Role | undefined;
  readonly alarms: sns.Topic;
  readonly dashboard: cloudwatch.Dashboard | undefined;

  /** @throws {ConfigError} when the settings make no sense. */
  constructor(scope: Construct, id: string, props: EventFanoutProps) {
    super(scope, id);
    const { metrics, sinks, topology = "per-sink", compression = "GZIP", concurrency = 4 } = props;
    const { secretPrefix = "fanout/", dataDays = 90, booksDays = 400 } = props;
    const { timestream = { database: "product", create: true }, tenants, strictTrust = false } = props;
    check(sinks, [concurrency, ...Object.values(props.concurrencyOf ?? {})]);
    checkNames(sinks, { concurrency: props.concurrencyOf, rates: props.rates });
    const {
      code = (entry: Entry, adapters: readonly string[]) =>
        lambda.Code.fromAsset(bundle(entry, adapters, metrics).directory),
    } = props;

    const key = props.kmsKeyArn === undefined ? undefined : importKey(this, props.kmsKeyArn);
    const objects = createObjectTopic(this, key);
    this.storage = createStorage(this, { notify: objects, dataDays, booksDays, key });
    this.stream = createStream(this, {
      bucket: this.storage.data,
      compression,
      buffer: bufferOf(props.buffer),
      transformCode: code("transform", []),
      transformEnvironment:
        tenants === undefined
          ? {}
          : { TENANT_DIRECTORY: tenants.directory, TENANT_DIRECTORY_DOWN: tenants.down ?? "pass" },
      transformSecrets: tenants?.secret === true ? [`${secretPrefix}transform`] : [],
      strictTrust,
      vpc: props.vpc,
      key,
    });
    const rules = createRules(this, {
      metrics,
      streamArn: this.stream.arn,
      key,
      ...(props.eventAccounts !== undefined && { eventAccounts: props.eventAccounts }),
    });
    this.undelivered = rules.undelivered;
    const database =
      sinks.includes("timestream") && timestream.create
        ? createTimestreamDatabase(this, timestream.database)
        : undefined;

    const groups =
      topology === "single" ? [{ name: "all", sinks }] : sinks.map((name) => ({ name, sinks: [name] }));
    this.deliveries = groups.map((group) =>
      createDelivery(this, {
        ...group,
        topic: objects,
        storage: this.storage,
        workerCode: code("worker", adaptersOf(group.sinks)),
        replayerCode: code("replayer", adaptersOf(group.sinks)),
        concurrency: concurrencyFor(group.sinks, props.concurrencyOf, concurrency),
        rates: props.rates ?? {},
        secretPrefix,
        timestreamDatabase: timestream.database,
        vpc: props.vpc,
        key,
      }),
    );
    if (props.permissionsBoundaryArn !== undefined) {
      const boundary = iam.ManagedPolicy.fromManagedPolicyArn(this, "Boundary", props.permissionsBoundaryArn);
      iam.PermissionsBoundary.of(this).apply(boundary);
    }
    for (const [key, value] of Object.entries(props.resourceTags ?? {})) Tags.of(this).add(key, value);
    if (database !== undefined) for (const { worker } of this.deliveries) worker.node.addDependency(database);

    this.reconciler = createReconciliation(this, {
      storage: this.storage,
      sinks,
      code: code("reconciler", []),
      vpc: props.vpc,
      key,
    });
    const { deliveries, stream, undelivered, reconciler } = this;
    this.backfill = createBackfill(this, { deliveries, books: this.storage.books, strictTrust });
    this.operators =
      props.operators === undefined
        ? undefined
        : createOperators(this, {
            principals: props.operators,
            sinks,
            storage: this.storage,
            streamArn: stream.arn,
            queues: [undelivered, ...deliveries.map(({ deadLetters }) => deadLetters)],
            workerArns: deliveries.map(({ worker }) => worker.functionArn),
            backfill: this.backfill,
            secretPrefix,
            timestreamDatabase: timestream.database,
          });
    this.alarms = createAlarms(this, {
      deliveries,
      stream,
      undelivered,
      reconciler,
      key,
      ...(props.quietMinutes !== undefined && { quietMinutes: props.quietMinutes }),
      quietRules: quietRules(props, rules),
      bufferSeconds: bufferOf(props.buffer).seconds,
      ...(props.alarmEmail !== undefined && { email: props.alarmEmail }),
    });
    if (props.slack !== undefined) createChat(this, { topic: this.alarms, channel: props.slack });
    this.dashboard = props.hasDashboard === false ? undefined : createDashboard(this, { deliveries, stream });
  }
}

/** Of one queue. More workers than two of a sink that takes from one writer would only find each other there. */
function concurrencyFor(
  sinks: readonly string[],
  bySink: EventFanoutProps["concurrencyOf"],
  otherwise: number,
): number {
  const own = sinks.flatMap((sink) => bySink?.[sink] ?? []);
  if (own.length > 0) return Math.min(...own);
  return sinks.every(hasOneWriter) ? leastConcurrency : otherwise;
}

/** @throws {ConfigError} when one is no metric of the catalog, or nobody says what quiet is. */
function quietRules(
  { quietMetrics = [], quietMinutes }: Pick<EventFanoutProps, "quietMetrics" | "quietMinutes">,
  { names }: Rules,
): readonly QuietRule[] {
  if (quietMetrics.length > 0 && quietMinutes === undefined)
    throw new ConfigError(["quietMetrics need quietMinutes: after how long a metric is quiet"]);
  return quietMetrics.map((metric) => {
    const name = names.get(metric);
    if (name !== undefined) return { metric, ...name };
    throw new ConfigError([
      `quietMetrics names ${metric}, which has no rule; the catalog has ${[...names.keys()].join(", ")}`,
    ]);
  });
}

/** @throws {ConfigError} when it is out of bounds. */
function bufferOf(given: Partial<Buffer> = {}): Buffer {
  const buffer = { ...defaultBuffer, ...given };
  const problems = (["seconds", "mb"] as const)
    .filter((unit) => !(buffer[unit] >= defaultBuffer[unit] && buffer[unit] <= mostBuffer[unit]))
    .map(
      (unit) =>
        `the stream's buffer is ${buffer[unit]} ${unit}; it must be from ${defaultBuffer[unit]} to ${mostBuffer[unit]}`,
    );
  if (problems.length > 0) throw new ConfigError(problems);
  return buffer;
}

/** A setting of a sink that is not deployed is a slip, which would change nothing without a word. */
function checkNames(
  sinks: readonly string[],
  settings: Readonly<Record<string, Readonly<Record<string, number>> | undefined>>,
): void {
  const problems = Object.entries(settings).flatMap(([setting, bySink = {}]) =>
    Object.keys(bySink)
      .filter((name) => !sinks.includes(name))
      .map(
        (name) => `${setting} names ${name}, which is none of the deployment's sinks: ${sinks.join(", ")}`,
      ),
  );
  if (problems.length > 0) throw new ConfigError(problems);
}

function check(sinks: readonly string[], concurrencies: readonly number[]): void {
  if (sinks.length === 0) throw new ConfigError(["the pipeline has no sink: name one or more"]);
  const doubled = sinks.find((name, index) => sinks.indexOf(name) !== index);
  if (doubled !== undefined) throw new ConfigError([`the sink ${doubled} is named twice`]);
  adaptersOf(sinks);
  for (const concurrency of concurrencies) {
    const isRight =
      Number.isInteger(concurrency) && concurrency >= leastConcurrency && concurrency <= mostConcurrency;
    if (isRight) continue;
    throw new ConfigError([
      `concurrency is ${concurrency}; it must be a whole number from ${leastConcurrency} to ${mostConcurrency}`,
    ]);
  }
}

/** Where S3 says that there is a new object: every queue hears of it. */
function createObjectTopic(scope: Construct, key: kms.IKey | undefined): sns.Topic {
  const topic = new sns.Topic(scope, "Objects", {
    displayName: "New objects of the stream",
    enforceSSL: true,
    ...(key !== undefined && { masterKey: key }),
  });
  topic.addToResourcePolicy(
    new iam.PolicyStatement({
      principals: [new iam.ServicePrincipal("s3.amazonaws.com")],
      actions: ["sns:Publish"],
      resources: [topic.topicArn],
      // The bucket's own name is not known before the topic lets it in, so any bucket of the account may publish.
      conditions: { StringEquals: { "aws:SourceAccount": Stack.of(scope).account } },
    }),
  );
  return topic;
}
