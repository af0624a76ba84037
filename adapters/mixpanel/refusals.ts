// Why an event can never be in Mixpanel: the one list of this sink's codes, and what to do about each.
import { quoteName, type Refusals } from "../../src/index.ts";

const rename =
  "Rename the field where the record is made; the option `metadata` can leave out a field of metadata.";
const compare =
  "Compare the record with https://developer.mixpanel.com/reference/import-events, repair its producer and replay.";

/** A sentence each; names of fields stand in the letter's reason. */
export const refusals = {
  EVENT_NAME_INVALID: {
    meaning:
      "The event's name is empty, longer than 255 bytes of UTF-8, no valid Unicode, or begins with $ like Mixpanel's " +
      "own events, of which some merge users.",
    action: "Shorten or repair metric_name where the record is made, or give the sink an `eventName`.",
  },
  TENANT_ID_TOO_LONG: {
    meaning: "metadata.tenant_id is longer than 255 bytes of UTF-8; cut, it could become another tenant's.",
    action: "Give the tenant a shorter id, or route its events to other sinks only.",
  },
  TENANT_ID_INVALID: {
    meaning: "metadata.tenant_id is no valid Unicode; repaired, it could become another tenant's.",
    action: "Repair the tenant's id where the record is made.",
  },
  TIME_TOO_EARLY: {
    meaning:
      "data.event_time is before March 1973; Mixpanel takes nothing before 1971 and reads small numbers as seconds.",
    action: "Look at the producer's clock and the unit of its times.",
  },
  NAME_TOO_LONG: {
    meaning: "A field's name is longer than 255 bytes of UTF-8; names are never cut.",
    action: rename,
  },
  NAME_INVALID: {
    meaning: "A field's name is no valid Unicode; repaired, it could become another field's.",
    action: rename,
  },
  NAME_TAKEN: {
    meaning: "Two fields of the record would be the same property, and one of them would be lost.",
    action: rename,
  },
  PROPERTY_INVALID: {
    meaning:
      "A field holds a number too large for JSON, a name of over 255 bytes or no valid Unicode, over 254 entries, " +
      "more than 3 levels or over 8 KB.",
    action: "Send less in that field, or split it into several.",
  },
  TOO_MANY_PROPERTIES: {
    meaning: "The event has 255 properties or more.",
    action: "Send fewer fields; of metadata, the option `metadata` chooses some.",
  },
  EVENT_REFUSED: {
    meaning: "Mixpanel's validation refused the event's name or the event as a whole.",
    action: compare,
  },
  TIME_REFUSED: {
    meaning: "Mixpanel refused the event's time: it takes none that is over an hour ahead of its own clock.",
    action: "Repair the producer's clock; replay the letters once their time has come.",
  },
  USER_REFUSED: {
    meaning: "Mixpanel refused metadata.user_id as a user's id (distinct_id).",
    action: "Send another user_id, or none, which makes the event nobody's.",
  },
  INSERT_ID_REFUSED: {
    meaning: "Mixpanel refused the id by which it tells duplicates ($insert_id), which this sink makes.",
    action: "Report it: an id of 36 hexadecimal digits and dashes should always be taken.",
  },
  PROPERTY_REFUSED: {
    meaning: "Mixpanel's validation refused one of the event's properties, or all of them together.",
    action: "Look at the property that the reason names, repair its producer and replay.",
  },
  VALIDATION_FAILED: {
    meaning: "Mixpanel's validation refused the event and named no field that the event has.",
    action: compare,
  },
} as const satisfies Refusals;

/** So a code without advice does not compile. */
export type Code = keyof typeof refusals;

/** What `failed_records[].field` says → our code; any other field of `properties` is a {@link Code} of its own. */
const fieldCodes: ReadonlyMap<unknown, Code> = new Map([
  ["event", "EVENT_REFUSED"],
  ["properties", "PROPERTY_REFUSED"],
  ["properties.time", "TIME_REFUSED"],
  ["properties.distinct_id", "USER_REFUSED"],
  ["properties.$insert_id", "INSERT_ID_REFUSED"],
]);

/**
 * Mixpanel's own message may quote a value, and so may a field that the event does not have: only what was sent as
 * a name is told, in quotes, which a fingerprint leaves out.
 */
export function refusalOf(field: unknown, names: readonly string[]): { code: Code; reason: string } {
  const code = fieldCodes.get(field);
  if (code !== undefined) return { code, reason: `the validation of Mixpanel refused its ${String(field)}` };
  const name = names.find((each) => `properties.${each}` === field);
  if (name === undefined)
    return { code: "VALIDATION_FAILED", reason: "the validation of Mixpanel refused it" };
  return {
    code: "PROPERTY_REFUSED",
    reason: `the validation of Mixpanel refused its property ${quoteName(name)}`,
  };
}
