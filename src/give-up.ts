// What is pending of one object is given up for one lane: proven to be pending, archived, then out of the books.
import type { ObjectBooks, ObjectVersion } from "./books/books.ts";
import { withReplay } from "./books/receipt.ts";
import type { Clock } from "./delivery/clock.ts";
import type { HeldLane } from "./object-run.ts";
import type { ObjectStore } from "./store/object-store.ts";

/** Why something is given up, and who says so. */
export interface GiveUpOrder {
  /** Names the command in receipts. */
  readonly id: string;
  readonly reason: string;
  readonly by: string;
}

export interface GivenUp {
  /** Records known to be valid events that were pending. */
  readonly dropped: number;
  /** The object was never read to its end: nobody knows how many more there are. */
  readonly unread: boolean;
  /** What was given up, in the dead-letter store. */
  readonly archive: string;
}

/** @throws {StoreError} when the archive or the books cannot be written; then it is pending as before. */
export async function giveUpPending(
  { books, deadLetters, clock }: { books: ObjectBooks; deadLetters: ObjectStore; clock: Clock },
  object: ObjectVersion,
  { claim, book }: HeldLane,
  { id, reason, by }: GiveUpOrder,
): Promise<GivenUp | undefined> {
  const { receipt } = book;
  if (receipt === undefined || receipt.pending.length === 0) return undefined;
  const { counts, pending, letters, adopted, newestTime, readTo } = receipt;
  const at = clock.now();
  const { lane, generation } = claim;
  const archive = `archive/deferrals/sink=${lane}/${books.hash}-${String(generation).padStart(6, "0")}.json`;
  const given = { object, sink: lane, ranges: pending, count: counts.pending, dropped: { at, reason, by } };
  await deadLetters.put(archive, Buffer.from(JSON.stringify(given)));
  await books.commit(claim, book, {
    counts: { ...counts, pending: 0, dropped: counts.dropped + counts.pending },
    letters,
    pending: [],
    readTo: null,
    tries: 0,
    adopted,
    replays: withReplay(receipt, { id, at, delivered: 0, filtered: 0, refused: 0, dropped: counts.pending }),
    ...(newestTime === undefined ? {} : { newestTime }),
  });
  return { dropped: counts.pending, unread: readTo !== null, archive };
}
