#!/usr/bin/env node
// The command line: reads the environment and the configuration file, and hands both to a command.
import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Command, CommanderError } from "commander";
import { ConfigError, type FanoutConfig, type MakeConfig, resolveConfig } from "../config.ts";
import { StoreError } from "../store/object-store.ts";
import { exitCodes } from "./exit-codes.ts";
import { run } from "./run.ts";

interface RunFlags {
  readonly sinks?: string;
  readonly config?: string;
  readonly json?: boolean;
  readonly deadline: string;
}

const program = new Command("fanout")
  .description("Delivers Firehose batches from S3 to every tool, provably.")
  .exitOverride()
  .configureOutput({ writeOut: (text) => process.stderr.write(text) })
  .showHelpAfterError("(run `fanout --help` for the commands)");

program
  .command("run")
  .description("deliver the objects of a folder, a file or an S3 prefix")
  .argument("<path | s3://…>", "a folder, a file, s3://bucket/prefix or s3://bucket/key")
  .option("--sinks <names>", "deliver to these sinks only, separated by commas (default: SINKS)")
  .option("--config <file>", "the configuration (default: ./fanout.config.* or the one that ships)")
  .option("--json", "print one JSON document to stdout, all else to stderr")
  .option("--deadline <seconds>", "how long one object may take; the rest becomes pending", "600")
  .addHelpText(
    "after",
    `
Exit codes:
  0  everything is delivered, filtered or dead-lettered, and the books close
  1  an object could not be processed; nothing of it is acknowledged
  2  wrong use or configuration
  3  records are pending: run the same command again`,
  )
  .action(async (address: string, flags: RunFlags) => {
    const seconds = Number(flags.deadline);
    if (!(seconds > 0)) throw new ConfigError(["--deadline must be a number of seconds above 0"]);
    process.exitCode = await run({
      address,
      config: await load(flags),
      json: flags.json === true,
      deadlineMs: seconds * 1000,
      stdout: process.stdout,
      stderr: process.stderr,
    });
  });

async function load(flags: RunFlags): Promise<FanoutConfig> {
  const file = flags.config === undefined ? findConfig() : path.resolve(flags.config);
  if (!existsSync(file)) throw new ConfigError([`there is no configuration file at ${file}`]);
  const module: unknown = await import(pathToFileURL(file).href);
  const make =
    typeof module === "object" && module !== null && "default" in module ? module.default : undefined;
  if (!isMakeConfig(make)) throw new ConfigError([`${file} must export defineConfig(…) as its default`]);
  return await resolveConfig(make, {
    env: process.env,
    ...(flags.sinks === undefined ? {} : { sinks: flags.sinks.split(",") }),
  });
}

function isMakeConfig(value: unknown): value is MakeConfig {
  // What it makes is checked by resolveConfig; that it can be called is all that is asked here.
  return typeof value === "function";
}

/** The project's own configuration, else the one that ships beside this file: in the repository `.ts`, packed `.js`. */
function findConfig(): string {
  const own = ["ts", "mts", "js", "mjs"]
    .map((ending) => path.resolve(`fanout.config.${ending}`))
    .find(existsSync);
  const shipped = fileURLToPath(
    new URL(`../../config/fanout.config${path.extname(import.meta.url)}`, import.meta.url),
  );
  return own ?? shipped;
}

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? exitCodes.ok : exitCodes.wrongUse;
  } else if (error instanceof ConfigError) {
    for (const problem of error.problems) process.stderr.write(`fanout: ${problem}\n`);
    process.exitCode = exitCodes.wrongUse;
  } else if (error instanceof StoreError) {
    process.stderr.write(`fanout: ${error.message}\n`);
    process.exitCode =
      error.code === "FAILED" || error.code === "NOT_FOUND" ? exitCodes.wrongUse : exitCodes.failed;
  } else {
    throw error;
  }
}
