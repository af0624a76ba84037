// `fanout explain`: what each sink would receive of given events, or why it would not, without sending anything.
import { createWriteStream, existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import { hashOf } from "../books/books.ts";
import { ConfigError, type FanoutConfig } from "../config.ts";
import { type DeadLetter, intakeLane, recordBytes } from "../dead-letter/dead-letter.ts";
import { letterId } from "../dead-letter/filter.ts";
import { judgeLetter } from "../dead-letter/judge.ts";
import { visitLetters } from "../dead-letter/query.ts";
import { adviceFor } from "../dead-letter/refusals.ts";
import { type Preview, preview } from "../delivery/preview.ts";
import type { Sink } from "../delivery/sink.ts";
import type { JsonValue, MetricEvent } from "../event.ts";
import { readEvents } from "../intake/events.ts";
import { everywhere } from "../routing/route.ts";
import { openSource, openStore, sourceObjects } from "../store/open.ts";
import { defaultLimits } from "../worker.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { redact } from "./redact.ts";
import { count, painter, printable, type Screen, screenOf, wrap } from "./words.ts";

export interface ExplainCommand {
  /** A file or folder, `s3://…`, the id of a dead letter, or `-` for stdin. */
  readonly what: string;
  readonly config: FanoutConfig;
  /** Records to explain; the others are counted. */
  readonly limit: number;
  readonly json: boolean;
  readonly stdin: AsyncIterable<Uint8Array>;
  readonly stdout: NodeJS.WriteStream;
}

/** A record, and what it is: a valid event, or no event and why. */
type Given = { readonly index: number } & (
  | { readonly event: MetricEvent }
  | { readonly code: string; readonly reason: string }
);

interface Source {
  /** Whatever the number of records, in order. */
  readonly records: AsyncIterable<Given>;
  readonly sinks: readonly Sink<unknown>[];
}

/**
 * @throws {ConfigError} when the id means no letter, or several.
 * @throws {StoreError} when there is nothing to read, or a store cannot be read.
 */
export async function explain(command: ExplainCommand): Promise<ExitCode> {
  const { what, config, stdin, limit, json, stdout } = command;
  const folder = what === "-" ? await mkdtemp(path.join(os.tmpdir(), "fanout-explain-")) : undefined;
  try {
    if (folder !== undefined) await pipeline(stdin, createWriteStream(path.join(folder, "stdin")));
    const place = folder === undefined ? what : path.join(folder, "stdin");
    const isPlace = /^\w+:\/\//.test(place) || existsSync(place);
    const { records, sinks } = isPlace
      ? { records: recordsAt(place, config), sinks: config.sinks }
      : await letterOf(what, config);
    const explained: Explained[] = [];
    let left = 0;
    for await (const given of records) {
      if (explained.length < limit) explained.push(explainOne(given, sinks, config));
      else left++;
    }
    stdout.write(
      json
        ? `${JSON.stringify({ records: explained, more: left })}\n`
        : render(explained, left, screenOf(stdout)),
    );
    return exitCodes.ok;
  } finally {
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  }
}

// ── where records come from ───────────────────────────────────────────────────────────────────────────────────

async function* recordsAt(address: string, config: FanoutConfig): AsyncGenerator<Given> {
  const source = await openSource(address);
  const { signal } = new AbortController();
  for await (const info of sourceObjects(source)) {
    const object = { bucket: source.store.location, key: info.key, version: info.version };
    const options = {
      ...defaultLimits,
      ...config.limits,
      idPrefix: hashOf(object).slice(0, 24),
      from: 0,
      signal,
    };
    for await (const { events, invalid } of readEvents(source.store, info, options)) {
      const given: Given[] = [...events, ...invalid];
      yield* given.sort((a, b) => a.index - b.index);
    }
  }
}

/** A record that a sink refused is that sink's; what was no event is everybody's. */
async function letterOf(id: string, config: FanoutConfig): Promise<Source> {
  const stores = { receipts: openStore(config.receipts), deadLetters: openStore(config.deadLetters) };
  const found = new Map<string, { letter: DeadLetter; objectHash: string }>();
  await visitLetters(stores, { ids: [id] }, async ({ objectHash }, letters) => {
    for await (const letter of letters) {
      found.set(letterId(objectHash, letter.sink, letter.origin.index), { letter, objectHash });
    }
  });
  const [only] = found.values();
  if (only === undefined) {
    throw new ConfigError([`there is no file, no folder and no dead letter ${id}; - reads from stdin`]);
  }
  if (found.size > 1) {
    const some = [...found.keys()].slice(0, 5).join(", ");
    throw new ConfigError([`the id ${id} means ${found.size} dead letters; give one of ${some}`]);
  }
  const { letter, objectHash } = only;
  const bytes = recordBytes(letter);
  if (bytes === undefined) {
    throw new ConfigError([`the record of ${id} was too large to be kept: explain its object instead`]);
  }
  const { index } = letter.origin;
  const judged = judgeLetter(letter, bytes, { ...defaultLimits, ...config.limits, objectHash });
  const given: Given = "event" in judged ? { index, event: judged.event } : { index, ...judged.refusal };
  const sinks =
    letter.sink === intakeLane ? config.sinks : config.sinks.filter(({ name }) => name === letter.sink);
  if (sinks.length === 0) throw new ConfigError([`the sink ${letter.sink} of ${id} is not configured here`]);
  return {
    sinks,
    records: (async function* () {
      yield given;
    })(),
  };
}

// ── what becomes of one ───────────────────────────────────────────────────────────────────────────────────────

type AtSink = { readonly sink: string } & (
  | Exclude<Preview, { readonly status: "sent" | "rejected" }>
  | (Extract<Preview, { readonly status: "rejected" }> & { readonly action: string })
  | (Extract<Preview, { readonly status: "sent" }> & { readonly payload: JsonValue })
);

type Explained = { readonly index: number } & (
  | { readonly code: string; readonly reason: string; readonly action: string }
  | {
      readonly event: Pick<MetricEvent, "id" | "metricName" | "tenantId"> & { readonly time: string };
      readonly sinks: readonly AtSink[];
    }
);

function explainOne(given: Given, sinks: readonly Sink<unknown>[], config: FanoutConfig): Explained {
  const { index } = given;
  if (!("event" in given)) {
    const { code, reason } = given;
    return { index, code, reason, action: adviceFor(code)?.action ?? "" };
  }
  const { event } = given;
  const { id, metricName, tenantId, time } = event;
  return {
    index,
    event: { id, metricName, tenantId, time: new Date(time).toISOString() },
    sinks: sinks.map((sink): AtSink => {
      const { name, refusals } = sink;
      const seen = preview(event, sink, config.routes ?? everywhere);
      if (seen.status === "rejected") {
        return { sink: name, ...seen, action: adviceFor(seen.code, refusals)?.action ?? "" };
      }
      if (seen.status !== "sent") return { sink: name, ...seen };
      return { sink: name, ...seen, payload: redact(seen.payload, event, config.metrics ?? []) };
    }),
  };
}

function render(explained: readonly Explained[], left: number, screen: Screen): string {
  const blocks = explained.map((each) => renderOne(each, screen));
  if (blocks.length === 0) return "There is no record to explain.\n";
  if (left > 0) blocks.push([`${count(left, "more record")}: --limit shows more.`]);
  return `${blocks.map((lines) => lines.join("\n")).join("\n\n")}\n`;
}

function renderOne(explained: Explained, screen: Screen): string[] {
  const paint = painter(screen);
  const { columns } = screen;
  if (!("event" in explained)) {
    const { index, code, reason, action } = explained;
    return [
      paint("bold", `record ${index}: no event`),
      paint("red", wrap(`${code}: ${reason}`, columns, "  ")),
      wrap(action, columns, "  do: "),
    ];
  }
  const { index, event, sinks } = explained;
  const head = `record ${index}: ${printable(event.metricName)} of ${printable(event.tenantId)}`;
  return [
    paint("bold", head),
    `  ${event.time}, id ${printable(event.id)}`,
    ...sinks.flatMap((each) => renderSink(each, screen)),
  ];
}

function renderSink(each: AtSink, screen: Screen): string[] {
  const paint = painter(screen);
  const { columns } = screen;
  const name = `  ${each.sink} `;
  switch (each.status) {
    case "not-routed":
      return [wrap("does not get it: no route sends this metric there", columns, name)];
    case "filtered":
      return [wrap(`filters it: ${each.reason}`, columns, name)];
    case "rejected":
      return [
        paint("red", wrap(`refuses it: ${each.code}, ${each.reason}`, columns, name)),
        wrap(each.action, columns, "    do: "),
      ];
    case "sent": {
      const together = each.partition === "" ? "" : ` to ${printable(each.partition)}`;
      const key =
        each.coalesceKey === undefined
          ? ""
          : `, only the newest of ${printable(each.coalesceKey)} in a request`;
      const payload = printable(JSON.stringify(each.payload, undefined, 2)).replaceAll(/^/gm, "    ");
      return [
        paint("green", wrap(`gets ${count(each.bytes, "byte")}${together}${key}:`, columns, name)),
        payload,
      ];
    }
  }
}
