// A dead-letter queue in SQS: bus events go back into the stream, notifications back to the worker.
import type { Clock } from "../delivery/clock.ts";
import type { JsonObject } from "../event.ts";
import type { createNoWorkRule } from "../intake/no-work.ts";
import type { Message as Notification } from "../intake/notification.ts";
import type { Logger } from "../log.ts";
import type { EventRule } from "../routing/event-rules.ts";
import { type ObjectStore, StoreError } from "../store/object-store.ts";
import type { Worker } from "../worker.ts";
import { archiveEntries } from "./archive.ts";
import { type BusMessage, describeBusMessage, readBusMessage, type Unready } from "./bus-message.ts";
import { type MessageBox, messagesPerCall, type QueueMessage } from "./messages.ts";
import {
  describeNotification,
  judgeNotification,
  lost,
  objectBudgetMs,
  processNotification,
  readNotification,
  refusedUnread,
} from "./notification-message.ts";
import { putBudgetMs, type StreamWriter } from "./put-records.ts";
import type { FailureQueue, QueueEntry, QueueOutcome } from "./queue.ts";
import type { createRecordReader } from "./stream-record.ts";

export interface SqsQueueOptions {
  /** `https://sqs.<region>.amazonaws.com/<account>/<name>`. */
  readonly url: string;
  readonly box: MessageBox;
  readonly writer: StreamWriter;
  readonly worker: Pick<Worker, "process">;
  /** Which objects the worker is not given, in the words of its function. */
  readonly noWork: ReturnType<typeof createNoWorkRule>;
  /** Of the catalog, when there is one. */
  readonly rules: readonly EventRule[] | undefined;
  /** Its archive takes what is dropped. */
  readonly deadLetters: ObjectStore;
  readonly read: ReturnType<typeof createRecordReader>;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * While a message is looked at, nobody else gets it. After a command that was killed it waits so long; a command that
 * takes longer gets it once more, knows it again, and has it for as long again.
 */
const lookSeconds = 5 * 60;
/** While it is put back: what that may take, and some time to remove it. */
const putSeconds = (putBudgetMs + 60_000) / 1000;
const processSeconds = (objectBudgetMs + 5 * 60_000) / 1000;

/**
 * A receive that brings only what was seen before does not mean that there is nothing else, since what is looked at
 * for long is visible again. So many of them in a row do.
 */
const mostRepeats = 10;

/** https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html, "In-flight
 * messages per standard queue". A long poll then brings nothing, without an error. */
const mostInFlight = 120_000;

/**
 * A queue that may hold both kinds of messages, and others; each is read by itself. What EventBridge could not put
 * into a delivery stream has its attributes, everything else may be a notification.
 */
export function createSqsQueue(options: SqsQueueOptions): FailureQueue {
  const { url, box, writer, worker, noWork, rules, deadLetters, read, clock, log } = options;
  const name = nameIn(url);
  /** The newest receipt of every message in our hands: only with that can it be held and removed. */
  const handles = new Map<string, string>();
  const ours = ({ message }: Held) => {
    const handle = handles.get(message.id);
    return handle === undefined ? [] : [{ id: message.id, handle }];
  };

  function entryOf(message: QueueMessage): MessageEntry {
    const { id, body } = message;
    const bus = readBusMessage(message, rules);
    const common = { id, place: `${url}, message ${id}`, content: Buffer.from(body) };
    if (bus === undefined) {
      const notification = readNotification(message);
      return { ...common, ...describeNotification(message, notification), [held]: { message, notification } };
    }
    const { record } = bus;
    const { event } = isBytes(record) ? read(record, id, clock.now()) : {};
    return {
      ...common,
      ...describeBusMessage(message),
      ...(event === undefined ? {} : { event }),
      [held]: { message, bus },
    };
  }

  /** Holds messages that are ours for as long as they are worked on; answers which of them are ours still. */
  async function keep(wanted: readonly Held[], seconds: number): Promise<ReadonlySet<string>> {
    const known = wanted.flatMap(ours);
    const gone = await box.hold(known, seconds);
    return new Set(known.map(({ id }) => id).filter((id) => !gone.has(id)));
  }

  /** Removes messages whose content is durable elsewhere. Answers an outcome for those that stay. */
  async function remove(done: readonly Held[]): Promise<ReadonlyMap<string, QueueOutcome>> {
    const messages = done.flatMap(ours);
    const left = await box.remove(messages);
    for (const { id } of messages) if (!left.has(id)) handles.delete(id);
    return new Map(
      [...left].map(([id, why]) => [
        id,
        {
          status: "kept",
          reason: `it was put back, but could not be removed, so it will be put back once more: ${why}`,
        },
      ]),
    );
  }

  async function putEvents(
    wanted: readonly At<Held & { bus: BusMessage }>[],
    outcomes: QueueOutcome[],
    signal: AbortSignal,
  ) {
    const sendable = wanted.flatMap((each) => {
      const { record, stream } = each.bus;
      if (isBytes(record)) return [{ ...each, record, stream }];
      outcomes[each.position] = { status: "refused", ...record };
      return [];
    });
    const kept = await keep(sendable, putSeconds);
    const inHand = sendable.filter(({ position, message }) => {
      if (!kept.has(message.id)) outcomes[position] = lost;
      return kept.has(message.id);
    });
    for (const group of Map.groupBy(inHand, ({ stream }) => `${stream.region}/${stream.name}`).values()) {
      const [first] = group;
      if (first === undefined) continue;
      const put = await writer.put(
        first.stream,
        group.map(({ record }) => record),
        signal,
      );
      const done = group.filter(({ position }, at) => {
        const outcome = put[at] ?? lost;
        outcomes[position] = outcome;
        return outcome.status === "delivered";
      });
      const left = await remove(done);
      for (const { position, message } of done) outcomes[position] = left.get(message.id) ?? delivered;
    }
  }

  async function processOne(
    each: At<Held & { notification: Notification }>,
    signal: AbortSignal,
  ): Promise<QueueOutcome> {
    const { notification, message } = each;
    const unknown = refusedUnread(notification);
    if (unknown !== undefined) return { status: "refused", ...unknown };
    const hold = async () => (await keep([each], processSeconds)).has(message.id);
    if (!(await hold())) return lost;
    const outcome = await processNotification(notification, { worker, noWork, clock, signal, hold });
    return outcome.status === "delivered" ? ((await remove([each])).get(message.id) ?? outcome) : outcome;
  }

  /** Shows to others what is still in hand. Without it they see it when its time is over. */
  async function release(): Promise<void> {
    const left = [...handles].map(([id, handle]) => ({ id, handle }));
    handles.clear();
    await box.hold(left, 0).catch(() => {});
  }

  return {
    name,
    target: "the delivery stream or the worker, whichever the message was meant for",
    limits: { itemsPerRequest: messagesPerCall },
    repeats: {
      effect: "merged",
      reason:
        "a bus event keeps its id, by which sinks that merge count it once; of an object that a notification names the books know what is settled",
    },

    async *entries({ signal }) {
      await release();
      const seen = new Set<string>();
      let repeats = 0;
      while (!signal.aborted && repeats < mostRepeats) {
        const messages = await box.receive(lookSeconds, signal);
        if (messages.length === 0) break;
        repeats++;
        // All of them are in our hands now, whether anybody asks for them or not.
        for (const { id, handle } of messages) handles.set(id, handle);
        for (const message of messages) {
          if (seen.has(message.id)) continue;
          seen.add(message.id);
          repeats = 0;
          yield entryOf(message);
        }
      }
      if (handles.size >= mostInFlight) {
        log.warn("the queue gives out no more messages at once; there may be others behind these", {
          queue: url,
          messages: handles.size,
        });
      }
    },

    async judge(entry) {
      const { bus, notification } = heldBy(entry) ?? {};
      if (bus !== undefined) {
        const { record } = bus;
        if (isBytes(record)) return read(record, entry.id, clock.now()).verdict;
        return { status: "fails", ...record };
      }
      if (notification !== undefined) return judgeNotification(notification, entry.code);
      return { status: "unknown", reason: "it is no entry of this queue: list the queue again" };
    },

    async putBack(entries, { signal }) {
      const outcomes: QueueOutcome[] = entries.map(() => lost);
      const wanted = entries.flatMap((entry, position): At<Held>[] => {
        const found = heldBy(entry);
        return found === undefined ? [] : [{ ...found, position }];
      });
      const events = wanted.flatMap((each) => (each.bus === undefined ? [] : [{ ...each, bus: each.bus }]));
      try {
        await putEvents(events, outcomes, signal);
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        for (const { position } of events) outcomes[position] = { status: "kept", reason: error.message };
      }
      for (const each of wanted) {
        const { position, notification } = each;
        if (notification === undefined) continue;
        try {
          outcomes[position] = await processOne({ ...each, notification }, signal);
        } catch (error) {
          if (!(error instanceof StoreError)) throw error;
          outcomes[position] = { status: "kept", reason: error.message };
        }
      }
      return outcomes;
    },

    async drop(entries, { id, reason, by }) {
      const wanted = entries.flatMap((entry) => heldBy(entry) ?? []);
      const kept = await keep(wanted, putSeconds);
      const stay = entries.length - kept.size;
      if (stay > 0) {
        throw new StoreError(
          "FAILED",
          `nothing was dropped: somebody else has ${stay} of these messages of ${url}, or they are gone: list the queue again`,
        );
      }
      const dropped = { id, reason, by, at: clock.now() };
      await archiveEntries(deadLetters, name, entries, dropped, attributesOf);
      const left = await box.remove(wanted.flatMap(ours));
      for (const { message } of wanted) if (!left.has(message.id)) handles.delete(message.id);
      const [why] = left.values();
      if (why !== undefined) {
        throw new StoreError(
          "TRANSIENT",
          `${left.size} messages of ${url} are in the archive but could not be removed: drop them again: ${why}`,
        );
      }
    },

    async close() {
      await release();
      box.close();
      writer.close();
    },
  };
}

/** Travels with an entry, also through a copy of it, and not into JSON. */
const held = Symbol("held");

interface Held {
  readonly message: QueueMessage;
  /** Either this or a notification, which may be nonsense. */
  readonly bus?: BusMessage;
  readonly notification?: Notification;
}

interface MessageEntry extends QueueEntry {
  readonly [held]: Held;
}

type At<T> = T & { readonly position: number };

function heldBy(entry: QueueEntry): Held | undefined {
  // Only this file knows the symbol, and puts nothing else there.
  return (entry as Partial<MessageEntry>)[held];
}

/** Without these nobody could put an event back by hand. */
function attributesOf(entry: QueueEntry): JsonObject {
  const attributes = heldBy(entry)?.message.attributes;
  return attributes === undefined ? {} : { attributes };
}

const delivered: QueueOutcome = { status: "delivered" };

function isBytes(record: Uint8Array | Unready): record is Uint8Array {
  return record instanceof Uint8Array;
}

/** The queue's own name, in the alphabet of a sink's. */
function nameIn(url: string): string {
  const name = new URL(url).pathname.split("/").at(-1) ?? "";
  const plain = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^-+|-+$/g, "");
  return plain === "" ? "sqs" : plain;
}
