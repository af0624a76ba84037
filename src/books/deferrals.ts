// What waits in the books: the deferrals of all objects and sinks, and what became of those that were due.
import { type Clock, systemClock } from "../delivery/clock.ts";
import type { Logger } from "../log.ts";
import { mapInOrder } from "../map-in-order.ts";
import { type ObjectStore, StoreError } from "../store/object-store.ts";
import type { Worker } from "../worker.ts";
import { deferralsPrefix, type ObjectVersion } from "./books.ts";
import { ObjectBusy } from "./claim.ts";
import { type Deferral, readDeferral } from "./receipt.ts";
import { addPart, addReport, emptyRun, type RunReport, reportOf } from "./report.ts";

export interface WaitingDeferral extends Deferral {
  /** In the receipts' store. */
  readonly storeKey: string;
}

/** Receipts and objects under way at once: enough to hide the round trips, few enough to bound memory. */
const readsAtOnce = 16;
const objectsAtOnce = 4;

export interface ReadDeferralsOptions {
  /** Only this lane's. Default: all. */
  readonly sink?: string | undefined;
  /** Told of one that cannot be understood; the others are read all the same. */
  readonly onDamaged: (error: StoreError) => void;
}

/**
 * Deferrals in the order of their keys. One that is settled while this reads is left out.
 *
 * @throws {StoreError} when the store cannot be read.
 */
export async function* readDeferrals(
  store: ObjectStore,
  { sink, onDamaged }: ReadDeferralsOptions,
): AsyncGenerator<WaitingDeferral> {
  const prefix = sink === undefined ? deferralsPrefix : `${deferralsPrefix}sink=${sink}/`;
  const read = async ({ key }: { key: string }) => await readOne(store, key, onDamaged);
  for await (const deferral of mapInOrder(store.list(prefix), readsAtOnce, read)) {
    if (deferral !== undefined) yield deferral;
  }
}

async function readOne(
  store: ObjectStore,
  storeKey: string,
  onDamaged: (error: StoreError) => void,
): Promise<WaitingDeferral | undefined> {
  try {
    return { ...(await readDeferral(store, storeKey)), storeKey };
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    if (error.code === "NOT_FOUND") return undefined;
    if (error.code !== "FAILED") throw error;
    onDamaged(error);
    return undefined;
  }
}

export interface DrainOptions {
  /** When it ends, in milliseconds since the epoch: nothing is begun after it, and what is under way is cut. */
  readonly deadline: number;
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
  readonly log: Logger;
  /** Told of every object that was drained, as far as it went. */
  readonly onObject?: (report: RunReport) => void;
  /** Told of every object that could not be processed: why, in one sentence. */
  readonly onFailed?: (object: ObjectVersion, reason: string) => void;
}

export interface DrainReport extends RunReport {
  /** Deferrals of which nothing is left. */
  readonly settled: number;
  /** Deferrals that were not tried, because their sink took nothing of one before, or the time was over. */
  readonly left: number;
  /** Deferrals that were left because another worker has their object, or their lane of it. */
  readonly busy: number;
  /** Objects that could not be processed; the log says why. */
  readonly failed: number;
}

/**
 * Delivers what is deferred, an object once for all its sinks, those that wait longest first. A sink that takes
 * nothing of an object is not asked again: what keeps it from one, keeps it from the others.
 */
export async function drainDeferrals(
  worker: Pick<Worker, "process">,
  receipts: ObjectStore,
  deferrals: Iterable<WaitingDeferral>,
  options: DrainOptions,
): Promise<DrainReport> {
  const { deadline, signal, clock = systemClock, log, onObject, onFailed } = options;
  const queue = objectsOf(deferrals).values();
  const shut = new Set<string>();
  let run: RunReport = emptyRun;
  const counts = { settled: 0, left: 0, busy: 0, failed: 0 };

  const drain = async (waiting: readonly WaitingDeferral[]): Promise<void> => {
    const [first] = waiting;
    if (first === undefined) return;
    const { object } = first;
    const sinks = waiting.map(({ sink }) => sink);
    const report = await worker.process(
      { bucket: object.bucket, key: object.key, version: object.version },
      { deadline, sinks, ...(signal === undefined ? {} : { signal }) },
    );
    const own = Object.fromEntries(Object.entries(report.sinks).filter(([sink]) => sinks.includes(sink)));
    const told = { ...report, sinks: own };
    run = addReport(run, told);
    onObject?.(addReport(emptyRun, told));
    for (const { sink, storeKey } of waiting) {
      if (report.busy.includes(sink)) {
        // Another worker has begun with it and may die before its receipt: the deferral is what finds it then.
        counts.busy++;
      } else if (report.settled.includes(sink)) {
        counts.settled++;
        // The books remove it with its receipt, unless they could not then, or the lane was settled long ago.
        await receipts.delete(storeKey);
      } else if ((own[sink]?.delivered ?? 0) === 0) {
        shut.add(sink);
      }
    }
  };

  const take = async (): Promise<void> => {
    for (const waiting of queue) {
      const isOver = signal?.aborted === true || clock.now() >= deadline;
      const open = isOver ? [] : waiting.filter(({ sink }) => !shut.has(sink));
      counts.left += waiting.length - open.length;
      try {
        await drain(open);
      } catch (error) {
        const part = reportOf(error);
        if (part !== undefined) onObject?.(addReport(emptyRun, part));
        run = addPart(run, error);
        const object = waiting[0]?.object;
        const name = object === undefined ? undefined : `${object.bucket}/${object.key}`;
        if (error instanceof ObjectBusy) {
          counts.busy += open.length;
          log.info("an object is another worker's now", { object: name, reason: error.message });
        } else {
          counts.failed++;
          // Others' code may quote what it worked on, so only our own messages are told.
          const isOwn =
            error instanceof StoreError ||
            (error instanceof Error && "code" in error && error.code === "BOOKS_DO_NOT_CLOSE");
          const reason = isOwn
            ? error.message
            : error instanceof Error
              ? `an unexpected ${error.name}`
              : "an unexpected error";
          if (object !== undefined) onFailed?.(object, reason);
          log.error("what is pending of an object could not be delivered", { object: name, reason });
        }
      }
    }
  };
  await Promise.all(Array.from({ length: objectsAtOnce }, take));
  return { ...run, ...counts };
}

/** By object version, in the order in which their first deferrals were due. */
function objectsOf(deferrals: Iterable<WaitingDeferral>): Map<string, WaitingDeferral[]> {
  const objects = new Map<string, WaitingDeferral[]>();
  for (const each of [...deferrals].sort((a, b) => a.nextAttemptAt - b.nextAttemptAt)) {
    const { bucket, key, version } = each.object;
    const name = JSON.stringify([bucket, key, version]);
    const waiting = objects.get(name);
    if (waiting === undefined) objects.set(name, [each]);
    else waiting.push(each);
  }
  return objects;
}
