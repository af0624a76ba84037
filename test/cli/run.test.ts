import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Generated, generateObjects } from "../../samples/generate.ts";
import { currentReceipts } from "../../src/books/books.ts";
import { readLetters } from "../../src/dead-letter/store.ts";
import { openStore } from "../../src/store/open.ts";
import { serveTwin } from "../../src/testing/index.ts";
import { fanout, startFanout } from "../support/fanout.ts";
import { createS3Twin } from "../support/s3-twin.ts";
import { serveVendors, sinkNames, type Vendors } from "../support/vendors.ts";

// Every test starts processes; on two busy cores each needs a second or two.
const patience = { timeout: 60_000 };

let cwd: string;
let vendors: Vendors;
let generated: Generated;

beforeEach(async () => {
  cwd = await mkdtemp(path.join(os.tmpdir(), "fanout-run-"));
  vendors = await serveVendors();
  // Few tenants: a new one costs a second, since Timestream creates one table a second.
  generated = generateObjects({ now: Date.now(), records: 600, objects: 4, tenants: 2 });
  for (const { key, bytes } of generated.objects) {
    const file = path.join(cwd, "bucket", key);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, bytes);
  }
});

afterEach(async () => {
  await vendors.close();
  await rm(cwd, { recursive: true, force: true });
});

const env = (more: Readonly<Record<string, string>> = {}) => ({ ...vendors.env, ...more });

/** The dead letters that receipts name, by sink; a run that was killed leaves others, which do not count. */
async function lettersBySink(): Promise<Record<string, number>> {
  const folder = (name: string) => openStore(path.join(cwd, ".fanout", name));
  const counts: Record<string, number> = {};
  for await (const { letters } of currentReceipts(folder("receipts"))) {
    for (const file of letters) {
      expect(file).toMatch(/^sink=[^/]+\/date=\d{4}-\d{2}-\d{2}\/[^/]+\.jsonl\.gz$/);
      for await (const { sink } of readLetters(folder("dead-letters"), file)) {
        counts[sink] = (counts[sink] ?? 0) + 1;
      }
    }
  }
  return counts;
}

