// A schedule before it runs: what a seed decides in advance, as data, so that it can be made smaller.
import type { LanePolicy } from "../../src/delivery/lane-policy.ts";
import type { Limits } from "../../src/delivery/sink.ts";
import { type Dice, dice } from "./dice.ts";

export interface Plan {
  readonly seed: number;
  /** Who answers for an object: `worker.process`, or the Lambda handler with messages of a queue. */
  readonly mode: "direct" | "lambda";
  readonly objects: readonly ObjectPlan[];
  readonly sinks: readonly SinkPlan[];
  readonly processes: readonly ProcessPlan[];
  /** One after the other. */
  readonly rounds: readonly RoundPlan[];
  /**
   * When all is drained: rounds in which operators replay dead letters, since vendors take some of what they refused
   * and {@link maxAheadMs} holds no more. Empty: nothing is mended.
   */
  readonly repairs: readonly RoundPlan[];
  /** An event further ahead is no valid one, until that is mended. Absent: the core's own limit, which none passes. */
  readonly maxAheadMs: number | undefined;
  readonly limits: LanePolicy & { readonly patienceMs: number };
  readonly attempts: number;
  readonly breaker: { readonly failures?: number; readonly overMs?: number; readonly openMs?: number };
  readonly chunkBytes: number;
  /** The share of the operations on books and letters that fail, and of those on the source. */
  readonly storeFaults: number;
  readonly readFaults: number;
  /** The share of operations that are slow. */
  readonly slowness: number;
  /** The share of receipts whose write outlives its claim. */
  readonly lateReceipts: number;
  /** Whether the last process alive is the one that drains, with all that it remembers, or a new one. */
  readonly drainedBy: "survivor" | "new process";
  /** Names of trouble that does not strike. Empty until a schedule is made smaller. */
  readonly mute: ReadonlySet<string>;
}

export interface ObjectPlan {
  readonly key: string;
  readonly records: readonly RecordPlan[];
}

export interface RecordPlan {
  readonly text: string;
  /** Absent when the record is no valid event. */
  readonly event?: EventPlan;
}

export interface EventPlan {
  readonly tenant: string;
  readonly metric: string;
  readonly time: number;
  /** `metadata.event_id`, when it has one. */
  readonly id: string | undefined;
  /** In [0, 1): what a scripted vendor judges the event by. */
  readonly grade: number;
}

export type SinkPlan = ScriptedPlan | TwinPlan;

export interface ScriptedPlan {
  readonly kind: "scripted";
  readonly name: string;
  readonly limits: Limits;
  readonly partition: "none" | "tenant" | "metric";
  readonly coalesces: boolean;
  /** Shares of the events that the mapping filters, rejects and fails on, and that the vendor refuses. */
  readonly filters: number;
  readonly rejects: number;
  readonly throws: number;
  readonly poison: number;
  /** Whether the vendor tells which item it refuses. */
  readonly tellsItems: boolean;
  readonly mood: Mood;
  /** From then on it is well, in milliseconds since the beginning. */
  readonly wellAfterMs: number;
}

export type Mood = "well" | "mixed" | "bad" | "dead" | "hangs" | "slow";

export const twinNames = [
  "timestream",
  "segment",
  "segment-groups",
  "mixpanel",
  "hubspot-events",
  "hubspot-companies",
] as const;
export type TwinName = (typeof twinNames)[number];

export interface TwinPlan {
  readonly kind: "twin";
  readonly name: TwinName;
  /** The share of requests that something goes wrong with. */
  readonly faults: number;
  readonly wellAfterMs: number;
}

export interface ProcessPlan {
  readonly name: string;
  /** Names of its sinks; a deployment may have one worker a sink. */
  readonly sinks: readonly string[];
  /** Which of its calls to a store, a vendor or the clock is its last one. */
  readonly crashAt?: number | undefined;
  /** The wall clock jumps at one of those calls. */
  readonly jump?: { readonly at: number; readonly ms: number } | undefined;
  /** Whether the others learn that it is gone. */
  readonly isMissed: boolean;
}

export interface RoundPlan {
  readonly invocations: readonly InvocationPlan[];
  readonly replays: readonly ReplayPlan[];
  readonly givesUp: readonly GiveUpPlan[];
  /** What passes before the next one, in milliseconds. */
  readonly thenMs: number;
}

export interface InvocationPlan {
  readonly process: string;
  readonly objects: readonly string[];
  readonly afterMs: number;
  readonly remainingMs: number;
}

