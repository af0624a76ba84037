// The sink against its twin: mapping, requests, tables, replies, and the seam to the SDK, in the order of a record's way.
import type { _Record } from "@aws-sdk/client-timestream-write";
import { describe, expect, test, vi } from "vitest";
import {
  type TimestreamOptions,
  type TimestreamRecord,
  timestreamSink,
} from "../../adapters/timestream/index.ts";
import subject, { createTimestreamTwin } from "../../adapters/timestream/twin.ts";
import type { Clock, HttpClient, HttpRequest, JsonObject, MetricEvent, Sink } from "../../src/index.ts";
import { createHttp, isSinkUnavailable, systemClock, TransportError } from "../../src/index.ts";
import {
  describeSink,
  injectFaults,
  serveTwin,
  type TwinHandler,
  twinHttp,
  type VirtualClock,
  virtualClock,
} from "../../src/testing/index.ts";
import { sentOf } from "../support/payload.ts";

const hour = 3_600_000;
const now = Date.UTC(2026, 10, 20, 12);

const account = {
  database: "metrics",
  region: "eu-central-1",
  credentials: { accessKeyId: "AKID", secretAccessKey: "s3cret-key" },
};

function sinkWith(options: Partial<TimestreamOptions> = {}): Sink<TimestreamRecord> {
  return timestreamSink({ ...account, endpoint: "http://timestream.test", ...options });
}

interface EventParts {
  id?: string;
  tenant?: string;
  name?: string;
  time?: number;
  metadata?: JsonObject;
  data?: JsonObject;
}

function event({
  id = "id-1",
  tenant = "acme",
  name = "logins",
  time = now,
  metadata,
  data,
}: EventParts = {}): MetricEvent {
  return {
    id,
    tenantId: tenant,
    metricName: name,
    time,
    metadata: { tenant_id: tenant, ...metadata },
    data: { event_time: time, ...(data ?? { count: 1 }) },
  };
}

/** Encodes and sends as the core would, one batch. */
async function send(
  sink: Sink<TimestreamRecord>,
  events: readonly MetricEvent[],
  { http, clock, signal }: { http: HttpClient; clock: Clock; signal?: AbortSignal },
) {
  const items = events.map((event) => {
    const encoded = sink.encode(event);
    if (!("payload" in encoded)) throw new Error(`not encoded: ${JSON.stringify(encoded)}`);
    return { event, ...encoded };
  });
  const partition = sink.partition?.(events[0] ?? event()) ?? "";
  return await sink.send(
    { partition, items },
    { http, clock, attempt: 1, signal: signal ?? clock.signal(30_000) },
  );
}

function world(options: Parameters<typeof createTimestreamTwin>[0] = {}) {
  const clock = virtualClock({ start: now });
  const twin = createTimestreamTwin({ clock, ...options });
  const go = (
    sink: Sink<TimestreamRecord>,
    events: readonly MetricEvent[],
    handle: TwinHandler = twin.handle,
    by: VirtualClock = clock,
  ) => send(sink, events, { http: twinHttp(handle, by), clock: by });
  return { clock, twin, go };
}

const delivered = { status: "delivered" };

describeSink("timestream", subject, { describe, test });

