// The worker as a Lambda function: S3 notifications in, directly or by queue; what failed goes back to its queue.
import { Logger as PowertoolsLogger } from "@aws-lambda-powertools/logger";
import { Metrics, MetricUnit } from "@aws-lambda-powertools/metrics";
import type { MetricUnit as Unit } from "@aws-lambda-powertools/metrics/types";
import type { ObjectReport, SinkReport } from "../books/report.ts";
import { type Clock, systemClock } from "../delivery/clock.ts";
import { parseNotification } from "../intake/notification.ts";
import type { LogFields, Logger } from "../log.ts";
import type { Worker } from "../worker.ts";

export interface LambdaOptions {
  /** Gets the core's log, which goes to the same place as the handler's. Made once a cold start. */
  readonly createWorker: (log: Logger) => Worker | Promise<Worker>;
  /** Default: Powertools' logger, set up by its own variables (`POWERTOOLS_LOG_LEVEL`, …). */
  readonly logger?: PowertoolsLogger;
  /** Default: EMF metrics in the namespace `FirehoseFanout`, one set a sink. */
  readonly metrics?: Metrics;
  readonly clock?: Clock;
}

/** What the handler asks of Lambda's context. */
export interface LambdaContext {
  readonly awsRequestId: string;
  getRemainingTimeInMillis(): number;
}

/** SQS takes back what is named here, and only that; other triggers ignore it. */
export interface BatchResponse {
  readonly batchItemFailures: readonly { readonly itemIdentifier: string }[];
}

/** Kept back from the function's time for letters, deferrals and receipts, in milliseconds. */
const marginMs = 15_000;

/**
 * The handler. A message of a queue succeeds or fails alone (`ReportBatchItemFailures` must be on). Without a queue
 * a failure is thrown, so that Lambda tries again and then uses the on-failure destination.
 *
 * `createWorker` runs at the cold start: a missing secret fails the function before its first event.
 */
export async function createHandler(
  options: LambdaOptions,
): Promise<(event: unknown, context: LambdaContext) => Promise<BatchResponse>> {
  const {
    clock = systemClock,
    metrics = new Metrics({ namespace: "FirehoseFanout", serviceName: "firehose-fanout" }),
  } = options;
  const log = adapt(options.logger ?? new PowertoolsLogger({ serviceName: "firehose-fanout" }));
  const worker = await options.createWorker(log);

  return async (event, context) => {
    const deadline = clock.now() + context.getRemainingTimeInMillis() - marginMs;
    const isQueue = fromQueue(event);
    const failures: { itemIdentifier: string; reason: string }[] = [];
    for (const message of parseNotification(event)) {
      const fail = (reason: string) => {
        failures.push({ itemIdentifier: message.id, reason });
        log.error("a notification failed and is not acknowledged", {
          messageId: message.id,
          reason,
          requestId: context.awsRequestId,
        });
      };
      if ("malformed" in message) {
        fail(message.malformed);
        continue;
      }
      try {
        for (const ref of message.objects) {
          if (clock.now() >= deadline) throw new Error("no time was left to begin with it");
          const report = await worker.process(ref, { deadline });
          tell(log, report);
          measure(metrics, report, clock.now());
        }
      } catch (error) {
        fail(error instanceof Error ? error.message : "unknown error");
      }
    }
    const [first] = failures;
    if (first !== undefined && !isQueue) throw new Error(first.reason);
    return { batchItemFailures: failures.map(({ itemIdentifier }) => ({ itemIdentifier })) };
  };
}

function fromQueue(event: unknown): boolean {
  if (typeof event !== "object" || event === null || !("Records" in event) || !Array.isArray(event.Records))
    return false;
  const first: unknown = event.Records[0];
  return typeof first === "object" && first !== null && "messageId" in first;
}

function tell(log: Logger, report: ObjectReport): void {
  const { object, records, valid, invalid, unread } = report;
  log.info("object processed", { object: `${object.bucket}/${object.key}`, records, valid, invalid, unread });
  for (const [
    sink,
    { valid: events, delivered, filtered, deadLettered, pending, requests, retries },
  ] of Object.entries(report.sinks)) {
    log.info("sink served", {
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

/** CloudWatch's embedded metric format: the intake's counts without a dimension, then every sink's with its name. */
function measure(metrics: Metrics, report: ObjectReport, now: number): void {
  metrics.addMetric("Records", MetricUnit.Count, report.records);
  metrics.addMetric("Invalid", MetricUnit.Count, report.invalid);
  metrics.publishStoredMetrics();
  for (const [name, sink] of Object.entries(report.sinks)) {
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
      : [["Freshness", MetricUnit.Milliseconds, now - sink.newestTime] as const]),
  ];
}

function adapt(logger: PowertoolsLogger): Logger {
  const extra = (fields: LogFields = {}) => ({ ...fields });
  return {
    debug: (message, fields) => logger.debug(message, extra(fields)),
    info: (message, fields) => logger.info(message, extra(fields)),
    warn: (message, fields) => logger.warn(message, extra(fields)),
    error: (message, fields) => logger.error(message, extra(fields)),
  };
}
