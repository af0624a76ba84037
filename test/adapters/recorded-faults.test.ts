// Each recorded fault of HubSpot and Mixpanel by itself, drawn twice from one seed. Segment's, Timestream's and the
// disk's have this beside their other faults.
import { expect, test } from "vitest";
import { hubspotCompaniesSink, hubspotEventsSink } from "../../adapters/hubspot/index.ts";
import { createHubspotTwin } from "../../adapters/hubspot/twin.ts";
import { mixpanelSink } from "../../adapters/mixpanel/index.ts";
import { createMixpanelTwin } from "../../adapters/mixpanel/twin.ts";
import type { Sink } from "../../src/index.ts";
import { drawFaults, type Fault, type TwinHandler, type VirtualClock } from "../../src/testing/index.ts";
import { vendorWorld } from "../support/vendor-world.ts";
import { eventRecord } from "../support/world.ts";

const status = (code: number, headers: Record<string, string> = {}, body: object | string = ""): Fault => ({
  kind: "status",
  status: code,
  headers,
  body: typeof body === "string" ? body : JSON.stringify(body),
});

/** Of any vendor over HTTP. */
const common: readonly (readonly [string, Fault])[] = [
  ["a reset before the request arrives", { kind: "reset" }],
  ["a reset after it is stored", { kind: "reset-after-store" }],
  ["a reset in the middle of the reply", { kind: "reset-in-reply" }],
  ["a reply cut in half", { kind: "truncated" }],
  ["a proxy's page in place of the reply's body", { kind: "garbled", body: "<html>Welcome</html>" }],
  ["a reply without its body", { kind: "garbled", body: "" }],
  ["no reply, nothing stored", { kind: "hang" }],
  ["no reply, all stored", { kind: "hang", stored: true }],
  ["a reply that comes after the time is over", { kind: "delay", ms: 60_000 }],
  ["a body that trickles in beyond the time", { kind: "slow-body", ms: 20_000 }],
  ...[408, 500, 502, 503, 504].map((code): [string, Fault] => [`${code}`, status(code, {}, "<html>")]),
  ["429 with Retry-After in seconds", status(429, { "retry-after": "3" })],
  ["429 with Retry-After as a date", status(429, { "retry-after": "Thu, 01 Jan 2026 00:00:09 GMT" })],
  ["429 with Retry-After of garbage", status(429, { "retry-after": "soon" })],
  ["429 without Retry-After", status(429)],
  ["503 with a Retry-After of an hour", status(503, { "retry-after": "3600" })],
  ...[301, 401, 403].map((code): [string, Fault] => [`${code}`, status(code)]),
  ["404 with another server's page", status(404, {}, "<html>Not Found</html>")],
  ["400 without details", status(400)],
  ["413", status(413)],
];

const ofHubspot: readonly (readonly [string, Fault])[] = [
  ...common,
  ...[521, 522, 523, 524, 525, 526].map((code): [string, Fault] => [`${code}`, status(code, {}, "<html>")]),
  ["200 in place of what was stored", status(200, {}, { status: "COMPLETE" })],
  ["202", status(202)],
  ["a lock (423)", status(423)],
  ["a migration (477)", status(477, { "retry-after": "86400" })],
  ["the rate of ten seconds", status(429, {}, { policyName: "TEN_SECONDLY_ROLLING" })],
  ["the daily quota", status(429, {}, { policyName: "DAILY" })],
  ["a missing tier or scope", status(403, {}, { category: "MISSING_SCOPES" })],
  ["a refusal with its category", status(400, {}, { category: "VALIDATION_ERROR" })],
  ["404 for an object", status(404, {}, { category: "OBJECT_NOT_FOUND" })],
  ["a conflict (409)", status(409)],
  ["414", status(414)],
];

