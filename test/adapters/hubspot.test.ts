// Both sinks in one file: a reply of HubSpot's means the same to either, and one twin plays for both.
import { describe, expect, test } from "vitest";
import {
  type HubspotCompaniesOptions,
  type HubspotEventsOptions,
  type HubspotOccurrence,
  hubspotCompaniesSink,
  hubspotEventsSink,
} from "../../adapters/hubspot/index.ts";
import subjects, { createHubspotTwin, type HubspotTwin } from "../../adapters/hubspot/twin.ts";
import {
  createHttp,
  type HttpClient,
  type HttpReply,
  type HttpRequest,
  type Item,
  isSinkUnavailable,
  type JsonObject,
  type MetricEvent,
  type Outcome,
  type Sink,
  stableUuid,
  TransportError,
  type Verdict,
} from "../../src/index.ts";
import { describeSink, injectFaults, serveTwin, twinHttp, virtualClock } from "../../src/testing/index.ts";
import { sentOf } from "../support/payload.ts";

const accessToken = "pat-eu1-very-secret";
const noon = Date.UTC(2026, 5, 1, 12);

function eventOf(
  data: JsonObject = { new_findings_count: 3 },
  {
    id = "e1",
    tenantId = "acme",
    metricName = "upload_completed",
    time = noon,
    metadata = {},
  }: Partial<MetricEvent> = {},
): MetricEvent {
  return {
    id,
    tenantId,
    metricName,
    time,
    metadata: { ...metadata, tenant_id: tenantId, event_id: id },
    data: { event_time: new Date(time).toISOString(), ...data },
  };
}

const events = (options: Partial<HubspotEventsOptions> = {}) =>
  hubspotEventsSink({ accessToken, ...options });
const companies = (options: Partial<HubspotCompaniesOptions> = {}) =>
  hubspotCompaniesSink({ accessToken, ...options });

/** Encodes, which must succeed. */
function itemOf<P>(sink: Sink<P>, event: MetricEvent): Item<P> {
  const encoded = sink.encode(event);
  if (!("payload" in encoded)) throw new Error(`not encoded: ${JSON.stringify(encoded)}`);
  return { event, ...encoded };
}

interface SendOptions {
  readonly signal?: AbortSignal;
  readonly attempt?: number;
}

async function send<P>(
  sink: Sink<P>,
  http: HttpClient,
  toSend: readonly MetricEvent[],
  { signal = new AbortController().signal, attempt = 1 }: SendOptions = {},
): Promise<readonly Outcome[] | Verdict> {
  const [first] = toSend;
  const partition = first === undefined ? "" : (sink.partition?.(first) ?? "");
  const items = toSend.map((event) => itemOf(sink, event));
  return await sink.send({ partition, items }, { signal, attempt, http, clock: virtualClock() });
}

/** Answers every request alike, and keeps the requests. */
function canned(
  status: number,
  body: unknown = "",
  headers: Record<string, string> = {},
  extra: Partial<HttpReply> = {},
) {
  const requests: HttpRequest[] = [];
  const http: HttpClient = async (request) => {
    requests.push(request);
    return { status, headers, body: typeof body === "string" ? body : JSON.stringify(body), ...extra };
  };
  return { http, requests };
}

/** Answers the look with companies that are all there, without a time, and the write as told. */
function cannedWrite(status: number, body: unknown, headers: Record<string, string> = {}) {
  const requests: HttpRequest[] = [];
  const http: HttpClient = async (request) => {
    requests.push(request);
    if (!request.url.endsWith("/read")) {
      return { status, headers, body: typeof body === "string" ? body : JSON.stringify(body) };
    }
    const { inputs }: { inputs: { id: string }[] } = JSON.parse(String(request.body));
    const results = inputs.map(({ id }) => ({ id: "1", properties: { tenant_id: id } }));
    return { status: 200, headers: {}, body: JSON.stringify({ status: "COMPLETE", results }) };
  };
  return { http, requests };
}

function recorded(twin: HubspotTwin) {
  const paths: string[] = [];
  const http = twinHttp((request) => {
    paths.push(new URL(request.url).pathname.split("/").slice(-2).join("/"));
    return twin.handle(request);
  });
  return { http, paths };
}

async function thrownBy(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}

/** What is sent of the event, which must be taken. */
const occurrenceOf = (sink: Sink<string>, event: MetricEvent) =>
  sentOf<HubspotOccurrence>(sink.encode(event));
const trace = (event: MetricEvent) => itemOf(companies(), event).payload.objectWriteTraceId;

for (const subject of subjects) describeSink(subject.sink().name, subject, { describe, test });

