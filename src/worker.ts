// The worker: an object in, a report out.
import { randomUUID } from "node:crypto";
import { type LaneBook, type ObjectVersion, openBooks } from "./books/books.ts";
import { ObjectBusy, type Owner } from "./books/claim.ts";
import { emptySink, failedAfter, type ObjectReport } from "./books/report.ts";
import { createWriterLeases } from "./books/writer-lease.ts";
import { intakeLane } from "./dead-letter/dead-letter.ts";
import { type BreakerPolicy, defaultBreakerPolicy } from "./delivery/breaker.ts";
import { type Clock, type Random, systemClock } from "./delivery/clock.ts";
import { createHttp, type HttpClient } from "./delivery/http.ts";
import { createSinkState } from "./delivery/lane.ts";
import type { LanePolicy } from "./delivery/lane-policy.ts";
import { defaultRetryPolicy, type RetryPolicy } from "./delivery/retry.ts";
import type { Sink } from "./delivery/sink.ts";
import type { TimePolicy } from "./event.ts";
import type { GivenUp, GiveUpOrder } from "./give-up.ts";
import { defaultInflationLimits, type InflationLimits } from "./intake/decompress.ts";
import type { ObjectRef } from "./intake/object-ref.ts";
import type { LetterOrder, LetterReport } from "./letter-run.ts";
import { type Logger, silent } from "./log.ts";
import { MissingSinks } from "./missing-sinks.ts";
import { type HeldLane, runObject } from "./object-run.ts";
import { optionProblems } from "./option-check.ts";
import { concealing } from "./routing/conceal.ts";
import type { Metric } from "./routing/metric.ts";
import { catalogRoutes, everywhere, type Route } from "./routing/route.ts";
import { type ObjectInfo, type ObjectStore, StoreError } from "./store/object-store.ts";

export interface WorkerOptions {
  /** Whatever their payloads are. Names must differ. */
  readonly sinks: readonly Sink<unknown>[];
  /** Where the objects of a bucket are read. */
  readonly source: (bucket: string) => ObjectStore;
  /** Claims, receipts and deferrals. Conditional writes must hold: without them two workers deliver the same object. */
  readonly receipts: ObjectStore;
  readonly deadLetters: ObjectStore;
  /**
   * The catalog, see `loadCatalog`: it says which sinks get a metric, and hides personal data from those that may not see
   * it. Default: nothing is known of any metric, and nothing is hidden.
   */
  readonly metrics?: readonly Metric[];
  /** Default: what the catalog says; without one, every event to every sink. */
  readonly routes?: readonly Route[];
  readonly limits?: Partial<WorkerLimits>;
  readonly retry?: Partial<RetryPolicy>;
  readonly breaker?: Partial<BreakerPolicy>;
  readonly clock?: Clock;
  readonly random?: Random;
  /** Default: one client of the worker's own, which `close` closes. */
  readonly http?: HttpClient;
  /** How many workers share the sinks' quotas, this one included. Default 1: it has all of them for itself. */
  readonly workers?: number;
  /** Who makes the claims. Default: a name of its own, which nobody can know to be gone. */
  readonly owner?: Owner;
  readonly log?: Logger;
  /** Called with the records taken up since the last call, window by window. */
  readonly onRecords?: (count: number) => void;
}

export interface WorkerLimits extends Partial<LanePolicy>, InflationLimits, TimePolicy {
  /** A longer record is an invalid one, kept by its byte range alone. Bytes, default 4 MiB. */
  readonly maxRecordBytes: number;
  /** How long the reader waits for a full lane while others could go on, before that lane detaches. Default 250 ms. */
  readonly patienceMs: number;
}

/** The dead letters of one file, which the current receipt of the lane names. */
export interface LetterFile {
  readonly object: ObjectVersion;
  /** A sink's name, or `_intake`. */
  readonly lane: string;
  /** The key in the dead-letter store. */
  readonly file: string;
}

