import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { Damage } from "../../src/intake/container.ts";
import { JsonScanner } from "../../src/intake/json-scanner.ts";
import { type RawRecord, type RecordsOptions, readRecords } from "../../src/intake/records.ts";
import { Restart } from "../../src/intake/restart.ts";
import { hostileJson, jsonPieces } from "./arbitraries.ts";
import { bytesOf, textOf } from "./bytes-of.ts";
import { oracle } from "./oracle.ts";

async function* cut(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

async function collect(
  windows: AsyncIterable<Buffer | Damage>,
  options?: RecordsOptions,
): Promise<RawRecord[]> {
  const all: RawRecord[] = [];
  for await (const records of readRecords(windows, options)) all.push(...records);
  return all;
}

/** Reads in windows of the given sizes, turn by turn. */
function read(input: Buffer | string, sizes: readonly number[] = [65_536], options?: RecordsOptions) {
  return collect(cut(Buffer.from(input), sizes), options);
}

/** The text of a valid record, the code and text of an invalid one. */
function brief(records: readonly RawRecord[]): string[] {
  return records.map((record) =>
    "code" in record ? `${record.code} ${record.bytes?.toString() ?? "-"}` : textOf(record),
  );
}

const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 4 });

/** Between records: nothing, one line feed, several, CRLF, spaces, a byte order mark. */
const gap = fc.constantFrom("", "\n", "\r\n", "\n\n", " ", "\t \n", "\ufeff", "\n\ufeff");

const framed = fc.array(
  fc.record({ value: hostileJson, gap, indent: fc.constantFrom(undefined, undefined, 2, "\t") }),
  { maxLength: 8 },
);

