import fc from "fast-check";
import { expect, test } from "vitest";
import { isTooDeep, maxDepth } from "../../src/intake/depth.ts";

/** What it must say, by the shortest way. */
function depth(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depth));
}

test("a value is too deep from one level above the limit on, whatever stands around its brackets", () => {
  const level = fc.constantFrom(
    ["[", "]"],
    ['{"a":', "}"],
    ['{"}":[],"b":', "}"],
    ["[[],{},", ',"[{"]'],
    [" [ ", "\n]"],
  );
  fc.assert(
    fc.property(
      fc.array(level, { minLength: 1, maxLength: 4 }),
      fc.integer({ min: maxDepth - 2, max: maxDepth + 2 }),
      (levels, count) => {
        const all = Array.from({ length: count }, (_, n) => levels[n % levels.length] ?? ["[", "]"]);
        const inner = all.at(-1)?.[0] === "[[],{}," ? "[]" : "1";
        const text =
          all.map(([open]) => open).join("") +
          inner +
          all
            .map(([, close]) => close)
            .reverse()
            .join("");
        const value: unknown = JSON.parse(text);
        expect(isTooDeep(text, value)).toBe(depth(value) > maxDepth);
      },
    ),
  );
});
