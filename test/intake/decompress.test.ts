import { crc32, gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { systemClock } from "../../src/delivery/clock.ts";
import type { Damage } from "../../src/intake/container.ts";
import { decompress, type InflationLimits } from "../../src/intake/decompress.ts";
import { StoreError } from "../../src/store/object-store.ts";
import { memoryStore } from "../support/memory-store.ts";
import { choices, concatenated, hadoop, xerial } from "./snappy-encoder.ts";
import { zip, zipShaped } from "./zip-file.ts";

/** What comes out: the bytes between two damages, and each damage. */
async function unpack(
  bytes: Buffer,
  chunkBytes?: number,
  limits?: InflationLimits,
): Promise<(string | Damage)[]> {
  const { store, size } = await stored(bytes, chunkBytes);
  const parts: (string | Damage)[] = [];
  let text: Buffer[] = [];
  const flush = () => {
    if (text.length > 0) parts.push(Buffer.concat(text).toString());
    text = [];
  };
  for await (const window of decompress({ store, key: "object", size }, limits)) {
    if (Buffer.isBuffer(window)) text.push(window);
    else {
      flush();
      parts.push(window);
    }
  }
  flush();
  return parts;
}

async function stored(bytes: Buffer, chunkBytes?: number) {
  const store = memoryStore("memory://test", systemClock, chunkBytes);
  await store.put("object", bytes);
  return { store, size: bytes.length };
}

const lines = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, n) => `{"n":${from + n},"hash":"${crc32(String(from + n))}"}\n`).join(
    "",
  );
const text = lines(0, 20_000);
const damage = (code: "TRUNCATED" | "CORRUPT" | "UNSUPPORTED" | "BOMB", start?: number, end?: number) => ({
  damage: `CONTAINER_${code}`,
  start: start ?? expect.any(Number),
  end: end ?? expect.any(Number),
  reason: expect.stringMatching(
    /^(the|file|a file) .+ \((at byte \d+|bytes \d+ to \d+) of the stored object\)$/,
  ),
});

