// Objects in an S3 bucket. The only file of the core that knows the S3 client.

import { Readable } from "node:stream";
import type { S3Client } from "@aws-sdk/client-s3";
import { type Clock, systemClock } from "../delivery/clock.ts";
import { awsAgents } from "../delivery/proxy.ts";
import { type ObjectInfo, type ObjectStore, readAll, StoreError } from "./object-store.ts";
import { attemptsOf, type Doing, fieldsOf, overwritten, s3Error, statusOf } from "./s3-error.ts";

export interface S3Options {
  /** The bucket's name, nothing else: keys are full keys. */
  readonly bucket: string;
  /**
   * Default: a client of this store's own, made at its first request, that finds region, credentials and endpoint
   * where every AWS tool does: `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL_S3`, profiles, roles. An
   * endpoint outside of amazonaws.com is addressed by path. Its retries are the SDK's.
   */
  readonly client?: S3Client;
  /** Waits before a broken read is resumed, and a conditional write that met another one is sent again. Default the system's. */
  readonly clock?: Clock;
  /**
   * Whether `list` names objects as `look` does, by version ids where the bucket keeps versions: it then lists versions, of
   * which it shows the newest ones, and needs `s3:ListBucketVersions` instead of `s3:ListBucket`. Default false.
   */
  readonly listsVersions?: boolean;
}

/** The SDK's standard mode with one more try than its 3: S3 asks for retries with backoff on 503 SlowDown.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-guidelines.html */
const maxAttempts = 4;

/** The SDK's own default is to wait for ever. An S3 that does not even take the connection is worth a retry. */
const connectionTimeout = 5_000;
/**
 * A socket on which nothing moves. So long also a connection may seem alive that died while a Lambda function was
 * frozen: mostly S3 resets it at the first request, and the SDK sends that again.
 *
 * A reader whose lanes are full lets a body rest, too: what it has not taken by then is read again from there.
 */
const socketTimeout = 60_000;

/** How often in a row a read is resumed that brings nothing. One that brings something may be resumed for ever. */
const fruitlessResumes = 3;
const resumePauseMs = 100;

/** A conditional write that meets another one is answered 409 and wants to be sent again.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html */
const conflictAttempts = 8;
const conflictPauseMs = 25;

/**
 * An {@link ObjectStore} over one bucket. `@aws-sdk/client-s3` is loaded at the first request, not before.
 *
 * A listing of S3 knows ETags only. In a bucket with versioning, `look` names the same object by its version id:
 * whoever needs one name for an object takes it from `look`. `read` and `look` understand both.
 *
 * A `read` whose connection breaks, or on which nothing moves any more, goes on where it was: by range, and of the
 * same content or not at all. That costs it S3's checksum, which is of the whole object.
 *
 * `putIfAbsent` is exact as long as S3 answers. After a try without an answer the key is read back, and bytes
 * equal to ours count as written by us: so two writers must never offer the same bytes for one key.
 *
 * What S3 answers is not taken on trust: stand-ins and proxies leave conditions and ranges unheeded.
 *
 * Directory buckets (S3 Express One Zone) are not supported: their listings have no order, their ETags another form.
 */
