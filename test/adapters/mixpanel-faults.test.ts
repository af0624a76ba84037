// Mixpanel when it is ill, seen from the worker: what is delivered, lost to a letter, or waits.
import { describe, expect, test } from "vitest";
import { mixpanelSink } from "../../adapters/mixpanel/index.ts";
import {
  createMixpanelTwin,
  type MixpanelTwin,
  type MixpanelTwinOptions,
} from "../../adapters/mixpanel/twin.ts";
import { drawFaults, type Fault } from "../../src/testing/index.ts";
import { createVendorRun, type VendorRun } from "../support/vendor-run.ts";

const host = "mixpanel.test";
const second = 1000;

interface Setup extends Omit<MixpanelTwinOptions, "clock"> {
  /** Events in the object. Default 10. */
  readonly count?: number;
  readonly change?: (index: number) => object;
}

function setup({ count = 10, change, ...options }: Setup = {}): VendorRun & { readonly twin: MixpanelTwin } {
  let twin: MixpanelTwin | undefined;
  const run = createVendorRun((clock) => {
    twin = createMixpanelTwin({ clock, ...options });
    const sink = mixpanelSink({ token: "token", host: `http://${host}` });
    return [{ sink, host, handle: twin.handle }];
  });
  run.world.putEvents("a", count, change);
  if (twin === undefined) throw new Error("the vendors were not made");
  return Object.assign(run, { twin });
}

const status = (code: number, headers: Record<string, string> = {}, body = ""): Fault => ({
  kind: "status",
  status: code,
  headers,
  body,
});
const first = (fault: Fault) => (n: number) => (n === 1 ? fault : undefined);
const always = (fault: Fault) => () => fault;
/** How often each event is held. */
const held = (twin: MixpanelTwin) => [...twin.stored.values()];
const once = (count: number) => Array(count).fill(1);

describe("Retry-After", () => {
  test.each([
    ["seconds", "7", 7],
    ["an HTTP date", "Thu, 01 Jan 2026 00:00:09 GMT", 9],
  ])("as %s is waited for, and no request starts before", async (_, value, seconds) => {
    const run = setup();
    run.next = first(status(429, { "retry-after": value }));
    expect((await run.process()).sinks).toMatchObject({ mixpanel: { delivered: 10 } });
    expect(run.requests).toHaveLength(2);
    expect(run.requests[1]?.at).toBe(seconds * second);
  });

  test.each([
    ["garbage", { "retry-after": "soon" }],
    ["a date that has passed", { "retry-after": "Wed, 31 Dec 2025 00:00:00 GMT" }],
    ["nothing", {}],
  ])(
    "as %s leaves the wait to Mixpanel's pages: two seconds at least, and a part of it drawn",
    async (_, headers) => {
      for (const code of [429, 502, 503]) {
        const run = setup();
        run.next = first(status(code, headers));
        expect((await run.process()).sinks).toMatchObject({ mixpanel: { delivered: 10 } });
        expect(run.requests).toHaveLength(2);
        expect(run.requests[1]?.at).toBeGreaterThanOrEqual(2 * second);
        expect(run.requests[1]?.at).toBeLessThanOrEqual(5 * second);
      }
    },
  );

  test.each([429, 502, 503])(
    "none, and a %i for a minute: ever longer waits, up to one of a minute, none like the other",
    async (code) => {
      const run = setup({ count: 4 });
      run.next = always(status(code));
      const { delivered, deadLettered, pending } = (await run.process()).sinks["mixpanel"] ?? {};
      expect({ delivered, deadLettered, pending }).toEqual({ delivered: 0, deadLettered: 0, pending: 4 });
      const times = run.requests.map(({ at }) => at);
      const waits = times.slice(1).map((at, n) => at - (times[n] ?? 0));
      // Two to four seconds, four to eight, and so on.
      for (const [n, wait] of waits.entries()) {
        expect(wait).toBeGreaterThanOrEqual(Math.min(30, 2 ** (n + 1)) * second);
        expect(wait).toBeLessThanOrEqual(Math.min(60, 2 ** (n + 2)) * second + 10);
      }
      expect(times.filter((at) => at < 60 * second).length).toBeLessThanOrEqual(6);
      expect(waits.length).toBeGreaterThanOrEqual(4);
      expect(waits.filter((wait) => wait % second === 0)).toEqual([]);
    },
  );

  test("of an hour is not waited for in process: the records are pending, and delivered when it is over", async () => {
    const run = setup();
    run.next = first(status(503, { "retry-after": "3600" }));
    expect((await run.process()).sinks).toMatchObject({
      mixpanel: { delivered: 0, pending: 10, requests: 1 },
    });
    expect(run.world.clock.now() - Date.UTC(2026, 0, 1)).toBeLessThan(second);
    await run.world.clock.advance(3600 * second);
    expect((await run.process()).sinks).toMatchObject({ mixpanel: { delivered: 10, pending: 0 } });
  });
});

