// Whether an EventBridge pattern matches an event: the rules of the page below, for the rehearsal.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
import type { JsonObject, JsonValue } from "../src/index.ts";

/** @throws when the pattern has an operator that this does not know: nobody knows then whether it matches. */
export function matches(pattern: JsonObject, event: JsonValue | undefined): boolean {
  return Object.entries(pattern).every(([name, wanted]) => {
    if (name === "$or")
      return isList(wanted) && wanted.some((each) => isObject(each) && matches(each, event));
    const values = valuesAt(event, name);
    if (isList(wanted)) return wanted.some((filter) => values.some((value) => passes(filter, value)));
    if (!isObject(wanted)) throw new Error(`the pattern's ${name} is neither a list nor an object`);
    return values.some((value) => matches(wanted, value));
  });
}

/** What stands at a name: each element of a list stands for itself, and a missing field is undefined. */
function valuesAt(event: JsonValue | undefined, name: string): readonly (JsonValue | undefined)[] {
  const parents = isList(event) ? event : [event];
  return parents.flatMap((parent): readonly (JsonValue | undefined)[] => {
    const value = isObject(parent) && Object.hasOwn(parent, name) ? parent[name] : undefined;
    return isList(value) && value.length > 0 ? value : [value];
  });
}

function passes(filter: JsonValue, value: JsonValue | undefined): boolean {
  if (!isObject(filter)) return value !== undefined && filter === value;
  const [[operator, operand] = [], ...others] = Object.entries(filter);
  const test = operator === undefined ? undefined : operators[operator];
  if (test === undefined || operand === undefined || others.length > 0) {
    throw new Error(`the rehearsal does not know the operator ${JSON.stringify(Object.keys(filter))}`);
  }
  return test(operand, value);
}

type Operator = (operand: JsonValue, value: JsonValue | undefined) => boolean;

/** On text; where the operand is an object, its one known form ignores case. */
const onText =
  (test: (text: string, operand: string) => boolean): Operator =>
  (operand, value) => {
    if (typeof value !== "string") return false;
    const { "equals-ignore-case": folded } = isObject(operand) ? operand : {};
    if (typeof folded === "string") return test(value.toLowerCase(), folded.toLowerCase());
    if (typeof operand !== "string") throw new Error("the operand of a text operator is no text");
    return test(value, operand);
  };

const operators: Readonly<Record<string, Operator>> = {
  prefix: onText((text, operand) => text.startsWith(operand)),
  suffix: onText((text, operand) => text.endsWith(operand)),
  "equals-ignore-case": onText((text, operand) => text.toLowerCase() === operand.toLowerCase()),
  wildcard: onText((text, operand) => {
    const parts = operand.split("*").map((part) => part.replaceAll(/[\\^$.|?+()[\]{}]/g, "\\$&"));
    return new RegExp(`^${parts.join(".*")}$`, "s").test(text);
  }),
  exists: (operand, value) => operand === (value !== undefined),
  "anything-but": (operand, value) =>
    value !== undefined && !(isList(operand) ? operand : [operand]).some((each) => passes(each, value)),
  numeric: (operand, value) => {
    if (!isList(operand) || operand.length % 2 !== 0)
      throw new Error("numeric wants pairs of operator and number");
    if (typeof value !== "number") return false;
    return operand.every((sign, place) => {
      const bound = operand[place + 1];
      return place % 2 === 1 || (typeof bound === "number" && compare(value, sign, bound));
    });
  },
};

function compare(value: number, sign: JsonValue, bound: number): boolean {
  switch (sign) {
    case "=":
      return value === bound;
    case "<":
      return value < bound;
    case "<=":
      return value <= bound;
    case ">":
      return value > bound;
    case ">=":
      return value >= bound;
    default:
      throw new Error(`the rehearsal does not know the comparison ${JSON.stringify(sign)}`);
  }
}

function isList(value: JsonValue | undefined): value is readonly JsonValue[] {
  return Array.isArray(value);
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