export function s3Store(options: S3Options): ObjectStore {
  const { bucket, clock = systemClock } = options;
  const location = `s3://${bucket}`;

  let opening: ReturnType<typeof open> | undefined;
  const open = async () => {
    const sdk = await import("@aws-sdk/client-s3");
    return { sdk, client: options.client ?? ownClient(sdk) };
  };
  const connect = () => {
    opening ??= open();
    return opening;
  };
  const failed = (doing: Doing, key: string, error: unknown, signal?: AbortSignal) =>
    s3Error(doing, `${location}/${key}`, error, signal);
  const unlikely = (doing: Doing, key: string, why: string) =>
    new StoreError("TRANSIENT", `${doing} ${location}/${key} failed: the answer is none of S3's: ${why}`);

  async function write(key: string, bytes: Uint8Array, condition: { IfNoneMatch?: "*" }) {
    const { sdk, client } = await connect();
    const command = new sdk.PutObjectCommand({ Bucket: bucket, Key: key, Body: bytes, ...condition });
    const { ETag } = await client.send(command);
    if (ETag === undefined) throw unlikely("writing", key, "it names no ETag");
  }

  /** @throws {StoreError} `CHANGED` when an answer is about another version than the one asked for. */
  function prove(doing: Doing, key: string, version: string | undefined, reply: Identity): void {
    if (reply.ETag === undefined) throw unlikely(doing, key, "it names no ETag");
    if (version === undefined) return;
    const same = etag.test(version) ? bare(reply.ETag) === version : reply.VersionId === version;
    if (!same) throw new StoreError("CHANGED", `${doing} ${location}/${key} failed: ${overwritten}`);
  }

  /** One answer to GET; undefined when the object has no byte at `start`. */
  async function openPart(key: string, wanted: PartRequest): Promise<Part | undefined> {
    const { version, start, end, signal } = wanted;
    const range = `bytes=${start}-${end === undefined ? "" : end - 1}`;
    try {
      const { sdk, client } = await connect();
      const command = new sdk.GetObjectCommand({
        Bucket: bucket,
        Key: key,
        ...only(version),
        ...(range !== "bytes=0-" && { Range: range }),
      });
      const reply = await client.send(command, aborting(signal));
      const { Body: body } = reply;
      if (!(body instanceof Readable)) throw new TypeError("the client's body is not a Node stream");
      try {
        prove("reading", key, version, reply);
        const until =
          command.input.Range === undefined ? reply.ContentLength : endOf(wanted, reply.ContentRange);
        if (until === null) throw unlikely("reading", key, "it is not the range that was asked for");
        return { body, end: until, version: named(reply.VersionId, reply.ETag) };
      } catch (error) {
        body.destroy();
        throw error;
      }
    } catch (error) {
      if (statusOf(error) === 416) return undefined;
      throw failed("reading", key, error, signal);
    }
  }

  /**
   * Why S3 does not show an object. An answer to HEAD has no body that could tell, but a GET is refused alike.
   */
  async function reasonOf(
    error: unknown,
    key: string,
    version: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    const { sdk, client } = await connect();
    const command = new sdk.GetObjectCommand({
      Bucket: bucket,
      Key: key,
      ...only(version),
      Range: "bytes=0-0",
    });
    try {
      const { Body: body } = await client.send(command, aborting(signal));
      if (body instanceof Readable) body.destroy();
      return error;
    } catch (reason) {
      return statusOf(reason) === statusOf(error) ? reason : error;
    }
  }

  const store: ObjectStore = {
    location,

    async look(key, { version, signal } = {}) {
      try {
        const { sdk, client } = await connect();
        const command = new sdk.HeadObjectCommand({ Bucket: bucket, Key: key, ...only(version) });
        let date: string | undefined;
        command.middlewareStack.add(
          (next) => async (request) => {
            const result = await next(request);
            date = header(result.response, "date");
            return result;
          },
          { step: "deserialize", name: "readDate" },
        );
        const reply = await client.send(command, aborting(signal));
        prove("looking at", key, version, reply);
        const now = date === undefined ? Number.NaN : Date.parse(date);
        return {
          key,
          size: reply.ContentLength ?? 0,
          version: named(reply.VersionId, reply.ETag),
          lastModified: reply.LastModified?.getTime() ?? 0,
          // RFC 9110, 6.6.1: an origin server with a clock sends Date. Without one, ours is the next best.
          now: Number.isNaN(now) ? clock.now() : now,
        };
      } catch (error) {
        const status = statusOf(error);
        // A bare 404 is all that HEAD says, of a missing object, version or bucket, and 405 of a delete marker.
        if (status === 404 || status === 405) return undefined;
        const isMute = status !== undefined && status < 500 && status !== 412 && status !== 429;
        const reason = isMute ? await reasonOf(error, key, version, signal) : error;
        throw failed("looking at", key, reason, signal);
      }
    },

    async *read(key, { version, start = 0, end, signal } = {}) {
      if (end !== undefined && end <= start) return;
      let at = start;
      let content = version;
      for (let fruitless = 0; ; fruitless++) {
        const part = await openPart(key, { version: content, start: at, end, signal });
        if (part === undefined && at === start) return;
        if (part === undefined)
          throw new StoreError("CHANGED", `reading ${location}/${key} failed: ${overwritten}`);
        content ??= part.version;
        let broken: unknown = new Error("Premature close");
        try {
          for await (const chunk of part.body) {
            at += chunk.byteLength;
            fruitless = 0;
            yield chunk;
          }
          if (part.end === undefined || at === part.end) return;
        } catch (error) {
          broken = error;
        }
        const failure = failed("reading", key, broken, signal);
        // What breaks behind the last byte is its checksum's mismatch.
        const isComplete = at >= (part.end ?? Number.POSITIVE_INFINITY);
        if (isComplete || failure.code !== "TRANSIENT" || fruitless === fruitlessResumes) throw failure;
        await clock.sleep(resumePauseMs * 2 ** fruitless, signal);
      }
    },

    async put(key, bytes) {
      try {
        await write(key, bytes, {});
      } catch (error) {
        throw failed("writing", key, error);
      }
    },

    async putIfAbsent(key, bytes) {
      let unanswered = false;
      for (let attempt = 1; ; attempt++) {
        try {
          await write(key, bytes, { IfNoneMatch: "*" });
          return true;
        } catch (error) {
          const status = statusOf(error);
          unanswered ||= attemptsOf(error) > 1;
          if (status === 409 && attempt < conflictAttempts) {
            await clock.sleep(conflictPauseMs * 2 ** (attempt - 1));
            continue;
          }
          if (status === 412 && !unanswered) return false;
          const failure = failed("writing", key, error);
          if (status !== 412 && failure.code !== "TRANSIENT") throw failure;
          // A try before this one may have been stored although its answer was lost.
          const held = await readIfThere(store, key);
          if (held !== undefined) return held.equals(bytes);
          if (status === 412) return false;
          throw failure;
        }
      }
    },

    async delete(key) {
      try {
        const { sdk, client } = await connect();
        await client.send(new sdk.DeleteObjectCommand({ Bucket: bucket, Key: key }));
      } catch (error) {
        throw failed("deleting", key, error);
      }
    },

    async *list(prefix) {
      if (options.listsVersions === true) {
        yield* newest(prefix);
        return;
      }
      let token: string | undefined;
      do {
        const page = await listPage(prefix, token);
        // An empty answer would be taken for an empty bucket.
        if (page.IsTruncated === undefined)
          throw unlikely("listing", prefix, "it does not say whether it is whole");
        for (const object of page.Contents ?? []) {
          if (object.Key === undefined) continue;
          yield {
            key: fromListing(object.Key),
            size: object.Size ?? 0,
            version: named(undefined, object.ETag),
            lastModified: object.LastModified?.getTime() ?? 0,
          } satisfies ObjectInfo;
        }
        token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
      } while (token !== undefined);
    },
  };

  async function listPage(prefix: string, token: string | undefined) {
    try {
      const { sdk, client } = await connect();
      return await client.send(
        new sdk.ListObjectsV2Command({
          Bucket: bucket,
          Prefix: prefix,
          // XML cannot carry every character that a key may hold; its URL encoding can.
          EncodingType: "url",
          ...(token !== undefined && { ContinuationToken: token }),
        }),
      );
    } catch (error) {
      throw failed("listing", prefix, error);
    }
  }

  /** An object that was deleted has a marker for its newest version, and is none. */
  async function* newest(prefix: string): AsyncGenerator<ObjectInfo> {
    let markers = {};
    for (;;) {
      const page = await versionsPage(prefix, markers);
      if (page.IsTruncated === undefined)
        throw unlikely("listing", prefix, "it does not say whether it is whole");
      for (const { Key: key, IsLatest: isLatest, VersionId: version, ETag: etag, ...rest } of page.Versions ??
        []) {
        if (key === undefined || isLatest !== true) continue;
        yield {
          key: fromListing(key),
          size: rest.Size ?? 0,
          version: named(version, etag),
          lastModified: rest.LastModified?.getTime() ?? 0,
        };
      }
      if (!page.IsTruncated) return;
      markers = { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker };
    }
  }

  async function versionsPage(prefix: string, markers: object) {
    try {
      const { sdk, client } = await connect();
      return await client.send(
        new sdk.ListObjectVersionsCommand({
          Bucket: bucket,
          Prefix: prefix,
          EncodingType: "url",
          ...markers,
        }),
      );
    } catch (error) {
      throw failed("listing", prefix, error);
    }
  }

  return store;
}

