import { expect, test } from "vitest";
import { loadCatalog } from "../../src/index.ts";
import { applyRule } from "../../src/routing/apply-rule.ts";
import { eventRules, sampleBusEvent, sampleRecord } from "../../src/routing/event-rules.ts";

test("the sample of every metric comes through the metric's own rule as its record, and through no other", async () => {
  const metrics = await loadCatalog(new URL("../../config/metrics", import.meta.url));
  for (const metric of metrics) {
    const rules = eventRules(metrics);
    const texts = rules.map((rule) => applyRule(rule, sampleBusEvent(metric)));
    const taken = rules.filter((_, index) => texts[index] !== undefined).map(({ name }) => name);
    expect(taken).toEqual([metric.name]);
    expect(JSON.parse(texts.find((text) => text !== undefined) ?? "")).toEqual(sampleRecord(metric));
  }
});
