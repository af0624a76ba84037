import fc from "fast-check";
import { describe, expect, test } from "vitest";
import metrics from "../../config/metrics/index.ts";
import {
  eventRules,
  type JsonObject,
  type JsonValue,
  type MissingValue,
  renderInput,
  sampleBusEvent,
  sampleRecord,
} from "../../src/index.ts";
import { sound, withDimension } from "./support.ts";

const [rule] = eventRules([sound]);
if (rule === undefined) throw new Error("one metric makes one rule");
const render = (detail: JsonObject, missing?: MissingValue) =>
  renderInput(rule.inputTransformer, { ...sampleBusEvent(sound), detail }, missing);

test("a metric is one rule of its bus, which matches source, detail-type and its pattern", () => {
  const pattern = { detail: { door: ["front"] } };
  expect(eventRules([{ ...sound, source: { ...sound.source, pattern } }])).toMatchObject([
    {
      name: "door_opened",
      busName: "house",
      eventPattern: { source: ["acme.house"], "detail-type": ["Door Opened"], detail: { door: ["front"] } },
    },
  ]);
});

test("the transformer makes our record: the bus event's id is the event's", () => {
  expect(JSON.parse(render(sound.sample))).toEqual({
    metric_name: "door_opened",
    metadata: { tenant_id: "acme", event_id: sampleBusEvent(sound)["id"], door: "front", who: "user-1" },
    data: { event_time: "2026-11-20T09:30:00Z", seconds_open: 2.5, openings: 3, was_locked: false },
  });
});

test("without a path of its own, the time is the bus event's", () => {
  const { eventTime: _, ...metric } = sound;
  const [timed] = eventRules([metric]);
  expect(timed?.inputTransformer.inputPathsMap["event_time"]).toBe("$.time");
});

test("a field whose name begins with aws keeps it in the record, while no variable begins so", () => {
  const account = { type: "string", from: "$.account", description: "Whose event it was." } as const;
  const [own] = eventRules([withDimension("aws_account", account)]);
  if (own === undefined) throw new Error("one metric makes one rule");
  expect(Object.keys(own.inputTransformer.inputPathsMap).filter((name) => /^aws/i.test(name))).toEqual([]);
  const { metadata } = JSON.parse(renderInput(own.inputTransformer, sampleBusEvent(sound)));
  expect(metadata).toMatchObject({ aws_account: "123456789012", door: "front" });
});

test("no variable stands within quotes, where a value would break the record", () => {
  for (const { inputTransformer } of eventRules(metrics)) {
    expect(inputTransformer.inputTemplate.replaceAll(/"(?:[^"\\]|\\.)*"/g, "")).toContain("<tenant_id>");
    expect(inputTransformer.inputTemplate).not.toMatch(/"[^",:{}]*<[\w-]+>[^",:{}]*"/);
  }
});

test("whatever the values are, what comes out is JSON that holds them", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.jsonValue(), (door, seconds) => {
      // Both are what JSON.parse gives, so the text is what an event on the bus would carry.
      const detail = JSON.parse(JSON.stringify({ ...sound.sample, door, seconds })) as JsonObject;
      const { metadata, data } = JSON.parse(render(detail));
      expect(metadata.door).toBe(detail["door"]);
      expect(data.seconds_open).toEqual(detail["seconds"]);
    }),
  );
});

describe.each(["null", "empty", "absent"] as const)(
  "where a value is missing and EventBridge writes it %s",
  (missing) => {
    test("the rest of the record stays whole, whichever values are missing", () => {
      const keys = Object.keys(sound.sample);
      fc.assert(
        fc.property(fc.subarray(keys), (kept) => {
          const detail = Object.fromEntries(
            Object.entries(sound.sample).filter(([key]) => kept.includes(key)),
          );
          const { metadata, data } = JSON.parse(render(detail, missing));
          expect(metadata.event_id).toBe(sampleBusEvent(sound)["id"]);
          const nothing = { null: null, empty: "", absent: undefined }[missing];
          expect(metadata.door).toBe(kept.includes("door") ? "front" : nothing);
          expect(data.was_locked).toBe(kept.includes("locked") ? false : nothing);
        }),
      );
    });
  },
);

test("a sample's record is what its rule makes of its event", () => {
  for (const metric of metrics) {
    const [each] = eventRules([metric]);
    if (each === undefined) throw new Error("one metric makes one rule");
    expect(JSON.parse(renderInput(each.inputTransformer, sampleBusEvent(metric)))).toEqual(
      sampleRecord(metric),
    );
  }
});

test("by default a missing value is empty text, as EventBridge writes it", () => {
  const { door: _, ...rest } = sound.sample;
  expect(JSON.parse(render(rest)).metadata.door).toBe("");
});

test.each<[string, JsonValue | undefined, string]>([
  ["text", "front", '"the front door"'],
  ["a number", 1.5, '"the 1.5 door"'],
  ["null", null, '"the null door"'],
  ["an object, without quotes", { side: "left" }, '"the {side:left} door"'],
  ["a list, without quotes", ["a", "b"], '"the [a,b] door"'],
  ["nothing where it is missing", undefined, '"the  door"'],
])("within quotes stands %s", (_, door, text) => {
  const transformer = { inputPathsMap: { door: "$.detail.door" }, inputTemplate: '"the <door> door"' };
  expect(renderInput(transformer, { detail: door === undefined ? {} : { door } })).toBe(text);
});

test.each<[string, JsonValue | undefined, string]>([
  ["text", 'a "b"', '{"door":"a \\"b\\""}'],
  ["a number", 1e21, '{"door":1e+21}'],
  ["a boolean", false, '{"door":false}'],
  ["null", null, '{"door":null}'],
  ["an object", { side: ["left"] }, '{"door":{"side":["left"]}}'],
  ["an empty list", [], '{"door":[]}'],
  ["empty text where it is missing", undefined, '{"door":""}'],
])("without quotes stands JSON of %s", (_, door, text) => {
  const transformer = { inputPathsMap: { door: "$.detail.door" }, inputTemplate: '{"door":<door>}' };
  expect(renderInput(transformer, { detail: door === undefined ? {} : { door } })).toBe(text);
});

test("quoted, a value goes in as it is: why our templates do not", () => {
  const inputTransformer = {
    inputPathsMap: { door: "$.detail.door" },
    inputTemplate: '{"said":"the <door> door"}',
  };
  const text = renderInput(inputTransformer, { detail: { door: 'a "b"' } });
  expect(text).toBe('{"said":"the a "b" door"}');
  expect(() => JSON.parse(text)).toThrow();
});
