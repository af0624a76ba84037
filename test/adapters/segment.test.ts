// Both calls against the twin, in one file, since they share sizes, verdicts, ids and options.
import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import {
  type SegmentGroup,
  type SegmentTrack,
  segmentGroupsSink,
  segmentSink,
} from "../../adapters/segment/index.ts";
import { faultOf } from "../../adapters/segment/send.ts";
import subjects, { createSegmentTwin } from "../../adapters/segment/twin.ts";
import {
  createHttp,
  type HttpClient,
  type Item,
  isSinkUnavailable,
  type JsonObject,
  type MetricEvent,
  type SendContext,
  type Sink,
  systemClock,
} from "../../src/index.ts";
import {
  describeSink,
  injectFaults,
  serveTwin,
  type TwinHandler,
  twinHttp,
  virtualClock,
} from "../../src/testing/index.ts";
import { bodyText } from "../support/bodies.ts";
import { sentOf, valuesOf } from "../support/payload.ts";

const writeKey = "test-write-key";
const sink = segmentSink({ writeKey });
const groups = segmentGroupsSink({ writeKey });
const itemLimit = 32 * 1024;

function event(change: Partial<MetricEvent> = {}): MetricEvent {
  const tenantId = change.tenantId ?? "acme";
  return {
    id: "e-1",
    metricName: "findings_upload_completed",
    tenantId,
    time: Date.UTC(2026, 0, 2, 3, 4, 5, 6),
    metadata: { tenant_id: tenantId, tenant_name: "Acme Inc", environment: "prod", region: "eu" },
    data: { event_time: "2026-01-02T03:04:05.006Z", new_findings_count: 3 },
    ...change,
  };
}

function item<P>(of: Sink<P>, from: MetricEvent): Item<P> {
  const encoded = of.encode(from);
  if (!("payload" in encoded)) throw new Error(`not encoded: ${JSON.stringify(encoded)}`);
  return { event: from, ...encoded };
}

const track = (from: MetricEvent) => sentOf<SegmentTrack>(sink.encode(from));
const group = (from: MetricEvent) => sentOf<SegmentGroup>(groups.encode(from));
const messageIdOf = ({ payload }: Item<string>) => valuesOf<SegmentTrack | SegmentGroup>(payload).messageId;

const many = (count: number, change: (index: number) => Partial<MetricEvent> = () => ({})) =>
  Array.from({ length: count }, (_, index) => item(sink, event({ id: `e-${index}`, ...change(index) })));

/** Counts the requests, and keeps each one's body. */
function recorder(handle: TwinHandler) {
  const bodies: string[] = [];
  const http: HttpClient = (request, signal) => {
    bodies.push(bodyText(request));
    return twinHttp(handle)(request, signal);
  };
  return { http, bodies };
}

function context(http: HttpClient, signal: AbortSignal = new AbortController().signal): SendContext {
  return { signal, attempt: 1, http, clock: systemClock };
}

const send = <P>(of: Sink<P>, items: readonly Item<P>[], http: HttpClient, signal?: AbortSignal) =>
  of.send({ partition: "", items }, context(http, signal));

const answering = (status: number, headers: Record<string, string> = {}, body = "") =>
  recorder(() => new Response(body, { status, headers }));

/** A copy that throws when somebody writes to it. */
function frozen<T>(value: T): T {
  if (typeof value === "object" && value !== null) Object.values(Object.freeze(value)).forEach(frozen);
  return value;
}

/** Lets timers of no length fire; one of the SDK's flush interval, 10 s, or of its own timeout, 75 s, would stay. */
async function noTimersLeft(): Promise<void> {
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout");
  const deadline = performance.now() + 3000;
  while (timers().length > 0 && performance.now() < deadline) await setImmediate();
  expect(timers()).toEqual([]);
}

