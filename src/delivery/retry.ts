// Retrying: one wait between two attempts, the vendor's wish or a jittered backoff, whichever is longer.
import pRetry from "p-retry";
import type { Clock, Random } from "./clock.ts";
import type { Backoff } from "./sink.ts";

export interface RetryPolicy {
  /** Attempts in all, the first included; those that were only throttled do not count. Default 6. */
  readonly attempts: number;
  /** The first wait's upper bound; it doubles with each attempt. Default 500 ms, or what the sink's limits say. */
  readonly firstMs: number;
  /** No backoff is longer. Default 30 s, or what the sink's limits say. */
  readonly maxMs: number;
  /** A vendor's `Retry-After` beyond this is not waited for in process: the records become pending. Default 60 s. */
  readonly longestWaitMs: number;
}

export const defaultRetryPolicy: RetryPolicy = {
  attempts: 6,
  firstMs: 500,
  maxMs: 30_000,
  longestWaitMs: 60_000,
};

/** The bounds that waits are drawn from. */
export type Waits = Pick<RetryPolicy, "firstMs" | "maxMs">;

/** What a vendor says of waits as bounds to draw from: half of the first one is the least that it asks for. */
export function waitsOf({ leastMs, mostMs }: Backoff): Waits {
  return { firstMs: 2 * leastMs, maxMs: mostMs };
}

/** Half of the exponential bound is fixed and half is drawn: attempts spread out, and none comes at once. */
export function backoffMs(attempt: number, { firstMs, maxMs }: Waits, random: Random): number {
  const bound = Math.min(maxMs, firstMs * 2 ** (attempt - 1));
  return Math.ceil(bound / 2 + (random() * bound) / 2);
}

export interface RetryOptions {
  readonly policy: RetryPolicy;
  readonly clock: Clock;
  readonly random: Random;
  /** Ends the waiting; the attempt under way has to watch it by itself. */
  readonly signal: AbortSignal;
  /** Milliseconds since the epoch: no wait goes beyond it. */
  readonly deadline: number;
}

/** What an attempt answers when another one is wanted. */
export interface Again {
  readonly retryAfterMs: number;
  /** It was refused for its pace alone, which the limiter sees to: as if it had not been. */
  readonly throttled?: boolean;
}

/**
 * Calls `attempt` until it answers `"done"`, the attempts are spent, or the next wait would pass the deadline or
 * the policy's longest wait. The caller keeps the outcomes; nothing is lost when this gives up.
 *
 * p-retry counts and decides; the waiting goes through the injected clock, since p-retry's own delay can honour
 * neither a virtual clock nor a wait that the vendor names.
 */
export async function withRetries(
  attempt: (number: number) => Promise<"done" | Again>,
  options: RetryOptions,
): Promise<void> {
  const { policy, clock, random, signal, deadline } = options;
  const again = async (error: Error, retriesConsumed: number): Promise<boolean> => {
    if (!(error instanceof WantsAgain)) return false;
    const wait = Math.max(error.retryAfterMs, backoffMs(retriesConsumed + 1, policy, random));
    if (wait > policy.longestWaitMs || clock.now() + wait >= deadline) return false;
    await clock.sleep(wait, signal);
    return !signal.aborted;
  };
  try {
    await pRetry(
      async (number) => {
        const answer = await attempt(number);
        if (answer !== "done") throw new WantsAgain(answer);
      },
      {
        retries: policy.attempts - 1,
        minTimeout: 0,
        shouldConsumeRetry: ({ error }) => !(error instanceof WantsAgain && error.throttled),
        shouldRetry: ({ error, retriesConsumed }) => again(error, retriesConsumed),
      },
    );
  } catch (error) {
    if (!(error instanceof WantsAgain)) throw error;
  }
}

class WantsAgain extends Error implements Again {
  readonly retryAfterMs: number;
  readonly throttled: boolean;
  constructor({ retryAfterMs, throttled = false }: Again) {
    super("some records have no final outcome yet");
    this.retryAfterMs = retryAfterMs;
    this.throttled = throttled;
  }
}
