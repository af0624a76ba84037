// One object in memory, for rounds that are not to measure a disk.
import { type ObjectStore, StoreError } from "../src/index.ts";
import { writtenAt } from "./objects.ts";

/** About what a socket gives at once. */
const chunkBytes = 64 * 1024;

export function heldObject(key: string, bytes: Buffer): ObjectStore {
  const info = { key, size: bytes.length, version: "1", lastModified: writtenAt };
  const refused = () => Promise.reject(new StoreError("DENIED", "the bench's object is for reading alone"));
  return {
    location: "memory://bench",
    look: async (asked) => (asked === key ? { ...info, now: Date.now() } : undefined),
    async *read(_key, { start = 0, end = bytes.length } = {}) {
      for (let at = start; at < end; at += chunkBytes)
        yield bytes.subarray(at, Math.min(end, at + chunkBytes));
    },
    async *list() {
      yield info;
    },
    put: refused,
    putIfAbsent: refused,
    delete: refused,
  };
}
