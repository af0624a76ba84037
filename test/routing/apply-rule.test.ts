import { expect, test } from "vitest";
import { type JsonObject, type JsonValue, loadCatalog } from "../../src/index.ts";
import { applyRule, matchesPattern } from "../../src/routing/apply-rule.ts";
import { eventRules, sampleBusEvent, sampleRecord } from "../../src/routing/event-rules.ts";

const event = {
  id: "e-1",
  source: "scans",
  "detail-type": "Scan",
  resources: ["arn:a", "arn:b"],
  detail: {
    status: "completed",
    count: 30,
    ok: true,
    nothing: null,
    address: "10.0.1.7",
    six: "2001:db8::1",
    file: "reports/2026/final.PDF",
    parts: [
      { kind: "a", size: 1 },
      { kind: "b", size: 2 },
    ],
  },
};

const detail = (field: string, ...conditions: readonly JsonValue[]): JsonObject => ({
  detail: { [field]: conditions },
});

test.each([
  ["a value", { source: ["scans"] }],
  ["one of several", { source: ["other", "scans"] }],
  ["every field that it names", { source: ["scans"], detail: { status: ["completed"] } }],
  ["one value of a list", { resources: ["arn:b"] }],
  ["a number", detail("count", 30)],
  ["a boolean", detail("ok", true)],
  ["null", detail("nothing", null)],
  ["a prefix", detail("status", { prefix: "comp" })],
  ["a prefix in any case", detail("status", { prefix: { "equals-ignore-case": "COMP" } })],
  ["a suffix", detail("status", { suffix: "ed" })],
  ["a suffix in any case", detail("file", { suffix: { "equals-ignore-case": ".pdf" } })],
  ["a text in any case", detail("status", { "equals-ignore-case": "Completed" })],
  ["anything but a value", detail("status", { "anything-but": "failed" })],
  ["anything but a list", detail("count", { "anything-but": [1, 2] })],
  ["anything but a prefix", detail("status", { "anything-but": { prefix: "fail" } })],
  ["anything but a wildcard", detail("file", { "anything-but": { wildcard: "*.png" } })],
  ["a range", detail("count", { numeric: [">", 0, "<=", 30] })],
  ["an exact number", detail("count", { numeric: ["=", 30] })],
  ["a wildcard", detail("file", { wildcard: "reports/*/final.*" })],
  ["an address in a network", detail("address", { cidr: "10.0.0.0/16" })],
  ["an address of version 6", detail("six", { cidr: "2001:db8::/32" })],
  ["that a field exists", detail("nothing", { exists: true })],
  ["that a field does not exist", detail("other", { exists: false })],
  ["that a field of an object that is not there does not exist", { more: { a: [{ exists: false }] } }],
  ["one object of a list", { detail: { parts: { kind: ["b"] } } }],
  ["one of two patterns", { $or: [{ source: ["other"] }, { detail: { count: [30] } }] }],
])("an event matches %s", (_, pattern) => {
  expect(matchesPattern(pattern, event)).toBe(true);
});

test.each([
  ["another value", { source: ["other"] }],
  ["a field that is missing", { account: ["1"] }],
  ["a number as text", detail("count", "30")],
  ["another case", detail("status", "Completed")],
  ["a prefix of another text", detail("status", { prefix: "x" })],
  ["anything but what it is", detail("status", { "anything-but": ["completed"] })],
  ["anything but a value, where there is none", detail("other", { "anything-but": "x" })],
  ["anything but its prefix", detail("status", { "anything-but": { prefix: ["comp", "x"] } })],
  ["a range beside it", detail("count", { numeric: [">", 30] })],
  ["no range", detail("count", { numeric: [] })],
  ["a comparison that there is none of", detail("count", { numeric: ["~", 30] })],
  ["a wildcard that ends early", detail("file", { wildcard: "reports/*/final" })],
  ["a star that is meant", detail("file", { wildcard: "reports/\\*" })],
  ["another network", detail("address", { cidr: "10.1.0.0/16" })],
  ["a network of the other version", detail("address", { cidr: "2001:db8::/32" })],
  ["no network", detail("address", { cidr: "10.0.0.0/99" })],
  ["that a field does not exist which does", detail("status", { exists: false })],
  ["that an object exists: only leaves do", { detail: [{ exists: true }] }],
  ["an operator of another name", detail("status", { sounds: "completed" })],
  ["none of two patterns", { $or: [{ source: ["a"] }, { source: ["b"] }] }],
])("an event does not match %s", (_, pattern) => {
  expect(matchesPattern(pattern, event)).toBe(false);
});

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