// A library that prints is a library that may print what it was given.
const printed = vi.fn();
beforeEach(() => {
  for (const method of ["log", "info", "warn", "error", "debug"] as const) {
    vi.spyOn(console, method).mockImplementation(printed);
  }
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  expect(printed).not.toHaveBeenCalled();
});

for (const subject of subjects) describeSink(subject.sink(virtualClock()).name, subject, { describe, test });

describe("track", () => {
  test("an event becomes a call with its name, data, tenant and time", () => {
    expect(track(event())).toEqual({
      type: "track",
      event: "findings_upload_completed",
      properties: {
        event_time: "2026-01-02T03:04:05.006Z",
        new_findings_count: 3,
        tenant_id: "acme",
        tenant_name: "Acme Inc",
        environment: "prod",
      },
      timestamp: "2026-01-02T03:04:05.006Z",
      context: { groupId: "acme", library: { name: "firehose-fanout" } },
      anonymousId: expect.any(String),
      messageId: expect.any(String),
    });
  });

  test("a user_id is the user; without one the tenant is, and it is always the same", () => {
    const withUser = (user_id: JsonObject[string]) =>
      track(event({ metadata: { tenant_id: "acme", user_id } }));
    expect(withUser("u-1").userId).toBe("u-1");
    expect(withUser("u-1").anonymousId).toBeUndefined();
    const tenant = track(event({ id: "another" })).anonymousId;
    for (const noUser of ["", 7, null]) {
      expect(withUser(noUser).userId).toBeUndefined();
      expect(withUser(noUser).anonymousId).toBe(tenant);
    }
    expect(track(event({ tenantId: "globex" })).anonymousId).not.toBe(tenant);
    expect(group(event()).anonymousId).toBe(tenant);
  });

  test("a message id is the same for the same event, and another for any other event, tenant, metric or call", () => {
    const ids = [
      item(sink, event()),
      item(sink, event({ id: "e-2" })),
      item(sink, event({ tenantId: "acm", id: "ee-1" })),
      item(sink, event({ metricName: "other" })),
      item(sink, event({ id: "x".repeat(5000) })),
      item(groups, event()),
    ].map(messageIdOf);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(id.length).toBeLessThan(100);
    expect(track(event({ data: { event_time: 0 } })).messageId).toBe(ids[0]);
  });

  test("a record's data never overrides what the message says of itself", async () => {
    const data: JsonObject = JSON.parse(
      `{"event_time":1,"integrations":{"All":false},"messageId":"x","context":{"groupId":"globex"},"userId":"x",
        "anonymousId":"x","type":"identify","event":"x","timestamp":"x","writeKey":"x","tenant_id":"globex",
        "__proto__":{"polluted":1},"toJSON":"x","constructor":1}`,
    );
    const twin = createSegmentTwin();
    const ours = track(event({ data }));
    expect(await send(sink, [item(sink, event({ data }))], twinHttp(twin.handle))).toEqual({
      status: "delivered",
    });
    const [message] = twin.messages;
    expect(message).toMatchObject({
      type: "track",
      event: "findings_upload_completed",
      messageId: ours.messageId,
      anonymousId: ours.anonymousId,
      timestamp: "2026-01-02T03:04:05.006Z",
      context: { groupId: "acme" },
    });
    expect(message).not.toHaveProperty("integrations");
    expect(message).not.toHaveProperty("userId");
    expect(message).not.toHaveProperty("writeKey");
    expect(JSON.stringify(message?.["properties"])).toBe(
      JSON.stringify({ ...data, tenant_id: "acme", tenant_name: "Acme Inc", environment: "prod" }),
    );
  });

  test("names and properties can be mapped; an event that has no name is rejected", () => {
    const mapped = segmentSink({
      writeKey,
      eventName: ({ metricName }) => (metricName === "a" ? "A readable name" : ""),
      properties: ({ metadata }) => ({ region: metadata["region"] ?? null }),
    });
    expect(sentOf(mapped.encode(event({ metricName: "a" })))).toMatchObject({
      event: "A readable name",
      properties: { region: "eu" },
    });
    expect(mapped.encode(event({ metricName: "b" }))).toMatchObject({ code: "EVENT_NAME_MISSING" });
  });

  test("what cannot be serialised fails in the mapping, alone", () => {
    const circular: Record<string, unknown> = {};
    circular["self"] = circular;
    for (const value of [1n, circular]) {
      // Not JSON, on purpose: a mapping of one's own may return anything at run time.
      const broken = segmentSink({ writeKey, properties: () => ({ value }) as unknown as JsonObject });
      expect(() => broken.encode(event())).toThrow(TypeError);
    }
  });
});

