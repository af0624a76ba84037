// A local Mixpanel: `/import` as https://developer.mixpanel.com/reference/import-events documents it.
import { gunzipSync } from "node:zlib";
import { type Clock, type JsonObject, systemClock } from "../../src/index.ts";
import { type ConformanceSubject, sampleEvent, type Twin } from "../../src/testing/index.ts";
import { mixpanelSink } from "./index.ts";

export interface MixpanelTwinOptions {
  /** The project's token. Default `token`. */
  readonly token?: string;
  /** Also let in with its project's id. Default none. */
  readonly serviceAccount?: {
    readonly username: string;
    readonly secret: string;
    readonly projectId: string;
  };
  /** Bytes of a request, uncompressed. Default 2 MiB, as the description of the API says in its 413. */
  readonly bytesPerRequest?: number;
  /** How many events any 60 seconds may hold before it answers 429. Default without limit. */
  readonly eventsPerMinute?: number;
  /** Decides what is too far ahead, and when a minute is over. Default the system's. */
  readonly clock?: Pick<Clock, "now">;
}

export interface MixpanelTwin extends Twin {
  /** What the project holds, in the order of arrival, without duplicates, strings cut as Mixpanel does. */
  readonly events: readonly TwinEvent[];
}

export interface TwinEvent {
  readonly event: string;
  readonly properties: JsonObject;
}

const eventsPerRequest = 2000;
const eventBytes = 1024 * 1024;
const stringBytes = 255;
const invalidIds = new Set([
  ..."00000000-0000-0000-0000-000000000000 anon anonymous nil none null n/a na undefined unknown".split(" "),
  ..."<nil> 0 -1 true false [] {}".split(" "),
]);

/** Stores valid events, once for each (event, time, distinct_id, $insert_id); `stored` counts by `$insert_id`. */
export function createMixpanelTwin(options: MixpanelTwinOptions = {}): MixpanelTwin {
  const { token = "token", serviceAccount: account, bytesPerRequest = 2 * 1024 * 1024 } = options;
  const { clock = systemClock, eventsPerMinute = Number.POSITIVE_INFINITY } = options;
  const stored = new Map<string, number>();
  const events: TwinEvent[] = [];
  const seen = new Set<string>();
  let recent: { readonly at: number; readonly count: number }[] = [];

  const isAllowed = (request: Request, url: URL) => {
    const project = url.searchParams.get("project_id");
    const user =
      account !== undefined && project === account.projectId
        ? `${account.username}:${account.secret}`
        : `${token}:`;
    return request.headers.get("authorization") === `Basic ${Buffer.from(user).toString("base64")}`;
  };

  const store = (event: TwinEvent) => {
    const { time, distinct_id: user, $insert_id: id } = event.properties;
    const key = JSON.stringify([event.event, time, user, id]);
    if (seen.has(key)) return;
    seen.add(key);
    stored.set(String(id), (stored.get(String(id)) ?? 0) + 1);
    events.push(
      JSON.parse(JSON.stringify(event), (_, value) => (typeof value === "string" ? cut(value) : value)),
    );
  };

  const handle = async (request: Request): Promise<Response> => {
    const url = new URL(request.url);
    if (url.pathname !== "/import") return answer(404, "Not Found", { error: "no such endpoint" });
    if (request.method !== "POST") return answer(405, "Method Not Allowed", { error: "use POST" });
    if (!isAllowed(request, url)) return answer(401, "Unauthorized", { error: "Invalid credentials" });
    const raw = Buffer.from(await request.arrayBuffer());
    const bytes = request.headers.get("content-encoding") === "gzip" ? gunzip(raw) : raw;
    const tooLarge = (limit: string) =>
      answer(413, "Request Entity Too Large", { error: `request exceeds max limit of ${limit}` });
    if (bytes.byteLength > bytesPerRequest) return tooLarge(`${bytesPerRequest} bytes`);
    const records = parse(bytes.toString("utf8"), request.headers.get("content-type") ?? "");
    if (records === undefined)
      return answer(400, "Bad Request", { error: "the body is not a list of events" });
    // Not documented beyond "up to 2000 events"; a refusal of the whole is the strictest reading.
    if (records.length > eventsPerRequest) return tooLarge(`${eventsPerRequest} events`);

    const now = clock.now();
    recent = recent.filter(({ at }) => now - at < 60_000);
    const used = recent.reduce((sum, { count }) => sum + count, 0);
    if (used + records.length > eventsPerMinute) {
      return answer(429, "Too Many Requests", { error: "Project exceeded rate limits." });
    }
    recent.push({ at: now, count: records.length });

    const failed = records.flatMap((record, index) => {
      const problem = validate(record, now);
      if (problem === undefined) {
        // `validate` found every part of a TwinEvent.
        store(record as TwinEvent);
        return [];
      }
      const [field, message] = problem;
      return [
        { index, $insert_id: String(at(at(record, "properties"), "$insert_id") ?? ""), field, message },
      ];
    });
    const imported = { num_records_imported: records.length - failed.length };
    if (failed.length === 0 || url.searchParams.get("strict") !== "1") return answer(200, "OK", imported);
    const error = "some data points in the request failed validation";
    return answer(400, "Bad Request", { error, failed_records: failed, ...imported });
  };

  return { handle, stored, events };
}

