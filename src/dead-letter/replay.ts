// A replay over many dead-letter files and deferrals: a canary first, then the rest, halted when it fails too much.
import { hashOf } from "../books/books.ts";
import { ObjectBusy } from "../books/claim.ts";
import { drainDeferrals } from "../books/deferrals.ts";
import { type Clock, systemClock } from "../delivery/clock.ts";
import type { LetterOrder, LetterReport } from "../letter-run.ts";
import type { Logger } from "../log.ts";
import { MissingSinks } from "../missing-sinks.ts";
import { StoreError } from "../store/object-store.ts";
import type { LetterFile, Worker } from "../worker.ts";
import { type DeadLetter, intakeLane, recordBytes } from "./dead-letter.ts";
import { coverName, type LetterFilter } from "./filter.ts";
import { isChosen, type Pending, pendingOf, type Stores, visitLetters } from "./query.ts";

export interface ReplayOptions {
  readonly stores: Stores;
  /**
   * What is meant. Its `until` must be given, and lie before the replay begins: what is refused again during the replay
   * is not tried twice.
   */
  readonly filter: LetterFilter & { readonly until: number };
  readonly worker: Pick<Worker, "replay" | "process">;
  /** The names of the worker's sinks: letters of others stay. */
  readonly sinks: readonly string[];
  /** Stands in receipts beside what is done. */
  readonly id: string;
  /** Give the letters up instead. Without a canary; what is pending is not touched. */
  readonly drop?: NonNullable<LetterOrder["drop"]>;
  /** Sinks that have delivered the objects before, and that records which were no events shall not reach any more. */
  readonly without?: readonly string[];
  /** Try invalid records also when their object is gone. */
  readonly unproven?: boolean;
  /** The share of every cause's letters that is tried first, at least one; 0 for none. */
  readonly canary: number;
  /** The replay halts when so many have been refused again. */
  readonly maxFailures: number;
  /** Whether a letter would be refused again offline, by today's rules: it is left as it is. Default: none would. */
  readonly wouldFail?: (objectHash: string, letter: DeadLetter) => boolean;
  /** How long a file of so many letters may take, in milliseconds. Default 10 minutes. */
  readonly fileMs?: (letters: number) => number;
  readonly clock?: Clock;
  readonly signal: AbortSignal;
  readonly log: Logger;
  readonly onProgress?: (tally: ReplayTally) => void;
  /** Told what is selected, before anything is tried. What it throws ends the replay. */
  readonly onSelected?: (selected: Selected) => Promise<void>;
}

export interface Selected {
  readonly letters: number;
  /** Events known to be pending. */
  readonly pending: number;
  /** Letters that are meant and cannot be replayed: their bytes were not kept, or their sink is not configured. */
  readonly stays: number;
  /** Letters that are meant and not tried, since they would be refused again before they are sent. */
  readonly fails: number;
}

/** Counts so far. */
export interface ReplayTally {
  /** Letters that have been taken up. */
  tried: number;
  delivered: number;
  filtered: number;
  /** Refused again; of what was pending, refused for the first time. */
  refused: number;
  dropped: number;
  /** Of what was pending, delivered. */
  drained: number;
  requests: number;
  retries: number;
}

export interface ReplayResult {
  readonly outcome: "finished" | "halted" | "interrupted";
  /** Why it halted, in one sentence. */
  readonly why?: string;
  readonly selected: Selected;
  readonly tally: ReplayTally;
  /** Refused again, by fingerprint. */
  readonly refused: ReadonlyMap<string, number>;
  /** What the canary found; absent without one. */
  readonly canary?: CanaryResult;
  /** Letters and pending records that were selected and are as they were, by why, in one sentence. */
  readonly left: ReadonlyMap<string, number>;
  /** Files and objects that another worker has now. */
  readonly busy: number;
  /** What could not be done, one sentence each. */
  readonly failures: readonly string[];
}

export interface CanaryResult {
  readonly letters: number;
  /** Fingerprints of which all that were tried passed, and those of which one was refused again, for whichever cause. */
  readonly passed: readonly string[];
  readonly returned: readonly string[];
}

