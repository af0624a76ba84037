// `npm run simulate -- --seeds 20000 [--seed s]`, `-- --seed s` to be told one of them, `-- --mutants` for the defects.
import { parseArgs } from "node:util";
import Table from "cli-table3";
import { catchAll, tableOfCatches } from "./catch.ts";
import { mutantNamed } from "./mutants.ts";
import { runSeeds, tell } from "./threads.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string" },
    seed: { type: "string" },
    mutant: { type: "string" },
    mutants: { type: "boolean", default: false },
  },
});
const seed = whole("seed", values.seed ?? "1");
if (values.mutant !== undefined) mutantNamed(values.mutant);
if (values.mutants) await showMutants();
else if (values.seeds === undefined && values.seed !== undefined) await tellOne();
else await runMany(whole("seeds", values.seeds ?? "2000"));

async function runMany(count: number): Promise<void> {
  const started = performance.now();
  const { mutant } = values;
  const { schedules, counts, failures } = await runSeeds({ from: seed, count, mutant }, (failure) => {
    const [first] = failure.violations;
    const option = mutant === undefined ? "" : ` --mutant '${mutant}'`;
    process.stderr.write(
      `seed ${failure.seed}: ${first?.invariant}: ${first?.detail}\n` +
        `  again, smaller and told: npm run simulate -- --seed ${failure.seed}${option}\n`,
    );
  });
  const seconds = (performance.now() - started) / 1000;
  const table = new Table({
    head: ["what went wrong", "how often"],
    colAligns: ["left", "right"],
    style: { head: [], border: [] },
  });
  for (const [kind, n] of [...counts].sort(([a], [b]) => (a < b ? -1 : 1))) table.push([kind, n]);
  const violations = failures.reduce((sum, failure) => sum + failure.violations.length, 0);
  process.stdout.write(
    `${table.toString()}\n${schedules} schedules in ${seconds.toFixed(1)} s, ` +
      `${(schedules / seconds).toFixed(0)} a second.\nViolations: ${violations}\n`,
  );
  process.exitCode = violations === 0 ? 0 : 1;
}

async function tellOne(): Promise<void> {
  const { lines, failure } = await tell(seed, values.mutant);
  process.stdout.write(`${lines.join("\n")}\nViolations: ${failure?.violations.length ?? 0}\n`);
  process.exitCode = failure === undefined ? 0 : 1;
}

async function showMutants(): Promise<void> {
  const catches = await catchAll(undefined, (done, of) => process.stderr.write(`${done} of ${of}\n`));
  process.stdout.write(tableOfCatches(catches));
  process.exitCode = catches.every(({ missed }) => missed === 0) ? 0 : 1;
}

function whole(name: string, text: string): number {
  const number = Number(text);
  if (Number.isInteger(number) && number > 0) return number;
  process.stderr.write(`simulate: --${name} is a whole number from 1 on\n`);
  process.exit(2);
}
