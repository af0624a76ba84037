// Every code with which the two sinks refuse a record: what it means, and what an operator can do.
import type { Refusals } from "../../src/index.ts";

const rename = "Rename the field where the record is made, or choose fields and names in the configuration.";
const compare =
  "Compare the letters of this fingerprint: what they share and delivered records lack is the cause.";

/** What a mapping refuses before anything is sent: names of fields stand in the letter's reason. */
const mapping = {
  TENANT_ID_INVALID: {
    meaning:
      "metadata.tenant_id is no valid Unicode, too long, or has control characters or white space at its ends: changed " +
      "by HubSpot, it could become another tenant's.",
    action: "Repair the tenant's id where the record is made.",
  },
  TIME_INVALID: {
    meaning:
      "data.event_time is not in the years 0 to 9999, and HubSpot's times have four digits for the year.",
    action: "Look at the producer's clock and the unit of its times.",
  },
  PROPERTY_NAME_INVALID: {
    meaning: "A property's name is too long, or not made of a to z first, then a to z, 0 to 9 or _.",
    action: rename,
  },
  PROPERTY_NAME_COLLISION: {
    meaning: "Two fields of the record become one property, and one of them would be lost.",
    action: rename,
  },
  PROPERTY_VALUE_TOO_LONG: {
    meaning: "A value is longer than HubSpot keeps; values are never cut.",
    action: "Shorten it where the record is made, or leave the field out in the configuration.",
  },
  PROPERTY_VALUE_TOO_DEEP: {
    meaning: "A list or object is nested deeper than 100 levels.",
    action: "Send less in that field, or leave it out in the configuration.",
  },
  NUMBER_NOT_FINITE: {
    meaning: "A number is larger than a double can be, such as 1e400.",
    action: "Send it as text, or leave it out, where the record is made.",
  },
} as const satisfies Refusals;

/** What HubSpot refuses in fixed words of its own, the most telling first. */
const words = {
  CONFLICTING_UNIQUE_VALUE: {
    meaning: "Another record at HubSpot has the value of a property whose values are unique.",
    action: "Find the two at HubSpot and merge them or change one; then replay the letters.",
  },
  PROPERTY_DOESNT_EXIST: {
    meaning: "The account has no property of that name on companies, or none in the event's definition.",
    action: "Make the property at HubSpot, of a fitting type, then replay the letters.",
  },
  INVALID_DATE: {
    meaning: "The property holds a date without a time of day, and what was sent is not midnight, UTC.",
    action: "Make the property a date and time at HubSpot, or map a date to it; then replay the letters.",
  },
  READ_ONLY_VALUE: {
    meaning: "HubSpot computes the property by itself and lets nobody write it.",
    action: "Map the field to another property, then replay the letters.",
  },
  INVALID_OPTION: {
    meaning: "The property takes only the options of its list, and the value is none of them.",
    action: "Add the option at HubSpot, or make the property a text; then replay the letters.",
  },
  OBJECT_ALREADY_EXISTS: {
    meaning: "HubSpot has the object already, and would not write over it.",
    action: compare,
  },
  OBJECT_NOT_FOUND: {
    meaning: "What the record names is not in the account: an event's definition, a company, a record id.",
    action: "Make it at HubSpot, then replay the letters.",
  },
  CONFLICT: {
    meaning: "The write conflicts with what HubSpot has, and did so again after another look.",
    action:
      "Look for two companies of one tenant, or for another program that writes them; then replay the letters.",
  },
  VALIDATION_ERROR: {
    meaning: "HubSpot finds the record invalid, and says no more in fixed words.",
    action:
      "See whether every property and event definition exists and has a fitting type; then replay the letters.",
  },
} as const satisfies Refusals;

/** What HubSpot refuses. */
const replies = {
  ...words,
  INPUT_REFUSED: {
    meaning: "HubSpot refused the record in words that this version does not know.",
    action: compare,
  },
} as const satisfies Refusals;

export const eventsRefusals = {
  EVENT_NAME_INVALID: {
    meaning:
      "The event's name is not made of a to z first, then a to z, 0 to 9 or _; names are never bent into shape.",
    action: "Give the sink an `eventName` that makes a lawful name of it.",
  },
  OBJECT_ID_INVALID: {
    meaning: "The metadata field that holds the company's record id holds no whole number.",
    action: "Repair the field where the record is made, or take it out: tenant_id finds the company, too.",
  },
  TOO_MANY_PROPERTIES: {
    meaning: "The record makes more than the 50 properties that an event of HubSpot's has.",
    action: "Choose the fields that matter with the option `fields`.",
  },
  ...mapping,
  ...replies,
  DUPLICATE_UUID: {
    meaning:
      "HubSpot has one of the batch's events already; the batch is halved, and that event counts as delivered.",
    action: "Nothing: no letter has this code.",
  },
} as const satisfies Refusals;

export const companiesRefusals = {
  ...mapping,
  PROPERTY_NAME_RESERVED: {
    meaning:
      "A metric and field together make the name of a property that identifies the company, keeps a time, or is HubSpot's own.",
    action:
      "Rename one of them where the record is made, or map it to another property with the option `properties`.",
  },
  UNKNOWN_COMPANY: {
    meaning: "No company has this tenant's id, or it is archived, and the sink is not to make one.",
    action: "Make or restore the company at HubSpot, then replay the letters; or set `createUnknown`.",
  },
  COMPANY_ARCHIVED: {
    meaning: "The tenant's company is archived, and what is written there nobody sees.",
    action: "Restore it at HubSpot, then replay the letters.",
  },
  TENANT_ID_AMBIGUOUS: {
    meaning: "HubSpot finds another tenant's company by this tenant's id, such as one in other letter case.",
    action:
      "Tell the two tenants' ids apart by more than case and spaces, at HubSpot and where records are made.",
  },
  ...replies,
} as const satisfies Refusals;

/** So a code without advice does not compile. */
export type Code = keyof typeof eventsRefusals | keyof typeof companiesRefusals;

/**
 * What HubSpot says in fixed words and this version knows, the most telling first: in `category`, or in the `code`
 * of an error's details. Other words may be new, or a record's own value.
 */
// A literal has the keys that its type names, and no others.
export const hubspotWords = Object.keys(words) as readonly (keyof typeof words)[];
