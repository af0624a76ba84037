import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { JsonScanner, type Verdict } from "../../src/intake/json-scanner.ts";
import { hostileJson, jsonPieces } from "./arbitraries.ts";

/** Scans in steps of so many bytes. */
function scan(text: string, step = text.length): { verdict: Verdict; length: number; open: number } {
  const bytes = Buffer.from(text);
  const scanner = new JsonScanner();
  scanner.begin();
  let verdict: Verdict = "more";
  for (let end = step; verdict === "more"; end += step) {
    verdict = scanner.scan(bytes, 0, Math.min(end, bytes.length));
    if (end >= bytes.length) break;
  }
  return { verdict, length: scanner.length, open: scanner.open.length };
}

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

test.each([
  ['{"a":1}', "end", 7],
  ["{}x", "end", 2],
  ["[] ", "end", 2],
  ['{ "a" : [ 1 , -0.5e+10 , 1E5, 0 , true,false , null , "" ] } {', "end", 60],
  ['{"\\u00e9\\n\\"":"\\\\"}', "end", 19],
  ['{"a":1', "more", 6],
  ['{"a":"\\u12', "more", 10],
  ['{"a":tru', "more", 8],
  ["{]", "illegal", 1],
  ["[}", "illegal", 1],
  ['{"a":1]', "illegal", 6],
  ["[1}", "illegal", 2],
  ['{"a" 1}', "illegal", 5],
  ['{"a":1,}', "illegal", 7],
  ["[1,]", "illegal", 3],
  ["[,", "illegal", 1],
  ["{,", "illegal", 1],
  ["{1:2}", "illegal", 1],
  ["[01]", "illegal", 2],
  ["[-]", "illegal", 2],
  ["[-a", "illegal", 2],
  ["[1.]", "illegal", 3],
  ["[1.e5]", "illegal", 3],
  ["[.5]", "illegal", 1],
  ["[1e]", "illegal", 3],
  ["[1e+]", "illegal", 4],
  ["[+1]", "illegal", 1],
  ["[1.5.5]", "illegal", 4],
  ["[1e5.5]", "illegal", 4],
  ["[0x1]", "illegal", 2],
  ["[tRue]", "illegal", 2],
  ["[truex]", "illegal", 5],
  ["[nul]", "illegal", 4],
  ["[NaN]", "illegal", 1],
  ['["\n"]', "illegal", 2],
  ['["\u0000"]', "illegal", 2],
  ['["\\x"]', "illegal", 3],
  ['["\\u12g4"]', "illegal", 6],
  ["['a']", "illegal", 1],
  ["[1\u00a0]", "illegal", 2],
] as const)("%j: %s at byte %i, however it is cut", (text, verdict, length) => {
  const bytes = Buffer.from(text);
  for (const step of [bytes.length, 1, 2, 3]) expect(scan(text, step)).toMatchObject({ verdict, length });
});

describe("against JSON.parse", () => {
  test("the end of a container is the one prefix that parses", () => {
    fc.assert(
      fc.property(
        jsonPieces,
        fc.constantFrom("{", "["),
        fc.integer({ min: 1, max: 9 }),
        (rest, first, step) => {
          const text = first + rest;
          const { verdict, length } = scan(text, step);
          const bytes = Buffer.from(text);
          const ends = Array.from(bytes, (_, at) => at + 1).filter((end) =>
            parses(bytes.toString("utf8", 0, end)),
          );
          // A prefix with white space behind it parses as well: the shortest one is meant.
          expect(verdict === "end" ? length : undefined).toBe(ends[0]);
        },
      ),
      { numRuns: 3000 },
    );
  });

  test("a record that is cut off is never called illegal", () => {
    fc.assert(
      fc.property(hostileJson, fc.nat(), (value, cut) => {
        const text = JSON.stringify(value, null, 1);
        const bytes = Buffer.from(text);
        const end = cut % bytes.length;
        const scanner = new JsonScanner();
        scanner.begin();
        expect(scanner.scan(bytes, 0, end)).toBe("more");
        expect(scanner.scan(bytes, 0, bytes.length)).toBe("end");
      }),
    );
  });
});

test("open containers are named by where they began, arrays by the complement", () => {
  const scanner = new JsonScanner();
  scanner.begin();
  scanner.scan(Buffer.from('{"a":[{},[{"b":'), 0, 15);
  expect(scanner.open).toEqual([0, ~5, ~9, 10]);
});
