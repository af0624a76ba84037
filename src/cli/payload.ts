// What a payload says, for people and programs that look at it before it is sent.
import type { JsonValue } from "../event.ts";

/**
 * The values of a payload, as they would be sent: dates are text, and what is undefined is not there. A payload that is
 * the JSON of an object or a list is what it says; so is such a text beside others, an id of it, say.
 */
export function valuesOf(payload: unknown): JsonValue {
  const json: JsonValue = JSON.parse(JSON.stringify(payload ?? null));
  if (typeof json === "string") return jsonIn(json) ?? json;
  if (typeof json !== "object" || json === null || Array.isArray(json)) return json;
  const parts = Object.entries(json);
  if (!parts.every(([, part]) => typeof part === "string")) return json;
  return Object.fromEntries(parts.map(([name, part]) => [name, jsonIn(String(part)) ?? part]));
}

/** The object or the list that a text is the JSON of. */
export function jsonIn(text: string): JsonValue | undefined {
  if (!/^[[{]/.test(text)) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
