import { crc32, deflateRawSync, gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { systemClock } from "../../src/delivery/clock.ts";
import { type Damage, decompress } from "../../src/intake/decompress.ts";
import { StoreError } from "../../src/store/object-store.ts";
import { memoryStore } from "../support/memory-store.ts";

/** What comes out: the bytes between two damages, and each damage. */
async function unpack(bytes: Buffer, chunkBytes?: number): Promise<(string | Damage)[]> {
  const { store, size } = await stored(bytes, chunkBytes);
  const parts: (string | Damage)[] = [];
  let text: Buffer[] = [];
  const flush = () => {
    if (text.length > 0) parts.push(Buffer.concat(text).toString());
    text = [];
  };
  for await (const window of decompress({ store, key: "object", size })) {
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
const damage = (code: Damage["damage"]) => ({
  damage: code,
  reason: expect.stringMatching(/^(the|file|ZIP) .+/),
});

interface File {
  readonly name?: string;
  readonly content: string;
  readonly method?: 0 | 8 | 99;
  /** Sizes and checksum behind the data, zeros before it: what Firehose writes. */
  readonly descriptor?: boolean;
  readonly crc?: number;
  readonly flags?: number;
}

function zip(...files: readonly File[]): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name = "data", content, method = 8, descriptor = false, flags = 0, ...more } of files) {
    const raw = Buffer.from(content);
    const data = method === 8 ? deflateRawSync(raw) : raw;
    const crc = more.crc ?? crc32(raw);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(flags | (descriptor ? 0x808 : 0), 2);
    common.writeUInt16LE(method, 4);
    common.writeUInt32LE(crc, 10);
    common.writeUInt32LE(data.length, 14);
    common.writeUInt32LE(raw.length, 18);
    common.writeUInt16LE(name.length, 22);
    const local = Buffer.from(common);
    if (descriptor) local.fill(0, 10, 22);
    const trailer = Buffer.alloc(descriptor ? 16 : 0);
    if (descriptor) {
      trailer.writeUInt32LE(0x08074b50, 0);
      common.copy(trailer, 4, 10, 22);
    }
    const entry = Buffer.concat([Buffer.from("PK\x03\x04"), local, Buffer.from(name), data, trailer]);
    directory.push(
      Buffer.concat([
        Buffer.from("PK\x01\x02\x14\x00"),
        common,
        Buffer.alloc(10),
        offsetBytes(offset),
        Buffer.from(name),
      ]),
    );
    parts.push(entry);
    offset += entry.length;
  }
  const central = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06");
  end.writeUInt16LE(files.length, 8);
  end.writeUInt16LE(files.length, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, central, end]);
}

function offsetBytes(offset: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(offset);
  return bytes;
}

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
  ])("%s: all bytes, whatever the chunks of the store", async (_, bytes) => {
    for (const chunk of [64 * 1024, 1009]) expect(await unpack(bytes, chunk)).toEqual([text]);
  });

  test("are told apart by their first bytes, even when these come one by one", async () => {
    for (const bytes of [gzipSync("{}"), zip({ content: "{}" }), Buffer.from("{}")]) {
      expect(await unpack(bytes, 1)).toEqual(["{}"]);
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
  ])("%s: nothing, and no damage", async (_, bytes) => {
    expect((await unpack(bytes)).join("")).toBe("");
  });

  test.each([
    ["raw", (bytes: Buffer) => bytes],
    ["gzip", (bytes: Buffer) => gzipSync(bytes)],
    ["ZIP", (bytes: Buffer) => zip({ content: bytes.toString("latin1") })],
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
      expect(parts.slice(1)).toEqual([{ damage: expect.any(String), reason: expect.any(String) }]);
    }
    expect(await unpack(Buffer.concat([packed, Buffer.alloc(100_000), Buffer.from("x")]), 4096)).toEqual([
      text,
      damage("CORRUPT"),
    ]);
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
      expect(parts.at(-1)).toMatchObject({ damage: expect.stringMatching(/CORRUPT|TRUNCATED/) });
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
    const bytes = zip({ content: "x", method: 99 }, { content: "x", flags: 1 }, { content: '{"b":2}' });
    expect(await unpack(bytes)).toEqual([damage("UNSUPPORTED"), "\n", damage("UNSUPPORTED"), '\n{"b":2}']);
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

describe("the store", () => {
  test.each([
    ["raw", Buffer.from(text)],
    ["gzip", gzipSync(text)],
    ["ZIP", zip({ content: text })],
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
