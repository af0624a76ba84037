// The one HTTP client: every request of every sink, also those that a vendor's SDK builds, goes through here.
import http from "node:http";
import https from "node:https";
import { isIP, type LookupFunction } from "node:net";
import { type Clock, systemClock } from "./clock.ts";
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
  /** UTF-8, at most {@link maxReplyBytes}; what is longer is read and thrown away. */
  readonly body: string;
  /** The wait that the vendor asks for with `Retry-After`, in milliseconds; absent when there is none to understand. */
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

/** A reply is read for its verdict, and no vendor's verdict on one request comes near this. */
export const maxReplyBytes = 8 * 1024 * 1024;

export interface HttpOptions {
  readonly clock?: Clock;
  /** Sockets kept open a host, default 64. Sinks bound their own concurrency below it. */
  readonly maxSockets?: number;
  /** Resolves the hosts of `publicOnly` requests. Default `dns.lookup`. */
  readonly lookup?: LookupFunction;
}

/** An {@link HttpClient} over `node:http` and `node:https` with kept-alive sockets. `close` cuts all of them. */
export function createHttp(options: HttpOptions = {}): { readonly send: HttpClient; close(): void } {
  const clock = options.clock ?? systemClock;
  const agentOptions = { keepAlive: true, maxSockets: options.maxSockets ?? 64, scheduling: "lifo" } as const;
  const agents = { http: new http.Agent(agentOptions), https: new https.Agent(agentOptions) };
  // Sockets of their own: one that is open to a private address must not serve a request that may not go there.
  const guarded = { ...agentOptions, lookup: publicLookup(options.lookup) };
  const publicAgents = { http: new http.Agent(guarded), https: new https.Agent(guarded) };

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
      const { http: plainAgent, https: tlsAgent } = request.publicOnly === true ? publicAgents : agents;
      // No look-up happens for what is an address already.
      const literal = url.hostname.replace(/^\[|\]$/g, "");
      if (request.publicOnly === true && isIP(literal) !== 0 && !isPublicAddress(literal)) {
        throw new NotPublic("the host is an address that is not public");
      }
      const body = typeof request.body === "string" ? Buffer.from(request.body) : request.body;
      const outgoing = (secure ? https : http).request(url, {
        method: request.method,
        headers:
          body === undefined ? request.headers : { ...request.headers, "content-length": body.byteLength },
        agent: secure ? tlsAgent : plainAgent,
        signal,
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
          const text = Buffer.concat(chunks).toString("utf8");
          resolve(reply(incoming.statusCode ?? 0, headers, text, clock.now()));
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
      for (const agent of [agents, publicAgents].flatMap(Object.values<http.Agent>)) agent.destroy();
    },
  };
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
  if (/^\d{1,9}(\.\d+)?$/.test(text)) return Math.ceil(Number(text) * 1000);
  if (!httpDate.test(text)) return undefined;
  // The oldest form names no zone, and means GMT all the same.
  const date = Date.parse(text.endsWith("GMT") ? text : `${text} GMT`);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

function describe(error: unknown, signal: AbortSignal): string {
  if (signal.aborted) return "no complete reply in time";
  if (!(error instanceof Error)) return "the request failed";
  return "code" in error && typeof error.code === "string" ? error.code : error.message;
}
