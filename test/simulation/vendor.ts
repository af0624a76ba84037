// A vendor of the simulated world: it outlives the processes and knows what it stored.
import type { Item, Sink } from "../../src/delivery/sink.ts";
import type { MetricEvent } from "../../src/event.ts";
import type { Process } from "./process.ts";

export interface Vendor {
  readonly name: string;
  /** The sink as one process has it. */
  sinkOf(process: Process): Sink<unknown>;
  /** Whether it has stored the item. */
  holds(item: SeenItem): boolean;
  /** Whether a well vendor, or its mapping, would refuse the record today. Absent when nobody can tell. */
  refuses?(place: Place): boolean;
  /** Under whose name it keeps what. */
  kept(): Iterable<Kept>;
}

/** An item, with all of its event. */
export interface SeenItem extends Item<unknown> {
  readonly event: MetricEvent;
}

/** A record, or where a vendor keeps no single ones, the name that came with its tenant. */
export type Kept = { readonly tenant: string } & (Place | { readonly tenantName: string });

/** Where the record of an event stands: its data say so. */
export interface Place {
  readonly object: string;
  readonly n: number;
}

export function placeOf(event: MetricEvent): Place {
  const { o, n } = event.data;
  if (typeof o !== "string" || typeof n !== "number") throw new Error("an event of no schedule");
  return { object: o, n };
}