describe("groups", () => {
  test("a tenant becomes a group call with its traits", () => {
    expect(group(event())).toEqual({
      type: "group",
      groupId: "acme",
      traits: { name: "Acme Inc", environment: "prod" },
      timestamp: "2026-01-02T03:04:05.006Z",
      context: { groupId: "acme", library: { name: "firehose-fanout" } },
      anonymousId: expect.any(String),
      messageId: expect.any(String),
    });
    expect(groups.coalesceKey?.(event())).toBe("acme");
  });

  test("an event that knows nothing of its tenant takes no other's slot", () => {
    const bare = event({ metadata: { tenant_id: "acme", tenant_name: "", environment: null } });
    expect(groups.encode(bare)).toEqual({ filtered: "the event carries no traits of its tenant" });
  });

  test("group calls arrive as groups", async () => {
    const twin = createSegmentTwin({ writeKey });
    expect(await send(groups, [item(groups, event())], twinHttp(twin.handle))).toEqual({
      status: "delivered",
    });
    expect(twin.messages).toMatchObject([{ type: "group", groupId: "acme", traits: { name: "Acme Inc" } }]);
  });
});

describe("sizes", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.string({ unit: fc.constantFrom("i", '"', "é", "💥", "\ud800", "\n") }),
  );
  // Names and ids with half of a surrogate pair are rejected.
  const name = text.filter((each) => each.isWellFormed());

  test("the bytes of items and envelope are exactly the bytes of the request", async () => {
    const { http, bodies } = answering(200);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(text, name, name, fc.double({ noNaN: true, noDefaultInfinity: true })), {
          minLength: 1,
          maxLength: 5,
        }),
        async (rows) => {
          const tracks = rows.map(([value, name, user_id, number], index) =>
            item(
              sink,
              event({
                id: `${index}`,
                metricName: name === "" ? "m" : name,
                metadata: { tenant_id: "acme", user_id },
                data: { event_time: 1, [name]: value, number },
              }),
            ),
          );
          const calls = rows.map(([value, name], index) =>
            item(
              groups,
              event({
                id: `${index}`,
                metadata: { tenant_id: "acme", tenant_name: `x${value}`, environment: name },
              }),
            ),
          );
          await send(sink, tracks, http);
          await send(groups, calls, http);
          for (const items of [calls, tracks]) {
            const expected = items.reduce((sum, { bytes }) => sum + bytes, sink.limits.envelopeBytes ?? 0);
            // The last message has no comma.
            expect(Buffer.byteLength(bodies.pop() ?? "")).toBe(expected - 1);
          }
        },
      ),
      { numRuns: 50 },
    );
  });

  test.each(["x", "é", "💥"])(
    "an event that just fits is taken by Segment, and one byte more is over the limit (%s)",
    async (letter) => {
      const base = item(sink, event({ data: { event_time: 1, text: "" } })).bytes;
      const room = itemLimit - base;
      const width = Buffer.byteLength(letter);
      const text = letter.repeat(Math.floor(room / width)) + "y".repeat(room % width);
      const fits = item(sink, event({ data: { event_time: 1, text } }));
      expect(fits.bytes).toBe(sink.limits.bytesPerItem);
      const twin = createSegmentTwin();
      expect(await send(sink, [fits], twinHttp(twin.handle))).toEqual({ status: "delivered" });
      expect(twin.stored.size).toBe(1);
      expect(item(sink, event({ data: { event_time: 1, text: `${text}y` } })).bytes).toBe(itemLimit + 1);
    },
  );

  test("2,500 events are one request", async () => {
    const { http, bodies } = answering(200, {}, '{"success":true}');
    const items = many(sink.limits.itemsPerRequest);
    expect(await send(sink, items, http)).toEqual({ status: "delivered" });
    expect(bodies).toHaveLength(1);
    expect(JSON.parse(bodies[0] ?? "").batch).toHaveLength(2500);
  });

  // One byte, two of UTF-8, and one that JSON escapes.
  test.each(["i", "é", '"'])(
    "a request that is full to the brim is still one request, and Segment takes it (%s)",
    async (letter) => {
      const { bytesPerRequest, envelopeBytes = 0, bytesPerItem } = sink.limits;
      const base = item(sink, event({ id: "0", data: { event_time: 1, text: "" } })).bytes;
      const width = Buffer.byteLength(JSON.stringify(letter)) - 2;
      const text = letter.repeat(Math.floor((bytesPerItem - base) / width));
      const items = many(Math.floor((bytesPerRequest - envelopeBytes) / bytesPerItem), () => ({
        data: { event_time: 1, text },
      }));
      const left = bytesPerRequest - envelopeBytes - items.reduce((sum, { bytes }) => sum + bytes, 0);
      const rest = letter.repeat(Math.floor((left - base - 10) / width));
      items.push(item(sink, event({ id: "last", data: { event_time: 1, text: rest } })));
      const twin = createSegmentTwin();
      const { http, bodies } = recorder(twin.handle);
      expect(await send(sink, items, http)).toEqual({ status: "delivered" });
      expect(bodies).toHaveLength(1);
      expect(Buffer.byteLength(bodies[0] ?? "")).toBeLessThanOrEqual(bytesPerRequest);
      expect(Buffer.byteLength(bodies[0] ?? "")).toBeGreaterThan(bytesPerRequest - 20);
      expect(twin.stored.size).toBe(items.length);
    },
  );
});

