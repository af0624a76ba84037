// What EventBridge refuses in one condition of an event pattern: the compiler's rules of https://github.com/aws/event-ruler.
import type { JsonObject, JsonValue } from "../event.ts";
import { isList, isObject } from "./event-condition.ts";
import { networkRange } from "./ip-range.ts";

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

/** What EventBridge refuses in a condition that is an operator, and how to write it; undefined when it takes it. */
export function operatorFault(condition: JsonObject): string | undefined {
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