describe("any framing, cut anywhere", () => {
  test("gives every object once, in order, with the range of its own bytes", async () => {
    await fc.assert(
      fc.asyncProperty(framed, sizes, fc.boolean(), async (parts, windows, mark) => {
        const expected: { index: number; start: number; end: number; value: unknown }[] = [];
        let input = Buffer.from(mark ? "\ufeff" : "");
        for (const [index, part] of parts.entries()) {
          const text = Buffer.from(JSON.stringify(part.value, null, part.indent));
          const start = input.length;
          // `-0` and `__proto__` do not survive a round trip: the text is what counts.
          expected.push({ index, start, end: start + text.length, value: JSON.parse(text.toString()) });
          input = Buffer.concat([input, text, Buffer.from(part.gap)]);
        }
        const records = await read(input, windows);
        expect(records).toMatchObject(expected);
        for (const record of records)
          expect(bytesOf(record)).toEqual(input.subarray(record.start, record.end));
      }),
      { numRuns: 400 },
    );
  });

  test("reads what is nearly JSON as the simplest reader would, and leaves no byte out", async () => {
    await fc.assert(
      fc.asyncProperty(jsonPieces, sizes, async (text, windows) => {
        const input = Buffer.from(text);
        const records = await read(input, windows);
        expect(
          records.map((record) => ({
            start: record.start,
            end: record.end,
            ...("value" in record ? { value: record.value } : {}),
          })),
        ).toEqual(oracle(input));
        let end = 0;
        for (const [index, record] of records.entries()) {
          expect(record.index).toBe(index);
          expect(input.toString("utf8", end, record.start)).toMatch(/^[ \t\r\n\ufeff]*$/);
          expect(bytesOf(record)).toEqual(input.subarray(record.start, record.end));
          end = record.end;
        }
        expect(input.toString("utf8", end)).toMatch(/^[ \t\r\n\ufeff]*$/);
      }),
      { numRuns: 4000 },
    );
  });

  test("any bytes at all give the same records in windows of every size", async () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      jsonPieces.map((text) => Buffer.from(text, "latin1")),
    );
    await fc.assert(
      fc.asyncProperty(
        bytes,
        sizes,
        fc.integer({ min: 4, max: 30 }),
        async (input, windows, maxRecordBytes) => {
          const whole = await read(Buffer.from(input), [1000], { maxRecordBytes });
          expect(await read(Buffer.from(input), windows, { maxRecordBytes })).toEqual(whole);
          for (const record of whole) {
            const large = "code" in record && record.code === "TOO_LARGE";
            expect(large).toBe(record.end - record.start > maxRecordBytes);
            expect(bytesOf(record) === undefined).toBe(large);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe("a broken record among good ones", () => {
  const good = (n: number) => `{"metric_name":"m","data":{"n":${n},"s":"}{ é"}}`;
  const broken = [
    ['{"a":1,', "cut after a comma"],
    ['{"a":', "cut after a colon"],
    ['{"a":[', "cut in an array"],
    ['{"a":"b', "cut in a string"],
    ['{"a":"b\\', "cut in an escape"],
    ['{"a', "cut in a key"],
    ["{", "cut after its brace"],
    ['{"a":{"b":{"c":1}', "cut before its last braces"],
    ['{"a":tru}', "a wrong literal"],
    ["{'a':1}", "wrong quotes"],
    ['{"a":1}}', "one brace too many"],
    ['{"a":"\u0007"}', "a control character"],
    ["plain text", "no JSON at all"],
    ["]", "a bracket"],
  ] as const;

  test.each(broken)("on lines, %s (%s) costs no other record", async (bad) => {
    for (const lineEnd of ["\n", "\r\n", "\n\n", "\n \t"]) {
      const input = [good(0), good(1), bad, good(2), good(3), good(4), ""].join(lineEnd);
      for (const size of [1, 7, 65_536]) {
        const records = await read(input, [size]);
        const valid = brief(records.filter((record) => "value" in record && record.end - record.start > 7));
        expect(valid).toEqual([good(0), good(1), good(2), good(3), good(4)]);
        const invalid = records.filter((record) => "code" in record);
        // One brace too many stands behind a record that is whole.
        expect(brief(invalid)).toEqual([`NOT_JSON ${bad === '{"a":1}}' ? "}" : bad}`]);
      }
    }
  });

  test.each(broken)("with nothing between records, %s (%s) costs one neighbour at most", async (bad) => {
    const input = [good(0), good(1), bad, good(2), good(3), good(4)].join("");
    const records = await read(input, [11]);
    const valid = brief(records.filter((record) => "value" in record));
    expect(valid).toEqual(expect.arrayContaining([good(0), good(1), good(3), good(4)]));
    const lost = brief(records)
      .filter((text) => text.startsWith("NOT_JSON"))
      .join("");
    expect(lost).toContain(bad === '{"a":1}}' ? "}" : bad);
  });

  test("its reason says where it breaks, and repeats nothing of it", async () => {
    expect(await read('{"secret":oops}\n{"a":1}')).toMatchObject([
      { code: "NOT_JSON", reason: "the record is not JSON: wrong byte at offset 10" },
      { value: { a: 1 } },
    ]);
  });

  test("a last record that is cut off says so", async () => {
    for (const rest of ['{"a":"b', '{"a":1', "{", '[{"a":1},'] as const) {
      const records = await read(`{"z":1}\n${rest}`, [3]);
      expect(brief(records.slice(1)).join("")).toContain(
        rest.startsWith("[") ? "NOT_JSON [" : `CUT_OFF ${rest}`,
      );
    }
  });

  test("only the first of several lines that each open a container is lost with its line", async () => {
    expect(brief(await read('{"a":\n{"b":1}\n{"c":2}\n'))).toEqual(['NOT_JSON {"a":', '{"b":1}', '{"c":2}']);
    expect(brief(await read('{"a":\n{"b":1}\n'))).toEqual(['NOT_JSON {"a":', '{"b":1}']);
  });
});

describe("what is no object", () => {
  test("scalars and arrays are records of their own: whether they are events is not decided here", async () => {
    expect(
      (await read('1\n"a {\\"b"\ntrue\n[1,\n{"a":2}]\nnull {"c":3}')).map((r) => "value" in r && r.value),
    ).toEqual([1, 'a {"b', true, [1, { a: 2 }], null, { c: 3 }]);
  });

  test("junk reaches to the end of its line, or to an object in it", async () => {
    expect(brief(await read('ERROR x: y\n[INFO] started {"a":1}\nbye'))).toEqual([
      "NOT_JSON ERROR x: y",
      "NOT_JSON [INFO] started",
      '{"a":1}',
      "NOT_JSON bye",
    ]);
  });

  test("an empty object, or one of white space alone, holds no record", async () => {
    for (const input of ["", " \r\n\t\n", "\ufeff", "\ufeff\n"]) expect(await read(input, [1])).toEqual([]);
  });
});

describe("UTF-8", () => {
  test("a record whose strings are not UTF-8 is invalid and keeps its bytes; its neighbours are unharmed", async () => {
    const bad = Buffer.from('{"a":"\xff"}', "latin1");
    const input = Buffer.concat([Buffer.from('{"a":"é"}\n'), bad, Buffer.from('\n{"a":"\ufffd"}\n')]);
    for (const size of [1, 8, 1000]) {
      expect(await read(input, [size])).toMatchObject([
        { value: { a: "é" } },
        { code: "INVALID_UTF8", bytes: bad },
        { value: { a: "\ufffd" } },
      ]);
    }
  });

  test("characters that are cut by a window are whole", async () => {
    const text = '{"a":"日本😀é"}';
    const input = Array(5000).fill(text).join("\n");
    for (const size of [997, 65_536, 65_537]) {
      const records = await read(input, [size]);
      expect(records).toHaveLength(5000);
      expect(new Set(records.map((record) => "value" in record && JSON.stringify(record.value)))).toEqual(
        new Set([text]),
      );
    }
  });
});

describe("a record that is too large", () => {
  test("is known by its range alone, and costs itself alone", async () => {
    const large = `{"a":"${"x".repeat(200)}"}`;
    for (const between of ["\n", ""]) {
      for (const size of [1, 16, 1000]) {
        const records = await read(`{"b":1}${between}${large}${between}{"c":1}`, [size], {
          maxRecordBytes: 100,
        });
        const start = 7 + between.length;
        expect(records).toMatchObject([
          { value: { b: 1 } },
          { code: "TOO_LARGE", start, end: start + large.length + between.length, index: 1 },
          { value: { c: 1 } },
        ]);
        expect(records[1]).not.toHaveProperty("bytes");
      }
    }
  });

  test("fits when it is exactly as large as it may be", async () => {
    const text = `{"a":"${"x".repeat(92)}"}`;
    for (const size of [1, 1000]) {
      expect(brief(await read(`${text} ${text}\n${text}${text}`, [size], { maxRecordBytes: 100 }))).toEqual(
        Array(4).fill(text),
      );
    }
  });

  test("takes no memory", async () => {
    const allocated = vi.spyOn(Buffer, "allocUnsafe");
    for (const first of ['{"a":"', "junk", '{"a":oops']) {
      allocated.mockClear();
      async function* windows() {
        yield Buffer.from(first);
        for (let n = 0; n < 400; n++) yield Buffer.alloc(64 * 1024, "x");
        yield Buffer.from('"}\n{"b":1}');
      }
      const records = await collect(windows(), { maxRecordBytes: 256 * 1024 });
      expect(records).toMatchObject([{ code: "TOO_LARGE", start: 0 }, { value: { b: 1 } }]);
      expect(Math.max(...allocated.mock.calls.map(([bytes]) => bytes))).toBeLessThan(1024 * 1024);
    }
  });
});

describe("damage", () => {
  const damage = {
    damage: "CONTAINER_CORRUPT",
    reason: "the gzip data is corrupt",
    start: 40,
    end: 90,
  } as const;
  async function* damaged(...windows: readonly (string | Damage)[]) {
    for (const window of windows) yield typeof window === "string" ? Buffer.from(window) : window;
  }

  test("is one invalid record without bytes, of the stored range that could not be read", async () => {
    const records = await collect(damaged('{"a":1}', damage));
    expect(records).toMatchObject([{ value: { a: 1 } }, { index: 1, start: 7, end: 7 }]);
    expect(records[1]).toEqual({
      code: "CONTAINER_CORRUPT",
      reason: damage.reason,
      index: 1,
      start: 7,
      end: 7,
      stored: { start: 40, end: 90 },
    });
  });

  test("leaves the record that it broke as one of its own, with the bytes that were read", async () => {
    expect(await collect(damaged('{"a":1}\n{"b"', ':"x', damage))).toMatchObject([
      { value: { a: 1 }, index: 0 },
      { code: "CUT_OFF", index: 1, start: 8, end: 15, bytes: Buffer.from('{"b":"x') },
      { code: "CONTAINER_CORRUPT", index: 2, start: 15, end: 15 },
    ]);
  });

  test("does not end the reading when more can be read, and joins nothing across itself", async () => {
    expect(brief(await collect(damaged('{"a":1}{"b', damage, '":2}\n{"c":1}', damage)))).toEqual([
      '{"a":1}',
      'CUT_OFF {"b',
      "CONTAINER_CORRUPT -",
      'NOT_JSON ":2}',
      '{"c":1}',
      "CONTAINER_CORRUPT -",
    ]);
  });
});

describe("the work", () => {
  afterEach(() => vi.restoreAllMocks());

  /** Bytes that were looked at, decoded or copied, one for each time. */
  async function work(input: string, size: number): Promise<number> {
    let bytes = 0;
    const { indexOf, copy, toString: decode } = Buffer.prototype;
    const { scan } = JsonScanner.prototype;
    const { next } = Restart.prototype;
    vi.spyOn(Buffer.prototype, "indexOf").mockImplementation(function (this: Buffer, needle, from) {
      const found = indexOf.call(this, needle, from);
      bytes += (found === -1 ? this.length : found) - Number(from ?? 0);
      return found;
    });
    vi.spyOn(Buffer.prototype, "copy").mockImplementation(function (this: Buffer, ...rest) {
      const copied = copy.apply(this, rest);
      bytes += copied;
      return copied;
    });
    vi.spyOn(Buffer.prototype, "toString").mockImplementation(function (this: Buffer, encoding, start, end) {
      bytes += Number(end ?? this.length) - Number(start ?? 0);
      return decode.call(this, encoding, start, end);
    });
    vi.spyOn(JsonScanner.prototype, "scan").mockImplementation(function (this: JsonScanner, ...rest) {
      const before = this.length;
      const verdict = scan.apply(this, rest);
      bytes += this.length - before;
      return verdict;
    });
    vi.spyOn(Restart.prototype, "next").mockImplementation(function (this: Restart, ...rest) {
      const before = this.at;
      const found = next.apply(this, rest);
      bytes += this.at - before;
      return found;
    });
    const buffer = Buffer.from(input);
    let records = 0;
    for await (const found of readRecords(cut(buffer, [size]))) records += found.length;
    vi.restoreAllMocks();
    expect(records).toBeGreaterThan(0);
    return bytes / buffer.length;
  }

  test("goes byte by byte for a record that needs it, and for no other", async () => {
    const begun = vi.spyOn(JsonScanner.prototype, "begin");
    for (const between of ["\n", "\r\n", ""]) {
      begun.mockClear();
      const good = Array(200).fill('{"a":"é"}').join(between);
      await read([good, '{"a":oops}', good, '{ "a":\n1}', good, ""].join(between));
      // The two, the one behind the broken one (also to see whether it stands inside of that), and the one before the
      // blank that hides where it ends.
      expect(begun.mock.calls.length).toBeLessThan(6);
    }
  });

  const record = `{"metric_name":"m","data":{"s":"${"}{ é ".repeat(20)}"}}`;
  const repeat = (text: string, bytes: number) => text.repeat(Math.ceil(bytes / text.length));
  test.each([
    ["lines", (bytes: number) => repeat(`${record}\n`, bytes)],
    ["records with nothing between them", (bytes: number) => repeat(record, bytes)],
    ["records with spaces between them on one line", (bytes: number) => repeat(`${record} `, bytes)],
    [
      "JSON over many lines",
      (bytes: number) => repeat(`${JSON.stringify(JSON.parse(record), null, 2)}\n`, bytes),
    ],
    ["records between carriage returns", (bytes: number) => repeat(`${record}\r`, bytes)],
    ["broken records between carriage returns", (bytes: number) => repeat('{"a":oops}\r', bytes)],
    ["one huge record", (bytes: number) => `{"a":"${"x".repeat(bytes)}"}`],
    ["one huge record over many lines", (bytes: number) => `[${repeat('{"a":\n"x"},', bytes)}1]`],
    ["broken lines", (bytes: number) => repeat('{"a":oops}\n', bytes)],
    ["broken records with nothing between them", (bytes: number) => repeat('{"a":"}{"b":oops}', bytes)],
    ["lines that each open an object", (bytes: number) => repeat('{"a":\n', bytes)],
    ["lines that each open an array", (bytes: number) => repeat("[\n", bytes)],
    ["lines that open an array of objects", (bytes: number) => repeat('{"a":[\n{"b":1},\n', bytes)],
    ["junk without an end", (bytes: number) => repeat("junk [ }", bytes)],
    ["empty lines behind a broken record", (bytes: number) => `{oops${"\n".repeat(bytes)}{"a":1}`],
    ["strings that look like the end of a record", (bytes: number) => repeat('{"a":"}{"} ', bytes)],
    ["empty objects", (bytes: number) => repeat("{}", bytes)],
    ["broken lines that begin with empty objects", (bytes: number) => repeat("{}\n{", bytes)],
    ["spaced records, all broken", (bytes: number) => repeat('{ "a": "} { "b": oops }\t', bytes)],
    ["braces between blanks", (bytes: number) => `{oops${repeat("} {   ", bytes)}`],
    ["a brace and blanks without an end", (bytes: number) => `x {${" ".repeat(bytes)}`],
    ["an object inside a broken one and blanks without an end", (n: number) => `x:{"a":1}${" ".repeat(n)}`],
    ["objects inside of a broken one", (bytes: number) => `{oops${repeat(',\n {"a":{"b":"{"}}', bytes)}`],
    ["broken objects inside of broken ones", (bytes: number) => repeat(',\n {"a":[1', bytes)],
    ["objects on lines of their own behind a comma", (n: number) => `x,${repeat('\n {"a":1},', n)}`],
    ["lines that end in commas, and blanks", (n: number) => repeat(`x,\n${" ".repeat(500)}`, n)],
    ["pairs without their record", (bytes: number) => repeat('"a": {"b": [1,{"c":2}]},', bytes)],
    ["far failures with near ones between", (bytes: number) => repeat('{"a":[\n{"b":1},"{",\n', bytes)],
    ["good records by turns with broken ones", (bytes: number) => repeat(`${record}\n{"a":oops}\n`, bytes)],
  ])("is in proportion to the bytes: %s", async (_, make) => {
    for (const size of [512, 65_536]) {
      const few = await work(make(100_000), size);
      const many = await work(make(400_000), size);
      expect(few).toBeLessThan(12);
      expect(many).toBeLessThan(few * 1.5 + 1);
    }
  });

  test("is in proportion to the bytes: whatever is repeated, behind whatever", async () => {
    const unit = jsonPieces.filter((text) => text !== "");
    await fc.assert(
      fc.asyncProperty(jsonPieces, unit, fc.constantFrom(256, 65_536), async (before, again, size) => {
        const few = await work(`${before}{}${repeat(again, 2_000)}`, size);
        const many = await work(`${before}{}${repeat(again, 16_000)}`, size);
        expect(many).toBeLessThan(few * 1.5 + 3);
      }),
      { numRuns: 150 },
    );
  });
});
