import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createLimiter } from "../../src/delivery/limiter.ts";
import { virtualClock } from "../../src/testing/index.ts";

const forever = Number.POSITIVE_INFINITY;
const never = new AbortController().signal;

/** What `acquire` answered by now, without time passing. */
async function byNow<T>(
  clock: { advance(ms: number): Promise<void> },
  promise: Promise<T>,
): Promise<T | "waiting"> {
  let answer: T | "waiting" = "waiting";
  promise.then((value) => {
    answer = value;
  });
  await clock.advance(0);
  return answer;
}

/** When requests come and how long each is under way, and when a vendor asks for a pause. */
const traffic = fc.record({
  concurrency: fc.integer({ min: 1, max: 4 }),
  requestsPerSecond: fc.option(fc.integer({ min: 1, max: 40 }), { nil: undefined }),
  requests: fc.array(fc.record({ at: fc.nat(500), takes: fc.nat(300) }), { maxLength: 25 }),
  pauses: fc.array(fc.record({ at: fc.nat(1000), ms: fc.nat(700) }), { maxLength: 4 }),
});

/** Sums of 1000 / 6 that come out a hair below a whole millisecond. */
const aHairEarly = {
  concurrency: 1,
  requestsPerSecond: 6,
  requests: Array.from({ length: 7 }, () => ({ at: 0, takes: 0 })),
  pauses: [
    { at: 0, ms: 138 },
    { at: 742, ms: 473 },
    { at: 138, ms: 604 },
  ],
};

test("whatever comes: no request over the concurrency or the rate or inside a pause, and every one starts", async () => {
  await fc.assert(
    fc.asyncProperty(traffic, async ({ concurrency, requestsPerSecond, requests, pauses }) => {
      const clock = virtualClock({ start: 0 });
      const rate = requestsPerSecond === undefined ? {} : { requestsPerSecond };
      const limiter = createLimiter({ concurrency, ...rate }, clock, Math.random);
      const starts: number[] = [];
      let underWay = 0;
      let most = 0;
      const pausing = pauses.map(async ({ at, ms }) => {
        await clock.sleep(at);
        limiter.pause(ms);
      });
      const requesting = requests.map(async ({ at, takes }) => {
        await clock.sleep(at);
        expect(await limiter.acquire(never, forever)).toBe(true);
        starts.push(clock.now());
        underWay++;
        most = Math.max(most, underWay);
        await clock.sleep(takes);
        underWay--;
        limiter.release();
      });
      await clock.run(Promise.all([...pausing, ...requesting]));

      expect(starts).toHaveLength(requests.length);
      expect(most).toBeLessThanOrEqual(concurrency);
      for (const { at, ms } of pauses) {
        expect(starts.filter((start) => start >= at && start < at + ms)).toEqual([]);
      }
      if (requestsPerSecond === undefined) return;
      // In any window, however long: n starts span at least n − 1 spaces, but for the millisecond that timers round to.
      for (const [later, end] of starts.entries()) {
        for (const [earlier, begin] of starts.slice(0, later).entries()) {
          const least = ((later - earlier) * 1000) / requestsPerSecond;
          expect(end - begin).toBeGreaterThan(least - 1);
        }
      }
    }),
    { numRuns: 60, examples: [[aHairEarly]] },
  );
});

describe("the concurrency", () => {
  test("places are given in the order in which they were asked for, one for each that is released", async () => {
    const clock = virtualClock();
    const limiter = createLimiter({ concurrency: 2 }, clock, Math.random);
    const order: number[] = [];
    for (const n of [0, 1, 2, 3, 4]) limiter.acquire(never, forever).then(() => order.push(n));
    await clock.advance(0);
    expect(order).toEqual([0, 1]);
    limiter.release();
    await clock.advance(0);
    expect(order).toEqual([0, 1, 2]);
    limiter.release();
    limiter.release();
    await clock.advance(0);
    expect(order).toEqual([0, 1, 2, 3, 4]);
  });

  test("whoever is aborted while it waits leaves the queue, and costs the others nothing", async () => {
    const clock = virtualClock();
    const limiter = createLimiter({ concurrency: 1 }, clock, Math.random);
    await limiter.acquire(never, forever);
    const gone = new AbortController();
    const aborted = limiter.acquire(gone.signal, forever);
    const next = limiter.acquire(never, forever);
    gone.abort();
    expect(await byNow(clock, aborted)).toBe(false);
    expect(await byNow(clock, next)).toBe("waiting");
    limiter.release();
    expect(await byNow(clock, next)).toBe(true);
    // The one place is taken, not doubled and not lost.
    const last = limiter.acquire(never, forever);
    expect(await byNow(clock, last)).toBe("waiting");
    limiter.release();
    expect(await byNow(clock, last)).toBe(true);
  });

  test("an abort after the place was given takes nothing from those who still wait", async () => {
    const clock = virtualClock();
    const limiter = createLimiter({ concurrency: 1 }, clock, Math.random);
    const done = new AbortController();
    await limiter.acquire(never, forever);
    const second = limiter.acquire(done.signal, forever);
    const third = limiter.acquire(never, forever);
    limiter.release();
    expect(await byNow(clock, second)).toBe(true);
    done.abort();
    limiter.release();
    expect(await byNow(clock, third)).toBe(true);
  });

  test("a signal that was aborted before takes no place, and waits for none", async () => {
    const clock = virtualClock();
    const limiter = createLimiter({ concurrency: 1 }, clock, Math.random);
    expect(await limiter.acquire(AbortSignal.abort(), forever)).toBe(false);
    expect(await byNow(clock, limiter.acquire(never, forever))).toBe(true);
    expect(await byNow(clock, limiter.acquire(AbortSignal.abort(), forever))).toBe(false);
  });
});

