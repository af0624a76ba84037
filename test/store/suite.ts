// What every ObjectStore promises, as cases that also run against stores which should fail them.
import { setImmediate } from "node:timers/promises";
import { expect } from "vitest";
import type { Clock } from "../../src/delivery/clock.ts";
import { type ObjectStore, readAll, StoreError } from "../../src/store/object-store.ts";

export interface Given {
  /** Empty. */
  readonly store: ObjectStore;
  /** The clock that the store goes by; S3 tells whole seconds of it. */
  readonly clock: ManualClock;
}

export interface Case {
  readonly name: string;
  /** Whether it needs the store to heed conditions: a store that ignores them must fail it. */
  readonly conditional?: true;
  run(given: Given): Promise<void>;
}

export interface ManualClock extends Clock {
  advance(ms: number): void;
  /** How long was slept, all sleeps together. */
  readonly slept: number;
}

/** Time passes when it is told to, or when somebody sleeps. */
export function manualClock(start = Date.UTC(2026, 10, 21, 12)): ManualClock {
  let now = start;
  let slept = 0;
  return {
    now: () => now,
    async sleep(ms) {
      now += ms;
      slept += ms;
    },
    signal: () => new AbortController().signal,
    advance(ms) {
      now += ms;
    },
    get slept() {
      return slept;
    },
  };
}

/** Keys that a careless URL, XML or path would spoil, in the order of their bytes. */
const oddKeys = [
  "odd/!bang (brackets) 'quote'.gz",
  "odd/100%.gz",
  "odd/100%25.gz",
  "odd/a b+c.gz",
  'odd/a&b<c>"d.gz',
  "odd/a+b c.gz",
  "odd/day=2026-11-21/x?.gz",
  "odd/hash#y.gz",
  "odd/line\nbreak.gz",
  "odd/semi;colon,comma@at.gz",
  "odd/~tilde$dollar.gz",
  "odd/é-composed.gz",
  "odd/日本.gz",
  "odd/\uffee-before-the-astral-in-bytes-not-in-utf16.gz",
  "odd/😀.gz",
];

