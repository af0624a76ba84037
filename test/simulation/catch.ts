// Hunts every defect, from several seeds on, and tells by which invariant each was caught and how soon.
import Table from "cli-table3";
import { found, mutants } from "./mutants.ts";
import { type Hunt, hunt, inParallel } from "./threads.ts";

export interface Catch {
  readonly name: string;
  /** The invariant by which most hunts ended; undefined when none caught it. */
  readonly invariant: string | undefined;
  /** The median. */
  readonly schedules: number;
  /** Hunts in which nothing gave it away. */
  readonly missed: number;
}

/** Where the hunts begin: far enough from each other for none to see another one's schedules. */
export const starts: readonly number[] = [1, 10_001, 20_001, 30_001, 40_001];

/** Who has not been caught by then is not caught. */
const mostSchedules = 500;

/** `progress` hears how many are done. Those that the simulation found are hunted with their own seed alone. */
export async function catchAll(
  from = starts,
  progress: (done: number, of: number) => void = () => {},
): Promise<Catch[]> {
  const hunted = [
    ...mutants.map(({ name }) => ({ name, from, most: mostSchedules })),
    ...found.map(({ name, seed }) => ({ name, from: [seed], most: 1 })),
  ];
  const catches = new Map<string, Catch>();
  await inParallel(hunted, async ({ name, from: seeds, most }) => {
    catches.set(name, catchOf(name, await hunt(name, seeds, most)));
    progress(catches.size, hunted.length);
  });
  return hunted.flatMap(({ name }) => catches.get(name) ?? []);
}

export function tableOfCatches(catches: readonly Catch[], from = starts): string {
  const table = new Table({
    head: ["a worker that …", "is caught by", "schedules", "missed"],
    colAligns: ["left", "left", "right", "right"],
    style: { head: [], border: [] },
  });
  for (const { name, invariant, schedules, missed } of catches) {
    const seed = found.find((each) => each.name === name)?.seed;
    table.push([name, invariant ?? "nothing", seed === undefined ? schedules : `seed ${seed}`, missed]);
  }
  return `${table.toString()}\nschedules: the median of ${from.length} seeds, of at most ${mostSchedules} each\n`;
}

function catchOf(name: string, hunts: readonly Hunt[]): Catch {
  const names = hunts.flatMap(({ caught }) => caught?.violations[0]?.invariant ?? []);
  const times = (each: string) => names.filter((other) => other === each).length;
  const sorted = hunts.map(({ schedules }) => schedules).sort((a, b) => a - b);
  return {
    name,
    invariant: names.sort((a, b) => times(b) - times(a))[0],
    schedules: sorted[Math.floor(sorted.length / 2)] ?? 0,
    missed: hunts.length - names.length,
  };
}
