// What a function would refuse at its cold start stops the deployment, with a sentence.
import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import metrics from "../../config/metrics/index.ts";
import { loadCatalogFor } from "../../infra/catalog.ts";
import { deployableSinks } from "../../infra/sinks.ts";

const root = path.resolve(import.meta.dirname, "../..");
let copy: string;

beforeAll(() => {
  copy = mkdtempSync(path.join(tmpdir(), "fanout-catalog-"));
  for (const name of ["src", "adapters", "config", "infra", "package.json", "cdk.json"]) {
    cpSync(path.join(root, name), path.join(copy, name), { recursive: true });
  }
  symlinkSync(path.join(root, "node_modules"), path.join(copy, "node_modules"));
});
afterAll(() => rmSync(copy, { recursive: true, force: true }));

/** Runs a script of the copy, whose catalog has one more metric with these sinks. */
function runWith(
  sinks: object,
  script: string,
  pattern?: object,
): Promise<{ code: unknown; stderr: string }> {
  const metric = {
    name: "seat_added",
    title: "Seat added",
    description: "A customer has one seat more.",
    when: "Once a seat.",
    owner: "billing",
    source: { bus: "product", source: "acme.seats", detailType: "Seat Added", pattern },
    sample: { tenantId: "acme-robotics", seats: 3 },
    tenantId: "$.detail.tenantId",
    data: { seats: { type: "integer", from: "$.detail.seats", description: "All seats now." } },
    sinks,
  };
  writeFileSync(
    path.join(copy, "config/metrics/seat_added.ts"),
    `export default ${JSON.stringify(metric)};\n`,
  );
  return new Promise((resolve) => {
    execFile(process.execPath, [path.join(copy, script)], { cwd: copy }, (error, _, stderr) =>
      resolve({ code: error === null ? 0 : error.code, stderr }),
    );
  });
}

test("every sink that can be deployed takes every metric that ships, and is asked without its credentials", async () => {
  expect(await loadCatalogFor(Object.keys(deployableSinks))).toBe(metrics);
});

test("a deployment stops at a sink that does not exist", async () => {
  const { code, stderr } = await runWith({ mixpanle: {} }, "infra/app.ts");
  expect(code).toBe(1);
  expect(stderr).toMatch(/^seat_added: sinks\.mixpanle: there is no such sink; known are [^\n]*\n$/);
});

test("a deployment stops at a name that its tool refuses", async () => {
  const { code, stderr } = await runWith({ mixpanel: { name: "$seat" } }, "infra/app.ts");
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /^seat_added: sinks\.mixpanel: the metric's sample would be a dead letter [^\n]*\n$/,
  );
});

test("a synthesis stops at a metric that is wrong by itself", async () => {
  const { code, stderr } = await runWith({}, "infra/synth.ts");
  expect(code).toBe(1);
  expect(stderr).toBe("config/metrics/seat_added.ts: seat_added: it goes to no sink: name one under sinks\n");
});

test("a synthesis stops at a pattern that EventBridge refuses", async () => {
  const pattern = { detail: { seats: [{ numeric: [">", 5, "<", 5] }] } };
  const { code, stderr } = await runWith({ mixpanel: {} }, "infra/synth.ts", pattern);
  expect(code).toBe(1);
  expect(stderr).toBe(
    'config/metrics/seat_added.ts: seat_added: source.pattern.detail.seats: numeric must have a lower bound below the upper one: write { numeric: [">", 0, "<=", 5] }\n',
  );
});
