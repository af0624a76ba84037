// The reconciler as a Lambda function on a schedule: counts objects that no receipt knows, and what the stream refused.
import type { Logger as PowertoolsLogger } from "@aws-lambda-powertools/logger";
import { type Metrics, MetricUnit } from "@aws-lambda-powertools/metrics";
import { type Reconciliation, reconcile } from "../books/reconcile.ts";
import { type Clock, systemClock } from "../delivery/clock.ts";
import type { ObjectInfo, ObjectStore } from "../store/object-store.ts";
import { adapt, defaultLogger } from "./logging.ts";
import { createMetrics } from "./metrics.ts";

export interface ReconcilerOptions {
  readonly source: ObjectStore;
  readonly receipts: ObjectStore;
  readonly sinks: readonly string[];
  /** How the keys begin of objects of a UTC day, in milliseconds since the epoch. */
  readonly prefixOf: (day: number) => string;
  /** How the keys begin of what the stream refused; see {@link ReconcilerReport.refused}. */
  readonly errorPrefix: string;
  /** Default: Powertools' logger. */
  readonly logger?: PowertoolsLogger;
  readonly metrics?: Metrics;
  readonly clock?: Clock;
}

export interface ReconcilerReport extends Reconciliation {
  /** Objects below the stream's error prefix: each holds records that were put back by nobody yet. */
  readonly refused: number;
  /** Of those, written in the last two hours: two runs of the schedule, of which one may have failed. */
  readonly refusedLately: number;
}

/** Names in CloudWatch, without a dimension. */
export const reconcilerMetrics = {
  unknown: "ObjectsUnknown",
  refused: "ErrorObjects",
  refusedLately: "ErrorObjectsNew",
} as const;

const latelyMs = 2 * 60 * 60_000;

const dayMs = 24 * 60 * 60_000;
/** A message may wait for hours for its worker; what is older was seen by an earlier run. */
const daysBack = 3;
/** A worker needs minutes; and a message that failed comes back within 15. */
const graceMs = 30 * 60_000;
/** Keys of an unknown object that are told; the figure counts all. */
const keysTold = 10;

/** The handler, for any event. It rejects when a listing fails: an alarm on its errors must ring then. */
export function createReconciler(options: ReconcilerOptions): () => Promise<ReconcilerReport> {
  const { source, receipts, sinks, prefixOf, errorPrefix, clock = systemClock } = options;
  const { metrics = createMetrics(), logger = defaultLogger() } = options;
  const log = adapt(logger);

  /** Those that a worker should have had by now, and that are not older than the reconciler looks back. */
  async function* expected(now: number): AsyncGenerator<ObjectInfo> {
    for (let back = 0; back <= daysBack; back++) {
      for await (const object of source.list(prefixOf(now - back * dayMs))) {
        const age = now - object.lastModified;
        if (age > graceMs && age <= daysBack * dayMs) yield object;
      }
    }
  }

  return async () => {
    const now = clock.now();
    const told: string[] = [];
    const found = await reconcile({
      source,
      objects: expected(now),
      receipts,
      sinks,
      onUnknown: ({ key }, lacking) => {
        if (told.length < keysTold) told.push(`${key}: ${lacking.join(", ")}`);
      },
    });
    let [refused, refusedLately] = [0, 0];
    for await (const { size, lastModified } of source.list(errorPrefix)) {
      if (size === 0) continue;
      refused++;
      if (now - lastModified <= latelyMs) refusedLately++;
    }
    const unknown = Math.max(0, ...Object.values(found.unknown));
    // A figure costs in each hour in which it is written; that it was counted, the log says.
    const figures = Object.entries({ unknown, refused, refusedLately } as const).filter(([, n]) => n > 0);
    if (figures.length > 0) {
      metrics.addDimensions({});
      for (const [name, value] of figures)
        metrics.addMetric(reconcilerMetrics[name as keyof typeof reconcilerMetrics], MetricUnit.Count, value);
      metrics.publishStoredMetrics();
    }
    const { objects, oldest } = found;
    const since = oldest === undefined ? {} : { oldest: new Date(oldest).toISOString() };
    const bySink = JSON.stringify(found.unknown);
    if (unknown > 0) {
      const examples = told.join("; ");
      log.error("objects are known to no receipt", { objects, unknown, bySink, ...since, examples });
    } else {
      log.info("every object has its receipts", { objects, refused });
    }
    return { ...found, refused, refusedLately };
  };
}
