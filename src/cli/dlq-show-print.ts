// One dead letter, or what is pending of an object, as a document for programs and as lines for people.
import type { FanoutConfig } from "../config.ts";
import { type DeadLetter, intakeLane, recordBytes } from "../dead-letter/dead-letter.ts";
import { letterId } from "../dead-letter/filter.ts";
import { judgeLetter } from "../dead-letter/judge.ts";
import type { Pending } from "../dead-letter/query.ts";
import { type Preview, preview } from "../delivery/preview.ts";
import { everywhere } from "../routing/route.ts";
import { defaultLimits } from "../worker.ts";
import { adviceOf } from "./dlq-list.ts";
import { valuesOf } from "./payload.ts";
import { count, duration, instant, iso, painter, printable, type Screen, wrap } from "./words.ts";

export interface FoundLetter {
  readonly letter: DeadLetter;
  readonly objectHash: string;
  /** In the dead-letter store. */
  readonly file: string;
}

/** What would become of a record at one sink. */
export type Today = { readonly sink: string } & (
  | Preview
  | { readonly status: "not-configured" }
  | { readonly status: "invalid"; readonly code: string; readonly reason: string }
);

type Described = ReturnType<typeof describeLetter>;

export function describeLetter({ letter, objectHash, file }: FoundLetter, config: FanoutConfig) {
  const { id, stage, sink, origin, event, code, reason, fingerprint, dropped, record, recordBase64 } = letter;
  const refusals = [
    ...(letter.history ?? []),
    { stage, code, reason, attempts: letter.attempts, firstAt: letter.firstAt, lastAt: letter.lastAt },
  ];
  const shown = letterId(objectHash, sink, origin.index);
  return {
    id: shown,
    letterId: id,
    file,
    stage,
    sink,
    ...(event === undefined ? {} : { event }),
    code,
    reason,
    fingerprint,
    ...adviceOf({ sink, code, reason, example: shown }, config.sinks),
    origin,
    refusals: refusals.map((each) => ({ ...each, firstAt: iso(each.firstAt), lastAt: iso(each.lastAt) })),
    ...(dropped === undefined ? {} : { dropped: { ...dropped, at: iso(dropped.at) } }),
    today: today(letter, objectHash, config),
    ...(record === undefined ? {} : { record }),
    ...(recordBase64 === undefined ? {} : { recordBase64 }),
  };
}

/** What would become of the record if it were replayed now, up to the request. */
function today(letter: DeadLetter, objectHash: string, config: FanoutConfig): readonly Today[] {
  const bytes = recordBytes(letter);
  const { sink } = letter;
  if (bytes === undefined) return [];
  const limits = { ...defaultLimits, ...config.limits };
  const judged = judgeLetter(letter, bytes, { ...limits, objectHash });
  if ("refusal" in judged) {
    const { code, reason } = judged.refusal;
    return [{ sink, status: "invalid", code, reason }];
  }
  // A record that no sink has seen yet is every sink's.
  const sinks = sink === intakeLane ? config.sinks : config.sinks.filter(({ name }) => name === sink);
  if (sinks.length === 0) return [{ sink, status: "not-configured" }];
  return sinks.map((each) => {
    const seen = preview(judged.event, each, config.routes ?? everywhere);
    const shown = seen.status === "sent" ? { ...seen, payload: valuesOf(seen.payload) } : seen;
    return { sink: each.name, ...shown };
  });
}

export function renderLetter(letter: Described, screen: Screen): string {
  const paint = painter(screen);
  const { columns } = screen;
  const { origin, event, dropped, refusals } = letter;
  const lines = [
    `${paint("bold", letter.id)}  ${letter.sink} ${paint("red", letter.code)} ${letter.fingerprint}`,
    "",
    ...(event === undefined
      ? ["  no valid event, so its metric and tenant are unknown"]
      : [...renderEvent(event)]),
    wrap(`${origin.bucket}/${origin.key}`, columns, "  object  "),
    `  version ${origin.version}`,
    `  record  ${origin.index}, bytes ${origin.start} to ${origin.end} of the decompressed object`,
    wrap(letter.file, columns, "  file    "),
    "",
    paint("bold", "Refusals"),
  ];
  for (const [index, each] of refusals.entries()) {
    const sent = each.attempts === 0 ? "never sent" : `sent ${count(each.attempts, "time")}`;
    const at = instant(Date.parse(each.lastAt));
    lines.push(`  ${index + 1}. ${at} UTC, ${each.stage}, ${each.code}, ${sent}`);
    lines.push(wrap(each.reason, columns, "     "));
  }
  if (dropped !== undefined) {
    lines.push(
      wrap(
        `dropped ${instant(Date.parse(dropped.at))} UTC by ${dropped.by}: ${dropped.reason}`,
        columns,
        "  ",
      ),
    );
  }
  lines.push(
    "",
    wrap(letter.meaning, columns, "  means   "),
    paint("cyan", wrap(letter.action, columns, "  do      ")),
    "",
  );
  lines.push(
    paint("bold", "Today, by the mapping and the configuration as they are now"),
    ...renderToday(letter, screen),
  );
  lines.push("", paint("bold", "Record"), ...renderRecord(letter));
  return lines.join("\n");
}