describe("hubspot-events, mapping", () => {
  test("an event becomes an occurrence with a stable uuid, its own time, and text properties", () => {
    const sink = events({ portalId: 42 });
    const event = eventOf({ newFindings: 3, "scan-kind": "full" }, { metadata: { tenant_name: "Acme" } });
    const occurrence = occurrenceOf(sink, event);
    expect(occurrence).toEqual({
      uuid: occurrence.uuid,
      eventName: "pe42_upload_completed",
      occurredAt: new Date(noon).toISOString(),
      properties: { tenant_id: "acme", tenant_name: "Acme", new_findings: "3", scan_kind: "full" },
    });
    expect(occurrence.uuid).toMatch(/^[0-9a-f-]{36}$/);
    expect(occurrenceOf(events(), event).uuid).toBe(occurrence.uuid);
    const others = [{ id: "e2" }, { tenantId: "other" }, { metricName: "other" }].map(
      (each) => occurrenceOf(sink, eventOf({}, each)).uuid,
    );
    expect(new Set([occurrence.uuid, ...others]).size).toBe(4);
  });

  test("zero and false are values; null and empty text are none", () => {
    const { properties } = occurrenceOf(events(), eventOf({ zero: 0, no: false, nothing: null, empty: "" }));
    expect(properties).toEqual({ tenant_id: "acme", zero: "0", no: "false" });
  });

  test("numbers go out as JSON writes them, lists and objects as JSON", () => {
    const data = { big: 1e21, tiny: 1e-7, minus: -0, half: 0.5, list: [1, "a"], nested: { a: { b: null } } };
    expect(occurrenceOf(events(), eventOf(data)).properties).toEqual({
      tenant_id: "acme",
      big: "1e+21",
      tiny: "1e-7",
      minus: "0",
      half: "0.5",
      list: '[1,"a"]',
      nested: '{"a":{"b":null}}',
    });
  });

  test.each([
    ["names that differ in case alone", { Count: 1, count: 2 }, "PROPERTY_NAME_COLLISION"],
    ["names that differ in punctuation alone", { "a-b": 1, aB: 2 }, "PROPERTY_NAME_COLLISION"],
    ["a field that would take tenant_id's place", { tenantId: "other" }, "PROPERTY_NAME_COLLISION"],
    ["a name that starts with a digit", { "2fa": true }, "PROPERTY_NAME_INVALID"],
    ["a name in another script", { 数: 1 }, "PROPERTY_NAME_INVALID"],
    ["a name of 51 characters", { ["n".repeat(51)]: 1 }, "PROPERTY_NAME_INVALID"],
    ["a value of 257 characters", { text: "v".repeat(257) }, "PROPERTY_VALUE_TOO_LONG"],
    ["a URL of 1,025 characters", { link: "https://a/".padEnd(1025, "b") }, "PROPERTY_VALUE_TOO_LONG"],
    ["a number that JSON.parse made infinite", JSON.parse('{"n":1e400}'), "NUMBER_NOT_FINITE"],
    [
      "a 51st property",
      Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`p${n}`, n])),
      "TOO_MANY_PROPERTIES",
    ],
  ])("%s is rejected, not mangled", (_, data, code) => {
    expect(events().encode(eventOf(data))).toMatchObject({ code, rejected: expect.any(String) });
  });

  test("what is exactly at the limits is sent, and the twin takes it", async () => {
    const data: JsonObject = {
      ["n".repeat(50)]: "v".repeat(256),
      link: "https://a/".padEnd(1024, "b"),
      ...Object.fromEntries(Array.from({ length: 47 }, (_, n) => [`p${n}`, n])),
    };
    const twin = createHubspotTwin();
    expect(await send(events(), twinHttp(twin.handle), [eventOf(data)])).toEqual({ status: "delivered" });
    expect(Object.keys(twin.occurrences[0]?.properties ?? {})).toHaveLength(50);
  });

  test("names of Object's own members are names like any other", () => {
    const data: JsonObject = JSON.parse('{"constructor":1,"__proto__":"x","hasOwnProperty":2}');
    const { properties } = occurrenceOf(events(), eventOf(data));
    expect(Object.entries(properties)).toEqual([
      ["tenant_id", "acme"],
      ["constructor", "1"],
      ["proto", "x"],
      ["has_own_property", "2"],
    ]);
  });

  test("an unlawful metric name is rejected unless the eventName option makes one", () => {
    const event = eventOf({}, { metricName: "Upload.Completed" });
    expect(events().encode(event)).toMatchObject({ code: "EVENT_NAME_INVALID" });
    const sink = events({ eventName: () => "upload_completed" });
    expect(occurrenceOf(sink, event).eventName).toBe("upload_completed");
  });

  test("options choose the properties and the record id; tenant_id is always there", () => {
    const sink = events({
      fields: ({ data }) => [["Chosen", data["a"] ?? null]],
      objectIdField: "hubspot_company_id",
    });
    const event = eventOf({ a: 1, b: 2 }, { metadata: { hubspot_company_id: 608051 } });
    expect(occurrenceOf(sink, event)).toMatchObject({
      objectId: "608051",
      properties: { tenant_id: "acme", chosen: "1" },
    });
    expect(occurrenceOf(sink, eventOf({ a: 1 }))).not.toHaveProperty("objectId");
  });

  test("the bytes of items and envelope are those of the request's body", async () => {
    const sink = events();
    const { http, requests } = canned(204);
    const batch = [eventOf({ text: "Größe \u0000 😀" }), eventOf({}, { id: "e2" })];
    await send(sink, http, batch);
    const bytes = batch.reduce(
      (sum, event) => sum + itemOf(sink, event).bytes,
      sink.limits.envelopeBytes ?? 0,
    );
    // One separator more than there are.
    expect(Buffer.byteLength(requests[0]?.body ?? "")).toBe(bytes - 1);
  });
});