describe("mapping", () => {
  test.each<[string, EventParts, Partial<_Record>]>([
    [
      "metadata becomes dimensions, without the tenant, which is the table",
      { id: "e1", metadata: { event_id: "e1", region: "eu", tier: 3, beta: true } },
      {
        Dimensions: [
          { Name: "event_id", Value: "e1" },
          { Name: "region", Value: "eu" },
          { Name: "tier", Value: "3" },
          { Name: "beta", Value: "true" },
        ],
      },
    ],
    [
      "an event without event_id gets its derived id as a dimension",
      { id: "derived", metadata: { region: "eu", event_id: null } },
      {
        Dimensions: [
          { Name: "region", Value: "eu" },
          { Name: "event_id", Value: "derived" },
        ],
      },
    ],
    [
      "every number is a DOUBLE, whole or not, and a string",
      { data: { a: 5, b: 5.5, c: 0, d: -1e-7, e: 1e21 } },
      {
        MeasureValues: [
          { Name: "a", Value: "5", Type: "DOUBLE" },
          { Name: "b", Value: "5.5", Type: "DOUBLE" },
          { Name: "c", Value: "0", Type: "DOUBLE" },
          { Name: "d", Value: "-1e-7", Type: "DOUBLE" },
          { Name: "e", Value: "1e+21", Type: "DOUBLE" },
        ],
      },
    ],
    [
      "booleans, text, and objects and arrays as their JSON",
      { data: { ok: false, who: "Ünï", deep: { a: [1, null, "x"] }, none: [] } },
      {
        MeasureValues: [
          { Name: "ok", Value: "false", Type: "BOOLEAN" },
          { Name: "who", Value: "Ünï", Type: "VARCHAR" },
          { Name: "deep", Value: '{"a":[1,null,"x"]}', Type: "VARCHAR" },
          { Name: "none", Value: "[]", Type: "VARCHAR" },
        ],
      },
    ],
    [
      "null and empty text are no values",
      { metadata: { region: null, zone: "" }, data: { a: null, b: "", c: 1 } },
      {
        Dimensions: [{ Name: "event_id", Value: "id-1" }],
        MeasureValues: [{ Name: "c", Value: "1", Type: "DOUBLE" }],
      },
    ],
    [
      "declared types win",
      { data: { big: "9223372036854775807", rows: 12, code: 404, flag: true } },
      {
        MeasureValues: [
          { Name: "big", Value: "9223372036854775807", Type: "BIGINT" },
          { Name: "rows", Value: "12", Type: "BIGINT" },
          { Name: "code", Value: "404", Type: "VARCHAR" },
          { Name: "flag", Value: "true", Type: "BOOLEAN" },
        ],
      },
    ],
    [
      "the name and the time, in milliseconds as text",
      { name: "m", time: 1_700_000_000_123 },
      { MeasureName: "m", Time: "1700000000123" },
    ],
  ])("%s", (_, parts, expected) => {
    const sink = sinkWith({ measures: { big: "BIGINT", rows: "BIGINT", code: "VARCHAR" } });
    expect(sentOf(sink.encode(event(parts)))).toMatchObject(expected);
  });

  const many = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`f${i}`, true]));

  test.each<[string, EventParts]>([
    ["TENANT_ID_NO_TABLE_NAME", { tenant: "ab" }],
    ["TENANT_ID_NO_TABLE_NAME", { tenant: "a/b" }],
    ["TENANT_ID_NO_TABLE_NAME", { tenant: "café" }],
    ["TENANT_ID_NO_TABLE_NAME", { tenant: "acme\n" }],
    ["TENANT_ID_NO_TABLE_NAME", { tenant: "a".repeat(257) }],
    ["NAME_TOO_LONG", { name: "m".repeat(257) }],
    ["NAME_TOO_LONG", { metadata: { ["d".repeat(61)]: 1 } }],
    ["NAME_TOO_LONG", { data: { ["é".repeat(129)]: 1 } }],
    ["NAME_INVALID", { data: { "": 1 } }],
    ["NAME_INVALID", { name: "a:b" }],
    ["NAME_RESERVED", { metadata: { time: 1 } }],
    ["NAME_RESERVED", { data: { ts_x: 1 } }],
    ["NAME_RESERVED", { data: { measure_value: 1 } }],
    ["NAME_RESERVED", { data: { measure_name: 1 } }],
    ["NAME_RESERVED", { metadata: { ts_non_existent_col: 1 } }],
    ["NAME_TAKEN", { metadata: { region: "eu" }, data: { region: "eu" } }],
    ["NAME_TAKEN", { data: { event_id: "x" } }],
    ["EVENT_ID_NOT_TEXT", { metadata: { event_id: 7 } }],
    ["VALUE_TOO_LONG", { data: { note: "é".repeat(1025) } }],
    ["VALUE_TOO_LONG", { metadata: { note: ["x".repeat(2045)] } }],
    ["NUMBER_NOT_FINITE", { data: { n: Number.POSITIVE_INFINITY } }],
    ["NUMBER_NOT_FINITE", { metadata: { deep: [{ n: Number.NEGATIVE_INFINITY }] } }],
    ["MEASURE_TYPE", { data: { rows: 5.5 } }],
    ["MEASURE_TYPE", { data: { rows: 2 ** 53 } }],
    ["MEASURE_TYPE", { data: { rows: "9223372036854775808" } }],
    ["MEASURE_TYPE", { data: { rows: "12 " } }],
    ["MEASURE_TYPE", { data: { flag: "true" } }],
    ["MEASURE_TYPE", { data: { ratio: "0.5" } }],
    ["NO_MEASURES", { data: {} }],
    ["NO_MEASURES", { data: { a: null, b: "" } }],
    ["TOO_MANY_DIMENSIONS", { metadata: many(128) }],
    ["TOO_MANY_MEASURES", { data: many(257) }],
    ["RECORD_TOO_LARGE", { data: { a: "x".repeat(1100), b: "x".repeat(1100) } }],
  ])("%s: rejected whole, never mangled", (code, parts) => {
    const sink = sinkWith({ measures: { rows: "BIGINT", flag: "BOOLEAN", ratio: "DOUBLE" } });
    expect(sink.encode(event(parts))).toEqual({ code, rejected: expect.stringMatching(/^[^.]+/) });
  });

  test("what is just within every limit is taken by sink and vendor", async () => {
    const { clock, go } = world();
    const sink = sinkWith();
    const events = [
      event({ id: "dimensions", tenant: "a-table-of-its-own", metadata: many(127) }),
      event({ id: "measures", data: many(256) }),
      event({ id: "names", metadata: { ["d".repeat(60)]: 1 }, data: { ["m".repeat(256)]: 1 } }),
      // 8 for the time, 6 for the name, 8 + 4 for the id, 1 for the measure's name, and the value.
      event({ id: "size", data: { v: "x".repeat(2048 - 8 - 6 - 12 - 1) } }),
    ];
    for (const one of events) expect(await clock.run(go(sink, [one]))).toEqual(delivered);
    expect(sink.encode(event({ id: "size", data: { v: "x".repeat(2048 - 26) } }))).toMatchObject({
      code: "RECORD_TOO_LARGE",
    });
  });

  test("a reason names fields, never values", () => {
    const secret = "s3cr3t";
    const sink = sinkWith({ measures: { n: "BIGINT" } });
    for (const parts of [
      { tenant: `${secret}/` },
      { data: { n: secret } },
      { metadata: { note: secret.repeat(400) } },
      { metadata: { event_id: [secret] } },
    ]) {
      const encoded = sink.encode(event(parts));
      expect(encoded).toHaveProperty("rejected");
      expect(JSON.stringify(encoded)).not.toContain(secret);
    }
  });

  test("a request holds at most 100 records, and an item's bytes cover its share of the body", async () => {
    const sink = sinkWith();
    expect(sink.limits.itemsPerRequest).toBe(100);
    const { clock, twin } = world();
    const events = Array.from({ length: 100 }, (_, i) =>
      event({ id: `e${i}`, name: `m${i}`, data: { v: "é\n" } }),
    );
    const { seen, http } = recording(twinHttp(twin.handle, clock));
    await clock.run(send(sink, events, { http, clock }));
    const shares = events
      .map((one) => sink.encode(one))
      .reduce((sum, e) => sum + ("bytes" in e ? e.bytes : 0), 0);
    for (const { body } of seen.filter(isWrite)) {
      expect(Buffer.byteLength(body ?? "")).toBeLessThanOrEqual(shares + (sink.limits.envelopeBytes ?? 0));
    }
    expect(twin.stored.size).toBe(100);
  });
});

