// A process of its own for rows/dead-letters.ts: lists and plans what waits in a store, and tells what it took.
import { makePlan } from "../src/dead-letter/plan.ts";
import { survey } from "../src/dead-letter/survey.ts";
import { openStore } from "../src/store/open.ts";
import "../src/cli/heap.ts";
import makeConfig from "../config/fanout.config.ts";
import { resolveConfig } from "../src/config.ts";

export interface Waited {
  readonly letters: number;
  readonly causes: number;
  readonly passes: number;
  readonly listMs: number;
  readonly planMs: number;
  /** Of the process, Node included. */
  readonly peakMegabytes: number;
}

const [, , receipts = "", deadLetters = ""] = process.argv;
const { sinks, routes } = await resolveConfig(makeConfig, { env: process.env });
const stores = { receipts: openStore(receipts), deadLetters: openStore(deadLetters) };
const began = performance.now();
const { causes, letters } = await survey(stores, {});
const listed = performance.now();
const { classes } = await makePlan({
  stores,
  filter: {},
  sinks,
  ...(routes && { routes }),
  source: openStore,
  signal: new AbortController().signal,
});
const told: Waited = {
  letters,
  causes: causes.length,
  passes: classes.reduce((sum, each) => sum + each.passes, 0),
  listMs: listed - began,
  planMs: performance.now() - listed,
  // Node gives the peak in KiB (libuv's getrusage).
  peakMegabytes: (process.resourceUsage().maxRSS * 1024) / 1e6,
};
process.send?.(told);
process.disconnect();
