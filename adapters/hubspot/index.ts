// HubSpot, two sinks: custom events (Enterprise) and companies (every tier). Their mappings, replies and API paths
// share nothing but the connection and the rules of property values, so each has its file.
export * from "./companies.ts";
export * from "./events.ts";
export type { HubspotConnection } from "./request.ts";
