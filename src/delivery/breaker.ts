// A sink that keeps failing is left alone for a while; then one request tries whether it is back.
import type { Clock } from "./clock.ts";

export interface BreakerPolicy {
  /** So many requests in a row without a success … Default 5. */
  readonly failures: number;
  /** … over at least so long since the first of them began open the breaker: a blip of parallel requests does not. Default 3 s. */
  readonly overMs: number;
  /** How long it stays open. Default 30 s. */
  readonly openMs: number;
}

export const defaultBreakerPolicy: BreakerPolicy = { failures: 5, overMs: 3_000, openMs: 30_000 };

export interface Breaker {
  /**
   * Undefined when a request may start now; else why not. Once the open time is over one caller is let through to
   * try, and the others get a promise of what it finds: ask again when it resolves. Whoever was let through answers
   * with `success`, `failure`, `trip` or `abandon`.
   */
  enter(): string | Promise<void> | undefined;
  /** Only the trial's closes an open breaker: a request from before it opened says nothing of now. */
  success(): void;
  /**
   * `startedAt`: when the failed request began, in milliseconds since the epoch. The same holds for it.
   * `overMs`: how long failures must last to open the breaker, when not as long as the policy says.
   */
  failure(reason: string, startedAt: number, overMs?: number): void;
  /** The request was given up by its own caller, which tells nothing of the sink; the next one may try. */
  abandon(startedAt: number): void;
  /** Opens at once, for a fact about the whole sink. */
  trip(reason: string, openMs?: number): void;
  /** Why no request would start now, and from when on one would, in milliseconds since the epoch. */
  readonly open: { readonly reason: string; readonly until: number } | undefined;
  /** Calls the listener whenever the breaker opens, until the signal aborts. */
  onOpen(listener: (reason: string) => void, signal: AbortSignal): void;
}

export function createBreaker(policy: BreakerPolicy, clock: Clock): Breaker {
  let failures = 0;
  let failingSince = 0;
  let succeededAt = Number.NEGATIVE_INFINITY;
  let open: { readonly since: number; readonly until: number; readonly reason: string } | undefined;
  /** The one request that tries whether the sink is back. */
  let trial: { readonly over: Promise<void>; end(): void } | undefined;
  const listeners = new Set<(reason: string) => void>();

  const endTrial = () => {
    trial?.end();
    trial = undefined;
  };

  const trip = (reason: string, openMs = policy.openMs) => {
    const since = clock.now();
    open = { since, until: Math.max(open?.until ?? 0, since + openMs), reason };
    endTrial();
    for (const listener of listeners) listener(reason);
  };

  return {
    enter() {
      if (trial !== undefined) return trial.over;
      if (open === undefined) return undefined;
      if (clock.now() < open.until) return open.reason;
      const { promise, resolve } = Promise.withResolvers<void>();
      trial = { over: promise, end: resolve };
      return undefined;
    },
    success() {
      if (open !== undefined && trial === undefined) return;
      failures = 0;
      succeededAt = clock.now();
      open = undefined;
      endTrial();
    },
    failure(reason, startedAt, overMs = policy.overMs) {
      if (open !== undefined) {
        if (startedAt >= open.since) trip(reason);
        return;
      }
      // A request may hang for long beside others that succeed: the sink fails since the last success at most.
      if (failures === 0) failingSince = Math.max(startedAt, succeededAt);
      failures++;
      if (failures >= policy.failures && clock.now() - failingSince >= overMs) trip(reason);
    },
    abandon(startedAt) {
      if (open !== undefined && startedAt >= open.since) endTrial();
    },
    trip,
    get open() {
      return open !== undefined && clock.now() < open.until ? open : undefined;
    },
    onOpen(listener, signal) {
      listeners.add(listener);
      signal.addEventListener("abort", () => listeners.delete(listener), { once: true });
    },
  };
}
