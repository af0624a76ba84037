// The worker as a Lambda function: S3 notifications in, directly or by queue; what failed goes back to its queue.
import type { Logger as PowertoolsLogger } from "@aws-lambda-powertools/logger";
import { type Metrics, MetricUnit } from "@aws-lambda-powertools/metrics";
import { ObjectBusy } from "../books/claim.ts";
import { type ObjectReport, reportOf } from "../books/report.ts";
import { type Clock, type Random, systemClock } from "../delivery/clock.ts";
import { keepRecordsYoung } from "../heap.ts";
import { defaultErrorPrefixes } from "../intake/error-prefixes.ts";
import { createNoWorkRule, type NoWorkOptions } from "../intake/no-work.ts";
import { parseNotification, recordsOf } from "../intake/notification.ts";
import { type ExactRef, firstFound } from "../intake/object-ref.ts";
import { isFields, text } from "../intake/s3-events.ts";
import type { Logger } from "../log.ts";
import { StoreError } from "../store/object-store.ts";
import type { Worker } from "../worker.ts";
import { type Answer, answerTo, type MessageResult } from "./answer.ts";
import {
  type ChangeVisibility,
  comeBack,
  queuedMessage,
  secondsUntilBack,
  sqsVisibility,
} from "./come-back.ts";
import { adapt, defaultLogger } from "./logging.ts";
import { createMetrics, measureSinks } from "./metrics.ts";

/** The part of a worker that a notification needs. */
type Processor = Pick<Worker, "process">;

/** Objects of {@link NoWorkOptions} are ignored with a warning, and counted. */
export interface LambdaOptions extends NoWorkOptions {
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
   * How a message of SQS that failed is told when to come back; see {@link secondsUntilBack}. Default: by SQS's own
   * `ChangeMessageVisibility`, for which the role needs the right; without it, messages wait for the queue's timeout.
   */
  readonly changeVisibility?: ChangeVisibility;
  readonly clock?: Clock;
  readonly random?: Random;
}

export { defaultErrorPrefixes };

/** What the handler asks of Lambda's context. */
export interface LambdaContext {
  readonly awsRequestId: string;
  /** By which a destination's record of this very function is known; Lambda always tells it. */
  readonly invokedFunctionArn?: string;
  getRemainingTimeInMillis(): number;
}

/** Why an object, or a whole message, was not acknowledged. */
interface Failure {
  /** Stable: a {@link StoreError}'s code, `OBJECT_BUSY`, `OUT_OF_TIME`, `MALFORMED`, `OWN_BUCKET` or `UNEXPECTED`. */
  readonly code: string;
  /** One sentence without a payload or a secret. */
  readonly reason: string;
  /** Where it happened, when nobody foresaw it. */
  readonly at?: string;
  /** When the claim ends that was in the way, in milliseconds since the epoch. */
  readonly until?: number | undefined;
}

/**
 * Kept back from the function's time for letters, deferrals and receipts, in milliseconds: two connections that S3
 * does not take (5 s each, see store/s3.ts), then the writes. A short function cannot afford so much, and gives a
 * quarter: at Lambda's default of 3 s the usual writes, four after each other, still fit.
 */
const longestMarginMs = 15_000;
const marginShare = 1 / 4;

/** Notifications that were no work, without a dimension. */
export const ignoredMetric = "Ignored";
/** The age of a message that failed once more; written from {@link lateMessageMs} on, without a dimension. */
export const failingAgeMetric = "FailingMessageAge";
const lateMessageMs = 10 * 60_000;

/** Of what is left: the rest is for the object, once its sink's other writer is done. */
const writerWaitShare = 1 / 2;

/** The next delivery may find these gone by itself; every other failure wants somebody who looks. */
const passing = new Set(["OBJECT_BUSY", "OUT_OF_TIME", "TRANSIENT"]);

