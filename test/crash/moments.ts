// The moments at which a process is killed. What a name leaves open, which sink, which of several files, is drawn.
import type { Random } from "../../src/index.ts";
import type { FileKind, StepSpec } from "./steps.ts";
import { type RequestEvent, type SinkName, sinkNames } from "./vendors.ts";
import { lanes } from "./world.ts";

/** How one kill is done: by the process itself at a step, by the harness in a request, or after a while. */
export interface Plan {
  readonly step?: StepSpec;
  readonly onRequest?: (event: RequestEvent) => boolean;
  /** Milliseconds after the process's first step. */
  readonly afterMs?: number;
  /** A vendor that refuses this process. */
  readonly down?: SinkName;
  /**
   * A second process on the same objects. `meets`: it begins while the first one's request is held, and ends before
   * the first one is killed. `together`: both begin at once, and whoever sends the request in question is killed.
   */
  readonly second?: "meets" | "together";
}

export interface Circumstances {
  readonly random: Random;
  /** Lanes of all objects that have something to do. */
  readonly openLanes: number;
  readonly newObjects: number;
}

export interface Moment {
  readonly name: string;
  /** What must have been left by an earlier process; the story sees to it. */
  readonly needs?: "deferral";
  plan(circumstances: Circumstances): Plan;
}

const whole = (random: Random, from: number, to: number) => from + Math.floor(random() * (to - from + 1));
function pick<T>(random: Random, list: readonly [T, ...T[]]): T {
  return list[Math.floor(random() * list.length)] ?? list[0];
}

/** Every new object brings at least so many requests to every sink. */
const nthRequest = ({ random, newObjects }: Circumstances) => whole(random, 1, newObjects);

/** True at the `nth` event that is asked for. */
function nth(count: number, asked: (event: RequestEvent) => boolean): (event: RequestEvent) => boolean {
  let seen = 0;
  return (event) => asked(event) && ++seen === count;
}

const inRequest =
  (phase: RequestEvent["phase"]) =>
  (circumstances: Circumstances): Plan => {
    const sink = pick(circumstances.random, sinkNames);
    const asked = (event: RequestEvent) => event.sink === sink && event.phase === phase;
    return { onRequest: nth(nthRequest(circumstances), asked) };
  };

/** Steps that one new object brings with certainty: four a file, a claim and a receipt a lane. */
const stepsOfObject = lanes.length * 2 * 4;

const randomStep: Moment = {
  name: "random: a step of a write",
  plan: ({ random, newObjects }) => ({ step: { nth: whole(random, 1, newObjects * stepsOfObject) } }),
};
const randomRequest: Moment = {
  name: "random: a moment of a request",
  plan: ({ random, newObjects }) => ({
    // Every request has two moments.
    onRequest: nth(whole(random, 1, newObjects * sinkNames.length * 2), () => true),
  }),
};
const randomTime: Moment = {
  name: "random: a time",
  // From the first claim to the last receipt it takes about that long.
  plan: ({ random }) => ({ afterMs: random() * 250 }),
};

/** In the order of a story; the first ten are what every run of the tests tries. */
export const moments: readonly [Moment, ...Moment[]] = [
  { name: "in a request: stored, not answered", plan: inRequest("stored") },
  {
    name: "a receipt written, the next lane's not",
    plan: ({ random, openLanes }) => ({
      step: { phase: "named", kind: "receipt", nth: whole(random, 1, openLanes - 1) },
    }),
  },
  {
    name: "letters written, the receipt not",
    plan: ({ random }) => ({ step: { phase: "named", kind: "letters", nth: whole(random, 1, 3) } }),
  },
  {
    name: "the deferral written, the receipt not",
    plan: ({ random, newObjects }) => ({
      down: pick(random, sinkNames),
      step: { phase: "named", kind: "deferral", nth: whole(random, 1, newObjects) },
    }),
  },
  {
    name: "the receipt written, the old deferral there",
    needs: "deferral",
    plan: () => ({ step: { phase: "removing", kind: "deferral", nth: 1 } }),
  },
  {
    name: "after a claim",
    plan: ({ random, newObjects }) => ({
      step: { phase: "named", kind: "claim", nth: whole(random, 1, newObjects * lanes.length) },
    }),
  },
  {
    name: "half of a file written",
    plan: ({ random, newObjects }) => ({
      step: {
        phase: "half",
        kind: pick<FileKind>(random, ["claim", "receipt", "letters"]),
        nth: whole(random, 1, newObjects),
      },
    }),
  },
  {
    name: "two processes: the other met a live claim",
    plan: () => ({ second: "meets", onRequest: nth(1, ({ phase }) => phase === "stored") }),
  },
  {
    name: "one sink answered, another about to store",
    plan: ({ random }) => ({
      onRequest: nth(
        whole(random, 1, 3),
        ({ phase, sink, answered }) =>
          phase === "arrived" && [...sinkNames].some((other) => other !== sink && answered.has(other)),
      ),
    }),
  },
  randomStep,
  randomTime,
  {
    name: "two processes at once: one falls",
    plan: ({ random, newObjects }) => ({
      second: "together",
      onRequest: nth(whole(random, 1, newObjects * sinkNames.length), () => true),
    }),
  },
  {
    name: "before the first claim",
    plan: () => ({ step: { phase: "empty", kind: "claim", nth: 1 } }),
  },
  randomRequest,
  {
    name: "sent, no letter written",
    plan: ({ random }) => ({ step: { phase: "empty", kind: "letters", nth: whole(random, 1, 3) } }),
  },
  { name: "in a request: arrived, not stored", plan: inRequest("arrived") },
  {
    name: "a whole file without its name",
    plan: ({ random, newObjects }) => ({
      step: {
        phase: "whole",
        kind: pick<FileKind>(random, ["claim", "receipt", "letters"]),
        nth: whole(random, 1, newObjects),
      },
    }),
  },
  randomTime,
  {
    name: "half of a deferral written",
    plan: ({ random, newObjects }) => ({
      down: pick(random, sinkNames),
      step: { phase: "half", kind: "deferral", nth: whole(random, 1, newObjects) },
    }),
  },
  {
    name: "the receipt written, the old deferral removed",
    needs: "deferral",
    plan: () => ({ step: { phase: "removed", kind: "deferral", nth: 1 } }),
  },
  randomStep,
  {
    name: "after the last receipt",
    plan: ({ openLanes }) => ({ step: { phase: "named", kind: "receipt", nth: openLanes } }),
  },
  randomRequest,
];
