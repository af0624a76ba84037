// One run at one object version: the lanes that this worker holds, read in passes, proven, committed.
import type { LaneBook, ObjectBooks, ObjectVersion } from "./books/books.ts";
import type { Claim } from "./books/claim.ts";
import { type Counts, noCounts, type Receipt } from "./books/receipt.ts";
import { emptySink, isBalanced, type ObjectReport, type SinkReport } from "./books/report.ts";
import { createDeadLetter, type DeadLetter, intakeLane, type Origin } from "./dead-letter/dead-letter.ts";
import { createLetterWriter, type LetterWriter } from "./dead-letter/store.ts";
import type { Clock, Random } from "./delivery/clock.ts";
import type { HttpClient } from "./delivery/http.ts";
import { createLane, type SinkState } from "./delivery/lane.ts";
import { createLaneRun, type LaneRun, pendingOf, runPasses, type Window } from "./delivery/passes.ts";
import type { RetryPolicy } from "./delivery/retry.ts";
import { type RefusedRecord, readEvents } from "./intake/events.ts";
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
  /** Milliseconds since the epoch. */
  readonly deadline: number;
}

/** The first wait before pending records are tried again; it doubles with every run that leaves some. */
const firstDeferralMs = 60_000;
const longestDeferralMs = 60 * 60_000;

/** @throws {StoreError} when the object, the letters or the books fail; lanes without a receipt are still in `held`. */
export async function runObject(core: Core, work: ObjectRun): Promise<ObjectReport> {
  const { clock, limits } = core;
  const { object, held, deadline } = work;
  const ended = new AbortController();
  const signal = AbortSignal.any([clock.signal(deadline - clock.now()), ended.signal]);
  const origin = ({ index, start, end }: Span): Origin => ({ ...object, index, start, end });

  const letters = new Map<string, LetterWriter>();
  for (const [lane, { claim }] of held) {
    const name = `${work.books.hash}-${String(claim.generation).padStart(6, "0")}`;
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
  const seen = { valid: 0, invalid: 0 };

  async function* read(first: boolean, from: number): AsyncGenerator<Window> {
    const windows = readEvents(work.store, work.info, {
      idPrefix: work.books.hash.slice(0, 24),
      from: first ? Math.min(from, intakeFrom) : from,
      maxRecordBytes: limits.maxRecordBytes,
      signal,
    });
    for await (const { events, invalid, next } of windows) {
      if (first) {
        for (const refused of invalid) {
          if (refused.index < intakeFrom) continue;
          seen.invalid++;
          letters.get(intakeLane)?.add(intakeLetter(origin(refused), refused, clock.now()));
        }
        for (const { index } of events) if (index >= intakeFrom) seen.valid++;
        core.onRecords(events.length + invalid.length);
      }
      yield { records: events, next };
      for (const each of letters.values()) await each.flush("full");
    }
  }

  try {
    const { readTo, taken } = await runPasses({
      runs: [...runs.values()],
      read,
      intakeFrom,
      isPassing: (error) => error instanceof StoreError && error.code === "TRANSIENT",
      patienceMs: limits.patienceMs,
      clock,
      signal,
    });
    for (const each of letters.values()) await each.flush("now");
    const sinks: Record<string, SinkReport> = {};
    for (const { sink } of core.sinks)
      sinks[sink.name] = sinkReport(runs.get(sink.name), letters.get(sink.name));
    const report: ObjectReport = {
      object,
      records: taken + seen.invalid,
      valid: taken,
      invalid: seen.invalid,
      sinks,
      unread: readTo !== null,
    };
    if (!isBalanced(report)) {
      throw new Error(
        `${nameOf(object)}: the books do not close, so nothing is acknowledged: ${JSON.stringify(report)}`,
      );
    }
    await commit(core, work, { runs, letters, report, seen, readTo });
    return report;
  } finally {
    ended.abort();
    await Promise.allSettled([...runs.values()].map(({ lane }) => lane.idle()));
  }
}

type Span = Pick<Origin, "index" | "start" | "end">;

interface Finished {
  readonly runs: ReadonlyMap<string, LaneRun>;
  readonly letters: ReadonlyMap<string, LetterWriter>;
  readonly report: ObjectReport;
  readonly seen: { readonly valid: number; readonly invalid: number };
  readonly readTo: number | null;
}

/** Writes every lane's receipt. One that fails does not keep the others from being written. */
async function commit(core: Core, work: ObjectRun, finished: Finished): Promise<void> {
  const { runs, letters, report, seen } = finished;
  const now = core.clock.now();
  const commitLane = async (lane: string, { claim, book }: HeldLane) => {
    const run = runs.get(lane);
    const sink = report.sinks[lane];
    const before = book.receipt?.counts ?? noCounts;
    // A lane that had the object's end before has it still, though a drain need not read so far.
    const readTo = book.receipt?.readTo === null ? null : finished.readTo;
    const unread: Ranges = readTo === null ? [] : [{ from: readTo, to: null }];
    let counts: Counts;
    let pending: Receipt["pending"] = [...unread];
    if (run !== undefined && sink !== undefined) {
      const { delivered, filtered, deadLettered } = sink;
      const valid = before.valid - before.pending + sink.valid;
      counts = {
        records: valid,
        valid,
        delivered: before.delivered + delivered,
        filtered: before.filtered + filtered,
        deadLettered: before.deadLettered + deadLettered,
        pending: sink.pending,
      };
      pending = [...union(pendingOf(run).ranges, unread)];
    } else {
      const valid = before.valid + seen.valid;
      const deadLettered = before.deadLettered + seen.invalid;
      counts = { ...noCounts, records: valid + deadLettered, valid, deadLettered };
    }
    const newestTime = run?.lane.tally.newestTime ?? book.receipt?.newestTime;
    const content = {
      counts,
      letters: [...(book.receipt?.letters ?? []), ...(letters.get(lane)?.files ?? [])],
      pending,
      readTo,
      ...(newestTime === undefined ? {} : { newestTime }),
    };
    const why = {
      reason: run?.lane.pendingReason ?? "the deadline came before the object's end",
      nextAttemptAt: now + Math.min(longestDeferralMs, firstDeferralMs * 2 ** (claim.generation - 1)),
    };
    await work.books.commit(claim, book, content, pending.length === 0 ? undefined : why);
    work.held.delete(lane);
    if (pending.length > 0) {
      core.log.warn("records are pending", {
        object: nameOf(work.object),
        sink: lane,
        pending: counts.pending,
        reason: why.reason,
      });
    }
  };
  const results = await Promise.allSettled([...work.held].map(([lane, each]) => commitLane(lane, each)));
  for (const result of results) if (result.status === "rejected") throw result.reason;
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

function sinkReport(run: LaneRun | undefined, letters: LetterWriter | undefined): SinkReport {
  if (run === undefined || letters === undefined) return emptySink;
  const { newestTime, ...tally } = run.lane.tally;
  const pending = pendingOf(run).count;
  const reason = run.lane.pendingReason;
  return {
    ...tally,
    valid: run.valid,
    deadLettered: letters.count,
    pending,
    ...(newestTime === undefined ? {} : { newestTime }),
    ...(pending === 0 || reason === undefined ? {} : { pendingReason: reason }),
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
