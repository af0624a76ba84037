// The one HTTP client: every request of every sink, also those that a vendor's SDK builds, goes through here.
import http from "node:http";
import https from "node:https";
import { isIP, type LookupFunction } from "node:net";
import zlib from "node:zlib";
import { version } from "../version.ts";
import { type Clock, systemClock } from "./clock.ts";
import { createAgents, isProxied, type ProxyEnv, proxiesOfProcess } from "./proxy.ts";
import { isPublicAddress, NotPublic, publicLookup } from "./public-address.ts";
import { sinkUnavailable } from "./sink.ts";

export interface HttpRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Absolute, http: or https:. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /**
   * Connects to public addresses only, for a URL that comes from somebody else: when the host is, or resolves at that
   * moment to, something on this machine or in a private network, nothing is sent. Default: any address will do.
   */
  readonly publicOnly?: boolean;
}

/** A complete reply: whatever the status, its body has been read. */
export interface HttpReply {
  readonly status: number;
  /** Names in lower case; repeated headers joined with ", ". */
  readonly headers: Readonly<Record<string, string>>;
  /**
   * UTF-8, decoded from whatever `content-encoding` names, at most {@link maxReplyBytes}; what is longer is read and
   * thrown away.
   */
  readonly body: string;
  /**
   * The wait that the vendor asks for with `Retry-After`, in milliseconds, {@link longestRetryAfterMs} at most; absent when
   * there is none to understand.
   */
  readonly retryAfterMs?: number;
}

/**
 * Sends one request and reads its whole reply. Redirects are replies like any other: they are not followed,
 * since a body with customers' events must not go where a header says.
 *
 * @throws {TransportError} when there is no complete reply: refused, reset, aborted, malformed.
 * @throws {SinkUnavailable} when the request is `publicOnly` and the host is not.
 */
export type HttpClient = (request: HttpRequest, signal: AbortSignal) => Promise<HttpReply>;

/** No complete reply came, so nobody knows what the vendor stored. The message names host and cause, no path, no header. */
export class TransportError extends Error {
  readonly code = "TRANSPORT";
  override readonly name = "TransportError";
}

/** Nobody knows what a vendor will take in more than a day: who asks for more is asked again then. */
export const longestRetryAfterMs = 24 * 60 * 60_000;

/** A reply is read for its verdict, and no vendor's verdict on one request comes near this. */
export const maxReplyBytes = 8 * 1024 * 1024;

export interface HttpOptions {
  readonly clock?: Clock;
  /** Sockets kept open a host, default 64. Sinks bound their own concurrency below it. */
  readonly maxSockets?: number;
  /** Resolves the hosts of `publicOnly` requests. Default `dns.lookup`. */
  readonly lookup?: LookupFunction;
  /**
   * Where proxies are named: `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`. Default: what {@link useProxies} was told, else none. The
   * host of a `publicOnly` request is resolved here also then, and the proxy is asked for the address that was found.
   */
  readonly proxy?: ProxyEnv;
}

/**
 * On every request that brings none of its own: firewalls refuse requests without (AWS WAF's `NoUserAgent_HEADER`, say),
 * and RFC 9110, 10.1.5, wants one.
 */
export const userAgent = `firehose-fanout/${version}`;

/** An {@link HttpClient} over `node:http` and `node:https` with kept-alive sockets. `close` cuts all of them. */
export function createHttp(options: HttpOptions = {}): { readonly send: HttpClient; close(): void } {
  const clock = options.clock ?? systemClock;
  const agentOptions = { keepAlive: true, maxSockets: options.maxSockets ?? 64, scheduling: "lifo" } as const;
  const env = options.proxy ?? proxiesOfProcess();
  const agents = createAgents(agentOptions, env);
  // Sockets of their own: one that is open to a private address must not serve a request that may not go there.
  const lookup = publicLookup(options.lookup);
  const publicAgents = createAgents({ ...agentOptions, lookup }, {});
  const proxiedPublicAgents = createAgents(agentOptions, env);

  const send: HttpClient = async (request, signal) => {
    // `new URL` would throw an error that holds the address, and with it what stands in a query.
    const url = URL.parse(request.url);
    if (url === null) throw new TransportError("the address of a request is no URL");
    const { promise, resolve, reject } = Promise.withResolvers<HttpReply>();
    const abort = () => reject(signal.reason);
    const closed = () => reject(new Error("the connection was closed without a reply"));
    try {
      signal.throwIfAborted();
      // Node tells a request that still waits for a socket only when it gets one.
      signal.addEventListener("abort", abort, { once: true });
      const secure = url.protocol === "https:";
      // No look-up happens for what is an address already.
      const literal = url.hostname.replace(/^\[|\]$/g, "");
      if (request.publicOnly === true && isIP(literal) !== 0 && !isPublicAddress(literal)) {
        throw new NotPublic("the host is an address that is not public");
      }
      const pinned = request.publicOnly === true && isProxied(url, env);
      const { http: plainAgent, https: tlsAgent } = pinned
        ? proxiedPublicAgents
        : request.publicOnly === true
          ? publicAgents
          : agents;
      const found = pinned ? await addressOf(url, literal, lookup) : undefined;
      // Of a plain request the proxy reads the host's name, and looks it up once more itself.
      const place = secure ? found : undefined;
      const body = typeof request.body === "string" ? Buffer.from(request.body) : request.body;
      const outgoing = (secure ? https : http).request(url, {
        method: request.method,
        headers: {
          "user-agent": userAgent,
          // A reply to be read at once; what comes encoded all the same is decoded.
          "accept-encoding": "identity",
          ...request.headers,
          ...(body !== undefined && { "content-length": body.byteLength }),
          ...(place !== undefined && { host: url.host }),
        },
        agent: secure ? tlsAgent : plainAgent,
        signal,
        ...place,
      });
      outgoing.on("error", reject);
      // All that some requests get, such as one answered by an upgrade that nobody asked for.
      outgoing.on("close", closed);
      outgoing.on("response", (incoming) => {
        outgoing.off("close", closed);
        const chunks: Buffer[] = [];
        let bytes = 0;
        incoming.on("data", (chunk: Buffer) => {
          bytes += chunk.byteLength;
          if (bytes <= maxReplyBytes) chunks.push(chunk);
        });
        // Also what comes instead of "end" when a reply is cut off.
        incoming.on("error", reject);
        incoming.on("end", () => {
          const headers: Record<string, string> = {};
          for (const [name, value] of Object.entries(incoming.headers)) {
            headers[name] = Array.isArray(value) ? value.join(", ") : (value ?? "");
          }
          const decoded = decode(Buffer.concat(chunks), headers["content-encoding"]);
          if (decoded === undefined) reject(new Error("the reply is not in the coding that it names"));
          else resolve(reply(incoming.statusCode ?? 0, headers, decoded.toString("utf8"), clock.now()));
        });
      });
      outgoing.end(body);
      return await promise;
    } catch (error) {
      if (error instanceof NotPublic) {
        throw sinkUnavailable(`${url.host} is in a private network, and only public addresses are allowed`);
      }
      throw new TransportError(`${url.host}: ${describe(error, signal)}`);
    } finally {
      signal.removeEventListener("abort", abort);
    }
  };

  return {
    send,
    close: () => {
      const all = [agents, publicAgents, proxiedPublicAgents];
      for (const agent of all.flatMap(Object.values<http.Agent>)) agent.destroy();
    },
  };
}

