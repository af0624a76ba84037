// From what a user writes, a path or a URL, to a store.
import { stat } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { Clock } from "../delivery/clock.ts";
import { folderStore } from "./folder.ts";
import { type ObjectInfo, type ObjectStore, StoreError } from "./object-store.ts";
import { type S3Options, s3Store } from "./s3.ts";
import { subStore } from "./sub-store.ts";

export interface OpenOptions {
  readonly clock?: Clock;
  /** For `s3://`; see {@link s3Store}. */
  readonly client?: NonNullable<S3Options["client"]>;
}

/**
 * The store to write under `s3://bucket`, `s3://bucket/prefix`, a folder's path or its `file://` URL. Keys are
 * relative to it, and nothing outside of it is reached. A folder need not exist.
 *
 * @throws {StoreError} `FAILED`, one sentence, when the address names no store.
 */
export function openStore(address: string, options: OpenOptions = {}): ObjectStore {
  const place = parse(address);
  return "bucket" in place
    ? subStore(s3Store({ bucket: place.bucket, ...options }), place.prefix)
    : folderStore({ root: place.path, ...options });
}

/** Objects to read, wherever they are. */
export interface Source {
  readonly store: ObjectStore;
  /** The object's key, or how the keys of the objects begin; `""` for all of the store. */
  readonly prefix: string;
}

/**
 * What there is to read at a folder, a single file, `s3://bucket`, `s3://bucket/prefix` or `s3://bucket/key`.
 * Locations and keys are those of the bucket or folder, so an object has the same name whichever way it was found.
 *
 * @throws {StoreError} `FAILED` when the address names no store, `NOT_FOUND` when there is no such file or folder.
 */
export async function openSource(address: string, options: OpenOptions = {}): Promise<Source> {
  const place = parse(address);
  if ("bucket" in place) {
    return { store: s3Store({ bucket: place.bucket, ...options }), prefix: place.prefix };
  }
  const stats = await stat(place.path).catch(() => undefined);
  if (stats === undefined) throw new StoreError("NOT_FOUND", `there is no file or folder at ${place.path}`);
  return stats.isDirectory()
    ? { store: folderStore({ root: place.path, ...options }), prefix: "" }
    : {
        store: folderStore({ root: path.dirname(place.path), ...options }),
        prefix: path.basename(place.path),
      };
}

/** The one object that a source names, else every object that its prefix begins. */
export async function* sourceObjects({ store, prefix }: Source): AsyncGenerator<ObjectInfo> {
  const one = prefix === "" || prefix.endsWith("/") ? undefined : await store.look(prefix);
  if (one === undefined) yield* store.list(prefix);
  else yield { key: one.key, size: one.size, version: one.version, lastModified: one.lastModified };
}

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html, the old rules of us-east-1 included. */
const bucketName = /^[A-Za-z0-9][A-Za-z0-9._-]{2,254}$/;

function parse(address: string): { bucket: string; prefix: string } | { path: string } {
  const refuse = (why: string) => new StoreError("FAILED", `${JSON.stringify(address)} ${why}`);
  if (address.trim() === "") throw refuse("names no store: give a folder or s3://bucket/prefix");
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(address)?.[1]?.toLowerCase();
  if (scheme === undefined) return { path: path.resolve(address) };
  if (scheme === "s3") {
    // As the AWS command line takes it: what follows the bucket is the key itself, nothing is decoded.
    const [, bucket = "", prefix = ""] = /^[^:]*:\/\/([^/]*)\/?(.*)$/s.exec(address) ?? [];
    if (bucket === "") throw refuse("names no bucket: write s3://bucket/prefix");
    if (!bucketName.test(bucket)) throw refuse("names no bucket that S3 could have");
    return { bucket, prefix };
  }
  if (scheme !== "file") throw refuse(`has the scheme ${scheme}, known are s3:// and file://`);
  try {
    return { path: path.resolve(fileURLToPath(address)) };
  } catch {
    throw refuse("is not the URL of a local folder: write file:///absolute/path");
  }
}
