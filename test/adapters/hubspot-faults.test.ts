// HubSpot when it is ill, seen from the worker: what is delivered, lost to a letter, or waits.
import { describe, expect, test } from "vitest";
import { hubspotCompaniesSink, hubspotEventsSink } from "../../adapters/hubspot/index.ts";
import { createHubspotTwin, type HubspotTwin, type HubspotTwinOptions } from "../../adapters/hubspot/twin.ts";
import type { SinkReport } from "../../src/index.ts";
import { drawFaults, type Fault, type TwinHandler } from "../../src/testing/index.ts";
import { createVendorRun, type VendorRun } from "../support/vendor-run.ts";

const host = "hubspot.test";
const connection = { accessToken: "pat-1", baseUrl: `http://${host}` };
const second = 1000;
const hour = 3600 * second;

const sinks = {
  "hubspot-events": () => hubspotEventsSink(connection),
  "hubspot-companies": () => hubspotCompaniesSink({ ...connection, createUnknown: true }),
};
type Name = keyof typeof sinks;
const both = ["hubspot-events", "hubspot-companies"] as const;

interface Setup extends HubspotTwinOptions {
  /** Events in the object, each of a tenant of its own. Default 10. */
  readonly count?: number;
  readonly change?: (index: number) => object;
  /** Stands before the twin. */
  readonly wrap?: (twin: TwinHandler) => TwinHandler;
}

interface HubspotRun extends VendorRun {
  readonly twin: HubspotTwin;
  report(): Promise<SinkReport>;
}

function setup(name: Name, { count = 10, change = () => ({}), wrap, ...options }: Setup = {}): HubspotRun {
  const twin = createHubspotTwin(options);
  const handle = wrap === undefined ? twin.handle : wrap(twin.handle);
  const run = createVendorRun(() => [{ sink: sinks[name](), host, handle }]);
  run.world.putEvents("a", count, (n) => ({
    metadata: { tenant_id: `t${n}`, event_id: `e${n}` },
    ...change(n),
  }));
  return Object.assign(run, {
    twin,
    report: async () => {
      const report = (await run.process()).sinks[name];
      if (report === undefined) throw new Error("the sink has no report");
      return report;
    },
  });
}

const status = (code: number, headers: Record<string, string> = {}, body: object | string = ""): Fault => ({
  kind: "status",
  status: code,
  headers,
  body: typeof body === "string" ? body : JSON.stringify(body),
});
const first = (fault: Fault) => (n: number) => (n === 1 ? fault : undefined);
const held = (twin: HubspotTwin) => [...twin.stored.values()];
const once = (count: number) => Array(count).fill(1);
/** Requests that one batch takes when nothing goes wrong: companies are looked up before they are written. */
const perBatch = (name: Name) => (name === "hubspot-events" ? 1 : 2);

