// Prepares the store of docs/operators.md: a night in which one vendor is down and one mapping is wrong.
import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { exitCodes } from "../src/cli/exit-codes.ts";
import { run } from "../src/cli/run.ts";
import { resolveConfig } from "../src/config.ts";
import { generateObjects } from "./generate.ts";
import makeConfig from "./night.config.ts";

const root = path.resolve(".fanout/night");
await rm(root, { recursive: true, force: true });
const { objects } = generateObjects({ now: Date.now(), records: 3000, objects: 6, tenants: 10 });
for (const { key, bytes } of objects) {
  const file = path.join(root, "bucket", key);
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, bytes);
}
const code = await run({
  address: path.join(root, "bucket"),
  config: await resolveConfig(makeConfig, { env: {} }),
  json: false,
  deadlineMs: 60_000,
  stdout: process.stdout,
  stderr: process.stderr,
});
// The twins go on listening otherwise.
process.exit(code === exitCodes.pending ? 0 : 1);
