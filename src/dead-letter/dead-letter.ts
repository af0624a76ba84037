// A dead letter: one record that will never be taken as it is, with all that is needed to judge it and send it again.

import { isUtf8 } from "node:buffer";
import { hash } from "node:crypto";
import { stableUuid } from "../delivery/ids.ts";

/** Where a record came from. */
export interface Origin {
  /** The store's location: `s3://bucket` or `file:///folder`. */
  readonly bucket: string;
  readonly key: string;
  readonly version: string;
  /** The record's place among all records of the object, from 0. */
  readonly index: number;
  /** Its bytes in the decompressed object: the first one, and the one after the last. */
  readonly start: number;
  readonly end: number;
  /**
   * When the object was written, in milliseconds since the epoch: what event times are judged from. Absent when its
   * store does not know.
   */
  readonly writtenAt?: number;
  /** Of damage alone: the bytes of the stored object that could not be read. */
  readonly stored?: { readonly start: number; readonly end: number };
}

/** The step that refused the record. */
export type Stage = "intake" | "encode" | "send";

/** One line of a dead-letter file. */
export interface DeadLetter {
  /** The same record refused by the same sink has the same id, however often it happens. */
  readonly id: string;
  readonly stage: Stage;
  /** The refusing sink; `_intake` for a record that is no valid event. */
  readonly sink: string;
  readonly origin: Origin;
  /** Absent when the record is no valid event. */
  readonly event?: { readonly id: string; readonly metricName: string; readonly tenantId: string };
  /** Stable, `UPPER_SNAKE_CASE`. */
  readonly code: string;
  readonly reason: string;
  /** The same for every record that was refused for the same cause. */
  readonly fingerprint: string;
  /** How often the run that gave it up had sent it; 0 when it was refused before it was sent. */
  readonly attempts: number;
  /** When that run first tried to send it, and when it gave it up: milliseconds since the epoch. */
  readonly firstAt: number;
  readonly lastAt: number;
  /** Earlier refusals, the oldest first: the record was replayed since, and refused again. At most {@link longestHistory}. */
  readonly history?: readonly PastRefusal[];
  /** In the archive: when it was given up, why, and who said so. */
  readonly dropped?: { readonly at: number; readonly reason: string; readonly by: string };
  /** The original bytes as text when they are valid UTF-8. Both are absent when the record was too large to keep. */
  readonly record?: string;
  /** The original bytes in base64 when they are not. */
  readonly recordBase64?: string;
}

/** What a dead letter said before a replay. */
export type PastRefusal = Pick<DeadLetter, "stage" | "code" | "reason" | "attempts" | "firstAt" | "lastAt">;

export const longestHistory = 20;

/** The refusals that a letter has behind it when the record is refused once more. */
export function historyOf(letter: DeadLetter): readonly PastRefusal[] {
  const { stage, code, reason, attempts, firstAt, lastAt } = letter;
  return [...(letter.history ?? []), { stage, code, reason, attempts, firstAt, lastAt }].slice(
    -longestHistory,
  );
}

/** The name under which letters and receipts about invalid records stand. */
export const intakeLane = "_intake";

export function createDeadLetter(
  letter: Omit<DeadLetter, "id" | "fingerprint" | "record" | "recordBase64">,
  bytes: Uint8Array | undefined,
): DeadLetter {
  const { bucket, key, version, index } = letter.origin;
  return {
    id: stableUuid(bucket, key, version, String(index), letter.sink),
    ...letter,
    fingerprint: fingerprint(letter.stage, letter.sink, letter.code, letter.reason),
    ...(bytes === undefined ? {} : content(bytes)),
  };
}

/** The record's original bytes; undefined when they were too large to keep and only the origin has them. */
export function recordBytes(letter: DeadLetter): Buffer | undefined {
  if (letter.record !== undefined) return Buffer.from(letter.record, "utf8");
  return letter.recordBase64 === undefined ? undefined : Buffer.from(letter.recordBase64, "base64");
}

/**
 * What the reasons of two records with the same cause may differ in: text in quotes, ids, numbers and their bytes.
 * A quote within a word, such as an apostrophe, neither opens nor closes a quoted part.
 */
const details: readonly (readonly [RegExp, string])[] = [
  [/(?<![\p{L}\p{N}])(["'`]).*?\1(?![\p{L}\p{N}])/gsu, "?"],
  [/(?<![\da-z])[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}(?![\da-z])/gi, "#"],
  [/(?<![\da-z]|\d[.,])(?!\d+e[+-]\d)(?:0x[\da-f]+|(?=\d*[a-f])[\da-f]{8,})(?![\da-z])/gi, "#"],
  [/(?:(?<![\p{L}\p{N}])-)?\d+(?:[.,]\d+)*(?:e[+-]?\d+)?(?:\s?(?:bytes?|[kKMG]i?B)\b)?/gu, "#"],
];

/**
 * Groups equal causes: the same stage, sink and code, and a reason that differs in {@link details} alone. 12 hex
 * digits.
 */
export function fingerprint(stage: Stage, sink: string, code: string, reason: string): string {
  const cause = details.reduce((text, [detail, mark]) => text.replace(detail, mark), reason);
  // As JSON, so that no name can reach into the next.
  return hash("sha256", JSON.stringify([stage, sink, code, cause]), "hex").slice(0, 12);
}

function content(bytes: Uint8Array): { record: string } | { recordBase64: string } {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return isUtf8(buffer) ? { record: buffer.toString("utf8") } : { recordBase64: buffer.toString("base64") };
}
