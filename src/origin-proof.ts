// Whether invalid records, as their dead letters tell them, stand in the object that they name.
import type { ObjectVersion } from "./books/books.ts";
import { type DeadLetter, recordBytes } from "./dead-letter/dead-letter.ts";
import { decompress, type InflationLimits } from "./intake/decompress.ts";
import { type RawRecord, readRecords } from "./intake/records.ts";
import { type ObjectStore, StoreError } from "./store/object-store.ts";

export interface ProofOptions extends InflationLimits {
  readonly maxRecordBytes: number;
  readonly signal: AbortSignal;
}

/** A letter whose object has another record, or none, at the letter's place. It is not sent. */
export const originDiffers = "ORIGIN_DIFFERS";

/** By index: whether the object has exactly this record there. */
export type Proof = ReadonlyMap<number, "proven" | "differs">;

/**
 * Holds letters of one object against its bytes. Every function writes the letters of invalid records, and a replay of
 * them goes to every sink; so what is replayed must be what the object holds, and not what a function says it held.
 *
 * One pass through the object, up to the last place that is asked for. Memory: the letters of one file, which is a few
 * megabytes at most.
 *
 * @returns undefined when the object is gone or was overwritten, so that nobody can tell.
 * @throws {StoreError} when the store fails otherwise.
 */
export async function proveOrigins(
  store: ObjectStore,
  object: ObjectVersion,
  letters: readonly DeadLetter[],
  options: ProofOptions,
): Promise<Proof | undefined> {
  const claimed = new Map(letters.map((letter) => [letter.origin.index, letter]));
  const last = Math.max(...claimed.keys());
  const proof = new Map<number, "proven" | "differs">();
  const { key, version } = object;
  const { maxRecordBytes, signal } = options;
  try {
    const info = await store.look(key, { version, signal });
    if (info === undefined) return undefined;
    const windows = decompress({ store, key, version, size: info.size, signal }, options);
    for await (const records of readRecords(windows, { maxRecordBytes })) {
      for (const record of records) {
        const letter = claimed.get(record.index);
        if (letter !== undefined) proof.set(record.index, isSame(letter, record) ? "proven" : "differs");
      }
      if ((records.at(-1)?.index ?? -1) >= last) break;
    }
  } catch (error) {
    if (error instanceof StoreError && (error.code === "NOT_FOUND" || error.code === "CHANGED")) {
      return undefined;
    }
    throw error;
  }
  // The object ended before these places.
  for (const index of claimed.keys()) if (!proof.has(index)) proof.set(index, "differs");
  return proof;
}

function isSame(letter: DeadLetter, record: RawRecord): boolean {
  const { start, end } = letter.origin;
  if (record.start !== start || record.end !== end) return false;
  const bytes = "raw" in record ? Buffer.from(record.raw, "latin1") : record.bytes;
  const told = recordBytes(letter);
  return bytes !== undefined && told?.equals(bytes) === true;
}
