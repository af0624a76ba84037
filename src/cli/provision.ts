// `fanout provision`: makes at a vendor what must be there before the catalog's events come.
import { ConfigError, type FanoutConfig } from "../config.ts";
import { createHttp } from "../delivery/http.ts";
import type { Provision } from "../delivery/provision.ts";
import { isSinkUnavailable } from "../delivery/sink.ts";
import { plansFor } from "../routing/sink-check.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";

export interface ProvisionCommand {
  /** Its sinks are those that are meant. */
  readonly config: FanoutConfig;
  readonly dryRun: boolean;
  readonly json: boolean;
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
}

/** All that one vendor may take. */
const timeoutMs = 120_000;

const marks: Readonly<Record<Provision["state"], string>> = {
  present: "=",
  created: "+",
  missing: "+",
  differs: "!",
};

/**
 * Does the sinks one after the other; what is there already stays as it is, so it can be done at any time.
 *
 * @throws {ConfigError} when there is nothing to provision from or for.
 */
export async function provision(command: ProvisionCommand): Promise<ExitCode> {
  const { config, dryRun, json, stdout, stderr } = command;
  const { metrics, sinks } = config;
  if (metrics === undefined) {
    throw new ConfigError(["the configuration has no metrics, so nobody knows what a vendor must have"]);
  }
  const able = sinks.filter((sink) => sink.provision !== undefined);
  if (able.length === 0) {
    const names = sinks.map(({ name }) => name).join(", ");
    throw new ConfigError([`${names}: nothing has to be there before its events come`]);
  }
  const http = createHttp();
  const document: Record<string, readonly Provision[]> = {};
  let differing = 0;
  let failed = false;
  try {
    for (const sink of able) {
      const context = { http: http.send, signal: AbortSignal.timeout(timeoutMs), dryRun };
      try {
        const done = (await sink.provision?.(plansFor(sink.name, metrics), context)) ?? [];
        document[sink.name] = done;
        differing += done.filter(({ state }) => state === "differs").length;
        if (!json) stdout.write(render(sink.name, done, dryRun));
      } catch (error) {
        failed = true;
        // Any other error's words may hold what it worked on.
        const isMeant =
          isSinkUnavailable(error) ||
          (error instanceof Error && "code" in error && error.code === "TRANSPORT");
        const why = error instanceof Error ? (isMeant ? error.message : error.name) : "it did not say why";
        stderr.write(`fanout: ${sink.name}: ${why}\n`);
      }
    }
  } finally {
    http.close();
    await Promise.allSettled(sinks.map(async (sink) => await sink.close?.()));
  }
  if (json) stdout.write(`${JSON.stringify({ dryRun, sinks: document })}\n`);
  return failed || differing > 0 ? exitCodes.failed : exitCodes.ok;
}

function render(sink: string, done: readonly Provision[], dryRun: boolean): string {
  const counts = (state: Provision["state"]) => done.filter((each) => each.state === state).length;
  const made = dryRun ? `${counts("missing")} to be made` : `${counts("created")} made`;
  const head = `${sink}: ${made}, ${counts("present")} there already, ${counts("differs")} not as they must be`;
  const lines = done.map(({ what, state, note }) => {
    const shown = state === "present" || note === undefined ? "" : `: ${note}`;
    return `  ${marks[state]} ${what}${shown}`;
  });
  return `${[head, ...lines].join("\n")}\n`;
}
