// `npm start`: the main job on generated Firehose objects, with local twins of the four vendors; one is down at first.
import { rmSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { styleText } from "node:util";
import { createHubspotTwin } from "../adapters/hubspot/twin.ts";
import { createMixpanelTwin } from "../adapters/mixpanel/twin.ts";
import { createSegmentTwin } from "../adapters/segment/twin.ts";
import { createTimestreamTwin } from "../adapters/timestream/twin.ts";
import makeConfig from "../config/fanout.config.ts";
import { currentReceipts } from "../src/books/books.ts";
import { exitCodes } from "../src/cli/exit-codes.ts";
import { run } from "../src/cli/run.ts";
import { fittingTable, screenOf } from "../src/cli/words.ts";
import { resolveConfig } from "../src/config.ts";
import { readLetters } from "../src/dead-letter/store.ts";
import { openStore } from "../src/store/open.ts";
import { type Fault, injectFaults, serveTwin } from "../src/testing/index.ts";
import { generateObjects } from "./generate.ts";

const root = path.resolve(".fanout/start");
const busy = path.resolve(".fanout/start.pid");
const folder = (name: string) => path.join(root, name);
const colors = process.stdout.isTTY === true && process.stdout.hasColors();
const say = (text = "") => process.stdout.write(`${text}\n`);
const heading = (text: string) =>
  say(`\n${colors ? styleText("bold", text, { validateStream: false }) : text}`);

// ── what Firehose would have written ────────────────────────────────────────────────────────────────────────

// Two at once would take the ground from under each other's feet.
const holder = Number(await readFile(busy, "utf8").catch(() => "0"));
if (holder > 0 && isAlive(holder)) {
  process.stderr.write(`npm start is running here already (process ${holder}): let it end first\n`);
  process.exit(exitCodes.failed);
}
await mkdir(path.dirname(busy), { recursive: true });
await writeFile(busy, String(process.pid));
process.on("exit", () => rmSync(busy, { force: true }));
await rm(root, { recursive: true, force: true });
const { objects, truth } = generateObjects({ now: Date.now() });
for (const { key, bytes } of objects) {
  await mkdir(path.dirname(path.join(folder("bucket"), key)), { recursive: true });
  await writeFile(path.join(folder("bucket"), key), bytes);
}
heading("1. Firehose has written a few objects");
say(
  `   ${objects.length} objects (GZIP and ZIP, one event a line and concatenated), ${truth.records.toLocaleString("en-US")} records of ` +
    `${Object.keys(truth.byMetric).length} metrics and ${truth.tenants.length} tenants, ${truth.invalid} of them broken`,
);

// ── the vendors, as they document themselves, on loopback ───────────────────────────────────────────────────

const down: Fault = {
  kind: "status",
  status: 503,
  headers: { "content-type": "text/html" },
  body: "<h1>503</h1>",
};
let hubspotIsDown = true;
const twins = {
  timestream: createTimestreamTwin(),
  segment: createSegmentTwin(),
  mixpanel: createMixpanelTwin(),
  "hubspot-events": createHubspotTwin(),
};
const served = {
  timestream: await serveTwin(twins.timestream.handle),
  segment: await serveTwin(twins.segment.handle),
  mixpanel: await serveTwin(twins.mixpanel.handle),
  hubspot: await serveTwin(
    injectFaults(twins["hubspot-events"].handle, () => (hubspotIsDown ? down : undefined)),
  ),
};

/** The same configuration as anywhere else; only the addresses are local. */
const config = () =>
  resolveConfig(makeConfig, {
    env: {
      SINKS: "timestream,segment,mixpanel,hubspot",
      TIMESTREAM_DATABASE: "product",
      AWS_ENDPOINT_URL_TIMESTREAM_WRITE: served.timestream.url,
      SEGMENT_WRITE_KEY: "sample",
      SEGMENT_HOST: served.segment.url,
      MIXPANEL_TOKEN: "token",
      MIXPANEL_HOST: served.mixpanel.url,
      HUBSPOT_ACCESS_TOKEN: "sample",
      HUBSPOT_BASE_URL: served.hubspot.url,
      RECEIPTS: folder("receipts"),
      DEAD_LETTERS: folder("dead-letters"),
    },
  });
// The AWS SDK signs what it sends; the twin takes any signature.
process.env["AWS_REGION"] ??= "us-east-1";
process.env["AWS_ACCESS_KEY_ID"] = "sample";
process.env["AWS_SECRET_ACCESS_KEY"] = "sample";
delete process.env["AWS_SESSION_TOKEN"];

// Ending by `exit`, not by the signal itself, gives a terminal its cursor back.
process.once("SIGINT", () => process.exit(exitCodes.interrupted));

const deliver = async () =>
  run({
    address: folder("bucket"),
    config: await config(),
    json: false,
    deadlineMs: 60_000,
    stdout: process.stdout,
    stderr: process.stderr,
  });

// ── the main job, twice ─────────────────────────────────────────────────────────────────────────────────────

heading("2. fanout run, while HubSpot is down: nobody else waits for it");
const first = await deliver();
heading("3. HubSpot is back; fanout run again delivers what was pending, and nothing else");
hubspotIsDown = false;
const second = await deliver();

heading("4. Dead letters by reason");
interface Cause {
  readonly sink: string;
  readonly code: string;
  readonly reason: string;
  count: number;
}
const causes = new Map<string, Cause>();
const letterStore = openStore(folder("dead-letters"));
for await (const { letters } of currentReceipts(openStore(folder("receipts")))) {
  for (const file of letters) {
    for await (const { fingerprint, sink, code, reason } of readLetters(letterStore, file)) {
      const cause = causes.get(fingerprint) ?? { sink, code, reason, count: 0 };
      cause.count++;
      causes.set(fingerprint, cause);
    }
  }
}
say(
  fittingTable(
    {
      head: ["sink", "code", "first reason", "records"],
      colAligns: ["left", "left", "left", "right"],
    },
    [...causes.values()]
      .sort((a, b) => (a.sink + a.code < b.sink + b.code ? -1 : 1))
      .map(({ sink, code, reason, count }) => [sink, code, reason, String(count)]),
    screenOf(process.stdout),
  ),
);

// ── the proof ───────────────────────────────────────────────────────────────────────────────────────────────

heading("5. The proof: what each vendor holds, counted at the vendor");
const lettersOf = (sink: string) =>
  [...causes.values()].reduce((sum, cause) => sum + (cause.sink === sink ? cause.count : 0), 0);
let proven = first === exitCodes.pending && second === exitCodes.ok && lettersOf("_intake") === truth.invalid;
for (const [sink, { stored }] of Object.entries(twins)) {
  const doubled = [...stored.values()].filter((times) => times > 1).length;
  const closes = stored.size + lettersOf(sink) === truth.valid && doubled === 0;
  proven &&= closes;
  say(
    `   ${sink.padEnd(15)} ${String(stored.size).padStart(5)} stored + ${String(lettersOf(sink)).padStart(2)} dead-lettered ` +
      `= ${truth.valid} valid, ${doubled} twice ${closes ? "✓" : "✗"}`,
  );
}
say(
  `   ${truth.valid} valid + ${truth.invalid} invalid = ${truth.records} records generated: ${proven ? "the books close." : "THE BOOKS DO NOT CLOSE."}`,
);
heading("6. Where it all is");
for (const [name, what] of [
  ["bucket", "the objects, as Firehose names them"],
  ["dead-letters", "a JSON line a record: its bytes and the reason"],
  ["receipts", "who delivered what, and what is left to do"],
] as const) {
  say(`   ${path.relative(process.cwd(), folder(name)).padEnd(28)} ${what}`);
}

await Promise.all(Object.values(served).map((server) => server.close()));
process.exitCode = proven ? 0 : 1;

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
