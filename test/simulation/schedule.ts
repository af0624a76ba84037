// One schedule from its seed: the world that the seed draws and, for some, the pair of worlds that shows islands.
import { compareIslands, everySeeds } from "./islands.ts";
import type { Violation } from "./oracle.ts";
import { planOf } from "./plan.ts";
import { shrink } from "./shrink.ts";
import { type SimulateOptions, simulate } from "./world.ts";

export interface Schedule {
  readonly violations: readonly Violation[];
  /** How often each kind of trouble struck. */
  readonly counts: ReadonlyMap<string, number>;
}

export async function runSchedule(seed: number, options: SimulateOptions = {}): Promise<Schedule> {
  const { violations, counts } = await simulate(planOf(seed), options);
  if (seed % everySeeds !== 0 || violations.length > 0) return { violations, counts };
  return { violations: (await compareIslands(seed, options)) ?? [], counts };
}

/** The schedule told in full; one with a violation is made as small as it gets first. */
export async function tellSchedule(
  seed: number,
  options: SimulateOptions = {},
): Promise<{ readonly lines: readonly string[]; readonly violations: readonly Violation[] }> {
  const { violations } = await runSchedule(seed, options);
  const small = await shrink(planOf(seed), options);
  const { trace } = await simulate(small.plan, { ...options, traced: true });
  const { sinks, objects, rounds, repairs } = small.plan;
  const records = objects.reduce((sum, object) => sum + object.records.length, 0);
  const head = [
    `seed ${seed}: ${small.what} ${sinks.length} sinks, ${objects.length} objects with ${records} records, ` +
      `${rounds.length} rounds, ${repairs.length} after something was mended`,
    ...sinks.map((sink) => `  ${JSON.stringify(sink)}`),
  ];
  const last = violations.map(({ invariant, detail }) => `‼ ${invariant}: ${detail}`);
  return {
    lines: [...head, ...trace, ...(last.length === 0 ? [] : ["in the whole schedule:"]), ...last],
    violations,
  };
}
