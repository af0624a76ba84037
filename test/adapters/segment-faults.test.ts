// What Segment answers, or does not, and what becomes of the events: through the sinks and the core.
import { describe, expect, test } from "vitest";
import { segmentGroupsSink, segmentSink } from "../../adapters/segment/index.ts";
import { createSegmentTwin, type SegmentTwinOptions } from "../../adapters/segment/twin.ts";
import type { Sink } from "../../src/index.ts";
import { drawFaults, type Fault, type NextFault } from "../../src/testing/index.ts";
import { requestText } from "../support/bodies.ts";
import { vendorWorld } from "../support/vendor-world.ts";
import { eventRecord } from "../support/world.ts";

const writeKey = "test-write-key";

type Create = (options: { readonly writeKey: string }) => Sink<unknown>;
const track: Create = segmentSink;
const group: Create = segmentGroupsSink;

/** Requests of 10 events at most, so that few events make many requests. */
const small = (create: Create): Create => {
  return (options) => {
    const sink = create(options);
    return { ...sink, limits: { ...sink.limits, itemsPerRequest: 10 } };
  };
};

function open(create: Create = track, twinOptions: SegmentTwinOptions = {}) {
  const twins: ReturnType<typeof createSegmentTwin>[] = [];
  const world = vendorWorld((clock) => {
    const twin = createSegmentTwin({ writeKey, clock, ...twinOptions });
    twins.push(twin);
    return { sink: create({ writeKey }), handle: twin.handle };
  });
  const [twin] = twins;
  if (twin === undefined) throw new Error("a world makes its vendor at once");
  return Object.assign(world, { twin });
}

const events = (count: number, text?: string) =>
  Array.from({ length: count }, (_, index) => {
    const record = eventRecord(index);
    return text === undefined ? record : { ...record, data: { event_time: "2026-01-01T00:00:00Z", text } };
  });

const firstRequests =
  (count: number, fault: Fault): NextFault =>
  (_, n) =>
    n <= count ? fault : undefined;

const status = (code: number, headers: Record<string, string> = {}, body = ""): Fault => ({
  kind: "status",
  status: code,
  headers,
  body,
});

function expectEachOnce(twin: ReturnType<typeof createSegmentTwin>, count: number): void {
  expect(twin.stored.size).toBe(count);
  expect([...twin.stored.values()].every((times) => times === 1)).toBe(true);
  expect(twin.lost.size).toBe(0);
}

/** Faults that another try outlives. */
const passing: readonly (readonly [string, Fault])[] = [
  ["a reset before the request arrives", { kind: "reset" }],
  ["a reset after the events are stored", { kind: "reset-after-store" }],
  ["a reset in the middle of the reply", { kind: "reset-in-reply" }],
  ["a reply cut in half", { kind: "truncated" }],
  ["200 with a proxy's page", status(200, {}, "<html>Welcome</html>")],
  ["200 with success: false", status(200, {}, '{"success":false}')],
  ["200 with success as text", status(200, {}, '{"success":"false"}')],
  ["200 with an error", status(200, {}, '{"error":"invalid"}')],
  ["200 with a gateway's message", status(200, {}, '{"message":"Forbidden"}')],
  ["204 without a body, as a proxy answers that blocks", status(204)],
  ["200 with an empty body", { kind: "garbled", body: "" }],
  ["200 whose body was damaged on its way", { kind: "garbled", body: '{"succ' }],
  ["no reply, nothing stored", { kind: "hang" }],
  ["no reply, all stored", { kind: "hang", stored: true }],
  ["a reply that comes after the time is over", { kind: "delay", ms: 40_000 }],
  ["a body that trickles in beyond the time", { kind: "slow-body", ms: 20_000 }],
  ["408", status(408)],
  ["425", status(425)],
  ["429 without a wait", status(429)],
  ["429 with Retry-After", status(429, { "retry-after": "3" })],
  ["429 with X-RateLimit-Reset alone", status(429, { "x-ratelimit-reset": "3" })],
  ["500", status(500, {}, '{"success":false}')],
  ["502 with HTML", status(502, {}, "<html>Bad Gateway</html>")],
  ["503 with Retry-After", status(503, { "retry-after": "3" })],
];

/** Faults that hold for every event. */
const facts: readonly (readonly [string, Fault])[] = [
  ["401", status(401, {}, '{"success":false}')],
  ["403", status(403, {}, "<html>")],
  ["404", status(404)],
  ["410", status(410)],
  ["307", status(307, { location: "https://elsewhere.test/" })],
];

