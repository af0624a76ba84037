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

/** The hour that was asked for last: events come in order, so it nearly always is the next one's as well. */
let lastHour = Number.NaN;
let lastHourText = "";
const msOfHour = 3_600_000;
/** The last time that a `Date` can be: the first millisecond of its hour, whose others are none. ECMA-262, 21.4.1.1. */
const latestMs = 8.64e15;

/**
 * As `toISOString` of a `Date`, for a fifth of its time.
 *
 * @throws {RangeError} for a time that no `Date` can be.
 */
export function isoTime(time: number): string {
  const hour = Math.floor(time / msOfHour);
  if (hour !== lastHour || time > latestMs) {
    // 2026-11-02T10:00:00.000Z: up to the minutes. A year beyond 9999 has more digits.
    lastHourText = new Date(time).toISOString().slice(0, -"00:00.000Z".length);
    lastHour = hour;
  }
  const rest = time - hour * msOfHour;
  const minutes = Math.floor(rest / 60_000);
  const seconds = Math.floor((rest % 60_000) / 1000);
  return `${lastHourText}${digits(minutes, 2)}:${digits(seconds, 2)}.${digits(rest % 1000, 3)}Z`;
}

function digits(value: number, count: number): string {
  return String(value).padStart(count, "0");
}
