// Records that no producer means: what Timestream gets of them, and what they are refused for.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { timestreamSink } from "../../adapters/timestream/index.ts";
import { createTimestreamTwin, type TwinRecord } from "../../adapters/timestream/twin.ts";
import { type DeadLetter, fingerprint } from "../../src/dead-letter/dead-letter.ts";
import { parseEvent } from "../../src/event.ts";
import type { HttpClient, JsonObject, JsonValue, MetricEvent } from "../../src/index.ts";
import { twinHttp, virtualClock } from "../../src/testing/index.ts";
import { freeze, hostileNames, hostileValue, privateValue } from "../support/hostile.ts";
import { vendorWorld } from "../support/vendor-world.ts";

const now = Date.UTC(2026, 0, 1);
const account = {
  database: "metrics",
  region: "eu-central-1",
  endpoint: "http://timestream.test",
  credentials: { accessKeyId: "AKID", secretAccessKey: "s3cret-key" },
};
const makeSink = () => timestreamSink({ ...account, measures: { rows: "BIGINT", flag: "BOOLEAN" } });
const sink = makeSink();

interface Parts {
  readonly id?: JsonValue;
  readonly tenant?: string;
  readonly name?: string;
  readonly time?: JsonValue;
  readonly metadata?: JsonObject;
  readonly data?: JsonObject;
}

/** Own properties one after the other, as JSON.parse defines them: none is assigned, `__proto__` included. */
const join = (...objects: readonly JsonObject[]): JsonObject =>
  Object.fromEntries(objects.flatMap((each) => Object.entries(each)));

/** As the core makes it of a record. */
function event({
  id,
  tenant = "acme",
  name = "logins",
  time = now,
  metadata = {},
  data = { count: 1 },
}: Parts) {
  const parsed = parseEvent(
    {
      metric_name: name,
      metadata: join(metadata, { tenant_id: tenant }, id === undefined ? {} : { event_id: id }),
      data: join(data, { event_time: time }),
    },
    () => "0b2c1c9e-6b1d-8c3e-9d2f-1a2b3c4d5e6f",
  );
  if (!("event" in parsed)) throw new Error(`no event: ${JSON.stringify(parsed)}`);
  return parsed.event;
}

/** Sends one event as the core would, to a vendor that knows nothing yet. */
async function store(from: MetricEvent) {
  const clock = virtualClock({ start: now });
  const twin = createTimestreamTwin({ clock });
  const bodies: number[] = [];
  const http: HttpClient = (request, signal) => {
    if (request.headers["x-amz-target"]?.endsWith("WriteRecords")) {
      bodies.push(Buffer.byteLength(request.body ?? ""));
    }
    return twinHttp(twin.handle, clock)(request, signal);
  };
  const encoded = sink.encode(freeze(from));
  if (!("payload" in encoded)) return { encoded };
  const items = [{ event: from, ...encoded }];
  const context = { http, clock, attempt: 1, signal: new AbortController().signal };
  // A sink of its own: each goes by the time of its clock.
  const { send, partition } = makeSink();
  const answer = await clock.run(send({ partition: partition?.(from) ?? "", items }, context));
  const tables = Object.fromEntries(
    [...twin.tables].map(([table, { records }]) => [table, [...records.values()]]),
  );
  return { encoded, answer, tables, bodies, stored: [...twin.stored] };
}

async function storedRecord(from: MetricEvent): Promise<TwinRecord | undefined> {
  return (await store(from)).tables?.[`metrics/${from.tenantId}`]?.[0];
}

/** How the vendor should have each field that has a value. */
function expected(fields: JsonObject, besides: string): Record<string, string> {
  const values = Object.entries(fields).filter(
    ([name, value]) => name !== besides && value !== null && value !== "",
  );
  return Object.fromEntries(
    values.map(([name, value]) => [
      name,
      typeof value === "object" ? JSON.stringify(value) : String(value).toWellFormed(),
    ]),
  );
}

const vendorNames =
  "measure_name measure_name_x measure_value measure_value::double time ts_x ts_ Time event_time event_id tenant_id Dimensions MeasureValues Version".split(
    " ",
  );

