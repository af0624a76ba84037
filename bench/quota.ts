// A vendor's quota of 190 requests in 10 s, enforced by a twin that names no wait: `npm run bench:quota`. Virtual time.
import Table from "cli-table3";
import { quotaRun, quotas } from "../test/support/quota.ts";

const table = new Table({
  head: ["", "requests", "refused", "", "goodput"],
  style: { head: [], border: [] },
});
for (const quota of quotas) {
  const { requests, refused, refusedShare, goodput } = await quotaRun(quota);
  table.push([quota.title, requests, refused, percent(refusedShare), percent(goodput)]);
}
console.log(table.toString());

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
