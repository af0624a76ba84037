// Memory must depend on the configuration, not on the object: `npm run bench:memory [-- MB …]`, default 5 128 1000.
// As it is shipped, from dist: what strips the types of the sources takes memory of its own. One gzip object of so much JSON goes through the command line to four sinks; the vendors are another process.
import { fork, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { createGzip } from "node:zlib";
import Table from "cli-table3";
import * as z from "zod";

const sizes = process.argv.length > 2 ? process.argv.slice(2).map(Number) : [5, 128, 1000];
const local = (file: string) => fileURLToPath(new URL(file, import.meta.url));

const urlsSchema = z.object({
  timestream: z.string(),
  segment: z.string(),
  mixpanel: z.string(),
  hubspot: z.string(),
});
const reportSchema = z.object({
  records: z.number(),
  balanced: z.literal(true),
  seconds: z.number(),
  peakRssMiB: z.number(),
  sinks: z.record(z.string(), z.object({ delivered: z.number(), pending: z.literal(0) })),
});

const vendors = fork(local("support/acceptors.ts"));
const urls = urlsSchema.parse(await new Promise((resolve) => vendors.once("message", resolve)));
const table = new Table({
  head: ["JSON", "records", "records/s", "peak RSS", "of the first"],
  style: { head: [], border: [] },
});
let first: number | undefined;
for (const megabytes of sizes) {
  const root = await mkdtemp(path.join(tmpdir(), "fanout-memory-"));
  try {
    await writeObject(path.join(root, "bucket.gz"), megabytes * 1e6);
    const report = reportSchema.parse(JSON.parse(await run(root)));
    for (const { delivered } of Object.values(report.sinks)) {
      if (delivered !== report.records) throw new Error(`delivered ${delivered} of ${report.records}`);
    }
    first ??= report.peakRssMiB;
    table.push([
      `${megabytes} MB`,
      report.records,
      Math.round(report.records / report.seconds),
      `${report.peakRssMiB} MiB`,
      (report.peakRssMiB / first).toFixed(2),
    ]);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}
vendors.disconnect();
console.log(table.toString());

/** Events of about 500 bytes, ten tenants, six metrics. */
function* lines(bytes: number): Generator<string> {
  const start = Date.now() - 3_600_000;
  for (let index = 0, written = 0; written < bytes; index++) {
    const line = `${JSON.stringify({
      metric_name: `metric_${index % 6}`,
      metadata: {
        tenant_id: `tenant-${index % 10}`,
        event_id: `event-${index}`,
        user_id: `user-${index % 1000}`,
        environment: "production",
        service: "findings-api",
      },
      data: {
        event_time: new Date(start + index).toISOString(),
        new_findings_count: index % 17,
        duration_ms: index % 977,
        succeeded: index % 3 > 0,
        scanner: "static-analysis",
        note: "the quick brown fox jumps over the lazy dog, ".repeat(5),
      },
    })}\n`;
    written += line.length;
    yield line;
  }
}

async function writeObject(file: string, bytes: number): Promise<void> {
  await pipeline(Readable.from(lines(bytes)), createGzip({ level: 1 }), createWriteStream(file));
}

function run(root: string): Promise<string> {
  const child = spawn(
    process.execPath,
    [local("../dist/src/cli/main.js"), "run", path.join(root, "bucket.gz"), "--json", "--deadline", "3600"],
    {
      stdio: ["ignore", "pipe", "inherit"],
      env: {
        ...process.env,
        SINKS: "timestream,segment,mixpanel,hubspot",
        AWS_REGION: "us-east-1",
        AWS_ACCESS_KEY_ID: "bench",
        AWS_SECRET_ACCESS_KEY: "bench",
        TIMESTREAM_DATABASE: "product",
        AWS_ENDPOINT_URL_TIMESTREAM_WRITE: urls.timestream,
        SEGMENT_WRITE_KEY: "key",
        SEGMENT_HOST: urls.segment,
        MIXPANEL_TOKEN: "token",
        MIXPANEL_HOST: urls.mixpanel,
        HUBSPOT_ACCESS_TOKEN: "token",
        HUBSPOT_BASE_URL: urls.hubspot,
        RECEIPTS: path.join(root, "receipts"),
        DEAD_LETTERS: path.join(root, "dead-letters"),
      },
    },
  );
  return new Promise((resolve, reject) => {
    let text = "";
    child.stdout.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
    child.on("error", reject);
    child.on("close", (code) =>
      code === 0 ? resolve(text) : reject(new Error(`fanout ended with ${code}`)),
    );
  });
}
