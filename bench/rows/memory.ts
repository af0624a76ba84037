// Memory must depend on the configuration, not on the object. The command line as it is shipped, compiled: what strips
// the types of the sources takes memory of its own. One object of so much JSON goes to four sinks.
import { fork, spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import * as z from "zod";
import type { VendorUrls } from "../acceptors.ts";
import { writeObject } from "../objects.ts";
import { atMost, megabytes, type Row, type Section, times } from "../row.ts";

/** Megabytes of JSON. */
const sizes = { quick: [5, 32], full: [5, 128, 1000] } as const;
const mostMegabytes = 160;

const repository = fileURLToPath(new URL("../../", import.meta.url));

const reportSchema = z.object({
  records: z.number(),
  balanced: z.literal(true),
  peakRssMiB: z.number(),
  sinks: z.record(z.string(), z.object({ delivered: z.number(), pending: z.literal(0) })),
});

export const memory: Section = {
  name: "memory",
  async measure({ quick, folder }) {
    const main = await compile();
    const vendors = fork(fileURLToPath(new URL("../acceptors.ts", import.meta.url)));
    try {
      // acceptors.ts sends nothing else.
      const urls = (await new Promise((resolve) => vendors.once("message", resolve))) as VendorUrls;
      const rows: Row[] = [];
      let first: number | undefined;
      for (const size of quick ? sizes.quick : sizes.full) {
        const file = await writeObject(folder, { records: size * 2000, bytes: 500, framing: "ndjson" });
        const peak = await peakOf(main, file, urls, folder);
        rows.push(
          atMost(`peak memory, four sinks, ${size} MB of JSON`, peak, mostMegabytes, megabytes),
          ...(first === undefined
            ? []
            : [atMost(`peak memory of ${size} MB against 5 MB`, peak / first, 1.1, times)]),
        );
        first ??= peak;
      }
      return rows;
    } finally {
      vendors.disconnect();
    }
  },
};

/** Compiles what is published into a folder of the bench's own, which finds the repository's packages beside it. */
async function compile(): Promise<string> {
  const out = path.join(repository, ".fanout", "bench");
  await rm(out, { recursive: true, force: true });
  const tsc = path.join(repository, "node_modules", ".bin", "tsc");
  const args = ["--project", "tsconfig.build.json", "--outDir", out, "--declaration", "false"];
  // Wrong types keep nothing from being written, and `npm run check` tells of them.
  const { stdout } = spawnSync(tsc, args, { cwd: repository, encoding: "utf8" });
  const main = path.join(out, "src", "cli", "main.js");
  if (!existsSync(main)) throw new Error(`the sources do not compile: ${stdout}`);
  return main;
}

/** In megabytes. */
async function peakOf(main: string, file: string, urls: VendorUrls, folder: string): Promise<number> {
  const root = await mkdtemp(path.join(folder, "memory-"));
  try {
    const report = reportSchema.parse(JSON.parse(await run(main, file, root, urls)));
    for (const { delivered } of Object.values(report.sinks)) {
      if (delivered !== report.records) throw new Error(`delivered ${delivered} of ${report.records}`);
    }
    return (report.peakRssMiB * 2 ** 20) / 1e6;
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

function run(main: string, file: string, root: string, urls: VendorUrls): Promise<string> {
  const child = spawn(process.execPath, [main, "run", file, "--json", "--deadline", "3600"], {
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
  });
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
