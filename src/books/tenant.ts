// One tenant's books. Receipts hold no tenants, so the objects are read again and every event is looked up.
import * as z from "zod";
import { intakeLane } from "../dead-letter/dead-letter.ts";
import { readLetters } from "../dead-letter/store.ts";
import { readEvents } from "../intake/events.ts";
import { contains, createIndexSet, type Ranges, union } from "../ranges.ts";
import { type ObjectStore, readAll, StoreError } from "../store/object-store.ts";
import { defaultLimits, type WorkerLimits } from "../worker.ts";
import { hashOf } from "./books.ts";
import { type BooksPeriod, readBooks } from "./entries.ts";
import type { Receipt } from "./receipt.ts";

export interface TenantOptions extends BooksPeriod {
  readonly tenant: string;
  readonly receipts: ObjectStore;
  readonly deadLetters: ObjectStore;
  readonly sinks: readonly string[];
  /** The store that the books call by this location. */
  readonly source: (bucket: string) => ObjectStore;
  readonly limits?: Partial<WorkerLimits>;
  readonly signal: AbortSignal;
}

/** `valid = settled + deadLettered + dropped + pending + missing` */
export interface TenantSink {
  readonly sink: string;
  valid: number;
  /** Delivered or filtered: which of both, a receipt says of all tenants together alone. */
  settled: number;
  deadLettered: number;
  dropped: number;
  pending: number;
  /** The sink has no receipt of their object. */
  missing: number;
}

export interface TenantBooks {
  readonly objects: number;
  /** Objects of the period that cannot be read any more: what they held of the tenant, nobody knows. */
  readonly gone: number;
  /** Valid events of the tenant. */
  readonly valid: number;
  readonly sinks: readonly TenantSink[];
}

/** Costs one reading of every object of the period. @throws {StoreError} when a store cannot be read. */
export async function addTenantBooks(options: TenantOptions): Promise<TenantBooks> {
  const { tenant, receipts, sinks, signal } = options;
  const limits = { ...defaultLimits, ...options.limits };
  const bySink = sinks.map((sink): TenantSink => {
    const none = { valid: 0, settled: 0, deadLettered: 0, dropped: 0, pending: 0, missing: 0 };
    return { sink, ...none };
  });
  let objects = 0;
  let gone = 0;
  let valid = 0;
  for await (const { lanes } of readBooks(receipts, options)) {
    const object = [...lanes.values()].find(({ receipt }) => receipt !== undefined)?.receipt?.object;
    if (object === undefined) continue;
    objects++;
    const states = await Promise.all(
      bySink.map(async (sum) => ({ sum, state: await stateOf(options, lanes.get(sum.sink)?.receipt) })),
    );
    // What is an invalid record in the books is none of their valid events, though it may be one by today's rules.
    const intake = await stateOf(options, lanes.get(intakeLane)?.receipt);
    const store = options.source(object.bucket);
    const info = await store.look(object.key, { version: object.version, signal }).catch(ifChanged);
    if (info === undefined) {
      gone++;
      continue;
    }
    const rules = { idPrefix: hashOf(object).slice(0, 24), from: 0, signal, ...limits };
    for await (const { events } of readEvents(store, info, rules)) {
      for (const { event, index } of events) {
        if (event.tenantId !== tenant) continue;
        if (intake !== undefined && whatBecame(intake, index) !== "settled") continue;
        valid++;
        for (const { sum, state } of states) {
          sum.valid++;
          sum[state === undefined ? "missing" : whatBecame(state, index)]++;
        }
      }
    }
  }
  return { objects, gone, valid, sinks: bySink };
}

function ifChanged(error: unknown): undefined {
  if (error instanceof StoreError && error.code === "CHANGED") return undefined;
  throw error;
}

/** Where the records of one object stand with one sink. */
export interface LaneState {
  readonly pending: Ranges;
  readonly deadLettered: Ranges;
  readonly dropped: Ranges;
}

export type Became = "settled" | "deadLettered" | "dropped" | "pending";

/** Of a valid event that the lane has a receipt of. */
export function whatBecame({ pending, deadLettered, dropped }: LaneState, index: number): Became {
  if (contains(pending, index)) return "pending";
  if (contains(deadLettered, index)) return "deadLettered";
  return contains(dropped, index) ? "dropped" : "settled";
}

/** What a receipt and the files that belong to it say, record by record; undefined without a receipt. */
export async function stateOf(
  { deadLetters }: Pick<TenantOptions, "deadLetters">,
  receipt: Receipt | undefined,
): Promise<LaneState | undefined> {
  if (receipt === undefined) return undefined;
  const { pending, letters, counts, lane, object } = receipt;
  const dropped = counts.dropped === 0 ? [] : await droppedOf(deadLetters, lane, hashOf(object));
  return { pending, deadLettered: await indexesOf(deadLetters, letters), dropped };
}

async function indexesOf(store: ObjectStore, files: readonly string[]): Promise<Ranges> {
  const found = new Set<number>();
  for (const file of files) {
    for await (const { origin } of readLetters(store, file)) found.add(origin.index);
  }
  const indexes = createIndexSet();
  for (const index of [...found].sort((a, b) => a - b)) indexes.add(index);
  return indexes.ranges();
}

/** Letters in the archive, and what was given up while it was pending. */
async function droppedOf(store: ObjectStore, lane: string, objectHash: string): Promise<Ranges> {
  const files: string[] = [];
  for await (const { key } of store.list(`archive/sink=${lane}/`)) {
    if (key.includes(`/${objectHash}-`)) files.push(key);
  }
  const sets: Ranges[] = [await indexesOf(store, files)];
  for await (const { key } of store.list(`archive/deferrals/sink=${lane}/${objectHash}-`)) {
    sets.push(await rangesOf(store, key));
  }
  return union(...sets);
}

const givenUp = z.object({ ranges: z.array(z.object({ from: z.int(), to: z.int().nullable() })) });

async function rangesOf(store: ObjectStore, key: string): Promise<Ranges> {
  const text = (await readAll(store, key)).toString("utf8");
  try {
    return givenUp.parse(JSON.parse(text)).ranges;
  } catch {
    throw new StoreError("FAILED", `${store.location}/${key} is nothing that was given up`);
  }
}
