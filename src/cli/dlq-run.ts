// What a replay and a drop share: the flags' meaning, the audit around it, the progress beside it.
import { ConfigError } from "../config.ts";
import { beginAudit, closeAudits, type Ended } from "../dead-letter/audit.ts";
import type { LetterFilter } from "../dead-letter/filter.ts";
import type { ReplayOptions, ReplayResult } from "../dead-letter/replay.ts";
import type { Logger } from "../log.ts";
import type { Worker } from "../worker.ts";
import { callerOf } from "./caller.ts";
import { commandOf, type DlqCommand, quoted } from "./dlq-options.ts";
import { processOwner } from "./owner.ts";
import { startReplayProgress } from "./replay-progress.ts";

export interface PacingFlags {
  readonly rate?: string;
  readonly canary: string;
  readonly maxFailures?: string;
}

export const defaultCanary = "1%";

/** What the flags say. */
export interface Pacing {
  /** Records a second and sink. */
  readonly rate: number | undefined;
  /** Of every cause, from 0 to 1. */
  readonly canary: number;
  readonly maxFailures: number;
}

/** @throws {ConfigError} when one of them cannot be understood. */
export function pacingOf({ rate, canary, maxFailures }: PacingFlags): Pacing {
  const problems: string[] = [];
  const perSecond = rate === undefined ? undefined : Number(/^([\d.]+)(?:\/s)?$/.exec(rate.trim())?.[1]);
  if (perSecond !== undefined && !(perSecond > 0))
    problems.push("--rate must be records a second, such as 50/s");
  const share =
    Number(/^([\d.]+) ?%$/.exec(canary.trim())?.[1] ?? (canary.trim() === "0" ? 0 : Number.NaN)) / 100;
  if (!(share >= 0 && share <= 1))
    problems.push("--canary must be a share from 0% (none) to 100%, such as 1%");
  const most = maxFailures === undefined ? Number.POSITIVE_INFINITY : Number(maxFailures);
  if (!(most >= 1)) problems.push("--max-failures must be a number, 1 or more");
  if (problems.length > 0) throw new ConfigError(problems);
  return { rate: perSecond, canary: share, maxFailures: most };
}

/** What is refused from now on is not meant: a replay would never end. */
export function upTo(filter: LetterFilter, now: number): LetterFilter & { readonly until: number } {
  return { ...filter, until: Math.min(filter.until ?? Number.POSITIVE_INFINITY, now) };
}

/** For the audit. */
export function pacingTold({ rate, canary, maxFailures }: Pacing) {
  return {
    ...(rate === undefined ? {} : { rate }),
    canary,
    ...(Number.isFinite(maxFailures) ? { maxFailures } : {}),
  };
}

/** As its flags again, for a command to be copied. */
export function pacingFlags({ rate, canary, maxFailures }: PacingFlags): string {
  return commandOf(
    rate === undefined ? "" : `--rate ${quoted(rate)}`,
    canary === defaultCanary ? "" : `--canary ${quoted(canary)}`,
    maxFailures === undefined ? "" : `--max-failures ${quoted(maxFailures)}`,
  );
}

/** A replay or a drop, with its audit and its progress. */
export interface Audited {
  readonly kind: "replay" | "drop";
  readonly id: string;
  readonly given: Readonly<Record<string, unknown>>;
  readonly run: (
    options: Pick<ReplayOptions, "stores" | "id" | "clock" | "signal" | "log" | "onProgress" | "onSelected">,
    who: string,
  ) => Promise<ReplayResult>;
}

/** Runs it between the two files of its audit; the key is the first one's. */
export async function audited(
  command: DlqCommand,
  { kind, id, given, run }: Audited,
): Promise<{ result: ReplayResult; key: string | undefined }> {
  const { config, stores, clock, stderr, signal } = command;
  const owner = processOwner();
  const who = await callerOf([config.receipts, config.deadLetters]);
  for (const key of await closeAudits(stores, owner, clock)) {
    stderr.write(`fanout: a command was killed before it could say how it ended; ${key} says so now\n`);
  }
  let audit: Awaited<ReturnType<typeof beginAudit>> | undefined;
  let progress: ReturnType<typeof startReplayProgress> | undefined;
  signal.addEventListener("abort", () => progress?.ending());
  try {
    const result = await run(
      {
        stores,
        id,
        clock,
        signal,
        log: warnings(stderr),
        onSelected: async (selected) => {
          const { letters, pending } = selected;
          audit = await beginAudit(
            stores,
            { command: kind, id, who, given, selected: { letters, pending } },
            owner,
            clock,
          );
          progress = startReplayProgress(stderr, letters + pending);
        },
        onProgress: (tally) => progress?.update(tally),
      },
      who,
    );
    progress?.stop();
    await audit?.end(endOf(result));
    return { result, key: audit?.key };
  } catch (error) {
    progress?.stop();
    const why = error instanceof Error ? error.name : "an unexpected error";
    // What ended it may be the store itself: then the audit is closed by the next command.
    await audit?.end({ outcome: "failed", why, counts: {} }).catch(() => {});
    throw error;
  }
}

function endOf({ outcome, why, tally, refused, left, busy, failures }: ReplayResult): Ended {
  return {
    outcome,
    ...(why === undefined ? {} : { why }),
    counts: { ...tally, left: sum(left.values()), busy, failures: failures.length },
    refused: Object.fromEntries(refused),
  };
}

export async function closeWorker(worker: Worker, note: (sentence: string) => void): Promise<void> {
  try {
    await worker.close();
  } catch (error) {
    note(`a sink did not close: ${error instanceof Error ? error.message : "it did not say why"}`);
  }
}

function warnings(stderr: NodeJS.WritableStream): Logger {
  const known = new Set<string>();
  const tell: Logger["warn"] = (message, { sink, reason } = {}) => {
    const sentence = `${sink === undefined ? "" : `${sink}: `}${message}${reason === undefined ? "" : `: ${reason}`}`;
    if (!known.has(sentence)) stderr.write(`fanout: ${sentence}\n`);
    known.add(sentence);
  };
  return { debug() {}, info() {}, warn: tell, error: tell };
}

function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const number of numbers) total += number;
  return total;
}
