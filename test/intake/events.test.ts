import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { createDeadLetter, recordBytes } from "../../src/dead-letter/dead-letter.ts";
import { systemClock } from "../../src/delivery/clock.ts";
import type { JsonObject, MetricEvent } from "../../src/event.ts";
import { maxDepth } from "../../src/intake/depth.ts";
import { type EventsOptions, type RefusedRecord, readEvents } from "../../src/intake/events.ts";
import { intakeRefusals } from "../../src/intake/refusals.ts";
import { memoryStore } from "../support/memory-store.ts";
import { textOf } from "./bytes-of.ts";

const written = Date.UTC(2026, 5, 1, 12);

async function read(
  input: string | Buffer,
  options: Partial<EventsOptions> = {},
  lastModified = written,
): Promise<{ events: MetricEvent[]; texts: string[]; invalid: RefusedRecord[] }> {
  const store = memoryStore("memory://test", systemClock);
  const bytes = Buffer.from(input);
  await store.put("object", bytes);
  const info = { key: "object", version: "v", size: bytes.length, lastModified };
  const defaults = {
    idPrefix: "prefix",
    from: 0,
    maxRecordBytes: 4 * 1024 * 1024,
    signal: new AbortController().signal,
  };
  const events: MetricEvent[] = [];
  const texts: string[] = [];
  const invalid: RefusedRecord[] = [];
  for await (const window of readEvents(store, info, { ...defaults, ...options })) {
    for (const { event, raw } of window.events) {
      events.push(event);
      texts.push(textOf({ raw }));
    }
    invalid.push(...window.invalid);
  }
  return { events, texts, invalid };
}

/** The records as text, so that what JSON.stringify would not write can be written. */
function record(data: string, metadata = '"tenant_id":"t"', name = '"m"'): string {
  return `{"metric_name":${name},"metadata":{${metadata}},"data":{"event_time":${written},${data}}}`;
}
const good = record('"n":1');

/** What a letter about it keeps. */
function letterBytes({ code, reason, index, start, end, bytes }: RefusedRecord): Buffer | undefined {
  const origin = { bucket: "b", key: "k", version: "v", index, start, end };
  const about = { stage: "intake", sink: "_intake", origin, code, reason, attempts: 0 } as const;
  const letter = JSON.parse(JSON.stringify(createDeadLetter({ ...about, firstAt: 0, lastAt: 0 }, bytes)));
  return recordBytes(letter);
}

