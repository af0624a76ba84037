// One run at one dead-letter file: its selected letters are tried again or given up, proven, committed.
import type { Commit, ObjectBooks, ObjectVersion } from "./books/books.ts";
import { type Counts, type Receipt, withReplay } from "./books/receipt.ts";
import {
  createDeadLetter,
  type DeadLetter,
  fingerprint as fingerprintOf,
  historyOf,
  intakeLane,
  recordBytes,
} from "./dead-letter/dead-letter.ts";
import { type JudgedLetter, judgeLetter } from "./dead-letter/judge.ts";
import { createLetterWriter, type LetterWriter, readLetters } from "./dead-letter/store.ts";
import { orAborted } from "./delivery/clock.ts";
import { createLane, type Lane, type LaneRecord } from "./delivery/lane.ts";
import { BooksDoNotClose, type Core, type HeldLane } from "./object-run.ts";
import { originDiffers, type Proof, proveOrigins } from "./origin-proof.ts";
import { contains, createIndexSet, type IndexSet, union } from "./ranges.ts";
import { createRouter } from "./routing/route.ts";
import type { ObjectStore } from "./store/object-store.ts";

/** What to do with which letters. */
export interface LetterOrder {
  /** Names the replay in receipts: equal for everything that one command does, also when it goes on after a crash. */
  readonly id: string;
  readonly select: (letter: DeadLetter) => boolean;
  /** Give the letters up instead of trying again: why, and who says so. */
  readonly drop?: { readonly reason: string; readonly by: string };
  /**
   * Of invalid records: try also those whose object is gone, so that nobody can tell any more whether it held them.
   * Default: they are kept.
   */
  readonly unproven?: boolean;
  /** Of invalid records: sinks that have delivered the object before, and that these shall not reach any more. */
  readonly without?: readonly string[];
  /** Awaited before every record that is tried again. */
  readonly pace?: () => Promise<void>;
  /**
   * Told of every record that is refused again, as soon as it is: whoever counts them may end the run by its signal.
   * `before`: the fingerprint of the letter that was replayed, which another cause may have replaced.
   */
  readonly onRefused?: (fingerprint: string, before: string) => void;
}

/** `selected = delivered + filtered + refused + kept + dropped`. */
export interface LetterReport {
  readonly selected: number;
  /** To every sink that was missing it: a record that was no valid event before is one delivery. */
  readonly delivered: number;
  readonly filtered: number;
  /** Refused again, by the intake or a sink: dead letters with one refusal more. */
  readonly refused: number;
  /** Not tried to the end, as they were: the sink is not ready, or the time was over. */
  readonly kept: number;
  readonly dropped: number;
  readonly requests: number;
  readonly retries: number;
  /** How many were refused again for each cause. */
  readonly fingerprints: ReadonlyMap<string, number>;
  /** Why letters were kept: the last reason. */
  readonly keptReason?: string;
}

export interface LetterRun {
  readonly object: ObjectVersion;
  /** A sink's, or `_intake`. */
  readonly lane: string;
  /** The dead-letter file, which the lane's receipt names. */
  readonly file: string;
  readonly books: ObjectBooks;
  /** Holds the object, which letters of invalid records are held against. */
  readonly source: ObjectStore;
  /** The lane and, for `_intake`, those of the sinks; a lane leaves when its receipt is written. */
  readonly held: Map<string, HeldLane>;
  /** Milliseconds since the epoch. */
  readonly deadline: number;
  readonly signal?: AbortSignal | undefined;
}

/** Lines after which a writer is asked to write what it has gathered. */
const linesPerFlush = 500;

/**
 * @throws {StoreError} when the letters or the books fail; lanes without a receipt are still in `held`, and the old
 * letters stand as they were.
 */
export async function runLetters(core: Core, work: LetterRun, order: LetterOrder): Promise<LetterReport> {
  const { clock } = core;
  const ended = new AbortController();
  const { signal } = ended;
  const finish = () => ended.abort();
  void clock.sleep(work.deadline - clock.now(), signal).then(finish);
  work.signal?.addEventListener("abort", finish, { once: true });
  if (work.signal?.aborted) finish();
  const own = work.held.get(work.lane);
  if (own?.book.receipt === undefined) throw new Error(`${work.lane} is not held, or has no receipt`);
  const run: Run = {
    core,
    work,
    order,
    signal,
    own: { ...own, receipt: own.book.receipt },
    letters: writerOf(core, work, work.lane, own),
    archive: writerOf(core, work, work.lane, own, "archive/"),
    sinks: [],
    selected: 0,
    others: 0,
    kept: 0,
    dropped: 0,
    refused: new Map(),
    adopted: createIndexSet(),
  };
  try {
    for (const { sink } of core.sinks) if (work.held.has(sink.name)) run.sinks.push(openSink(run, sink.name));
    await readFile(run);
    return await commit(run);
  } finally {
    finish();
    work.signal?.removeEventListener("abort", finish);
    // What an open batch holds would keep its lane busy for good.
    for (const { lane } of run.sinks) lane.flush();
    await Promise.allSettled(run.sinks.map(({ lane }) => lane.idle()));
  }
}

