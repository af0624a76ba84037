// Each operator that EventBridge documents: what it matches, what it does not, and what EventBridge refuses of it. The
// answers are those of https://github.com/aws/event-ruler, with which `npm run peer:event-ruler` compares many more.
import { describe, expect, test } from "vitest";
import type { JsonObject, JsonValue } from "../../src/index.ts";
import { literalsOf } from "../../src/routing/event-condition.ts";
import { matchesPattern } from "../../src/routing/event-pattern.ts";
import { patternProblems } from "../../src/routing/event-pattern-check.ts";
import { complexityOf } from "../../src/routing/wildcard-complexity.ts";

type Row = readonly [condition: JsonValue, matching: readonly JsonValue[], other: readonly JsonValue[]];

/** Conditions on a field → values of the field that they match, and values that they do not. */
const operators: Readonly<Record<string, readonly Row[]>> = {
  values: [
    [
      "completed",
      ["completed", ["failed", "completed"], [["completed"]]],
      ["Completed", "", 1, null, [], {}],
    ],
    ["", [""], [null, " ", []]],
    [30, [30, 3e1, [1, 30]], ["30", 31, true]],
    [0, [0, -0], ["", false, null]],
    [true, [true, [false, true]], ["true", 1, false]],
    [null, [null, [null]], ["null", "", [], {}]],
    ["10.0.0.1", ["10.0.0.1", "010.0.0.1", "::ffff:a00:1"], ["10.0.0.10", 10]],
    ["2001:db8::1", ["2001:DB8:0:0::1", "2001:0db8::0001"], ["2001:db8::2", "2001:db8"]],
  ],
  exactly: [[{ exactly: "10.0.0.1" }, ["10.0.0.1"], ["010.0.0.1", 10]]],
  exists: [
    [{ exists: true }, ["", null, 0, false, ["x"], [[1]]], [[], {}, { x: 1 }, [{ x: 1 }], [[], {}]]],
    [{ exists: false }, [[], {}, { x: 1 }, [{ x: 1 }], [[], {}]], ["", null, 0, false, ["x"], [[1]]]],
  ],
  prefix: [
    [{ prefix: "scan-" }, ["scan-", "scan-1", ["x", "scan-2"]], ["Scan-1", "a scan-1", 1, null]],
    [{ prefix: "" }, ["", "x"], [1, true, null, []]],
    [{ prefix: 'open"' }, ["open"], ["opened"]],
    [{ prefix: { "equals-ignore-case": "SCAN-" } }, ["scan-1", "Scan-"], ["scan", "a scan-"]],
  ],
  suffix: [
    [{ suffix: ".pdf" }, [".pdf", "a.pdf"], ["a.PDF", ".pdf.zip", 1]],
    [{ suffix: "" }, ["", "x"], [1, null]],
    [{ suffix: { "equals-ignore-case": ".pdf" } }, ["a.PDF", ".Pdf"], ["pdf"]],
  ],
  "equals-ignore-case": [
    [{ "equals-ignore-case": "Done" }, ["done", "DONE", ["x", "dOnE"]], ["done ", "undone"]],
    [{ "equals-ignore-case": "É" }, ["é", "É"], ["e"]],
    [{ "equals-ignore-case": "ß" }, ["ß", "SS"], ["ss"]],
    [{ "equals-ignore-case": "😀" }, ["??"], ["😀"]],
  ],
  wildcard: [
    [{ wildcard: "reports/*/final.*" }, ["reports/1/final.pdf", "reports//final."], ["reports/1/final"]],
    [{ wildcard: "*" }, ["", "x", "a\nb"], [1, null]],
    [{ wildcard: "a*a" }, ["aa", "aba"], ["a", "ab"]],
    [{ wildcard: "*ab*ab" }, ["abab", "xabyab"], ["ab"]],
    [{ wildcard: "\\*\\\\" }, ["*\\"], ["x\\", "\\*"]],
    [{ wildcard: "a.c" }, ["a.c"], ["abc"]],
    [{ wildcard: "" }, [""], ["x"]],
  ],
  "anything-but": [
    [{ "anything-but": "a" }, ["b", "", 1, null, true, ["a", "b"]], ["a", ["a"], [], {}]],
    [{ "anything-but": ["a", "b"] }, ["c", ["a", "c"]], ["b", ["a", "b"]]],
    [{ "anything-but": [1, 2] }, [3, "1", [1, 3]], [1, [1, 2]]],
    [{ "anything-but": { prefix: "a" } }, ["b", 1, null, ["a", "b"]], ["a", "ab"]],
    [{ "anything-but": { prefix: ["a", "b"] } }, ["c"], ["ax", "bx"]],
    [{ "anything-but": { suffix: ["a", "b"] } }, ["ac"], ["xa", "xb"]],
    [{ "anything-but": { "equals-ignore-case": ["A", "B"] } }, ["ab"], ["a", "B"]],
    [{ "anything-but": { wildcard: ["a*", "*.png"] } }, ["b.pdf"], ["a", "b.png"]],
  ],
  numeric: [
    [{ numeric: ["=", 301.8] }, [301.8, 3.018e2], ["301.8", 301]],
    [{ numeric: [">", 0, "<=", 5] }, [1, 5, 0.1], [0, 5.1, "1", null]],
    [{ numeric: [">=", 0, "<", 5] }, [0, -0], [-1, 5]],
    [{ numeric: ["<", 6e9] }, [5.5e9, -1e300], [6e9]],
    [{ numeric: ["<=", 1] }, [1, [2, 1]], [[2, 3]]],
  ],
  cidr: [
    [{ cidr: "10.0.0.0/24" }, ["10.0.0.0", "10.0.0.255", ["x", "10.0.0.9"]], ["10.0.1.0", "10.0.0", 10]],
    [{ cidr: "10.0.0.77/24" }, ["10.0.0.1"], ["10.0.1.77"]],
    [{ cidr: "10.0.0.0/31" }, ["10.0.0.1"], ["10.0.0.2"]],
    [{ cidr: "0.0.0.0/0" }, ["1.2.3.4", "255.255.255.255"], ["256.0.0.1", "x"]],
    [{ cidr: "2001:db8::/32" }, ["2001:db8::1", "2001:DB8:ffff::"], ["2001:db9::", "32.1.13.184"]],
  ],
};

