import { expect, test } from "vitest";
import { allFinite, type JsonValue, quoteName } from "../../src/index.ts";

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
