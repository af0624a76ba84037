// What EventBridge refuses in an event pattern: the compiler's rules of https://github.com/aws/event-ruler, and the
// service's limits.
import type { JsonObject, JsonValue } from "../event.ts";
import { isList, isObject, literalsOf } from "./event-condition.ts";
import { networkRange } from "./ip-range.ts";
import { complexityOf } from "./wildcard-complexity.ts";

export interface PatternProblem {
  /** Where in the pattern, as `detail.$or[1].status`; empty for the whole pattern. */
  readonly path: string;
  /** What is wrong and what to do. */
  readonly message: string;
}

/** Characters: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html, "Event pattern size". */
const longestPattern = 2048;
/** https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html, "Or". */
const mostCombinations = 1000;
/**
 * Beginnings of wildcards at a time, of one field. No page has the number: AWS took 9 and refused 11 and 12 (`9`: three,
 * `12`: four of https://github.com/vals-ai/Valkyrie/pull/278; `11`: `content_wildcard_complex_EXC` of LocalStack's
 * recordings), and event-ruler's page proposes 10.
 */
const mostComplex = 10;
/** Paths that the matcher keeps of one rule: `MAXIMUM_RULE_SIZE` of its GenericMachine. */
const mostPaths = 256;

/** Names that no field has within `$or`, since they are operators or reserved for some: the matcher's Constants. */
const reservedInOr = new Set(
  `exactly equals-ignore-case prefix suffix anything-but exists wildcard numeric cidr = < <= > >= regex not-wildcard
  not-equals-ignore-case date-after date-on-or-after date-before date-on-or-before in-date-range ip-address-in-range
  ip-address-not-in-range`.split(/\s+/),
);

/** Every reason for which EventBridge refuses the pattern. */
export function* patternProblems(pattern: JsonObject): Iterable<PatternProblem> {
  const length = JSON.stringify(pattern).length;
  if (length > longestPattern) {
    const message = `the whole pattern has ${length} characters, and EventBridge takes ${longestPattern}: shorten it`;
    yield { path: "", message };
  }
  const combinations = combinationsOf(pattern);
  if (combinations > mostCombinations) {
    const message = `its $or lists multiply to ${combinations} combinations, and EventBridge takes ${mostCombinations}: make two metrics of it, or ask less`;
    yield { path: "", message };
  }
  const known = new Set<string>();
  const wildcards: Wildcards = new Map();
  yield* fieldProblems(pattern, { path: "", shown: "", isInOr: false, known, wildcards });
  for (const [path, texts] of wildcards) {
    if (complexityOf(texts.map(literalsOf), mostComplex) > mostComplex) {
      const message = "its wildcards are too complex for EventBridge: use fewer stars, prefix or suffix";
      yield { path, message };
    }
  }
  if (known.size > mostPaths) {
    yield {
      path: "",
      message: `it names ${known.size} fields, and EventBridge takes ${mostPaths}: leave some out`,
    };
  }
}

/** The lengths of all `$or` lists multiplied: so says the page of the limit. */
function combinationsOf(value: JsonValue): number {
  if (!isObject(value)) return 1;
  return Object.entries(value).reduce((product, [name, each]) => {
    if (name !== "$or" || !isList(each)) return product * combinationsOf(each);
    return each.reduce<number>((all, branch) => all * combinationsOf(branch), product * each.length);
  }, 1);
}

/** Path → its wildcards, those of all branches of `$or` together, as the matcher has them. */
type Wildcards = Map<string, string[]>;

interface Where {
  readonly wildcards: Wildcards;
  /** As EventBridge joins the names: what is matched at one path twice is one condition. */
  readonly path: string;
  /** As people find it. */
  readonly shown: string;
  readonly isInOr: boolean;
  /** Paths that have conditions already. */
  readonly known: Set<string>;
}

