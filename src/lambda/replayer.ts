// The replayer as a Lambda function on a schedule: drains the deferrals that are due, and measures what waits.
import type { Logger as PowertoolsLogger } from "@aws-lambda-powertools/logger";
import { type Metrics, MetricUnit } from "@aws-lambda-powertools/metrics";
import { type DrainReport, drainDeferrals, readDeferrals, type WaitingDeferral } from "../books/deferrals.ts";
import { intakeLane } from "../dead-letter/dead-letter.ts";
import { createLetterCounter } from "../dead-letter/waiting.ts";
import { type Clock, systemClock } from "../delivery/clock.ts";
import { keepRecordsYoung } from "../heap.ts";
import type { Logger } from "../log.ts";
import { type ObjectStore, StoreError } from "../store/object-store.ts";
import type { Worker } from "../worker.ts";
import { adapt, defaultLogger } from "./logging.ts";
import { createMetrics, measureSinks } from "./metrics.ts";

export interface ReplayerOptions {
  /** Its `source` must take what the books call a bucket: `openStore` does. Made once a cold start. */
  readonly createWorker: (log: Logger) => Processor | Promise<Processor>;
  /** The names of the worker's sinks: only theirs is drained, and each of them is measured though nothing waits. */
  readonly sinks: readonly string[];
  readonly receipts: ObjectStore;
  readonly deadLetters: ObjectStore;
  /**
   * A deferral that is older waits for a person, in milliseconds. Default 7 days. The bucket must keep its objects
   * for longer.
   */
  readonly giveUpAfterMs?: number;
  /** Default: Powertools' logger, set up by its own variables (`POWERTOOLS_LOG_LEVEL`, …). */
  readonly logger?: PowertoolsLogger;
  /** Default: the namespace `FirehoseFanout` and no dimension but `Sink`. */
  readonly metrics?: Metrics;
  readonly clock?: Clock;
}

type Processor = Pick<Worker, "process">;

export interface ReplayerContext {
  readonly awsRequestId: string;
  getRemainingTimeInMillis(): number;
}

/** What one run did and left, for whoever invokes the function by hand. */
export interface ReplayerReport {
  /** Deferrals of this function's sinks, when it began. */
  readonly waiting: number;
  /** Of those: not due yet. */
  readonly notDue: number;
  /** Their sink as a whole is not to be tried yet: it asked for it, or keeps failing. */
  readonly resting: number;
  /** Older than `giveUpAfterMs`: `fanout dlq replay` or `drop` is for them. */
  readonly givenUp: number;
  readonly settled: number;
  readonly left: number;
  readonly busy: number;
  readonly failed: number;
  /** Records that were delivered, over all sinks. */
  readonly delivered: number;
}

const defaultGiveUpAfterMs = 7 * 24 * 60 * 60_000;

/** As for the worker: kept back from the function's time for books, and to count what waits. */
const longestMarginMs = 30_000;
const marginShare = 1 / 4;

/**
 * The handler, for any event. Two at once do no harm: an object is claimed by one of them. It rejects when the books
 * cannot be read, when what waits cannot be counted, or when a deferral is damaged: what could be delivered is delivered
 * by then, and the next run tries again.
 */