describe.each(both)("%s", (name) => {
  test.each<[string, Fault, number]>([
    ["Retry-After in seconds", status(429, { "retry-after": "7" }), 7],
    ["Retry-After as an HTTP date", status(429, { "retry-after": "Thu, 01 Jan 2026 00:00:09 GMT" }), 9],
    ["Retry-After of garbage", status(429, { "retry-after": "soon" }), 10],
    ["no Retry-After", status(429, {}, { errorType: "RATE_LIMIT", policyName: "TEN_SECONDLY_ROLLING" }), 10],
    ["no body at all", status(429), 10],
    ["HTML", status(429, {}, "<html>"), 10],
    [
      "another window in its headers",
      status(429, { "x-hubspot-ratelimit-interval-milliseconds": "1000" }),
      1,
    ],
    ["calls left for the day", status(429, { "x-hubspot-ratelimit-daily-remaining": "17" }), 10],
  ])("a 429 with %s is waited for, and no request starts before", async (_, fault, seconds) => {
    const run = setup(name);
    run.next = first(fault);
    expect(await run.report()).toMatchObject({ delivered: 10, deadLettered: 0, pending: 0 });
    expect(run.requests[1]?.at).toBeGreaterThanOrEqual(seconds * second);
    expect(run.requests[1]?.at).toBeLessThan((seconds + 1) * second);
  });

  test.each<[string, Fault, number]>([
    ["a spent daily quota", status(429, {}, { errorType: "RATE_LIMIT", policyName: "DAILY" }), hour],
    ["a spent day told by a header alone", status(429, { "x-hubspot-ratelimit-daily-remaining": "0" }), hour],
    ["a migration (477) that names its end in seconds", status(477, { "retry-after": "86400" }), 24 * hour],
    [
      "a migration (477) that names its end as a date",
      status(477, { "retry-after": "Thu, 01 Jan 2026 06:00:00 GMT" }),
      6 * hour,
    ],
    ["a migration (477) that names no end", status(477), hour],
    ["a migration (477) with a garbled end", status(477, { "retry-after": "soon" }), hour],
  ])("%s is never waited for in process, nor asked again before it is over", async (_, fault, ms) => {
    const run = setup(name);
    run.next = first(fault);
    expect(await run.report()).toMatchObject({ delivered: 0, deadLettered: 0, pending: 10, requests: 1 });
    expect(run.world.clock.now() - Date.UTC(2026, 0, 1)).toBeLessThan(second);
    await run.world.clock.advance(ms - 2 * second);
    expect(await run.report()).toMatchObject({ delivered: 0, pending: 10, requests: 0 });
    await run.world.clock.advance(2 * second);
    expect(await run.report()).toMatchObject({ delivered: 10, pending: 0 });
    expect(held(run.twin)).toEqual(once(10));
  });

  test("a lock (423) is waited for, two seconds at least", async () => {
    const run = setup(name);
    run.next = first(status(423));
    expect(await run.report()).toMatchObject({ delivered: 10 });
    expect(run.requests[1]?.at).toBeGreaterThanOrEqual(2 * second);
  });

  test.each<[string, Fault]>([
    ["a reset before HubSpot sees the request", { kind: "reset" }],
    ["a reset after it acted", { kind: "reset-after-store" }],
    ["a hang before it acted", { kind: "hang" }],
    ["a hang after it acted", { kind: "hang", stored: true }],
    ["a 200 with HTML", status(200, { "content-type": "text/html" }, "<html>Welcome</html>")],
    ["a 202 with nothing", status(202)],
    ...[408, 500, 502, 503, 504, 521, 522, 523, 524, 525, 526].map((code): [string, Fault] => [
      `a ${code} of HTML`,
      status(code, {}, "<html>Error</html>"),
    ]),
  ])("after %s the same events are sent again, and each is held once", async (_, fault) => {
    for (let n = 1; n <= perBatch(name); n++) {
      const run = setup(name);
      run.next = (request) => (request === n ? fault : undefined);
      expect(await run.report()).toMatchObject({ delivered: 10, deadLettered: 0, pending: 0 });
      expect(run.requests.length).toBeGreaterThan(perBatch(name));
      // HubSpot keeps one occurrence a uuid; a company that is written again holds the same values.
      if (name === "hubspot-events") expect(held(run.twin)).toEqual(once(10));
      expect(run.twin.stored.size).toBe(10);
      expect(await run.letters()).toEqual([]);
    }
  });

  test("a body that comes slowly, but within the timeout, is no fault", async () => {
    const run = setup(name);
    run.next = () => ({ kind: "slow-body", ms: 2 * second });
    expect(await run.report()).toMatchObject({ delivered: 10, requests: 1 });
  });

  test.each<[string, Fault]>([
    ["answers 502", status(502)],
    ["answers 200 with HTML", status(200, {}, "<html>")],
    ["hangs", { kind: "hang" }],
  ])("a HubSpot that %s for ever costs no record its life", async (_, fault) => {
    const run = setup(name);
    run.next = () => fault;
    expect(await run.report()).toMatchObject({ delivered: 0, deadLettered: 0, pending: 10 });
    run.next = () => undefined;
    await run.world.clock.advance(hour);
    expect(await run.report()).toMatchObject({ delivered: 10, pending: 0 });
  });

  test.each<[number, object | string, string]>([
    [400, "", "HTTP_400"],
    [400, "<html>Bad Request</html>", "HTTP_400"],
    [400, { category: "VALIDATION_ERROR", message: 'no "private-1"' }, "VALIDATION_ERROR"],
    [400, { category: "NEW_IN_2031", message: "private-1" }, "INPUT_REFUSED"],
    [404, { category: "OBJECT_NOT_FOUND", message: "private-1" }, "OBJECT_NOT_FOUND"],
    [413, "", "HTTP_413"],
    [414, "", "HTTP_414"],
    [422, "", "HTTP_422"],
  ])(
    "a %i with %j is halved, down to the records that get it alone, which are letters of one fingerprint",
    async (code, body, letter) => {
      const run = setup(name);
      run.next = (_n, { items }) => (items > 1 ? status(code, {}, body) : undefined);
      expect(await run.report()).toMatchObject({ delivered: 10, deadLettered: 0, pending: 0 });

      const hopeless = setup(name, { count: 3 });
      hopeless.next = () => status(code, {}, body);
      expect(await hopeless.report()).toMatchObject({ delivered: 0, deadLettered: 3, pending: 0 });
      const letters = await hopeless.letters();
      expect(letters.map((each) => each.code)).toEqual(Array(3).fill(letter));
      expect(new Set(letters.map((each) => each.fingerprint)).size).toBe(1);
      expect(letters.map(({ reason }) => reason).join()).not.toContain("private");
    },
  );

  test.each([401, 403])("a %i at the start: nothing is tried again, nothing is lost", async (code) => {
    const run = setup(name, { count: 1200 });
    run.next = () => status(code, {}, { category: "MISSING_SCOPES" });
    const report = await run.report();
    expect(report).toMatchObject({ delivered: 0, deadLettered: 0, pending: 1200 });
    expect(report.pendingReason).toMatch(new RegExp(`^HubSpot answered ${code}: `));
    // One for each request that was under way at once.
    expect(run.requests.length).toBeLessThanOrEqual(3);
    run.next = () => undefined;
    await run.world.clock.advance(hour);
    expect(await run.report()).toMatchObject({ delivered: 1200, pending: 0 });
    expect(held(run.twin)).toEqual(once(1200));
  });

  test.each<[number, string]>([
    [401, "{}"],
    [403, "{}"],
    [404, "<html>Not Found</html>"],
    [404, ""],
    // What HubSpot will answer when a version of its API has ended, as it announces.
    [404, '{"status":"error","message":"resource not found","correlationId":"1"}'],
    [410, '{"status":"error","category":"GONE"}'],
    [302, ""],
  ])("a %i %s in mid-run: what was delivered stays so, the rest waits", async (code, body) => {
    const run = setup(name, { count: 1200 });
    run.next = (n) => (n > perBatch(name) ? status(code, {}, body) : undefined);
    const { delivered, deadLettered, pending } = await run.report();
    expect(deadLettered).toBe(0);
    expect(delivered).toBe(name === "hubspot-events" ? 500 : 100);
    expect(delivered + pending).toBe(1200);
    run.next = () => undefined;
    await run.world.clock.advance(hour);
    expect(await run.report()).toMatchObject({ delivered: pending, pending: 0 });
    expect(held(run.twin)).toEqual(once(1200));
  });
});

