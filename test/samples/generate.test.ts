import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { fromBufferPromise } from "yauzl";
import metrics from "../../config/metrics/index.ts";
import { type GeneratedObject, generateObjects } from "../../samples/generate.ts";
import { parseEvent } from "../../src/event.ts";
import { createRecordCheck } from "../../src/index.ts";

const now = Date.UTC(2026, 10, 21, 2, 0, 7);

/** The object's content as a plain tool unpacks it: knows nothing of the generator. */
async function unpack({ bytes, container }: GeneratedObject): Promise<string> {
  if (container === "gzip") return gunzipSync(bytes).toString("utf8");
  const zip = await fromBufferPromise(bytes);
  const chunks: Buffer[] = [];
  for await (const entry of zip.eachEntry()) {
    for await (const chunk of await zip.openReadStreamPromise(entry)) chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** Splits as naively as possible: by lines, or where brackets outside of strings balance. */
function split(content: string, framing: GeneratedObject["framing"]): string[] {
  if (framing === "ndjson") return content.split("\n").filter((line) => line !== "");
  const records: string[] = [];
  let [start, depth, quoted] = [0, 0, false];
  for (let at = 0; at < content.length; at += 1) {
    const character = content[at];
    if (quoted && character === "\\") at += 1;
    else if (character === '"') quoted = !quoted;
    else if (!quoted && (character === "{" || character === "[")) depth += 1;
    else if (!quoted && (character === "}" || character === "]")) depth -= 1;
    if (depth > 0 || quoted) continue;
    records.push(content.slice(start, at + 1));
    start = at + 1;
  }
  if (start < content.length) records.push(content.slice(start));
  return records;
}

/** Whether a record is an event, by the words of the unified schema. */
function isEvent(text: string): boolean {
  try {
    const { metric_name, metadata, data } = JSON.parse(text);
    const time = data.event_time;
    return (
      [metric_name, metadata.tenant_id].every((value) => typeof value === "string" && value !== "") &&
      (typeof time === "number" || /^\d{4}-(?!02-30)\d\d-\d\dT[\d:.]+(Z|\+\d\d:\d\d)$/.test(time))
    );
  } catch {
    return false;
  }
}

test("the same seed and now give the same bytes, another seed gives others", () => {
  const [one, same, other] = [1, 1, 2].map((seed) => generateObjects({ seed, now, records: 200 }));
  expect(same).toEqual(one);
  expect(other?.objects[0]?.bytes.equals(one?.objects[0]?.bytes ?? Buffer.of())).toBe(false);
});

describe.each([1, 2, 3, 4, 5])("seed %i", (seed) => {
  const { objects, truth } = generateObjects({ seed, now });

  test("a naive reader finds exactly the records and the counts of the truth", async () => {
    let [valid, invalid] = [0, 0];
    for (const object of objects) {
      const found = split(await unpack(object), object.framing);
      expect(found).toEqual(object.records.map(({ text }) => text));
      valid += found.filter(isEvent).length;
      invalid += found.filter((text) => !isEvent(text)).length;
    }
    expect({ valid, invalid, records: valid + invalid }).toEqual({
      valid: truth.valid,
      invalid: truth.invalid,
      records: truth.records,
    });
  });

  test("each record is what its kind says", () => {
    for (const { kind, text } of objects.flatMap(({ records }) => records)) {
      expect(isEvent(text), text).toBe(["good", "long-value", "odd-tenant"].includes(kind));
      if (kind === "cut") expect(() => JSON.parse(text)).toThrow();
      if (kind === "long-value") expect(JSON.parse(text).metadata.repository.length).toBeGreaterThan(256);
      if (kind === "odd-tenant")
        expect(JSON.parse(text).metadata.tenant_id).not.toMatch(/^[a-zA-Z0-9_.-]{3,256}$/);
    }
  });

  test("what is valid is what the catalog declares, of every metric that it has", () => {
    const check = createRecordCheck(metrics);
    const valid = objects.flatMap(({ records }) =>
      records.filter(({ kind }) => ["good", "long-value", "odd-tenant"].includes(kind)),
    );
    for (const { text } of valid) {
      const parsed = parseEvent(JSON.parse(text), () => "derived");
      expect("event" in parsed && check(parsed.event), text).toBeUndefined();
    }
    expect(Object.keys(truth.byMetric).sort()).toEqual(metrics.map(({ name }) => name).sort());
  });

  test("every kind, six metrics and ten tenants besides the odd one are there", () => {
    expect(truth.byKind).toMatchObject({ good: 3000, cut: 4, "long-value": 4, "odd-tenant": 4 });
    expect(truth.invalid).toBe(5 * 4);
    expect(Object.keys(truth.byMetric)).toHaveLength(6);
    expect(Object.values(truth.byMetric).reduce((sum, count) => sum + count, 0)).toBe(truth.valid);
    expect(truth.tenants).toHaveLength(11);
  });

  test("no cut record swallows its neighbour: the next one starts an object on its own line", () => {
    for (const { records, framing } of objects) {
      for (const [index, { kind }] of records.entries()) {
        const next = records[index + 1];
        if (kind !== "cut" || next === undefined) continue;
        expect(framing).toBe("ndjson");
        expect(next.text.startsWith("{")).toBe(true);
      }
    }
  });
});

test("events happen in the hour before now, none at the same millisecond as another", () => {
  const { objects } = generateObjects({ now });
  const times = objects
    .flatMap(({ records }) => records)
    .filter(({ kind }) => kind === "good")
    .map(({ text }) => new Date(JSON.parse(text).data.event_time).getTime());
  expect(new Set(times).size).toBe(times.length);
  expect(Math.min(...times)).toBeGreaterThanOrEqual(now - 3_600_000);
  expect(Math.max(...times)).toBeLessThan(now);
});

test("keys are Firehose's: the hour's partition and the arrival in UTC, after the newest event and before now", () => {
  for (const { key, container, records } of generateObjects({ now }).objects) {
    const match =
      /^Data\/year=(\d{4})\/month=(\d\d)\/day=(\d\d)\/hour=(\d\d)\/product-events-1-\1-\2-\3-\4-(\d\d)-(\d\d)-[0-9a-f-]{36}\.(gz|zip)$/.exec(
        key,
      );
    expect(match, key).not.toBeNull();
    const [, year, month, day, hour, minute, second, suffix] = match ?? [];
    expect(suffix).toBe(container === "gzip" ? "gz" : "zip");
    const arrived = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}.999Z`);
    const newest = records.filter(({ kind }) => kind === "good").at(-1)?.text ?? "";
    expect(arrived).toBeGreaterThanOrEqual(new Date(JSON.parse(newest).data.event_time).getTime());
    expect(arrived).toBeLessThan(now + 1000);
  }
});

test("four objects show every combination of container and framing", () => {
  const { objects } = generateObjects({ now, records: 40, objects: 4 });
  expect(new Set(objects.map(({ container, framing }) => `${container} ${framing}`)).size).toBe(4);
});

test("ZIP hides its sizes and checksum from the local header, GZIP of lines has two members", () => {
  const { objects } = generateObjects({ now, records: 40, objects: 4 });
  for (const { bytes, container, framing } of objects) {
    if (container === "zip") {
      expect(bytes.readUInt16LE(6)).toBe(0x808);
      expect(bytes.subarray(14, 26)).toEqual(Buffer.alloc(12));
    } else if (framing === "ndjson") {
      // Each member starts with magic, deflate and no flags; the second one is not at the start.
      expect(bytes.indexOf(Buffer.of(0x1f, 0x8b, 0x08, 0x00), 1)).toBeGreaterThan(0);
    }
  }
});

test.each([
  { records: 1, objects: 1, faultsOfEachKind: 0 },
  { records: 3, objects: 6, faultsOfEachKind: 3 },
  { records: 10, objects: 2, faultsOfEachKind: 30, tenants: 1 },
  { records: 500, objects: 1, tenants: 200 },
])("odd sizes keep their counts: $records records, $objects objects", async (options) => {
  const { objects, truth } = generateObjects({ now, ...options });
  expect(objects).toHaveLength(options.objects);
  expect(truth.byKind).toMatchObject({ good: options.records, cut: options.faultsOfEachKind ?? 4 });
  for (const object of objects) {
    expect(split(await unpack(object), object.framing)).toEqual(object.records.map(({ text }) => text));
  }
});
