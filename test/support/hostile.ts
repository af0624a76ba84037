// Events as no producer means them: every JSON value in every place, names that mean something to somebody.
import fc from "fast-check";
import type { JsonObject, JsonValue, MetricEvent } from "../../src/index.ts";

/** Stands in every text value: what shows it, shows a customer's data. */
export const privateValue = "private-71c2";

/** Names with a meaning to a vendor, to its SDK or to JavaScript, and names that nobody can hold. */
export const hostileNames: readonly string[] = [
  ..."token $insert_id insert_id distinct_id time mp_lib $user_id user_id ip company_id cut_properties".split(
    " ",
  ),
  ..."hs_object_id objectId email utk eventName occurredAt properties inputs id uuid idProperty tenant_id".split(
    " ",
  ),
  ..."objectWriteTraceId event_id event_time length name __proto__ constructor toString toJSON".split(" "),
  ..."hasOwnProperty valueOf prototype 0 -1 newFindings new-findings new_findings NEW_FINDINGS".split(" "),
  ...["", " ", ".", "data.time", "a.b", 'qu"ote', "apo'strophe", "back\\slash", "new\nline", "nul\u0000"],
  ...["ü€😀", "數", "\ud83d", "x\udc00", "n".repeat(51), "n".repeat(256), "$", "\u2028", "\u202e"],
];

const harmlessText = fc.oneof(
  fc.constantFrom("", " ", "null", "0", "ü€😀", 'qu"ote\\\n'),
  fc.string({ maxLength: 20 }),
  fc.uuid(),
);
const text = fc.oneof(
  { weight: 8, arbitrary: harmlessText },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      "\u0000",
      "\ud83d",
      "\udc00 \ud83d",
      "😀".repeat(64),
      "ü".repeat(128),
      " padded ",
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(255, 256, 257, 1024, 1025, 9000).map((length) => "v".repeat(length)),
  },
  { weight: 1, arbitrary: fc.constant("https://example.test/".padEnd(1100, "p")) },
  { weight: 2, arbitrary: fc.string({ unit: "binary", maxLength: 20 }) },
);
const number = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(0, -0, 2 ** 53 + 2, 1e21, 1e-7, 5e-324) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN),
  },
  { weight: 4, arbitrary: fc.double({ noNaN: true, noDefaultInfinity: true }) },
  { weight: 4, arbitrary: fc.integer() },
);
const name = fc.oneof(
  { weight: 2, arbitrary: fc.constantFrom(...hostileNames) },
  { weight: 4, arbitrary: fc.stringMatching(/^[a-z][a-z0-9_]{0,12}$/) },
  { weight: 1, arbitrary: fc.string({ maxLength: 8 }) },
);

const leaf = fc.oneof(
  text.map((value) => (value === "" ? "" : `${privateValue}${value}`)),
  text,
  number,
  fc.boolean(),
  fc.constant(null),
);

/** JSON values as `JSON.parse` makes them, `__proto__` as a name like any other, and numbers that it cannot make. */
export const hostileValue: fc.Arbitrary<JsonValue> = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5, depthSize: "medium" },
    { weight: 8, arbitrary: leaf },
    { weight: 1, arbitrary: fc.array(tie("value"), { maxLength: 3 }) },
    { weight: 1, arbitrary: objectOf(tie("value"), 3) },
  ),
})).value;

function objectOf(value: fc.Arbitrary<JsonValue>, maxLength: number): fc.Arbitrary<JsonObject> {
  // As JSON.parse does it: `__proto__` is defined, not assigned.
  return fc.array(fc.tuple(name, value), { maxLength }).map((entries) => Object.fromEntries(entries));
}

/** Valid events, every field of which is hostile. The time is any that the unified schema takes. */
export const hostileEvent: fc.Arbitrary<MetricEvent> = fc
  .record({
    id: text.map((id) => id || "e"),
    metricName: fc.oneof(fc.constantFrom("m", "upload_completed", "hs", "tenant", "fanout"), name),
    tenantId: fc.oneof(fc.constantFrom("acme", "Acme", "null"), harmlessText, text, fc.uuid()),
    time: fc.oneof(
      { weight: 6, arbitrary: fc.integer({ min: Date.UTC(2020, 0), max: Date.UTC(2030, 0) }) },
      { weight: 1, arbitrary: fc.integer({ min: -1e14, max: 1e14 }) },
    ),
    metadata: fc.oneof(objectOf(hostileValue, 3), objectOf(hostileValue, 10)),
    data: fc.oneof(objectOf(hostileValue, 4), objectOf(hostileValue, 20)),
  })
  .map(({ id, metricName, tenantId, time, metadata, data }) => ({
    id,
    metricName: metricName || "m",
    tenantId: tenantId || "t",
    time,
    metadata: defined(metadata, { tenant_id: tenantId || "t", event_id: id }),
    data: defined(data, { event_time: time }),
  }));

/** Own properties added without an assignment that `__proto__` could meet. */
function defined(object: JsonObject, more: JsonObject): JsonObject {
  return Object.fromEntries([...Object.entries(object), ...Object.entries(more)]);
}

/** Makes any write to the value, however deep, throw. */
export function freeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.values(Object.freeze(value)).forEach(freeze);
  }
  return value;
}
