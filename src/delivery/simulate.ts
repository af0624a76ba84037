// How many requests a lane would make of items, by the sink's own limits: nothing is sent.
import { createBatcher, type Slot } from "./batch.ts";
import type { Prepared } from "./encode.ts";
import { type LanePolicy, lanePolicyOf } from "./lane-policy.ts";
import type { Limits } from "./sink.ts";

export interface RequestCounter {
  /** Takes an item that the sink would be sent, with the bytes of its record. */
  add(item: Extract<Prepared<unknown>, { readonly bytes: number }>, time: number, recordBytes: number): void;
  /** Closes all batches, as the end of a file does. */
  flush(): void;
  readonly requests: number;
}

interface Sized extends Slot<Sized> {
  readonly held: number;
}

/**
 * Batches as a lane does, and takes it that every request is answered before the next record comes: retries, halved
 * batches and a lane that is full while it sends make more requests of the same items, never fewer.
 */
export function createRequestCounter(limits: Limits, policy: Partial<LanePolicy>): RequestCounter {
  const { maxItems, maxBytes } = lanePolicyOf(limits, policy);
  const batcher = createBatcher<Sized>(limits);
  let requests = 0;
  let items = 0;
  let bytes = 0;

  const close = (slots: readonly Sized[]) => {
    requests++;
    for (const slot of slots) {
      for (const each of [slot, ...(slot.older ?? [])]) {
        items--;
        bytes -= each.held;
      }
    }
  };

  return {
    add(item, time, recordBytes) {
      const held = item.bytes + recordBytes;
      items++;
      bytes += held;
      const slot: Sized = { bytes: item.bytes, event: { time }, older: undefined, held };
      const full = batcher.add(slot, item.partition, item.coalesceKey);
      if (full !== undefined) close(full.slots);
      while (items >= maxItems || bytes >= maxBytes) {
        const fullest = batcher.takeFullest(0, 0);
        if (fullest === undefined) return;
        close(fullest.slots);
      }
    },
    flush() {
      for (const { slots } of batcher.takeAll()) close(slots);
    },
    get requests() {
      return requests;
    },
  };
}

/** The least time in milliseconds that so many requests take at the vendor's quota; undefined when none is stated. */
export function leastTimeMs(limits: Pick<Limits, "requestsPerSecond">, requests: number): number | undefined {
  if (limits.requestsPerSecond === undefined) return undefined;
  // The first one need not wait.
  return (Math.max(0, requests - 1) / limits.requestsPerSecond) * 1000;
}
