// What was given up of a queue: kept in the dead-letter store, with the reason, so that nothing is erased.
import { isUtf8 } from "node:buffer";
import { hash } from "node:crypto";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { JsonObject } from "../event.ts";
import type { ObjectStore } from "../store/object-store.ts";
import type { QueueEntry } from "./queue.ts";

export interface Dropped {
  /** The command's id. */
  readonly id: string;
  readonly reason: string;
  readonly by: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

const compress = promisify(gzip);

/**
 * Writes entries as gzip JSONL below `archive/queues/<queue>/` and answers the key. A command that does it again,
 * because it did not live to remove them, finds its own file there.
 *
 * @param more what else must be known to put an entry back by hand.
 */
export async function archiveEntries<Entry extends QueueEntry>(
  store: ObjectStore,
  queue: string,
  entries: readonly Entry[],
  { id: order, ...dropped }: Dropped,
  more: (entry: Entry) => JsonObject = () => ({}),
): Promise<string> {
  const lines: string[] = [];
  for (const entry of entries) {
    const { content, ...facts } = plain(entry);
    const bytes = Buffer.from(typeof content === "function" ? await content() : content);
    const record = isUtf8(bytes)
      ? { record: bytes.toString("utf8") }
      : { recordBase64: bytes.toString("base64") };
    lines.push(`${JSON.stringify({ ...facts, queue, ...more(entry), dropped, ...record })}\n`);
  }
  const ids = entries.map(({ id }) => id);
  const name = hash("sha256", JSON.stringify([order, ...ids]), "hex").slice(0, 32);
  const date = new Date(dropped.at).toISOString().slice(0, 10);
  const key = `archive/queues/${queue}/date=${date}/${name}.jsonl.gz`;
  // Taken means that it holds the same: the name says which command and which entries.
  await store.putIfAbsent(key, await compress(lines.join("")));
  return key;
}

/** The fields that the port names; a queue's entries have more. */
function plain({
  id,
  code,
  reason,
  action,
  attempts,
  firstAt,
  lastAt,
  place,
  event,
  content,
}: QueueEntry): QueueEntry {
  return {
    id,
    code,
    reason,
    action,
    attempts,
    firstAt,
    lastAt,
    place,
    content,
    ...(event === undefined ? {} : { event }),
  };
}
