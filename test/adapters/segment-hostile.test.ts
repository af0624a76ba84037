// Records that no producer means: what Segment gets of them, and what they are refused for.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { segmentGroupsSink, segmentSink } from "../../adapters/segment/index.ts";
import { createSegmentTwin } from "../../adapters/segment/twin.ts";
import { fingerprint } from "../../src/dead-letter/dead-letter.ts";
import { parseEvent } from "../../src/event.ts";
import {
  type HttpClient,
  type JsonObject,
  type JsonValue,
  type MetricEvent,
  type Sink,
  systemClock,
} from "../../src/index.ts";
import { twinHttp } from "../../src/testing/index.ts";
import { bodyText } from "../support/bodies.ts";
import { freeze, hostileNames, hostileValue, privateValue } from "../support/hostile.ts";
import { vendorWorld } from "../support/vendor-world.ts";

const writeKey = "test-write-key";
const track = segmentSink({ writeKey });
const groups = segmentGroupsSink({ writeKey });
const time = "2026-01-01T00:00:00.000Z";

interface Parts {
  readonly id?: JsonValue;
  readonly tenant?: string;
  readonly name?: string;
  readonly metadata?: JsonObject;
  readonly data?: JsonObject;
}

/** Own properties one after the other, as JSON.parse defines them: none is assigned, `__proto__` included. */
const join = (...objects: readonly JsonObject[]): JsonObject =>
  Object.fromEntries(objects.flatMap((each) => Object.entries(each)));

/** As the core makes it of a record. */
function event({
  id = "e1",
  tenant = "acme",
  name = "logins",
  metadata = {},
  data = {},
}: Parts): MetricEvent {
  const parsed = parseEvent(
    {
      metric_name: name,
      metadata: join(metadata, { tenant_id: tenant, event_id: id }),
      data: join(data, { event_time: time }),
    },
    () => "0b2c1c9e-6b1d-8c3e-9d2f-1a2b3c4d5e6f",
  );
  if (!("event" in parsed)) throw new Error(`no event: ${JSON.stringify(parsed)}`);
  return parsed.event;
}

/** Sends one event as the core would, to a vendor that knows nothing yet. */
async function store(sink: Sink<unknown>, from: MetricEvent) {
  const encoded = sink.encode(freeze(from));
  if (!("payload" in encoded)) return { encoded };
  const twin = createSegmentTwin({ writeKey });
  const bodies: string[] = [];
  const http: HttpClient = (request, signal) => {
    bodies.push(bodyText(request));
    return twinHttp(twin.handle)(request, signal);
  };
  const items = [{ event: from, ...encoded }];
  const context = { http, clock: systemClock, attempt: 1, signal: new AbortController().signal };
  const answer = await sink.send({ partition: "", items }, context);
  return { encoded, answer, twin, body: bodies[0] ?? "", requests: bodies.length };
}

async function message(sink: Sink<unknown>, from: MetricEvent): Promise<JsonObject> {
  const { twin, encoded } = await store(sink, from);
  const [only] = twin?.messages ?? [];
  if (only === undefined) throw new Error(`nothing is stored: ${JSON.stringify(encoded)}`);
  return only;
}

/** What JSON makes of the fields, with U+FFFD for halves of pairs. */
function expected(fields: JsonObject): JsonObject {
  return JSON.parse(JSON.stringify(fields), (_, value: JsonValue) =>
    typeof value === "string" ? value.toWellFormed() : value,
  );
}

const halfOfAPair = /\\ud[89a-f]|\p{Cs}/iu;
const vendorNames =
  "integrations messageId userId anonymousId context type timestamp sentAt writeKey groupId traits event properties _metadata originalTimestamp receivedAt channel".split(
    " ",
  );

