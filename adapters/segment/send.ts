// One request to Segment: `POST /v1/batch` over the core's HTTP client, and what its reply means.
import {
  type Batch,
  bodyOf,
  classifyReply,
  gzipped,
  type HttpReply,
  type Limits,
  type SendContext,
  sinkUnavailable,
  type Verdict,
} from "../../src/index.ts";

export interface SegmentOptions {
  /** Of the source; a secret. Segment answers 200 to most wrong keys and drops what came: see the source's debugger. */
  readonly writeKey: string;
  /**
   * An origin, default `https://api.segment.io`; for a workspace in the EU `https://events.eu1.segmentapis.com`
   * (the wrong region answers 200 and drops what came). Plain http only on loopback.
   */
  readonly host?: string;
  /**
   * Whether bodies are compressed, which Segment's own libraries do with their option `gzip`: a tenth of the bytes for
   * some microseconds of a core an event. Default true.
   * https://segment.com/docs/connections/sources/catalog/libraries/server/python/#options
   */
  readonly gzip?: boolean;
}

const defaultHost = "https://api.segment.io";

/**
 * https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/ ("Errors", "Rate limits"):
 * 32 KB an event, 500 KB and 2,500 events a request (beyond, it answers 200 and drops), 1,000 requests a second a
 * workspace.
 */
const limits: Limits = {
  itemsPerRequest: 2500,
  bytesPerRequest: 500_000,
  bytesPerItem: 32 * 1024,
  concurrency: 8,
  requestsPerSecond: 1000,
};

const before = '{"batch":[';

/** What both sinks share: the limits of a request, and its way to Segment. */
export function connect({ writeKey, host = defaultHost, gzip = true }: SegmentOptions) {
  if (writeKey === "") throw new Error("Segment needs the write key of its source");
  if (!isOrigin(host)) {
    throw new Error(
      "Segment's host must be an origin such as https://api.segment.io; plain http only on loopback",
    );
  }
  const url = new URL("/v1/batch", host).href;
  const authorization = `Basic ${Buffer.from(`${writeKey}:`).toString("base64")}`;
  const headers = { authorization, "content-type": "application/json" };
  /** `sentAt`, by which Segment corrects the clocks of clients, is all that a resend has anew. */
  const after = (now: number) =>
    `],"writeKey":${JSON.stringify(writeKey)},"sentAt":"${new Date(now).toISOString()}"}`;
  return {
    limits: { ...limits, envelopeBytes: before.length + Buffer.byteLength(after(0)) },
    send: async ({ items }: Batch<string>, { http, signal, clock }: SendContext): Promise<Verdict> => {
      const { body, headers: coding } = await gzipped(bodyOf(before, items, after(clock.now())), gzip);
      const reply = await http({ method: "POST", url, headers: { ...headers, ...coding }, body }, signal);
      return faultOf(reply) ?? { status: "delivered" };
    },
  };
}

/** A path would be lost; and the write key must not cross a network in the clear. */
function isOrigin(host: string): boolean {
  if (!URL.canParse(host)) return false;
  const { protocol, hostname, pathname } = new URL(host);
  if (pathname !== "/") return false;
  return (
    protocol === "https:" ||
    (protocol === "http:" && /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(hostname))
  );
}

/** What keeps the whole request from being accepted. Segment never tells events apart. */
export function faultOf(reply: HttpReply): Verdict | undefined {
  const { status, headers, body } = reply;
  const verdict = classifyReply("Segment", reply);
  if (verdict === undefined) {
    if (isAcceptance(body)) return undefined;
    return {
      status: "transient",
      reason: `Segment answered ${status}, but not that it accepted the request`,
    };
  }
  // Malformed or too large; nothing else that Segment answers can be the fault of an event.
  if (verdict.status === "refused" && status !== 400 && status !== 413) {
    throw sinkUnavailable(`Segment answered ${status}: check its configured host`);
  }
  const reset = headers["x-ratelimit-reset"] ?? "";
  if (status !== 429 || reply.retryAfterMs !== undefined || !/^\d{1,6}$/.test(reset)) return verdict;
  return { ...verdict, status: "transient", retryAfterMs: Number(reset) * 1000 };
}

/**
 * Segment answers `{"success": true}`, and an empty object will do. Whatever else there is, such as an error's message,
 * comes from something that did not take the events; and nothing at all is what a proxy answers that blocks them.
 */
function isAcceptance(body: string): boolean {
  try {
    const answer: unknown = JSON.parse(body);
    if (typeof answer !== "object" || answer === null || Array.isArray(answer)) return false;
    return "success" in answer ? answer.success === true : Object.keys(answer).length === 0;
  } catch {
    return false;
  }
}
