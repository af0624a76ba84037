import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseEvent, parseEventTime, type RefusalCode, type TimeWindow } from "../src/event.ts";

const record = {
  metric_name: "findings_upload_completed",
  metadata: { tenant_id: "tenant-1", region: "eu" },
  data: { event_time: "2026-01-02T03:04:05.678Z", count: 3 },
};
const never = () => {
  throw new Error("the id was derived");
};

test("a record becomes an event that keeps its data and metadata as they came", () => {
  expect(parseEvent(record, () => "derived")).toEqual({
    event: {
      id: "derived",
      metricName: "findings_upload_completed",
      tenantId: "tenant-1",
      time: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
      metadata: record.metadata,
      data: record.data,
    },
  });
});

describe("the id", () => {
  test("is the record's own when there is one, and then none is derived", () => {
    const own = { ...record, metadata: { ...record.metadata, event_id: "e-1" } };
    expect(parseEvent(own, never)).toMatchObject({ event: { id: "e-1" } });
  });

  test.each([[undefined], [null], [""], ["  "], ["\ud800"], [7], [{}]])(
    "is derived where the record's is %j",
    (event_id) => {
      const own = { ...record, metadata: { ...record.metadata, event_id } };
      expect(parseEvent(own, () => "derived")).toMatchObject({ event: { id: "derived" } });
    },
  );
});

describe("a record is refused, with a reason that names the field and not its value,", () => {
  const secret = "s3cr3t";
  const cases: readonly (readonly [string, unknown, RefusalCode, string])[] = [
    ["when it is a string", secret, "NOT_AN_OBJECT", "record"],
    ["when it is a number", 1, "NOT_AN_OBJECT", "record"],
    ["when it is null", null, "NOT_AN_OBJECT", "record"],
    ["when it is an array", [record], "NOT_AN_OBJECT", "record"],
    ["without metric_name", { ...record, metric_name: undefined }, "METRIC_NAME_MISSING", "metric_name"],
    ["with an empty metric_name", { ...record, metric_name: "" }, "METRIC_NAME_MISSING", "metric_name"],
    [
      "with a metric_name of another type",
      { ...record, metric_name: [secret] },
      "METRIC_NAME_MISSING",
      "metric_name",
    ],
    ["without metadata", { ...record, metadata: undefined }, "METADATA_MISSING", "metadata"],
    ["with null for metadata", { ...record, metadata: null }, "METADATA_MISSING", "metadata"],
    ["with text for metadata", { ...record, metadata: secret }, "METADATA_MISSING", "metadata"],
    ["with an array for metadata", { ...record, metadata: [secret] }, "METADATA_MISSING", "metadata"],
    ["without tenant_id", { ...record, metadata: {} }, "TENANT_ID_MISSING", "metadata.tenant_id"],
    [
      "with an empty tenant_id",
      { ...record, metadata: { tenant_id: "" } },
      "TENANT_ID_MISSING",
      "metadata.tenant_id",
    ],
    [
      "with a number for tenant_id",
      { ...record, metadata: { tenant_id: 7 } },
      "TENANT_ID_MISSING",
      "metadata.tenant_id",
    ],
    ["without data", { ...record, data: undefined }, "DATA_MISSING", "data"],
    ["with an array for data", { ...record, data: [secret] }, "DATA_MISSING", "data"],
    ["without event_time", { ...record, data: {} }, "EVENT_TIME_MISSING", "data.event_time"],
    [
      "with null for event_time",
      { ...record, data: { event_time: null } },
      "EVENT_TIME_MISSING",
      "data.event_time",
    ],
    [
      "with an empty event_time",
      { ...record, data: { event_time: "" } },
      "EVENT_TIME_MISSING",
      "data.event_time",
    ],
    [
      "with text for event_time",
      { ...record, data: { event_time: secret } },
      "EVENT_TIME_INVALID",
      "data.event_time",
    ],
    [
      "with true for event_time",
      { ...record, data: { event_time: true } },
      "EVENT_TIME_INVALID",
      "data.event_time",
    ],
    [
      "with an object for event_time",
      { ...record, data: { event_time: {} } },
      "EVENT_TIME_INVALID",
      "data.event_time",
    ],
  ];
  test.each(cases)("%s", (_, value, code, field) => {
    const parsed = parseEvent(value, never);
    expect(parsed).toEqual({ refusal: { code, reason: expect.stringContaining(field) } });
    expect(JSON.stringify(parsed)).not.toContain(secret);
  });

  test.each([
    ["a blank metric_name", { ...record, metric_name: " \t" }, "METRIC_NAME_MISSING"],
    ["a blank tenant_id", { ...record, metadata: { tenant_id: "  " } }, "TENANT_ID_MISSING"],
    ["half a character in metric_name", { ...record, metric_name: "m\ud800" }, "METRIC_NAME_INVALID"],
    ["half a character in tenant_id", { ...record, metadata: { tenant_id: "\udc00t" } }, "TENANT_ID_INVALID"],
  ])("with %s", (_, value, code) => {
    expect(parseEvent(value, never)).toMatchObject({ refusal: { code } });
  });

  test("even when a prototype would have the field", () => {
    const value: unknown = JSON.parse(
      '{"__proto__":{"metric_name":"m"},"metadata":{"tenant_id":"t"},"data":{"event_time":1}}',
    );
    expect(parseEvent(value, never)).toMatchObject({ refusal: { code: "METRIC_NAME_MISSING" } });
  });
});

