// `fanout dlq replay --queue` and `drop --queue`: the same acts on a queue that is not ours.
import { randomUUID } from "node:crypto";
import { configFingerprint, toPlanFile } from "../dead-letter/plan-file.ts";
import { planQueue } from "../queues/plan.ts";
import type { FailureQueue } from "../queues/queue.ts";
import { replayQueue } from "../queues/replay.ts";
import { commandOf, type DlqCommand, flagsOf, quoted } from "./dlq-options.ts";
import { renderPlan } from "./dlq-plan.ts";
import { type Again, tellResult } from "./dlq-result.ts";
import { audited, type PacingFlags, pacingFlags, pacingOf, pacingTold, upTo } from "./dlq-run.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { screenOf } from "./words.ts";

export type QueueCommand = DlqCommand & { readonly queue: FailureQueue };

export async function dlqReplayQueue(
  command: QueueCommand,
  flags: PacingFlags & { readonly dryRun?: boolean },
): Promise<ExitCode> {
  const pacing = pacingOf(flags);
  const { queue, clock, config, json, stdout, signal } = command;
  const startedAt = clock.now();
  const filter = upTo(command.filter, startedAt);
  if (flags.dryRun === true) {
    const plan = await planQueue(queue, filter, signal);
    const file = toPlanFile(plan, filter, startedAt, configFingerprint(config));
    stdout.write(
      json ? `${JSON.stringify(file)}\n` : `${renderPlan(file, screenOf(stdout))}\n\nNothing was sent.\n`,
    );
    return exitCodes.ok;
  }
  const { rate, canary, maxFailures } = pacing;
  const { result, key } = await audited(command, {
    kind: "replay",
    id: `replay-${randomUUID().slice(0, 12)}`,
    given: {
      queue: queue.name,
      target: queue.target,
      command: flagsOf(command.filter),
      ...pacingTold(pacing),
    },
    run: (options) =>
      replayQueue({
        ...options,
        queue,
        filter,
        canary,
        maxFailures,
        ...(rate === undefined ? {} : { rate }),
      }),
  });
  const again: Again = (fingerprints) =>
    commandOf(
      `replay --queue ${quoted(command.queueAddress ?? queue.name)}`,
      flagsOf({ ...command.filter, ...(fingerprints && { fingerprints }) }),
      pacingFlags(flags),
    );
  return tellResult(command, { result, key, startedAt, again });
}

export async function dlqDropQueue(command: QueueCommand, reason: string): Promise<ExitCode> {
  const { queue, clock } = command;
  const startedAt = clock.now();
  const flags = flagsOf(command.filter);
  const { result, key } = await audited(command, {
    kind: "drop",
    id: `drop-${randomUUID().slice(0, 12)}`,
    given: { queue: queue.name, command: flags, reason },
    run: (options, who) =>
      replayQueue({
        ...options,
        queue,
        filter: upTo(command.filter, startedAt),
        drop: { reason, by: who },
        canary: 0,
        maxFailures: Number.POSITIVE_INFINITY,
      }),
  });
  const again = () =>
    commandOf(
      `drop --queue ${quoted(command.queueAddress ?? queue.name)}`,
      flags,
      `--reason ${quoted(reason)}`,
    );
  return tellResult(command, { result, key, startedAt, again });
}
