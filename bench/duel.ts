// Contenders take turns, round by round, so that whatever else the machine does hits all of them alike.
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { VendorUrls } from "./acceptors.ts";
import type { Measured, Order } from "./contender.ts";
import { median } from "./row.ts";

const local = (file: string) => fileURLToPath(new URL(file, import.meta.url));

/** Each contender warms up for so long, and for a round at least: the compiler and the heap need some time to settle. */
const warmUpMs = { quick: 400, full: 2_000 } as const;

/**
 * The young generation that V8 makes for a function of 1,769 MB, which has one core (found in a cgroup of that size).
 * On a machine with more memory it is twice as large, and then buffers set off full collections by chance.
 */
const asFunction = ["--max-semi-space-size=32"];

export interface DuelOptions {
  readonly quick: boolean;
  /** Rounds that count; quick ones are a third. */
  readonly rounds: number;
}

export type Challenge = Omit<Order, "urls">;

/** What every contender's rounds cost, in the same order. */
export async function duel(
  challenges: readonly Challenge[],
  { quick, rounds }: DuelOptions,
): Promise<readonly (readonly Measured[])[]> {
  const vendors = fork(local("acceptors.ts"));
  // acceptors.ts sends nothing else.
  const urls = (await next(vendors)) as VendorUrls;
  const children: ChildProcess[] = [];
  try {
    for (const challenge of challenges) {
      const order: Order = { ...challenge, urls };
      children.push(fork(local("runner.ts"), [JSON.stringify(order)], { execArgv: asFunction }));
    }
    await Promise.all(children.map(next));
    for (const child of children) {
      const enough = quick ? warmUpMs.quick : warmUpMs.full;
      for (let spent = 0; spent < enough; ) spent += (await run(child)).wallMs;
    }
    const results = children.map((): Measured[] => []);
    for (let round = 0; round < (quick ? Math.ceil(rounds / 3) : rounds); round++) {
      for (const [index, child] of children.entries()) results[index]?.push(await run(child));
    }
    return results;
  } finally {
    for (const child of [...children, vendors]) child.disconnect();
  }
}

/** How much of one cost the other one is, a record each, as the median over the rounds. */
export function ratio(
  of: readonly Measured[] | undefined,
  to: readonly Measured[] | undefined,
  cost: "cpuMs" | "wallMs" = "cpuMs",
): number {
  const each = (measured: Measured | undefined) =>
    measured === undefined ? Number.NaN : measured[cost] / measured.records;
  return median((of ?? []).map((measured, round) => each(measured) / each(to?.[round])));
}

/** Records that one core deals with in a second. */
export function perSecond(measured: readonly Measured[] | undefined): string {
  const rate = median((measured ?? []).map(({ records, cpuMs }) => (records / cpuMs) * 1000));
  return `${Math.round(rate / 1000)}k events/s a core`;
}

async function run(child: ChildProcess): Promise<Measured> {
  child.send("round");
  // runner.ts answers with nothing else.
  return (await next(child)) as Measured;
}

function next(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const gone = () =>
      reject(new Error("a process of the bench ended before its answer; its error is above"));
    child.once("exit", gone);
    child.once("message", (message) => {
      child.off("exit", gone);
      resolve(message);
    });
  });
}
