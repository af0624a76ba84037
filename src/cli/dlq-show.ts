// `fanout dlq show`: one dead letter in whole: its record, its origin, every refusal, what its sink would receive today.

import { hashOf } from "../books/books.ts";
import { ConfigError } from "../config.ts";
import { letterId, matchesIds, mayHoldIds } from "../dead-letter/filter.ts";
import { type Pending, pendingOf, visitLetters } from "../dead-letter/query.ts";
import { readLetters } from "../dead-letter/store.ts";
import type { FailureQueue, QueueEntry } from "../queues/queue.ts";
import { entriesOf, entryFingerprint } from "../queues/survey.ts";
import type { StoreError } from "../store/object-store.ts";
import type { DlqCommand } from "./dlq-options.ts";
import {
  describeLetter,
  describePending,
  type FoundLetter,
  renderEvent,
  renderLetter,
  renderPending,
  renderRecord,
} from "./dlq-show-print.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { count, instant, iso, painter, type Screen, screenOf, wrap } from "./words.ts";

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

type Found = FoundLetter | { readonly pending: Pending };

/** The one that the id means: among what waits, else in the archive. */
async function find({ stores }: DlqCommand, id: string): Promise<Found> {
  const filter = { ids: [id] };
  const found = new Map<string, Found>();
  const damaged: string[] = [];
  const onDamaged = ({ message }: StoreError) => void damaged.push(message);
  await visitLetters(
    stores,
    filter,
    async ({ objectHash, file }, letters) => {
      for await (const letter of letters) {
        found.set(letterId(objectHash, letter.sink, letter.origin.index), { letter, objectHash, file });
        if (found.size > namedAtMost) break;
      }
    },
    onDamaged,
  );
  for await (const pending of pendingOf(stores.receipts, filter, onDamaged)) {
    found.set(letterId(pending.objectHash, pending.sink), { pending });
  }
  if (found.size === 0) await findDropped(stores.deadLetters, id, found);
  const [only] = found.values();
  if (only === undefined) {
    const none = `no dead letter, nothing pending and nothing in the archive has the id ${id}`;
    // It may be one of these.
    throw new ConfigError([...damaged, damaged.length === 0 ? none : `${none}, of what can be read`]);
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