/**
 * The handler. A message of a queue succeeds or fails alone (`ReportBatchItemFailures` must be on), and is
 * acknowledged when the receipts of all its objects are durable. S3 Batch Operations gets one result a task. Without
 * a queue a failure is thrown, so that Lambda tries again and then uses the on-failure destination.
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
): Promise<(event: unknown, context: LambdaContext) => Promise<Answer>> {
  keepRecordsYoung();
  const { clock = systemClock, metrics = createMetrics(), random = Math.random } = options;
  const { changeVisibility = sqsVisibility() } = options;
  const noWork = createNoWorkRule(options);
  const logger = options.logger ?? defaultLogger();
  const log = adapt(logger);
  const worker = await options.createWorker(log);

  function account(report: ObjectReport): void {
    tell(log, report);
    measureSinks(metrics, report.sinks, clock.now());
  }

  /** Done: all that had to be done is durable. */
  async function processObject(ref: ExactRef, deadline: number): Promise<Outcome> {
    const refusal = noWork(ref);
    if (refusal !== undefined) return refusal;
    if (clock.now() >= deadline)
      return { code: "OUT_OF_TIME", reason: "no time was left to begin with the object" };
    try {
      const writerWaitMs = Math.max(0, deadline - clock.now()) * writerWaitShare;
      const report = await worker.process(ref, { deadline, writerWaitMs });
      account(report);
      return { report };
    } catch (error) {
      // Receipts that are written: no later run reports them.
      const part = reportOf(error);
      if (part !== undefined) account(part);
      return failureOf(error);
    }
  }

  /** Tells the queue when each message that failed comes back; other triggers have no such thing. */
  async function sendBack(event: unknown, failed: ReadonlyMap<string, readonly Failure[]>): Promise<void> {
    const records = recordsOf(event) ?? [];
    let lateMs = 0;
    await Promise.all(
      records.map(async (record) => {
        const message = queuedMessage(record);
        const failures = failed.get(isFields(record) ? (text(record["messageId"]) ?? "") : "");
        if (message === undefined || failures === undefined) return;
        lateMs = Math.max(lateMs, clock.now() - (message.sentAt ?? clock.now()));
        const ends = failures.flatMap(({ until }) => until ?? []);
        const how = {
          isPassing: failures.every(({ code }) => passing.has(code)),
          claimEndsInMs: ends.length === failures.length ? Math.max(...ends) - clock.now() : undefined,
        };
        const seconds = secondsUntilBack(how, message.receives, random);
        await comeBack(message, seconds, changeVisibility, log);
      }),
    );
    // A queue's own figure of age leaves out what was received three times, which is what comes back.
    // https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
    if (lateMs >= lateMessageMs) {
      metrics.addDimensions({});
      metrics.addMetric(failingAgeMetric, MetricUnit.Seconds, lateMs / 1000);
      metrics.publishStoredMetrics();
    }
  }

  return async (event, context) => {
    logger.appendKeys({ requestId: context.awsRequestId });
    const remaining = context.getRemainingTimeInMillis();
    const deadline = clock.now() + remaining - Math.min(longestMarginMs, remaining * marginShare);
    const results: MessageResult[] = [];
    const failed = new Map<string, readonly Failure[]>();
    const outcomes = new Map<string, Outcome>();
    let ignored = 0;

    for (const message of parseNotification(event, context.invokedFunctionArn)) {
      const messageId = message.id;
      const failures: Failure[] = [];
      const settled: string[] = [];
      const fail = (failure: Failure, ref?: ExactRef) => {
        failures.push(failure);
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
        // One that fails does not keep the others of its message waiting: with it, they may wait for ever.
        const name = JSON.stringify([ref.bucket, ref.key, ref.version, ref.alternativeKeys]);
        const known = outcomes.get(name);
        const outcome = known ?? (await firstFound(ref, (each) => processObject(each, deadline), codeOf));
        outcomes.set(name, outcome);
        if ("code" in outcome) fail(outcome, ref);
        else if ("report" in outcome) settled.push(inWords(outcome.report));
        else {
          ignored++;
          settled.push(`ignored: ${outcome.ignored}`);
          log.warn("an object that is no work was ignored; keep its prefix out of the trigger", {
            messageId,
            object: nameOf(ref),
            reason: outcome.ignored,
          });
        }
      }
      if (failures.length > 0) failed.set(messageId, failures);
      results.push({ id: messageId, failures, settled: settled.join("; ") });
    }
    if (ignored > 0) {
      metrics.addDimensions({});
      metrics.addMetric(ignoredMetric, MetricUnit.Count, ignored);
      metrics.publishStoredMetrics();
    }
    await sendBack(event, failed);
    return answerTo(event, results, (code) => passing.has(code));
  };
}

/** What became of an object. */
type Outcome = Failure | { readonly ignored: string } | { readonly report: ObjectReport };

const codeOf = (outcome: Outcome) => ("code" in outcome ? outcome.code : undefined);

/** For the report of a job: counts alone. */
function inWords({ records, unread, sinks }: ObjectReport): string {
  const pending = Object.values(sinks).reduce((sum, sink) => sum + sink.pending, 0);
  if (records === 0 && pending === 0 && !unread) return "nothing was left to send";
  return `records ${records}, pending ${pending}${unread ? ", not read to its end" : ""}`;
}

function nameOf({ bucket, key }: Pick<ExactRef, "bucket" | "key">): string {
  return `${bucket}/${key}`;
}

/** What others' code says in an error may quote what it worked on, so only the error's kind and place are told. */
function failureOf(error: unknown): Failure {
  if (error instanceof ObjectBusy) return { code: error.code, reason: error.message, until: error.until };
  if (error instanceof StoreError) return { code: error.code, reason: error.message };
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