describe("whole objects", () => {
  test.each([
    ["raw", Buffer.from(text)],
    ["gzip", gzipSync(text)],
    [
      "gzip of several members",
      Buffer.concat([gzipSync(lines(0, 7)), gzipSync(lines(7, 9000)), gzipSync(lines(9000, 20_000))]),
    ],
    ["gzip with zeros behind it", Buffer.concat([gzipSync(text), Buffer.alloc(5000)])],
    ["gzip with an empty member", Buffer.concat([gzipSync(""), gzipSync(text), gzipSync("")])],
    ["ZIP", zip({ content: text })],
    ["ZIP with a data descriptor", zip({ content: text, descriptor: true })],
    ["ZIP without compression", zip({ content: text, method: 0 })],
    [
      "ZIP with a folder and a strange name",
      zip({ name: "folder/", content: "", method: 0 }, { name: "../\\x\0", content: text }),
    ],
    ["ZIP with a data descriptor without signature", zip({ content: text, descriptor: "unsigned" })],
    ["ZIP64 with a data descriptor", zipShaped({ zip64: true }, { content: text, descriptor: true })],
    ["ZIP with a comment", zipShaped({ comment: "PK, commented" }, { content: text })],
    ["xerial's Snappy", xerial(Buffer.from(text)).bytes],
    ["xerial's Snappy in one block", xerial(Buffer.from(text), { blockBytes: 4_000_000 }).bytes],
    [
      "xerial's Snappy of several streams",
      concatenated(...[lines(0, 7), "", lines(7, 20_000)].map((part) => xerial(Buffer.from(part)))).bytes,
    ],
    ["Hadoop's Snappy", hadoop(Buffer.from(text)).bytes],
    [
      "Hadoop's Snappy in blocks of many chunks",
      hadoop(Buffer.from(text), { blockBytes: 500_000, chunkBytes: 1001, choose: choices(1) }).bytes,
    ],
  ])("%s: all bytes, whatever the chunks of the store", async (_, bytes) => {
    for (const chunk of [64 * 1024, 1009]) expect(await unpack(bytes, chunk)).toEqual([text]);
  });

  test("are told apart by their first bytes, even when these come one by one", async () => {
    const content = Buffer.from("{}");
    for (const bytes of [
      gzipSync("{}"),
      zip({ content: "{}" }),
      content,
      xerial(content).bytes,
      hadoop(content).bytes,
    ]) {
      expect(await unpack(bytes, 1)).toEqual(["{}"]);
    }
  });

  test("are told apart by their bytes alone: no suffix leads astray", async () => {
    const store = memoryStore("memory://test", systemClock);
    const content = Buffer.from("{}");
    const all = [
      gzipSync("{}"),
      zip({ content: "{}" }),
      content,
      xerial(content).bytes,
      hadoop(content).bytes,
    ];
    for (const suffix of ["", ".json", ".gz", ".zip", ".snappy", ".hsnappy", ".parquet"]) {
      for (const bytes of all) {
        await store.put(`object${suffix}`, bytes);
        const windows: unknown[] = [];
        for await (const window of decompress({ store, key: `object${suffix}`, size: bytes.length })) {
          windows.push(window);
        }
        expect(windows).toEqual([content]);
      }
    }
  });

  test("the files of a ZIP follow each other on lines of their own", async () => {
    const bytes = zip(
      { content: '{"a":1}', descriptor: true },
      { content: "", method: 0 },
      { content: '{"b":2}' },
    );
    expect(await unpack(bytes)).toEqual(['{"a":1}\n{"b":2}']);
  });

  test.each([
    ["no byte", Buffer.alloc(0)],
    ["gzip of nothing", gzipSync("")],
    ["ZIP of an empty file", zip({ content: "" })],
    ["ZIP without files", zip()],
    ["ZIP64 without files", zipShaped({ zip64: true })],
    ["xerial's Snappy of nothing", xerial(Buffer.alloc(0)).bytes],
    ["Hadoop's Snappy of nothing", Buffer.alloc(4)],
  ])("%s: nothing, and no damage", async (_, bytes) => {
    expect((await unpack(bytes)).join("")).toBe("");
  });

  test.each([
    ["raw", (bytes: Buffer) => bytes],
    ["gzip", (bytes: Buffer) => gzipSync(bytes)],
    ["ZIP", (bytes: Buffer) => zip({ content: bytes.toString("latin1") })],
    ["xerial's Snappy", (bytes: Buffer) => xerial(bytes, { blockBytes: 1_000_000 }).bytes],
    ["Hadoop's Snappy", (bytes: Buffer) => hadoop(bytes).bytes],
  ])("%s: windows of 64 KB at most, which stay as they are", async (_, pack) => {
    const { store, size } = await stored(pack(Buffer.alloc(5_000_000, text.slice(0, 40_000))), 1_000_000);
    const windows: Buffer[] = [];
    const copies: Buffer[] = [];
    for await (const window of decompress({ store, key: "object", size })) {
      if (!Buffer.isBuffer(window)) throw new Error(window.reason);
      windows.push(window);
      copies.push(Buffer.from(window));
    }
    expect(Math.max(...windows.map((window) => window.length))).toBeLessThanOrEqual(64 * 1024);
    expect(windows.length).toBeLessThan(200);
    expect(windows.every((window, n) => window.equals(copies[n] ?? Buffer.alloc(0)))).toBe(true);
  });
});

