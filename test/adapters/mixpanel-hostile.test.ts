// What no producer means to send: whatever a record holds, ours stays ours, and what is taken Mixpanel takes.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type MixpanelEvent, type MixpanelOptions, mixpanelSink } from "../../adapters/mixpanel/index.ts";
import { createMixpanelTwin } from "../../adapters/mixpanel/twin.ts";
import { fingerprint } from "../../src/dead-letter/dead-letter.ts";
import type { Encoded, HttpClient, JsonObject, JsonValue, MetricEvent } from "../../src/index.ts";
import { twinHttp, virtualClock } from "../../src/testing/index.ts";
import { freeze, hostileEvent, hostileNames, privateValue } from "../support/hostile.ts";
import { sentOf } from "../support/payload.ts";

const time = Date.UTC(2026, 0, 1);
const sink = mixpanelSink({ token: "token", host: "http://mixpanel.test" });

function event(data: JsonObject, metadata: JsonObject = {}, rest: Partial<MetricEvent> = {}): MetricEvent {
  return {
    id: "e-1",
    metricName: "findings_upload_completed",
    tenantId: "acme",
    time,
    metadata: { tenant_id: "acme", ...metadata },
    data: { event_time: "2026-01-01T00:00:00Z", ...data },
    ...rest,
  };
}

interface Sent {
  /** What Mixpanel holds. */
  readonly stored: MixpanelEvent | undefined;
  readonly body: string;
}

/** Sends one item to a twin whose clock shows the event's own time. */
async function deliver(one: MetricEvent, encoded: Encoded<string>): Promise<Sent> {
  if (!("payload" in encoded)) throw new Error(`not taken: ${JSON.stringify(encoded)}`);
  const clock = virtualClock({ start: one.time });
  const twin = createMixpanelTwin({ clock });
  let body = "";
  const http: HttpClient = (request, signal) => {
    body = String(request.body);
    return twinHttp(twin.handle, clock)(request, signal);
  };
  const context = { http, signal: new AbortController().signal, attempt: 1, clock };
  const items = [{ event: one, payload: encoded.payload, bytes: encoded.bytes }];
  expect(await sink.send({ partition: "", items }, context)).toEqual({ status: "delivered" });
  return { stored: twin.events[0], body };
}

async function stored(data: JsonObject, metadata: JsonObject = {}): Promise<JsonObject> {
  const one = event(data, metadata);
  return (await deliver(one, sink.encode(one))).stored?.properties ?? {};
}

function refusal(one: MetricEvent, options: Partial<MixpanelOptions> = {}) {
  const encoded = mixpanelSink({ token: "token", ...options } as MixpanelOptions).encode(one);
  if (!("rejected" in encoded)) throw new Error("taken");
  return encoded;
}

describe("any JSON", () => {
  test("encode never throws, changes nothing, says its bytes, and what it takes Mixpanel takes whole", async () => {
    let taken = 0;
    await fc.assert(
      fc.asyncProperty(hostileEvent, async (one) => {
        const encoded = sink.encode(freeze(one));
        expect(sink.encode(structuredClone(one))).toEqual(encoded);
        if (!("payload" in encoded)) {
          if (!("rejected" in encoded)) throw new Error("filtered");
          expect(Object.keys(sink.refusals ?? {})).toContain(encoded.code);
          expect(encoded.rejected).not.toContain(privateValue);
          return;
        }
        taken++;
        const sent = await deliver(one, encoded);
        expect(sent.body.isWellFormed() && !/\\ud[89a-f]/i.test(sent.body.replaceAll("\\\\", ""))).toBe(true);
        expect(Buffer.byteLength(sent.body)).toBeLessThanOrEqual(encoded.bytes + 2);
        // Mixpanel cut nothing, and nothing of the record replaced what is ours.
        expect(sent.stored).toEqual(sentOf(encoded));
        expect(sent.stored?.properties).toMatchObject({ time: one.time, ip: 0, company_id: [one.tenantId] });
        const user = sent.stored?.properties["distinct_id"];
        expect(user === "" || user === one.metadata["user_id"]).toBe(true);
        expect(sent.stored?.properties).not.toHaveProperty("token");
      }),
      { numRuns: 400 },
    );
    // The property is about something.
    expect(taken).toBeGreaterThan(40);
  });

  test("a field named like ours, Mixpanel's, its SDK's or JavaScript's own replaces nothing and is not lost", async () => {
    const ours = ["time", "distinct_id", "$insert_id", "ip", "company_id"];
    const plain = await stored({});
    // `user_id` is the user, and `event_time` and `tenant_id` are what the event says with them.
    for (const name of hostileNames.filter((each) => !/^(user_id|event_time|tenant_id)$/.test(each))) {
      const theirs = Object.fromEntries([[name, "theirs"]]);
      for (const one of [
        event(theirs),
        { ...event({}), metadata: Object.fromEntries([...Object.entries(theirs), ["tenant_id", "acme"]]) },
      ]) {
        const encoded = sink.encode(one);
        if ("rejected" in encoded) {
          expect(encoded.code, name).toMatch(/^NAME_(TOO_LONG|INVALID)$/);
          continue;
        }
        const properties = (await deliver(one, encoded)).stored?.properties ?? {};
        for (const each of ours) expect(properties[each], name).toEqual(plain[each]);
        expect(Object.values(properties), name).toContain("theirs");
      }
    }
  });
});

