// What operators are told beside each code of the intake lane.
import type { RefusalAdvice } from "../delivery/sink.ts";
import type { RefusalCode } from "../event.ts";
import type { InvalidCode } from "./records.ts";

const repair = "Repair the record at its source, or the object, and deliver it again.";

/** Complete: a code without advice does not compile. */
export const intakeRefusals: Readonly<Record<InvalidCode | RefusalCode, RefusalAdvice>> = {
  NOT_JSON: { meaning: "The bytes are not JSON.", action: repair },
  UTF_16: {
    meaning: "The bytes are UTF-16, and JSON must be UTF-8.",
    action: "Let the producer write UTF-8, convert the object and deliver it again.",
  },
  INVALID_UTF8: {
    meaning: "The record is JSON but for bytes that are not UTF-8.",
    action: "Let the producer write UTF-8; the letter keeps the original bytes in base64.",
  },
  CUT_OFF: {
    meaning: "The object, or what could be read of it, ends inside the record.",
    action: "Look for the rest at the start of the stream's next object, or deliver an undamaged copy.",
  },
  TOO_LARGE: {
    meaning: "The record is larger than maxRecordBytes; the letter has its byte range and not its bytes.",
    action: "Raise maxRecordBytes and replay the object, or let the producer write less.",
  },
  TOO_DEEP: {
    meaning: "The record is nested deeper than any sink could take.",
    action: "Let the producer flatten it.",
  },
  CONTAINER_TRUNCATED: {
    meaning: "The object ends inside of its compressed data: the rest was never stored.",
    action: "Deliver a complete copy; records that were read before the end have been delivered.",
  },
  CONTAINER_CORRUPT: {
    meaning: "Compressed data are damaged, or something stands among them that is no part of them.",
    action: "Deliver an undamaged copy; the letter tells which stored bytes could not be read.",
  },
  CONTAINER_UNSUPPORTED: {
    meaning: "The container, its compression method or its encryption is not supported.",
    action: "Let Firehose write GZIP, ZIP, Snappy, HADOOP_SNAPPY or no compression, and deliver it again.",
  },
  CONTAINER_BOMB: {
    meaning: "The object inflates to more than maxInflatedBytes or maxRatio allow.",
    action: "If it is honest, raise the limit and replay the object.",
  },
  NOT_AN_OBJECT: {
    meaning: "The record is JSON, but an array, a string, a number, true, false or null.",
    action: "Let the producer write one object a record, each with metric_name, metadata and data.",
  },
  METRIC_NAME_MISSING: { meaning: "metric_name is not a string, or blank.", action: repair },
  METRIC_NAME_INVALID: { meaning: "metric_name is not well-formed Unicode.", action: repair },
  METADATA_MISSING: { meaning: "metadata is not an object.", action: repair },
  TENANT_ID_MISSING: { meaning: "metadata.tenant_id is not a string, or blank.", action: repair },
  TENANT_ID_INVALID: {
    meaning: "metadata.tenant_id is not well-formed Unicode: encoded, it could be another tenant's.",
    action: repair,
  },
  DATA_MISSING: { meaning: "data is not an object.", action: repair },
  EVENT_TIME_MISSING: { meaning: "data.event_time is missing, null or empty.", action: repair },
  EVENT_TIME_INVALID: {
    meaning: "data.event_time names no instant.",
    action: "Let the producer write ISO 8601 with Z or an offset, or epoch seconds or milliseconds.",
  },
  EVENT_TIME_TOO_OLD: {
    meaning: "data.event_time is longer before the object was written than maxAgeMs allows.",
    action: "If the event is wanted, raise maxAgeMs and replay the object.",
  },
  EVENT_TIME_TOO_FAR_AHEAD: {
    meaning: "data.event_time is further after the object was written than maxAheadMs allows.",
    action: "Look for a wrong clock or a wrong unit at the producer; if the time is meant, raise maxAheadMs.",
  },
};
