// Whether a record is what its metric declares: required fields, types, values.
import type { JsonObject, JsonValue, MetricEvent } from "../event.ts";
import type { Metric, MetricField } from "./metric.ts";

/** Why a valid event is none of the catalog's: a stable code, and one sentence that names the field, never its value. */
export interface CatalogRefusal {
  readonly code: "METRIC_UNKNOWN" | "FIELD_MISSING" | "FIELD_INVALID" | "FIELD_UNDECLARED";
  readonly reason: string;
}

/** Of `metadata` and `data`, what every event may have: the core, the rule or the transform writes them. */
const ownMetadata: ReadonlySet<string> = new Set(["tenant_id", "event_id", "tenant_name", "environment"]);
const ownData: ReadonlySet<string> = new Set(["event_time"]);

/**
 * Answers why an event is refused, or undefined. A value that is null or empty text is none: EventBridge may write
 * either where an event lacks the field.
 */
export function createRecordCheck(
  metrics: readonly Metric[],
): (event: MetricEvent) => CatalogRefusal | undefined {
  const byName = new Map(
    metrics.map(({ name, dimensions = {}, data = {} }) => [
      name,
      { metadata: new Map(Object.entries(dimensions)), data: new Map(Object.entries(data)) },
    ]),
  );
  return ({ id, metricName, metadata, data }) => {
    const declared = byName.get(metricName);
    if (declared === undefined) {
      return { code: "METRIC_UNKNOWN", reason: "metric_name is not in the catalog: declare the metric" };
    }
    // One that cannot be used must not be replaced in silence.
    const given = metadata["event_id"];
    if (!isNothing(given) && given !== id) {
      return {
        code: "FIELD_INVALID",
        reason: "metadata.event_id must be text that is not blank, or left out",
      };
    }
    return (
      judge("metadata", metadata, declared.metadata, ownMetadata) ??
      judge("data", data, declared.data, ownData)
    );
  };
}

function judge(
  part: "metadata" | "data",
  values: JsonObject,
  declared: ReadonlyMap<string, MetricField>,
  own: ReadonlySet<string>,
): CatalogRefusal | undefined {
  for (const [name, field] of declared) {
    const value = Object.hasOwn(values, name) ? values[name] : undefined;
    if (isNothing(value)) {
      if (field.optional === true) continue;
      return { code: "FIELD_MISSING", reason: `${part}.${name} is required and has no value` };
    }
    const fault = valueFault(value, field);
    if (fault !== undefined) return { code: "FIELD_INVALID", reason: `${part}.${name} ${fault}` };
  }
  for (const name in values) {
    if (declared.has(name) || own.has(name)) continue;
    // Not named: a record could bring names without end, or a person's.
    return { code: "FIELD_UNDECLARED", reason: `${part} has a field that its metric does not declare` };
  }
  return undefined;
}

export function isNothing(value: JsonValue | undefined): value is undefined | null | "" {
  return value === undefined || value === null || value === "";
}

/** What is wrong with a value, as the end of a sentence, or undefined. */
export function valueFault(
  value: JsonValue,
  { type, values }: Pick<MetricField, "type" | "values">,
): string | undefined {
  switch (type) {
    case "string":
      if (typeof value !== "string") return "must be text";
      return values === undefined || values.includes(value) ? undefined : "is none of the declared values";
    case "integer":
      return Number.isSafeInteger(value) ? undefined : "must be a whole number that a double holds exactly";
    case "number":
      return typeof value === "number" && Number.isFinite(value) ? undefined : "must be a finite number";
    case "boolean":
      return typeof value === "boolean" ? undefined : "must be true or false";
  }
}
