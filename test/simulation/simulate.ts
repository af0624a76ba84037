// `npm run simulate`: many schedules, what went wrong in them, and what was violated; or one of them, told in full.
import { parseArgs } from "node:util";
import { planOf } from "./plan.ts";
import { simulate } from "./world.ts";

// Nobody reads the stacks of a million expected failures, and collecting them takes a fifth of the time.
Error.stackTraceLimit = 0;
const { values } = parseArgs({
  options: { seeds: { type: "string" }, from: { type: "string" }, seed: { type: "string" } },
});
const from = Number(values.seed ?? values.from ?? 1);
const n = values.seed ? 1 : Number(values.seeds ?? 200);
const counts = new Map<string, number>();
const t0 = performance.now();
const classes = new Map<string, { n: number; seeds: number[]; detail: string }>();
for (let seed = from; seed < from + n; seed++) {
  const out = await simulate(planOf(seed), { traced: values.seed !== undefined });
  if (values.seed) process.stdout.write(out.trace.join("\n") + "\n");
  for (const [k, c] of out.counts) counts.set(k, (counts.get(k) ?? 0) + c);
  for (const v of out.violations.slice(0, values.seed ? 99 : 1)) {
    const c = classes.get(v.invariant) ?? { n: 0, seeds: [], detail: v.detail };
    c.n++;
    if (c.seeds.length < 8) c.seeds.push(seed);
    classes.set(v.invariant, c);
    if (values.seed) process.stdout.write(`${v.invariant}: ${v.detail}\n`);
  }
}
const s = (performance.now() - t0) / 1000;
process.stdout.write(`${n} in ${s.toFixed(1)} s, ${(n / s).toFixed(0)}/s\n`);
for (const [k, c] of [...classes].sort((a, b) => b[1].n - a[1].n))
  process.stdout.write(`${k}: ${c.n} ${c.seeds}\n    ${c.detail}\n`);
if (!values.seed)
  for (const [k, c] of [...counts].sort((a, b) => b[1] - a[1]))
    process.stdout.write(`${String(c).padStart(8)} ${k}\n`);
