// Which records of a failure object have left it, and who may take the next: objects are never changed, only removed.
import * as z from "zod";
import { hashOf, type ObjectVersion, openBooks } from "../books/books.ts";
import type { Owner } from "../books/claim.ts";
import type { Clock } from "../delivery/clock.ts";
import { type Logger, silent } from "../log.ts";
import { type Ranges, union } from "../ranges.ts";
import { type ObjectStore, readAll, StoreError } from "../store/object-store.ts";
import { subStore } from "../store/sub-store.ts";

export interface TakenBook {
  /** Indexes of the records that were put back or dropped. */
  read(object: ObjectVersion): Promise<Ranges>;
  /** Adds indexes; durable when it resolves. Answers all of them. */
  add(object: ObjectVersion, indexes: readonly number[]): Promise<Ranges>;
  /** When the object itself is gone. */
  forget(object: ObjectVersion): Promise<void>;
  /**
   * Keeps others from taking records of the object, for `withinMs` and the margin of a claim. Answers how to give it
   * back.
   * @throws {ObjectBusy} when somebody else has it.
   */
  claim(object: ObjectVersion, withinMs: number): Promise<() => Promise<void>>;
}

const count = z.int().nonnegative();
const takenSchema = z.object({
  object: z.object({ bucket: z.string(), key: z.string(), version: z.string() }),
  taken: z.array(z.object({ from: count, to: count.nullable() })),
});

export function createTakenBook(options: {
  readonly store: ObjectStore;
  /** Of the queue: part of the keys. */
  readonly name: string;
  readonly owner: Owner;
  readonly clock: Clock;
  readonly log?: Logger;
}): TakenBook {
  const { store, name, owner, clock, log = silent } = options;
  // Claims are those of the books, with their takeovers; only what was done is said in another form.
  const claims = subStore(store, "queues");
  const keyOf = (object: ObjectVersion) => `queues/${name}/taken/${hashOf(object)}.json`;

  const read = async (object: ObjectVersion): Promise<Ranges> => {
    const key = keyOf(object);
    let text: string;
    try {
      text = (await readAll(store, key)).toString("utf8");
    } catch (error) {
      if (error instanceof StoreError && error.code === "NOT_FOUND") return [];
      throw error;
    }
    const parsed = takenSchema.safeParse(jsonOf(text));
    if (!parsed.success) {
      throw new StoreError(
        "FAILED",
        `${store.location}/${key} does not say which records were taken; without it they would be put back twice`,
      );
    }
    return union(parsed.data.taken);
  };

  return {
    read,
    async add(object, indexes) {
      const added = indexes.map((index) => ({ from: index, to: index + 1 }));
      const taken = union(await read(object), added);
      await store.put(keyOf(object), Buffer.from(JSON.stringify({ object, taken })));
      return taken;
    },
    forget: (object) => store.delete(keyOf(object)),
    async claim(object, withinMs) {
      const books = openBooks(claims, object, owner, clock, log);
      const known = (await books.read([name])).books.get(name);
      const { claim } = await books.claim(name, known, clock.now() + withinMs);
      return () => books.release(claim);
    },
  };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
