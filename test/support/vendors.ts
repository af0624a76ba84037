// The four vendors' twins on loopback, and the environment that points the command line at them.
import { createHubspotTwin } from "../../adapters/hubspot/twin.ts";
import { createMixpanelTwin } from "../../adapters/mixpanel/twin.ts";
import { createSegmentTwin } from "../../adapters/segment/twin.ts";
import { createTimestreamTwin } from "../../adapters/timestream/twin.ts";
import { type Clock, systemClock } from "../../src/delivery/clock.ts";
import { type Fault, injectFaults, type ServedTwin, serveTwin } from "../../src/testing/index.ts";

export const sinkNames = ["timestream", "segment", "mixpanel", "hubspot-events"] as const;
export type SinkName = (typeof sinkNames)[number];

export interface Vendors {
  /** How often each vendor stored each id. */
  readonly stored: Readonly<Record<SinkName, ReadonlyMap<string, number>>>;
  /** What a vendor does instead of answering, as long as it is set. */
  readonly faults: Partial<Record<SinkName, Fault>>;
  /** How many requests each vendor has seen. */
  readonly requests: Readonly<Record<SinkName, number>>;
  /** How many bytes of requests each vendor was sent, heads included. */
  readonly bytes: Readonly<Record<SinkName, number>>;
  readonly env: Readonly<Record<string, string>>;
  /** From now on the credentials that a vendor has seen are refused with 401, and the environment has others. */
  rotate(name: Exclude<SinkName, "timestream">): void;
  close(): Promise<void>;
}

/** The variable that holds what a vendor is opened with. */
const credentialsOf = {
  segment: "SEGMENT_WRITE_KEY",
  mixpanel: "MIXPANEL_TOKEN",
  "hubspot-events": "HUBSPOT_ACCESS_TOKEN",
} as const;

/** @param clock what the vendors take for now: events of the future are refused. */
export async function serveVendors(clock: Pick<Clock, "now"> = systemClock): Promise<Vendors> {
  const twins = {
    timestream: createTimestreamTwin({ clock }),
    segment: createSegmentTwin({ clock }),
    mixpanel: createMixpanelTwin({ clock }),
    "hubspot-events": createHubspotTwin(),
  };
  const faults: Partial<Record<SinkName, Fault>> = {};
  const requests = { timestream: 0, segment: 0, mixpanel: 0, "hubspot-events": 0 };
  const bytes = { ...requests };
  /** What each vendor was opened with last, and, once it was rotated, what its twin takes: a twin knows one password. */
  const current = new Map<SinkName, string>();
  const known = new Map<SinkName, string>();
  const revoked = new Set<string>();
  const serve = (name: SinkName): Promise<ServedTwin> => {
    const answer = injectFaults(twins[name].handle, () => faults[name]);
    return serveTwin(async (request) => {
      requests[name]++;
      bytes[name] += headBytes(request) + Number(request.headers.get("content-length") ?? 0);
      const credentials = request.headers.get("authorization") ?? "";
      if (revoked.has(`${name} ${credentials}`)) return Response.json({}, { status: 401 });
      current.set(name, credentials);
      const password = known.get(name);
      if (password === undefined) return await answer(request);
      const headers = new Headers(request.headers);
      headers.set("authorization", password);
      return await answer(new Request(request, { headers }));
    });
  };
  const served = {
    timestream: await serve("timestream"),
    segment: await serve("segment"),
    mixpanel: await serve("mixpanel"),
    hubspot: await serve("hubspot-events"),
  };
  const env: Record<string, string> = {
    AWS_REGION: "us-east-1",
    AWS_ACCESS_KEY_ID: "test",
    AWS_SECRET_ACCESS_KEY: "test",
    TIMESTREAM_DATABASE: "product",
    AWS_ENDPOINT_URL_TIMESTREAM_WRITE: served.timestream.url,
    SEGMENT_WRITE_KEY: "key",
    SEGMENT_HOST: served.segment.url,
    MIXPANEL_TOKEN: "token",
    MIXPANEL_HOST: served.mixpanel.url,
    HUBSPOT_ACCESS_TOKEN: "token",
    HUBSPOT_BASE_URL: served.hubspot.url,
  };
  return {
    stored: {
      timestream: twins.timestream.stored,
      segment: twins.segment.stored,
      mixpanel: twins.mixpanel.stored,
      "hubspot-events": twins["hubspot-events"].stored,
    },
    faults,
    requests,
    bytes,
    env,
    rotate(name) {
      const credentials = current.get(name) ?? "";
      revoked.add(`${name} ${credentials}`);
      if (!known.has(name)) known.set(name, credentials);
      const variable = credentialsOf[name];
      env[variable] = `${env[variable]}-rotated`;
    },
    close: async () => {
      await Promise.all(Object.values(served).map((each) => each.close()));
    },
  };
}

/** Of HTTP/1.1, which sockets carry: a line, and a line a header. */
function headBytes({ method, url, headers }: Request): number {
  const lines = [...headers].reduce((sum, [name, value]) => sum + name.length + value.length + 4, 2);
  return `${method} ${new URL(url).pathname} HTTP/1.1\r\n`.length + lines;
}
