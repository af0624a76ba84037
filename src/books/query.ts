// The books of a day, or of any time: added up sink by sink, and everything in them that is not as it must be.
import { intakeLane } from "../dead-letter/dead-letter.ts";
import { readLetters } from "../dead-letter/store.ts";
import { type ObjectStore, StoreError } from "../store/object-store.ts";
import { dayOf, type ObjectVersion } from "./books.ts";
import { type Owner, stateOf } from "./claim.ts";
import { type Receipt, readReceipt } from "./receipt.ts";

/** Milliseconds since the epoch, half open; whole days of the objects' names. Default: all that there is. */
export interface BooksPeriod {
  readonly since?: number;
  readonly until?: number;
}

export interface BooksOptions extends BooksPeriod {
  readonly receipts: ObjectStore;
  readonly deadLetters: ObjectStore;
  /** Sinks that must have every object; others that have books are added up as well unless {@link only} is true. */
  readonly sinks: readonly string[];
  readonly only?: boolean;
  readonly owner: Owner;
  /** Told of every object that has books. */
  readonly onObject?: (object: ObjectVersion) => void;
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

export type ProblemCode =
  /** A worker began with the object and never ended: nobody knows what the sink has. */
  | "NOT_CLOSED"
  /** Other sinks have the object, this one never began with it. */
  | "NOT_BEGUN"
  /** Two lanes of one object count different numbers of valid events. */
  | "LANES_DISAGREE"
  /** The counts of a receipt do not add up. */
  | "COUNTS_DISAGREE"
  /** A dead-letter file that a receipt names is not there. */
  | "LETTERS_GONE"
  /** A dead-letter file cannot be read to its end. */
  | "LETTERS_DAMAGED"
  /** The files hold more or fewer letters than the receipt counts. */
  | "LETTERS_DIFFER"
  /** Something is pending, and its deferral is not there: nobody will take it up. */
  | "DEFERRAL_GONE";

export interface Problem {
  readonly code: ProblemCode;
  readonly object: ObjectVersion | undefined;
  /** When no receipt says which object it is: below which key its books stand. */
  readonly place: string;
  readonly lane: string;
  /** One sentence. */
  readonly what: string;
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

/** Problems that are kept, so that memory has an end; all are counted. */
export const mostProblems = 1_000;
/** Objects whose books are read at once. */
const objectsAtOnce = 16;
/** More days than this are found by listing everything. */
const mostDays = 400;
const dayMs = 24 * 60 * 60_000;

/** What stands in the books of one object, by lane. */
export interface ObjectEntry {
  /** `books/day=…/<hash>/` */
  readonly prefix: string;
  readonly lanes: ReadonlyMap<string, LaneEntry>;
}

export interface LaneEntry {
  /** The newest claim's generation; 0 for none. */
  readonly claimed: number;
  readonly receipt: Receipt | undefined;
}

/**
 * The books of every object of a period. An object whose name holds no day is of the day of its first receipt.
 *
 * @throws {StoreError} when the store cannot be read.
 */
export async function* readBooks(receipts: ObjectStore, period: BooksPeriod): AsyncGenerator<ObjectEntry> {
  const { since = Number.NEGATIVE_INFINITY, until = Number.POSITIVE_INFINITY } = period;
  let reading: Promise<ObjectEntry>[] = [];
  for (const prefix of prefixesOf(period)) {
    for await (const keys of keysByObject(receipts, prefix)) {
      reading.push(readEntry(receipts, keys));
      if (reading.length < objectsAtOnce) continue;
      yield* (await Promise.all(reading)).filter(isMeant);
      reading = [];
    }
  }
  yield* (await Promise.all(reading)).filter(isMeant);

  function isMeant({ prefix, lanes }: ObjectEntry): boolean {
    const day = /^books\/day=(\d{4}-\d{2}-\d{2})\//.exec(prefix)?.[1];
    if (day !== undefined) {
      const start = Date.parse(`${day}T00:00:00Z`);
      return start + dayMs > since && start < until;
    }
    const written = [...lanes.values()].map(({ receipt }) => receipt?.writtenAt ?? Number.POSITIVE_INFINITY);
    const first = Math.min(...written);
    // One that has no receipt at all may be of any day.
    return first === Number.POSITIVE_INFINITY || (first >= since && first < until);
  }
}

function prefixesOf({ since, until = Date.now() }: BooksPeriod): string[] {
  if (since === undefined || (until - since) / dayMs > mostDays) return ["books/"];
  const days: string[] = [];
  for (let day = Math.floor(since / dayMs) * dayMs; day < until; day += dayMs) {
    days.push(`books/day=${new Date(day).toISOString().slice(0, 10)}/`);
  }
  return [...days, `books/day=${dayOf("")}/`];
}

/** The keys of one object after the other: they stand together. */
async function* keysByObject(
  store: ObjectStore,
  prefix: string,
): AsyncGenerator<{ prefix: string; keys: string[] }> {
  let open: { prefix: string; keys: string[] } | undefined;
  for await (const { key } of store.list(prefix)) {
    const object = /^books\/[^/]+\/[^/]+\//.exec(key)?.[0];
    if (object === undefined) continue;
    if (open !== undefined && open.prefix !== object) yield open;
    if (open?.prefix !== object) open = { prefix: object, keys: [] };
    open.keys.push(key);
  }
  if (open !== undefined) yield open;
}

async function readEntry(
  store: ObjectStore,
  { prefix, keys }: { readonly prefix: string; readonly keys: readonly string[] },
): Promise<ObjectEntry> {
  const seen = new Map<string, { claimed: number; key: string | undefined }>();
  for (const key of keys) {
    const [, lane, digits, what] =
      /^([^/]+)\/(\d{6})\.(claim|receipt)\.json$/.exec(key.slice(prefix.length)) ?? [];
    if (lane === undefined) continue;
    const of = seen.get(lane) ?? { claimed: 0, key: undefined };
    // Generations ascend: the last one of each kind counts.
    if (what === "claim") of.claimed = Number(digits);
    else of.key = key;
    seen.set(lane, of);
  }
  const lanes = await Promise.all(
    [...seen].map(
      async ([lane, { claimed, key }]): Promise<[string, LaneEntry]> => [
        lane,
        { claimed, receipt: key === undefined ? undefined : await readReceipt(store, key) },
      ],
    ),
  );
  return { prefix, lanes: new Map(lanes) };
}

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
    if (object !== undefined) options.onObject?.(object);
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

