// A record on its way into the stream: what it says, and what the stream's transform would make of it today.
import { type MetricEvent, parseEvent } from "../event.ts";
import { defaultMaxRecordBytes } from "../intake/records.ts";
import { Splitter } from "../intake/splitter.ts";
import type { Metric } from "../routing/metric.ts";
import { createRecordCheck } from "../routing/record-check.ts";
import type { QueueEntry, QueueVerdict } from "./queue.ts";

export interface StreamRecord {
  /** Of the first event, when there is one. */
  readonly event?: NonNullable<QueueEntry["event"]>;
  readonly verdict: QueueVerdict;
}

/**
 * Reads records by the rules of the stream's transform, which knows the catalog; without one, what is a valid event
 * may still be refused there.
 */
export function createRecordReader(
  metrics: readonly Metric[] | undefined,
): (bytes: Uint8Array, entryId: string, now: number) => StreamRecord {
  const check = metrics === undefined ? undefined : createRecordCheck(metrics);
  const passes: QueueVerdict =
    check === undefined
      ? { status: "unknown", reason: "there is no catalog to say what the stream's transform takes" }
      : { status: "passes" };
  return (bytes, entryId, now) => {
    const splitter = new Splitter(defaultMaxRecordBytes);
    let first: MetricEvent | undefined;
    let refusal: Refusal | undefined;
    // A copy: the splitter keeps what it is given.
    for (const part of [...splitter.push(Buffer.from(bytes)), ...splitter.finish()]) {
      const parsed = "code" in part ? { refusal: part } : parseEvent(part.value, () => entryId, { now });
      if ("event" in parsed) first ??= parsed.event;
      // One that is refused refuses the whole record.
      refusal ??= "event" in parsed ? check?.(parsed.event) : parsed.refusal;
    }
    if (first === undefined) refusal ??= { code: "EMPTY_RECORD", reason: "the record holds no event" };
    const verdict: QueueVerdict =
      refusal === undefined ? passes : { status: "fails", code: refusal.code, reason: refusal.reason };
    if (first === undefined) return { verdict };
    const { id, metricName, tenantId } = first;
    return { event: { id, metricName, tenantId }, verdict };
  };
}

interface Refusal {
  readonly code: string;
  readonly reason: string;
}
