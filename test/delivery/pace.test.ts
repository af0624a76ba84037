import { describe, expect, test } from "vitest";
import { createPace } from "../../src/delivery/pace.ts";
import { type Waits, waitsOf } from "../../src/delivery/retry.ts";
import { virtualClock } from "../../src/testing/index.ts";

/** Draws `drawn` every time: by default the longest pause that could be drawn, nearly. */
function create({ drawn = 1 - 2 ** -40, stated }: { readonly drawn?: number; readonly stated?: Waits } = {}) {
  const clock = virtualClock({ start: 0 });
  return { clock, pace: createPace(clock, () => drawn, stated) };
}

/** The pauses of a vendor that refuses whatever comes: each request starts when the last pause is over, and takes 20 ms. */
async function pausesOf({ clock, pace }: ReturnType<typeof create>, count: number): Promise<number[]> {
  const pauses: number[] = [];
  for (let n = 0; n < count; n++) {
    const startedAt = clock.now();
    await clock.advance(20);
    const pause = pace.throttled(startedAt);
    pauses.push(pause);
    await clock.advance(pause);
  }
  return pauses;
}

test("all of it may be used until the vendor throttles", () => {
  const { pace } = create();
  pace.succeeded();
  expect(pace.share()).toBe(1);
});

describe("a throttle", () => {
  test("halves the share, and nothing starts for a moment", () => {
    const { pace } = create();
    expect(pace.throttled(0)).toBe(200);
    expect(pace.share()).toBe(0.5);
  });

  test("by requests that were under way at it says nothing new", async () => {
    const { clock, pace } = create();
    await clock.advance(100);
    pace.throttled(0);
    for (let request = 0; request < 10; request++) expect(pace.throttled(50)).toBe(0);
    expect(pace.share()).toBe(0.5);
  });

  test("after throttle without a success between does not halve again, but waits ever longer", async () => {
    const run = create();
    const pauses = await pausesOf(run, 40);
    expect(pauses.slice(0, 5)).toEqual([200, 400, 800, 1_300, 1_300]);
    for (const [n, pause] of pauses.entries()) expect(pause).toBeGreaterThanOrEqual(pauses[n - 1] ?? 0);
    expect(pauses.at(-1)).toBe(30_000);
    expect(run.pace.share()).toBe(0.5);
  });

  test("of a minute comes to some thirty requests, and what of the quota is missed then is a sixth at most", async () => {
    const run = create({ drawn: 0.5 });
    const pauses = await pausesOf(run, 60);
    let throttled = 0;
    let inAMinute = 0;
    for (const pause of pauses) {
      expect(pause).toBeLessThanOrEqual(Math.max(1_300, throttled / 6));
      throttled += pause + 20;
      if (throttled < 60_000) inAMinute++;
    }
    expect(inAMinute).toBeLessThan(32);
  });

  test("has a pause of which half is drawn, so that two workers do not come back together", async () => {
    const shortest = await pausesOf(create({ drawn: 0 }), 4);
    expect(shortest).toEqual([100, 200, 400, 650]);
    const between = await pausesOf(create({ drawn: 0.5 }), 4);
    expect(between).toEqual([150, 300, 600, 975]);
  });

  test("of a vendor that says how it wants to be waited for is waited for so: doubling, to the ceiling, drawn", async () => {
    const stated = waitsOf({ leastMs: 2_000, mostMs: 60_000 });
    const least = await pausesOf(create({ drawn: 0, stated }), 7);
    expect(least).toEqual([2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
    const most = await pausesOf(create({ stated }), 7);
    expect(most).toEqual([4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
  });

  test("in the same millisecond in which a request began is none that it was told of", async () => {
    const { pace } = create();
    expect(pace.throttled(-1)).toBe(200);
    expect(pace.throttled(0)).toBe(0);
  });

  test("after a success halves what had been reached", async () => {
    const { clock, pace } = create();
    pace.throttled(0);
    pace.succeeded();
    await clock.advance(200);
    const reached = pace.share();
    expect(reached).toBeCloseTo(0.7);
    expect(pace.throttled(clock.now())).toBe(200);
    expect(pace.share()).toBeCloseTo(reached / 2);
  });
});

describe("recovery", () => {
  test("begins with the first success, fast to just below the last throttle, then slowly to the whole", async () => {
    const { clock, pace } = create();
    pace.throttled(0);
    await clock.advance(60_000);
    expect(pace.share()).toBe(0.5);
    pace.succeeded();
    await clock.advance(450);
    expect(pace.share()).toBeCloseTo(0.95);
    await clock.advance(10_000);
    expect(pace.share()).toBeCloseTo(0.98);
    await clock.advance(10_000);
    pace.succeeded();
    expect(pace.share()).toBe(1);
    // It is as if nothing had been: the next throttle halves the whole.
    pace.throttled(clock.now());
    expect(pace.share()).toBe(0.5);
  });

  test("never comes to nothing, however often the vendor throttles", async () => {
    const { clock, pace } = create();
    for (let request = 0; request < 2_000; request++) {
      await clock.advance(10);
      pace.throttled(clock.now());
      pace.succeeded();
    }
    expect(pace.share()).toBe(0.01);
    await clock.advance(1_000_000);
    expect(pace.share()).toBe(1);
  });
});
