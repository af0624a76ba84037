// Records that no producer means: what the folder holds of them, and what they are refused for.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fileSink } from "../../adapters/file/index.ts";
import { createFileTwin } from "../../adapters/file/twin.ts";
import { parseEvent } from "../../src/event.ts";
import { type JsonObject, type JsonValue, type MetricEvent, systemClock } from "../../src/index.ts";
import { freeze, hostileNames, hostileValue, privateValue } from "../support/hostile.ts";
import { vendorWorld } from "../support/vendor-world.ts";

let scratch: string;
beforeAll(() => {
  scratch = mkdtempSync(joinPath(tmpdir(), "file-hostile-"));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

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
      data: join(data, { event_time: "2026-01-01T00:00:00Z" }),
    },
    () => "0b2c1c9e-6b1d-8c3e-9d2f-1a2b3c4d5e6f",
  );
  if (!("event" in parsed)) throw new Error(`no event: ${JSON.stringify(parsed)}`);
  return parsed.event;
}

/** Sends one event as the core would, into a folder of its own. */
async function store(from: MetricEvent) {
  const directory = mkdtempSync(joinPath(scratch, "world-"));
  const sink = fileSink({ directory });
  const encoded = sink.encode(freeze(from));
  if (!("payload" in encoded)) return { encoded };
  const items = [{ event: from, ...encoded }];
  const http = () => Promise.reject(new Error("a file sink makes no request"));
  const context = { http, clock: systemClock, attempt: 1, signal: new AbortController().signal };
  const answer = await sink.send({ partition: sink.partition?.(from) ?? "", items }, context);
  const { lines, stored } = createFileTwin({ directory });
  return { encoded, answer, lines, stored, directory };
}

const sink = fileSink({ directory: "never-written" });

test("any record encodes without a throw or a change to it, and what is taken is read back whole", async () => {
  const name = fc.oneof(fc.stringMatching(/^[a-z][a-z0-9_]{3,12}$/), fc.constantFrom(...hostileNames));
  const fields = fc
    .array(fc.tuple(name, hostileValue), { maxLength: 5 })
    .map((entries): JsonObject => Object.fromEntries(entries));
  const text = fc.string({ unit: "binary", minLength: 1 }).filter((each) => each.trim() !== "");
  const tenant = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom("acme", "ACME", "__proto__", "constructor", "Ünï 💥") },
    { weight: 1, arbitrary: text },
  );
  const anyEvent = fc
    .record({ id: hostileValue, tenant, name: text, metadata: fields, data: fields })
    .map(event);
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
      const { id, metricName, metadata, data, tenantId } = from;
      expect(sent.answer).toEqual({ status: "delivered" });
      expect(sent.lines).toHaveLength(1);
      expect(sent.lines?.[0]).toMatchObject({ tenantId, day: "2026-01-01" });
      const line = { id, metric_name: metricName, time: "2026-01-01T00:00:00.000Z", metadata, data };
      // As text: so `__proto__`, halves of pairs and the order of fields are compared, too.
      expect(JSON.stringify(sent.lines?.[0]?.line)).toBe(JSON.stringify(line));
      const bytes = readFileSync(joinPath(sent.directory ?? "", tenantId, "2026-01-01.ndjson"));
      expect("bytes" in encoded ? encoded.bytes : 0).toBe(bytes.byteLength);
      expect(Buffer.from(bytes.toString("utf8"))).toEqual(bytes);
    }),
    { numRuns: 200, seed: 7 },
  );
  // Neither half of the promise is empty.
  expect(seen.taken).toBeGreaterThan(30);
  expect(seen.rejected).toBeGreaterThan(30);
});

test.each([
  ...[
    "0",
    "-0",
    "false",
    "null",
    '""',
    "9007199254740994",
    "5e-324",
    "{}",
    "[]",
    '{"b":[1,null,{"c":false}]}',
  ],
  ...[
    '"cut \\ud83d"',
    '"\\ude00"',
    '"a\\u0000b"',
    `${"[".repeat(100)}0${"]".repeat(100)}`,
    `"${"v".repeat(100_000)}"`,
  ],
])("a value is delivered as it is (%#)", async (json) => {
  const value: JsonValue = JSON.parse(json);
  const { lines, answer } = await store(event({ data: { field: value } }));
  expect(answer).toEqual({ status: "delivered" });
  expect(JSON.stringify(lines?.[0]?.line?.["data"])).toBe(
    JSON.stringify({ field: value, event_time: "2026-01-01T00:00:00Z" }),
  );
});

