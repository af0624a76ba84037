import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import {
  type Again,
  backoffMs,
  defaultRetryPolicy,
  type RetryPolicy,
  waitsOf,
  withRetries,
} from "../../src/delivery/retry.ts";
import { virtualClock } from "../../src/testing/index.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

const again: Again = { retryAfterMs: 0 };

interface Options {
  readonly policy?: Partial<RetryPolicy>;
  readonly random?: () => number;
  readonly deadline?: number;
  readonly signal?: AbortSignal;
}

/** Runs attempts that answer as told (the last answer again and again) at time 0; says when each began and when all was over. */
async function run(answers: readonly ("done" | Again | Error)[], options: Options = {}) {
  const clock = virtualClock({ start: 0 });
  const begun: [number: number, at: number][] = [];
  const retrying = withRetries(
    async (number) => {
      begun.push([number, clock.now()]);
      const answer = answers[Math.min(begun.length, answers.length) - 1] ?? "done";
      if (answer instanceof Error) throw answer;
      return answer;
    },
    {
      policy: { ...defaultRetryPolicy, ...options.policy },
      clock,
      random: options.random ?? (() => 0),
      signal: options.signal ?? new AbortController().signal,
      deadline: options.deadline ?? Number.POSITIVE_INFINITY,
    },
  );
  await clock.run(retrying);
  return { begun, over: clock.now() };
}

describe("the backoff", () => {
  test("lies between half its bound and its bound, which doubles up to the longest", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 2_000 }),
        fc.integer({ min: 1, max: 5_000 }),
        fc.integer({ min: 1, max: 60_000 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (attempt, firstMs, maxMs, drawn) => {
          const wait = backoffMs(attempt, { ...defaultRetryPolicy, firstMs, maxMs }, () => drawn);
          const bound = Math.min(maxMs, firstMs * 2 ** (attempt - 1));
          expect(Number.isInteger(wait)).toBe(true);
          expect(wait).toBeGreaterThanOrEqual(bound / 2);
          expect(wait).toBeLessThanOrEqual(Math.ceil(bound));
        },
      ),
    );
  });

  test("is drawn from the whole of that half", () => {
    const policy = { ...defaultRetryPolicy, firstMs: 1_000, maxMs: 4_000 };
    expect([1, 2, 3, 4].map((attempt) => backoffMs(attempt, policy, () => 0))).toEqual([
      500, 1_000, 2_000, 2_000,
    ]);
    expect(backoffMs(1, policy, () => 0.5)).toBe(750);
    expect(backoffMs(3, policy, () => 0.999)).toBe(3_998);
  });

  test("of a sink that states one is never shorter than it says, nor longer", () => {
    const waits = waitsOf({ leastMs: 2_000, mostMs: 60_000 });
    const numbers = [1, 2, 3, 4, 5, 6];
    const shortest = numbers.map((attempt) => backoffMs(attempt, waits, () => 0));
    expect(shortest).toEqual([2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    expect(Math.max(...numbers.map((attempt) => backoffMs(attempt, waits, () => 0.999)))).toBeLessThanOrEqual(
      60_000,
    );
  });
});

describe("attempts", () => {
  test("end with the first that is done", async () => {
    expect(await run(["done"])).toEqual({ begun: [[1, 0]], over: 0 });
    const { begun } = await run([again, "done"]);
    expect(begun).toEqual([
      [1, 0],
      [2, 250],
    ]);
  });

  test.each([1, 2, 6])("are %i in all, numbered from 1, and giving up is no error", async (attempts) => {
    const { begun, over } = await run([again], { policy: { attempts } });
    expect(begun.map(([number]) => number)).toEqual(
      Array.from({ length: attempts }, (_, index) => index + 1),
    );
    // After the last one nothing is waited for.
    expect(over).toBe(begun.at(-1)?.[1]);
  });

  test("wait the backoff of their number in between, and never for real", async () => {
    const timers = vi.spyOn(globalThis, "setTimeout");
    const { begun } = await run([again], { policy: { attempts: 5, firstMs: 500, maxMs: 1_500 } });
    expect(begun.map(([, at]) => at)).toEqual([0, 250, 750, 1_500, 2_250]);
    expect(timers).not.toHaveBeenCalled();
  });

  test.each([
    ["an error", new Error("a defect")],
    ["a TypeError", new TypeError("a defect")],
    ["a TypeError that looks like the network's", new TypeError("fetch failed")],
  ])("%s that is thrown is a defect: it is not tried again, and not swallowed", async (_, error) => {
    let attempts = 0;
    const clock = virtualClock();
    const failing = withRetries(
      async () => {
        attempts++;
        throw error;
      },
      {
        policy: defaultRetryPolicy,
        clock,
        random: () => 0,
        signal: new AbortController().signal,
        deadline: Number.POSITIVE_INFINITY,
      },
    );
    await expect(clock.run(failing)).rejects.toBe(error);
    expect(attempts).toBe(1);
  });
});

