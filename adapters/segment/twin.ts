// Segment's stand-in: `POST /v1/batch` as the HTTP API's pages document it, its silences included.
import { gunzipSync } from "node:zlib";
import { type Clock, type JsonObject, type JsonValue, systemClock } from "../../src/index.ts";
import { type ConformanceSubject, sampleEvent, type Twin } from "../../src/testing/index.ts";
import { segmentGroupsSink, segmentSink } from "./index.ts";

export interface SegmentTwinOptions {
  /** The one good key. Default: every key is good. */
  readonly writeKey?: string;
  /** What a bad key is answered. Default 200, after which what came is lost: so does Segment, mostly. */
  readonly badKeyStatus?: 200 | 401;
  /** How many requests are taken in each window of time; those beyond are answered 429. Default: all are taken. */
  readonly quota?: { readonly requests: number; readonly perSeconds: number };
  readonly clock?: Pick<Clock, "now">;
}

/** Why Segment answered 200 and kept nothing. */
export type LossReason =
  | "bad-key"
  | "too-many-events"
  | "no-user"
  | "no-event-name"
  | "no-group"
  | "unknown-type";

export interface SegmentTwin extends Twin {
  /** What it keeps, each `messageId` once, in the order of arrival. */
  readonly messages: readonly JsonObject[];
  /** How many messages it answered 200 and lost, by cause. */
  readonly lost: ReadonlyMap<LossReason, number>;
}

// https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/ ("Errors")
const maxRequestBytes = 500 * 1024;
const maxEventBytes = 32 * 1024;
const maxEvents = 2500;
const types: readonly string[] = ["track", "group", "identify", "page", "screen", "alias"];

/** Ids are remembered for good; Segment promises 24 hours. */
export function createSegmentTwin(options: SegmentTwinOptions = {}): SegmentTwin {
  const { writeKey, badKeyStatus = 200, quota, clock = systemClock } = options;
  const stored = new Map<string, number>();
  const messages: JsonObject[] = [];
  const lost = new Map<LossReason, number>();
  const lose = (reason: LossReason, count: number) => lost.set(reason, (lost.get(reason) ?? 0) + count);
  const window = { index: Number.NaN, requests: 0 };

  /** Seconds until the next request is taken; 0 when this one is. */
  const takeFromQuota = (): number => {
    if (quota === undefined) return 0;
    const windowMs = quota.perSeconds * 1000;
    const index = Math.floor(clock.now() / windowMs);
    if (index !== window.index) Object.assign(window, { index, requests: 0 });
    window.requests += 1;
    return window.requests <= quota.requests ? 0 : Math.ceil(((index + 1) * windowMs - clock.now()) / 1000);
  };

  return {
    stored,
    messages,
    lost,
    handle: async (request) => {
      if (request.method !== "POST" || new URL(request.url).pathname !== "/v1/batch") return answer(404);
      const wait = takeFromQuota();
      if (wait > 0) return answer(429, { "retry-after": `${wait}`, "x-ratelimit-reset": `${wait}` });
      const text = await textOf(request);
      if (text === undefined) return answer(400);
      const batch = parseBatch(text);
      if (batch === undefined || Buffer.byteLength(text) > maxRequestBytes) return answer(400);
      if (batch.some((message) => Buffer.byteLength(JSON.stringify(message)) > maxEventBytes))
        return answer(400);
      if (writeKey !== undefined && request.headers.get("authorization") !== basic(writeKey)) {
        if (badKeyStatus === 200) lose("bad-key", batch.length);
        return answer(badKeyStatus);
      }
      if (batch.length > maxEvents) {
        lose("too-many-events", batch.length);
        return answer(200);
      }
      for (const message of batch) {
        const loss = lossOf(message);
        if (loss !== undefined) {
          lose(loss, 1);
          continue;
        }
        const { messageId } = message;
        // Who sends no id gets one that nothing dedupes by.
        const id = isText(messageId) ? messageId : `generated-${stored.size + 1}`;
        if (stored.has(id)) continue;
        stored.set(id, 1);
        messages.push(message);
      }
      return answer(200);
    },
  };
}

/** Undefined when the body is not in the coding that its header says. */
async function textOf(request: Request): Promise<string | undefined> {
  const body = Buffer.from(await request.arrayBuffer());
  if (request.headers.get("content-encoding") !== "gzip") return body.toString();
  try {
    return gunzipSync(body).toString();
  } catch {
    return undefined;
  }
}

const writeKey = "test-write-key";

/** Both sinks, each with a twin of its own. What `fanout certify` and the tests run the conformance cases with. */
export default [segmentSink, segmentGroupsSink].map(
  (create): ConformanceSubject => ({
    sink: () => create({ writeKey }),
    twin: (clock) => createSegmentTwin({ writeKey, clock }),
    secrets: [writeKey, basic(writeKey).slice("Basic ".length)],
    // A group call needs something to tell of the tenant.
    event: (n, now) => {
      const sample = sampleEvent(n, now);
      return { ...sample, metadata: { ...sample.metadata, tenant_name: `Tenant ${n}` } };
    },
    skip: {
      "a success that the vendor did not write is not one":
        "Segment's pages promise no body, so an empty one is a success; other bodies are tested with the adapter",
      "a poisoned record is rejected alone, in its place":
        "Segment answers 200 to what it drops, and refuses no request for one of its events",
    },
  }),
);

function answer(status: number, headers: Readonly<Record<string, string>> = {}): Response {
  const body = status === 200 ? { success: true } : { success: false };
  return Response.json(body, { status, headers });
}

function basic(writeKey: string): string {
  return `Basic ${Buffer.from(`${writeKey}:`).toString("base64")}`;
}

function parseBatch(text: string): readonly JsonObject[] | undefined {
  try {
    const body: JsonValue = JSON.parse(text);
    const batch = isObject(body) ? body["batch"] : undefined;
    return Array.isArray(batch) && batch.every(isObject) ? batch : undefined;
  } catch {
    return undefined;
  }
}

function lossOf({ type, event, groupId, userId, anonymousId }: JsonObject): LossReason | undefined {
  if (!isText(type) || !types.includes(type)) return "unknown-type";
  if (!isText(userId) && !isText(anonymousId)) return "no-user";
  if (type === "track" && !isText(event)) return "no-event-name";
  if (type === "group" && !isText(groupId)) return "no-group";
  return undefined;
}

function isText(value: JsonValue | undefined): value is string {
  return typeof value === "string" && value !== "";
}

function isObject(value: JsonValue): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
