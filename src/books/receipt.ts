// A receipt: the commit point of one object version and lane. What it says happened, happened.
import type { Range } from "../ranges.ts";
import { list, nullable, number, object, optional, problemsOf, type Shape, text } from "../shape.ts";
import { type ObjectStore, readAll, StoreError } from "../store/object-store.ts";

export interface Receipt {
  object: { bucket: string; key: string; version: string };
  /** The sink's name, or `_intake` for the records that are no valid events. */
  lane: string;
  generation: number;
  /** The generation whose receipt this one goes on from; null for the first. */
  continues: number | null;
  /** Milliseconds since the epoch. */
  writtenAt: number;
  /**
   * All that has happened so far, earlier generations included. For a sink
   * `valid = delivered + filtered + deadLettered + dropped + pending`; for `_intake`,
   * `records = valid + deadLettered + dropped`.
   */
  counts: Counts;
  /** The keys of all dead-letter files that count, in the dead-letter store. */
  letters: string[];
  /** What is left to do. */
  pending: Range[];
  /** Records before this index have been read and are in the counts; null when the object was read to its end. */
  readTo: number | null;
  /** The key of the deferral, when something is pending. */
  deferral?: string | undefined;
  /** How many runs in a row have left something pending. */
  tries: number;
  /** When the first of those runs ended, in milliseconds since the epoch; absent when nothing is pending. */
  pendingSince?: number | undefined;
  /** Records that were no valid events when the object was read, and were delivered from their dead letters since. */
  adopted: Range[];
  /** What operators did with the lane's dead letters, in order. */
  replays: Replay[];
  /** The newest `event_time` delivered, in milliseconds since the epoch. */
  newestTime?: number | undefined;
}

export interface Counts {
  records: number;
  valid: number;
  delivered: number;
  filtered: number;
  deadLettered: number;
  /** Dead letters that an operator gave up, with a reason: they are in the archive. */
  dropped: number;
  pending: number;
}

export interface Replay {
  /** The plan's id, or the command's. */
  id: string;
  /** Milliseconds since the epoch. */
  at: number;
  delivered: number;
  filtered: number;
  /** Refused again: they are dead letters with one refusal more. */
  refused: number;
  dropped: number;
}

/** The receipt's replays with this one: one entry a command, however many files it has. */
export function withReplay({ replays }: Receipt, replay: Replay): Replay[] {
  const last = replays.at(-1);
  if (last?.id !== replay.id) return [...replays, replay];
  return [
    ...replays.slice(0, -1),
    {
      id: replay.id,
      at: replay.at,
      delivered: last.delivered + replay.delivered,
      filtered: last.filtered + replay.filtered,
      refused: last.refused + replay.refused,
      dropped: last.dropped + replay.dropped,
    },
  ];
}

/** What is pending of one object for one sink. No payload: the object in the bucket is the payload. */
export interface Deferral {
  object: Receipt["object"];
  sink: string;
  ranges: Range[];
  /** How many of those records are known to be valid events. */
  count: number;
  reason: string;
  /** Milliseconds since the epoch. */
  nextAttemptAt: number;
  /** The generation of the receipt that names it. */
  generation: number;
  /** How many runs in a row have left something pending. */
  tries: number;
  /** When the first of those runs ended, in milliseconds since the epoch. */
  since: number;
  /** The sink itself, whatever the object, is not to be tried before: it asked for it, or keeps failing. */
  sinkNotBefore?: number | undefined;
}

export const noCounts: Counts = {
  records: 0,
  valid: 0,
  delivered: 0,
  filtered: 0,
  deadLettered: 0,
  dropped: 0,
  pending: 0,
};

export const encodeReceipt = (receipt: Receipt): Buffer => Buffer.from(JSON.stringify(receipt));
export const encodeDeferral = (deferral: Deferral): Buffer => Buffer.from(JSON.stringify(deferral));

/** No date is further away from 1970: https://tc39.es/ecma262/#sec-time-values-and-time-range */
const mostTime = 8.64e15;
const time = number(
  (value) => Number.isSafeInteger(value) && Math.abs(value) <= mostTime,
  "must be a time: a whole number of milliseconds that a date can have",
);
const count = number(
  (value) => Number.isSafeInteger(value) && value >= 0,
  "must be a whole number, 0 or more",
);
const ordinal = number(
  (value) => Number.isSafeInteger(value) && value >= 1,
  "must be a whole number, 1 or more",
);
const ranges = list(object<Range>({ from: count, to: nullable(count) }));
const objectVersion = object<Receipt["object"]>({ bucket: text, key: text, version: text });

const receiptShape = object<Receipt>({
  object: objectVersion,
  lane: text,
  generation: ordinal,
  continues: nullable(ordinal),
  writtenAt: time,
  counts: object<Counts>({
    records: count,
    valid: count,
    delivered: count,
    filtered: count,
    deadLettered: count,
    dropped: count,
    pending: count,
  }),
  letters: list(text),
  pending: ranges,
  readTo: nullable(count),
  deferral: optional(text),
  tries: count,
  pendingSince: optional(time),
  adopted: ranges,
  replays: list(
    object<Replay>({ id: text, at: time, delivered: count, filtered: count, refused: count, dropped: count }),
  ),
  newestTime: optional(time),
});

const deferralShape = object<Deferral>({
  object: objectVersion,
  sink: text,
  ranges,
  count,
  reason: text,
  nextAttemptAt: time,
  generation: ordinal,
  tries: ordinal,
  since: time,
  sinkNotBefore: optional(time),
});

/** @throws {StoreError} also when what stands there is no receipt. */
export function readReceipt(store: ObjectStore, key: string): Promise<Receipt> {
  return readAs(receiptShape, "receipt", store, key);
}

/** @throws {StoreError} also when what stands there is no deferral. */
export function readDeferral(store: ObjectStore, key: string): Promise<Deferral> {
  return readAs(deferralShape, "deferral", store, key);
}

async function readAs<T>(shape: Shape<T>, what: string, store: ObjectStore, key: string): Promise<T> {
  const content = (await readAll(store, key)).toString("utf8");
  let cause: unknown;
  try {
    const found: unknown = JSON.parse(content);
    if (shape(found)) return found;
    cause = new Error(problemsOf(shape, found, `the ${what}`).join("; "));
  } catch (error) {
    cause = error;
  }
  throw new StoreError("FAILED", `${store.location}/${key} is not a ${what} that this version understands`, {
    cause,
  });
}
