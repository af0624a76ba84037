// `npm run bench`: what is claimed about speed, each claim with its target, its value and a verdict.
// --quick takes under a minute, on small objects, and leaves out what lasts (1 GB, a sink that hangs); --json prints {"rows":[{"name","target","value","pass"}]}; --only <part> one part.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import Table from "cli-table3";
import type { Row } from "./row.ts";
import { coldStart } from "./rows/cold-start.ts";
import { core } from "./rows/core.ts";
import { deadLetters } from "./rows/dead-letters.ts";
import { faults } from "./rows/faults.ts";
import { sinks } from "./rows/four-sinks.ts";
import { memory } from "./rows/memory.ts";
import { mixpanel } from "./rows/mixpanel.ts";
import { quota } from "./rows/quota.ts";
import { scale } from "./rows/scale.ts";

const sections = [core, mixpanel, sinks, memory, coldStart, scale, faults, quota, deadLetters];

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    only: { type: "string", multiple: true },
  },
});
const names = sections.map(({ name }) => name);
const unknown = values.only?.find((name) => !names.includes(name));
if (unknown !== undefined) {
  console.error(`bench: there is no part "${unknown}"; the parts are ${names.join(", ")}`);
  process.exit(2);
}

const folder = await mkdtemp(path.join(tmpdir(), "fanout-bench-"));
const rows: Row[] = [];
try {
  for (const section of sections) {
    if (values.only !== undefined && !values.only.includes(section.name)) continue;
    const started = performance.now();
    rows.push(...(await section.measure({ quick: values.quick, folder })));
    const seconds = (performance.now() - started) / 1000;
    if (!values.json) console.error(`${section.name}: ${seconds.toFixed(0)} s`);
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}

if (values.json) {
  console.log(JSON.stringify({ rows }, undefined, 2));
} else {
  const table = new Table({
    head: ["what", "target", "value", ""],
    style: { head: [], border: [] },
    colWidths: [null, null, 50, null],
    wordWrap: true,
  });
  for (const { name, target, value, pass } of rows) table.push([name, target, value, pass ? "✓" : "✗"]);
  console.log(table.toString());
  const short = rows.filter(({ pass }) => !pass).length;
  console.log(
    short === 0 ? "Every row is within its target." : `${short} of ${rows.length} rows fall short.`,
  );
}
