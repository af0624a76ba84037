import { spawnSync } from "node:child_process";
import { expect, it } from "vitest";

const heap = new URL("../../src/cli/heap.ts", import.meta.url).href;

/** Half a megabyte a turn, each alive for twenty turns: long enough to grow old. Tells the most that was in use. */
const churn = `
import { setImmediate } from "node:timers/promises";
import { getHeapStatistics } from "node:v8";
const alive = [];
let most = 0;
for (let turn = 0; turn < 1000; turn++) {
  alive.push(Array.from({ length: 5000 }, (_, index) => [turn, index + 0.5]));
  if (alive.length > 20) alive.shift();
  await setImmediate();
  most = Math.max(most, getHeapStatistics().used_heap_size);
}
console.log(most);`;

function mostInUse(before: string): number {
  const args = ["--input-type=module", "--eval", `${before}${churn}`];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  expect(stderr).toBe("");
  return Number(stdout);
}

it("what a command no longer needs does not pile up", () => {
  const usual = mostInUse("");
  const kept = mostInUse(`import ${JSON.stringify(heap)};`);
  expect(kept).toBeLessThan(45_000_000);
  expect(kept).toBeLessThan(usual);
});
