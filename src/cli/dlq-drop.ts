// `fanout dlq drop`: gives up what nobody will repair, with a reason; it moves to the archive and leaves the books honest.
import { randomUUID } from "node:crypto";
import { ObjectBusy } from "../books/claim.ts";
import { ConfigError } from "../config.ts";
import { isEmpty, type LetterFilter } from "../dead-letter/filter.ts";
import { pendingOf } from "../dead-letter/query.ts";
import { type ReplayOptions, type ReplayResult, replay } from "../dead-letter/replay.ts";
import { survey } from "../dead-letter/survey.ts";
import type { GiveUpOrder } from "../give-up.ts";
import { surveyQueue } from "../queues/survey.ts";
import type { ObjectStore, StoreError } from "../store/object-store.ts";
import { openStore } from "../store/open.ts";
import { createWorker, type Worker } from "../worker.ts";
import { commandOf, type DlqCommand, flagsOf, quoted } from "./dlq-options.ts";
import { dlqDropQueue } from "./dlq-queue.ts";
import { tellResult } from "./dlq-result.ts";
import { audited, closeWorker, upTo } from "./dlq-run.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { processOwner } from "./owner.ts";
import { count } from "./words.ts";

export interface DropFlags {
  readonly reason?: string;
  /** Without any filter: everything that was refused. */
  readonly all?: boolean;
  readonly dryRun?: boolean;
}

/**
 * Dead letters; what is pending only where `--stage pending` asks for it, since nobody has refused that.
 *
 * @throws {ConfigError} without a reason, or without a filter.
 * @throws {StoreError} when a store cannot be read.
 */
export async function dlqDrop(command: DlqCommand, flags: DropFlags): Promise<ExitCode> {
  const { config, stores, filter, queue, clock, json, stdout, stderr, signal } = command;
  const reason = flags.reason?.trim() ?? "";
  const problems: string[] = [];
  if (reason === "")
    problems.push('drop wants to know why: --reason "…"; it stands in the archive and in the audit');
  if (isEmpty(filter) && flags.all !== true) {
    problems.push("drop without a filter would give up everything: say which letters are meant, or --all");
  }
  if (problems.length > 0) throw new ConfigError(problems);
  const startedAt = clock.now();
  const meant = upTo(filter, startedAt);
  const isPendingMeant = filter.stages?.includes("pending") ?? false;
  let damaged = 0;
  /** What cannot be read may be meant, too: it stays, and nobody is told that nothing was there. */
  const onDamaged = ({ message }: StoreError) => {
    damaged++;
    stderr.write(`fanout: ${message}\n`);
  };
  if (flags.dryRun === true) {
    const found =
      queue === undefined ? await survey(stores, meant, onDamaged) : await surveyQueue(queue, meant, signal);
    const letters = found.letters;
    const pending = isPendingMeant ? found.pending : 0;
    const what = `${count(letters, "dead letter")} and ${count(pending, "pending delivery", "pending deliveries")}`;
    stdout.write(
      json ? `${JSON.stringify({ letters, pending })}\n` : `Would be dropped: ${what}. Nothing was.\n`,
    );
    return damaged === 0 ? exitCodes.ok : exitCodes.failed;
  }
  if (queue !== undefined) return await dlqDropQueue({ ...command, queue }, reason);

  const worker = createWorker({ ...config, ...stores, source: openStore, owner: processOwner(), clock });
  try {
    const given = commandOf(flags.all === true ? "--all" : "", flagsOf(filter));
    const id = `drop-${randomUUID().slice(0, 12)}`;
    const { result, key } = await audited(command, {
      kind: "drop",
      id,
      given: { command: given, reason },
      run: async (options, who) => {
        const drop = { reason, by: who };
        const { onSelected } = options;
        const result = await replay({
          ...options,
          onSelected: async (selected) => {
            const pending = isPendingMeant ? await countPending(stores.receipts, meant) : 0;
            await onSelected?.({ ...selected, pending });
          },
          filter: meant,
          worker,
          sinks: config.sinks.map(({ name }) => name),
          drop,
          canary: 0,
          maxFailures: Number.POSITIVE_INFINITY,
        });
        return isPendingMeant ? await dropPending(options, result, worker, meant, { id, ...drop }) : result;
      },
    });
    const again = () => commandOf("drop", given, `--reason ${quoted(reason)}`);
    return tellResult(command, { result, key, startedAt, again });
  } finally {
    await closeWorker(worker, (sentence) => stderr.write(`fanout: ${sentence}\n`));
  }
}

async function countPending(receipts: ObjectStore, filter: LetterFilter): Promise<number> {
  let pending = 0;
  // Whatever is damaged is told when it is dropped.
  for await (const { count: number } of pendingOf(receipts, filter, () => {})) pending += number;
  return pending;
}

/** Adds what is pending to a drop's result. */
async function dropPending(
  { stores, signal }: Pick<ReplayOptions, "stores" | "signal">,
  result: ReplayResult,
  worker: Worker,
  filter: LetterFilter,
  order: GiveUpOrder,
): Promise<ReplayResult> {
  let { busy } = result;
  let pending = 0;
  const failures = [...result.failures];
  const onDamaged = ({ message }: StoreError) => void failures.push(message);
  for await (const { object, sink, count: number } of pendingOf(stores.receipts, filter, onDamaged)) {
    if (signal.aborted) break;
    pending += number;
    try {
      const given = await worker.giveUp(object, sink, order);
      if (given === undefined) continue;
      result.tally.dropped += given.dropped;
      if (given.unread)
        failures.push(
          `${object.bucket}/${object.key} was never read to its end: nobody knows what ${sink} has lost`,
        );
    } catch (error) {
      if (!(error instanceof ObjectBusy)) throw error;
      busy++;
    }
  }
  const selected = { ...result.selected, pending };
  const outcome = signal.aborted ? "interrupted" : result.outcome;
  return { ...result, outcome, selected, busy, failures };
}
