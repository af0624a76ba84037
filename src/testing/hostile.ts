// Valid events as no producer means them: what a mapping must survive, one trouble an event.
import type { JsonObject, JsonValue, MetricEvent } from "../event.ts";
import { ofTenant, privateValue } from "./subject.ts";

/** What each event is, and how it differs from a harmless one. */
const troubles: readonly (readonly [what: string, change: (event: MetricEvent) => MetricEvent])[] = [
  ["nothing but what is required", (event) => ({ ...event, ...bare(event) })],
  [
    "names of JavaScript's own",
    (event) => withData(event, parse('{"__proto__":{"a":1},"constructor":2,"length":3}')),
  ],
  ["a toJSON field", (event) => withData(event, parse('{"toJSON":1,"toString":"x","then":1}'))],
  ["a number beyond a double", (event) => withData(event, parse('{"huge":1e400,"list":[-1e400]}'))],
  [
    "numbers at the edge of a double",
    (event) => withData(event, { a: -0, b: 5e-324, c: 1.7e308, d: 2 ** 53 + 2 }),
  ],
  ["half of a character in a value", (event) => withData(event, { cut: `${privateValue}\ud83d` })],
  ["half of a character in a name", (event) => withData(event, { "cut\udc00": privateValue })],
  [
    "control characters",
    (event) => withData(event, { text: `${privateValue}\u0000\n\r\t\u001b[2J\u2028\u202e` }),
  ],
  ["quotes and backslashes in a name", (event) => withData(event, { 'a"b\\c\n': privateValue })],
  ["an empty name", (event) => withData(event, { "": privateValue, " ": 1, ".": 2 })],
  ["a very long name", (event) => withData(event, { ["n".repeat(2000)]: 1 })],
  ["a very long value", (event) => withData(event, { text: privateValue.repeat(5000) })],
  ["three hundred fields", (event) => withData(event, numbered(300))],
  ["a deep value", (event) => withData(event, { deep: nested(60) })],
  [
    "lists and objects",
    (event) => withData(event, { list: [1, [2, { a: null }], []], object: {}, text: "" }),
  ],
  ["one name in both halves", (event) => withBoth(event, { plan: "a" }, { plan: "b" })],
  [
    "names that differ in case alone",
    (event) => withData(event, { count: 1, Count: 2, COUNT: 3, co_unt: 4 }),
  ],
  [
    "values where texts are expected",
    (event) => withBoth(event, {}, { user_id: 7, tenant_name: [], environment: {} }),
  ],
  [
    "nulls everywhere",
    (event) => withBoth(event, { note: null, ratio: null }, { user_id: null, event_id: null }),
  ],
  ["a long id", (event) => ({ ...event, id: "i".repeat(500) })],
  ["an id of other characters", (event) => ({ ...event, id: 'ü 😀/"\\?&#%' })],
  ["a metric's name of other characters", (event) => ({ ...event, metricName: 'Größe "x"/\\\n😀' })],
  ["a metric's name of 500 characters", (event) => ({ ...event, metricName: "m".repeat(500) })],
  ["a tenant that is a path", (event) => ofTenant(event, "../../etc")],
  ["a tenant of other characters", (event) => ofTenant(event, 'Größe "x"\n😀')],
  ["a tenant of 500 characters", (event) => ofTenant(event, "t".repeat(500))],
  ["a tenant called constructor", (event) => ofTenant(event, "constructor")],
  ["a time before 1970", (event) => ({ ...event, time: -1 })],
  ["a time before Christ", (event) => ({ ...event, time: -7e13 })],
  ["a time in the year 9999", (event) => ({ ...event, time: Date.UTC(9999, 11, 31) })],
];

/** Every trouble in a harmless event of its own. */
export function hostileEvents(harmless: (n: number) => MetricEvent): { what: string; event: MetricEvent }[] {
  return troubles.map(([what, change], n) => ({ what, event: change(harmless(n)) }));
}

function bare({ tenantId, data }: MetricEvent): Pick<MetricEvent, "metadata" | "data"> {
  return { metadata: { tenant_id: tenantId }, data: { event_time: data["event_time"] ?? 0 } };
}

function withData(event: MetricEvent, data: JsonObject): MetricEvent {
  return withBoth(event, data, {});
}

function withBoth(event: MetricEvent, data: JsonObject, metadata: JsonObject): MetricEvent {
  // Own properties, `__proto__` among them, as JSON.parse makes them.
  const join = (a: JsonObject, b: JsonObject) =>
    Object.fromEntries([...Object.entries(a), ...Object.entries(b)]);
  return { ...event, data: join(event.data, data), metadata: join(event.metadata, metadata) };
}

function parse(text: string): JsonObject {
  return JSON.parse(text);
}

function numbered(count: number): JsonObject {
  return Object.fromEntries(Array.from({ length: count }, (_, n) => [`field_${n}`, n]));
}

function nested(depth: number): JsonValue {
  let value: JsonValue = privateValue;
  for (let level = 0; level < depth; level++) value = level % 2 === 0 ? [value] : { next: value };
  return value;
}