describe("hubspot-events, sending", () => {
  test("500 events are one request, and 204 delivers them all", async () => {
    const twin = createHubspotTwin({ accessToken });
    const { http, paths } = recorded(twin);
    const batch = Array.from({ length: 500 }, (_, n) => eventOf({ n }, { id: `e${n}` }));
    expect(await send(events(), http, batch)).toEqual({ status: "delivered" });
    expect(paths).toEqual(["send/batch"]);
    expect(twin.stored.size).toBe(500);
    expect(new Set(twin.stored.values())).toEqual(new Set([1]));
  });

  test("one bad event of many refuses the batch, so that the core halves it", async () => {
    const twin = createHubspotTwin({ events: { good: ["tenant_id"] } });
    const batch = [eventOf({}, { metricName: "good" }), eventOf({}, { metricName: "bad" })];
    const http = twinHttp(twin.handle);
    expect(await send(events(), http, batch)).toEqual({
      status: "refused",
      reason: "HubSpot answered 400: VALIDATION_ERROR",
      code: "VALIDATION_ERROR",
    });
    expect(twin.stored.size).toBe(0);
    expect(await send(events(), http, batch.slice(0, 1))).toEqual({ status: "delivered" });
  });

  test("a resend after a lost 204 ends delivered, once a record stands alone", async () => {
    const twin = createHubspotTwin();
    const http = twinHttp(
      injectFaults(twin.handle, (_, n) => (n === 1 ? { kind: "reset-after-store" } : undefined)),
    );
    const batch = [eventOf(), eventOf({}, { id: "e2" })];
    await expect(send(events(), http, batch)).rejects.toThrow(TransportError);
    expect(await send(events(), http, batch, { attempt: 2 })).toMatchObject({
      status: "refused",
      code: "DUPLICATE_UUID",
    });
    for (const event of batch)
      expect(await send(events(), http, [event], { attempt: 2 })).toEqual({ status: "delivered" });
    expect([...twin.stored.values()]).toEqual([1, 1]);
  });

  test("a new event beside a duplicate is not taken for delivered", async () => {
    const twin = createHubspotTwin();
    const http = twinHttp(twin.handle);
    await send(events(), http, [eventOf()]);
    const both = [eventOf(), eventOf({}, { id: "new" })];
    expect(await send(events(), http, both, { attempt: 2 })).toMatchObject({ status: "refused" });
    expect(twin.stored.size).toBe(1);
  });

  test.each([
    [400, { category: "VALIDATION_ERROR", message: "uuid is not a valid UUID" }],
    [400, { category: "VALIDATION_ERROR", message: "duplicate property" }],
    [
      400,
      { category: "VALIDATION_ERROR", message: "uuid is wrong", errors: [{ message: "already archived" }] },
    ],
    [500, { message: "Duplicate uuid" }],
    [400, "Duplicate uuid"],
    // A property's name, and the uuid of another event.
    [400, { category: "VALIDATION_ERROR", message: 'Property "duplicate_uuids" does not exist' }],
    [400, { category: "VALIDATION_ERROR", message: "Property duplicate_uuids does not exist" }],
    [
      400,
      { category: "VALIDATION_ERROR", message: 'the value "a duplicate uuid, already seen" is no number' },
    ],
    [400, { message: "Duplicate uuid 00000000-0000-5000-8000-000000000000" }],
  ])("%i %j is not a duplicate uuid", async (status, body) => {
    expect(await send(events(), canned(status, body).http, [eventOf()])).not.toEqual({ status: "delivered" });
  });

  test.each([
    [400, { message: "Duplicate uuid" }],
    [409, { message: "conflict", errors: [{ message: "An event with this UUID already exists" }] }],
    [400, { category: "DUPLICATE_UUID" }],
    [400, { message: `Duplicate uuid ${stableUuid("acme", "upload_completed", "e1").toUpperCase()}` }],
  ])("%i %j is a duplicate uuid", async (status, body) => {
    expect(await send(events(), canned(status, body).http, [eventOf()])).toEqual({ status: "delivered" });
  });

  test.each([200, 201, 202])("%i is no 204: nobody knows what became of the events", async (status) => {
    const body = { status: "COMPLETE" };
    expect(await send(events(), canned(status, body).http, [eventOf()])).toMatchObject({
      status: "transient",
    });
  });
});

test("a refusal names the properties that HubSpot blames, as far as they were sent, and its code", async () => {
  const blame = {
    category: "VALIDATION_ERROR",
    errors: [
      {
        message: "secret-value is not midnight",
        code: "INVALID_DATE",
        context: { propertyName: ["new_findings_count", "somebody_elses"] },
      },
    ],
  };
  expect(await send(events(), canned(400, blame).http, [eventOf()])).toEqual({
    status: "refused",
    code: "INVALID_DATE",
    reason: "HubSpot answered 400: INVALID_DATE, VALIDATION_ERROR, of new_findings_count",
  });
});

