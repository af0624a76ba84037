// What waits, in groups: by cause, and by what cannot be delivered yet.
import type { StoreError } from "../store/object-store.ts";
import type { DeadLetter, Stage } from "./dead-letter.ts";
import { type LetterFilter, letterId } from "./filter.ts";
import { type Pending, pendingOf, raise, type Stores, type VisitFile, visitLetters } from "./query.ts";

/** All letters of one sink and fingerprint. */
export interface Cause {
  readonly sink: string;
  readonly fingerprint: string;
  /** Of a letter its stage; `queue` in a queue that is not ours. */
  readonly stage: Stage | "queue";
  readonly code: string;
  /** Of one of them. */
  readonly reason: string;
  readonly count: number;
  /** By tenant; letters that are no valid events have none, and stand under `""`. At most {@link mostTenants}. */
  readonly tenants: ReadonlyMap<string, number>;
  /** Letters of tenants that have no entry of their own. */
  readonly otherTenants: number;
  /** When the first of them was refused for the first time, and the last one the last time: milliseconds. */
  readonly oldest: number;
  readonly newest: number;
  /** The id of one of them. */
  readonly example: string;
  /** What to do, where a queue knows. */
  readonly action?: string;
}

/** What a cause is made of: a letter, or an entry of a queue. */
export interface Refused
  extends Pick<Cause, "sink" | "fingerprint" | "stage" | "code" | "reason" | "example" | "action"> {
  readonly tenantId: string | undefined;
  readonly since: number;
  readonly lastAt: number;
}

/** What is pending for one sink and reason. */
export interface Delay {
  readonly sink: string;
  /** The last one, of one of them. */
  readonly reason: string;
  readonly objects: number;
  /** Events known to be pending. */
  readonly count: number;
  /** Objects that were not read to their end, so that there may be more. */
  readonly unread: number;
  readonly oldest: number;
  /** When the first of them is due, and the last one: milliseconds since the epoch. */
  readonly nextAttemptAt: number;
  readonly lastAttemptAt: number;
  /** The id of one of them. */
  readonly example: string;
}

export interface Survey {
  /** The most frequent first. */
  readonly causes: readonly Cause[];
  readonly delays: readonly Delay[];
  readonly letters: number;
  readonly pending: number;
}

/** Tenants that a cause names; a cause that concerns more of them is not a tenant's matter. */
export const mostTenants = 1_000;

type Growing<T> = { -readonly [K in keyof T]: T[K] extends ReadonlyMap<infer A, infer B> ? Map<A, B> : T[K] };

/** Reads everything once; memory depends on how many causes and tenants there are, not on how many letters. */
export async function survey(
  stores: Stores,
  filter: LetterFilter,
  onDamaged?: (error: StoreError) => void,
): Promise<Survey> {
  const surveyor = createSurveyor();
  const visit: VisitFile = async ({ objectHash }, letters) => {
    for await (const letter of letters) surveyor.add(refusedOf(objectHash, letter));
  };
  await visitLetters(stores, filter, visit, onDamaged);
  for await (const pending of pendingOf(stores.receipts, filter, onDamaged ?? raise))
    surveyor.addPending(pending);
  return surveyor.survey();
}

export interface Surveyor {
  add(refused: Refused): void;
  addPending(pending: Pending): void;
  survey(): Survey;
}

export function createSurveyor(): Surveyor {
  const causes = new Map<string, Growing<Cause>>();
  const delays = new Map<string, Growing<Delay>>();
  return {
    add({ tenantId = "", since, lastAt, ...kind }) {
      const key = `${kind.sink} ${kind.fingerprint}`;
      let cause = causes.get(key);
      if (cause === undefined) {
        const none = { count: 0, tenants: new Map<string, number>(), otherTenants: 0 };
        cause = { ...kind, ...none, oldest: since, newest: lastAt };
        causes.set(key, cause);
      }
      cause.count++;
      cause.oldest = Math.min(cause.oldest, since);
      cause.newest = Math.max(cause.newest, lastAt);
      const counted = cause.tenants.get(tenantId);
      const hasRoom = counted !== undefined || cause.tenants.size < mostTenants;
      if (hasRoom) cause.tenants.set(tenantId, (counted ?? 0) + 1);
      else cause.otherTenants++;
    },
    addPending({ sink, reason, count, unread, since, nextAttemptAt, objectHash }) {
      const key = `${sink} ${reason}`;
      let delay = delays.get(key);
      if (delay === undefined) {
        const none = { objects: 0, count: 0, unread: 0 };
        const times = { oldest: since, nextAttemptAt, lastAttemptAt: nextAttemptAt };
        delay = { sink, reason, ...none, ...times, example: letterId(objectHash, sink) };
        delays.set(key, delay);
      }
      delay.objects++;
      delay.count += count;
      if (unread) delay.unread++;
      delay.oldest = Math.min(delay.oldest, since);
      delay.nextAttemptAt = Math.min(delay.nextAttemptAt, nextAttemptAt);
      delay.lastAttemptAt = Math.max(delay.lastAttemptAt, nextAttemptAt);
    },
    survey: () => ({
      causes: [...causes.values()].sort((a, b) => b.count - a.count),
      delays: [...delays.values()].sort((a, b) => b.count - a.count),
      letters: sum(causes.values()),
      pending: sum(delays.values()),
    }),
  };
}

function refusedOf(objectHash: string, letter: DeadLetter): Refused {
  const { sink, fingerprint, stage, code, reason, lastAt, origin, event } = letter;
  const example = letterId(objectHash, sink, origin.index);
  const since = firstRefusal(letter);
  return { sink, fingerprint, stage, code, reason, lastAt, since, tenantId: event?.tenantId, example };
}

/** When a letter's record was refused for the first time. */
export function firstRefusal({ history, firstAt }: DeadLetter): number {
  return history?.[0]?.firstAt ?? firstAt;
}

function sum(groups: Iterable<{ readonly count: number }>): number {
  let total = 0;
  for (const { count } of groups) total += count;
  return total;
}
