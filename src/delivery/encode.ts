// What a sink makes of one event: the same answer for a lane that sends it and for whoever asks beforehand.
import type { MetricEvent } from "../event.ts";
import type { Sink } from "./sink.ts";

export type Prepared<P> =
  | {
      readonly payload: P;
      readonly bytes: number;
      /** `""` without one. */
      readonly partition: string;
      readonly coalesceKey: string | undefined;
    }
  | { readonly filtered: string }
  | { readonly rejected: string; readonly code: string };

/** The error that a bug in a mapping becomes: a letter for that record, and no more. */
const encodeFailed = "ENCODE_FAILED";
const tooLarge = "ITEM_TOO_LARGE";

/** Encodes an event and measures the item. Pure, and never throws. */
export function prepare<P>(sink: Sink<P>, event: MetricEvent): Prepared<P> {
  const { limits } = sink;
  try {
    const encoded = sink.encode(event);
    if ("filtered" in encoded || "rejected" in encoded) return encoded;
    const { payload, bytes } = encoded;
    const most = Math.min(limits.bytesPerItem, limits.bytesPerRequest - (limits.envelopeBytes ?? 0));
    if (bytes > most) {
      const rejected = `the record makes an item of ${bytes} bytes; ${sink.name} takes ${most}`;
      return { rejected, code: tooLarge };
    }
    return {
      payload,
      bytes,
      partition: sink.partition?.(event) ?? "",
      coalesceKey: sink.coalesceKey?.(event),
    };
  } catch (error) {
    const name = error instanceof Error ? error.name : "unknown error";
    return { rejected: `the mapping failed: ${name}`, code: encodeFailed };
  }
}
