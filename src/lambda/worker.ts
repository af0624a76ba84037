// The worker as a Lambda function: S3 notifications in, directly or by queue; what failed goes back to its queue.
import type { Logger as PowertoolsLogger } from "@aws-lambda-powertools/logger";
import { type Metrics, MetricUnit } from "@aws-lambda-powertools/metrics";
import { ObjectBusy } from "../books/claim.ts";
import { type ObjectReport, reportOf } from "../books/report.ts";
import { type Clock, systemClock } from "../delivery/clock.ts";
import { keepRecordsYoung } from "../heap.ts";
import { defaultErrorPrefixes } from "../intake/error-prefixes.ts";
import { type ObjectRef, parseNotification } from "../intake/notification.ts";
import type { Logger } from "../log.ts";
import { StoreError } from "../store/object-store.ts";
import type { Worker } from "../worker.ts";
import { adapt, defaultLogger } from "./logging.ts";
import { defaultMetrics, measure } from "./metrics.ts";

/** The part of a worker that a notification needs. */
type Processor = Pick<Worker, "process">;

export interface LambdaOptions {
  /** Gets the core's log, which goes to the same place as the handler's. Made once a cold start. */
  readonly createWorker: (log: Logger) => Processor | Promise<Processor>;
  /** Default: Powertools' logger, set up by its own variables (`POWERTOOLS_LOG_LEVEL`, …). */
  readonly logger?: PowertoolsLogger;
  /**
   * Default: the namespace `FirehoseFanout` and no dimension but `Sink`. Dimensions of an instance that is given
   * are kept: Powertools' own `service`, say, unless `clearDefaultDimensions` was called.
   */
  readonly metrics?: Metrics;
  /**
   * Where the worker itself writes, as `s3://bucket/prefix`: its books and its dead letters. Objects below are
   * ignored with a warning, in whose bucket they may be: else every object would make the next ones. Default none.
   */
  readonly own?: readonly string[];
  /**
   * How the keys begin under which Firehose keeps what its transform refused. Such objects are ignored with a
   * warning: they hold no events but the refusals, with the data in base64. Default {@link defaultErrorPrefixes}.
   */
  readonly errorPrefixes?: readonly string[];
  readonly clock?: Clock;
}

export { defaultErrorPrefixes };

/** What the handler asks of Lambda's context. */
export interface LambdaContext {
  readonly awsRequestId: string;
  getRemainingTimeInMillis(): number;
}

/** SQS takes back what is named here, and only that; other triggers ignore it. */
export interface BatchResponse {
  readonly batchItemFailures: readonly { readonly itemIdentifier: string }[];
}

/** Why an object, or a whole message, was not acknowledged. */
interface Failure {
  /** Stable: a {@link StoreError}'s code, `OBJECT_BUSY`, `OUT_OF_TIME`, `MALFORMED`, `OWN_BUCKET` or `UNEXPECTED`. */
  readonly code: string;
  /** One sentence without a payload or a secret. */
  readonly reason: string;
  /** Where it happened, when nobody foresaw it. */
  readonly at?: string;
}

/**
 * Kept back from the function's time for letters, deferrals and receipts, in milliseconds: two connections that S3
 * does not take (5 s each, see store/s3.ts), then the writes. A short function cannot afford so much, and gives a
 * quarter: at Lambda's default of 3 s the usual writes, four after each other, still fit.
 */
const longestMarginMs = 15_000;
const marginShare = 1 / 4;

/** Without s3:ListBucket, S3 denies what is not there. */
const missing = new Set(["NOT_FOUND", "DENIED"]);

/** The next delivery may find these gone by itself; every other failure wants somebody who looks. */
const passing = new Set(["OBJECT_BUSY", "OUT_OF_TIME", "TRANSIENT"]);

/**
 * The handler. A message of a queue succeeds or fails alone (`ReportBatchItemFailures` must be on), and is
 * acknowledged when the receipts of all its objects are durable. Without a queue a failure is thrown, so that
 * Lambda tries again and then uses the on-failure destination.
 *
 * An object that is gone (`NOT_FOUND`) or was overwritten (`CHANGED`) fails its message each time, until that lies
 * in the queue's own dead-letter queue: no retry will help, but acknowledging it would lose a batch without anybody
 * knowing. What replaced an object has a notification of its own.
 *
 * An object that a batch names more than once is processed once, and its outcome is that of all its messages.
 *
 * After a freeze, connections to S3 may be dead without this process knowing. The first request on such a one is
 * reset, and the SDK sends it again on a new one; where not even a reset comes, after the client's timeout.
 *
 * `createWorker` runs at the cold start: a missing secret fails the function before its first event.
 */
