// A command line as a process: its streams, its exit code and its end.
import { Console } from "node:console";
import { type Command, CommanderError } from "commander";
import { ConfigError } from "../config.ts";
import { StoreError } from "../store/object-store.ts";
import { exitCodes } from "./exit-codes.ts";

/** Runs the command that the arguments name, and ends the process. */
export async function runProgram(program: Command): Promise<void> {
  // stdout is for the table or the document: what a configuration or a vendor's SDK says goes to stderr.
  globalThis.console = new Console(process.stderr);
  process.stdout.on("error", ({ code }: NodeJS.ErrnoException) => {
    // Whoever has closed the pipe wants no more of it, which is no failure of the run.
    if (code === "EPIPE") return;
    process.stderr.write(`fanout: the report could not be written: ${code}\n`);
    process.exit(exitCodes.failed);
  });
  process.stderr.on("error", () => {
    // There is nobody left to tell.
  });

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
  // A sink that still holds a socket or a timer must not hold the process. What is written goes out first, and when it
  // cannot, that is heard first.
  process.stdout.write("", () => setImmediate(() => process.exit()));
}
