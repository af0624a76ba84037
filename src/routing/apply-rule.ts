// What EventBridge does with an event: which rules it matches, and what the rule's target gets.
import type { JsonObject } from "../event.ts";
import { matchesPattern } from "./event-pattern.ts";
import { type EventRule, type MissingValue, renderInput } from "./event-rules.ts";

/** What the rule's target gets of an event, as JSON text; undefined when the event does not match the rule. */
export function applyRule(
  { eventPattern, inputTransformer }: Pick<EventRule, "eventPattern" | "inputTransformer">,
  event: JsonObject,
  missing?: MissingValue,
): string | undefined {
  return matchesPattern(eventPattern, event) ? renderInput(inputTransformer, event, missing) : undefined;
}