describe("a connection that breaks, a reply that is none", () => {
  test.each<[string, Fault]>([
    ["a reset before Mixpanel sees the request", { kind: "reset" }],
    ["a reset after it stored the events", { kind: "reset-after-store" }],
    ["a reset in the middle of the reply", { kind: "reset-in-reply" }],
    ["half of a reply", { kind: "truncated" }],
    ["a 200 with HTML", { kind: "garbled", body: "<html>OK</html>" }],
    ["a 200 with nothing", { kind: "garbled", body: "" }],
    [
      "a 200 with another code",
      { kind: "garbled", body: '{"code":500,"status":"OK","num_records_imported":10}' },
    ],
    [
      "a 200 that counts fewer than were sent",
      { kind: "garbled", body: '{"code":200,"num_records_imported":9}' },
    ],
    ["the status 0 of the classic endpoints", { kind: "garbled", body: '{"status":0,"error":"no"}' }],
    ["a hang before Mixpanel stored anything", { kind: "hang" }],
    ["a hang after it stored the events", { kind: "hang", stored: true }],
    ["a body that takes longer than the timeout", { kind: "slow-body", ms: 20 * second }],
    ["a 500", status(500)],
    ["a 502 of HTML", status(502, { "content-type": "text/html" }, "<html>Bad Gateway</html>")],
    ["a 503", status(503)],
    ["a 504", status(504)],
    ["a 408", status(408)],
    ["a 429", status(429)],
  ])("after %s the same events are sent again, and each is held once", async (_, fault) => {
    const run = setup();
    run.next = first(fault);
    expect((await run.process()).sinks).toMatchObject({
      mixpanel: { delivered: 10, requests: 2, retries: 1 },
    });
    expect(held(run.twin)).toEqual(once(10));
    expect(await run.letters()).toEqual([]);
  });

  test("a slow body within the timeout is no fault", async () => {
    const run = setup();
    run.next = first({ kind: "slow-body", ms: 2 * second });
    expect((await run.process()).sinks).toMatchObject({ mixpanel: { delivered: 10, requests: 1 } });
  });

  test.each<[string, Fault]>([
    ["answers HTML with 200", { kind: "garbled", body: "<html>" }],
    ["counts too few", { kind: "garbled", body: '{"code":200,"num_records_imported":9}' }],
    ["answers 503", status(503)],
    ["hangs", { kind: "hang" }],
  ])("a Mixpanel that %s for ever costs no record its life", async (_, fault) => {
    const run = setup();
    run.next = always(fault);
    expect((await run.process()).sinks).toMatchObject({
      mixpanel: { delivered: 0, deadLettered: 0, pending: 10 },
    });
    run.next = () => undefined;
    await run.world.clock.advance(600 * second);
    expect((await run.process()).sinks).toMatchObject({ mixpanel: { delivered: 10, pending: 0 } });
    expect(held(run.twin)).toEqual(once(10));
  });
});

