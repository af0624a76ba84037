// A receiver as https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md wants it:
// it checks signature and time, and knows what it has by the events' ids.
import { createHmac, timingSafeEqual } from "node:crypto";
import { type Clock, type JsonObject, type JsonValue, systemClock } from "../../src/index.ts";
import { type ConformanceSubject, sampleEvent, type Twin } from "../../src/testing/index.ts";
import { webhookSink } from "./index.ts";

export interface WebhookTwinOptions {
  readonly secret: string;
  /** Types of events that it answers with 400, whatever stands beside them. Default none. */
  readonly refuses?: readonly string[];
  /** Bytes of a request. Default 2 MiB. */
  readonly maxBytes?: number;
  readonly clock?: Pick<Clock, "now">;
}

export interface WebhookTwin extends Twin {
  /** What it keeps, each id once, in the order of arrival. */
  readonly events: readonly JsonObject[];
}

/** "Verifying webhook authenticity": the libraries of the standard take 5 minutes, to both sides. */
const toleranceMs = 5 * 60_000;

export function createWebhookTwin(options: WebhookTwinOptions): WebhookTwin {
  const { secret, refuses = [], maxBytes = 2 * 1024 * 1024, clock = systemClock } = options;
  const stored = new Map<string, number>();
  const events: JsonObject[] = [];
  return {
    stored,
    events,
    handle: async (request) => {
      if (request.method !== "POST") return answer(405);
      const body = await request.text();
      if (Buffer.byteLength(body) > maxBytes) return answer(413);
      const [id, timestamp, signatures] = ["id", "timestamp", "signature"].map(
        (name) => request.headers.get(`webhook-${name}`) ?? "",
      );
      const isLate = !(Math.abs(clock.now() - Number(timestamp) * 1000) <= toleranceMs);
      if (isLate || !isSigned(secret, `${id}.${timestamp}.${body}`, signatures ?? "")) return answer(401);
      const list = parse(body);
      if (list?.some(({ type }) => refuses.includes(String(type))) !== false) return answer(400);
      for (const event of list) {
        const key = String(event["id"]);
        if (stored.has(key)) continue;
        stored.set(key, 1);
        events.push(event);
      }
      return answer(204);
    },
  };
}

function isSigned(secret: string, signed: string, signatures: string): boolean {
  const key = Buffer.from(secret.replace("whsec_", ""), "base64");
  const expected = createHmac("sha256", key).update(signed).digest();
  return signatures.split(" ").some((each) => {
    const [version, text = ""] = each.split(",");
    const given = Buffer.from(text, "base64");
    return version === "v1" && given.byteLength === expected.byteLength && timingSafeEqual(given, expected);
  });
}

/** The event or events of a body, or undefined for what is neither. */
function parse(body: string): readonly JsonObject[] | undefined {
  try {
    const value: JsonValue = JSON.parse(body);
    const list: readonly JsonValue[] = Array.isArray(value) ? value : [value];
    return list.length > 0 && list.every(isObject) ? list : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: JsonValue): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function answer(status: number): Response {
  return new Response(null, { status });
}

const secret = `whsec_${Buffer.from("a receiver's secret of 32 bytes!").toString("base64")}`;
const url = "https://hooks.acme.test/fanout?token=9f86d081884c7d65";

/** One event a request, and many. What `fanout certify` and the tests run the conformance cases with. */
export default [{}, { name: "webhook-batch", batchSize: 100 }].map(
  (options): ConformanceSubject => ({
    sink: () => webhookSink({ url, secret, ...options }),
    twin: (clock) => createWebhookTwin({ secret, clock, refuses: ["poison"] }),
    secrets: [secret, secret.slice("whsec_".length), "9f86d081884c7d65"],
    poison: (n, now) => ({ ...sampleEvent(n, now), metricName: "poison" }),
    skip: {
      "a success that the vendor did not write is not one":
        "to the standard any 2xx acknowledges, and what its body says means nothing",
    },
  }),
);
