// What EventBridge refuses in an event pattern: the compiler's rules of https://github.com/aws/event-ruler, and the
// service's limits.
import type { JsonObject, JsonValue } from "../event.ts";
import { isList, isObject, literalsOf } from "./event-condition.ts";
import { operatorFault } from "./event-condition-check.ts";
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
    if (complexityOf([...new Set(texts)].map(literalsOf), mostComplex) > mostComplex) {
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