describe("a partial success", () => {
  const late = (index: number) =>
    index % 4 === 1 ? { data: { event_time: "2026-01-01T09:00:00Z", new_findings_count: index } } : {};

  test("the events that Mixpanel names are letters of one fingerprint, the others are stored, in one request", async () => {
    const run = setup({ change: late });
    expect((await run.process()).sinks).toMatchObject({
      mixpanel: { delivered: 7, deadLettered: 3, requests: 1 },
    });
    const letters = await run.letters();
    expect(letters.map(({ code }) => code)).toEqual(Array(3).fill("TIME_REFUSED"));
    expect(new Set(letters.map((letter) => letter.fingerprint)).size).toBe(1);
    expect(letters.map(({ event }) => event?.id)).toEqual(["e1", "e5", "e9"]);
  });

  test("events that never left because the mapping refused them do not shift the indexes of a reply", async () => {
    const run = setup({
      change: (n) => (n === 0 || n === 4 ? { metric_name: "$merge" } : late(n)),
    });
    expect((await run.process()).sinks).toMatchObject({
      mixpanel: { delivered: 5, deadLettered: 5, requests: 1 },
    });
    const letters = (await run.letters()).map(({ code, event }) => `${event?.id} ${code}`);
    expect(letters.toSorted()).toEqual([
      "e0 EVENT_NAME_INVALID",
      "e1 TIME_REFUSED",
      "e4 EVENT_NAME_INVALID",
      "e5 TIME_REFUSED",
      "e9 TIME_REFUSED",
    ]);
  });

  test("events that the reply does not account for are sent again without those that it refused", async () => {
    const run = setup({ change: late });
    // The vendor took five of the seven good ones, it says, and does not say which.
    const failed = [9, 1, 5, 1].map((index) => ({ index, field: "properties.time", message: "no" }));
    run.next = first({
      kind: "garbled",
      body: JSON.stringify({ code: 400, num_records_imported: 5, failed_records: failed }),
    });
    expect((await run.process()).sinks).toMatchObject({ mixpanel: { delivered: 7, deadLettered: 3 } });
    expect(run.requests.map(({ items }) => items)).toEqual([10, 7]);
    expect(held(run.twin)).toEqual(once(7));
  });

  test("an index that no event has makes the rest unknown, and rejects nobody else", async () => {
    const run = setup({ change: late });
    const failed = [1, 5, 9, 10, -1, 1.5, "2", null].map((index) => ({ index, field: "properties.time" }));
    run.next = first({
      kind: "garbled",
      body: JSON.stringify({ code: 400, num_records_imported: 2, failed_records: failed }),
    });
    expect((await run.process()).sinks).toMatchObject({ mixpanel: { delivered: 7, deadLettered: 3 } });
    expect(run.requests.map(({ items }) => items)).toEqual([10, 7]);
  });
});

describe("too much", () => {
  test("a single event of over 1 MB is a letter, and is never sent", async () => {
    const list = Array(75).fill("v".repeat(100));
    const data = Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`list_${n}`, list]));
    const run = setup({
      change: (n) => (n === 3 ? { data: { event_time: "2026-01-01T00:00:00Z", ...data } } : {}),
    });
    expect((await run.process()).sinks).toMatchObject({ mixpanel: { delivered: 9, deadLettered: 1 } });
    expect(await run.letters()).toMatchObject([{ code: "ITEM_TOO_LARGE", event: { id: "e3" }, attempts: 0 }]);
  });

  test("a project's quota costs no record its life: what does not fit into this minute comes in another", async () => {
    const change = (n: number) => ({ data: { event_time: "2026-01-01T00:00:00Z", n } });
    const run = setup({ count: 5000, eventsPerMinute: 2000, change });
    for (let runs = 0; run.twin.stored.size < 5000 && runs < 10; runs++) {
      const { deadLettered, delivered, pending, valid } = (await run.process()).sinks["mixpanel"] ?? {};
      expect(deadLettered).toBe(0);
      expect((delivered ?? 0) + (pending ?? 0)).toBe(valid);
      await run.world.clock.advance(60 * second);
    }
    expect(held(run.twin)).toEqual(once(5000));
  });
});

describe("a refusal of the whole request", () => {
  test("a 413 is halved down to the one record that is too large alone", async () => {
    const large = (index: number) =>
      index === 3
        ? { data: { event_time: "2026-01-01T00:00:00Z", list: Array(40).fill("v".repeat(100)) } }
        : {};
    const run = setup({ bytesPerRequest: 2000, change: large });
    expect((await run.process()).sinks).toMatchObject({ mixpanel: { delivered: 9, deadLettered: 1 } });
    expect(await run.letters()).toMatchObject([
      { code: "HTTP_413", reason: "Mixpanel answered 413", event: { id: "e3" }, stage: "send" },
    ]);
    expect(held(run.twin)).toEqual(once(9));
  });

  test.each([
    ["nothing", ""],
    ["HTML", "<html>Bad Request</html>"],
    ["the status 0 of the classic endpoints", '{"status":0,"error":"private-4711"}'],
  ])("a 400 with %s for an answer is halved down to the records that get it alone", async (_, body) => {
    const run = setup({ count: 6 });
    // Refuses every request that holds the third event.
    run.next = (_n, request) => (request.items !== 1 ? status(400, {}, body) : undefined);
    expect((await run.process()).sinks).toMatchObject({ mixpanel: { delivered: 6, deadLettered: 0 } });
    run.world.putEvents("b", 2);
    run.next = always(status(400, {}, body));
    expect((await run.process("b")).sinks).toMatchObject({ mixpanel: { delivered: 0, deadLettered: 2 } });
    const letters = await run.letters();
    expect(letters).toMatchObject(Array(2).fill({ code: "HTTP_400", reason: "Mixpanel answered 400" }));
  });
});

