// The books of a day, or of any time: added up sink by sink, and everything in them that is not as it must be.
import { intakeLane } from "../dead-letter/dead-letter.ts";
import type { ObjectStore } from "../store/object-store.ts";
import { type Owner, stateOf } from "./claim.ts";
import { type BooksPeriod, type ObjectEntry, readBooks } from "./entries.ts";
import { type Problem, problemsOf } from "./problems.ts";
import type { Receipt } from "./receipt.ts";

export interface BooksOptions extends BooksPeriod {
  readonly receipts: ObjectStore;
  readonly deadLetters: ObjectStore;
  /** Sinks that must have every object; others that have books are added up as well unless {@link only} is true. */
  readonly sinks: readonly string[];
  readonly only?: boolean;
  readonly owner: Owner;
}

/** One sink, over all objects: `valid = delivered + filtered + deadLettered + dropped + pending`. */
export interface SinkBooks {
  readonly sink: string;
  /** Objects of which it has a receipt. */
  objects: number;
  valid: number;
  delivered: number;
  filtered: number;
  deadLettered: number;
  dropped: number;
  pending: number;
  /** Valid events of objects that the sink has no receipt of. */
  missing: number;
  /** The newest `event_time` that was delivered, in milliseconds since the epoch. */
  newestTime?: number;
}

export interface Books {
  readonly objects: number;
  /** Objects that were not read to their end: what is behind is in no count. */
  readonly unread: number;
  /** Objects that a worker has now. */
  readonly underWay: number;
  readonly records: number;
  readonly invalid: number;
  /** Invalid records that were given up. */
  readonly invalidDropped: number;
  readonly valid: number;
  readonly sinks: readonly SinkBooks[];
  /** At most {@link mostProblems}. */
  readonly problems: readonly Problem[];
  readonly problemCount: number;
}

/** Objects that are looked at at once. */
const objectsAtOnce = 16;
/** Problems that are kept, so that memory has an end; all are counted. */
export const mostProblems = 1_000;

/**
 * Adds the books up and looks at everything that they promise: every lane has its receipt, lanes agree, dead-letter
 * files are there and hold what is counted, and what is pending can be found.
 *
 * @throws {StoreError} when a store cannot be read.
 */
export async function addBooks(options: BooksOptions): Promise<Books> {
  const { receipts, sinks, only = false } = options;
  const total = { objects: 0, unread: 0, underWay: 0, records: 0, invalid: 0, invalidDropped: 0, valid: 0 };
  const bySink = new Map<string, SinkBooks>(sinks.map((sink) => [sink, emptySink(sink)]));
  const problems: Problem[] = [];
  let problemCount = 0;
  const report = (problem: Problem) => {
    problemCount++;
    if (problems.length < mostProblems) problems.push(problem);
  };

  const addObject = async (entry: ObjectEntry): Promise<void> => {
    const { lanes } = entry;
    const wanted = only
      ? [...lanes].filter(([lane]) => lane === intakeLane || sinks.includes(lane))
      : [...lanes];
    const isLive = await anyLive(receipts, entry, options.owner);
    total.objects++;
    if (isLive) total.underWay++;
    const intake = lanes.get(intakeLane)?.receipt;
    const known = [...lanes.values()].flatMap(({ receipt }) => (receipt === undefined ? [] : [receipt]));
    const [any] = known;
    const object = any?.object;
    if (known.some(({ readTo }) => readTo !== null)) total.unread++;
    const valid = intake?.counts.valid ?? Math.max(0, ...known.map(({ counts }) => counts.valid));
    total.valid += valid;
    total.records += intake?.counts.records ?? valid;
    total.invalid += intake?.counts.deadLettered ?? 0;
    total.invalidDropped += intake?.counts.dropped ?? 0;
    const at = { object, place: entry.prefix };
    for (const name of sinks) {
      const lane = lanes.get(name);
      if (lane?.receipt !== undefined) continue;
      sinkOf(bySink, name).missing += valid;
      if (isLive) continue;
      const code = lane === undefined ? "NOT_BEGUN" : "NOT_CLOSED";
      report({ ...at, code, lane: name, what: sentences[code](name) });
    }
    for (const [lane, { receipt }] of wanted) {
      const isIntake = lane === intakeLane;
      if (receipt === undefined) {
        const isTold = sinks.includes(lane);
        if (!isTold && !isLive) report({ ...at, code: "NOT_CLOSED", lane, what: sentences.NOT_CLOSED(lane) });
        continue;
      }
      if (!isIntake) addReceipt(sinkOf(bySink, lane), receipt);
      for (const problem of await problemsOf(options, entry.prefix, receipt, isLive ? undefined : intake))
        report(problem);
    }
  };

  let batch: ObjectEntry[] = [];
  for await (const entry of readBooks(receipts, options)) {
    batch.push(entry);
    if (batch.length < objectsAtOnce) continue;
    await Promise.all(batch.map(addObject));
    batch = [];
  }
  await Promise.all(batch.map(addObject));
  return { ...total, sinks: [...bySink.values()], problems, problemCount };
}

/** How much of what a sink should have it has, or rightly does not get, from 0 to 1; undefined when there is nothing. */
export function completeness({ valid, missing, delivered, filtered }: SinkBooks): number | undefined {
  const expected = valid + missing;
  return expected === 0 ? undefined : (delivered + filtered) / expected;
}

function emptySink(sink: string): SinkBooks {
  const none = {
    objects: 0,
    valid: 0,
    delivered: 0,
    filtered: 0,
    deadLettered: 0,
    dropped: 0,
    pending: 0,
    missing: 0,
  };
  return { sink, ...none };
}

function sinkOf(bySink: Map<string, SinkBooks>, name: string): SinkBooks {
  const known = bySink.get(name) ?? emptySink(name);
  bySink.set(name, known);
  return known;
}

function addReceipt(sink: SinkBooks, { counts, newestTime }: Receipt): void {
  sink.objects++;
  sink.valid += counts.valid;
  sink.delivered += counts.delivered;
  sink.filtered += counts.filtered;
  sink.deadLettered += counts.deadLettered;
  sink.dropped += counts.dropped;
  sink.pending += counts.pending;
  if (newestTime !== undefined) sink.newestTime = Math.max(sink.newestTime ?? newestTime, newestTime);
}

/** Whether a worker has the object now. */
async function anyLive(store: ObjectStore, { prefix, lanes }: ObjectEntry, owner: Owner): Promise<boolean> {
  for (const [lane, { claimed, receipt }] of lanes) {
    if (claimed <= (receipt?.generation ?? 0)) continue;
    const key = `${prefix}${lane}/${String(claimed).padStart(6, "0")}.claim.json`;
    if (typeof (await stateOf(store, key, owner)) === "object") return true;
  }
  return false;
}

const sentences = {
  NOT_CLOSED: (lane: string) =>
    `a worker began to deliver it to ${lane} and never ended; its notification must come again, or fanout run`,
  NOT_BEGUN: (lane: string) =>
    `others have it and ${lane} never began with it; fanout run delivers it, if ${lane} is meant to have it`,
} as const;
