// Writes the tables of docs/errors.md from those of the sources: `npm run docs:errors`. With --check it only says
// whether the page is what it would write. Runs on the pinned Node, which reads the .ts sources.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { resolveConfig } from "../src/config.ts";
import { deliveryRefusals } from "../src/dead-letter/refusals.ts";
import { intakeRefusals } from "../src/intake/refusals.ts";
import { failureAdvice } from "../src/lambda/failures.ts";
import { transformRefusals } from "../src/lambda/refusals.ts";

const root = new URL("../", import.meta.url);
const page = new URL("docs/errors.md", root);
const mark = "<!-- From here on the page is written by `npm run docs:errors`. -->\n";

/** Values that every sink accepts; nothing is sent. */
const env = {
  SINKS: "file,hubspot-companies,hubspot-events,mixpanel,segment,segment-groups,timestream,webhook",
  TIMESTREAM_DATABASE: "none",
  AWS_REGION: "eu-west-1",
  SEGMENT_WRITE_KEY: "none",
  MIXPANEL_TOKEN: "none",
  HUBSPOT_ACCESS_TOKEN: "none",
  WEBHOOK_URL: "https://none.test",
  WEBHOOK_SECRET: `whsec_${"none".repeat(8)}`,
};

const written = readFileSync(page, "utf8");
const head = written.slice(0, written.indexOf(mark));
if (head === "") throw new Error(`docs/errors.md has lost its line ${mark}`);
const whole = `${head}${mark}\n${await body()}`;

if (!process.argv.includes("--check")) {
  writeFileSync(page, whole);
} else if (written !== whole) {
  console.error("docs/errors.md is not what the sources' tables say: run npm run docs:errors.");
  process.exitCode = 1;
}

async function body() {
  const config = await import("../config/fanout.config.ts");
  const { sinks } = await resolveConfig(config.default, { env });
  for (const adapter of readdirSync(new URL("adapters", root))) {
    if (!sinks.some(({ name, refusals }) => name.startsWith(adapter) && refusals !== undefined)) {
      throw new Error(
        `${fileURLToPath(import.meta.url)} makes no sink of adapters/${adapter} that has refusals`,
      );
    }
  }
  // Sinks that share a table share a section.
  const tables = new Map();
  for (const { name, refusals } of sinks.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    tables.set(refusals, [...(tables.get(refusals) ?? []), `\`${name}\``]);
  }
  const sections = [
    section(
      "Records that are no event",
      "Letters of `_intake`, stage `intake`: one a record, whatever the number of sinks.",
      intakeRefusals,
    ),
    section(
      "Any sink",
      "The core gives these for every sink: `ENCODE_FAILED` and `ITEM_TOO_LARGE` before anything is sent, those of " +
        "HTTP for a reply that refuses a request down to this one record, `NOT_DELIVERED` in a replay. What a sink " +
        "says of the same code in its own table comes first.",
      deliveryRefusals,
    ),
    ...[...tables].map(([refusals, names]) => section(names.join(", "), undefined, refusals)),
    section(
      "Records that the stream's transform refuses",
      "No letter: Firehose keeps the record as it came, under the stream's error prefix, and the transform's log has " +
        "how many were refused with which code and reason. A code of “Records that are no event” means the same here. " +
        "`fanout dlq` with `--queue s3://<bucket>/Error/processing-failed/` lists them, says what today's catalog " +
        "makes of them, and puts them back into the stream.",
      transformRefusals,
    ),
    section(
      "Notifications that are not acknowledged",
      "No letter: the object stays where it is, and the log of the Lambda function has the code beside " +
        "“a notification failed and is not acknowledged”. The queue delivers the message again, and in the end " +
        "moves it to its own dead-letter queue.",
      failureAdvice,
    ),
  ];
  return sections.join("\n");
}

function section(title, text, advice) {
  const rows = Object.keys(advice)
    .sort()
    .map((code) => `| \`${code}\` | ${cell(advice[code].meaning)} | ${cell(advice[code].action)} |\n`);
  const lead = text === undefined ? "" : `${text}\n\n`;
  return `## ${title}\n\n${lead}| code | meaning | what to do |\n|---|---|---|\n${rows.join("")}`;
}

function cell(text) {
  return text.replaceAll("|", "\\|");
}
