// A small sound metric, for tests that spoil it.
import type { Metric } from "../../src/index.ts";

export const sound = {
  name: "door_opened",
  title: "Door opened",
  description: "Somebody opened a door.",
  when: "Once an opening.",
  owner: "doors",
  source: { bus: "house", source: "acme.house", detailType: "Door Opened" },
  sample: {
    tenantId: "acme",
    at: "2026-11-20T09:30:00Z",
    door: "front",
    seconds: 2.5,
    count: 3,
    locked: false,
    who: { id: "user-1" },
  },
  tenantId: "$.detail.tenantId",
  eventTime: "$.detail.at",
  dimensions: {
    door: { type: "string", from: "$.detail.door", description: "Which one." },
    who: {
      type: "string",
      from: "$.detail.who.id",
      description: "Who did it.",
      optional: true,
      personal: { visibleTo: ["lake"] },
    },
  },
  data: {
    seconds_open: { type: "number", from: "$.detail.seconds", description: "How long.", unit: "seconds" },
    openings: { type: "integer", from: "$.detail.count", description: "How often.", unit: "openings" },
    was_locked: { type: "boolean", from: "$.detail.locked", description: "It was locked before." },
  },
  sinks: { lake: {}, board: { name: "Door Opened" } },
} as const satisfies Metric;

type Field = NonNullable<Metric["data"]>[string];

/** The sound metric with other fields of data beside its own. */
export function withData(fields: Readonly<Record<string, Field>>): Metric {
  return { ...sound, data: { ...sound.data, ...fields } };
}

export function withDimension(name: string, field: Field): Metric {
  return { ...sound, dimensions: { ...sound.dimensions, [name]: field } };
}
