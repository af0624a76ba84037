// What no producer means to send: whatever a record holds, ours stays ours, no tenant reaches another's company, and
// what is taken HubSpot takes.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type HubspotCompaniesOptions,
  type HubspotEventsOptions,
  type HubspotOccurrence,
  hubspotCompaniesSink,
  hubspotEventsSink,
} from "../../adapters/hubspot/index.ts";
import { createHubspotTwin } from "../../adapters/hubspot/twin.ts";
import { fingerprint } from "../../src/dead-letter/dead-letter.ts";
import type {
  Encoded,
  HttpClient,
  Item,
  JsonObject,
  JsonValue,
  MetricEvent,
  Outcome,
  Sink,
  Verdict,
} from "../../src/index.ts";
import { type TwinHandler, twinHttp, virtualClock } from "../../src/testing/index.ts";
import { freeze, hostileEvent, hostileNames, privateValue } from "../support/hostile.ts";
import { sentOf } from "../support/payload.ts";

const accessToken = "pat-1";
const noon = Date.UTC(2026, 5, 1, 12);
const events = (options: Partial<HubspotEventsOptions> = {}) =>
  hubspotEventsSink({ accessToken, ...options });
const companies = (options: Partial<HubspotCompaniesOptions> = {}) =>
  hubspotCompaniesSink({ accessToken, ...options });

function eventOf(data: JsonObject, metadata: JsonObject = {}, rest: Partial<MetricEvent> = {}): MetricEvent {
  const { tenantId = "acme", id = "e1" } = rest;
  return {
    id,
    metricName: "upload_completed",
    tenantId,
    time: noon,
    metadata: { ...metadata, tenant_id: tenantId, event_id: id },
    data: { event_time: noon, ...data },
    ...rest,
  };
}

interface Sent {
  readonly answer: readonly Outcome[] | Verdict;
  /** Of the last request. */
  readonly body: string;
}

async function send<P>(
  sink: Sink<P>,
  handle: TwinHandler,
  toSend: readonly MetricEvent[],
  attempt = 1,
): Promise<Sent> {
  const items = toSend.map((event): Item<P> => {
    const encoded = sink.encode(event);
    if (!("payload" in encoded)) throw new Error(`not taken: ${JSON.stringify(encoded)}`);
    return { event, ...encoded };
  });
  const [first] = toSend;
  const partition = first === undefined ? "" : (sink.partition?.(first) ?? "");
  let body = "";
  const http: HttpClient = (request, signal) => {
    body = String(request.body);
    return twinHttp(handle)(request, signal);
  };
  const context = { http, signal: new AbortController().signal, attempt, clock: virtualClock() };
  return { answer: await sink.send({ partition, items }, context), body };
}

function refusal(encoded: Encoded<unknown>): { readonly code: string; readonly rejected: string } {
  if (!("rejected" in encoded)) throw new Error("taken");
  return encoded;
}

/** Of an occurrence or of a company's input, which is taken. */
function properties(encoded: Encoded<unknown>): Readonly<Record<string, string>> {
  return sentOf<Pick<HubspotOccurrence, "properties">>(encoded).properties;
}

const infinite: JsonValue = JSON.parse("1e400");
const delivered = { status: "delivered" };

