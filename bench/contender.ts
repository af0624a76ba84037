// What is compared: a way to deal with one object. Each runs in a process of its own, with its own heap and compiler.
import type { VendorUrls } from "./acceptors.ts";

/** The contenders, by the file in `contenders/` that makes them. */
export type ContenderName =
  | "ideal"
  | "lines"
  | "core"
  | "plain-mixpanel"
  | "plain-four"
  | "tutorial-mixpanel"
  | "vendor-sdks";

export interface Order {
  readonly contender: ContenderName;
  /** The object's path. */
  readonly file: string;
  readonly bytes?: number;
  readonly urls: VendorUrls;
  readonly core?: CoreOrder;
}

/** How the core is set up. */
export interface CoreOrder {
  readonly sinks: readonly SinkName[];
  /** This one's requests are never answered. The run ends when the others have delivered everything. */
  readonly hangs?: SinkName;
  /** This one's vendor rejects every record. */
  readonly rejects?: "mixpanel";
  /** Measured is the second run: in the first no sink could be used, so all of it is deferred. */
  readonly drains?: boolean;
  /** Read the object from its file, window by window; else it is in memory. */
  readonly fromFile?: boolean;
  /**
   * Compress bodies, as by default. Loopback costs nothing a byte and no contender does it, so it is measured by itself.
   * Default false.
   */
  readonly gzip?: boolean;
}

export type SinkName = "null" | "timestream" | "segment" | "mixpanel" | "hubspot-events";

export interface Contender {
  /** What a round needs and is not part of it. */
  prepare?(): Promise<void>;
  /** Deals with the whole object once, and proves that it did. */
  round(): Promise<RoundResult>;
}

export interface RoundResult {
  readonly records: number;
  /** Requests by sink, and the fewest that could have done. */
  readonly requests?: Readonly<Record<string, { readonly sent: number; readonly least: number }>>;
  /** Where the round is more than what is to be measured: when that was over. */
  readonly over?: Cost;
}

/** Of a process, since its start: all threads, garbage collection and zlib included. */
export interface Cost {
  readonly cpuMs: number;
  readonly wallMs: number;
}

export type MakeContender = (order: Order) => Promise<Contender>;

export function costNow(): Cost {
  const { user, system } = process.cpuUsage();
  return { cpuMs: (user + system) / 1000, wallMs: performance.now() };
}

/** What a process tells of one round. */
export interface Measured extends RoundResult, Cost {
  /** Of the process so far. */
  readonly peakRssMb: number;
}
