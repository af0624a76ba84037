import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Breaker, createBreaker, defaultBreakerPolicy } from "../../src/delivery/breaker.ts";
import { type VirtualClock, virtualClock } from "../../src/testing/index.ts";

const policy = { failures: 3, overMs: 1_000, openMs: 30_000 };

function create(change: Partial<typeof policy> = {}): { clock: VirtualClock; breaker: Breaker } {
  const clock = virtualClock({ start: 0 });
  return { clock, breaker: createBreaker({ ...policy, ...change }, clock) };
}

/** Fails until it opens; the last failure is at the clock's present. */
async function open({ clock, breaker }: ReturnType<typeof create>): Promise<void> {
  for (const at of [0, 500, 1_000]) {
    await clock.advance(at - clock.now());
    breaker.failure("the sink is down", at);
  }
  expect(breaker.open).toMatchObject({ until: 31_000, reason: "the sink is down" });
}

/** As a caller that wants to send asks: again whenever somebody's trial is over. */
async function enter(breaker: Breaker): Promise<string | undefined> {
  for (;;) {
    const answer = breaker.enter();
    if (!(answer instanceof Promise)) return answer;
    await answer;
  }
}

/** What a caller hears by now, without time passing: a reason, undefined for "go", or that it has to wait. */
async function byNow(clock: VirtualClock, entering: Promise<string | undefined>) {
  let answer: string | undefined = "waiting";
  entering.then((value) => {
    answer = value;
  });
  await clock.advance(0);
  return answer;
}

