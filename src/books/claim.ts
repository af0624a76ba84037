// A claim: the create-only key by which one worker, and no other, may deliver an object version to a lane.
import { type ObjectStore, readAll, StoreError } from "../store/object-store.ts";

/** Who claims, and how to learn that a claimer is gone before its claim expires. */
export interface Owner {
  /** Unique to the process. */
  readonly id: string;
  /** True only when the process of that id can never act again. Default: nobody knows. */
  readonly isGone?: (id: string) => boolean;
}

export interface Claim {
  readonly lane: string;
  /** Counts the attempts at this object and lane, from 1; the receipt will have the same. */
  readonly generation: number;
  /** Milliseconds since the epoch by this worker's clock: beyond it, someone else may act. */
  readonly expiresAt: number;
  /** `yyyy-mm-dd` of the claim: part of the dead letters' keys. */
  readonly date: string;
  /** Unique to this claim, even when it was given back and its generation claimed again: another part of them. */
  readonly attempt: string;
}

/** A live claim of somebody else: the notification must be failed, and nothing acknowledged. */
export class ObjectBusy extends Error {
  override readonly name = "ObjectBusy";
  readonly code = "OBJECT_BUSY";
  /** When the claim in the way ends, in milliseconds since the epoch by the store's clock, if that is known. */
  readonly until: number | undefined;
  constructor(message: string, until?: number) {
    super(message);
    this.until = until;
  }
}

/** Past its deadline a worker has so long to write its books before its claims expire, in milliseconds. */
export const claimMarginMs = 60_000;

interface ClaimBody {
  readonly owner: string;
  /** Different in every claim that one owner makes: a store may have to tell two attempts apart by their bytes. */
  readonly attempt: string;
  readonly expiresInMs: number;
}

/**
 * Creates the claim of `generation` under `key`.
 * @returns false when somebody else has just made it.
 */
export function createClaim(store: ObjectStore, key: string, body: ClaimBody): Promise<boolean> {
  return store.putIfAbsent(key, Buffer.from(JSON.stringify(body)));
}

/**
 * What a claim without a receipt means now. `until`: live so long, in milliseconds since the epoch by the store's
 * clock. `expired`: its time is over or its owner gone, so the next generation may be claimed. `free`: it was given
 * back, so its own generation may be claimed again. That one and no other: whoever listed the books before it was
 * made will claim it too, and two generations must never be live at once.
 */
export type ClaimState = { readonly until: number } | "expired" | "free";

export async function stateOf(store: ObjectStore, key: string, owner: Owner): Promise<ClaimState> {
  const info = await store.look(key);
  if (info === undefined) return "free";
  const body = await readBody(store, key);
  if (body === undefined) return "free";
  if (owner.isGone?.(body.owner)) return "expired";
  const until = info.lastModified + body.expiresInMs;
  return info.now < until ? { until } : "expired";
}

async function readBody(store: ObjectStore, key: string): Promise<Omit<ClaimBody, "attempt"> | undefined> {
  try {
    const body: unknown = JSON.parse((await readAll(store, key)).toString("utf8"));
    if (typeof body === "object" && body !== null && "owner" in body && "expiresInMs" in body) {
      const { owner, expiresInMs } = body;
      if (typeof owner === "string" && typeof expiresInMs === "number") return { owner, expiresInMs };
    }
  } catch (error) {
    if (error instanceof StoreError && error.code === "NOT_FOUND") return undefined;
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new StoreError(
    "FAILED",
    `${store.location}/${key} is not a claim that this version understands; remove it by hand if no worker runs`,
  );
}