export const cases: readonly Case[] = [
  {
    name: "what was put is what is read, byte for byte",
    async run({ store }) {
      const bytes = pattern(700_001);
      await store.put("a/b.bin", bytes);
      expect((await readAll(store, "a/b.bin")).equals(bytes)).toBe(true);
      expect(await store.look("a/b.bin")).toMatchObject({ key: "a/b.bin", size: bytes.byteLength });
    },
  },
  {
    name: "an empty object is an object",
    async run({ store }) {
      await store.put("empty", new Uint8Array());
      expect(await readAll(store, "empty")).toHaveLength(0);
      expect(await store.look("empty")).toMatchObject({ size: 0 });
      expect(await store.putIfAbsent("empty", text("x"))).toBe(false);
    },
  },
  {
    name: "a put over an object replaces it and names a new version",
    async run({ store }) {
      await store.put("k", text("one"));
      const first = await store.look("k");
      await store.put("k", text("two"));
      const second = await store.look("k");
      expect(String(await readAll(store, "k"))).toBe("two");
      expect(second?.version).not.toBe(first?.version);
    },
  },
  {
    name: "a range is the bytes from its start to before its end, whatever the object's size",
    async run({ store }) {
      await store.put("k", text("0123456789"));
      const part = async (start?: number, end?: number) =>
        String(
          await readAll(store, "k", {
            ...(start !== undefined && { start }),
            ...(end !== undefined && { end }),
          }),
        );
      expect(await part(2, 5)).toBe("234");
      expect(await part(7)).toBe("789");
      expect(await part(undefined, 3)).toBe("012");
      expect(await part(8, 100)).toBe("89");
      expect(await part(4, 4)).toBe("");
      expect(await part(10)).toBe("");
      expect(await part(50, 60)).toBe("");
    },
  },
  {
    name: "a version that a look named can be read, whole and in part",
    async run({ store }) {
      await store.put("k", text("content"));
      const info = await store.look("k");
      const version = info?.version ?? "";
      expect(version).not.toBe("");
      expect(String(await readAll(store, "k", { version }))).toBe("content");
      expect(String(await readAll(store, "k", { version, start: 3 }))).toBe("tent");
      expect((await store.look("k", { version }))?.version).toBe(version);
    },
  },
  {
    name: "a version that a listing named can be read",
    async run({ store }) {
      await store.put("k", text("content"));
      for await (const { key, version } of store.list("")) {
        expect(String(await readAll(store, key, { version }))).toBe("content");
        expect(await store.look(key, { version })).toBeDefined();
      }
    },
  },
  {
    name: "reading a version that was overwritten is CHANGED, or still the old bytes, never the new ones",
    conditional: true,
    async run({ store }) {
      await store.put("k", text("old"));
      const version = (await store.look("k"))?.version ?? "";
      await store.put("k", text("new"));
      const read = await readAll(store, "k", { version }).then(String, codeOf);
      expect(["CHANGED", "old"]).toContain(read);
      const part = await readAll(store, "k", { version, start: 1, end: 2 }).then(String, codeOf);
      expect(["CHANGED", "l"]).toContain(part);
      const look = await store.look("k", { version }).then((info) => info?.version, codeOf);
      expect(["CHANGED", version]).toContain(look);
    },
  },
  {
    name: "reading content by an MD5 that it does not have is CHANGED",
    conditional: true,
    async run({ store }) {
      await store.put("k", text("content"));
      const version = "0123456789abcdef0123456789abcdef";
      await expect(readAll(store, "k", { version })).rejects.toMatchObject({ code: "CHANGED" });
      await expect(store.look("k", { version })).rejects.toMatchObject({ code: "CHANGED" });
    },
  },
  {
    name: "reading what is not there is NOT_FOUND and names it; looking at it finds nothing",
    async run({ store }) {
      const failure = await readAll(store, "no/such.gz").catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(StoreError);
      expect(failure).toMatchObject({ code: "NOT_FOUND", message: expect.stringContaining("no/such.gz") });
      expect(await store.look("no/such.gz")).toBeUndefined();
    },
  },
  {
    name: "a listing gives every key once, in the order of bytes, over as many pages as it takes",
    async run({ store }) {
      const keys = ["a-b/x", "a.txt", "a/x/y", "a/x.gz", "a0/x", "b", "z/1/2/3"];
      for (const key of keys.toReversed()) await store.put(key, text(key));
      expect(await listed(store, "")).toEqual(byBytes(keys));
      expect(await listed(store, "a")).toEqual(byBytes(keys.filter((key) => key.startsWith("a"))));
      expect(await listed(store, "a/")).toEqual(["a/x.gz", "a/x/y"]);
      expect(await listed(store, "a/x/")).toEqual(["a/x/y"]);
      expect(await listed(store, "a/x")).toEqual(["a/x.gz", "a/x/y"]);
      expect(await listed(store, "none/")).toEqual([]);
    },
  },
  {
    name: "keys with spaces, plus, percent, equals, markup and any script go through every call",
    async run({ store }) {
      expect(byBytes(oddKeys)).toEqual(oddKeys);
      for (const key of oddKeys.toReversed()) expect(await store.putIfAbsent(key, text(key))).toBe(true);
      expect(await listed(store, "odd/")).toEqual(oddKeys);
      for (const key of oddKeys) {
        expect(String(await readAll(store, key))).toBe(key);
        expect(await store.look(key)).toMatchObject({ key });
        expect(await listed(store, key)).toContain(key);
        await store.delete(key);
      }
      expect(await listed(store, "")).toEqual([]);
    },
  },
  {
    name: "a listing tells size, version and time as a look does",
    async run({ store, clock }) {
      await store.put("k", text("content"));
      const written = clock.now();
      clock.advance(90_000);
      for await (const info of store.list("")) {
        expect(info).toMatchObject({ key: "k", size: 7, lastModified: written });
      }
    },
  },
  {
    name: "an object's age is told by the store's clock",
    async run({ store, clock }) {
      await store.put("k", text("content"));
      const written = clock.now();
      clock.advance(3_600_000);
      expect(await store.look("k")).toMatchObject({ lastModified: written, now: written + 3_600_000 });
      await store.put("k", text("content"));
      expect(await store.look("k")).toMatchObject({ lastModified: written + 3_600_000 });
    },
  },
  {
    name: "putIfAbsent leaves what is there as it is",
    conditional: true,
    async run({ store }) {
      expect(await store.putIfAbsent("claims/1", text("mine"))).toBe(true);
      expect(await store.putIfAbsent("claims/1", text("yours"))).toBe(false);
      expect(String(await readAll(store, "claims/1"))).toBe("mine");
    },
  },
  {
    name: "putIfAbsent does not overwrite what a put wrote",
    conditional: true,
    async run({ store }) {
      await store.put("k", text("put"));
      expect(await store.putIfAbsent("k", text("conditional"))).toBe(false);
      expect(String(await readAll(store, "k"))).toBe("put");
    },
  },
  {
    name: "of twenty who claim a key at once, exactly one is told that it has it, and it has it",
    conditional: true,
    async run({ store }) {
      const won = await Promise.all(
        Array.from({ length: 20 }, (_, owner) => store.putIfAbsent("race", text(`owner ${owner}`))),
      );
      expect(won.filter((one) => one)).toHaveLength(1);
      expect(String(await readAll(store, "race"))).toBe(`owner ${won.indexOf(true)}`);
    },
  },
  {
    name: "equal bytes from two claimants do not make both of them winners",
    conditional: true,
    async run({ store }) {
      const won = await Promise.all(Array.from({ length: 5 }, () => store.putIfAbsent("race", text("same"))));
      expect(won.filter((one) => one)).toHaveLength(1);
    },
  },
  {
    name: "a key is free again once it is deleted",
    async run({ store }) {
      await store.putIfAbsent("k", text("one"));
      await store.delete("k");
      expect(await store.look("k")).toBeUndefined();
      expect(await store.putIfAbsent("k", text("two"))).toBe(true);
      expect(String(await readAll(store, "k"))).toBe("two");
    },
  },
  {
    name: "deleting what is not there is no error, once or twice",
    async run({ store }) {
      await store.delete("never/was");
      await store.put("k", text("x"));
      await store.delete("k");
      await store.delete("k");
      expect(await listed(store, "")).toEqual([]);
    },
  },
  {
    name: "readers see one writer's bytes or another's, never a part or a mixture",
    async run({ store }) {
      const size = 600_000;
      const writers = ["a", "b"].map((letter) => Buffer.alloc(size, letter));
      await store.put("shared", Buffer.alloc(size, "a"));
      let writing = true;
      const write = (async () => {
        for (let round = 0; round < 6; round++) {
          await Promise.all(writers.map((bytes) => store.put("shared", bytes)));
        }
        writing = false;
      })();
      let reads = 0;
      try {
        while (writing) {
          const seen = await readAll(store, "shared");
          expect(seen.byteLength).toBe(size);
          expect(writers.some((bytes) => bytes.equals(seen))).toBe(true);
          expect(await listed(store, "")).toEqual(["shared"]);
          reads++;
          await setImmediate();
        }
      } finally {
        // Also when a promise is broken, nobody may write behind the test's back.
        await write;
      }
      expect(reads).toBeGreaterThan(0);
    },
  },
  {
    name: "a reader may stop early, many times over, and the store goes on working",
    async run({ store }) {
      await store.put("large", pattern(3_000_000));
      // More often than a client has sockets for one host, or a process may care to lose file handles.
      for (let round = 0; round < 60; round++) {
        for await (const chunk of store.read("large")) {
          expect(chunk.byteLength).toBeGreaterThan(0);
          break;
        }
      }
      expect((await readAll(store, "large", { start: 2_999_990 })).byteLength).toBe(10);
    },
  },
  {
    name: "a large object comes in chunks, not in one piece",
    async run({ store }) {
      await store.put("large", pattern(3_000_000));
      let largest = 0;
      for await (const chunk of store.read("large")) largest = Math.max(largest, chunk.byteLength);
      expect(largest).toBeLessThan(1_000_000);
    },
  },
  {
    name: "a reader whose time is over is told TRANSIENT, before the first byte and in the middle",
    async run({ store }) {
      await store.put("large", pattern(3_000_000));
      const before = readAll(store, "large", { signal: AbortSignal.abort() });
      await expect(before).rejects.toMatchObject({ code: "TRANSIENT" });
      await expect(store.look("large", { signal: AbortSignal.abort() })).rejects.toMatchObject({
        code: "TRANSIENT",
      });
      const over = new AbortController();
      const middle = (async () => {
        for await (const _ of store.read("large", { signal: over.signal })) over.abort();
      })();
      await expect(middle).rejects.toMatchObject({ code: "TRANSIENT" });
    },
  },
];

export function text(content: string): Uint8Array {
  return Buffer.from(content);
}

export async function listed(store: ObjectStore, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys;
}

/** Bytes among which a lost, doubled or moved piece would show. */
function pattern(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at + 4 <= length; at += 4) bytes.writeUInt32LE((at * 2_654_435_761) >>> 0, at);
  return bytes;
}

function byBytes(keys: readonly string[]): string[] {
  return keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

function codeOf(error: unknown): string {
  return error instanceof StoreError ? error.code : String(error);
}
