import { defineMetric } from "../../src/index.ts";

export default defineMetric({
  name: "integration_connected",
  title: "Integration connected",
  description: "A customer has connected another tool of theirs with the product.",
  when: "Once a connection, when the first call to the tool has worked.",
  owner: "integrations",
  source: { bus: "product", source: "acme.integrations", detailType: "Integration Connected" },
  sample: {
    tenantId: "acme-robotics",
    connectedAt: "2026-11-20T07:41:22.310Z",
    integration: "github",
    first: true,
    actor: { userId: "user-17" },
  },
  tenantId: "$.detail.tenantId",
  eventTime: "$.detail.connectedAt",
  dimensions: {
    integration: {
      type: "string",
      from: "$.detail.integration",
      description: "The tool that was connected.",
    },
    user_id: {
      type: "string",
      from: "$.detail.actor.userId",
      description: "Who connected it.",
      optional: true,
      personal: { visibleTo: ["segment", "mixpanel"] },
    },
  },
  data: {
    is_first: {
      type: "boolean",
      from: "$.detail.first",
      description: "The customer had no connected tool before.",
    },
  },
  sinks: {
    timestream: {},
    segment: { name: "Integration Connected" },
    mixpanel: { name: "Integration Connected" },
    "hubspot-events": {},
    "hubspot-companies": { properties: { first_integration: "is_first" } },
  },
});