/** Where a proxy is to connect to: what the host is resolved to here, so that the proxy cannot find something private. */
async function addressOf(
  url: URL,
  literal: string,
  lookup: LookupFunction,
): Promise<Pick<https.RequestOptions, "hostname" | "servername">> {
  if (isIP(literal) !== 0) return { hostname: literal };
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  lookup(url.hostname, { all: false }, (error, address) => {
    if (error === null && typeof address === "string") resolve(address);
    else reject(error ?? new Error("no address"));
  });
  return { hostname: await promise, servername: url.hostname };
}

type Decoder = (bytes: Buffer, options: { readonly maxOutputLength: number }) => Buffer;

const decoders: Readonly<Record<string, Decoder>> = {
  gzip: zlib.gunzipSync,
  "x-gzip": zlib.gunzipSync,
  // RFC 9110, 8.4.1.2: it is zlib's format, and some servers leave its head away.
  deflate: (bytes, options) =>
    ((bytes[0] ?? 0) & 0x0f) === 8 ? zlib.inflateSync(bytes, options) : zlib.inflateRawSync(bytes, options),
  br: zlib.brotliDecompressSync,
  zstd: zlib.zstdDecompressSync,
};

/**
 * A body without the codings of its header, the last one first; undefined when it is not in them, or larger than a reply may
 * be. At once, since the larger part of a reply is a few bytes.
 */
function decode(bytes: Buffer, codings: string | undefined): Buffer | undefined {
  let body = bytes;
  for (const coding of (codings ?? "")
    .toLowerCase()
    .split(/[\s,]+/)
    .reverse()) {
    if (coding === "" || coding === "identity" || body.byteLength === 0) continue;
    const decoder = Object.hasOwn(decoders, coding) ? decoders[coding] : undefined;
    if (decoder === undefined) return undefined;
    try {
      body = decoder(body, { maxOutputLength: maxReplyBytes });
    } catch {
      return undefined;
    }
  }
  return body;
}

/** Builds a reply, `Retry-After` understood. `now` is in milliseconds since the epoch. */
export function reply(
  status: number,
  headers: Readonly<Record<string, string>>,
  body: string,
  now: number,
): HttpReply {
  const retryAfterMs = parseRetryAfter(headers["retry-after"], now);
  return { status, headers, body, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
}

/** The three forms of an HTTP date (RFC 9110, 5.6.7), roughly; `Date.parse` alone finds a date in "try 7". */
const httpDate = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? .*\d\d:\d\d:\d\d/;

/**
 * `Retry-After` is a count of seconds or an HTTP date (RFC 9110, 10.2.3). A date that has passed is no wait;
 * anything else is as if the header were absent.
 */
export function parseRetryAfter(value: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined;
  const text = value.trim();
  if (/^\d+(\.\d+)?$/.test(text)) return Math.min(longestRetryAfterMs, Math.ceil(Number(text) * 1000));
  if (!httpDate.test(text)) return undefined;
  // The oldest form names no zone, and means GMT all the same.
  const date = Date.parse(text.endsWith("GMT") ? text : `${text} GMT`);
  return Number.isNaN(date) ? undefined : Math.min(longestRetryAfterMs, Math.max(0, date - now));
}

function describe(error: unknown, signal: AbortSignal): string {
  if (signal.aborted) return "no complete reply in time";
  if (!(error instanceof Error)) return "the request failed";
  return "code" in error && typeof error.code === "string" ? error.code : error.message;
}
