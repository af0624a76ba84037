import fc from "fast-check";
import { expect, test } from "vitest";
import { Covered } from "../../src/intake/covered.ts";

test("tells what is left, whatever the order, and takes no byte twice", () => {
  const size = 60;
  const range = fc
    .tuple(fc.nat(size), fc.nat(size))
    .map(([a, b]) => ({ start: Math.min(a, b), end: Math.max(a, b) }));
  fc.assert(
    fc.property(fc.array(range, { maxLength: 30 }), (ranges) => {
      const covered = new Covered();
      const bytes = new Set<number>();
      for (const { start, end } of ranges) {
        const own = Array.from({ length: end - start }, (_, n) => start + n);
        const isFree = !own.some((byte) => bytes.has(byte));
        expect(covered.add({ start, end })).toBe(isFree);
        if (isFree) for (const byte of own) bytes.add(byte);
      }
      const gaps = covered.gaps(size);
      const left = gaps.flatMap(({ start, end }) => Array.from({ length: end - start }, (_, n) => start + n));
      expect(left).toEqual(Array.from({ length: size }, (_, n) => n).filter((byte) => !bytes.has(byte)));
      for (const { start, end } of gaps) expect(end).toBeGreaterThan(start);
    }),
  );
});

test("takes no more than 4,096 pieces, however many there are, and goes on joining them", () => {
  const covered = new Covered();
  let taken = 0;
  for (let start = 0; start < 20_000; start += 2) if (covered.add({ start, end: start + 1 })) taken++;
  expect(taken).toBe(4096);
  expect(covered.add({ start: 1, end: 2 })).toBe(true);
  expect(covered.add({ start: 19_000, end: 19_001 })).toBe(true);
});
