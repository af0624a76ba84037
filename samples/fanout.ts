// `npm run fanout -- …`: the commands as they are published, and `rehearse`, which needs more than what is published.
import "../src/cli/heap.ts";
import { runProgram } from "../src/cli/process.ts";
import { createProgram } from "../src/cli/program.ts";
import { ConfigError } from "../src/config.ts";

interface RehearseFlags {
  readonly all?: boolean;
  readonly compression?: string;
}

const program = createProgram(process.env);

program
  .command("rehearse")
  .description("take a bus event through rules, transform, stream, worker and tools, on this machine")
  .argument("[event.json]", "one event, as a bus carries it: source, detail-type, detail, …")
  .option("--all", "the sample of every metric of the catalog instead")
  .option("--compression <name>", "GZIP or ZIP (default: GZIP; both with --all)")
  .showHelpAfterError("(run `fanout rehearse --help` for the options)")
  .addHelpText("after", "\nExit codes: 0 as the catalog says, 1 not so, 2 wrong use")
  .action(async (file: string | undefined, { all = false, compression }: RehearseFlags) => {
    if ((file === undefined) === !all) {
      throw new ConfigError(["fanout rehearse takes the file of an event, or --all"]);
    }
    const { rehearse } = await import("./rehearse.ts");
    process.exitCode = await rehearse({ file, compression });
  });

await runProgram(program);