function* fieldProblems(fields: JsonObject, where: Where): Iterable<PatternProblem> {
  if (Object.keys(fields).length === 0) {
    yield { path: where.shown, message: "it names no field: name one, or leave it out" };
  }
  for (const [name, wanted] of Object.entries(fields)) {
    const path = where.path === "" ? name : `${where.path}.${name}`;
    const shown = where.shown === "" ? name : `${where.shown}.${name}`;
    if (name === "$or") {
      yield* orProblems(wanted, { ...where, shown });
    } else if (where.isInOr && reservedInOr.has(name)) {
      yield { path: shown, message: "within $or no field can have this name: write the pattern without $or" };
    } else if (isObject(wanted)) {
      yield* fieldProblems(wanted, { ...where, path, shown });
    } else if (!isList(wanted)) {
      const example = typeof wanted === "string" ? wanted.slice(0, 40) : wanted;
      yield { path: shown, message: `must be a list of values: write [${JSON.stringify(example)}]` };
    } else {
      if (where.known.has(path)) {
        const message = "the pattern names this field twice, and only the last would count: name it once";
        yield { path: shown, message };
      }
      where.known.add(path);
      where.wildcards.set(path, [...(where.wildcards.get(path) ?? []), ...wanted.flatMap(wildcardsOf)]);
      yield* listProblems(wanted, shown);
    }
  }
}

function* orProblems(branches: JsonValue, where: Where): Iterable<PatternProblem> {
  const path = where.shown;
  if (!isList(branches) || branches.length < 2) {
    yield {
      path,
      message: "must be a list of two patterns or more: add one, or write its fields without $or",
    };
    return;
  }
  const known = new Set(where.known);
  for (const [index, branch] of branches.entries()) {
    const shown = `${path}[${index}]`;
    if (!isObject(branch)) {
      yield { path: shown, message: 'must be a pattern of its own, such as { status: ["completed"] }' };
    } else {
      const own = new Set(known);
      yield* fieldProblems(branch, { ...where, shown, isInOr: true, known: own });
      for (const each of own) where.known.add(each);
    }
  }
}

function* listProblems(conditions: readonly JsonValue[], shown: string): Iterable<PatternProblem> {
  if (conditions.length === 0) {
    yield { path: shown, message: "it is an empty list, which no value is in: name a value" };
  }
  for (const condition of conditions) {
    const fault = isList(condition)
      ? "a list in the list is no value: write its values directly"
      : isObject(condition)
        ? operatorFault(condition)
        : undefined;
    if (fault !== undefined) yield { path: shown, message: fault };
  }
}

/** The wildcards of a condition, within `anything-but` too. */
function wildcardsOf(condition: JsonValue): readonly string[] {
  if (!isObject(condition)) return [];
  const { wildcard, "anything-but": excluded } = condition;
  const texts = isObject(excluded) ? excluded["wildcard"] : wildcard;
  return (isList(texts) ? texts : [texts]).filter((text) => typeof text === "string");
}

/** How operators are written, for those who used them otherwise. */
const examples: Readonly<Record<string, string>> = {
  exactly: '{ exactly: "completed" }',
  prefix: '{ prefix: "scan-" } or { prefix: { "equals-ignore-case": "scan-" } }',
  suffix: '{ suffix: ".pdf" } or { suffix: { "equals-ignore-case": ".pdf" } }',
  "equals-ignore-case": '{ "equals-ignore-case": "completed" }',
  wildcard: '{ wildcard: "reports/*.pdf" }',
  "anything-but":
    '{ "anything-but": ["failed"] }, with texts alone or numbers alone, or { "anything-but": { prefix: ["scan-"] } }',
  numeric: '{ numeric: [">", 0, "<=", 5] }',
  exists: "{ exists: true } or { exists: false }",
  cidr: '{ cidr: "10.0.0.0/24" }',
};

