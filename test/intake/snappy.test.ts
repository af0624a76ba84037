import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import { systemClock } from "../../src/delivery/clock.ts";
import { decompress } from "../../src/intake/decompress.ts";
import { decodeBlock, maxBlockBytes } from "../../src/intake/snappy.ts";
import { hadoopHeadBytes, looksLikeHadoop } from "../../src/intake/snappy-frames.ts";
import { memoryStore } from "../support/memory-store.ts";
import { hostileJson, jsonPieces } from "./arbitraries.ts";
import { choices, encodeBlock, hadoop } from "./snappy-encoder.ts";

const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");
const ascii = (text: string) => Buffer.from(text, "latin1").toString("hex");

/** Text with the repetitions that records have, and bytes that have none. */
const content = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes)),
      fc
        .tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 0, max: 300 }))
        .map(([byte, length]) => Buffer.alloc(length, byte)),
      fc.constantFrom('{"metric_name":"m",', '"tenant_id":"', "}{", "日本").map((text) => Buffer.from(text)),
    ),
    { maxLength: 30 },
  )
  .map((parts) => Buffer.concat(parts));

describe("a block", () => {
  test("that another encoder wrote is read as it was meant, and so is its stream", async () => {
    // What aircompressor 2.0.3 (io.airlift) writes for these eight records, as Hadoop frames it. The block in it is,
    // byte for byte, also what org.iq80.snappy 0.4 writes.
    const records = Array.from({ length: 8 }, (_, n) => ({
      metric_name: "m",
      metadata: { tenant_id: `t${n % 3}` },
      data: { event_time: 1767225600000 + n, text: `日本 }{ ${n}` },
    }));
    const stream = Buffer.from(
      "AAADWAAAAMnYBkh7Im1ldHJpY19uYW1lIjoibSIsARJoYWRhdGEiOnsidGVuYW50X2lkIjoidDAifSwiERocZXZlbnRfdGkBNyAxNzY3" +
        "MjI1NjABAVwsInRleHQiOiLml6XmnKwgfXsgMCJ9fQqyawAAMY5rAAAxSmsAADHCawAAMo5rAAAySmsAADLCawCSQQEAM0prAAAzwmsA" +
        "kkEBADRKawAANMJrAJJBAQA1SmsAADXCawCSQQEANkprAAA2wmsAkkEBADdKawAQNyJ9fQo=",
      "base64",
    );
    const text = records.map((record) => `${JSON.stringify(record)}\n`).join("");
    expect(decodeBlock(stream.subarray(8))).toEqual({ bytes: Buffer.from(text), promised: 856 });
    const store = memoryStore("memory://test", systemClock);
    await store.put("object", stream);
    const windows: unknown[] = [];
    for await (const window of decompress({ store, key: "object", size: stream.length }))
      windows.push(window);
    expect(windows).toEqual([Buffer.from(text)]);
  });

  // The format description's own examples, and each element in its smallest and largest form.
  test.each([
    ["nothing", "00", ""],
    ["a varint of three bytes", `feff7f f8fdff1f ${"61".repeat(0x1ffffe)}`, "a".repeat(0x1ffffe)],
    ["a literal, length in the tag", `03 08 ${ascii("abc")}`, "abc"],
    ["a literal of 60 bytes", `3c ec ${"61".repeat(60)}`, "a".repeat(60)],
    ["a literal, length in one byte", `3d f0 3c ${"61".repeat(61)}`, "a".repeat(61)],
    ["a literal, length in two bytes", `03 f4 0200 ${ascii("abc")}`, "abc"],
    ["a literal, length in three bytes", `03 f8 020000 ${ascii("abc")}`, "abc"],
    ["a literal, length in four bytes", `03 fc 02000000 ${ascii("abc")}`, "abc"],
    ["two literals in a row", `02 00 ${ascii("a")} 00 ${ascii("b")}`, "ab"],
    ["a copy with a one-byte offset", `08 0c ${ascii("abcd")} 01 04`, "abcdabcd"],
    ["its longest", `0f 0c ${ascii("abcd")} 1d 04`, "abcdabcdabcdabc"],
    ["its farthest, 2,047 bytes", `8310 f4fe07 ${"62".repeat(2047)} e1ff`, "b".repeat(2051)],
    ["a copy with a two-byte offset", `06 0c ${ascii("abcd")} 06 0300`, "abcdbc"],
    ["its longest, over itself", `41 00 ${ascii("a")} fe 0100`, "a".repeat(65)],
    ["a copy with a four-byte offset", `06 0c ${ascii("abcd")} 07 03000000`, "abcdbc"],
    ['the description\'s "xababab"', `07 08 ${ascii("xab")} 01 02`, "xababab"],
  ])("of %s", (_, block, text) => {
    const { bytes, promised, fault } = decodeBlock(hex(block));
    expect(fault).toBeUndefined();
    expect(promised).toBe(text.length);
    expect(bytes.toString("latin1")).toBe(text);
  });

  test("of any content is read, whatever elements it is written with", () => {
    fc.assert(
      fc.property(content, fc.integer(), (bytes, seed) => {
        const block = encodeBlock(bytes, choices(seed)).bytes;
        expect(decodeBlock(block)).toEqual({ bytes, promised: bytes.length });
      }),
      { numRuns: 500 },
    );
  });

  test.each([
    ["no length", "", "", 0],
    ["a length without an end", "80", "", 0],
    ["a length of six bytes", "808080808001", "", 0],
    ["a length of 2^32", "8080808010", "", 0],
    ["a literal that is cut", `05 10 ${ascii("abc")}`, "abc", 5],
    ["a literal whose length is cut", "03 f4 02", "", 1],
    ["a literal longer than the block", `02 08 ${ascii("abc")}`, "", 1],
    ["a literal of 2^32 bytes", `03 fc ffffffff ${ascii("abc")}`, "", 1],
    ["a copy that is cut", `06 0c ${ascii("abcd")} 06 03`, "abcd", 6],
    ["a copy from nowhere", `08 0c ${ascii("abcd")} 01 00`, "abcd", 6],
    ["a copy from before the block", `08 0c ${ascii("abcd")} 01 05`, "abcd", 6],
    ["a copy at the start", "04 01 01", "", 1],
    ["a copy from 2^32 bytes before", `08 0c ${ascii("abcd")} 0f ffffffff`, "abcd", 6],
    ["a copy longer than the block", `07 0c ${ascii("abcd")} 01 04`, "abcd", 6],
    ["fewer bytes than promised", `05 0c ${ascii("abcd")}`, "abcd", 6],
    ["more elements than promised", `04 0c ${ascii("abcd")} 00 ${ascii("e")}`, "abcd", 6],
  ])("with %s is broken there, and gives what stands before", (_, block, text, at) => {
    const { bytes, fault } = decodeBlock(hex(block));
    expect(bytes.toString("latin1")).toBe(text);
    expect(fault).toEqual({ at, reason: expect.any(String) });
  });
});

