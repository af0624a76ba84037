// What every `fanout dlq` command is given: where to look, for what, and how to answer.
import { type Command, Option } from "commander";
import { deferralsPrefix } from "../books/books.ts";
import { ConfigError, type FanoutConfig } from "../config.ts";
import { intakeLane } from "../dead-letter/dead-letter.ts";
import { type LetterFilter, lanesNamed, type WaitingStage } from "../dead-letter/filter.ts";
import type { Stores } from "../dead-letter/query.ts";
import type { Clock } from "../delivery/clock.ts";
import type { FailureQueue } from "../queues/queue.ts";
import type { ObjectStore } from "../store/object-store.ts";
import { openStore } from "../store/open.ts";
import { parseMoment } from "./words.ts";

export interface DlqCommand {
  readonly config: FanoutConfig;
  readonly stores: Stores;
  readonly filter: LetterFilter;
  /** A queue behind the pipeline, instead of the stores. */
  readonly queue?: FailureQueue;
  /** As it was given. */
  readonly queueAddress?: string;
  readonly clock: Clock;
  readonly json: boolean;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly signal: AbortSignal;
}

export interface FilterFlags {
  readonly sink?: readonly string[];
  readonly tenant?: readonly string[];
  readonly metric?: readonly string[];
  readonly stage?: readonly string[];
  readonly code?: readonly string[];
  readonly fingerprint?: readonly string[];
  readonly object?: readonly string[];
  readonly id?: readonly string[];
  readonly since?: string;
  readonly until?: string;
}

const stages: readonly WaitingStage[] = ["intake", "encode", "send", "pending"];

const gather = (text: string, list: readonly string[] = []) => [...list, text];
const gatherNames = (text: string, list: readonly string[] = []) => [
  ...list,
  ...text
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== ""),
];

/** Adds the filters; each may be given several times, and one of its values is enough. */
export function addFilters(command: Command): Command {
  const named = (flag: string, text: string, each = gatherNames) =>
    command.addOption(new Option(flag, text).argParser(each));
  named("--sink <names>", "of these sinks, or intake");
  named("--tenant <id>", "of this tenant", gather);
  named("--metric <name>", "of this metric", gather);
  named("--stage <names>", `refused at: ${stages.join(", ")} (needs time, was not refused)`);
  named("--code <names>", "with these codes");
  named("--fingerprint <list>", "with these fingerprints, or what they begin with");
  named("--object <key>", "of this object: its key, or the file's name", gather);
  named("--id <ids>", "these letters, by the ids that the commands print");
  command.option("--since <time>", "refused last since 2h, 3d, 2026-11-20 or 2026-11-20T03:15Z");
  command.option("--until <time>", "refused last before");
  return command;
}

/**
 * @param known See {@link knownLanes}; an abbreviation is understood by them. Another name is taken as it is.
 * @throws {ConfigError} for a stage or a time that is none, and for what means nothing, or everything by mistake.
 */
export function filterOf(flags: FilterFlags, now: number, known: readonly string[]): LetterFilter {
  const { sink, tenant, metric, stage, code, fingerprint, object, id, since, until } = flags;
  const lists = { sink, tenant, metric, stage, code, fingerprint, object, id };
  const empty = Object.entries(lists).filter(([, values]) => isBlank(values));
  if (empty.length > 0) {
    // A shell's variable that is not set would take a filter away, and mean everything.
    throw new ConfigError(
      empty.map(([name]) => `--${name} has an empty value: name what is meant, or leave it out`),
    );
  }
  const strange = (stage ?? []).filter((name) => !isStage(name));
  if (strange.length > 0) {
    throw new ConfigError([`--stage must be one of ${stages.join(", ")}, not ${strange.join(", ")}`]);
  }
  const filter: LetterFilter = {
    ...(sink && { sinks: [...new Set(sink.flatMap((name) => named(name, known)))] }),
    ...(tenant && { tenants: tenant }),
    ...(metric && { metrics: metric }),
    ...(stage && { stages: stage.filter(isStage) }),
    ...(code && { codes: code.map((name) => name.toUpperCase()) }),
    ...(fingerprint && { fingerprints: fingerprint.map((text) => text.toLowerCase()) }),
    ...(object && { objects: object }),
    ...(id && { ids: id }),
    ...(since !== undefined && { since: parseMoment("--since", since, now) }),
    ...(until !== undefined && { until: parseMoment("--until", until, now) }),
  };
  if (filter.since !== undefined && filter.until !== undefined && filter.since >= filter.until) {
    throw new ConfigError(["--since must lie before --until; between them there is no time now"]);
  }
  return filter;
}

function isBlank(values: readonly string[] | undefined): boolean {
  return values !== undefined && (values.length === 0 || values.some((value) => value.trim() === ""));
}

/** Of the filter's sinks those that are not configured: a slip, or a sink of former times whose letters still wait. */
export function unknownSinks({ sinks: names = [] }: LetterFilter, sinks: readonly string[]): string[] {
  return names.filter((name) => name !== intakeLane && !sinks.includes(name));
}

function named(name: string, known: readonly string[]): readonly string[] {
  const lanes = lanesNamed(name, known);
  return lanes.length === 0 ? [name] : lanes;
}

function isStage(name: string): name is WaitingStage {
  return (stages as readonly string[]).includes(name);
}

/**
 * The names that a flag's are understood by: those of the configured sinks, and of the flag's own each that letters or
 * deferrals wait of, though no sink has it any more. An exact name wins, so `segment`, which is configured no more, never
 * stands for `segment-groups`.
 */
export async function knownLanes(
  given: readonly string[] | undefined,
  sinks: readonly string[],
  { receipts, deadLetters }: Stores,
): Promise<readonly string[]> {
  const unknown = (given ?? []).filter((name) => !sinks.includes(name));
  const former = await Promise.all(
    unknown.map(async (name) => {
      const has =
        (await hasAny(deadLetters, `sink=${name}/`)) ||
        (await hasAny(receipts, `${deferralsPrefix}sink=${name}/`));
      return has ? [name] : [];
    }),
  );
  return [...sinks, ...former.flat()];
}

async function hasAny(store: ObjectStore, prefix: string): Promise<boolean> {
  for await (const _ of store.list(prefix)) return true;
  return false;
}

export function openStores({ receipts, deadLetters }: FanoutConfig): Stores {
  return { receipts: openStore(receipts), deadLetters: openStore(deadLetters) };
}

/** The filter as its flags again, for a command to be copied; empty for no filter. */
export function flagsOf(filter: LetterFilter): string {
  const { sinks, tenants, metrics, stages: at, codes, fingerprints, objects, ids, since, until } = filter;
  const lists: readonly [string, readonly string[] | undefined][] = [
    ["--sink", sinks?.map((name) => (name === intakeLane ? "intake" : name))],
    ["--tenant", tenants],
    ["--metric", metrics],
    ["--stage", at],
    ["--code", codes],
    ["--fingerprint", fingerprints],
    ["--object", objects],
    ["--id", ids],
    ["--since", since === undefined ? undefined : [new Date(since).toISOString()]],
    ["--until", until === undefined ? undefined : [new Date(until).toISOString()]],
  ];
  return lists.flatMap(([flag, values = []]) => values.map((value) => `${flag} ${quoted(value)}`)).join(" ");
}

/** A command with its flags, of which the empty ones are left out. */
export function commandOf(...parts: readonly string[]): string {
  return parts.filter((part) => part !== "").join(" ");
}

/** As a POSIX shell takes it. */
export function quoted(text: string): string {
  return /^[\w./:@%+,=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
