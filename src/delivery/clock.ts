// The only source of time: deadlines, waits and timestamps all come from here, so a virtual clock moves them.

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Resolves after `ms`; resolves early, without an error, when the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Aborts after `ms`. The timer does not keep the process alive. */
  signal(ms: number): AbortSignal;
}

/** Node's timers take a 32-bit count of milliseconds; a longer one fires at once. */
const longestTimer = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, Math.min(Math.max(ms, 0), longestTimer));
      signal?.addEventListener("abort", done, { once: true });
    }),
  signal: (ms) => AbortSignal.timeout(Math.min(Math.max(Math.ceil(ms), 0), longestTimer)),
};

/** Settles as the promise does, or resolves when the signal aborts; leaves no listener with the signal. */
export async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  if (signal.aborted) return undefined;
  const { promise: aborted, resolve } = Promise.withResolvers<undefined>();
  const end = () => resolve(undefined);
  signal.addEventListener("abort", end, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", end);
  }
}

/** A number in [0, 1), like `Math.random`; injected, so that a seed decides. */
export type Random = () => number;
