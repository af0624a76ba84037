// Objects in an S3 bucket. The only file of the core that knows the S3 client.
import { Readable } from "node:stream";
import type { S3Client } from "@aws-sdk/client-s3";
import { type Clock, systemClock } from "../delivery/clock.ts";
import { type ObjectInfo, type ObjectStore, readAll, StoreError } from "./object-store.ts";
import { attemptsOf, s3Error, statusOf } from "./s3-error.ts";

export interface S3Options {
  /** The bucket's name, nothing else: keys are full keys. */
  readonly bucket: string;
  /**
   * Default: a client of this store's own, made at its first request, that finds region, credentials and endpoint
   * where every AWS tool does: `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL_S3`, profiles, roles. An
   * endpoint outside of amazonaws.com is addressed by path. Its retries are the SDK's.
   */
  readonly client?: S3Client;
  /** Waits between the tries of a conditional write that met another one. Default the system's. */
  readonly clock?: Clock;
}

/** The SDK's standard mode with one more try than its 3: S3 asks for retries with backoff on 503 SlowDown.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-guidelines.html */
const maxAttempts = 4;

/** The SDK's own default is to wait for ever. An S3 that does not even take the connection is worth a retry. */
const connectionTimeout = 5_000;
/** A socket on which nothing moves. A reader whose lanes are full lets a body rest too, but not for this long. */
const socketTimeout = 60_000;

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
 * `putIfAbsent` is exact as long as S3 answers. After a try without an answer the key is read back, and bytes
 * equal to ours count as written by us: so two writers must never offer the same bytes for one key.
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
  const failed = (doing: string, key: string, error: unknown, signal?: AbortSignal) =>
    s3Error(`${doing} ${location}/${key}`, error, signal);

  async function write(key: string, bytes: Uint8Array, condition: { IfNoneMatch?: "*" }) {
    const { sdk, client } = await connect();
    await client.send(new sdk.PutObjectCommand({ Bucket: bucket, Key: key, Body: bytes, ...condition }));
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
        // A bare 404 is all that HEAD says, of a missing object, version or bucket.
        if (statusOf(error) === 404) return undefined;
        throw failed("looking at", key, error, signal);
      }
    },

    async *read(key, { version, start = 0, end, signal } = {}) {
      if (end !== undefined && end <= start) return;
      const range =
        start === 0 && end === undefined ? undefined : `bytes=${start}-${end === undefined ? "" : end - 1}`;
      try {
        const { sdk, client } = await connect();
        const reply = await client.send(
          new sdk.GetObjectCommand({
            Bucket: bucket,
            Key: key,
            ...only(version),
            ...(range && { Range: range }),
          }),
          aborting(signal),
        );
        if (!(reply.Body instanceof Readable)) throw new TypeError("the client's body is not a Node stream");
        for await (const chunk of reply.Body) yield chunk;
      } catch (error) {
        // A range that starts behind the end holds no bytes.
        if (statusOf(error) === 416) return;
        throw failed("reading", key, error, signal);
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
      for (let attempt = 1; ; attempt++) {
        try {
          await write(key, bytes, { IfNoneMatch: "*" });
          return true;
        } catch (error) {
          const status = statusOf(error);
          if (status === 409 && attempt < conflictAttempts) {
            await clock.sleep(conflictPauseMs * 2 ** (attempt - 1));
            continue;
          }
          if (status === 412 && attemptsOf(error) === 1) return false;
          const failure = failed("writing", key, error);
          const unknown = status !== 409 && failure.code === "TRANSIENT";
          if (status !== 412 && !unknown) throw failure;
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
      let token: string | undefined;
      do {
        const page = await listPage(prefix, token);
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

  return store;
}

function ownClient(sdk: typeof import("@aws-sdk/client-s3")): S3Client {
  const client = new sdk.S3Client({
    retryMode: "standard",
    maxAttempts,
    requestHandler: { connectionTimeout, socketTimeout },
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

/** An ETag of S3 is 32 hex digits, with `-parts` behind them after a multipart upload. Version ids have no such form. */
const etag = /^[0-9a-f]{32}(-\d+)?$/;

function only(version: string | undefined): { IfMatch?: string; VersionId?: string } {
  if (version === undefined) return {};
  return etag.test(version) ? { IfMatch: `"${version}"` } : { VersionId: version };
}

/** Objects from before a bucket's versioning, or from while it was suspended, share the version id "null". */
function named(versionId: string | undefined, quotedEtag: string | undefined): string {
  return versionId !== undefined && versionId !== "null" ? versionId : (quotedEtag ?? "").replaceAll('"', "");
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
  if (typeof response !== "object" || response === null || !("headers" in response)) return undefined;
  const { headers } = response;
  if (typeof headers !== "object" || headers === null) return undefined;
  // As above: names are strings, values unknown.
  const value = (headers as Record<string, unknown>)[name];
  return typeof value === "string" ? value : undefined;
}