describe("any record", () => {
  const name = fc.oneof(
    { weight: 8, arbitrary: fc.stringMatching(/^[a-z][a-z0-9_]{3,12}$/) },
    { weight: 2, arbitrary: fc.constantFrom(...vendorNames, ...hostileNames) },
  );
  const fields = fc
    .array(fc.tuple(name, hostileValue), { maxLength: 5 })
    .map((entries): JsonObject => Object.fromEntries(entries));
  const text = fc.string({ unit: "binary", minLength: 1 }).filter((each) => each.trim() !== "");
  const userId = fc.oneof(fc.constantFrom("u-1", "", "\ud83d"), hostileValue);
  const anyEvent = fc
    .record({
      id: hostileValue,
      tenant: text,
      name: text,
      metadata: fields,
      user_id: userId,
      tenant_name: hostileValue,
      data: fields,
    })
    .map(({ user_id, tenant_name, metadata, ...parts }) =>
      event({ ...parts, metadata: join(metadata, { user_id, tenant_name }) }),
    );

  test.each([
    ["track", track, "properties"],
    ["group", groups, "traits"],
  ] as const)(
    "%s encodes without a throw or a change to it, and what is taken Segment takes and keeps",
    async (type, sink, field) => {
      const seen = { taken: 0, rejected: 0 };
      await fc.assert(
        fc.asyncProperty(anyEvent, async (from) => {
          const { encoded, ...sent } = await store(sink, from);
          expect(sink.encode(from)).toEqual(encoded);
          if ("rejected" in encoded) {
            seen.rejected++;
            expect(sink.refusals).toHaveProperty(encoded.code);
            expect(encoded.rejected).not.toContain(privateValue);
            return;
          }
          // Beyond this the core sends nothing.
          if ("filtered" in encoded || encoded.bytes > sink.limits.bytesPerItem) return;
          seen.taken++;
          expect(sent.answer).toEqual({ status: "delivered" });
          expect(sent.requests).toBe(1);
          expect(sent.twin?.lost.size).toBe(0);
          expect(sent.body).not.toMatch(halfOfAPair);
          // The last message has no comma.
          expect(Buffer.byteLength(sent.body ?? "")).toBe(
            encoded.bytes + (sink.limits.envelopeBytes ?? 0) - 1,
          );
          const { tenant_name: label, environment } = from.metadata;
          const known = (value: JsonValue | undefined) =>
            value !== undefined && value !== null && value !== "";
          const own = {
            ...(type === "track" ? { tenant_id: from.tenantId } : {}),
            ...(known(label) ? { [type === "track" ? "tenant_name" : "name"]: label ?? null } : {}),
            ...(known(environment) ? { environment: environment ?? null } : {}),
          };
          const [stored] = sent.twin?.messages ?? [];
          expect(stored).toMatchObject({ type, timestamp: time });
          expect(stored?.["context"]).toMatchObject({ groupId: from.tenantId });
          const fieldsOf = JSON.stringify(Object.entries(stored?.[field] ?? {}).sort());
          const all = type === "track" ? join(from.data, own) : own;
          expect(fieldsOf).toBe(JSON.stringify(Object.entries(expected(all)).sort()));
        }),
        { numRuns: 200, seed: 7 },
      );
      // Neither half of the promise is empty.
      expect(seen.taken).toBeGreaterThan(30);
      expect(seen.rejected).toBeGreaterThan(0);
    },
  );
});

