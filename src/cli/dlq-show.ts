// `fanout dlq show`: one dead letter in whole: its record, its origin, every refusal, what its sink would receive today.

import { hashOf } from "../books/books.ts";
import { ConfigError, type FanoutConfig } from "../config.ts";
import { type DeadLetter, intakeLane, recordBytes } from "../dead-letter/dead-letter.ts";
import { letterId, matchesIds, mayHoldIds } from "../dead-letter/filter.ts";
import { judgeLetter } from "../dead-letter/judge.ts";
import type { Pending } from "../dead-letter/query.ts";
import { pendingOf, visitLetters } from "../dead-letter/query.ts";
import { readLetters } from "../dead-letter/store.ts";
import { type Preview, preview } from "../delivery/preview.ts";
import { defaultMaxRecordBytes } from "../intake/records.ts";
import type { FailureQueue, QueueEntry } from "../queues/queue.ts";
import { entriesOf, entryFingerprint } from "../queues/survey.ts";
import { everywhere } from "../routing/route.ts";
import { adviceOf } from "./dlq-list.ts";
import type { DlqCommand } from "./dlq-options.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { count, duration, instant, iso, painter, printable, type Screen, screenOf, wrap } from "./words.ts";

/** Of an id that means several, so many are named. */
const namedAtMost = 20;

/**
 * @throws {ConfigError} when the id means nothing that is there, or several things.
 * @throws {StoreError} when a store cannot be read.
 */
export async function dlqShow(command: DlqCommand, id: string): Promise<ExitCode> {
  const { config, queue, clock, json, stdout, signal } = command;
  const screen = screenOf(stdout);
  if (queue !== undefined) {
    const document = await describeEntry(queue, await onlyEntry(queue, id, signal));
    stdout.write(json ? `${JSON.stringify(document)}\n` : `${renderEntry(document, screen)}\n`);
    return exitCodes.ok;
  }
  const found = await find(command, id);
  if ("letter" in found) {
    const document = describeLetter(found, config);
    stdout.write(json ? `${JSON.stringify(document)}\n` : `${renderLetter(document, screen)}\n`);
  } else {
    const document = describePending(found.pending);
    stdout.write(
      json ? `${JSON.stringify(document)}\n` : `${renderPending(document, screen, clock.now())}\n`,
    );
  }
  return exitCodes.ok;
}

interface FoundLetter {
  readonly letter: DeadLetter;
  readonly objectHash: string;
  /** In the dead-letter store. */
  readonly file: string;
}

type Found = FoundLetter | { readonly pending: Pending };

/** The one that the id means: among what waits, else in the archive. */
async function find({ stores }: DlqCommand, id: string): Promise<Found> {
  const filter = { ids: [id] };
  const found = new Map<string, Found>();
  await visitLetters(stores, filter, async ({ objectHash, file }, letters) => {
    for await (const letter of letters) {
      found.set(letterId(objectHash, letter.sink, letter.origin.index), { letter, objectHash, file });
      if (found.size > namedAtMost) break;
    }
  });
  for await (const pending of pendingOf(stores.receipts, filter)) {
    found.set(letterId(pending.objectHash, pending.sink), { pending });
  }
  if (found.size === 0) await findDropped(stores.deadLetters, id, found);
  const [only] = found.values();
  if (only === undefined) {
    throw new ConfigError([`no dead letter, nothing pending and nothing in the archive has the id ${id}`]);
  }
  if (found.size > 1) throw several(id, [...found.keys()]);
  return only;
}

function several(id: string, ids: readonly string[]): ConfigError {
  const named = ids.slice(0, namedAtMost).join(", ");
  const more = ids.length > namedAtMost ? ", and more" : "";
  return new ConfigError([`the id ${id} means more than one; give one of ${named}${more}`]);
}

async function findDropped(
  store: DlqCommand["stores"]["deadLetters"],
  id: string,
  found: Map<string, Found>,
): Promise<void> {
  const filter = { ids: [id] };
  for await (const { key } of store.list("archive/sink=")) {
    const objectHash = /\/([0-9a-f]{32})-[^/]*\.jsonl\.gz$/.exec(key)?.[1];
    if (objectHash === undefined || !mayHoldIds(filter, objectHash)) continue;
    for await (const letter of readLetters(store, key)) {
      if (!matchesIds(filter, hashOf(letter.origin), letter)) continue;
      found.set(letterId(objectHash, letter.sink, letter.origin.index), { letter, objectHash, file: key });
      if (found.size > namedAtMost) return;
    }
  }
}

