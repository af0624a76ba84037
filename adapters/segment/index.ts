// Segment: one `track` call an event, and one `group` call a tenant. The messages are built here: the vendor's own Node
// SDK takes 59 µs an event where its body takes 3 µs (docs/performance.md); test/contract/segment.test.ts holds that
// both say the same.
import {
  type Encoded,
  isoTime,
  type JsonObject,
  type JsonValue,
  type MetricEvent,
  type Repeats,
  type Sink,
  stableUuid,
} from "../../src/index.ts";
import { isSuspect, sendable } from "./fields.ts";
import { refusals, reject } from "./refusals.ts";
import { connect, type SegmentOptions } from "./send.ts";

export type { SegmentOptions } from "./send.ts";

/** What Segment's debugger shows as the sender. */
const library = { name: "firehose-fanout" };

/** What both calls have in common. */
interface SegmentMessage {
  readonly messageId: string;
  /** ISO 8601, UTC. */
  readonly timestamp: string;
  readonly context: { readonly groupId: string; readonly library: typeof library };
  readonly userId?: string | undefined;
  readonly anonymousId?: string | undefined;
}

/** The item of a `track` call; a payload is its JSON. */
export interface SegmentTrack extends SegmentMessage {
  readonly type: "track";
  readonly event: string;
  readonly properties: JsonObject;
}

/** The item of a `group` call; a payload is its JSON. */
export interface SegmentGroup extends SegmentMessage {
  readonly type: "group";
  readonly groupId: string;
  readonly traits: JsonObject;
}

export interface SegmentTrackOptions extends SegmentOptions {
  /** What Segment shows as the event's name. Default: `metric_name`. */
  readonly eventName?: (event: MetricEvent) => string;
  /** Default: `data` as it came, and `tenant_id`, `tenant_name`, `environment` of `metadata`, which win. */
  readonly properties?: (event: MetricEvent) => JsonObject;
}

export interface SegmentGroupsOptions extends SegmentOptions {
  /** Default: `metadata.tenant_name` as `name`, and `metadata.environment`. No traits: the event is filtered. */
  readonly traits?: (event: MetricEvent) => JsonObject;
}

/** https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/ says no more of what it accepted. */
const acknowledges = "accepted";
const repeats: Repeats = {
  effect: "merged",
  reason: "Segment drops a messageId that it has seen within 24 hours; later it counts again.",
};

/**
 * One `track` call an event: `delivered` means accepted, as Segment tells nothing more about an event. It drops
 * a `messageId` that it has seen within 24 h at least, so a resend within that time costs nothing.
 *
 * Nothing is cut: Segment limits an event as a whole, to 32 KB. `sendable` says what becomes of text and numbers that
 * JSON cannot carry; ids and names that are not well-formed Unicode are rejected.
 */
export function segmentSink(options: SegmentTrackOptions): Sink<string> {
  const { eventName = (event) => event.metricName, properties = defaultProperties } = options;
  return {
    name: "segment",
    refusals,
    repeats,
    acknowledges,
    ...connect(options),
    encode: (event) => {
      const name = eventName(event);
      if (typeof name !== "string" || name === "") {
        return reject("EVENT_NAME_MISSING", "the event has no name in Segment");
      }
      const { user_id: given } = event.metadata;
      const userId = typeof given === "string" && given.trim() !== "" ? given : undefined;
      // As U+FFFD, two of them could be one. Of the event's own ids and names the core has seen to it.
      if (!name.isWellFormed()) return reject("NOT_UNICODE", "the event's name is not well-formed Unicode");
      if (userId?.isWellFormed() === false) {
        return reject("NOT_UNICODE", "metadata.user_id is not well-formed Unicode");
      }
      // Never both: Segment would take every user of a tenant for one person.
      const anonymousId = userId === undefined ? tenantAsUser(event) : undefined;
      const common = commonOf(event, "track");
      return encoded(properties(event), (fields) => ({
        ...common,
        type: "track",
        event: name,
        properties: fields,
        userId,
        anonymousId,
      }));
    },
  };
}

/** One `group` call a tenant and batch: its newest event's traits, told to Segment of the tenant's stand-in user. */
export function segmentGroupsSink(options: SegmentGroupsOptions): Sink<string> {
  const { traits: toTraits = defaultTraits } = options;
  return {
    name: "segment-groups",
    refusals,
    repeats,
    acknowledges,
    ...connect(options),
    coalesceKey: (event) => event.tenantId,
    encode: (event) => {
      const traits = { ...toTraits(event) };
      // An event that knows nothing of its tenant must not supersede an older one that does.
      if (Object.keys(traits).length === 0) return { filtered: "the event carries no traits of its tenant" };
      const type = "group" as const;
      const common = commonOf(event, type);
      const who = { groupId: event.tenantId, anonymousId: tenantAsUser(event) };
      return encoded(traits, (fields) => ({ type, ...common, ...who, traits: fields }));
    },
  };
}

/** The message's text with these fields, mended or rejected where JSON cannot carry them. */
function encoded(
  fields: JsonObject,
  build: (fields: JsonObject) => SegmentTrack | SegmentGroup,
): Encoded<string> {
  let payload = JSON.stringify(build(fields));
  if (isSuspect(payload)) {
    const sent = sendable(fields);
    if ("rejected" in sent) return sent;
    payload = JSON.stringify(build(sent.fields));
  }
  return { payload, bytes: Buffer.byteLength(payload) + 1 };
}

function defaultProperties({ data, metadata }: MetricEvent): JsonObject {
  return {
    ...data,
    ...pick(metadata, tenantProperties),
  };
}

function defaultTraits({ metadata }: MetricEvent): JsonObject {
  return pick(metadata, tenantTraits);
}

/** Fields of metadata, and what they are called at Segment. */
const tenantProperties = Object.entries({
  tenant_id: "tenant_id",
  tenant_name: "tenant_name",
  environment: "environment",
});
const tenantTraits = Object.entries({ tenant_name: "name", environment: "environment" });

/** The named fields under their new names, without those that are absent or empty. */
function pick(from: JsonObject, names: typeof tenantTraits): JsonObject {
  const known: Record<string, JsonValue> = {};
  for (const [name, as] of names) {
    const value = from[name];
    if (value !== undefined && value !== null && value !== "") known[as] = value;
  }
  return known;
}

/** Segment does not scope a messageId to a source: it must be unique in the world, and shorter than 100 characters. */
function commonOf({ id, metricName, tenantId, time }: MetricEvent, call: "track" | "group") {
  return {
    // Other sinks name the event so, too, and it is made once for all of them.
    messageId: `${stableUuid(tenantId, metricName, id)}${call === "group" ? "-group" : ""}`,
    timestamp: isoTime(time),
    context: { groupId: tenantId, library },
  };
}

/** Segment wants a user for every call, and bills by them: a tenant is one user, always the same. */
function tenantAsUser({ tenantId }: MetricEvent): string {
  return stableUuid("segment", "tenant", tenantId);
}
