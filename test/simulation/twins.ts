// The vendors' twins in the simulated world: the real adapters, the documented vendors, and faults between them.
import { hubspotCompaniesSink, hubspotEventsSink } from "../../adapters/hubspot/index.ts";
import { createHubspotTwin } from "../../adapters/hubspot/twin.ts";
import { mixpanelSink } from "../../adapters/mixpanel/index.ts";
import { createMixpanelTwin } from "../../adapters/mixpanel/twin.ts";
import { segmentGroupsSink, segmentSink } from "../../adapters/segment/index.ts";
import { createSegmentTwin } from "../../adapters/segment/twin.ts";
import { timestreamSink } from "../../adapters/timestream/index.ts";
import { createTimestreamTwin } from "../../adapters/timestream/twin.ts";
import type { Clock } from "../../src/delivery/clock.ts";
import type { HttpClient } from "../../src/delivery/http.ts";
import type { Sink } from "../../src/delivery/sink.ts";
import { type Fault, injectFaults, type TwinHandler, twinHttp } from "../../src/testing/index.ts";
import type { Dice } from "./dice.ts";
import { payloadCanary, secretCanary, start, type TwinName, type TwinPlan } from "./plan.ts";
import type { Process } from "./process.ts";
import type { Trouble } from "./trouble.ts";
import type { Vendor } from "./vendor.ts";

export interface TwinVendor extends Vendor {
  readonly host: string;
  /** The way to the vendor, faults included. */
  readonly http: HttpClient;
}

interface Stand {
  readonly sink: () => Sink<unknown>;
  readonly handle: TwinHandler;
  readonly holds: Vendor["holds"];
  readonly kept: Vendor["kept"];
}

export function createTwin(plan: TwinPlan, trouble: Trouble, clock: Clock): TwinVendor {
  const { name } = plan;
  const host = `${name}.vendor.test`;
  const { sink, handle, holds, kept } = stands[name](`https://${host}`, clock);
  let coming: Fault | undefined;
  const faulty = injectFaults(handle, () => coming, clock);
  const http = twinHttp((request) => {
    coming = undefined;
    if (clock.now() - start < plan.wellAfterMs) coming = drawFault(trouble, name, plan.faults, clock.now());
    return faulty(request);
  }, clock);
  // Every process has its own sink: an SDK's client must not outlive the process that made it.
  const sinks = new WeakMap<Process, Sink<unknown>>();
  const sinkOf = (process: Process) => {
    const made = sinks.get(process) ?? sink();
    sinks.set(process, made);
    return made;
  };
  return { name, host, http, sinkOf, holds, kept };
}

/** Every class of status, as something in front of a vendor may answer it. */
const statuses = [
  301, 302, 304, 400, 401, 403, 404, 408, 409, 410, 413, 418, 422, 423, 425, 429, 429, 500, 502, 503, 503,
  504, 529,
] as const;

const bodies = [
  "",
  "<html>sorry</html>",
  "{",
  "null",
  "[]",
  '{"success":true',
  `{"error":"${payloadCanary} ${secretCanary}"}`,
] as const;

function drawFault(trouble: Trouble, name: string, share: number, now: number): Fault | undefined {
  const kinds: readonly (readonly [string, number, (d: Dice) => Fault])[] = [
    [
      "status",
      0.4,
      (d) => ({
        kind: "status",
        status: d.pick(statuses),
        headers: retryAfter(d, now),
        body: d.pick(bodies),
      }),
    ],
    ["reset", 0.15, () => ({ kind: "reset" })],
    ["reset after storing", 0.15, () => ({ kind: "reset-after-store" })],
    ["reset in the reply", 0.1, () => ({ kind: "reset-in-reply" })],
    ["reply truncated", 0.1, () => ({ kind: "truncated" })],
    ["reply garbled", 0.1, (d) => ({ kind: "garbled", body: d.pick(bodies) })],
    ["late", 0.15, (d) => ({ kind: "delay", ms: d.int(1, 40_000) })],
    ["slow body", 0.1, (d) => ({ kind: "slow-body", ms: d.int(1, 9_000) })],
    ["hangs", 0.1, (d) => ({ kind: "hang", stored: d.chance(0.5) })],
  ];
  for (const [kind, part, make] of kinds) {
    const d = trouble.strikes(`http: ${kind}`, name, share * part);
    if (d !== undefined) return make(d);
  }
  return undefined;
}

