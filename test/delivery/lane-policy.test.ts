import { describe, expect, test } from "vitest";
import file from "../../adapters/file/twin.ts";
import hubspot from "../../adapters/hubspot/twin.ts";
import mixpanel from "../../adapters/mixpanel/twin.ts";
import segment from "../../adapters/segment/twin.ts";
import timestream from "../../adapters/timestream/twin.ts";
import { lanePolicyOf } from "../../src/delivery/lane-policy.ts";
import type { Limits } from "../../src/delivery/sink.ts";
import { virtualClock } from "../../src/testing/index.ts";

const mebibyte = 1024 * 1024;
const usual = { maxItems: 20_000, maxBytes: 8 * mebibyte };

const limitsOf = (itemsPerRequest: number, bytesPerRequest: number): Limits => ({
  itemsPerRequest,
  bytesPerRequest,
  bytesPerItem: 1000,
  concurrency: 1,
});

describe("what a lane holds when nothing is set", () => {
  test.each([mixpanel, segment, hubspot, timestream].flat().map(({ sink }) => sink(virtualClock())))(
    "is the usual for $name, whose requests are small",
    ({ limits }) => {
      expect(lanePolicyOf(limits, {})).toEqual(usual);
    },
  );

  test("is two requests of the sink with their records of 1 KB, where those are larger", () => {
    const [items, bytes] = [50_000, 8 * mebibyte];
    const { maxItems, maxBytes } = lanePolicyOf(limitsOf(items, bytes), {});
    expect(maxItems).toBe(2 * items);
    expect(maxBytes).toBe(2 * (bytes + items * 1024));
    expect(lanePolicyOf(file.sink().limits, {}).maxBytes).toBeGreaterThan(2 * 8 * mebibyte);
  });

  test("stays within memory when a sink's limits mean that it has none", () => {
    const none = Number.MAX_SAFE_INTEGER;
    expect(lanePolicyOf(limitsOf(none, none), {})).toEqual({ maxItems: 200_000, maxBytes: 128 * mebibyte });
  });
});

test("what is set is what a lane holds, each bound for itself, however large a request may be", () => {
  const limits = limitsOf(50_000, mebibyte);
  expect(lanePolicyOf(limits, { maxItems: 7, maxBytes: 11 })).toEqual({ maxItems: 7, maxBytes: 11 });
  expect(lanePolicyOf(limits, { maxBytes: 11 })).toEqual({ maxItems: 100_000, maxBytes: 11 });
  expect(lanePolicyOf(limitsOf(1, 1), { maxItems: 1_000_000 })).toEqual({ ...usual, maxItems: 1_000_000 });
});
