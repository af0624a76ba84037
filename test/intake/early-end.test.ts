import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { gzipSync } from "node:zlib";
import { afterAll, beforeEach, describe, expect, test, vi } from "vitest";
import { systemClock } from "../../src/delivery/clock.ts";
import { decompress } from "../../src/intake/decompress.ts";
import { readEvents } from "../../src/intake/events.ts";
import { folderStore } from "../../src/store/folder.ts";
import { type ObjectStore, StoreError } from "../../src/store/object-store.ts";
import { memoryStore } from "../support/memory-store.ts";
import { hadoop, xerial } from "./snappy-encoder.ts";
import { zip } from "./zip-file.ts";

const zlibStreams = vi.hoisted((): Readable[] => []);
vi.mock("node:zlib", async (original) => {
  const zlib = await original<typeof import("node:zlib")>();
  const kept = <T extends Readable>(stream: T): T => {
    zlibStreams.push(stream);
    return stream;
  };
  return {
    ...zlib,
    createGunzip: (options: object) => kept(zlib.createGunzip(options)),
    createInflateRaw: (options: object) => kept(zlib.createInflateRaw(options)),
  };
});

const line = '{"metric_name":"m","metadata":{"tenant_id":"t"},"data":{"event_time":1,"text":"é }{ x"}}\n';
const text = line.repeat(5000);
const broken = gzipSync(text);
broken.fill(0xff, broken.length >> 1, broken.length - 100);
const zipped = zip({ content: text }, { content: text, method: 0 }, { content: text, descriptor: true });
const containers = [
  ["raw", Buffer.from(text)],
  ["gzip", gzipSync(text)],
  ["gzip that is broken in the middle", broken],
  ["ZIP", zipped],
  ["ZIP without its end", zipped.subarray(0, zipped.length - 10)],
  ["xerial's Snappy", xerial(Buffer.from(text)).bytes],
  ["Hadoop's Snappy", hadoop(Buffer.from(text), { chunkBytes: 10_000 }).bytes],
] as const;

/** Counts what is open of a store's readings. */
function watched(store: ObjectStore) {
  const open = { now: 0, ever: 0 };
  const watching: ObjectStore = {
    ...store,
    async *read(key, options) {
      open.now++;
      open.ever++;
      try {
        yield* store.read(key, options);
      } finally {
        open.now--;
      }
    },
  };
  return { store: watching, open };
}

/** Every zlib stream that was made is closed. */
async function expectInflatersClosed(): Promise<void> {
  await new Promise(setImmediate);
  for (const stream of zlibStreams) {
    expect(stream.destroyed).toBe(true);
    expect(stream.closed).toBe(true);
  }
}

beforeEach(() => {
  zlibStreams.length = 0;
});

describe.each(containers)("%s: nothing stays open", (name, bytes) => {
  async function stored() {
    const memory = memoryStore("memory://test", systemClock, 10_000);
    await memory.put("object", bytes);
    return { ...watched(memory), memory, size: bytes.length };
  }

  test("when the consumer stops, wherever it is", async () => {
    const { store, open, size } = await stored();
    for (let windows = 0; ; windows++) {
      let seen = 0;
      for await (const _window of decompress({ store, key: "object", size })) {
        if (seen === windows) break;
        seen++;
      }
      expect(open.now).toBe(0);
      await expectInflatersClosed();
      if (seen < windows) break;
    }
    expect(open.ever).toBeGreaterThan(2);
    expect(zlibStreams.length > 0).toBe(/gzip|ZIP/.test(name));
  });

  test("when the consumer throws", async () => {
    const { store, open, size } = await stored();
    const reading = async () => {
      for await (const _window of decompress({ store, key: "object", size })) throw new Error("no more");
    };
    await expect(reading()).rejects.toThrow("no more");
    expect(open.now).toBe(0);
    await expectInflatersClosed();
  });

  test("when the signal aborts", async () => {
    const { store, open, size } = await stored();
    for (const after of [0, 1, 2, 3]) {
      const stop = new AbortController();
      let seen = 0;
      const reading = async () => {
        for await (const _window of decompress({ store, key: "object", size, signal: stop.signal })) {
          if (seen++ === after) stop.abort();
        }
      };
      await reading().catch((error: unknown) => expect(error).toBeInstanceOf(StoreError));
      expect(open.now).toBe(0);
      await expectInflatersClosed();
    }
  });

  test("when the store fails in the middle", async () => {
    const { store, open, memory, size } = await stored();
    for (let failing = 1; failing < 12; failing++) {
      memory.reads = 0;
      memory.before = () => {
        if (memory.reads === failing) throw new StoreError("TRANSIENT", "the store is slow");
      };
      const reading = async () => {
        for await (const _window of decompress({ store, key: "object", size }));
      };
      await reading().catch((error: unknown) => expect(error).toBeInstanceOf(StoreError));
      expect(open.now).toBe(0);
      await expectInflatersClosed();
    }
  });

  test("when whoever reads events stops", async () => {
    const { store, open, size } = await stored();
    const info = { key: "object", version: "", size, lastModified: 0 };
    const signal = new AbortController().signal;
    const options = { idPrefix: "p", from: 0, maxRecordBytes: 1 << 20, signal };
    for await (const _window of readEvents(store, info, options)) break;
    expect(open.now).toBe(0);
    await expectInflatersClosed();
  });
});

describe("files in a folder", () => {
  const folders: string[] = [];
  afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));

  // The process's own list of open files exists on Linux alone.
  test.runIf(process.platform === "linux")(
    "are closed when the consumer stops, in every container",
    async () => {
      const folder = await mkdtemp(join(tmpdir(), "early-end-"));
      folders.push(folder);
      const store = folderStore({ root: folder });
      const openFiles = async () => (await readdir("/proc/self/fd")).length;
      for (const [name, bytes] of containers) {
        const key = `${name.replaceAll(" ", "-")}.data`;
        await store.put(key, bytes);
        const before = await openFiles();
        for (let stops = 0; stops < 20; stops++) {
          for await (const _window of decompress({ store, key, size: bytes.length })) break;
        }
        await vi.waitFor(async () => expect(await openFiles()).toBeLessThanOrEqual(before));
      }
    },
  );
});
