// An object becomes events: decompressed, split into records, validated, each with its place.
import type { LaneRecord } from "../delivery/lane.ts";
import { parseEvent, type RefusalCode, type TimePolicy, type TimeWindow } from "../event.ts";
import type { ObjectInfo, ObjectStore } from "../store/object-store.ts";
import type { StoredRange } from "./container.ts";
import { decompress, type InflationLimits } from "./decompress.ts";
import { type InvalidCode, type Place, type RawRecord, readRecords } from "./records.ts";

/** A record that is no event. */
export interface RefusedRecord extends Place {
  readonly code: InvalidCode | RefusalCode;
  /** One sentence for an operator, without any value of the record. */
  readonly reason: string;
  /** Absent when the record was too large to be kept, or when nothing of it could be read. */
  readonly bytes?: Uint8Array;
  /** Of damage alone: what could not be read of the stored object. */
  readonly stored?: StoredRange;
}

export interface EventWindow {
  readonly events: readonly LaneRecord[];
  readonly invalid: readonly RefusedRecord[];
  /** The index after the window's last record. */
  readonly next: number;
}

export interface EventsOptions extends InflationLimits, TimePolicy {
  /** What ids derive from for records without one of their own: unique to the object version, at most 24 characters. */
  readonly idPrefix: string;
  /** Records below this index are left out. */
  readonly from: number;
  readonly maxRecordBytes: number;
  readonly signal: AbortSignal;
}

/** S3 began to take objects on 2006-03-14. A store that says less does not know when the object was written. */
const firstObjectMs = Date.UTC(2006, 2, 14);

/** When the object was written, in milliseconds since the epoch, if its store knows. */
export function writtenAt(lastModified: number): number | undefined {
  return lastModified < firstObjectMs ? undefined : lastModified;
}

/**
 * Event times are judged by when the object was written, not by the clock: so every pass, every redelivery and every
 * replay comes to the same verdict, and an age limit does not refuse a bucket because it is read a year later.
 *
 * @throws {StoreError} when the store fails; damage to the object is an invalid record instead.
 */
export async function* readEvents(
  store: ObjectStore,
  { key, version, size, lastModified }: ObjectInfo,
  options: EventsOptions,
): AsyncGenerator<EventWindow> {
  const { maxRecordBytes, signal } = options;
  const now = writtenAt(lastModified);
  const times = now === undefined ? undefined : { ...options, now };
  const windows = decompress({ store, key, version, size, signal }, options);
  for await (const records of readRecords(windows, { maxRecordBytes }))
    yield validate(records, options, times);
}

function validate(
  records: readonly RawRecord[],
  { idPrefix, from }: EventsOptions,
  times: TimeWindow | undefined,
): EventWindow {
  const events: LaneRecord[] = [];
  const invalid: RefusedRecord[] = [];
  for (const record of records) {
    const { index, start, end } = record;
    if (index < from) continue;
    if ("code" in record) {
      invalid.push(record);
      continue;
    }
    const parsed = parseEvent(record.value, () => `${idPrefix}-${index}`, times);
    if ("event" in parsed) {
      events.push({ event: parsed.event, raw: record.raw, index, start, end });
    } else {
      invalid.push({ ...parsed.refusal, index, start, end, bytes: Buffer.from(record.raw, "latin1") });
    }
  }
  return { events, invalid, next: (records.at(-1)?.index ?? -1) + 1 };
}