export async function createReplayer(
  options: ReplayerOptions,
): Promise<(event: unknown, context: ReplayerContext) => Promise<ReplayerReport>> {
  keepRecordsYoung();
  const { receipts, deadLetters, sinks, clock = systemClock, metrics = createMetrics() } = options;
  const { giveUpAfterMs = defaultGiveUpAfterMs, logger = defaultLogger() } = options;
  const log = adapt(logger);
  const worker = await options.createWorker(log);
  const lanes = [...sinks, intakeLane];
  const letters = createLetterCounter(deadLetters, receipts, lanes);

  /** Those that can be read, and how many cannot: what these stand for waits as well, and nobody drains it. */
  const deferrals = async (): Promise<{ all: WaitingDeferral[]; damaged: number }> => {
    const all: WaitingDeferral[] = [];
    let damaged = 0;
    const onDamaged = ({ message }: StoreError) => {
      damaged++;
      log.error("a deferral cannot be read, so nobody drains it", { reason: message });
    };
    for (const sink of lanes) {
      for await (const each of readDeferrals(receipts, { sink, onDamaged })) all.push(each);
    }
    return { all, damaged };
  };

  /**
   * Two figures a lane: how many letters wait, and for how long the oldest pending records have. CloudWatch asks for money
   * for each figure in each hour, so nothing is written where nothing waits; that somebody counted, the log says, and
   * whoever cannot count fails.
   */
  const gauge = async ({ all, damaged }: Awaited<ReturnType<typeof deferrals>>): Promise<void> => {
    const now = clock.now();
    const counted = await letters.count();
    for (const lane of lanes) {
      const own = all.filter(({ sink }) => sink === lane);
      const oldest = Math.min(now, ...own.map(({ since }) => since));
      const waiting = counted.get(lane);
      const ageMs = Math.max(0, now - oldest);
      if (waiting !== undefined || own.length > 0) {
        metrics.addDimension("Sink", lane);
        if (waiting !== undefined) metrics.addMetric("WaitingDeadLetters", MetricUnit.Count, waiting.count);
        if (own.length > 0) metrics.addMetric("PendingAge", MetricUnit.Seconds, ageMs / 1000);
        metrics.publishStoredMetrics();
      }
      log.info("what waits", {
        sink: lane,
        deadLetters: waiting?.count ?? 0,
        ...(waiting && { deadLettersSince: new Date(waiting.oldest).toISOString() }),
        deferrals: own.length,
        records: own.reduce((sum, { count }) => sum + count, 0),
        givenUp: own.filter(({ since }) => now - since >= giveUpAfterMs).length,
      });
    }
    if (damaged > 0)
      throw new Error(`${damaged} deferrals cannot be read, so nobody drains them: see fanout books`);
  };

  return async (_event, context) => {
    logger.appendKeys({ requestId: context.awsRequestId });
    const remaining = context.getRemainingTimeInMillis();
    const deadline = clock.now() + remaining - Math.min(longestMarginMs, remaining * marginShare);
    const found = await deferrals();
    const { all: waiting } = found;
    const { due, ...why } = sortOut(waiting, clock.now(), giveUpAfterMs);
    const drained = await drainDeferrals(worker, receipts, due, { deadline, clock, log });
    measureSinks(metrics, drained.sinks, clock.now());
    const report = { waiting: waiting.length, ...why, ...summary(drained) };
    log.info("deferrals drained", report);
    try {
      // Where nothing was due, what was listed first still holds.
      await gauge(due.length === 0 ? found : await deferrals());
    } catch (error) {
      // Who returns normally says that all is counted: the alarm on the function's errors must ring.
      if (!(error instanceof StoreError)) throw error;
      log.error("what waits could not be counted", { code: error.code, reason: error.message });
      throw new Error(`what waits could not be counted: ${error.code}`);
    }
    return report;
  };
}

/** Which of them are to be tried now. */
function sortOut(waiting: readonly WaitingDeferral[], now: number, giveUpAfterMs: number) {
  const restUntil = new Map<string, number>();
  for (const { sink, sinkNotBefore = 0 } of waiting) {
    restUntil.set(sink, Math.max(restUntil.get(sink) ?? 0, sinkNotBefore));
  }
  const due: WaitingDeferral[] = [];
  let notDue = 0;
  let resting = 0;
  let givenUp = 0;
  for (const each of waiting) {
    if (now - each.since >= giveUpAfterMs) givenUp++;
    else if (each.nextAttemptAt > now) notDue++;
    else if ((restUntil.get(each.sink) ?? 0) > now) resting++;
    else due.push(each);
  }
  return { due, notDue, resting, givenUp };
}

function summary({ settled, left, busy, failed, sinks }: DrainReport) {
  const delivered = Object.values(sinks).reduce((sum, sink) => sum + sink.delivered, 0);
  return { settled, left, busy, failed, delivered };
}