describe("what is no event", () => {
  test.each([
    ["an array, of events even", `[${good},${good}]`],
    ["an empty array", "[]"],
    ["a string", '"text"'],
    ["a number", "12"],
    ["true", "true"],
    ["null", "null"],
  ])("%s at the top is one letter with its bytes, and costs no event", async (_, value) => {
    const { texts, invalid } = await read(`${good}\n${value}\n${good}\n`);
    expect(texts).toEqual([good, good]);
    expect(invalid).toMatchObject([{ code: "NOT_AN_OBJECT", index: 1, bytes: Buffer.from(value) }]);
  });

  test("an empty object is one letter with its bytes", async () => {
    const { invalid } = await read(`{}${good}{}`);
    expect(invalid).toMatchObject([
      { code: "METRIC_NAME_MISSING", index: 0, bytes: Buffer.from("{}") },
      { code: "METRIC_NAME_MISSING", index: 2, bytes: Buffer.from("{}") },
    ]);
  });

  test("a record that is cut off at the object's end is one letter with what there is of it", async () => {
    for (let end = 1; end < good.length; end++) {
      const { texts, invalid } = await read(`${good}\n${good.slice(0, end)}`);
      expect(texts).toEqual([good]);
      expect(invalid).toMatchObject([{ code: "CUT_OFF", bytes: Buffer.from(good.slice(0, end)) }]);
    }
  });

  test("a malformed record on a line costs itself alone, without lines its neighbour at most: both are kept", async () => {
    const bad = '{"metric_name":"m","metadata":oops}';
    for (const lineEnd of ["\n", "\r\n", "\r"]) {
      const { texts, invalid } = await read([good, bad, good, good].join(lineEnd));
      expect(texts).toEqual([good, good, good]);
      expect(invalid.map(letterBytes)).toEqual([Buffer.from(bad)]);
    }
    const open = bad.slice(0, -1);
    const { texts, invalid } = await read([good, open, good, good].join(""));
    expect(texts).toEqual([good, good]);
    expect(invalid.map(letterBytes)).toEqual([Buffer.from(open + good)]);
  });

  test("bytes that are not UTF-8 are kept as they came", async () => {
    const bad = Buffer.from(record('"s":"\xff\xfe\x80"'), "latin1");
    const { texts, invalid } = await read(Buffer.concat([Buffer.from(good), bad, Buffer.from(good)]));
    expect(texts).toEqual([good, good]);
    expect(invalid).toMatchObject([{ code: "INVALID_UTF8" }]);
    expect(invalid.map(letterBytes)).toEqual([bad]);
  });

  test("a record above the limit, 4 MiB by default, is known by its byte range alone", async () => {
    const large = record(`"s":"${"x".repeat(4 * 1024 * 1024)}"`);
    const { texts, invalid } = await read(`${good}\n${large}\n${good}`);
    expect(texts).toEqual([good, good]);
    const start = good.length + 1;
    expect(invalid).toMatchObject([{ code: "TOO_LARGE", start, end: start + large.length + 1 }]);
    expect(invalid.map(letterBytes)).toEqual([undefined]);
  });

  test("UTF-16 is called by its name, with and without a byte order mark, of either order", async () => {
    for (const mark of ["", "\ufeff"]) {
      const little = Buffer.from(`${mark}${good}`, "utf16le");
      for (const bytes of [little, Buffer.from(little).swap16()]) {
        const { events, invalid } = await read(bytes);
        expect(events).toEqual([]);
        expect(invalid).toMatchObject([
          { code: "UTF_16", reason: "the record is UTF-16, and JSON must be UTF-8", start: 0 },
        ]);
        expect(invalid.map(letterBytes)).toEqual([bytes]);
      }
    }
    const several = Buffer.from([good, good, good].join("\n"), "utf16le").swap16();
    expect(new Set((await read(several)).invalid.map(({ code }) => code))).toEqual(new Set(["UTF_16"]));
  });

  test("zero bytes, as crashed disks leave them, are a letter of their own, and cost no event", async () => {
    const zeros = "\0".repeat(100);
    for (const input of [
      `${good}\n${zeros}\n${good}`,
      `${good}${zeros}${good}`,
      `${zeros}${good}\n${good}${zeros}`,
    ]) {
      const { texts, invalid } = await read(input);
      expect(texts).toEqual([good, good]);
      expect(invalid.every(({ code }) => code === "NOT_JSON")).toBe(true);
      expect(
        Buffer.concat(invalid.map((refused) => letterBytes(refused) ?? Buffer.alloc(0))).toString(),
      ).toBe(input.replaceAll(good, "").replaceAll("\n", ""));
    }
    const inside = record('"s":"a\0b"');
    expect((await read(`${inside}\n${good}`)).invalid).toMatchObject([{ code: "NOT_JSON" }]);
  });

  test("damage to a container is one letter without bytes that tells the range of the stored object", async () => {
    const packed = gzipSync(`${good}\n`.repeat(50), { level: 0 });
    const at = packed.length - 8;
    packed.fill(0, at);
    const { texts, invalid } = await read(Buffer.concat([packed, Buffer.from("junk")]));
    expect(texts).toHaveLength(50);
    const end = packed.length + 4;
    expect(invalid).toMatchObject([{ code: "CONTAINER_CORRUPT", index: 50, stored: { end } }]);
    expect(invalid[0]?.stored?.start).toBeGreaterThanOrEqual(at);
    expect(invalid[0]?.reason).toContain(`to ${end} of the stored object`);
    expect(invalid.map(letterBytes)).toEqual([undefined]);
  });

  test("limits of inflation come from the options", async () => {
    const packed = gzipSync(`${good}\n`.repeat(50));
    const { texts, invalid } = await read(packed, { maxInflatedBytes: 10 * (good.length + 1) });
    expect(texts).toHaveLength(10);
    expect(invalid).toMatchObject([{ code: "CONTAINER_BOMB", stored: { end: packed.length } }]);
  });
});

describe("framing", () => {
  test.each([
    ["carriage returns alone", [good, good, good].join("\r"), 3],
    ["byte order marks at the start and in the middle", `\ufeff${good}\n\ufeff${good}\ufeff${good}`, 3],
    ["tabs, blanks and empty lines", `\t ${good} \t${good}\n\n \n${good}`, 3],
  ])("%s: every event is read", async (_, input, count) => {
    const { texts, invalid } = await read(input);
    expect(texts).toEqual(Array(count).fill(good));
    expect(invalid).toEqual([]);
  });
});