interface Run {
  readonly core: Core;
  readonly work: LetterRun;
  readonly order: LetterOrder;
  readonly signal: AbortSignal;
  readonly own: HeldLane & { readonly receipt: Receipt };
  /** What stays of the file, and what is refused again. */
  readonly letters: LetterWriter;
  readonly archive: LetterWriter;
  readonly sinks: SinkRun[];
  selected: number;
  others: number;
  kept: number;
  dropped: number;
  keptReason?: string;
  readonly refused: Map<string, number>;
  /** Records of the intake's that are valid events now. */
  readonly adopted: IndexSet;
}

/** A sink's part in it. For letters of its own it writes to the file's successor, for the intake's to one of its own. */
interface SinkRun {
  readonly lane: Lane;
  readonly held: HeldLane & { readonly receipt: Receipt };
  readonly letters: LetterWriter;
  /** Indexes that the sink was given here. */
  readonly taken: IndexSet;
  /** Whether the record of that index is missing in the sink's books. */
  readonly isMissing: (index: number) => boolean;
}

function writerOf({ deadLetters }: Core, work: LetterRun, sink: string, { claim }: HeldLane, below = "") {
  const name = `${work.books.hash}-${String(claim.generation).padStart(6, "0")}-${claim.attempt}`;
  return createLetterWriter(deadLetters, { sink, date: claim.date, name, below });
}

function openSink(run: Run, name: string): SinkRun {
  const { core, work, signal } = run;
  const state = core.sinks.find(({ sink }) => sink.name === name);
  const held = work.held.get(name);
  const receipt = held?.book.receipt;
  if (state === undefined || held === undefined || receipt === undefined) {
    throw new Error(`${name} is no sink of this worker, or is not held`);
  }
  const isOwn = name === work.lane;
  const letters = isOwn ? run.letters : writerOf(core, work, name, held);
  const lane = createLane({
    state,
    policy: { ...core.limits, retry: core.retry },
    clock: core.clock,
    random: core.random,
    http: core.http,
    letters: {
      add(letter) {
        refusedAgain(run, letter);
        letters.add(letter);
      },
    },
    // What is replayed comes from a letter.
    origin: ({ index, start, end, letter }) => ({ ...work.object, ...letter?.origin, index, start, end }),
    routed: createRouter(core.routes, name),
    signal,
    deadline: work.deadline,
  });
  const { readTo, adopted } = receipt;
  const isMissing = (index: number) =>
    isOwn || ((readTo === null || index < readTo) && !contains(adopted, index));
  return { lane, held: { ...held, receipt }, letters, taken: createIndexSet(), isMissing };
}

async function readFile(run: Run): Promise<void> {
  const { core, work, order, signal } = run;
  const proof = await prove(run);
  let lines = 0;
  for await (const letter of readLetters(core.deadLetters, work.file)) {
    if (!order.select(letter)) {
      run.others++;
      run.letters.add(letter);
    } else {
      run.selected++;
      if (order.drop !== undefined) {
        run.dropped++;
        run.archive.add({ ...letter, dropped: { at: core.clock.now(), ...order.drop } });
      } else if (signal.aborted) {
        keep(run, letter, "the time was over");
      } else {
        await order.pace?.();
        await tryAgain(run, letter, proof);
      }
    }
    if (++lines % linesPerFlush === 0) {
      for (const writer of writers(run)) await writer.flush("full");
    }
  }
  for (const { lane } of run.sinks) lane.flush();
  await Promise.all(run.sinks.map(({ lane }) => lane.idle()));
  const waiting = run.sinks
    .map((sink) => ({ sink, ranges: sink.lane.pendingRanges() }))
    .filter(({ ranges }) => ranges.length > 0);
  if (waiting.length === 0) return;
  // What a sink was not ready for: its letter goes on waiting, so that its bytes need not be in the object any more.
  for await (const letter of readLetters(core.deadLetters, work.file)) {
    if (!order.select(letter)) continue;
    for (const { sink, ranges } of waiting) {
      if (contains(ranges, letter.origin.index)) wait(run, sink, letter, sink.lane.pendingReason);
    }
  }
}

function* writers(run: Run): Generator<LetterWriter> {
  yield run.letters;
  yield run.archive;
  for (const { letters } of run.sinks) if (letters !== run.letters) yield letters;
}

