// An ObjectStore in memory, with its clock injected and every operation open to failure.
import { hash } from "node:crypto";
import type { Clock } from "../../src/delivery/clock.ts";
import { type ObjectStore, StoreError } from "../../src/store/object-store.ts";

export interface MemoryStore extends ObjectStore {
  readonly objects: Map<string, { readonly bytes: Buffer; readonly lastModified: number }>;
  /** Called before every operation; what it throws, the operation throws. */
  before: (
    operation: "look" | "read" | "put" | "putIfAbsent" | "delete" | "list",
    key: string,
  ) => void | Promise<void>;
  reads: number;
}

export function memoryStore(location: string, clock: Clock, chunkBytes = 64 * 1024): MemoryStore {
  const objects: MemoryStore["objects"] = new Map();
  const info = (key: string, { bytes, lastModified }: { bytes: Buffer; lastModified: number }) => ({
    key,
    size: bytes.byteLength,
    version: hash("md5", bytes, "hex"),
    lastModified,
  });
  const write = (key: string, bytes: Uint8Array) =>
    objects.set(key, { bytes: Buffer.from(bytes), lastModified: clock.now() });
  const store: MemoryStore = {
    location,
    objects,
    reads: 0,
    before: () => {},
    async look(key) {
      await store.before("look", key);
      const object = objects.get(key);
      return object === undefined ? undefined : { ...info(key, object), now: clock.now() };
    },
    async *read(key, { start = 0, end, signal } = {}) {
      store.reads++;
      await store.before("read", key);
      const object = objects.get(key);
      if (object === undefined) throw new StoreError("NOT_FOUND", `${location}/${key} is gone`);
      const bytes = object.bytes.subarray(start, end);
      for (let at = 0; at < bytes.byteLength; at += chunkBytes) {
        if (signal?.aborted) throw new StoreError("TRANSIENT", `${location}/${key}: reading was aborted`);
        yield bytes.subarray(at, at + chunkBytes);
      }
    },
    async put(key, bytes) {
      await store.before("put", key);
      write(key, bytes);
    },
    async putIfAbsent(key, bytes) {
      await store.before("putIfAbsent", key);
      if (objects.has(key)) return false;
      write(key, bytes);
      return true;
    },
    async delete(key) {
      await store.before("delete", key);
      objects.delete(key);
    },
    async *list(prefix) {
      await store.before("list", prefix);
      for (const key of [...objects.keys()].sort()) {
        const object = objects.get(key);
        if (key.startsWith(prefix) && object !== undefined) yield info(key, object);
      }
    },
  };
  return store;
}
