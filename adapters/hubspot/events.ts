// HubSpot custom events: every event becomes an occurrence on its tenant's company.
import {
  bodyOf,
  type HttpReply,
  type Item,
  type JsonValue,
  type Limits,
  type MetricEvent,
  type Sink,
  stableUuid,
} from "../../src/index.ts";
import {
  checkTenantId,
  collectProperties,
  type Field,
  isName,
  type Properties,
  type PropertyRules,
  reject,
  toName,
  toTime,
} from "./property.ts";
import { type Code, eventsRefusals } from "./refusals.ts";
import {
  checkConnection,
  classify,
  type HubspotConnection,
  isObject,
  objects,
  parseObject,
  post,
} from "./request.ts";

/** Custom events need an Enterprise subscription, and every event and property a definition made beforehand. */
export interface HubspotEventsOptions extends HubspotConnection {
  /**
   * The account's id (HubID). HubSpot wants the fully qualified name of an event, `pe{portalId}_{name}`; without
   * this option the name goes out bare, so `eventName` must then return the qualified one.
   */
  readonly portalId?: string | number;
  /**
   * The event's name, before `pe{portalId}_` is put in front. Default the metric's name, which must then be
   * lawful (`a` to `z` first, then `a` to `z`, `0` to `9` or `_`): a name is never bent into shape here, since two
   * metrics could become one event.
   */
  readonly eventName?: (event: MetricEvent) => string;
  /**
   * What becomes properties, as pairs of name and value. Default every field of metadata but `event_id` (it is in
   * the uuid), then every field of data but `event_time` (it is `occurredAt`). `tenant_id` is always added: make
   * it the definition's `customMatchingId` for the primary object COMPANY. Names become lower snake case; a name,
   * value or count beyond HubSpot's limits rejects the record.
   */
  readonly fields?: (event: MetricEvent) => Iterable<readonly [name: string, value: JsonValue]>;
  /**
   * The metadata field that holds the company's record id, sent as `objectId`. Default none: `tenant_id` finds it,
   * as it does where the field is missing or null. What is no whole number, or one that a double no longer holds,
   * rejects the record: it could be another company's.
   */
  readonly objectIdField?: string;
}

/** One input of `send/batch`; a payload is its JSON. */
export interface HubspotOccurrence {
  readonly uuid: string;
  readonly eventName: string;
  /** ISO 8601, UTC. */
  readonly occurredAt: string;
  readonly objectId?: string | undefined;
  readonly properties: Properties;
}

