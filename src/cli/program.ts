import { Command } from "commander";
import { ConfigError } from "../config.ts";
import { systemClock } from "../delivery/clock.ts";
import { version } from "../version.ts";
import { type BooksFlags, books } from "./books.ts";
import { catalog } from "./catalog.ts";
import { certify } from "./certify.ts";
import { loadConfig } from "./config-file.ts";
import { addDlq } from "./dlq.ts";
import { exitCodes } from "./exit-codes.ts";
import { explain } from "./explain.ts";
import { newSink } from "./new-sink.ts";
import { provision } from "./provision.ts";
import { queueOpener } from "./queue.ts";
import { run } from "./run.ts";
import { type WhereFlags, where } from "./where.ts";

interface RunFlags {
  readonly sinks?: string;
  readonly config?: string;
  readonly json?: boolean;
  readonly deadline: string;
}

interface ExplainFlags {
  readonly sink?: string;
  readonly limit: string;
  readonly config?: string;
  readonly json?: boolean;
}

interface ProvisionFlags {
  readonly dryRun?: boolean;
  readonly config?: string;
  readonly json?: boolean;
}

/** 24 days, in seconds: Node's timers hold no more. */
const longestDeadline = 24 * 24 * 60 * 60;

const commaSeparated = (text: string, list: readonly string[] = []) => [...list, ...text.split(",")];