/** Empty when it is not gzip, and so no list of events. */
function gunzip(bytes: Buffer): Buffer {
  try {
    return gunzipSync(bytes);
  } catch {
    return Buffer.alloc(0);
  }
}

/** The events of a body, or undefined for what is not one. */
function parse(text: string, type: string): readonly unknown[] | undefined {
  try {
    const lines = type.startsWith("application/x-ndjson")
      ? text.split("\n").filter((line) => line !== "")
      : undefined;
    const value: unknown = lines?.map((line): unknown => JSON.parse(line)) ?? JSON.parse(text);
    return Array.isArray(value) && value.length > 0 ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The field at fault and what is wrong with it, or undefined. */
function validate(record: unknown, now: number): readonly [field: string, message: string] | undefined {
  const event = at(record, "event");
  if (typeof event !== "string" || event === "") return ["event", "'event' is missing"];
  if (!isText(event)) return ["event", "event is invalid: string should be valid utf8"];
  if (Buffer.byteLength(JSON.stringify(record)) >= eventBytes) return ["event", "the event is too large"];
  const properties = at(record, "properties");
  if (typeof properties !== "object" || properties === null || Array.isArray(properties)) {
    return ["properties", "'properties' is missing"];
  }
  const time = at(properties, "time");
  const millis =
    typeof time === "number" && Number.isInteger(time) ? (time < 1e11 ? time * 1000 : time) : Number.NaN;
  if (!(millis >= Date.UTC(1971, 0, 1) && millis <= now + 3_600_000)) {
    return ["properties.time", `'properties.time' is invalid: ${String(time)}`];
  }
  const user = at(properties, "distinct_id");
  if (typeof user !== "string" || invalidIds.has(user.toLowerCase())) {
    return ["properties.distinct_id", `'properties.distinct_id' is invalid: ${String(user)}`];
  }
  const id = at(properties, "$insert_id");
  if (typeof id !== "string" || !/^[A-Za-z0-9-]{1,36}$/.test(id) || invalidIds.has(id.toLowerCase())) {
    return ["properties.$insert_id", `'properties.$insert_id' is invalid: ${String(id)}`];
  }
  if (Object.keys(properties).length >= 255) return ["properties", "there are too many properties"];
  for (const [name, value] of Object.entries(properties)) {
    if (!isShallow(value, 1))
      return [`properties.${name}`, `'properties.${name}' is nested too deep or too long`];
    if (!isText(name) || !isText(value))
      return [`properties.${name}`, `properties.${name} is invalid: string should be valid utf8`];
  }
  return undefined;
}

function isShallow(value: unknown, depth: number): boolean {
  if (typeof value !== "object" || value === null) return true;
  const entries = Object.values(value);
  return depth <= 3 && entries.length < 255 && entries.every((entry) => isShallow(entry, depth + 1));
}

/** Whether all text of a value is valid Unicode, names included. */
function isText(value: unknown): boolean {
  if (typeof value === "string") return value.isWellFormed();
  if (typeof value !== "object" || value === null) return true;
  return Object.entries(value).every(([name, entry]) => isText(name) && isText(entry));
}

function at(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

/** As Mixpanel does, in silence. */
function cut(value: string): string {
  const bytes = Buffer.from(value);
  return bytes.byteLength <= stringBytes ? value : bytes.subarray(0, stringBytes).toString("utf8");
}

const account = { username: "robot.1", secret: "s3cret", projectId: "42" };

/** What `fanout certify` and the tests run the conformance cases with. */
export default {
  sink: () => mixpanelSink({ serviceAccount: account, host: "https://api.mixpanel.test" }),
  twin: (clock) => createMixpanelTwin({ serviceAccount: account, clock }),
  secrets: [account.secret, Buffer.from(`${account.username}:${account.secret}`).toString("base64")],
  // Further ahead than Mixpanel takes.
  poison: (n, now) => ({ ...sampleEvent(n, now), time: now + 2 * 3_600_000 }),
} satisfies ConformanceSubject;

function answer(code: number, status: string, rest: object): Response {
  return Response.json({ code, status, ...rest }, { status: code });
}