function renderToday({ today: previews }: Described, screen: Screen): string[] {
  if (previews.length === 0)
    return ["  nothing: the record was too large to be kept; only the object has it"];
  return previews.flatMap((each) => renderPreview(each, screen));
}

/** What a sink would receive, in lines. */
export function renderPreview(each: Today, screen: Screen): string[] {
  const paint = painter(screen);
  const { columns } = screen;
  const name = `  ${each.sink} `;
  switch (each.status) {
    case "not-configured":
      return [wrap("is not configured here, so a replay leaves the letter as it is", columns, name)];
    case "not-routed":
      return [wrap("would not get it: no route sends this metric there", columns, name)];
    case "filtered":
      return [wrap(`would filter it: ${each.reason}`, columns, name)];
    case "invalid":
      return [paint("red", wrap(`still no valid event: ${each.code}, ${each.reason}`, columns, name))];
    case "rejected":
      return [paint("red", wrap(`would be refused again: ${each.code}, ${each.reason}`, columns, name))];
    case "sent": {
      const together = each.partition === "" ? "" : ` to ${each.partition}`;
      const payload = printable(JSON.stringify(each.payload, undefined, 2)).replaceAll(/^/gm, "    ");
      return [paint("green", `${name}would be sent${together}, ${count(each.bytes, "byte")}:`), payload];
    }
  }
}

/** The record to be read: JSON in lines, other text as it is, bytes in base64. */
export function renderRecord({
  record,
  recordBase64,
}: {
  readonly record?: string;
  readonly recordBase64?: string;
}) {
  if (recordBase64 !== undefined) return ["  base64, since it is not UTF-8:", `  ${recordBase64}`];
  if (record === undefined) return ["  too large to be kept in its letter; only the object has it"];
  try {
    return [printable(JSON.stringify(JSON.parse(record), undefined, 2)).replaceAll(/^/gm, "  ")];
  } catch {
    return [printable(record).replaceAll(/^/gm, "  ")];
  }
}

export function renderEvent({ id, metricName, tenantId }: NonNullable<DeadLetter["event"]>): string[] {
  return [
    `  event   ${printable(id)}`,
    `  metric  ${printable(metricName)}`,
    `  tenant  ${printable(tenantId)}`,
  ];
}

// ── what is pending ───────────────────────────────────────────────────────────────────────────────────────────

type DescribedPending = ReturnType<typeof describePending>;

export function describePending(pending: Pending) {
  const { object, sink, ranges, count: number, unread, reason, tries, since, nextAttemptAt } = pending;
  return {
    id: letterId(pending.objectHash, sink),
    sink,
    object,
    ranges,
    pending: number,
    unread,
    reason,
    tries,
    since: iso(since),
    nextAttemptAt: iso(nextAttemptAt),
  };
}

export function renderPending(pending: DescribedPending, screen: Screen, now: number): string {
  const paint = painter(screen);
  const { columns } = screen;
  const { object, ranges, sink } = pending;
  const spans = ranges.map(({ from, to }) => (to === null ? `${from} to the end` : `${from} to ${to - 1}`));
  const due = Date.parse(pending.nextAttemptAt);
  const more = pending.unread ? ", and what was not read yet" : "";
  return [
    `${paint("bold", pending.id)}  ${sink}, ${paint("yellow", count(pending.pending, "delivery", "deliveries"))} pending${more}`,
    "",
    wrap(`${object.bucket}/${object.key}`, columns, "  object  "),
    `  version ${object.version}`,
    wrap(spans.join(", "), columns, "  records "),
    wrap(pending.reason, columns, "  because "),
    `  since   ${instant(Date.parse(pending.since))} UTC, ${count(pending.tries, "try", "tries")}`,
    `  next    ${due <= now ? "now" : `in ${duration(due - now)}`}, ${instant(due)} UTC`,
    paint("cyan", wrap(`fanout dlq replay --id ${pending.id} tries it at once`, columns, "  do      ")),
  ].join("\n");
}