describe("the wait between two attempts", () => {
  const at = (ms: number) => new Date(Date.UTC(2026, 0, 1) + ms).toUTCString();
  test.each<[string, Fault, number, number]>([
    ["Retry-After in seconds", status(429, { "retry-after": "20" }), 20_000, 20_500],
    ["Retry-After as a date", status(429, { "retry-after": at(20_000) }), 19_000, 20_500],
    ["a Retry-After that has passed", status(429, { "retry-after": at(-5000) }), 1, 1000],
    ["a garbled Retry-After is none", status(429, { "retry-after": "soon" }), 1, 1000],
    ["no Retry-After", status(429), 1, 1000],
    ["X-RateLimit-Reset stands in", status(429, { "x-ratelimit-reset": "20" }), 20_000, 20_500],
    ["503 with Retry-After", status(503, { "retry-after": "20" }), 20_000, 20_500],
    ["503 without", status(503), 1, 1000],
  ])("%s", async (_, fault, least, most) => {
    const world = open();
    world.put(events(5));
    world.next = firstRequests(1, fault);
    expect((await world.deliver()).report).toMatchObject({ delivered: 5, pending: 0, requests: 2 });
    const [first, second] = world.requests.map(({ at: time }) => time);
    expect((second ?? 0) - (first ?? 0)).toBeGreaterThanOrEqual(least);
    expect((second ?? 0) - (first ?? 0)).toBeLessThanOrEqual(most);
    expectEachOnce(world.twin, 5);
  });

  test("an hour is not waited for: the events are pending after one request", async () => {
    const world = open();
    world.put(events(5));
    world.next = () => status(429, { "retry-after": "3600" });
    const { report, tookMs } = await world.deliver();
    expect(report).toMatchObject({ delivered: 0, pending: 5, requests: 1 });
    expect(tookMs).toBeLessThan(1000);
  });

  test("while one request's Retry-After lasts, no other starts", async () => {
    const world = open(small(track));
    world.put(events(200));
    world.next = (_, n) => (n === 3 ? status(429, { "retry-after": "20" }) : undefined);
    expect((await world.deliver()).report).toMatchObject({ delivered: 200, pending: 0 });
    const start = world.requests[2]?.at ?? 0;
    const within = world.requests.filter(({ at: time }) => time > start && time < start + 20_000);
    expect(within).toEqual([]);
    expectEachOnce(world.twin, 200);
  });

  test("a quota that Segment enforces loses nothing", async () => {
    const world = open(small(track), { quota: { requests: 3, perSeconds: 10 } });
    world.put(events(200));
    const { report, letters } = await world.deliver();
    expect(letters).toEqual([]);
    expect(report).toMatchObject({ delivered: 200, pending: 0 });
    expectEachOnce(world.twin, 200);
  });
});

describe("a fault that passes costs no event its life and is no second event", () => {
  test.each(passing)("%s", async (_, fault) => {
    const world = open();
    world.put(events(5));
    world.next = firstRequests(1, fault);
    const { report, letters } = await world.deliver();
    expect(letters).toEqual([]);
    expect(report).toMatchObject({ delivered: 5, pending: 0, requests: 2 });
    expectEachOnce(world.twin, 5);
  });

  test.each(passing)(
    "%s, for ever: the events are pending, and delivered when it is over",
    async (_, fault) => {
      const world = open();
      world.put(events(5));
      world.next = () => fault;
      const ill = await world.deliver();
      expect(ill).toMatchObject({ report: { delivered: 0, pending: 5 }, letters: [] });
      world.next = () => undefined;
      expect((await world.deliver()).report).toMatchObject({ delivered: 5, pending: 0 });
      expectEachOnce(world.twin, 5);
    },
  );

  test.each<[string, Fault]>([
    ["200 with an empty object", { kind: "garbled", body: "{}" }],
    ["200 with success and more", { kind: "garbled", body: '{"success":true,"id":"1"}' }],
    ["a slow body within the time", { kind: "slow-body", ms: 1000 }],
    ["a slow reply within the time", { kind: "delay", ms: 20_000 }],
  ])("%s is an acceptance", async (_, fault) => {
    const world = open();
    world.put(events(5));
    world.next = () => fault;
    expect((await world.deliver()).report).toMatchObject({ delivered: 5, requests: 1, retries: 0 });
  });
});

describe("a fact about the account stops the sink: events are pending, none is a dead letter", () => {
  test.each(facts)("%s, at start and in mid-run", async (name, fault) => {
    const start = open();
    start.put(events(5));
    start.next = () => fault;
    const refused = await start.deliver();
    expect(refused).toMatchObject({ report: { delivered: 0, pending: 5, requests: 1 }, letters: [] });
    expect(refused.reason).toContain(`Segment answered ${name}`);

    const midRun = open(small(track));
    midRun.put(events(200));
    midRun.next = (_, n) => (n > 5 ? fault : undefined);
    const stopped = await midRun.deliver();
    expect(stopped.letters).toEqual([]);
    expect(stopped.report.delivered).toBeGreaterThan(0);
    expect(stopped.report.pending).toBe(200 - stopped.report.delivered);
    expect(stopped.report.pending).toBeGreaterThan(0);
    midRun.next = () => undefined;
    expect((await midRun.deliver()).report).toMatchObject({ delivered: stopped.report.pending, pending: 0 });
    expectEachOnce(midRun.twin, 200);
  });
});