describe("values", () => {
  test("zero, false, null, empty text, lists and objects are delivered as they are", async () => {
    const data = {
      zero: 0,
      no: false,
      none: null,
      empty: "",
      list: [],
      object: {},
      mixed: [{ a: [1, null] }, "x", false],
    };
    expect(await stored(data)).toMatchObject(data);
  });

  test("numbers are what a double of JSON is: −0 is 0, and what is beyond 2^53 has been rounded before", async () => {
    const data: JsonObject = JSON.parse('{"minus":-0,"big":9007199254740993,"huge":1e308,"tiny":5e-324}');
    expect(await stored(data)).toMatchObject({ minus: 0, big: 9007199254740992, huge: 1e308, tiny: 5e-324 });
  });

  test.each<[string, JsonValue]>([
    ["1e400", JSON.parse("1e400")],
    ["−1e400", JSON.parse("-1e400")],
    ["NaN", Number.NaN],
    ["1e400 in a list in an object", { a: [JSON.parse("1e400")] }],
  ])("%s, which JSON cannot write, rejects the event and never becomes null", (_, value) => {
    expect(refusal(event({ n: value })).code).toBe("PROPERTY_INVALID");
  });

  test("half a character becomes U+FFFD in a value, and NUL stays", async () => {
    const data = { half: "a\ud83d", deep: [{ b: "\udc00b" }], nul: "a\u0000b" };
    expect(await stored(data)).toMatchObject({ half: "a\ufffd", deep: [{ b: "\ufffdb" }], nul: "a\u0000b" });
  });

  test("half a character at the place of the cut does not break the text", async () => {
    const { long } = await stored({ long: `${"v".repeat(251)}\ud83d\ude00${"\ud83d"}` });
    expect(long).toBe(`${"v".repeat(251)}…`);
  });

  test("a user with half a character is nobody, since two such users would become one", async () => {
    expect(await stored({}, { user_id: "u\ud83d" })).toMatchObject({ distinct_id: "", user_id: "u\ufffd" });
  });

  test.each<[string, string, MetricEvent]>([
    ["a tenant", "TENANT_ID_INVALID", event({}, {}, { tenantId: "acme\ud83d" })],
    ["a metric's name", "EVENT_NAME_INVALID", event({}, {}, { metricName: "m\udc00" })],
    ["a field's name", "NAME_INVALID", event({ "a\ud83d": 1 })],
    ["a nested name", "PROPERTY_INVALID", event({ a: { "a\ud83d": 1 } })],
  ])("half a character in %s rejects the event: repaired, it could be another's", (_, code, one) => {
    expect(refusal(one).code).toBe(code);
  });

  test("a metric called like an event of Mixpanel's own, which merge users, is rejected", () => {
    for (const metricName of ["$identify", "$create_alias", "$merge", "$"])
      expect(refusal(event({ alias: "victim" }, {}, { metricName })).code).toBe("EVENT_NAME_INVALID");
  });

  test("a thousand fields reject the event", () => {
    const data = Object.fromEntries(Array.from({ length: 1000 }, (_, n) => [`k${n}`, n]));
    expect(refusal(event(data)).code).toBe("TOO_MANY_PROPERTIES");
  });

  test("tenants that look alike stay apart", async () => {
    for (const tenantId of ["Acme", " acme", "acme ", "ACME", "null", "0", "[]", "acme\u0000"]) {
      const one = event({}, {}, { tenantId });
      const { stored: held } = await deliver(one, sink.encode(one));
      expect(held?.properties["company_id"]).toEqual([tenantId]);
    }
  });
});

describe("refusals", () => {
  const of = (encoded: { readonly code: string; readonly rejected: string }) =>
    fingerprint("encode", "mixpanel", encoded.code, encoded.rejected);

  test("equal causes have one fingerprint, whatever the names, values and places", () => {
    const groups = [
      ['qu"ote', "apo'strophe", 'a"b"c', "new\nline", "plain", "n".repeat(200), "ü€😀"].map((name) =>
        refusal(event({ [name]: JSON.parse("1e400") })),
      ),
      [
        { "data.time": 1, time: 2 },
        { "data.to'ken": 1, "data.ip": 3, ip: 4 },
      ].map((data) => refusal(event(data))),
      [300, 256].map((length) => refusal(event({ ["n".repeat(length)]: 1 }))),
      [300, 999].map((length) => refusal(event({}, {}, { tenantId: "t".repeat(length) }))),
      [0, -1].map((early) => refusal(event({}, {}, { time: early }))),
    ];
    for (const group of groups) expect(new Set(group.map(of)).size).toBe(1);
    expect(new Set(groups.flat().map(of)).size).toBe(groups.length);
  });

  test("different problems of one code have different fingerprints", () => {
    const deep = refusal(event({ a: [[[[]]]] }));
    const number = refusal(event({ a: JSON.parse("1e400") }));
    expect([deep.code, number.code]).toEqual(["PROPERTY_INVALID", "PROPERTY_INVALID"]);
    expect(of(deep)).not.toBe(of(number));
  });

  test("every code has a sentence that says what it means and one that says what to do", () => {
    for (const [code, { meaning, action }] of Object.entries(sink.refusals ?? {})) {
      expect(code).toMatch(/^[A-Z][A-Z0-9_]+$/);
      for (const sentence of [meaning, action]) expect(sentence).toMatch(/^\S.{20,}[.]$/);
    }
  });
});
