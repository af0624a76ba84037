// The contract: what a sink must be. Everything in delivery/ reads against this file.
import type { EventHead, MetricEvent } from "../event.ts";
import type { Clock } from "./clock.ts";
import type { HttpClient, HttpReply } from "./http.ts";
import type { Provision, ProvisionContext, SinkPlan } from "./provision.ts";

/**
 * A receiving tool. An adapter knows its vendor's limits, mapping and replies, nothing else: batching,
 * splitting, retries, rates, deadlines, dead letters and deferrals belong to the core.
 */
export interface Sink<P> {
  /** Stable: it names receipts and dead letters. `[a-z0-9-]+`, not starting with `_`. */
  readonly name: string;
  readonly limits: Limits;
  /** The mapping: pure, synchronous, deterministic. What it throws dead-letters that event alone. */
  encode(event: MetricEvent): Encoded<P>;
  /** What must share a request, such as Timestream's table. Default: everything may share one. */
  partition?(event: MetricEvent): string;
  /**
   * Events of one key share one item slot of a batch: the newest `time` is sent, the others are filtered as
   * superseded when it is delivered, wait when it waits, and get their own turn when it is rejected.
   */
  coalesceKey?(event: MetricEvent): string;
  /**
   * Sends one batch: one request to the vendor or one file, plus what that needs (a table, a look-up). It shares its
   * thread with all other sinks: what computes for long lets them have their turns, or does it on a thread of its own.
   *
   * Returns one outcome an item, in the items' order, or one verdict for all of them. An item without an
   * outcome is unknown and is sent again with the same bytes, so ids come from the event, never from here. Nor from
   * the batch: an attempt in the same run has what is left of it, and after a crash its items may be in others.
   *
   * @throws an error made by {@link sinkUnavailable} for facts about the whole sink: a bad token, a missing
   * feature, a spent daily quota. Anything else thrown is unknown for every item of the batch.
   */
  send(batch: Batch<P>, context: SendContext): Promise<readonly Outcome[] | Verdict>;
  close?(): Promise<void>;
  /**
   * Makes at the vendor what must be there before the planned events come. Doing it again changes nothing.
   *
   * @throws an error made by {@link sinkUnavailable} when the vendor does not let it.
   */
  provision?(plans: readonly SinkPlan[], context: ProvisionContext): Promise<readonly Provision[]>;
  /** What stands behind each code that `encode` or `send` refuses a record with, and what to do about it. */
  readonly refusals?: Refusals;
  /** Default: nobody knows, so whoever plans a replay is told to expect every repeat to be counted again. */
  readonly repeats?: Repeats;
  /**
   * What `delivered` means: the vendor has stored the item, or has taken it and tells nothing more about it. Default
   * `stored`.
   */
  readonly acknowledges?: "stored" | "accepted";
}

/**
 * What the vendor makes of an item that it gets twice with the same id: after a crash, say, when nobody knows whether
 * a request has arrived.
 */
export interface Repeats {
  /** `merged`: it counts once. `counted`: it counts as often as it is sent. */
  readonly effect: "merged" | "counted";
  /** By what it is told apart and for how long, in one sentence for an operator. */
  readonly reason: string;
}

/**
 * Types a sink as it is written: what `encode` makes is what `send` gets, without a word about it. Write `encode`
 * before `send`, since TypeScript reads from top to bottom.
 */
export function defineSink<P>(sink: Sink<P>): Sink<P> {
  return sink;
}

/** By code, `UPPER_SNAKE_CASE`: what operators are told beside the dead letters that have it. */
export type Refusals = Readonly<Record<string, RefusalAdvice>>;

export interface RefusalAdvice {
  /** What is wrong, in one sentence. */
  readonly meaning: string;
  /** What an operator can do about it, in one sentence. */
  readonly action: string;
}

/**
 * A request is what one `send` sends or writes: a body, or a file. Two full ones are what a lane has room for by
 * default, so its limits bound memory, too: a sink of files, whose vendor states none, chooses them by that.
 */
export interface Limits {
  readonly itemsPerRequest: number;
  /** Bytes of one request, before compression: the shares that `encode` states, and `envelopeBytes`. */
  readonly bytesPerRequest: number;
  /** Bytes of one item; a larger one is rejected before it is sent. */
  readonly bytesPerItem: number;
  /** Bytes around the items of a request: brackets, common fields. Default 0. */
  readonly envelopeBytes?: number;
  /** Requests under way at once. */
  readonly concurrency: number;
  /**
   * Requests started a second, on average: what the vendor grants the account. A deployment of several workers says how
   * many they are (`workers`), and each keeps to its share. Default: no limit.
   */
  readonly requestsPerSecond?: number;
  /**
   * 1: of all workers, replayers and commands that share the books, one at a time sends to the sink, because it reads
   * what the vendor has before it writes. Whoever finds another one at it leaves the sink's records for later.
   * Default: any number.
   */
  readonly writers?: 1;
  /** How long one `send` may take, and well below what a run has: what is cut begins anew. Default 30 s. */
  readonly timeoutMs?: number;
  /** The waits that the vendor's pages ask for where its reply names none. Default: the core's own. */
  readonly backoff?: Backoff;
}

/**
 * Waits after throttles and other transient faults: they double with each one in a row, and a part of each is drawn,
 * so that workers do not come back together.
 */