/** Objects under way at once; files of one object follow each other, since its lanes are claimed. */
const objectsAtOnce = 4;
const defaultFileMs = 10 * 60_000;
/** What is pending is claimed for so long at most: a replay that is killed holds up others no longer. */
const drainMs = 10 * 60_000;

interface WorkFile extends LetterFile {
  readonly objectHash: string;
  /** Selected letters, by fingerprint. */
  readonly causes: Map<string, number>;
}

/**
 * What is delivered leaves the dead letters when that is durable, so a replay that was killed goes on when it is begun
 * again, with the same id for the same plan. Two at once share the work: who finds a file claimed goes on with the
 * next one.
 *
 * @throws {StoreError} when what waits cannot be read.
 */
export async function replay(options: ReplayOptions): Promise<ReplayResult> {
  const { stores, filter, sinks, drop, clock = systemClock, log, onProgress } = options;
  const lanes = new Set([...sinks, intakeLane]);
  const halt = new AbortController();
  const signal = AbortSignal.any([options.signal, halt.signal]);
  let why: string | undefined;
  const stop = (reason: string) => {
    why ??= reason;
    halt.abort();
  };
  const tally: ReplayTally = {
    tried: 0,
    delivered: 0,
    filtered: 0,
    refused: 0,
    dropped: 0,
    drained: 0,
    requests: 0,
    retries: 0,
  };
  const refused = new Map<string, number>();
  /** The same letters by the fingerprints that they had before. */
  const came = new Map<string, number>();
  const left = new Map<string, number>();
  const failures = new Set<string>();
  let busy = 0;

  const countRefused = (number: number) => {
    tally.refused += number;
    if (tally.refused >= options.maxFailures) {
      stop(`${tally.refused} were refused again, and --max-failures is ${options.maxFailures}`);
    }
  };

  const verdict = (objectHash: string, letter: DeadLetter): "meant" | "stays" | "fails" => {
    if (drop !== undefined) return "meant";
    if (!lanes.has(letter.sink) || recordBytes(letter) === undefined) return "stays";
    return options.wouldFail?.(objectHash, letter) === true ? "fails" : "meant";
  };

  /** All that is meant now, file by file. */
  const look = async (): Promise<{ files: WorkFile[] } & Pick<Selected, "stays" | "fails">> => {
    const files: WorkFile[] = [];
    const others = { stays: 0, fails: 0 };
    await visitLetters(
      stores,
      filter,
      async ({ object, objectHash, lane, file }, letters) => {
        const causes = new Map<string, number>();
        for await (const letter of letters) {
          const said = verdict(objectHash, letter);
          if (said === "meant") add(causes, letter.fingerprint, 1);
          else others[said]++;
        }
        if (causes.size > 0) files.push({ object, objectHash, lane, file, causes });
      },
      (error) => failures.add(error.message),
    );
    return { files, ...others };
  };

  /** One file; how many letters found it gone, or are as they were. */
  const replayFile = async (file: WorkFile, select: LetterOrder["select"]): Promise<FileResult> => {
    const letters = sumOf(file.causes);
    const order: LetterOrder = {
      id: options.id,
      select: (letter) =>
        isChosen(filter, file.objectHash, letter) &&
        verdict(file.objectHash, letter) === "meant" &&
        select(letter),
      ...(drop === undefined ? {} : { drop }),
      ...(options.without === undefined ? {} : { without: options.without }),
      ...(options.unproven === true ? { unproven: true } : {}),
      pace: async () => {
        tally.tried++;
        onProgress?.(tally);
      },
      onRefused: (fingerprint, before) => {
        add(refused, fingerprint, 1);
        add(came, before, 1);
        countRefused(1);
        onProgress?.(tally);
      },
    };
    const deadline = clock.now() + (options.fileMs?.(letters) ?? defaultFileMs);
    try {
      const report = await options.worker.replay(file, order, { deadline, signal });
      if (report === undefined) return { gone: letters };
      tally.delivered += report.delivered;
      tally.filtered += report.filtered;
      tally.dropped += report.dropped;
      tally.requests += report.requests;
      tally.retries += report.retries;
      onProgress?.(tally);
      return { gone: 0, report };
    } catch (error) {
      if (error instanceof ObjectBusy) {
        busy++;
        log.info("another worker has the object", { reason: error.message });
        return { gone: letters };
      } else if (error instanceof StoreError || error instanceof MissingSinks || isBooksError(error)) {
        failures.add(error.message);
      } else {
        throw error;
      }
      return { gone: 0 };
    }
  };

  /** Several files, those of one object one after the other. */
  const replayAll = async (
    files: readonly WorkFile[],
    selectOf: (file: WorkFile) => LetterOrder["select"] | undefined,
  ): Promise<FileResult[]> => {
    const objects = Map.groupBy(files, ({ objectHash }) => objectHash).values();
    const results: FileResult[] = [];
    const take = async () => {
      for (const own of objects) {
        for (const file of own) {
          if (signal.aborted) return;
          const select = selectOf(file);
          if (select !== undefined) results.push({ ...(await replayFile(file, select)), file });
        }
      }
    };
    await Promise.all(Array.from({ length: objectsAtOnce }, take));
    return results;
  };

  const first = await look();
  const letters = first.files.reduce((sum, { causes }) => sum + sumOf(causes), 0);
  const deferrals = new Map<string, Pending>();
  let pending = 0;
  if (drop === undefined) {
    for await (const each of pendingOf(stores.receipts, filter, ({ message }) => failures.add(message))) {
      if (!lanes.has(each.sink)) continue;
      deferrals.set(each.storeKey, each);
      pending += each.count;
    }
  }
  const selected = { letters, pending, stays: first.stays, fails: first.fails };
  await options.onSelected?.(selected);

  let canary: CanaryResult | undefined;
  if (options.canary > 0 && drop === undefined && letters > 0) {
    canary = await tryCanary();
  }

  /** Letters of every cause, from the first files that have some. */
  async function tryCanary(): Promise<CanaryResult> {
    const totals = new Map<string, number>();
    for (const { causes } of first.files) for (const [cause, number] of causes) add(totals, cause, number);
    const open = new Map([...totals].map(([cause, number]) => [cause, Math.ceil(number * options.canary)]));
    const shares = new Map<WorkFile, Map<string, number>>();
    for (const file of first.files) {
      for (const [cause, number] of file.causes) {
        const taken = Math.min(open.get(cause) ?? 0, number);
        if (taken === 0) continue;
        add(open, cause, -taken);
        const share = shares.get(file) ?? new Map<string, number>();
        shares.set(file, share.set(cause, taken));
      }
    }
    const results = await replayAll([...shares.keys()], (file) => {
      const share = new Map(shares.get(file));
      // Letters are read once more for those that a sink was not ready for, and must be selected again.
      const chosen = new Set<number>();
      return ({ fingerprint, origin }) => {
        if (chosen.has(origin.index)) return true;
        if ((share.get(fingerprint) ?? 0) === 0) return false;
        add(share, fingerprint, -1);
        chosen.add(origin.index);
        return true;
      };
    });
    const returned = [...totals.keys()].filter((cause) => came.has(cause));
    const passed = [...totals.keys()].filter((cause) => !came.has(cause));
    const same = returned.filter((cause) => refused.has(cause));
    const kept = results.find(({ report }) => report !== undefined && report.kept > 0)?.report;
    const plural = (causes: readonly string[]) => `the fingerprint${causes.length === 1 ? "" : "s"}`;
    if (same.length > 0) {
      stop(`the canary was refused again for the same cause: ${plural(same)} ${same.join(", ")} came back`);
    } else if (returned.length > 0 && options.maxFailures === Number.POSITIVE_INFINITY) {
      // Another cause is no less a failure. Whoever expects some says how many, and these are counted.
      const now = [...refused.keys()];
      stop(
        `the canary was refused for another cause: ${plural(now)} ${now.join(", ")}; --max-failures lets some pass`,
      );
    } else if (kept?.keptReason !== undefined && !signal.aborted) {
      stop(`the canary could not be tried to the end: ${kept.keptReason}`);
    }
    const number = [...shares.values()].reduce((sum, share) => sum + sumOf(share), 0);
    return { letters: number, passed, returned };
  }

  // Files that somebody replaced meanwhile, ourselves included, are looked for again under their new names.
  const closed = new Set<string>();
  for (let again = !signal.aborted; again; ) {
    const { files } = await look();
    left.clear();
    busy = 0;
    const open = files.filter(({ lane }) => !closed.has(lane));
    for (const { lane, causes } of files) {
      if (closed.has(lane)) add(left, `${lane} was not ready for others before them`, sumOf(causes));
    }
    const results = await replayAll(open, () => () => true);
    let progress = 0;
    let waiting = 0;
    for (const { report, gone, file } of results) {
      // Replaced by another command, or in its hands: there may be something left of it when the others are done.
      waiting += gone;
      if (report === undefined) continue;
      const done = report.selected - report.kept;
      progress += done;
      if (report.kept === 0) continue;
      add(left, report.keptReason ?? "the sink is not ready", report.kept);
      // Some were taken: the time was over, so there is more to do. None was: it is not ready for the others either.
      if (done > 0) waiting += report.kept;
      else if (file !== undefined && file.lane !== intakeLane) closed.add(file.lane);
    }
    again = waiting > 0 && progress > 0 && !signal.aborted;
  }

  // ── what is pending ─────────────────────────────────────────────────────────────────────────────────────────
  let open = [...deferrals.values()];
  /** Hashes of objects that could not be processed: nothing of them was asked of a sink. */
  const broken = new Set<string>();
  while (open.length > 0 && !signal.aborted) {
    const before = tally.drained;
    const report = await drainDeferrals(options.worker, stores.receipts, open, {
      deadline: clock.now() + drainMs,
      signal,
      clock,
      log,
      onObject: ({ sinks: reports }) => {
        for (const own of Object.values(reports)) {
          tally.drained += own.delivered;
          tally.filtered += own.filtered;
          tally.requests += own.requests;
          tally.retries += own.retries;
          if (own.deadLettered > 0) countRefused(own.deadLettered);
        }
        onProgress?.(tally);
      },
      onFailed: (object, reason) => {
        broken.add(hashOf(object));
        const name = `${object.bucket}/${object.key}`;
        failures.add(reason.includes(object.key) ? reason : `${name}: ${reason}`);
      },
    });
    busy += report.busy;
    const rest = new Map<string, Pending>();
    const within = new Set(open.map(({ objectHash, sink }) => coverName(objectHash, sink)));
    const waiting = new Map<string, number>();
    const onDamaged = ({ message }: StoreError) => void failures.add(message);
    for await (const each of pendingOf(stores.receipts, { within }, onDamaged)) {
      rest.set(each.storeKey, each);
      add(
        waiting,
        broken.has(each.objectHash) ? "their object could not be processed" : each.reason,
        each.count,
      );
    }
    open = [...rest.values()];
    if (tally.drained > before && report.left > 0) continue;
    for (const [reason, number] of waiting) add(left, reason, number);
    break;
  }

  const outcome = options.signal.aborted ? "interrupted" : why === undefined ? "finished" : "halted";
  return {
    outcome,
    ...(why === undefined ? {} : { why }),
    selected,
    tally,
    refused,
    ...(canary === undefined ? {} : { canary }),
    left,
    busy,
    failures: [...failures],
  };
}

interface FileResult {
  /** Letters of a file that its receipt no longer names. */
  readonly gone: number;
  readonly report?: LetterReport;
  readonly file?: WorkFile;
}

function add<K>(counts: Map<K, number>, key: K, number: number): void {
  counts.set(key, (counts.get(key) ?? 0) + number);
}

function sumOf(counts: ReadonlyMap<string, number>): number {
  let total = 0;
  for (const number of counts.values()) total += number;
  return total;
}

/** The counts of a file do not close: a defect, and nothing of that file counts. */
function isBooksError(error: unknown): error is Error {
  return error instanceof Error && "code" in error && error.code === "BOOKS_DO_NOT_CLOSE";
}