describe("any JSON", () => {
  /** What every encode promises; answers whether the event was taken. */
  const check = <P>(sink: Sink<P>, one: MetricEvent): Encoded<P> => {
    const encoded = sink.encode(freeze(one));
    expect(sink.encode(structuredClone(one))).toEqual(encoded);
    if ("rejected" in encoded) {
      expect(Object.keys(sink.refusals ?? {})).toContain(encoded.code);
      expect(encoded.rejected).not.toContain(privateValue);
    }
    return encoded;
  };
  const checkBody = (body: string, bytes: number) => {
    expect(body.isWellFormed() && !/\\ud[89a-f]/i.test(body.replaceAll("\\\\", ""))).toBe(true);
    expect(Buffer.byteLength(body)).toBeLessThanOrEqual(bytes + '{"inputs":[]}'.length);
  };

  test("events: encode never throws, changes nothing, says its bytes, and what it takes HubSpot takes whole", async () => {
    const sink = events({ portalId: 42, objectIdField: "hs_object_id" });
    let taken = 0;
    await fc.assert(
      fc.asyncProperty(hostileEvent, async (one) => {
        const encoded = check(sink, one);
        if (!("payload" in encoded)) return;
        taken++;
        const occurrence = sentOf<HubspotOccurrence>(encoded);
        const twin = createHubspotTwin();
        const { answer, body } = await send(sink, twin.handle, [one]);
        expect(answer).toEqual(delivered);
        checkBody(body, encoded.bytes);
        // Nothing of the record replaced what is ours.
        const { inputs }: { inputs: JsonObject[] } = JSON.parse(body);
        expect(inputs).toEqual([
          {
            uuid: occurrence.uuid,
            eventName: `pe42_${one.metricName}`,
            occurredAt: new Date(one.time).toISOString(),
            ...(occurrence.objectId === undefined ? {} : { objectId: occurrence.objectId }),
            properties: { ...occurrence.properties, tenant_id: one.tenantId },
          },
        ]);
      }),
      { numRuns: 400 },
    );
    // The property is about something.
    expect(taken).toBeGreaterThan(40);
  });

  test("companies: the same, and what it writes is the tenant's own company alone", async () => {
    const sink = companies({ createUnknown: true });
    let taken = 0;
    await fc.assert(
      fc.asyncProperty(hostileEvent, async (one) => {
        const encoded = check(sink, one);
        if (!("payload" in encoded)) return;
        taken++;
        const twin = createHubspotTwin({ companies: ["bystander"] });
        const { answer, body } = await send(sink, twin.handle, [one]);
        expect(answer).toEqual([delivered]);
        checkBody(body, encoded.bytes);
        expect([...twin.companies.keys()]).toEqual(["bystander", one.tenantId]);
        expect(twin.companies.get("bystander")).toEqual({ tenant_id: "bystander" });
        expect(twin.companies.get(one.tenantId)).toMatchObject({
          tenant_id: one.tenantId,
          [`fanout_${one.metricName}_at`]: new Date(one.time).toISOString(),
        });
      }),
      { numRuns: 400 },
    );
    expect(taken).toBeGreaterThan(40);
  });

  test("events: a field named like HubSpot's own is a property like any other, and replaces nothing", () => {
    const plain = sentOf<HubspotOccurrence>(events().encode(eventOf({})));
    for (const name of hostileNames.filter((each) => !/^(event_time|event_id|tenant_id)$/.test(each))) {
      const encoded = events().encode(eventOf(Object.fromEntries([[name, "theirs"]])));
      if ("rejected" in encoded) {
        expect(encoded.code, name).toBe("PROPERTY_NAME_INVALID");
        continue;
      }
      const occurrence = sentOf<HubspotOccurrence>(encoded);
      expect({ ...occurrence, properties: {} }, name).toEqual({ ...plain, properties: {} });
      expect(occurrence.properties["tenant_id"]).toBe("acme");
      expect(Object.values(occurrence.properties)).toContain("theirs");
    }
  });
});

describe("values, both sinks", () => {
  const both = [
    ["hubspot-events", (data: JsonObject) => events().encode(eventOf(data)), ""],
    ["hubspot-companies", (data: JsonObject) => companies().encode(eventOf(data)), "upload_completed_"],
  ] as const;

  test.each(both)(
    "%s: zero, false, −0 and numbers beyond 2^53 are values; null and empty text are none",
    (_, encode, prefix) => {
      const data: JsonObject = JSON.parse(
        '{"zero":0,"no":false,"minus":-0,"big":9007199254740993,"huge":1e308,"tiny":5e-324,"none":null,"empty":""}',
      );
      const held = properties(encode(data));
      const values = {
        zero: "0",
        no: "false",
        minus: "0",
        big: "9007199254740992",
        huge: "1e+308",
        tiny: "5e-324",
      };
      for (const [name, value] of Object.entries(values)) expect(held[`${prefix}${name}`]).toBe(value);
      expect(Object.keys(held).filter((name) => /none|empty/.test(name))).toEqual([]);
    },
  );

  test.each(both)("%s: 1e400 and NaN reject the record, and never become null", (_, encode) => {
    for (const value of [infinite, JSON.parse("-1e400"), Number.NaN])
      expect(refusal(encode({ n: value })).code).toBe("NUMBER_NOT_FINITE");
  });

  test.each(both)("%s: half a character becomes U+FFFD in a value, and NUL stays", (_, encode, prefix) => {
    const held = properties(encode({ half: "a\ud83d", nul: "a\u0000b" }));
    expect([held[`${prefix}half`], held[`${prefix}nul`]]).toEqual(["a\ufffd", "a\u0000b"]);
  });

  test.each(both)("%s: names that become one name reject the record", (_, encode) => {
    for (const data of [
      { aB: 1, a_b: 2 },
      { "a-b": 1, "a b": 2 },
      { __proto: 1, proto: 2 },
      { Count: 1, count: 2 },
    ])
      expect(refusal(encode(data)).code).toBe("PROPERTY_NAME_COLLISION");
  });

  test.each(both)("%s: a tenant's id that HubSpot might change rejects the record", (name) => {
    const sink = name === "hubspot-events" ? events() : companies();
    for (const tenantId of [
      "acme ",
      " acme",
      "\u00a0acme",
      "ac\u0000me",
      "acme\n",
      "acme\ud83d",
      "t".repeat(70_000),
    ])
      expect(refusal(sink.encode(eventOf({}, {}, { tenantId }))).code).toBe("TENANT_ID_INVALID");
    for (const tenantId of ["Acme", "ac me", "数", "0", "null", "a\u{1f600}"])
      expect(sink.encode(eventOf({}, {}, { tenantId }))).toHaveProperty("payload");
  });

  test.each(both)("%s: a year that takes more than four digits rejects the record", (name) => {
    const sink = name === "hubspot-events" ? events() : companies();
    for (const time of [-1e14, -62_167_219_200_001])
      expect(refusal(sink.encode(eventOf({}, {}, { time }))).code).toBe("TIME_INVALID");
    for (const time of [-62_167_219_200_000, 0, 9.9e13])
      expect(sink.encode(eventOf({}, {}, { time }))).toHaveProperty("payload");
  });
});

