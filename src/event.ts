// The unified schema: what a record must be to become an event.

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: JsonValue;
}

/** What names an event and places it in time. */
export interface EventHead {
  /**
   * `metadata.event_id` when the record has a usable one (see {@link parseEvent}), else derived from the object's identity and the record's
   * index. The same record has the same id in every attempt, pass, redelivery and replay.
   */
  readonly id: string;
  /** The kind of event, `metric_name`, as it came. Never blank, always well-formed Unicode. */
  readonly metricName: string;
  /**
   * Whose event it is, `metadata.tenant_id`, as it came: two that differ in a blank are two tenants. Never blank,
   * always well-formed Unicode.
   */
  readonly tenantId: string;
  /** `data.event_time` in milliseconds since the epoch, UTC. An integer. */
  readonly time: number;
}

/** A valid record. Everything a sink's mapping may look at; frozen in meaning, never mutated. */
export interface MetricEvent extends EventHead {
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
  | "METRIC_NAME_INVALID"
  | "METADATA_MISSING"
  | "TENANT_ID_MISSING"
  | "TENANT_ID_INVALID"
  | "DATA_MISSING"
  | "EVENT_TIME_MISSING"
  | "EVENT_TIME_INVALID"
  | "EVENT_TIME_TOO_OLD"
  | "EVENT_TIME_TOO_FAR_AHEAD";

export type Parsed = { readonly event: MetricEvent } | { readonly refusal: Refusal };

/** Which event times are absurd. Distances are from {@link TimeWindow.now}. */
export interface TimePolicy {
  /** An older event is refused. Milliseconds, default none: what is too old is for each sink to say. */
  readonly maxAgeMs?: number;
  /**
   * An event further ahead is refused. Milliseconds, default 24 hours: more than any mistaken time zone, less than
   * a mistaken year, with which an event would stay the newest of its tenant for ever.
   */
  readonly maxAheadMs?: number;
}

export interface TimeWindow extends TimePolicy {
  /** Milliseconds since the epoch. Always the same for the same record, or a second reading would judge it anew. */
  readonly now: number;
}

export const defaultMaxAheadMs: number = 24 * 60 * 60_000;

/**
 * Validates one parsed JSON value. An id is usable when it is a string, not blank, and well-formed Unicode.
 *
 * @param derivedId Called only when the record carries no usable `metadata.event_id`.
 * @param times Default: any time will do.
 */
export function parseEvent(value: unknown, derivedId: () => string, times?: TimeWindow): Parsed {
  if (!isObject(value)) return refuse("NOT_AN_OBJECT", "the record is not a JSON object");
  const { metric_name: metricName, metadata, data } = value;
  if (!isText(metricName)) {
    return refuse("METRIC_NAME_MISSING", "metric_name must be a string that is not blank");
  }
  if (!metricName.isWellFormed()) {
    return refuse("METRIC_NAME_INVALID", "metric_name has half a surrogate pair, which is no character");
  }
  if (!isObject(metadata)) return refuse("METADATA_MISSING", "metadata must be an object");
  const tenantId = metadata["tenant_id"];
  if (!isText(tenantId)) {
    return refuse("TENANT_ID_MISSING", "metadata.tenant_id must be a string that is not blank");
  }
  // In UTF-8 every half of a pair becomes U+FFFD, and two tenants would become one.
  if (!tenantId.isWellFormed()) {
    return refuse("TENANT_ID_INVALID", "metadata.tenant_id has half a surrogate pair, which is no character");
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
  const absurd = times === undefined ? undefined : judge(time, times);
  if (absurd !== undefined) return absurd;
  const given = metadata["event_id"];
  const id = isText(given) && given.isWellFormed() ? given : derivedId();
  return { event: { id, metricName, tenantId, time, metadata, data } };
}

/** All that is kept of an event once its sinks have encoded it. */
export function headOf({ id, metricName, tenantId, time }: MetricEvent): EventHead {
  return { id, metricName, tenantId, time };
}

const epochDigits = /^-?\d{1,13}(?:\.\d+)?$/;

/**
 * Numbers below this are epoch seconds, from here on epoch milliseconds. As seconds it is the year 5138,
 * as milliseconds March 1973: no event of a living system falls on the wrong side.
 */
const millisecondsFrom = 1e11;

/**
 * Numbers from here on are no time: as milliseconds it is the year 2286, so they are microseconds, or a date
 * without its dashes.
 */
const millisecondsUntil = 1e13;

/** Milliseconds since the epoch, or undefined when the value names no instant. */
export function parseEventTime(value: JsonValue): number | undefined {
  if (typeof value === "number") return fromEpoch(value);
  if (typeof value !== "string") return undefined;
  if (value[4] === "-") return fromIso(value);
  return epochDigits.test(value) ? fromEpoch(Number(value)) : undefined;
}

function fromEpoch(value: number): number | undefined {
  if (!(Math.abs(value) < millisecondsUntil)) return undefined;
  // Rounded, since a product of seconds can come out a hair below its millisecond.
  return Math.round(Math.abs(value) < millisecondsFrom ? value * 1000 : value);
}

/**
 * ISO 8601 as RFC 3339 profiles it: a date, a time, and an offset that makes it unambiguous. Seconds may be missing,
 * fractions of them have any length, the offset's minutes may be missing. By hand, since it runs for every event:
 * an expression and `Date.parse` take ten times as long.
 */
function fromIso(text: string): number | undefined {
  const day = startOfDay(text.slice(0, 10));
  const separator = text[10];
  const hour = twoDigits(text, 11);
  const minute = twoDigits(text, 14);
  if (day === undefined || text[13] !== ":") return undefined;
  if (separator !== "T" && separator !== "t" && separator !== " ") return undefined;
  let second = 0;
  let millis = 0;
  let at = 16;
  if (text[at] === ":") {
    second = twoDigits(text, 17);
    at = 19;
    if (text[at] === "." || text[at] === ",") {
      const fraction = at + 1;
      let worth = 100;
      for (at = fraction; isDigit(text.charCodeAt(at)); at++, worth /= 10) {
        if (worth >= 1) millis += (text.charCodeAt(at) - 48) * worth;
      }
      if (at === fraction) return undefined;
    }
  }
  if (text[at] === " ") at++;
  const offset = minutesOfOffset(text, at);
  if (offset === undefined || !(hour <= 24 && minute <= 59 && second <= 60)) return undefined;
  // Midnight at the end of the day, and no time after it.
  if (hour === 24 && (minute > 0 || second > 0 || millis > 0)) return undefined;
  const minutes = hour * 60 + minute - offset;
  // A leap second ends a day in UTC; like every clock of POSIX this one counts it as the first of the next day.
  if (second === 60 && (minutes + 2 * minutesOfDay) % minutesOfDay !== minutesOfDay - 1) return undefined;
  return day + minutes * 60_000 + second * 1000 + millis;
}

const minutesOfDay = 24 * 60;

/** The day that was asked for last: events come in order, so it nearly always is the next one's as well. */
let lastDate = "";
let lastDay: number | undefined;

function startOfDay(date: string): number | undefined {
  if (date === lastDate) return lastDay;
  const day = /^\d{4}-\d{2}-\d{2}$/.test(date) ? Date.parse(`${date}T00:00:00Z`) : Number.NaN;
  lastDate = date;
  // Date.parse turns February 30th into March 1st or 2nd: a day that nobody meant.
  lastDay = new Date(day).getUTCDate() === Number(date.slice(8)) ? day : undefined;
  return lastDay;
}

/** `Z`, `+hh:mm`, `+hhmm` or `+hh`, at the end of the text. */
function minutesOfOffset(text: string, at: number): number | undefined {
  const sign = text[at];
  if (sign === "Z" || sign === "z") return text.length === at + 1 ? 0 : undefined;
  if (sign !== "+" && sign !== "-") return undefined;
  const hours = twoDigits(text, at + 1);
  const colon = text[at + 3] === ":" ? 1 : 0;
  const bare = text.length === at + 3;
  const minutes = bare ? 0 : twoDigits(text, at + 3 + colon);
  if (!(hours <= 23 && minutes <= 59) || !(bare || text.length === at + 5 + colon)) return undefined;
  return sign === "-" ? -(hours * 60 + minutes) : hours * 60 + minutes;
}

function twoDigits(text: string, at: number): number {
  const tens = text.charCodeAt(at);
  const ones = text.charCodeAt(at + 1);
  return isDigit(tens) && isDigit(ones) ? (tens - 48) * 10 + ones - 48 : Number.NaN;
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

function judge(
  time: number,
  { now, maxAgeMs = Number.POSITIVE_INFINITY, maxAheadMs = defaultMaxAheadMs }: TimeWindow,
): Parsed | undefined {
  if (now - time > maxAgeMs) {
    return refuse("EVENT_TIME_TOO_OLD", "data.event_time is longer ago than the configuration allows");
  }
  if (time - now > maxAheadMs) {
    return refuse(
      "EVENT_TIME_TOO_FAR_AHEAD",
      "data.event_time is further ahead than the configuration allows",
    );
  }
  return undefined;
}

function isObject(value: unknown): value is JsonObject {
  // A value from JSON.parse that is a non-null, non-array object has string keys and JSON values only.
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A string that is not blank: its first character nearly always tells. */
function isText(value: unknown): value is string {
  if (typeof value !== "string") return false;
  const first = value.charCodeAt(0);
  return (first > 0x20 && first < 0x7f) || value.trim() !== "";
}

function refuse(code: RefusalCode, reason: string): Parsed {
  return { refusal: { code, reason } };
}
