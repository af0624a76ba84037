// The mapping: what a metric looks like in Mixpanel, and which metrics cannot be there.
import {
  type Encoded,
  type JsonObject,
  type JsonValue,
  type MetricEvent,
  quoteName,
  stableUuid,
} from "../../src/index.ts";
import type { Code } from "./refusals.ts";

export interface MixpanelMapping {
  /** The property that carries the tenant; the project must know it as a group key. Default `company_id`. */
  readonly groupKey?: string;
  /** The event's name in Mixpanel, default its `metric_name`. Pure, since Mixpanel dedupes by it too. */
  readonly eventName?: (event: MetricEvent) => string;
  /** Which metadata fields become properties. Default: all that are not sent as group or user already. */
  readonly metadata?: readonly string[];
}

/** One element of the body of `/import`; a payload is its JSON. */
export interface MixpanelEvent {
  readonly event: string;
  readonly properties: JsonObject;
}

/** https://developer.mixpanel.com/reference/import-events: properties, keys and items stay below; objects nest so deep. */
const [tooMany, maxDepth] = [255, 3] as const;
/**
 * Same page: nothing before 1971, in seconds or milliseconds, but not how they are told apart; from here on (March
 * 1973) milliseconds are no believable seconds. The latest, an hour ahead, is by Mixpanel's clock: it checks that.
 */
const earliest = 1e11;
/** https://docs.mixpanel.com/docs/data-structure/property-reference/data-type: a string, a list or an object. */
const [stringBytes, nestedBytes] = [255, 8 * 1024] as const;
/** Import page: what nobody may be called. */
const nobody =
  /^\s*(0{8}(-0{4}){3}-0{12}|anon|anonymous|nil|none|null|n\/a|na|undefined|unknown|<nil>|0|-1|true|false|\[\]|\{\})?\s*$/i;
/** Names to which this sink, Mixpanel's SDK, Mixpanel (`$…`, `mp_…`) or JavaScript gives a meaning. */
const reserved = /^(time|distinct_id|insert_id|ip|token|cut_properties|__proto__|\$.*|mp_.*)?$/s;

/**
 * - `metadata.user_id` is the user when Mixpanel takes it as an id; else the event is nobody's (`""`).
 * - Fields of `data` and `metadata` become properties. One whose name is reserved or taken has its origin put in
 *   front (`data.time`, `metadata.plan`): it overrides nothing and is not lost.
 * - Mixpanel cuts strings over 255 bytes in silence, so this sink cuts them first: `…` ends them, and
 *   `cut_properties` names them. Names and tenants are never cut: these, and what breaks another limit, are rejected.
 * - Mixpanel refuses what is no valid Unicode. Half a character (a lone surrogate) in a value becomes U+FFFD; in a
 *   name or a tenant, where it could make two into one, it rejects the event; a user with one is nobody.
 * - Zero, false, null, empty text, lists and objects go out as they are, numbers as JSON writes a double.
 */
export function mixpanelEncode(mapping: MixpanelMapping): (event: MetricEvent) => Encoded<string> {
  const { groupKey = "company_id", eventName, metadata } = mapping;
  if (reserved.test(groupKey)) throw new TypeError("mixpanel: groupKey is a reserved name");
  return (event) => {
    const name = eventName?.(event) ?? event.metricName;
    if (name === "" || name.startsWith("$") || isLong(name) || !name.isWellFormed())
      return reject(
        "EVENT_NAME_INVALID",
        "its name is empty, begins with $, is too long or no valid Unicode",
      );
    if (isLong(event.tenantId)) return reject("TENANT_ID_TOO_LONG", "metadata.tenant_id is over 255 bytes");
    if (!event.tenantId.isWellFormed())
      return reject("TENANT_ID_INVALID", "metadata.tenant_id is no valid Unicode");
    if (event.time < earliest) return reject("TIME_TOO_EARLY", "data.event_time is before March 1973");
    const { user_id: userId } = event.metadata;
    const isUser =
      typeof userId === "string" && !isLong(userId) && userId.isWellFormed() && !nobody.test(userId);
    const properties: Record<string, JsonValue> = {
      time: event.time,
      distinct_id: isUser ? userId : "",
      $insert_id: stableUuid(event.tenantId, event.metricName, event.id),
      // Else Mixpanel locates every event where this process runs.
      ip: 0,
      [groupKey]: [event.tenantId],
    };
    const cut: string[] = [];
    const { data, metadata: dimensions } = event;
    for (const field of Object.keys(data)) {
      if (field === "event_time") continue;
      const fault = add(properties, "data", field, data[field], cut);
      if (fault !== undefined) return fault;
    }
    for (const field of Object.keys(dimensions)) {
      const isSaid = field === "tenant_id" || (field === "user_id" && isUser);
      if (!(metadata?.includes(field) ?? !isSaid)) continue;
      const fault = add(properties, "metadata", field, dimensions[field], cut);
      if (fault !== undefined) return fault;
    }
    if (cut.length > 0) properties["cut_properties"] = cut;
    if (Object.keys(properties).length >= tooMany)
      return reject("TOO_MANY_PROPERTIES", "it has over 254 of them");
    const payload = JSON.stringify({ event: name, properties } satisfies MixpanelEvent);
    return { payload, bytes: Buffer.byteLength(payload) + 1 };
  };
}