describe("events", () => {
  test("lists and objects are JSON text, and 1e400 inside them rejects the record", () => {
    expect(properties(events().encode(eventOf({ list: [{ a: [0, false, null] }] })))["list"]).toBe(
      '[{"a":[0,false,null]}]',
    );
    expect(refusal(events().encode(eventOf({ list: [{ a: [infinite] }] }))).code).toBe("NUMBER_NOT_FINITE");
  });

  test("nesting of 50,000 levels rejects the record and ends no process", () => {
    const deep: JsonValue = JSON.parse(`${"[".repeat(50_000)}${"]".repeat(50_000)}`);
    const mapped = companies({ properties: { upload_completed: { deep: "deep" } } });
    for (const sink of [events(), mapped])
      expect(refusal(sink.encode(eventOf({ deep }))).code).toBe("PROPERTY_VALUE_TOO_DEEP");
    const fits: JsonValue = JSON.parse(`${"[".repeat(100)}${"]".repeat(100)}`);
    expect(events().encode(eventOf({ deep: fits }))).toHaveProperty("payload");
  });

  test("a thousand fields reject the record", () => {
    const data = Object.fromEntries(Array.from({ length: 1000 }, (_, n) => [`p${n}`, n]));
    expect(refusal(events().encode(eventOf(data))).code).toBe("TOO_MANY_PROPERTIES");
  });

  test("a record id that is no whole number, or that a double has rounded, rejects the record: it is another company's", () => {
    const sink = events({ objectIdField: "company" });
    const encode = (company: JsonValue) => sink.encode(eventOf({}, { company }));
    for (const [company, objectId] of [
      [608051, "608051"],
      ["608051", "608051"],
      [0, "0"],
      ["18446744073709551615", "18446744073709551615"],
    ] as const)
      expect(sentOf(encode(company))).toMatchObject({ objectId });
    expect(sentOf(encode(null))).not.toHaveProperty("objectId");
    for (const company of [
      2 ** 53,
      1e21,
      1.5,
      -1,
      infinite,
      "",
      "acme",
      "-1",
      "608051 ",
      true,
      [608051],
      { id: 1 },
    ])
      expect(refusal(encode(company)).code).toBe("OBJECT_ID_INVALID");
  });
});

