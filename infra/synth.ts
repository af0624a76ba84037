// `npm run synth`: the templates of both topologies, checked, without an account or a network; and their figures. It
// takes the settings of a deployment: `npm run synth -- -c kmsKey=…`, see docs/deploy.md.
import { execFileSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { App } from "aws-cdk-lib";
import { renderTable } from "../src/cli/table.ts";
import { ConfigError } from "../src/index.ts";
import { contextIn } from "./arguments.ts";
import { bundle } from "./bundle.ts";
import { loadCatalogFor, placeholders } from "./catalog.ts";
import { keyPolicyFor } from "./key-policy.ts";
import type { Topology } from "./pipeline.ts";
import { readSettings } from "./settings.ts";
import { adaptersOf } from "./sinks.ts";
import { createApp, FanoutStack } from "./stack.ts";
import { hasWildcard, type Resource, resourcesOf, statementsOf } from "./template.ts";

/** One a vendor, and both topologies, where no setting chooses others. */
const usual = {
  sinks: ["timestream", "segment", "mixpanel", "hubspot-events"],
  topologies: ["per-sink", "single"] satisfies readonly Topology[],
};
const say = (text: string) => process.stdout.write(`${text}\n`);
const table = (head: readonly string[], rows: readonly (readonly (string | number)[])[]) =>
  say(renderTable({ head: [...head], colAligns: ["left", "right", "right", "right"] }, rows, false));

const { context } = contextIn(process.argv.slice(2));
const { metrics, stack, sinks, topologies, settings } = await read().catch(refuse);

function refuse(error: unknown): never {
  if (!(error instanceof ConfigError)) throw error;
  process.stderr.write(`${error.problems.join("\n")}\n`);
  process.exit(1);
}

async function read() {
  const { stack, topology, ...settings } = readSettings(new App({ context, analyticsReporting: false }).node);
  const sinks = context["sinks"] === undefined ? usual.sinks : settings.sinks;
  const topologies = topology === undefined ? usual.topologies : [topology];
  return { stack, sinks, topologies, settings, metrics: await loadCatalogFor(sinks) };
}

const synthesise = (topology: Topology): readonly Resource[] => {
  const outdir = path.resolve("cdk.out", topology);
  rmSync(outdir, { recursive: true, force: true });
  const app = createApp({ outdir });
  try {
    const { stackName } = new FanoutStack(app, stack, { ...settings, metrics, sinks, topology });
    return resourcesOf(app.synth().getStackByName(stackName).template);
  } catch (error) {
    return refuse(error);
  }
};
const templates = topologies.map(synthesise);

const count = (type: string) => (resources: readonly Resource[]) =>
  resources.filter((resource) => resource.type === type).length;
const figures: Readonly<Record<string, (resources: readonly Resource[]) => number>> = {
  rules: count("AWS::Events::Rule"),
  functions: count("AWS::Lambda::Function"),
  queues: count("AWS::SQS::Queue"),
  alarms: count("AWS::CloudWatch::Alarm"),
  roles: count("AWS::IAM::Role"),
  statements: (resources) => statementsOf(resources).length,
  "statements with a wildcard": (resources) => statementsOf(resources).filter(hasWildcard).length,
  resources: (resources) => resources.length,
};
table(
  ["", ...topologies],
  Object.entries(figures).map(([name, figure]) => [name, ...templates.map(figure)]),
);

/** Milliseconds that a new process takes to import a bundle: the median of three. */
function coldImport(directory: string, names: readonly string[]): number {
  const index = pathToFileURL(path.join(directory, "index.mjs")).href;
  const script = `const began = performance.now(); await import("${index}"); console.log(performance.now() - began); process.exit();`;
  const env = { ...placeholders, SINKS: names.join(",") };
  const [, median = Number.NaN] = [1, 2, 3]
    .map(() =>
      Number(
        execFileSync(process.execPath, ["--input-type=module", "--eval", script], { env, encoding: "utf8" }),
      ),
    )
    .sort((a, b) => a - b);
  return median;
}

// A replayer is as large as its worker, and nobody waits for it.
const rows = [
  { entry: "transform" as const, names: [] },
  ...[...sinks.map((sink) => [sink]), sinks].map((names) => ({ entry: "worker" as const, names })),
].map(({ entry, names }) => {
  const { bytes, directory } = bundle(entry, adaptersOf(names), metrics);
  const name = [entry, ...(names.length > 1 ? ["all"] : names)].join(" ");
  return [name, Math.round(bytes / 1000), Math.round(coldImport(directory, names))];
});
table(["bundle", "KB", "cold import, ms"], rows);
say(
  `CloudFormation's linter and AWS Solutions: nothing found that has no reason beside it. Templates: ${topologies.map((name) => `cdk.out/${name}`).join(", ")}`,
);
if (settings.kmsKeyArn !== undefined) {
  const file = path.join("cdk.out", "key-policy.json");
  writeFileSync(file, `${JSON.stringify(keyPolicyFor(settings.kmsKeyArn), null, 2)}\n`);
  say(`What the key's policy must have: ${file}`);
}
