// What waits in the stores: the dead letters that count, and what is pending, as far as a filter lets them through.
import { currentReceipt, hashOf, type ObjectVersion } from "../books/books.ts";
import { readDeferrals, type WaitingDeferral } from "../books/deferrals.ts";
import type { Receipt } from "../books/receipt.ts";
import { mapInOrder } from "../map-in-order.ts";
import { type ObjectStore, StoreError } from "../store/object-store.ts";
import type { LetterFile } from "../worker.ts";
import type { DeadLetter } from "./dead-letter.ts";
import {
  coverName,
  isAboutLetters,
  type LetterFilter,
  matches,
  matchesIds,
  matchesObject,
  mayHoldIds,
  meansId,
} from "./filter.ts";
import { readLetters } from "./store.ts";

export interface Stores {
  readonly receipts: ObjectStore;
  readonly deadLetters: ObjectStore;
}

/** A dead-letter file that the current receipt of its lane names. */
export interface WaitingFile extends LetterFile {
  readonly objectHash: string;
  /** The receipt that names it. */
  readonly receipt: Receipt;
}

/** Called for every file that counts, several at once; it need not read the letters to their end. */
export type VisitFile = (file: WaitingFile, letters: AsyncIterable<DeadLetter>) => Promise<void>;

/** Receipts that are looked up at once, for the same reason. */
const receiptsAtOnce = 16;
/** Files under way at once: enough to hide the round trips, few enough to bound memory. */
const filesAtOnce = 16;
/** A store's clock and a worker's may differ by so much; files that are older than that hold nothing newer. */
const clockSkewMs = 60 * 60_000;

/**
 * Shows the letters that count and that the filter lets through, file by file; files with none of them are not shown.
 * Files of attempts that never came to their receipt are passed over. Memory does not depend on how many there are.
 *
 * @param onDamaged called for a file that cannot be read to its end; the others are shown all the same.
 * @throws {StoreError} when a store cannot be read, or a file is damaged and nobody wants to be told.
 */
export async function visitLetters(
  stores: Stores,
  filter: LetterFilter,
  visit: VisitFile,
  onDamaged?: (error: StoreError) => void,
): Promise<void> {
  const receiptOf = receiptReader(stores.receipts);
  const files = letterFiles(stores.deadLetters, filter);
  const take = async () => {
    for (let next = await files.next(); next.done !== true; next = await files.next()) {
      try {
        await visitFile(next.value, stores, filter, receiptOf, visit);
      } catch (error) {
        if (!(error instanceof StoreError) || error.code !== "FAILED" || onDamaged === undefined) throw error;
        onDamaged(error);
      }
    }
  };
  await Promise.all(Array.from({ length: filesAtOnce }, take));
}

interface NamedFile {
  readonly key: string;
  readonly lane: string;
}

async function visitFile(
  { key, lane }: NamedFile,
  { deadLetters }: Stores,
  filter: LetterFilter,
  receiptOf: ReceiptReader,
  visit: VisitFile,
): Promise<void> {
  const letters = readLetters(deadLetters, key);
  try {
    const first = await letters.next();
    if (first.done === true) return;
    const { bucket, key: objectKey, version } = first.value.origin;
    const object: ObjectVersion = { bucket, key: objectKey, version };
    const objectHash = hashOf(object);
    if (!matchesObject(filter, object)) return;
    const receipt = await receiptOf(object, lane);
    if (receipt?.letters.includes(key) !== true) return;
    const matching = chosen(filter, objectHash, first.value, letters);
    const begin = await matching.next();
    if (begin.done === true) return;
    await visit({ object, objectHash, lane, file: key, receipt }, prepend(begin.value, matching));
  } catch (error) {
    // Replayed or dropped since it was listed: what is left of it stands in another file.
    if (!(error instanceof StoreError && error.code === "NOT_FOUND")) throw error;
  } finally {
    await letters.return(undefined);
  }
}

async function* chosen(
  filter: LetterFilter,
  objectHash: string,
  first: DeadLetter,
  rest: AsyncIterable<DeadLetter>,
): AsyncGenerator<DeadLetter> {
  for await (const letter of prepend(first, rest)) {
    if (isChosen(filter, objectHash, letter)) yield letter;
  }
}

async function* prepend<T>(first: T, rest: AsyncIterable<T>): AsyncGenerator<T> {
  yield first;
  yield* rest;
}