describe("any record", () => {
  const name = fc.oneof(
    { weight: 8, arbitrary: fc.stringMatching(/^[a-z][a-z0-9_]{3,12}$/) },
    { weight: 1, arbitrary: fc.constantFrom(...vendorNames, ...hostileNames) },
  );
  const small = hostileValue.filter((value) => JSON.stringify(value).length < 500);
  const fields = (value: fc.Arbitrary<JsonValue>) =>
    fc
      .array(fc.tuple(name, value), { maxLength: 5 })
      .map((entries): JsonObject => Object.fromEntries(entries));
  const text = (unit: "grapheme" | "binary") =>
    fc.string({ unit, minLength: 1 }).filter((each) => each.trim() !== "");
  const usually = (good: readonly string[], other: fc.Arbitrary<string>) =>
    fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...good) }, { weight: 1, arbitrary: other });
  const anyEvent = fc
    .record({
      id: fc.oneof(fc.uuid(), small),
      tenant: usually(["acme", "Acme", "...", "measure_value", "__proto__", "CON"], text("grapheme")),
      name: usually(["logins", "constructor", "__proto__"], text("binary")),
      metadata: fields(small),
      data: fields(fc.oneof(small, hostileValue)),
    })
    .map(event);

  test("encodes without a throw or a change to it, and what is taken the vendor takes, whole, in the tenant's table", async () => {
    const seen = { taken: 0, rejected: 0 };
    await fc.assert(
      fc.asyncProperty(anyEvent, async (from) => {
        const { encoded, ...sent } = await store(from);
        expect(sink.encode(from)).toEqual(encoded);
        if ("rejected" in encoded) {
          seen.rejected++;
          expect(sink.refusals).toHaveProperty(encoded.code);
          expect(encoded.rejected).not.toContain(privateValue);
          return;
        }
        seen.taken++;
        expect(sent.answer).toEqual({ status: "delivered" });
        expect(sent.stored).toEqual([[from.id, 1]]);
        expect(Object.keys(sent.tables ?? {})).toEqual([`metrics/${from.tenantId}`]);
        const [record] = sent.tables?.[`metrics/${from.tenantId}`] ?? [];
        expect(record).toMatchObject({ time: from.time, measureName: from.metricName });
        expect(Object.fromEntries(record?.dimensions ?? [])).toEqual({
          ...expected(from.metadata, "tenant_id"),
          event_id: from.id,
        });
        const measures = [...(record?.measures ?? [])].map(([key, { value }]) => [key, value]);
        expect(Object.fromEntries(measures)).toEqual(expected(from.data, "event_time"));
        const said = ("bytes" in encoded ? encoded.bytes : 0) + (sink.limits.envelopeBytes ?? 0);
        for (const bytes of sent.bodies ?? []) expect(bytes).toBeLessThanOrEqual(said);
      }),
      { numRuns: 400, seed: 7 },
    );
    // Neither half of the promise is empty.
    expect(seen.taken).toBeGreaterThan(50);
    expect(seen.rejected).toBeGreaterThan(50);
  });
});

