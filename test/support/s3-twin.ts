// S3 as its documentation describes it, as far as the project uses it. What it does not do, it refuses.
import { createHash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { crc32 } from "node:zlib";
import { type Clock, systemClock } from "../../src/delivery/clock.ts";
import type { Fault } from "../../src/testing/faults.ts";
import { resetConnection, type TwinHandler } from "../../src/testing/twin.ts";

export interface S3TwinOptions {
  /** Where `Date` and `Last-Modified` come from; S3 tells both in whole seconds. Default the system's. */
  readonly clock?: Clock;
  /** Names of the buckets that exist. Default `["bucket"]`. */
  readonly buckets?: readonly string[];
  /** Keys a page of a listing. Default and most: {@link largestPage}. */
  readonly pageSize?: number;
  /** Every write gets a version id, deletions leave markers. Default false. */
  readonly versioning?: boolean;
}

export interface S3Twin {
  /** Path-style requests: `http://host/bucket/key`. */
  readonly handle: TwinHandler;
  /** Writes as a client would; returns the object's version as an `ObjectStore` names it. */
  put(bucket: string, key: string, content: string | Uint8Array): string;
  get(bucket: string, key: string): Buffer | undefined;
  /** Deletes as a client would: one version, or the object, which leaves a marker where there are versions. */
  remove(bucket: string, key: string, version?: string): void;
  /** Keys in order of their bytes. */
  keys(bucket: string, prefix?: string): string[];
  /** The next `times` conditional writes are answered 409 ConditionalRequestConflict, and nothing is stored. */
  conflict(times: number): void;
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html: "up to 1,000 key names". */
const largestPage = 1000;

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html: 1,024 bytes of UTF-8. */
const longestKey = 1024;

interface Stored {
  readonly bytes: Buffer;
  readonly etag: string;
  readonly lastModified: number;
  /** Absent in a bucket without versioning. */
  readonly versionId?: string;
  readonly checksum: readonly [header: string, value: string];
  readonly contentEncoding?: string;
  /** A deletion in a bucket with versioning. */
  readonly marker?: true;
}

/** Oldest version first. */
type Bucket = Map<string, Stored[]>;

export function createS3Twin(options: S3TwinOptions = {}): S3Twin {
  const { clock = systemClock, versioning = false, pageSize = largestPage } = options;
  const buckets = new Map<string, Bucket>(
    (options.buckets ?? ["bucket"]).map((name) => [name, new Map<string, Stored[]>()]),
  );
  let conflicts = 0;
  let requests = 0;
  let versions = 0;

  function latest(bucket: Bucket, key: string): Stored | undefined {
    const stored = bucket.get(key)?.at(-1);
    return stored?.marker ? undefined : stored;
  }

  function store(bucket: Bucket, key: string, content: Omit<Stored, "lastModified" | "versionId">): Stored {
    // As long as S3's, from the same alphabet; never like an ETag, which has no letter above f.
    const versionId = `twin.${String(++versions).padStart(27, "0")}`;
    const stored = {
      ...content,
      lastModified: Math.floor(clock.now() / 1000) * 1000,
      ...(versioning && { versionId }),
    };
    bucket.set(key, versioning ? [...(bucket.get(key) ?? []), stored] : [stored]);
    return stored;
  }

  function remove(bucket: Bucket, key: string, versionId: string | null): Answer {
    if (versionId !== null) {
      const left = (bucket.get(key) ?? []).filter((stored) => stored.versionId !== versionId);
      if (left.length === 0) bucket.delete(key);
      else bucket.set(key, left);
      return { status: 204, headers: { "x-amz-version-id": versionId } };
    }
    if (!versioning) {
      bucket.delete(key);
      return { status: 204 };
    }
    const { versionId: marker = "" } = store(bucket, key, { ...contentOf(Buffer.alloc(0)), marker: true });
    return { status: 204, headers: { "x-amz-version-id": marker, "x-amz-delete-marker": "true" } };
  }

  function find(bucket: Bucket, key: string, versionId: string | null): Stored {
    if (versionId === null) {
      const stored = latest(bucket, key);
      if (stored === undefined) throw new Refusal(404, "NoSuchKey", "The specified key does not exist.");
      return stored;
    }
    const stored = bucket.get(key)?.find((candidate) => candidate.versionId === versionId);
    if (stored === undefined)
      throw new Refusal(404, "NoSuchVersion", "The specified version does not exist.");
    if (stored.marker) throw new Refusal(405, "MethodNotAllowed", "The specified method is not allowed.");
    return stored;
  }

  function get(bucket: Bucket, key: string, query: URLSearchParams, headers: Headers): Answer {
    allowOnly(query, ["versionId", "x-id"]);
    const stored = find(bucket, key, query.get("versionId"));
    const wanted = headers.get("if-match");
    if (wanted !== null && wanted !== "*" && wanted.replaceAll('"', "") !== stored.etag)
      throw conditionFailed();
    for (const name of ["if-none-match", "if-modified-since", "if-unmodified-since"]) {
      if (headers.has(name)) throw notImplemented(name);
    }
    const range = parseRange(headers.get("range"), stored.bytes.byteLength);
    const bytes = range === undefined ? stored.bytes : stored.bytes.subarray(range.start, range.end);
    return {
      status: range === undefined ? 200 : 206,
      headers: {
        "accept-ranges": "bytes",
        "content-length": String(bytes.byteLength),
        "content-type": "application/octet-stream",
        ...(stored.contentEncoding !== undefined && { "content-encoding": stored.contentEncoding }),
        etag: `"${stored.etag}"`,
        "last-modified": new Date(stored.lastModified).toUTCString(),
        ...(stored.versionId !== undefined && { "x-amz-version-id": stored.versionId }),
        ...(range !== undefined && {
          "content-range": `bytes ${range.start}-${range.end - 1}/${stored.bytes.byteLength}`,
        }),
        // A checksum of the whole object cannot vouch for a part of it.
        ...(range === undefined &&
          headers.get("x-amz-checksum-mode") === "ENABLED" && { [stored.checksum[0]]: stored.checksum[1] }),
      },
      body: bytes,
    };
  }

  async function put(bucket: Bucket, key: string, query: URLSearchParams, request: Request): Promise<Answer> {
    allowOnly(query, ["x-id"]);
    const content = verified(Buffer.from(await request.arrayBuffer()), request.headers);
    // From here on nothing is awaited: of several writers, one finds the key free.
    const condition = request.headers.get("if-none-match");
    if (request.headers.has("if-match")) throw notImplemented("if-match on a write");
    if (condition !== null) {
      if (condition !== "*") throw notImplemented("if-none-match with an ETag");
      if (conflicts > 0) {
        conflicts--;
        throw new Refusal(
          409,
          "ConditionalRequestConflict",
          "The conditional request cannot succeed due to a conflicting operation against this resource.",
        );
      }
      if (latest(bucket, key) !== undefined) throw conditionFailed();
    }
    const stored = store(bucket, key, content);
    return {
      status: 200,
      headers: {
        etag: `"${stored.etag}"`,
        [stored.checksum[0]]: stored.checksum[1],
        ...(stored.versionId !== undefined && { "x-amz-version-id": stored.versionId }),
      },
    };
  }

  function list(name: string, bucket: Bucket, query: URLSearchParams): Answer {
    allowOnly(query, ["list-type", "prefix", "max-keys", "continuation-token", "encoding-type", "x-id"]);
    if (query.get("list-type") !== "2") throw notImplemented("listing of version 1");
    const prefix = query.get("prefix") ?? "";
    const encode = query.get("encoding-type") === "url" ? urlEncoded : xmlEscaped;
    const most = Math.min(Number(query.get("max-keys") ?? largestPage), pageSize, largestPage);
    const token = query.get("continuation-token");
    const after = token === null ? undefined : Buffer.from(token, "base64url");
    const rest = keysOf(bucket, prefix).filter(
      (key) => after === undefined || Buffer.compare(Buffer.from(key), after) > 0,
    );
    const page = rest.slice(0, most);
    const last = page.at(-1);
    const truncated = rest.length > page.length && last !== undefined;
    const contents = page.flatMap((key) => {
      const stored = latest(bucket, key);
      if (stored === undefined) return [];
      return `<Contents><Key>${encode(key)}</Key><LastModified>${new Date(stored.lastModified).toISOString()}</LastModified><ETag>&quot;${stored.etag}&quot;</ETag><Size>${stored.bytes.byteLength}</Size><StorageClass>STANDARD</StorageClass></Contents>`;
    });
    return xml(200, [
      '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">',
      `<Name>${xmlEscaped(name)}</Name><Prefix>${encode(prefix)}</Prefix><MaxKeys>${most}</MaxKeys>`,
      query.get("encoding-type") === "url" ? "<EncodingType>url</EncodingType>" : "",
      `<KeyCount>${page.length}</KeyCount><IsTruncated>${truncated}</IsTruncated>`,
      truncated
        ? `<NextContinuationToken>${Buffer.from(last).toString("base64url")}</NextContinuationToken>`
        : "",
      ...contents,
      "</ListBucketResult>",
    ]);
  }

  /** Every version, the newest of a key first, and markers of deletions. A page never ends between two of a key. */
  function listVersions(name: string, bucket: Bucket, query: URLSearchParams): Answer {
    allowOnly(query, [
      "versions",
      "prefix",
      "max-keys",
      "key-marker",
      "version-id-marker",
      "encoding-type",
      "x-id",
    ]);
    const prefix = query.get("prefix") ?? "";
    const encode = query.get("encoding-type") === "url" ? urlEncoded : xmlEscaped;
    const after = query.get("key-marker");
    const keys = [...bucket.keys()]
      .filter((key) => key.startsWith(prefix) && (bucket.get(key)?.length ?? 0) > 0)
      .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      .filter((key) => after === null || Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0);
    const page = keys.slice(0, pageSize);
    const last = page.at(-1);
    const truncated = keys.length > page.length && last !== undefined;
    const entries = page.flatMap((key) =>
      [...(bucket.get(key) ?? [])].reverse().map((stored, index) => {
        const kind = stored.marker === true ? "DeleteMarker" : "Version";
        const rest =
          stored.marker === true
            ? ""
            : `<ETag>&quot;${stored.etag}&quot;</ETag><Size>${stored.bytes.byteLength}</Size><StorageClass>STANDARD</StorageClass>`;
        return `<${kind}><Key>${encode(key)}</Key><VersionId>${stored.versionId ?? "null"}</VersionId><IsLatest>${index === 0}</IsLatest><LastModified>${new Date(stored.lastModified).toISOString()}</LastModified>${rest}</${kind}>`;
      }),
    );
    return xml(200, [
      '<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">',
      `<Name>${xmlEscaped(name)}</Name><Prefix>${encode(prefix)}</Prefix><MaxKeys>${pageSize}</MaxKeys>`,
      query.get("encoding-type") === "url" ? "<EncodingType>url</EncodingType>" : "",
      `<IsTruncated>${truncated}</IsTruncated>`,
      truncated
        ? `<NextKeyMarker>${last}</NextKeyMarker><NextVersionIdMarker>null</NextVersionIdMarker>`
        : "",
      ...entries,
      "</ListVersionsResult>",
    ]);
  }

  function keysOf(bucket: Bucket, prefix: string): string[] {
    return [...bucket.keys()]
      .filter((key) => key.startsWith(prefix) && latest(bucket, key) !== undefined)
      .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  }

  async function answer(request: Request): Promise<Answer> {
    const url = new URL(request.url);
    const [, name = "", path = ""] = /^\/([^/]*)\/?(.*)$/s.exec(url.pathname) ?? [];
    const key = decodeURIComponent(path);
    if (!request.headers.has("authorization")) throw new Refusal(403, "AccessDenied", "Access Denied");
    const bucket = buckets.get(name);
    if (bucket === undefined) throw new Refusal(404, "NoSuchBucket", "The specified bucket does not exist");
    if (Buffer.byteLength(key) > longestKey)
      throw new Refusal(400, "KeyTooLongError", "Your key is too long");
    const { searchParams: query } = url;
    if (key === "") {
      if (request.method === "GET" && query.has("versions")) return listVersions(name, bucket, query);
      if (request.method === "GET") return list(name, bucket, query);
      throw notImplemented(`${request.method} on a bucket`);
    }
    switch (request.method) {
      case "GET":
      case "HEAD":
        return get(bucket, key, query, request.headers);
      case "PUT":
        return await put(bucket, key, query, request);
      case "DELETE":
        allowOnly(query, ["versionId", "x-id"]);
        return remove(bucket, key, query.get("versionId"));
      default:
        throw notImplemented(request.method);
    }
  }

  function bucketNamed(name: string): Bucket {
    const bucket = buckets.get(name);
    if (bucket === undefined) throw new Error(`the twin has no bucket ${name}`);
    return bucket;
  }

  return {
    async handle(request) {
      const { status, headers, body } = await answer(request).catch((error: unknown): Answer => {
        if (error instanceof Refusal) return refusal(error.status, error.code, error.message);
        throw error;
      });
      // A Response's body must lie in a plain ArrayBuffer, which a copy does. HEAD and 204 have none.
      const silent = request.method === "HEAD" || status === 204 || body === undefined;
      return new Response(silent ? null : new Uint8Array(body), {
        status,
        headers: {
          ...(request.method !== "HEAD" &&
            body !== undefined && { "content-length": String(body.byteLength) }),
          ...headers,
          date: new Date(clock.now()).toUTCString(),
          "x-amz-request-id": `TWIN${String(++requests).padStart(12, "0")}`,
          server: "AmazonS3",
        },
      });
    },
    put(name, key, content) {
      const stored = store(bucketNamed(name), key, contentOf(Buffer.from(content)));
      return stored.versionId ?? stored.etag;
    },
    get: (name, key) => latest(bucketNamed(name), key)?.bytes,
    remove(name, key, version) {
      remove(bucketNamed(name), key, version ?? null);
    },
    keys: (name, prefix = "") => keysOf(bucketNamed(name), prefix),
    conflict(times) {
      conflicts += times;
    },
  };
}

/** A refusal as S3 words it, for the fault injector. */
export function s3Refusal(
  status: number,
  code: string,
  headers: Readonly<Record<string, string>> = {},
): Extract<Fault, { kind: "status" }> {
  const { headers: own, body } = refusal(status, code, "a-message-from-the-service");
  return { kind: "status", status, headers: { ...own, ...headers }, body: String(body) };
}

/**
 * An answer whose body ends after so many bytes, at least one, of what its head promises: cut off, or never going
 * on. One that has no more bytes stays whole.
 */
export async function breakBody(response: Response, after: number, then: "cut" | "hang"): Promise<Response> {
  if (response.body === null) return response;
  const whole = new Uint8Array(await response.arrayBuffer());
  const bytes = whole.subarray(0, Math.max(1, after));
  if (bytes.length === whole.length) return new Response(whole, response);
  let isSent = false;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (!isSent) controller.enqueue(bytes);
      else if (then === "hang") await new Promise<never>(() => {});
      else {
        // A connection that is destroyed takes with it what it has not sent yet.
        await setImmediate();
        controller.error(resetConnection());
      }
      isSent = true;
    },
  });
  return new Response(body, response);
}

interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
}

class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

function conditionFailed(): Refusal {
  return new Refusal(
    412,
    "PreconditionFailed",
    "At least one of the pre-conditions you specified did not hold",
  );
}

function notImplemented(what: string): Refusal {
  return new Refusal(501, "NotImplemented", `The twin does not implement ${what}`);
}

function allowOnly(query: URLSearchParams, names: readonly string[]): void {
  for (const name of query.keys()) if (!names.includes(name)) throw notImplemented(`the parameter ${name}`);
}

function refusal(status: number, code: string, message: string): Answer {
  return xml(status, [
    `<Error><Code>${xmlEscaped(code)}</Code><Message>${xmlEscaped(message)}</Message></Error>`,
  ]);
}

function xml(status: number, lines: readonly string[]): Answer {
  const body = Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>\n${lines.join("")}`);
  return { status, headers: { "content-type": "application/xml" }, body };
}

function xmlEscaped(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("\r", "&#13;");
}

/** `encoding-type=url`, as S3 does it: a space is `+`, a slash stays. */
function urlEncoded(text: string): string {
  return encodeURIComponent(text)
    .replaceAll("%20", "+")
    .replaceAll("%2F", "/")
    .replace(/[!'()*]/g, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** Undefined for the whole object, also for a header that S3 cannot read. */
function parseRange(value: string | null, size: number): { start: number; end: number } | undefined {
  const [, first = "", last = ""] = /^bytes=(\d*)-(\d*)$/.exec(value ?? "") ?? [];
  if (first === "" && last === "") return undefined;
  const start = first === "" ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === "" || last === "" ? size : Math.min(size, Number(last) + 1);
  if (first !== "" && last !== "" && Number(last) < start) return undefined;
  if (start >= size) throw new Refusal(416, "InvalidRange", "The requested range is not satisfiable");
  return { start, end };
}

/** S3 gives an object that came without a checksum one of its own: CRC64NVME. */
function contentOf(
  bytes: Buffer,
  checksum?: Stored["checksum"],
): Pick<Stored, "bytes" | "etag" | "checksum"> {
  const own = "x-amz-checksum-crc64nvme";
  return {
    bytes,
    etag: createHash("md5").update(bytes).digest("hex"),
    checksum: checksum ?? [own, checksums[own](bytes)],
  };
}

const checksums = {
  "x-amz-checksum-crc32": (bytes: Buffer) => {
    const sum = Buffer.alloc(4);
    sum.writeUInt32BE(crc32(bytes));
    return sum.toString("base64");
  },
  "x-amz-checksum-crc64nvme": (bytes: Buffer) => {
    const sum = Buffer.alloc(8);
    sum.writeBigUInt64BE(crc64Nvme(bytes));
    return sum.toString("base64");
  },
  "x-amz-checksum-sha1": (bytes: Buffer) => createHash("sha1").update(bytes).digest("base64"),
  "x-amz-checksum-sha256": (bytes: Buffer) => createHash("sha256").update(bytes).digest("base64"),
} as const;

/** The content of a write, after everything that its headers and trailers promise about it has been checked.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html */
function verified(body: Buffer, headers: Headers): Omit<Stored, "lastModified" | "versionId"> {
  const streamed = headers.get("x-amz-content-sha256")?.startsWith("STREAMING-") ?? false;
  const { bytes, trailers } = streamed ? unchunked(body) : { bytes: body, trailers: new Headers() };

  const length = headers.get(streamed ? "x-amz-decoded-content-length" : "content-length");
  if (length !== null && Number(length) !== bytes.byteLength) {
    throw new Refusal(400, "IncompleteBody", "The request body is not as long as its headers say");
  }
  const sha256 = headers.get("x-amz-content-sha256") ?? "";
  if (/^[0-9a-f]{64}$/.test(sha256) && createHash("sha256").update(bytes).digest("hex") !== sha256) {
    throw new Refusal(400, "XAmzContentSHA256Mismatch", "The content does not match x-amz-content-sha256");
  }
  const md5 = headers.get("content-md5");
  if (md5 !== null && createHash("md5").update(bytes).digest("base64") !== md5)
    throw badDigest("Content-MD5");

  const announced = headers.get("x-amz-trailer");
  if (announced !== null && !trailers.has(announced)) {
    throw new Refusal(400, "MalformedTrailerError", `The trailer ${announced} is missing`);
  }
  let checksum: Stored["checksum"] | undefined;
  for (const [name, value] of [...headers, ...trailers]) {
    if (!name.startsWith("x-amz-checksum-") || name === "x-amz-checksum-mode") continue;
    if (!isChecksum(name)) throw notImplemented(name);
    if (checksums[name](bytes) !== value) throw badDigest(name);
    checksum = [name, value];
  }

  const contentEncoding = (headers.get("content-encoding") ?? "")
    .split(",")
    .map((coding) => coding.trim())
    .filter((coding) => coding !== "" && coding !== "aws-chunked")
    .join(",");
  return {
    ...contentOf(bytes, checksum),
    ...(contentEncoding !== "" && { contentEncoding }),
  };
}

function isChecksum(name: string): name is keyof typeof checksums {
  return Object.hasOwn(checksums, name);
}

function badDigest(name: string): Refusal {
  return new Refusal(400, "BadDigest", `The ${name} you specified did not match what we received.`);
}

/** `size[;extensions]\r\nbytes\r\n…0\r\nname:value\r\n…\r\n`
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html */
function unchunked(body: Buffer): { bytes: Buffer; trailers: Headers } {
  const incomplete = () => new Refusal(400, "IncompleteBody", "The chunks of the request body are broken");
  const parts: Buffer[] = [];
  let at = 0;
  const line = () => {
    const end = body.indexOf("\r\n", at);
    if (end === -1) throw incomplete();
    const text = body.toString("latin1", at, end);
    at = end + 2;
    return text;
  };
  for (;;) {
    const [, hex] = /^([0-9a-f]+)(?:;.*)?$/i.exec(line()) ?? [];
    if (hex === undefined) throw incomplete();
    const size = Number.parseInt(hex, 16);
    if (size === 0) break;
    if (at + size + 2 > body.byteLength) throw incomplete();
    parts.push(body.subarray(at, at + size));
    at += size;
    if (line() !== "") throw incomplete();
  }
  const trailers = new Headers();
  while (at < body.byteLength) {
    const text = line();
    if (text === "") break;
    const colon = text.indexOf(":");
    if (colon < 1) throw incomplete();
    trailers.set(text.slice(0, colon), text.slice(colon + 1).trim());
  }
  return { bytes: Buffer.concat(parts), trailers };
}

/** CRC-64/NVME of the catalogue of parametrised CRCs: reflected, polynomial 0xad93d23594c93659, all ones in and out.
 * In two halves, since BigInt takes seconds for an object of usual size. */
const crc64Polynomial = { high: 0x9a6c9329, low: 0xac4bc9b5 };
const crc64Table = { high: new Int32Array(256), low: new Int32Array(256) };
for (let index = 0; index < 256; index++) {
  let [high, low] = [0, index];
  for (let bit = 0; bit < 8; bit++) {
    const odd = (low & 1) === 1;
    low = (low >>> 1) | (high << 31);
    high >>>= 1;
    if (odd) [high, low] = [high ^ crc64Polynomial.high, low ^ crc64Polynomial.low];
  }
  crc64Table.high[index] = high;
  crc64Table.low[index] = low;
}

function crc64Nvme(bytes: Uint8Array): bigint {
  let [high, low] = [-1, -1];
  for (const byte of bytes) {
    const index = (low ^ byte) & 0xff;
    low = ((low >>> 8) | (high << 24)) ^ (crc64Table.low[index] ?? 0);
    high = (high >>> 8) ^ (crc64Table.high[index] ?? 0);
  }
  return (BigInt(~high >>> 0) << 32n) | BigInt(~low >>> 0);
}
