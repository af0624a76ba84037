// How much of its rate and its concurrency a sink may use: less when its vendor throttles, then ever more again.
import type { Clock, Random } from "./clock.ts";
import { backoffMs, type Waits } from "./retry.ts";

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

/** How long nothing starts after a throttle at most, when the sink does not say: the first bound, which doubles … */
const firstPauseMs = 200;
/** … up to this one, since a quota of some seconds is soon free again … */
const usualPauseMs = 1_300;
/** … and beyond it to this share of how long the vendor has throttled already: so little of its quota is missed … */
const missedShare = 1 / 6;
/** … and no further. */
const longestPauseMs = 30_000;

export interface Pace {
  /** In (0, 1]: how much of the configured rate and concurrency may be used now. */
  share(): number;
  /**
   * The vendor refused a request for its pace, without saying how long to wait. `startedAt`: when that request
   * began, in milliseconds since the epoch. Answers for how many milliseconds nothing should start: ever longer with
   * throttles that follow without a success between, and a part of it drawn.
   */
  throttled(startedAt: number): number;
  succeeded(): void;
}

/**
 * `stated`: the bounds of the pauses, where the vendor says what it wants.
 *
 * Additive increase, multiplicative decrease (Chiu and Jain, 1989), with a memory for where the last throttle was,
 * as TCP's congestion control has it (RFC 9438): plain halving would leave a fifth of a quota unused.
 */
export function createPace(clock: Clock, random: Random, stated?: Waits): Pace {
  /** The share at the last throttle. */
  let ceiling: number | undefined;
  /** The first throttle since the last success, and the last one. */
  let throttledSince = Number.NEGATIVE_INFINITY;
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
      if (startedAt <= throttledAt) return 0;
      if (ceiling === undefined || recoveringSince !== undefined) {
        ceiling = share();
        recoveringSince = undefined;
        throttledSince = clock.now();
        streak = 0;
      }
      streak++;
      throttledAt = clock.now();
      return backoffMs(streak, stated ?? pausesAfter(throttledAt - throttledSince), random);
    },
    succeeded() {
      if (ceiling === undefined) return;
      recoveringSince ??= clock.now();
      if (share() === 1) ceiling = undefined;
    },
  };
}

function pausesAfter(throttledMs: number): Waits {
  const maxMs = Math.min(longestPauseMs, Math.max(usualPauseMs, throttledMs * missedShare));
  return { firstMs: firstPauseMs, maxMs };
}