describe("companies", () => {
  test.each([
    ["the id of the company", "tenant", { id: "globex" }],
    ["the time of another metric", "fanout", { upload_completed_at: "2099-01-01T00:00:00Z" }],
    ["a property of HubSpot's own", "hs", { object_id: "1" }],
    ["an owner", "hubspot", { owner_id: "1" }],
  ])("a metric and a field that together make the name of %s reject the record", (_, metricName, data) => {
    expect(refusal(companies().encode(eventOf(data, {}, { metricName }))).code).toBe(
      "PROPERTY_NAME_RESERVED",
    );
  });

  test("nor does a time land where the id is, whatever names the time", () => {
    const sink = companies({ timeProperty: (metricName) => `${metricName}_id` });
    expect(refusal(sink.encode(eventOf({}, {}, { metricName: "tenant" }))).code).toBe(
      "PROPERTY_NAME_RESERVED",
    );
    expect(() => companies({ properties: { m: { tenant_id: "id" } } })).toThrow("identifies the company");
  });

  test("a configured mapping may write HubSpot's own properties, since it is meant", () => {
    const sink = companies({ properties: { upload_completed: { hs_lead_status: "status" } } });
    expect(properties(sink.encode(eventOf({ status: "OPEN" })))).toMatchObject({ hs_lead_status: "OPEN" });
  });

  /** HubSpot that takes ids without regard to their case, which it documents neither way. */
  function folding(twin: ReturnType<typeof createHubspotTwin>): TwinHandler {
    return async (request) => {
      const text = await request.text();
      const folded = text.replace(/"id":"([^"]*)"/g, (_, id: string) => `"id":"${id.toLowerCase()}"`);
      return await twin.handle(
        new Request(request.url, { method: "POST", headers: request.headers, body: folded }),
      );
    };
  }

  test.each([true, false])(
    "a tenant that HubSpot takes for another one is rejected, and nothing is written (createUnknown %s)",
    async (createUnknown) => {
      const twin = createHubspotTwin({ companies: ["acme", "globex"] });
      const one = eventOf({ n: 1 }, {}, { tenantId: "ACME" });
      const other = eventOf({ n: 2 }, {}, { tenantId: "globex", id: "e2" });
      const sink = companies({ createUnknown });
      expect((await send(sink, folding(twin), [one, other])).answer).toMatchObject({
        status: "refused",
        code: "TENANT_ID_AMBIGUOUS",
      });
      expect((await send(sink, folding(twin), [one])).answer).toMatchObject({ code: "TENANT_ID_AMBIGUOUS" });
      expect((await send(sink, folding(twin), [other])).answer).toEqual([delivered]);
      expect(twin.companies.get("acme")).toEqual({ tenant_id: "acme" });
    },
  );

  test("two tenants that differ in case alone never share a request, and both reach their own companies", async () => {
    const twin = createHubspotTwin({ companies: ["acme", "Acme"] });
    const pair = ["acme", "Acme"].map((tenantId, n) => eventOf({ n }, {}, { tenantId, id: `e${n}` }));
    expect((await send(companies(), twin.handle, pair)).answer).toMatchObject({ status: "refused" });
    for (const one of pair) expect((await send(companies(), twin.handle, [one])).answer).toEqual([delivered]);
    expect([...twin.companies.values()].map((company) => company["upload_completed_n"])).toEqual(["0", "1"]);
  });

  test("an archived company is not written to, nor made again", async () => {
    const archived: TwinHandler = () =>
      Response.json({
        status: "COMPLETE",
        results: [{ id: "1", archived: true, properties: { tenant_id: "acme" } }],
      });
    for (const createUnknown of [true, false]) {
      const { answer } = await send(companies({ createUnknown }), archived, [eventOf({ n: 1 })]);
      expect(answer).toMatchObject([{ status: "rejected", code: "COMPANY_ARCHIVED" }]);
    }
  });

  test.each([
    ["no properties", { id: "1" }],
    ["no id among them", { id: "1", properties: {} }],
    ["null for an id", { id: "1", properties: { tenant_id: null } }],
    ["nothing but a text", "acme"],
  ])(
    "a company that the look shows with %s may be the tenant's: it is neither unknown nor made",
    async (_, result) => {
      const vague: TwinHandler = (request) =>
        request.url.endsWith("/read") ? Response.json({ results: [result] }) : Response.error();
      for (const createUnknown of [true, false]) {
        const { answer } = await send(companies({ createUnknown }), vague, [eventOf({ n: 1 })]);
        expect(answer).toMatchObject([{ status: "transient" }]);
      }
    },
  );

  test("a value that must be unique and is another company's, and a property that is not there, cost their own record alone", async () => {
    const twin = createHubspotTwin({
      companies: ["a", "b", "c"],
      uniqueProperties: ["crm_domain"],
      companyProperties: ["tenant_id", "crm_domain", "crm_note", "fanout_crm_at"],
    });
    twin.companies.set("z", { tenant_id: "z", crm_domain: "taken.example" });
    const batch = [
      eventOf({ domain: "taken.example" }, {}, { tenantId: "a", metricName: "crm", id: "e1" }),
      eventOf({ unheard: 1 }, {}, { tenantId: "b", metricName: "crm", id: "e2" }),
      eventOf({ domain: "free.example", note: "" }, {}, { tenantId: "c", metricName: "crm", id: "e3" }),
    ];
    const { answer } = await send(companies(), twin.handle, batch);
    expect(answer).toEqual([
      {
        status: "rejected",
        code: "CONFLICTING_UNIQUE_VALUE",
        reason: "HubSpot refused the input: CONFLICTING_UNIQUE_VALUE, VALIDATION_ERROR",
      },
      {
        status: "rejected",
        code: "PROPERTY_DOESNT_EXIST",
        reason: "HubSpot refused the input: PROPERTY_DOESNT_EXIST, VALIDATION_ERROR",
      },
      delivered,
    ]);
  });
});

