// One request to Segment: the SDK builds it, the core's HTTP client carries it, and its reply is read here.
import { Analytics, type GroupParams, type TrackParams } from "@segment/analytics-node";
import {
  type Batch,
  classifyReply,
  type HttpReply,
  type Limits,
  type Outcome,
  type SendContext,
  sinkUnavailable,
  type Transient,
  type Verdict,
} from "../../src/index.ts";

export type SegmentParams = TrackParams | GroupParams;

export interface SegmentOptions {
  /** Of the source; a secret. Segment answers 200 to most wrong keys and drops what came: see the source's debugger. */
  readonly writeKey: string;
  /**
   * An origin, default `https://api.segment.io`; for a workspace in the EU `https://events.eu1.segmentapis.com`
   * (the wrong region answers 200 and drops what came). Plain http only on loopback.
   */
  readonly host?: string;
}

const defaultHost = "https://api.segment.io";

/**
 * https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/ ("Errors", "Rate limits"):
 * 32 KB an event, 2,500 events a request (beyond, it answers 200 and drops), 1,000 requests a second a workspace.
 * It allows 500 KB a request, but the SDK begins a second request at 480 KiB, counted its own way, never above the
 * true bytes.
 */
const limits: Limits = {
  itemsPerRequest: 2500,
  bytesPerRequest: 480 * 1024,
  bytesPerItem: 32 * 1024,
  concurrency: 8,
  requestsPerSecond: 1000,
};

/** Makes a message of a payload by one of the SDK's calls. */
type Call<P> = (analytics: Analytics, payload: P) => void;

/** What both sinks share: the limits of a request, and its way to Segment. */
export function connect<P extends SegmentParams>(
  { writeKey, host = defaultHost }: SegmentOptions,
  call: Call<P>,
) {
  if (writeKey === "") throw new Error("Segment needs the write key of its source");
  if (!isOrigin(host)) {
    throw new Error(
      "Segment's host must be an origin such as https://api.segment.io; plain http only on loopback",
    );
  }
  const emptyRequest = JSON.stringify({ batch: [], writeKey, sentAt: new Date(0) });
  return {
    limits: { ...limits, envelopeBytes: Buffer.byteLength(emptyRequest) },
    send: (batch: Batch<P>, context: SendContext) => sendBatch({ writeKey, host }, call, batch, context),
  };
}

/** The SDK drops a path; and the write key must not cross a network in the clear. */
function isOrigin(host: string): boolean {
  if (!URL.canParse(host)) return false;
  const { protocol, hostname, pathname } = new URL(host);
  if (pathname !== "/") return false;
  return (
    protocol === "https:" ||
    (protocol === "http:" && /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(hostname))
  );
}

/**
 * Sends a batch as exactly one request. A resend has the same ids and times; only the request's `sentAt`, by
 * which Segment corrects the clocks of clients, is new.
 */
async function sendBatch<P extends SegmentParams>(
  target: { readonly writeKey: string; readonly host: string },
  call: Call<P>,
  { items }: Batch<P>,
  { http, signal }: SendContext,
): Promise<readonly Outcome[] | Verdict> {
  const late: Transient = { status: "transient", reason: "no complete reply from Segment in time" };
  // The SDK leaves out a message that it cannot serialise, and reports success.
  const dropped: Transient = { status: "transient", reason: "the SDK left the event out of its request" };
  if (signal.aborted) return late;
  const request: { sent: ReadonlySet<string>; reply?: Promise<HttpReply> } = { sent: new Set() };
  // One client a request: the SDK's queue, retries and pauses would outlive what they belong to.
  const analytics = new Analytics({
    ...target,
    maxRetries: 0,
    flushAt: items.length,
    httpClient: {
      makeRequest: async ({ url, headers, body }) => {
        if (signal.aborted || request.reply !== undefined) throw new Error("the request's time is over");
        request.sent = messageIds(body);
        request.reply = http({ method: "POST", url, headers, body }, signal);
        const { status } = await request.reply;
        // No headers: the SDK waits and sends again by itself when a 429 says how long, whatever it was told.
        return { status, statusText: "" };
      },
    },
  });
  // The SDK writes into the context that it is given.
  for (const { payload } of items) call(analytics, { ...payload, context: { ...payload.context } });

  const aborted = Promise.withResolvers<undefined>();
  signal.addEventListener("abort", () => aborted.resolve(undefined), { once: true });
  // A timeout of 0 is none: the signal is the only one.
  const flushed = analytics.closeAndFlush({ timeout: 0 }).then(() => request.reply);
  const reply = await Promise.race([flushed, aborted.promise]);
  if (reply === undefined) return signal.aborted ? late : dropped;
  const fault = faultOf(reply);
  if (fault !== undefined) return fault;
  return items.map(({ payload }) =>
    request.sent.has(payload.messageId ?? "") ? { status: "delivered" } : dropped,
  );
}

function messageIds(body: string): ReadonlySet<string> {
  // The SDK writes `{batch, writeKey, sentAt}`, and a messageId into every message.
  const { batch } = JSON.parse(body) as { readonly batch: readonly { readonly messageId: string }[] };
  return new Set(batch.map(({ messageId }) => messageId));
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

/** Segment answers `{"success": true}`, but its pages promise no body: none will do, and nothing but an object will. */
function isAcceptance(body: string): boolean {
  if (body === "") return true;
  try {
    const answer: unknown = JSON.parse(body);
    if (typeof answer !== "object" || answer === null || Array.isArray(answer)) return false;
    return !("success" in answer && answer.success === false);
  } catch {
    return false;
  }
}
