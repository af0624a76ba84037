// `fanout dlq replay`: tries again what waits, a canary first, at a pace, halted when it goes wrong, and audited.
import { randomUUID } from "node:crypto";
import { currentReceipt, hashOf } from "../books/books.ts";
import { ConfigError } from "../config.ts";
import { coverName, isEmpty, type LetterFilter } from "../dead-letter/filter.ts";
import { createForesight } from "../dead-letter/judge.ts";
import { makePlan, type Plan } from "../dead-letter/plan.ts";
import {
  configFingerprint,
  filterOfPlan,
  type PlanFile,
  readPlanFile,
  toPlanFile,
} from "../dead-letter/plan-file.ts";
import type { Stores } from "../dead-letter/query.ts";
import { replay } from "../dead-letter/replay.ts";
import { paced } from "../delivery/paced.ts";
import type { StoreError } from "../store/object-store.ts";
import { openStore } from "../store/open.ts";
import { createWorker, defaultLimits } from "../worker.ts";
import { commandOf, type DlqCommand, flagsOf, quoted } from "./dlq-options.ts";
import { renderPlan } from "./dlq-plan.ts";
import { dlqReplayQueue } from "./dlq-queue.ts";
import { type Again, tellResult } from "./dlq-result.ts";
import {
  audited,
  closeWorker,
  type PacingFlags,
  pacingFlags,
  pacingOf,
  pacingTold,
  upTo,
} from "./dlq-run.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { processOwner } from "./owner.ts";
import { screenOf } from "./words.ts";

export interface ReplayFlags extends PacingFlags {
  readonly plan?: string;
  readonly dryRun?: boolean;
  readonly without?: readonly string[];
  readonly unproven?: boolean;
}

/**
 * @throws {StoreError} when a store cannot be read.
 * @throws {ConfigError} when the plan or a flag cannot be used.
 */
export async function dlqReplay(command: DlqCommand, flags: ReplayFlags): Promise<ExitCode> {
  const { config, stores, clock, json, stdout, stderr, queue } = command;
  const pacing = pacingOf(flags);
  const startedAt = clock.now();
  if (queue !== undefined) {
    if (flags.plan !== undefined) {
      throw new ConfigError(["--plan is for dead letters and what is pending; with --queue use filters"]);
    }
    return await dlqReplayQueue({ ...command, queue }, flags);
  }
  const planned = flags.plan === undefined ? undefined : await readPlanFile(flags.plan);
  if (planned !== undefined && !isEmpty(command.filter)) {
    throw new ConfigError([
      "--plan says which letters are meant; leave the filters out, or make another plan",
    ]);
  }
  const filter = planned === undefined ? upTo(command.filter, startedAt) : within(planned);
  const screen = screenOf(stdout);
  const problems = (sentence: string) => stderr.write(`fanout: ${sentence}\n`);

  if (flags.dryRun === true || planned !== undefined) {
    const limits = { ...config, stores, filter, source: openStore, signal: command.signal };
    let damaged = 0;
    const onDamaged = ({ message }: StoreError) => {
      damaged++;
      problems(message);
    };
    const now = await makePlan({ ...limits, onDamaged });
    if (planned !== undefined && now.covers.length === 0 && !(await isOfThese(stores, planned))) {
      throw new ConfigError([
        `the books in ${stores.receipts.location} know none of the objects of this plan: it was made of other stores`,
      ]);
    }
    if (planned !== undefined)
      for (const change of changes(planned, now, configFingerprint(config))) problems(change);
    if (flags.dryRun === true) {
      const { within: _, ...told } = filter;
      const file = toPlanFile(now, told, startedAt, configFingerprint(config));
      stdout.write(json ? `${JSON.stringify(file)}\n` : `${renderPlan(file, screen)}\n\nNothing was sent.\n`);
      return damaged === 0 ? exitCodes.ok : exitCodes.failed;
    }
  }

  const { rate } = pacing;
  const sinks = rate === undefined ? config.sinks : config.sinks.map((sink) => paced(sink, rate));
  const worker = createWorker({
    ...config,
    sinks,
    ...stores,
    source: openStore,
    owner: processOwner(),
    clock,
  });
  try {
    const given = planned === undefined ? flagsOf(command.filter) : `--plan ${quoted(flags.plan ?? "")}`;
    const { without, unproven } = flags;
    const more = commandOf(
      pacingFlags(flags),
      without === undefined ? "" : `--without ${quoted(without.join(","))}`,
      unproven === true ? "--unproven" : "",
    );
    const again: Again = (fingerprints) =>
      commandOf("replay", fingerprints === undefined ? given : flagsOf({ ...filter, fingerprints }), more);
    const { result, key } = await audited(command, {
      kind: "replay",
      id: planned?.id ?? `replay-${randomUUID().slice(0, 12)}`,
      given: {
        command: given,
        ...pacingTold(pacing),
        ...(without && { without }),
        ...(unproven && { unproven }),
        ...(planned && { planned: planned.at }),
      },
      run: (options) =>
        replay({
          ...options,
          filter,
          worker,
          sinks: sinks.map(({ name }) => name),
          canary: pacing.canary,
          maxFailures: pacing.maxFailures,
          ...(without === undefined ? {} : { without }),
          ...(unproven === true ? { unproven } : {}),
          wouldFail: createForesight(sinks, config.routes, { ...defaultLimits, ...config.limits }),
          ...(rate === undefined ? {} : { fileMs: (letters) => 600_000 + (letters / rate) * 1500 }),
        }),
    });
    return tellResult(command, { result, key, startedAt, again });
  } finally {
    await closeWorker(worker, problems);
  }
}

// ── what is meant ─────────────────────────────────────────────────────────────────────────────────────────────

function within(plan: PlanFile): LetterFilter & { readonly until: number } {
  const covers = plan.covers.map(({ object, lane }) => coverName(hashOf(object), lane));
  return { ...upTo(filterOfPlan(plan), Date.parse(plan.at)), within: new Set(covers) };
}

/** Whether a plan that means nothing here any more was made of these stores: their books know what it covers. */
async function isOfThese({ receipts }: Stores, { covers }: PlanFile): Promise<boolean> {
  for (const { object, lane } of covers) {
    if ((await currentReceipt(receipts, object, lane)) !== undefined) return true;
  }
  return covers.length === 0;
}

/** What is different from when the plan was made, one sentence each. */
export function changes(planned: PlanFile, now: Plan, config: string): string[] {
  const told: string[] = [];
  if (planned.config !== config)
    told.push("since the plan was made, the configuration or a mapping has changed");
  const current = new Map(now.classes.map((each) => [`${each.sink} ${each.fingerprint}`, each]));
  for (const before of planned.classes) {
    const name = `${before.sink} ${before.fingerprint}`;
    const { letters = 0, passes = 0, fails = 0 } = current.get(name) ?? {};
    if (letters === before.letters && passes === before.passes && fails === before.fails) continue;
    told.push(
      `since the plan was made, ${name}: ${letters} letters instead of ${before.letters}, ` +
        `of which ${passes} would pass instead of ${before.passes}`,
    );
  }
  for (const before of planned.pending) {
    const pending = now.pending.find(({ sink }) => sink === before.sink)?.pending ?? 0;
    if (pending === before.pending) continue;
    told.push(`since the plan was made, ${before.sink}: ${pending} pending instead of ${before.pending}`);
  }
  return told;
}
