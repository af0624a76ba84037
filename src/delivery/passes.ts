// Reads an object for its lanes: once for all of them, and once more for each one that could not keep up.
import { createCursor, type Ranges, startingAt, union } from "../ranges.ts";
import { type Clock, orAborted } from "./clock.ts";
import type { Lane, LaneRecord } from "./lane.ts";

/** A lane with its place in the object. */
export interface LaneRun {
  readonly lane: Lane;
  /** Events that this run has to deliver: known ones that were pending, and those read for the first time. */
  valid: number;
  /** Of these, the ones that the lane has not taken. */
  waiting: number;
  /** What the lane still has to be offered. */
  todo: Ranges;
  /** The reader goes on without it; `todo` begins where it stopped. */
  detached: boolean;
  /** How long the reader has waited for it while others could go on. */
  waitedMs: number;
  /** Records from here on are read for the first time. */
  readonly newFrom: number;
}

/** @param before what the last receipt left: its pending ranges and count, and how far it had read. */
export function createLaneRun(
  lane: Lane,
  before: { todo: Ranges; pending: number; newFrom: number },
): LaneRun {
  const { todo, pending, newFrom } = before;
  return { lane, valid: pending, waiting: pending, todo, detached: false, waitedMs: 0, newFrom };
}

/** What is pending of the object for this lane when the run is over. */
export function pendingOf(run: LaneRun): { readonly count: number; readonly ranges: Ranges } {
  return { count: run.waiting + run.lane.pending, ranges: union(run.todo, run.lane.pendingRanges()) };
}

/** A window of records, as the reader gives them: valid ones only; `next` is the index after the window's last record. */
export interface Window {
  readonly records: readonly LaneRecord[];
  readonly next: number;
}

export interface PassOptions {
  readonly runs: readonly LaneRun[];
  /**
   * Reads the object from its beginning. Valid records below `from` may be left out: nobody wants them.
   * `first`: the pass in which invalid records count.
   */
  readonly read: (first: boolean, from: number) => AsyncIterable<Window>;
  /** Records from here on are taken up for the first time, whether a lane wants them or not; Infinity for none. */
  readonly intakeFrom: number;
  /** How long in all the first pass waits for one full lane while others could go on. */
  readonly patienceMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** How far a pass came: to this index, or with null to the end. `taken`: valid records that it took up. */
interface Passed {
  readonly readTo: number | null;
  readonly taken: number;
  /** What `read` threw. What it had read until then is taken up all the same. */
  readonly failure?: { readonly error: unknown };
}

/**
 * The first pass meets every record. A lane that detached from it gets a pass of its own, from where it stopped,
 * beside those of the others: none waits for another one again.
 *
 * @returns what the first pass came to, and the first failure of any. The lanes need not be idle yet.
 */
export async function runPasses(options: PassOptions): Promise<Passed> {
  const { runs } = options;
  const passed = await readPass(options, runs, true);
  for (const run of runs) run.lane.flush();
  if (passed.readTo !== null) return passed;
  const behind = runs.filter((run) => run.detached && run.lane.down === undefined);
  const own = await Promise.all(
    behind.map(async (run) => {
      run.detached = false;
      const { failure } = await readPass(options, [run], false);
      run.lane.flush();
      return failure;
    }),
  );
  const failure = own.find((each) => each !== undefined);
  return { ...passed, ...(failure === undefined ? {} : { failure }) };
}

async function readPass(options: PassOptions, runs: readonly LaneRun[], first: boolean): Promise<Passed> {
  const { signal, intakeFrom } = options;
  const toEnd =
    first &&
    (intakeFrom < Number.POSITIVE_INFINITY || runs.some((run) => run.newFrom < Number.POSITIVE_INFINITY));
  const active = runs.map((run) => ({ run, wants: createCursor(run.todo) }));
  const from = Math.min(...runs.map(({ todo }) => todo[0]?.from ?? Number.POSITIVE_INFINITY));
  const to = Math.max(0, ...runs.map(({ todo }) => endOf(todo)));
  let readTo = 0;
  let taken = 0;
  let complete = true;
  let failure: Passed["failure"];
  const failed = (error: unknown) => {
    complete = false;
    if (!signal.aborted) failure = { error };
  };
  for await (const window of catching(options.read(first, from), failed)) {
    for (const record of window.records) {
      let wanted = record.index >= intakeFrom;
      for (const { run, wants } of active) {
        if (!wants(record.index)) continue;
        wanted = true;
        if (first && record.index >= run.newFrom) {
          run.valid++;
          run.waiting++;
        }
        if (run.detached) continue;
        if (run.lane.offer(record) || (await offerPatiently(options, runs, run, record))) run.waiting--;
        else detach(run, record.index);
      }
      if (wanted) taken++;
    }
    readTo = window.next;
    complete = !signal.aborted;
    if (!complete) break;
    if (toEnd) continue;
    if (readTo >= to || runs.every((run) => run.detached)) break;
  }
  for (const run of runs) if (!run.detached) run.todo = complete ? [] : startingAt(run.todo, readTo);
  return { readTo: complete ? null : readTo, taken, ...(failure === undefined ? {} : { failure }) };
}

/** Ends where the source fails. What its reader throws is not the source's. */
async function* catching<T>(source: AsyncIterable<T>, failed: (error: unknown) => void): AsyncGenerator<T> {
  try {
    yield* source;
  } catch (error) {
    failed(error);
  }
}

/** A wait without an end is made of such pieces, since a timer cannot be endless. */
const longestWaitMs = 60_000;

/** Waits for room: to the deadline when no other lane would lose by it, else for as long as the patience lasts. */
async function offerPatiently(
  options: PassOptions,
  runs: readonly LaneRun[],
  run: LaneRun,
  record: LaneRecord,
): Promise<boolean> {
  const { clock, signal, patienceMs } = options;
  const alone = runs.every(
    (other) => other === run || other.lane.down !== undefined || other.todo.length === 0,
  );
  const start = clock.now();
  const until = alone ? Number.POSITIVE_INFINITY : start + patienceMs - run.waitedMs;
  while (run.lane.down === undefined && !signal.aborted && clock.now() < until) {
    const over = new AbortController();
    const wait = clock.sleep(Math.min(until - clock.now(), longestWaitMs), over.signal);
    await orAborted(Promise.race([run.lane.room(), wait]), signal);
    over.abort();
    if (run.lane.offer(record)) {
      if (!alone) run.waitedMs += clock.now() - start;
      return true;
    }
  }
  return false;
}

function detach(run: LaneRun, index: number): void {
  run.detached = true;
  run.todo = startingAt(run.todo, index);
  run.lane.flush();
}

function endOf(ranges: Ranges): number {
  const last = ranges.at(-1);
  return last === undefined ? 0 : (last.to ?? Number.POSITIVE_INFINITY);
}