function keep(run: Run, letter: DeadLetter, reason = "the sink is not ready"): void {
  run.kept++;
  run.keptReason = reason;
  run.letters.add(letter);
}

/** What the object says of the selected letters; of a sink's own letters nothing needs to be proven. */
async function prove({ core, work, order, signal }: Run): Promise<Proof | "gone" | undefined> {
  if (work.lane !== intakeLane || order.drop !== undefined) return undefined;
  const selected: DeadLetter[] = [];
  for await (const letter of readLetters(core.deadLetters, work.file)) {
    if (order.select(letter) && recordBytes(letter) !== undefined) selected.push(letter);
  }
  if (selected.length === 0) return undefined;
  const proof = await proveOrigins(work.source, work.object, selected, { ...core.limits, signal });
  return proof ?? (order.unproven === true ? undefined : "gone");
}

async function tryAgain(run: Run, letter: DeadLetter, proof: Proof | "gone" | undefined): Promise<void> {
  const bytes = recordBytes(letter);
  if (bytes === undefined) return keep(run, letter, "the record was too large to be kept in its letter");
  if (proof === "gone") {
    const why =
      "the object is gone, so nothing shows that it held the record; --unproven replays it all the same";
    return keep(run, letter, why);
  }
  if (proof?.get(letter.origin.index) === "differs") {
    const reason = "the object holds another record at the place that the letter names";
    return refuseAgain(run, letter, { code: originDiffers, reason }, bytes);
  }
  const judged = judge(run, letter, bytes);
  if ("refusal" in judged) return refuseAgain(run, letter, judged.refusal, bytes);
  const { index, start, end } = letter.origin;
  const record: LaneRecord = {
    event: judged.event,
    raw: bytes.toString("latin1"),
    index,
    start,
    end,
    letter,
  };
  if (run.work.lane === intakeLane) run.adopted.add(index);
  for (const sink of run.sinks) {
    if (!sink.isMissing(index)) continue;
    sink.taken.add(index);
    if (!(await offer(run, sink.lane, record))) wait(run, sink, letter, sink.lane.down);
  }
}

function judge({ core, work }: Run, letter: DeadLetter, bytes: Buffer): JudgedLetter {
  return judgeLetter(letter, bytes, { ...core.limits, objectHash: work.books.hash });
}

function refuseAgain(
  run: Run,
  letter: DeadLetter,
  { code, reason }: Pick<DeadLetter, "code" | "reason">,
  bytes: Buffer,
): void {
  const again = createDeadLetter({ ...refusedNow(letter, run.core.clock.now()), code, reason }, bytes);
  refusedAgain(run, again);
  run.letters.add(again);
}

function refusedAgain({ work, refused, order }: Run, { fingerprint, sink, history }: DeadLetter): void {
  refused.set(fingerprint, (refused.get(fingerprint) ?? 0) + 1);
  const last = history?.at(-1);
  // A letter of the intake's may come back as one of a sink's.
  const lane = last?.stage === "intake" ? work.lane : sink;
  const before = last === undefined ? fingerprint : fingerprintOf(last.stage, lane, last.code, last.reason);
  order.onRefused?.(fingerprint, before);
}

async function offer({ signal }: Run, lane: Lane, record: LaneRecord): Promise<boolean> {
  while (!lane.offer(record)) {
    if (lane.down !== undefined || signal.aborted) return false;
    await orAborted(lane.room(), signal);
  }
  return true;
}

/** A letter of the sink's own stays as it is; of the intake's it gets one of its own, since the record is valid now. */
function wait(run: Run, sink: SinkRun, letter: DeadLetter, why = "the time was over"): void {
  if (sink.letters === run.letters) {
    keep(run, letter, why);
    return;
  }
  run.keptReason = why;
  const bytes = recordBytes(letter);
  const judged = bytes === undefined ? undefined : judge(run, letter, bytes);
  const named = judged !== undefined && "event" in judged ? judged.event : undefined;
  const waiting = {
    ...refusedNow(letter, run.core.clock.now()),
    stage: "send",
    sink: sink.lane.name,
    code: notDelivered,
    reason: `not delivered when its letter was replayed: ${why}`,
    ...(named === undefined
      ? {}
      : { event: { id: named.id, metricName: named.metricName, tenantId: named.tenantId } }),
  } as const;
  sink.letters.add(createDeadLetter(waiting, bytes));
}

/** A record that was repaired by a replay, and that its sink was not ready for. */
export const notDelivered = "NOT_DELIVERED";

function refusedNow(letter: DeadLetter, now: number) {
  const { stage, sink, origin } = letter;
  return { stage, sink, origin, attempts: 0, firstAt: now, lastAt: now, history: historyOf(letter) };
}

// ── the books ─────────────────────────────────────────────────────────────────────────────────────────────────