describe("opening", () => {
  test("needs as many failures in a row as the policy says, and the time that they must last", async () => {
    const { clock, breaker } = create();
    breaker.failure("down", 0);
    await clock.advance(60_000);
    breaker.failure("down", 59_000);
    // Two failures, however far apart: a sink with little to do.
    expect(await enter(breaker)).toBeUndefined();
    breaker.failure("down at last", 59_000);
    expect(await enter(breaker)).toBe("down at last");
  });

  test("is not the work of a blip, however many parallel requests it hits", async () => {
    const { clock, breaker } = create();
    await clock.advance(100);
    for (let request = 0; request < 50; request++) breaker.failure("reset", 90);
    expect(breaker.open).toBeUndefined();
    expect(await enter(breaker)).toBeUndefined();
    await clock.advance(989);
    breaker.failure("reset", 1_080);
    expect(breaker.open).toBeUndefined();
    await clock.advance(1);
    breaker.failure("reset", 1_080);
    expect(breaker.open).toBeDefined();
  });

  test("counts from when the first failed request began: a sink that hangs is down when the requests give up", async () => {
    const { clock, breaker } = create();
    await clock.advance(30_000);
    for (let request = 0; request < 3; request++) breaker.failure("no reply in time", 0);
    expect(breaker.open?.reason).toBe("no reply in time");
  });

  test("does not count the time of a request that hung beside others that succeeded", async () => {
    const { clock, breaker } = create();
    await clock.advance(29_900);
    breaker.success();
    await clock.advance(100);
    breaker.failure("no reply in time", 0);
    for (let request = 0; request < 3; request++) breaker.failure("reset", 29_990);
    expect(breaker.open).toBeUndefined();
  });

  test("a success in between begins the count and the time anew", async () => {
    const { clock, breaker } = create();
    breaker.failure("down", 0);
    breaker.failure("down", 0);
    await clock.advance(900);
    breaker.success();
    breaker.failure("down", 900);
    breaker.failure("down", 900);
    await clock.advance(999);
    breaker.failure("down", 1_000);
    expect(breaker.open).toBeUndefined();
    await clock.advance(1);
    breaker.failure("down", 1_000);
    expect(breaker.open).toBeDefined();
  });

  test("happens exactly when the failures since the last success are enough and span the time", async () => {
    const steps = fc.array(fc.record({ ms: fc.nat(1_200), fails: fc.boolean() }), { maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(steps, async (sequence) => {
        const { clock, breaker } = create();
        let failures: number[] = [];
        for (const { ms, fails } of sequence) {
          await clock.advance(ms);
          if (fails) {
            failures.push(clock.now());
            breaker.failure("down", clock.now());
          } else {
            failures = [];
            breaker.success();
          }
          const [first = clock.now()] = failures;
          const shouldOpen = failures.length >= policy.failures && clock.now() - first >= policy.overMs;
          expect(breaker.open !== undefined).toBe(shouldOpen);
          if (shouldOpen) return;
        }
      }),
      { numRuns: 50 },
    );
  });
});

describe("while it is open", () => {
  test("nobody gets through, and everybody hears why", async () => {
    const world = create();
    await open(world);
    for (let request = 0; request < 3; request++) expect(await enter(world.breaker)).toBe("the sink is down");
    await world.clock.advance(29_999);
    expect(await enter(world.breaker)).toBe("the sink is down");
    expect(world.breaker.open?.until).toBe(31_000);
  });

  test("requests from before it opened change nothing, whether they fail or succeed", async () => {
    const world = create();
    await open(world);
    await world.clock.advance(10_000);
    world.breaker.failure("no reply in time", 999);
    world.breaker.success();
    expect(world.breaker.open).toMatchObject({ until: 31_000, reason: "the sink is down" });
    await world.clock.advance(20_000);
    expect(await enter(world.breaker)).toBeUndefined();
  });
});

describe("when the open time is over", () => {
  test("exactly one tries, the others wait for what it finds; success lets all of them go", async () => {
    const world = create();
    await open(world);
    await world.clock.advance(30_000);
    expect(world.breaker.open).toBeUndefined();
    expect(await enter(world.breaker)).toBeUndefined();
    const others = [1, 2, 3].map(() => enter(world.breaker));
    for (const other of others) expect(await byNow(world.clock, other)).toBe("waiting");
    // Not even a long trial is one too many.
    await world.clock.advance(60_000);
    for (const other of others) expect(await byNow(world.clock, other)).toBe("waiting");
    world.breaker.success();
    for (const other of others) expect(await byNow(world.clock, other)).toBeUndefined();
    // It has recovered: one failure is one failure again.
    world.breaker.failure("down", world.clock.now());
    expect(await enter(world.breaker)).toBeUndefined();
  });

  test("a trial that fails opens it again for the whole time, and the others hear why", async () => {
    const world = create();
    await open(world);
    await world.clock.advance(30_000);
    expect(await enter(world.breaker)).toBeUndefined();
    const other = enter(world.breaker);
    await world.clock.advance(5_000);
    world.breaker.failure("still down", 31_000);
    expect(await byNow(world.clock, other)).toBe("still down");
    expect(world.breaker.open).toMatchObject({ until: 66_000, reason: "still down" });
    await world.clock.advance(29_999);
    expect(await enter(world.breaker)).toBe("still down");
    await world.clock.advance(1);
    expect(await enter(world.breaker)).toBeUndefined();
  });

  test("a late failure from before it opened does not end the trial", async () => {
    const world = create();
    await open(world);
    await world.clock.advance(30_000);
    await enter(world.breaker);
    const other = enter(world.breaker);
    world.breaker.failure("no reply in time", 500);
    expect(await byNow(world.clock, other)).toBe("waiting");
    world.breaker.success();
    expect(await byNow(world.clock, other)).toBeUndefined();
  });

  test("a trial that finds a fact about the whole sink opens it for as long as that asks", async () => {
    const world = create();
    await open(world);
    await world.clock.advance(30_000);
    await enter(world.breaker);
    const other = enter(world.breaker);
    world.breaker.trip("the token is not valid", 3_600_000);
    expect(await byNow(world.clock, other)).toBe("the token is not valid");
    expect(world.breaker.open?.until).toBe(31_000 + 3_600_000);
  });

  test("when a trial opens it for no time at all, one of those who wait is the next to try, one alone", async () => {
    const world = create();
    await open(world);
    await world.clock.advance(30_000);
    await enter(world.breaker);
    const others = [1, 2].map(() => enter(world.breaker));
    world.breaker.trip("come again", 0);
    const answers = await Promise.all(others.map((other) => byNow(world.clock, other)));
    expect(answers.sort()).toEqual(["waiting", undefined]);
  });
});

describe("a request that its own caller gave up", () => {
  test("counts neither for nor against the sink", async () => {
    const { clock, breaker } = create();
    for (let request = 0; request < 10; request++) breaker.abandon(0);
    await clock.advance(60_000);
    expect(breaker.open).toBeUndefined();
    breaker.failure("down", 0);
    breaker.abandon(0);
    breaker.failure("down", 0);
    breaker.failure("down", 0);
    expect(breaker.open?.reason).toBe("down");
  });

  test("ends its trial, and the next one may try", async () => {
    const world = create();
    await open(world);
    await world.clock.advance(30_000);
    expect(await enter(world.breaker)).toBeUndefined();
    const others = [1, 2].map(() => enter(world.breaker));
    // One from before it opened is not the trial.
    world.breaker.abandon(500);
    for (const other of others) expect(await byNow(world.clock, other)).toBe("waiting");
    world.breaker.abandon(world.clock.now());
    const answers = await Promise.all(others.map((other) => byNow(world.clock, other)));
    expect(answers.sort()).toEqual(["waiting", undefined]);
  });
});

describe("who listens", () => {
  test("hears every opening with its reason, until the signal aborts", async () => {
    const { clock, breaker } = create();
    const over = new AbortController();
    const heard: string[] = [];
    breaker.onOpen((reason) => heard.push(reason), over.signal);
    breaker.trip("first");
    await clock.advance(policy.openMs);
    await enter(breaker);
    breaker.failure("second", clock.now());
    over.abort();
    breaker.trip("third");
    expect(heard).toEqual(["first", "second"]);
  });
});

describe("failures of a milder kind", () => {
  test("open the breaker when they have lasted as long as their caller says", async () => {
    const { clock, breaker } = create();
    for (let at = 0; at < 60_000; at += 1_000) {
      breaker.failure("throttled", at, 60_000);
      await clock.advance(1_000);
    }
    expect(breaker.open).toBeUndefined();
    breaker.failure("throttled", clock.now(), 60_000);
    expect(breaker.open?.reason).toBe("throttled");
  });
});

describe("tripping", () => {
  test("opens at once, without a failure before, and for the policy's time when none is named", async () => {
    const { clock, breaker } = create();
    breaker.trip("the token is not valid");
    expect(await enter(breaker)).toBe("the token is not valid");
    expect(breaker.open).toMatchObject({ until: policy.openMs });
    await clock.advance(policy.openMs);
    expect(await enter(breaker)).toBeUndefined();
  });

  test("for a shorter time never shortens what is open", async () => {
    const { breaker } = create();
    breaker.trip("the daily quota is spent", 3_600_000);
    breaker.trip("slow down", 1_000);
    expect(breaker.open?.until).toBe(3_600_000);
  });

  test("is not undone by a request that was under way and succeeds", async () => {
    const { breaker } = create();
    breaker.trip("the daily quota is spent", 3_600_000);
    breaker.success();
    expect(await enter(breaker)).toBe("the daily quota is spent");
  });
});

test("the default is as documented", () => {
  expect(defaultBreakerPolicy).toEqual({ failures: 5, overMs: 3_000, openMs: 30_000 });
});