describe("damaged gzip", () => {
  const packed = gzipSync(text);

  test("cut off: what was there is read, then the damage", async () => {
    for (const end of [packed.length - 1, packed.length - 9, packed.length >> 1, 30_000, 12, 3]) {
      const [good, ...rest] = await unpack(packed.subarray(0, end));
      if (end < 13) expect(good).toEqual(damage("TRUNCATED"));
      else {
        expect(text.startsWith(String(good))).toBe(true);
        expect(String(good).length).toBeGreaterThan(text.length * ((end - 20_000) / packed.length));
        expect(rest).toEqual([damage("TRUNCATED")]);
      }
    }
    expect((await unpack(packed.subarray(0, packed.length - 8)))[0]).toBe(text);
  });

  test("with a wrong checksum: everything is read, then the damage", async () => {
    for (const content of ["{}", text]) {
      const bytes = gzipSync(content);
      bytes.writeUInt32LE(0, bytes.length - 8);
      expect(await unpack(bytes)).toEqual([content, damage("CORRUPT")]);
    }
  });

  test("with unknown bytes behind it: everything is read, then the damage", async () => {
    for (const junk of ["junk", "\0\0junk", "\x1f", "\x1f\x8bxxxxxxxxxx"]) {
      const parts = await unpack(Buffer.concat([packed, Buffer.from(junk, "latin1")]));
      expect(parts[0]).toBe(text);
      expect(parts.slice(1)).toEqual([damage(junk === "\x1f" ? "TRUNCATED" : "CORRUPT")]);
    }
    const padded = Buffer.concat([packed, Buffer.alloc(100_000), Buffer.from("x")]);
    expect(await unpack(padded, 4096)).toEqual([text, damage("CORRUPT", padded.length - 1, padded.length)]);
  });

  test("broken in the middle: every byte before the break is read", async () => {
    // A stored block, then one of a type that does not exist: the place of the break is known to the byte.
    const block = Buffer.concat([Buffer.from([0, 0xe8, 0x03, 0x17, 0xfc]), Buffer.alloc(1000, "g")]);
    const broken = Buffer.concat([
      packed.subarray(0, 10),
      ...Array(90).fill(block),
      Buffer.from([0x06]),
      Buffer.alloc(500),
    ]);
    for (const chunk of [100, 20_000, 64 * 1024]) {
      expect(await unpack(broken, chunk)).toEqual(["g".repeat(90_000), damage("CORRUPT")]);
    }
  });

  test("a second member that is broken costs nothing of the first", async () => {
    const second = gzipSync(lines(0, 10));
    second[12] = (second[12] ?? 0) ^ 0xff;
    const [good, ...rest] = await unpack(Buffer.concat([packed, second]));
    expect(String(good).startsWith(text)).toBe(true);
    expect(rest).toEqual([damage("CORRUPT")]);
  });

  test("any one byte that is wrong is noticed, and loses nothing that stands before it", async () => {
    const content = lines(0, 200);
    const bytes = gzipSync(content);
    for (let at = 10; at < bytes.length; at += 17) {
      const wrong = Buffer.from(bytes);
      wrong[at] = (wrong[at] ?? 0) ^ 0x55;
      const parts = await unpack(wrong);
      expect(parts.at(-1)).toMatchObject({
        damage: expect.stringMatching(/^CONTAINER_(CORRUPT|TRUNCATED)$/),
      });
      // What a decoder that is fed byte by byte makes of the good bytes.
      const [before] = await unpack(bytes.subarray(0, at));
      if (typeof before === "string") expect(String(parts[0]).startsWith(before)).toBe(true);
    }
  });
});

