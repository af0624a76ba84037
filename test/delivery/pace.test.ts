import { describe, expect, test } from "vitest";
import { createPace } from "../../src/delivery/pace.ts";
import { virtualClock } from "../../src/testing/index.ts";

function create() {
  const clock = virtualClock({ start: 0 });
  return { clock, pace: createPace(clock) };
}

test("all of it may be used until the vendor throttles", () => {
  const { pace } = create();
  pace.succeeded();
  expect(pace.share()).toBe(1);
});

describe("a throttle", () => {
  test("halves the share, and nothing starts for a moment", () => {
    const { pace } = create();
    expect(pace.throttled(0)).toBe(100);
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
    const { clock, pace } = create();
    const pauses = [pace.throttled(0)];
    for (let again = 0; again < 6; again++) {
      await clock.advance(1_000);
      pauses.push(pace.throttled(clock.now()));
    }
    expect(pauses).toEqual([100, 200, 400, 800, 1_000, 1_000, 1_000]);
    expect(pace.share()).toBe(0.5);
  });

  test("after a success halves what had been reached", async () => {
    const { clock, pace } = create();
    pace.throttled(0);
    pace.succeeded();
    await clock.advance(200);
    const reached = pace.share();
    expect(reached).toBeCloseTo(0.7);
    expect(pace.throttled(clock.now())).toBe(100);
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
