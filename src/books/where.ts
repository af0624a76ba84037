// What became of one event, sink by sink: from its dead letters, its object's receipts, and the objects themselves.
import { intakeLane } from "../dead-letter/dead-letter.ts";
import { letterId } from "../dead-letter/filter.ts";
import { type Stores, visitLetters } from "../dead-letter/query.ts";
import { readEvents } from "../intake/events.ts";
import type { ObjectInfo, ObjectStore } from "../store/object-store.ts";
import { defaultLimits, type WorkerLimits } from "../worker.ts";
import { bookPrefix, hashOf, type ObjectVersion } from "./books.ts";
import { type BooksPeriod, readBooks } from "./entries.ts";
import { type Receipt, readReceipt } from "./receipt.ts";
import { stateOf, whatBecame } from "./tenant.ts";

export interface WhereOptions extends BooksPeriod {
  readonly id: string;
  readonly stores: Stores;
  /** In this order; sinks that only the books know come after them. */
  readonly sinks: readonly string[];
  /** Objects to look into for an id that was given, and not derived. */
  readonly search?: { readonly store: ObjectStore; readonly objects: AsyncIterable<ObjectInfo> };
  readonly limits?: Partial<WorkerLimits>;
  readonly signal: AbortSignal;
}

/** One record with that id: in one object, at one index. A producer may have sent it twice, in two of them. */
export interface Whereabouts {
  readonly object: ObjectVersion;
  readonly index: number;
  /** How the record was found. */
  readonly found: "derived id" | "dead letter" | "object";
  readonly sinks: readonly SinkWhereabouts[];
}

export interface SinkWhereabouts {
  readonly sink: string;
  readonly status:
    | "delivered"
    | "filtered"
    /** One of both: the receipt counts some of each, not which. */
    | "delivered or filtered"
    | "dead letter"
    | "dropped"
    | "pending"
    /** There is no receipt. */
    | "unknown"
    | "no event";
  /** How that is known, in one sentence. */
  readonly how: string;
  /** When the receipt was written that says so, in milliseconds since the epoch. */
  readonly at?: number;
  /** Of its dead letter. */
  readonly letter?: string;
}

/** Derived ids begin with so many digits of the object's hash. */
const derived = /^([0-9a-f]{24})-(\d+)$/;

/** Empty when nothing is known of the id, which is no proof of anything: receipts count events and do not name them. */
export async function whereIs(options: WhereOptions): Promise<Whereabouts[]> {
  const { id, stores, search, signal } = options;
  const places = new Map<string, Pick<Whereabouts, "object" | "index" | "found">>();
  const add = (object: ObjectVersion, index: number, found: Whereabouts["found"]) => {
    const { bucket, key, version } = object;
    const name = `${hashOf(object)} ${index}`;
    if (!places.has(name)) places.set(name, { object: { bucket, key, version }, index, found });
  };
  const [, digits, index] = derived.exec(id) ?? [];
  if (digits !== undefined) {
    for await (const { lanes } of readBooks(stores.receipts, { ...options, hash: digits })) {
      const receipt = [...lanes.values()].find((lane) => lane.receipt !== undefined)?.receipt;
      if (receipt !== undefined) add(receipt.object, Number(index), "derived id");
    }
  }
  if (places.size === 0) {
    await visitLetters(stores, {}, async (_, letters) => {
      for await (const { event, origin } of letters) {
        if (event?.id === id) add(origin, origin.index, "dead letter");
      }
    });
    if (search !== undefined) {
      const limits = { ...defaultLimits, ...options.limits };
      for await (const listed of search.objects) {
        const info = await search.store.look(listed.key, { signal });
        if (info === undefined) continue;
        const object = { bucket: search.store.location, key: info.key, version: info.version };
        const rules = { idPrefix: hashOf(object).slice(0, 24), from: 0, signal, ...limits };
        for await (const { events } of readEvents(search.store, info, rules)) {
          for (const each of events) if (each.event.id === id) add(object, each.index, "object");
        }
      }
    }
  }
  return await Promise.all([...places.values()].map((place) => describe(place, options)));
}

async function describe(
  place: Pick<Whereabouts, "object" | "index" | "found">,
  { stores, sinks }: WhereOptions,
): Promise<Whereabouts> {
  const receipts = await receiptsOf(stores.receipts, place.object);
  const lanes = [...new Set([...sinks, ...receipts.keys()])].filter((lane) => lane !== intakeLane);
  const intake = receipts.get(intakeLane);
  const inIntake = await stateOf(stores, intake);
  const became = inIntake === undefined ? "settled" : whatBecame(inIntake, place.index);
  if (intake !== undefined && (became === "deadLettered" || became === "dropped")) {
    const letter = letterId(hashOf(place.object), intakeLane, place.index);
    const how = `the record is no valid event: ${became === "dropped" ? "it was dropped" : "it is a dead letter"}`;
    return { ...place, sinks: [{ sink: intakeLane, status: "no event", how, at: intake.writtenAt, letter }] };
  }
  const told = lanes.map((lane) => ofLane(stores, lane, receipts.get(lane), place));
  return { ...place, sinks: await Promise.all(told) };
}

async function ofLane(
  stores: Stores,
  sink: string,
  receipt: Receipt | undefined,
  { object, index }: Pick<Whereabouts, "object" | "index">,
): Promise<SinkWhereabouts> {
  const state = await stateOf(stores, receipt);
  if (receipt === undefined || state === undefined) {
    return { sink, status: "unknown", how: "the sink has no receipt of the object: not begun, or not ended" };
  }
  const { counts, writtenAt: at } = receipt;
  const letter = letterId(hashOf(object), sink, index);
  switch (whatBecame(state, index)) {
    case "pending":
      return { sink, status: "pending", how: "the receipt names the record as pending", at };
    case "deadLettered":
      return { sink, status: "dead letter", how: "the sink refused it", at, letter };
    case "dropped":
      return { sink, status: "dropped", how: "it was given up, and is in the archive", at, letter };
    case "settled":
      if (counts.filtered === 0) {
        return {
          sink,
          status: "delivered",
          how: "the receipt counts all others of the object as delivered",
          at,
        };
      }
      if (counts.delivered === 0) {
        return { sink, status: "filtered", how: "the receipt counts nothing of the object as delivered", at };
      }
      return {
        sink,
        status: "delivered or filtered",
        how: `the receipt counts ${counts.delivered} delivered and ${counts.filtered} filtered of the object`,
        at,
      };
  }
}

/** The receipts that count of one object. */
async function receiptsOf(store: ObjectStore, object: ObjectVersion): Promise<Map<string, Receipt>> {
  const prefix = bookPrefix(object);
  const last = new Map<string, string>();
  for await (const { key } of store.list(prefix)) {
    const lane = /^([^/]+)\/\d{6}\.receipt\.json$/.exec(key.slice(prefix.length))?.[1];
    if (lane !== undefined) last.set(lane, key);
  }
  const read = await Promise.all(
    [...last].map(async ([lane, key]) => [lane, await readReceipt(store, key)] as const),
  );
  return new Map(read);
}
