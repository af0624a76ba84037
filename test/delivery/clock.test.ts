import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { systemClock } from "../../src/index.ts";

/** Longer than a timer of Node can be: 2^31 ms. */
const years = 2 ** 40;

describe("the system clock's sleep", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  /** Whether a sleep is over after so much time. */
  const watch = (sleeping: Promise<void>) => {
    let over = false;
    sleeping.then(() => {
      over = true;
    });
    return async (ms: number) => {
      await vi.advanceTimersByTimeAsync(ms);
      return over;
    };
  };

  test("lasts as long as it is told, by the clock's own time", async () => {
    const start = systemClock.now();
    const overAfter = watch(systemClock.sleep(1_000));
    expect(await overAfter(999)).toBe(false);
    expect(await overAfter(1)).toBe(true);
    expect(systemClock.now() - start).toBe(1_000);
  });

  test("ends at once and without an error when its signal aborts, and leaves no timer", async () => {
    const abort = new AbortController();
    const overAfter = watch(systemClock.sleep(1_000, abort.signal));
    expect(await overAfter(10)).toBe(false);
    abort.abort();
    expect(await overAfter(0)).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
    expect(await watch(systemClock.sleep(1_000, abort.signal))(0)).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("leaves nothing at a signal that outlives it", async () => {
    const { signal } = new AbortController();
    const removed = vi.spyOn(signal, "removeEventListener");
    expect(await watch(systemClock.sleep(5, signal))(5)).toBe(true);
    expect(removed).toHaveBeenCalledOnce();
  });

  test("of years is a long one, and of less than nothing is over at once", async () => {
    const overAfter = watch(systemClock.sleep(years));
    expect(await overAfter(2 ** 31 - 2)).toBe(false);
    expect(await overAfter(1)).toBe(true);
    expect(await watch(systemClock.sleep(-5))(0)).toBe(true);
  });
});

describe("the system clock's signal", () => {
  const abortOf = (signal: AbortSignal) =>
    new Promise((resolve) => signal.addEventListener("abort", () => resolve(signal.reason)));

  test("aborts with a TimeoutError; one that is overdue as soon as it can", async () => {
    expect(await abortOf(systemClock.signal(0.5))).toMatchObject({ name: "TimeoutError" });
    expect(await abortOf(systemClock.signal(-1_000))).toMatchObject({ name: "TimeoutError" });
  });

  test("of years does not abort at once", async () => {
    const signals = [systemClock.signal(years), systemClock.signal(Number.POSITIVE_INFINITY)];
    await abortOf(systemClock.signal(2));
    expect(signals.map(({ aborted }) => aborted)).toEqual([false, false]);
  });
});

test("the system clock's now is the present, in milliseconds since the epoch", () => {
  const before = Date.now();
  const now = systemClock.now();
  expect(now).toBeGreaterThanOrEqual(before);
  expect(now).toBeLessThanOrEqual(Date.now());
});
