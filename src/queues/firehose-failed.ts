// What lies in objects: records that the stream could not process, as Firehose wrote them below its error prefix, are put
// back into the stream; invocations of the worker that Lambda gave up are put back through the worker.
import type { ObjectVersion } from "../books/books.ts";
import { ObjectBusy } from "../books/claim.ts";
import { ConfigError } from "../config.ts";
import type { Clock } from "../delivery/clock.ts";
import { stableUuid } from "../delivery/ids.ts";
import { decompress } from "../intake/decompress.ts";
import type { createNoWorkRule } from "../intake/no-work.ts";
import type { Message as Notification } from "../intake/notification.ts";
import { defaultMaxRecordBytes, type RawRecord, readRecords } from "../intake/records.ts";
import type { Logger } from "../log.ts";
import { contains, createCursor, type Ranges } from "../ranges.ts";
import { type ObjectInfo, type ObjectStore, readAll, StoreError } from "../store/object-store.ts";
import type { Source } from "../store/open.ts";
import type { Worker } from "../worker.ts";
import { archiveEntries } from "./archive.ts";
import { isInvocationKey, readInvocation } from "./failed-invocation.ts";
import { type FailedRecord, readFailedRecord } from "./failed-record.ts";
import {
  describeNotification,
  judgeNotification,
  objectBudgetMs,
  processNotification,
  refusedUnread,
  unknownAction,
} from "./notification-message.ts";
import {
  callsPerSecond,
  type DeliveryStream,
  putBudgetMs,
  recordsPerCall,
  type StreamWriter,
} from "./put-records.ts";
import type { FailureQueue, QueueEntry, QueueOutcome } from "./queue.ts";
import type { createRecordReader } from "./stream-record.ts";
import type { TakenBook } from "./taken.ts";