describe("both sinks, replies", () => {
  const both = [
    ["hubspot-events", (http: HttpClient) => send(events(), http, [eventOf()])],
    ["hubspot-companies", (http: HttpClient) => send(companies(), http, [eventOf()])],
  ] as const;

  describe.each(both)("%s", (_, sendTo) => {
    test.each([408, 500, 502, 503, 504, 521, 522, 523, 524, 525, 526])("%i is transient", async (status) => {
      const html = "<html><body>Bad gateway</body></html>";
      expect(await sendTo(canned(status, html, { "content-type": "text/html" }).http)).toMatchObject({
        status: "transient",
        reason: `HubSpot answered ${status}`,
      });
    });

    test.each([400, 413, 414, 422])("%i is refused, for the core to halve", async (status) => {
      expect(await sendTo(canned(status).http)).toMatchObject({ status: "refused", code: `HTTP_${status}` });
    });

    test.each<[string, object, string]>([
      ["by its category", { category: "OBJECT_NOT_FOUND" }, "OBJECT_NOT_FOUND"],
      ["by its subcategory", { category: "X", subCategory: "crm.OBJECT_NOT_FOUND" }, "OBJECT_NOT_FOUND"],
      ["by a detail", { errors: [{ code: "PROPERTY_DOESNT_EXIST" }] }, "PROPERTY_DOESNT_EXIST"],
    ])("a 404 that says, %s, that an object is missing is refused", async (_how, body, code) => {
      expect(await sendTo(canned(404, body).http)).toMatchObject({ status: "refused", code });
    });

    test("a refusal says HubSpot's own codes and no value", async () => {
      const body = {
        category: "VALIDATION_ERROR",
        message: 'Property values were not valid: "jane@example.com"',
        errors: [
          { code: "PROPERTY_DOESNT_EXIST", message: "jane@example.com" },
          { code: "400", message: "x" },
        ],
      };
      expect(await sendTo(canned(400, body).http)).toEqual({
        status: "refused",
        code: "PROPERTY_DOESNT_EXIST",
        reason: "HubSpot answered 400: PROPERTY_DOESNT_EXIST, VALIDATION_ERROR",
      });
    });

    test.each([
      [{ policyName: "TEN_SECONDLY_ROLLING" }, {}, {}, 10_000],
      [{ policyName: "SECONDLY" }, { "x-hubspot-ratelimit-interval-milliseconds": "1000" }, {}, 1000],
      [{ policyName: "TEN_SECONDLY_ROLLING" }, {}, { retryAfterMs: 7000 }, 7000],
      ["", {}, {}, 10_000],
    ])("429 %j with headers %j is transient, with a wait", async (body, headers, extra, retryAfterMs) => {
      expect(await sendTo(canned(429, body, headers, extra).http)).toMatchObject({
        status: "transient",
        retryAfterMs,
      });
    });

    test("423 waits two seconds or what HubSpot asks, if that is more", async () => {
      expect(await sendTo(canned(423).http)).toMatchObject({ status: "transient", retryAfterMs: 2000 });
      const asked = canned(423, "", {}, { retryAfterMs: 9000 });
      expect(await sendTo(asked.http)).toMatchObject({ status: "transient", retryAfterMs: 9000 });
    });

    test.each([
      ["a spent daily quota", 429, { policyName: "DAILY" }, {}, 3_600_000],
      ["a migration", 477, "", { retryAfterMs: 86_400_000 }, 86_400_000],
      ["a migration without an end", 477, "", {}, 3_600_000],
      ["a revoked token", 401, { category: "EXPIRED_AUTHENTICATION" }, {}, undefined],
      ["a missing scope or tier", 403, { category: "MISSING_SCOPES" }, {}, undefined],
      ["a redirect", 302, "", {}, undefined],
      ["a plan that is not paid", 402, "", {}, undefined],
      ["another server's page", 404, "<html>Not Found</html>", {}, undefined],
      ["a 404 that says nothing", 404, "", {}, undefined],
      ["an API that has ended", 404, { status: "error", message: "resource not found" }, {}, undefined],
      ["a 404 of another category", 404, { category: "RESOURCE_NOT_FOUND" }, {}, undefined],
      ["a 404 in words for anything", 404, { category: "VALIDATION_ERROR" }, {}, undefined],
      ["another server's method", 405, "", {}, undefined],
    ])(
      "%s takes the whole sink out, and is not waited for",
      async (_what, status, body, extra, retryAfterMs) => {
        const error = await thrownBy(sendTo(canned(status, body, {}, extra).http));
        if (!isSinkUnavailable(error)) throw new Error("not SINK_UNAVAILABLE");
        expect(error.retryAfterMs).toBe(retryAfterMs);
        expect(error.message).toContain("HubSpot");
      },
    );
  });

  test.each([
    ["a half JSON", '{"results":['],
    ["no body", ""],
    ["HTML", "<html>"],
    ["a list", "[]"],
    ["no results", "{}"],
  ])("companies: %s as an answer to the look or to the write is transient", async (_, body) => {
    expect(await send(companies(), canned(200, body).http, [eventOf()])).toMatchObject({
      status: "transient",
    });
    expect(await send(companies(), cannedWrite(200, body).http, [eventOf()])).toMatchObject([
      { status: "transient" },
    ]);
  });

  test("the token reaches the wire and no message, even when the vendor sends it back", async () => {
    for (const status of [200, 302, 400, 401, 403, 404, 409, 423, 429, 477, 500]) {
      for (const body of [{ message: accessToken, category: accessToken }, accessToken]) {
        for (const [, sendTo] of both) {
          const { http, requests } = canned(status, body, {
            echoed: accessToken,
            "retry-after": accessToken,
          });
          const answer = await sendTo(http).catch((error: unknown) => error);
          expect(requests[0]?.headers["authorization"]).toBe(`Bearer ${accessToken}`);
          const shown =
            answer instanceof Error ? `${answer.message} ${answer.stack}` : JSON.stringify(answer);
          expect(shown).not.toContain(accessToken);
        }
      }
    }
  });

  test.each(["", " ", "two words", "line\nbreak"])(
    "the token %j is refused at once, in one sentence",
    (bad) => {
      for (const make of [() => events({ accessToken: bad }), () => companies({ accessToken: bad })]) {
        expect(make).toThrow(/^hubspot: accessToken is empty or holds characters that no token has$/);
      }
    },
  );

  test("an address that is none is refused at once, and a slash at its end does not matter", async () => {
    expect(() => events({ baseUrl: "ftp://x" })).toThrow("baseUrl");
    expect(() => events({ baseUrl: "api.hubapi.com" })).toThrow("baseUrl");
    const { http, requests } = canned(204);
    await send(events({ baseUrl: "http://127.0.0.1:1/" }), http, [eventOf()]);
    await send(events(), http, [eventOf()]);
    expect(requests.map((request) => request.url)).toEqual([
      "http://127.0.0.1:1/events/v3/send/batch",
      "https://api.hubapi.com/events/v3/send/batch",
    ]);
  });

  test("an abort settles a send at once, in the look as in the write", async () => {
    const never: HttpClient = (_, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () =>
          reject(new TransportError("127.0.0.1: no complete reply in time")),
        );
      });
    const { http: answered } = cannedWrite(200, "");
    const lookOnly: HttpClient = (request, signal) =>
      (request.url.endsWith("/read") ? answered : never)(request, signal);
    for (const attempt of [
      (signal: AbortSignal) => send(events(), never, [eventOf()], { signal }),
      (signal: AbortSignal) => send(companies(), never, [eventOf()], { signal }),
      (signal: AbortSignal) => send(companies(), lookOnly, [eventOf()], { signal }),
    ]) {
      const controller = new AbortController();
      const settled = thrownBy(attempt(controller.signal));
      await new Promise((resolve) => setImmediate(resolve));
      controller.abort();
      expect(await settled).toBeInstanceOf(TransportError);
    }
  });

  test("two clients with different tokens at once, over real sockets, do not leak into each other", async () => {
    const seen: string[] = [];
    const twin = createHubspotTwin({ companies: ["acme"] });
    const server = await serveTwin(async (request) => {
      const token = request.headers.get("authorization") ?? "";
      const body = await request.clone().text();
      seen.push(`${token} ${body.includes("of-first") ? "first" : "second"}`);
      return twin.handle(request);
    });
    const http = createHttp();
    try {
      const first = events({ accessToken: "first", baseUrl: `${server.url}/` });
      const second = events({ accessToken: "second", baseUrl: server.url });
      await Promise.all(
        Array.from({ length: 20 }, (_, n) =>
          n % 2 === 0
            ? send(first, http.send, [eventOf({ who: "of-first" }, { id: `a${n}` })])
            : send(second, http.send, [eventOf({ who: "of-second" }, { id: `b${n}` })]),
        ),
      );
      const companiesAnswer = await send(companies({ baseUrl: server.url }), http.send, [eventOf()]);
      expect(companiesAnswer).toEqual([{ status: "delivered" }]);
      expect(new Set(seen.slice(0, 20))).toEqual(new Set(["Bearer first first", "Bearer second second"]));
    } finally {
      http.close();
      await server.close();
    }
  });
});

