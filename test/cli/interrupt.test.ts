import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { injectFaults, type ServedTwin, serveTwin } from "../../src/testing/index.ts";
import { fanout, startFanout } from "../support/fanout.ts";
import { createS3Twin } from "../support/s3-twin.ts";
import { serveVendors, type Vendors } from "../support/vendors.ts";

// Every test starts processes; on two busy cores each needs a second or two.
const patience = { timeout: 60_000 };
const records = 50;

let cwd: string;
let vendors: Vendors;
let env: Record<string, string>;
beforeEach(async () => {
  cwd = await mkdtemp(path.join(os.tmpdir(), "fanout-interrupt-"));
  vendors = await serveVendors();
  env = { ...vendors.env, SINKS: "segment,mixpanel" };
  await mkdir(path.join(cwd, "in"));
  for (let object = 0; object < 8; object++) {
    const lines = Array.from({ length: records }, (_, index) =>
      JSON.stringify({
        metric_name: "scan_completed",
        metadata: { tenant_id: "acme", event_id: `e${object}-${index}` },
        data: { event_time: new Date().toISOString() },
      }),
    );
    await writeFile(path.join(cwd, `in/batch-${object}`), lines.join("\n"));
  }
});
afterEach(async () => {
  await vendors.close();
  await rm(cwd, { recursive: true, force: true });
});

const until = (condition: () => boolean) =>
  expect.poll(condition, { interval: 10, timeout: 20_000 }).toBe(true);

describe("an interruption", () => {
  test.each(["SIGINT", "SIGTERM"] as const)(
    "by %s writes the books and tells them, with exit 130; a second run delivers the rest",
    patience,
    async (signal) => {
      vendors.faults.mixpanel = { kind: "hang" };
      const running = startFanout(["run", "in", "--json"], env, cwd);
      await until(() => vendors.requests.mixpanel > 0 && vendors.stored.segment.size > 0);
      // Twice at once: npm passes on what a terminal has sent already.
      running.process.kill(signal);
      running.process.kill(signal);
      const { code, stdout, stderr } = await running.finished;
      expect(code).toBe(130);
      const report = JSON.parse(stdout);
      expect(report.balanced).toBe(true);
      // Four objects at once, and none was begun after the signal.
      expect(report.objects).toBe(4);
      expect(report.sinks.mixpanel).toMatchObject({ delivered: 0, pending: report.valid });
      // A request under way is given up: what the vendor has stored of it is not known, so it is pending.
      expect(report.sinks.segment.delivered).toBeLessThanOrEqual(vendors.stored.segment.size);
      expect(stderr).toContain("fanout: ending, as asked; a second signal stops at once\n");

      delete vendors.faults.mixpanel;
      const again = await fanout(["run", "in", "--json"], env, cwd);
      expect(again).toMatchObject({ code: 0, stderr: "" });
      for (const stored of [vendors.stored.segment, vendors.stored.mixpanel]) {
        expect(stored.size).toBe(8 * records);
        expect(Math.max(...stored.values())).toBeLessThanOrEqual(2);
      }
    },
  );

  test("is told to people as a table that names what was not begun", patience, async () => {
    vendors.faults.mixpanel = { kind: "hang" };
    const running = startFanout(["run", "in"], env, cwd);
    await until(() => vendors.requests.mixpanel > 0);
    running.process.kill("SIGINT");
    const { code, stdout } = await running.finished;
    expect(code).toBe(130);
    expect(stdout).toContain("4 objects are not begun: run the same command again.");
  });

  test("a second one ends the process at once, and a later run goes on", patience, async () => {
    const s3 = createS3Twin({ buckets: ["books"] });
    let isStuck = true;
    let stuck = 0;
    const served: ServedTwin = await serveTwin(
      injectFaults(s3.handle, (request) => {
        // A receipt that is never stored: the first interruption waits for it.
        if (!isStuck || request.method !== "PUT" || vendors.requests.segment === 0) return undefined;
        stuck++;
        return { kind: "hang" };
      }),
    );
    try {
      const s3Env = { ...env, SINKS: "segment", RECEIPTS: "s3://books/r", AWS_ENDPOINT_URL_S3: served.url };
      const running = startFanout(["run", "in", "--json"], s3Env, cwd);
      await until(() => stuck > 0);
      let ended = false;
      void running.finished.then(() => {
        ended = true;
      });
      // Impatience: again and again, until it counts as a second time.
      await until(() => !running.process.kill("SIGINT") || ended);
      expect(await running.finished).toMatchObject({ code: 130, stdout: "" });

      isStuck = false;
      const again = await fanout(["run", "in", "--json"], s3Env, cwd);
      expect(again.code).toBe(0);
      expect(vendors.stored.segment.size).toBe(8 * records);
    } finally {
      await served.close();
    }
  });
});
