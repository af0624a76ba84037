import { describe, expect, test } from "vitest";
import { type WebhookOptions, webhookSink } from "../../adapters/webhook/index.ts";
import { sign, toKey } from "../../adapters/webhook/signature.ts";
import subjects, { createWebhookTwin } from "../../adapters/webhook/twin.ts";
import { createHttp, isSinkUnavailable, type MetricEvent, systemClock } from "../../src/index.ts";
import {
  describeSink,
  sampleEvent,
  serveTwin,
  type TwinHandler,
  twinHttp,
  virtualClock,
} from "../../src/testing/index.ts";
import { vendorWorld } from "../support/vendor-world.ts";

for (const subject of subjects) describeSink(subject.sink(virtualClock()).name, subject, { describe, test });

const url = "https://hooks.acme.test/in";
const secretOf = (text: string) => `whsec_${Buffer.from(text.padEnd(32, ".")).toString("base64")}`;
const secret = secretOf("one");

function sinkWith(options: Partial<WebhookOptions> = {}) {
  return webhookSink({ url, secret, ...options });
}

/** Sends to a twin and keeps the requests, at the clock's time. */
function sender(options: Partial<WebhookOptions> = {}, receiverSecret = secret) {
  const clock = virtualClock();
  const sink = sinkWith(options);
  const twin = createWebhookTwin({ secret: receiverSecret, clock });
  const requests: { headers: Headers; body: string }[] = [];
  const listen: TwinHandler = async (request) => {
    requests.push({ headers: request.headers, body: await request.clone().text() });
    return await twin.handle(request);
  };
  const send = async (events: readonly MetricEvent[], attempt = 1) => {
    const items = events.map((event) => {
      const encoded = sink.encode(event);
      if (!("payload" in encoded)) throw new Error(`not encoded: ${JSON.stringify(encoded)}`);
      return { event, ...encoded };
    });
    const http = twinHttp(listen, clock);
    return await sink.send({ partition: "", items }, { signal: clock.signal(1000), attempt, http, clock });
  };
  return { clock, twin, requests, send };
}

describe("the request", () => {
  test("is the event itself, with its type, time and tenant", async () => {
    const { send, requests, twin } = sender();
    const event = sampleEvent(1, Date.UTC(2026, 0, 2));
    expect(await send([event])).toEqual({ status: "delivered" });
    const body = JSON.parse(requests[0]?.body ?? "");
    expect(body).toEqual({
      id: requests[0]?.headers.get("webhook-id"),
      type: "conformance_checked",
      timestamp: "2026-01-01T23:59:59.000Z",
      tenant_id: "tenant-1",
      metadata: event.metadata,
      data: event.data,
    });
    expect(body.id).toMatch(/^[0-9a-f-]{36}$/);
    expect(twin.events).toEqual([body]);
  });

  test("is a list with batchSize, of one event, too", async () => {
    const { send, requests } = sender({ batchSize: 10 });
    await send([sampleEvent(1, 0), sampleEvent(2, 0)]);
    await send([sampleEvent(3, 0)]);
    const bodies = requests.map(({ body }) => JSON.parse(body));
    expect(bodies.map((list) => list.map((event: { tenant_id: string }) => event.tenant_id))).toEqual([
      ["tenant-1", "tenant-2"],
      ["tenant-3"],
    ]);
    // A list of one is not that event's own message.
    expect(requests[1]?.headers.get("webhook-id")).not.toBe(bodies[1][0].id);
  });

  test.each([undefined, 10])(
    "keeps body and id in every attempt (batchSize %s), while its time is that of the attempt: a receiver takes it an hour later",
    async (batchSize) => {
      const { send, requests, clock, twin } = sender(batchSize === undefined ? {} : { batchSize });
      const event = sampleEvent(1, clock.now());
      await send([event]);
      await clock.advance(3_600_000);
      expect(await send([event], 2)).toEqual({ status: "delivered" });
      const [first, second] = requests.map(({ headers, body }) => ({
        id: headers.get("webhook-id"),
        at: Number(headers.get("webhook-timestamp")),
        signature: headers.get("webhook-signature"),
        body,
      }));
      expect([second?.id, second?.body]).toEqual([first?.id, first?.body]);
      expect((second?.at ?? 0) - (first?.at ?? 0)).toBe(3600);
      expect(second?.signature).not.toBe(first?.signature);
      expect([...twin.stored.values()]).toEqual([1]);
    },
  );

  test("a receiver that has half of a batch already keeps every event once", async () => {
    const { send, twin } = sender({ batchSize: 10 });
    const [a, b, c] = [sampleEvent(1, 0), sampleEvent(2, 0), sampleEvent(3, 0)] as const;
    await send([a, b]);
    await send([b, c]);
    expect([...twin.stored.values()]).toEqual([1, 1, 1]);
  });
});