/** Whether a letter of an object that the filter lets through is meant. */
export function isChosen(filter: LetterFilter, objectHash: string, letter: DeadLetter): boolean {
  return matches(filter, letter) && matchesIds(filter, objectHash, letter);
}

/** `sink=<lane>/date=<day>/<object hash>-<generation>-<attempt>-<part>.jsonl.gz` */
const fileName = /^sink=([^/]+)\/date=[^/]+\/([0-9a-f]{32})-[^/]*\.jsonl\.gz$/;

/** The files that may hold a letter that is meant, by what their names and their times say. */
async function* letterFiles(store: ObjectStore, filter: LetterFilter): AsyncGenerator<NamedFile> {
  const { sinks = [], since, stages = [], within } = filter;
  if (stages.length > 0 && stages.every((stage) => stage === "pending")) return;
  const [only] = sinks;
  const prefix = sinks.length === 1 && only !== undefined ? `sink=${only}/` : "sink=";
  for await (const { key, lastModified } of store.list(prefix)) {
    const [, lane, objectHash] = fileName.exec(key) ?? [];
    if (lane === undefined || objectHash === undefined) continue;
    if (sinks.length > 0 && !sinks.includes(lane)) continue;
    if (!mayHoldIds(filter, objectHash) || within?.has(coverName(objectHash, lane)) === false) continue;
    if (since !== undefined && lastModified < since - clockSkewMs) continue;
    yield { key, lane };
  }
}

type ReceiptReader = (object: ObjectVersion, lane: string) => Promise<Receipt | undefined>;

/** Lanes whose receipts are kept for the next file: files of one lane and object stand close to each other. */
const receiptsKept = 256;

function receiptReader(store: ObjectStore): ReceiptReader {
  const kept = new Map<string, Promise<Receipt | undefined>>();
  return (object, lane) => {
    const name = `${hashOf(object)}/${lane}`;
    const known = kept.get(name);
    if (known !== undefined) return known;
    const reading = currentReceipt(store, object, lane);
    kept.set(name, reading);
    const [oldest] = kept.keys();
    if (kept.size > receiptsKept && oldest !== undefined) kept.delete(oldest);
    return reading;
  };
}

/** What is pending of an object for one lane, with what its receipt says of it. */
export interface Pending extends WaitingDeferral {
  readonly objectHash: string;
  /** Valid events known to be pending. */
  readonly count: number;
  /** The object was not read to its end: there may be more. */
  readonly unread: boolean;
}

/** For who wants to be told of nothing: what is damaged ends the work, rather than being left out in silence. */
export function raise(error: StoreError): never {
  throw error;
}

/**
 * What is pending, as far as the filter lets it through. A filter for what only letters hold, such as tenants, lets
 * nothing through: a deferral has ranges of records and no payload.
 *
 * @param onDamaged told of a deferral that cannot be understood; `fanout books` finds it, too.
 * @throws {StoreError} when the store cannot be read.
 */
export async function* pendingOf(
  store: ObjectStore,
  filter: LetterFilter,
  onDamaged: (error: StoreError) => void,
): AsyncGenerator<Pending> {
  if (isAboutLetters(filter)) return;
  const { ids = [], within } = filter;
  async function* meant(): AsyncGenerator<WaitingDeferral> {
    for await (const deferral of readDeferrals(store, { onDamaged })) {
      const { object, sink } = deferral;
      const objectHash = hashOf(object);
      if (!matchesObject(filter, object) || !mayHoldIds(filter, objectHash)) continue;
      if (within?.has(coverName(objectHash, sink)) === false) continue;
      if (ids.length > 0 && !ids.some((id) => meansId(id, objectHash, sink))) continue;
      if (matches(filter, { sink, stage: "pending", lastAt: deferral.since })) yield deferral;
    }
  }
  const look = async (deferral: WaitingDeferral): Promise<Pending | undefined> => {
    const { object, sink } = deferral;
    const receipt = await currentReceipt(store, object, sink);
    // Of a run that never came to its receipt, or settled since: whoever takes it up finds nothing to do.
    if (receipt === undefined || receipt.pending.length === 0) return undefined;
    const { counts, readTo } = receipt;
    return { ...deferral, objectHash: hashOf(object), count: counts.pending, unread: readTo !== null };
  };
  for await (const pending of mapInOrder(meant(), receiptsAtOnce, look)) {
    if (pending !== undefined) yield pending;
  }
}
