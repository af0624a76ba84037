import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  list,
  must,
  nullable,
  number,
  object,
  optional,
  problemsOf,
  record,
  text,
  unrecognized,
} from "../src/shape.ts";

interface Person {
  name: string;
  age?: number | undefined;
  tags: string[];
  boss: { name: string } | null;
}

const boss = object<{ name: string }>({ name: text });
const person = object<Person>(
  {
    name: text,
    age: optional(number((value) => value >= 0, "must be 0 or more")),
    tags: list(text, { empty: "must name a tag" }),
    boss: nullable(boss),
  },
  {
    closed: unrecognized,
    together: ({ name, tags }) => (tags.includes(name) ? ["tags", "must not hold the name"] : undefined),
  },
);
const good = { name: "a", age: 0, tags: ["b"], boss: null };
const told = (value: unknown) => problemsOf(person, value, "the person");

describe("a shape", () => {
  test.each([
    ["all members", good],
    ["without what is optional", { name: "a", tags: ["b"], boss: { name: "c", more: 1 } }],
    ["an optional member that is undefined", { ...good, age: undefined }],
  ])("takes %s", (_, value) => {
    expect(person(value)).toBe(true);
    expect(told(value)).toEqual([]);
  });

  test.each<[string, unknown, string[]]>([
    ["nothing", undefined, ["the person: Invalid input: expected object, received undefined"]],
    ["null", null, ["the person: Invalid input: expected object, received null"]],
    ["a list", [good], ["the person: Invalid input: expected object, received array"]],
    [
      "an instance",
      new Map(),
      [
        `name: ${wrong("string", "undefined")}`,
        `tags: ${wrong("array", "undefined")}`,
        `boss: ${wrong("object", "undefined")}`,
      ],
    ],
    ["a number out of its range", { ...good, age: Number.NaN }, ["age: must be 0 or more"]],
    ["a member of an instance", { ...good, name: new Map() }, [`name: ${wrong("string", "Map")}`]],
    ["no number for a text", { ...good, name: Number.NaN }, [`name: ${wrong("string", "NaN")}`]],
    ["an empty list", { ...good, tags: [] }, ["tags: must name a tag"]],
    [
      "entries, each of them",
      { ...good, tags: ["b", 1, null] },
      [`tags.1: ${wrong("string", "number")}`, `tags.2: ${wrong("string", "null")}`],
    ],
    ["what is deep inside", { ...good, boss: { name: 1 } }, [`boss.name: ${wrong("string", "number")}`]],
    ["a strange member", { ...good, x: 1 }, ['the person: Unrecognized key: "x"']],
    ["strange members", { ...good, x: 1, y: 2 }, ['the person: Unrecognized keys: "x", "y"']],
    ["members that clash", { ...good, tags: ["a"] }, ["tags: must not hold the name"]],
    [
      "a wrong member, not what follows from it",
      { ...good, tags: ["a", 1] },
      [`tags.1: ${wrong("string", "number")}`],
    ],
  ])("refuses %s, and says where", (_, value, problems) => {
    expect(person(value)).toBe(false);
    expect(told(value)).toEqual(problems);
  });

  test("a list with a hole has an entry that is undefined", () => {
    const holed: unknown[] = ["b"];
    holed.length = 2;
    expect(told({ ...good, tags: holed })).toEqual([`tags.1: ${wrong("string", "undefined")}`]);
  });

  test("says something of exactly those values that it refuses, and never what stood there", () => {
    const secret = "SECRET-MARKER";
    const value = fc.oneof(
      fc.anything(),
      fc.record({ name: fc.anything(), age: fc.anything(), tags: fc.anything(), boss: fc.anything() }),
      fc.constant({ ...good, name: 1, tags: [secret, [secret]], boss: secret }),
    );
    fc.assert(
      fc.property(value, (any) => {
        const problems = told(any);
        expect(problems.length === 0).toBe(person(any));
        expect(problems.join()).not.toContain(secret);
      }),
    );
  });

  test("a record has any keys, and is no instance", () => {
    const ages = record(number((value) => value >= 0, "must be 0 or more"));
    const problems = (value: unknown) => problemsOf(ages, value, "the ages");
    for (const right of [{}, { a: 0, b: 1 }, Object.create(null)]) expect(problems(right)).toEqual([]);
    expect(problems({ a: 0, b: -1, c: "1" })).toEqual(["b: must be 0 or more", "c: must be 0 or more"]);
    for (const [value, kind] of [
      [[], "array"],
      [new Map(), "Map"],
      [null, "null"],
      ["a", "string"],
    ] as const)
      expect(problems(value)).toEqual([`the ages: ${wrong("record", kind)}`]);
  });

  test("a list can be called by its own words, and so can strange members", () => {
    const names = list(text, { other: "must be a list of names" });
    expect(problemsOf(names, { length: 1 }, "it")).toEqual(["it: must be a list of names"]);
    expect(problemsOf(names, [], "it")).toEqual([]);
    const empty = object({}, { closed: (strange) => `there is no ${strange.join(", ")} here` });
    expect(problemsOf(empty, { a: 1, toString: 2 }, "it")).toEqual(["it: there is no a, toString here"]);
  });

  test("a message can be made of the value's kind", () => {
    const even = must(
      (value): value is number => typeof value === "number" && value % 2 === 0,
      (value) => `must be even, not of the kind ${typeof value}`,
    );
    expect(problemsOf(even, "x", "it")).toEqual(["it: must be even, not of the kind string"]);
  });
});

function wrong(expected: string, received: string): string {
  return `Invalid input: expected ${expected}, received ${received}`;
}
