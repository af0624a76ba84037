// What operators did with dead letters: one file when a command begins, one when it ends, none is ever changed.
import { randomUUID } from "node:crypto";
import { currentReceipts } from "../books/books.ts";
import type { Owner } from "../books/claim.ts";
import type { Clock } from "../delivery/clock.ts";
import { type ObjectStore, readAll, StoreError } from "../store/object-store.ts";
import type { Stores } from "./query.ts";

/** Where they stand in the dead-letter store. */
export const auditPrefix = "audit/";

export interface Begun {
  readonly command: "replay" | "drop";
  /** The order's id, which receipts hold beside what was done: the plan's, or the command's own. */
  readonly id: string;
  /** Who gave the command: the AWS caller's ARN, or the user of the operating system. */
  readonly who: string;
  /** The command as it was given: filter, plan, rate, reason. */
  readonly given: Readonly<Record<string, unknown>>;
  /** What was selected when it began. */
  readonly selected: { readonly letters: number; readonly pending: number };
}

export type AuditOutcome =
  /** Everything that was selected was tried or dropped. */
  | "finished"
  /** It ended itself: the canary, or too many failures. */
  | "halted"
  | "interrupted"
  /** An error ended it. */
  | "failed"
  /** Its process was gone before it could say how it ended; somebody else wrote this down. */
  | "killed";

export interface Ended {
  readonly outcome: AuditOutcome;
  /** One sentence, when it did not simply finish. */
  readonly why?: string;
  /** Counts as the command knows them. Of a killed one, of what receipts hold under its id. */
  readonly counts: Readonly<Record<string, number>>;
  /** How many were refused again, by fingerprint. */
  readonly refused?: Readonly<Record<string, number>>;
}

export interface Audit {
  /** The key under which it begins; the end stands beside it. */
  readonly key: string;
  end(ended: Ended): Promise<void>;
}

/** @throws {StoreError} when it cannot be written: then nothing is begun. */
export async function beginAudit(
  { deadLetters }: Pick<Stores, "deadLetters">,
  begun: Begun,
  owner: Owner,
  clock: Clock,
): Promise<Audit> {
  const at = new Date(clock.now()).toISOString();
  const stem = `${auditPrefix}${at.slice(0, 10)}/${at.replaceAll(/[-:]/g, "")}-${begun.command}-${randomUUID().slice(0, 8)}`;
  const key = `${stem}.begun.json`;
  await create(deadLetters, key, { at, ...begun, owner: owner.id });
  return {
    key,
    end: async (ended) => {
      await create(deadLetters, `${stem}.ended.json`, { at: new Date(clock.now()).toISOString(), ...ended });
    },
  };
}

/**
 * Writes down the end of commands whose process is gone without a word. What they did stands in the receipts.
 *
 * @returns the keys of what was written.
 * @throws {StoreError}
 */
export async function closeAudits(stores: Stores, owner: Owner, clock: Clock): Promise<string[]> {
  const open = new Set<string>();
  for await (const { key } of stores.deadLetters.list(auditPrefix)) {
    const [, stem, what] = /^(.*)\.(begun|ended)\.json$/.exec(key) ?? [];
    if (stem === undefined) continue;
    if (what === "begun") open.add(stem);
    // In the order of keys the end stands behind its beginning.
    else open.delete(stem);
  }
  const abandoned: { readonly stem: string; readonly id: string }[] = [];
  for (const stem of open) {
    const begun: unknown = JSON.parse(
      (await readAll(stores.deadLetters, `${stem}.begun.json`)).toString("utf8"),
    );
    if (!isOwned(begun) || owner.isGone?.(begun.owner) !== true) continue;
    abandoned.push({ stem, id: begun.id });
  }
  if (abandoned.length === 0) return [];
  const done = await doneByOrder(stores.receipts, new Set(abandoned.map(({ id }) => id)));
  const written: string[] = [];
  for (const { stem, id } of abandoned) {
    const key = `${stem}.ended.json`;
    const ended: Ended = {
      outcome: "killed",
      why: "its process was gone; the counts are what receipts hold under its id, without what had been pending",
      counts: done.get(id) ?? { delivered: 0, filtered: 0, refused: 0, dropped: 0 },
    };
    await create(stores.deadLetters, key, { at: new Date(clock.now()).toISOString(), ...ended });
    written.push(key);
  }
  return written;
}

/** What receipts hold under the ids of orders. */
async function doneByOrder(
  receipts: ObjectStore,
  ids: ReadonlySet<string>,
): Promise<ReadonlyMap<string, Record<string, number>>> {
  const done = new Map<string, Record<string, number>>();
  for await (const { replays } of currentReceipts(receipts)) {
    for (const { id, delivered, filtered, refused, dropped } of replays) {
      if (!ids.has(id)) continue;
      const sum = done.get(id) ?? { delivered: 0, filtered: 0, refused: 0, dropped: 0 };
      for (const [name, value] of Object.entries({ delivered, filtered, refused, dropped })) {
        sum[name] = (sum[name] ?? 0) + value;
      }
      done.set(id, sum);
    }
  }
  return done;
}

function isOwned(value: unknown): value is { readonly owner: string; readonly id: string } {
  if (typeof value !== "object" || value === null || !("owner" in value) || !("id" in value)) return false;
  return typeof value.owner === "string" && typeof value.id === "string";
}

async function create(store: ObjectStore, key: string, content: object): Promise<void> {
  const bytes = Buffer.from(`${JSON.stringify(content, undefined, 1)}\n`);
  // Taken: two of them have written down the same end.
  if (!(await store.putIfAbsent(key, bytes)) && key.endsWith(".begun.json")) {
    throw new StoreError("FAILED", `${store.location}/${key} is there already, so nothing was begun`);
  }
}