describe("nesting", () => {
  const nested = (depth: number) => record(`"n":${'{"a":'.repeat(depth - 2)}1${"}".repeat(depth - 2)}`);

  test("100 levels are an event, as any number up to the limit", async () => {
    const { texts, invalid } = await read(`${nested(100)}\n${nested(maxDepth)}${nested(100)}`);
    expect(texts).toEqual([nested(100), nested(maxDepth), nested(100)]);
    expect(invalid).toEqual([]);
  });

  test("one level more is a letter with its bytes, and so are 100,000 levels and two million", async () => {
    for (const depth of [maxDepth + 1, 100_000]) {
      const { texts, invalid } = await read(`${good}\n${nested(depth)}\n${good}`);
      expect(texts).toEqual([good, good]);
      expect(invalid).toMatchObject([{ code: "TOO_DEEP" }]);
      expect(invalid.map(letterBytes)).toEqual([Buffer.from(nested(depth))]);
    }
    const brackets = "[".repeat(2_000_000);
    for (const [input, code] of [
      [brackets + "]".repeat(2_000_000), "TOO_DEEP"],
      [brackets, "NOT_JSON"],
      ['{"a":'.repeat(800_000), "NOT_JSON"],
    ] as const) {
      const { texts, invalid } = await read(`${good}\n${input}\n${good}`);
      expect(texts).toEqual([good, good]);
      expect(invalid).toMatchObject([{ code }]);
    }
  });

  test("lists count like objects, in as few bytes as they take", async () => {
    const lists = (depth: number) => record(`"n":${"[".repeat(depth - 2)}${"]".repeat(depth - 2)}`);
    expect((await read(lists(maxDepth))).events).toHaveLength(1);
    expect((await read(lists(maxDepth + 1))).invalid).toMatchObject([{ code: "TOO_DEEP" }]);
    const bare = "[".repeat(maxDepth + 1) + "]".repeat(maxDepth + 1);
    expect((await read(bare)).invalid).toMatchObject([{ code: "TOO_DEEP" }]);
    expect((await read(bare.slice(1, -1))).invalid).toMatchObject([{ code: "NOT_AN_OBJECT" }]);
  });

  test("brackets without depth are none: strings full of them, and long lists of lists", async () => {
    const wide = record(`"s":"${"[{".repeat(2000)}","l":[${Array(2000).fill("[[]]").join(",")}]`);
    expect((await read(wide)).texts).toEqual([wide]);
  });

  test("whatever is taken can be turned into JSON, cloned and walked", async () => {
    const { events } = await read(nested(maxDepth));
    expect(JSON.stringify(events[0]?.data)).toContain('{"a":1}');
    expect(structuredClone(events[0]?.data)).toEqual(events[0]?.data);
  });
});

