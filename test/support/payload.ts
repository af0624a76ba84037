// What a payload says: sinks keep what they send as JSON, and tests look at the values in it.
import type { Encoded } from "../../src/index.ts";

/** The values of a payload, be it JSON itself or what `JSON.stringify` makes it of; `T` is what its adapter says. */
export function valuesOf<T>(payload: unknown): T {
  return JSON.parse(typeof payload === "string" ? payload : JSON.stringify(payload));
}

/** The values that are sent of an event. @throws when it is not sent. */
export function sentOf<T>(encoded: Encoded<unknown>): T {
  if (!("payload" in encoded)) throw new Error(`not sent: ${JSON.stringify(encoded)}`);
  return valuesOf(encoded.payload);
}