describe("one event at fault costs itself alone", () => {
  test.each<[number, string, string]>([
    [400, "", "HTTP_400"],
    [400, "<html>Bad Request</html>", "HTTP_400"],
    [400, '{"success":false,"message":"malformed JSON"}', "HTTP_400"],
    [413, "", "HTTP_413"],
  ])("%i %s, down to one event", async (code, body, letter) => {
    const twin = createSegmentTwin({ writeKey });
    const world = vendorWorld(() => ({
      sink: track({ writeKey }),
      handle: async (request) =>
        (await requestText(request)).includes('"new_findings_count":37,')
          ? new Response(body, { status: code })
          : await twin.handle(request),
    }));
    world.put(events(100));
    const { report, refused } = await world.deliver();
    expect(refused).toEqual({ e37: letter });
    expect(report).toMatchObject({ delivered: 99, deadLettered: 1, pending: 0 });
    expectEachOnce(twin, 99);
    // Halving 100 down to one takes 2 requests a level.
    expect(report.requests).toBeLessThanOrEqual(15);
  });

  test("an event over 32 KB, or with text that grows beyond it as UTF-8, is never sent", async () => {
    const world = open();
    world.put([...events(2), ...events(1, "x".repeat(33_000)), ...events(1, "é".repeat(16_500))]);
    const { report, letters } = await world.deliver();
    expect(letters.map(({ code }) => code)).toEqual(["ITEM_TOO_LARGE", "ITEM_TOO_LARGE"]);
    expect(report).toMatchObject({ delivered: 2, deadLettered: 2, requests: 1 });
    expect(new Set(letters.map(({ fingerprint }) => fingerprint)).size).toBe(1);
  });
});

describe("what Segment answers 200 and drops", () => {
  test("more than 2,500 events never share a request", async () => {
    const world = open();
    world.put(events(2501).map((each) => ({ ...each, data: { event_time: 1767225600 } })));
    expect((await world.deliver()).report).toMatchObject({ delivered: 2501, pending: 0 });
    expectEachOnce(world.twin, 2501);
  });

  test("a wrong write key shows nowhere: delivered means accepted, and the twin knows what is lost", async () => {
    const world = open(track, { writeKey: "another" });
    world.put(events(5));
    expect((await world.deliver()).report).toMatchObject({ delivered: 5, pending: 0 });
    expect(Object.fromEntries(world.twin.lost)).toEqual({ "bad-key": 5 });
  });
});

describe("group calls", () => {
  const named = (count: number) =>
    events(count).map((each, index) => ({
      ...each,
      metadata: { tenant_id: `t${index}`, event_id: `e${index}`, tenant_name: `Tenant ${index}` },
    }));

  test.each(passing)("outlive %s, each tenant once", async (_, fault) => {
    const world = open(group);
    world.put(named(5));
    world.next = firstRequests(1, fault);
    const { report, letters } = await world.deliver();
    expect(letters).toEqual([]);
    expect(report).toMatchObject({ delivered: 5, pending: 0 });
    expectEachOnce(world.twin, 5);
    expect(world.twin.messages.map(({ groupId }) => groupId).sort()).toEqual(["t0", "t1", "t2", "t3", "t4"]);
  });
});

describe("the same seed gives the same outcomes", () => {
  /** 100 events in 10 requests, some of which fail as the seed draws; then the vendor is well again. */
  async function outcomes(seed: number, kinds: readonly Fault[]) {
    const world = open(small(track));
    world.put(events(100));
    const draw = drawFaults({ seed, rate: 0.4, kinds });
    let faults = 0;
    world.next = (request, n) => {
      const fault = draw(request, n);
      if (fault !== undefined) faults++;
      return fault;
    };
    const ill = await world.deliver();
    world.next = () => undefined;
    const well = await world.deliver();
    return { world, ill, well, faults };
  }
  const comparable = ({ world, ill, well }: Awaited<ReturnType<typeof outcomes>>) => ({
    ill,
    well,
    stored: [...world.twin.stored],
    requests: world.requests.map(({ at }) => at),
  });

  test.each([...passing, ...facts])("%s", async (_, fault) => {
    const once = await outcomes(1, [fault]);
    expect(once.ill.letters).toEqual([]);
    expect(once.faults).toBeGreaterThan(0);
    expect(once.ill.report.delivered + once.ill.report.pending).toBe(100);
    expect(once.well.report).toMatchObject({ delivered: once.ill.report.pending, pending: 0 });
    expectEachOnce(once.world.twin, 100);
    expect(comparable(await outcomes(1, [fault]))).toEqual(comparable(once));
  });

  test("all of them mixed, and another seed gives others", async () => {
    const all = [...passing, ...facts].map(([, fault]) => fault);
    const runs = [];
    for (const seed of [1, 2, 3, 4, 5]) {
      const once = await outcomes(seed, all);
      expectEachOnce(once.world.twin, 100);
      expect(comparable(await outcomes(seed, all))).toEqual(comparable(once));
      runs.push(JSON.stringify(comparable(once)));
    }
    expect(new Set(runs).size).toBe(5);
  });
});