describe("the rate", () => {
  test("spaces a backlog evenly, and lets it start as soon as the rate allows", async () => {
    const clock = virtualClock({ start: 0 });
    const limiter = createLimiter({ concurrency: 3, requestsPerSecond: 4 }, clock, Math.random);
    const starts: number[] = [];
    const request = async () => {
      await limiter.acquire(never, forever);
      starts.push(clock.now());
      limiter.release();
    };
    await clock.run(Promise.all([request(), request(), request(), request(), request()]));
    expect(starts).toEqual([0, 250, 500, 750, 1000]);
  });

  test("saves nothing up: after a quiet time there is no burst", async () => {
    const clock = virtualClock({ start: 0 });
    const limiter = createLimiter({ concurrency: 3, requestsPerSecond: 1 }, clock, Math.random);
    await limiter.acquire(never, forever);
    await clock.advance(10_000);
    await limiter.acquire(never, forever);
    const third = limiter.acquire(never, forever);
    await clock.advance(999);
    expect(await byNow(clock, third)).toBe("waiting");
    await clock.advance(1);
    expect(await byNow(clock, third)).toBe(true);
  });
});

describe("a pause", () => {
  test("ends when it ends, and a shorter one does not shorten it", async () => {
    const clock = virtualClock({ start: 0 });
    const limiter = createLimiter({ concurrency: 1 }, clock, Math.random);
    limiter.pause(1000);
    limiter.pause(10);
    const acquired = limiter.acquire(never, forever);
    await clock.advance(999);
    expect(await byNow(clock, acquired)).toBe("waiting");
    await clock.advance(1);
    expect(await byNow(clock, acquired)).toBe(true);
  });

  test("that grows while somebody waits for it is waited for to its new end", async () => {
    const clock = virtualClock({ start: 0 });
    const limiter = createLimiter({ concurrency: 1 }, clock, Math.random);
    limiter.pause(1000);
    const acquired = limiter.acquire(never, forever);
    await clock.advance(600);
    limiter.pause(1000);
    await clock.advance(999);
    expect(await byNow(clock, acquired)).toBe("waiting");
    await clock.advance(1);
    expect(await byNow(clock, acquired)).toBe(true);
  });

  test("beyond the caller's time is not waited for: the answer comes at once, and the place is free", async () => {
    const clock = virtualClock({ start: 0 });
    const limiter = createLimiter({ concurrency: 1 }, clock, Math.random);
    limiter.pause(1000);
    expect(await byNow(clock, limiter.acquire(never, 999))).toBe(false);
    const inTime = limiter.acquire(never, 1000);
    await clock.advance(1000);
    expect(await byNow(clock, inTime)).toBe(true);
  });

  test("that grows beyond the caller's time ends its waiting", async () => {
    const clock = virtualClock({ start: 0 });
    const limiter = createLimiter({ concurrency: 1 }, clock, Math.random);
    limiter.pause(100);
    const acquired = limiter.acquire(never, 500);
    limiter.pause(1000);
    await clock.advance(100);
    expect(await byNow(clock, acquired)).toBe(false);
  });

  test("is left at once by whoever is aborted, and the place with it", async () => {
    const clock = virtualClock({ start: 0 });
    const limiter = createLimiter({ concurrency: 1 }, clock, Math.random);
    limiter.pause(1000);
    const gone = new AbortController();
    const aborted = limiter.acquire(gone.signal, forever);
    const next = limiter.acquire(never, forever);
    await clock.advance(10);
    gone.abort();
    expect(await byNow(clock, aborted)).toBe(false);
    await clock.advance(990);
    expect(await byNow(clock, next)).toBe(true);
  });
});
