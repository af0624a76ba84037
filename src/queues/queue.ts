// The port to the queues behind the pipeline that are not ours: what waits in them, and how it is put back.
import type { Repeats } from "../delivery/sink.ts";

/**
 * A place where something failed before or beside the worker and waits for a person: Firehose's `processing-failed/`
 * objects, the dead-letter queue of an EventBridge target, the one of the worker's notifications. `fanout dlq list`,
 * `show`, `plan`, `replay` and `drop` treat it as they treat dead letters, with `--queue <address>`.
 *
 * The command filters, samples, counts, paces, asks who it is and writes the audit; a queue reads, puts back and
 * removes. Its promise is the worker's: an entry leaves only when what it holds is durable where it was put back
 * (or in the archive), so a crash in between leaves it there, and it may be put back once more. How that is kept is
 * the queue's own matter: a message is deleted after the put, an object is replaced by one without the lines that
 * were taken, or has a receipt beside it.
 */
export interface FailureQueue {
  /** Stable, `[a-z0-9-]+`: it stands where the sink of a dead letter stands, as in `firehose` or `notifications`. */
  readonly name: string;
  /** Where `putBack` puts: one phrase, such as `the delivery stream product-events` or `the worker`. */
  readonly target: string;
  /** Of `putBack`, for a plan's least time. */
  readonly limits: {
    readonly itemsPerRequest: number;
    /** Default: no limit. */
    readonly requestsPerSecond?: number;
  };
  /** What becomes of an entry that is put back twice. */
  readonly repeats: Repeats;
  /**
   * Every entry once, the oldest first where the queue knows. An entry can be given to the other functions until the
   * next iteration begins or the queue is closed: so also the last few, which no full batch was made of. Then what
   * was only looked at is as visible to others as before.
   */
  entries(options: { readonly signal: AbortSignal }): AsyncIterable<QueueEntry>;
  /** What is known offline of its way from here, by today's rules; nothing is sent. */
  judge(entry: QueueEntry): Promise<QueueVerdict>;
  /**
   * Puts entries back, at most `limits.itemsPerRequest` of them, and removes those that are durable there: one
   * outcome an entry, in their order.
   */
  putBack(entries: readonly QueueEntry[], order: QueueOrder): Promise<readonly QueueOutcome[]>;
  /** Moves entries to the archive; they are gone from the queue when it resolves. */
  drop(
    entries: readonly QueueEntry[],
    order: QueueOrder & { readonly reason: string; readonly by: string },
  ): Promise<void>;
  /** What is still in hand becomes visible to others; clients are closed. */
  close?(): Promise<void>;
}

/** One thing that waits. The fields mean what they mean in a dead letter. */
export interface QueueEntry {
  /** The same as long as it waits; accepted by `show` and `--id`. */
  readonly id: string;
  /** Stable, `UPPER_SNAKE_CASE`: what the service that gave it up calls the failure. */
  readonly code: string;
  /** One sentence, without a payload or a secret. */
  readonly reason: string;
  /** What an operator can do about it, in one sentence. */
  readonly action: string;
  /** How often it was tried. */
  readonly attempts: number;
  /** Milliseconds since the epoch. */
  readonly firstAt: number;
  readonly lastAt: number;
  /** Where it is: the object and line, or the message. */
  readonly place: string;
  /** When what it holds can be read as an event. */
  readonly event?: { readonly id: string; readonly metricName: string; readonly tenantId: string };
  /** The original: what `putBack` would put, or how to read it. */
  readonly content: Uint8Array | (() => Promise<Uint8Array>);
}

export type QueueVerdict =
  | { readonly status: "passes" }
  /** Put back, it would fail again: the code and the sentence that it would get. */
  | { readonly status: "fails"; readonly code: string; readonly reason: string }
  /** Only the target can say. */
  | { readonly status: "unknown"; readonly reason: string };

export interface QueueOrder {
  /** Names the command in whatever is written about it. */
  readonly id: string;
  readonly signal: AbortSignal;
}

export type QueueOutcome =
  | { readonly status: "delivered" }
  /** It stays, with the reason why; the same fingerprint means the same cause. */
  | { readonly status: "refused"; readonly code: string; readonly reason: string }
  /** It stays as it was: the target was not ready, or the time was over. */
  | { readonly status: "kept"; readonly reason: string };

/** From an address, such as `s3://bucket/Error/processing-failed/` or `https://sqs.….amazonaws.com/…/queue`. */
export type OpenQueue = (address: string) => Promise<FailureQueue>;