const rows = Object.values(operators).flat();

test.each(rows.flatMap(([condition, matching]) => matching.map((value) => [condition, value] as const)))(
  "%j matches %j",
  (condition, value) => {
    expect(matchesPattern({ a: [condition] }, { a: value })).toBe(true);
    expect([...patternProblems({ a: [condition] })]).toEqual([]);
  },
);

test.each(rows.flatMap(([condition, , other]) => other.map((value) => [condition, value] as const)))(
  "%j does not match %j",
  (condition, value) => {
    expect(matchesPattern({ a: [condition] }, { a: value })).toBe(false);
  },
);

describe("a whole pattern", () => {
  const cases: readonly [promise: string, pattern: JsonObject, event: JsonObject, matches: boolean][] = [
    ["asks for every field", { a: [1], b: [2] }, { a: 1, b: 3 }, false],
    ["takes any of a field's conditions", { a: ["x", { prefix: "y" }] }, { a: "yes" }, true],
    ["goes into objects", { a: { b: [1] } }, { a: { b: 1 } }, true],
    ["goes into lists of objects", { a: { b: [1] } }, { a: [{ b: 2 }, { b: 1 }] }, true],
    ["goes into lists of lists", { a: { b: [1] } }, { a: [[{ b: 1 }]] }, true],
    ["takes names with dots for a path of its own", { "a.b": [1] }, { a: { b: 1 } }, true],
    ["takes names with dots of an event for a path", { a: { b: [1] } }, { "a.b": 1 }, true],
    ["finds no value in an object's place", { a: [{ "anything-but": "x" }] }, { a: { b: 1 } }, false],
    ["is not met by a missing field", { a: [{ "anything-but": "x" }] }, {}, false],
    ["knows that a field is missing", { a: [{ exists: false }] }, { b: 1 }, true],
    ["knows that a field of no object is missing", { a: { b: [{ exists: false }] } }, {}, true],
    ["knows that a field of a text is missing", { a: { b: [{ exists: false }] } }, { a: "x" }, true],
    ["wants one element for all", { a: { b: [1], c: [2] } }, { a: [{ b: 1 }, { c: 2 }] }, false],
    ["finds one element for all", { a: { b: [1], c: [2] } }, { a: [{ b: 1 }, { b: 1, c: 2 }] }, true],
    [
      "wants one element of inner lists",
      { a: { b: { c: [1], d: [2] } } },
      { a: [{ b: [{ c: 1 }, { d: 2 }] }, { b: [{ c: 2, d: 2 }] }] },
      false,
    ],
    ["takes different lists apart", { a: { b: [1] }, c: { d: [2] } }, { a: [{ b: 1 }], c: [{ d: 2 }] }, true],
    ["takes values of a list without a place", { a: [1], b: { c: [2] } }, { a: [3, 1], b: [{ c: 2 }] }, true],
    [
      "asks what is missing of the element found before",
      { a: { b: [1], c: [{ exists: false }] } },
      { a: [{ b: 1 }, { c: 1 }] },
      true,
    ],
    [
      "asks what is missing of every element when nothing was found before",
      { a: { b: [{ exists: false }], c: [1] } },
      { a: [{ b: 1 }, { c: 1 }] },
      false,
    ],
    [
      "goes by the order of names and not of the pattern",
      { a: { c: [{ exists: false }], b: [1] } },
      { a: [{ b: 1 }, { c: 1 }] },
      true,
    ],
    ["takes either branch of $or", { $or: [{ a: [1] }, { b: [2] }] }, { b: 2 }, true],
    ["takes no branch of $or", { $or: [{ a: [1] }, { b: [2] }] }, { a: 2, b: 1 }, false],
    ["asks for what stands beside $or", { c: [3], $or: [{ a: [1] }, { b: [2] }] }, { a: 1 }, false],
    ["takes $or in an object", { a: { $or: [{ b: [1] }, { c: [2] }] } }, { a: { c: 2 } }, true],
    [
      "asks each of several $or",
      { $or: [{ a: [1] }, { a: [2] }], b: { $or: [{ c: [1] }, { d: [1] }] } },
      { a: 2, b: { c: 2 } },
      false,
    ],
    ["finds no inherited names", { constructor: [{ exists: true }] }, {}, false],
  ];
  test.each(cases)("%s: %j on %j", (_, pattern, event, matches) => {
    expect(matchesPattern(pattern, event)).toBe(matches);
    expect([...patternProblems(pattern)]).toEqual([]);
  });

  test("a list of many values is gone through once", () => {
    const many = Array.from({ length: 20_000 }, (_, index) => index);
    const pattern = { a: [{ numeric: [">=", 0] }], b: [{ exists: true }], c: ["x"] };
    expect(matchesPattern(pattern, { a: many, b: many, c: many })).toBe(false);
  });

  test("two fields of the objects of a long list are matched without comparing each with each", () => {
    const a = Array.from({ length: 20_000 }, (_, b) => ({ b, c: b + 1 }));
    const pattern = { a: { b: [{ numeric: [">=", 0] }], c: [{ numeric: ["<", 0] }] } };
    const begun = performance.now();
    expect(matchesPattern(pattern, { a })).toBe(false);
    expect(performance.now() - begun).toBeLessThan(5_000);
  });

  test("a wildcard of many stars takes no longer than its text", () => {
    expect(matchesPattern({ a: [{ wildcard: "*a".repeat(200) }] }, { a: `${"a".repeat(100_000)}b` })).toBe(
      false,
    );
  });
});

