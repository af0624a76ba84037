// Objects for a crashing world: small, in every container, with broken records, and a mark in every valid one, so that
// what arrives at a vendor names the record that it came from, whatever id it carries.
import { gzipSync } from "node:zlib";
import { generateObjects } from "../../samples/generate.ts";
import { zip } from "../intake/zip-file.ts";

/** The field of `data` that holds the mark. Every vendor's payload carries it. */
export const markField = "record_mark";

export interface CrashRecord {
  readonly text: string;
  /** `<object's number>-<index>`; undefined when the record is no event. */
  readonly mark: string | undefined;
}

export interface CrashObject {
  readonly key: string;
  readonly bytes: Buffer;
  /** In the order of the object's bytes. */
  readonly records: readonly CrashRecord[];
}

/** One of each: gzip of two members, which meet anywhere, ZIP with its sizes behind the data, raw. */
const containers = [
  {
    suffix: ".gz",
    pack: (content: Buffer) => {
      const middle = content.length >> 1;
      return Buffer.concat([gzipSync(content.subarray(0, middle)), gzipSync(content.subarray(middle))]);
    },
  },
  { suffix: ".zip", pack: (content: Buffer) => zip({ content: content.toString("utf8"), descriptor: true }) },
  { suffix: "", pack: (content: Buffer) => content },
];
const wellFormed: readonly string[] = ["good", "long-value", "odd-tenant"];

/** Three objects that no other seed and number has. `number` is the first one's. */
export function makeObjects(options: {
  readonly seed: number;
  readonly number: number;
  readonly records: number;
  readonly now: number;
}): readonly CrashObject[] {
  const { seed, number, records, now } = options;
  const { objects } = generateObjects({
    seed: seed * 1000 + number,
    now,
    records,
    objects: containers.length,
    // A second tenant would cost a second: Timestream creates one table a second.
    tenants: 1,
    faultsOfEachKind: 2,
  });
  return containers.map((container, place): CrashObject => {
    const generated = objects[place];
    if (generated === undefined) throw new Error("the generator made fewer objects than were asked for");
    const marked = generated.records.map(({ kind, text }, index): CrashRecord => {
      if (!wellFormed.includes(kind)) return { text, mark: undefined };
      const mark = `${number + place}-${index}`;
      const record = JSON.parse(text);
      record.data[markField] = mark;
      return { text: JSON.stringify(record), mark };
    });
    const end = generated.framing === "ndjson" ? "\n" : "";
    const { suffix, pack } = container;
    return {
      key: `${generated.key.replace(/\.[a-z]+$/, "")}${suffix}`,
      bytes: pack(Buffer.from(marked.map(({ text }) => text + end).join(""))),
      records: marked,
    };
  });
}
