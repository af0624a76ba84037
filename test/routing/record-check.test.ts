import fc from "fast-check";
import { expect, test } from "vitest";
import metrics from "../../config/metrics/index.ts";
import { parseEvent } from "../../src/event.ts";
import { createRecordCheck, type JsonObject, type JsonValue, sampleRecord } from "../../src/index.ts";
import { sound } from "./support.ts";

const check = createRecordCheck([sound]);
const record = JSON.parse(JSON.stringify(sampleRecord(sound))) as { metadata: JsonObject; data: JsonObject };

function codeOf(change: {
  metadata?: JsonObject;
  data?: JsonObject;
  metric_name?: string;
}): string | undefined {
  const parsed = parseEvent(
    {
      metric_name: change.metric_name ?? "door_opened",
      metadata: { ...record.metadata, ...change.metadata },
      data: { ...record.data, ...change.data },
    },
    () => "derived",
  );
  if ("refusal" in parsed) throw new Error(parsed.refusal.reason);
  return check(parsed.event)?.code;
}

test("the sample of every metric is what its metric declares", () => {
  const all = createRecordCheck(metrics);
  for (const metric of metrics) {
    const parsed = parseEvent(sampleRecord(metric), () => "derived");
    expect("event" in parsed && all(parsed.event)).toBeUndefined();
  }
});

test("an optional field may be absent, null or empty text; a required one may not", () => {
  for (const nothing of [null, ""]) {
    expect(codeOf({ metadata: { who: nothing } })).toBeUndefined();
    expect(codeOf({ metadata: { door: nothing } })).toBe("FIELD_MISSING");
    expect(codeOf({ data: { openings: nothing } })).toBe("FIELD_MISSING");
  }
});

test("zero and false are values", () => {
  expect(codeOf({ data: { openings: 0, seconds_open: 0, was_locked: false } })).toBeUndefined();
});

test.each<[string, JsonObject]>([
  ["text for a number", { seconds_open: "2.5" }],
  ["a fraction for an integer", { openings: 2.5 }],
  ["an integer that no double holds exactly", { openings: 2 ** 53 }],
  ["infinity", { seconds_open: JSON.parse("1e400") }],
  ["text for a boolean", { was_locked: "false" }],
  ["an object", { seconds_open: { value: 1 } }],
])("%s is refused", (_what, data) => {
  expect(codeOf({ data })).toBe("FIELD_INVALID");
});

test("what the core, the rule and the transform write is no stranger; anything else is", () => {
  expect(
    codeOf({ metadata: { tenant_name: "Acme", environment: "production", event_id: "1" } }),
  ).toBeUndefined();
  expect(codeOf({ metadata: { email: "a@example.com" } })).toBe("FIELD_UNDECLARED");
  expect(codeOf({ data: { tenant_name: "Acme" } })).toBe("FIELD_UNDECLARED");
  expect(codeOf({ metric_name: "door_closed" })).toBe("METRIC_UNKNOWN");
});

test("no value, and no name that a record brought, is in a reason", () => {
  const secret = "s3cr3t-value";
  const anything = fc.oneof(fc.constant(secret), fc.jsonValue());
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom("door", "who", "openings", secret), anything), (fields) => {
      // JSON.parse gives nothing but JSON values.
      const values = JSON.parse(JSON.stringify(fields)) as Record<string, JsonValue>;
      const parsed = parseEvent(
        { metric_name: "door_opened", metadata: { ...record.metadata, ...values }, data: record.data },
        () => "derived",
      );
      if ("event" in parsed) expect(check(parsed.event)?.reason ?? "").not.toContain(secret);
    }),
  );
});
