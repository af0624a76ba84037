// `fanout run`: delivers the objects of a folder, a file or an S3 prefix, and proves the books.
import { SingleBar } from "cli-progress";
import { addReport, emptyRun, emptySink, isBalanced, pendingOf, type RunReport } from "../books/report.ts";
import type { FanoutConfig } from "../config.ts";
import type { Logger } from "../log.ts";
import { openSource, openStore, sourceObjects } from "../store/open.ts";
import { createWorker } from "../worker.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { processOwner } from "./owner.ts";
import { renderRun } from "./table.ts";

export interface RunCommand {
  /** A folder, a file, `s3://bucket/prefix` or `s3://bucket/key`. */
  readonly address: string;
  readonly config: FanoutConfig;
  readonly json: boolean;
  /** How long one object may take. */
  readonly deadlineMs: number;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
}

/** Objects under way at once: enough to hide the round trips of their books, few enough to bound memory. */
const objectsAtOnce = 4;

/** @throws {StoreError} when the address or a store cannot be used at all. */
export async function run(command: RunCommand): Promise<ExitCode> {
  const { config, stdout, stderr } = command;
  const started = performance.now();
  const source = await openSource(command.address);
  const receipts = openStore(config.receipts);
  const deadLetters = openStore(config.deadLetters);
  const own = [`${receipts.location}/`, `${deadLetters.location}/`];
  const keys: string[] = [];
  for await (const { key } of sourceObjects(source)) {
    // Our own letters and books are never input, wherever they lie.
    if (!own.some((location) => `${source.store.location}/${key}`.startsWith(location))) keys.push(key);
  }

  const bar = stderr.isTTY && !command.json ? progressBar(stderr) : undefined;
  const problems = new Set<string>();
  const note = (sentence: string) => {
    if (bar === undefined && !problems.has(sentence)) stderr.write(`fanout: ${sentence}\n`);
    problems.add(sentence);
  };
  let total: RunReport = emptyRun;
  let records = 0;
  let done = 0;
  let failed = 0;
  bar?.start(keys.length, 0, { records });
  const worker = createWorker({
    sinks: config.sinks,
    source: () => source.store,
    receipts,
    deadLetters,
    ...(config.routes === undefined ? {} : { routes: config.routes }),
    ...(config.limits === undefined ? {} : { limits: config.limits }),
    ...(config.retry === undefined ? {} : { retry: config.retry }),
    ...(config.breaker === undefined ? {} : { breaker: config.breaker }),
    owner: processOwner(),
    log: warnings(note),
    onRecords(count) {
      records += count;
      bar?.update(done, { records });
    },
  });

  const queue = keys.values();
  const take = async () => {
    for (const key of queue) {
      try {
        const report = await worker.process(
          { bucket: source.store.location, key },
          { deadline: Date.now() + command.deadlineMs },
        );
        total = addReport(total, report);
      } catch (error) {
        failed++;
        note(error instanceof Error ? error.message : `${key} failed`);
      }
      done++;
      bar?.update(done, { records });
    }
  };
  await Promise.all(Array.from({ length: objectsAtOnce }, take));
  await worker.close();
  bar?.stop();
  if (bar !== undefined) for (const problem of problems) stderr.write(`fanout: ${problem}\n`);

  const seconds = (performance.now() - started) / 1000;
  const sinks = config.sinks.map(({ name }) => name);
  if (command.json) {
    stdout.write(`${JSON.stringify(document(total, sinks, seconds))}\n`);
  } else {
    const colors = stdout.isTTY === true && stdout.hasColors();
    stdout.write(
      renderRun({ report: total, sinks, failed, seconds, deadLetters: deadLetters.location, colors }),
    );
  }
  if (failed > 0 || !isBalanced(total)) return exitCodes.failed;
  return pendingOf(total) > 0 || total.unread > 0 ? exitCodes.pending : exitCodes.ok;
}

/** What `--json` prints. */
function document(report: RunReport, sinks: readonly string[], seconds: number) {
  const count = (name: string) => {
    const { valid, delivered, filtered, deadLettered, pending, requests, retries } =
      report.sinks[name] ?? emptySink;
    return [name, { valid, delivered, filtered, deadLettered, pending, requests, retries }] as const;
  };
  return {
    objects: report.objects,
    records: report.records,
    valid: report.valid,
    invalid: report.invalid,
    sinks: Object.fromEntries(sinks.map(count)),
    balanced: isBalanced(report),
    seconds: Math.round(seconds * 1000) / 1000,
    // Node gives the peak in KiB (libuv's getrusage).
    peakRssMiB: Math.round(process.resourceUsage().maxRSS / 1024),
  };
}

function progressBar(stream: NodeJS.WriteStream): SingleBar {
  return new SingleBar({
    stream,
    format: "{bar} {percentage} % · {value}/{total} objects · {records} records · {duration_formatted}",
    barCompleteChar: "█",
    barIncompleteChar: "░",
    hideCursor: true,
    clearOnComplete: true,
    // A bar that draws at most ten times a second costs nothing that is measured.
    fps: 10,
  });
}

function warnings(note: (sentence: string) => void): Logger {
  const tell: Logger["warn"] = (message, fields = {}) => {
    const { sink, reason } = fields;
    note(sink === undefined ? message : `${sink}: ${message}${reason === undefined ? "" : `: ${reason}`}`);
  };
  return { debug() {}, info() {}, warn: tell, error: tell };
}
