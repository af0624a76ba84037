// What can be wrong with a catalog, whichever sinks there are: every problem is one sentence.
import { ConfigError } from "../config.ts";
import { type JsonObject, parseEvent } from "../event.ts";
import { list, must, object, optional, record, type Tell } from "../shape.ts";
import { matchesPattern } from "./event-pattern.ts";
import { patternProblems } from "./event-pattern-check.ts";
import { eventRules, sampleBusEvent, sampleRecord, valueAt } from "./event-rules.ts";
import type { FieldType, Metric, MetricField, MetricSource, SinkMapping } from "./metric.ts";
import { valueFault } from "./record-check.ts";

export interface CatalogEntry {
  /** Where the metric was declared, for people. */
  readonly file: string;
  /** What the file exports. */
  readonly metric: unknown;
}

/**
 * The names that every tool takes: HubSpot has the narrowest alphabet and, for properties of events, the shortest
 * length; its names of events and EventBridge's of rules are no shorter.
 * https://developers.hubspot.com/docs/api-reference/events-manage-event-definitions-v3/guide
 */
const lawfulName = /^[a-z][a-z0-9_]{0,49}$/;
const aName = "must begin with a to z, go on with a to z, 0 to 9 or _, and have 50 characters at most";

/** Fields that every event has: the core, the rule or the transform writes them. */
const ownFields = new Set([
  "metric_name",
  "tenant_id",
  "event_id",
  "event_time",
  "tenant_name",
  "environment",
]);
/** https://docs.aws.amazon.com/timestream/latest/developerguide/ts-limits.html, "System identifiers". */
const timestreamKeeps = /^(?:time$|ts_|measure_name|measure_value)/;
/** https://docs.mixpanel.com/docs/data-structure/property-reference/reserved-properties; `mp_` is Mixpanel's. */
const mixpanelKeeps = /^(?:time|distinct_id|insert_id|ip|token|cut_properties|mp_.*)$/;
/** https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide; `fanout_` is the companies sink's. */
const hubspotKeeps = /^(?:hs_|hubspot_|fanout_)/;

/** https://docs.mixpanel.com/docs/data-structure/events-and-properties: bytes of an event's name. */
const longestReadableName = 255;

/** Properties are of companies at HubSpot, and may be longer there than those of its events. The same guide. */
const lawfulProperty = /^[a-z][a-z0-9_]{0,99}$/;

/**
 * What EventBridge understands of JSON path is more, but without dots in its keys; its length:
 * https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_InputTransformer.html
 */
const lawfulPath = /^\$(?:\.[A-Za-z0-9_-]+)+$/;
const longestPath = 256;
/** The same page. */
const [mostPaths, longestTemplate] = [100, 8192] as const;
/** https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_CreateEventBus.html */
const lawfulBus = /^[\w./-]{1,256}$/;
/** https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html: "The name or ARN of the event bus". */
const lawfulBusArn = /^arn:aws[\w-]*:events:[a-z]+(?:-[a-z]+)+-\d+:\d{12}:event-bus\/[\w./-]{1,256}$/;
/** https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html: what a pattern can name besides. */
const patternKeys = new Set(["account", "region", "resources", "time", "id", "version", "detail", "$or"]);

// ── the shape ───────────────────────────────────────────────────────────────────────────────────────────────

const text = must(
  (value): value is string => typeof value === "string" && value.trim() !== "",
  (value) => (typeof value === "string" ? "must not be empty" : "must be text"),
);
const json = must(
  (value): value is JsonObject => typeof value === "object" && value !== null && !Array.isArray(value),
  "must be an object",
);
const aList = { other: "must be a list of names" };
const names = list(text, aList);
const types: readonly unknown[] = ["string", "integer", "number", "boolean"] satisfies FieldType[];
const closed = (strange: readonly string[]) =>
  `there is no ${strange.join(", ")} here: correct the name, or leave it out`;
const fieldShape = object<MetricField>(
  {
    type: must(
      (value): value is FieldType => types.includes(value),
      "must be string, integer, number or boolean",
    ),
    from: text,
    description: text,
    unit: optional(text),
    optional: optional(must((value) => typeof value === "boolean", "must be true or false")),
    values: optional(list(text, { ...aList, empty: "must name a value" })),
    personal: optional(object<{ readonly visibleTo: readonly string[] }>({ visibleTo: names }, { closed })),
  },
  { closed },
);
const metricShape = object<Metric>(
  {
    name: text,
    title: text,
    description: text,
    when: text,
    owner: text,
    source: object<MetricSource>(
      { bus: text, source: text, detailType: text, pattern: optional(json) },
      { closed },
    ),
    sample: json,
    tenantId: text,
    eventTime: optional(text),
    dimensions: optional(record(fieldShape)),
    data: optional(record(fieldShape)),
    sinks: record(
      object<SinkMapping>({ name: optional(text), properties: optional(record(text)) }, { closed }),
    ),
  },
  { closed },
);

