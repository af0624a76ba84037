import { constants, gunzipSync, gzipSync, inflateRawSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { systemClock } from "../../src/delivery/clock.ts";
import type { Damage } from "../../src/intake/container.ts";
import { decompress } from "../../src/intake/decompress.ts";
import { type EventWindow, readEvents } from "../../src/intake/events.ts";
import { memoryStore } from "../support/memory-store.ts";
import { bytesOf } from "./bytes-of.ts";
import { choices, concatenated, type Encoded, hadoop, xerial } from "./snappy-encoder.ts";
import { zip } from "./zip-file.ts";

/** A stretch of the stored object that holds content of its own. */
interface Unit {
  readonly start: number;
  readonly end: number;
  readonly content: Buffer;
  /** How much of the content is known when the stored bytes before `at` have been read. */
  known(at: number): number;
}

interface Sample {
  readonly name: string;
  readonly bytes: Buffer;
  readonly units: readonly Unit[];
  /** Between two units: what the reader puts there. */
  readonly between: string;
  /** Where the object could end as well, and be whole. */
  readonly ends: readonly number[];
  /** Whether wrong bytes can look right: there is no checksum. */
  readonly unchecked: boolean;
}

const records = (from: number, to: number) =>
  Buffer.from(
    Array.from(
      { length: to - from },
      (_, n) =>
        `{"metric_name":"m","metadata":{"tenant_id":"t"},"data":{"event_time":${1.7e12 + from + n}}}\n`,
    ).join(""),
  );
const contents = [records(0, 3), records(3, 5), records(5, 6)];

const lenient = { finishFlush: constants.Z_SYNC_FLUSH };
const length = (inflate: () => Buffer) => {
  try {
    return inflate().length;
  } catch {
    return 0;
  }
};

function gzipSample(): Sample {
  const members = contents.map((content) => gzipSync(content));
  let at = 0;
  const units = members.map((member, n) => {
    const start = at;
    at += member.length;
    return {
      start,
      end: at,
      content: contents[n] ?? Buffer.alloc(0),
      known: (to: number) => length(() => gunzipSync(member.subarray(0, to - start), lenient)),
    };
  });
  const bytes = Buffer.concat(members);
  return { name: "gzip", bytes, units, between: "", ends: units.map(({ end }) => end), unchecked: false };
}

function zipSample(descriptor: boolean): Sample {
  const bytes = zip(...contents.map((content) => ({ content: content.toString(), descriptor })));
  let at = 0;
  const units = contents.map((content) => {
    const start = bytes.indexOf("PK\x03\x04", at) + 34;
    const packed = zip({ content: content.toString() });
    const size = packed.indexOf("PK\x01\x02") - 34;
    at = start + size;
    const known = (to: number) =>
      length(() => inflateRawSync(bytes.subarray(start, Math.min(to, at)), lenient));
    return { start, end: start + size, content, known };
  });
  const name = descriptor ? "ZIP with data descriptors" : "ZIP";
  return { name, bytes, units, between: "\n", ends: [], unchecked: false };
}

function snappySample(name: string, headerBytes: number, streams: readonly Encoded[]): Sample {
  const { bytes, known } = concatenated(...streams);
  const unit = (content: Buffer, start: number, end: number, before: number): Unit => ({
    start,
    end,
    content,
    known: (to) => (known[Math.min(to, end)] ?? 0) - before,
  });
  let at = 0;
  let before = 0;
  const units = streams.map((stream, n) => {
    const start = at;
    at += stream.bytes.length;
    const content = contents[n] ?? Buffer.alloc(0);
    before += content.length;
    return unit(content, start, at, before - content.length);
  });
  const ends = units.flatMap(({ start, end }) => [start + headerBytes, end]);
  return { name, bytes, units, between: "", ends, unchecked: true };
}

const framing = { choose: choices(3) };
const samples: readonly Sample[] = [
  gzipSample(),
  zipSample(false),
  zipSample(true),
  snappySample(
    "xerial's Snappy",
    16,
    contents.map((content) => xerial(content, framing)),
  ),
  snappySample(
    "Hadoop's Snappy",
    0,
    contents.map((content) => hadoop(content, { ...framing, chunkBytes: 100 })),
  ),
];

interface Out {
  readonly damages: readonly Damage[];
  readonly bytes: Buffer;
}

async function unpack(bytes: Buffer): Promise<Out> {
  const store = memoryStore("memory://test", systemClock, 61);
  await store.put("object", bytes);
  const damages: Damage[] = [];
  const windows: Buffer[] = [];
  for await (const part of decompress({ store, key: "object", size: bytes.length })) {
    if (Buffer.isBuffer(part)) windows.push(part);
    else damages.push(part);
  }
  for (const { start, end, reason } of damages) {
    expect(start).toBeGreaterThanOrEqual(0);
    expect(end).toBeGreaterThanOrEqual(start);
    expect(end).toBeLessThanOrEqual(bytes.length);
    expect(reason).toMatch(/\((at byte \d+|bytes \d+ to \d+) of the stored object\)$/);
  }
  return { damages, bytes: Buffer.concat(windows) };
}

/** Every record of a reading tiles the decompressed bytes; damage has its stored range and no bytes. */
async function expectTiled(bytes: Buffer, { bytes: inflated, damages }: Out): Promise<void> {
  const store = memoryStore("memory://test", systemClock);
  await store.put("object", bytes);
  const info = { key: "object", version: "v", size: bytes.length, lastModified: 0 };
  const signal = new AbortController().signal;
  const options = { idPrefix: "p", from: 0, maxRecordBytes: 1 << 20, signal };
  const windows: EventWindow[] = [];
  for await (const window of readEvents(store, info, options)) windows.push(window);
  const all = windows
    .flatMap(({ events, invalid }) => [...events, ...invalid])
    .sort((a, b) => a.index - b.index);
  let at = 0;
  for (const [index, record] of all.entries()) {
    expect(record.index).toBe(index);
    expect(inflated.toString("latin1", at, record.start)).toMatch(/^([ \t\r\n]|\xef\xbb\xbf)*$/);
    if ("stored" in record) {
      expect(record).not.toHaveProperty("bytes");
      expect(record.end).toBe(record.start);
    } else expect(bytesOf(record)).toEqual(inflated.subarray(record.start, record.end));
    at = record.end;
  }
  expect(inflated.toString("latin1", at)).toMatch(/^([ \t\r\n]|\xef\xbb\xbf)*$/);
  expect(all.flatMap((record) => ("stored" in record ? [record.stored] : []))).toEqual(
    damages.map(({ start, end }) => ({ start, end })),
  );
}

describe.each(samples)(
  "$name: every stored byte is a record's, the container's own, or a damage's",
  (sample) => {
    const { bytes, units, between, ends, unchecked } = sample;
    const whole = Buffer.from(units.map(({ content }) => content).join(between));

    test("when it is whole", async () => {
      const out = await unpack(bytes);
      expect(out).toEqual({ bytes: whole, damages: [] });
      await expectTiled(bytes, out);
    });

    test("when it is cut at any byte: all that is there is read, and one damage says that the rest is not", async () => {
      for (let end = 1; end < bytes.length; end++) {
        const cut = bytes.subarray(0, end);
        const out = await unpack(cut);
        await expectTiled(cut, out);
        // A magic that is not even whole is no container: then the bytes are a record.
        if (out.bytes.equals(cut)) {
          expect(end).toBeLessThan(20);
          continue;
        }
        const there = units.filter(({ start }) => start < end);
        const expected = there
          .map(({ content, end: last, known }) => content.subarray(0, known(Math.min(end, last))))
          .join(between);
        // Whether the line feed before a file stands there that has only just begun is nobody's concern.
        expect(out.bytes.toString().trimEnd()).toBe(expected.trimEnd());
        if (ends.includes(end)) expect(out.damages).toEqual([]);
        else expect(out.damages).toMatchObject([{ end }]);
      }
    });

    test("when any byte is wrong: what stands apart from it is read, what it spoils is damage", async () => {
      for (let at = 0; at < bytes.length; at++) {
        // One of the two a byte: both of each take twice the time, and tell the same.
        for (const mask of [at % 2 === 0 ? 0x01 : 0x80]) {
          const wrong = Buffer.from(bytes);
          wrong[at] = (wrong[at] ?? 0) ^ mask;
          const out = await unpack(wrong);
          await expectTiled(wrong, out);
          if (out.bytes.equals(wrong)) continue;
          if (out.damages.length === 0 && !unchecked) expect(out.bytes).toEqual(whole);
          if (out.damages.length === 0 && unchecked) expect(out.bytes.length).toBe(whole.length);
          for (const unit of units) {
            const touched = at >= unit.start && at < unit.end ? at : unit.end;
            const spoiled = out.damages
              .filter(({ start, end }) => start < unit.end && end > unit.start)
              .map(({ start }) => start);
            const until = Math.max(unit.start, Math.min(touched, ...spoiled));
            const good = unit.content.subarray(0, unit.known(until));
            expect(out.bytes.includes(good), `${at} ^ ${mask}, unit at ${unit.start}`).toBe(true);
          }
        }
      }
    });

    test("when bytes are lost, doubled or put in anywhere: nothing before is lost, nothing throws", async () => {
      const change = fc.record({
        at: fc.nat(bytes.length),
        remove: fc.nat(40),
        insert: fc.uint8Array({ maxLength: 40 }),
      });
      await fc.assert(
        fc.asyncProperty(change, async ({ at, remove, insert }) => {
          const other = Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + remove)]);
          const out = await unpack(other);
          await expectTiled(other, out);
          if (out.bytes.equals(other)) return;
          for (const unit of units) {
            if (unit.start >= at) continue;
            const spoiled = out.damages
              .filter(({ start, end }) => start < unit.end && end > unit.start)
              .map(({ start }) => start);
            const until = Math.max(unit.start, Math.min(at, unit.end, ...spoiled));
            const good = unit.content.subarray(0, unit.known(until));
            expect(out.bytes.includes(good)).toBe(true);
          }
        }),
        { numRuns: 100 },
      );
    });
  },
);