export interface FirehoseFailedOptions {
  /** The objects: those below the prefix, or the one that it names. */
  readonly source: Source;
  /** Where records are put. Default: the stream that each object's name tells. */
  readonly stream?: string;
  /** Where that stream is. Default: where each record's document says that its transform is. */
  readonly region?: string;
  readonly writer: StreamWriter;
  readonly worker: Pick<Worker, "process">;
  /** Which objects the worker is not given, in the words of its function. */
  readonly noWork: ReturnType<typeof createNoWorkRule>;
  readonly taken: TakenBook;
  /** Its archive takes what is dropped. */
  readonly deadLetters: ObjectStore;
  readonly read: ReturnType<typeof createRecordReader>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The name of the queue, in lists and in the archive. */
export const firehoseQueueName = "firehose";

/**
 * A queue over objects that are never changed. What was put back or dropped is noted beside the dead letters, by its
 * index in the object, so that an object of a hundred thousand records is not written anew for each of them; when
 * none is left, the object is deleted. Whoever takes records of an object has claimed it meanwhile.
 *
 * @throws {ConfigError} when nothing says which stream the first object came from.
 * @throws {StoreError} when the objects cannot be listed.
 */
export async function openFirehoseFailed(options: FirehoseFailedOptions): Promise<FailureQueue> {
  const { source, writer, worker, noWork, taken, deadLetters, read, clock, log } = options;
  const { store } = source;
  const streamOf = (key: string) => options.stream ?? streamIn(key);
  const targetOf = (key: string, document: FailedRecord): DeliveryStream | typeof streamUnknown => {
    const name = streamOf(key);
    const region = options.region ?? document.region;
    if (name === undefined) return streamUnknown;
    return region === undefined ? regionUnknown : { name, region };
  };
  let example: string | undefined;
  for await (const { key } of objectsOf(source)) {
    example = streamOf(key);
    if (example === undefined && !isInvocationKey(key)) {
      throw new ConfigError([
        `the name of ${store.location}/${key} does not begin with a delivery stream's: add ?stream=<name> to the address`,
      ]);
    }
    break;
  }

  async function* entriesOf(info: ObjectInfo, signal: AbortSignal): AsyncGenerator<FailedEntry> {
    const { key, version, size } = info;
    const object: ObjectVersion = { bucket: store.location, key, version };
    const state: FailedObject = { object, taken: await taken.read(object), total: undefined };
    const isTaken = createCursor(state.taken);
    let next = 0;
    try {
      const windows = decompress({ store, key, version, size, signal });
      for await (const records of readRecords(windows, { maxRecordBytes: defaultMaxRecordBytes })) {
        for (const record of records) {
          next = record.index + 1;
          if (!isTaken(record.index)) yield entryOf(state, info, record);
        }
      }
    } catch (error) {
      // Somebody else has taken the last of it since it was listed.
      if (error instanceof StoreError && error.code === "NOT_FOUND") return;
      throw error;
    }
    state.total = next;
    // What was put back may have been the last, and whoever did it may not have lived to delete the object.
    if (isEmpty(state)) await removeObject(state).catch(() => {});
  }

  function entryOf(state: FailedObject, info: ObjectInfo, record: RawRecord): FailedEntry {
    const { bucket, key, version } = state.object;
    const id = stableUuid(bucket, key, version, String(record.index));
    const common = { id, place: `${bucket}/${key}, record ${record.index + 1}`, [held]: undefined };
    const invocation = readInvocation(record);
    if (invocation !== undefined) {
      const { notification, body } = invocation;
      const message = { body, receives: 1, sentAt: info.lastModified };
      const known = describeNotification(message, notification);
      const content = Buffer.from(body);
      return { ...common, ...known, content, [held]: { state, index: record.index, notification } };
    }
    const document = "code" in record ? record : readFailedRecord(record.value);
    if ("data" in document) {
      const { data, code, reason, action, attempts } = document;
      const { arrivedAt = info.lastModified, failedAt = info.lastModified } = document;
      const { event } = read(data, id, clock.now());
      const times = { attempts, firstAt: arrivedAt, lastAt: failedAt };
      return {
        ...common,
        ...times,
        code,
        reason,
        action,
        ...(event === undefined ? {} : { event }),
        content: data,
        [held]: { state, index: record.index, document },
      };
    }
    return {
      ...common,
      code: document.code,
      reason: document.reason,
      action:
        document.code === "NOT_A_FAILED_RECORD" && "raw" in record
          ? unknownAction(record.raw)
          : "It cannot be put back: see what it is, then drop it; the archive keeps its bytes.",
      attempts: 0,
      firstAt: info.lastModified,
      lastAt: info.lastModified,
      content: contentOf(info, record),
      [held]: { state, index: record.index },
    };
  }

  /** The bytes of what is no document. Those that were not kept are read again. */
  function contentOf(info: ObjectInfo, record: RawRecord): QueueEntry["content"] {
    if ("raw" in record) return Buffer.from(record.raw, "latin1");
    if (record.bytes !== undefined) return Buffer.from(record.bytes);
    const { key, version, size } = info;
    const { start, end } = record;
    const { stored } = record;
    if (stored !== undefined) return () => readAll(store, key, { version, ...stored });
    return async () => {
      const parts: Buffer[] = [];
      let at = 0;
      for await (const window of decompress({ store, key, version, size })) {
        if (!Buffer.isBuffer(window)) continue;
        parts.push(window.subarray(Math.max(0, start - at), Math.max(0, end - at)));
        at += window.length;
        if (at >= end) break;
      }
      return Buffer.concat(parts);
    };
  }

  const isEmpty = ({ taken: [first], total }: FailedObject) =>
    total !== undefined && first?.from === 0 && (first.to ?? total) >= total;

  /** The object first: without it nobody reads what was taken of it. */
  async function removeObject({ object }: FailedObject): Promise<void> {
    await store.delete(object.key);
    await taken.forget(object);
  }

  async function note(state: FailedObject, indexes: readonly number[]): Promise<void> {
    state.taken = await taken.add(state.object, indexes);
    // What is noted is noted: an object of which nothing is left is deleted by whoever comes by next.
    if (isEmpty(state)) await removeObject(state).catch(() => {});
  }

  /** Looks again, now that nobody else may take anything: which of these have not been taken. */
  async function stillThere(state: FailedObject): Promise<(index: number) => boolean> {
    const { object } = state;
    state.taken = await taken.read(object);
    // In this order: what was taken is forgotten only after the object is gone.
    const { key, version } = object;
    if ((await store.look(key, { version }).catch(ifChanged)) === undefined) return () => false;
    const { taken: ranges } = state;
    return (index) => !contains(ranges, index);
  }

  /** Through the worker, one after the other: an object may take minutes. */
  async function giveToWorker(
    state: FailedObject,
    asked: readonly Asked[],
    outcomes: QueueOutcome[],
    signal: AbortSignal,
  ): Promise<void> {
    const objects = asked.reduce((sum, { notification }) => sum + notification.objects.length, 0);
    let release: (() => Promise<void>) | undefined;
    try {
      release = await taken.claim(state.object, objects * objectBudgetMs + putBudgetMs);
      const isThere = await stillThere(state);
      for (const { position, index, notification } of asked) {
        const unknown = refusedUnread(notification);
        if (!isThere(index)) outcomes[position] = gone;
        else if (unknown !== undefined) outcomes[position] = { status: "refused", ...unknown };
        else {
          const hold = () => Promise.resolve(true);
          const outcome = await processNotification(notification, { worker, noWork, clock, signal, hold });
          if (outcome.status === "delivered") await note(state, [index]);
          outcomes[position] = outcome;
        }
      }
    } catch (error) {
      const outcome = keptBecause(error);
      for (const { position } of asked) if (outcomes[position] === notOurs) outcomes[position] = outcome;
    } finally {
      await release?.().catch(() => {});
    }
  }

  /** Codes of what an operator has been told once. */
  const told = new Set<string>();

  const queue: FailureQueue = {
    name: firehoseQueueName,
    target:
      options.stream !== undefined
        ? `the delivery stream ${options.stream}${options.region === undefined ? "" : ` in ${options.region}`}`
        : `the delivery stream that each object came from${example === undefined ? ", or the worker" : `, such as ${example}`}`,
    limits: { itemsPerRequest: recordsPerCall, requestsPerSecond: callsPerSecond },
    repeats: {
      effect: "merged",
      reason:
        "after a crash between the put and its note a record is put once more; sinks that know events by metadata.event_id count it once, and only a record without one counts twice",
    },

    async *entries({ signal }) {
      for await (const info of objectsOf(source)) {
        if (signal.aborted) return;
        yield* entriesOf(info, signal);
      }
    },

    async judge(entry) {
      const { document, state, notification } = heldBy(entry) ?? {};
      if (notification !== undefined) return judgeNotification(notification, entry.code);
      if (document === undefined || state === undefined) {
        return { status: "fails", code: entry.code, reason: entry.reason };
      }
      const target = targetOf(state.object.key, document);
      if ("code" in target) {
        if (!told.has(target.code)) log.warn("records cannot be put back", { reason: target.reason });
        told.add(target.code);
        return { status: "fails", ...target };
      }
      return read(document.data, entry.id, clock.now()).verdict;
    },

    async putBack(entries, { signal }) {
      const outcomes: QueueOutcome[] = entries.map(() => notOurs);
      const releases: (() => Promise<void>)[] = [];
      /** By stream: which of the entries go there. */
      const streams = new Map<string, ToStream>();
      try {
        for (const [state, all] of byObject(entries)) {
          const asked = all.flatMap(({ notification, ...each }) =>
            notification === undefined ? [] : [{ ...each, notification }],
          );
          const group = all.filter((each) => each.notification === undefined);
          if (asked.length > 0) await giveToWorker(state, asked, outcomes, signal);
          if (group.length === 0) continue;
          try {
            releases.push(await taken.claim(state.object, putBudgetMs));
            const isThere = await stillThere(state);
            for (const { position, index, document } of group) {
              if (!isThere(index)) {
                outcomes[position] = gone;
                continue;
              }
              if (document === undefined) {
                outcomes[position] = refusedAs(entries[position]);
                continue;
              }
              const stream = targetOf(state.object.key, document);
              if ("code" in stream) {
                outcomes[position] = { status: "refused", ...stream };
                continue;
              }
              const to = JSON.stringify([stream.region, stream.name]);
              const known = streams.get(to) ?? { stream, wanted: [] };
              known.wanted.push({ position, state, index, data: document.data });
              streams.set(to, known);
            }
          } catch (error) {
            const outcome = keptBecause(error);
            for (const { position } of group) outcomes[position] = outcome;
          }
        }
        for (const { stream, wanted } of streams.values()) {
          const records = wanted.map(({ data }) => data);
          const put = await writer.put(stream, records, signal);
          const done = wanted.filter(({ position }, at) => {
            const outcome = put[at] ?? notOurs;
            outcomes[position] = outcome;
            return outcome.status === "delivered";
          });
          for (const [state, group] of Map.groupBy(done, ({ state: each }) => each)) {
            try {
              await note(
                state,
                group.map(({ index }) => index),
              );
            } catch (error) {
              const why = error instanceof StoreError ? error.message : "an unexpected error";
              const reason = `it is in the stream, but that could not be noted, so it will be put there once more: ${why}`;
              for (const { position } of group) outcomes[position] = { status: "kept", reason };
            }
          }
        }
        return outcomes;
      } finally {
        // A claim that could not be given back expires.
        await Promise.allSettled(releases.map((release) => release()));
      }
    },

    async drop(entries, { id, reason, by }) {
      const releases: (() => Promise<void>)[] = [];
      const groups = byObject(entries);
      try {
        for (const state of groups.keys()) releases.push(await taken.claim(state.object, putBudgetMs));
        for (const [state, group] of groups) {
          const isThere = await stillThere(state);
          const left = group.filter(({ index }) => isThere(index));
          const dropped = left.flatMap(({ position }) => entries[position] ?? []);
          if (dropped.length === 0) continue;
          await archiveEntries(deadLetters, firehoseQueueName, dropped, { id, reason, by, at: clock.now() });
          await note(
            state,
            left.map(({ index }) => index),
          );
        }
      } finally {
        await Promise.allSettled(releases.map((release) => release()));
      }
    },

    async close() {
      writer.close();
    },
  };
  return queue;
}

interface ToStream {
  readonly stream: DeliveryStream;
  readonly wanted: Wanted[];
}

/** An object under way, shared by its entries. */
interface FailedObject {
  readonly object: ObjectVersion;
  taken: Ranges;
  /** How many records it has, once it has been read to its end. */
  total: number | undefined;
}

/** Travels with an entry, also through a copy of it, and not into JSON. */
const held = Symbol("held");

interface FailedEntry extends QueueEntry {
  readonly [held]: Held | undefined;
}

interface Held {
  readonly state: FailedObject;
  readonly index: number;
  /** Absent when it is none of Firehose's. */
  readonly document?: FailedRecord;
  /** Of an invocation that Lambda gave up. */
  readonly notification?: Notification;
}

type Asked = Held & { readonly position: number; readonly notification: Notification };

interface Wanted {
  readonly position: number;
  readonly state: FailedObject;
  readonly index: number;
  readonly data: Buffer;
}

function heldBy(entry: QueueEntry): Held | undefined {
  // Only this file knows the symbol, and puts nothing else there.
  return (entry as Partial<FailedEntry>)[held];
}

/** Those of this queue, with their positions; objects in the order of their names, so that claims are, too. */
function byObject(
  entries: readonly QueueEntry[],
): ReadonlyMap<FailedObject, readonly (Held & { readonly position: number })[]> {
  const all = entries.flatMap((entry, position) => {
    const found = heldBy(entry);
    return found === undefined ? [] : [{ ...found, position }];
  });
  const sorted = all.toSorted((a, b) => (a.state.object.key < b.state.object.key ? -1 : 1));
  return Map.groupBy(sorted, ({ state }) => state);
}

/**
 * Everything below the prefix, or the one object of that name; without those that hold nothing, such as what consoles
 * make of a folder. By listings alone: a look may name an object in another way (see {@link ObjectInfo.version}), and
 * its entries would have other ids.
 */
async function* objectsOf({ store, prefix }: Source): AsyncGenerator<ObjectInfo> {
  for await (const info of store.list(prefix)) {
    if (info.size > 0) yield info;
    // Others whose names only begin like this one's come behind it.
    if (info.key === prefix && !prefix.endsWith("/")) return;
  }
}

/** The stream in `<stream>-<version>-yyyy-MM-dd-HH-mm-ss-<uuid>`, the end of every key that Firehose makes.
 * https://docs.aws.amazon.com/firehose/latest/dev/s3-object-name.html */
export function streamIn(key: string): string | undefined {
  const name = key.slice(key.lastIndexOf("/") + 1);
  return /^([A-Za-z0-9_.-]{1,64})-\d+-\d{4}(?:-\d{2}){5}-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/.exec(
    name,
  )?.[1];
}

const notOurs: QueueOutcome = {
  status: "kept",
  reason: "it is no entry of this queue: list the queue again",
};
const gone: QueueOutcome = {
  status: "kept",
  reason: "it is no longer there: somebody else has put it back or dropped it",
};
const streamUnknown = {
  code: "STREAM_UNKNOWN",
  reason: "the object's name does not begin with a delivery stream's: add ?stream=<name> to the address",
};
/** Never guessed: a stream of the same name in another region would take the record, and the entry would be gone. */
const regionUnknown = {
  code: "REGION_UNKNOWN",
  reason:
    "the document names no transform, so nothing says in which region the stream is: add ?region=<region> to the address",
};

function refusedAs(entry: QueueEntry | undefined): QueueOutcome {
  return entry === undefined ? notOurs : { status: "refused", code: entry.code, reason: entry.reason };
}

function keptBecause(error: unknown): QueueOutcome {
  if (error instanceof ObjectBusy || error instanceof StoreError)
    return { status: "kept", reason: error.message };
  throw error;
}

/** Another content under the same key: what was there is gone. */
function ifChanged(error: unknown): undefined {
  if (!(error instanceof StoreError && error.code === "CHANGED")) throw error;
}
