// A thread's part: runs the schedules that it is given, if need be with a defect in the core, and tells what it saw.
import { parentPort, workerData } from "node:worker_threads";
import { mutantNamed, rewrite } from "./mutants.ts";
import type { Violation } from "./oracle.ts";
import type { SimulateOptions } from "./world.ts";

export interface Job {
  readonly mutant?: string | undefined;
  /** One after the other. */
  readonly runs: readonly SeedRun[];
  /** Ends a run at its first violation. */
  readonly isHunt?: boolean;
  /** Tells each schedule in full. */
  readonly isTold?: boolean;
}

/** So many seeds, from one on, each the next but `step - 1`. */
export interface SeedRun {
  readonly from: number;
  readonly count: number;
  readonly step?: number;
}

export type Message =
  | { readonly violated: { readonly seed: number; readonly violations: readonly Violation[] } }
  | { readonly told: readonly string[] }
  /** A run is over after so many schedules. `counts`: how often each kind of trouble struck. */
  | { readonly ran: { readonly schedules: number; readonly counts: ReadonlyMap<string, number> } };

// Nobody reads the stacks of a million expected failures, and collecting them takes a fifth of the time.
Error.stackTraceLimit = 0;

// Whoever starts the thread gives it a Job.
const { mutant, runs, isHunt = false, isTold = false } = workerData as Job;
const tell = (message: Message) => parentPort?.postMessage(message);

const defect = mutant === undefined ? undefined : mutantNamed(mutant).defect;
if (typeof defect === "object") rewrite(defect);
const options: SimulateOptions = typeof defect === "function" ? { alter: defect } : {};
// Only now, since what is loaded already cannot be rewritten.
const { runSchedule, tellSchedule } = await import("./schedule.ts");

for (const { from, count, step = 1 } of runs) {
  const counts = new Map<string, number>();
  let schedules = 0;
  for (let seed = from; schedules < count; seed += step) {
    if (isTold) {
      const { lines, violations } = await tellSchedule(seed, options);
      tell({ told: lines });
      if (violations.length > 0) tell({ violated: { seed, violations } });
      schedules++;
      continue;
    }
    const schedule = await runSchedule(seed, options);
    schedules++;
    for (const [kind, n] of schedule.counts) counts.set(kind, (counts.get(kind) ?? 0) + n);
    if (schedule.violations.length === 0) continue;
    tell({ violated: { seed, violations: schedule.violations } });
    if (isHunt) break;
  }
  tell({ ran: { schedules, counts } });
}