describe("any bytes", () => {
  afterEach(() => vi.restoreAllMocks());

  const mutated = fc
    .record({
      bytes: content,
      seed: fc.integer(),
      changes: fc.array(
        fc.record({
          at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
          byte: fc.integer({ min: 0, max: 255 }),
        }),
        { maxLength: 6 },
      ),
      keep: fc.double({ min: 0.5, max: 1, noNaN: true }),
    })
    .map(({ bytes, seed, changes, keep }) => {
      const block = encodeBlock(bytes, choices(seed)).bytes;
      for (const { at, byte } of changes) block[Math.floor(at * block.length)] = byte;
      return block.subarray(0, Math.ceil(keep * block.length));
    });

  test("are decoded or broken, without an exception, a byte from outside, or more memory than they can fill", () => {
    const allocated = vi.spyOn(Buffer, "allocUnsafe");
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
          mutated,
        ),
        fc.integer({ min: 0, max: 255 }),
        (input, around) => {
          // The same bytes in the middle of others: what is read outside would show, what is written too.
          const frame = Buffer.alloc(input.length + 2000, around);
          input.copy(frame, 1000);
          const before = Buffer.from(frame);
          allocated.mockClear();
          const block = decodeBlock(frame.subarray(1000, 1000 + input.length));
          for (const [bytes] of allocated.mock.calls) expect(bytes).toBeLessThanOrEqual(input.length * 22);
          expect(frame).toEqual(before);
          expect(decodeBlock(input)).toEqual(block);
          expect(block.bytes.length).toBeLessThanOrEqual(block.promised ?? 0);
          if (block.fault === undefined) expect(block.bytes.length).toBe(block.promised);
          else expect(block.fault.at).toBeLessThanOrEqual(input.length);
        },
      ),
      { numRuns: 5000 },
    );
  });

  test("that promise more than a block may hold get no memory", () => {
    const allocated = vi.spyOn(Buffer, "allocUnsafe");
    for (const promise of ["ffffffff0f", "8180800801", "81808008"]) {
      const { bytes, fault } = decodeBlock(Buffer.concat([hex(promise), Buffer.alloc(2_000_000)]));
      expect([bytes.length, fault?.at]).toEqual([0, 0]);
    }
    expect(decodeBlock(hex("80808008")).fault?.reason).toBe("is too short for its length");
    expect(allocated).not.toHaveBeenCalled();
    expect(maxBlockBytes).toBe(0x1000000);
  });
});