/** Puts one field where no other is, or says why it cannot be anywhere. */
function add(
  properties: Record<string, JsonValue>,
  origin: "data" | "metadata",
  field: string,
  // The compiler does not know that a key is there; without a value nothing is to be said.
  value: JsonValue | undefined,
  cut: string[],
): Encoded<never> | undefined {
  if (value === undefined) return undefined;
  const taken = Object.hasOwn(properties, field);
  let key = field;
  if (taken || !isFree(field)) {
    if (taken || reserved.test(field)) key = `${origin}.${field}`;
    if (isLong(key)) return reject("NAME_TOO_LONG", `a field of ${origin} has a name over 255 bytes`);
    if (!key.isWellFormed())
      return reject("NAME_INVALID", `a field of ${origin} has a name that is no valid Unicode`);
    if (Object.hasOwn(properties, key))
      return reject("NAME_TAKEN", `two fields would be called ${quoteName(key)}`);
  }
  const problem = misfit(value);
  if (problem !== undefined)
    return reject("PROPERTY_INVALID", `the field ${quoteName(field)} of ${origin} ${problem}`);
  properties[key] = shorten(value, key, cut);
  return undefined;
}

/** Fields have the same few names in every event, and an expression takes ten times as long as a look. */
const free = new Set<string>();
const mostFree = 1000;

/** Whether a field can have the name, where no other has it. */
function isFree(name: string): boolean {
  if (free.has(name)) return true;
  if (reserved.test(name) || isLong(name) || !name.isWellFormed()) return false;
  if (free.size < mostFree) free.add(name);
  return true;
}

/** Why Mixpanel would not take a value whole, or undefined. */
function misfit(value: JsonValue, depth = 1): string | undefined {
  if (typeof value === "number" && !Number.isFinite(value)) return "holds a number too large for JSON";
  if (typeof value !== "object" || value === null) return undefined;
  if (depth > maxDepth) return "is nested deeper than 3 levels";
  const entries = Object.entries(value);
  if (entries.length >= tooMany) return "has over 254 entries";
  for (const [key, entry] of entries) {
    if (isLong(key)) return "has a name over 255 bytes";
    if (!key.isWellFormed()) return "has a name that is no valid Unicode";
    const problem = misfit(entry, depth + 1);
    if (problem !== undefined) return problem;
  }
  if (depth === 1 && Buffer.byteLength(JSON.stringify(shorten(value, "", []))) > nestedBytes)
    return "is over 8 KB";
  return undefined;
}

/** @param cut Gets the key when something of its value is cut. */
function shorten(value: JsonValue, key: string, cut: string[]): JsonValue {
  if (typeof value === "string") {
    if (!isLong(value)) return value.toWellFormed();
    if (cut.at(-1) !== key) cut.push(key);
    // `stream` leaves out a character of which only some bytes are left; 3 bytes are for the mark.
    const start = Buffer.from(value).subarray(0, stringBytes - 3);
    return `${new TextDecoder("utf-8", { ignoreBOM: true }).decode(start, { stream: true })}…`;
  }
  if (typeof value !== "object" || value === null) return value;
  if (isList(value)) return value.map((entry) => shorten(entry, key, cut));
  return Object.fromEntries(Object.entries(value).map(([name, entry]) => [name, shorten(entry, key, cut)]));
}

function isList(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value);
}

function isLong(text: string): boolean {
  // A UTF-16 unit is at most 3 bytes of UTF-8.
  return text.length > stringBytes / 3 && Buffer.byteLength(text) > stringBytes;
}

function reject(code: Code, reason: string): Encoded<never> {
  return { rejected: `Mixpanel cannot take the event: ${reason}`, code };
}
