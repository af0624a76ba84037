// The object store of the simulated world: what is on it outlives the processes, and each of them sees it fail in its own way.
import { hash } from "node:crypto";
import type { Clock } from "../../src/delivery/clock.ts";
import { type ObjectInfo, type ObjectStore, StoreError } from "../../src/store/object-store.ts";
import { never, type Process } from "./process.ts";
import type { Trouble } from "./trouble.ts";

export interface Disk {
  readonly location: string;
  readonly objects: Map<string, Stored>;
}

interface Stored {
  readonly bytes: Buffer;
  readonly version: string;
  readonly lastModified: number;
}

/** Told at the very moment of the act, whatever the caller hears of it. */
export interface Witness {
  wrote(process: Process, key: string, bytes: Buffer): void;
  /** Before it is gone. */
  removes(process: Process, key: string): void;
}

export interface FaceOptions {
  readonly process: Process;
  readonly trouble: Trouble;
  readonly clock: Clock;
  /** Shares of the operations. */
  readonly faults: number;
  readonly slowness: number;
  readonly lateReceipts: number;
  readonly chunkBytes: number;
  readonly witness?: Witness;
}

export function createDisk(location: string): Disk {
  return { location, objects: new Map() };
}

export function putOn(disk: Disk, key: string, bytes: Uint8Array, now: number): Buffer {
  const copy = Buffer.from(bytes);
  disk.objects.set(key, { bytes: copy, version: hash("md5", copy, "hex"), lastModified: now });
  return copy;
}

/** The disk as one process has it. */
export function faceOf(disk: Disk, options: FaceOptions): ObjectStore {
  const { process, trouble, clock, faults, slowness, lateReceipts, chunkBytes, witness } = options;
  const { location, objects } = disk;

  const fail = (what: string): never => {
    throw new StoreError("TRANSIENT", `${location}: ${what} by the simulation`);
  };
  const nameOf = (operation: string, key: string) => `${process.name} ${operation} ${withoutChance(key)}`;
  const drag = async (name: string, signal?: AbortSignal) => {
    const slow = trouble.strikes("store: slow", name, slowness);
    if (slow === undefined) return;
    await clock.sleep(slow.pick([1, 5, 40, 40, 700, 5_000, 30_000]), signal);
    if (process.isDead) await never();
    if (signal?.aborted) fail("aborted");
  };
  const act = async <T>(
    operation: string,
    key: string,
    perform: () => T,
    signal?: AbortSignal,
  ): Promise<T> => {
    const name = nameOf(operation, key);
    await process.step(`before ${operation} ${key}`);
    await drag(name, signal);
    const late = key.endsWith(".receipt.json") ? lateReceipts : 0;
    const comesLate =
      operation === "putIfAbsent" && trouble.strikes("store: a receipt comes late", name, late);
    // Longer than the margin that a claim has beyond its deadline.
    if (comesLate) await clock.sleep(comesLate.pick([65_000, 100_000, 140_000]));
    if (process.isDead) await never();
    if (trouble.strikes("store: fails", name, faults)) fail("failed before the act");
    const result = perform();
    if (trouble.strikes("store: reply lost", name, faults)) fail("failed after the act");
    await process.step(`after ${operation} ${key}`);
    return result;
  };
  const infoOf = (key: string, { bytes, version, lastModified }: Stored): ObjectInfo => ({
    key,
    size: bytes.byteLength,
    version,
    lastModified,
  });
  const write = (key: string, bytes: Uint8Array) => {
    const copy = putOn(disk, key, bytes, clock.now());
    witness?.wrote(process, key, copy);
  };

  return {
    location,
    look: (key, { signal } = {}) =>
      act(
        "look",
        key,
        () => {
          const found = objects.get(key);
          return found && { ...infoOf(key, found), now: clock.now() };
        },
        signal,
      ),
    async *read(key, { start = 0, end, signal } = {}) {
      const name = nameOf("read", key);
      const bytes = await act("read", key, () => objects.get(key)?.bytes.subarray(start, end), signal);
      if (bytes === undefined) throw new StoreError("NOT_FOUND", `${location}/${key} is gone`);
      for (let at = 0; at < bytes.byteLength; at += chunkBytes) {
        if (signal?.aborted) fail("aborted");
        yield bytes.subarray(at, at + chunkBytes);
        if (process.isDead) await never();
        await drag(name, signal);
        if (trouble.strikes("store: read cut", name, faults)) fail("cut");
      }
    },
    put: (key, bytes) => act("put", key, () => write(key, bytes)),
    putIfAbsent: (key, bytes) =>
      act("putIfAbsent", key, () => {
        if (objects.has(key)) return false;
        write(key, bytes);
        return true;
      }),
    delete: (key) =>
      act("delete", key, () => {
        if (!objects.has(key)) return;
        witness?.removes(process, key);
        objects.delete(key);
      }),
    async *list(prefix) {
      const infos = await act("list", prefix, () =>
        [...objects]
          .filter(([key]) => key.startsWith(prefix))
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([key, stored]) => infoOf(key, stored)),
      );
      yield* infos;
    },
  };
}

/** A claim's attempt has a random name; nothing that is drawn may depend on it. */
export function withoutChance(text: string): string {
  return text.replace(/-[0-9a-f]{8}-(\d{4}\.jsonl)/, "-$1");
}