// ── a dead letter ─────────────────────────────────────────────────────────────────────────────────────────────

/** What would become of a record at one sink. */
export type Today = { readonly sink: string } & (
  | Preview
  | { readonly status: "not-configured" }
  | { readonly status: "invalid"; readonly code: string; readonly reason: string }
);

type Described = ReturnType<typeof describeLetter>;

function describeLetter({ letter, objectHash, file }: FoundLetter, config: FanoutConfig) {
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
  const limits = { maxRecordBytes: defaultMaxRecordBytes, ...config.limits };
  const judged = judgeLetter(letter, bytes, { ...limits, objectHash });
  if ("refusal" in judged) {
    const { code, reason } = judged.refusal;
    return [{ sink, status: "invalid", code, reason }];
  }
  // A record that no sink has seen yet is every sink's.
  const sinks = sink === intakeLane ? config.sinks : config.sinks.filter(({ name }) => name === sink);
  if (sinks.length === 0) return [{ sink, status: "not-configured" }];
  return sinks.map((each) => ({
    sink: each.name,
    ...preview(judged.event, each, config.routes ?? everywhere),
  }));
}

function renderLetter(letter: Described, screen: Screen): string {
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
function renderRecord({
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

function renderEvent({ id, metricName, tenantId }: NonNullable<DeadLetter["event"]>): string[] {
  return [
    `  event   ${printable(id)}`,
    `  metric  ${printable(metricName)}`,
    `  tenant  ${printable(tenantId)}`,
  ];
}

// ── what is pending ───────────────────────────────────────────────────────────────────────────────────────────

type DescribedPending = ReturnType<typeof describePending>;

function describePending(pending: Pending) {
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

function renderPending(pending: DescribedPending, screen: Screen, now: number): string {
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

// ── an entry of a queue ───────────────────────────────────────────────────────────────────────────────────────

async function onlyEntry(queue: FailureQueue, id: string, signal: AbortSignal): Promise<QueueEntry> {
  const found: QueueEntry[] = [];
  for await (const entry of entriesOf(queue, { ids: [id] }, signal)) {
    if (entry.id === id) return entry;
    found.push(entry);
    if (found.length > namedAtMost) break;
  }
  const [only] = found;
  if (only === undefined) throw new ConfigError([`nothing in the queue ${queue.name} has the id ${id}`]);
  if (found.length > 1)
    throw several(
      id,
      found.map((entry) => entry.id),
    );
  return only;
}

type DescribedEntry = Awaited<ReturnType<typeof describeEntry>>;

async function describeEntry(queue: FailureQueue, entry: QueueEntry) {
  const { content, firstAt, lastAt, ...rest } = entry;
  const bytes = Buffer.from(typeof content === "function" ? await content() : content);
  const text = bytes.toString("utf8");
  return {
    queue: queue.name,
    target: queue.target,
    ...rest,
    fingerprint: entryFingerprint(queue, entry),
    firstAt: iso(firstAt),
    lastAt: iso(lastAt),
    today: await queue.judge(entry),
    ...(Buffer.from(text, "utf8").equals(bytes)
      ? { record: text }
      : { recordBase64: bytes.toString("base64") }),
  };
}

function renderEntry(entry: DescribedEntry, screen: Screen): string {
  const paint = painter(screen);
  const { columns } = screen;
  const { today: verdict, event } = entry;
  const says =
    verdict.status === "passes"
      ? "would pass"
      : `${verdict.status === "fails" ? `would fail again: ${verdict.code}, ` : ""}${verdict.reason}`;
  return [
    `${paint("bold", entry.id)}  ${entry.queue} ${paint("red", entry.code)} ${entry.fingerprint}`,
    "",
    ...(event === undefined ? [] : [...renderEvent(event)]),
    wrap(entry.place, columns, "  place   "),
    `  tried   ${count(entry.attempts, "time")}, last ${instant(Date.parse(entry.lastAt))} UTC`,
    wrap(entry.reason, columns, "  says    "),
    paint("cyan", wrap(entry.action, columns, "  do      ")),
    wrap(`put back into ${entry.target}, it ${says}`, columns, "  today   "),
    "",
    paint("bold", "Record"),
    ...renderRecord(entry),
  ].join("\n");
}
