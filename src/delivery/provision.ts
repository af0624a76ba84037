// What must be at a vendor before events come: definitions, properties.
import type { MetricEvent } from "../event.ts";
import type { Metric } from "../routing/metric.ts";
import type { HttpClient } from "./http.ts";

/** A metric that a sink will get. */
export interface SinkPlan {
  readonly metric: Metric;
  /** An event of it, as the sink will see one: with every field, but those that are hidden from it. */
  readonly event: MetricEvent;
}

export interface ProvisionContext {
  readonly http: HttpClient;
  readonly signal: AbortSignal;
  /** Look, and change nothing. */
  readonly dryRun: boolean;
}

/** One thing that must be at the vendor. */
export interface Provision {
  /** What it is and what it is called, such as `event definition finding_fixed`. */
  readonly what: string;
  /** `missing`: a dry run found it so. `differs`: it is there, but not as it must be, and is left as it is. */
  readonly state: "present" | "created" | "missing" | "differs";
  /** One sentence: how it is made, or in what it differs and what to do. */
  readonly note?: string;
}