/** Every form that the header may have, and some that it may not. */
function retryAfter(d: Dice, now: number): Record<string, string> {
  const date = new Date(now + d.int(-5_000, 90_000));
  const [day = "", dayOfMonth = "", month = "", year = "", time = ""] = date
    .toUTCString()
    .replace(",", "")
    .split(" ");
  const value = d.pick([
    undefined,
    undefined,
    String(d.int(0, 90)),
    "3600",
    "1.5",
    date.toUTCString(),
    `${day} ${month} ${dayOfMonth.replace(/^0/, " ")} ${time} ${year}`,
    "soon",
    "-1",
  ]);
  return value === undefined ? {} : { "retry-after": value };
}

const text = (value: unknown): string => String(value);
const field = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;

/** What an adapter sends as JSON text. */
const parsed = (payload: unknown): unknown => JSON.parse(text(payload));

const stands: Readonly<Record<TwinName, (host: string, clock: Clock) => Stand>> = {
  timestream(host, clock) {
    const twin = createTimestreamTwin({ clock, creationIntervalMs: 1_000, tableVisibleAfterMs: 300 });
    const credentials = { accessKeyId: "key", secretAccessKey: secretCanary };
    return {
      sink: () => timestreamSink({ database: "product", region: "us-east-1", endpoint: host, credentials }),
      handle: twin.handle,
      holds: ({ event }) => twin.stored.has(event.id),
      *kept() {
        for (const [key, table] of twin.tables) {
          for (const { measures } of table.records.values()) {
            const [object, n] = [measures.get("o")?.value, measures.get("n")?.value];
            yield { tenant: key.replace("product/", ""), object: text(object), n: Number(n) };
          }
        }
      },
    };
  },
  segment(host, clock) {
    const twin = createSegmentTwin({ writeKey: secretCanary, badKeyStatus: 401, clock });
    return {
      sink: () => segmentSink({ writeKey: secretCanary, host }),
      handle: twin.handle,
      holds: ({ payload }) => twin.stored.has(text(field(parsed(payload), "messageId"))),
      *kept() {
        for (const { context, properties } of twin.messages) {
          const [object, n] = [field(properties, "o"), field(properties, "n")];
          yield { tenant: text(field(context, "groupId")), object: text(object), n: Number(n) };
          yield { tenant: text(field(properties, "tenant_id")), object: text(object), n: Number(n) };
        }
      },
    };
  },
  "segment-groups"(host, clock) {
    const twin = createSegmentTwin({ writeKey: secretCanary, badKeyStatus: 401, clock });
    return {
      sink: () => segmentGroupsSink({ writeKey: secretCanary, host }),
      handle: twin.handle,
      holds: ({ payload }) => twin.stored.has(text(field(parsed(payload), "messageId"))),
      *kept() {
        for (const { groupId, traits } of twin.messages) {
          yield { tenant: text(groupId), tenantName: text(field(traits, "name")) };
        }
      },
    };
  },
  mixpanel(host, clock) {
    const twin = createMixpanelTwin({ token: secretCanary, clock });
    return {
      sink: () => mixpanelSink({ token: secretCanary, host }),
      handle: twin.handle,
      holds: ({ payload }) =>
        twin.stored.has(text(field(field(parsed(payload), "properties"), "$insert_id"))),
      *kept() {
        for (const { properties } of twin.events) {
          const [tenant] = Array.isArray(properties["company_id"]) ? properties["company_id"] : [];
          yield { tenant: text(tenant), object: text(properties["o"]), n: Number(properties["n"]) };
        }
      },
    };
  },
  "hubspot-events"(host) {
    const twin = createHubspotTwin({ accessToken: secretCanary });
    return {
      sink: () => hubspotEventsSink({ accessToken: secretCanary, baseUrl: host }),
      handle: twin.handle,
      holds: ({ payload }) => twin.stored.has(text(field(parsed(payload), "uuid"))),
      *kept() {
        for (const { properties } of twin.occurrences) {
          const { tenant_id: tenant, o, n } = properties;
          yield { tenant: text(tenant), object: text(o), n: Number(n) };
        }
      },
    };
  },
  "hubspot-companies"(host, clock) {
    const twin = createHubspotTwin({
      accessToken: secretCanary,
      quota: { clock, burst: 190 },
    });
    return {
      sink: () => hubspotCompaniesSink({ accessToken: secretCanary, baseUrl: host, createUnknown: true }),
      handle: twin.handle,
      holds: ({ payload }) => twin.stored.has(text(field(payload, "objectWriteTraceId"))),
      *kept() {
        for (const [tenant, properties] of twin.companies) {
          for (const metric of ["uploads", "findings"]) {
            const [object, n] = [properties[`${metric}_o`], properties[`${metric}_n`]];
            if (object !== undefined) yield { tenant, object, n: Number(n) };
          }
        }
      },
    };
  },
};
