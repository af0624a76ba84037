// Runs schedules in threads, one a core: each has its own clock, and its own defect if it is to have one.
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type { Job, Message } from "./job.ts";
import type { Violation } from "./oracle.ts";

export interface Verdict {
  readonly schedules: number;
  readonly counts: ReadonlyMap<string, number>;
  readonly failures: readonly Failure[];
}

export interface Failure {
  readonly seed: number;
  readonly violations: readonly Violation[];
}

export interface Hunt {
  /** The violation that gave the defect away; undefined when nothing did. */
  readonly caught: Failure | undefined;
  readonly schedules: number;
}

const threads = Math.min(4, availableParallelism());

/** Seeds from `from` on. `onFailure` hears of each as it happens. */
export async function runSeeds(
  seeds: { readonly from: number; readonly count: number; readonly mutant?: string | undefined },
  onFailure: (failure: Failure) => void = () => {},
): Promise<Verdict> {
  const counts = new Map<string, number>();
  const failures: Failure[] = [];
  let schedules = 0;
  const { from, count, mutant } = seeds;
  const parts = Array.from({ length: Math.min(threads, count) }, (_, index) => ({
    from: from + index,
    count: Math.ceil((count - index) / threads),
    step: threads,
  }));
  await Promise.all(
    parts.map((part) =>
      runJob({ mutant, runs: [part] }, (message) => {
        if ("violated" in message) {
          failures.push(message.violated);
          onFailure(message.violated);
        } else if ("ran" in message) {
          schedules += message.ran.schedules;
          for (const [kind, n] of message.ran.counts) counts.set(kind, (counts.get(kind) ?? 0) + n);
        }
      }),
    ),
  );
  return { schedules, counts, failures };
}

/** Hunts a defect from several seeds on, each time until it is caught or `most` schedules are over. */
export async function hunt(mutant: string, from: readonly number[], most: number): Promise<Hunt[]> {
  const hunts: Hunt[] = [];
  let caught: Failure | undefined;
  const runs = from.map((seed) => ({ from: seed, count: most }));
  await runJob({ mutant, runs, isHunt: true }, (message) => {
    if ("violated" in message) caught = message.violated;
    if (!("ran" in message)) return;
    hunts.push({ caught, schedules: message.ran.schedules });
    caught = undefined;
  });
  return hunts;
}

/** One schedule, told in full. */
export async function tell(
  seed: number,
  mutant: string | undefined,
): Promise<{ lines: readonly string[]; failure: Failure | undefined }> {
  let lines: readonly string[] = [];
  let failure: Failure | undefined;
  await runJob({ mutant, runs: [{ from: seed, count: 1 }], isTold: true }, (message) => {
    if ("told" in message) lines = message.told;
    if ("violated" in message) failure = message.violated;
  });
  return { lines, failure };
}

/** Calls `each` for every item, on every core at once. */
export async function inParallel<T>(items: readonly T[], each: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  const worker = async () => {
    for (const item of queue) await each(item);
  };
  await Promise.all(Array.from({ length: threads }, worker));
}

function runJob(job: Job, onMessage: (message: Message) => void): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const worker = new Worker(new URL("./job.ts", import.meta.url), { workerData: job });
  worker.on("message", onMessage);
  worker.on("error", reject);
  worker.on("exit", (code) => (code === 0 ? resolve() : reject(new Error(`a thread ended with ${code}`))));
  return promise;
}