test("1,000 fields are delivered", async () => {
  const data = Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`f${index}`, index]));
  expect((await store(event({ data }))).lines?.[0]?.line?.["data"]).toMatchObject(data);
});

test.each<[string, Parts]>([
  ["in data", { data: JSON.parse('{"n":1e400}') }],
  ["deep", { data: JSON.parse('{"n":[{"m":-1e400}]}') }],
  ["in a list", { data: JSON.parse('{"n":[1e400]}') }],
  ["in metadata", { metadata: JSON.parse('{"n":1e400}') }],
  ["that is none", { data: { n: Number.NaN } }],
])("a number %s that JSON could only call null is refused", (_, parts) => {
  expect(sink.encode(freeze(event(parts)))).toMatchObject({ code: "NUMBER_NOT_FINITE" });
});

test.each([
  "id",
  "metric_name",
  "time",
  "metadata",
  "data",
  "__proto__",
  "constructor",
  "toString",
  "toJSON",
])("a field named %s overrides nothing of its line", async (name) => {
  const fields = Object.fromEntries([[name, "theirs"]]);
  const { lines, stored } = await store(event({ metadata: fields, data: fields }));
  expect([...(stored ?? [])]).toEqual([["e1", 1]]);
  expect(lines?.[0]?.line).toMatchObject({
    id: "e1",
    metric_name: "logins",
    time: "2026-01-01T00:00:00.000Z",
    metadata: { tenant_id: "acme" },
    data: { event_time: "2026-01-01T00:00:00Z" },
  });
  expect(Object.keys(lines?.[0]?.line?.["data"] ?? {})).toContain(name);
});

describe("what a refusal tells", () => {
  test("every code is in the sink's table, every code of the table is met, and equal causes share a fingerprint", async () => {
    const directory = mkdtempSync(joinPath(scratch, "refusals-"));
    const world = vendorWorld(() => ({
      sink: fileSink({ directory }),
      handle: createFileTwin({ directory }).handle,
    }));
    /** Two records each. */
    const causes: readonly (readonly Parts[])[] = [
      [{ tenant: "a/b" }, { tenant: "x\\..\\y" }],
      [{ tenant: "../acme" }, { tenant: ".acme" }],
      [{ tenant: "acme." }, { tenant: "globex " }],
      [{ tenant: "org:1" }, { tenant: 'a"b"' }],
      [{ tenant: "CON" }, { tenant: "nul.txt" }],
      [{ tenant: "x".repeat(300) }, { tenant: "é".repeat(150) }],
      [{ tenant: "e\u0301" }, { tenant: "a\u030a" }],
      [{ data: { n: "1e400" } }, { metadata: { other: "1e400" } }],
    ];
    const lines = causes.flat().map(({ tenant = "acme", metadata, data }, index) =>
      JSON.stringify({
        metric_name: "logins",
        metadata: { ...metadata, tenant_id: tenant, event_id: `${index}` },
        data: { ...data, event_time: "2026-01-01T00:00:00Z" },
      }).replace('"1e400"', "1e400"),
    );
    world.put(lines);
    const { report, letters } = await world.deliver();
    expect(report).toMatchObject({ delivered: 0, deadLettered: 16, pending: 0 });
    expect([...new Set(letters.map(({ code }) => code))].sort()).toEqual(
      Object.keys(sink.refusals ?? {}).sort(),
    );
    const byCause = Map.groupBy(letters, ({ event: from }) => Number(from?.id) >> 1);
    for (const each of byCause.values()) {
      expect(new Set(each.map((letter) => letter.fingerprint)).size, each[0]?.reason).toBe(1);
    }
    expect(new Set(letters.map((letter) => letter.fingerprint)).size).toBe(causes.length);
  });

  test("meanings and actions are sentences", () => {
    for (const { meaning, action } of Object.values(sink.refusals ?? {})) {
      for (const sentence of [meaning, action]) expect(sentence).toMatch(/^[A-Za-z].{20,}\.$/);
    }
  });
});