export interface ProcessOptions {
  /** Only these of the worker's sinks. Default: all, and the invalid records. */
  readonly sinks?: readonly string[];
  /** When sending ends and the books are written, in milliseconds since the epoch. Default: in 10 minutes. */
  readonly deadline?: number;
  /** Ends the run as its deadline would: requests are cut, the books are written. */
  readonly signal?: AbortSignal;
  /**
   * For how long another writer is waited for, of a sink that takes from one, in milliseconds. What comes by a queue with
   * a count of its receives waits here rather than there: each refusal would use one up. Default 0: {@link ObjectBusy} at
   * once.
   */
  readonly writerWaitMs?: number;
}

export interface Worker {
  /**
   * Delivers what is not yet delivered of one object, and answers when that is durable: whatever is pending has
   * its deferral. An object that is settled costs one listing.
   *
   * @throws {ObjectBusy} when another worker has it: fail the notification, acknowledge nothing.
   * @throws {StoreError} when the object or the books cannot be read or written: the same.
   */
  process(ref: ObjectRef, options?: ProcessOptions): Promise<ObjectReport>;
  /**
   * Tries the selected letters of one file again, or gives them up, and answers when that is durable. What is
   * delivered has left the dead letters, what is refused again has one refusal more, the rest is as it was.
   * Undefined: the file is no dead-letter file of that lane any more, so somebody else has seen to it.
   *
   * @throws {ObjectBusy} when another worker has the object's lane.
   * @throws {MissingSinks} when invalid records would pass by a sink that this worker does not have.
   * @throws {StoreError} when the letters or the books cannot be read or written. Nothing is lost.
   */
  replay(file: LetterFile, order: LetterOrder, options?: ProcessOptions): Promise<LetterReport | undefined>;
  /**
   * Gives up what is pending of an object for one lane, such as an object that was deleted. The archive says what and
   * why. Undefined: nothing is pending there any more.
   *
   * @throws {ObjectBusy} when another worker has the object's lane.
   * @throws {StoreError} when the books or the archive cannot be read or written: it is pending as before.
   */
  giveUp(object: ObjectVersion, lane: string, order: GiveUpOrder): Promise<GivenUp | undefined>;
  /** Closes the sinks, and the HTTP client when it is the worker's own. Rejects as the first sink that fails to close. */
  close(): Promise<void>;
}

export const defaultLimits: WorkerLimits = {
  ...defaultInflationLimits,
  maxRecordBytes: 4 * 1024 * 1024,
  patienceMs: 250,
};
const defaultDeadlineMs = 10 * 60_000;
/** Between two looks at a lease that somebody else has: each is a listing. */
const writerLookMs = 2_000;

