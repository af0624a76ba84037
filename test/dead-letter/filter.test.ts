import { describe, expect, test } from "vitest";
import {
  isAboutLetters,
  isEmpty,
  type LetterFilter,
  lanesNamed,
  letterId,
  matches,
  matchesObject,
  meansId,
} from "../../src/dead-letter/filter.ts";

const hash = "3f2a91bc04d1e5f60718293a4b5c6d7e";
const waiting = {
  sink: "hubspot-events",
  stage: "send",
  code: "HTTP_400",
  fingerprint: "87e04613553a",
  lastAt: 1000,
  event: { tenantId: "acme", metricName: "scan_completed" },
} as const;

describe("a filter lets a letter through", () => {
  const through: readonly LetterFilter[] = [
    {},
    { sinks: [] },
    { sinks: ["mixpanel", "hubspot-events"] },
    { sinks: ["hubspot-events"] },
    { tenants: ["acme"] },
    { metrics: ["scan_completed"] },
    { stages: ["encode", "send"] },
    { codes: ["HTTP_400"] },
    { fingerprints: ["87e0"] },
    { since: 1000 },
    { until: 1001 },
    { sinks: ["hubspot-events"], codes: ["HTTP_400"], since: 1 },
  ];
  test.each(through)("%j", (filter) => expect(matches(filter, waiting)).toBe(true));

  const not: readonly LetterFilter[] = [
    { sinks: ["hubspot-companies"] },
    { sinks: ["hub"] },
    { tenants: ["Acme"] },
    { metrics: ["scan"] },
    { stages: ["pending"] },
    { codes: ["HTTP_4"] },
    { fingerprints: ["7e04"] },
    { fingerprints: [""] },
    { since: 1001 },
    { until: 1000 },
    { sinks: ["hubspot-events"], codes: ["HTTP_413"] },
  ];
  test.each(not)("but not %j", (filter) => expect(matches(filter, waiting)).toBe(false));

  test("of an unknown tenant only when no tenant is asked for", () => {
    const { event: _, ...unknown } = waiting;
    expect(matches({ tenants: ["acme"] }, unknown)).toBe(false);
    expect(matches({ sinks: ["hubspot-events"] }, unknown)).toBe(true);
  });
});

test("objects are named by their key, by location and key, or by the file's name, and never by a part of it", () => {
  const object = { bucket: "s3://data", key: "Data/day=20/batch-1.gz", version: "v" };
  for (const name of [
    "s3://data/Data/day=20/batch-1.gz",
    "Data/day=20/batch-1.gz",
    "batch-1.gz",
    "/batch-1.gz",
  ]) {
    expect(matchesObject({ objects: [name] }, object), name).toBe(true);
  }
  for (const name of ["1.gz", "batch-1", "Data/day=20", "s3://data"]) {
    expect(matchesObject({ objects: [name] }, object), name).toBe(false);
  }
});

describe("an id", () => {
  test("is short, and names the object, the sink and the record", () => {
    expect(letterId(hash, "hubspot-events", 17)).toBe("3f2a91bc04-hubspot-events-17");
    expect(letterId(hash, "segment")).toBe("3f2a91bc04-segment");
  });

  test.each([
    ["3f2a91bc04-segment-1", 1, true],
    [`${hash}-segment-1`, 1, true],
    ["3f2a-segment-1", 1, true],
    ["3F2A91BC04-segment-1", 1, true],
    ["3f2a91bc", 1, true],
    // A record whose index only begins alike is another one: a drop by id must not take ten more with it.
    ["3f2a91bc04-segment-1", 12, false],
    ["3f2a91bc04-segment-12", 1, false],
    ["3f2a91bc04-segment", 1, false],
    ["3f2a91bc04-seg", 1, false],
    ["3f2", 1, false],
    ["aaaa-segment-1", 1, false],
    ["", 1, false],
  ])("%j means record %i of segment: %j", (id, index, expected) => {
    expect(meansId(id, hash, "segment", index)).toBe(expected);
  });

  test("without an index means what is pending", () => {
    expect(meansId("3f2a91bc04-segment", hash, "segment")).toBe(true);
    expect(meansId("3f2a91bc04-segment", hash, "segment-groups")).toBe(false);
    expect(meansId("3f2a91bc04-segment-1", hash, "segment")).toBe(false);
  });
});

test("an exact name is that sink alone; only where there is none, a name stands for those that go on behind a dash", () => {
  const lanes = ["segment", "segment-groups", "hubspot-events", "hubspot-companies"];
  expect(lanesNamed("segment", lanes)).toEqual(["segment"]);
  expect(lanesNamed("hubspot", lanes)).toEqual(["hubspot-events", "hubspot-companies"]);
  expect(lanesNamed("intake", lanes)).toEqual(["_intake"]);
  expect(lanesNamed("seg", lanes)).toEqual([]);
});

test("a filter is empty when it would let everything through", () => {
  expect(isEmpty({})).toBe(true);
  expect(isEmpty({ sinks: [] })).toBe(true);
  expect(isEmpty({ since: 0 })).toBe(false);
  expect(isEmpty({ within: new Set() })).toBe(false);
});

test("what only letters hold leaves deferrals out", () => {
  for (const filter of [{ tenants: ["a"] }, { codes: ["A"] }, { stages: ["send"] }] as const) {
    expect(isAboutLetters(filter)).toBe(true);
  }
  for (const filter of [{}, { sinks: ["a"] }, { stages: ["send", "pending"] }, { since: 1 }] as const) {
    expect(isAboutLetters(filter)).toBe(false);
  }
});
