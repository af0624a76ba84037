// What a sink makes of one event: the same answer for a lane that sends it and for whoever asks beforehand.
import type { MetricEvent } from "../event.ts";
import { isCode, kindOf } from "./answer-check.ts";
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
/** How the reason begins when the answer is none, rather than an error thrown. */
export const wrongMapping = "the mapping is wrong: ";
const tooLarge = "ITEM_TOO_LARGE";

/** Encodes an event and measures the item. Pure, and never throws: a sink may be plain JavaScript, and wrong. */
export function prepare<P>(sink: Sink<P>, event: MetricEvent): Prepared<P> {
  const { limits } = sink;
  try {
    const encoded = sink.encode(event);
    const problem = encodedProblem(encoded);
    if (problem !== undefined) return { rejected: `${wrongMapping}${problem}`, code: encodeFailed };
    if ("filtered" in encoded || "rejected" in encoded) return encoded;
    const { payload, bytes } = encoded;
    const most = Math.min(limits.bytesPerItem, limits.bytesPerRequest - (limits.envelopeBytes ?? 0));
    if (bytes > most) {
      const rejected = `the record makes an item of ${bytes} bytes; ${sink.name} takes ${most}`;
      return { rejected, code: tooLarge };
    }
    const partition: unknown = sink.partition?.(event) ?? "";
    const coalesceKey: unknown = sink.coalesceKey?.(event);
    if (typeof partition !== "string")
      return { rejected: `${wrongMapping}partition is ${kindOf(partition)}`, code: encodeFailed };
    if (coalesceKey !== undefined && typeof coalesceKey !== "string")
      return { rejected: `${wrongMapping}coalesceKey is ${kindOf(coalesceKey)}`, code: encodeFailed };
    return { payload, bytes, partition, coalesceKey };
  } catch (error) {
    const name = error instanceof Error ? error.name : "unknown error";
    return { rejected: `the mapping failed: ${name}`, code: encodeFailed };
  }
}

/** What keeps the answer of an `encode` from being one; undefined when nothing does. */
function encodedProblem(encoded: unknown): string | undefined {
  if (typeof encoded !== "object" || encoded === null) return `encode returned ${kindOf(encoded)}`;
  if ("then" in encoded && typeof encoded.then === "function")
    return "encode returned a promise, and must return at once: look things up in send";
  if ("filtered" in encoded)
    return typeof encoded.filtered === "string" ? undefined : "filtered is no text that says why";
  if ("rejected" in encoded) {
    if (typeof encoded.rejected !== "string") return "rejected is no text that says why";
    return "code" in encoded && isCode(encoded.code)
      ? undefined
      : "what is rejected has no code in UPPER_SNAKE_CASE";
  }
  if (!("payload" in encoded)) return "encode returned no payload";
  return "bytes" in encoded && Number.isSafeInteger(encoded.bytes) && Number(encoded.bytes) >= 0
    ? undefined
    : "bytes is no whole number, 0 or more: without it no limit holds";
}