describe("values", () => {
  test.each<[string, string, { readonly type: string; readonly value: string } | undefined]>([
    ["zero", "0", { type: "DOUBLE", value: "0" }],
    ["minus zero", "-0", { type: "DOUBLE", value: "0" }],
    ["false", "false", { type: "BOOLEAN", value: "false" }],
    ["over 2^53", "9007199254740994", { type: "DOUBLE", value: "9007199254740994" }],
    ["the largest double", "1.7976931348623157e308", { type: "DOUBLE", value: "1.7976931348623157e+308" }],
    ["the smallest", "5e-324", { type: "DOUBLE", value: "5e-324" }],
    ["too small for a double", "1e-400", { type: "DOUBLE", value: "0" }],
    ["an object", '{"b":[1,null,{"c":false}]}', { type: "VARCHAR", value: '{"b":[1,null,{"c":false}]}' }],
    ["an empty object", "{}", { type: "VARCHAR", value: "{}" }],
    ["an empty array", "[]", { type: "VARCHAR", value: "[]" }],
    [
      "100 levels",
      `${"[".repeat(100)}0${"]".repeat(100)}`,
      { type: "VARCHAR", value: `${"[".repeat(100)}0${"]".repeat(100)}` },
    ],
    ["half of a pair", '"cut \\ud83d"', { type: "VARCHAR", value: "cut \ufffd" }],
    ["the other half", '"\\ude00 cut"', { type: "VARCHAR", value: "\ufffd cut" }],
    ["a whole pair", '"\\ud83d\\ude00"', { type: "VARCHAR", value: "😀" }],
    ["NUL", '"a\\u0000b"', { type: "VARCHAR", value: "a\u0000b" }],
    ["a blank", '" "', { type: "VARCHAR", value: " " }],
    [
      "2,048 bytes less the rest of the record",
      `"${"v".repeat(1900)}"`,
      { type: "VARCHAR", value: "v".repeat(1900) },
    ],
    ["null, which is no value", "null", undefined],
    ["empty text, which is no value", '""', undefined],
  ])("%s", async (_, json, value) => {
    const record = await storedRecord(event({ data: { kept: 1, field: JSON.parse(json) } }));
    expect(record?.measures.get("field")).toEqual(value);
    expect(record?.measures.get("kept")).toEqual({ type: "DOUBLE", value: "1" });
    // Dimensions are text, with the same text.
    const metadata = await storedRecord(event({ metadata: { field: JSON.parse(json) } }));
    expect(metadata?.dimensions.get("field")).toBe(value?.value);
  });

  test.each<[string, Parts]>([
    ["NUMBER_NOT_FINITE", { data: JSON.parse('{"n":1e400}') }],
    ["NUMBER_NOT_FINITE", { data: JSON.parse('{"n":[{"m":-1e400}]}') }],
    ["NUMBER_NOT_FINITE", { data: { n: Number.NaN } }],
    ["NUMBER_NOT_FINITE", { metadata: { n: Number.POSITIVE_INFINITY } }],
    ["VALUE_TOO_LONG", { data: { n: "v".repeat(2049) } }],
    ["NAME_INVALID", { data: { "\ud800": 1 } }],
    ["NAME_INVALID", { metadata: { "a\udc00": 1 } }],
    ["EVENT_ID_NOT_TEXT", { id: "e\ud800" }],
    ["EVENT_ID_NOT_TEXT", { id: " " }],
    ["EVENT_ID_NOT_TEXT", { id: 7 }],
    ["EVENT_ID_NOT_TEXT", { id: false }],
    [
      "TOO_MANY_MEASURES",
      { data: Object.fromEntries(Array.from({ length: 1000 }, (_, n) => [`f${n}`, true])) },
    ],
    [
      "TOO_MANY_DIMENSIONS",
      { metadata: Object.fromEntries(Array.from({ length: 1000 }, (_, n) => [`f${n}`, 1])) },
    ],
  ])("%s: what cannot be stored whole is refused", (code, parts) => {
    expect(sink.encode(freeze(event(parts)))).toMatchObject({ code });
  });
});

describe("names with a meaning", () => {
  test.each([
    "time",
    "ts_x",
    "measure_name",
    "measure_name_2",
    "measure_value",
    "measure_value_x",
    "ts_non_existent_col",
  ])("%s is refused, in data and in metadata, and as the metric's name", (name) => {
    for (const parts of [{ data: { [name]: 1 } }, { metadata: { [name]: 1 } }, { name }]) {
      expect(sink.encode(event(parts))).toMatchObject({ code: "NAME_RESERVED" });
    }
  });

  test("no field moves an event's time, name, table, id or version", async () => {
    const data = JSON.parse(
      `{"Time":"1","TimeUnit":"SECONDS","MeasureName":"x","Version":9,"Dimensions":[],"tenant_id":"globex",
        "DatabaseName":"x","TableName":"globex","metric_name":"x","__proto__":{"Version":9},"constructor":1,"valueOf":2}`,
    );
    const metadata = JSON.parse('{"event_time":"1970-01-01T00:00:00Z","toString":"x","TIME":1,"Records":2}');
    const stored = await store(event({ id: "e1", metadata, data }));
    expect(Object.keys(stored.tables ?? {})).toEqual(["metrics/acme"]);
    const [record] = stored.tables?.["metrics/acme"] ?? [];
    expect(record).toMatchObject({ time: now, measureName: "logins", version: 1 });
    expect(record?.dimensions.get("event_id")).toBe("e1");
    expect(record?.dimensions.get("event_time")).toBe("1970-01-01T00:00:00Z");
    expect(record?.measures.get("Version")).toEqual({ type: "DOUBLE", value: "9" });
    expect(record?.measures.has("__proto__")).toBe(true);
  });
});

