// One sink against a quota in virtual time: how much of it is used, and how many requests are refused.
import type { Clock } from "../../src/delivery/clock.ts";
import { createWorld, delivered, scriptedSink } from "./world.ts";

export interface Quota {
  readonly title: string;
  /** What the twin takes in 10 s, in windows that stand still or that slide. */
  readonly requestsPer10s: number;
  readonly window: "fixed" | "sliding";
  /** What the sink is configured to send. */
  readonly requestsPerSecond?: number;
  readonly concurrency: number;
  readonly latencyMs: number;
  /** One event a request, so as many requests. */
  readonly events: number;
  readonly refusedAtMost: number;
}

const hubspot = { requestsPer10s: 190, concurrency: 10, latencyMs: 50, events: 11_400 } as const;

export const quotas: readonly Quota[] = [
  { ...hubspot, title: "the quota is known", window: "sliding", requestsPerSecond: 19, refusedAtMost: 0 },
  {
    ...hubspot,
    title: "half of it is somebody else's",
    window: "sliding",
    requestsPerSecond: 38,
    refusedAtMost: 0.02,
  },
  {
    ...hubspot,
    title: "half of it is somebody else's, in fixed windows",
    window: "fixed",
    requestsPerSecond: 38,
    refusedAtMost: 0.02,
  },
  { ...hubspot, title: "a fifth is left", window: "sliding", requestsPerSecond: 95, refusedAtMost: 0.05 },
  { ...hubspot, title: "no rate is configured", window: "sliding", refusedAtMost: 0.15 },
  { ...hubspot, title: "no rate is configured, in fixed windows", window: "fixed", refusedAtMost: 0.15 },
];

export interface QuotaResult {
  readonly seconds: number;
  readonly requests: number;
  readonly refused: number;
  readonly refusedShare: number;
  readonly delivered: number;
  readonly pending: number;
  /** Requests taken, as a share of what the quota would have let through in the same time. */
  readonly goodput: number;
}

export async function quotaRun(quota: Quota): Promise<QuotaResult> {
  const { requestsPer10s, requestsPerSecond, concurrency, latencyMs, events } = quota;
  const world = createWorld();
  world.putEvents("a", events);
  const limits = { itemsPerRequest: 1, bytesPerRequest: 1_000, bytesPerItem: 1_000, concurrency };
  const sink = scriptedSink("a", {
    limits: { ...limits, ...(requestsPerSecond === undefined ? {} : { requestsPerSecond }) },
  });
  const takes = quota.window === "fixed" ? fixedWindow(requestsPer10s) : slidingWindow(requestsPer10s);
  let refused = 0;
  sink.reply = async (_batch, { clock }) => {
    const isTaken = takes(clock);
    await clock.sleep(latencyMs);
    if (isTaken) return delivered;
    refused++;
    return { status: "transient", reason: "429", throttled: true };
  };
  const start = world.clock.now();
  const report = await world.clock.run(
    world.worker([sink]).process({ bucket: "source", key: "a" }, { deadline: start + 24 * 3_600_000 }),
  );
  const last = Math.max(...sink.storedAt.values());
  const { delivered: taken = 0, pending = 0, requests = 0 } = report.sinks["a"] ?? {};
  // The first window may be spent at once; what it adds beyond the pace is not the sink's doing.
  const allowed = (requestsPer10s * (last - start)) / 10_000;
  return {
    seconds: (last - start) / 1000,
    requests,
    refused,
    refusedShare: refused / requests,
    delivered: taken,
    pending,
    goodput: taken / allowed,
  };
}

function fixedWindow(quota: number): (clock: Clock) => boolean {
  let window = -1;
  let used = 0;
  return (clock) => {
    const now = Math.floor(clock.now() / 10_000);
    if (now !== window) {
      window = now;
      used = 0;
    }
    return used++ < quota;
  };
}

function slidingWindow(quota: number): (clock: Clock) => boolean {
  const taken: number[] = [];
  return (clock) => {
    while ((taken[0] ?? Number.POSITIVE_INFINITY) <= clock.now() - 10_000) taken.shift();
    if (taken.length >= quota) return false;
    taken.push(clock.now());
    return true;
  };
}