function operatorFault(condition: JsonObject): string | undefined {
  const [[operator, operand] = [], ...others] = Object.entries(condition);
  if (operator === undefined || operand === undefined || others.length > 0) {
    return `${JSON.stringify(Object.keys(condition))} must be one operator: write several as several conditions`;
  }
  const example = Object.hasOwn(examples, operator) ? examples[operator] : undefined;
  if (example === undefined) {
    return `there is no operator ${operator.slice(0, 40)}: use ${Object.keys(examples).join(", ")}`;
  }
  const fault = operandFault(operator, operand);
  return fault === undefined ? undefined : `${operator} ${fault}: write ${example}`;
}

function operandFault(operator: string, operand: JsonValue): string | undefined {
  switch (operator) {
    case "exists":
      return typeof operand === "boolean" ? undefined : "must be true or false";
    case "numeric":
      return isList(operand) ? numericFault(operand) : "must be a list";
    case "cidr":
      return typeof operand === "string" ? cidrFault(operand) : "must be text";
    case "anything-but":
      return isObject(operand) ? excludedTextFault(operand) : excludedFault(operand);
    default:
      return textFault(operator, operand);
  }
}

function cidrFault(network: string): string | undefined {
  const range = networkRange(network);
  return "fault" in range ? range.fault : undefined;
}

function textFault(operator: string, operand: JsonValue): string | undefined {
  if (isObject(operand) && (operator === "prefix" || operator === "suffix")) {
    const isFolded = Object.keys(operand).length === 1 && typeof operand["equals-ignore-case"] === "string";
    return isFolded ? undefined : "can only be combined with equals-ignore-case and a text";
  }
  if (typeof operand !== "string") return "must be text";
  return operator === "wildcard" ? wildcardFault(operand) : undefined;
}

function wildcardFault(pattern: string): string | undefined {
  const rest = pattern.replaceAll(/\\[*\\]/g, "-");
  if (rest.includes("**")) return "cannot have two stars side by side, and one says the same";
  return rest.includes("\\") ? "can escape nothing but a star or a backslash by a backslash" : undefined;
}

function excludedFault(operand: JsonValue): string | undefined {
  const values = isList(operand) ? operand : [operand];
  const isUniform = ["string", "number"].some((type) => values.every((value) => typeof value === type));
  if (!isUniform) return "takes texts or numbers, and not both";
  return values.length === 0 ? "must name a value" : undefined;
}

/** What `anything-but` is combined with, and one text or several. */
function excludedTextFault(operand: JsonObject): string | undefined {
  const [[operator, operands] = [], ...others] = Object.entries(operand);
  const isKnown = ["prefix", "suffix", "equals-ignore-case", "wildcard"].some((each) => each === operator);
  if (operator === undefined || operands === undefined || !isKnown || others.length > 0) {
    return "can only be combined with one of prefix, suffix, equals-ignore-case and wildcard";
  }
  const texts = isList(operands) ? operands : [operands];
  if (texts.length === 0) return "must name a value";
  for (const text of texts) {
    if (typeof text !== "string") return `with ${operator} must name texts`;
    if (text === "" && (operator === "prefix" || operator === "suffix")) {
      return `with an empty ${operator} would leave no text`;
    }
    const fault = operator === "wildcard" ? wildcardFault(text) : undefined;
    if (fault !== undefined) return `with wildcard ${fault}`;
  }
  return undefined;
}

/** One comparison and its number, or a lower bound and an upper one. */
function numericFault(bounds: readonly JsonValue[]): string | undefined {
  const [first, low, second, high, ...others] = bounds;
  if (!isOneOf(["=", "<", "<=", ">", ">="], first) || typeof low !== "number" || others.length > 0) {
    return "must be =, <, <=, > or >= and a number, or two of these for a range";
  }
  if (second === undefined) return undefined;
  if (!isOneOf([">", ">="], first) || !isOneOf(["<", "<="], second) || typeof high !== "number") {
    return "must have a range's lower bound first, by > or >=, then its upper one, by < or <=";
  }
  return low < high ? undefined : "must have a lower bound below the upper one";
}

function isOneOf(comparisons: readonly string[], value: JsonValue | undefined): boolean {
  return comparisons.some((each) => each === value);
}