function ownClient(sdk: typeof import("@aws-sdk/client-s3")): S3Client {
  const client = new sdk.S3Client({
    retryMode: "standard",
    maxAttempts,
    requestHandler: { connectionTimeout, socketTimeout, ...awsAgents() },
  });
  // The endpoint is known only when the SDK has read its environment and profile, so it is asked for a request.
  // The SDK itself addresses an IP by path; "bucket.localhost" and "bucket.minio" are names that nobody resolves.
  const resolve = client.config.endpointProvider;
  client.config.endpointProvider = (params, context) =>
    resolve(
      { ...params, ForcePathStyle: params.ForcePathStyle === true || isStandIn(params.Endpoint) },
      context,
    );
  return client;
}

function isStandIn(endpoint: string | undefined): boolean {
  return endpoint !== undefined && !/(^|\.)amazonaws\.com(\.cn)?$/.test(new URL(endpoint).hostname);
}

/** What an answer says of the object that it is about. */
interface Identity {
  readonly ETag?: string | undefined;
  readonly VersionId?: string | undefined;
}

interface PartRequest {
  readonly version: string | undefined;
  readonly start: number;
  readonly end: number | undefined;
  readonly signal: AbortSignal | undefined;
}

interface Part {
  readonly body: Readable;
  /** The byte after the last one of the body, as a place in the object; undefined when the answer does not say. */
  readonly end: number | undefined;
  readonly version: string;
}

