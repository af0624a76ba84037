// `npm run adopt -- -c dataBucket=… -c booksBucket=…`: imports what a destroyed stack has left behind, before the next
// deployment; see docs/deploy.md. Other arguments, such as --profile and --no-execute, go to `cdk import`.
import { spawn } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { App } from "aws-cdk-lib";
import { ConfigError } from "../src/index.ts";
import { AdoptionStack, leftoverSettings, readLeftovers } from "./adoption.ts";
import { contextIn } from "./arguments.ts";
import { readSettings } from "./settings.ts";

try {
  const { context, rest } = contextIn(process.argv.slice(2));
  const outdir = path.resolve("cdk.out", "adopt");
  rmSync(outdir, { recursive: true, force: true });
  const app = new App({ outdir, context, analyticsReporting: false });
  const leftovers = readLeftovers(app.node);
  const isOwn = (name: string) => Object.values<string>(leftoverSettings).includes(name);
  const others = Object.fromEntries(Object.entries(context).filter(([name]) => !isOwn(name)));
  const { stack } = readSettings(new App({ context: others, analyticsReporting: false }).node);
  const { mapping } = new AdoptionStack(app, stack, leftovers);
  app.synth();
  const file = path.join(outdir, "mapping.json");
  writeFileSync(file, JSON.stringify(mapping, null, 2));
  const { code, output } = await run([
    "import",
    ...[stack, "--app", outdir, "--resource-mapping", file, "--no-notices"],
    ...rest,
  ]);
  // A stack that has such buckets is passed over, which CDK does not call an error.
  const isPassedOver = output.includes("skipping import");
  process.exitCode = isPassedOver ? 1 : code;
  if (isPassedOver) {
    process.stderr.write(
      `Nothing was imported, since the stack ${stack} has its buckets. Destroy it first, or name another one: -c stack=…\n`,
    );
  } else if (code === 0 && !rest.includes("--no-execute")) {
    process.stdout.write(
      "The buckets are the stack's, without anything that a deployment gives them: now npm run deploy, with the settings of the old one.\n",
    );
  }
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  process.stderr.write(`${error.problems.join("\n")}\n`);
  process.exitCode = 1;
}

/** CDK's own command line. It sees no terminal, so what it would ask to confirm, a stack that has other things, it refuses. */
async function run(args: readonly string[]): Promise<{ readonly code: number; readonly output: string }> {
  const cdk = path.resolve(import.meta.dirname, "../node_modules/aws-cdk/bin/cdk");
  const child = spawn(process.execPath, [cdk, ...args], {
    stdio: ["inherit", "pipe", "pipe"],
  });
  let output = "";
  for (const [from, to] of [
    [child.stdout, process.stdout],
    [child.stderr, process.stderr],
  ] as const) {
    from.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      to.write(text);
    });
  }
  const { promise, resolve } = Promise.withResolvers<number>();
  child.on("close", (code) => resolve(code ?? 1));
  return { code: await promise, output };
}
