// `fanout books`: is everything where it must be? A row a sink, and every gap with its reason.

import { dayOf, type ObjectVersion } from "../books/books.ts";
import { addBooks, type Books, type BooksPeriod, completeness, type Problem } from "../books/query.ts";
import { addTenantBooks, type TenantBooks } from "../books/tenant.ts";
import { ConfigError, type FanoutConfig } from "../config.ts";
import { meansSink } from "../dead-letter/filter.ts";
import type { Clock } from "../delivery/clock.ts";
import { openSource, openStore, sourceObjects } from "../store/open.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { processOwner } from "./owner.ts";
import {
  count,
  duration,
  fittingTable,
  iso,
  painter,
  parseMoment,
  type Screen,
  screenOf,
  wrap,
} from "./words.ts";

export interface BooksFlags {
  readonly day?: string;
  readonly since?: string;
  readonly until?: string;
  readonly sink?: readonly string[];
  readonly tenant?: string;
  /** A folder or `s3://`: objects there that no books know of are missing. */
  readonly in?: string;
}

export interface BooksCommand {
  readonly config: FanoutConfig;
  readonly flags: BooksFlags;
  readonly clock: Clock;
  readonly json: boolean;
  readonly stdout: NodeJS.WriteStream;
  readonly signal: AbortSignal;
}

const dayMs = 24 * 60 * 60_000;
/** Gaps that are told one by one; a document has more of them. */
const problemsShown = 20;

/**
 * Exit code 1 when something is missing and unexplained. What is a dead letter, pending, or under way is explained.
 *
 * @throws {StoreError} when a store cannot be read.
 * @throws {ConfigError} when a flag cannot be understood.
 */
export async function books(command: BooksCommand): Promise<ExitCode> {
  const { config, flags, clock, json, stdout, signal } = command;
  const now = clock.now();
  const period = periodOf(flags, now);
  const receipts = openStore(config.receipts);
  const deadLetters = openStore(config.deadLetters);
  const names = config.sinks.map(({ name }) => name);
  const sinks =
    flags.sink === undefined
      ? names
      : names.filter((name) => flags.sink?.some((each) => meansSink(each, name)));
  if (sinks.length === 0)
    throw new ConfigError([`--sink names no configured sink; known are ${names.join(", ")}`]);
  const screen = screenOf(stdout);
  const accepting = new Set(
    config.sinks.flatMap(({ name, acknowledges }) => (acknowledges === "accepted" ? [name] : [])),
  );

  if (flags.tenant !== undefined) {
    const { limits } = config;
    const told = await addTenantBooks({
      ...period,
      tenant: flags.tenant,
      receipts,
      deadLetters,
      sinks,
      source: openStore,
      ...(limits && { limits }),
      signal,
    });
    const isMissing = told.gone > 0 || told.sinks.some(({ missing }) => missing > 0);
    stdout.write(
      json
        ? `${JSON.stringify({ tenant: flags.tenant, ...told })}\n`
        : `${renderTenant(flags.tenant, told, screen)}\n`,
    );
    return isMissing ? exitCodes.failed : exitCodes.ok;
  }

  const seen = new Set<string>();
  const found = await addBooks({
    ...period,
    receipts,
    deadLetters,
    sinks,
    only: flags.sink !== undefined,
    owner: processOwner(),
    ...(flags.in === undefined ? {} : { onObject: (object) => seen.add(`${object.bucket}/${object.key}`) }),
  });
  const unknown =
    flags.in === undefined
      ? undefined
      : await unknownObjects(flags.in, period, seen, [receipts.location, deadLetters.location]);
  const isWhole = found.problemCount === 0 && (unknown?.count ?? 0) === 0;
  stdout.write(
    json
      ? `${JSON.stringify(document(found, { now, accepting, unknown, isWhole }))}\n`
      : `${render(found, { now, accepting, unknown, screen, period })}\n`,
  );
  return isWhole ? exitCodes.ok : exitCodes.failed;
}

/** @throws {ConfigError} when a time cannot be understood. */
export function periodOf(
  { day, since, until }: Pick<BooksFlags, "day" | "since" | "until">,
  now: number,
): BooksPeriod {
  if (day !== undefined) {
    if (since !== undefined || until !== undefined)
      throw new ConfigError(["--day stands alone, without --since and --until"]);
    const start = day === "today" || day === "yesterday" ? startOf(now, day) : parseMoment("--day", day, now);
    const first = Math.floor(start / dayMs) * dayMs;
    return { since: first, until: first + dayMs };
  }
  return {
    ...(since === undefined ? {} : { since: parseMoment("--since", since, now) }),
    ...(until === undefined ? {} : { until: parseMoment("--until", until, now) }),
  };
}

