// One run at one object version: the lanes that this worker holds, read in passes, proven, committed.
import type { LaneBook, ObjectBooks, ObjectVersion } from "./books/books.ts";
import type { Claim } from "./books/claim.ts";
import { noCounts, type Receipt } from "./books/receipt.ts";
import { closes, emptySink, failedAfter, type ObjectReport, type SinkReport } from "./books/report.ts";
import { createDeadLetter, type DeadLetter, intakeLane, type Origin } from "./dead-letter/dead-letter.ts";
import { createLetterWriter, type LetterWriter } from "./dead-letter/store.ts";
import type { Clock, Random } from "./delivery/clock.ts";
import type { HttpClient } from "./delivery/http.ts";
import { createLane, type SinkState } from "./delivery/lane.ts";
import { createLaneRun, type LaneRun, pendingOf, runPasses, type Window } from "./delivery/passes.ts";
import type { RetryPolicy } from "./delivery/retry.ts";
import { type RefusedRecord, readEvents, writtenAt } from "./intake/events.ts";
import type { Logger } from "./log.ts";
import { everything, type Ranges, union } from "./ranges.ts";
import { createRouter, type Route } from "./routing/route.ts";
import { type ObjectInfo, type ObjectStore, StoreError } from "./store/object-store.ts";
import type { WorkerLimits } from "./worker.ts";

/** What a worker keeps from object to object. */
export interface Core {
  readonly sinks: readonly SinkState[];
  readonly deadLetters: ObjectStore;
  readonly routes: readonly Route[];
  readonly limits: WorkerLimits;
  readonly retry: RetryPolicy;
  readonly clock: Clock;
  readonly random: Random;
  readonly http: HttpClient;
  readonly log: Logger;
  readonly onRecords: (count: number) => void;
}

/** A lane that is claimed, with its book as it was at the claim. */
export interface HeldLane {
  readonly claim: Claim;
  readonly book: LaneBook;
}

export interface ObjectRun {
  readonly store: ObjectStore;
  readonly info: ObjectInfo;
  readonly object: ObjectVersion;
  readonly books: ObjectBooks;
  /** By lane; a lane leaves when its receipt is written. */
  readonly held: Map<string, HeldLane>;
  /** Lanes that were asked for and need nothing, and those that another worker holds: for the report. */
  readonly settled: readonly string[];
  readonly busy: readonly string[];
  /** Milliseconds since the epoch. */
  readonly deadline: number;
  /** Ends the run as its deadline would. */
  readonly signal?: AbortSignal | undefined;
}

/** The first wait before pending records are tried again; it doubles with every run that leaves some. */
const firstDeferralMs = 60_000;
const longestDeferralMs = 60 * 60_000;

/** The counts of a lane do not close: a defect. Nothing of that lane is acknowledged. */
export class BooksDoNotClose extends Error {
  override readonly name = "BooksDoNotClose";
  readonly code = "BOOKS_DO_NOT_CLOSE";
}

/**
 * Writes every lane's receipt that it can, whatever becomes of the others.
 *
 * @throws {StoreError} when the object, the letters or the books fail; lanes without a receipt are still in `held`.
 */
