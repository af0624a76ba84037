import { Analytics } from "@segment/analytics-node";
import { HttpResponse, http } from "msw";
import { setupServer } from "msw/node";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import {
  type SegmentGroup,
  type SegmentTrack,
  segmentGroupsSink,
  segmentSink,
} from "../../adapters/segment/index.ts";
import { createHttp, type MetricEvent, type Sink, systemClock } from "../../src/index.ts";
import { requestText } from "../support/bodies.ts";
import { valuesOf } from "../support/payload.ts";

interface Message {
  readonly _metadata?: unknown;
  readonly integrations?: unknown;
  readonly context: { readonly library?: unknown };
}

interface Recorded {
  readonly url: string;
  readonly authorization: string | null;
  readonly contentType: string | null;
  readonly body: { readonly sentAt: unknown };
}
const requests: Recorded[] = [];
const server = setupServer(
  http.post("https://api.segment.io/v1/batch", async ({ request }) => {
    const { sentAt, batch, ...body } = JSON.parse(await requestText(request));
    requests.push({
      url: request.url,
      authorization: request.headers.get("authorization"),
      contentType: request.headers.get("content-type"),
      body: { ...body, batch: batch.map(withoutSender), sentAt: typeof sentAt },
    });
    return HttpResponse.json({ success: true });
  }),
);
beforeAll(() => server.listen({ onUnhandledFrame: "error" }));
afterEach(() => {
  requests.length = 0;
});
afterAll(() => server.close());

/** All but what the SDK says of itself, and of integrations, which it switches neither on nor off. */
function withoutSender({ _metadata, integrations, ...message }: Message): Message {
  expect(integrations ?? {}).toEqual({});
  const { library, ...context } = message.context;
  expect(library).toMatchObject({ name: expect.any(String) });
  return { ...message, context };
}

const writeKey = "contract-key";
const events: readonly MetricEvent[] = [
  {
    id: "e-1",
    metricName: "findings_upload_completed",
    tenantId: "acme",
    time: Date.UTC(2026, 10, 3, 9, 15, 0, 250),
    metadata: {
      tenant_id: "acme",
      event_id: "e-1",
      tenant_name: "Acme",
      environment: "prod",
      user_id: "u-7",
    },
    data: {
      event_time: "2026-11-03T10:15:00.250+01:00",
      new_findings_count: 3,
      nested: { list: [1, "zwö", null] },
    },
  },
  {
    id: "e-2",
    metricName: "report_opened",
    tenantId: "globex",
    time: Date.UTC(2026, 10, 3),
    metadata: { tenant_id: "globex", tenant_name: "Globex" },
    data: { event_time: 1793664000, tags: {}, text: 'quotes " and \u2028 and 💥' },
  },
];

/** Sends through the sink; answers the messages, whose ids the SDK alone would make at random. */
async function sendOurs(sink: Sink<string>) {
  const client = createHttp();
  const items = events.map((event) => {
    const encoded = sink.encode(event);
    if (!("payload" in encoded)) throw new Error("the event was not encoded");
    return { event, ...encoded };
  });
  const answer = await sink.send(
    { partition: "", items },
    { signal: AbortSignal.timeout(10_000), attempt: 1, http: client.send, clock: systemClock },
  );
  client.close();
  expect(answer).toEqual({ status: "delivered" });
  return items.map(({ payload }) => valuesOf<SegmentTrack | SegmentGroup>(payload));
}

test("track: our request means what the SDK alone sends when it is used as its docs say", async () => {
  const [first, second] = await sendOurs(segmentSink({ writeKey }));

  const analytics = new Analytics({ writeKey });
  analytics.track({
    userId: "u-7",
    event: "findings_upload_completed",
    properties: {
      event_time: "2026-11-03T10:15:00.250+01:00",
      new_findings_count: 3,
      nested: { list: [1, "zwö", null] },
      tenant_id: "acme",
      tenant_name: "Acme",
      environment: "prod",
    },
    timestamp: new Date("2026-11-03T09:15:00.250Z"),
    context: { groupId: "acme" },
    messageId: first?.messageId,
  });
  analytics.track({
    anonymousId: second?.anonymousId ?? "",
    event: "report_opened",
    properties: {
      event_time: 1793664000,
      tags: {},
      text: 'quotes " and \u2028 and 💥',
      tenant_id: "globex",
      tenant_name: "Globex",
    },
    timestamp: new Date("2026-11-03T00:00:00Z"),
    context: { groupId: "globex" },
    messageId: second?.messageId,
  });
  await analytics.closeAndFlush();

  expect(requests).toHaveLength(2);
  expect(requests[0]).toEqual(requests[1]);
});

test("group: our request means what the SDK alone sends when it is used as its docs say", async () => {
  const [first, second] = await sendOurs(segmentGroupsSink({ writeKey }));

  const analytics = new Analytics({ writeKey });
  analytics.group({
    anonymousId: first?.anonymousId ?? "",
    groupId: "acme",
    traits: { name: "Acme", environment: "prod" },
    timestamp: new Date("2026-11-03T09:15:00.250Z"),
    context: { groupId: "acme" },
    messageId: first?.messageId,
  });
  analytics.group({
    anonymousId: second?.anonymousId ?? "",
    groupId: "globex",
    traits: { name: "Globex" },
    timestamp: new Date("2026-11-03T00:00:00Z"),
    context: { groupId: "globex" },
    messageId: second?.messageId,
  });
  await analytics.closeAndFlush();

  expect(requests).toHaveLength(2);
  expect(requests[0]).toEqual(requests[1]);
});