describe("Hadoop's Snappy, which has no magic,", () => {
  const looks = (bytes: Buffer) => looksLikeHadoop(bytes.subarray(0, hadoopHeadBytes), bytes.length);

  test("is recognised whatever it holds, cut off or not", () => {
    fc.assert(
      fc.property(content, fc.integer(), fc.integer({ min: 1, max: 2000 }), (bytes, seed, chunkBytes) => {
        fc.pre(bytes.length > 0);
        const stream = hadoop(bytes, { chunkBytes, choose: choices(seed) }).bytes;
        expect(looks(stream)).toBe(true);
        if (stream.length > hadoopHeadBytes) expect(looks(stream.subarray(0, hadoopHeadBytes))).toBe(true);
      }),
    );
    expect(looks(hadoop(Buffer.alloc(4_000_000, "x"), { blockBytes: 4_000_000 }).bytes)).toBe(true);
  });

  test("is never seen in JSON, in any text, or in white space", () => {
    const noText = (text: string) => {
      for (const encoding of ["utf8", "utf16le"] as const)
        expect(looks(Buffer.from(text, encoding))).toBe(false);
      expect(looks(Buffer.from(text, "utf16le").swap16())).toBe(false);
    };
    fc.assert(fc.property(jsonPieces, (text) => noText(text.padEnd(hadoopHeadBytes))));
    fc.assert(
      fc.property(hostileJson, fc.constantFrom(undefined, 2, "\t"), (value, indent) =>
        noText(JSON.stringify([value], null, indent).padEnd(hadoopHeadBytes)),
      ),
    );
    fc.assert(
      fc.property(fc.string({ minLength: 20, unit: "binary" }), (text) => noText(text.replaceAll("\0", "0"))),
    );
    noText('{\n\t"\ufeff\u4000 ": []\n}'.padEnd(hadoopHeadBytes));
    for (const blank of ["\t", "\n", "\r", " ", "\ufeff"]) noText(`${blank.repeat(30)}{"a":1}`);
  });

  test.each([
    ["nothing", ""],
    ["zeros", "00".repeat(64)],
    ["a chunk before its block", "00000010 00000000 05 10 6162636465 00000000000000000000"],
    ["a chunk that is larger than its block", "00000004 00000007 05 10 6162636465 00000000000000000000"],
    ["a chunk that begins with a copy", "00000010 00000007 05 01 6162636465 00000000000000000000"],
    ["a literal longer than its chunk", "00000010 00000005 05 10 6162636465 00000000000000000000"],
    ["a literal longer than its length", "00000010 00000007 04 10 6162636465 00000000000000000000"],
    [
      "a chunk of more bytes than its content needs",
      "00000010 00000100 05 10 6162636465 00000000000000000000",
    ],
    ["binary records of protobuf", "0a0b08011207 616263 0a0b08021207 646566 0a0b0803"],
    ["a block that begins like text", "20000000 00000007 05 10 6162636465 00000000000000000000"],
  ])("is not seen in %s", (_, bytes) => {
    expect(looks(hex(bytes))).toBe(false);
  });
});