export async function createHandler(
  options: LambdaOptions,
): Promise<(event: unknown, context: LambdaContext) => Promise<BatchResponse>> {
  keepRecordsYoung();
  const { clock = systemClock, metrics = defaultMetrics(), own = [] } = options;
  const { errorPrefixes = defaultErrorPrefixes } = options;
  const logger = options.logger ?? defaultLogger();
  const log = adapt(logger);
  const worker = await options.createWorker(log);

  function account(report: ObjectReport): void {
    tell(log, report);
    measure(metrics, report, clock.now());
  }

  /** Undefined: all that had to be done is durable. */
  async function processObject(ref: ObjectRef, deadline: number): Promise<Failure | undefined> {
    if (clock.now() >= deadline)
      return { code: "OUT_OF_TIME", reason: "no time was left to begin with the object" };
    try {
      account(await worker.process(ref, { deadline }));
      return undefined;
    } catch (error) {
      // Receipts that are written: no later run reports them.
      const part = reportOf(error);
      if (part !== undefined) account(part);
      return failureOf(error);
    }
  }

  /** EventBridge's key as it came, then decoded. */
  async function processEither(given: ObjectRef, deadline: number): Promise<Failure | undefined> {
    const { alternativeKey, ...ref } = given;
    const failure = await processObject(ref, deadline);
    if (alternativeKey === undefined || failure === undefined || !missing.has(failure.code)) return failure;
    const other = await processObject({ ...ref, key: alternativeKey }, deadline);
    return other !== undefined && missing.has(other.code) ? failure : other;
  }

  /** Why an object is none to be delivered, or must not be. */
  function refuse({ alternativeKey, ...ref }: ObjectRef): { ignored: string } | Failure | undefined {
    return (
      refuseKey(ref.bucket, ref.key) ??
      (alternativeKey === undefined ? undefined : refuseKey(ref.bucket, alternativeKey))
    );
  }

  function refuseKey(bucket: string, key: string): { ignored: string } | Failure | undefined {
    const url = `s3://${bucket}/${key}`;
    for (const location of own.map((each) => each.replace(/\/*$/, "/"))) {
      if (!url.startsWith(location)) continue;
      if (location !== `s3://${bucket}/`) return { ignored: "the worker itself wrote it" };
      return {
        code: "OWN_BUCKET",
        reason: `the books or dead letters are at ${location} without a prefix, so nothing in that bucket can be told from them: give them a prefix`,
      };
    }
    if (errorPrefixes.some((prefix) => prefix !== "" && key.startsWith(prefix))) {
      return { ignored: "Firehose wrote it for what its transform refused" };
    }
    return undefined;
  }

  return async (event, context) => {
    logger.appendKeys({ requestId: context.awsRequestId });
    const remaining = context.getRemainingTimeInMillis();
    const deadline = clock.now() + remaining - Math.min(longestMarginMs, remaining * marginShare);
    const failures: (Failure & { readonly itemIdentifier: string })[] = [];
    const outcomes = new Map<string, Failure | undefined>();
    let ignored = 0;

    for (const message of parseNotification(event)) {
      const messageId = message.id;
      const fail = (failure: Failure, ref?: ObjectRef) => {
        failures.push({ ...failure, itemIdentifier: messageId });
        const { code, reason, at } = failure;
        const tellIt = passing.has(code) ? log.warn : log.error;
        const object = ref === undefined ? undefined : nameOf(ref);
        tellIt("a notification failed and is not acknowledged", { messageId, object, code, reason, at });
      };
      if (message.malformed !== undefined) fail({ code: "MALFORMED", reason: message.malformed });
      if (message.ignored > 0) {
        ignored += message.ignored;
        log.info("notifications that are no work were ignored", { messageId, ignored: message.ignored });
      }
      for (const ref of message.objects) {
        const refusal = refuse(ref);
        if (refusal !== undefined && "ignored" in refusal) {
          ignored++;
          log.warn("an object that is no work was ignored; keep its prefix out of the trigger", {
            messageId,
            object: nameOf(ref),
            reason: refusal.ignored,
          });
          continue;
        }
        // One that fails does not keep the others of its message waiting: with it, they may wait for ever.
        const name = JSON.stringify([ref.bucket, ref.key, ref.version]);
        if (!outcomes.has(name)) outcomes.set(name, refusal ?? (await processEither(ref, deadline)));
        const failure = outcomes.get(name);
        if (failure !== undefined) fail(failure, ref);
      }
    }
    if (ignored > 0) {
      metrics.addDimensions({});
      metrics.addMetric("Ignored", MetricUnit.Count, ignored);
      metrics.publishStoredMetrics();
    }

    const [first] = failures;
    if (first !== undefined && !fromQueue(event)) throw new Error(`${first.code}: ${first.reason}`);
    const failed = new Set(failures.map(({ itemIdentifier }) => itemIdentifier));
    return { batchItemFailures: [...failed].map((itemIdentifier) => ({ itemIdentifier })) };
  };
}

/** Whether every message has an id of SQS's, by which it can be given back. */
function fromQueue(event: unknown): boolean {
  if (typeof event !== "object" || event === null || !("Records" in event)) return false;
  const { Records: records } = event;
  return (
    Array.isArray(records) &&
    records.every((each: unknown) => typeof each === "object" && each !== null && "messageId" in each)
  );
}

function nameOf({ bucket, key }: Pick<ObjectRef, "bucket" | "key">): string {
  return `${bucket}/${key}`;
}

/** What others' code says in an error may quote what it worked on, so only the error's kind and place are told. */
function failureOf(error: unknown): Failure {
  if (error instanceof StoreError || error instanceof ObjectBusy) {
    return { code: error.code, reason: error.message };
  }
  if (!(error instanceof Error))
    return { code: "UNEXPECTED", reason: "something else than an error was thrown" };
  const frames = (error.stack ?? "")
    .replace(error.message, "")
    .split("\n")
    .filter((line) => /^ +at /.test(line));
  return {
    code: "UNEXPECTED",
    reason: `an unexpected ${error.name}`,
    at: frames.map((line) => line.trim()).join("; "),
  };
}

function tell(log: Logger, report: ObjectReport): void {
  const { object, records, valid, invalid, unread } = report;
  const name = nameOf(object);
  log.info("object processed", { object: name, records, valid, invalid, unread });
  for (const [sink, { valid: events, ...counts }] of Object.entries(report.sinks)) {
    const { delivered, filtered, deadLettered, pending, requests, retries } = counts;
    log.info("sink served", {
      object: name,
      sink,
      valid: events,
      delivered,
      filtered,
      deadLettered,
      pending,
      requests,
      retries,
    });
  }
}