/** @throws {TypeError} when an option is no number that a worker can work with; one sentence a problem. */
export function createWorker(options: WorkerOptions): Worker {
  const problems = optionProblems(options);
  if (problems.length > 0) throw new TypeError(problems.join("; "));
  const { clock = systemClock, random = Math.random, log = silent } = options;
  const owner = options.owner ?? { id: randomUUID() };
  const ownHttp = options.http === undefined ? createHttp({ clock }) : undefined;
  const breaker = { ...defaultBreakerPolicy, ...options.breaker };
  const { metrics } = options;
  const given =
    metrics === undefined ? options.sinks : options.sinks.map((sink) => concealing(sink, metrics));
  const names = given.map(({ name }) => name);
  checkNames(names);
  // Claims are taken in the order of the names: two workers meet at the first one, and one of them holds nothing.
  const sinks = given
    .map((sink) => createSinkState(sink, clock, random, breaker, options.workers ?? 1))
    .sort((a, b) => (a.sink.name < b.sink.name ? -1 : 1));
  const core = {
    sinks,
    deadLetters: options.deadLetters,
    routes: options.routes ?? (metrics === undefined ? everywhere : catalogRoutes(metrics, names)),
    limits: { ...defaultLimits, ...options.limits },
    retry: { ...defaultRetryPolicy, ...options.retry },
    clock,
    random,
    // One of the two is always there; the fallback satisfies the compiler and no run.
    http: options.http ?? ownHttp?.send ?? createHttp({ clock }).send,
    log,
    onRecords: options.onRecords ?? (() => {}),
  };

  const leases = createWriterLeases(options.receipts, owner, clock);
  const oneWriter = new Set(sinks.flatMap(({ sink }) => (sink.limits.writers === 1 ? [sink.name] : [])));

  /** Asks again for a lease that somebody else has, until it is free or the wait is over. */
  const joinWithin = async (lane: string, deadline: number, until: number, signal?: AbortSignal) => {
    for (;;) {
      try {
        return await leases.join(lane, deadline);
      } catch (error) {
        const isOver = clock.now() + writerLookMs > until || signal?.aborted === true;
        if (!(error instanceof ObjectBusy) || isOver) throw error;
        await clock.sleep(writerLookMs, signal);
      }
    }
  };

  /** A record of the intake's that is valid now is every sink's. */
  const lanesOf = (lane: string) =>
    lane === intakeLane ? [...sinks.map(({ sink }) => sink.name), intakeLane] : [lane];

  const find = async (
    store: ObjectStore,
    { key, version }: ObjectRef,
    withinMs: number,
  ): Promise<{ info: ObjectInfo } | { gone: StoreError }> => {
    const over = new AbortController();
    const { signal } = over;
    void clock.sleep(withinMs, signal).then(() => over.abort());
    try {
      const info = await store.look(key, { ...(version === undefined ? {} : { version }), signal });
      if (info !== undefined) return { info };
      const which = version === undefined ? "" : `, version ${version},`;
      const why = `${store.location}/${key}${which} does not exist or was deleted, so nothing of it can be delivered`;
      return { gone: new StoreError("NOT_FOUND", why) };
    } catch (error) {
      if (error instanceof StoreError && error.code === "CHANGED") return { gone: error };
      throw error;
    } finally {
      over.abort();
    }
  };

  return {
    async process(ref, order = {}) {
      const { deadline = clock.now() + defaultDeadlineMs, signal, sinks: only, writerWaitMs = 0 } = order;
      const store = options.source(ref.bucket);
      const lanes = [...sinks.map(({ sink }) => sink.name), intakeLane].filter(
        (lane) => only === undefined || only.includes(lane),
      );
      const found = await find(store, ref, deadline - clock.now());
      if ("gone" in found) {
        // A late duplicate of what is settled asks for nothing, though its object has been deleted meanwhile.
        const { version } = ref;
        if (version === undefined) throw found.gone;
        const object: ObjectVersion = { bucket: store.location, key: ref.key, version };
        const known = await openBooks(options.receipts, object, owner, clock, log).read(lanes);
        if (lanes.some((lane) => isOpen(known.books.get(lane)))) throw found.gone;
        return settledReport(object, options.sinks, lanes);
      }
      const { info } = found;
      const object: ObjectVersion = { bucket: store.location, key: ref.key, version: info.version };
      const books = openBooks(options.receipts, object, owner, clock, log);
      const known = (await books.read(lanes)).books;
      const open = lanes.filter((lane) => isOpen(known.get(lane)));
      const settled = lanes.filter((lane) => !open.includes(lane));
      const busy: string[] = [];
      // Other sinks do not wait for it: what is left then, comes back alone.
      const isAlone = open.every((lane) => oneWriter.has(lane) || lane === intakeLane);
      const waitsUntil = isAlone ? clock.now() + writerWaitMs : Number.NEGATIVE_INFINITY;
      const held = new Map<string, HeldLane>();
      const leave: (() => Promise<void>)[] = [];
      /** Another writer sends to a sink that takes from one: what is left for that sink is tried again. */
      let waits: ObjectBusy | undefined;
      try {
        for (const lane of open) {
          if (oneWriter.has(lane)) {
            try {
              leave.push(await joinWithin(lane, deadline, waitsUntil, signal));
            } catch (error) {
              if (!(error instanceof ObjectBusy)) throw error;
              waits ??= error;
              busy.push(lane);
              continue;
            }
          }
          try {
            held.set(lane, await books.claim(lane, known.get(lane), deadline));
          } catch (error) {
            // Whoever holds the invalid records answers for them with its own notification.
            if (!(lane === intakeLane && error instanceof ObjectBusy && held.size > 0)) throw error;
            busy.push(lane);
          }
        }
        const run = { store, info, object, books, held, settled, busy, deadline, signal };
        const report =
          held.size === 0 ? settledReport(object, options.sinks, settled) : await runObject(core, run);
        if (waits !== undefined) throw failedAfter(waits, report);
        return report;
      } catch (error) {
        // What is still held has no receipt: give it back, so that the next worker need not wait.
        await Promise.allSettled([...held.values()].map(({ claim }) => books.release(claim)));
        throw error;
      } finally {
        await Promise.allSettled(leave.map((each) => each()));
      }
    },
    async replay({ object, lane, file }, order, { deadline = clock.now() + defaultDeadlineMs, signal } = {}) {
      // Imported here, like what gives up: workers that only deliver start without what operators ask for.
      const { runLetters } = await import("./letter-run.ts");
      const books = openBooks(options.receipts, object, owner, clock, log);
      const lanes = order.drop === undefined ? lanesOf(lane) : [lane];
      const { books: known, withReceipt } = await books.read(lanes);
      if (known.get(lane)?.receipt?.letters.includes(file) !== true) return undefined;
      if (lane === intakeLane && order.drop === undefined) {
        const without = [...lanes, ...(order.without ?? [])];
        const absent = [...withReceipt].filter((name) => !without.includes(name));
        if (absent.length > 0) throw new MissingSinks(object, absent.sort());
      }
      const held = new Map<string, HeldLane>();
      const leave: (() => Promise<void>)[] = [];
      try {
        for (const name of lanes) {
          // A sink that has not begun the object will read the record itself, and find it valid.
          if (known.get(name)?.receipt !== undefined) {
            if (oneWriter.has(name) && order.drop === undefined)
              leave.push(await leases.join(name, deadline));
            held.set(name, await books.claim(name, known.get(name), deadline));
          }
        }
        // Another worker may have replayed it between our look and our claim.
        const isNamed = held.get(lane)?.book.receipt?.letters.includes(file) === true;
        const source = options.source(object.bucket);
        const run = { object, lane, file, books, source, held, deadline, signal };
        return isNamed ? await runLetters(core, run, order) : undefined;
      } finally {
        // What is still held has no receipt: give it back, so that the next worker need not wait.
        await Promise.allSettled([...held.values()].map(({ claim }) => books.release(claim)));
        await Promise.allSettled(leave.map((each) => each()));
      }
    },
    async giveUp(object, lane, order) {
      const { giveUpPending } = await import("./give-up.ts");
      const books = openBooks(options.receipts, object, owner, clock, log);
      const known = (await books.read([lane])).books.get(lane);
      if (known?.receipt === undefined || !isOpen(known)) return undefined;
      const held = await books.claim(lane, known, clock.now());
      try {
        const given = await giveUpPending(
          { books, deadLetters: options.deadLetters, clock },
          object,
          held,
          order,
        );
        if (given === undefined) await books.release(held.claim);
        return given;
      } catch (error) {
        await books.release(held.claim).catch(() => {});
        throw error;
      }
    },
    async close() {
      const results = await Promise.allSettled(options.sinks.map(async (sink) => await sink.close?.()));
      ownHttp?.close();
      for (const result of results) if (result.status === "rejected") throw result.reason;
    },
  };
}

/** Whether something is left to do. */
function isOpen(book: LaneBook | undefined): boolean {
  const receipt = book?.receipt;
  return receipt === undefined || receipt.pending.length > 0 || receipt.readTo !== null;
}

function settledReport(
  object: ObjectVersion,
  sinks: readonly Sink<unknown>[],
  settled: readonly string[],
): ObjectReport {
  const zeros = Object.fromEntries(sinks.map(({ name }) => [name, emptySink]));
  return { object, records: 0, valid: 0, invalid: 0, sinks: zeros, unread: false, settled, busy: [] };
}

function checkNames(names: readonly string[]): void {
  for (const [index, name] of names.entries()) {
    if (names.indexOf(name) !== index)
      throw new Error(`two sinks are named "${name}"; their books would mix`);
  }
}
