// A metric of the catalog: everything that is known about one kind of event, said once, as data.
import type { JsonObject } from "../event.ts";

/**
 * Declares a metric; `export default` it from `config/metrics/<name>.ts`. The types follow the sample: a path that
 * is not in it, or that leads to a value of another type, does not compile. Everything else that can be wrong is
 * told when the catalog is loaded, see `checkCatalog`.
 */
export function defineMetric<Detail extends JsonObject>(metric: MetricDefinition<Detail>): Metric {
  return metric;
}

/** A {@link Metric} whose paths are those of the sample. */
export interface MetricDefinition<Detail extends JsonObject> extends Metric {
  readonly sample: Detail;
  readonly tenantId: PathTo<Detail, string>;
  readonly eventTime?: PathTo<Detail, string | number>;
  readonly dimensions?: Readonly<Record<string, FieldDefinition<Detail>>>;
  readonly data?: Readonly<Record<string, FieldDefinition<Detail>>>;
}

export interface Metric {
  /** `metric_name` of its events, and the name of its file. `a` to `z` first, then `a` to `z`, `0` to `9` or `_`. */
  readonly name: string;
  /** What people call it, such as `Findings uploaded`. */
  readonly title: string;
  /** What it means, in plain words. */
  readonly description: string;
  /** When it happens, in plain words. */
  readonly when: string;
  /** Who answers for it: a team. */
  readonly owner: string;
  readonly source: MetricSource;
  /** The `detail` of an event of the bus that has every field, the optional ones too. No real person's data. */
  readonly sample: JsonObject;
  /** Where the tenant's id is. */
  readonly tenantId: string;
  /** Where the time is at which it happened. Default `$.time`, the bus event's own, in whole seconds. */
  readonly eventTime?: string;
  /** Fields of `metadata`, by which figures are filtered and grouped. Their values are few, and often the same. */
  readonly dimensions?: Readonly<Record<string, MetricField>>;
  /** Fields of `data`: the figures and facts themselves. */
  readonly data?: Readonly<Record<string, MetricField>>;
  /** Which sinks get it, by their names, and what it is called there. */
  readonly sinks: Readonly<Record<string, SinkMapping>>;
}

export interface MetricSource {
  /** The name or the ARN of the event bus: `default`, or one of your own, in the account and region of the stack. */
  readonly bus: string;
  /** `source` of the bus's events. */
  readonly source: string;
  /** `detail-type` of the bus's events. */
  readonly detailType: string;
  /**
   * What else an event must match, as an EventBridge pattern without `source` and `detail-type`, such as
   * `{ detail: { status: ["completed"] } }`. Default: nothing.
   */
  readonly pattern?: JsonObject;
}

export type FieldType = "string" | "integer" | "number" | "boolean";

export interface MetricField {
  readonly type: FieldType;
  /** Where the value is in the bus's event, such as `$.detail.scan.files`. */
  readonly from: string;
  /** What it says, in plain words. */
  readonly description: string;
  /** What a number counts: `findings`, `seconds`, `USD`. */
  readonly unit?: string;
  /** Events may lack it. Default: an event without it is refused. */
  readonly optional?: boolean;
  /** The values that there are; an event with another one is refused. Default: any. For strings. */
  readonly values?: readonly string[];
  /** It tells of a person: only these sinks see it, nobody else knows that it is there. Default: no personal data. */
  readonly personal?: { readonly visibleTo: readonly string[] };
}

/** What a sink makes of a metric. */
export interface SinkMapping {
  /** What the metric is called there. Default its name. Each adapter's page says what a name may be. */
  readonly name?: string;
  /** HubSpot companies: property of the company → field of `data`. */
  readonly properties?: Readonly<Record<string, string>>;
}

// ── what the compiler knows of a sample ─────────────────────────────────────────────────────────────────────

/** A field whose path leads to a value of its type. */
export type FieldDefinition<Detail extends JsonObject> = MetricField &
  (
    | { readonly type: "string"; readonly from: PathTo<Detail, string> }
    | { readonly type: "integer" | "number"; readonly from: PathTo<Detail, number> }
    | { readonly type: "boolean"; readonly from: PathTo<Detail, boolean> }
  );

/** Every path to a `Value` of a bus event with this detail. */
export type PathTo<Detail extends JsonObject, Value> =
  | LeafPath<Detail, Value, "$.detail">
  | (string extends Value ? EnvelopePath : never);

/** What EventBridge puts around every detail. https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html */
export type EnvelopePath = "$.id" | "$.time" | "$.source" | "$.detail-type" | "$.account" | "$.region";

type LeafPath<Node, Value, Path extends string> = Node extends Value
  ? Path
  : Node extends readonly unknown[]
    ? never
    : Node extends object
      ? // What could have any key has paths without end; nobody writes such a sample.
        string extends keyof Node
        ? `${Path}.${string}`
        : { [Key in keyof Node & string]: LeafPath<Node[Key], Value, `${Path}.${Key}`> }[keyof Node & string]
      : never;
