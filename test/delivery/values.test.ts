import fc from "fast-check";
import { expect, test } from "vitest";
import { allFinite, isoTime, type JsonValue, quoteName } from "../../src/index.ts";

test.each<[JsonValue | undefined, boolean]>([
  [0, true],
  [-0, true],
  [Number.MAX_VALUE, true],
  [JSON.parse("1e400"), false],
  [Number.NaN, false],
  ["Infinity", true],
  [null, true],
  [undefined, true],
  [[], true],
  [{ a: [1, { b: "x" }] }, true],
  [JSON.parse('{"a":[1,{"b":-1e400}]}'), false],
  [JSON.parse('{"__proto__":{"b":1e400}}'), false],
])("JSON can say %j: %s", (value, says) => {
  expect(allFinite(value)).toBe(says);
});

test("a name stays in its quotes and on its line, and gets no longer than a line", () => {
  expect(quoteName("plan")).toBe('"plan"');
  expect(quoteName("a\"b'c\nd\u0000e\u202ef\ud83d")).toBe('"a?b?c?d?e?f?"');
  expect(quoteName("n".repeat(10_000))).toBe(`"${"n".repeat(60)}"`);
  expect(quoteName("ü€😀")).toBe('"ü€😀"');
});

test("a time is written as a Date writes it, whatever time came before", () => {
  const near = fc.integer({ min: -10, max: 10 }).map((off) => Date.UTC(2026, 10, 2) + off * 1_800_000 + off);
  const any = fc.date({ noInvalidDate: true }).map((date) => date.getTime());
  const edges = fc.constantFrom(0, -1, 8.64e15, -8.64e15, Date.UTC(10_000, 0), Date.UTC(10_000, 0) - 1);
  fc.assert(
    fc.property(fc.array(fc.oneof(near, any, edges)), (times) => {
      for (const time of times) expect(isoTime(time)).toBe(new Date(time).toISOString());
    }),
  );
  expect(isoTime(8.64e15)).toBe(new Date(8.64e15).toISOString());
  // Also right after the last time that there is, which is of the same hour.
  expect(() => isoTime(8.64e15 + 1)).toThrow(RangeError);
});