describe("requests", () => {
  test("what all records share is said once, and no dimension stands in both places", async () => {
    const { clock, twin } = world();
    const { seen, http } = recording(twinHttp(twin.handle, clock));
    const metadata = { region: "eu", zone: "a" };
    const events = [
      event({ id: "1", metadata }),
      event({ id: "2", metadata: { ...metadata, zone: "b" } }),
      event({ id: "3", metadata: { region: "eu" } }),
    ];
    expect(await clock.run(send(sinkWith(), events, { http, clock }))).toEqual(delivered);
    const measures = [{ Name: "count", Value: "1", Type: "DOUBLE" }];
    expect(bodyOf(seen.filter(isWrite)[0])).toEqual({
      DatabaseName: "metrics",
      TableName: "acme",
      CommonAttributes: {
        MeasureValueType: "MULTI",
        TimeUnit: "MILLISECONDS",
        MeasureName: "logins",
        Dimensions: [{ Name: "region", Value: "eu" }],
      },
      Records: [
        { zone: "a", id: "1" },
        { zone: "b", id: "2" },
        { zone: undefined, id: "3" },
      ].map(({ zone, id }) => ({
        Time: String(now),
        Dimensions: [
          ...(zone === undefined ? [] : [{ Name: "zone", Value: zone }]),
          { Name: "event_id", Value: id },
        ],
        MeasureValues: measures,
      })),
    });
  });

  test("records of several metrics keep their own names", async () => {
    const { clock, twin, go } = world();
    const events = [event({ id: "1", name: "logins" }), event({ id: "2", name: "uploads" })];
    expect(await clock.run(go(sinkWith(), events))).toEqual(delivered);
    const records = [...(twin.tables.get("metrics/acme")?.records.values() ?? [])];
    expect(records.map(({ measureName }) => measureName)).toEqual(["logins", "uploads"]);
  });

  test("the same batch is the same bytes in every attempt", async () => {
    const { clock, twin } = world();
    const { seen, http } = recording(twinHttp(twin.handle, clock));
    const sink = sinkWith();
    const events = [event({ id: "1" }), event({ id: "2", metadata: { zone: "b" } })];
    for (let attempt = 0; attempt < 3; attempt += 1) await clock.run(send(sink, events, { http, clock }));
    expect(new Set(seen.filter(isWrite).map(({ body }) => String(Buffer.from(body ?? "")))).size).toBe(1);
    expect([...twin.stored.values()]).toEqual([1, 1]);
  });
});