async function commit(run: Run): Promise<LetterReport> {
  const { core, work, order } = run;
  for (const writer of writers(run)) await writer.flush("now");
  const isIntake = work.lane === intakeLane;
  if (isIntake) await commitSinks(run);
  // A record of the intake's is one delivery, to however many sinks; a dropped one is none.
  const own = isIntake ? undefined : run.sinks[0];
  const delivered = own?.lane.tally.delivered ?? run.adopted.size;
  const filtered = own?.lane.tally.filtered ?? 0;
  const refused = run.letters.count - run.others - run.kept;
  const report: LetterReport = {
    selected: run.selected,
    delivered,
    filtered,
    refused,
    kept: run.kept,
    dropped: run.dropped,
    requests: sum(run.sinks.map(({ lane }) => lane.tally.requests)),
    retries: sum(run.sinks.map(({ lane }) => lane.tally.retries)),
    fingerprints: run.refused,
    ...(run.keptReason === undefined ? {} : { keptReason: run.keptReason }),
  };
  if (run.selected !== delivered + filtered + refused + run.kept + run.dropped) {
    const counts = JSON.stringify({ ...report, fingerprints: undefined });
    throw new BooksDoNotClose(
      `${work.file}: the counts of its replay do not close, so nothing of it counts: ${counts}`,
    );
  }
  if (run.selected === run.kept) {
    // Nothing has changed, so the old file stays named, and its copy goes.
    await Promise.allSettled(run.letters.files.map((file) => core.deadLetters.delete(file)));
    return report;
  }
  const { receipt, claim, book } = run.own;
  const before = receipt.counts;
  const counts: Counts = {
    ...before,
    valid: before.valid + (isIntake ? delivered : 0),
    delivered: before.delivered + (isIntake ? 0 : delivered),
    filtered: before.filtered + filtered,
    deadLettered: before.deadLettered - run.selected + refused + run.kept,
    dropped: before.dropped + run.dropped,
  };
  await work.books.commit(claim, book, {
    ...asItWas(receipt),
    counts,
    letters: [...receipt.letters.filter((file) => file !== work.file), ...run.letters.files],
    adopted: [...union(receipt.adopted, run.adopted.ranges())],
    replays: withReplay(receipt, {
      id: order.id,
      at: core.clock.now(),
      delivered,
      filtered,
      refused,
      dropped: run.dropped,
    }),
    ...newest(receipt, own?.lane.tally.newestTime),
  });
  work.held.delete(work.lane);
  try {
    await core.deadLetters.delete(work.file);
  } catch {
    // No receipt names it any more, so nobody counts it.
    core.log.warn("a dead-letter file that was replaced could not be removed", { file: work.file });
  }
  return report;
}

/** The sinks that were given records of the intake's: their receipts come first, so that no letter leaves before. */
async function commitSinks({ core, work, order, sinks }: Run): Promise<void> {
  for (const { lane, held, letters, taken } of sinks) {
    const { size: count } = taken;
    if (count === 0) continue;
    const { delivered, filtered, newestTime } = lane.tally;
    const refused = letters.count;
    if (count !== delivered + filtered + refused) {
      const counts = JSON.stringify({ count, delivered, filtered, refused });
      throw new BooksDoNotClose(
        `${work.file}: the counts of its replay to ${lane.name} do not close, so nothing of it counts: ${counts}`,
      );
    }
    const { receipt } = held;
    const before = receipt.counts;
    await work.books.commit(held.claim, held.book, {
      ...asItWas(receipt),
      counts: {
        ...before,
        records: before.records + count,
        valid: before.valid + count,
        delivered: before.delivered + delivered,
        filtered: before.filtered + filtered,
        deadLettered: before.deadLettered + refused,
      },
      letters: [...receipt.letters, ...letters.files],
      adopted: [...union(receipt.adopted, taken.ranges())],
      replays: withReplay(receipt, {
        id: order.id,
        at: core.clock.now(),
        delivered,
        filtered,
        refused,
        dropped: 0,
      }),
      ...newest(receipt, newestTime),
    });
    work.held.delete(lane.name);
  }
}

/** What a replay does not change. */
function asItWas(receipt: Receipt): Commit {
  const { counts, letters, pending, readTo, tries, pendingSince, adopted, replays } = receipt;
  const since = pendingSince === undefined ? {} : { pendingSince };
  return { counts, letters, pending, readTo, tries, ...since, adopted, replays };
}

function newest({ newestTime: before }: Receipt, now: number | undefined): Pick<Receipt, "newestTime"> {
  const newestTime = Math.max(before ?? Number.NEGATIVE_INFINITY, now ?? Number.NEGATIVE_INFINITY);
  return newestTime === Number.NEGATIVE_INFINITY ? {} : { newestTime };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