  let adding: Promise<void>[] = [];
  for await (const entry of readBooks(receipts, options)) {
    adding.push(addObject(entry));
    if (adding.length < objectsAtOnce) continue;
    await Promise.all(adding);
    adding = [];
  }
  await Promise.all(adding);
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

/** A receipt may be replaced while its files are counted: then it is looked at again, so often at most. */
const looks = 3;

/** What one receipt promises and does not keep. */
async function problemsOf(
  { receipts, deadLetters }: Pick<BooksOptions, "receipts" | "deadLetters">,
  place: string,
  first: Receipt,
  intake: Receipt | undefined,
): Promise<Problem[]> {
  let receipt = first;
  for (let look = 1; ; look++) {
    const { object, lane, counts, pending, deferral } = receipt;
    const at = { object, place, lane };
    const found: Problem[] = [];
    const letters = await countLetters(deadLetters, receipt);
    if ("code" in letters) found.push({ ...at, ...letters });
    else if (letters.count !== counts.deadLettered) {
      const what = `the receipt counts ${counts.deadLettered} dead letters, its files hold ${letters.count}`;
      found.push({ ...at, code: "LETTERS_DIFFER", what });
    }
    if (pending.length > 0 && (deferral === undefined || (await receipts.look(deferral)) === undefined)) {
      const what = `${counts.pending} deliveries are pending and their deferral is gone; fanout run takes them up`;
      found.push({ ...at, code: "DEFERRAL_GONE", what });
    }
    if (found.length > 0 && look < looks) {
      const newer = await newestReceipt(receipts, `${place}${lane}/`);
      if (newer !== undefined && newer.generation !== receipt.generation) {
        receipt = newer;
        continue;
      }
    }
    const counted = lane === intakeLane ? counts.valid + counts.deadLettered + counts.dropped : sumOf(counts);
    const promised = lane === intakeLane ? counts.records : counts.valid;
    if (counted !== promised) {
      const what = `its outcomes add up to ${counted}, and there are ${promised} records`;
      found.push({ ...at, code: "COUNTS_DISAGREE", what });
    }
    // Only what both have read to its end can be compared.
    const isComparable = intake !== undefined && intake.readTo === null && receipt.readTo === null;
    if (isComparable && lane !== intakeLane && !agree(receipt, intake)) {
      const what = `${lane} counts ${counts.valid} valid events, the intake ${intake.counts.valid}`;
      found.push({ ...at, code: "LANES_DISAGREE", what });
    }
    return found;
  }
}

/**
 * A replay of the intake's letters that was cut off has told the sinks of a record and not yet the intake; a sink that
 * reads the object later finds it by itself. So either all valid events are the same, or those of the first reading.
 */
function agree(lane: Receipt, intake: Receipt): boolean {
  const first = ({ counts, adopted }: Receipt) =>
    counts.valid - adopted.reduce((sum, { from, to }) => sum + (to ?? from) - from, 0);
  return lane.counts.valid === intake.counts.valid || first(lane) === first(intake);
}

function sumOf({ delivered, filtered, deadLettered, dropped, pending }: Receipt["counts"]): number {
  return delivered + filtered + deadLettered + dropped + pending;
}

async function countLetters(
  store: ObjectStore,
  { letters }: Receipt,
): Promise<{ count: number } | Pick<Problem, "code" | "what">> {
  let count = 0;
  for (const file of letters) {
    try {
      for await (const _ of readLetters(store, file)) count++;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      if (error.code === "NOT_FOUND") {
        return { code: "LETTERS_GONE", what: `its dead-letter file ${file} is not there` };
      }
      if (error.code === "FAILED") return { code: "LETTERS_DAMAGED", what: error.message };
      throw error;
    }
  }
  return { count };
}

async function newestReceipt(store: ObjectStore, prefix: string): Promise<Receipt | undefined> {
  let last: string | undefined;
  for await (const { key } of store.list(prefix)) if (key.endsWith(".receipt.json")) last = key;
  return last === undefined ? undefined : await readReceipt(store, last);
}
