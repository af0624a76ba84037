import { describe, expect, test } from "vitest";
import { type RawRecord, readRecords } from "../../src/intake/records.ts";
import { bytesOf, textOf } from "./bytes-of.ts";

/** A record as events are, with objects in objects, in an array, and text that looks like records. */
const event = (n: number) => ({
  metric_name: "m",
  metadata: { tenant_id: `t${n}`, labels: { env: "prod", note: 'a } { "b": é' } },
  data: { event_time: 1_700_000_000_000 + n, items: [{ id: 1 }, { id: 2, of: { id: 3 } }], n },
});

const spaced = (value: unknown) =>
  JSON.stringify(value, null, 1).replaceAll(/\n */g, " ").replaceAll('": ', '" : ');

const framings = {
  compact: (value: unknown) => JSON.stringify(value),
  spaced,
  "spaced inside alone": (value: unknown) => `{ ${JSON.stringify(value).slice(1, -1)} }`,
  indented: (value: unknown) => JSON.stringify(value, null, 2),
  "indented by tabs, with CRLF": (value: unknown) =>
    JSON.stringify(value, null, "\t").replaceAll("\n", "\r\n"),
};

const separators = {
  nothing: [""],
  "a space": [" "],
  "a tab": ["\t"],
  "a line feed": ["\n"],
  CRLF: ["\r\n"],
  "anything, by turns": ["", "\n", " ", "\r\n", "\t", "", " \n\t"],
};

/** All the ways of one kind in which a record can break: every one is put in the record's place. */
const breaks: Record<string, (text: string) => string[]> = {
  "cut off at any byte": (text) => Array.from(text, (_, at) => text.slice(0, at)).filter((cut) => cut !== ""),
  "without its beginning": (text) => Array.from(text, (_, at) => text.slice(at)).slice(1),
  "garbage in its place": () => garbage,
  "garbage before it": (text) => garbage.map((junk) => junk + text),
  "garbage behind it": (text) => garbage.map((junk) => text + junk),
  "without one of its braces": (text) =>
    places(text, /[{}]/g).map((at) => text.slice(0, at) + text.slice(at + 1)),
  "without one of its quotes": (text) =>
    places(text, /"/g).map((at) => text.slice(0, at) + text.slice(at + 1)),
  "one brace too many": (text) =>
    Array.from(text, (_, at) => [
      `${text.slice(0, at)}{${text.slice(at)}`,
      `${text.slice(0, at)}}${text.slice(at)}`,
    ]).flat(),
};

const garbage = [
  "garbage \xff\x01",
  "x",
  "\0\0",
  "}",
  "{",
  "]",
  "[",
  ",",
  ":",
  '"',
  '{"',
  '":',
  "{ {",
  "} }",
  "\\",
  "é",
];

const places = (text: string, what: RegExp) => Array.from(text.matchAll(what), ({ index }) => index);

async function read(input: Buffer, size: number): Promise<RawRecord[]> {
  async function* windows() {
    for (let at = 0; at < input.length; at += size) yield input.subarray(at, at + size);
  }
  const all: RawRecord[] = [];
  for await (const records of readRecords(windows())) all.push(...records);
  return all;
}

/** Six records, of which the third is replaced. */
function withBroken(frame: (value: unknown) => string, between: readonly string[], bad: string): Buffer {
  const parts = [0, 1, 2, 3, 4, 5].map(
    (n) => `${n === 2 ? bad : frame(event(n))}${between[n % between.length] ?? ""}`,
  );
  return Buffer.from(parts.join(""));
}

function expectTiled(input: Buffer, records: readonly RawRecord[]): void {
  let end = 0;
  for (const [index, record] of records.entries()) {
    expect(record.index).toBe(index);
    expect(input.toString("latin1", end, record.start)).toMatch(/^[ \t\r\n]*$/);
    expect(bytesOf(record)?.equals(input.subarray(record.start, record.end))).toBe(true);
    end = record.end;
  }
  expect(input.toString("latin1", end)).toMatch(/^[ \t\r\n]*$/);
}

describe.each(Object.entries(framings))("records that are %s", (_, frame) => {
  const others = [0, 1, 3, 4, 5].map((n) => frame(event(n)));

  describe.each(Object.entries(separators))("separated by %s", (_, between) => {
    const onLines = between.every((blanks) => blanks.includes("\n"));

    test.each(Object.entries(breaks))(
      "%s: one such record costs at most a neighbour, on lines no other, and every byte is kept",
      async (_, variants) => {
        for (const bad of variants(frame(event(2)))) {
          const input = withBroken(frame, between, bad);
          const records = await read(input, 65_536);
          const valid = new Set(records.flatMap((record) => ("value" in record ? [textOf(record)] : [])));
          const missing = others.filter((text) => !valid.has(text));
          const allowed = onLines ? [] : [others[1], others[2]];
          if (missing.length > 1 || missing.some((text) => !allowed.includes(text))) {
            expect.fail(`${JSON.stringify(bad)} costs ${missing.join(" and ")}`);
          }
          expectTiled(input, records);
        }
      },
    );

    test("what a broken one costs depends on no window", async () => {
      const variants = Object.values(breaks).flatMap((make) => make(frame(event(2))));
      // Every twentieth, or the small windows would take minutes.
      for (let n = 0; n < variants.length; n += 20) {
        const input = withBroken(frame, between, variants[n] ?? "");
        const whole = await read(input, 65_536);
        for (const size of [1, 2, 7, 61]) expect(await read(input, size)).toEqual(whole);
      }
    });
  });

  test("no object inside of a broken one becomes a record", async () => {
    const text = frame(event(2));
    const inner = [
      text.replace(/"m"/, "oops"),
      text.replace(/"t2"/, '"t2'),
      text.replace(/: ?\{/, ""),
      text.slice(1),
      text.slice(text.indexOf('"labels"')),
      text.slice(text.indexOf('"items"')),
      `${text.slice(0, text.indexOf("}"))}}${text.slice(text.indexOf("}"))}`.replace('"m"', "oops"),
    ];
    for (const between of Object.values(separators)) {
      for (const bad of inner) {
        expect(bad).not.toBe(text);
        const records = await read(withBroken(frame, between, bad), 65_536);
        for (const record of records) if ("value" in record) expect(others).toContain(textOf(record));
      }
    }
  });
});

test("records are still read where each has the same fault around it", async () => {
  const good = [0, 1, 2, 3].map((n) => JSON.stringify(event(n)));
  for (const around of ["%}", "%]", "%,", "x %, y ", "x: %} ", "}%}", "x=%,\n", "[%\n"]) {
    const input = Buffer.from(good.map((text) => around.replace("%", text)).join(""));
    const records = await read(input, 9);
    expect(records.flatMap((record) => ("value" in record ? [textOf(record)] : []))).toEqual(good);
    expectTiled(input, records);
  }
});

test("records between commas are still read when one of them is junk", async () => {
  const good = [0, 1, 2, 3].map((n) => JSON.stringify(event(n)));
  for (const frame of ["%", "[%", "x,%", " [\n  %"]) {
    const records = await read(
      Buffer.from(frame.replace("%", [...good.slice(0, 2), "junk", ...good.slice(2), ""].join(","))),
      9,
    );
    expect(records.flatMap((record) => ("value" in record ? [textOf(record)] : []))).toEqual(good);
  }
});