describe("tenants", () => {
  test("each tenant has its own table, even when names differ only in case", async () => {
    const { clock, twin, go } = world();
    const sink = sinkWith();
    for (const tenant of ["acme", "Acme", "a.c-m_e"]) {
      expect(await clock.run(go(sink, [event({ tenant, id: `of-${tenant}` })]))).toEqual(delivered);
    }
    const held = [...twin.tables].map(([key, { records }]) => [
      key,
      [...records.values()].map(({ dimensions }) => dimensions.get("event_id")),
    ]);
    expect(held).toEqual([
      ["metrics/acme", ["of-acme"]],
      ["metrics/Acme", ["of-Acme"]],
      ["metrics/a.c-m_e", ["of-a.c-m_e"]],
    ]);
  });

  test("a missing table is created once, with the configured retention, for all who wait for it", async () => {
    const { clock, twin, go } = world();
    const sink = sinkWith();
    const outcomes = await clock.run(Promise.all([1, 2, 3].map((n) => go(sink, [event({ id: `e${n}` })]))));
    expect(outcomes).toEqual([delivered, delivered, delivered]);
    expect(twin.requests.get("CreateTable")).toBe(1);
    expect(twin.tables.get("metrics/acme")).toMatchObject({
      memoryStoreHours: 336,
      magneticStoreDays: 365,
      magneticStoreWrites: true,
    });
  });

  test("two workers that create one table both deliver", async () => {
    const { clock, twin, go } = world();
    const [one, two] = [sinkWith(), sinkWith()];
    const outcomes = await clock.run(
      Promise.all([go(one, [event({ id: "1" })]), go(two, [event({ id: "2" })])]),
    );
    expect(outcomes).toEqual([delivered, delivered]);
    expect(twin.requests.get("CreateTable")).toBe(2);
    expect([...twin.stored.keys()].sort()).toEqual(["1", "2"]);
  });

  test("new tenants' tables are created one a second, so none is throttled", async () => {
    const { clock, twin, go } = world({ creationIntervalMs: 1000 });
    const sink = sinkWith();
    const outcomes = await clock.run(
      Promise.all(Array.from({ length: 8 }, (_, i) => go(sink, [event({ tenant: `tenant-${i}` })]))),
    );
    expect(outcomes).toEqual(Array.from({ length: 8 }, () => delivered));
    expect(twin.requests.get("CreateTable")).toBe(8);
    expect(clock.now()).toBe(now + 7000);
  });

  test("a creation that others have throttled is transient, not a fault of the records", async () => {
    const { clock, go } = world({ creationIntervalMs: 60_000 });
    await clock.run(go(sinkWith(), [event({ tenant: "first" })]));
    expect(await clock.run(go(sinkWith(), [event({ tenant: "second" })]))).toMatchObject({
      status: "transient",
    });
  });

  test("a creation that failed is tried again by the next batch", async () => {
    const { clock, twin, go } = world({ creationIntervalMs: 5000 });
    const sink = sinkWith();
    await clock.run(go(sinkWith(), [event({ tenant: "first" })]));
    expect(await clock.run(go(sink, [event({ tenant: "second" })]))).toMatchObject({ status: "transient" });
    await clock.advance(5000);
    expect(await clock.run(go(sink, [event({ tenant: "second" })]))).toEqual(delivered);
    expect(twin.requests.get("CreateTable")).toBe(3);
  });

  test("a new table that writes do not find at once is waited for", async () => {
    const { clock, twin, go } = world({ tableVisibleAfterMs: 3000 });
    expect(await clock.run(go(sinkWith(), [event()]))).toEqual(delivered);
    expect(twin.requests.get("CreateTable")).toBe(1);
  });

  test("a new table that writes never find costs seven and a half seconds, then the records wait", async () => {
    const { clock, twin, go } = world({ tableVisibleAfterMs: hour });
    expect(await clock.run(go(sinkWith(), [event()]))).toMatchObject({ status: "transient" });
    expect(clock.now()).toBe(now + 7500);
    expect(twin.requests.get("WriteRecords")).toBe(6);
  });

  test("a missing database is a fact about the sink and is named", async () => {
    const { clock, go } = world({ databases: ["other"] });
    const error = await clock.run(go(sinkWith(), [event()]).catch((caught: unknown) => caught));
    expect(isSinkUnavailable(error)).toBe(true);
    expect(String(error)).toContain("metrics");
  });
});

