// Patterns and events on which our matcher and EventBridge's are compared: every operator with every kind of value, every
// shape of lists and paths, and what a pattern can get wrong.
import type { JsonObject, JsonValue } from "../../../src/index.ts";
import { type Dice, dice } from "../../simulation/dice.ts";

export interface Case {
  /** Which family it is of: figures are told for each. */
  readonly family: string;
  readonly pattern: JsonObject;
  readonly events: readonly JsonObject[];
}

function pick<T>(roll: Dice, list: readonly T[]): T {
  const [first, ...others] = list;
  if (first === undefined) throw new Error("no list here is empty");
  return roll.pick([first, ...others]);
}

const texts: readonly string[] = [
  ..."|a|A|b|ab|aB|AB|ba|aab|abab|a*b|a\\b|*|\\|a b|é|É|ß|SS|ss|Σ|σ|ς|ı|İ|Ⱥ|ⱥ|😀|??|a\nb|\u0000|1|01|true|null|10.0.0.0".split(
    "|",
  ),
  ..."10.0.0.1|010.0.0.1|10.0.0.10|10.0.255.255|10.1.0.0|255.255.255.255|256.0.0.1|1.2.3|1.2.3.4.5|32.1.13.184".split(
    "|",
  ),
  ..."::|::1|2001:db8::|2001:DB8::1|2001:0db8:0:0:0:0:0:1|2001:db9::|a00:1::|::ffff:10.0.0.1|::ffff:a00:1|1::2::3".split(
    "|",
  ),
  ..."1:2:3:4:5:6:7:8|1:2:3:4:5:6:7::|1::2:3:4:5:6:7:8|fe80::1%eth0|:::|g::|00001::|ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff".split(
    "|",
  ),
  'a"',
  '"a',
  '"',
  "reports/2026/final.PDF",
];

const numbers: readonly number[] = [
  0,
  -0,
  1,
  -1,
  1.5,
  0.1,
  30,
  300,
  3.018e2,
  1e21,
  1e-7,
  5e9,
  -5e9,
  5_000_000_001,
  123456789012,
  2 ** 53,
];
const leaves: readonly JsonValue[] = [true, false, null, ...texts, ...numbers];

const plainOperators = ["exactly", "prefix", "suffix", "equals-ignore-case"] as const;
const excludable = ["prefix", "suffix", "equals-ignore-case", "wildcard"] as const;
const wildcards: readonly string[] = [
  ..."*|a*|*a|a*b|*a*|a*a|*b*b|a*b*|\\*|a\\*b|\\\\|a\\\\b|*.PDF|reports/*/final.*|**|a**b|\\a|\\".split("|"),
  "",
  '*"',
];
const networks: readonly string[] =
  "10.0.0.0/8|10.0.0.0/24|10.0.0.7/24|10.0.0.1/31|0.0.0.0/0|2001:db8::/32|2001:db8::/16|::/0|::1/127|a00::/8|::ffff:a00:0/8|10.0.0.0/+8|10.0.0.0/-0|010.0.0.0/8|10.0.0.0/32|::1/128|10.0.0.0|10.0.0.0/|/8|10.0.0.0/8/8|10.0.0.0/x|10.0.0.0/-1|a.example/8|256.0.0.0/8|1.2.3/8|10.0.0.0/ 8".split(
    "|",
  );
const bounds: readonly (readonly JsonValue[])[] = [
  ...["=", "<", "<=", ">", ">="].flatMap((sign) =>
    [0, 1, 1.5, -1, 30, 5e9, 6e9].map((bound) => [sign, bound]),
  ),
  [">", 0, "<", 30],
  [">=", 0, "<=", 30],
  [">", -1, "<=", 0.1],
  [">=", 1, "<", 1.5],
];

