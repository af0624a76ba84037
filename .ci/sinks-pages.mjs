// Writes what docs/sinks.md and docs/sinks/ say of the sources: score cards, limits, codes, costs and a preview, each
// between its marks. `npm run docs:sinks`; with --check it only says whether the pages are what it would write.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { adviceFor } from "../src/dead-letter/refusals.ts";
import { conformanceCases, scoreSink, virtualClock } from "../src/testing/index.ts";

const root = fileURLToPath(new URL("../", import.meta.url));
const folders = readdirSync(`${root}adapters`).sort();
const subjects = [];
for (const folder of folders) {
  const { default: given } = await import(`../adapters/${folder}/twin.ts`);
  for (const subject of [given].flat()) {
    subjects.push({ folder, subject, sink: subject.sink(virtualClock()) });
  }
}

const pages = ["docs/sinks.md", ...folders.map((folder) => `docs/sinks/${folder}.md`)];
const writers = { explain, cases, score, cost, limits, refusals };
const stale = [];
for (const page of pages) {
  const written = readFileSync(`${root}${page}`, "utf8");
  const whole = await fill(page, written);
  if (whole === written) continue;
  stale.push(page);
  if (!process.argv.includes("--check")) writeFileSync(`${root}${page}`, whole);
}
if (process.argv.includes("--check") && stale.length > 0) {
  console.error(`${stale.join(", ")}: not what the sources say: run npm run docs:sinks.`);
  process.exitCode = 1;
}

/** Replaces what stands between a mark and the next end. */
async function fill(page, text) {
  const mark = /(<!-- (\w+): written by `npm run docs:sinks` -->\n)[\s\S]*?(<!-- end -->)/g;
  const parts = [];
  let at = 0;
  for (const [whole, head, name, end] of text.matchAll(mark)) {
    const start = text.indexOf(whole, at);
    if (writers[name] === undefined) throw new Error(`${page} has the unknown mark ${name}`);
    parts.push(text.slice(at, start), head, "\n", await writers[name](page), "\n", end);
    at = start + whole.length;
  }
  if (parts.length === 0) throw new Error(`${page} has no mark to be filled`);
  return parts.join("") + text.slice(at);
}

/** What the command says of the samples, with variables that stand for nobody's. */
function explain() {
  const args = ["src/cli/main.ts", "explain", "samples/events.ndjson", "--sink", "mixpanel,timestream"];
  const env = {
    PATH: process.env.PATH,
    AWS_REGION: "eu-west-1",
    TIMESTREAM_DATABASE: "product",
    MIXPANEL_TOKEN: "t",
  };
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, env, encoding: "utf8" });
  if (status !== 0) throw new Error(`fanout explain failed: ${stderr}`);
  return `\`\`\`text\n${stdout}\`\`\`\n`;
}

function cases() {
  return table(
    ["case", "promise"],
    conformanceCases.map(({ name, promise }) => [name, promise]),
  );
}

async function score() {
  const rows = [];
  const reasons = new Map();
  for (const { folder, subject } of subjects) {
    const { sink, kept, broken, skipped, cases: scores } = await scoreSink(subject);
    if (broken > 0) throw new Error(`${sink} does not certify: npm run fanout -- certify adapters/${folder}`);
    rows.push([`[\`${sink}\`](sinks/${folder}.md)`, kept, skipped, broken]);
    for (const { verdict, name, reason } of scores) {
      if (verdict !== "skipped") continue;
      const { sinks, names } = reasons.get(reason) ?? { sinks: new Set(), names: new Set() };
      reasons.set(reason, { sinks: sinks.add(`\`${sink}\``), names: names.add(name) });
    }
  }
  const why = [...reasons].map(([reason, { sinks, names }]) => [
    [...sinks].join(", "),
    [...names].join("; "),
    reason,
  ]);
  return `${table(["sink", "kept", "skipped", "broken"], rows)}\n${table(["skipped by", "cases", "because"], why)}`;
}

function cost() {
  const rows = folders.map((folder) => {
    const files = readdirSync(`${root}adapters/${folder}`);
    const twins = files.filter((file) => file.endsWith("twin.ts"));
    const own = files.filter((file) => !twins.includes(file));
    const sum = (names) => names.reduce((lines, name) => lines + linesOf(`adapters/${folder}/${name}`), 0);
    const sinks = subjects.filter((each) => each.folder === folder).map(({ sink }) => `\`${sink.name}\``);
    return [sinks.join(", "), own.length, rounded(sum(own)), twins.length, rounded(sum(twins))];
  });
  const template = (name) => linesOf(`src/cli/templates/${name}.txt`);
  rows.unshift(["what `new-sink` writes", 1, rounded(template("index")), 1, rounded(template("twin"))]);
  return table(["sink", "files", "lines", "twin's files", "twin's lines"], rows);
}

/** To the next ten, so that not every edit changes a page. */
function rounded(lines) {
  return Math.ceil(lines / 10) * 10;
}

function linesOf(file) {
  return readFileSync(`${root}${file}`, "utf8").trimEnd().split("\n").length;
}

/** The sinks of a vendor's page. */
function sinksOf(page) {
  return subjects.filter(({ folder }) => page === `docs/sinks/${folder}.md`).map(({ sink }) => sink);
}

function limits(page) {
  const names = [
    ["items a request", ({ itemsPerRequest }) => itemsPerRequest],
    ["bytes a request, the envelope's among them", ({ bytesPerRequest }) => bytesPerRequest],
    ["bytes an item", ({ bytesPerItem }) => bytesPerItem],
    ["requests at once", ({ concurrency }) => concurrency],
    ["requests a second", ({ requestsPerSecond }) => requestsPerSecond ?? "no limit"],
    ["seconds a request", ({ timeoutMs = 30_000 }) => timeoutMs / 1000],
  ];
  const sinks = sinksOf(page);
  const rows = names.map(([name, of]) => [
    name,
    ...sinks.map((sink) => of(sink.limits).toLocaleString("en-US")),
  ]);
  return table(["limit", ...sinks.map(({ name }) => `\`${name}\``)], rows);
}

function refusals(page) {
  const sinks = sinksOf(page);
  const codes = new Set(sinks.flatMap((sink) => Object.keys(sink.refusals ?? {})));
  const rows = [...codes].sort().map((code) => {
    const having = sinks.filter((sink) => Object.hasOwn(sink.refusals ?? {}, code));
    const { meaning, action } = adviceFor(code, having[0]?.refusals);
    const of =
      having.length === sinks.length ? "" : ` (${having.map(({ name }) => `\`${name}\``).join(", ")})`;
    return [`\`${code}\`${of}`, meaning, action];
  });
  return table(["code", "meaning", "what to do"], rows);
}

function table(head, rows) {
  const line = (cells) => `| ${cells.map((cell) => String(cell).replaceAll("|", "\\|")).join(" | ")} |\n`;
  return `${line(head)}|${head.map(() => "---|").join("")}\n${rows.map(line).join("")}`;
}