describe("time and resends", () => {
  test("an identical resend is delivered and stored once", async () => {
    const { clock, twin, go } = world();
    const sink = sinkWith();
    const events = [event({ id: "1" }), event({ id: "2" })];
    for (let pass = 0; pass < 2; pass += 1) expect(await clock.run(go(sink, events))).toEqual(delivered);
    expect([...twin.stored]).toEqual([
      ["1", 1],
      ["2", 1],
    ]);
  });

  test("a reply lost after storing costs no duplicate", async () => {
    const { clock, twin, go } = world();
    const sink = sinkWith();
    await clock.run(go(sink, [event({ id: "0" })]));
    const lost = injectFaults(twin.handle, (_, n) => (n === 1 ? { kind: "reset-after-store" } : undefined));
    expect(await clock.run(go(sink, [event()], lost))).toMatchObject({ status: "transient" });
    expect(await clock.run(go(sink, [event()], lost))).toEqual(delivered);
    expect(twin.stored.get("id-1")).toBe(1);
  });

  test("two real events of one millisecond with equal metadata are both stored", async () => {
    const { clock, twin, go } = world();
    const events = [event({ id: "1", data: { count: 1 } }), event({ id: "2", data: { count: 2 } })];
    expect(await clock.run(go(sinkWith(), events))).toEqual(delivered);
    expect(twin.tables.get("metrics/acme")?.records.size).toBe(2);
  });

  test("one id with other values is rejected by its index; the others are delivered", async () => {
    const { clock, go } = world();
    const sink = sinkWith();
    await clock.run(go(sink, [event({ id: "1", data: { count: 1 } })]));
    const again = [event({ id: "0" }), event({ id: "1", data: { count: 2 } }), event({ id: "2" })];
    expect(await clock.run(go(sink, again))).toEqual([
      delivered,
      { status: "rejected", code: "RECORD_CONFLICT", reason: expect.any(String) },
      delivered,
    ]);
  });

  const days = 24 * hour;
  const late = { status: "rejected", code: "TIME_OUT_OF_RANGE", reason: expect.any(String) };
  test.each([
    ["14 minutes ahead", 14 * 60_000, true, delivered],
    ["16 minutes ahead", 16 * 60_000, true, [late]],
    ["13 days old", -13 * days, false, delivered],
    ["15 days old, with magnetic store writes", -15 * days, true, delivered],
    ["15 days old, without", -15 * days, false, [late]],
    ["13 months old", -396 * days, true, [late]],
  ])("%s", async (_, offset, enableMagneticStoreWrites, expected) => {
    const { clock, go } = world();
    const sink = sinkWith({ enableMagneticStoreWrites });
    expect(await clock.run(go(sink, [event({ time: now + offset })]))).toEqual(expected);
  });

  test("5 and then 5.5 land in one column", async () => {
    const { clock, go } = world();
    const events = [event({ id: "1", data: { v: 5 } }), event({ id: "2", data: { v: 5.5 } })];
    expect(await clock.run(go(sinkWith(), events))).toEqual(delivered);
  });
});

