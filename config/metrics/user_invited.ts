import { defineMetric } from "../../src/index.ts";

export default defineMetric({
  name: "user_invited",
  title: "User invited",
  description: "Somebody of a customer has asked a colleague to join them in the product.",
  when: "Once an invitation, when it is sent; not again when it is repeated.",
  owner: "accounts",
  source: { bus: "product", source: "acme.accounts", detailType: "User Invited" },
  sample: {
    tenantId: "acme-robotics",
    invitedAt: "2026-11-20T08:57:40.000Z",
    role: "developer",
    via: "email",
    invitee: { email: "someone@example.com" },
    seatsLeft: 7,
    actor: { userId: "user-17" },
  },
  tenantId: "$.detail.tenantId",
  eventTime: "$.detail.invitedAt",
  dimensions: {
    role: {
      type: "string",
      from: "$.detail.role",
      values: ["viewer", "developer", "admin"],
      description: "What the new user may do.",
    },
    via: {
      type: "string",
      from: "$.detail.via",
      values: ["email", "sso", "link"],
      description: "How the invitation went out.",
    },
    user_id: {
      type: "string",
      from: "$.detail.actor.userId",
      description: "Who invited.",
      optional: true,
      personal: { visibleTo: ["segment", "mixpanel"] },
    },
  },
  data: {
    seats_left: {
      type: "integer",
      from: "$.detail.seatsLeft",
      unit: "seats",
      description: "Seats of the plan that are still free, after this invitation.",
    },
    invitee_email: {
      type: "string",
      from: "$.detail.invitee.email",
      description: "Where the invitation went, if it went by email.",
      optional: true,
      personal: { visibleTo: ["hubspot-events"] },
    },
  },
  sinks: {
    timestream: {},
    segment: { name: "User Invited" },
    mixpanel: { name: "User Invited" },
    "hubspot-events": {},
    "hubspot-companies": { properties: { seats_left: "seats_left" } },
  },
});