/**
 * @param problems found before, told together with these.
 * @throws {ConfigError} with every problem, each as "file: metric: field: what is wrong and what to do".
 */
export function checkCatalog(
  entries: readonly CatalogEntry[],
  problems: readonly string[] = [],
): readonly Metric[] {
  const found = [...problems];
  const sound: { readonly file: string; readonly metric: Metric }[] = [];
  for (const { file, metric } of entries) {
    const name = nameOf(metric);
    const tell: Tell = (path, message) =>
      found.push(`${file}: ${name}${path === "" ? "" : `${path}: `}${message}`);
    if (typeof metric !== "object" || metric === null || Array.isArray(metric)) {
      tell("", "its default export must be defineMetric(…)");
    } else if (metricShape(metric, tell)) sound.push({ file, metric });
  }
  for (const { file, metric } of sound) {
    for (const problem of problemsOf(file, metric)) found.push(`${file}: ${metric.name}: ${problem}`);
  }
  found.push(...collisions(sound));
  if (found.length > 0) throw new ConfigError(found);
  return sound.map(({ metric }) => metric);
}

function nameOf(metric: unknown): string {
  const isNamed = typeof metric === "object" && metric !== null && "name" in metric;
  return isNamed && typeof metric.name === "string" ? `${metric.name}: ` : "";
}

// ── one metric ──────────────────────────────────────────────────────────────────────────────────────────────

function* problemsOf(file: string, metric: Metric): Iterable<string> {
  const { name, dimensions = {}, data = {}, sinks, source, tenantId, eventTime } = metric;
  if (!lawfulName.test(name)) yield `the name ${aName}`;
  const fileName = /([^/\\]+)\.(?:ts|js)$/.exec(file)?.[1];
  if (fileName !== undefined && fileName !== name) {
    yield `the file must have the metric's name: call it ${name}.ts, or the metric ${fileName}`;
  }
  const misplaced = [...pathProblems(metric, "tenantId", tenantId, { type: "string" })];
  if (eventTime !== undefined) misplaced.push(...pathProblems(metric, "eventTime", eventTime));
  yield* misplaced;
  for (const [field, declared] of Object.entries({ ...dimensions, ...data })) {
    yield* fieldProblems(metric, field, declared);
  }
  for (const field of Object.keys(dimensions)) {
    if (Object.hasOwn(data, field)) yield `${field}: it is a dimension and data at once: rename one of them`;
  }
  const parsed = parseEvent(sampleRecord(metric), () => name);
  if (misplaced.length === 0 && "refusal" in parsed)
    yield `sample: it makes no event: ${parsed.refusal.reason}`;
  if (Object.keys(data).length === 0)
    yield "it has no data, so there is nothing to count or show: add a field";
  yield* sinkProblems(metric);
  yield* ruleProblems(metric, source);
  if (Object.keys(sinks).length === 0) yield "it goes to no sink: name one under sinks";
}

function* fieldProblems(metric: Metric, field: string, declared: MetricField): Iterable<string> {
  if (!lawfulName.test(field)) yield `${field}: the field's name ${aName}`;
  if (ownFields.has(field)) yield `${field}: every event has a field of this name by itself: leave it out`;
  const keeper = timestreamKeeps.test(field)
    ? "Timestream"
    : mixpanelKeeps.test(field)
      ? "Mixpanel"
      : hubspotKeeps.test(field)
        ? "HubSpot"
        : undefined;
  if (keeper !== undefined) yield `${field}: ${keeper} keeps this name for itself: choose another one`;
  const { type, values, unit, personal } = declared;
  if (values !== undefined && type !== "string") yield `${field}: only a string can have values`;
  if (unit !== undefined && (type === "string" || type === "boolean")) {
    yield `${field}: only a number can have a unit`;
  }
  yield* pathProblems(metric, field, declared.from, declared);
  for (const sink of personal?.visibleTo ?? []) {
    if (!Object.hasOwn(metric.sinks, sink)) {
      yield `${field}: it is visible to ${sink}, which does not get the metric: add it to sinks or take it out`;
    }
  }
}

function* pathProblems(
  metric: Metric,
  field: string,
  path: string,
  declared?: Pick<MetricField, "type" | "values">,
): Iterable<string> {
  if (!lawfulPath.test(path) || path.length > longestPath) {
    yield `${field}: ${path.slice(0, 80)} is no path: write $.detail.name.name, with letters, digits, _ and - in the names`;
    return;
  }
  const value = valueAt(sampleBusEvent(metric), path);
  if (value === undefined || value === null || value === "") {
    yield `${field}: the sample has nothing at ${path}: correct the path, or add the value to the sample`;
    return;
  }
  const fault = declared === undefined ? undefined : valueFault(value, declared);
  if (fault !== undefined) {
    yield `${field}: the sample's value at ${path} ${fault}: correct the path, the sample or what is declared`;
  }
}