describe("each reply has one meaning", () => {
  const type = (name: string, rest: object = {}) =>
    JSON.stringify({ __type: `com.amazonaws.timestream.v20181101#${name}`, message: "m", ...rest });
  const rejectedRecords = (...list: unknown[]) => type("RejectedRecordsException", { RejectedRecords: list });
  const transient = { status: "transient", reason: expect.any(String) };
  const throttled = { ...transient, throttled: true };
  const refused = (code: string) => ({ status: "refused", reason: expect.any(String), code });
  const rejected = (code: string) => ({ status: "rejected", reason: expect.any(String), code });
  const unclear = refused("REJECTED_RECORD_UNKNOWN");
  const unavailable = "unavailable";

  test.each<[string, number, string, unknown]>([
    ["all stored", 200, '{"RecordsIngested":{"Total":2}}', delivered],
    ["fewer stored than sent", 200, '{"RecordsIngested":{"Total":1}}', transient],
    ["nothing said", 200, "{}", transient],
    ["no body", 200, "", transient],
    ["a proxy's page", 200, "<html>", transient],
    ["half a reply", 200, '{"RecordsIngested":{"To', transient],
    ["throttled", 400, type("ThrottlingException"), throttled],
    ["internal", 500, type("InternalServerException"), transient],
    ["endpoint moved", 421, type("InvalidEndpointException"), transient],
    ["token expired", 400, type("ExpiredTokenException"), transient],
    ["clock skew", 403, type("RequestTimeTooSkewed"), transient],
    ["HTML with 503", 503, "<html>busy</html>", transient],
    ["a status before a name", 502, type("ValidationException"), transient],
    ["429 of a proxy", 429, "", throttled],
    ["invalid", 400, type("ValidationException"), refused("VALIDATION_EXCEPTION")],
    ["unreadable", 400, type("SerializationException"), refused("SERIALIZATION_EXCEPTION")],
    ["too large for a proxy", 413, "<html>", refused("HTTP_413")],
    ["400 that names no error", 400, "{}", transient],
    ["400 with half a body", 400, type("AccessDenied").slice(0, 30), transient],
    ["419 with half a body", 419, rejectedRecords({ RecordIndex: 0 }).slice(0, 90), transient],
    ["denied", 400, type("AccessDeniedException"), unavailable],
    ["quota", 402, type("ServiceQuotaExceededException"), unavailable],
    ["unknown key", 400, type("UnrecognizedClientException"), unavailable],
    ["bad signature", 403, type("InvalidSignatureException"), unavailable],
    ["another host's 404", 404, "<html>", unavailable],
    ["a redirect", 301, "", unavailable],
    ["a rejection in a redirect", 302, rejectedRecords({ RecordIndex: 1, Reason: "?" }), unavailable],
    [
      "one rejected",
      419,
      rejectedRecords({ RecordIndex: 1, Reason: "?" }),
      [delivered, rejected("RECORD_REJECTED")],
    ],
    [
      "both rejected, unordered",
      419,
      rejectedRecords(
        { RecordIndex: 1, Reason: "The number of measures exceeds the limit" },
        {
          RecordIndex: 0,
          Reason: "The record timestamp is outside the time range [a, b) of the memory store.",
        },
      ),
      [rejected("TIME_OUT_OF_RANGE"), rejected("LIMIT_EXCEEDED")],
    ],
    [
      "a version that needs a BigInt",
      419,
      rejectedRecords({ RecordIndex: 0, Reason: "?", ExistingVersion: 0 }).replace(
        '"ExistingVersion":0',
        '"ExistingVersion":9223372036854775807',
      ),
      [rejected("RECORD_CONFLICT"), delivered],
    ],
    [
      "listed twice: the first reason counts",
      419,
      rejectedRecords(
        { RecordIndex: 1, Reason: "The record timestamp is outside the time range [a, b)." },
        { RecordIndex: 1, Reason: "The number of measures exceeds the limit" },
      ),
      [delivered, rejected("TIME_OUT_OF_RANGE")],
    ],
    ["no reason", 419, rejectedRecords({ RecordIndex: 0 }), [rejected("RECORD_REJECTED"), delivered]],
    ["index out of range", 419, rejectedRecords({ RecordIndex: 2, Reason: "?" }), unclear],
    ["index negative", 419, rejectedRecords({ RecordIndex: -1, Reason: "?" }), unclear],
    ["index missing", 419, rejectedRecords({ Reason: "?" }, { RecordIndex: 0 }), unclear],
    ["index no integer", 419, rejectedRecords({ RecordIndex: 0.5 }), unclear],
    ["entry null", 419, rejectedRecords(null), unclear],
    ["list missing", 419, type("RejectedRecordsException"), unclear],
    ["list empty", 419, rejectedRecords(), unclear],
  ])("%s", async (_, status, body, expected) => {
    const { clock, go } = world();
    const handle = () => new Response(body, { status, headers: { "x-amzn-requestid": "r" } });
    const answer = await clock.run(
      go(sinkWith(), [event({ id: "1" }), event({ id: "2" })], handle).catch((error: unknown) => {
        if (isSinkUnavailable(error)) return unavailable;
        throw error;
      }),
    );
    expect(answer).toEqual(expected);
  });

  test("the vendor's own words, which may hold values, do not pass", async () => {
    const { clock, go } = world();
    const body = rejectedRecords({ RecordIndex: 0, Reason: "value s3cr3t is odd" });
    const answer = await clock.run(go(sinkWith(), [event()], () => new Response(body, { status: 419 })));
    expect(JSON.stringify(answer)).not.toContain("s3cr3t");
  });

  test("a wait that is asked for is passed on", async () => {
    const { clock, go } = world();
    const handle = () =>
      new Response(type("ThrottlingException"), { status: 400, headers: { "retry-after": "7" } });
    expect(await clock.run(go(sinkWith(), [event()], handle))).toMatchObject({ retryAfterMs: 7000 });
  });

  test("one send is one request: no second layer retries", async () => {
    const { clock, go } = world();
    let requests = 0;
    const handle = () => {
      requests += 1;
      return new Response("", { status: 500 });
    };
    await clock.run(go(sinkWith(), [event()], handle));
    expect(requests).toBe(1);
  });
});

