// `npm run peer:cfn-lint`: holds the templates against CloudFormation's linter of AWS's own, cfn-lint. It needs Python 3
// with venv and the Python package index; it installs the linter into a temporary folder, which is removed.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { App } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { AdoptionStack } from "../../infra/adoption.ts";
import type { EventFanoutProps } from "../../infra/pipeline.ts";
import { deployableSinks } from "../../infra/sinks.ts";
import { synthesise } from "../infra/synthesised.ts";
import { sinkNames } from "../support/vendors.ts";

const version = "1.58.0";
// Warnings that stay: W3005, since CDK writes down a dependency that a reference makes anyway; W3697, since Timestream takes
// no new customers, which the documentation says.
const sinks = Object.keys(deployableSinks);
const templates: Readonly<Record<string, Partial<EventFanoutProps>>> = {
  "per-sink": { sinks: sinkNames },
  single: { sinks: sinkNames, topology: "single" },
  everything: {
    sinks,
    operators: ["arn:aws:iam::123456789012:role/on-call"],
    permissionsBoundaryArn: "arn:aws:iam::123456789012:policy/boundary",
    vpc: { subnetIds: ["subnet-0123456789abcdef0"], securityGroupIds: ["sg-0123456789abcdef0"] },
    resourceTags: { team: "growth" },
    slack: { workspaceId: "T0123456789", channelId: "C0123456789" },
    tenants: { directory: "https://crm.example/{tenant_id}", secret: true },
    strictTrust: true,
    quietMinutes: 60,
    eventAccounts: ["123456789012"],
    alarmEmail: "ops@example.com",
    kmsKeyArn: "arn:aws:kms:us-east-1:123456789012:key/0123abcd-0123-0123-0123-0123456789ab",
  },
};

const folder = mkdtempSync(path.join(tmpdir(), "fanout-cfn-lint-"));
const run = (command: string, args: readonly string[]) =>
  spawnSync(command, args, { encoding: "utf8", cwd: folder });
try {
  for (const [name, args] of [
    ["python3", ["-m", "venv", "venv"]],
    ["venv/bin/pip", ["install", "--quiet", `cfn-lint==${version}`]],
  ] as const) {
    const { status, stderr, error } = run(name, args);
    if (status !== 0) {
      process.stderr.write(`cfn-lint could not be installed: ${error?.message ?? stderr}\n`);
      process.exit(2);
    }
  }
  const files = Object.entries(templates).map(([name, props]) => {
    const file = path.join(folder, `${name}.json`);
    writeFileSync(file, synthesise(props).text);
    return file;
  });
  const adoption = path.join(folder, "adoption.json");
  const leftovers = { data: "a-data", books: "a-books", accessLog: "an-access-log" };
  const stack = new AdoptionStack(new App({ analyticsReporting: false }), "fanout", leftovers);
  writeFileSync(adoption, JSON.stringify(Template.fromStack(stack).toJSON()));
  files.push(adoption);
  const { status, stdout, stderr } = run("venv/bin/cfn-lint", ["--format", "parseable", "--", ...files]);
  const lines = `${stdout}${stderr}`.split("\n").filter((line) => line !== "");
  const errors = lines.filter((line) => /:E\d{4}:/.test(line));
  process.stdout.write(`${lines.map((line) => line.replace(folder, "")).join("\n")}\n`);
  process.stdout.write(
    `${files.length} templates, ${errors.length} errors, ${lines.length - errors.length} others, exit code ${status}\n`,
  );
  process.exitCode = errors.length === 0 ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