describe("hubspot-companies, mapping", () => {
  test("scalar fields become properties of the tenant's company, beside the time of the event", () => {
    const sink = companies();
    const event = eventOf({ newFindings: 0, ok: false, note: "", nothing: null, list: [1], nested: {} });
    const { payload } = itemOf(sink, event);
    expect(payload).toEqual({
      id: "acme",
      idProperty: "tenant_id",
      objectWriteTraceId: payload.objectWriteTraceId,
      properties: {
        upload_completed_new_findings: "0",
        upload_completed_ok: "false",
        fanout_upload_completed_at: "2026-06-01T12:00:00.000Z",
      },
    });
    expect(sink.partition?.(event)).toBe("upload_completed");
    expect(sink.coalesceKey?.(event)).toBe("acme");
  });

  test("a mapping names metric, property and field; other metrics are filtered", () => {
    const sink = companies({
      idProperty: "customer_key",
      properties: { upload_completed: { findings_now: "count", scan_tags: "tags", missing: "nowhere" } },
      timeProperty: () => "findings_at",
    });
    expect(itemOf(sink, eventOf({ count: 7, tags: ["a"], other: 1 })).payload).toMatchObject({
      idProperty: "customer_key",
      properties: { findings_now: "7", scan_tags: '["a"]', findings_at: "2026-06-01T12:00:00.000Z" },
    });
    for (const metricName of ["other", "constructor", "__proto__"]) {
      expect(sink.encode(eventOf({}, { metricName }))).toEqual({ filtered: "not mapped" });
    }
  });

  test("names that HubSpot cannot have are refused: the options' at once, the record's as a rejection", () => {
    expect(() => companies({ properties: { m: { "Not Lawful": "x" } } })).toThrow("Not Lawful");
    expect(() => companies({ idProperty: "Tenant" })).toThrow("Tenant");
    expect(companies().encode(eventOf({}, { metricName: "a.b" }))).toMatchObject({
      code: "PROPERTY_NAME_INVALID",
    });
    expect(companies().encode(eventOf({ aB: 1, a_b: 2 }))).toMatchObject({ code: "PROPERTY_NAME_COLLISION" });
    expect(companies().encode(eventOf({ text: "x".repeat(65_537) }))).toMatchObject({
      code: "PROPERTY_VALUE_TOO_LONG",
    });
  });
});