describe("credentials", () => {
  test.each([401, 403])("a %i at the start: nothing is tried again, nothing is lost", async (code) => {
    const run = setup({ count: 5000 });
    run.next = always(status(code, {}, "{}"));
    const { sinks } = await run.process();
    expect(sinks).toMatchObject({ mixpanel: { delivered: 0, deadLettered: 0, pending: 5000 } });
    expect(sinks["mixpanel"]?.pendingReason).toBe(
      `Mixpanel answered ${code}: check its credentials and their permissions`,
    );
    // One for each request that was under way at once.
    expect(run.requests.length).toBeLessThanOrEqual(3);
    run.next = () => undefined;
    await run.world.clock.advance(3600 * second);
    expect((await run.process()).sinks).toMatchObject({ mixpanel: { delivered: 5000, pending: 0 } });
    expect(held(run.twin)).toEqual(once(5000));
  });

  test.each([401, 403, 404])("a %i in mid-run: what was delivered stays so, the rest waits", async (code) => {
    const run = setup({ count: 5000 });
    run.next = (n) => (n > 1 ? status(code, {}, "{}") : undefined);
    expect((await run.process()).sinks).toMatchObject({
      mixpanel: { delivered: 2000, deadLettered: 0, pending: 3000 },
    });
    run.next = () => undefined;
    await run.world.clock.advance(3600 * second);
    expect((await run.process()).sinks).toMatchObject({ mixpanel: { delivered: 3000, pending: 0 } });
    expect(held(run.twin)).toEqual(once(5000));
  });
});

describe("chaos", () => {
  const kinds: readonly Fault[] = [
    { kind: "reset" },
    { kind: "reset-after-store" },
    { kind: "reset-in-reply" },
    { kind: "truncated" },
    { kind: "garbled", body: "<html>" },
    { kind: "garbled", body: '{"code":200,"num_records_imported":1}' },
    { kind: "delay", ms: 3 * second },
    { kind: "slow-body", ms: 9 * second },
    { kind: "hang", stored: true },
    status(400),
    status(413),
    status(429, { "retry-after": "2" }),
    status(429),
    status(503),
    status(401),
  ];

  const objects = Array.from({ length: 12 }, (_, n) => `object-${n}`);
  const perObject = 60;

  const recorded = async (seed: number) => {
    const run = setup();
    for (const key of objects) {
      run.world.putEvents(key, perObject, (n) => ({
        // One of each object can never be there.
        metric_name: n === 7 ? "$merge" : "scan_started",
        metadata: { tenant_id: `tenant-${n % 3}`, event_id: `${key}-${n}` },
      }));
    }
    const draw = drawFaults({ seed, rate: 0.5, kinds });
    run.next = (n) => draw(new Request(`http://${host}`), n);
    const reports = [];
    for (let round = 0; round < 4; round++) {
      if (round === 3) run.next = () => undefined;
      for (const key of objects) reports.push(await run.process(key));
      // A refused token takes the sink out for half a minute; a person would have repaired it.
      await run.world.clock.advance(3600 * second);
    }
    return {
      twin: run.twin,
      outcomes: {
        reports,
        requests: run.requests,
        letters: await run.letters(),
        stored: [...run.twin.stored],
        receipts: await run.receipts(),
      },
    };
  };

  test.each([1, 2, 3, 4, 5, 6])(
    "the faults of seed %i, run twice, end alike and lose nothing",
    async (seed) => {
      const [left, right] = [await recorded(seed), await recorded(seed)];
      expect(right.outcomes).toEqual(left.outcomes);
      const { requests, letters, reports } = left.outcomes;
      expect(requests.filter(({ fault }) => fault !== undefined).length).toBeGreaterThan(2);
      expect(reports.slice(-objects.length).map(({ sinks }) => sinks["mixpanel"]?.pending)).toEqual(
        objects.map(() => 0),
      );
      expect(new Set(held(left.twin))).toEqual(new Set([1]));
      const refused = letters.map(({ event }) => event?.id);
      expect(new Set(refused).size).toBe(refused.length);
      expect(letters.filter(({ code }) => code === "EVENT_NAME_INVALID")).toHaveLength(objects.length);
      // Every event is held or has a letter: those that can never be there, and whom an injected refusal met alone.
      const ids = left.twin.events.map(({ properties }) => properties["event_id"]);
      expect(new Set([...refused, ...ids]).size).toBe(objects.length * perObject);
    },
  );
});
