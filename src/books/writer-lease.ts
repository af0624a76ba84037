// The lease by which a sink that needs one writer has one: of all workers, replayers and commands that share the books,
// one at a time sends to it.
import { randomUUID } from "node:crypto";
import type { Clock } from "../delivery/clock.ts";
import type { ObjectStore } from "../store/object-store.ts";
import { claimMarginMs, createClaim, ObjectBusy, type Owner, stateOf } from "./claim.ts";

/** The writers' leases of one worker: its own runs share the one that it holds. */
export interface WriterLeases {
  /**
   * Joins the lease of a sink, which then lasts until `deadline` and the claims' margin behind it at least.
   *
   * @returns leaves it again. The last one to leave gives it back.
   * @throws {ObjectBusy} when somebody else has it.
   * @throws {StoreError} when the store fails.
   */
  join(sink: string, deadline: number): Promise<() => Promise<void>>;
}

/** Where leases stand in the receipts' store. */
export const writersPrefix = "writers/";

interface Held {
  generation: number;
  expiresAt: number;
  users: number;
}

/**
 * A lease is a claim with generations, like an object's. The newest generation always stays in the store, with a mark
 * beside it when it was given back: so whoever listed the store before cannot create a generation that was used.
 */
export function createWriterLeases(store: ObjectStore, owner: Owner, clock: Clock): WriterLeases {
  const held = new Map<string, Held>();
  /** What joins or leaves one sink's lease does so one after the other. */
  const turns = new Map<string, Promise<unknown>>();
  const inTurn = <T>(sink: string, act: () => Promise<T>): Promise<T> => {
    const turn = (turns.get(sink) ?? Promise.resolve()).then(act);
    turns.set(
      sink,
      turn.catch(() => {}),
    );
    return turn;
  };
  const keyOf = (sink: string, generation: number, what: "claim" | "released") =>
    `${writersPrefix}sink=${sink}/${String(generation).padStart(8, "0")}.${what}.json`;

  async function look(sink: string): Promise<{ newest: number; isReleased: boolean; older: string[] }> {
    const keys: [key: string, generation: number, what: string][] = [];
    for await (const { key } of store.list(`${writersPrefix}sink=${sink}/`)) {
      const [, digits, what = ""] = /\/(\d{8})\.(claim|released)\.json$/.exec(key) ?? [];
      if (digits !== undefined) keys.push([key, Number(digits), what]);
    }
    const newest = Math.max(0, ...keys.map(([, generation]) => generation));
    return {
      newest,
      isReleased: keys.some(([, generation, what]) => generation === newest && what === "released"),
      older: keys.filter(([, generation]) => generation < newest).map(([key]) => key),
    };
  }

  async function take(sink: string, generation: number, deadline: number): Promise<Held> {
    const now = clock.now();
    const expiresInMs = Math.max(0, deadline - now) + claimMarginMs;
    const body = { owner: owner.id, attempt: randomUUID(), expiresInMs };
    if (!(await createClaim(store, keyOf(sink, generation, "claim"), body))) throw busy(sink);
    const { newest, older } = await look(sink);
    // Who looked long ago may create a generation that was used and removed: a newer one tells.
    if (newest > generation) {
      await store.delete(keyOf(sink, generation, "claim"));
      throw busy(sink);
    }
    await Promise.all(older.map((key) => store.delete(key)));
    return { generation, expiresAt: now + expiresInMs, users: 0 };
  }

  async function acquire(sink: string, deadline: number): Promise<Held> {
    const { newest, isReleased } = await look(sink);
    if (newest > 0 && !isReleased) {
      const state = await stateOf(store, keyOf(sink, newest, "claim"), owner);
      if (typeof state === "object") throw busy(sink, state.until);
    }
    return await take(sink, newest + 1, deadline);
  }

  async function enter(sink: string, deadline: number): Promise<void> {
    const own = held.get(sink);
    const isOurs = own !== undefined && clock.now() < own.expiresAt;
    if (!isOurs) {
      const fresh = await acquire(sink, deadline);
      held.set(sink, { ...fresh, users: (own?.users ?? 0) + 1 });
      return;
    }
    // The next generation of one's own lease lasts longer.
    const lasts =
      own.expiresAt >= deadline + claimMarginMs ? own : await take(sink, own.generation + 1, deadline);
    held.set(sink, { ...lasts, users: own.users + 1 });
  }

  async function leave(sink: string): Promise<void> {
    const own = held.get(sink);
    if (own === undefined) return;
    own.users--;
    if (own.users > 0) return;
    held.delete(sink);
    // One that cannot be given back expires.
    const mark = Buffer.from(JSON.stringify({ owner: owner.id }));
    await store.putIfAbsent(keyOf(sink, own.generation, "released"), mark).catch(() => {});
  }

  return {
    async join(sink, deadline) {
      await inTurn(sink, () => enter(sink, deadline));
      return () => inTurn(sink, () => leave(sink));
    },
  };
}

function busy(sink: string, until?: number): ObjectBusy {
  const end = until === undefined ? "" : ` until ${new Date(until).toISOString()}`;
  return new ObjectBusy(`${sink} takes from one writer at a time, and another one sends to it${end}`, until);
}