describe("one request, one verdict", () => {
  const unavailable = "unavailable";
  test.each([
    [200, {}, `{"success":true}`, undefined],
    // What a proxy answers that blocks requests in silence.
    [200, {}, "", { status: "transient" }],
    [204, {}, "", { status: "transient" }],
    [200, {}, `{"success": false}`, { status: "transient" }],
    [200, {}, "<!doctype html><title>Log in</title>", { status: "transient" }],
    [200, {}, "OK", { status: "transient" }],
    [200, {}, '"ok"', { status: "transient" }],
    [200, {}, "null", { status: "transient" }],
    [200, {}, "[]", { status: "transient" }],
    [200, {}, '{"success":', { status: "transient" }],
    [301, {}, "", unavailable],
    [304, {}, "", unavailable],
    [400, {}, "", { status: "refused", code: "HTTP_400" }],
    [401, {}, "", unavailable],
    [403, {}, "", unavailable],
    [404, {}, "", unavailable],
    [405, {}, "", unavailable],
    [408, {}, "", { status: "transient" }],
    [410, {}, "", unavailable],
    [413, {}, "", { status: "refused", code: "HTTP_413" }],
    [425, {}, "", { status: "transient" }],
    [429, {}, "", { status: "transient", throttled: true, retryAfterMs: undefined }],
    [429, { "retry-after": "1" }, "", { status: "transient", throttled: true, retryAfterMs: 1000 }],
    [429, { "retry-after": "3600" }, "", { status: "transient", throttled: true, retryAfterMs: 3_600_000 }],
    [
      429,
      { "retry-after": "Thu, 01 Jan 2026 00:00:05 GMT" },
      "",
      { status: "transient", throttled: true, retryAfterMs: 0 },
    ],
    [429, { "retry-after": "soon" }, "", { status: "transient", throttled: true, retryAfterMs: undefined }],
    [
      429,
      { "retry-after": "soon", "x-ratelimit-reset": "7" },
      "",
      { status: "transient", throttled: true, retryAfterMs: 7000 },
    ],
    [
      429,
      { "retry-after": "2", "x-ratelimit-reset": "7" },
      "",
      { status: "transient", throttled: true, retryAfterMs: 2000 },
    ],
    [
      429,
      { "x-ratelimit-reset": "-1" },
      "",
      { status: "transient", throttled: true, retryAfterMs: undefined },
    ],
    [500, {}, "", { status: "transient" }],
    [501, {}, "", { status: "transient" }],
    [503, { "retry-after": "9" }, "", { status: "transient", retryAfterMs: 9000 }],
    [511, {}, "", { status: "transient" }],
  ] as const)("%i %j %s", async (status, headers, body, expected) => {
    const bodyless = status === 204 || status === 304;
    const bodies: string[] = [];
    const http: HttpClient = async (request, signal) => {
      bodies.push(bodyText(request));
      return await twinHttp(() => new Response(bodyless ? null : body, { status, headers }))(request, signal);
    };
    const answer = await send(sink, many(3), http).catch((error: unknown) => error);
    if (expected === unavailable) expect(isSinkUnavailable(answer)).toBe(true);
    else if (expected === undefined) expect(answer).toEqual({ status: "delivered" });
    else expect(answer).toEqual({ reason: expect.any(String), ...expected });
    expect(bodies).toHaveLength(1);
  });

  test("no reply leaves a timer that would send again or keep the process", async () => {
    const wait = { "retry-after": "2" };
    for (const status of [200, 400, 408, 429, 500, 503]) {
      await send(sink, many(3), answering(status, wait).http);
    }
    await send(
      sink,
      many(3),
      recorder(
        injectFaults(
          () => new Response(),
          () => ({ kind: "reset" }),
        ),
      ).http,
    ).catch(() => {});
    await noTimersLeft();
  });

  test("a Retry-After in the future, as a date, is waited for", async () => {
    const at = new Date(Date.now() + 60_000).toUTCString();
    const answer = await send(sink, many(1), answering(429, { "retry-after": at }).http);
    const wait = !Array.isArray(answer) && "retryAfterMs" in answer ? (answer.retryAfterMs ?? 0) : 0;
    expect(wait).toBeGreaterThan(55_000);
    expect(wait).toBeLessThanOrEqual(60_000);
  });

  test("no reason repeats the key, the data or the vendor's words", async () => {
    const secret = "customer-value";
    for (const status of [200, 400, 404, 429, 500]) {
      const { http } = answering(status, {}, `{"success":false,"message":"${secret} ${writeKey}"}`);
      const answer = await send(
        sink,
        many(1, () => ({ data: { event_time: 1, secret } })),
        http,
      ).catch((error: unknown) => error);
      const said = answer instanceof Error ? answer.message : JSON.stringify(answer);
      expect(said).not.toMatch(new RegExp(`${secret}|${writeKey}`));
    }
  });

  test.each(["reset", "reset-after-store", "reset-in-reply"] as const)(
    "a connection that breaks is one request and no verdict (%s)",
    async (kind) => {
      const { http, bodies } = recorder(injectFaults(createSegmentTwin().handle, () => ({ kind })));
      await expect(send(sink, many(2), http)).rejects.toThrow();
      expect(bodies).toHaveLength(1);
    },
  );

  test("the pure verdict is what send answers from", () => {
    expect(faultOf({ status: 200, headers: {}, body: '{"success":true}' })).toBeUndefined();
    expect(() => faultOf({ status: 404, headers: {}, body: "" })).toThrow("Segment answered 404");
  });
});

