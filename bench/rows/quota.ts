// A vendor's quota of 190 requests in 10 s, enforced by a twin that names no wait. In virtual time.
import { quotaRun, quotas } from "../../test/support/quota.ts";
import type { Row, Section } from "../row.ts";

const leastGoodput = 0.95;

export const quota: Section = {
  name: "quota",
  async measure() {
    const rows: Row[] = [];
    for (const each of quotas) {
      const { goodput, refusedShare } = await quotaRun(each);
      rows.push({
        name: `a quota of 190 requests in 10 s; ${each.title}`,
        target: `${percent(leastGoodput)} used, ≤ ${percent(each.refusedAtMost)} refused`,
        value: `${percent(goodput)} used, ${percent(refusedShare)} refused`,
        pass: goodput >= leastGoodput && refusedShare <= each.refusedAtMost,
      });
    }
    return rows;
  },
};

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
