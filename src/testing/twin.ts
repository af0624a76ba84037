// A twin is a local stand-in for a vendor: a handler that answers requests as the vendor documents.
import http from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Clock } from "../delivery/clock.ts";
import { systemClock } from "../delivery/clock.ts";
import { type HttpClient, reply, TransportError } from "../delivery/http.ts";

/** The request's `signal` aborts when its client goes away. */
export type TwinHandler = (request: Request) => Response | Promise<Response>;

/** What every adapter's `twin.ts` makes. */
export interface Twin {
  readonly handle: TwinHandler;
  /** How many times the vendor stored each id, in the order of arrival; a vendor that dedupes stores an id once. */
  readonly stored: ReadonlyMap<string, number>;
}

/** An {@link HttpClient} that asks the twin in process: no sockets, so a virtual clock can move what happens. */
export function twinHttp(handle: TwinHandler, clock: Clock = systemClock): HttpClient {
  return async (request, signal) => {
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    const fail = () => reject(new TransportError(`${new URL(request.url).host}: no complete reply in time`));
    const answer = async () => {
      const { method, url, headers, body } = request;
      const response = await handle(toRequest(method, url, headers, body, signal));
      return reply(response.status, Object.fromEntries(response.headers), await response.text(), clock.now());
    };
    signal.addEventListener("abort", fail, { once: true });
    if (signal.aborted) fail();
    try {
      // As on the wire, a request that was aborted before it began reaches nobody.
      return await (signal.aborted ? aborted : Promise.race([aborted, answer()]));
    } finally {
      signal.removeEventListener("abort", fail);
    }
  };
}

/** A twin served on loopback. */
export interface ServedTwin {
  /** `http://127.0.0.1:port`, no slash at its end. */
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Serves a twin on 127.0.0.1, on a free port. A handler that throws {@link resetConnection} cuts the connection;
 * a response whose body stream errors is cut off in the middle.
 */
export async function serveTwin(handle: TwinHandler, port = 0): Promise<ServedTwin> {
  const server = http.createServer(async (incoming, outgoing) => {
    const gone = new AbortController();
    outgoing.once("close", () => gone.abort());
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of incoming) chunks.push(Buffer.from(chunk));
      const headers = Object.fromEntries(
        Object.entries(incoming.headers).map(([name, value]) => [name, String(value ?? "")]),
      );
      const url = `http://${incoming.headers.host ?? "127.0.0.1"}${incoming.url ?? "/"}`;
      const body = chunks.length === 0 ? undefined : Buffer.concat(chunks);
      const response = await handle(toRequest(incoming.method ?? "GET", url, headers, body, gone.signal));
      outgoing.writeHead(response.status, Object.fromEntries(response.headers));
      if (response.body === null) outgoing.end();
      // When the client goes away, the body is cancelled even while its next piece is awaited.
      else await pipeline(Readable.fromWeb(response.body), outgoing);
    } catch {
      // A cut connection is the only way to tell a client over HTTP that there will be no answer.
      outgoing.destroy();
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  // A server that listens on TCP has an AddressInfo; strings are for pipes, null for closed ones.
  const address = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${address.port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Thrown by a handler to cut the connection without an answer. */
export function resetConnection(): Error {
  return new TransportError("the twin cut the connection");
}

/**
 * A twin as a resolver of msw: `http.all("https://api.acme.test/*", twinResolver(twin.handle))`. The client is then the
 * real one, and the vendor's host too. Whatever the handler throws is a connection that is cut, as on loopback.
 */
export function twinResolver(
  handle: TwinHandler,
): (info: { readonly request: Request }) => Promise<Response> {
  return async ({ request }) => {
    try {
      return await handle(request);
    } catch {
      return Response.error();
    }
  };
}

function toRequest(
  method: string,
  url: string,
  headers: Readonly<Record<string, string>>,
  body: string | Uint8Array | undefined,
  signal: AbortSignal,
): Request {
  const bodyless = method === "GET" || method === "HEAD" || body === undefined;
  // `Request` takes any byte view; TypeScript's DOM types want one over a plain ArrayBuffer, which a copy is.
  return new Request(url, {
    method,
    headers,
    signal,
    ...(bodyless ? {} : { body: typeof body === "string" ? body : new Uint8Array(body) }),
  });
}
