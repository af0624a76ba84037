// AWS Signature Version 4, for a POST without a query: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
import { createHmac, createSecretKey, hash as hashOf, type KeyObject } from "node:crypto";

export interface Unsigned {
  /** Of the URL, as it is sent. */
  readonly path: string;
  readonly region: string;
  readonly credentials: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string | undefined;
  };
  /** Milliseconds since the epoch; AWS takes what is at most 5 minutes off. */
  readonly time: number;
  /** In lower case, `host` among them; all are signed. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

const [algorithm, service, ending] = ["AWS4-HMAC-SHA256", "timestream", "aws4_request"] as const;

/** The headers, with those that the signature adds. */
export function signed(request: Unsigned): Record<string, string> {
  const { path, region, credentials, time, body } = request;
  const { accessKeyId, secretAccessKey, sessionToken } = credentials;
  // 20261102T101500Z
  const date = new Date(time).toISOString().replace(/[-:]|\.\d+/g, "");
  const hash = sha256(body);
  const headers: Record<string, string> = {
    ...request.headers,
    "x-amz-date": date,
    "x-amz-content-sha256": hash,
    // Also where a variable of the environment is there and empty.
    ...(sessionToken ? { "x-amz-security-token": sessionToken } : {}),
  };
  const names = Object.keys(headers).sort();
  const canonical = names.map((name) => `${name}:${headers[name]?.trim().replace(/ +/g, " ")}\n`).join("");
  const asked = `POST\n${canonicalPath(path)}\n\n${canonical}\n${names.join(";")}\n${hash}`;
  const day = date.slice(0, 8);
  const scope = `${day}/${region}/${service}/${ending}`;
  const text = `${algorithm}\n${date}\n${scope}\n${sha256(asked)}`;
  const signature = hmac(keyOf(secretAccessKey, day, region), text).toString("hex");
  headers["authorization"] =
    `${algorithm} Credential=${accessKeyId}/${scope}, SignedHeaders=${names.join(";")}, Signature=${signature}`;
  return headers;
}

/** Encoded once more than it is sent, as for every service but S3; slashes in a row count as one. */
function canonicalPath(path: string): string {
  const encoded = (character: string) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
  return encodeURIComponent(path.replace(/\/+/g, "/"))
    .replace(/[!'()*]/g, encoded)
    .replaceAll("%2F", "/");
}

/** The key that was asked for last, which is good for a day. */
let lastKey: { readonly of: string; readonly key: KeyObject } | undefined;

function keyOf(secret: string, day: string, region: string): KeyObject {
  const of = JSON.stringify([secret, day, region]);
  if (lastKey?.of !== of) {
    const first = hmac(`AWS4${secret}`, day);
    lastKey = { of, key: createSecretKey([region, service, ending].reduce<Buffer>(hmac, first)) };
  }
  return lastKey.key;
}

function hmac(key: string | Buffer | KeyObject, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}

function sha256(data: string | Uint8Array): string {
  return hashOf("sha256", data, "hex");
}

/** Further off than this, AWS refuses a signature for its time: then its clock counts, as in the SDK. */
const mostSkewMs = 5 * 60_000;

/** Whether a request was signed for a time that is not the vendor's, by the headers of both. */
export function isOff(
  sent: Readonly<Record<string, string>>,
  replied: Readonly<Record<string, string>>,
): boolean {
  const date = (sent["x-amz-date"] ?? "").replace(/^(....)(..)(..T..)(..)(..Z)$/, "$1-$2-$3:$4:$5");
  return Math.abs(Date.parse(replied["date"] ?? "") - Date.parse(date)) >= mostSkewMs;
}
