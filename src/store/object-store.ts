// The port to whatever holds objects: the batches, the books and the dead letters.

/** One object as a listing or a look shows it. */
export interface ObjectInfo {
  readonly key: string;
  /** Bytes as stored. */
  readonly size: number;
  /**
   * Names the content: S3's version id where there is one, else its ETag; a folder's is the content's MD5, as
   * S3's ETag of a simple upload is, so that a copied object stays the same object. A listing of S3 knows ETags
   * only, so whoever needs one name for an object takes it from `look`.
   */
  readonly version: string;
  /** Milliseconds since the epoch, by the store's clock. */
  readonly lastModified: number;
}

export interface ReadOptions {
  /** Read exactly this version; {@link StoreError} `CHANGED` when it is no longer to be had. */
  readonly version?: string;
  /** First byte, default 0. */
  readonly start?: number;
  /** The byte after the last one, default the end. */
  readonly end?: number;
  readonly signal?: AbortSignal;
}

export interface ObjectStore {
  /** A prefix that makes a key unique among all stores: `s3://bucket` or `file:///absolute/folder`. No slash at its end. */
  readonly location: string;
  /**
   * Undefined when there is no such object or version id; {@link StoreError} `CHANGED` when its content is no longer
   * the `version` asked for. `now` is the store's clock at its answer, in milliseconds since the epoch.
   */
  look(
    key: string,
    options?: { version?: string; signal?: AbortSignal },
  ): Promise<(ObjectInfo & { readonly now: number }) | undefined>;
  /** The object's bytes, in the store's own chunks. Ending the iteration early closes what is open. */
  read(key: string, options?: ReadOptions): AsyncIterable<Uint8Array>;
  /** Writes or overwrites; durable when it resolves; a reader sees all of it or nothing. */
  put(key: string, bytes: Uint8Array): Promise<void>;
  /** Writes only when the key is free, atomically. False when it is taken. Durable when it resolves. */
  putIfAbsent(key: string, bytes: Uint8Array): Promise<boolean>;
  /** No error when there is nothing to delete. */
  delete(key: string): Promise<void>;
  /** Every object whose key starts with the prefix, in order of its key's bytes, page by page. */
  list(prefix: string): AsyncIterable<ObjectInfo>;
}

export type StoreErrorCode =
  /** There is no such object, and no retry will make one. */
  | "NOT_FOUND"
  /** The object is no longer the version that was asked for. */
  | "CHANGED"
  /** Credentials or permissions: configuration. */
  | "DENIED"
  /** Throttled, timed out, reset, the service's own fault: another try may do. */
  | "TRANSIENT"
  /** Anything else; not worth a retry. */
  | "FAILED";

/** What a store throws. The message says what was done, on which store and key, and why it failed. */
export class StoreError extends Error {
  override readonly name = "StoreError";
  readonly code: StoreErrorCode;
  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The whole of a small object. */
export async function readAll(store: ObjectStore, key: string, options?: ReadOptions): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of store.read(key, options)) chunks.push(chunk);
  return Buffer.concat(chunks);
}