describe("values", () => {
  test.each<[string, string, string]>([
    ["zero", "0", "0"],
    ["minus zero", "-0", "0"],
    ["false", "false", "false"],
    ["null", "null", "null"],
    ["empty text", '""', '""'],
    ["over 2^53", "9007199254740994", "9007199254740994"],
    ["the largest double", "1.7976931348623157e308", "1.7976931348623157e+308"],
    ["too small for a double", "1e-400", "0"],
    ["nested objects and arrays", '{"b":[1,null,{"c":false}]}', '{"b":[1,null,{"c":false}]}'],
    ["an empty object", "{}", "{}"],
    ["100 levels", `${"[".repeat(100)}0${"]".repeat(100)}`, `${"[".repeat(100)}0${"]".repeat(100)}`],
    ["half of a pair", '"cut \\ud83d"', '"cut \ufffd"'],
    ["the other half, deep", '[{"a":"\\ude00 cut"}]', '[{"a":"\ufffd cut"}]'],
    ["a whole pair", '"\\ud83d\\ude00"', '"😀"'],
    ["what only looks like half of a pair", '"\\\\ud83d"', '"\\\\ud83d"'],
    ["NUL", '"a\\u0000b"', '"a\\u0000b"'],
    ["long text", `"${"v".repeat(30_000)}"`, `"${"v".repeat(30_000)}"`],
  ])("%s", async (_, json, value) => {
    const { properties } = await message(track, event({ data: { kept: 1, field: JSON.parse(json) } }));
    expect(properties).toMatchObject({ kept: 1 });
    expect(JSON.stringify(Object.entries(properties ?? {}).find(([name]) => name === "field")?.[1])).toBe(
      value,
    );
  });

  test("1,000 fields arrive", async () => {
    const data = Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`f${index}`, index]));
    const { properties } = await message(track, event({ data }));
    expect(properties).toMatchObject(data);
  });

  test.each<[string, Parts]>([
    ["NUMBER_NOT_FINITE", { data: JSON.parse('{"n":1e400}') }],
    ["NUMBER_NOT_FINITE", { data: JSON.parse('{"n":[{"m":-1e400}]}') }],
    ["NUMBER_NOT_FINITE", { data: JSON.parse('{"n":[1e400]}') }],
    ["NUMBER_NOT_FINITE", { data: JSON.parse('{"__proto__":1e400}') }],
    ["NUMBER_NOT_FINITE", { data: { n: Number.NaN } }],
    ["NUMBER_NOT_FINITE", { metadata: { tenant_name: Number.POSITIVE_INFINITY } }],
    ["NOT_UNICODE", { data: { "\ud800": 1 } }],
    ["NOT_UNICODE", { data: { deep: [{ "a\udc00": 1 }] } }],
    ["NOT_UNICODE", { metadata: { user_id: "u\ud800" } }],
  ])("%s: what JSON cannot say, or ids that could become one, are refused (%j)", (code, parts) => {
    expect(track.encode(freeze(event(parts)))).toMatchObject({ code });
  });

  test("a mapped name that is not well-formed Unicode is refused: two of them could become one", () => {
    const mapped = segmentSink({ writeKey, eventName: () => "opened \ud83d" });
    expect(mapped.encode(event({}))).toMatchObject({ code: "NOT_UNICODE" });
  });

  test("an unusable event_id or user_id is none: the event has its derived id, and its tenant as the user", async () => {
    const ids = new Set<JsonValue | undefined>();
    const users = new Set<JsonValue | undefined>();
    for (const odd of [7, " ", "", "\u3000", false, null, ["x"], { id: "x" }]) {
      const stored = await message(track, event({ id: odd, metadata: { user_id: odd } }));
      ids.add(stored["messageId"]);
      users.add(stored["anonymousId"]);
      expect(stored).not.toHaveProperty("userId");
    }
    expect([ids.size, users.size]).toEqual([1, 1]);
  });
});

describe("names with a meaning", () => {
  test.each([...vendorNames, "__proto__", "constructor", "toString", "toJSON", "hasOwnProperty", "length"])(
    "%s in a record overrides nothing that the message says of itself",
    async (name) => {
      const plain = await message(track, event({}));
      const fields = Object.fromEntries([[name, { All: false, groupId: "globex", userId: "x" }]]);
      for (const value of [fields, Object.fromEntries([[name, "x"]])]) {
        const stored = await message(track, event({ data: value, metadata: value }));
        const { properties, ...own } = stored;
        const { properties: _, ...plainOwn } = plain;
        expect(own).toEqual(plainOwn);
        expect(Object.getPrototypeOf(stored)).toBe(Object.prototype);
        expect(Object.keys(properties ?? {})).toContain(name);
      }
    },
  );

  test("tenant_id, tenant_name and environment of metadata win over data's", async () => {
    const own = { tenant_name: "Acme", environment: "prod" };
    const theirs = { tenant_id: "globex", tenant_name: "Globex", environment: "test" };
    const { properties } = await message(track, event({ metadata: own, data: theirs }));
    expect(properties).toMatchObject({ tenant_id: "acme", ...own });
  });
});