describe("time", () => {
  test("an abort settles a request that hangs, at once, and leaves no timer", async () => {
    const { http, bodies } = recorder(() => new Promise<never>(() => {}));
    const controller = new AbortController();
    const sending = send(sink, many(2), http, controller.signal).catch((error: unknown) => error);
    await vi.waitUntil(() => bodies.length === 1);
    const start = performance.now();
    controller.abort();
    await sending;
    expect(performance.now() - start).toBeLessThan(1000);
    await noTimersLeft();
    expect(bodies).toHaveLength(1);
  });
});

describe("sends", () => {
  test("a retry sends the same bytes but for sentAt, from payloads that nobody wrote to", async () => {
    const items = frozen(many(3));
    const calls = frozen([item(groups, event())]);
    const { http, bodies } = answering(503);
    for (const attempt of [1, 2]) {
      await sink.send({ partition: "", items }, { ...context(http), attempt });
      await groups.send({ partition: "", items: calls }, { ...context(http), attempt });
    }
    const comparable = bodies.map((body) => body.replace(/"sentAt":"[^"]*"/, ""));
    expect(comparable[2]).toBe(comparable[0]);
    expect(comparable[3]).toBe(comparable[1]);
  });

  test("two deliveries at once stay apart: their events, their keys, their verdicts", async () => {
    const other = segmentSink({ writeKey: "other-key", host: "https://events.eu1.segmentapis.com" });
    const a = createSegmentTwin({ writeKey });
    const b = createSegmentTwin({ writeKey: "other-key" });
    const seen: string[] = [];
    const http: HttpClient = (request, signal) => {
      const { host } = new URL(request.url);
      seen.push(host);
      return twinHttp(host === "api.segment.io" ? a.handle : b.handle)(request, signal);
    };
    const mine = many(50, (index) => ({ id: `mine-${index}` }));
    const theirs = many(50, (index) => ({ id: `theirs-${index}` }));
    const [first, second, third] = await Promise.all([
      send(sink, mine, http),
      send(other, theirs, http),
      send(sink, mine, answering(400).http),
    ]);
    expect(first).toEqual({ status: "delivered" });
    expect(second).toEqual({ status: "delivered" });
    expect(third).toMatchObject({ status: "refused" });
    expect([...a.stored.keys()]).toEqual(mine.map(messageIdOf));
    expect([...b.stored.keys()]).toEqual(theirs.map(messageIdOf));
    expect([a.lost.size, b.lost.size]).toEqual([0, 0]);
    expect(seen.sort()).toEqual(["api.segment.io", "events.eu1.segmentapis.com"]);
  });
});

describe("options", () => {
  test("a host is an origin, over https or on loopback", () => {
    for (const host of [
      "http://127.0.0.1:9000",
      "http://localhost:1/",
      "http://[::1]:80",
      "https://segment.example.com",
    ]) {
      expect(() => segmentSink({ writeKey, host })).not.toThrow();
    }
    for (const host of [
      "http://api.segment.io",
      "http://127.0.0.1.example.com",
      "https://api.segment.io/v1",
      "ftp://x",
      "x",
    ]) {
      expect(() => segmentSink({ writeKey, host })).toThrow("Segment's host must be an origin");
    }
    expect(() => segmentGroupsSink({ writeKey: "" })).toThrow("write key");
  });

  test("over a real socket, a custom host gets the events", async () => {
    const twin = createSegmentTwin({ writeKey });
    const served = await serveTwin(twin.handle);
    const client = createHttp();
    const local = segmentSink({ writeKey, host: served.url });
    const items = Array.from({ length: 200 }, (_, index) => item(local, event({ id: `e-${index}` })));
    expect(await send(local, items, client.send)).toEqual({ status: "delivered" });
    client.close();
    await served.close();
    expect([...twin.stored.values()]).toEqual(items.map(() => 1));
  });
});

describe("the twin answers as Segment's pages say", () => {
  const key = `Basic ${Buffer.from(`${writeKey}:`).toString("base64")}`;
  const good = { type: "track", event: "a", anonymousId: "t", messageId: "m-1" };
  const post = (twin: { readonly handle: TwinHandler }, batch: unknown, authorization = key) =>
    Promise.resolve(
      twin.handle(
        new Request("https://api.segment.io/v1/batch", {
          method: "POST",
          headers: { authorization },
          body: JSON.stringify({ batch }),
        }),
      ),
    );

  test("an id counts once, however often it comes", async () => {
    const twin = createSegmentTwin({ writeKey });
    await post(twin, [good, good]);
    await post(twin, [{ ...good, event: "b" }]);
    expect([...twin.stored]).toEqual([["m-1", 1]]);
    expect(twin.messages).toEqual([good]);
  });

  test("messages without a user, a name or a group are answered 200 and lost", async () => {
    const twin = createSegmentTwin();
    const reply = await post(twin, [
      { ...good, anonymousId: undefined },
      { ...good, event: "" },
      { ...good, type: "group" },
      { ...good, type: "tarck" },
    ]);
    expect(reply.status).toBe(200);
    expect(twin.stored.size).toBe(0);
    expect(Object.fromEntries(twin.lost)).toEqual({
      "no-user": 1,
      "no-event-name": 1,
      "no-group": 1,
      "unknown-type": 1,
    });
  });

  test("one event over 32 KB refuses the whole request, and more than 500 KB or no JSON too", async () => {
    const twin = createSegmentTwin();
    expect((await post(twin, [good, { ...good, text: "x".repeat(32 * 1024) }])).status).toBe(400);
    expect(
      (
        await post(
          twin,
          Array.from({ length: 30 }, () => ({ ...good, text: "x".repeat(20_000) })),
        )
      ).status,
    ).toBe(400);
    expect((await post(twin, "no batch")).status).toBe(400);
    expect(twin.stored.size).toBe(0);
  });

  test("more than 2,500 events are answered 200 and lost, 2,500 are kept", async () => {
    const twin = createSegmentTwin();
    const batch = (count: number) =>
      Array.from({ length: count }, (_, index) => ({ ...good, messageId: `${index}` }));
    expect((await post(twin, batch(2501))).status).toBe(200);
    expect(twin.stored.size).toBe(0);
    await post(twin, batch(2500));
    expect(twin.stored.size).toBe(2500);
  });

  test("a bad key is answered 200 and its events are lost, or 401 where asked for", async () => {
    const twin = createSegmentTwin({ writeKey: "another" });
    expect((await post(twin, [good])).status).toBe(200);
    expect([twin.stored.size, twin.lost.get("bad-key")]).toEqual([0, 1]);
    const strict = createSegmentTwin({ writeKey: "another", badKeyStatus: 401 });
    expect((await post(strict, [good])).status).toBe(401);
  });

  test("a spent quota is a 429 that says how long to wait", async () => {
    let now = 10_500;
    const twin = createSegmentTwin({ quota: { requests: 1, perSeconds: 10 }, clock: { now: () => now } });
    expect((await post(twin, [good])).status).toBe(200);
    const refused = await post(twin, [{ ...good, messageId: "m-2" }]);
    expect([
      refused.status,
      refused.headers.get("retry-after"),
      refused.headers.get("x-ratelimit-reset"),
    ]).toEqual([429, "10", "10"]);
    now = 20_000;
    expect((await post(twin, [{ ...good, messageId: "m-2" }])).status).toBe(200);
    expect(twin.stored.size).toBe(2);
  });

  test("there is nothing else to ask", async () => {
    const { handle } = createSegmentTwin();
    expect((await handle(new Request("https://api.segment.io/v1/track", { method: "POST" }))).status).toBe(
      404,
    );
  });
});
