// The configuration of docs/operators.md: three vendors' twins, of which one is down, and one mapping with a bug in it.
// With MORNING=yes the vendor is back and the bug is repaired.
import { hubspotEventsSink } from "../adapters/hubspot/index.ts";
import { createHubspotTwin } from "../adapters/hubspot/twin.ts";
import { mixpanelSink } from "../adapters/mixpanel/index.ts";
import { createMixpanelTwin } from "../adapters/mixpanel/twin.ts";
import { segmentSink } from "../adapters/segment/index.ts";
import { createSegmentTwin } from "../adapters/segment/twin.ts";
import { defineConfig, type MetricEvent } from "../src/index.ts";
import { type Fault, injectFaults, serveTwin } from "../src/testing/index.ts";

/** As HubSpot answers when it is down: with a page. */
const down: Fault = {
  kind: "status",
  status: 503,
  headers: { "content-type": "text/html" },
  body: "<h1>503</h1>",
};

/** The bug: somebody thought that plans are Mixpanel's own events. */
const eventNameAtNight = ({ metricName }: MetricEvent) =>
  metricName === "plan_changed" ? "$plan_changed" : metricName;

export default defineConfig(async ({ env }) => {
  const isMorning = env["MORNING"] === "yes";
  // They live as long as the command does: what they stored is gone with it, what the books say stays.
  const hubspot = await serveTwin(
    injectFaults(createHubspotTwin().handle, () => (isMorning ? undefined : down)),
  );
  const mixpanel = await serveTwin(createMixpanelTwin().handle);
  const segment = await serveTwin(createSegmentTwin().handle);
  return {
    sinks: [
      mixpanelSink({
        token: "token",
        host: mixpanel.url,
        ...(isMorning ? {} : { eventName: eventNameAtNight }),
      }),
      hubspotEventsSink({ accessToken: "sample", portalId: 1, baseUrl: hubspot.url }),
      segmentSink({ writeKey: "sample", host: segment.url }),
    ],
    receipts: ".fanout/night/receipts",
    deadLetters: ".fanout/night/dead-letters",
    // The story need not wait as long as a vendor deserves.
    retry: { attempts: 2, firstMs: 20, maxMs: 50 },
  };
});