const ofMixpanel: readonly (readonly [string, Fault])[] = [
  ...common,
  ["200 with another code", { kind: "garbled", body: '{"code":500,"status":"OK"}' }],
  [
    "200 that counts fewer than were sent",
    { kind: "garbled", body: '{"code":200,"num_records_imported":0}' },
  ],
  ["the status 0 of the classic endpoints", { kind: "garbled", body: '{"status":0,"error":"no"}' }],
  ["400 with HTML", status(400, {}, "<html>")],
  ["400 that fails an index nobody has", status(400, {}, { failed_records: [{ index: 10_000 }] })],
];

interface Stood {
  readonly stored: ReadonlyMap<string, number>;
  readonly handle: TwinHandler;
}
type Vendor = (clock: VirtualClock) => readonly [Sink<unknown>, Stood];

const hubspot = { accessToken: "pat-1", baseUrl: "http://hubspot.test" };
const vendors: readonly (readonly [string, Vendor, readonly (readonly [string, Fault])[]])[] = [
  ["hubspot-events", () => [hubspotEventsSink(hubspot), createHubspotTwin()], ofHubspot],
  [
    "hubspot-companies",
    () => [hubspotCompaniesSink({ ...hubspot, createUnknown: true }), createHubspotTwin()],
    ofHubspot,
  ],
  [
    "mixpanel",
    (clock) => [
      mixpanelSink({ token: "token", host: "http://mixpanel.test" }),
      createMixpanelTwin({ clock }),
    ],
    ofMixpanel,
  ],
];

const count = 100;
const hour = 3_600_000;

/** Events in requests of five, of which some fail as the seed draws, in two runs; then the vendor is well again. */
async function outcomes(create: Vendor, seed: number, fault: Fault) {
  let stored: ReadonlyMap<string, number> = new Map();
  const world = vendorWorld((clock) => {
    const [sink, twin] = create(clock);
    stored = twin.stored;
    return { sink: { ...sink, limits: { ...sink.limits, itemsPerRequest: 5 } }, handle: twin.handle };
  });
  world.put(Array.from({ length: count }, (_, index) => eventRecord(index, `tenant-${index}`)));
  const draw = drawFaults({ seed, rate: 0.4, kinds: [fault] });
  let faults = 0;
  world.next = (request, n) => {
    const drawn = draw(request, n);
    if (drawn !== undefined) faults++;
    return drawn;
  };
  const runs = [await world.deliver()];
  await world.clock.advance(2 * hour);
  runs.push(await world.deliver());
  world.next = () => undefined;
  await world.clock.advance(24 * hour);
  runs.push(await world.deliver());
  const letters = (runs.at(-1)?.letters ?? []).map(({ origin, code, event, attempts, fingerprint }) => {
    return { index: origin.index, code, event, attempts, fingerprint };
  });
  const times = world.requests.map(({ at }) => at);
  // The names of the files of letters are drawn anew in every run.
  const reports = runs.map(({ report, reason, refused, tookMs }) => ({ report, reason, refused, tookMs }));
  return { faults, letters, times, reports, stored: [...stored] };
}

const cases = vendors.flatMap(([name, create, faults]) =>
  faults.map(([what, fault]) => [name, what, create, fault] as const),
);

test.each(cases)("%s, %s: run twice with the same seed, ends alike and loses nothing", async (...each) => {
  const [name, , create, fault] = each;
  const once = await outcomes(create, 1, fault);
  expect(once.faults).toBeGreaterThan(0);
  const delivered = once.reports.reduce((sum, { report }) => sum + report.delivered, 0);
  expect(delivered + once.letters.length).toBe(count);
  expect(once.reports.at(-1)?.report.pending).toBe(0);
  expect(once.stored.length).toBe(delivered);
  // A company that is written again holds the same values.
  if (name !== "hubspot-companies")
    expect(new Set(once.stored.map(([, times]) => times))).toEqual(new Set([1]));
  expect(await outcomes(create, 1, fault)).toEqual(once);
});