describe("tenants", () => {
  test.each([
    "../x",
    "a/b",
    "a\\b",
    "..",
    ".",
    "ab",
    " acme",
    "acme ",
    "acme\n",
    "a:b",
    "a".repeat(300),
    "caf\u00e9",
    "cafe\u0301",
    "acm\u0435",
    "acme\u200b",
    "acme\u0000",
    "acme%2F",
    'acme"',
  ])("%j names no table: refused, and no other tenant's", (tenant) => {
    expect(sink.encode(event({ tenant }))).toMatchObject({ code: "TENANT_ID_NO_TABLE_NAME" });
  });

  test.each([
    "acme",
    "ACME",
    "...",
    ".acme",
    "CON",
    "nul",
    "measure_value_x",
    "time",
    "ts_x",
    "__proto__",
    "constructor",
    "a".repeat(256),
  ])("%s has the table of exactly its name", async (tenant) => {
    const { answer, tables } = await store(event({ tenant }));
    expect(answer).toEqual({ status: "delivered" });
    expect(Object.keys(tables ?? {})).toEqual([`metrics/${tenant}`]);
  });
});

describe("what a refusal tells", () => {
  const many = (letter: string, count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`${letter}${index}`, 1]));
  const long = (letter: string) => letter.repeat(900);

  /** Two records for each code; what a third one must do before is among them. */
  const causes: readonly (readonly [string, string])[] = (
    [
      [{ tenant: "../x" }, { tenant: "a/b" }],
      [{ data: { ["m".repeat(257)]: 1 } }, { data: { ["n".repeat(300)]: 1 } }],
      [{ data: { "a:b": 1 } }, { data: { "": 1 } }],
      [{ data: { ts_one: 1 } }, { data: { 'measure_value "x"': 1 } }],
      [
        { metadata: { plan: 1 }, data: { plan: 1 } },
        { metadata: { seats: 1 }, data: { seats: 1 } },
      ],
      [{ id: 7 }, { id: ["x"] }],
      [{ data: { note: "v".repeat(2049) } }, { data: { text: "w".repeat(9000) } }],
      [{ data: { n: "1e400" } }, { data: { m: "-1e400" } }],
      [{ data: { rows: 5.5 } }, { data: { rows: "many" } }],
      [{ data: {} }, { data: { a: null, b: "" } }],
      [{ metadata: many("a", 128) }, { metadata: many("b", 200) }],
      [{ data: many("a", 257) }, { data: many("b", 300) }],
      [
        { data: { a: long("a"), b: long("b"), c: long("c") } },
        { data: { d: long("d"), e: long("e"), f: long("f") } },
      ],
      [{ data: { poison: "validation" } }, { name: "other", data: { poison: "validation" } }],
      [{ data: { poison: "serialization" } }, { name: "other", data: { poison: "serialization" } }],
      [{ data: { poison: "unknown" } }, { name: "other", data: { poison: "unknown" } }],
      [
        { id: "one", data: { n: 1 } },
        { id: "one", data: { n: 2 } },
        { id: "two", data: { n: 1 } },
        { id: "two", data: { n: 2 } },
      ],
      [{ time: "2026-01-01T01:00:00Z" }, { time: "2021-01-01T01:00:00Z" }],
      [
        { tenant: "wide", metadata: many("a", 100) },
        { tenant: "wide", metadata: many("b", 90) },
        { tenant: "wide", metadata: many("c", 90) },
      ],
      [
        { tenant: "typed", data: { column: 1 } },
        { tenant: "typed", data: { column: "text" } },
        { tenant: "typed", data: { column: true } },
      ],
    ] as const satisfies readonly (readonly Parts[])[]
  ).flatMap((records, cause) =>
    records.map((parts: Parts, index): [string, string] => [
      `${cause}-${index}`,
      JSON.stringify({
        metric_name: parts.name ?? "logins",
        metadata: {
          event_id: `${cause}-${index}`,
          ...parts.metadata,
          tenant_id: parts.tenant ?? "acme",
          ...(parts.id === undefined ? {} : { event_id: parts.id }),
        },
        data: { ...(parts.data ?? { count: 1 }), event_time: parts.time ?? now },
      }).replace(/"(-?1e400)"/, "$1"),
    ]),
  );

  async function refusedLetters(): Promise<readonly DeadLetter[]> {
    const world = vendorWorld((clock) => {
      const twin = createTimestreamTwin({ clock });
      const poisons = {
        validation: [400, { __type: "ValidationException" }],
        serialization: [400, { __type: "SerializationException" }],
        unknown: [419, { __type: "RejectedRecordsException" }],
      } as const;
      return {
        sink: makeSink(),
        handle: async (request) => {
          const text = await request.clone().text();
          const poison = Object.entries(poisons).find(([kind]) => text.includes(`"Value":"${kind}"`));
          if (poison === undefined) return await twin.handle(request);
          const [status, body] = poison[1];
          return Response.json(body, { status });
        },
      };
    });
    world.put(causes.map(([, line]) => line));
    const { report, letters } = await world.deliver();
    expect(report.pending, report.pendingReason).toBe(0);
    return letters;
  }

  test("every code is in the sink's table, every code of the table is met, and equal causes share a fingerprint", async () => {
    const byCode = Map.groupBy(await refusedLetters(), ({ code }) => code);
    expect([...byCode.keys()].sort()).toEqual(Object.keys(sink.refusals ?? {}).sort());
    const fingerprints = [...byCode.values()].map((letters) => {
      expect(letters, letters[0]?.code).toHaveLength(2);
      const [first, second] = letters;
      expect(second?.fingerprint, `${first?.reason} | ${second?.reason}`).toBe(first?.fingerprint);
      return first?.fingerprint;
    });
    expect(new Set(fingerprints).size).toBe(byCode.size);
  });

  test("meanings and actions are sentences", () => {
    for (const { meaning, action } of Object.values(sink.refusals ?? {})) {
      for (const sentence of [meaning, action]) expect(sentence).toMatch(/^[A-Za-z].{20,}\.$/);
    }
  });

  test("names that records bring make no fingerprints without end", () => {
    const prints = new Map<string, Set<string>>();
    const name = fc.string({
      unit: fc.constantFrom('"', "'", "a", "9", "\n", "\u0000", "ü", "💥", "\\", " "),
      minLength: 1,
      maxLength: 20,
    });
    fc.assert(
      fc.property(name, (suffix) => {
        for (const parts of [
          { data: { [`ts_${suffix}`]: 1 } },
          { data: { [suffix]: Number.NaN } },
          { data: { [suffix]: "v".repeat(2049) } },
          { metadata: { [suffix]: 1 }, data: { [suffix]: 1 } },
        ]) {
          const encoded = sink.encode(event(parts));
          if (!("rejected" in encoded)) throw new Error("not rejected");
          const { code, rejected } = encoded;
          expect(rejected).not.toMatch(/\p{Cc}/u);
          const known = prints.get(code) ?? new Set();
          prints.set(code, known.add(fingerprint("encode", "timestream", code, rejected)));
        }
      }),
    );
    expect([...prints].map(([code, { size }]) => [code, size]).sort()).toEqual([
      ["NAME_RESERVED", 1],
      ["NAME_TAKEN", 1],
      ["NUMBER_NOT_FINITE", 1],
      ["VALUE_TOO_LONG", 1],
    ]);
  });

  test("a declared field is a cause of its own: the configuration has few of them", () => {
    const reasons = [{ rows: 5.5 }, { rows: "x" }, { flag: "x" }].map((data) => {
      const encoded = sink.encode(event({ data }));
      return "rejected" in encoded ? fingerprint("encode", "timestream", encoded.code, encoded.rejected) : "";
    });
    expect(reasons[1]).toBe(reasons[0]);
    expect(reasons[2]).not.toBe(reasons[0]);
  });
});
