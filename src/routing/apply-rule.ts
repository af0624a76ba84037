// What EventBridge does with an event: which rules it matches, and what the rule's target gets.
import { BlockList, isIP } from "node:net";
import type { JsonObject, JsonValue } from "../event.ts";
import { type EventRule, type MissingValue, renderInput } from "./event-rules.ts";

/** What the rule's target gets of an event, as JSON text; undefined when the event does not match the rule. */
export function applyRule(
  { eventPattern, inputTransformer }: Pick<EventRule, "eventPattern" | "inputTransformer">,
  event: JsonObject,
  missing?: MissingValue,
): string | undefined {
  return matchesPattern(eventPattern, event) ? renderInput(inputTransformer, event, missing) : undefined;
}

/**
 * Whether an event matches a pattern, with every operator that is documented; an operator of another name matches
 * nothing. A list of the event matches as soon as one of its values does.
 *
 * https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
 */
export function matchesPattern(pattern: JsonObject, event: JsonObject): boolean {
  return Object.entries(pattern).every(([key, wanted]) => {
    if (key === "$or" && Array.isArray(wanted)) {
      return wanted.some((each: JsonValue) => isObject(each) && matchesPattern(each, event));
    }
    const values = valuesOf(Object.hasOwn(event, key) ? event[key] : undefined);
    if (isObject(wanted)) {
      const objects = values.filter(isObject);
      // Without the object its fields are missing, which a pattern may ask for.
      return (objects.length === 0 ? [{}] : objects).some((object) => matchesPattern(wanted, object));
    }
    return Array.isArray(wanted) && wanted.some((condition: JsonValue) => holds(condition, values));
  });
}

/** The values that a field has: none, one, or those of a list, whatever lists are in it. */
function valuesOf(value: JsonValue | undefined): readonly JsonValue[] {
  if (value === undefined) return [];
  return isList(value) ? value.flatMap(valuesOf) : [value];
}

function holds(condition: JsonValue, values: readonly JsonValue[]): boolean {
  if (!isObject(condition)) return values.includes(condition);
  return Object.entries(condition).every(([operator, operand]) => {
    // Of leaves alone: an object is not there for it.
    if (operator === "exists") return values.some((value) => !isObject(value)) === operand;
    if (operator === "anything-but") {
      return values.length > 0 && values.every((value) => !excluded(operand, value));
    }
    return values.some((value) => satisfies(operator, operand, value));
  });
}

function excluded(operand: JsonValue, value: JsonValue): boolean {
  if (isList(operand)) return operand.includes(value);
  if (!isObject(operand)) return operand === value;
  return Object.entries(operand).some(([operator, each]) =>
    (isList(each) ? each : [each]).some((one) => satisfies(operator, one, value)),
  );
}

function satisfies(operator: string, operand: JsonValue, value: JsonValue): boolean {
  if (operator === "numeric") return typeof value === "number" && isList(operand) && within(operand, value);
  if (typeof value !== "string") return false;
  const folded = isObject(operand) ? operand["equals-ignore-case"] : undefined;
  if (operator === "prefix" || operator === "suffix") {
    const [text, part] =
      typeof folded === "string" ? [value.toLowerCase(), folded.toLowerCase()] : [value, operand];
    if (typeof part !== "string") return false;
    return operator === "prefix" ? text.startsWith(part) : text.endsWith(part);
  }
  if (typeof operand !== "string") return false;
  if (operator === "equals-ignore-case") return value.toLowerCase() === operand.toLowerCase();
  if (operator === "wildcard") return wildcard(operand).test(value);
  return operator === "cidr" && isInNetwork(operand, value);
}

/** Pairs of a comparison and a number, all of which must hold. */
function within(bounds: readonly JsonValue[], value: number): boolean {
  for (let at = 0; at < bounds.length; at += 2) {
    const [comparison, bound] = [bounds[at], bounds[at + 1]];
    if (typeof bound !== "number" || !compare(value, comparison, bound)) return false;
  }
  return bounds.length > 0;
}

function compare(value: number, comparison: JsonValue | undefined, bound: number): boolean {
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

/** `*` stands for any characters, `\*` and `\\` for themselves. */
function wildcard(pattern: string): RegExp {
  const source = pattern.replaceAll(/\\([*\\])|\*|[^*\\]+|\\/g, (part, escaped: string | undefined) =>
    part === "*" ? ".*" : (escaped ?? part).replaceAll(/[\\^$.*+?()[\]{}|/]/g, "\\$&"),
  );
  return new RegExp(`^${source}$`, "s");
}

function isInNetwork(network: string, address: string): boolean {
  const [base = "", bits = ""] = network.split("/");
  const family = isIP(base);
  if (family === 0 || isIP(address) !== family || !/^\d{1,3}$/.test(bits)) return false;
  const list = new BlockList();
  const type = family === 4 ? "ipv4" : "ipv6";
  if (Number(bits) > (family === 4 ? 32 : 128)) return false;
  list.addSubnet(base, Number(bits), type);
  return list.check(address, type);
}

function isList(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value);
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