describe("hubspot-events", () => {
  test("one bad event of many costs itself alone, and all its neighbours arrive once", async () => {
    const run = setup("hubspot-events", {
      count: 500,
      events: { findings_upload_completed: ["tenant_id", "new_findings_count"] },
      change: (n) => (n === 321 ? { data: { event_time: "2026-01-01T00:00:00Z", unheard_of: 1 } } : {}),
    });
    expect(await run.report()).toMatchObject({ delivered: 499, deadLettered: 1 });
    expect(await run.letters()).toMatchObject([{ code: "VALIDATION_ERROR", event: { id: "e321" } }]);
    expect(held(run.twin)).toEqual(once(499));
  });

  test("events without a definition are letters, and none is stored under another name", async () => {
    const run = setup("hubspot-events", { events: { other: [] } });
    expect(await run.report()).toMatchObject({ delivered: 0, deadLettered: 10 });
    expect(run.twin.occurrences).toEqual([]);
  });
});

describe("hubspot-companies", () => {
  const change = (fields: (n: number) => object) => (n: number) => ({
    metric_name: "crm",
    data: { event_time: "2026-01-01T00:00:00Z", ...fields(n) },
  });

  test("of a tenant's events in one batch the newest is written, whatever their order, and the others are filtered", async () => {
    const minutes = [3, 9, 1];
    const run = setup("hubspot-companies", {
      count: 3,
      change: (n) => ({
        metadata: { tenant_id: "acme", event_id: `e${n}` },
        data: { event_time: `2026-01-01T00:0${minutes[n]}:00Z`, minute: minutes[n] },
      }),
    });
    expect(await run.report()).toMatchObject({ delivered: 1, filtered: 2, requests: 1 });
    expect(run.requests.map(({ items }) => items)).toEqual([1, 1]);
    expect(run.twin.companies.get("acme")).toMatchObject({ findings_upload_completed_minute: "9" });
  });

  test.each<[string, string]>([
    ["a 207 that lists nothing and counts errors", '{"results":[],"errors":[],"numErrors":4}'],
    ["a 200 that lists nothing", '{"results":[]}'],
  ])(
    "a look that does not mention a tenant says nothing of it: after %s newer values are safe",
    async (_, body) => {
      const kept = { tenant_id: "t3", fanout_crm_at: "2026-01-01T00:00:01Z", crm_seats: "99" };
      const run = setup("hubspot-companies", { change: change((n) => ({ seats: n })) });
      run.twin.companies.set("t3", kept);
      run.next = (n) => (n === 1 ? { kind: "garbled", body } : undefined);
      expect(await run.report()).toMatchObject({ delivered: 9, filtered: 1, deadLettered: 0, pending: 0 });
      expect(run.twin.companies.get("t3")).toEqual(kept);
      expect(run.requests.map(({ items }) => items)).toEqual([10, 10, 9]);
    },
  );

  test("a 207 that names the inputs at fault costs them alone", async () => {
    const run = setup("hubspot-companies", {
      companyProperties: ["tenant_id", "fanout_crm_at", "crm_seats"],
      change: change((n) => (n % 3 === 1 ? { unheard: n } : { seats: n })),
    });
    expect(await run.report()).toMatchObject({ delivered: 7, deadLettered: 3, requests: 1 });
    const letters = await run.letters();
    expect(letters.map(({ code }) => code)).toEqual(Array(3).fill("PROPERTY_DOESNT_EXIST"));
    expect(new Set(letters.map(({ fingerprint }) => fingerprint)).size).toBe(1);
  });

  test("a 207 whose errors name nobody costs the culprits alone: the others were stored, so they stand alone next time", async () => {
    const run = setup("hubspot-companies", {
      companyProperties: ["tenant_id", "fanout_crm_at", "crm_seats"],
      change: change((n) => (n === 4 || n === 5 ? { unheard: n } : { seats: n })),
      wrap: (twin) => async (request) => {
        const response = await twin(request);
        if (response.status !== 207 || request.url.endsWith("/read")) return response;
        const body: { errors: object[] } = JSON.parse(await response.text());
        const errors = body.errors.map((error) => ({ ...error, context: {} }));
        return Response.json({ ...body, errors }, { status: 207 });
      },
    });
    expect(await run.report()).toMatchObject({ delivered: 8, deadLettered: 2, pending: 0 });
    const letters = await run.letters();
    expect(letters.map(({ event }) => event?.id)).toEqual(["e4", "e5"]);
    expect(held(run.twin)).toEqual(once(8));
  });

  test("a 207 that mentions only some inputs leaves the others unknown, and they are sent again alone", async () => {
    const run = setup("hubspot-companies", { companies: Array.from({ length: 10 }, (_, n) => `t${n}`) });
    run.next = (n) =>
      n === 2
        ? { kind: "garbled", body: JSON.stringify({ results: [{ properties: { tenant_id: "t3" } }] }) }
        : undefined;
    expect(await run.report()).toMatchObject({ delivered: 10, deadLettered: 0, pending: 0 });
    expect(run.requests.map(({ items }) => items)).toEqual([10, 10, 9, 9]);
  });

  test("one company whose write conflicts for ever becomes a letter, and does not keep the others waiting", async () => {
    const run = setup("hubspot-companies", {
      wrap: (twin) => async (request) => {
        const text = await request.clone().text();
        if (request.url.endsWith("/upsert") && text.includes('"t6"')) {
          return Response.json({ category: "CONFLICT", message: "t6" }, { status: 409 });
        }
        return await twin(request);
      },
    });
    expect(await run.report()).toMatchObject({ delivered: 9, deadLettered: 1, pending: 0 });
    expect(await run.letters()).toMatchObject([{ code: "CONFLICT", event: { tenantId: "t6" } }]);
  });

  // The 204 of custom events has no body that could break.
  test.each<[string, Fault]>([
    ["a reset in the middle of the reply", { kind: "reset-in-reply" }],
    ["half of a reply", { kind: "truncated" }],
    ["a reply that comes slower than the timeout", { kind: "slow-body", ms: 20 * second }],
    ["HTML in the place of the reply", { kind: "garbled", body: "<html>" }],
  ])("%s, to the look or to the write, has the batch sent again", async (_, fault) => {
    for (const n of [1, 2]) {
      const run = setup("hubspot-companies");
      run.next = (request) => (request === n ? fault : undefined);
      expect(await run.report()).toMatchObject({ delivered: 10, deadLettered: 0, retries: 1 });
      expect(run.twin.companies.size).toBe(10);
    }
  });

  test("a conflict that is gone at the next look is no letter", async () => {
    const run = setup("hubspot-companies");
    run.next = (n) => (n === 2 ? status(409, {}, { category: "CONFLICT" }) : undefined);
    expect(await run.report()).toMatchObject({ delivered: 10, deadLettered: 0 });
  });

  test("two tenants that HubSpot takes for one company: the second is a letter, and the first company stays as it is", async () => {
    const run = setup("hubspot-companies", {
      change: (n) => (n === 7 ? { metadata: { tenant_id: "T3", event_id: "e7" } } : {}),
      wrap: (twin) => async (request) => {
        const folded = (await request.text()).replace(
          /"id":"([^"]*)"/g,
          (_, id) => `"id":"${String(id).toLowerCase()}"`,
        );
        return await twin(
          new Request(request.url, { method: "POST", headers: request.headers, body: folded }),
        );
      },
    });
    expect(await run.report()).toMatchObject({ delivered: 9, deadLettered: 1, pending: 0 });
    expect(await run.letters()).toMatchObject([{ code: "TENANT_ID_AMBIGUOUS", event: { tenantId: "T3" } }]);
    expect(run.twin.companies.get("t3")).toMatchObject({ findings_upload_completed_new_findings_count: "3" });
  });
});