export function createProgram(env: Readonly<Record<string, string | undefined>>): Command {
  const program = new Command("fanout")
    .description("Delivers Firehose batches from S3 to every tool, provably.")
    .version(version)
    .exitOverride()
    .configureHelp({ minWidthToWrap: 20 })
    .configureOutput({
      writeOut: (text) => (process.argv.includes("--json") ? process.stderr : process.stdout).write(text),
      outputError: (text, write) => write(text.replace(/^error:/, "fanout:")),
    })
    .showHelpAfterError("(run `fanout --help` for the commands)");

  program
    .command("run")
    .description("deliver the objects of a folder, a file or an S3 prefix")
    .argument("<path | s3://…>", "a folder, a file, s3://bucket/prefix or s3://bucket/key")
    .option("--sinks <names>", "deliver to these sinks only, separated by commas (default: SINKS)")
    .option("--config <file>", "the configuration (default: ./fanout.config.* or the one that ships)")
    .option("--json", "print one JSON document to stdout, all else to stderr")
    .option("--deadline <seconds>", "how long one object may take; the rest becomes pending", "600")
    .showHelpAfterError("(run `fanout run --help` for the options)")
    .addHelpText(
      "after",
      `
Exit codes:
    0  everything is settled and the books close
    1  an object could not be processed to its end
    2  wrong use or configuration
    3  records are pending: run the same command again
  130  interrupted: the first Ctrl-C or SIGTERM ends sending
       and writes the books, the second one stops at once;
       run the same command again for the rest`,
    )
    .action(async (address: string, flags: RunFlags) => {
      const seconds = Number(flags.deadline);
      if (!(seconds > 0 && seconds <= longestDeadline)) {
        throw new ConfigError([`--deadline must be a number of seconds above 0, up to ${longestDeadline}`]);
      }
      const sinks = flags.sinks?.split(",");
      process.exitCode = await run({
        address,
        config: await loadConfig(flags.config, sinks === undefined ? { env } : { env, sinks }),
        json: flags.json === true,
        deadlineMs: seconds * 1000,
        signal: interruption(),
        stdout: process.stdout,
        stderr: process.stderr,
      });
    });

  program
    .command("catalog")
    .description("print the dictionary of metrics: what they mean, and where they go")
    .argument("[folder]", "a folder with a metric a file (default: ./config/metrics or what ships)")
    .option("--md", "as Markdown (default)")
    .option("--json", "as one JSON document")
    .showHelpAfterError("(run `fanout catalog --help` for the options)")
    .action(async (folder: string | undefined, flags: { readonly json?: boolean }) => {
      const format = flags.json === true ? "json" : "md";
      process.exitCode = await catalog({
        ...(folder === undefined ? {} : { folder }),
        format,
        stdout: process.stdout,
      });
    });

  program
    .command("provision")
    .description("make at a vendor what must be there before events come, from the catalog")
    .argument("<sinks>", "names of sinks, separated by commas, such as hubspot")
    .option("--dry-run", "show what would be made, and make nothing")
    .option("--config <file>", "the configuration (default: ./fanout.config.* or the one that ships)")
    .option("--json", "print one JSON document to stdout, all else to stderr")
    .showHelpAfterError("(run `fanout provision --help` for the options)")
    .addHelpText(
      "after",
      `
What is there already stays as it is: it can be run at any time.
Exit codes: 0 all is there or could be made, 1 something is not as it must be or the vendor did not let it,
            2 wrong use or configuration`,
    )
    .action(async (names: string, flags: ProvisionFlags) => {
      process.exitCode = await provision({
        config: await loadConfig(flags.config, { env, sinks: names.split(",") }),
        dryRun: flags.dryRun === true,
        json: flags.json === true,
        stdout: process.stdout,
        stderr: process.stderr,
      });
    });

  program
    .command("explain")
    .description("show what each sink would receive of events, or why it would not; nothing is sent")
    .argument(
      "<file | dead letter id | ->",
      "a file, folder or s3://… with events, a dead letter's id, or stdin",
    )
    .option("--sink <names>", "of these sinks only, separated by commas (default: SINKS)")
    .option("--limit <count>", "records that are shown", "20")
    .option("--config <file>", "the configuration (default: ./fanout.config.* or the one that ships)")
    .option("--json", "print one JSON document to stdout, all else to stderr")
    .showHelpAfterError("(run `fanout explain --help` for the options)")
    .action(async (what: string, flags: ExplainFlags) => {
      const limit = Number(flags.limit);
      if (!(Number.isInteger(limit) && limit > 0)) {
        throw new ConfigError(["--limit must be a whole number, 1 or more"]);
      }
      const sinks = flags.sink?.split(",");
      process.exitCode = await explain({
        what,
        config: await loadConfig(flags.config, sinks === undefined ? { env } : { env, sinks }),
        limit,
        json: flags.json === true,
        stdin: process.stdin,
        stdout: process.stdout,
      });
    });

  program
    .command("certify")
    .description("run the conformance cases on a sink: of a file, a folder or a package")
    .argument("<module>", "an adapter's folder or twin, or a package's, such as acme-sink/twin")
    .option("--json", "print one JSON document to stdout, all else to stderr")
    .showHelpAfterError("(run `fanout certify --help` for the options)")
    .addHelpText(
      "after",
      `
Exit codes:
    0  every promise is kept, or skipped with a reason
    1  a promise is broken
    2  wrong use, or no module that exports a sink and its twin`,
    )
    .action(async (module: string, flags: { readonly json?: boolean }) => {
      process.exitCode = await certify({ module, json: flags.json === true, stdout: process.stdout });
    });

  program
    .command("new-sink")
    .description("write a sink, its twin, a test and a page, which pass as they are")
    .argument("<name>", "what it is called in books and letters: a-z, 0-9 and -")
    .option("--dir <folder>", "where it goes (default: adapters/<name> in this repository, <name> elsewhere)")
    .showHelpAfterError("(run `fanout new-sink --help` for the options)")
    .action(async (name: string, { dir }: { readonly dir?: string }) => {
      const where = dir === undefined ? {} : { dir };
      process.exitCode = await newSink({ name, ...where, cwd: process.cwd(), stdout: process.stdout });
    });

  addDlq(program, {
    loadConfig: (file) => loadConfig(file, { env }),
    openQueue: (config) => queueOpener(config, (sentence) => process.stderr.write(`fanout: ${sentence}\n`)),
    interruption,
    stdout: process.stdout,
    stderr: process.stderr,
    exit: (code) => {
      process.exitCode = code;
    },
  });

  program
    .command("books")
    .description("is everything where it must be: a row a sink, and every gap with its reason")
    .option("--day <day>", "of objects of this day: 2026-11-20, today or yesterday (UTC)")
    .option("--since <time>", "from this day on: 3d, 2026-11-20")
    .option("--until <time>", "before")
    .option("--sink <names>", "of these sinks only", commaSeparated)
    .option("--tenant <id>", "of this tenant: reads the objects again, since receipts hold no tenants")
    .option("--in <address>", "a folder or s3://bucket/prefix: objects there that no books know of are gaps")
    .option("--config <file>", "the configuration (default: ./fanout.config.* or the one that ships)")
    .option("--json", "print one JSON document to stdout, all else to stderr")
    .showHelpAfterError("(run `fanout books --help` for the options)")
    .addHelpText(
      "after",
      "\nExit codes: 0 the books close, 1 something is missing and unexplained, 2 wrong use",
    )
    .action(async (flags: BooksFlags & { readonly config?: string; readonly json?: boolean }) => {
      process.exitCode = await books({
        config: await loadConfig(flags.config, { env }),
        flags,
        clock: systemClock,
        json: flags.json === true,
        stdout: process.stdout,
        signal: new AbortController().signal,
      });
    });

  program
    .command("where")
    .description("what became of one event, sink by sink, and how that is known")
    .argument("<event id>", "metadata.event_id, or the id that was derived for a record without one")
    .option("--in <address>", "a folder or s3://bucket/prefix: look for the event in the objects there")
    .option("--day <day>", "in objects of this day: 2026-11-20, today or yesterday (UTC)")
    .option("--since <time>", "in objects from this day on: 3d, 2026-11-20")
    .option("--until <time>", "before")
    .option("--config <file>", "the configuration (default: ./fanout.config.* or the one that ships)")
    .option("--json", "print one JSON document to stdout, all else to stderr")
    .showHelpAfterError("(run `fanout where --help` for the options)")
    .action(async (id: string, flags: WhereFlags & { readonly config?: string; readonly json?: boolean }) => {
      process.exitCode = await where({
        id,
        config: await loadConfig(flags.config, { env }),
        flags,
        clock: systemClock,
        json: flags.json === true,
        stdout: process.stdout,
        signal: new AbortController().signal,
      });
    });
  return program;
}

/** One Ctrl-C may come twice: a terminal sends it to npm and to us, and npm passes it on. */
const samePressMs = 500;

/**
 * Aborts at the first Ctrl-C or SIGTERM, which leaves the time to write the books; the second one ends the process.
 * A claim of a process that is gone holds up nobody, and what it sent is sent again with the same ids.
 */
function interruption(): AbortSignal {
  const controller = new AbortController();
  let first = 0;
  const interrupt = () => {
    if (!controller.signal.aborted) {
      first = performance.now();
      controller.abort();
    } else if (performance.now() - first > samePressMs) process.exit(exitCodes.interrupted);
  };
  for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, interrupt);
  return controller.signal;
}
