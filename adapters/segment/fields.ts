// What an event's properties or a tenant's traits must be before they are sent: JSON that says what was meant.
import { allFinite, type JsonObject, type JsonValue, quoteName } from "../../src/index.ts";
import { type Rejection, reject } from "./refusals.ts";

/** Whether text may hold what {@link sendable} mends or rejects: nearly no event's does, and looking costs little. */
export function isSuspect(json: string): boolean {
  // What is not finite became null, and a half became \\ud….
  return json.includes("null") || json.includes("\\ud");
}

/**
 * The fields as they are sent: U+FFFD stands for every half of a surrogate pair in a value. Two names could become
 * one by that, so names that hold one are rejected, as are numbers that JSON has only null for.
 *
 * @throws {TypeError} for what no JSON value is, such as a BigInt of a mapping of one's own.
 */
export function sendable(fields: JsonObject): { readonly fields: JsonObject } | Rejection {
  const infinite = Object.keys(fields).find((name) => !allFinite(fields[name]));
  if (infinite !== undefined) {
    const reason = `the field ${quoteName(infinite)} holds a number larger than a double can be`;
    return reject("NUMBER_NOT_FINITE", reason);
  }
  const json = JSON.stringify(fields);
  let namesAreText = true;
  const mended: JsonObject = JSON.parse(json, (name, value: JsonValue) => {
    namesAreText &&= name.isWellFormed();
    return typeof value === "string" ? value.toWellFormed() : value;
  });
  return namesAreText
    ? { fields: mended }
    : reject("NOT_UNICODE", "the name of a field is not well-formed Unicode");
}
