import fc from "fast-check";
import { expect, test } from "vitest";
import { bodyOf } from "../../src/delivery/body.ts";
import type { Item } from "../../src/delivery/sink.ts";
import type { MetricEvent } from "../../src/event.ts";

const event: MetricEvent = { id: "e", metricName: "m", tenantId: "t", time: 0, metadata: {}, data: {} };

const payload = fc.oneof(
  fc.jsonValue(),
  fc.record({ text: fc.string({ unit: fc.constantFrom("a", '"', "é", "日", "😀", "\ud800") }) }),
);

test("the body is what stands before, the items' JSON between commas, and what stands after, in UTF-8", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(payload, fc.boolean())), fc.string(), (values, end) => {
      const items = values.map(([value, isMade]): Item<unknown> => {
        const text = JSON.stringify(value);
        const bytes = Buffer.byteLength(text) + 1;
        return isMade ? { event, payload: value, bytes, text } : { event, payload: value, bytes };
      });
      const before = '{"é":[';
      const after = `]}${end.toWellFormed()}`;
      const joined = values.map(([value]) => JSON.stringify(value)).join(",");
      expect(bodyOf(before, items, after).toString()).toBe(`${before}${joined}${after}`);
    }),
  );
});

test("an item that counted its bytes wrong is sent whole all the same", () => {
  const items = [1, 900].map((bytes) => ({ event, payload: "日本", bytes, text: '"日本"' }));
  expect(bodyOf("[", items, "]").toString()).toBe('["日本","日本"]');
});
