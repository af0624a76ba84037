// The books of one object version: its claims, receipts and deferrals, lane by lane.
import { hash, randomUUID } from "node:crypto";
import type { Clock } from "../delivery/clock.ts";
import type { Logger } from "../log.ts";
import { type ObjectStore, StoreError } from "../store/object-store.ts";
import { type Claim, claimMarginMs, createClaim, ObjectBusy, type Owner, stateOf } from "./claim.ts";
import { type Deferral, encodeDeferral, encodeReceipt, type Receipt, readReceipt } from "./receipt.ts";

export interface ObjectVersion {
  /** The store's location. */
  readonly bucket: string;
  readonly key: string;
  readonly version: string;
}

/** What stands in the books about one lane. */
export interface LaneBook {
  /** The highest generation that was claimed; 0 when none was. */
  readonly generation: number;
  readonly receipt: Receipt | undefined;
}

/** What one listing tells of an object version, and the receipts that were asked for. */
export interface ObjectLanes {
  /** By lane, of the lanes that were asked for; those that have no book yet are missing. */
  readonly books: ReadonlyMap<string, LaneBook>;
  /** Every lane that has a receipt, also those that were not asked for. */
  readonly withReceipt: ReadonlySet<string>;
}

export interface ObjectBooks {
  /** Short and unique to the object version. */
  readonly hash: string;
  /**
   * One listing, and one read a receipt of these lanes. Receipts of other lanes are not read, because the role of a
   * function of one sink may not read them.
   */
  read(lanes: readonly string[]): Promise<ObjectLanes>;
  /**
   * Claims the lane's next generation. The book it answers may be newer than the one given.
   * @throws {ObjectBusy} when somebody else's claim is live.
   */
  claim(
    lane: string,
    book: LaneBook | undefined,
    deadline: number,
  ): Promise<{ claim: Claim; book: LaneBook }>;
  /**
   * Gives back a claim under which nothing will be committed, so that the next worker need not wait. A claim that
   * has its receipt stays: a generation is never used twice.
   */
  release(claim: Claim): Promise<void>;
  /**
   * Writes the deferral, then the receipt; or the receipt, and then removes the deferral that nothing is left of.
   * `why`: the reason of what is pending; without one, a deferral that stands stays as it is.
   */
  commit(claim: Claim, book: LaneBook, receipt: Commit, why?: WhyPending): Promise<void>;
}

export type WhyPending = Pick<Deferral, "reason" | "nextAttemptAt" | "sinkNotBefore">;

/** What a run says of its lane; the rest of the receipt is the books' own. */
export type Commit = Omit<Receipt, "object" | "lane" | "generation" | "continues" | "writtenAt" | "deferral">;

/** Where deferrals stand in the receipts' store: `sink=<sink>/<object hash>.json` below it. */
export const deferralsPrefix = "deferrals/";

const unclaimed: LaneBook = { generation: 0, receipt: undefined };