export interface Backoff {
  /** The first one lasts at least so long, and at most twice so long. */
  readonly leastMs: number;
  /** None is longer. At least twice `leastMs`. */
  readonly mostMs: number;
}

export type Encoded<P> =
  | {
      /** What `send` gets. It and all it refers to stays in memory until then: for JSON its text is the least. */
      readonly payload: P;
      /** The item's share of the request's bytes, its separator included. */
      readonly bytes: number;
    }
  /** Not meant for this sink; counted, not sent. */
  | { readonly filtered: string }
  /** Can never be sent as it is: a dead letter. */
  | { readonly rejected: string; readonly code: string };

export interface Item<P> {
  /** Without its fields: what `send` needs of them is in the payload. */
  readonly event: EventHead;
  readonly payload: P;
  readonly bytes: number;
}

export interface Batch<P> {
  /** What `partition` said of every item; `""` without one. */
  readonly partition: string;
  /** Never empty. */
  readonly items: readonly Item<P>[];
}

export interface SendContext {
  /** Aborts when the request's time or the worker's deadline is over. `send` must then settle at once. */
  readonly signal: AbortSignal;
  /** 1 for the first try of a batch. */
  readonly attempt: number;
  /** For vendors that are asked over HTTP. */
  readonly http: HttpClient;
  readonly clock: Clock;
}

/** What became of one item. */
export type Outcome = Delivered | Filtered | Rejected | Transient;

/** What became of a whole batch, when the vendor does not tell its items apart. */
export type Verdict = Delivered | Transient | Refused;

export interface Delivered {
  readonly status: "delivered";
}
/** Not sent, and rightly: superseded by newer data at the vendor, say. */
export interface Filtered {
  readonly status: "filtered";
  readonly reason: string;
}
/** Permanent: this record, as it is, will never be taken. */
export interface Rejected {
  readonly status: "rejected";
  /** One sentence for an operator. No secret, and no value of the record. */
  readonly reason: string;
  /** Stable, `UPPER_SNAKE_CASE`. */
  readonly code: string;
}
/** Not taken now, or nobody knows. */
export interface Transient {
  readonly status: "transient";
  readonly reason: string;
  /** How long the vendor asks to be left alone. */
  readonly retryAfterMs?: number;
  /** Refused for its pace alone: without `retryAfterMs` the core sends less until the vendor takes what it sends. */
  readonly throttled?: true;
}
/**
 * The request was refused and nothing of it stored; the core halves the batch until the culprit stands alone. That
 * takes twice the batch's binary logarithm of requests, one after another: some 30 for one of 50,000. Whoever can tell
 * the culprit returns outcomes instead, and needs one or none.
 */
export interface Refused {
  readonly status: "refused";
  readonly reason: string;
  readonly code: string;
}

/** A fact about the whole sink. Recognised by its `code`, never by `instanceof`: two copies of this package may meet. */
export interface SinkUnavailable extends Error {
  readonly code: "SINK_UNAVAILABLE";
  /** The vendor's own wish, in milliseconds. */
  readonly retryAfterMs?: number;
  /** The vendor does not take the credentials: whoever reads them again may have others by now. */
  readonly credentials?: "refused";
}

/** Makes the error that `send` throws when the sink as a whole cannot be used. The message must hold no secret. */
export function sinkUnavailable(
  message: string,
  facts: Pick<SinkUnavailable, "retryAfterMs" | "credentials"> = {},
): SinkUnavailable {
  return Object.assign(new Error(message), { code: "SINK_UNAVAILABLE" as const, ...facts });
}

export function isSinkUnavailable(error: unknown): error is SinkUnavailable {
  return error instanceof Error && "code" in error && error.code === "SINK_UNAVAILABLE";
}

/** What can be the fault of a request's records: RFC 9110, 15.5.1, 15.5.10, 15.5.14 to 15.5.16 and 15.5.21. */
const aboutRecords: readonly number[] = [400, 409, 413, 414, 415, 422];

/** What time cures: RFC 9110, 15.5.9; RFC 4918, 11.3; RFC 8470, 5.2; RFC 6585, 4. */
const temporary: readonly number[] = [408, 423, 425, 429];

/**
 * What a status means at nearly every vendor; an adapter asks here after its own special cases.
 * Returns undefined for 2xx, whose body the adapter must read.
 *
 * @throws {SinkUnavailable} for redirects and for a 4xx that does not speak of records, such as 401 or 404:
 * configuration is at fault, and every record would become a dead letter.
 */
export function classifyReply(vendor: string, reply: HttpReply): Transient | Refused | undefined {
  const { status, retryAfterMs } = reply;
  if (status >= 200 && status < 300) return undefined;
  if (status === 401 || status === 403) {
    const message = `${vendor} answered ${status}: check its credentials and their permissions`;
    throw sinkUnavailable(message, { credentials: "refused" });
  }
  if (status < 400) {
    throw sinkUnavailable(
      `${vendor} answered ${status}, a redirect or no final status: check its configured host`,
    );
  }
  if (temporary.includes(status) || status >= 500) {
    return {
      status: "transient",
      reason: `${vendor} answered ${status}`,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      ...(status === 429 ? { throttled: true } : {}),
    };
  }
  if (aboutRecords.includes(status)) {
    return { status: "refused", reason: `${vendor} answered ${status}`, code: `HTTP_${status}` };
  }
  throw sinkUnavailable(`${vendor} answered ${status}: check its configured host and the account's plan`);
}