describe("tenants", () => {
  const tenants = [
    ..."acme ACME Acme ../acme a/b CON . .. .acme acme. measure_value __proto__ constructor null undefined 0".split(
      " ",
    ),
    ...[" acme", "acme ", "caf\u00e9", "cafe\u0301", "acm\u0435", "acme\u200b", "acme\u0000", "acme\n"],
    ...["a".repeat(300), `${"a".repeat(299)}b`, '"', "😀"],
  ];

  test("each is its own group and its own user, whatever it looks like", async () => {
    const seen = { groups: new Set<JsonValue>(), users: new Set<JsonValue>(), ids: new Set<JsonValue>() };
    for (const tenant of tenants) {
      const stored = await message(groups, event({ tenant, metadata: { tenant_name: "T" } }));
      expect(stored).toMatchObject({ groupId: tenant, context: { groupId: tenant } });
      seen.groups.add(stored["groupId"] ?? "");
      seen.users.add(stored["anonymousId"] ?? "");
      seen.ids.add(stored["messageId"] ?? "");
      expect(groups.coalesceKey?.(event({ tenant }))).toBe(tenant);
    }
    expect([seen.groups.size, seen.users.size, seen.ids.size]).toEqual(
      tenants.map(() => tenants.length).slice(0, 3),
    );
  });
});

describe("what a refusal tells", () => {
  const sink = segmentSink({
    writeKey,
    eventName: ({ metricName }) => (metricName === "nameless" ? "" : metricName),
  });
  const record = (index: number, { name = "logins", metadata, data }: Parts) =>
    JSON.stringify({
      metric_name: name,
      metadata: { ...metadata, tenant_id: "acme", event_id: `e${index}` },
      data: { ...data, event_time: time },
    });

  test("every code is in the sinks' table, every code of the table is met, and equal causes share a fingerprint", async () => {
    const world = vendorWorld(() => ({ sink, handle: createSegmentTwin({ writeKey }).handle }));
    const lines = [
      record(0, { name: "nameless" }),
      record(1, { name: "nameless", data: { other: 1 } }),
      record(2, { metadata: { user_id: "one \ud83d" } }),
      record(3, { metadata: { user_id: "two \udc00" } }),
      record(4, { data: { n: "1e400" } }),
      record(5, { data: { "m\"'": ["-1e400"] } }),
    ];
    world.put(lines.map((line) => line.replace(/"(-?1e400)"/, "$1")));
    const { report, letters } = await world.deliver();
    expect(report).toMatchObject({ delivered: 0, deadLettered: 6, requests: 0 });
    const byCode = Map.groupBy(letters, ({ code }) => code);
    expect([...byCode.keys()].sort()).toEqual(Object.keys(sink.refusals ?? {}).sort());
    for (const each of byCode.values()) {
      expect(each).toHaveLength(2);
      expect(each[1]?.fingerprint, each[1]?.reason).toBe(each[0]?.fingerprint);
    }
    expect(new Set(letters.map((letter) => letter.fingerprint)).size).toBe(byCode.size);
    expect(groups.refusals).toBe(sink.refusals);
  });

  test("meanings and actions are sentences", () => {
    for (const { meaning, action } of Object.values(track.refusals ?? {})) {
      for (const sentence of [meaning, action]) expect(sentence).toMatch(/^[A-Za-z].{20,}\.$/);
    }
  });

  test("names that records bring make no fingerprints without end, and no long or odd sentences", () => {
    const prints = new Set<string>();
    const name = fc.string({
      unit: fc.constantFrom('"', "'", "a", "9", "\n", "\u0000", "ü", "💥", "\ud83d", "\\", " "),
      maxLength: 300,
      size: "max",
    });
    fc.assert(
      fc.property(name, (field) => {
        const encoded = track.encode(event({ data: Object.fromEntries([[field, Number.NaN]]) }));
        if (!("rejected" in encoded)) throw new Error("not rejected");
        expect(encoded.rejected).not.toMatch(/[\p{Cc}\p{Cs}]/u);
        expect(encoded.rejected.length).toBeLessThan(200);
        prints.add(fingerprint("encode", "segment", encoded.code, encoded.rejected));
      }),
    );
    expect(prints.size).toBe(1);
  });
});