/** https://developers.hubspot.com/docs/api-reference/events-send-event-completions-v3/guide, "Event limits" */
const rules: PropertyRules = {
  nameLength: 50,
  valueLength: (value) => (/^https?:\/\//.test(value) ? 1024 : 256),
  count: 50,
};

const limits: Limits = {
  // The same page: 500 a batch, 1,250 requests a second, outside the daily and 10-second limits.
  itemsPerRequest: 500,
  requestsPerSecond: 1250,
  // HubSpot names no size. Ours keeps a batch of long records cheap to send again, far above a usual one (250 KB).
  bytesPerRequest: 2 ** 20,
  bytesPerItem: 2 ** 20 - 16,
  envelopeBytes: '{"inputs":[]}'.length,
  // 8 × 500 events under way; more only helps when HubSpot takes over a second, and then it wants fewer.
  concurrency: 8,
};

/** Custom events through `POST /events/v3/send/batch`. @throws when an option can never work. */
export function hubspotEventsSink(options: HubspotEventsOptions): Sink<string> {
  const { accessToken, baseUrl } = checkConnection(options);
  const { portalId, objectIdField, eventName = (event) => event.metricName, fields = allFields } = options;
  return {
    name: "hubspot-events",
    limits,
    refusals: eventsRefusals,
    repeats: { effect: "merged", reason: "HubSpot refuses a uuid that it has had within a year." },
    // One answer for the whole batch, which says nothing of an event.
    acknowledges: "accepted",

    encode(event) {
      const name = eventName(event);
      if (!isName(name)) {
        return reject(
          "EVENT_NAME_INVALID",
          "the name of the event is not lawful at HubSpot: a to z first, then a to z, 0 to 9 or _",
        );
      }
      const badTenant = checkTenantId(event.tenantId, rules.valueLength(event.tenantId));
      if (badTenant !== undefined) return badTenant;
      const time = toTime(event.time);
      if (typeof time !== "string") return time;
      const objectId = objectIdField === undefined ? undefined : readObjectId(event.metadata[objectIdField]);
      if (objectId === null) {
        return reject(
          "OBJECT_ID_INVALID",
          "the metadata field of the record id of the company holds no such id",
        );
      }
      const collected = collectProperties(named(event, fields(event)), rules);
      if ("rejected" in collected) return collected;
      const occurrence: HubspotOccurrence = {
        uuid: stableUuid(event.tenantId, event.metricName, event.id),
        eventName: portalId === undefined ? name : `pe${portalId}_${name}`,
        occurredAt: time,
        objectId,
        properties: collected.properties,
      };
      const payload = JSON.stringify(occurrence);
      return { payload, bytes: Buffer.byteLength(payload) + 1 };
    },

    async provision(plans, context) {
      // Only the command that provisions needs it, and another client of the SDK with it.
      const { provisionEvents } = await import("./provision.ts");
      const definitions = plans.map(({ metric, event }) => ({
        // Definitions go by the bare name; an `eventName` without `portalId` makes the qualified one.
        name: eventName(event).replace(/^pe\d+_/, ""),
        metric,
        properties: named(event, fields(event)).map(([name]) => name),
      }));
      return await provisionEvents({ accessToken, baseUrl }, definitions, context);
    },

    async send({ items }, context) {
      const body = bodyOf('{"inputs":[', items, "]}");
      const reply = await post({ accessToken, baseUrl }, "/events/v3/send/batch", body, context);
      if (reply.status === 204) return { status: "delivered" };
      if (saysDuplicate(reply, items)) {
        // The batch holds a uuid that HubSpot has. Only of a lone record is it known which one, so halve until then.
        if (items.length === 1) return { status: "delivered" };
        return {
          status: "refused",
          reason: "HubSpot has a uuid of the batch already",
          code: "DUPLICATE_UUID" satisfies Code,
        };
      }
      return (
        classify(reply, () => items.flatMap(({ payload }) => sentNames(payload))) ?? {
          status: "transient",
          reason: `HubSpot answered ${reply.status}, but only 204 says that it stored the events`,
        }
      );
    },
  };
}

/** Undefined when there is none, null when it is none. Digits, as text or as a number that a double holds exactly. */
function readObjectId(value: JsonValue | undefined): string | undefined | null {
  if (value === undefined || value === null) return undefined;
  const isId = typeof value === "string" ? /^\d{1,20}$/.test(value) : Number.isSafeInteger(value);
  return isId && !String(value).startsWith("-") ? String(value) : null;
}

function named(event: MetricEvent, fields: Iterable<Field>): readonly Field[] {
  const all: Field[] = [["tenant_id", event.tenantId]];
  for (const [field, value] of fields) all.push([toName(field), value]);
  return all;
}

/** `Object.entries` of both would make every pair twice. */
function* allFields({ metadata, data }: MetricEvent): Generator<Field> {
  for (const field of Object.keys(metadata)) {
    const value = metadata[field];
    if (value !== undefined && field !== "tenant_id" && field !== "event_id") yield [field, value];
  }
  for (const field of Object.keys(data)) {
    const value = data[field];
    if (value !== undefined && field !== "event_time") yield [field, value];
  }
}

/**
 * Whether HubSpot refuses a uuid because it has it. A uuid is unique for a year there and ours come from tenant,
 * metric and event id, so such a refusal says that the event was stored: by an attempt whose reply got lost, by
 * an earlier run, or as its own duplicate. HubSpot publishes no text for it: this asks for one message that names
 * the uuid and calls it a duplicate, or there already; unverified against the live API. What a message quotes, such as a
 * property's name, says nothing; and a uuid that it tells must be one of the batch's own.
 */
function saysDuplicate(reply: HttpReply, items: readonly Pick<Item<string>, "payload">[]): boolean {
  if (reply.status !== 400 && reply.status !== 409) return false;
  const body = parseObject(reply.body);
  if (body === undefined) return false;
  return [body, ...objects(body["errors"])].some(({ category, subCategory, code, message }) => {
    const text = [category, subCategory, code, message].join(" ");
    const told = text.match(uuidForm);
    if (
      told !== null &&
      !items.some(({ payload }) => told.some((uuid) => payload.includes(uuid.toLowerCase())))
    )
      return false;
    if ([category, subCategory, code].includes("DUPLICATE_UUID")) return true;
    const own = text.replace(/"[^"]*"|'[^']*'|`[^`]*`/g, " ");
    return /\buuid\b/i.test(own) && /\b(?:duplicate|already)\b/i.test(own);
  });
}

const uuidForm = /\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/gi;

/** The names of the properties that an event was sent with. */
function sentNames(payload: string): readonly string[] {
  const properties = parseObject(payload)?.["properties"];
  return isObject(properties) ? Object.keys(properties) : [];
}
