// When a request may start: a concurrency and a rate, both less while a vendor throttles, and the pauses that it asks for.
import type { Clock, Random } from "./clock.ts";
import { createPace } from "./pace.ts";
import { waitsOf } from "./retry.ts";
import type { Limits } from "./sink.ts";

export interface Limiter {
  /**
   * Waits for a place. True: the caller has it and must `release` it. False: the signal came first, or a pause
   * lasts beyond `until` (milliseconds since the epoch).
   */
  acquire(signal: AbortSignal, until: number): Promise<boolean>;
  release(): void;
  /** No request starts for so long; a shorter pause never shortens a longer one. */
  pause(ms: number): void;
  /** No request starts before, in milliseconds since the epoch. */
  readonly pausedUntil: number;
  /** The vendor refused a request, begun at `startedAt`, for its pace, and did not say how long to wait. */
  throttled(startedAt: number): void;
  succeeded(): void;
}

/** Timers count whole milliseconds. */
const timerGrainMs = 1;

/** Of a millisecond: sums of these are exact, and a hair too little would be a whole one of the timer's. */
const fractions = 1024;

export function createLimiter(
  limits: Pick<Limits, "concurrency" | "requestsPerSecond" | "backoff">,
  clock: Clock,
  random: Random,
): Limiter {
  const spacing = limits.requestsPerSecond === undefined ? 0 : 1000 / limits.requestsPerSecond;
  const stepMs = () => Math.ceil((spacing / pace.share()) * fractions) / fractions;
  const waiting: (() => void)[] = [];
  const pace = createPace(clock, random, limits.backoff && waitsOf(limits.backoff));
  let underWay = 0;
  let nextStart = Number.NEGATIVE_INFINITY;
  let pausedUntil = Number.NEGATIVE_INFINITY;

  const isFree = () => underWay < Math.max(1, Math.ceil(limits.concurrency * pace.share()));

  /** In the order in which they came; none while fewer are allowed than were, several when they are allowed again. */
  const grant = () => {
    while (waiting.length > 0 && isFree()) waiting.shift()?.();
  };

  const release = () => {
    underWay--;
    grant();
  };

  const pause = (ms: number) => {
    pausedUntil = Math.max(pausedUntil, clock.now() + ms);
  };

  const place = (signal: AbortSignal): Promise<boolean> => {
    if (signal.aborted) return Promise.resolve(false);
    return new Promise((resolve) => {
      const take = () => {
        underWay++;
        signal.removeEventListener("abort", leave);
        resolve(true);
      };
      const leave = () => {
        waiting.splice(waiting.indexOf(take), 1);
        resolve(false);
      };
      signal.addEventListener("abort", leave, { once: true });
      waiting.push(take);
      grant();
    });
  };

  return {
    async acquire(signal, until) {
      if (!(await place(signal))) return false;
      // A pause may be made longer while we wait for it, so look again after every sleep.
      for (;;) {
        const now = clock.now();
        const start = Math.max(now, nextStart, pausedUntil);
        if (signal.aborted || start > until) {
          release();
          return false;
        }
        if (start === now) {
          // Timers round up, and what they round must not add up to a slower rate than is allowed.
          nextStart = (now - nextStart < timerGrainMs ? nextStart : now) + stepMs();
          return true;
        }
        await clock.sleep(start - now, signal);
      }
    },
    release,
    pause,
    get pausedUntil() {
      return pausedUntil;
    },
    throttled: (startedAt) => pause(pace.throttled(startedAt)),
    succeeded: () => pace.succeeded(),
  };
}