describe("hubspot-companies, sending", () => {
  const tenants = ["a", "b", "c"];
  const batch = tenants.map((tenantId, n) => eventOf({ n }, { tenantId, id: `e${n}` }));

  test("a send is one look and exactly one upsert", async () => {
    const twin = createHubspotTwin({ companies: tenants });
    const { http, paths } = recorded(twin);
    expect(await send(companies(), http, batch)).toEqual(batch.map(() => ({ status: "delivered" })));
    expect(paths).toEqual(["batch/read", "batch/upsert"]);
    expect(twin.companies.get("b")).toEqual({
      tenant_id: "b",
      upload_completed_n: "1",
      fanout_upload_completed_at: "2026-06-01T12:00:00.000Z",
    });
    expect([...twin.stored]).toEqual(batch.map((event) => [trace(event), 1]));
  });

  test("an unknown tenant is rejected, its neighbours are delivered, and later it can be replayed", async () => {
    const twin = createHubspotTwin({ companies: ["a", "c"] });
    const http = twinHttp(twin.handle);
    expect(await send(companies(), http, batch)).toMatchObject([
      { status: "delivered" },
      { status: "rejected", code: "UNKNOWN_COMPANY" },
      { status: "delivered" },
    ]);
    expect(twin.companies.has("b")).toBe(false);
    twin.companies.set("b", { tenant_id: "b" });
    expect(await send(companies(), http, batch.slice(1, 2))).toEqual([{ status: "delivered" }]);
  });

  test("createUnknown makes the company, and only then", async () => {
    const twin = createHubspotTwin();
    const http = twinHttp(twin.handle);
    expect(await send(companies({ createUnknown: true }), http, batch)).toEqual(
      batch.map(() => ({ status: "delivered" })),
    );
    expect([...twin.companies.keys()]).toEqual(tenants);
  });

  test("no upsert is sent when nothing is left to write", async () => {
    const { http, paths } = recorded(createHubspotTwin());
    await send(companies(), http, batch);
    expect(paths).toEqual(["batch/read"]);
  });

  test("an older event never overwrites a newer one, and the same event may be sent again", async () => {
    const twin = createHubspotTwin({ companies: ["acme"] });
    const http = twinHttp(twin.handle);
    const newer = eventOf({ n: 2 }, { time: noon + 1, id: "newer" });
    const older = eventOf({ n: 1 }, { time: noon, id: "older" });
    expect(await send(companies(), http, [newer])).toEqual([{ status: "delivered" }]);
    expect(await send(companies(), http, [older])).toMatchObject([
      { status: "filtered", reason: expect.stringContaining("superseded") },
    ]);
    expect(await send(companies(), http, [newer], { attempt: 2 })).toEqual([{ status: "delivered" }]);
    expect(twin.companies.get("acme")).toMatchObject({ upload_completed_n: "2" });
    const otherMetric = eventOf({ n: 9 }, { metricName: "logins", time: noon - 1 });
    expect(await send(companies(), http, [otherMetric])).toEqual([{ status: "delivered" }]);
  });

  test.each([
    ["epoch milliseconds", String(noon + 1), "filtered"],
    ["a datetime", "2026-06-01T12:00:00.001Z", "filtered"],
    ["the same moment", "2026-06-01T12:00:00Z", "delivered"],
    ["what somebody typed", "yesterday", "delivered"],
  ])("the kept time is read as %s", async (_, kept, status) => {
    const twin = createHubspotTwin();
    twin.companies.set("acme", { tenant_id: "acme", fanout_upload_completed_at: kept });
    expect(await send(companies(), twinHttp(twin.handle), [eventOf()])).toMatchObject([{ status }]);
  });

  test("207 is read input by input: an error is the rejection of the input it names", async () => {
    const companyProperties = ["tenant_id", "fanout_upload_completed_at", "upload_completed_n"];
    const twin = createHubspotTwin({ companies: tenants, companyProperties });
    const bad = eventOf({ undefined_there: 1 }, { tenantId: "b" });
    const mixed = batch.map((event, n) => (n === 1 ? bad : event));
    expect(await send(companies(), twinHttp(twin.handle), mixed)).toEqual([
      { status: "delivered" },
      {
        status: "rejected",
        code: "PROPERTY_DOESNT_EXIST",
        reason: "HubSpot refused the input: PROPERTY_DOESNT_EXIST, VALIDATION_ERROR",
      },
      { status: "delivered" },
    ]);
  });

  const result = (event: MetricEvent) => ({ id: "1", objectWriteTraceId: trace(event), properties: {} });
  const error = (category: string, ...ids: string[]) => ({
    category,
    message: "m",
    context: ids.length === 0 ? {} : { objectWriteTraceId: ids },
  });
  const [a, b, c] = batch;
  if (a === undefined || b === undefined || c === undefined) throw new Error("three events are needed");

  test.each([
    [
      "an input in neither list is unknown",
      { results: [result(a), result(c)] },
      ["delivered", "transient", "delivered"],
    ],
    [
      "one error may name several inputs",
      { results: [result(a)], errors: [error("VALIDATION_ERROR", trace(b), trace(c))] },
      ["delivered", "rejected", "rejected"],
    ],
    [
      "an error that names nobody blames nobody",
      { results: [result(a)], errors: [error("VALIDATION_ERROR")] },
      ["delivered", "transient", "transient"],
    ],
    [
      "an error that time cures is transient",
      { results: [result(a), result(b)], errors: [error("CONFLICT", trace(c))] },
      ["delivered", "delivered", "transient"],
    ],
    [
      "an input in both lists is not trusted",
      { results: [result(a), result(b), result(c)], errors: [error("VALIDATION_ERROR", trace(c))] },
      ["delivered", "delivered", "rejected"],
    ],
    [
      "results without a trace id are told by the id property",
      { results: [{ properties: { tenant_id: "c" } }, { properties: { tenant_id: "a" } }] },
      ["delivered", "transient", "delivered"],
    ],
    [
      "results of strangers deliver nothing",
      { results: [1, 2, 3].map((n) => ({ objectWriteTraceId: `x${n}` })) },
      ["transient", "transient", "transient"],
    ],
    [
      "nameless results beside a nameless error deliver nothing",
      { results: [{ id: "1" }, { id: "2" }], errors: [error("VALIDATION_ERROR")] },
      ["transient", "transient", "transient"],
    ],
    [
      "nor do they when there is one for every input",
      { results: [{ id: "1" }, { id: "2" }, { id: "3" }], errors: [error("VALIDATION_ERROR")] },
      ["transient", "transient", "transient"],
    ],
    [
      "a list with something else than results in it accounts for nobody",
      { results: [{ id: "1" }, { id: "2" }, { id: "3" }, 0] },
      ["transient", "transient", "transient"],
    ],
    [
      "results of other tenants deliver nothing",
      { results: ["x", "y", "z"].map((tenant_id) => ({ properties: { tenant_id } })) },
      ["transient", "transient", "transient"],
    ],
    ["no result delivers nothing", { results: [] }, ["transient", "transient", "transient"]],
    [
      "as many results as inputs, though nameless, are all of them",
      { results: [{ id: "1" }, { id: "2", properties: {} }, { id: "3", properties: { name: "C" } }] },
      ["delivered", "delivered", "delivered"],
    ],
  ])("%s", async (_, body, statuses) => {
    const answer = await send(companies(), cannedWrite(207, body).http, batch);
    expect(Array.isArray(answer) ? answer.map((outcome) => outcome.status) : answer).toEqual(statuses);
  });

  test("when nothing was stored and nobody is named, the batch is refused, so that halving finds the culprit", async () => {
    const { http } = cannedWrite(207, { results: [], errors: [error("VALIDATION_ERROR")] });
    expect(await send(companies(), http, batch)).toMatchObject({
      status: "refused",
      code: "VALIDATION_ERROR",
    });
  });

  test("a write that conflicts with another is tried again, and a refused one halved", async () => {
    expect(await send(companies(), cannedWrite(409, "").http, batch)).toMatchObject(
      batch.map(() => ({ status: "transient" })),
    );
    expect(await send(companies(), cannedWrite(400, "").http, batch)).toMatchObject({ status: "refused" });
  });

  const notFound = (...ids: unknown[]) => ({ category: "OBJECT_NOT_FOUND", context: { ids } });
  test.each<[string, number, object]>([
    ["has other trouble", 207, { results: [], errors: [{ category: "INTERNAL_ERROR" }] }],
    ["names another id", 207, { results: [], numErrors: 1, errors: [notFound("globex")] }],
    ["names no id", 207, { results: [], errors: [{ category: "OBJECT_NOT_FOUND", context: {} }] }],
    ["gives no context", 207, { results: [], errors: [{ category: "OBJECT_NOT_FOUND" }] }],
    ["counts errors that it does not list", 207, { results: [], errors: [], numErrors: 4 }],
    ["lists fewer errors than it counts", 207, { results: [], errors: [notFound("acme")], numErrors: 4 }],
    ["names it with an error of another kind", 207, { errors: [{ ...notFound("acme"), category: "X" }] }],
    ["says nothing at all", 200, { results: [] }],
    ["shows a company without an id", 200, { results: [{ id: "1", properties: {} }] }],
  ])("a company is not called unknown, nor made, when the look %s", async (_, status, body) => {
    const { http, requests } = canned(status, { results: [], ...body });
    for (const createUnknown of [false, true]) {
      expect(await send(companies({ createUnknown }), http, [eventOf()])).toMatchObject([
        { status: "transient", reason: expect.stringContaining("HubSpot") },
      ]);
    }
    expect(requests.every((request) => request.url.endsWith("/read"))).toBe(true);
  });

  test.each<[string, object]>([
    ["one error for all", { numErrors: 1, errors: [notFound("a", "b", "c")] }],
    ["one error for all, counted by their ids", { numErrors: 3, errors: [notFound("a", "b", "c")] }],
    ["an error for each", { numErrors: 3, errors: ["a", "b", "c"].map((id) => notFound(id)) }],
    ["no count", { errors: [notFound("a", "b", "c")] }],
  ])("companies that the look says are missing, by %s, are unknown", async (_, body) => {
    const { http, requests } = canned(207, { results: [], ...body });
    expect(await send(companies({ createUnknown: false }), http, batch)).toMatchObject(
      batch.map(() => ({ status: "rejected", code: "UNKNOWN_COMPANY" })),
    );
    expect(requests).toHaveLength(1);
  });

  test("the daily quota stops the sink before it writes", async () => {
    const clock = virtualClock();
    const twin = createHubspotTwin({ companies: tenants, quota: { clock, burst: 190, daily: 3 } });
    const { http, paths } = recorded(twin);
    await send(companies(), http, batch);
    await expect(send(companies(), http, batch)).rejects.toMatchObject({ code: "SINK_UNAVAILABLE" });
    await expect(send(companies(), http, batch)).rejects.toMatchObject({ code: "SINK_UNAVAILABLE" });
    expect(paths).toEqual(["batch/read", "batch/upsert", "batch/read", "batch/upsert", "batch/read"]);
  });

  test("the rate keeps a full lane of looks and writes inside 190 requests in 10 s", () => {
    const { requestsPerSecond = Number.POSITIVE_INFINITY, concurrency } = companies().limits;
    expect(requestsPerSecond * 2 * 10).toBeLessThanOrEqual(190);
    expect(concurrency).toBe(1);
  });
});