describe("fanout run", () => {
  test(
    "delivers a folder to four tools, proves it with one JSON document, and a second run delivers nothing",
    patience,
    async () => {
      const first = await fanout(["run", "bucket", "--json"], env(), cwd);
      expect(first).toMatchObject({ code: 0, stderr: "" });
      const report = JSON.parse(first.stdout);
      const { records, valid, invalid } = generated.truth;
      expect(report).toMatchObject({ objects: 4, records, valid, invalid, balanced: true });
      expect(Object.keys(report)).toEqual([
        "objects",
        "failed",
        "records",
        "valid",
        "invalid",
        "sinks",
        "balanced",
        "seconds",
        "peakRssMiB",
      ]);
      expect(Object.keys(report.sinks)).toEqual([...sinkNames]);
      const letters = await lettersBySink();
      expect(letters["_intake"]).toBe(invalid);
      for (const name of sinkNames) {
        const sink = report.sinks[name];
        expect(Object.keys(sink)).toEqual([
          "valid",
          "delivered",
          "filtered",
          "deadLettered",
          "pending",
          "requests",
          "retries",
        ]);
        expect(sink).toMatchObject({
          valid,
          delivered: vendors.stored[name].size,
          deadLettered: letters[name] ?? 0,
          pending: 0,
        });
        expect([...vendors.stored[name].values()].every((times) => times === 1)).toBe(true);
      }

      const requests = { ...vendors.requests };
      const second = await fanout(["run", "bucket", "--json"], env(), cwd);
      expect(second.code).toBe(0);
      expect(JSON.parse(second.stdout)).toMatchObject({
        objects: 4,
        records: 0,
        sinks: { mixpanel: { valid: 0, delivered: 0 } },
      });
      expect(vendors.requests).toEqual(requests);
    },
  );

  test(
    "gives the same report for the same objects in a folder and in S3, books and letters in S3 too",
    patience,
    async () => {
      const s3 = createS3Twin({ buckets: ["events", "books"] });
      for (const { key, bytes } of generated.objects) s3.put("events", key, bytes);
      const served = await serveTwin(s3.handle);
      const other = await serveVendors();
      try {
        const places = { RECEIPTS: "s3://books/receipts", DEAD_LETTERS: "s3://books/dead-letters" };
        const s3Env = { ...other.env, ...places, AWS_ENDPOINT_URL_S3: served.url };
        const fromFolder = await fanout(["run", "bucket", "--json"], env(), cwd);
        const fromS3 = await fanout(["run", "s3://events/Data/", "--json"], s3Env, cwd);
        expect([fromFolder.code, fromS3.code, fromS3.stderr]).toEqual([0, 0, ""]);
        const comparable = (text: string) => ({ ...JSON.parse(text), seconds: 0, peakRssMiB: 0 });
        expect(comparable(fromS3.stdout)).toEqual(comparable(fromFolder.stdout));
        for (const name of sinkNames) {
          expect(other.stored[name].size).toBe(vendors.stored[name].size);
        }
        expect(s3.keys("books", "dead-letters/sink=_intake/").length).toBeGreaterThan(0);
        const again = await fanout(["run", "s3://events/Data/", "--json"], s3Env, cwd);
        expect(JSON.parse(again.stdout)).toMatchObject({ objects: 4, records: 0 });
      } finally {
        await served.close();
        await other.close();
      }
    },
  );

  test(
    "exits 3 while one tool is down, leaves the others as they are, and a later run drains it",
    patience,
    async () => {
      vendors.faults["hubspot-events"] = { kind: "status", status: 503, body: "<h1>down</h1>" };
      const first = await fanout(["run", "bucket", "--json"], env(), cwd);
      expect(first.code).toBe(3);
      const report = JSON.parse(first.stdout);
      const { valid } = generated.truth;
      expect(report.balanced).toBe(true);
      expect(report.sinks["hubspot-events"].pending + report.sinks["hubspot-events"].deadLettered).toBe(
        valid,
      );
      for (const name of ["timestream", "segment", "mixpanel"] as const)
        expect(report.sinks[name].pending).toBe(0);
      expect(first.stderr).toContain("hubspot-events: records are pending: HubSpot answered 503");

      delete vendors.faults["hubspot-events"];
      const requests = { ...vendors.requests };
      const second = await fanout(["run", "bucket", "--json"], env(), cwd);
      expect(second.code).toBe(0);
      expect(JSON.parse(second.stdout).sinks["hubspot-events"].delivered).toBe(
        vendors.stored["hubspot-events"].size,
      );
      expect(vendors.stored["hubspot-events"].size).toBe(
        valid - ((await lettersBySink())["hubspot-events"] ?? 0),
      );
      expect(vendors.requests.mixpanel).toBe(requests.mixpanel);
    },
  );

  test(
    "a table for people: every sink in a row, the books, the dead letters, what is pending",
    patience,
    async () => {
      vendors.faults.mixpanel = { kind: "status", status: 401, body: "{}" };
      const { code, stdout } = await fanout(["run", "bucket"], env(), cwd);
      expect(code).toBe(3);
      for (const name of sinkNames) expect(stdout).toMatch(new RegExp(`│ ${name} +│`));
      expect(stdout).toContain("The books close");
      expect(stdout).toMatch(/dead letters under file:\/\/.*\.fanout\/dead-letters/);
      expect(stdout).toContain(
        "mixpanel: Mixpanel answered 401: check its credentials and their permissions",
      );
      for (const line of stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(120);
    },
  );

  test(
    "loses nothing when it is killed in the middle and run again, and doubles no more than the unfinished objects",
    patience,
    async () => {
      vendors.faults.segment = { kind: "delay", ms: 400 };
      vendors.faults.mixpanel = { kind: "delay", ms: 400 };
      const running = startFanout(["run", "bucket", "--json"], env(), cwd);
      while (vendors.requests.mixpanel < 3) await new Promise((resolve) => setTimeout(resolve, 5));
      running.process.kill("SIGKILL");
      await running.finished;
      delete vendors.faults.segment;
      delete vendors.faults.mixpanel;
      const again = await fanout(["run", "bucket", "--json"], env(), cwd);
      expect(again).toMatchObject({ code: 0, stderr: "" });
      const letters = await lettersBySink();
      const { valid } = generated.truth;
      for (const name of sinkNames) {
        // The twins count by id, so an id that changed between the two runs would be one too many.
        expect(vendors.stored[name].size).toBe(valid - (letters[name] ?? 0));
        expect(Math.max(...vendors.stored[name].values())).toBeLessThanOrEqual(2);
      }
      expect(letters["_intake"]).toBe(generated.truth.invalid);
    },
  );

  test(
    "two at once: each object is delivered by one of them, the other says who has it",
    patience,
    async () => {
      vendors.faults.segment = { kind: "delay", ms: 300 };
      const both = await Promise.all([
        fanout(["run", "bucket", "--json"], env(), cwd),
        fanout(["run", "bucket", "--json"], env(), cwd),
      ]);
      const delivered = both.map(({ stdout }) => JSON.parse(stdout).sinks.segment.delivered);
      expect(delivered[0] + delivered[1]).toBe(vendors.stored.segment.size);
      expect([...vendors.stored.segment.values()].every((times) => times === 1)).toBe(true);
      for (const { code, stderr } of both) {
        if (code === 0) continue;
        expect(code).toBe(1);
        expect(stderr).toContain("another worker has claimed");
      }
    },
  );
});

describe("the file sink", () => {
  test("needs no vendor: a line an event, in a file a tenant and day", patience, async () => {
    const { code, stdout } = await fanout(
      ["run", "bucket", "--sinks", "file", "--json"],
      { FILE_DIRECTORY: "out" },
      cwd,
    );
    expect(code).toBe(0);
    const files = (await readdir(path.join(cwd, "out"), { recursive: true })).filter((name) =>
      name.endsWith(".ndjson"),
    );
    let lines = 0;
    for (const file of files)
      lines += (await readFile(path.join(cwd, "out", file), "utf8")).trimEnd().split("\n").length;
    expect(lines).toBe(JSON.parse(stdout).sinks.file.delivered);
    expect(lines).toBeGreaterThan(600);
  });

  test(
    "leaves out what Firehose keeps of its transform's refusals, and says where it is",
    patience,
    async () => {
      await mkdir(path.join(cwd, "bucket/Error/processing-failed"), { recursive: true });
      await writeFile(
        path.join(cwd, "bucket/Error/processing-failed/x"),
        '{"rawData":"e30=","attemptsMade":"1"}',
      );
      const { stdout, stderr } = await fanout(["run", "bucket", "--sinks", "file", "--json"], env(), cwd);
      expect(JSON.parse(stdout)).toMatchObject({ objects: 4, invalid: generated.truth.invalid });
      expect(stderr).toMatch(/1 object below .*bucket\/Error\/ left out: .*fanout dlq list --queue /);
    },
  );
});
