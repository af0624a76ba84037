// Makes a failing schedule smaller: whatever can be left out without the violation going away is left out.
import type { Plan, RoundPlan } from "./plan.ts";
import { type SimulateOptions, simulate } from "./world.ts";

export interface Shrunk {
  readonly plan: Plan;
  /** How it compares to what was given. */
  readonly what: string;
}

/** Each takes the time of one schedule. */
const mostTries = 400;

/** The plan as it is when nothing is violated. */
export async function shrink(plan: Plan, options: SimulateOptions = {}): Promise<Shrunk> {
  const before = await simulate(plan, options);
  const [first] = before.violations;
  if (first === undefined) return { plan, what: "no violation;" };
  let tries = 0;
  const fails = async (smaller: Plan): Promise<boolean> => {
    if (tries++ >= mostTries) return false;
    const { violations } = await simulate(smaller, options);
    return violations.some(({ invariant }) => invariant === first.invariant);
  };
  let small = plan;
  for (let isSmaller = true; isSmaller && tries < mostTries; ) {
    isSmaller = false;
    for (const leaveOut of [...coarse(small), ...fine(small)]) {
      const smaller = leaveOut(small);
      if (smaller !== undefined && (await fails(smaller))) {
        small = smaller;
        isSmaller = true;
      }
    }
    small = await mute(small, options, fails);
  }
  const { struck } = await simulate(small, options);
  return {
    plan: small,
    what: `shrunk in ${Math.min(tries, mostTries)} tries, ${struck.length} of ${before.struck.length} faults are left;`,
  };
}

/** Undefined where there is nothing to leave out. */
type LeaveOut = (plan: Plan) => Plan | undefined;

function* coarse(plan: Plan): Generator<LeaveOut> {
  yield (p) => (p.repairs.length === 0 ? undefined : { ...p, repairs: [] });
  for (const at of plan.rounds.keys()) yield (p) => withRounds(p, without(p.rounds, at), p.repairs);
  for (const at of plan.repairs.keys()) yield (p) => withRounds(p, p.rounds, without(p.repairs, at));
  for (const { name } of plan.sinks) yield (p) => withoutSink(p, name);
  for (const { key } of plan.objects) yield (p) => withoutObject(p, key);
  yield (p) => (p.storeFaults === 0 ? undefined : { ...p, storeFaults: 0 });
  yield (p) => (p.readFaults === 0 ? undefined : { ...p, readFaults: 0 });
  yield (p) => (p.slowness === 0 ? undefined : { ...p, slowness: 0 });
  yield (p) => (p.lateReceipts === 0 ? undefined : { ...p, lateReceipts: 0 });
}

function* fine(plan: Plan): Generator<LeaveOut> {
  for (const which of ["rounds", "repairs"] as const) {
    for (const [at, { invocations, replays, givesUp }] of plan[which].entries()) {
      for (const each of invocations) {
        yield (p) =>
          inRound(p, which, at, (r) => ({ ...r, invocations: r.invocations.filter((i) => i !== each) }));
      }
      for (const each of givesUp) {
        yield (p) => inRound(p, which, at, (r) => ({ ...r, givesUp: r.givesUp.filter((i) => i !== each) }));
      }
      for (const each of replays) {
        yield (p) => inRound(p, which, at, (r) => ({ ...r, replays: r.replays.filter((i) => i !== each) }));
      }
    }
  }
  for (const { key, records } of plan.objects) {
    for (const part of [0.25, 0.5, 0.75, 0.9])
      yield (p) => cutObject(p, key, Math.floor(records.length * part));
  }
}

/** Leaves faults out in ever smaller parts, as delta debugging does (Zeller and Hildebrandt, 2002). */
async function mute(
  plan: Plan,
  options: SimulateOptions,
  fails: (plan: Plan) => Promise<boolean>,
): Promise<Plan> {
  let small = plan;
  let { struck } = await simulate(plan, options);
  for (let size = Math.ceil(struck.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < struck.length; at += size) {
      const muted = { ...small, mute: new Set([...small.mute, ...struck.slice(at, at + size)]) };
      if (await fails(muted)) small = muted;
    }
    struck = (await simulate(small, options)).struck;
  }
  return small;
}

function without<T>(list: readonly T[], at: number): readonly T[] {
  return list.filter((_, index) => index !== at);
}

function withRounds(
  plan: Plan,
  rounds: readonly RoundPlan[],
  repairs: readonly RoundPlan[],
): Plan | undefined {
  return rounds.length === plan.rounds.length && repairs.length === plan.repairs.length
    ? undefined
    : { ...plan, rounds, repairs };
}

function withoutSink(plan: Plan, name: string): Plan | undefined {
  if (plan.sinks.length < 2) return undefined;
  const processes = plan.processes.map((each) => ({
    ...each,
    sinks: each.sinks.filter((sink) => sink !== name),
  }));
  // A process without sinks is none.
  if (processes.some(({ sinks }) => sinks.length === 0)) return undefined;
  return { ...plan, sinks: plan.sinks.filter((sink) => sink.name !== name), processes };
}

function withoutObject(plan: Plan, key: string): Plan | undefined {
  if (plan.objects.length < 2) return undefined;
  const left = (rounds: readonly RoundPlan[]) =>
    rounds.map((round) => ({
      ...round,
      invocations: round.invocations.map((each) => ({
        ...each,
        objects: each.objects.filter((object) => object !== key),
      })),
    }));
  return {
    ...plan,
    objects: plan.objects.filter((object) => object.key !== key),
    rounds: left(plan.rounds),
    repairs: left(plan.repairs),
  };
}

function cutObject(plan: Plan, key: string, length: number): Plan | undefined {
  const isLonger = plan.objects.some((object) => object.key === key && object.records.length > length);
  if (!isLonger) return undefined;
  const cut = (object: Plan["objects"][number]) =>
    object.key === key ? { ...object, records: object.records.slice(0, length) } : object;
  return { ...plan, objects: plan.objects.map(cut) };
}

function inRound(
  plan: Plan,
  which: "rounds" | "repairs",
  at: number,
  change: (round: RoundPlan) => RoundPlan,
): Plan | undefined {
  const round = plan[which][at];
  if (round === undefined) return undefined;
  const changed = change(round);
  const sizeOf = ({ invocations, replays, givesUp }: RoundPlan) =>
    invocations.length + replays.length + givesUp.length;
  const isSame = sizeOf(changed) === sizeOf(round);
  return isSame
    ? undefined
    : { ...plan, [which]: plan[which].map((each, index) => (index === at ? changed : each)) };
}
