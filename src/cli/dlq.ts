// `fanout dlq …`: what an operator types, made into commands.
import type { Command } from "commander";
import type { FanoutConfig } from "../config.ts";
import { systemClock } from "../delivery/clock.ts";
import type { OpenQueue } from "../queues/queue.ts";
import { type DropFlags, dlqDrop } from "./dlq-drop.ts";
import { dlqList } from "./dlq-list.ts";
import {
  addFilters,
  type DlqCommand,
  type FilterFlags,
  filterOf,
  knownLanes,
  openStores,
  unknownSinks,
} from "./dlq-options.ts";
import { dlqPlan, type PlanFlags } from "./dlq-plan.ts";
import { dlqReplay, type ReplayFlags } from "./dlq-replay.ts";
import { defaultCanary } from "./dlq-run.ts";
import { dlqShow } from "./dlq-show.ts";
import type { ExitCode } from "./exit-codes.ts";

/** What commands get from the process they run in. */
export interface Surroundings {
  readonly loadConfig: (file: string | undefined) => Promise<FanoutConfig>;
  readonly openQueue: (config: FanoutConfig) => OpenQueue;
  /** Aborts at the first Ctrl-C from now on, which ends the process no more: for commands that write. */
  readonly interruption: () => AbortSignal;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly exit: (code: ExitCode) => void;
}

interface CommonFlags extends FilterFlags {
  readonly config?: string;
  readonly json?: boolean;
  readonly queue?: string;
}

const queueOption = [
  "--queue <address>",
  "of a queue behind the pipeline instead: s3://bucket/Error/processing-failed/… or the URL of an SQS queue",
] as const;

/** Adds `dlq` and its commands. */
export function addDlq(program: Command, surroundings: Surroundings): void {
  const dlq = program
    .command("dlq")
    .description("dead letters and what is pending: see it, plan a replay, replay it, give it up");
  const add = (name: string, text: string) =>
    dlq
      .command(name)
      .description(text)
      .option("--config <file>", "the configuration (default: ./fanout.config.* or the one that ships)")
      .option("--json", "print one JSON document to stdout, all else to stderr")
      .option(...queueOption)
      .showHelpAfterError(`(run \`fanout dlq ${name} --help\` for the options)`);

  /** Runs a command with what its flags say. */
  const act = async (
    flags: CommonFlags,
    run: (command: DlqCommand) => Promise<ExitCode>,
    signal: AbortSignal = new AbortController().signal,
  ): Promise<void> => {
    const config = await surroundings.loadConfig(flags.config);
    const sinks = config.sinks.map(({ name }) => name);
    const stores = openStores(config);
    const known = flags.queue === undefined ? await knownLanes(flags.sink, sinks, stores) : sinks;
    const filter = filterOf(flags, systemClock.now(), known);
    for (const name of flags.queue === undefined ? unknownSinks(filter, sinks) : []) {
      surroundings.stderr.write(
        `fanout: --sink ${name} is no sink of the configuration; known are ${["intake", ...sinks].join(", ")}\n`,
      );
    }
    const queue = flags.queue === undefined ? undefined : await surroundings.openQueue(config)(flags.queue);
    try {
      const command: DlqCommand = {
        config,
        stores,
        filter,
        ...(queue && flags.queue !== undefined && { queue, queueAddress: flags.queue }),
        clock: systemClock,
        json: flags.json === true,
        stdout: surroundings.stdout,
        stderr: surroundings.stderr,
        signal,
      };
      surroundings.exit(await run(command));
    } finally {
      await queue?.close?.();
    }
  };

  addFilters(add("list", "what waits, by cause: how many, whose, since when, and what to do")).action(
    (flags: CommonFlags) => act(flags, dlqList),
  );

  addFilters(add("plan", "what a replay would do now, computed offline; writes a plan file"))
    .option("--out <file>", "where the plan is written (default: fanout-plan-<time>.json)")
    .action((flags: CommonFlags & PlanFlags) => act(flags, (command) => dlqPlan(command, flags)));

  addFilters(add("replay", "try again what waits: a canary first, then the rest, with an audit"))
    .option("--plan <file>", "exactly what this plan means, instead of filters")
    .option("--rate <n/s>", "at most so many records a second to each sink (default: the sinks' own limits)")
    .option(
      "--canary <share>",
      "how much of every cause is tried first, at least one letter; 0 for none",
      defaultCanary,
    )
    .option("--max-failures <n>", "halt when so many were refused again (default: no limit)")
    .option("--dry-run", "say what would happen, and send nothing")
    .option(
      "--without <sinks>",
      "sinks that are configured no more: records that were no events go to the others",
      (text) => text.split(","),
    )
    .option(
      "--unproven",
      "also records that were no events and whose object is gone, so that nothing shows that it held them",
    )
    .addHelpText(
      "after",
      `
A record that was no event is held against its object before it goes to any sink: another record at its
place, and it stays a dead letter (ORIGIN_DIFFERS).
What is delivered leaves the dead letters when that is durable, so a replay that was stopped, or
killed, goes on when it is run again. Nothing that is known as delivered is sent again.
Exit codes:
    0  everything that was selected is delivered or filtered
    1  something was refused again, could not be done, or the replay halted
    2  wrong use or configuration
    3  something is left as it was: run it again
  130  interrupted: the first Ctrl-C or SIGTERM ends sending and writes the books`,
    )
    .action((flags: CommonFlags & ReplayFlags) =>
      act(flags, (command) => dlqReplay(command, flags), surroundings.interruption()),
    );

  addFilters(add("drop", "give up dead letters: they move to the archive, with the reason"))
    .option("--reason <text>", "why; without one nothing is dropped")
    .option("--all", "everything that was refused, without a filter")
    .option("--dry-run", "say how many are meant, and drop nothing")
    .addHelpText("after", "\nWhat is pending was not refused: it is dropped only with --stage pending.")
    .action((flags: CommonFlags & DropFlags) =>
      act(flags, (command) => dlqDrop(command, flags), surroundings.interruption()),
    );

  add("show", "one dead letter in whole, and what its sink would receive of it today")
    .argument("<id>", "as the commands print it, or how it begins; a letter's UUID will do, too")
    .action((id: string, flags: CommonFlags) => act(flags, (command) => dlqShow(command, id)));
}