export function openBooks(
  store: ObjectStore,
  object: ObjectVersion,
  owner: Owner,
  clock: Clock,
  log: Logger,
): ObjectBooks {
  const objectHash = hashOf(object);
  const prefix = bookPrefix(object);
  const keyOf = (lane: string, generation: number, what: "claim" | "receipt") =>
    `${prefix}${lane}/${String(generation).padStart(6, "0")}.${what}.json`;

  const claim: ObjectBooks["claim"] = async (lane, known = unclaimed, deadline) => {
    let { generation, receipt } = known;
    let unfinished = generation > (receipt?.generation ?? 0);
    if (unfinished) {
      const state = await stateOf(store, keyOf(lane, generation, "claim"), owner);
      if (typeof state === "object") throw busy(object, lane, state.until);
      if (state === "free") {
        generation--;
        unfinished = false;
      }
    }
    const now = clock.now();
    const expiresInMs = Math.max(0, deadline - now) + claimMarginMs;
    const next = generation + 1;
    const attempt = randomUUID();
    if (!(await createClaim(store, keyOf(lane, next, "claim"), { owner: owner.id, attempt, expiresInMs }))) {
      throw busy(object, lane);
    }
    try {
      // Whoever held the expired claim may have written its receipt after we looked.
      if (unfinished && (await store.look(keyOf(lane, generation, "receipt"))) !== undefined) {
        receipt = await readReceipt(store, keyOf(lane, generation, "receipt"));
      }
    } catch (error) {
      // Nobody will know of this claim, so nobody else could give it back.
      await store.delete(keyOf(lane, next, "claim")).catch(() => {});
      throw error;
    }
    generation = next;
    const date = new Date(now).toISOString().slice(0, 10);
    return {
      claim: { lane, generation, expiresAt: now + expiresInMs, date, attempt: attempt.slice(0, 8) },
      book: { generation, receipt },
    };
  };

  return {
    hash: objectHash,
    async read(lanes) {
      const generations = new Map<string, { claim: number; receipt: number }>();
      for await (const { key } of store.list(prefix)) {
        const match = /^([^/]+)\/(\d{6})\.(claim|receipt)\.json$/.exec(key.slice(prefix.length));
        if (match === null) continue;
        const [, lane = "", digits, what] = match;
        const seen = generations.get(lane) ?? { claim: 0, receipt: 0 };
        if (what === "claim") seen.claim = Math.max(seen.claim, Number(digits));
        else seen.receipt = Math.max(seen.receipt, Number(digits));
        generations.set(lane, seen);
      }
      const wanted = [...generations].filter(([lane]) => lanes.includes(lane));
      const books = await Promise.all(
        wanted.map(async ([lane, seen]): Promise<[string, LaneBook]> => {
          const receipt =
            seen.receipt === 0 ? undefined : await readReceipt(store, keyOf(lane, seen.receipt, "receipt"));
          return [lane, { generation: Math.max(seen.claim, seen.receipt), receipt }];
        }),
      );
      const withReceipt = [...generations].filter(([, { receipt }]) => receipt > 0).map(([lane]) => lane);
      return { books: new Map(books), withReceipt: new Set(withReceipt) };
    },
    claim,
    async release({ lane, generation, expiresAt }) {
      // Somebody may have the next generation, so this one must stay taken.
      if (clock.now() >= expiresAt) return;
      // The write of a receipt may have reached the store though its reply did not reach us.
      if ((await store.look(keyOf(lane, generation, "receipt"))) !== undefined) return;
      await store.delete(keyOf(lane, generation, "claim"));
    },
    async commit({ lane, generation, expiresAt }, book, content, why) {
      const now = clock.now();
      if (now >= expiresAt)
        throw new ObjectBusy(`${name(object)}: the claim on ${lane} expired before its receipt was written`);
      const isPending = content.pending.length > 0;
      // One key a lane: what an attempt left that never wrote its receipt is overwritten or removed by the next one.
      const deferral = `${deferralsPrefix}sink=${lane}/${objectHash}.json`;
      if (why !== undefined) {
        const { pending, counts, tries, pendingSince: since = now } = content;
        const body: Deferral = {
          object,
          sink: lane,
          ranges: pending,
          count: counts.pending,
          ...why,
          generation,
          tries,
          since,
        };
        await store.put(deferral, encodeDeferral(body));
      }
      const receipt: Receipt = {
        object,
        lane,
        generation,
        continues: book.receipt?.generation ?? null,
        writtenAt: now,
        ...content,
        ...(isPending ? { deferral } : {}),
      };
      if (!(await store.putIfAbsent(keyOf(lane, generation, "receipt"), encodeReceipt(receipt)))) {
        throw new ObjectBusy(
          `${name(object)}: somebody else has written the receipt of ${lane}, generation ${generation}`,
        );
      }
      // The first one replaces nothing.
      if (generation === 1) return;
      // The write may have taken longer than the claim lived. Whoever took over meanwhile goes on from the books as they
      // were before it, so the deferral and the letters that stand there must stay.
      if ((await store.look(keyOf(lane, generation + 1, "claim"))) !== undefined) {
        throw new ObjectBusy(
          `${name(object)}: the receipt of ${lane} came so late that another worker had taken over; it may not count`,
        );
      }
      if (isPending) return;
      try {
        await store.delete(deferral);
      } catch (error) {
        // The receipt is written, so all is well: whoever takes this deferral up finds nothing to do, and removes it.
        log.warn("a deferral of which nothing is left could not be removed", {
          key: deferral,
          reason: error instanceof StoreError ? error.message : "an unexpected error",
        });
      }
    },
  };
}

/** Names an object version in books, dead letters and derived ids: 32 hex digits. */
export function hashOf({ bucket, key, version }: ObjectVersion): string {
  return hash("sha256", `${bucket}/${key}\n${version}`, "hex").slice(0, 32);
}

/** Below it are the claims and receipts of an object version: `<lane>/<generation>.claim.json`, `….receipt.json`. */
export function bookPrefix(object: ObjectVersion): string {
  return `books/day=${dayOf(object.key)}/${hashOf(object)}/`;
}

/** The receipt that counts of one object version and lane. One listing, one read. */
export async function currentReceipt(
  store: ObjectStore,
  object: ObjectVersion,
  lane: string,
): Promise<Receipt | undefined> {
  let last: string | undefined;
  for await (const { key } of store.list(`${bookPrefix(object)}${lane}/`)) {
    if (key.endsWith(".receipt.json")) last = key;
  }
  return last === undefined ? undefined : await readReceipt(store, last);
}

/** The receipt that counts of every object version and lane, in the order of their keys. */
export async function* currentReceipts(store: ObjectStore): AsyncGenerator<Receipt> {
  let last: { readonly lane: string; readonly key: string } | undefined;
  for await (const { key } of store.list("books/")) {
    const lane = /^(.*)\/\d{6}\.receipt\.json$/.exec(key)?.[1];
    if (lane === undefined) continue;
    // Generations of one lane stand together and ascend: the last one counts.
    if (last !== undefined && last.lane !== lane) yield await readReceipt(store, last.key);
    last = { lane, key };
  }
  if (last !== undefined) yield await readReceipt(store, last.key);
}

/**
 * The UTC day in a Firehose object's name (`…-yyyy-MM-dd-HH-mm-ss-<uuid>`), so that the books of a day stand
 * together; it must come from the key alone, since the books are found by it.
 */
export function dayOf(key: string): string {
  return /(\d{4}-\d{2}-\d{2})-\d{2}-\d{2}-\d{2}-[^/]*$/.exec(key)?.[1] ?? "undated";
}

function busy(object: ObjectVersion, lane: string, until?: number): ObjectBusy {
  const end = until === undefined ? "" : ` until ${new Date(until).toISOString()}`;
  return new ObjectBusy(`${name(object)}: another worker has claimed ${lane}${end}`, until);
}

function name(object: ObjectVersion): string {
  return `${object.bucket}/${object.key}`;
}
