// An object becomes events: decompressed, split into records, validated, each with its place.
import type { LaneRecord } from "../delivery/lane.ts";
import { parseEvent, type RefusalCode } from "../event.ts";
import type { ObjectInfo, ObjectStore } from "../store/object-store.ts";
import { decompress } from "./decompress.ts";
import { type InvalidCode, type Place, readRecords } from "./records.ts";

/** A record that is no event. */
export interface RefusedRecord extends Place {
  readonly code: InvalidCode | RefusalCode;
  /** One sentence for an operator, without any value of the record. */
  readonly reason: string;
  /** Absent when the record was too large to be kept. */
  readonly bytes?: Uint8Array;
}

export interface EventWindow {
  readonly events: readonly LaneRecord[];
  readonly invalid: readonly RefusedRecord[];
  /** The index after the window's last record. */
  readonly next: number;
}

export interface EventsOptions {
  /** What ids derive from for records without one of their own: unique to the object version, at most 24 characters. */
  readonly idPrefix: string;
  /** Records below this index are left out. */
  readonly from: number;
  readonly maxRecordBytes: number;
  readonly signal: AbortSignal;
}

/** @throws {StoreError} when the store fails; damage to the object is an invalid record instead. */
export async function* readEvents(
  store: ObjectStore,
  { key, version, size }: ObjectInfo,
  { idPrefix, from, maxRecordBytes, signal }: EventsOptions,
): AsyncGenerator<EventWindow> {
  const windows = decompress({ store, key, version, size, signal });
  for await (const records of readRecords(windows, { maxRecordBytes })) {
    const events: LaneRecord[] = [];
    const invalid: RefusedRecord[] = [];
    for (const record of records) {
      const { index, start, end } = record;
      if (index < from) continue;
      if ("code" in record) {
        invalid.push(record);
        continue;
      }
      const parsed = parseEvent(record.value, () => `${idPrefix}-${index}`);
      if ("event" in parsed) {
        // A copy: a view would keep its whole window in memory for as long as any lane holds one record of it.
        events.push({ event: parsed.event, bytes: Buffer.from(record.bytes), index, start, end });
      } else {
        invalid.push({ ...parsed.refusal, index, start, end, bytes: record.bytes });
      }
    }
    yield { events, invalid, next: (records.at(-1)?.index ?? -1) + 1 };
  }
}
