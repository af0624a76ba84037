// The books of a period, object by object: which lanes were claimed, and the receipt of each that counts.
import { mapInOrder } from "../map-in-order.ts";
import type { ObjectStore } from "../store/object-store.ts";
import { dayOf } from "./books.ts";
import { type Receipt, readReceipt } from "./receipt.ts";

/** Milliseconds since the epoch, half open; whole days of the objects' names. Default: all that there is. */
export interface BooksPeriod {
  readonly since?: number;
  readonly until?: number;
}

export interface BooksSelection extends BooksPeriod {
  /** How the object's hash begins: of other objects nothing is read, since the hash is in the key. Default: all. */
  readonly hash?: string;
}

/** Objects whose books are read at once. */
const objectsAtOnce = 16;
/** More days than this are found by listing everything. */
const mostDays = 400;
const dayMs = 24 * 60 * 60_000;

/** What stands in the books of one object, by lane. */
export interface ObjectEntry {
  /** `books/day=…/<hash>/` */
  readonly prefix: string;
  readonly lanes: ReadonlyMap<string, LaneEntry>;
}

export interface LaneEntry {
  /** The newest claim's generation; 0 for none. */
  readonly claimed: number;
  readonly receipt: Receipt | undefined;
}

/**
 * The books of every object of a period. An object whose name holds no day is of the day of its first receipt.
 *
 * @throws {StoreError} when the store cannot be read.
 */
export async function* readBooks(
  receipts: ObjectStore,
  selection: BooksSelection,
): AsyncGenerator<ObjectEntry> {
  const { since = Number.NEGATIVE_INFINITY, until = Number.POSITIVE_INFINITY, hash = "" } = selection;
  async function* chosen(): AsyncGenerator<ObjectKeys> {
    for (const prefix of prefixesOf(selection)) {
      for await (const keys of keysByObject(receipts, prefix)) {
        if (keys.prefix.split("/").at(-2)?.startsWith(hash) === true) yield keys;
      }
    }
  }
  const read = async (keys: ObjectKeys) => await readEntry(receipts, keys);
  for await (const entry of mapInOrder(chosen(), objectsAtOnce, read)) {
    if (isMeant(entry)) yield entry;
  }

  function isMeant({ prefix, lanes }: ObjectEntry): boolean {
    const day = /^books\/day=(\d{4}-\d{2}-\d{2})\//.exec(prefix)?.[1];
    if (day !== undefined) {
      const start = Date.parse(`${day}T00:00:00Z`);
      return start + dayMs > since && start < until;
    }
    const written = [...lanes.values()].map(({ receipt }) => receipt?.writtenAt ?? Number.POSITIVE_INFINITY);
    const first = Math.min(...written);
    // One that has no receipt at all may be of any day.
    return first === Number.POSITIVE_INFINITY || (first >= since && first < until);
  }
}

function prefixesOf({ since, until = Date.now() }: BooksPeriod): string[] {
  if (since === undefined || (until - since) / dayMs > mostDays) return ["books/"];
  const days: string[] = [];
  for (let day = Math.floor(since / dayMs) * dayMs; day < until; day += dayMs) {
    days.push(`books/day=${new Date(day).toISOString().slice(0, 10)}/`);
  }
  return [...days, `books/day=${dayOf("")}/`];
}

interface ObjectKeys {
  readonly prefix: string;
  readonly keys: string[];
}

/** The keys of one object after the other: they stand together. */
async function* keysByObject(store: ObjectStore, prefix: string): AsyncGenerator<ObjectKeys> {
  let open: ObjectKeys | undefined;
  for await (const { key } of store.list(prefix)) {
    const object = /^books\/[^/]+\/[^/]+\//.exec(key)?.[0];
    if (object === undefined) continue;
    if (open !== undefined && open.prefix !== object) yield open;
    if (open?.prefix !== object) open = { prefix: object, keys: [] };
    open.keys.push(key);
  }
  if (open !== undefined) yield open;
}

async function readEntry(store: ObjectStore, { prefix, keys }: ObjectKeys): Promise<ObjectEntry> {
  const seen = new Map<string, { claimed: number; key: string | undefined }>();
  for (const key of keys) {
    const [, lane, digits, what] =
      /^([^/]+)\/(\d{6})\.(claim|receipt)\.json$/.exec(key.slice(prefix.length)) ?? [];
    if (lane === undefined) continue;
    const of = seen.get(lane) ?? { claimed: 0, key: undefined };
    // Generations ascend: the last one of each kind counts.
    if (what === "claim") of.claimed = Number(digits);
    else of.key = key;
    seen.set(lane, of);
  }
  const lanes = await Promise.all(
    [...seen].map(
      async ([lane, { claimed, key }]): Promise<[string, LaneEntry]> => [
        lane,
        { claimed, receipt: key === undefined ? undefined : await readReceipt(store, key) },
      ],
    ),
  );
  return { prefix, lanes: new Map(lanes) };
}
