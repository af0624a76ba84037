import { describe, expect, test } from "vitest";
import { matches } from "../../samples/event-pattern.ts";
import type { JsonObject } from "../../src/index.ts";

const event: JsonObject = {
  source: "acme.scanner",
  "detail-type": "Scan Completed",
  resources: ["arn:one", "arn:two"],
  detail: {
    status: "completed",
    files: 12,
    empty: "",
    none: null,
    isLast: true,
    findings: [{ kind: "a" }, { kind: "b" }],
  },
};

describe("a pattern matches as EventBridge documents it", () => {
  const cases: readonly [string, JsonObject, boolean][] = [
    ["one of several values", { source: ["other", "acme.scanner"] }, true],
    ["no value of the list", { source: ["other"] }, false],
    ["every named field", { source: ["acme.scanner"], "detail-type": ["Other"] }, false],
    ["text, but not in another case", { source: ["Acme.Scanner"] }, false],
    ["a number, not its text", { detail: { files: ["12"] } }, false],
    ["null, which is not missing", { detail: { none: [null] } }, true],
    ["nothing, which is not null", { detail: { missing: [null] } }, false],
    ["any element of a list", { resources: ["arn:two"] }, true],
    ["a field of any object of a list", { detail: { findings: { kind: ["b"] } } }, true],
    ["no field of a list's objects", { detail: { findings: { kind: ["c"] } } }, false],
    ["prefix", { detail: { status: [{ prefix: "comp" }] } }, true],
    ["prefix in any case", { detail: { status: [{ prefix: { "equals-ignore-case": "COMP" } }] } }, true],
    ["suffix", { detail: { status: [{ suffix: "eted" }] } }, true],
    ["text in any case", { source: [{ "equals-ignore-case": "ACME.Scanner" }] }, true],
    ["wildcard", { source: [{ wildcard: "acme.*er" }] }, true],
    ["wildcard, whose dot is a dot", { source: [{ wildcard: "acme*.x*" }] }, false],
    ["a field that is there", { detail: { empty: [{ exists: true }] } }, true],
    ["a field that is not there", { detail: { missing: [{ exists: false }] } }, true],
    ["anything but a value", { detail: { status: [{ "anything-but": "failed" }] } }, true],
    [
      "anything but one of several",
      { detail: { status: [{ "anything-but": ["failed", "completed"] }] } },
      false,
    ],
    ["anything but a prefix", { detail: { status: [{ "anything-but": { prefix: "comp" } }] } }, false],
    ["anything but, of what is not there", { detail: { missing: [{ "anything-but": "x" }] } }, false],
    ["a range of numbers", { detail: { files: [{ numeric: [">", 10, "<=", 12] }] } }, true],
    ["outside of a range", { detail: { files: [{ numeric: [">", 12] }] } }, false],
    ["either of two", { $or: [{ source: ["other"] }, { detail: { isLast: [true] } }] }, true],
    ["neither of two", { $or: [{ source: ["other"] }, { detail: { isLast: [false] } }] }, false],
  ];
  test.each(cases)("%s", (_, pattern, expected) => {
    expect(matches(pattern, event)).toBe(expected);
  });
});

test("an operator that is not known here is no answer, but an error", () => {
  expect(() => matches({ source: [{ cidr: "10.0.0.0/8" }] }, event)).toThrow("does not know the operator");
  expect(() => matches({ detail: { files: [{ numeric: ["~", 1] }] } }, event)).toThrow("the comparison");
});
