// What EventBridge needs to know of a metric: which events it is made of, and how they become our records.
import type { JsonObject, JsonValue } from "../event.ts";
import { isObject } from "./event-condition.ts";
import type { Metric } from "./metric.ts";

/** One rule of one bus, with the transformer of its only target, the stream. */
export interface EventRule {
  /** The metric's name, unique among all rules. */
  readonly name: string;
  readonly busName: string;
  readonly eventPattern: JsonObject;
  readonly inputTransformer: InputTransformer;
}

/** https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_InputTransformer.html */
export interface InputTransformer {
  /** Variable → JSON path. */
  readonly inputPathsMap: Readonly<Record<string, string>>;
  /**
   * Not JSON itself: a variable stands unquoted, in the place of a value, where EventBridge writes JSON of any type.
   * Within quotes it would write text as it is, and one `"` in a value would break the record.
   */
  readonly inputTemplate: string;
}

/** Fields that every event has, and where they come from. */
const eventIdPath = "$.id";
const defaultTimePath = "$.time";

/**
 * One rule a metric. `metadata.event_id` is the bus event's own id: it stays the same when EventBridge delivers an
 * event twice, so every sink knows it again.
 */
export function eventRules(metrics: readonly Metric[]): EventRule[] {
  return metrics.map((metric) => ({
    name: metric.name,
    busName: metric.source.bus,
    eventPattern: {
      ...metric.source.pattern,
      source: [metric.source.source],
      "detail-type": [metric.source.detailType],
    },
    inputTransformer: inputTransformer(metric),
  }));
}

function inputTransformer(metric: Metric): InputTransformer {
  const { metadata, data } = fieldPaths(metric);
  const members = (fields: Readonly<Record<string, string>>) =>
    Object.keys(fields)
      .map((name) => `${JSON.stringify(name)}:<${variableOf(name)}>`)
      .join(",");
  const paths = Object.entries({ ...metadata, ...data });
  return {
    inputPathsMap: Object.fromEntries(paths.map(([name, path]) => [variableOf(name), path])),
    inputTemplate: `{"metric_name":${JSON.stringify(metric.name)},"metadata":{${members(metadata)}},"data":{${members(data)}}}`,
  };
}

/**
 * "The keys cannot start with AWS", says the same page, and not whether it means capitals alone. No field has a dash
 * in its name, so no other field has this variable.
 */
function variableOf(field: string): string {
  return field.startsWith("aws") ? `field-${field}` : field;
}

/** Every field of the metric's records → its path in the bus's event. */
export function fieldPaths({ tenantId, eventTime, dimensions = {}, data = {} }: Metric): {
  readonly metadata: Readonly<Record<string, string>>;
  readonly data: Readonly<Record<string, string>>;
} {
  const paths = (fields: NonNullable<Metric["data"]>) =>
    Object.fromEntries(Object.entries(fields).map(([name, { from }]) => [name, from]));
  return {
    metadata: { tenant_id: tenantId, event_id: eventIdPath, ...paths(dimensions) },
    data: { event_time: eventTime ?? defaultTimePath, ...paths(data) },
  };
}

/** The metric's sample as the bus would carry it. Always the same, so that what is derived from it is, too. */
export function sampleBusEvent({ source, sample }: Metric): JsonObject {
  return {
    version: "0",
    id: "5f3c1f6e-2d1b-4c5a-9a53-0c6b1f0e7a11",
    "detail-type": source.detailType,
    source: source.source,
    account: "123456789012",
    time: "2026-11-20T09:30:00Z",
    region: "eu-central-1",
    resources: [],
    detail: sample,
  };
}

/** The metric's sample as a record of the stream, before the transform. */
export function sampleRecord(metric: Metric): JsonObject {
  const event = sampleBusEvent(metric);
  const { metadata, data } = fieldPaths(metric);
  const values = (paths: Readonly<Record<string, string>>) =>
    Object.fromEntries(
      Object.entries(paths).flatMap(([name, path]) => {
        const value = valueAt(event, path);
        return value === undefined ? [] : [[name, value]];
      }),
    );
  return { metric_name: metric.name, metadata: values(metadata), data: values(data) };
}

/** The value at a path of dots; undefined where there is none. */
export function valueAt(event: JsonObject, path: string): JsonValue | undefined {
  let value: JsonValue | undefined = event;
  for (const key of path.split(".").slice(1)) {
    value = isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
  }
  return value;
}

/**
 * What a target gets in the place of a value that the event lacks. EventBridge writes `""`, as recorded from AWS in
 * `test_put_events_with_input_transformer_input_template_json` of
 * https://github.com/localstack/localstack/blob/main/tests/aws/services/events/test_events_inputs.snapshot.json; no page
 * promises it, so the transform takes all three.
 */
export type MissingValue = "null" | "empty" | "absent";

/**
 * What EventBridge sends for an event: an unquoted variable becomes JSON of any type. A quoted one becomes its text as it
 * is, an object or a list its JSON without quotes, and a missing value nothing: the same recordings. With `absent` the
 * whole member of an unquoted one goes.
 */
export function renderInput(
  { inputPathsMap, inputTemplate }: InputTransformer,
  event: JsonObject,
  missing: MissingValue = "empty",
): string {
  const text = inputTemplate.replaceAll(
    /"(?:[^"\\]|\\.)*"|<([\w-]+)>/g,
    (token, variable: string | undefined) => {
      if (variable === undefined) {
        return token.replaceAll(/<([\w-]+)>/g, (_whole, name: string) => withinQuotes(at(name)));
      }
      const value = at(variable);
      if (value !== undefined) return JSON.stringify(value);
      return missing === "null" ? "null" : missing === "empty" ? '""' : gone;
    },
  );
  return missing === "absent" ? withoutGone(text) : text;

  function at(variable: string): JsonValue | undefined {
    const path = inputPathsMap[variable];
    return path === undefined ? undefined : valueAt(event, path);
  }
}

/** Stands for a member that goes. JSON text never holds it: within strings it would be escaped. */
const gone = "\u0000";

function withoutGone(text: string): string {
  const member = `"(?:[^"\\\\]|\\\\.)*"\\s*:\\s*${gone}`;
  return text
    .replaceAll(new RegExp(`,\\s*${member}`, "g"), "")
    .replaceAll(new RegExp(`${member}\\s*,?`, "g"), "");
}

function withinQuotes(value: JsonValue | undefined): string {
  if (value === undefined) return "";
  return typeof value === "string" ? value : JSON.stringify(value).replaceAll('"', "");
}
