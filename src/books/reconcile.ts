// Objects that no receipt knows, found by listings alone: what a notification that was lost would have told.
import type { ObjectInfo, ObjectStore } from "../store/object-store.ts";
import { dayOf, hashOf, type ObjectVersion } from "./books.ts";

export interface ReconcileOptions {
  /** Holds the objects. */
  readonly source: ObjectStore;
  /** Those of it that are meant, as it lists them: an object that nobody means is not looked at either. */
  readonly objects: AsyncIterable<ObjectInfo>;
  readonly receipts: ObjectStore;
  /** Sinks that must have every object. */
  readonly sinks: readonly string[];
  /**
   * Asks for the version id of an object that seems unknown: a listing of S3 has none, and receipts of a bucket that keeps
   * versions are named by it. One request for each such object. Default: the listing's word counts.
   */
  readonly look?: boolean;
  /** Told of every object that a sink lacks. */
  readonly onUnknown?: (object: ObjectVersion, sinks: readonly string[]) => void;
}

export interface Reconciliation {
  /** Objects that were looked at. */
  readonly objects: number;
  /** By sink: objects that it has no receipt of. */
  readonly unknown: Readonly<Record<string, number>>;
  /** When the first of them was written, in milliseconds since the epoch. */
  readonly oldest: number | undefined;
}

/** Days whose books are held at once: an object written around midnight may be named after either day. */
const daysKept = 3;

/**
 * One listing of each day's books beside that of the objects: no object and no receipt is read. A receipt with something
 * pending counts as known, since its deferral is counted elsewhere.
 *
 * @throws {StoreError} when a listing fails: who cannot count must not be calm.
 */
export async function reconcile(options: ReconcileOptions): Promise<Reconciliation> {
  const { source, sinks, onUnknown } = options;
  const unknown = Object.fromEntries(sinks.map((sink) => [sink, 0]));
  const days = new Map<string, Promise<ReadonlySet<string>>>();
  let objects = 0;
  let oldest: number | undefined;

  const lanesOf = async (object: ObjectVersion): Promise<readonly string[]> => {
    const known = await booksOf(options.receipts, days, dayOf(object.key));
    const hash = hashOf(object);
    return sinks.filter((sink) => !known.has(`${hash}/${sink}`));
  };
  const missing = async (object: ObjectVersion): Promise<readonly string[]> => {
    const lacking = await lanesOf(object);
    if (lacking.length === 0 || options.look !== true) return lacking;
    const info = await source.look(object.key);
    return info === undefined || info.version === object.version
      ? lacking
      : await lanesOf({ ...object, version: info.version });
  };

  for await (const { key, version, size, lastModified } of options.objects) {
    // What consoles make of a folder holds nothing.
    if (size === 0) continue;
    objects++;
    const object = { bucket: source.location, key, version };
    const lacking = await missing(object);
    if (lacking.length === 0) continue;
    for (const sink of lacking) unknown[sink] = (unknown[sink] ?? 0) + 1;
    oldest = Math.min(oldest ?? lastModified, lastModified);
    onUnknown?.(object, lacking);
  }
  return { objects, unknown, oldest };
}

/** `<object hash>/<lane>` of every receipt of a day. */
function booksOf(
  receipts: ObjectStore,
  days: Map<string, Promise<ReadonlySet<string>>>,
  day: string,
): Promise<ReadonlySet<string>> {
  const kept = days.get(day);
  if (kept !== undefined) return kept;
  const listing = list(receipts, day);
  days.set(day, listing);
  const [first] = days.keys();
  if (days.size > daysKept && first !== undefined) days.delete(first);
  return listing;
}

async function list(receipts: ObjectStore, day: string): Promise<ReadonlySet<string>> {
  const prefix = `books/day=${day}/`;
  const known = new Set<string>();
  for await (const { key } of receipts.list(prefix)) {
    const [, lane] = /^([0-9a-f]+\/[^/]+)\/\d{6}\.receipt\.json$/.exec(key.slice(prefix.length)) ?? [];
    if (lane !== undefined) known.add(lane);
  }
  return known;
}
