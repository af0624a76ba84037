// A vendor's quota, enforced by a twin that names no wait: little of it may stay unused, and little be refused.
import { expect, test } from "vitest";
import { quotaRun, quotas } from "../support/quota.ts";

test.for(quotas)("$title: at least 95 % of the quota is used", async (quota) => {
  const { goodput, refusedShare, delivered, pending } = await quotaRun(quota);
  expect({ delivered, pending }).toEqual({ delivered: quota.events, pending: 0 });
  expect(goodput).toBeGreaterThanOrEqual(0.95);
  expect(refusedShare).toBeLessThanOrEqual(quota.refusedAtMost);
});
