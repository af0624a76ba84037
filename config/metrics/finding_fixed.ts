import { defineMetric } from "../../src/index.ts";

export default defineMetric({
  name: "finding_fixed",
  title: "Finding fixed",
  description: "A security problem is solved: the code that caused it has been changed or removed.",
  when: "Once a finding, when a scan no longer finds it on the default branch.",
  owner: "findings",
  source: {
    bus: "product",
    source: "acme.findings",
    detailType: "Finding Status Changed",
    pattern: { detail: { status: ["fixed"] } },
  },
  sample: {
    tenantId: "acme-robotics",
    status: "fixed",
    fixedAt: "2026-11-20T09:12:03.020Z",
    repository: "payments-api",
    severity: "high",
    daysOpen: 12,
    autoFixed: true,
    actor: { userId: "user-17" },
  },
  tenantId: "$.detail.tenantId",
  eventTime: "$.detail.fixedAt",
  dimensions: {
    repository: {
      type: "string",
      from: "$.detail.repository",
      description: "The repository that had the finding.",
    },
    severity: {
      type: "string",
      from: "$.detail.severity",
      values: ["low", "medium", "high", "critical"],
      description: "How bad it was.",
    },
    user_id: {
      type: "string",
      from: "$.detail.actor.userId",
      description: "Who merged the fix, if it is known.",
      optional: true,
      personal: { visibleTo: ["segment", "mixpanel"] },
    },
  },
  data: {
    days_open: {
      type: "integer",
      from: "$.detail.daysOpen",
      unit: "days",
      description: "From the day it was found to the day it was fixed.",
    },
    auto_fixed: {
      type: "boolean",
      from: "$.detail.autoFixed",
      description: "The product wrote the fix itself.",
    },
  },
  sinks: {
    timestream: {},
    segment: { name: "Finding Fixed" },
    mixpanel: { name: "Finding Fixed" },
    "hubspot-events": {},
    "hubspot-companies": { properties: { last_fix_days_open: "days_open" } },
  },
});
