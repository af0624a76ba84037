// The seam: the vendor's SDK builds and signs what is asked now and then, our one HttpClient carries it.
import { TimestreamWriteClient, type TimestreamWriteClientConfig } from "@aws-sdk/client-timestream-write";
import { type HttpClient, type SendContext, TransportError } from "../../src/index.ts";
import { failureOf } from "./reply.ts";
import { isOff } from "./signature.ts";
import { createWriter, type Writer } from "./write.ts";

export interface ClientOptions {
  /** Default: what the AWS SDK finds in environment and profile. */
  readonly region?: string;
  /**
   * A VPC endpoint, or a local server over plain http. Default: the SDK discovers it, for which IAM must allow
   * `timestream:DescribeEndpoints` on `*`.
   */
  readonly endpoint?: string;
  /** Default: the AWS SDK's own chain. */
  readonly credentials?: NonNullable<TimestreamWriteClientConfig["credentials"]>;
}

/** What the SDK wants beside a command. */
interface Abort {
  readonly abortSignal: AbortSignal;
}

/** The SDK's client over one HttpClient, and what writes records by it. */
interface Line {
  readonly client: TimestreamWriteClient;
  readonly writer: Writer;
}

/**
 * Calls with one SDK client for each HttpClient, made when first needed. A call settles at once when the signal
 * aborts, whatever the SDK waits for then: credentials, its endpoint, a reply.
 */
export function createCaller(options: ClientOptions) {
  const lines = new WeakMap<HttpClient, Line>();
  return async <T>(
    { http, signal }: SendContext,
    perform: (line: Line, abort: Abort) => Promise<T>,
  ): Promise<T> => {
    const line = lines.get(http) ?? createLine(options, http);
    lines.set(http, line);
    try {
      return await untilAborted(perform(line, { abortSignal: signal }), signal);
    } catch (error) {
      // The client keeps a discovered endpoint until its time is over; a new client discovers anew, once for all calls.
      const isMoved = failureOf(error).name === "InvalidEndpointException";
      if (isMoved && lines.get(http) === line) lines.delete(http);
      throw error;
    }
  };
}

/** Settles as the work does, or at once when the signal aborts. */
export function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(new TransportError("Timestream: no complete reply in time"));
    signal.addEventListener("abort", stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
    if (signal.aborted) stop();
  });
}

function createLine(options: ClientOptions, http: HttpClient): Line {
  const { region, endpoint, credentials } = options;
  const client = new TimestreamWriteClient({
    ...(region === undefined ? {} : { region }),
    // With an endpoint in code the SDK discovers none; `endpointDiscoveryEnabled` beside it would throw.
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials }),
    // The core retries, and it alone.
    maxAttempts: 1,
    requestHandler: {
      handle: (request: SignedRequest, { abortSignal }: Abort) => carry(http, request, abortSignal),
    },
  });
  return { client, writer: createWriter(client) };
}

/** What the SDK hands to its transport. */
interface SignedRequest {
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
}

/** Carries the request unchanged, since the signature covers it. `retryAfterMs` and `wasOff` are for `failureOf`. */
async function carry(http: HttpClient, request: SignedRequest, signal: AbortSignal) {
  const { protocol, hostname, port, path, headers, body } = request;
  const url = `${protocol}//${hostname}${port === undefined ? "" : `:${port}`}${path}`;
  const reply = await http({ method: "POST", url, headers, body: plain(body) }, signal);
  const { status, retryAfterMs } = reply;
  return {
    // The SDK renames headers in place, so it gets its own.
    response: {
      statusCode: status,
      headers: { ...reply.headers },
      body: Buffer.from(reply.body),
      retryAfterMs,
      wasOff: isOff(headers, reply.headers),
    },
  };
}

/** The same bytes without the SDK's own class of them, which warns at those who treat it as any other array. */
function plain(body: string | Uint8Array): string | Uint8Array {
  return typeof body === "string" ? body : new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
}