describe("damaged ZIP", () => {
  test("a file with a wrong checksum is read, then the damage, then the next file", async () => {
    const bytes = zip({ content: '{"a":1}', crc: 1 }, { content: '{"b":2}' });
    expect(await unpack(bytes)).toEqual(['{"a":1}', damage("CORRUPT"), '\n{"b":2}']);
  });

  test("a file that cannot be inflated costs no other file", async () => {
    const bytes = zip({ content: text }, { content: '{"b":2}' });
    bytes.fill(0xff, 20_000, 30_000);
    const parts = await unpack(bytes);
    expect(text.startsWith(String(parts[0]).slice(0, 40_000))).toBe(true);
    expect(parts.slice(1)).toEqual([damage("CORRUPT"), '\n{"b":2}']);
  });

  test("a method or an encryption that nobody reads here is said, and costs no other file", async () => {
    const bytes = zip({ content: "x", method: 99 }, { content: "xyz", flags: 1 }, { content: '{"b":2}' });
    expect(await unpack(bytes)).toEqual([
      damage("UNSUPPORTED", 34, 35),
      "\n",
      damage("UNSUPPORTED", 69, 74),
      '\n{"b":2}',
    ]);
  });

  test("without its end, the first file is read as far as it goes", async () => {
    for (const descriptor of [true, false]) {
      const bytes = zip({ content: text, descriptor });
      const [whole, ...rest] = await unpack(bytes.subarray(0, bytes.length - 10));
      expect(whole).toBe(text);
      expect(rest).toEqual([damage("CORRUPT")]);
      const [half] = await unpack(bytes.subarray(0, bytes.length >> 1));
      expect(text.startsWith(String(half))).toBe(true);
      expect(String(half).length).toBeGreaterThan(text.length / 3);
    }
    const plain = zip({ content: text, method: 0 });
    expect((await unpack(plain.subarray(0, 1000)))[0]).toBe(text.slice(0, 1000 - 34));
    expect(await unpack(plain.subarray(0, 20))).toEqual([damage("CORRUPT")]);
  });

  test("without its end, all files are read one behind the other", async () => {
    for (const descriptor of [true, false, "unsigned"] as const) {
      const parts = [lines(0, 50), "", lines(50, 100)];
      const bytes = zip(...parts.map((content) => ({ content, descriptor })));
      const directory = bytes.indexOf("PK\x01\x02");
      const all = `${parts[0]}\n\n${parts[2]}`;
      expect(await unpack(bytes.subarray(0, bytes.length - 1))).toEqual([
        all,
        damage("CORRUPT", directory, bytes.length - 1),
      ]);
      const [cut, ...rest] = await unpack(bytes.subarray(0, directory - 40));
      expect(all.startsWith(String(cut))).toBe(true);
      expect(String(cut)).toContain(`${parts[0]}\n\n{"n":50`);
      expect(rest).toEqual([damage("TRUNCATED", directory - 40, directory - 40)]);
    }
  });

  test("a broken central directory costs no file, also in its middle", async () => {
    const bytes = zip(...[0, 1, 2].map((n) => ({ content: lines(n, n + 1), descriptor: true })));
    const directory = bytes.indexOf("PK\x01\x02");
    for (const at of [directory, bytes.indexOf("PK\x01\x02", directory + 1)]) {
      const wrong = Buffer.from(bytes);
      wrong[at] = 0;
      const all = [0, 1, 2].map((n) => lines(n, n + 1)).join("\n");
      expect(await unpack(wrong)).toEqual([all, damage("CORRUPT", directory, bytes.length)]);
    }
  });

  test("bytes that belong to no file are damage: before it, between two, behind the end", async () => {
    const first = zip({ content: '{"a":1}' });
    const junk = Buffer.from('{"hidden":1}');
    const directory = first.indexOf("PK\x01\x02");
    const moved = (bytes: Buffer) => {
      bytes.writeUInt32LE(directory + junk.length, bytes.length - 6);
      return bytes;
    };
    const between = moved(Buffer.concat([first.subarray(0, directory), junk, first.subarray(directory)]));
    expect(await unpack(between)).toEqual(['{"a":1}', damage("CORRUPT", directory, directory + junk.length)]);
    expect(await unpack(Buffer.concat([first, junk]))).toEqual([
      '{"a":1}',
      damage("CORRUPT", directory, first.length + junk.length),
    ]);
    const before = moved(Buffer.concat([junk, first]));
    expect(String((await unpack(before))[0]).startsWith('{"hidden":1}PK')).toBe(true);
  });

  test("a second ZIP behind the first is not lost in silence", async () => {
    const first = zip({ content: '{"a":1}' });
    const second = zip({ content: '{"b":2}' });
    const size = first.length + second.length;
    const firstEnd = first.length - 22;
    expect(await unpack(Buffer.concat([first, second]))).toEqual([
      '{"a":1}',
      damage("CORRUPT", firstEnd, size - 22),
    ]);
  });

  test("a file that the directory lists twice is read once: no bomb of files over each other", async () => {
    const bytes = zip({ content: text });
    const directory = bytes.indexOf("PK\x01\x02");
    const entry = bytes.subarray(directory, bytes.length - 22);
    const end = Buffer.from(bytes.subarray(bytes.length - 22));
    end.writeUInt16LE(2, 8);
    end.writeUInt16LE(2, 10);
    expect(await unpack(Buffer.concat([bytes.subarray(0, directory), entry, entry, end]))).toEqual([
      text,
      damage("CORRUPT"),
    ]);
  });

  test("fewer files in the directory's count than in the directory are not lost in silence", async () => {
    const bytes = zip({ content: '{"a":1}' }, { content: '{"b":2}' });
    bytes.writeUInt16LE(1, bytes.length - 12);
    const second = bytes.indexOf("PK\x03\x04", 4);
    const parts = await unpack(bytes);
    expect(parts[0]).toBe('{"a":1}');
    expect(parts[1]).toMatchObject({ damage: "CONTAINER_CORRUPT", start: second });
  });

  test("a name that is longer in the file than in the directory swallows nothing in silence", async () => {
    const bytes = zip({ content: '{"a":1}', method: 0 });
    const directory = bytes.indexOf("PK\x01\x02");
    const longer = Buffer.concat([
      bytes.subarray(0, directory),
      Buffer.from("1234"),
      bytes.subarray(directory),
    ]);
    longer.writeUInt16LE(8, 26);
    longer.writeUInt32LE(directory + 4, longer.length - 6);
    expect(await unpack(longer)).toEqual([damage("CORRUPT", 0, directory + 4)]);
  });

  test("a listed file that is nowhere is damage, though no byte is left over", async () => {
    const bytes = zip({ content: '{"a":1}' });
    const directory = bytes.indexOf("PK\x01\x02");
    const entry = bytes.subarray(directory, bytes.length - 22);
    const lost = Buffer.from(entry);
    lost.writeUInt32LE(5, 42);
    const end = Buffer.from(bytes.subarray(bytes.length - 22));
    end.writeUInt16LE(2, 8);
    end.writeUInt16LE(2, 10);
    const all = Buffer.concat([bytes.subarray(0, directory), entry, lost, end]);
    expect(await unpack(all)).toEqual(['{"a":1}', damage("CORRUPT", all.length, all.length)]);
  });

  test("an encrypted file of unknown length, without a central directory, is one damage to the end", async () => {
    const bytes = zip({ content: '{"a":1}', flags: 1, descriptor: true });
    const cut = bytes.subarray(0, bytes.length - 30);
    expect(await unpack(cut)).toEqual([damage("UNSUPPORTED", 34, cut.length)]);
  });

  test("a deflated file that ends before its end says so", async () => {
    const short = zip({ content: '{"a":1}' });
    const directory = short.indexOf("PK\x01\x02");
    const bytes = Buffer.concat([
      short.subarray(0, directory),
      Buffer.from("hidden"),
      short.subarray(directory),
    ]);
    const size = directory - 34 + 6;
    bytes.writeUInt32LE(size, directory + 6 + 20);
    bytes.writeUInt32LE(directory + 6, bytes.length - 6);
    expect(await unpack(bytes)).toEqual(['{"a":1}', damage("CORRUPT", directory, directory + 6)]);
  });

  test("pointers that lead nowhere are damage, not a failure of the store", async () => {
    const bytes = zip({ content: '{"a":1}' });
    for (const at of [bytes.length - 6, bytes.length - 22 - 8]) {
      const wrong = Buffer.from(bytes);
      wrong.writeUInt32LE(0x7fffffff, at);
      const parts = await unpack(wrong);
      expect(parts.at(-1)).toEqual(damage("CORRUPT"));
    }
  });
});

