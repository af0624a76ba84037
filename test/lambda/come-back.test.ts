// When a message that failed is given out again.
import { describe, expect, test } from "vitest";
import { receives, secondsUntilBack } from "../../src/lambda/come-back.ts";

const passing = { isPassing: true };
/** Seconds from the first receive until the queue gives the message up, when every receive fails. */
const untilGivenUp = (how: Parameters<typeof secondsUntilBack>[0], random: () => number) =>
  Array.from({ length: receives - 1 }, (_, index) => secondsUntilBack(how, index + 1, random)).reduce(
    (sum, seconds) => sum + seconds,
    0,
  );

describe("a message that failed comes back", () => {
  test.each([
    [1, 20],
    [2, 40],
    [6, 640],
    [7, 900],
    [500, 900],
  ])("after receive %i in %i seconds at most, and in half of them at least", (count, most) => {
    expect(secondsUntilBack(passing, count, () => 0)).toBe(most);
    expect(secondsUntilBack(passing, count, () => 0.999_999)).toBeGreaterThanOrEqual(most / 2);
  });

  test("sooner, when the claim that was in the way ends before", () => {
    expect(secondsUntilBack({ ...passing, claimEndsInMs: 4_200 }, 6, () => 0)).toBe(5);
    expect(secondsUntilBack({ ...passing, claimEndsInMs: -1 }, 6, () => 0)).toBe(1);
    expect(secondsUntilBack({ ...passing, claimEndsInMs: 3_600_000 }, 1, () => 0)).toBe(20);
  });

  test("for hours before the queue gives it up, where time may cure it", () => {
    expect(untilGivenUp(passing, () => 0.999_999)).toBeGreaterThan(1.8 * 3_600);
    expect(untilGivenUp(passing, () => 0)).toBeLessThan(4 * 3_600);
  });

  test("for more than an hour and a half also where one claim after the other is in its way", () => {
    expect(untilGivenUp({ ...passing, claimEndsInMs: 1_000 }, () => 0.999_999)).toBeGreaterThan(1.6 * 3_600);
  });

  test("and lies in the dead-letter queue after 19 minutes, where it wants a person", () => {
    expect(untilGivenUp({ isPassing: false }, () => 0)).toBe(19 * 60);
  });
});
