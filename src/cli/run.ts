// `fanout run`: delivers the objects of a folder, a file or an S3 prefix, and proves the books.
import {
  addPart,
  addReport,
  emptyRun,
  emptySink,
  isBalanced,
  pendingOf,
  type RunReport,
} from "../books/report.ts";
import { ConfigError, type FanoutConfig } from "../config.ts";
import { errorPrefixOf } from "../intake/error-prefixes.ts";
import type { Logger } from "../log.ts";
import type { ObjectInfo } from "../store/object-store.ts";
import { openSource, openStore, sourceObjects } from "../store/open.ts";
import { createWorker } from "../worker.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { processOwner } from "./owner.ts";
import { startProgress } from "./progress.ts";
import { renderRun } from "./table.ts";

export interface RunCommand {
  /** A folder, a file, `s3://bucket/prefix` or `s3://bucket/key`. */
  readonly address: string;
  readonly config: FanoutConfig;
  readonly json: boolean;
  /** How long one object may take. */
  readonly deadlineMs: number;
  /** Ends the run early: the objects under way as if their deadline had come, the others are not begun. */
  readonly signal?: AbortSignal;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
}

/** Objects under way at once: enough to hide the round trips of their books, few enough to bound memory. */
const objectsAtOnce = 4;

/**
 * @throws {StoreError} when the address or a store cannot be used at all.
 * @throws {ConfigError} when the receipts or the dead letters lie around the address.
 */
export async function run(command: RunCommand): Promise<ExitCode> {
  const { config, stdout, stderr, signal = new AbortController().signal } = command;
  const started = performance.now();
  const source = await openSource(command.address);
  const receipts = openStore(config.receipts);
  const deadLetters = openStore(config.deadLetters);
  const own = [receipts, deadLetters].map(({ location }) => `${location}/`);
  const place = `${source.store.location}/${source.prefix}`;
  // Our own letters and books are never input, wherever they lie.
  const around = own.find((location) => place.startsWith(location));
  if (around !== undefined) {
    throw new ConfigError([
      `${place} is below ${around}, where receipts or dead letters are, so it is no input`,
    ]);
  }
  const objects: ObjectInfo[] = [];
  /** What Firehose keeps of its transform's refusals, by prefix: no events are there. */
  const refusals = new Map<string, number>();
  for await (const object of sourceObjects(source)) {
    if (signal.aborted) break;
    const name = `${source.store.location}/${object.key}`;
    if (own.some((location) => name.startsWith(location))) continue;
    const prefix = errorPrefixOf(object.key, source.prefix);
    if (prefix === undefined) objects.push(object);
    else refusals.set(prefix, (refusals.get(prefix) ?? 0) + 1);
  }

  const progress = stderr.isTTY ? startProgress(stderr, objects) : undefined;
  const problems = createProblems(stderr, progress !== undefined);
  const sourceStore = progress?.watch(source.store) ?? source.store;
  const worker = createWorker({
    ...config,
    source: () => sourceStore,
    receipts,
    deadLetters,
    owner: processOwner(),
    log: warnings(problems.note),
    onRecords: (count) => progress?.records(count),
  });
  for (const [prefix, number] of refusals) {
    const where = `${source.store.location}/${prefix}`;
    const what = number === 1 ? "1 object" : `${number} objects`;
    problems.note(
      `${what} below ${where} left out: what the stream's transform refused; see fanout dlq list --queue ${where}`,
    );
  }
  if (objects.length === 0 && !signal.aborted) {
    problems.note(`no object was found at ${place} (dead letters and receipts are never input)`);
  }
  signal.addEventListener("abort", () => {
    if (progress === undefined) problems.note("ending, as asked; a second signal stops at once");
    else progress.ending();
  });

  let total: RunReport = emptyRun;
  let failed = 0;
  let begun = 0;
  const queue = objects.values();
  const take = async () => {
    for (const { key } of queue) {
      if (signal.aborted) break;
      begun++;
      try {
        const deadline = Date.now() + command.deadlineMs;
        const report = await worker.process({ bucket: source.store.location, key }, { deadline, signal });
        total = addReport(total, report);
      } catch (error) {
        failed++;
        total = addPart(total, error);
        problems.note(error instanceof Error ? error.message : `${key} failed`);
      }
      progress?.done(key);
    }
  };
  await Promise.all(Array.from({ length: objectsAtOnce }, take));
  const interrupted = signal.aborted;
  progress?.stop();
  problems.tell();

  const seconds = (performance.now() - started) / 1000;
  const sinks = config.sinks.map(({ name }) => name);
  if (command.json) {
    stdout.write(`${JSON.stringify(document(total, failed, sinks, seconds))}\n`);
  } else {
    stdout.write(
      renderRun({
        report: total,
        sinks,
        failed,
        left: objects.length - begun,
        seconds,
        deadLetters: deadLetters.location,
        colors: stdout.isTTY === true && stdout.hasColors(),
        columns: stdout.isTTY ? stdout.columns : Number.POSITIVE_INFINITY,
      }),
    );
  }
  // The report is out, and what was delivered is durable: a sink that does not close changes neither.
  try {
    await worker.close();
  } catch (error) {
    problems.note(`a sink did not close: ${error instanceof Error ? error.message : "it did not say why"}`);
  }
  if (interrupted) return exitCodes.interrupted;
  if (failed > 0 || !isBalanced(total)) return exitCodes.failed;
  return pendingOf(total) > 0 || total.unread > 0 ? exitCodes.pending : exitCodes.ok;
}

/** Sentences for stderr, each one told once: at once, or by `tell` when a bar must not be disturbed. */
function createProblems(stderr: NodeJS.WriteStream, later: boolean) {
  const known = new Set<string>();
  let waiting = later;
  const write = (sentence: string) => stderr.write(`fanout: ${sentence}\n`);
  return {
    note(sentence: string) {
      if (!waiting && !known.has(sentence)) write(sentence);
      known.add(sentence);
    },
    tell() {
      if (waiting) for (const sentence of known) write(sentence);
      waiting = false;
    },
  };
}

/** What `--json` prints. */
function document(report: RunReport, failed: number, sinks: readonly string[], seconds: number) {
  const count = (name: string) => {
    const { valid, delivered, filtered, deadLettered, pending, requests, retries } =
      report.sinks[name] ?? emptySink;
    return [name, { valid, delivered, filtered, deadLettered, pending, requests, retries }] as const;
  };
  return {
    objects: report.objects,
    /** Objects that could not be processed to the end: what is missing of them is not in any count. */
    failed,
    records: report.records,
    valid: report.valid,
    invalid: report.invalid,
    sinks: Object.fromEntries(sinks.map(count)),
    balanced: failed === 0 && isBalanced(report),
    seconds: Math.round(seconds * 1000) / 1000,
    // Node gives the peak in KiB (libuv's getrusage).
    peakRssMiB: Math.round(process.resourceUsage().maxRSS / 1024),
  };
}

function warnings(note: (sentence: string) => void): Logger {
  const tell: Logger["warn"] = (message, fields = {}) => {
    const { sink, reason } = fields;
    note(sink === undefined ? message : `${sink}: ${message}${reason === undefined ? "" : `: ${reason}`}`);
  };
  return { debug() {}, info() {}, warn: tell, error: tell };
}
