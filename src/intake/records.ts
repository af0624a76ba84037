// Windows of bytes become records: every byte ends in a record, valid or not, or is white space between two.
import type { Damage, DamageCode, StoredRange } from "./container.ts";
import { Splitter } from "./splitter.ts";

export interface RecordsOptions {
  /** A larger record is invalid, and its bytes are not kept. Default 4 MiB: Firehose takes 1,000 KiB at most. */
  readonly maxRecordBytes?: number;
}

export type RawRecord = ParsedRecord | InvalidRecord;

/** Where a record stands in the decompressed object. */
export interface Place {
  /** Counts every record of the object, valid or not, from 0. Depends on the bytes alone, not on their windows. */
  readonly index: number;
  /** Offset of its first byte. */
  readonly start: number;
  /** Offset behind its last byte. */
  readonly end: number;
}

/** One JSON value. */
export interface ParsedRecord extends Place {
  readonly value: unknown;
  /** Its bytes as they came, one character each (latin1), without white space around. */
  readonly raw: string;
}

/** Bytes that are no record. */
export interface InvalidRecord extends Place {
  readonly code: InvalidCode;
  /** One sentence for an operator, without any value of the record. */
  readonly reason: string;
  /** Absent when the record is too large to be kept, or when nothing of it could be read. */
  readonly bytes?: Buffer;
  /** Of damage alone, which is an empty record where it happened: what could not be read of the stored object. */
  readonly stored?: StoredRange;
}

export type InvalidCode =
  | "NOT_JSON"
  /** Not JSON because it is UTF-16. */
  | "UTF_16"
  /** JSON, but for bytes that are not UTF-8 inside its strings. */
  | "INVALID_UTF8"
  /** The object, or what could be read of it, ends inside the record. */
  | "CUT_OFF"
  | "TOO_LARGE"
  /** Nested deeper than mappings and their JSON can bear. */
  | "TOO_DEEP"
  | DamageCode;

export const defaultMaxRecordBytes = 4 * 1024 * 1024;

/**
 * Splits windows into records, one array a window. Line feeds between records, none at all, blank lines, CRLF, a
 * byte order mark, JSON over many lines: every framing is taken, and all of them mixed.
 *
 * A record that is not JSON reaches to the next place where one can begin: a line that starts with `{`, or a `{`
 * behind a `}` and before a key's quote, whatever white space stands between them. A line ends at a line feed or a
 * carriage return. So it costs itself alone where records stand on lines of their own, at most itself and its
 * neighbour elsewhere. Anything that does not start like an object or an array reaches to the end of its line, or to
 * the next `{` before a quote.
 *
 * A whole object inside of what broke is no record: one that is indented on its line, or stands behind a key, a `[`
 * or a `,`, and before `,`, `]` or `}`. It stays with what broke. (But nobody can tell between two commas, where a
 * record may stand as well.)
 */
export async function* readRecords(
  windows: AsyncIterable<Buffer | Damage>,
  options: RecordsOptions = {},
): AsyncGenerator<readonly RawRecord[]> {
  const splitter = new Splitter(options.maxRecordBytes ?? defaultMaxRecordBytes);
  for await (const window of windows) {
    const records = Buffer.isBuffer(window) ? splitter.push(window) : splitter.finish(window);
    if (records.length > 0) yield records;
  }
  const rest = splitter.finish();
  if (rest.length > 0) yield rest;
}