describe("a vendor's Retry-After", () => {
  test("is waited for when it is longer than the backoff; a shorter one does not shorten it", async () => {
    const { begun } = await run([{ retryAfterMs: 7_000 }, { retryAfterMs: 1 }, "done"]);
    expect(begun.map(([, at]) => at)).toEqual([0, 7_000, 7_500]);
  });

  test("of the longest wait is waited for, beyond that it is not", async () => {
    const policy = { longestWaitMs: 60_000 };
    expect((await run([{ retryAfterMs: 60_000 }, "done"], { policy })).begun).toHaveLength(2);
    expect(await run([{ retryAfterMs: 60_001 }, "done"], { policy })).toEqual({ begun: [[1, 0]], over: 0 });
  });

  test("whatever it is, no attempt comes before it", async () => {
    const answers = fc.array(fc.nat(90_000), { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(answers, fc.double({ min: 0, max: 0.999, noNaN: true }), async (waits, drawn) => {
        const asked = waits.map((retryAfterMs) => ({ retryAfterMs }));
        const { begun } = await run([...asked, "done"], { random: () => drawn });
        for (const [position, [number, at]] of begun.entries()) {
          const [, before] = begun[position - 1] ?? [0, 0];
          if (position === 0) continue;
          const backoff = backoffMs(number - 1, defaultRetryPolicy, () => drawn);
          expect(at - before).toBe(Math.max(waits[position - 1] ?? 0, backoff));
          expect(at - before).toBeLessThanOrEqual(defaultRetryPolicy.longestWaitMs);
        }
      }),
      { numRuns: 40 },
    );
  });
});

describe("the deadline", () => {
  test("is not waited for when the next attempt would come with it or after it", async () => {
    expect(await run([again, "done"], { deadline: 250 })).toEqual({ begun: [[1, 0]], over: 0 });
    expect((await run([again, "done"], { deadline: 251 })).begun).toHaveLength(2);
    expect(await run([{ retryAfterMs: 5_000 }, "done"], { deadline: 5_000 })).toEqual({
      begun: [[1, 0]],
      over: 0,
    });
  });
});

describe("the signal", () => {
  test("ends a wait at once, and no attempt follows", async () => {
    const clock = virtualClock({ start: 0 });
    let attempts = 0;
    const retrying = withRetries(
      async () => {
        attempts++;
        return { retryAfterMs: 10_000 };
      },
      { policy: defaultRetryPolicy, clock, random: () => 0, signal: clock.signal(3_000), deadline: 60_000 },
    );
    await clock.run(retrying);
    expect([attempts, clock.now()]).toEqual([1, 3_000]);
  });

  test("that was aborted during the attempt lets no wait begin", async () => {
    const clock = virtualClock({ start: 0 });
    const abort = new AbortController();
    let attempts = 0;
    const retrying = withRetries(
      async () => {
        attempts++;
        abort.abort();
        return again;
      },
      { policy: defaultRetryPolicy, clock, random: () => 0, signal: abort.signal, deadline: 60_000 },
    );
    await clock.run(retrying);
    expect([attempts, clock.now()]).toEqual([1, 0]);
  });

  test("does not undo what an attempt achieved", async () => {
    const { begun } = await run(["done"], { signal: AbortSignal.abort() });
    expect(begun).toHaveLength(1);
  });
});

test("the default is as documented", () => {
  expect(defaultRetryPolicy).toEqual({ attempts: 6, firstMs: 500, maxMs: 30_000, longestWaitMs: 60_000 });
});