/** One command of an operator: dead letters are tried again, or given up. */
export interface ReplayPlan {
  /** Its id, and what its draws are called by. */
  readonly name: string;
  readonly process: string;
  /** How many files, one after the other. Which ones is drawn when it begins. */
  readonly files: number;
  /** The share of the letters that it selects. */
  readonly share: number;
  readonly drops: boolean;
  /** Whether it takes a moment before every record. */
  readonly isPaced: boolean;
  readonly afterMs: number;
  readonly remainingMs: number;
}

/** An operator gives up what is pending of one object for one lane. Which one is drawn when it begins. */
export interface GiveUpPlan {
  readonly name: string;
  readonly process: string;
  readonly afterMs: number;
}

/** In every payload, and in every secret: neither may be where it does not belong. */
export const payloadCanary = "canary-of-a-payload";
export const secretCanary = "canary-of-a-secret";

export const tenantNameOf = (tenant: string): string => `name of ${tenant}`;

export const start: number = Date.UTC(2026, 0, 1);

/** With `twins`, the vendors are the adapters' twins, else scripted sinks, which are cheaper. */
export function planOf(seed: number): Plan {
  const d = dice(seed, "plan");
  const twins = d.chance(0.15);
  const sinks = twins ? drawTwins(d) : drawScripted(d);
  const names = sinks.map(({ name }) => name);
  const objects = Array.from({ length: d.pick([1, 1, 1, 2, 3]) }, (_, index) =>
    drawObject(dice(seed, "object", index), `o${index}`, d.pick(twins ? [3, 12, 24] : [0, 1, 5, 12, 25, 60])),
  );
  const processes: ProcessPlan[] = [];
  const crashes = d.chance(0.6) ? 0.4 : 0;
  const jumps = d.chance(0.15) ? 0.5 : 0;
  const addProcess = (steps: readonly [number, ...number[]] = [20, 100, 400]): string => {
    const name = `p${processes.length}`;
    const some = names.filter(() => d.chance(0.6));
    processes.push({
      name,
      sinks: d.chance(0.2) && some.length > 0 ? some : names,
      crashAt: d.chance(crashes) ? d.int(1, d.pick(steps)) : undefined,
      // A step back is below the margin that claims have; no clock of a cloud does more.
      jump: d.chance(jumps)
        ? { at: d.int(1, 60), ms: d.pick([-50_000, -2_000, 1_000, 90_000, 3_600_000]) }
        : undefined,
      isMissed: d.chance(0.6),
    });
    return name;
  };
  const keys = objects.map(({ key }) => key);
  // Receipts come so late that others have taken over meanwhile.
  const overtakes = d.chance(0.1);
  let commands = 0;
  const drawReplays = (process: string): ReplayPlan[] =>
    Array.from({ length: d.pick([1, 1, 2, 3]) }, () => ({
      name: `replay-${commands++}`,
      process,
      files: d.pick([1, 2, 6]),
      share: d.pick([0.3, 1, 1]),
      drops: d.chance(0.15),
      isPaced: d.chance(0.15),
      afterMs: overtakes ? d.pick([0, 65_000, 90_000, 130_000]) : d.pick([0, 0, 3, 2_000]),
      remainingMs: overtakes ? d.pick([100, 1_000]) : d.pick([20, 1_000, 10_000, 100_000, 900_000]),
    }));
  let process = addProcess();
  const rounds = Array.from({ length: d.pick([1, 1, 2, 2, 3, 4]) }, (): RoundPlan => {
    const invocations = Array.from(
      { length: overtakes ? 4 : d.pick([1, 1, 1, 2, 3]) },
      (): InvocationPlan => {
        if (d.chance(0.5)) process = addProcess();
        return {
          process,
          objects: keys.filter(() => d.chance(0.85)),
          afterMs: overtakes ? d.pick([0, 65_000, 90_000, 130_000]) : d.pick([0, 0, 1, 20, 3_000]),
          remainingMs: overtakes ? d.pick([100, 1_000]) : d.pick([20, 100, 1_000, 10_000, 100_000, 900_000]),
        };
      },
    );
    const replays = d.chance(0.25) ? drawReplays(process) : [];
    const givesUp = d.chance(0.06)
      ? [{ name: `give-up-${commands++}`, process, afterMs: d.pick([0, 1, 20, 70_000]) }]
      : [];
    return { invocations, replays, givesUp, thenMs: d.pick([0, 1_000, 70_000, 800_000]) };
  });
  const repairs = d.chance(0.3)
    ? Array.from({ length: d.int(1, 3) }, (): RoundPlan => {
        const own = addProcess([30, 60, 150]);
        const replays = [...drawReplays(own), ...(d.chance(0.3) ? drawReplays(addProcess([60])) : [])];
        const again = { process: own, objects: keys, afterMs: d.pick([0, 5]), remainingMs: 10_000 };
        return {
          invocations: d.chance(0.2) ? [again] : [],
          replays,
          givesUp: [],
          thenMs: d.pick([0, 1_000, 70_000, 800_000]),
        };
      })
    : [];
  return {
    seed,
    mode: d.chance(0.15) ? "lambda" : "direct",
    objects,
    sinks,
    processes,
    rounds,
    repairs,
    maxAheadMs: d.chance(0.5) ? 3_600_000 : undefined,
    limits: {
      maxItems: d.pick([1, 5, 40, 1_000]),
      maxBytes: d.pick([600, 5_000, 1_000_000]),
      patienceMs: d.pick([0, 50, 500]),
    },
    attempts: d.pick([1, 2, 6]),
    breaker: d.pick<Plan["breaker"]>([
      {},
      { failures: 1, overMs: 0, openMs: 1_000 },
      { failures: 3, overMs: 100, openMs: 5_000 },
    ]),
    chunkBytes: d.pick([200, 700, 3_000, 20_000]),
    storeFaults: d.chance(0.35) ? 0 : d.pick([0.005, 0.02, 0.06]),
    readFaults: d.pick([0, 0, 0.02, 0.1]),
    slowness: d.pick([0, 0.02, 0.1]),
    lateReceipts: overtakes ? 0.3 : 0,
    drainedBy: d.pick(["survivor", "new process"]),
    mute: new Set(),
  };
}

