// What all containers share: how the stored object is read, and what it means that a part of it cannot be.
import { type ObjectStore, StoreError } from "../store/object-store.ts";

export interface StoredObject {
  readonly store: ObjectStore;
  readonly key: string;
  /** Read exactly this version; see {@link ObjectStore.read}. */
  readonly version?: string;
  /** Bytes as stored. */
  readonly size: number;
  readonly signal?: AbortSignal;
}

/** A stored object on its way through a container's reader. */
export interface Reading extends StoredObject {
  /** What stands before this byte of the stored object has been given out. The container's reader moves it on. */
  position: number;
}

/** Bytes of the stored object: the first one, and the one after the last. */
export interface StoredRange {
  readonly start: number;
  readonly end: number;
}

export type DamageCode =
  /** The object ends inside of its container: what would follow is not there, so the range can be empty. */
  | "CONTAINER_TRUNCATED"
  /** The container's own rules or checksums are broken, or something stands in it that is no part of it. */
  | "CONTAINER_CORRUPT"
  /** A known container, method or encryption that nobody reads here. */
  | "CONTAINER_UNSUPPORTED"
  /** It inflates to more than the configuration allows. */
  | "CONTAINER_BOMB";

/**
 * A place where an object cannot be decompressed. Every byte that could be read before it has been given out. The
 * range is what could not be read of the stored object.
 */
export interface Damage extends StoredRange {
  readonly damage: DamageCode;
  /** One sentence for an operator. */
  readonly reason: string;
}

/** What comes out of a container: bytes as they were before compression, and damage among them. */
export type Parts = AsyncGenerator<Buffer | Damage>;

/** 64 KB windows inflate and parse a fifth faster than 256 KB ones: they stay in the processor's cache. */
export const windowBytes = 64 * 1024;

export function damaged(damage: DamageCode, { start, end }: StoredRange, reason: string): Damage {
  const where = start === end ? `at byte ${start}` : `bytes ${start} to ${end}`;
  return { damage, start, end, reason: `${reason} (${where} of the stored object)` };
}

/**
 * The stored bytes from `start` to `end`, which must be inside of the object.
 *
 * @throws {StoreError} when the store fails, or gives fewer: what it keeps back must not pass for the object's end.
 */
export async function* read(object: StoredObject, start: number, end: number): AsyncGenerator<Uint8Array> {
  if (start >= end) return;
  const { store, key, version, signal } = object;
  let at = start;
  for await (const chunk of store.read(key, {
    start,
    end,
    ...(version === undefined ? {} : { version }),
    ...(signal === undefined ? {} : { signal }),
  })) {
    at += chunk.length;
    yield chunk;
  }
  if (at < end) {
    throw new StoreError(
      "TRANSIENT",
      `reading ${store.location}/${key}: the bytes ended at ${at}, ${end - at} too early`,
    );
  }
}

/** All of a few bytes. What lies behind the object's end is left out. */
export async function readBytes(object: StoredObject, start: number, end: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of read(object, start, Math.min(end, object.size))) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** What is stored as it is. */
export async function* stored(reading: Reading, start: number, end: number): AsyncGenerator<Buffer> {
  reading.position = start;
  for await (const chunk of read(reading, start, end)) {
    yield* slices(chunk, windowBytes);
    reading.position += chunk.length;
  }
}

export function* slices(chunk: Uint8Array, bytes: number): Generator<Buffer> {
  for (let start = 0; start < chunk.length; start += bytes) {
    yield Buffer.from(chunk.buffer, chunk.byteOffset + start, Math.min(bytes, chunk.length - start));
  }
}
