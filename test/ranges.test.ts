import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createCursor, createIndexSet, everything, type Ranges, startingAt, union } from "../src/ranges.ts";

/** Beyond every finite bound that the tests draw, so that the last index stands for "and so on for ever". */
const bound = 80;
const indexes = Array.from({ length: bound }, (_, index) => index);

/** The naive model: every index that is in. */
const modelOf = (ranges: Ranges): number[] =>
  indexes.filter((index) => ranges.some(({ from, to }) => index >= from && (to === null || index < to)));

/** Any ranges: in any order, overlapping, touching, empty, upside down. */
const anyRanges = fc.array(
  fc.record({
    from: fc.nat(60),
    to: fc.oneof({ weight: 9, arbitrary: fc.nat(70) }, { weight: 1, arbitrary: fc.constant(null) }),
  }),
  { maxLength: 12 },
);

function expectCanonical(ranges: Ranges): void {
  for (const [position, { from, to }] of ranges.entries()) {
    const next = ranges[position + 1];
    if (to === null) expect(next).toBeUndefined();
    else {
      expect(to).toBeGreaterThan(from);
      if (next !== undefined) expect(next.from).toBeGreaterThan(to);
    }
  }
}

describe("union", () => {
  test("holds what one of its sets holds, in ascending ranges that do not touch", () => {
    fc.assert(
      fc.property(fc.array(anyRanges, { maxLength: 4 }), (sets) => {
        const before = structuredClone(sets);
        const united = union(...sets);
        expect(modelOf(united)).toEqual(modelOf(sets.flat()));
        expectCanonical(united);
        expect(sets).toEqual(before);
      }),
    );
  });

  test("of what is endless is endless, and everything holds everything", () => {
    expect(union([{ from: 7, to: null }], everything, [{ from: 3, to: 5 }])).toEqual(everything);
    expect(union([{ from: 3, to: 5 }], [{ from: 5, to: null }])).toEqual([{ from: 3, to: null }]);
    expect(union()).toEqual([]);
  });

  test("makes new ranges: what it was given is not shared with what it gives", () => {
    const given = [{ from: 1, to: 3 }];
    const [united] = union(given);
    expect(united).toEqual(given[0]);
    expect(united).not.toBe(given[0]);
  });
});

test("startingAt keeps what lies from the index on, and nothing else", () => {
  fc.assert(
    fc.property(anyRanges, fc.nat(75), (any, from) => {
      const ranges = union(any);
      const rest = startingAt(ranges, from);
      expect(modelOf(rest)).toEqual(modelOf(ranges).filter((index) => index >= from));
      expectCanonical(rest);
    }),
  );
  expect(startingAt([{ from: 1, to: 3 }], 3)).toEqual([]);
  expect(startingAt([{ from: 1, to: 3 }], 2)).toEqual([{ from: 2, to: 3 }]);
});

test("a cursor answers for ascending indexes, skipped and repeated ones too, as the set would", () => {
  fc.assert(
    fc.property(anyRanges, fc.array(fc.nat(bound - 1), { maxLength: 60 }), (any, asked) => {
      const ranges = union(any);
      const held = new Set(modelOf(ranges));
      const cursor = createCursor(ranges);
      const ascending = asked.sort((a, b) => a - b);
      expect(ascending.map((index) => cursor(index))).toEqual(ascending.map((index) => held.has(index)));
    }),
  );
});

describe("an index set", () => {
  /** Different indexes in nearly ascending order, and the moments at which somebody looks. */
  const additions = fc.uniqueArray(fc.nat(bound - 1), { maxLength: 60 }).chain((chosen) =>
    fc.record({
      added: fc.constant(chosen.sort((a, b) => Math.floor(a / 8) - Math.floor(b / 8))),
      looks: fc.array(fc.boolean(), { minLength: chosen.length, maxLength: chosen.length }),
    }),
  );

  test("holds what was added, whenever somebody looks, and what was seen does not change", () => {
    fc.assert(
      fc.property(additions, ({ added, looks }) => {
        const set = createIndexSet();
        const seen: [Ranges, Ranges][] = [];
        for (const [position, index] of added.entries()) {
          set.add(index);
          expect(set.size).toBe(position + 1);
          if (looks[position] === true) seen.push([set.ranges(), structuredClone(set.ranges())]);
        }
        expect(modelOf(set.ranges())).toEqual(added.toSorted((a, b) => a - b));
        expectCanonical(set.ranges());
        for (const [now, then] of seen) expect(now).toEqual(then);
      }),
    );
  });

  test("joins ranges by the thousand on its way, and loses none", () => {
    const set = createIndexSet();
    for (let index = 0; index < 30_000; index += 2) set.add(index);
    expect(set.ranges()).toHaveLength(15_000);
    for (let index = 1; index < 30_000; index += 2) set.add(index);
    expect(set.size).toBe(30_000);
    expect(set.ranges()).toEqual([{ from: 0, to: 30_000 }]);
  });

  test("takes a million indexes with gaps between all of them in a time that does not grow with their square", () => {
    const set = createIndexSet();
    const start = performance.now();
    for (let index = 0; index < 1_000_000; index++) set.add(index * 2);
    expect(set.ranges()).toHaveLength(1_000_000);
    // Half a second when joining waits for as many as there are; 17 s when it does not.
    expect(performance.now() - start).toBeLessThan(6_000);
  });
});
