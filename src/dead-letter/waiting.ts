// How many dead letters wait, a sink, and since when.
import { openBooks } from "../books/books.ts";
import { systemClock } from "../delivery/clock.ts";
import { silent } from "../log.ts";
import { type ObjectStore, StoreError } from "../store/object-store.ts";
import { readLetters } from "./store.ts";

export interface WaitingLetters {
  readonly count: number;
  /** When the first of them was refused for the first time, in milliseconds since the epoch. */
  readonly oldest: number;
}

export interface LetterCounter {
  /** By lane; without those of which none waits. @throws {StoreError} */
  count(): Promise<ReadonlyMap<string, WaitingLetters>>;
}

/** Files under way at once. */
const readsAtOnce = 8;

/**
 * Counts what receipts name, in these lanes: sinks, and `_intake`. No other lane's letters are read, since a function
 * of one sink may not. A file never changes and leaves the store when it is replaced, so each is read once: the
 * counter is made to be kept.
 */
export function createLetterCounter(
  deadLetters: ObjectStore,
  receipts: ObjectStore,
  lanes: readonly string[],
): LetterCounter {
  let known = new Map<string, WaitingLetters>();

  async function* list(): AsyncGenerator<{ key: string; lane: string }> {
    for (const lane of lanes) {
      for await (const { key } of deadLetters.list(`sink=${lane}/`)) yield { key, lane };
    }
  }

  const look = async (key: string, sink: string): Promise<WaitingLetters | undefined> => {
    let count = 0;
    let oldest = Number.POSITIVE_INFINITY;
    let isNamed = false;
    for await (const letter of readLetters(deadLetters, key)) {
      if (count === 0) {
        const books = openBooks(receipts, letter.origin, { id: "reader" }, systemClock, silent);
        isNamed = (await books.read([sink])).books.get(sink)?.receipt?.letters.includes(key) === true;
        // Of an attempt that has not come to its receipt, or never will.
        if (!isNamed) return undefined;
      }
      count++;
      oldest = Math.min(oldest, letter.history?.[0]?.firstAt ?? letter.firstAt);
    }
    return { count, oldest };
  };

  return {
    async count() {
      const found = new Map<string, WaitingLetters>();
      const sums = new Map<string, WaitingLetters>();
      const files = list();
      const take = async () => {
        for (let next = await files.next(); next.done !== true; next = await files.next()) {
          const { key, lane } = next.value;
          const waiting = known.get(key) ?? (await look(key, lane).catch(ifGone));
          if (waiting === undefined) continue;
          found.set(key, waiting);
          const sum = sums.get(lane);
          sums.set(lane, {
            count: (sum?.count ?? 0) + waiting.count,
            oldest: Math.min(sum?.oldest ?? Number.POSITIVE_INFINITY, waiting.oldest),
          });
        }
      };
      await Promise.all(Array.from({ length: readsAtOnce }, take));
      known = found;
      return sums;
    },
  };
}

/** It was replaced while this looked. */
function ifGone(error: unknown): undefined {
  if (!(error instanceof StoreError && error.code === "NOT_FOUND")) throw error;
}