function drawTwins(d: Dice): SinkPlan[] {
  const names = twinNames.filter(() => d.chance(0.3));
  const plans = (names.length === 0 ? (["mixpanel"] as const) : names).map(
    (name): TwinPlan => ({
      kind: "twin",
      name,
      faults: d.pick([0, 0.15, 0.5, 1]),
      wellAfterMs: d.pick([20_000, 200_000, Number.POSITIVE_INFINITY]),
    }),
  );
  return plans;
}

function drawScripted(d: Dice): SinkPlan[] {
  return Array.from({ length: d.int(1, 4) }, (_, index): ScriptedPlan => {
    return {
      kind: "scripted",
      name: `s${index}`,
      limits: {
        itemsPerRequest: d.pick([1, 3, 10, 50]),
        bytesPerRequest: d.pick([300, 2_000, 100_000]),
        bytesPerItem: d.pick([250, 280, 90_000]),
        concurrency: d.pick([1, 2, 5]),
        timeoutMs: d.pick([1_000, 10_000, 30_000]),
        ...(d.chance(0.3) ? { requestsPerSecond: d.pick([1, 15, 500]) } : {}),
        ...(d.chance(0.3) ? { envelopeBytes: 20 } : {}),
      },
      partition: d.pick(["none", "none", "tenant", "metric"]),
      coalesces: d.chance(0.3),
      filters: d.pick([0, 0, 0.1]),
      rejects: d.pick([0, 0, 0.1]),
      throws: d.pick([0, 0, 0.03]),
      poison: d.pick([0, 0.02, 0.2]),
      tellsItems: d.chance(0.5),
      mood: d.pick(["well", "well", "mixed", "mixed", "bad", "dead", "hangs", "slow"]),
      wellAfterMs: d.pick([5_000, 60_000, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]),
    };
  });
}

function drawObject(d: Dice, key: string, size: number): ObjectPlan {
  const invalid = d.pick([0, 0, 0.05, 0.4]);
  const records = Array.from({ length: size }, (_, n): RecordPlan => {
    if (d.chance(invalid)) {
      const text = d.pick([
        `not json ${payloadCanary}`,
        "17",
        `{"metric_name":"","note":"${payloadCanary}"}`,
        `{"metric_name":"m","metadata":{"tenant_id":"t"},"data":{"event_time":"${payloadCanary}"}}`,
      ]);
      return { text };
    }
    const tenant = `tenant-${d.int(0, 5)}`;
    const metric = d.pick(["uploads", "findings"]);
    const id = d.chance(0.5) ? `${key}-e${n}` : undefined;
    // Within the last quarter of an hour, rarely too old for Timestream or too far ahead for Mixpanel.
    const age = d.chance(0.05)
      ? d.pick([-2 * 3_600_000, -3_630_000, 700 * 86_400_000])
      : d.int(0, 900) * 1000;
    const time = start - age;
    const record = {
      metric_name: metric,
      metadata: {
        tenant_id: tenant,
        tenant_name: tenantNameOf(tenant),
        ...(id === undefined ? {} : { event_id: id }),
      },
      data: {
        event_time: new Date(time).toISOString(),
        o: key,
        n,
        note: payloadCanary,
        pad: "x".repeat(d.pick([0, 0, 10, 200])),
      },
    };
    return { text: JSON.stringify(record), event: { tenant, metric, time, id, grade: d.number() } };
  });
  return { key, records };
}
