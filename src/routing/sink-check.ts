// The catalog beside the sinks: what each will get, and whether it can take it, found with the metrics' own samples.
import { prepare } from "../delivery/encode.ts";
import type { SinkPlan } from "../delivery/provision.ts";
import type { Sink } from "../delivery/sink.ts";
import { type MetricEvent, parseEvent } from "../event.ts";
import { sampleRecord } from "./event-rules.ts";
import type { Metric } from "./metric.ts";

/** What the transform adds, so that a sample has everything that an event can have. */
const enrichment = { tenant_name: "Acme Robotics", environment: "production" };

/** The sample as an event behind the transform. `checkCatalog` has seen to it that it is one. */
export function sampleEvent(metric: Metric): MetricEvent {
  const record = sampleRecord(metric);
  const { metadata } = record;
  const enriched = {
    ...record,
    metadata: { ...(typeof metadata === "object" ? metadata : {}), ...enrichment },
  };
  const parsed = parseEvent(enriched, () => metric.name);
  if ("event" in parsed) return parsed.event;
  throw new TypeError(`${metric.name}: its sample is no event: ${parsed.refusal.reason}`);
}

/** What one sink will get, by its name. Fields that are hidden from it are still there: `concealing` sees to them. */
export function plansFor(sink: string, metrics: readonly Metric[]): SinkPlan[] {
  return metrics
    .filter(({ sinks }) => Object.hasOwn(sinks, sink))
    .map((metric) => ({ metric, event: sampleEvent(metric) }));
}

/**
 * Every metric that a sink would refuse, in the sink's own words: so a vendor's limits are written once, in its
 * adapter, and hold for names, counts and sizes alike. The sinks must be those that conceal already.
 */
export function sinkProblems(metrics: readonly Metric[], sinks: readonly Sink<unknown>[]): string[] {
  return sinks.flatMap((sink) =>
    plansFor(sink.name, metrics).flatMap(({ metric: { name }, event }) => {
      const prepared = prepare(sink, event);
      if ("rejected" in prepared) {
        const { rejected, code } = prepared;
        const action = sink.refusals?.[code]?.action;
        return [
          `${name}: sinks.${sink.name}: the metric's sample would be a dead letter (${code}): ${rejected}${action === undefined ? "" : `. ${action}`}`,
        ];
      }
      if (!("filtered" in prepared)) return [];
      const why = `the sink would never send it (${prepared.filtered}): map it, or take the sink out`;
      return [`${name}: sinks.${sink.name}: ${why}`];
    }),
  );
}
