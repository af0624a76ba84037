// Vendors that do as the dice say: cheap, with partitions, coalescing and every kind of answer.
import type { Clock } from "../../src/delivery/clock.ts";
import {
  type Batch,
  type Item,
  type Outcome,
  type SendContext,
  type Sink,
  sinkUnavailable,
  type Verdict,
} from "../../src/delivery/sink.ts";
import type { Dice } from "./dice.ts";
import { type ObjectPlan, payloadCanary, type ScriptedPlan, secretCanary, start } from "./plan.ts";
import { never, type Process } from "./process.ts";
import type { Trouble } from "./trouble.ts";
import { type Place, placeOf, type Vendor } from "./vendor.ts";

/** What is sent of an event. */
interface Sent {
  readonly place: Place;
  readonly note: unknown;
}

type Answer = readonly Outcome[] | Verdict;

const delivered = { status: "delivered" } as const;

export function createScripted(
  plan: ScriptedPlan,
  objects: readonly ObjectPlan[],
  trouble: Trouble,
  clock: Clock,
): Vendor {
  const { name } = plan;
  const { bytesPerItem, bytesPerRequest, envelopeBytes = 0 } = plan.limits;
  const mostBytes = Math.min(bytesPerItem, bytesPerRequest - envelopeBytes);
  const tooLarge = new Set<string>();
  const stored = new Map<string, { tenant: string; object: string; n: number }>();
  const grades = new Map(
    objects.flatMap(({ key, records }) =>
      records.flatMap(({ event }, n) => (event === undefined ? [] : [[`${key}#${n}`, event.grade] as const])),
    ),
  );
  /** Always the same for an event and a purpose, in [0, 1). */
  const grade = ({ object, n }: Place, purpose: number): number => {
    return ((grades.get(`${object}#${n}`) ?? 0) * 7919 + (Number(name.slice(1)) * 5 + purpose) * 0.618) % 1;
  };
  /** When somebody has mended it, half of what was refused is taken. */
  const isRefused = (place: Place, purpose: number, share: number) =>
    grade(place, purpose) < (trouble.isMended ? share / 2 : share);
  const isPoison = ({ payload }: Item<Sent>) => isRefused(payload.place, 4, plan.poison);
  const store = (items: readonly Item<Sent>[], partition: string) => {
    for (const { event, payload } of items) {
      const { object, n } = payload.place;
      const tenant = plan.partition === "tenant" ? partition : event.tenantId;
      stored.set(`${tenant} ${object}#${n}`, { tenant, object, n });
    }
  };

  /** How a well vendor answers. */
  const honest = ({ items, partition }: Batch<Sent>): Answer => {
    if (!items.some(isPoison)) {
      store(items, partition);
      return delivered;
    }
    if (!plan.tellsItems) return { status: "refused", reason: "one is no good", code: "POISON" };
    return items.map((item): Outcome => {
      if (isPoison(item)) return { status: "rejected", reason: "no good", code: "POISON" };
      store([item], partition);
      return delivered;
    });
  };

  const strike = (kind: string, share: number) => trouble.strikes(`vendor: ${kind}`, name, share);

  /** What goes wrong, or undefined. Several kinds may be asked; the first one that strikes answers. */
  const disturb = async (batch: Batch<Sent>, share: number): Promise<Answer | undefined> => {
    const { items, partition } = batch;
    const part = share / 10;
    let d: Dice | undefined;
    if (strike("busy", part)) return { status: "transient", reason: "busy" };
    if (strike("throttles", part)) return { status: "transient", reason: "too fast", throttled: true };
    d = strike("names a wait", part);
    if (d)
      return { status: "transient", reason: "later", retryAfterMs: d.pick([1, 700, 5_000, 59_999, 90_000]) };
    if (strike("stores, then resets", part)) {
      store(items, partition);
      throw new Error(`a reset in the middle of ${payloadCanary} with ${secretCanary}`);
    }
    d = strike("hangs", part);
    if (d) {
      if (d.chance(0.5)) store(items, partition);
      return never();
    }
    d = strike("is unavailable", part);
    if (d) {
      throw sinkUnavailable("its token is no good", d.chance(0.3) ? { retryAfterMs: d.int(1, 100_000) } : {});
    }
    if (items.length > 1 && strike("refuses a batch without a reason", part)) {
      return { status: "refused", reason: "no", code: "NO" };
    }
    d = strike("leaves outcomes out", part);
    if (d) {
      const some = items.slice(0, d.int(0, items.length));
      store(some, partition);
      return some.map(() => delivered);
    }
    d = strike("tells items apart", part * 2);
    if (d === undefined) return undefined;
    const each = d;
    return items.map((item): Outcome => {
      const draw = each.number();
      if (draw < 0.5) {
        store([item], partition);
        return delivered;
      }
      if (draw < 0.6) return { status: "filtered", reason: "it has newer data" };
      if (draw < 0.7) return { status: "rejected", reason: "no", code: "NO" };
      const wait = each.chance(0.2) ? { retryAfterMs: each.int(1, 70_000) } : {};
      return { status: "transient", reason: "not this one", ...wait };
    });
  };

  const send = async (batch: Batch<Sent>): Promise<Answer> => {
    const isWell = trouble.isOver || clock.now() - start >= plan.wellAfterMs;
    if (isWell) return honest(batch);
    const slow = strike("slow", plan.mood === "slow" ? 0.7 : 0.2);
    if (slow !== undefined) await clock.sleep(slow.int(1, plan.mood === "slow" ? 8_000 : 300));
    if (plan.mood === "dead" && strike("is down", 1)) throw sinkUnavailable("down");
    if (plan.mood === "hangs" && strike("hangs", 1)) return never();
    const share = plan.mood === "bad" ? 0.95 : plan.mood === "mixed" ? 0.4 : 0;
    return (await disturb(batch, share)) ?? honest(batch);
  };

  const sinkOf = (process: Process): Sink<Sent> => ({
    name,
    limits: plan.limits,
    encode(event) {
      const place = placeOf(event);
      if (grade(place, 1) < plan.filters) return { filtered: "not meant for it" };
      if (isRefused(place, 2, plan.rejects)) return { rejected: "it can never be there", code: "NO_PLACE" };
      if (isRefused(place, 3, plan.throws)) throw new TypeError(`cannot read ${payloadCanary}`);
      const pad = event.data["pad"];
      const bytes = typeof pad === "string" && pad.length > 0 ? 270 : 20;
      if (bytes > mostBytes) tooLarge.add(`${place.object}#${place.n}`);
      return { payload: { place, note: event.data["note"] }, bytes };
    },
    ...(plan.partition === "none"
      ? {}
      : { partition: ({ tenantId, metricName }) => (plan.partition === "tenant" ? tenantId : metricName) }),
    ...(plan.coalesces ? { coalesceKey: ({ tenantId }) => tenantId } : {}),
    async send(batch, _context: SendContext) {
      await process.step(`before a request to ${name}`);
      const answer = await send(batch);
      await process.step(`after a request to ${name}`);
      return answer;
    },
  });

  return {
    name,
    sinkOf,
    holds: ({ event }) => {
      const { object, n } = placeOf(event);
      return stored.has(`${event.tenantId} ${object}#${n}`);
    },
    refuses: (place) =>
      isRefused(place, 2, plan.rejects) ||
      isRefused(place, 3, plan.throws) ||
      isRefused(place, 4, plan.poison) ||
      tooLarge.has(`${place.object}#${place.n}`),
    kept: () => stored.values(),
  };
}
