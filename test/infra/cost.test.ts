import { expect, test } from "vitest";
import { deployed, monthlyCost } from "../../infra/cost.ts";
import { synthesise } from "./synthesised.ts";

const all = (rate: number) => Object.values(monthlyCost(rate)).reduce((sum, value) => sum + value, 0);

test("what is counted is what is deployed", () => {
  const { resources } = synthesise({ sinks: ["timestream", "segment", "mixpanel", "hubspot-events"] });
  expect(resources.filter(({ type }) => type === "AWS::CloudWatch::Alarm")).toHaveLength(deployed.alarms);
  expect(resources.filter(({ type }) => type === "AWS::Lambda::EventSourceMapping")).toHaveLength(
    deployed.sinks,
  );
});

test("Firehose counts every record as 5 KB: AWS's own example of 1,000 records a second is $358 a month", () => {
  expect(monthlyCost(1000)["Firehose"]).toBeCloseTo(358.4, 0);
});

test("200 million events a month cost less than a tenth of the published $3,361", () => {
  expect(all(77)).toBeLessThan(3361 / 10);
});

test("a pipeline without events costs what stands still: alarms, figures, secrets, idle polls", () => {
  expect(all(0)).toBeLessThan(40);
  expect(monthlyCost(0)["EventBridge"]).toBe(0);
});

test("the traffic to the vendors becomes cheaper a GB, never cheaper in all", () => {
  const perEvent = (rate: number) => (monthlyCost(rate)["to the vendors' networks"] ?? 0) / rate;
  expect(perEvent(10_000)).toBeLessThan(perEvent(77));
  expect(perEvent(10_000)).toBeGreaterThan(perEvent(77) / 2);
});