export async function runObject(core: Core, work: ObjectRun): Promise<ObjectReport> {
  const { clock, limits } = core;
  const { object, held, deadline } = work;
  const ended = new AbortController();
  const { signal } = ended;
  const finish = () => ended.abort();
  void clock.sleep(deadline - clock.now(), signal).then(finish);
  work.signal?.addEventListener("abort", finish, { once: true });
  if (work.signal?.aborted) finish();
  const written = writtenAt(work.info.lastModified);
  const origin = ({ index, start, end, stored }: Span): Origin => ({
    ...object,
    index,
    start,
    end,
    ...(written === undefined ? {} : { writtenAt: written }),
    ...(stored === undefined ? {} : { stored }),
  });

  const letters = new Map<string, LetterWriter>();
  for (const [lane, { claim }] of held) {
    const name = `${work.books.hash}-${String(claim.generation).padStart(6, "0")}-${claim.attempt}`;
    letters.set(lane, createLetterWriter(core.deadLetters, { sink: lane, date: claim.date, name }));
  }
  const runs = new Map<string, LaneRun>();
  for (const state of core.sinks) {
    const { name } = state.sink;
    const book = held.get(name)?.book;
    const laneLetters = letters.get(name);
    if (book === undefined || laneLetters === undefined) continue;
    const lane = createLane({
      state,
      policy: { ...limits, retry: core.retry },
      clock,
      random: core.random,
      http: core.http,
      letters: laneLetters,
      origin,
      routed: createRouter(core.routes, name),
      signal,
      deadline,
    });
    runs.set(name, createLaneRun(lane, leftBy(book)));
  }
  const intakeBook = held.get(intakeLane)?.book;
  const intakeFrom = intakeBook === undefined ? Number.POSITIVE_INFINITY : leftBy(intakeBook).newFrom;
  const seen = { valid: 0, invalid: 0, readTo: 0 };

  async function* read(first: boolean, from: number): AsyncGenerator<Window> {
    const windows = readEvents(work.store, work.info, {
      idPrefix: work.books.hash.slice(0, 24),
      from: first ? Math.min(from, intakeFrom) : from,
      signal,
      ...limits,
    });
    for await (const { events, invalid, next } of windows) {
      if (first) {
        for (const refused of invalid) {
          if (refused.index < intakeFrom) continue;
          seen.invalid++;
          letters.get(intakeLane)?.add(intakeLetter(origin(refused), refused, clock.now()));
        }
        for (const { index } of events) if (index >= intakeFrom) seen.valid++;
        seen.readTo = next;
        core.onRecords(events.length + invalid.length);
      }
      yield { records: events, next };
      // What a store refuses here it refuses the receipt as well, in its own lane's time.
      for (const each of letters.values()) await each.flush("full").catch(() => {});
    }
  }

  try {
    const { readTo, taken, failure } = await runPasses({
      runs: [...runs.values()],
      read,
      intakeFrom,
      patienceMs: limits.patienceMs,
      clock,
      signal,
    });
    const all = Math.max(0, seen.readTo - intakeFrom);
    const finished: Finished = {
      runs,
      letters,
      readTo,
      seen: { valid: seen.valid, invalid: seen.invalid, all },
    };
    const sinks = new Map<string, SinkReport>();
    const settled: string[] = [...work.settled];
    const report = (records: { valid: number; invalid: number }): ObjectReport => ({
      object,
      records: records.valid + records.invalid,
      ...records,
      sinks: Object.fromEntries(core.sinks.map(({ sink: { name } }) => [name, sinks.get(name) ?? emptySink])),
      unread: readTo !== null,
      settled,
      busy: work.busy,
    });
    const records = { valid: taken, invalid: seen.invalid };
    try {
      await commit(core, work, finished, { sinks, settled });
    } catch (error) {
      // Whose books `_intake` still holds open takes the records up again.
      throw failedAfter(error, report(held.has(intakeLane) ? { valid: 0, invalid: 0 } : records));
    }
    // Only time is needed to read the rest, and its deferrals are written.
    if (failure !== undefined && !isPassing(failure.error)) throw failedAfter(failure.error, report(records));
    return report(records);
  } finally {
    finish();
    work.signal?.removeEventListener("abort", finish);
    // What an open batch holds would keep its lane busy for good.
    for (const { lane } of runs.values()) lane.flush();
    await Promise.allSettled([...runs.values()].map(({ lane }) => lane.idle()));
  }
}

type Span = Pick<Origin, "index" | "start" | "end" | "stored">;

interface Finished {
  readonly runs: ReadonlyMap<string, LaneRun>;
  readonly letters: ReadonlyMap<string, LetterWriter>;
  readonly readTo: number | null;
  /** Of the records that `_intake` had not seen before: `all` by their indexes, the others one by one. */
  readonly seen: { readonly valid: number; readonly invalid: number; readonly all: number };
}

/**
 * Proves and writes every lane's receipt as soon as it is idle. One that fails does not keep the others from theirs.
 * @param done gets what is durable: the report of each sink, and the lanes of which nothing is left.
 */
