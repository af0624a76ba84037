// What is certified: a sink and the twin of its vendor, and what must be known of them.
import type { Sink } from "../delivery/sink.ts";
import type { MetricEvent } from "../event.ts";
import type { Twin } from "./twin.ts";
import type { VirtualClock } from "./virtual-clock.ts";

/** The default export of an adapter's `twin.ts`, for `describeSink` and `fanout certify`. */
export interface ConformanceSubject {
  /** A new sink. It takes its time from `clock`, if it takes any beside the context's. */
  sink(clock: VirtualClock): Sink<unknown>;
  /** A new, empty twin that lets the sink in; called once for each sink, right after it. */
  twin(clock: VirtualClock): Twin;
  /** What the sink must never tell: keys, tokens, passwords, and the forms in which it sends them. */
  readonly secrets: readonly string[];
  /** An event that the sink takes and that differs from every other `n`'s. Default {@link sampleEvent}. */
  event?(n: number, now: number): MetricEvent;
  /** An event that the sink's mapping takes and its vendor refuses for good, for each `n` another one. */
  poison?(n: number, now: number): MetricEvent;
  /** For a sink of files, say: the cases about replies are skipped, and every other one fails when it asks `http`. */
  readonly makesNoRequests?: true;
  /** Cases that do not hold for this sink, by name, each with its reason. */
  readonly skip?: Readonly<Record<string, string>>;
}

/** No sink may show this in a message: it stands for what a customer's record holds. */
export const privateValue = "private-3f9c1d";

/** An event of metric `conformance_checked`, one tenant, user, id and second each. */
export function sampleEvent(n: number, now: number): MetricEvent {
  const [tenantId, id, time] = [`tenant-${n}`, `conformance-${n}`, now - n * 1000];
  return {
    id,
    metricName: "conformance_checked",
    tenantId,
    time,
    metadata: { tenant_id: tenantId, event_id: id, user_id: `user-${n}` },
    data: {
      event_time: new Date(time).toISOString(),
      checked_count: n,
      ratio: 0.5,
      note: `${privateValue} ü€😀 "\\`,
    },
  };
}

/** The same event of another tenant. */
export function ofTenant(event: MetricEvent, tenantId: string): MetricEvent {
  return { ...event, tenantId, metadata: { ...event.metadata, tenant_id: tenantId } };
}