/** Where a range ends by its answer's `Content-Range`; null when that is not the range that was asked for. */
function endOf({ start, end }: PartRequest, contentRange: string | undefined): number | null {
  const [, first, last, size] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(contentRange ?? "") ?? [];
  const until = Math.min(Number(size), end ?? Number.POSITIVE_INFINITY);
  return Number(first) === start && Number(last) + 1 === until ? until : null;
}

/** An ETag of S3 is 32 hex digits, with `-parts` behind them after a multipart upload. Version ids have no such form. */
const etag = /^[0-9a-f]{32}(-\d+)?$/;

function only(version: string | undefined): { IfMatch?: string; VersionId?: string } {
  if (version === undefined) return {};
  return etag.test(version) ? { IfMatch: `"${version}"` } : { VersionId: version };
}

/** Objects from before a bucket's versioning, or from while it was suspended, share the version id "null". */
function named(versionId: string | undefined, quotedEtag: string | undefined): string {
  return versionId !== undefined && versionId !== "null" ? versionId : bare(quotedEtag ?? "");
}

function bare(quotedEtag: string): string {
  return quotedEtag.replaceAll('"', "");
}

function fromListing(key: string): string {
  return decodeURIComponent(key.replaceAll("+", " "));
}

function aborting(signal: AbortSignal | undefined): { abortSignal?: AbortSignal } {
  return signal === undefined ? {} : { abortSignal: signal };
}

async function readIfThere(store: ObjectStore, key: string): Promise<Buffer | undefined> {
  try {
    return await readAll(store, key);
  } catch (error) {
    if (error instanceof StoreError && error.code === "NOT_FOUND") return undefined;
    throw error;
  }
}

function header(response: unknown, name: string): string | undefined {
  const value = fieldsOf(response, "headers")?.[name];
  return typeof value === "string" ? value : undefined;
}