describe("chaos", () => {
  const kinds: readonly Fault[] = [
    { kind: "reset" },
    { kind: "reset-after-store" },
    { kind: "reset-in-reply" },
    { kind: "truncated" },
    { kind: "garbled", body: "<html>" },
    { kind: "delay", ms: 3 * second },
    { kind: "slow-body", ms: 9 * second },
    { kind: "hang", stored: true },
    status(400, {}, { category: "VALIDATION_ERROR" }),
    status(413),
    status(409),
    status(423),
    status(429, {}, { policyName: "TEN_SECONDLY_ROLLING" }),
    status(429, {}, { policyName: "DAILY" }),
    status(477, { "retry-after": "600" }),
    status(502, {}, "<html>"),
    status(401),
  ];
  const objects = Array.from({ length: 12 }, (_, n) => `object-${n}`);
  const perObject = 30;

  const recorded = async (name: Name, seed: number) => {
    const run = setup(name);
    for (const key of objects) {
      run.world.putEvents(key, perObject, (n) => ({
        // One of each object can never be there.
        metric_name: n === 7 ? "Scan Started" : "scan_started",
        metadata: { tenant_id: `${key}-${n}`, event_id: `${key}-${n}` },
      }));
    }
    const draw = drawFaults({ seed, rate: 0.5, kinds });
    run.next = (n) => draw(new Request(connection.baseUrl), n);
    const reports = [];
    for (let round = 0; round < 4; round++) {
      if (round === 3) run.next = () => undefined;
      for (const key of objects) reports.push(await run.process(key));
      await run.world.clock.advance(2 * hour);
    }
    return {
      twin: run.twin,
      outcomes: {
        reports,
        requests: run.requests,
        letters: await run.letters(),
        stored: [...run.twin.stored],
        companies: [...run.twin.companies],
        receipts: await run.receipts(),
      },
    };
  };

  test.each(both.flatMap((name) => [1, 2, 3, 4].map((seed) => [name, seed] as const)))(
    "%s: the faults of seed %i, run twice, end alike and lose nothing",
    async (name, seed) => {
      const [left, right] = [await recorded(name, seed), await recorded(name, seed)];
      expect(right.outcomes).toEqual(left.outcomes);
      const { requests, letters, reports } = left.outcomes;
      expect(requests.filter(({ fault }) => fault !== undefined).length).toBeGreaterThan(2);
      expect(reports.slice(-objects.length).map(({ sinks: all }) => all[name]?.pending)).toEqual(
        objects.map(() => 0),
      );
      const refused = letters.map(({ event }) => event?.tenantId);
      expect(new Set(refused).size).toBe(refused.length);
      expect(letters.filter(({ stage }) => stage === "encode")).toHaveLength(objects.length);
      // Every event is held or has a letter: those that can never be there, and whom an injected refusal met alone.
      const tenants =
        name === "hubspot-events"
          ? left.twin.occurrences.map(({ properties }) => properties["tenant_id"])
          : left.twin.companies.keys();
      expect(new Set([...refused, ...tenants]).size).toBe(objects.length * perObject);
      if (name === "hubspot-events") expect(new Set(held(left.twin))).toEqual(new Set([1]));
    },
  );
});
