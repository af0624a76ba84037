// One condition of an event pattern on one value of an event.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
import type { JsonObject, JsonValue } from "../event.ts";
import { addressDigits, isInRange, networkRange } from "./ip-range.ts";

/** What an event holds at the end of a path: anything but an object or a list. */
export type Leaf = string | number | boolean | null;

/**
 * Whether a value that is there meets the condition. The absence of a value, `{ exists: false }`, is not asked here.
 *
 * The pattern is one that EventBridge takes: an operator of another name meets nothing.
 */
export function meets(condition: JsonValue, value: Leaf): boolean {
  if (!isObject(condition)) {
    // An address in the pattern also stands for its other spellings.
    const address = typeof condition === "string" ? addressDigits(condition) : undefined;
    return address === undefined
      ? condition === value
      : typeof value === "string" && (addressDigits(value)?.startsWith(address) ?? false);
  }
  const [[operator, operand] = []] = Object.entries(condition);
  if (operator === undefined || operand === undefined) return false;
  switch (operator) {
    case "exists":
      return operand === true;
    case "anything-but":
      return !isExcluded(operand, value);
    case "numeric":
      return typeof value === "number" && isList(operand) && isWithin(operand, value);
    case "cidr":
      return typeof value === "string" && typeof operand === "string" && isInNetwork(operand, value);
    default:
      return typeof value === "string" && textMatches(operator, operand, value);
  }
}

function isExcluded(operand: JsonValue, value: Leaf): boolean {
  if (!isObject(operand)) return listOf(operand).some((each) => each === value);
  return Object.entries(operand).some(
    ([operator, operands]) =>
      typeof value === "string" && listOf(operands).some((each) => textMatches(operator, each, value)),
  );
}

/**
 * EventBridge compares text together with its quotes, in which a pattern of a prefix or a suffix may reach: the prefix
 * `open"` is a whole value.
 */
function textMatches(operator: string, operand: JsonValue, value: string): boolean {
  if (isObject(operand)) {
    const folded = operand["equals-ignore-case"];
    return typeof folded === "string" && foldedMatches(operator, folded, value);
  }
  if (typeof operand !== "string") return false;
  switch (operator) {
    case "exactly":
      return value === operand;
    case "prefix":
      return `"${value}"`.startsWith(`"${operand}`);
    case "suffix":
      return `"${value}"`.endsWith(`${operand}"`);
    case "equals-ignore-case":
      return foldedMatches(operator, operand, value);
    case "wildcard":
      return wildcardMatches(operand, value);
    default:
      return false;
  }
}

/** Each character of the pattern stands for its lower and its upper case, which may be longer: `ß` for `SS`. */
function foldedMatches(operator: string, operand: string, value: string): boolean {
  const cases = operand.split("").map((character) => {
    // EventBridge takes the halves of a surrogate pair for characters that it cannot encode, so for question marks.
    if (/[\ud800-\udfff]/.test(character)) return "\\?";
    const [lower, upper] = [character.toLowerCase(), character.toUpperCase()].map(literally);
    return lower === upper ? lower : `(?:${lower}|${upper})`;
  });
  const [start, end] = [operator === "suffix" ? "" : '^"', operator === "prefix" ? "" : '"$'];
  return new RegExp(`${start}${cases.join("")}${end}`).test(`"${value}"`);
}

function literally(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}

/** `*` stands for any characters, `\*` and `\\` for themselves. Takes no longer than the texts' lengths multiplied. */
function wildcardMatches(pattern: string, value: string): boolean {
  const [first = "", ...others] = literalsOf(pattern);
  const last = others.pop();
  if (last === undefined) return value === first;
  if (!value.startsWith(first) || !value.endsWith(last)) return false;
  let at = first.length;
  for (const literal of others) {
    const found = value.indexOf(literal, at);
    if (found < 0) return false;
    at = found + literal.length;
  }
  return at + last.length <= value.length;
}

/** The texts between a pattern's stars. */
export function literalsOf(pattern: string): readonly string[] {
  const literals = [""];
  for (const [part] of pattern.matchAll(/\\[*\\]|./gs)) {
    if (part === "*") literals.push("");
    else literals.push((literals.pop() ?? "") + (part.length > 1 ? part.slice(1) : part));
  }
  return literals;
}

/** Pairs of a comparison and a number, all of which must hold. */
function isWithin(bounds: readonly JsonValue[], value: number): boolean {
  return bounds.every((comparison, at) => {
    const bound = bounds[at + 1];
    return at % 2 === 1 || (typeof bound === "number" && compare(value, comparison, bound));
  });
}

function compare(value: number, comparison: JsonValue, bound: number): boolean {
  switch (comparison) {
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
      return false;
  }
}

function isInNetwork(network: string, value: string): boolean {
  const [range, digits] = [networkRange(network), addressDigits(value)];
  return !("fault" in range) && digits !== undefined && isInRange(range, digits);
}

function listOf(value: JsonValue): readonly JsonValue[] {
  return isList(value) ? value : [value];
}

export function isList(value: JsonValue | undefined): value is readonly JsonValue[] {
  return Array.isArray(value);
}

export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
