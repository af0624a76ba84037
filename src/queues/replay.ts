// Puts back, or gives up, what waits in a queue that is not ours: a canary first, at a pace, halted when it fails.
import type { LetterFilter } from "../dead-letter/filter.ts";
import type { ReplayResult, ReplayTally, Selected } from "../dead-letter/replay.ts";
import { type Clock, systemClock } from "../delivery/clock.ts";
import type { FailureQueue, QueueEntry } from "./queue.ts";
import { entriesOf, entryFingerprint } from "./survey.ts";

export interface QueueReplayOptions {
  readonly queue: FailureQueue;
  /** Its `until` lies before the replay begins, so that what fails again meanwhile is not put back twice. */
  readonly filter: LetterFilter & { readonly until: number };
  readonly id: string;
  /** Give the entries up instead. */
  readonly drop?: { readonly reason: string; readonly by: string };
  /** The share of every cause that is put back first, at least one; 0 for none. */
  readonly canary: number;
  readonly maxFailures: number;
  /** Entries a second. Default: as the queue's limits allow. */
  readonly rate?: number;
  readonly clock?: Clock;
  readonly signal: AbortSignal;
  readonly onProgress?: (tally: ReplayTally) => void;
  readonly onSelected?: (selected: Selected) => Promise<void>;
}

/** `delivered` is put back, durably: what becomes of it there, the target says. */
export async function replayQueue(options: QueueReplayOptions): Promise<ReplayResult> {
  const { queue, filter, id, drop, clock = systemClock, onProgress } = options;
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
  const left = new Map<string, number>();
  const { limits } = queue;
  const perSecond = Math.min(
    options.rate ?? Number.POSITIVE_INFINITY,
    (limits.requestsPerSecond ?? Number.POSITIVE_INFINITY) * limits.itemsPerRequest,
  );
  const perRequest = Math.max(
    1,
    Math.min(limits.itemsPerRequest, Math.floor(options.rate ?? Number.POSITIVE_INFINITY)),
  );
  let nextStart = Number.NEGATIVE_INFINITY;

  const pace = async (number: number) => {
    const now = clock.now();
    const start = Math.max(now, nextStart);
    nextStart = start + (number / perSecond) * 1000;
    if (start > now) await clock.sleep(start - now, signal);
  };

  const put = async (entries: readonly QueueEntry[]): Promise<void> => {
    if (entries.length === 0 || signal.aborted) return;
    await pace(entries.length);
    if (signal.aborted) return;
    if (drop !== undefined) {
      await queue.drop(entries, { id, signal, ...drop });
      tally.dropped += entries.length;
    } else {
      tally.requests++;
      const outcomes = await queue.putBack(entries, { id, signal });
      for (const [index, entry] of entries.entries()) {
        tally.tried++;
        // An outcome that is missing is unknown: the entry stays, and may be put back once more.
        const outcome = outcomes[index] ?? { status: "kept", reason: "the queue gave no outcome" };
        if (outcome.status === "delivered") tally.delivered++;
        else if (outcome.status === "kept") add(left, outcome.reason, 1);
        else {
          tally.refused++;
          add(refused, entryFingerprint(queue, { ...entry, ...outcome }), 1);
        }
      }
      if (tally.refused >= options.maxFailures) {
        stop(`${tally.refused} were refused, and --max-failures is ${options.maxFailures}`);
      }
    }
    onProgress?.(tally);
  };

  const wouldFail = async (entry: QueueEntry) =>
    drop === undefined && (await queue.judge(entry)).status === "fails";

  /** Puts back those that are wanted, in batches. */
  const putAll = async (wanted: (cause: string) => boolean) => {
    let batch: QueueEntry[] = [];
    for await (const entry of entriesOf(queue, filter, signal)) {
      if (signal.aborted) return;
      if (await wouldFail(entry)) continue;
      if (!wanted(entryFingerprint(queue, entry))) continue;
      batch.push(entry);
      if (batch.length < perRequest) continue;
      await put(batch);
      batch = [];
    }
    await put(batch);
  };

  const totals = new Map<string, number>();
  let fails = 0;
  for await (const entry of entriesOf(queue, filter, signal)) {
    if (await wouldFail(entry)) fails++;
    else add(totals, entryFingerprint(queue, entry), 1);
  }
  const letters = [...totals.values()].reduce((sum, each) => sum + each, 0);
  const selected = { letters, pending: 0, stays: 0, fails };
  await options.onSelected?.(selected);

  let canary: ReplayResult["canary"];
  if (options.canary > 0 && drop === undefined && selected.letters > 0) {
    const open = new Map([...totals].map(([cause, number]) => [cause, Math.ceil(number * options.canary)]));
    await putAll((cause) => {
      if ((open.get(cause) ?? 0) === 0) return false;
      add(open, cause, -1);
      return true;
    });
    const returned = [...totals.keys()].filter((cause) => refused.has(cause));
    const [firstKept] = left.keys();
    if (refused.size > 0) stop(`the canary was refused by ${queue.target}`);
    else if (firstKept !== undefined) stop(`the canary could not be put back: ${firstKept}`);
    canary = {
      letters: tally.tried,
      passed: [...totals.keys()].filter((cause) => !refused.has(cause)),
      returned,
    };
  }
  if (!signal.aborted) await putAll(() => true);
  return {
    outcome: options.signal.aborted ? "interrupted" : why === undefined ? "finished" : "halted",
    ...(why === undefined ? {} : { why }),
    selected,
    tally,
    refused,
    ...(canary === undefined ? {} : { canary }),
    left,
    busy: 0,
    failures: [],
  };
}

function add<K>(counts: Map<K, number>, key: K, number: number): void {
  counts.set(key, (counts.get(key) ?? 0) + number);
}