describe("EventBridge refuses", () => {
  const refused: readonly [what: string, pattern: JsonObject, path: string, message: string][] = [
    ["a value in no list", { a: { b: "x" } }, "a.b", 'must be a list of values: write ["x"]'],
    ["a number in no list", { a: 1 }, "a", "must be a list of values: write [1]"],
    ["an empty list", { a: [] }, "a", "it is an empty list"],
    ["an empty object", { a: {} }, "a", "it names no field"],
    ["an empty pattern", {}, "", "it names no field"],
    ["a list in a list", { a: [["x"]] }, "a", "a list in the list"],
    [
      "an operator of another name",
      { a: [{ Prefix: "x" }] },
      "a",
      "there is no operator Prefix: use exactly, prefix",
    ],
    ["no operator", { a: [{}] }, "a", "[] must be one operator"],
    [
      "two operators in one",
      { a: [{ prefix: "a", suffix: "b" }] },
      "a",
      '["prefix","suffix"] must be one operator',
    ],
    ["exactly a number", { a: [{ exactly: 1 }] }, "a", "exactly must be text"],
    ["a prefix that is a number", { a: [{ prefix: 1 }] }, "a", "prefix must be text: write { prefix:"],
    ["prefixes in a list", { a: [{ prefix: ["x"] }] }, "a", "prefix must be text"],
    [
      "a prefix of a suffix",
      { a: [{ prefix: { suffix: "x" } }] },
      "a",
      "prefix can only be combined with equals-",
    ],
    ["a suffix in a list", { a: [{ suffix: ["x"] }] }, "a", "suffix must be text"],
    [
      "equals-ignore-case of a list",
      { a: [{ "equals-ignore-case": ["x"] }] },
      "a",
      "equals-ignore-case must be text",
    ],
    [
      "a wildcard of two stars",
      { a: [{ wildcard: "a**b" }] },
      "a",
      "wildcard cannot have two stars side by side",
    ],
    [
      "a wildcard that escapes a letter",
      { a: [{ wildcard: "a\\b" }] },
      "a",
      "wildcard can escape nothing but",
    ],
    [
      "a wildcard that ends in an escape",
      { a: [{ wildcard: "a\\" }] },
      "a",
      "wildcard can escape nothing but",
    ],
    ["a wildcard that is a number", { a: [{ wildcard: 1 }] }, "a", "wildcard must be text"],
    ["exists of a text", { a: [{ exists: "true" }] }, "a", "exists must be true or false"],
    ["anything but null", { a: [{ "anything-but": null }] }, "a", "anything-but takes texts or numbers"],
    ["anything but true", { a: [{ "anything-but": [true] }] }, "a", "anything-but takes texts or numbers"],
    [
      "anything but text and numbers",
      { a: [{ "anything-but": ["x", 1] }] },
      "a",
      "takes texts or numbers, and not both",
    ],
    ["anything but nothing", { a: [{ "anything-but": [] }] }, "a", "anything-but must name a value"],
    [
      "anything but a range",
      { a: [{ "anything-but": { numeric: ["=", 1] } }] },
      "a",
      "can only be combined with one of",
    ],
    [
      "anything but an empty prefix",
      { a: [{ "anything-but": { prefix: "" } }] },
      "a",
      "with an empty prefix",
    ],
    [
      "anything but an empty suffix",
      { a: [{ "anything-but": { suffix: ["x", ""] } }] },
      "a",
      "with an empty suffix",
    ],
    [
      "anything but a prefix in any case",
      { a: [{ "anything-but": { prefix: { "equals-ignore-case": "x" } } }] },
      "a",
      "with prefix must name texts",
    ],
    [
      "anything but a bad wildcard",
      { a: [{ "anything-but": { wildcard: ["x", "**"] } }] },
      "a",
      "with wildcard cannot have two",
    ],
    ["a range that is no list", { a: [{ numeric: 1 }] }, "a", "numeric must be a list"],
    ["an empty range", { a: [{ numeric: [] }] }, "a", "numeric must be =, <, <=, > or >= and a number"],
    ["a comparison of another name", { a: [{ numeric: ["~", 1] }] }, "a", "numeric must be =, <"],
    ["a bound that is text", { a: [{ numeric: ["=", "1"] }] }, "a", "numeric must be =, <"],
    [
      "a range that lacks a bound",
      { a: [{ numeric: [">", 1, "<"] }] },
      "a",
      "numeric must have a range's lower bound",
    ],
    [
      "a range with its upper bound first",
      { a: [{ numeric: ["<", 5, ">", 0] }] },
      "a",
      "numeric must have a range's",
    ],
    [
      "a range of two lower bounds",
      { a: [{ numeric: [">", 0, ">", 5] }] },
      "a",
      "numeric must have a range's",
    ],
    ["an equality in a range", { a: [{ numeric: ["=", 0, "<", 5] }] }, "a", "numeric must have a range's"],
    [
      "a range without room",
      { a: [{ numeric: [">=", 5, "<=", 5] }] },
      "a",
      "must have a lower bound below the upper",
    ],
    ["a range of three bounds", { a: [{ numeric: [">", 0, "<", 5, "<", 6] }] }, "a", "numeric must be =, <"],
    [
      "a network without bits",
      { a: [{ cidr: "10.0.0.0" }] },
      "a",
      "cidr must be an address, / and a number of bits",
    ],
    [
      "a network of one address",
      { a: [{ cidr: "10.0.0.0/32" }] },
      "a",
      "cidr must end in a number of bits from 0 to 31",
    ],
    ["a network of one address of IPv6", { a: [{ cidr: "::1/128" }] }, "a", "a number of bits from 0 to 127"],
    [
      "a network of no address",
      { a: [{ cidr: "a.example/8" }] },
      "a",
      "begin with an IP address, and a.example is none",
    ],
    ["a network that is a number", { a: [{ cidr: 10 }] }, "a", "cidr must be text"],
    ["$or of one pattern", { $or: [{ a: [1] }] }, "$or", "must be a list of two patterns or more"],
    ["$or of no list", { a: { $or: { b: [1] } } }, "a.$or", "must be a list of two patterns or more"],
    ["$or of a value", { $or: [{ a: [1] }, 1] }, "$or[1]", "must be a pattern of its own"],
    ["$or of an empty pattern", { $or: [{ a: [1] }, {}] }, "$or[1]", "it names no field"],
    [
      "an operator for a field of $or",
      { $or: [{ prefix: ["x"] }, { a: [1] }] },
      "$or[0].prefix",
      "within $or no field can",
    ],
    [
      "a mistake within $or",
      { $or: [{ a: { b: 1 } }, { c: [2] }] },
      "$or[0].a.b",
      "must be a list of values",
    ],
    [
      "a field that is named twice",
      { a: { b: [1] }, "a.b": [2] },
      "a.b",
      "the pattern names this field twice",
    ],
    [
      "a field that $or names again",
      { a: [1], $or: [{ a: [2] }, { b: [3] }] },
      "$or[0].a",
      "names this field twice",
    ],
  ];
  test.each(refused)("%s: %j", (_, pattern, path, message) => {
    expect([...patternProblems(pattern)]).toEqual([{ path, message: expect.stringContaining(message) }]);
  });

  // As event-ruler's MachineComplexityEvaluator counts.
  test.each([
    [11, ["*:*:*:*:*:event-bus/*"]],
    [12, ["A", "B", "C", "D"].map((name) => `*:stack/${name}/*`)],
    [9, ["A", "B", "C"].map((name) => `*:stack/${name}/*`)],
    [10, ["*a*b*c*d*e*f*g*h*"]],
    [7, ["*a*a*a*"]],
    [5, ["*ababab*"]],
    [4, ["*/bin/*.jar"]],
    [2, ["dir/*"]],
    [0, ["a\\*b"]],
  ])("wildcards of more than 10 beginnings at a time: %j of %j", (complexity, texts) => {
    expect(complexityOf(texts.map(literalsOf), 100)).toBe(complexity);
    const message = expect.stringContaining("its wildcards are too complex for EventBridge");
    const problems = complexity > 10 ? [{ path: "a.b", message }] : [];
    expect([...patternProblems({ a: { b: texts.map((wildcard) => ({ wildcard })) } })]).toEqual(problems);
    const each = { "anything-but": { wildcard: texts } };
    expect([...patternProblems({ a: { b: [each] } })]).toEqual(problems);
  });

  test("no wildcard for being named twice", () => {
    const twice = ["*bab*", "*bab", "*bab*"].map((wildcard) => ({ wildcard }));
    expect([...patternProblems({ a: twice })]).toEqual([]);
  });

  test("more than 1,000 combinations of $or, and takes 1,000", () => {
    const or = (choices: number): JsonValue =>
      Array.from({ length: choices }, (_, index) => ({ a: [index] }));
    const pattern = (choices: number) => ({ $or: or(choices), b: { $or: or(10) }, c: { $or: or(10) } });
    const limit = expect.stringContaining("and EventBridge takes 1000");
    expect([...patternProblems(pattern(10))]).toEqual([]);
    expect([...patternProblems(pattern(11))]).toEqual([{ path: "", message: limit }]);
    // Those within a branch count, too.
    const nested = {
      $or: [
        { x: [1], $or: or(25) },
        { y: [1], $or: or(25) },
      ],
    };
    expect([...patternProblems(nested)]).toEqual([{ path: "", message: limit }]);
  });

  test("more than 2,048 characters, and takes 2,048", () => {
    const pattern = (length: number) => ({ a: ["x".repeat(length - '{"a":[""]}'.length)] });
    expect([...patternProblems(pattern(2048))]).toEqual([]);
    expect([...patternProblems(pattern(2049))]).toMatchObject([{ path: "" }]);
  });
});