describe("the twin", () => {
  const call = async (twin: HubspotTwin, path: string, body: unknown, token = accessToken) => {
    const request = new Request(`http://127.0.0.1${path}`, {
      method: "POST",
      headers: token === "" ? {} : { authorization: `Bearer ${token}` },
      body: typeof body === "string" ? body : JSON.stringify(body),
    });
    const response = await twin.handle(request);
    return { status: response.status, headers: response.headers, text: await response.text() };
  };
  const upsert = "/crm/v3/objects/companies/batch/upsert";
  const read = "/crm/v3/objects/companies/batch/read";
  const sendBatch = "/events/v3/send/batch";
  const input = (id: string) => ({ id, idProperty: "tenant_id", properties: { x: "1" } });
  const occurrence = { eventName: "pe1_a", properties: {}, uuid: "u" };

  test.each([
    ["the same id twice", upsert, { inputs: [input("a"), input("a")] }],
    ["101 companies", upsert, { inputs: Array.from({ length: 101 }, (_, n) => input(String(n))) }],
    ["an id property without unique values", upsert, { inputs: [{ ...input("a"), idProperty: "name" }] }],
    ["a number as a value", upsert, { inputs: [{ ...input("a"), properties: { x: 1 } }] }],
    [
      "a look without propertiesWithHistory",
      read,
      { inputs: [{ id: "a" }], idProperty: "tenant_id", properties: [] },
    ],
    ["no inputs", upsert, { inputs: [] }],
    ["no JSON", sendBatch, "{"],
    [
      "501 events",
      sendBatch,
      { inputs: Array.from({ length: 501 }, (_, n) => ({ ...occurrence, uuid: `${n}` })) },
    ],
    ["the same uuid twice", sendBatch, { inputs: [occurrence, occurrence] }],
    ["an upper-case name", sendBatch, { inputs: [{ ...occurrence, properties: { A: "1" } }] }],
    [
      "a value of 257 characters",
      sendBatch,
      { inputs: [{ ...occurrence, properties: { a: "v".repeat(257) } }] },
    ],
    ["an event without properties", sendBatch, { inputs: [{ eventName: "pe1_a" }] }],
    ["an occurredAt that is no time", sendBatch, { inputs: [{ ...occurrence, occurredAt: "soon" }] }],
    ["half a character", upsert, { inputs: [{ ...input("a"), properties: { x: "\ud83d" } }] }],
    [
      "a year of six digits",
      sendBatch,
      { inputs: [{ ...occurrence, occurredAt: "+010000-01-01T00:00:00.000Z" }] },
    ],
    ["an undefined event", sendBatch, { inputs: [{ ...occurrence, eventName: "pe1_b" }] }],
    ["an undefined property", sendBatch, { inputs: [{ ...occurrence, properties: { other: "1" } }] }],
  ])("refuses %s with 400 and stores nothing", async (_, path, body) => {
    const twin = createHubspotTwin({ events: { pe1_a: ["a"] } });
    expect((await call(twin, path, body)).status).toBe(400);
    expect(twin.stored.size).toBe(0);
    expect(twin.companies.size).toBe(0);
  });

  test("wants a token, and the right one when told which", async () => {
    const body = { inputs: [occurrence] };
    expect((await call(createHubspotTwin(), sendBatch, body, "")).status).toBe(401);
    expect((await call(createHubspotTwin({ accessToken }), sendBatch, body, "other")).status).toBe(401);
    expect((await call(createHubspotTwin({ accessToken }), sendBatch, body)).status).toBe(204);
  });

  test("counts requests about companies in a rolling window, and says so in headers", async () => {
    const clock = virtualClock();
    const twin = createHubspotTwin({ quota: { clock, burst: 2 } });
    const body = { inputs: [input("a")] };
    const statuses = [];
    for (let n = 0; n < 3; n += 1) statuses.push((await call(twin, upsert, body)).status);
    expect(statuses).toEqual([200, 200, 429]);
    const limited = await call(twin, upsert, body);
    expect(JSON.parse(limited.text)).toMatchObject({
      errorType: "RATE_LIMIT",
      policyName: "TEN_SECONDLY_ROLLING",
    });
    expect(limited.headers.get("x-hubspot-ratelimit-interval-milliseconds")).toBe("10000");
    expect((await call(twin, sendBatch, { inputs: [occurrence] })).status).toBe(204);
    await clock.advance(10_000);
    expect((await call(twin, upsert, body)).status).toBe(200);
  });
});