function startOf(now: number, day: "today" | "yesterday"): number {
  return day === "today" ? now : now - dayMs;
}

interface Unknown {
  readonly count: number;
  readonly names: readonly string[];
}

/** Objects of the period that stand there and in no books. */
async function unknownObjects(
  address: string,
  { since = Number.NEGATIVE_INFINITY, until = Number.POSITIVE_INFINITY }: BooksPeriod,
  seen: ReadonlySet<string>,
  own: readonly string[],
): Promise<Unknown> {
  const source = await openSource(address);
  const names: string[] = [];
  let number = 0;
  for await (const { key, lastModified } of sourceObjects(source)) {
    const name = `${source.store.location}/${key}`;
    if (own.some((location) => name.startsWith(`${location}/`)) || seen.has(name)) continue;
    const written = Date.parse(`${dayOf(key)}T00:00:00Z`);
    const at = Number.isNaN(written) ? lastModified : written;
    if (at + (Number.isNaN(written) ? 0 : dayMs) <= since || at >= until) continue;
    number++;
    if (names.length < problemsShown) names.push(name);
  }
  return { count: number, names };
}

// ── for programs ──────────────────────────────────────────────────────────────────────────────────────────────

interface Facts {
  readonly now: number;
  /** Sinks that tell nothing more of an event than that they took it. */
  readonly accepting: ReadonlySet<string>;
  readonly unknown: Unknown | undefined;
}

function document(found: Books, { now, accepting, unknown, isWhole }: Facts & { readonly isWhole: boolean }) {
  return {
    at: iso(now),
    complete: isWhole,
    objects: found.objects,
    unread: found.unread,
    underWay: found.underWay,
    records: found.records,
    valid: found.valid,
    invalid: found.invalid,
    invalidDropped: found.invalidDropped,
    sinks: found.sinks.map((sink) => {
      const { newestTime, ...counts } = sink;
      const share = completeness(sink);
      return {
        ...counts,
        acknowledges: accepting.has(sink.sink) ? "accepted" : "stored",
        ...(share === undefined ? {} : { completeness: share }),
        ...(newestTime === undefined
          ? {}
          : { newestTime: iso(newestTime), freshnessSeconds: Math.round((now - newestTime) / 1000) }),
      };
    }),
    ...(unknown === undefined ? {} : { unknownObjects: unknown }),
    problems: found.problems,
    problemCount: found.problemCount,
  };
}

// ── for people ────────────────────────────────────────────────────────────────────────────────────────────────

/** Never 100 % unless it is. */
export function percent(share: number | undefined): string {
  if (share === undefined) return "-";
  return `${share === 1 ? "100" : (Math.floor(share * 10_000) / 100).toFixed(2)} %`;
}