describe("a window of times", () => {
  const now = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
  const verdict = (times: TimeWindow | undefined) => {
    const parsed = parseEvent(record, () => "derived", times);
    return "refusal" in parsed ? parsed.refusal.code : "taken";
  };

  test.each([
    [undefined, "taken"],
    [{ now }, "taken"],
    [{ now: now + 1e12 }, "taken"],
    [{ now: now - 86_400_000 }, "taken"],
    [{ now: now - 86_400_001 }, "EVENT_TIME_TOO_FAR_AHEAD"],
    [{ now, maxAgeMs: 0, maxAheadMs: 0 }, "taken"],
    [{ now: now + 1, maxAgeMs: 0 }, "EVENT_TIME_TOO_OLD"],
    [{ now: now - 1, maxAheadMs: 0 }, "EVENT_TIME_TOO_FAR_AHEAD"],
    [{ now: now - 1e12, maxAheadMs: Number.POSITIVE_INFINITY }, "taken"],
  ] as const)("%j: %s", (times, expected) => {
    expect(verdict(times)).toBe(expected);
  });
});

describe("event_time", () => {
  const noon = Date.UTC(2026, 0, 2, 12);
  test.each([
    ["2026-01-02T12:00:00Z", noon],
    ["2026-01-02t12:00:00z", noon],
    ["2026-01-02 12:00:00Z", noon],
    ["2026-01-02 12:00:00 +0000", noon],
    ["2026-01-02T12:00Z", noon],
    ["2026-01-02T14:30:00+02:30", noon],
    ["2026-01-02T14:30:00+0230", noon],
    ["2026-01-02T14:00+02", noon],
    ["2026-01-02T04:00:00-08:00", noon],
    ["2026-01-03T01:45:00+13:45", noon],
    ["2026-01-01T23:00:00-13:00", noon],
    ["2026-01-02T12:00:00-00:00", noon],
    ["2026-01-02T12:00:00.5Z", noon + 500],
    ["2026-01-02T12:00:00,25+00:00", noon + 250],
    ["2026-01-02T12:00:00.123456789Z", noon + 123],
    ["2026-01-02T12:00:00.0009Z", noon],
    ["2026-01-01T24:00:00Z", Date.UTC(2026, 0, 2)],
    ["2025-12-31T24:00:00+01:00", Date.UTC(2025, 11, 31, 23)],
    ["2024-02-29T00:00:00Z", Date.UTC(2024, 1, 29)],
    ["2000-02-29T00:00:00Z", Date.UTC(2000, 1, 29)],
    ["2016-12-31T23:59:60Z", Date.UTC(2017, 0, 1)],
    ["2016-12-31T15:59:60.5-08:00", Date.UTC(2017, 0, 1, 0, 0, 0, 500)],
    ["2017-01-01T05:29:60+05:30", Date.UTC(2017, 0, 1)],
    ["0099-01-01T00:00:00Z", new Date(0).setUTCFullYear(99)],
    ["9999-12-31T23:59:59.999Z", Date.UTC(9999, 11, 31, 23, 59, 59, 999)],
    [noon, noon],
    [noon / 1000, noon],
    [noon / 1000 + 0.25, noon + 250],
    [1700000000.129, 1700000000129],
    [1700000000129.4, 1700000000129],
    [String(noon), noon],
    [String(noon / 1000), noon],
    [`${noon / 1000}.250`, noon + 250],
    ["1700000000.129", 1700000000129],
    [0, 0],
    ["0", 0],
    [-1, -1000],
    ["-86400", -86_400_000],
    [99_999_999_999, 99_999_999_999_000],
    [100_000_000_000, 100_000_000_000],
    [-100_000_000_000, -100_000_000_000],
    [9_999_999_999_999, 9_999_999_999_999],
  ])("%j is an instant", (value, time) => {
    expect(parseEventTime(value)).toBe(time);
  });

  test.each([
    // No day, no time of day.
    "2026-02-30T00:00:00Z",
    "2026-02-30T24:00:00Z",
    "2025-02-29T00:00:00Z",
    "1900-02-29T00:00:00Z",
    "2026-04-31T12:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-00-01T00:00:00Z",
    "2026-01-00T00:00:00Z",
    "2026-01-32T00:00:00Z",
    "2026-01-01T24:00:01Z",
    "2026-01-01T24:01:00Z",
    "2026-01-01T24:00:00.001Z",
    "2026-01-01T25:00:00Z",
    "2026-01-01T12:60:00Z",
    "2026-01-01T12:00:61Z",
    "2026-01-01T12:00:60Z",
    "2026-01-01T23:59:60+01:00",
    // No offset, or none that exists: it could be any of a day's hours.
    "2026-01-02",
    "2026-01-02T12:00:00",
    "2026-01-02 12:00:00",
    "2026-01-02T12:00:00+24:00",
    "2026-01-02T12:00:00+01:60",
    "2026-01-02T12:00:00+1",
    "2026-01-02T12:00:00+01:",
    "2026-01-02T12:00:00+010",
    "2026-01-02T12:00:00+01:000",
    "2026-01-02T12:00:00 UTC",
    "2026-01-02T12:00:00Z+01:00",
    // Other notations.
    "2026-1-2T12:00:00Z",
    "2026-01-02T1:00:00Z",
    "2026-01-02T12Z",
    "2026-01-02T12-00-00Z",
    "2026/01/02T12:00:00Z",
    "2026-01-02_12:00:00Z",
    "2026-01-02T12:00:00.Z",
    "2026-01-02T12:00.5Z",
    "+002026-01-02T12:00:00Z",
    " 2026-01-02T12:00:00Z",
    "2026-01-02T12:00:00Z ",
    "2026-01-02T12:00:00Z\n",
    "2026-W01-5T12:00:00Z",
    "Fri, 02 Jan 2026 12:00:00 GMT",
    "now",
    "٢٠٢٦-01-02T12:00:00Z",
    // Numbers in text that are no plain digits.
    "1e12",
    "0x10",
    "+1700000000",
    "1_700_000_000",
    "1700000000 ",
    "1700000000.",
    ".5",
    "-",
    "NaN",
    "Infinity",
    // Microseconds, nanoseconds, dates without dashes, more than a Date can hold.
    1_700_000_000_000_000,
    "1700000000000000",
    1.7e18,
    "1700000000000000000",
    20_260_102_120_000,
    "20260102120000",
    10_000_000_000_000,
    -10_000_000_000_000,
    1e300,
    JSON.parse("1e999"),
    "9".repeat(400),
    // Other types.
    true,
    false,
    {},
    [],
    ["2026-01-02T12:00:00Z"],
  ])("%j is none", (value) => {
    expect(parseEventTime(value)).toBeUndefined();
  });

  test("any instant is read back from what toISOString writes, and from its epoch", () => {
    const instant = fc.date({
      min: new Date("0000-01-01T00:00:00Z"),
      max: new Date("9999-12-31T23:59:59.999Z"),
      noInvalidDate: true,
    });
    fc.assert(
      fc.property(instant, (date) => {
        expect(parseEventTime(date.toISOString())).toBe(date.getTime());
      }),
    );
    fc.assert(
      fc.property(fc.integer({ min: 1e11, max: 1e13 - 1 }), (millis) => {
        expect(parseEventTime(millis)).toBe(millis);
        expect(parseEventTime(String(millis))).toBe(millis);
        expect(parseEventTime(millis / 1000)).toBe(millis / 1000 < 1e11 ? millis : undefined);
      }),
    );
  });

  test("any text is read as Date.parse reads it, or not at all", () => {
    const part = (max: number) => fc.integer({ min: 0, max }).map((n) => String(n).padStart(2, "0"));
    fc.assert(
      fc.property(
        part(13),
        part(32),
        part(25),
        part(61),
        part(61),
        part(24),
        part(60),
        fc.constantFrom("+", "-"),
        (month, day, hour, minute, second, oh, om, sign) => {
          const text = `2027-${month}-${day}T${hour}:${minute}:${second}.5${sign}${oh}:${om}`;
          const time = parseEventTime(text);
          const expected = Date.parse(text);
          // Date.parse moves days that do not exist into the next month, and knows no leap seconds.
          const exists =
            new Date(Date.UTC(2027, Number(month) - 1, Number(day))).getUTCDate() === Number(day);
          if (second !== "60") expect(time).toBe(Number.isNaN(expected) || !exists ? undefined : expected);
        },
      ),
      { numRuns: 2000 },
    );
  });
});
