import { defineMetric } from "../../src/index.ts";

export default defineMetric({
  name: "plan_changed",
  title: "Plan changed",
  description: "A customer has moved to another plan, a larger or a smaller one.",
  when: "Once a change, when the new plan begins to count.",
  owner: "billing",
  source: { bus: "billing", source: "acme.billing", detailType: "Plan Changed" },
  sample: {
    tenantId: "acme-robotics",
    effectiveAt: "2026-11-20T00:00:00.000Z",
    plan: { old: "team", new: "business" },
    seats: 40,
    monthlyPriceUsd: 1_160.5,
    actor: { userId: "user-3" },
  },
  tenantId: "$.detail.tenantId",
  eventTime: "$.detail.effectiveAt",
  dimensions: {
    old_plan: {
      type: "string",
      from: "$.detail.plan.old",
      values: ["free", "team", "business", "enterprise"],
      description: "The plan before.",
    },
    new_plan: {
      type: "string",
      from: "$.detail.plan.new",
      values: ["free", "team", "business", "enterprise"],
      description: "The plan from now on.",
    },
    user_id: {
      type: "string",
      from: "$.detail.actor.userId",
      description: "Who changed the plan, unless sales did.",
      optional: true,
      personal: { visibleTo: ["segment", "mixpanel"] },
    },
  },
  data: {
    seats: { type: "integer", from: "$.detail.seats", unit: "seats", description: "Seats of the new plan." },
    monthly_price_usd: {
      type: "number",
      from: "$.detail.monthlyPriceUsd",
      unit: "USD",
      description: "What the new plan costs a month, before taxes.",
    },
  },
  sinks: {
    timestream: {},
    segment: { name: "Plan Changed" },
    mixpanel: { name: "Plan Changed" },
    "hubspot-events": {},
    "hubspot-companies": { properties: { plan_seats: "seats", plan_monthly_price_usd: "monthly_price_usd" } },
  },
});
