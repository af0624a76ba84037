// What a sink promises that keeps the newest value of something: two workers at once do not make it lose that value.
import assert from "node:assert/strict";
import type { MetricEvent } from "../../event.ts";
import { type Fate, itemsOf, openWorld, type World } from "../case-world.ts";
import type { ConformanceCase } from "../conformance.ts";
import type { ConformanceSubject } from "../subject.ts";
import type { TwinHandler } from "../twin.ts";

/** Requests of one `send` before which another one is tried: a look, a write, and what a sink may add to them. */
const mostRequests = 10;

/** What the core gives a request when the sink's limits do not say: `Limits.timeoutMs`. */
const defaultTimeoutMs = 30_000;

export const writerCases: readonly ConformanceCase[] = [
  {
    name: "the newest value stands when two send at once",
    overHttp: true,
    promise:
      "A sink that looks before it writes must not write over what came in between, or it declares `writers: 1`.",
    run: async (subject) => {
      if (!(await keepsNewest(subject))) return;
      for (let held = 1; held <= mostRequests; held++) {
        const older = openWorld(subject);
        const { writers, concurrency } = older.sink.limits;
        // The core lets nobody come between then.
        if (writers === 1 && concurrency === 1) return;
        // Of one writer, too, several requests are under way.
        const newer = writers === 1 ? older : openWorld(subject, older);
        const requests = await meet(older, newer, held);
        if (requests < held) return;
        const between = writers === 1 ? "another request of the same worker" : "another worker";
        const declare =
          writers === 1 ? "limits.concurrency: 1" : "limits.writers: 1 and limits.concurrency: 1";
        assert.equal(
          await settle(openWorld(subject, older), versionsOf(older).middle),
          "filtered",
          `the vendor shows an older event, since ${between} sent a newer one before request ${held} of its send: ` +
            `the sink needs a conditional write, or ${declare}`,
        );
      }
    },
  },
];

/**
 * Whether the sink compares an event with what the vendor has: what is older than that is filtered, by a sink that
 * remembers nothing itself. Only of such a sink can a case know what the vendor shows in the end: the sink says so.
 */
async function keepsNewest(subject: ConformanceSubject): Promise<boolean> {
  const first = openWorld(subject);
  const { older, middle, newer } = versionsOf(first);
  const fates: Fate[] = [];
  for (const event of [older, newer, middle]) fates.push(await settle(openWorld(subject, first), event));
  return fates.join() === "delivered,delivered,filtered";
}

/**
 * Lets the newer event come when the older one's `send` is about to make its request of number `held`, counted from 1.
 *
 * @returns how many requests the older one's `send` made.
 */
async function meet(older: World, newer: World, held: number): Promise<number> {
  const { clock, twin, sink } = older;
  const events = versionsOf(older);
  const [reached, over] = [Promise.withResolvers<void>(), new AbortController()];
  let requests = 0;
  const hold: TwinHandler = async (request) => {
    requests++;
    if (requests === held) {
      reached.resolve();
      // A sink may let its own sends wait for each other, so the older one is not held for ever.
      await clock.sleep((sink.limits.timeoutMs ?? defaultTimeoutMs) / 10, over.signal);
    }
    return await twin.handle(request);
  };
  const first = older.send(itemsOf(sink, events.older), { handle: hold }).finally(() => reached.resolve());
  await reached.promise;
  const second = await newer.send(itemsOf(newer.sink, events.newer));
  over.abort();
  const results = [
    { world: older, event: events.older, statuses: (await first).statuses },
    { world: newer, event: events.newer, statuses: second.statuses },
  ];
  for (const { world, event, statuses } of results) {
    const [status = "unknown"] = statuses;
    const isOver = status === "delivered" || status === "filtered";
    const fate = isOver ? status : await settle(world, event);
    const which = event === events.older ? "older" : "newer";
    assert.ok(
      fate === "delivered" || fate === "filtered",
      `of two events that were sent at once, the ${which} one is ${fate}`,
    );
  }
  return requests;
}

/** Three events of the same about the same, a second between them. */
function versionsOf(world: World): Record<"older" | "middle" | "newer", MetricEvent> {
  const event = world.event(0);
  const version = (name: string, age: number): MetricEvent => {
    const id = `${event.id}-${name}`;
    return { ...event, id, time: event.time - age * 1000, metadata: { ...event.metadata, event_id: id } };
  };
  return { older: version("older", 2), middle: version("middle", 1), newer: version("newer", 0) };
}

async function settle(world: World, event: MetricEvent): Promise<Fate> {
  const { fates } = await world.settle([event]);
  return fates[0] ?? "pending";
}