function* sinkProblems({ sinks, data = {} }: Metric): Iterable<string> {
  for (const [sink, { name, properties = {} }] of Object.entries(sinks)) {
    if (name !== undefined && Buffer.byteLength(name) > longestReadableName) {
      yield `sinks.${sink}.name: it has more than ${longestReadableName} bytes`;
    }
    for (const [property, field] of Object.entries(properties)) {
      const where = `sinks.${sink}.properties.${property}`;
      if (!lawfulProperty.test(property)) {
        yield `${where}: its name must begin with a to z, go on with a to z, 0 to 9 or _, and have 100 characters at most`;
      }
      if (hubspotKeeps.test(property))
        yield `${where}: HubSpot keeps this name for itself: choose another one`;
      const declared = Object.hasOwn(data, field) ? data[field] : undefined;
      if (declared === undefined) {
        yield `${where}: ${field} is no field of data: name one that is`;
      } else if (declared.personal?.visibleTo.includes(sink) === false) {
        yield `${where}: ${field} tells of a person, and ${sink} may not see it: take the property out, or add ${sink} to the field's visibleTo`;
      }
    }
  }
}

function* ruleProblems(metric: Metric, source: Metric["source"]): Iterable<string> {
  if (!lawfulBus.test(source.bus) && !lawfulBusArn.test(source.bus)) {
    yield "source.bus: a bus has letters, digits and . _ / - in its name, or is the ARN of an event bus";
  }
  if (source.source.startsWith("aws.") && !/^(?:.*:event-bus\/)?default$/.test(source.bus)) {
    yield "source.source: only AWS puts events with a source of aws., and only on the bus default";
  }
  for (const key of Object.keys(source.pattern ?? {})) {
    // Names with dots are paths, too.
    if (!patternKeys.has(key.split(".", 1)[0] ?? "")) {
      yield `source.pattern.${key}: a pattern names ${[...patternKeys].join(", ")}; source and detail-type are there already`;
    }
  }
  const [rule] = eventRules([metric]);
  if (rule === undefined) return;
  // As it will be deployed, beside the account whose events are taken.
  const event = sampleBusEvent(metric);
  const refused = [...patternProblems({ account: [event["account"] ?? ""], ...rule.eventPattern })];
  for (const { path, message } of refused) {
    yield `source.pattern${path === "" ? "" : `.${path}`}: ${message}`;
  }
  if (refused.length === 0 && !matchesPattern(rule.eventPattern, event)) {
    yield "source.pattern: the metric's own sample does not match it: correct the pattern or the sample";
  }
  const { inputPathsMap, inputTemplate } = rule.inputTransformer;
  const paths = Object.keys(inputPathsMap).length;
  if (paths > mostPaths) {
    yield `it has ${paths} fields, and EventBridge moves ${mostPaths}: leave some out, or make two metrics of it`;
  }
  if (inputTemplate.length > longestTemplate) {
    yield `its names need a template of ${inputTemplate.length} characters, and EventBridge takes ${longestTemplate}: shorten them`;
  }
}

// ── all metrics together ────────────────────────────────────────────────────────────────────────────────────

type Sound = readonly { readonly file: string; readonly metric: Metric }[];

function* collisions(sound: Sound): Iterable<string> {
  const names = new Map<string, string>();
  /** A tenant's events share one table, so a column has one type and one role for all of its metrics. */
  const columns = new Map<string, { readonly role: string; readonly metric: string }>();
  /** What a sink shows must come from one metric: "sink, kind and name" → metric. */
  const shown = new Map<string, string>();
  for (const { file, metric } of sound) {
    const { name, sinks, dimensions = {}, data = {} } = metric;
    const other = names.get(name);
    if (other !== undefined)
      yield `${file}: ${name}: ${other} declares a metric of this name, too: rename one`;
    names.set(name, file);
    const roles = [
      ...Object.keys(dimensions).map((field) => [field, "a dimension"] as const),
      ...Object.entries(data).map(([field, { type }]) => [field, `data of type ${type}`] as const),
    ];
    for (const [field, role] of roles) {
      const column = columns.get(field);
      if (column !== undefined && column.role !== role) {
        yield `${file}: ${name}: ${field}: it is ${role} here and ${column.role} in ${column.metric}, but would be one column: rename one of them, or make them alike`;
      }
      columns.set(field, column ?? { role, metric: name });
    }
    for (const [sink, mapping] of Object.entries(sinks)) {
      const claims = [
        ["the metric", mapping.name ?? name],
        ...Object.keys(mapping.properties ?? {}).map((property) => ["the property", property]),
      ];
      for (const [kind, claimed = ""] of claims) {
        const key = JSON.stringify([sink, kind, claimed]);
        const holder = shown.get(key);
        if (holder !== undefined && holder !== name) {
          yield `${file}: ${name}: sinks.${sink}: ${kind} ${claimed} is ${holder}'s already: choose another name`;
        }
        shown.set(key, holder ?? name);
      }
    }
  }
}