describe("the seam", () => {
  test.each([
    ["a reply", () => sinkWith()],
    ["the endpoint's discovery", () => timestreamSink(account)],
    ["credentials", () => sinkWith({ credentials: () => new Promise(() => {}) })],
  ])("a send that hangs on %s settles at once when its time is over", async (_, makeSink) => {
    const clock = virtualClock({ start: now });
    const controller = new AbortController();
    // Deaf to the signal, as the worst client could be.
    const http: HttpClient = () => new Promise(() => {});
    const sink = makeSink();
    const sent = send(sink, [event()], { http, clock, signal: controller.signal });
    setImmediate(() => controller.abort());
    expect(await sent).toMatchObject({ status: "transient" });
  });

  test("a send that waits for its table's turn settles at once when its time is over", async () => {
    const { clock, twin } = world();
    const sink = sinkWith();
    const http = twinHttp(twin.handle, clock);
    const controller = new AbortController();
    const first = send(sink, [event({ tenant: "first" })], { http, clock });
    const second = send(sink, [event({ tenant: "second" })], { http, clock, signal: controller.signal });
    await clock.advance(500);
    controller.abort();
    expect(await second).toMatchObject({ status: "transient" });
    expect(await first).toEqual(delivered);
    expect(clock.now()).toBe(now + 500);
  });

  test("without an endpoint the SDK discovers it through our client, once", async () => {
    const { clock, twin } = world();
    const { seen, http } = recording(twinHttp(twin.handle, clock));
    const sink = timestreamSink(account);
    for (const id of ["1", "2"])
      expect(await clock.run(send(sink, [event({ id })], { http, clock }))).toEqual(delivered);
    expect(seen.map(({ url }) => new URL(url).host)[0]).toBe("ingest.timestream.eu-central-1.amazonaws.com");
    expect(twin.requests.get("DescribeEndpoints")).toBe(1);
  });

  test("where records go is asked of the SDK, which knows the variables of AWS", async () => {
    const { clock, twin } = world();
    const { seen, http } = recording(twinHttp(twin.handle, clock));
    vi.stubEnv("AWS_ENDPOINT_URL_TIMESTREAM_WRITE", "http://127.0.0.1:4567/behind");
    try {
      expect(await clock.run(send(timestreamSink(account), [event()], { http, clock }))).toEqual(delivered);
    } finally {
      vi.unstubAllEnvs();
    }
    expect(new Set(seen.map(({ url }) => url))).toEqual(new Set(["http://127.0.0.1:4567/behind/"]));
  });

  test("a clock that is off is corrected by the vendor's, and costs one attempt", async () => {
    const { clock, twin } = world();
    const ahead = 2 * hour;
    const dates: (string | null)[] = [];
    const { http } = recording(
      twinHttp((request) => {
        if (!request.headers.get("x-amz-target")?.endsWith("WriteRecords")) return twin.handle(request);
        dates.push(request.headers.get("x-amz-date"));
        if (dates.length > 1) return twin.handle(request);
        const headers = { date: new Date(clock.now() + ahead).toUTCString() };
        return new Response('{"__type":"InvalidSignatureException"}', { status: 403, headers });
      }, clock),
    );
    const sink = sinkWith();
    expect(await clock.run(send(sink, [event()], { http, clock }))).toMatchObject({ status: "transient" });
    expect(await clock.run(send(sink, [event()], { http, clock }))).toEqual(delivered);
    expect(dates.slice(0, 2)).toEqual(["20261120T120000Z", "20261120T140000Z"]);
  });

  test.each(["DescribeEndpoints", "CreateTable"])(
    "a clock that is off costs %s one attempt, too",
    async (operation) => {
      const { clock, twin } = world();
      let asked = 0;
      const http = twinHttp((request) => {
        if (!request.headers.get("x-amz-target")?.endsWith(operation) || ++asked > 1)
          return twin.handle(request);
        // The SDK's own clock is the machine's.
        const headers = { date: new Date(Date.now() + 2 * hour).toUTCString() };
        return new Response('{"__type":"InvalidSignatureException"}', { status: 403, headers });
      }, clock);
      const sink = timestreamSink(account);
      expect(await clock.run(send(sink, [event()], { http, clock }))).toMatchObject({ status: "transient" });
      expect(await clock.run(send(sink, [event()], { http, clock }))).toEqual(delivered);
      expect(asked).toBe(2);
    },
  );

  test("requests that were under way with a clock that is off wait too, however many", async () => {
    const { clock, twin } = world();
    let refused = 0;
    const http = twinHttp((request) => {
      const isOff = request.headers.get("x-amz-date") === "20261120T120000Z";
      if (!isOff || !request.headers.get("x-amz-target")?.endsWith("WriteRecords"))
        return twin.handle(request);
      refused++;
      const headers = { date: new Date(clock.now() + 2 * hour).toUTCString() };
      return new Response('{"__type":"InvalidSignatureException"}', { status: 403, headers });
    }, clock);
    const sink = sinkWith();
    const sendAll = () =>
      clock.run(Promise.all(["1", "2", "3"].map((id) => send(sink, [event({ id })], { http, clock }))));
    for (const answer of await sendAll()) expect(answer).toMatchObject({ status: "transient" });
    expect(refused).toBe(3);
    expect(await sendAll()).toEqual([delivered, delivered, delivered]);
  });

  test("whoever asked for the endpoint is out of time: the others ask again, and deliver", async () => {
    const { clock, twin } = world();
    const inner = twinHttp(twin.handle, clock);
    let discoveries = 0;
    const http: HttpClient = (request, signal) => {
      const isDiscovery = request.headers["x-amz-target"]?.endsWith(".DescribeEndpoints") === true;
      if (!isDiscovery || ++discoveries > 1) return inner(request, signal);
      return new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(new TransportError("ingest: aborted")));
      });
    };
    const sink = timestreamSink(account);
    const controller = new AbortController();
    const first = send(sink, [event({ id: "1" })], { http, clock, signal: controller.signal });
    const others = ["2", "3"].map((id) => send(sink, [event({ id })], { http, clock }));
    setImmediate(() => controller.abort());
    expect(await first).toMatchObject({ status: "transient" });
    expect(await clock.run(Promise.all(others))).toEqual([delivered, delivered]);
    expect(discoveries).toBe(2);
  });

  test.each([
    [503, "", "transient"],
    [400, '{"__type":"AccessDeniedException"}', "unavailable"],
  ])("a discovery that fails with %i counts for what it is", async (status, body, expected) => {
    const { clock } = world();
    const http = twinHttp(() => new Response(body, { status }), clock);
    const answer = await clock.run(
      send(timestreamSink(account), [event()], { http, clock }).catch((error: unknown) => ({
        status: isSinkUnavailable(error) ? "unavailable" : "unknown",
      })),
    );
    expect(answer).toMatchObject({ status: expected });
  });

  test("a discovered endpoint that moved is discovered anew", async () => {
    const { clock, twin } = world();
    const sink = timestreamSink(account);
    let moved = true;
    const handle: TwinHandler = (request) => {
      if (!moved || !request.headers.get("x-amz-target")?.endsWith("WriteRecords"))
        return twin.handle(request);
      moved = false;
      return new Response('{"__type":"InvalidEndpointException"}', { status: 421 });
    };
    const http = twinHttp(handle, clock);
    expect(await clock.run(send(sink, [event()], { http, clock }))).toMatchObject({ status: "transient" });
    expect(await clock.run(send(sink, [event()], { http, clock }))).toEqual(delivered);
    expect(twin.requests.get("DescribeEndpoints")).toBe(2);
  });

  test("requests that were under way when the endpoint moved discover it anew once, however late their replies", async () => {
    const { clock, twin } = world();
    let stale = 3;
    const http = twinHttp(async (request) => {
      if (stale === 0 || !request.headers.get("x-amz-target")?.endsWith("WriteRecords"))
        return twin.handle(request);
      await clock.sleep(100 * stale--);
      return new Response('{"__type":"InvalidEndpointException"}', { status: 421 });
    }, clock);
    const sink = timestreamSink(account);
    const untilDelivered = async (id: string) => {
      const outcomes = [];
      while (outcomes.length < 2) outcomes.push(await send(sink, [event({ id })], { http, clock }));
      return outcomes;
    };
    for (const outcomes of await clock.run(Promise.all(["1", "2", "3"].map(untilDelivered)))) {
      expect(outcomes).toMatchObject([{ status: "transient" }, delivered]);
    }
    expect(twin.requests.get("DescribeEndpoints")).toBe(2);
  });

  test("a local server over plain http works, socket and all", async () => {
    const twin = createTimestreamTwin();
    const served = await serveTwin(twin.handle);
    const http = createHttp();
    try {
      const sink = sinkWith({ endpoint: served.url });
      const clock = systemClock;
      const events = [
        event({ id: "1", time: Date.now() }),
        event({ id: "2", time: Date.now(), data: { v: "ü" } }),
      ];
      const signal = AbortSignal.timeout(5000);
      expect(await send(sink, events, { http: http.send, clock, signal })).toEqual(delivered);
      expect([...twin.stored.keys()]).toEqual(["1", "2"]);
      const rejectedOne = [event({ id: "1", time: 0 }), event({ id: "3", time: Date.now() })];
      expect(await send(sink, rejectedOne, { http: http.send, clock, signal })).toMatchObject([
        { status: "rejected" },
        delivered,
      ]);
    } finally {
      http.close();
      await served.close();
    }
  });

  test.each([
    [
      "credentials",
      {
        credentials: () =>
          Promise.reject(Object.assign(new Error("no"), { name: "CredentialsProviderError" })),
      },
    ],
    ["permissions", undefined],
  ])("missing %s are a fact about the sink, and no secret is in the message", async (_, options) => {
    const { clock, go } = world();
    const handle = () =>
      new Response('{"__type":"AccessDeniedException","message":"s3cret-key AKID"}', { status: 400 });
    const error = await clock.run(
      go(sinkWith(options), [event()], handle).catch((caught: unknown) => caught),
    );
    expect(isSinkUnavailable(error)).toBe(true);
    expect(String(error)).not.toMatch(/s3cret|AKID/);
  });
});

function recording(inner: HttpClient): { seen: HttpRequest[]; http: HttpClient } {
  const seen: HttpRequest[] = [];
  return {
    seen,
    http: (request, signal) => {
      seen.push(request);
      return inner(request, signal);
    },
  };
}

function isWrite({ headers }: HttpRequest): boolean {
  return headers["x-amz-target"] === "Timestream_20181101.WriteRecords";
}

function bodyOf(request: HttpRequest | undefined): unknown {
  const { body = "" } = request ?? {};
  return JSON.parse(typeof body === "string" ? body : Buffer.from(body).toString("utf8"));
}
