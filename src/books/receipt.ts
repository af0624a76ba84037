// A receipt: the commit point of one object version and lane. What it says happened, happened.
import * as z from "zod";
import { type ObjectStore, readAll, StoreError } from "../store/object-store.ts";

const count = z.int().nonnegative();
const range = z.object({ from: count, to: count.nullable() });
const objectVersion = z.object({ bucket: z.string(), key: z.string(), version: z.string() });

const receiptSchema = z.object({
  object: objectVersion,
  /** The sink's name, or `_intake` for the records that are no valid events. */
  lane: z.string(),
  generation: z.int().positive(),
  /** The generation whose receipt this one goes on from; null for the first. */
  continues: z.int().positive().nullable(),
  /** Milliseconds since the epoch. */
  writtenAt: z.int(),
  /**
   * All that has happened so far, earlier generations included. For a sink
   * `valid = delivered + filtered + deadLettered + dropped + pending`; for `_intake`,
   * `records = valid + deadLettered + dropped`.
   */
  counts: z.object({
    records: count,
    valid: count,
    delivered: count,
    filtered: count,
    deadLettered: count,
    /** Dead letters that an operator gave up, with a reason: they are in the archive. */
    dropped: count,
    pending: count,
  }),
  /** The keys of all dead-letter files that count, in the dead-letter store. */
  letters: z.array(z.string()),
  /** What is left to do. */
  pending: z.array(range),
  /** Records before this index have been read and are in the counts; null when the object was read to its end. */
  readTo: count.nullable(),
  /** The key of the deferral, when something is pending. */
  deferral: z.string().optional(),
  /** How many runs in a row have left something pending. */
  tries: count,
  /** When the first of those runs ended, in milliseconds since the epoch; absent when nothing is pending. */
  pendingSince: z.int().optional(),
  /** Records that were no valid events when the object was read, and were delivered from their dead letters since. */
  adopted: z.array(range),
  /** What operators did with the lane's dead letters, in order. */
  replays: z.array(
    z.object({
      /** The plan's id, or the command's. */
      id: z.string(),
      /** Milliseconds since the epoch. */
      at: z.int(),
      delivered: count,
      filtered: count,
      /** Refused again: they are dead letters with one refusal more. */
      refused: count,
      dropped: count,
    }),
  ),
  /** The newest `event_time` delivered, in milliseconds since the epoch. */
  newestTime: z.int().optional(),
});
export type Receipt = z.infer<typeof receiptSchema>;
export type Counts = Receipt["counts"];

export type Replay = Receipt["replays"][number];

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

const deferralSchema = z.object({
  object: objectVersion,
  sink: z.string(),
  /** Ranges of record indexes; `to: null` is to the object's end. */
  ranges: z.array(range),
  /** How many of those records are known to be valid events. */
  count,
  reason: z.string(),
  /** Milliseconds since the epoch. */
  nextAttemptAt: z.int(),
  /** The generation of the receipt that names it. */
  generation: z.int().positive(),
  /** How many runs in a row have left something pending. */
  tries: z.int().positive(),
  /** When the first of those runs ended, in milliseconds since the epoch. */
  since: z.int(),
  /** The sink itself, whatever the object, is not to be tried before: it asked for it, or keeps failing. */
  sinkNotBefore: z.int().optional(),
});
/** What is pending of one object for one sink. No payload: the object in the bucket is the payload. */
export type Deferral = z.infer<typeof deferralSchema>;

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

/** @throws {StoreError} also when what stands there is no receipt. */
export function readReceipt(store: ObjectStore, key: string): Promise<Receipt> {
  return readAs(receiptSchema, "receipt", store, key);
}

/** @throws {StoreError} also when what stands there is no deferral. */
export function readDeferral(store: ObjectStore, key: string): Promise<Deferral> {
  return readAs(deferralSchema, "deferral", store, key);
}

async function readAs<T>(schema: z.ZodType<T>, what: string, store: ObjectStore, key: string): Promise<T> {
  const text = (await readAll(store, key)).toString("utf8");
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw new StoreError(
      "FAILED",
      `${store.location}/${key} is not a ${what} that this version understands`,
      { cause },
    );
  }
}
