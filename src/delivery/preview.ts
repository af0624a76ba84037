// What a sink would receive of an event or a record, by today's mapping and configuration: nothing is sent.
import { fingerprint, type Stage } from "../dead-letter/dead-letter.ts";
import { type MetricEvent, parseEvent, type Refusal, type TimeWindow } from "../event.ts";
import { defaultMaxRecordBytes, type InvalidCode } from "../intake/records.ts";
import { Splitter } from "../intake/splitter.ts";
import { createRouter, type Route } from "../routing/route.ts";
import { prepare } from "./encode.ts";
import type { Sink } from "./sink.ts";

export type Preview =
  /** No route sends events of this metric to the sink; books count it as filtered. */
  | { readonly status: "not-routed" }
  | { readonly status: "filtered"; readonly reason: string }
  | {
      readonly status: "rejected";
      readonly stage: Exclude<Stage, "intake">;
      readonly code: string;
      /** Without any value of the record. */
      readonly reason: string;
      /** That of the dead letter which it would become. */
      readonly fingerprint: string;
    }
  | {
      readonly status: "sent";
      /** The item as `send` gets it: no credentials, but the record's own values. */
      readonly payload: unknown;
      /** The item's share of a request's body. */
      readonly bytes: number;
      /** What must share a request with it, such as Timestream's table; `""` without one. */
      readonly partition: string;
      /** Of events with the same key only the newest of a batch is sent. */
      readonly coalesceKey?: string;
    };

/** What becomes of a valid event on its way to `sink`, up to the request. Pure; the vendor may still refuse it. */
export function preview(event: MetricEvent, sink: Sink<unknown>, routes: readonly Route[]): Preview {
  if (!createRouter(routes, sink.name)(event)) return { status: "not-routed" };
  const prepared = prepare(sink, event);
  if ("filtered" in prepared) return { status: "filtered", reason: prepared.filtered };
  if ("rejected" in prepared) {
    const { code, rejected: reason } = prepared;
    const cause = fingerprint("encode", sink.name, code, reason);
    return { status: "rejected", stage: "encode", code, reason, fingerprint: cause };
  }
  const { payload, bytes, partition, coalesceKey } = prepared;
  return {
    status: "sent",
    payload,
    bytes,
    partition,
    ...(coalesceKey === undefined ? {} : { coalesceKey }),
  };
}

export interface RecordRules {
  /** Asked only for a record that has no usable `metadata.event_id`. */
  readonly derivedId: () => string;
  /** Default {@link defaultMaxRecordBytes}. */
  readonly maxRecordBytes?: number;
  /** Default: any event time will do. */
  readonly times?: TimeWindow;
}

export type JudgedRecord =
  | { readonly event: MetricEvent }
  | { readonly refusal: Refusal | { readonly code: InvalidCode; readonly reason: string } }
  /** The bytes hold so many records, and not one: zero, or several. */
  | { readonly records: number };

/** Whether bytes are one valid event, by the rules of the intake. Pure. */
export function judgeRecord(bytes: Buffer, rules: RecordRules): JudgedRecord {
  const splitter = new Splitter(rules.maxRecordBytes ?? defaultMaxRecordBytes);
  const records = [...splitter.push(bytes), ...splitter.finish()];
  for (const record of records) {
    if ("code" in record) return { refusal: { code: record.code, reason: record.reason } };
  }
  const [only] = records;
  if (only === undefined || "code" in only || records.length > 1) return { records: records.length };
  return parseEvent(only.value, rules.derivedId, rules.times);
}
