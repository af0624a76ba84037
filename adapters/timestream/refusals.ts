// Every code with which this sink refuses a record: what it means, and what an operator can do.
import type { Refusals } from "../../src/index.ts";

const rename = "Rename the field where the record is made, then replay the letters.";
const shorten = "Shorten it where the record is made, or route the metric to other sinks only.";
const compare =
  "Compare the letters of this fingerprint: what they share and delivered records lack is the cause.";

/** A sentence each; names of fields stand in the letter's reason. */
export const refusals = {
  TENANT_ID_NO_TABLE_NAME: {
    meaning: "The tenant's id cannot be the name of a table: 3 to 256 of a-z, A-Z, 0-9, _, . and -.",
    action: "Give the tenant an id that fits, or route its events to other sinks only.",
  },
  NAME_TOO_LONG: {
    meaning: "A name has more bytes than Timestream takes: 60 in metadata, 256 in data and for metric_name.",
    action: rename,
  },
  NAME_INVALID: {
    meaning: "A name is empty, holds a colon, or is not well-formed Unicode.",
    action: rename,
  },
  NAME_RESERVED: {
    meaning:
      "A name is time, or begins with ts_, measure_name or measure_value, which Timestream keeps for itself.",
    action: rename,
  },
  NAME_TAKEN: {
    meaning: "A field of data has the name of a dimension, which are metadata's fields and event_id.",
    action: rename,
  },
  EVENT_ID_NOT_TEXT: {
    meaning:
      "metadata.event_id is no text, blank, or holds half of a surrogate pair: no id that keeps events apart.",
    action: "Write event_id as text where the record is made; a UUID will do.",
  },
  VALUE_TOO_LONG: {
    meaning: "One value has more than 2,048 bytes, objects and arrays counted as their JSON text.",
    action: shorten,
  },
  NUMBER_NOT_FINITE: {
    meaning: "A number is larger than a double can be, such as 1e400.",
    action: "Send it as text, or leave it out, where the record is made.",
  },
  MEASURE_TYPE: {
    meaning: "A value does not fit the type that the configuration declares for its field.",
    action: "Correct the declared type under `measures`, or the producer; then replay the letters.",
  },
  NO_MEASURES: {
    meaning: "data holds nothing besides event_time, nulls and empty text, and a record needs one measure.",
    action: "Route the metric to other sinks only, or have its producer send a value.",
  },
  TOO_MANY_DIMENSIONS: {
    meaning: "metadata has more fields than the 128 dimensions that Timestream takes, event_id among them.",
    action: "Send fewer fields in metadata, or move those that change with every event to data.",
  },
  TOO_MANY_MEASURES: {
    meaning: "data has more fields than the 256 measures that one record takes.",
    action: "Split the metric where the record is made, or route it to other sinks only.",
  },
  RECORD_TOO_LARGE: {
    meaning: "Names and values of the record come to more than 2,048 bytes together.",
    action: shorten,
  },
  VALIDATION_EXCEPTION: {
    meaning:
      "Timestream finds a request with this record alone invalid, and does not say why in a fixed form.",
    action: compare,
  },
  SERIALIZATION_EXCEPTION: {
    meaning: "Timestream cannot read a request with this record alone.",
    action: compare,
  },
  RECORD_CONFLICT: {
    meaning: "A record with the same event_id, dimensions and time is stored, with other values.",
    action: "Find the producer that uses an event_id twice; the record that came first is kept.",
  },
  TIME_OUT_OF_RANGE: {
    meaning: "The event's time is more than 15 minutes ahead, or older than what the table still takes.",
    action:
      "If its clock was ahead, replay the letters later; if it is too old, see the table's retention and magnetic store writes.",
  },
  LIMIT_EXCEEDED: {
    meaning:
      "The record would exceed a limit of its table: 128 dimensions, 8,192 measure names, 1,024 measures.",
    action: "Find the producer whose field or metric names never end; a table keeps each name for good.",
  },
  RECORD_REJECTED: {
    meaning: "Timestream rejected the record for a reason of no known kind.",
    action:
      "See whether a field has another type than its column: a column keeps the type that it had first.",
  },
  REJECTED_RECORD_UNKNOWN: {
    meaning: "Timestream rejected the record, sent alone, without saying which record it meant, or why.",
    action: compare,
  },
} as const satisfies Refusals;

/** So a code without advice does not compile. */
export type Code = keyof typeof refusals;
