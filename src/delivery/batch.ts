// Items become batches: by partition, by count and bytes, and with one slot for items that supersede each other.
import type { Limits } from "./sink.ts";

/** The least a batcher must know of an item. */
export interface Slot<T> {
  readonly bytes: number;
  readonly event: { readonly time: number };
  /** Older items of the same coalescing key, which wait for this one's outcome. */
  older: T[] | undefined;
}

export interface ReadyBatch<T> {
  readonly partition: string;
  readonly slots: T[];
}

export interface Batcher<T> {
  /** Adds an item no larger than a request. Answers the batch that had to make room for it, when there was one. */
  add(item: T, partition: string, coalesceKey: string | undefined): ReadyBatch<T> | undefined;
  /**
   * Closes the batch that holds the most items, older ones included. The only one that is open stays so if less than
   * that share of a request is in it, and fewer items than that.
   */
  takeFullest(share: number, count: number): ReadyBatch<T> | undefined;
  /** Closes all that is open. */
  takeAll(): ReadyBatch<T>[];
}

interface OpenBatch<T> {
  readonly slots: T[];
  bytes: number;
  /** Older items included. */
  items: number;
  /** Where the slot of each coalescing key is. */
  readonly slotOf: Map<string, number>;
}

export function createBatcher<T extends Slot<T>>(limits: Limits): Batcher<T> {
  const open = new Map<string, OpenBatch<T>>();
  const room = limits.bytesPerRequest - (limits.envelopeBytes ?? 0);

  const take = (partition: string, batch: OpenBatch<T>): ReadyBatch<T> => {
    open.delete(partition);
    return { partition, slots: batch.slots };
  };

  return {
    add(item, partition, coalesceKey) {
      let batch = open.get(partition);
      if (batch !== undefined && coalesceKey !== undefined && coalesce(batch, item, coalesceKey, room))
        return;
      let full: ReadyBatch<T> | undefined;
      // An item that its key's slot had no room for has none beside it either, so no key stands twice in a request.
      if (
        batch !== undefined &&
        (batch.slots.length >= limits.itemsPerRequest || batch.bytes + item.bytes > room)
      ) {
        full = take(partition, batch);
        batch = undefined;
      }
      if (batch === undefined) {
        batch = { slots: [], bytes: 0, items: 0, slotOf: new Map() };
        open.set(partition, batch);
      }
      if (coalesceKey !== undefined) batch.slotOf.set(coalesceKey, batch.slots.length);
      batch.slots.push(item);
      batch.bytes += item.bytes;
      batch.items++;
      return full;
    },
    takeFullest(share, count) {
      let fullest: [string, OpenBatch<T>] | undefined;
      for (const each of open) if (fullest === undefined || each[1].items > fullest[1].items) fullest = each;
      if (fullest === undefined) return undefined;
      const [, { slots, bytes, items }] = fullest;
      const filled = Math.max(slots.length / limits.itemsPerRequest, bytes / room);
      return open.size === 1 && filled < share && items < count ? undefined : take(...fullest);
    },
    takeAll() {
      return [...open].map(([partition, batch]) => take(partition, batch));
    },
  };
}

/** Puts the item into its key's slot; false when there is none, or no room for the larger of the two. */
function coalesce<T extends Slot<T>>(batch: OpenBatch<T>, item: T, key: string, room: number): boolean {
  const index = batch.slotOf.get(key);
  const held = index === undefined ? undefined : batch.slots[index];
  if (index === undefined || held === undefined) return false;
  // The later record wins a tie: it stands later in the stream.
  if (item.event.time < held.event.time) {
    held.older = held.older ?? [];
    held.older.push(item);
  } else {
    const bytes = batch.bytes - held.bytes + item.bytes;
    if (bytes > room) return false;
    const older = held.older ?? [];
    older.push(held);
    item.older = older;
    held.older = undefined;
    batch.slots[index] = item;
    batch.bytes = bytes;
  }
  batch.items++;
  return true;
}
