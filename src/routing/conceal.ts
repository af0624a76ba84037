// Personal data: what a sink may not see is taken out before it looks.
import type { Sink } from "../delivery/sink.ts";
import type { JsonObject, MetricEvent } from "../event.ts";
import type { Metric, MetricField } from "./metric.ts";

/** Which fields of a metric's events a sink does not see. */
interface Hidden {
  readonly metadata: ReadonlySet<string>;
  readonly data: ReadonlySet<string>;
}

/**
 * The sink, without eyes for the personal data that the catalog hides from it: neither its mapping nor its request
 * meets such a field. A sink from which nothing is hidden is returned as it is, so it costs nothing there. Dead
 * letters and objects keep the whole record: they are yours.
 */
export function concealing<P>(sink: Sink<P>, metrics: readonly Metric[]): Sink<P> {
  const byMetric = new Map<string, Hidden>();
  for (const { name, dimensions, data } of metrics) {
    const hidden = { metadata: hiddenOf(dimensions, sink.name), data: hiddenOf(data, sink.name) };
    if (hidden.metadata.size + hidden.data.size > 0) byMetric.set(name, hidden);
  }
  if (byMetric.size === 0) return sink;

  const view = (event: MetricEvent): MetricEvent => {
    const hidden = byMetric.get(event.metricName);
    if (hidden === undefined) return event;
    return {
      ...event,
      metadata: without(event.metadata, hidden.metadata),
      data: without(event.data, hidden.data),
    };
  };
  return {
    ...sink,
    // A sink may be an object of a class, whose methods and getters a spread leaves behind.
    name: sink.name,
    limits: sink.limits,
    encode: (event) => sink.encode(view(event)),
    send: sink.send.bind(sink),
    ...bound(sink, view),
  };
}

/** The methods that not every sink has. */
function bound<P>(sink: Sink<P>, view: (event: MetricEvent) => MetricEvent): Partial<Sink<P>> {
  const partition = sink.partition?.bind(sink);
  const coalesceKey = sink.coalesceKey?.bind(sink);
  const provision = sink.provision?.bind(sink);
  const close = sink.close?.bind(sink);
  return {
    ...(partition && { partition: (event) => partition(view(event)) }),
    ...(coalesceKey && { coalesceKey: (event) => coalesceKey(view(event)) }),
    ...(provision && {
      provision: (plans, context) =>
        provision(
          plans.map(({ metric, event }) => ({ metric, event: view(event) })),
          context,
        ),
    }),
    ...(close && { close }),
  };
}

function hiddenOf(
  fields: Readonly<Record<string, MetricField>> | undefined,
  sink: string,
): ReadonlySet<string> {
  const hidden = Object.entries(fields ?? {}).filter(
    ([, { personal }]) => personal !== undefined && !personal.visibleTo.includes(sink),
  );
  return new Set(hidden.map(([name]) => name));
}

function without(values: JsonObject, hidden: ReadonlySet<string>): JsonObject {
  if (hidden.size === 0) return values;
  return Object.fromEntries(Object.entries(values).filter(([name]) => !hidden.has(name)));
}
