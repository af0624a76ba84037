import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import {
  type MixpanelEvent,
  type MixpanelOptions,
  mixpanelOutcomes,
  mixpanelSink,
} from "../../adapters/mixpanel/index.ts";
import subject, { createMixpanelTwin } from "../../adapters/mixpanel/twin.ts";
import {
  createHttp,
  type HttpClient,
  type Item,
  isSinkUnavailable,
  type JsonObject,
  type MetricEvent,
  type Outcome,
  type Sink,
  systemClock,
} from "../../src/index.ts";
import { describeSink, injectFaults, serveTwin, twinHttp, virtualClock } from "../../src/testing/index.ts";
import { sentOf, valuesOf } from "../support/payload.ts";

const time = Date.UTC(2026, 0, 1);
const clock = virtualClock({ start: time });
const serviceAccount = { username: "robot.1", secret: "s3cret", projectId: "42" };

function event(
  data: JsonObject = {},
  metadata: JsonObject = {},
  rest: Partial<MetricEvent> = {},
): MetricEvent {
  return {
    id: "e-1",
    metricName: "findings_upload_completed",
    tenantId: "acme",
    time,
    metadata: { tenant_id: "acme", event_id: "e-1", ...metadata },
    data: { event_time: "2026-01-01T00:00:00Z", ...data },
    ...rest,
  };
}

function encode(one: MetricEvent, options: Partial<MixpanelOptions> = {}) {
  return mixpanelSink({ token: "token", ...options } as MixpanelOptions).encode(one);
}

/** The properties of an event that is taken. */
function properties(one: MetricEvent, options: Partial<MixpanelOptions> = {}): JsonObject {
  return sentOf<MixpanelEvent>(encode(one, options)).properties;
}

function items<P>(sink: Sink<P>, events: readonly MetricEvent[]): Item<P>[] {
  return events.map((one) => {
    const encoded = sink.encode(one);
    if (!("payload" in encoded)) throw new Error(`not taken: ${JSON.stringify(encoded)}`);
    return { event: one, payload: encoded.payload, bytes: encoded.bytes };
  });
}

async function send<P>(sink: Sink<P>, events: readonly MetricEvent[], http: HttpClient) {
  const signal = new AbortController().signal;
  return await sink.send({ partition: "", items: items(sink, events) }, { http, signal, attempt: 1, clock });
}

const many = (count: number) => Array.from({ length: count }, (_, n) => event({ n }, {}, { id: `e-${n}` }));

describeSink("mixpanel", subject, { describe, test });

