// webhook: any HTTPS endpoint gets each event as signed JSON, one a request or many, after the Standard Webhooks.
import {
  allFinite,
  classifyReply,
  defineSink,
  type HttpReply,
  type Limits,
  type MetricEvent,
  type Refusals,
  type Sink,
  stableUuid,
} from "../../src/index.ts";
import { sign, toKey } from "./signature.ts";

export interface WebhookOptions {
  /** An https: address; it may hold a secret in its path or query, so it is never told. */
  readonly url: string;
  /**
   * `whsec_` and 24 to 64 random bytes in base64, which the receiver has, too. While one takes another's place, both:
   * requests then carry a signature of each.
   */
  readonly secret: string | readonly string[];
  /** Events a request. Default: one, and the body is the event itself; else the body is a list, of one event, too. */
  readonly batchSize?: number;
  /** Also addresses in private networks and on this machine, and there plain http. Default false. */
  readonly allowPrivate?: boolean;
  /** Names the sink's books, where there is more than one endpoint. Default `webhook`. */
  readonly name?: string;
}

/** What is sent of an event. Receivers tell repeats by `id`. */
export interface WebhookEvent {
  readonly id: string;
  readonly type: string;
  /** When it happened, in UTC. */
  readonly timestamp: string;
  readonly tenant_id: string;
  readonly metadata: MetricEvent["metadata"];
  readonly data: MetricEvent["data"];
}

/** An event's id at the receiver, and its {@link WebhookEvent} as JSON. */
export interface WebhookPayload {
  readonly id: string;
  readonly text: string;
}

/**
 * https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md: receivers get 15 to 30 s,
 * and payloads should stay small (20 KB are named as usual). The other numbers are ours: no receiver states its own.
 */
const limits = { bytesPerItem: 256 * 1024, concurrency: 4, timeoutMs: 20_000 };
const bytesPerBatch = 1024 * 1024;

const refusals = {
  NUMBER_NOT_FINITE: {
    meaning: "A number is larger than a double can be, such as 1e400, and JSON could only say null for it.",
    action: "Send it as text, or leave it out, where the record is made.",
  },
  HTTP_400: {
    meaning: "The receiver finds the event invalid, also alone.",
    action: "Ask the receiver's log why, by webhook-id; correct either side, then replay the letters.",
  },
} as const satisfies Refusals;

/** So a code without advice does not compile. */
type Code = keyof typeof refusals;

/**
 * Delivered means that the receiver answered with a 2xx, whose body is not read. Every attempt has the same body and
 * `webhook-id`, by which a receiver knows a repeat; `webhook-timestamp` is the time of the attempt, since receivers
 * refuse old ones, and the signature covers all three.
 *
 * @throws when an option can never work, in one sentence without the address and the secret.
 */
export function webhookSink(options: WebhookOptions): Sink<WebhookPayload> {
  const { url, batchSize, allowPrivate = false, name = "webhook" } = options;
  checkUrl(url, allowPrivate);
  const keys = [options.secret].flat().map(toKey);
  if (keys.length === 0) throw new Error("a webhook needs a secret");
  if (batchSize !== undefined && !(Number.isInteger(batchSize) && batchSize > 0)) {
    throw new Error("a webhook's batchSize must be a whole number, 1 or more");
  }
  /** Requests whose reply was lost, by their ids: of these a receiver may say that it has them. */
  const unanswered = new Set<string>();
  return defineSink({
    name,
    limits: limitsOf(batchSize),
    refusals,
    repeats: {
      effect: "counted",
      reason: "The receiver can tell a repeat by the event's id, and whether it looks is its own matter.",
    },
    acknowledges: "accepted",
    encode(event) {
      const { id, metricName, tenantId, time, metadata, data } = event;
      if (!(allFinite(metadata) && allFinite(data))) {
        const code: Code = "NUMBER_NOT_FINITE";
        return { rejected: "the record holds a number larger than a double can be", code };
      }
      const sent: WebhookEvent = {
        // An event_id need not be unique among tenants and metrics.
        id: stableUuid(tenantId, metricName, id),
        type: metricName,
        timestamp: new Date(time).toISOString(),
        tenant_id: tenantId,
        metadata,
        data,
      };
      const payload = { id: sent.id, text: JSON.stringify(sent) };
      return { payload, bytes: Buffer.byteLength(payload.text) + 1 };
    },
    async send({ items }, { http, signal, clock }) {
      const ids = items.map(({ payload }) => payload.id);
      const texts = items.map(({ payload }) => payload.text);
      const [only = ""] = ids;
      // Of a batch, the id of these events in this order: a repeat of some of them is told by their own ids.
      const id = batchSize === undefined ? only : stableUuid("batch", ...ids);
      const body = batchSize === undefined ? texts.join() : `[${texts.join()}]`;
      const timestamp = String(Math.floor(clock.now() / 1000));
      const headers = {
        "content-type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": timestamp,
        "webhook-signature": keys.map((key) => sign(key, { id, timestamp, body })).join(" "),
      };
      let reply: HttpReply;
      try {
        reply = await http({ method: "POST", url, headers, body, publicOnly: !allowPrivate }, signal);
      } catch (error) {
        if (unanswered.size < mostUnanswered) unanswered.add(id);
        throw error;
      }
      const wasUnanswered = unanswered.delete(id);
      // The receiver knows a repeat by its id, and some say so: then the request before it had arrived.
      if (reply.status === 409 && wasUnanswered) return { status: "delivered" };
      return classifyReply("the webhook's receiver", reply) ?? { status: "delivered" };
    },
  });
}

/** Some memory; whatever is beyond it is a conflict that somebody has to look at. */
const mostUnanswered = 10_000;

function limitsOf(batchSize: number | undefined): Limits {
  return batchSize === undefined
    ? { ...limits, itemsPerRequest: 1, bytesPerRequest: limits.bytesPerItem }
    : { ...limits, itemsPerRequest: batchSize, bytesPerRequest: bytesPerBatch, envelopeBytes: "[]".length };
}

function checkUrl(text: string, allowPrivate: boolean): void {
  const url = URL.parse(text);
  // fetch and Node would send them as a header that the signature does not cover.
  if (url === null || url.username !== "" || url.password !== "") {
    throw new Error("a webhook's url must be an address without a user and a password");
  }
  if (url.protocol !== "https:" && !(allowPrivate && url.protocol === "http:")) {
    throw new Error("a webhook's url must begin with https:// (or http:// where allowPrivate is on)");
  }
}
