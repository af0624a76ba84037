import { expect, test } from "vitest";
import { defineMetric } from "../../src/index.ts";
import type { PathTo } from "../../src/routing/metric.ts";

const sample = { tenantId: "acme", at: 1_700_000_000, nested: { count: 3, ok: true, tags: ["a"] } };
const rest = {
  name: "m",
  title: "M",
  description: "d",
  when: "w",
  owner: "o",
  source: { bus: "b", source: "s", detailType: "t" },
  sinks: {},
};

test("what a file says is what the catalog holds", () => {
  const metric = { ...rest, sample, tenantId: "$.detail.tenantId" } as const;
  expect(defineMetric(metric)).toBe(metric);
});

// The compiler is the test: a line that compiles where it must not is an error itself.
test("a path that is not in the sample, or leads to another type, does not compile", () => {
  defineMetric({
    ...rest,
    sample,
    tenantId: "$.detail.tenantId",
    eventTime: "$.detail.at",
    data: {
      count: { type: "integer", from: "$.detail.nested.count", description: "d" },
      region: { type: "string", from: "$.region", description: "d" },
      // @ts-expect-error the sample has no such value
      typo: { type: "integer", from: "$.detail.nested.counts", description: "d" },
      // @ts-expect-error it is a boolean
      other: { type: "integer", from: "$.detail.nested.ok", description: "d" },
      // @ts-expect-error an object is no value
      whole: { type: "string", from: "$.detail.nested", description: "d" },
      // @ts-expect-error a list is no value
      tags: { type: "string", from: "$.detail.nested.tags", description: "d" },
    },
  });
  // @ts-expect-error a tenant's id is text
  defineMetric({ ...rest, sample, tenantId: "$.detail.nested.count" });
  // @ts-expect-error a time is no boolean
  defineMetric({ ...rest, sample, tenantId: "$.detail.tenantId", eventTime: "$.detail.nested.ok" });
  const paths: PathTo<typeof sample, number>[] = ["$.detail.at", "$.detail.nested.count"];
  expect(paths).toHaveLength(2);
});
