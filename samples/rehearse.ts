// `fanout rehearse`: what the pipeline makes of a bus event, stage by stage, on this machine.
import { readFile } from "node:fs/promises";
import path from "node:path";
import metrics from "../config/metrics/index.ts";
import type { Compression } from "../infra/stream.ts";
import { type ExitCode, exitCodes } from "../src/cli/exit-codes.ts";
import { renderTable } from "../src/cli/table.ts";
import { ConfigError, type JsonObject, sampleBusEvent } from "../src/index.ts";
import { createRehearsal, rehearsedSinks, type Story } from "./rehearsal.ts";

const say = (text = "") => process.stdout.write(`${text}\n`);
const shorten = (text: string, longest = 2000) =>
  text.length > longest ? `${text.slice(0, longest)}… (${text.length} characters)` : text;
const count = (number: number, one: string) => `${number} ${one}${number === 1 ? "" : "s"}`;

export interface RehearseRequest {
  /** A file with an event as a bus carries it; undefined for the sample of every metric of the catalog. */
  readonly file: string | undefined;
  /** As the command line has it; undefined for all of them. */
  readonly compression: string | undefined;
}

/** @throws {ConfigError} when the request makes no sense, or the file holds no event. */
export async function rehearse({ file, compression: wanted }: RehearseRequest): Promise<ExitCode> {
  const compressions = (["GZIP", "ZIP"] as const).filter(
    (name) => wanted === undefined || wanted.toUpperCase() === name,
  );
  if (compressions.length === 0) throw new ConfigError(["--compression must be GZIP or ZIP"]);
  const event = file === undefined ? undefined : await readEvent(file);
  // The AWS SDK signs what it sends; the twin takes any signature.
  process.env["AWS_ACCESS_KEY_ID"] = "rehearsal";
  process.env["AWS_SECRET_ACCESS_KEY"] = "rehearsal";
  delete process.env["AWS_SESSION_TOKEN"];
  const rehearsal = await createRehearsal({ metrics });
  try {
    if (event === undefined) return await rehearseAll();
    for (const compression of compressions.slice(0, 1))
      tell(await rehearsal.run(event, compression), compression);
    return exitCodes.ok;
  } finally {
    await rehearsal.close();
  }

  /** Every metric must reach the sinks that the catalog names for it, once, and no other. */
  async function rehearseAll(): Promise<ExitCode> {
    let isRight = true;
    const rows: (readonly string[])[] = [];
    for (const compression of compressions) {
      for (const metric of metrics) {
        const id = crypto.randomUUID();
        const story = await rehearsal.run({ ...sampleBusEvent(metric), id }, compression);
        const cells = rehearsedSinks.map((sink) => {
          const wanted = Object.hasOwn(metric.sinks, sink) ? 1 : 0;
          const stored = story.stored[sink];
          isRight &&= stored === wanted;
          return stored === wanted ? (wanted === 1 ? "✓" : "–") : `✗ ${stored} instead of ${wanted}`;
        });
        const through = story.matched.length === 1 && story.givenBack === 0;
        isRight &&= through;
        rows.push([metric.name, compression, through ? "✓" : "✗", ...cells]);
      }
    }
    say(renderTable({ head: ["metric", "batch", "rule", ...rehearsedSinks] }, rows, false));
    say(
      isRight
        ? `All ${metrics.length} metrics reach the tools that the catalog names, once, and no other.`
        : "Not every metric reaches what the catalog names; rehearse it by itself to see where it stops.",
    );
    return isRight ? exitCodes.ok : exitCodes.failed;
  }
}

async function readEvent(file: string): Promise<JsonObject> {
  const name = path.relative("", file);
  const text = await readFile(file, "utf8").catch(() => undefined);
  if (text === undefined) throw new ConfigError([`${name} cannot be read`]);
  try {
    const value: unknown = JSON.parse(text);
    // An object out of JSON holds JSON.
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as JsonObject;
  } catch {
    // It is told below, like JSON of another kind.
  }
  throw new ConfigError([`${name} is not a JSON object, which an event on a bus is`]);
}

function tell(
  { matched, transformed, causes, objects, givenBack, report, stored }: Story,
  compression: Compression,
): void {
  say("1. The rules");
  if (matched.length === 0)
    say("   None of the catalog's patterns matches: source, detail-type or the rest differ.");
  for (const { metric, bus } of matched) say(`   ${metric}, on the bus ${bus}, matches`);
  say("2. Their transformers put into the stream");
  for (const { record, tooLarge } of matched) {
    say(`   ${shorten(record)}`);
    if (tooLarge) say("   … which is larger than 1,000 KiB: to the rules' dead-letter queue");
  }
  say("3. The transform");
  for (const each of transformed) {
    const data = each.result === "Ok" ? shorten(Buffer.from(each.data, "base64").toString().trimEnd()) : "";
    say(`   ${each.result} ${data}`);
  }
  for (const cause of causes) say(`   … ${cause}`);
  say(`4. The stream writes, ${compression}`);
  for (const { key, bytes } of objects) say(`   ${key}, ${count(bytes, "byte")}`);
  say("5. The worker");
  if (givenBack > 0) say(`   ${count(givenBack, "notification")} given back`);
  if (report !== undefined) {
    say(`   ${count(report.records, "record")} read: ${report.valid} valid, ${report.invalid} invalid`);
  }
  say("6. The tools");
  const rows = rehearsedSinks.map((sink) => {
    const { delivered = 0, filtered = 0, deadLettered = 0, pending = 0 } = report?.sinks[sink] ?? {};
    return [sink, delivered, filtered, deadLettered, pending, stored[sink]];
  });
  const head = ["sink", "delivered", "filtered", "dead letters", "pending", "held by the tool"];
  say(renderTable({ head, colAligns: ["left", "right", "right", "right", "right", "right"] }, rows, false));
}
