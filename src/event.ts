// The unified schema: what a record must be to become an event.

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: JsonValue;
}

/** A valid record. Everything a sink's mapping may look at; frozen in meaning, never mutated. */
export interface MetricEvent {
  /**
   * `metadata.event_id` when the record has one, else derived from the object's identity and the record's
   * index. The same record has the same id in every attempt, pass, redelivery and replay.
   */
  readonly id: string;
  /** The kind of event, `metric_name`. Never empty. */
  readonly metricName: string;
  /** Whose event it is, `metadata.tenant_id`. Never empty. */
  readonly tenantId: string;
  /** `data.event_time` in milliseconds since the epoch, UTC. An integer. */
  readonly time: number;
  /** The whole `metadata` object as it came, `tenant_id` included. */
  readonly metadata: JsonObject;
  /** The whole `data` object as it came, `event_time` included. */
  readonly data: JsonObject;
}

/** Why a record is not an event: a stable code, and one sentence that names the field and never its value. */
export interface Refusal {
  readonly code: RefusalCode;
  readonly reason: string;
}

export type RefusalCode =
  | "NOT_AN_OBJECT"
  | "METRIC_NAME_MISSING"
  | "METADATA_MISSING"
  | "TENANT_ID_MISSING"
  | "DATA_MISSING"
  | "EVENT_TIME_MISSING"
  | "EVENT_TIME_INVALID";

export type Parsed = { readonly event: MetricEvent } | { readonly refusal: Refusal };

/**
 * Validates one parsed JSON value.
 *
 * @param derivedId Called only when the record carries no usable `metadata.event_id`.
 */
export function parseEvent(value: unknown, derivedId: () => string): Parsed {
  if (!isObject(value)) return refuse("NOT_AN_OBJECT", "the record is not a JSON object");
  const { metric_name: metricName, metadata, data } = value;
  if (typeof metricName !== "string" || metricName === "") {
    return refuse("METRIC_NAME_MISSING", "metric_name must be a non-empty string");
  }
  if (!isObject(metadata)) return refuse("METADATA_MISSING", "metadata must be an object");
  const tenantId = metadata["tenant_id"];
  if (typeof tenantId !== "string" || tenantId === "") {
    return refuse("TENANT_ID_MISSING", "metadata.tenant_id must be a non-empty string");
  }
  if (!isObject(data)) return refuse("DATA_MISSING", "data must be an object");
  const eventTime = data["event_time"];
  if (eventTime === undefined || eventTime === null || eventTime === "") {
    return refuse("EVENT_TIME_MISSING", "data.event_time is required");
  }
  const time = parseEventTime(eventTime);
  if (time === undefined) {
    return refuse(
      "EVENT_TIME_INVALID",
      "data.event_time must be an ISO 8601 date-time with Z or an offset, or epoch seconds or milliseconds",
    );
  }
  const given = metadata["event_id"];
  const id = typeof given === "string" && given !== "" ? given : derivedId();
  return { event: { id, metricName, tenantId, time, metadata, data } };
}

/** What ISO 8601 (RFC 3339 profile) allows: a date, a time, and an offset that makes it unambiguous. */
const isoDateTime =
  /^(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d+))?)?\s?(?:([Zz])|([+-])(\d{2})(?::?(\d{2}))?)$/;
const epochDigits = /^-?\d{1,16}(?:\.\d+)?$/;

/**
 * Numbers below this are epoch seconds, from here on epoch milliseconds. As seconds it is the year 5138,
 * as milliseconds March 1973: no event of a living system falls on the wrong side.
 */
const millisecondsFrom = 1e11;

/** The largest time that a Date can hold, in milliseconds (ECMA-262, 21.4.1.1). */
const maxTime = 8.64e15;

/** Milliseconds since the epoch, or undefined when the value names no instant. */
export function parseEventTime(value: JsonValue): number | undefined {
  if (typeof value === "number") return fromEpoch(value);
  if (typeof value !== "string") return undefined;
  if (epochDigits.test(value)) return fromEpoch(Number(value));
  const match = isoDateTime.exec(value);
  if (match === null) return undefined;
  const [
    ,
    year,
    month,
    day,
    hour,
    minute,
    second = "00",
    fraction = "",
    zulu,
    sign,
    offsetHour,
    offsetMinute = "00",
  ] = match;
  const millis = fraction.slice(0, 3).padEnd(3, "0");
  const local = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}.${millis}Z`);
  // Date.parse turns February 30th into March 1st or 2nd: a time that nobody meant.
  if (Number.isNaN(local) || (hour !== "24" && new Date(local).getUTCDate() !== Number(day)))
    return undefined;
  if (zulu !== undefined) return local;
  const offset = Number(offsetHour) * 60 + Number(offsetMinute);
  if (Number(offsetHour) > 23 || Number(offsetMinute) > 59) return undefined;
  return sign === "-" ? local + offset * 60_000 : local - offset * 60_000;
}

function fromEpoch(value: number): number | undefined {
  if (!Number.isFinite(value)) return undefined;
  const millis = Math.floor(Math.abs(value) < millisecondsFrom ? value * 1000 : value);
  return Math.abs(millis) <= maxTime ? millis : undefined;
}

function isObject(value: unknown): value is JsonObject {
  // A value from JSON.parse that is a non-null, non-array object has string keys and JSON values only.
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function refuse(code: RefusalCode, reason: string): Parsed {
  return { refusal: { code, reason } };
}