describe("damaged Snappy", () => {
  const blocks = Array.from({ length: 6 }, (_, n) => lines(n * 100, n * 100 + 100));
  const framed = blocks.map((block) => xerial(Buffer.from(block)).bytes.subarray(16));
  const header = xerial(Buffer.alloc(0)).bytes;
  /** Its first element copies from before the block. */
  const broken = (block: Buffer) => {
    const bytes = Buffer.from(block);
    bytes[6] = 0x01;
    return bytes;
  };

  test("a broken block costs itself alone; several in a row are one damage", async () => {
    const parts = framed.map((block, n) => ([1, 3, 4].includes(n) ? broken(block) : block));
    const at = parts.map((_, n) => Buffer.concat([header, ...parts.slice(0, n)]).length);
    expect(await unpack(Buffer.concat([header, ...parts]))).toEqual([
      blocks[0],
      damage("CORRUPT", at[1], at[2]),
      blocks[2],
      damage("CORRUPT", at[3], at[5]),
      blocks[5],
    ]);
  });

  test("a length that cannot be ends the reading, with a damage to the object's end", async () => {
    const good = Buffer.concat([header, ...framed.slice(0, 2)]);
    for (const length of ["00000000", "7fffffff", "82534e42"]) {
      const bytes = Buffer.concat([good, Buffer.from(length, "hex"), framed[2] ?? header]);
      expect(await unpack(bytes)).toEqual([
        blocks.slice(0, 2).join(""),
        damage("CORRUPT", good.length, bytes.length),
      ]);
    }
    const false2 = Buffer.concat([good, Buffer.from("82534e4150505901", "hex"), Buffer.alloc(8)]);
    expect((await unpack(false2)).slice(1)).toEqual([damage("CORRUPT", good.length, false2.length)]);
  });

  test("Hadoop's chunks that make more than their block ends the reading behind them", async () => {
    const content = Buffer.from(blocks.join(""));
    const bytes = hadoop(content, { chunkBytes: 2000 }).bytes;
    const first = 8 + bytes.readUInt32BE(4);
    const second = first + 4 + bytes.readUInt32BE(first);
    bytes.writeUInt32BE(3000, 0);
    expect(await unpack(bytes)).toEqual([
      content.toString("utf8", 0, 4000),
      damage("CORRUPT", second, bytes.length),
    ]);
  });

  test("a block above 16 MiB is refused before it takes memory, and costs itself alone", async () => {
    const large = Buffer.concat([
      Buffer.from("000000ff", "hex"),
      Buffer.from("8180800800", "hex"),
      Buffer.alloc(250),
    ]);
    const bytes = Buffer.concat([header, large, framed[0] ?? header]);
    expect(await unpack(bytes)).toEqual([damage("CORRUPT", 16, 16 + large.length), blocks[0]]);
  });
});