describe("the mapping", () => {
  test("carries name, time, user, group and every other field, and asks not to be located", () => {
    const encoded = encode(event({ count: 3, by: { high: 1 }, tags: ["a"] }, { user_id: "u1", plan: "pro" }));
    expect(sentOf(encoded)).toMatchObject({
      event: "findings_upload_completed",
      properties: {
        time,
        distinct_id: "u1",
        $insert_id: expect.stringMatching(/^[a-f0-9-]{36}$/),
        ip: 0,
        company_id: ["acme"],
        count: 3,
        by: { high: 1 },
        tags: ["a"],
        plan: "pro",
        event_id: "e-1",
      },
    });
    expect(Object.keys(properties(event({}, { user_id: "u1" })))).toEqual([
      ...["time", "distinct_id", "$insert_id", "ip", "company_id", "event_id"],
    ]);
  });

  test("uses the configured group key, event name and choice of metadata", () => {
    const options = { groupKey: "org", eventName: () => "Upload", metadata: ["plan", "absent"] };
    const one = event({}, { plan: "pro", other: "x", user_id: "u1" });
    expect(sentOf(encode(one, options))).toMatchObject({ event: "Upload" });
    expect(Object.keys(properties(one, options))).toEqual([
      ...["time", "distinct_id", "$insert_id", "ip", "org", "plan"],
    ]);
    expect(() => mixpanelSink({ token: "t", groupKey: "time" })).toThrow(/reserved/);
  });

  test.each([["e-1"], ["x".repeat(500)], ["ü/€"], ["null"], ["0"], [""]])(
    "gives an id that Mixpanel takes to the event id %j",
    (id) => {
      const { $insert_id: insertId } = properties(event({}, {}, { id }));
      expect(insertId).toMatch(/^[A-Za-z0-9-]{36}$/);
    },
  );

  test("gives different ids to one event id of two tenants or metrics", () => {
    const ids = [
      properties(event()),
      properties(event({}, {}, { tenantId: "other" })),
      properties(event({}, {}, { metricName: "other" })),
    ].map((all) => all["$insert_id"]);
    expect(new Set(ids).size).toBe(3);
  });

  test.each([
    ...[
      "null",
      "NULL",
      " none ",
      "unknown",
      "0",
      "-1",
      "true",
      "anon",
      "undefined",
      "[]",
      "{}",
      "n/a",
      "",
      " ",
    ],
    "00000000-0000-0000-0000-000000000000",
    ...[17, null, true, ["u1"], "u".repeat(256)],
  ])("takes %j for nobody, and keeps it as a property", (userId) => {
    const all = properties(event({}, { user_id: userId }));
    expect(all["distinct_id"]).toBe("");
    expect(all).toHaveProperty("user_id");
  });

  test("lets no field of a record override what the sink says, and loses none", () => {
    const hostile = JSON.parse(
      '{"token":1,"$insert_id":2,"distinct_id":3,"time":4,"ip":5,"company_id":6,"insert_id":7,"$user_id":8,' +
        '"mp_lib":9,"__proto__":10,"":11,"cut_properties":12,"event_time":0}',
    ) as JsonObject;
    const all = properties(event(hostile, { ...hostile, event_time: 13 }));
    expect(all).toMatchObject({ time, distinct_id: "", ip: 0, company_id: ["acme"] });
    for (const field of Object.keys(hostile).filter((name) => name !== "event_time")) {
      expect(all[`data.${field}`]).toBe(hostile[field]);
      expect(all[`metadata.${field}`]).toBe(hostile[field]);
    }
    expect(all["event_time"]).toBe(13);
    expect(Object.keys(all)).not.toContain("token");
    expect(properties(event({ plan: "a" }, { plan: "b" }))).toMatchObject({
      plan: "a",
      "metadata.plan": "b",
    });
  });

  test("cuts long strings where Mixpanel would, marks each and names its field", () => {
    const long = "ü".repeat(200);
    const all = properties(
      event({ url: long, deep: { a: [long, "b"] }, fits: "x".repeat(255), emoji: "😀".repeat(64) }),
    );
    const marked = `${"ü".repeat(126)}…`;
    expect(all).toMatchObject({ url: marked, deep: { a: [marked, "b"] }, fits: "x".repeat(255) });
    expect(all["emoji"]).toBe(`${"😀".repeat(63)}…`);
    expect(all["cut_properties"]).toEqual(["url", "deep", "emoji"]);
    for (const text of [marked, String(all["emoji"])])
      expect(Buffer.byteLength(text)).toBeLessThanOrEqual(255);
  });

  const nest = (depth: number): JsonObject => (depth === 1 ? { a: 1 } : { a: nest(depth - 1) });
  const keys = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, n) => [`k${n}`, n]));

  test.each<[string, JsonObject]>([
    ["depth 3", { deep: nest(3) }],
    ["254 items", { list: Array(254).fill(1) }],
    ["254 keys", { object: keys(254) }],
    ["254 properties", keys(248)],
    ["8 KB in a list", { list: Array(100).fill("x".repeat(78)) }],
    ["a name of 255 bytes", { ["n".repeat(255)]: 1 }],
  ])("takes %s, and so does Mixpanel", async (_what, data) => {
    const twin = createMixpanelTwin({ clock });
    const sink = mixpanelSink({ token: "token", host: "http://mixpanel.test" });
    expect(await send(sink, [event(data)], twinHttp(twin.handle))).toEqual({ status: "delivered" });
  });

  test.each<[string, string, MetricEvent]>([
    ["depth 4", "PROPERTY_INVALID", event({ deep: nest(4) })],
    [
      "depth 50,000",
      "PROPERTY_INVALID",
      event({ deep: JSON.parse(`${"[".repeat(50_000)}${"]".repeat(50_000)}`) }),
    ],
    ["255 items", "PROPERTY_INVALID", event({ list: Array(255).fill(1) })],
    ["255 keys", "PROPERTY_INVALID", event({ object: keys(255) })],
    ["255 properties", "TOO_MANY_PROPERTIES", event(keys(249))],
    ["more than 8 KB in a list", "PROPERTY_INVALID", event({ list: Array(110).fill("x".repeat(78)) })],
    ["a number beyond JSON", "PROPERTY_INVALID", event(JSON.parse('{"n":1e999}'))],
    ["a name over 255 bytes", "NAME_TOO_LONG", event({ ["n".repeat(256)]: 1 })],
    ["a nested name over 255 bytes", "PROPERTY_INVALID", event({ object: { ["n".repeat(256)]: 1 } })],
    ["two fields of one name", "NAME_TAKEN", event({ "data.time": 1, time: 2 })],
    ["a tenant over 255 bytes", "TENANT_ID_TOO_LONG", event({}, {}, { tenantId: "t".repeat(256) })],
    ["a metric over 255 bytes", "EVENT_NAME_INVALID", event({}, {}, { metricName: "m".repeat(256) })],
    ["a time before 1971", "TIME_TOO_EARLY", event({}, {}, { time: Date.UTC(1970, 11, 31) })],
    ["milliseconds that look like seconds", "TIME_TOO_EARLY", event({}, {}, { time: Date.UTC(1972, 1, 1) })],
  ])("rejects %s", (_what, code, one) => {
    expect(encode(one)).toEqual({
      code,
      rejected: expect.stringMatching(/^Mixpanel cannot take the event: /),
    });
  });

  test("says the bytes of a body exactly", async () => {
    const sink = mixpanelSink({ token: "token", host: "http://mixpanel.test" });
    const batch = items(sink, [
      event({ note: 'ü€😀"\\\n' }),
      event({ list: [1, null, false] }, {}, { id: "e-2" }),
    ]);
    let body = "";
    const http: HttpClient = async (request) => {
      body = String(request.body);
      return { status: 200, headers: {}, body: "" };
    };
    await sink.send(
      { partition: "", items: batch },
      { http, signal: AbortSignal.abort(), attempt: 1, clock },
    );
    expect(batch.reduce((sum, { bytes }) => sum + bytes, 1)).toBe(Buffer.byteLength(body));
  });
});

