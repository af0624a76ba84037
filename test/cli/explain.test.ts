import { mkdtemp, rm, writeFile } from "node:fs/promises";
import http from "node:http";
import type { AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fanout, startFanout } from "../support/fanout.ts";

// Every test starts processes; on two busy cores each needs a second or two.
const patience = { timeout: 60_000 };
const samples = path.join(import.meta.dirname, "..", "..", "samples", "events.ndjson");

let cwd: string;
let asked = 0;
let vendor: http.Server;
let env: Record<string, string>;
beforeAll(async () => {
  cwd = await mkdtemp(path.join(os.tmpdir(), "fanout-explain-"));
  vendor = http.createServer((_request, response) => {
    asked++;
    response.end();
  });
  await new Promise<void>((resolve) => vendor.listen(0, "127.0.0.1", resolve));
  // A server that listens on TCP has an AddressInfo.
  const url = `http://127.0.0.1:${(vendor.address() as AddressInfo).port}`;
  env = {
    SINKS: "timestream,mixpanel,hubspot",
    AWS_REGION: "eu-west-1",
    TIMESTREAM_DATABASE: "product",
    AWS_ENDPOINT_URL: url,
    MIXPANEL_TOKEN: "SECRET-MARKER",
    MIXPANEL_HOST: url,
    HUBSPOT_ACCESS_TOKEN: "SECRET-MARKER",
    HUBSPOT_BASE_URL: url,
  };
});
afterAll(async () => {
  vendor.close();
  await rm(cwd, { recursive: true, force: true });
});

const record = (tenant: string, metric = "scan_completed") =>
  JSON.stringify({
    metric_name: metric,
    metadata: { tenant_id: tenant, event_id: `e-${tenant}` },
    data: { event_time: "2026-11-20T09:30:00Z", files_scanned: 1 },
  });

/** With what stands on stdin. */
async function piped(
  args: readonly string[],
  input: Uint8Array,
  variables: Readonly<Record<string, string>>,
) {
  const { process: child, finished } = startFanout(args, variables, cwd, "pipe");
  child.stdin?.end(input);
  return await finished;
}

test("the samples: what each sink gets, refuses and why, and nothing is sent", patience, async () => {
  const { code, stdout, stderr } = await fanout(["explain", samples], env, cwd);
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toContain("record 0: scan_completed of acme\n");
  expect(stdout).toMatch(
    / {2}timestream gets \d+ bytes to acme:\n {4}\{\n {6}"Time": "1795167000000",\n {6}"MeasureName": "scan_completed",\n {6}"Dimensions": \[/,
  );
  expect(stdout).toMatch(/ {2}mixpanel gets \d+ bytes:\n {4}\{\n {6}"event": "Scan Completed"/);
  expect(stdout).toMatch(
    /timestream refuses it: TENANT_ID_NO_TABLE_NAME, metadata\.tenant_id names the table/,
  );
  expect(stdout).toContain("do: Give the tenant an id that fits, or route its events to other sinks only.");
  expect(stdout).toMatch(
    /record 3: no event\n {2}EVENT_TIME_INVALID: .*\n.*\n {2}do: Let the producer write/,
  );
  // Visible to Mixpanel, and not to whoever looks over a shoulder.
  expect(stdout).toContain('"distinct_id": "‹personal›"');
  expect(stdout).not.toMatch(/u-204|ada@example|SECRET-MARKER/);
  expect(asked).toBe(0);
});

test("a compressed object from stdin, as a document, of one sink", patience, async () => {
  const input = gzipSync(`${record("acme")}${record("globex", "of_nobody")}`);
  const { code, stdout } = await piped(["explain", "-", "--sink", "mixpanel", "--json"], input, env);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    more: 0,
    records: [
      {
        index: 0,
        event: {
          id: "e-acme",
          metricName: "scan_completed",
          tenantId: "acme",
          time: "2026-11-20T09:30:00.000Z",
        },
        sinks: [{ sink: "mixpanel", status: "sent", payload: { event: "Scan Completed" } }],
      },
      { index: 1, sinks: [{ sink: "mixpanel", status: "not-routed" }] },
    ],
  });
});

test("a dead letter by its id, at the sink that refused it", patience, async () => {
  await writeFile(path.join(cwd, "object"), `${record("acme")}\n${record("../acme")}\n`);
  expect((await fanout(["run", "object", "--sinks", "file"], {}, cwd)).code).toBe(0);
  const listed = await fanout(["dlq", "list", "--json"], { SINKS: "file" }, cwd);
  const [, id = ""] = /"example":"([^"]+)"/.exec(listed.stdout) ?? [];
  const variables = { ...env, SINKS: "file,mixpanel" };
  const { code, stdout } = await fanout(["explain", id], variables, cwd);
  expect(code).toBe(0);
  expect(stdout).toContain("record 1: scan_completed of ../acme\n");
  expect(stdout).toContain("  file refuses it: TENANT_ID_NO_FOLDER_NAME");
  expect(stdout).not.toContain("mixpanel");
  const elsewhere = await fanout(["explain", id, "--sink", "mixpanel"], env, cwd);
  expect(elsewhere).toMatchObject({
    code: 2,
    stderr: `fanout: the sink file of ${id} is not configured here\n`,
  });
});

test("more records than are wanted are counted", patience, async () => {
  const input = Buffer.from(Array.from({ length: 5 }, (_, n) => record(`tenant-${n}`)).join("\n"));
  const { stdout } = await piped(["explain", "-", "--limit", "2"], input, { SINKS: "file" });
  expect(stdout).toContain("record 1: scan_completed of tenant-1");
  expect(stdout).not.toContain("record 2");
  expect(stdout.trimEnd()).toMatch(/3 more records: --limit shows more\.$/);
});

test.each([
  [
    ["explain", "nowhere"],
    "fanout: there is no file, no folder and no dead letter nowhere; - reads from stdin\n",
  ],
  [["explain", "-", "--limit", "0"], "fanout: --limit must be a whole number, 1 or more\n"],
  [["explain", "-", "--sink", "pigeon"], /there is no sink named "pigeon"/],
])("%j is wrong use", patience, async (args, sentence) => {
  const { code, stdout, stderr } = await fanout(args, { SINKS: "file" }, cwd);
  expect([code, stdout]).toEqual([2, ""]);
  expect(stderr).toEqual(typeof sentence === "string" ? sentence : expect.stringMatching(sentence));
});
