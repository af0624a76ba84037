// When a request may start: a fixed concurrency, a fixed rate, and the pauses that a vendor asks for.
import type { Clock } from "./clock.ts";

export interface Limiter {
  /**
   * Waits for a place. True: the caller has it and must `release` it. False: the signal came first, or a pause
   * lasts beyond `until` (milliseconds since the epoch).
   */
  acquire(signal: AbortSignal, until: number): Promise<boolean>;
  release(): void;
  /** No request starts for so long; a shorter pause never shortens a longer one. */
  pause(ms: number): void;
}

export function createLimiter(
  limits: { readonly concurrency: number; readonly requestsPerSecond?: number },
  clock: Clock,
): Limiter {
  const spacing = limits.requestsPerSecond === undefined ? 0 : 1000 / limits.requestsPerSecond;
  const waiting: (() => void)[] = [];
  let free = limits.concurrency;
  let nextStart = Number.NEGATIVE_INFINITY;
  let pausedUntil = Number.NEGATIVE_INFINITY;

  const release = () => {
    const next = waiting.shift();
    if (next === undefined) free++;
    else next();
  };

  const place = (signal: AbortSignal): Promise<boolean> => {
    if (signal.aborted) return Promise.resolve(false);
    if (free > 0) {
      free--;
      return Promise.resolve(true);
    }
    return new Promise((resolve) => {
      const take = () => {
        signal.removeEventListener("abort", leave);
        resolve(true);
      };
      const leave = () => {
        waiting.splice(waiting.indexOf(take), 1);
        resolve(false);
      };
      waiting.push(take);
      signal.addEventListener("abort", leave, { once: true });
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
          nextStart = now + spacing;
          return true;
        }
        await clock.sleep(start - now, signal);
      }
    },
    release,
    pause(ms) {
      pausedUntil = Math.max(pausedUntil, clock.now() + ms);
    },
  };
}