describe("bombs", () => {
  const zeros = gzipSync(Buffer.alloc(40_000_000));

  test.each([
    ["gzip", zeros],
    ["ZIP", zip({ content: "\0".repeat(40_000_000) })],
    ["xerial's Snappy", xerial(Buffer.alloc(40_000_000), { blockBytes: 2 ** 24 }).bytes],
  ])("%s: what comes before the limit is given out, the rest is one damage", async (_, bytes) => {
    for (const maxInflatedBytes of [1, 1000, 20_000_000]) {
      const [out, ...rest] = await unpack(bytes, undefined, { maxInflatedBytes });
      expect(String(out).length).toBe(maxInflatedBytes);
      expect(rest).toEqual([damage("BOMB", undefined, bytes.length)]);
      expect((rest[0] as Damage).start).toBeLessThan(bytes.length);
    }
  });

  test("a ratio counts from 16 MiB on, over the whole object", async () => {
    expect(String((await unpack(zeros, undefined, { maxRatio: 10 }))[0]).length).toBe(16 * 1024 * 1024);
    expect(await unpack(zeros, undefined, { maxRatio: 10 })).toHaveLength(2);
    const ratio = 40_000_000 / zeros.length;
    expect(await unpack(zeros, undefined, { maxRatio: Math.ceil(ratio) })).toHaveLength(1);
    const harmless = gzipSync(Buffer.alloc(16 * 1024 * 1024));
    expect(await unpack(harmless, undefined, { maxRatio: 1 })).toHaveLength(1);
  });

  test("by default nothing that deflate can do to records is a bomb, and raw bytes never are", async () => {
    expect(await unpack(zeros)).toHaveLength(1);
    const equal = Buffer.alloc(20_000_000, `{"a":${"1".repeat(100)}}\n`);
    expect((await unpack(gzipSync(equal)))[0]).toBe(equal.toString());
    expect(await unpack(Buffer.from(text), undefined, { maxInflatedBytes: 10, maxRatio: 0.1 })).toEqual([
      text,
    ]);
  });
});

