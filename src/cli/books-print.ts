// The books as a document for programs, and as tables for people.
import type { ObjectVersion } from "../books/books.ts";
import type { BooksPeriod } from "../books/entries.ts";
import type { Problem } from "../books/problems.ts";
import { type Books, completeness } from "../books/query.ts";
import type { TenantBooks } from "../books/tenant.ts";
import { count, duration, fittingTable, iso, painter, type Screen, wrap } from "./words.ts";

/** Objects that stand in the bucket and in no books. */
export interface Unknown {
  readonly count: number;
  /** Some of them. */
  readonly names: readonly string[];
}

/** Gaps that are told one by one; a document has more of them. */
export const problemsShown = 20;

// ── for programs ──────────────────────────────────────────────────────────────────────────────────────────────

interface Facts {
  readonly now: number;
  /** Sinks that tell nothing more of an event than that they took it. */
  readonly accepting: ReadonlySet<string>;
  readonly unknown: Unknown | undefined;
}

export function booksDocument(
  found: Books,
  { now, accepting, unknown, isWhole }: Facts & { readonly isWhole: boolean },
) {
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

export function renderBooks(
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

export function renderTenant(tenant: string, told: TenantBooks, screen: Screen): string {
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
