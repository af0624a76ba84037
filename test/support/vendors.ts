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
  readonly env: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

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
  const serve = (name: SinkName): Promise<ServedTwin> =>
    serveTwin(
      injectFaults(twins[name].handle, () => {
        requests[name]++;
        return faults[name];
      }),
    );
  const served = {
    timestream: await serve("timestream"),
    segment: await serve("segment"),
    mixpanel: await serve("mixpanel"),
    hubspot: await serve("hubspot-events"),
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
    env: {
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
    },
    close: async () => {
      await Promise.all(Object.values(served).map((each) => each.close()));
    },
  };
}