async function commit(
  core: Core,
  work: ObjectRun,
  finished: Finished,
  done: { readonly sinks: Map<string, SinkReport>; readonly settled: string[] },
): Promise<void> {
  const results = await Promise.allSettled(
    [...work.held].map(async ([lane, held]) => {
      const run = finished.runs.get(lane);
      await run?.lane.idle();
      const letters = finished.letters.get(lane);
      await letters?.flush("now");
      const { content, reason, report } =
        run === undefined
          ? intakeReceipt(held.book, finished)
          : sinkReceipt(held.book, run, letters?.count ?? 0, finished.readTo);
      const files = [...(held.book.receipt?.letters ?? []), ...(letters?.files ?? [])];
      const isClosed = report === undefined ? isProven(finished.seen) : closes(report) && isFound(content);
      if (!isClosed) {
        throw new BooksDoNotClose(
          `${nameOf(work.object)}: the books of ${lane} do not close, so nothing of it is acknowledged: ${JSON.stringify(report ?? finished.seen)}`,
        );
      }
      const now = core.clock.now();
      const { receipt } = held.book;
      const isPending = content.pending.length > 0;
      const tries = isPending ? (receipt?.tries ?? 0) + 1 : 0;
      const backoff = Math.min(longestDeferralMs, firstDeferralMs * 2 ** Math.max(0, tries - 1));
      const sinkNotBefore = run?.lane.notBefore ?? 0;
      const why = {
        reason,
        nextAttemptAt: Math.max(now + backoff, sinkNotBefore),
        ...(sinkNotBefore > now ? { sinkNotBefore } : {}),
      };
      const waiting = isPending ? { tries, pendingSince: receipt?.pendingSince ?? now } : { tries };
      const { adopted = [], replays = [] } = receipt ?? {};
      const said = { ...content, letters: files, ...waiting, adopted, replays };
      await work.books.commit(held.claim, held.book, said, isPending ? why : undefined);
      work.held.delete(lane);
      if (report !== undefined) done.sinks.set(lane, report);
      if (!isPending) done.settled.push(lane);
      if (isPending) {
        core.log.warn("records are pending", {
          object: nameOf(work.object),
          sink: lane,
          pending: content.counts.pending,
          reason,
        });
      }
    }),
  );
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

interface LaneReceipt {
  readonly content: Pick<Receipt, "counts" | "pending" | "readTo" | "newestTime">;
  readonly reason: string;
  /** Absent for `_intake`. */
  readonly report?: SinkReport;
}

function sinkReceipt(
  { receipt }: LaneBook,
  run: LaneRun,
  deadLettered: number,
  passedTo: number | null,
): LaneReceipt {
  const before = receipt?.counts ?? noCounts;
  const { newestTime, ...tally } = run.lane.tally;
  const { count: pending, ranges } = pendingOf(run);
  const pendingReason = pending === 0 ? undefined : run.lane.pendingReason;
  const report: SinkReport = {
    ...tally,
    valid: run.valid,
    deadLettered,
    pending,
    ...(newestTime === undefined ? {} : { newestTime }),
    ...(pendingReason === undefined ? {} : { pendingReason }),
  };
  const valid = before.valid - before.pending + report.valid;
  const newest = newestTime ?? receipt?.newestTime;
  const readTo = furthest(receipt, passedTo);
  return {
    content: {
      counts: {
        records: valid,
        valid,
        delivered: before.delivered + tally.delivered,
        filtered: before.filtered + tally.filtered,
        deadLettered: before.deadLettered + deadLettered,
        dropped: before.dropped,
        pending,
      },
      pending: [...union(ranges, unread(readTo))],
      readTo,
      ...(newest === undefined ? {} : { newestTime: newest }),
    },
    reason: run.lane.pendingReason ?? endNotReached,
    report,
  };
}

function intakeReceipt({ receipt }: LaneBook, { seen, readTo: passedTo }: Finished): LaneReceipt {
  const before = receipt?.counts ?? noCounts;
  const valid = before.valid + seen.valid;
  const deadLettered = before.deadLettered + seen.invalid;
  const readTo = furthest(receipt, passedTo);
  return {
    content: {
      counts: {
        ...noCounts,
        records: valid + deadLettered + before.dropped,
        valid,
        deadLettered,
        dropped: before.dropped,
      },
      pending: [...unread(readTo)],
      readTo,
    },
    reason: endNotReached,
  };
}

const endNotReached = "the deadline came before the object's end";

/** Every record stands where its index says, once: what was taken up one by one is all that there is. */
function isProven({ valid, invalid, all }: Finished["seen"]): boolean {
  return valid + invalid === all;
}

/**
 * What is pending has a place where it is found again. Else records were events when they were counted and are none
 * now, or the other way round: the rules for events have changed since.
 */
function isFound({ counts, pending }: Pick<Receipt, "counts" | "pending">): boolean {
  return counts.pending >= 0 && (counts.pending === 0 || pending.length > 0);
}

/** How far the lane has read in all its runs: a later one may have come less far, or have had no need to. */
function furthest(receipt: Receipt | undefined, readTo: number | null): number | null {
  const had = receipt === undefined ? 0 : receipt.readTo;
  return had === null || readTo === null ? null : Math.max(had, readTo);
}

function unread(readTo: number | null): Ranges {
  return readTo === null ? [] : [{ from: readTo, to: null }];
}

function isPassing(error: unknown): boolean {
  return error instanceof StoreError && error.code === "TRANSIENT";
}

/** What the last receipt left to do: everything when there is none. */
function leftBy({ receipt }: LaneBook): { todo: Ranges; pending: number; newFrom: number } {
  if (receipt === undefined) return { todo: everything, pending: 0, newFrom: 0 };
  return {
    todo: receipt.pending,
    pending: receipt.counts.pending,
    newFrom: receipt.readTo ?? Number.POSITIVE_INFINITY,
  };
}

function intakeLetter(origin: Origin, refused: RefusedRecord, now: number): DeadLetter {
  const { code, reason, bytes } = refused;
  const letter = {
    stage: "intake",
    sink: intakeLane,
    origin,
    code,
    reason,
    attempts: 0,
    firstAt: now,
    lastAt: now,
  } as const;
  return createDeadLetter(letter, bytes);
}

function nameOf(object: ObjectVersion): string {
  return `${object.bucket}/${object.key}`;
}