describe("the signature", () => {
  test("is the standard's own example", () => {
    const key = toKey("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    const signed = {
      id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
      timestamp: "1614265330",
      body: '{"test": 2432232314}',
    };
    expect(sign(key, signed)).toBe("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
  });

  test("of a wrong secret makes the sink unavailable, and the event waits", async () => {
    const { send } = sender({}, secretOf("another"));
    await expect(send([sampleEvent(1, 0)])).rejects.toMatchObject({ code: "SINK_UNAVAILABLE" });
  });

  test.each(["old", "new"])("of two secrets satisfies a receiver that knows the %s one", async (known) => {
    const { send, requests } = sender({ secret: [secretOf("new"), secretOf("old")] }, secretOf(known));
    expect(await send([sampleEvent(1, 0)])).toEqual({ status: "delivered" });
    expect(requests[0]?.headers.get("webhook-signature")).toMatch(/^v1,\S+ v1,\S+$/);
  });
});

describe("what an endpoint may be", () => {
  test.each([
    [{ url: "http://hooks.acme.test/" }, /must begin with https/],
    [{ url: "ftp://hooks.acme.test/", allowPrivate: true }, /must begin with https/],
    [{ url: "https://user:pa55word@hooks.acme.test/" }, /without a user and a password/],
    [{ url: "hooks.acme.test" }, /must be an address/],
    [{ secret: "pa55word" }, /secret must be whsec_/],
    [{ secret: "whsec_cGE1NXdvcmQ=" }, /24 to 64 bytes/],
    [{ secret: [] }, /needs a secret/],
    [{ batchSize: 0 }, /whole number/],
    [{ batchSize: Number.NaN }, /whole number/],
  ])("%j is refused at once, without a word of it", (options, sentence) => {
    expect(() => sinkWith(options)).toThrow(sentence);
    expect(() => sinkWith(options)).not.toThrow(/pa55word|cGE1|acme/);
  });

  test("an address on this machine is refused unless it is allowed, and nothing is sent", async () => {
    const twin = createWebhookTwin({ secret });
    const served = await serveTwin(twin.handle);
    const client = createHttp();
    try {
      const deliver = async (sink: ReturnType<typeof sinkWith>) => {
        const encoded = sink.encode(sampleEvent(1, 0));
        if (!("payload" in encoded)) throw new Error("not encoded");
        const items = [{ event: sampleEvent(1, 0), ...encoded }];
        const signal = AbortSignal.timeout(5000);
        return await sink.send(
          { partition: "", items },
          { signal, attempt: 1, http: client.send, clock: systemClock },
        );
      };
      const closed = sinkWith({ url: served.url.replace("http:", "https:") });
      const error = await deliver(closed).catch((thrown: unknown) => thrown);
      expect(isSinkUnavailable(error)).toBe(true);
      expect(twin.stored.size).toBe(0);
      const open = sinkWith({ url: `${served.url}/in`, allowPrivate: true });
      expect(await deliver(open)).toEqual({ status: "delivered" });
      expect(twin.stored.size).toBe(1);
    } finally {
      client.close();
      await served.close();
    }
  });
});

test("a 409 after a reply that was lost says that the event is there; any other is a conflict", async () => {
  const stored = new Set<string>();
  const run = vendorWorld(() => ({
    sink: sinkWith(),
    // A receiver that takes each webhook-id once.
    handle: async ({ headers }) => {
      const id = headers.get("webhook-id") ?? "";
      if (stored.has(id)) return new Response(null, { status: 409 });
      stored.add(id);
      return new Response(null, { status: 204 });
    },
  }));
  run.put([
    {
      metric_name: "fine",
      metadata: { tenant_id: "acme", event_id: "a" },
      data: { event_time: new Date(run.clock.now()).toISOString() },
    },
  ]);
  run.next = (_, n) => (n === 1 ? { kind: "reset-after-store" } : undefined);
  expect(await run.deliver()).toMatchObject({ report: { delivered: 1, deadLettered: 0, requests: 2 } });

  const clock = virtualClock();
  const http = twinHttp(() => Promise.resolve(new Response(null, { status: 409 })), clock);
  const sink = sinkWith();
  const event = sampleEvent(1, clock.now());
  const encoded = sink.encode(event);
  if (!("payload" in encoded)) throw new Error("not encoded");
  const batch = { partition: "", items: [{ event, ...encoded }] };
  expect(await sink.send(batch, { signal: clock.signal(1000), attempt: 2, http, clock })).toMatchObject({
    status: "refused",
    code: "HTTP_409",
  });
});

test("a receiver's 400 costs the one event its life, and a 410 none", async () => {
  const world = vendorWorld((clock) => ({
    sink: sinkWith({ batchSize: 10 }),
    handle: createWebhookTwin({ secret, clock, refuses: ["poison"] }).handle,
  }));
  const record = (id: string, metric: string) => ({
    metric_name: metric,
    metadata: { tenant_id: "acme", event_id: id },
    data: { event_time: new Date(world.clock.now()).toISOString() },
  });
  world.put([record("a", "fine"), record("b", "poison"), record("c", "fine")]);
  const first = await world.deliver();
  expect(first.report).toMatchObject({ delivered: 2, deadLettered: 1 });
  expect(first.refused).toEqual({ b: "HTTP_400" });

  const gone = vendorWorld((clock) => ({
    sink: sinkWith(),
    handle: createWebhookTwin({ secret, clock }).handle,
  }));
  gone.next = () => ({ kind: "status", status: 410 });
  gone.put([record("d", "fine")]);
  expect(await gone.deliver()).toMatchObject({
    report: { pending: 1, deadLettered: 0 },
    reason: expect.stringContaining("answered 410"),
  });
});