describe("what nobody reads here", () => {
  test.each([
    ["Zstandard", "28b52ffd"],
    ["official framing", "ff060000734e61507059"],
    ["bzip2", "425a6839314159265359"],
    ["xz", "fd377a585a00"],
    ["Parquet", "5041523115"],
    ["Avro", "4f626a01"],
  ])("%s is one damage that covers the object and says what it is", async (name, magic) => {
    const bytes = Buffer.concat([Buffer.from(magic, "hex"), Buffer.from("\n{}\n".repeat(50))]);
    const parts = await unpack(bytes);
    expect(parts).toEqual([damage("UNSUPPORTED", 0, bytes.length)]);
    expect((parts[0] as Damage).reason).toContain(name);
  });
});

describe("the store", () => {
  test.each([
    ["raw", Buffer.from(text)],
    ["gzip", gzipSync(text)],
    ["ZIP", zip({ content: text, descriptor: true })],
    ["xerial's Snappy", xerial(Buffer.from(text)).bytes],
    ["Hadoop's Snappy", hadoop(Buffer.from(text)).bytes],
  ])("%s: bytes that it keeps back never pass for the object's end", async (_, bytes) => {
    const { store, size } = await stored(bytes);
    const { read } = store;
    let short = 0;
    let reads = 0;
    store.read = async function* (key, options = {}) {
      const end = options.end ?? size;
      yield* read(key, { ...options, end: reads++ === short ? Math.max(end - 1, 0) : end });
    };
    const all = async () => {
      for await (const _window of decompress({ store, key: "object", size }));
    };
    short = -1;
    await all();
    const usual = reads;
    for (short = 0; short < usual; short++) {
      reads = 0;
      await expect(all()).rejects.toMatchObject({ name: "StoreError", code: "TRANSIENT" });
    }
  });

  test.each([
    ["raw", Buffer.from(text)],
    ["gzip", gzipSync(text)],
    ["ZIP", zip({ content: text, descriptor: true })],
    ["xerial's Snappy", xerial(Buffer.from(text)).bytes],
    ["Hadoop's Snappy", hadoop(Buffer.from(text)).bytes],
  ])("%s: its errors pass through untouched, whenever they come", async (_, bytes) => {
    const { store, size } = await stored(bytes);
    const reads = async () => {
      for await (const _window of decompress({ store, key: "object", size }));
    };
    await reads();
    const usual = store.reads;
    for (let failing = 1; failing <= usual; failing++) {
      const error = new StoreError("TRANSIENT", "the store is slow");
      store.reads = 0;
      store.before = () => {
        if (store.reads === failing) throw error;
      };
      await expect(reads()).rejects.toBe(error);
    }
  });

  test("is asked for one version, and told to stop when the reader is", async () => {
    const { store, size } = await stored(gzipSync(text));
    const seen: unknown[] = [];
    const { read } = store;
    const stop = new AbortController();
    store.read = (key, options) => {
      seen.push(options?.version);
      return read(key, options);
    };
    const object = { store, key: "object", version: "v1", size, signal: stop.signal };
    for await (const _ of decompress(object));
    expect(new Set(seen)).toEqual(new Set(["v1"]));
    stop.abort();
    await expect(decompress(object).next()).rejects.toThrow("aborted");
  });
});