describe("refusals", () => {
  const of = (sink: string, { code, rejected }: { readonly code: string; readonly rejected: string }) =>
    fingerprint("encode", sink, code, rejected);

  test("equal causes have one fingerprint, whatever the names, values and places", () => {
    const sink = events();
    const groups = [
      ["2fa", "数", "\ud83d", "$", "n".repeat(99)].map((name) => ({ [name]: 1 })),
      [{ aB: 1, a_b: 2 }, { tenantId: 1 }],
      [{ a: infinite }, { b: [infinite] }],
      [{ a: "v".repeat(300) }, { b: "v".repeat(999) }],
      [51, 1000].map((count) => Object.fromEntries(Array.from({ length: count }, (_, n) => [`p${n}`, n]))),
    ].map((group) => group.map((data: JsonObject) => of(sink.name, refusal(sink.encode(eventOf(data))))));
    for (const group of groups) expect(new Set(group).size).toBe(1);
    expect(new Set(groups.flat()).size).toBe(groups.length);
  });

  test("quotes, apostrophes and lines in a metric's name do not change the fingerprint", () => {
    const metrics = ['qu"ote', "apo'strophe", `a"b'c"`, "new\nline", "Upload", "n".repeat(200)];
    const prints = metrics.map((metricName) =>
      of("s", refusal(companies().encode(eventOf({}, {}, { metricName })))),
    );
    expect(new Set(prints).size).toBe(1);
  });

  const answering = async (sink: Sink<unknown>, status: number, body: unknown) =>
    (await send(sink, () => new Response(JSON.stringify(body), { status }), [eventOf({ n: 1 })])).answer;

  test.each([
    ["PROPERTY_DOESNT_EXIST", { category: "VALIDATION_ERROR", errors: [{ code: "PROPERTY_DOESNT_EXIST" }] }],
    [
      "CONFLICTING_UNIQUE_VALUE",
      { category: "VALIDATION_ERROR", errors: [{ code: "X1" }, { code: "CONFLICTING_UNIQUE_VALUE" }] },
    ],
    ["VALIDATION_ERROR", { category: "VALIDATION_ERROR", errors: [{ code: `${privateValue}` }] }],
    ["INPUT_REFUSED", { category: "PRIVATE_71C2", errors: [{ code: "PRIVATE_71C2" }] }],
    ["INPUT_REFUSED", { category: `a value: ${privateValue}` }],
    ["HTTP_400", { category: 7, message: privateValue }],
    ["HTTP_400", { message: privateValue }],
    ["HTTP_400", privateValue],
  ])(
    "the code is %s, one of a finite list, and no word of the record gets into the reason: %j",
    async (code, body) => {
      for (const sink of [events(), companies()]) {
        const answer = await answering(sink, 400, body);
        expect(answer).toMatchObject({ status: "refused", code });
        expect(JSON.stringify(answer)).not.toMatch(/private/i);
        if (code !== "HTTP_400") expect(Object.keys(sink.refusals ?? {})).toContain(code);
      }
    },
  );

  test("the order and number of details in a reply do not change the fingerprint", async () => {
    const details = [{ code: "PROPERTY_DOESNT_EXIST" }, { code: "INVALID_OPTION" }];
    const reasons = [details, details.toReversed(), [...details, ...details]].map((errors) =>
      answering(events(), 400, { category: "VALIDATION_ERROR", message: String(errors.length), errors }),
    );
    expect(new Set((await Promise.all(reasons)).map((answer) => JSON.stringify(answer))).size).toBe(1);
  });

  test.each([events(), companies()])(
    "every code of $name has a sentence that says what it means and one that says what to do",
    (sink) => {
      const all = Object.entries(sink.refusals ?? {});
      expect(all.length).toBeGreaterThan(10);
      for (const [code, { meaning, action }] of all) {
        expect(code).toMatch(/^[A-Z][A-Z0-9_]+$/);
        for (const sentence of [meaning, action]) expect(sentence).toMatch(/^\S.{20,}[.]$/);
      }
    },
  );
});