function render(
  found: Books,
  {
    now,
    accepting,
    unknown,
    screen,
    period,
  }: Facts & { readonly screen: Screen; readonly period: BooksPeriod },
): string {
  const paint = painter(screen);
  const { columns } = screen;
  const optional = [
    ["filtered", "filtered", undefined],
    ["deadLettered", "dead", "red"],
    ["dropped", "dropped", undefined],
    ["pending", "pending", "yellow"],
    ["missing", "missing", "red"],
  ] as const;
  // What is nowhere takes no room.
  const shown = optional.filter(([name]) => found.sinks.some((sink) => sink[name] > 0));
  const head = ["sink", "valid", "delivered", ...shown.map(([, title]) => title), "complete", "fresh"];
  const rows = found.sinks.map((sink) => {
    const { valid, missing, delivered, newestTime } = sink;
    const share = completeness(sink);
    return [
      sink.sink,
      count(valid + missing),
      `${count(delivered)}${delivered > 0 && accepting.has(sink.sink) ? "*" : ""}`,
      ...shown.map(([name, , style]) =>
        sink[name] > 0 && style !== undefined ? paint(style, count(sink[name])) : count(sink[name]),
      ),
      share === 1 ? paint("green", percent(share)) : percent(share),
      newestTime === undefined ? "-" : duration(Math.max(0, now - newestTime)),
    ];
  });
  const colAligns = head.map((_, index) => (index === 0 ? ("left" as const) : ("right" as const)));
  const span = periodText(period);
  const dropped = found.invalidDropped > 0 ? ` + ${count(found.invalidDropped)} invalid and dropped` : "";
  const parts = [
    `${paint("bold", count(found.objects, "object"))}${span}`,
    `${count(found.records, "record")} read: ${count(found.valid)} valid + ${count(found.invalid)} invalid${dropped}`,
    fittingTable({ head, colAligns }, rows, screen),
  ];
  const starred = found.sinks.filter(({ sink, delivered }) => accepting.has(sink) && delivered > 0);
  if (starred.length > 0) {
    const names = starred.map(({ sink }) => sink).join(", ");
    parts.push(
      wrap(`* accepted: ${names} answers that it took an event, and tells nothing more about it.`, columns),
    );
  }
  if (found.underWay > 0) parts.push(paint("yellow", `${count(found.underWay, "object")} under way now.`));
  if (found.unread > 0) {
    parts.push(
      paint(
        "yellow",
        wrap(
          `${count(found.unread, "object")} not read to the end: what is behind is in no count yet.`,
          columns,
        ),
      ),
    );
  }
  if (unknown !== undefined && unknown.count > 0) {
    const more =
      unknown.count > unknown.names.length
        ? [`  and ${count(unknown.count - unknown.names.length)} more`]
        : [];
    parts.push(
      [
        paint(
          "red",
          `${count(unknown.count, "object")} in no books: no worker has ever begun with ${unknown.count === 1 ? "it" : "them"}.`,
        ),
        ...unknown.names.map((name) => wrap(name, columns, "  ")),
        ...more,
      ].join("\n"),
    );
  }
  const gaps = found.problemCount + (unknown?.count ?? 0);
  if (found.problemCount > 0) parts.push(renderProblems(found, screen));
  parts.push(
    gaps === 0
      ? paint("green", "The books close: nothing is missing without an explanation.")
      : paint("red", `${count(gaps, "gap")} in the books.`),
  );
  return parts.join("\n");
}

function periodText({ since, until }: BooksPeriod): string {
  const from = since === undefined ? "" : ` since ${iso(since).slice(0, 16)}`;
  return `${from}${until === undefined ? "" : ` until ${iso(until).slice(0, 16)}`}`;
}

function renderProblems({ problems, problemCount }: Books, screen: Screen): string {
  const paint = painter(screen);
  const shown = problems.slice(0, problemsShown);
  const lines = shown.map(({ code, lane, object, place, what }: Problem) =>
    wrap(`${code} ${lane} ${nameOf(object) ?? place}: ${what}`, screen.columns, "  ", "    "),
  );
  if (problemCount > shown.length)
    lines.push(`  and ${count(problemCount - shown.length)} more; --json names ${count(problems.length)}`);
  return paint("red", lines.join("\n"));
}

function nameOf(object: ObjectVersion | undefined): string | undefined {
  return object === undefined ? undefined : `${object.bucket}/${object.key}`;
}

function renderTenant(tenant: string, told: TenantBooks, screen: Screen): string {
  const paint = painter(screen);
  const head = ["sink", "valid", "settled", "dead", "dropped", "pending", "missing", "complete"];
  const rows = told.sinks.map(({ sink, valid, settled, deadLettered, dropped, pending, missing }) => [
    sink,
    count(valid),
    count(settled),
    count(deadLettered),
    count(dropped),
    count(pending),
    missing > 0 ? paint("red", count(missing)) : "0",
    percent(valid === 0 ? undefined : settled / valid),
  ]);
  const colAligns = head.map((_, index) => (index === 0 ? ("left" as const) : ("right" as const)));
  const note =
    "Receipts hold no tenants: these figures come from reading the objects again and looking every event up. Settled " +
    "is delivered or filtered. Invalid records belong to no tenant.";
  return [
    wrap(
      `${tenant}: ${count(told.valid, "valid event")} in ${count(told.objects, "object")}`,
      screen.columns,
    ),
    fittingTable({ head, colAligns }, rows, screen),
    wrap(note, screen.columns),
    ...(told.gone > 0
      ? [
          paint(
            "red",
            wrap(
              `${count(told.gone, "object")} gone: what they held of the tenant, nobody knows.`,
              screen.columns,
            ),
          ),
        ]
      : []),
  ].join("\n");
}