/** Every condition that is worth a question of its own; some are refused. */
const conditions: readonly JsonValue[] = [
  ...leaves,
  { exists: true },
  { exists: false },
  ...plainOperators.flatMap((operator) => texts.map((text) => ({ [operator]: text }))),
  ...["prefix", "suffix"].flatMap((operator) =>
    texts.map((text) => ({ [operator]: { "equals-ignore-case": text } })),
  ),
  ...wildcards.map((wildcard) => ({ wildcard })),
  ...networks.map((cidr) => ({ cidr })),
  ...bounds.map((numeric) => ({ numeric })),
  ...[...texts, ...numbers].map((value) => ({ "anything-but": value })),
  { "anything-but": ["a", "b"] },
  { "anything-but": [1, 1.5, 300] },
  ...excludable.flatMap((operator) => [
    ...(operator === "wildcard" ? wildcards : texts).map((text) => ({
      "anything-but": { [operator]: text },
    })),
    { "anything-but": { [operator]: ["a", "b"] } },
    { "anything-but": { [operator]: ["ab", "É", "10.0.0.1"] } },
  ]),
];

/** Events for one condition on `a`: each value by itself, and the shapes in which it can stand. */
function eventsFor(roll: Dice): readonly JsonObject[] {
  const some = () => pick(roll, leaves);
  return [
    ...leaves.map((a) => ({ a })),
    ...Array.from({ length: 12 }, () => ({ a: [some(), some()] })),
    { a: [some(), [some()], [[some()]]] },
    {},
    { a: [] },
    { a: {} },
    { a: { b: some() } },
    { a: [{ b: some() }] },
    { a: [[], {}] },
    { b: some() },
  ];
}

const names: readonly string[] = ["a", "b", "c", "a.b", "b.c", "$"];

/** An event of few names, so that paths meet; lists in lists and lists of objects. */
function anEvent(roll: Dice, values: readonly JsonValue[], depth = 3): JsonObject {
  const value = (left: number): JsonValue => {
    if (left <= 0 || roll.chance(0.4)) return pick(roll, values);
    if (roll.chance(0.55)) return Array.from({ length: roll.int(0, 3) }, () => value(left - 1));
    return anEvent(roll, values, left - 1);
  };
  return Object.fromEntries(
    Array.from({ length: roll.int(depth === 3 ? 1 : 0, 3) }, () => [pick(roll, names), value(depth)]),
  );
}

function aPattern(roll: Dice, wanted: readonly JsonValue[], depth = 2): JsonObject {
  const entry = (): [string, JsonValue] => {
    if (depth > 0 && roll.chance(0.18)) {
      return ["$or", Array.from({ length: roll.int(2, 3) }, () => aPattern(roll, wanted, depth - 1))];
    }
    if (depth > 0 && roll.chance(0.45)) return [pick(roll, names), aPattern(roll, wanted, depth - 1)];
    return [pick(roll, names), Array.from({ length: roll.int(1, 3) }, () => pick(roll, wanted))];
  };
  return Object.fromEntries(Array.from({ length: roll.int(1, 3) }, entry));
}

/** Few values, so that structures decide. */
const fewLeaves: readonly JsonValue[] = ["x", "y", 1, 2, true, null];
const fewConditions: readonly JsonValue[] = [
  ...(["x", "y", 1, true, null] as const),
  { exists: true },
  { exists: false },
  { exists: false },
  { "anything-but": "x" },
  { "anything-but": [1] },
  { prefix: "x" },
  { numeric: [">", 1] },
];