test("a reply that names one event again and again reads its payload once", () => {
  const sink = mixpanelSink({ token: "token" });
  const [first] = items(sink, many(1));
  if (first === undefined) throw new Error("there is no item");
  let reads = 0;
  const watched = {
    get payload() {
      reads++;
      return first.payload;
    },
  };
  const failed = Array.from({ length: 50_000 }, () => ({ index: 0, field: "properties.time" }));
  const body = JSON.stringify({ code: 400, num_records_imported: 0, failed_records: failed });
  expect(mixpanelOutcomes({ status: 400, headers: {}, body }, [watched])).toMatchObject([
    { status: "rejected" },
  ]);
  expect(reads).toBe(1);
});

describe("a reply to three events", () => {
  const three = items(mixpanelSink({ token: "token" }), many(3));
  const reply = (status: number, body: unknown, retryAfterMs?: number) => ({
    status,
    headers: {},
    body: typeof body === "string" ? body : JSON.stringify(body),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
  const ok = { code: 200, num_records_imported: 3, status: "OK" };
  const failing = (imported: number, ...indexes: unknown[]) => ({
    code: 400,
    num_records_imported: imported,
    failed_records: indexes.map((index) => ({
      index,
      insert_id: "x",
      field: "properties.time",
      message: "4711",
    })),
  });
  const short = (outcomes: readonly Outcome[] | { readonly status: string }) =>
    "status" in outcomes ? outcomes.status : outcomes.map(({ status }) => status).join(" ");

  test.each<[string, ReturnType<typeof reply>, string]>([
    ["200 that counts them all", reply(200, ok), "delivered"],
    ["200 that counts fewer", reply(200, { ...ok, num_records_imported: 2 }), "transient"],
    ["200 that counts more", reply(200, { ...ok, num_records_imported: 4 }), "transient"],
    ["200 that counts nothing", reply(200, { code: 200, status: "OK" }), "transient"],
    ["200 with another code", reply(200, { ...ok, code: 400 }), "transient"],
    ["200 of HTML", reply(200, "<html>"), "transient"],
    ["200 of nothing", reply(200, ""), "transient"],
    ["200 of null", reply(200, "null"), "transient"],
    ["the 1 of /track", reply(200, "1"), "transient"],
    ["200 with the status 0 of the classic endpoints", reply(200, { status: 0, error: "no" }), "transient"],
    ["200 with their status 1", reply(200, { status: 1, error: null }), "transient"],
    ["200 with a count as text", reply(200, { ...ok, num_records_imported: "3" }), "transient"],
    ["204", reply(204, ""), "transient"],
    ["400 with one failure", reply(400, failing(2, 1)), "delivered rejected delivered"],
    ["400 with all failures, unordered", reply(400, failing(0, 2, 0, 1)), "rejected rejected rejected"],
    ["400 that names one twice", reply(400, failing(2, 1, 1)), "delivered rejected delivered"],
    ["400 that does not add up", reply(400, failing(1, 1)), "transient rejected transient"],
    ["400 with an index out of range", reply(400, failing(2, 3)), "transient transient transient"],
    [
      "400 that adds up, though one index is no event's",
      reply(400, failing(2, 1, 99)),
      "transient rejected transient",
    ],
    ["400 with a negative index", reply(400, failing(1, 0, -1)), "rejected transient transient"],
    ["400 with a fraction for an index", reply(400, failing(2, 0.5)), "transient transient transient"],
    ["400 with no index", reply(400, failing(2, undefined)), "transient transient transient"],
    [
      "400 with a null among failures",
      reply(400, { num_records_imported: 2, failed_records: [null] }),
      "transient transient transient",
    ],
    [
      "400 without failures that imported some",
      reply(400, { ...failing(2), failed_records: [] }),
      "transient",
    ],
    [
      "400 with failures that carry no id of their event",
      reply(400, { num_records_imported: 2, failed_records: [{ index: 2, field: "event" }] }),
      "delivered delivered rejected",
    ],
    [
      "400 with failures that name ids and no index",
      reply(400, { num_records_imported: 2, failed_records: [{ $insert_id: "x", field: "event" }] }),
      "transient transient transient",
    ],
    ["400 with an index as text", reply(400, failing(2, "1")), "transient transient transient"],
    ["400 without failures", reply(400, failing(0)), "refused"],
    ["400 with the status 0 of the classic endpoints", reply(400, { status: 0, error: "no" }), "refused"],
    ["400 of HTML", reply(400, "<html>"), "refused"],
    ["400 of nothing", reply(400, ""), "refused"],
    ["413", reply(413, ""), "refused"],
    ["429", reply(429, ""), "transient"],
    ["502", reply(502, "<html>"), "transient"],
    ["503", reply(503, ok), "transient"],
  ])("%s", (_what, given, expected) => {
    expect(short(mixpanelOutcomes(given, three))).toBe(expected);
  });

  test.each([301, 302, 307, 401, 402, 403, 404, 405, 410])(
    "%i is about the sink, not about events",
    (status) => {
      let thrown: unknown;
      try {
        mixpanelOutcomes(reply(status, ok), three);
      } catch (error) {
        thrown = error;
      }
      expect(isSinkUnavailable(thrown)).toBe(true);
    },
  );

  test("a wait that it asks for is kept", () => {
    expect(mixpanelOutcomes(reply(429, "", 9000), three)).toMatchObject({ retryAfterMs: 9000 });
  });

  test.each([
    ["event", "EVENT_REFUSED"],
    ["properties", "PROPERTY_REFUSED"],
    ["properties.time", "TIME_REFUSED"],
    ["properties.distinct_id", "USER_REFUSED"],
    ["properties.$insert_id", "INSERT_ID_REFUSED"],
    ["properties.n", "PROPERTY_REFUSED"],
    ["properties.not_ours", "VALIDATION_FAILED"],
    ["event.properties", "VALIDATION_FAILED"],
    ["toString", "VALIDATION_FAILED"],
    ["", "VALIDATION_FAILED"],
    [undefined, "VALIDATION_FAILED"],
    [4711, "VALIDATION_FAILED"],
    [{ n: 1 }, "VALIDATION_FAILED"],
  ])("a refusal of the field %j has the code %s, whatever the message", (field, code) => {
    const body = { num_records_imported: 2, failed_records: [{ index: 1, field, message: "4711" }] };
    const outcomes = mixpanelOutcomes(reply(400, body), three);
    expect("status" in outcomes ? outcomes : outcomes[1]).toMatchObject({ status: "rejected", code });
    expect(Object.keys(mixpanelSink({ token: "token" }).refusals ?? {})).toContain(code);
  });

  test("a reason names the field, but neither the vendor's words nor a field that may be a value", () => {
    const told = (field: unknown) =>
      JSON.stringify(
        mixpanelOutcomes(
          reply(400, { num_records_imported: 2, failed_records: [{ index: 0, field, message: "4711" }] }),
          three,
        ),
      );
    expect(told("properties.time")).toContain("properties.time");
    expect(told("properties.n")).toContain('\\"n\\"');
    for (const field of ["properties.time' is 4711", "properties.4711", 4711, "x".repeat(100)])
      expect(told(field)).not.toMatch(/4711|xxx/);
  });
});

describe("requests", () => {
  test("one bad event of 2,000 costs itself alone, by its index", async () => {
    const twin = createMixpanelTwin({ clock });
    const sink = mixpanelSink({ token: "token", host: "http://mixpanel.test" });
    const all = many(2000);
    all[1234] = event({}, {}, { id: "late", time: time + 3_600_001 });
    const outcomes = await send(sink, all, twinHttp(twin.handle));
    if ("status" in outcomes) throw new Error("one verdict for all");
    expect(outcomes.map(({ status }) => status).indexOf("rejected")).toBe(1234);
    expect(outcomes[1234]).toEqual({
      status: "rejected",
      code: "TIME_REFUSED",
      reason: "the validation of Mixpanel refused its properties.time",
    });
    expect(outcomes.filter(({ status }) => status === "delivered")).toHaveLength(1999);
    expect(twin.stored.size).toBe(1999);
    // Mixpanel cut nothing: what it holds is what was sent.
    expect(twin.events[0]).toEqual(valuesOf(items(sink, many(1))[0]?.payload));
  });

  test("an event of six days ago is as welcome as a new one", async () => {
    const twin = createMixpanelTwin({ clock });
    const old = event({}, {}, { time: time - 6 * 24 * 3_600_000 });
    const sink = mixpanelSink({ token: "token", host: "http://mixpanel.test" });
    expect(await send(sink, [old], twinHttp(twin.handle))).toEqual({ status: "delivered" });
  });

  test("too much for Mixpanel is refused as a whole, so that the core can halve it", async () => {
    const twin = createMixpanelTwin({ clock, bytesPerRequest: 1000 });
    const sink = mixpanelSink({ token: "token", host: "http://mixpanel.test" });
    expect(await send(sink, many(10), twinHttp(twin.handle))).toMatchObject({
      status: "refused",
      code: "HTTP_413",
    });
    expect(await send(sink, many(1), twinHttp(twin.handle))).toEqual({ status: "delivered" });
    expect(await send(sink, many(2001), twinHttp(createMixpanelTwin({ clock }).handle))).toMatchObject({
      code: "HTTP_413",
    });
  });

  test("a token or a service account opens its project, over plain http on loopback too, and others do not", async () => {
    const http = createHttp();
    const twin = createMixpanelTwin({ token: "t0ken", serviceAccount, clock });
    const served = await serveTwin(twin.handle);
    try {
      for (const access of [{ token: "t0ken" }, { serviceAccount }]) {
        const sink = mixpanelSink({ ...access, host: `${served.url}/` });
        expect(await send(sink, [event()], http.send)).toEqual({ status: "delivered" });
      }
      expect(twin.events).toHaveLength(1);
      const others = [{ token: "other" }, { serviceAccount: { ...serviceAccount, projectId: "43" } }];
      for (const access of others) {
        const sending = send(mixpanelSink({ ...access, host: served.url }), [event()], http.send);
        await expect(sending).rejects.toMatchObject({ code: "SINK_UNAVAILABLE" });
      }
    } finally {
      http.close();
      await served.close();
    }
  });

  test("payloads stay as they were, and two sends at once do not leak into each other", async () => {
    const twin = createMixpanelTwin({ clock });
    const sink = mixpanelSink({ token: "token", host: "http://mixpanel.test" });
    const [left, right] = [items(sink, many(120)), items(sink, [event({ other: 1 }, {}, { id: "other" })])];
    const before = structuredClone([left, right]);
    const http = twinHttp(injectFaults(twin.handle, () => ({ kind: "delay", ms: 5 }), systemClock));
    const signal = new AbortController().signal;
    const context = { http, signal, attempt: 1, clock };
    const sends = [left, right].map((batch) => sink.send({ partition: "", items: batch }, context));
    expect(await Promise.all(sends)).toEqual([{ status: "delivered" }, { status: "delivered" }]);
    expect([left, right]).toEqual(before);
    expect(twin.events).toHaveLength(121);
  });
});

describe("the twin", () => {
  const post = (
    handle: (request: Request) => Response | Promise<Response>,
    body: string | Uint8Array<ArrayBuffer>,
    init: RequestInit = {},
  ) =>
    handle(
      new Request(`http://mixpanel.test/import?strict=1`, {
        method: "POST",
        body,
        ...init,
        headers: {
          authorization: `Basic ${btoa("token:")}`,
          "content-type": "application/json",
          ...init.headers,
        },
      }),
    );
  const good = { event: "e", properties: { time: time / 1000, distinct_id: "", $insert_id: "a-1" } };
  const bad = (change: JsonObject) => ({ ...good, properties: { ...good.properties, ...change } });

  test("takes JSON, lines and gzip, and stores a duplicate once", async () => {
    const twin = createMixpanelTwin({ clock });
    const list = JSON.stringify([good]);
    expect((await post(twin.handle, list)).status).toBe(200);
    const lines = `${JSON.stringify(good)}\n${JSON.stringify(bad({ time: 1_700_000_000 }))}\n`;
    expect(
      (await post(twin.handle, lines, { headers: { "content-type": "application/x-ndjson" } })).status,
    ).toBe(200);
    const packed = new Uint8Array(gzipSync(list));
    expect((await post(twin.handle, packed, { headers: { "content-encoding": "gzip" } })).status).toBe(200);
    expect((await post(twin.handle, list, { headers: { "content-encoding": "gzip" } })).status).toBe(400);
    expect([...twin.stored]).toEqual([["a-1", 2]]);
  });

  test.each<[string, unknown]>([
    ["event", { properties: good.properties }],
    ["event", { ...good, event: "" }],
    ["properties", { event: "e" }],
    ["properties.time", bad({ time: "2026-01-01" })],
    ["properties.time", bad({ time: 5 })],
    ["properties.time", bad({ time: time + 3_700_000 })],
    ["properties.distinct_id", bad({ distinct_id: "NULL" })],
    ["properties.distinct_id", bad({ distinct_id: 5 })],
    ["properties.$insert_id", bad({ $insert_id: "a_b" })],
    ["properties.$insert_id", bad({ $insert_id: "x".repeat(37) })],
    ["properties.$insert_id", bad({ $insert_id: "unknown" })],
    ["properties.list", bad({ list: Array(255).fill(0) })],
    ["properties.deep", bad({ deep: [[[[]]]] })],
    ["properties.note", bad({ note: "half a character: \ud83d" })],
    ["properties.deep", bad({ deep: { "\ud83d": 1 } })],
    ["event", { ...good, event: "\udc00" }],
  ])("refuses a wrong %s, and stores what stands beside it", async (field, record) => {
    const twin = createMixpanelTwin({ clock });
    const response = await post(twin.handle, JSON.stringify([record, good]));
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      num_records_imported: 1,
      failed_records: [{ index: 0, field }],
    });
    expect([...twin.stored]).toEqual([["a-1", 1]]);
  });

  test("cuts long strings in silence, as Mixpanel does", async () => {
    const twin = createMixpanelTwin({ clock });
    await post(twin.handle, JSON.stringify([bad({ note: "x".repeat(300) })]));
    expect(twin.events[0]?.properties["note"]).toBe("x".repeat(255));
  });

  test("answers 429 above its quota, until a minute has passed", async () => {
    const time = virtualClock();
    const twin = createMixpanelTwin({ clock: time, eventsPerMinute: 2 });
    const list = JSON.stringify([bad({ time: time.now() })]);
    const statuses = [];
    for (let n = 0; n < 3; n += 1) statuses.push((await post(twin.handle, list)).status);
    await time.advance(60_000);
    statuses.push((await post(twin.handle, list)).status);
    expect(statuses).toEqual([200, 200, 429, 200]);
  });
});