describe("names and values that are hard to keep", () => {
  test("__proto__ as a key changes no prototype and survives as an own property, at every level", async () => {
    const hostile =
      '"__proto__":{"polluted":true,"__proto__":{"polluted":true}},"constructor":1,"toString":2';
    const { events, texts } = await read(
      `${record(hostile)}\n${record(hostile, '"tenant_id":"t","__proto__":{"polluted":true}')}`,
    );
    expect(events).toHaveLength(2);
    const plain: Record<string, unknown> = {};
    expect(plain["polluted"]).toBeUndefined();
    for (const { data } of events) {
      expect(Object.getPrototypeOf(data)).toBe(Object.prototype);
      expect(Object.keys(data)).toEqual(["event_time", "__proto__", "constructor", "toString"]);
      const own: unknown = Object.getOwnPropertyDescriptor(data, "__proto__")?.value;
      expect(JSON.stringify(own)).toBe('{"polluted":true,"__proto__":{"polluted":true}}');
      expect(JSON.stringify(data)).toContain(hostile);
      expect(Object.keys({ ...data })).toContain("__proto__");
    }
    expect(events[1]?.metadata["polluted"]).toBeUndefined();
    expect(texts[0]).toBe(record(hostile));
  });

  test("fields are never taken from a prototype", async () => {
    const fake = `{"__proto__":${good}}`;
    expect((await read(fake)).invalid).toMatchObject([{ code: "METRIC_NAME_MISSING" }]);
  });

  test("of duplicate keys the last one wins, for the id and the tenant too", async () => {
    const { events, texts } = await read(
      record('"n":1,"n":2', '"tenant_id":"a","event_id":"first","event_id":"last","tenant_id":"b"'),
    );
    expect(events).toMatchObject([{ id: "last", tenantId: "b", data: { n: 2 } }]);
    expect(texts[0]).toContain('"n":1,"n":2');
  });

  test("half a surrogate pair survives in values, as an escape in what sinks are sent", async () => {
    const { events, texts } = await read(record('"s":"a\\ud800b","\\udfff":1'));
    expect(events[0]?.data["s"]).toBe("a\ud800b");
    expect(JSON.stringify(events[0]?.data)).toContain('"s":"a\\ud800b","\\udfff":1');
    expect(texts[0]).toContain('"s":"a\\ud800b","\\udfff":1');
  });

  test("half a surrogate pair in a tenant or a metric is refused: encoded, two tenants would become one", async () => {
    const { events, invalid } = await read(
      [
        record('"n":1', '"tenant_id":"\\ud800"'),
        record('"n":1', '"tenant_id":"\\udc00"'),
        record('"n":1', undefined, '"\\ud800"'),
        record('"n":1', '"tenant_id":"\\ud83d\\ude00"'),
      ].join("\n"),
    );
    expect(invalid.map(({ code }) => code)).toEqual([
      "TENANT_ID_INVALID",
      "TENANT_ID_INVALID",
      "METRIC_NAME_INVALID",
    ]);
    expect(events).toMatchObject([{ tenantId: "😀" }]);
  });

  test("half a surrogate pair or a blank makes an id unusable: the record gets a derived one", async () => {
    const ids = ['"\\ud800"', '"\\udc00"', '" "', '"\\t\\n"', '""', "null", "7"];
    const { events } = await read(
      ids.map((id) => record('"n":1', `"tenant_id":"t","event_id":${id}`)).join("\n"),
    );
    expect(events.map(({ id }) => id)).toEqual(ids.map((_, n) => `prefix-${n}`));
  });

  test("numbers are what JSON.parse makes of them, and the record keeps how they were written", async () => {
    const data = '"huge":1e400,"odd":9007199254740993,"zero":-0,"small":1e-400';
    const { events, texts } = await read(record(data));
    const huge: JsonObject | undefined = events[0]?.data;
    expect(huge).toMatchObject({ huge: Number.POSITIVE_INFINITY, odd: 2 ** 53, small: 0 });
    expect(Object.is(huge?.["zero"], -0)).toBe(true);
    expect(texts[0]).toContain(data);
  });

  test("an escaped zero character survives", async () => {
    const { events } = await read(record('"s":"a\\u0000b"'));
    expect(events[0]?.data["s"]).toBe("a\0b");
  });

  test("a blank tenant or metric is missing; blanks around one are part of it", async () => {
    const blanks = ['""', '"  "', '"\\t\\r\\n"', '"\\u00a0\\u3000"'];
    for (const blank of blanks) {
      expect((await read(record('"n":1', `"tenant_id":${blank}`))).invalid).toMatchObject([
        { code: "TENANT_ID_MISSING" },
      ]);
      expect((await read(record('"n":1', undefined, blank))).invalid).toMatchObject([
        { code: "METRIC_NAME_MISSING" },
      ]);
    }
    const { events } = await read(
      [" acme", "acme", "acme "]
        .map((tenant) => record('"n":1', `"tenant_id":"${tenant}"`, '" a metric "'))
        .join(""),
    );
    expect(events.map(({ tenantId }) => tenantId)).toEqual([" acme", "acme", "acme "]);
    expect(events[0]?.metricName).toBe(" a metric ");
  });
});

describe("absurd times", () => {
  const at = (time: number) => record('"n":1').replace(String(written), String(time));
  const hour = 3_600_000;

  test("by default nothing is too old, and nothing up to 24 hours after the object was written too far ahead", async () => {
    const times = [0, written - 365 * 24 * hour, written + 24 * hour];
    expect((await read(times.map(at).join("\n"))).events.map(({ time }) => time)).toEqual(times);
    expect((await read(at(written + 24 * hour + 1))).invalid).toMatchObject([
      { code: "EVENT_TIME_TOO_FAR_AHEAD", bytes: Buffer.from(at(written + 24 * hour + 1)) },
    ]);
  });

  test("limits come from the options, to the millisecond", async () => {
    const limits = { maxAgeMs: hour, maxAheadMs: 0 };
    const { events, invalid } = await read(
      [written - hour - 1, written - hour, written, written + 1].map(at).join("\n"),
      limits,
    );
    expect(events.map(({ time }) => time)).toEqual([written - hour, written]);
    expect(invalid.map(({ code }) => code)).toEqual(["EVENT_TIME_TOO_OLD", "EVENT_TIME_TOO_FAR_AHEAD"]);
  });

  test("the clock that counts is the object's, so a bucket of last year is read as it was then", async () => {
    const lastYear = written - 365 * 24 * hour;
    expect((await read(at(lastYear - hour), { maxAgeMs: 2 * hour }, lastYear)).events).toHaveLength(1);
  });

  test("a store that does not know when the object was written refuses no time", async () => {
    for (const unknown of [0, 1, Date.UTC(1980, 0, 1)]) {
      expect((await read(at(written), { maxAgeMs: 1, maxAheadMs: 0 }, unknown)).events).toHaveLength(1);
    }
  });
});

test("every code has its meaning and what to do about it, in sentences", () => {
  for (const [code, { meaning, action }] of Object.entries(intakeRefusals)) {
    expect(code).toMatch(/^[A-Z][A-Z0-9_]+$/);
    expect(meaning).toMatch(/^\S.*\.$/);
    expect(action).toMatch(/^[A-Z].*\.$/);
  }
});
