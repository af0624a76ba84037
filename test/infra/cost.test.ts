import { describe, expect, test } from "vitest";
import { type CostSettings, counted, monthlyBusCost, monthlyCost, sentBytes } from "../../infra/cost.ts";
import type { Topology } from "../../infra/pipeline.ts";
import { fieldsOf, listOf } from "../../infra/template.ts";
import { count, countSent } from "./counted.ts";
import { synthesise } from "./synthesised.ts";

const all = (rate: number, settings?: CostSettings) =>
  Object.values(monthlyCost(rate, settings)).reduce((sum, value) => sum + value, 0);

describe.each<Topology>(["per-sink", "single"])("topology %s", (topology) => {
  test("asks AWS for what the model says, counted request by request", async () => {
    const { workers, alarmFigures, secrets, ...own } = counted[topology];
    const { objectLogBytes, objectWrites, objectReads, ...found } = await count(topology);
    expect({ ...own, ...found }).toEqual(own);
    // Workers that begin at once meet at the invalid records, and ask once more or less; names differ in length.
    expect(Math.abs(objectWrites - own.objectWrites)).toBeLessThanOrEqual(workers);
    expect(Math.abs(objectReads - own.objectReads)).toBeLessThanOrEqual(workers);
    expect(Math.abs(objectLogBytes - own.objectLogBytes)).toBeLessThan(own.objectLogBytes / 8);
    const { resources } = synthesise({
      topology,
      sinks: ["timestream", "segment", "mixpanel", "hubspot-events"],
    });
    const figures = resources
      .filter(({ type }) => type === "AWS::CloudWatch::Alarm")
      .map(({ properties }) => {
        const stats = listOf(properties["Metrics"]).filter((each) => "MetricStat" in fieldsOf(each));
        return Math.max(1, stats.length);
      });
    expect(figures.reduce((sum, each) => sum + each, 0)).toBe(alarmFigures);
    expect(resources.filter(({ type }) => type === "AWS::Lambda::EventSourceMapping")).toHaveLength(workers);
    const named = resources.flatMap(({ type, properties }) =>
      type === "AWS::Lambda::Function"
        ? String(fieldsOf(fieldsOf(properties["Environment"])["Variables"])["SECRETS"] ?? "").split(",")
        : [],
    );
    expect(new Set(named.filter((name) => name !== "")).size).toBe(secrets);
  }, 60_000);
});

test("Firehose counts every record as 5 KB: AWS's own example of 1,000 records a second is $358 a month", () => {
  expect(monthlyCost(1000)["Firehose"]).toBeCloseTo(358.4, 0);
});

test("the vendors are sent what the model says, counted where they receive it", async () => {
  const sent = await countSent();
  for (const [sink, bytes] of Object.entries(sentBytes)) {
    const found = sent[sink as keyof typeof sentBytes];
    expect({ sink, off: Math.abs(found - bytes) / bytes }).toMatchObject({ off: expect.closeTo(0, 1) });
  }
}, 60_000);

test("200 million events a month cost less than a tenth of $3,361, the bus included", () => {
  for (const topology of ["per-sink", "single"] as const) {
    expect(all(77, { topology })).toBeLessThan(66);
    expect(all(77, { topology }) + monthlyBusCost(77)).toBeLessThan(3361 / 10);
  }
});

test("the target of $50 beyond the bus is met with one worker, objects of five minutes and no dashboard", () => {
  const settings = { topology: "single", buffer: { seconds: 300, mb: 64 }, hasDashboard: false } as const;
  expect(all(77, settings)).toBeLessThan(50);
});

test("a pipeline without events costs what stands still: alarms, figures, secrets, idle polls", () => {
  expect(all(0)).toBeLessThan(25);
  expect(monthlyBusCost(0)).toBe(0);
});

test("the traffic to the vendors becomes cheaper a GB, never cheaper in all", () => {
  const perEvent = (rate: number) => (monthlyCost(rate)["to the vendors' networks"] ?? 0) / rate;
  expect(perEvent(10_000)).toBeLessThan(perEvent(77));
  expect(perEvent(10_000)).toBeGreaterThan(perEvent(77) / 2);
});
