// A process of the simulated world: it may die at any call to the world around it, and its clock may be wrong.
import type { Clock } from "../../src/delivery/clock.ts";
import type { ProcessPlan } from "./plan.ts";
import type { Trouble } from "./trouble.ts";

export interface Process {
  readonly name: string;
  readonly isDead: boolean;
  /** Whether the others know that it is dead. */
  readonly isMissed: boolean;
  /** Resolves when it dies. */
  readonly death: Promise<void>;
  readonly clock: Clock;
  /** Every call to the world begins and ends with one. Where the process dies, it never resolves. */
  step(what: string): Promise<void>;
  die(why: string): void;
}

export function never(): Promise<never> {
  return new Promise<never>(() => {});
}

/** More calls than any schedule needs: a process that makes them runs in circles. */
const mostSteps = 50_000;

export function createProcess(
  plan: ProcessPlan,
  worldClock: Clock,
  trouble: Trouble,
  trace: (line: string) => void,
): Process {
  const { promise: death, resolve } = Promise.withResolvers<void>();
  let steps = 0;
  let skewMs = 0;
  let isDead = false;

  const die = (why: string) => {
    if (isDead) return;
    trace(`† ${plan.name} dies ${why}`);
    isDead = true;
    resolve();
  };

  const step = async (what: string): Promise<void> => {
    if (isDead) return never();
    steps++;
    if (steps > mostSteps) throw new Error(`${plan.name} runs in circles at ${what}`);
    if (steps === plan.jump?.at && trouble.strikes("process: its clock jumps", plan.name, 1)) {
      skewMs += plan.jump.ms;
    }
    if (steps === plan.crashAt && trouble.strikes("process: dies between two awaits", plan.name, 1)) {
      die(`at its step ${steps}, ${what}`);
      return never();
    }
  };

  return {
    name: plan.name,
    get isDead() {
      return isDead;
    },
    get isMissed() {
      return isDead && plan.isMissed;
    },
    death,
    clock: {
      now: () => worldClock.now() + skewMs,
      async sleep(ms, signal) {
        await step("sleep");
        await worldClock.sleep(ms, signal);
        if (isDead) return never();
      },
      signal: (ms) => worldClock.signal(ms),
    },
    step,
    die,
  };
}
