// How many schedules it takes to catch a defect, from several seeds on.
import type { Hunt } from "./threads.ts";

/** Where the hunts begin: far enough from each other for none to see another one's schedules. */
export const mutantStarts: readonly number[] = [1, 10_001, 20_001, 30_001, 40_001];

/** Who has not been caught by then is not caught. */
export const mostMutantSchedules = 2_000;

export function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
}

/** The invariant by which most hunts ended. */
export function nameOfMost(hunts: readonly Hunt[]): string | undefined {
  const names = hunts.flatMap(
    ({ caught }) => caught?.violations.slice(0, 1).map((each) => each.invariant) ?? [],
  );
  const times = (name: string) => names.filter((each) => each === name).length;
  return names.sort((a, b) => times(b) - times(a))[0];
}
