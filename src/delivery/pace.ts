// How much of its rate and its concurrency a sink may use: less when its vendor throttles, then ever more again.
import type { Clock } from "./clock.ts";

/** After a throttle, this share of what was used is left … */
const decrease = 0.5;
/** … which grows fast, by this share of it a second … */
const fastPerSecond = 1;
/** … to just below where the vendor throttled … */
const carefulFrom = 0.95;
/** … and from there slowly, by this share of it a second, so that the quota is nearly used up and rarely passed … */
const slowPerSecond = 0.002;
/** … and ever faster, twice as fast after so many seconds, so that all of it is soon used when the vendor takes it. */
const doubledAfterSeconds = 20;
/** A vendor that throttles whatever comes is still asked now and then. */
const leastShare = 0.01;

/** Nothing starts for so long after a throttle; it doubles with every one that follows without a success between. */
const firstPauseMs = 100;
const longestPauseMs = 1_000;

export interface Pace {
  /** In (0, 1]: how much of the configured rate and concurrency may be used now. */
  share(): number;
  /**
   * The vendor refused a request for its pace, without saying how long to wait. `startedAt`: when that request
   * began, in milliseconds since the epoch. Answers for how many milliseconds nothing should start.
   */
  throttled(startedAt: number): number;
  succeeded(): void;
}

/**
 * Additive increase, multiplicative decrease (Chiu and Jain, 1989), with a memory for where the last throttle was,
 * as TCP's congestion control has it (RFC 9438): plain halving would leave a fifth of a quota unused.
 */
export function createPace(clock: Clock): Pace {
  /** The share at the last throttle. */
  let ceiling: number | undefined;
  let throttledAt = Number.NEGATIVE_INFINITY;
  /** When the first success after the last throttle came. */
  let recoveringSince: number | undefined;
  let streak = 0;

  const share = (): number => {
    if (ceiling === undefined) return 1;
    const seconds = recoveringSince === undefined ? 0 : (clock.now() - recoveringSince) / 1000;
    const fast = Math.min(carefulFrom, decrease + fastPerSecond * seconds);
    const slowly = Math.max(0, seconds - (carefulFrom - decrease) / fastPerSecond);
    const slow = slowPerSecond * slowly * (1 + slowly / doubledAfterSeconds);
    return Math.min(1, Math.max(leastShare, ceiling * (fast + slow)));
  };

  return {
    share,
    throttled(startedAt) {
      // Requests that were under way at a throttle say the same as it; so do those that find the quota still spent.
      const isNew = startedAt >= throttledAt && (ceiling === undefined || recoveringSince !== undefined);
      if (isNew) {
        ceiling = share();
        recoveringSince = undefined;
        streak = 0;
      } else if (startedAt >= throttledAt) {
        streak++;
      } else {
        return 0;
      }
      throttledAt = clock.now();
      return Math.min(longestPauseMs, firstPauseMs * 2 ** streak);
    },
    succeeded() {
      if (ceiling === undefined) return;
      recoveringSince ??= clock.now();
      if (share() === 1) ceiling = undefined;
    },
  };
}
