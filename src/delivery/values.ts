// What nearly every mapping asks of a record's values and names.
import type { JsonValue } from "../event.ts";

/**
 * Whether JSON can say every number of the value. It has no Infinity, but it has 1e400, which `JSON.parse` reads as
 * one and `JSON.stringify` would write as null. Undefined is an absent field.
 */
export function allFinite(value: JsonValue | undefined): boolean {
  if (typeof value === "number") return Number.isFinite(value);
  return typeof value !== "object" || value === null || Object.values(value).every(allFinite);
}

/** No sentence gets longer than a line by a name. */
const longestName = 60;

/**
 * A name that a record brought, for a sentence: in quotes, short, and without what would end the quotes or a line.
 * Fingerprints leave out what is quoted, so no record can make causes without end.
 */
export function quoteName(name: string): string {
  return `"${name.slice(0, longestName).replace(/["'\p{C}]/gu, "?")}"`;
}