/** What stands where an operator, an operand, a list or a pattern should. */
const misfits: readonly JsonValue[] = [
  "a",
  "",
  1,
  true,
  null,
  [],
  {},
  ["a"],
  [1],
  ["a", 1],
  [""],
  [true],
  [null],
  [["a"]],
  [{}],
  ["=", 1],
  ["=", "1"],
  ["~", 1],
  [1, "="],
  [">"],
  [">", 1, "<"],
  [">", 1, "<", 2, 3],
  [">", 2, "<", 1],
  [">", 1, "<", 1],
  ["<", 1, ">", 0],
  ["=", 1, "<", 2],
  [">", 1, ">", 2],
  [">", 1, "<", "2"],
  { prefix: "a" },
  { prefix: "" },
  { suffix: [] },
  { prefix: ["a", ""] },
  { prefix: [1] },
  { prefix: { "equals-ignore-case": "a" } },
  { "equals-ignore-case": "a" },
  { "equals-ignore-case": 1 },
  { "equals-ignore-case": ["a"] },
  { "equals-ignore-case": [] },
  { "equals-ignore-case": [1] },
  { wildcard: "**" },
  { wildcard: ["*", "a**"] },
  { wildcard: [] },
  { wildcard: 1 },
  { numeric: ["=", 1] },
  { prefix: "a", suffix: "b" },
  { "equals-ignore-case": "a", prefix: "b" },
];
const operators = [
  ...plainOperators,
  "wildcard",
  "cidr",
  "numeric",
  "exists",
  "anything-but",
  "Prefix",
  "regex",
  "",
];

function* misfitPatterns(): Iterable<JsonObject> {
  for (const misfit of misfits) {
    yield { a: misfit };
    yield { a: [misfit] };
    yield { $or: misfit };
    yield { a: [{ prefix: "a" }], $or: [{ b: misfit }, { c: [1] }] };
    for (const operator of operators) {
      yield { a: [{ [operator]: misfit }] };
      yield { a: ["b", { [operator]: misfit, exists: true }] };
      yield { $or: [{ [operator]: ["a"] }, { b: misfit }] };
    }
  }
  yield {};
  yield { a: { b: {} } };
  yield { a: { b: [1] }, "a.b": [2] };
  yield { a: [1], $or: [{ a: [2] }, { b: [3] }] };
  yield { $or: [{ a: [2] }, { b: [3] }], a: [1] };
  yield { $or: [{ a: [2] }, { a: [3] }] };
  yield { $or: [{ a: [1] }] };
  yield { $or: [{ a: [1] }, 1] };
  yield { a: { $or: [{ b: [1] }, { c: { numeric: [1] } }] } };
  yield Object.fromEntries(Array.from({ length: 257 }, (_, index) => [`f${index}`, [1]]));
}

/** Stars and few characters: how complex wildcards are. */
function someWildcards(roll: Dice): readonly string[] {
  const one = () =>
    Array.from({ length: roll.int(1, 9) }, () => pick(roll, ["*a", "*b", "a", "b", "ab"])).join("");
  return Array.from({ length: roll.int(1, 3) }, () => (roll.chance(0.5) ? `${one()}*` : one()));
}

/** All of them, always the same for a seed. */
export function* cases(seed: number, rounds: number): Iterable<Case> {
  for (const [index, condition] of conditions.entries()) {
    const events = eventsFor(dice(seed, "one", index));
    yield { family: "each operator on each value", pattern: { a: [condition] }, events };
  }
  for (let round = 0; round < rounds; round++) {
    const roll = dice(seed, "several", round);
    yield {
      family: "two conditions on a field",
      pattern: { a: [pick(roll, conditions), pick(roll, conditions)] },
      events: eventsFor(roll),
    };
  }
  for (let round = 0; round < rounds * 4; round++) {
    const roll = dice(seed, "structure", round);
    const events = Array.from({ length: 12 }, () => anEvent(roll, fewLeaves));
    yield { family: "paths, lists and $or", pattern: aPattern(roll, fewConditions), events };
  }
  for (let round = 0; round < rounds; round++) {
    const roll = dice(seed, "all", round);
    const events = Array.from({ length: 12 }, () => anEvent(roll, leaves));
    yield {
      family: "everything at once",
      pattern: aPattern(roll, conditions),
      events,
    };
  }
  for (let round = 0; round < rounds; round++) {
    const roll = dice(seed, "wildcards", round);
    const pattern = { a: someWildcards(roll).map((wildcard) => ({ wildcard })) };
    const events = Array.from({ length: 6 }, () => ({
      a: someWildcards(roll)[0]?.replaceAll("*", "b") ?? "",
    }));
    yield { family: "several wildcards", pattern, events };
  }
  for (const pattern of misfitPatterns()) yield { family: "what is refused", pattern, events: [] };
}
