// Sinks are islands: one that is alone and one that stands beside sinks in trouble come to the same outcomes, at nearly the same time.
import type { Violation } from "./oracle.ts";
import { type Plan, planOf, type ScriptedPlan } from "./plan.ts";
import { type SimulateOptions, simulate } from "./world.ts";

/** Two worlds take twice the time: every so many seeds. */
export const everySeeds = 20;

/** Undefined when the seed's sinks do not make such a pair of worlds. */
export async function compareIslands(
  seed: number,
  options: SimulateOptions = {},
): Promise<readonly Violation[] | undefined> {
  const plan = planOf(seed);
  const [first, ...others] = plan.sinks.filter((sink) => sink.kind === "scripted");
  if (first === undefined || others.length === 0) return undefined;
  const { requestsPerSecond: _, ...limits } = first.limits;
  // It answers at once, and every record has an answer: what it says and when is the reader's doing alone.
  const well: ScriptedPlan = { ...first, limits, coalesces: false, mood: "well", wellAfterMs: 0 };
  const troubled = others.map(
    (sink, index): ScriptedPlan => ({
      ...sink,
      mood: (["hangs", "dead", "slow", "bad"] as const)[(seed + index) % 4] ?? "hangs",
      wellAfterMs: Number.POSITIVE_INFINITY,
    }),
  );
  const alone = await simulate(quiet(plan, [well]), options);
  const beside = await simulate(quiet(plan, [well, ...troubled]), options);
  const outcomesOf = ({ timeline }: typeof alone) =>
    new Map(timeline.filter(({ sink }) => sink === well.name).map((each) => [each.record, each]));
  const expected = outcomesOf(alone);
  const met = outcomesOf(beside);
  const violations = [...alone.violations, ...beside.violations];
  const violate = (detail: string) => violations.push({ invariant: "7 sinks are islands", detail });
  if (met.size !== expected.size) violate(`${met.size} outcomes of ${expected.size} beside sinks in trouble`);
  // The reader waits for each of the others once, for as long as its patience lasts.
  const latest = plan.limits.patienceMs * others.length;
  for (const [record, { status, at }] of met) {
    const before = expected.get(record);
    if (before?.status !== status) violate(`${record} is ${status}, and ${before?.status} alone`);
    else if (at > before.at + latest)
      violate(`${record} has its outcome ${at - before.at} ms later than alone`);
  }
  return violations;
}

/** One process with much time, in a world where nothing else goes wrong. */
function quiet(plan: Plan, sinks: readonly ScriptedPlan[]): Plan {
  const objects = plan.objects.slice(0, 1);
  const process = { name: "p0", sinks: sinks.map(({ name }) => name), isMissed: false };
  const invocation = {
    process: "p0",
    objects: objects.map(({ key }) => key),
    afterMs: 0,
    remainingMs: 900_000,
  };
  return {
    ...plan,
    mode: "direct",
    objects,
    sinks,
    processes: [process],
    rounds: [{ invocations: [invocation], replays: [], givesUp: [], thenMs: 0 }],
    repairs: [],
    storeFaults: 0,
    readFaults: 0,
    slowness: 0,
    lateReceipts: 0,
  };
}
