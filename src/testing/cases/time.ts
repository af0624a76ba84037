// What a sink promises when a connection breaks, nobody answers, or the time is over.
import assert from "node:assert/strict";
import { assertOnly, openWorld } from "../case-world.ts";
import type { ConformanceCase } from "../conformance.ts";
import type { Fault } from "../faults.ts";
import { watchLeftovers } from "../leftovers.ts";
import type { ConformanceSubject } from "../subject.ts";
import type { TwinHandler } from "../twin.ts";

/** What the core gives a request when the sink's limits do not say: `Limits.timeoutMs`. */
const defaultTimeoutMs = 30_000;

export const timeCases: readonly ConformanceCase[] = [
  {
    name: "a cut connection is unknown",
    overHttp: true,
    promise: "Nobody knows what became of the items, so they are neither delivered nor dead letters.",
    run: async (subject) => {
      const faults: Fault[] = [
        { kind: "reset" },
        { kind: "reset-after-store" },
        ...[0, 1, 5].map((afterBytes) => ({ kind: "reset-in-reply", afterBytes }) as const),
        { kind: "reset-in-reply" },
      ];
      for (const fault of faults) {
        const world = openWorld(subject);
        const result = await world.send(world.items(3), { fault });
        assertOnly(result, ["transient", "unknown"], `after a connection that was cut (${fault.kind})`);
      }
    },
  },
  {
    name: "a hang ends as unknown when its time is over",
    overHttp: true,
    promise: "The vendor may have stored what it never answered for, and another may have stored nothing.",
    run: async (subject) => {
      for (const stored of [false, true]) {
        const world = openWorld(subject);
        const { timeoutMs = defaultTimeoutMs } = world.sink.limits;
        const result = await world.send(world.items(3), { fault: { kind: "hang", stored }, timeoutMs });
        assertOnly(result, ["transient", "unknown"], "after a request that hung");
      }
    },
  },
  {
    name: "a slow reply is waited for",
    overHttp: true,
    promise: "A vendor under load is slow, and what it stored must not be sent again for that.",
    run: async (subject) => {
      for (const kind of ["slow-body", "delay"] as const) {
        const world = openWorld(subject);
        const { timeoutMs = defaultTimeoutMs } = world.sink.limits;
        // Some requests of one send, each a tenth of its time.
        const ms = kind === "delay" ? timeoutMs / 10 : timeoutMs / 40;
        await world.deliver(world.items(3), { fault: { kind, ms }, timeoutMs });
      }
    },
  },
  {
    name: "an abort settles at once",
    promise: "A hanging vendor holds up its own lane no longer than the deadline.",
    run: async (subject) => {
      const world = openWorld(subject);
      const [start, items, abort] = [world.clock.now(), world.items(3), new AbortController()];
      // The vendor has it and says nothing, ever; then the time is over.
      const silent: TwinHandler = () => {
        setImmediate(() => abort.abort());
        return new Promise<never>(() => {});
      };
      const during = await world.send(items, { handle: silent, abort });
      // And once more with a time that was over before.
      const before = await world.send(items, { abort });
      assert.ok(during.settled && before.settled, "send did not settle after the abort: it needs the signal");
      assert.equal(world.clock.now(), start, "send waited after the abort");
    },
  },
  {
    name: "nothing is left running",
    promise:
      "A sink that keeps timers or sockets open grows with every batch, and holds up the process's end.",
    run: async (subject) => {
      const faults: (Fault | undefined)[] = [
        undefined,
        { kind: "status", status: 500 },
        { kind: "reset" },
        { kind: "hang" },
      ];
      for (const fault of faults) await assertNothingLeft(subject, fault);
    },
  },
];

async function assertNothingLeft(subject: ConformanceSubject, fault: Fault | undefined): Promise<void> {
  const when = fault === undefined ? "a delivery" : `a request that failed (${fault.kind})`;
  const leftovers = watchLeftovers();
  try {
    const world = openWorld({ ...subject, sink: (clock) => leftovers.watch(() => subject.sink(clock)) });
    const abort = new AbortController();
    const options = { around: leftovers, abort, timeoutMs: 10_000, ...(fault && { fault }) };
    await world.send(world.items(3), options);
    // As the core does: a request's time is over when it has settled.
    abort.abort();
    await leftovers.watch(async () => await world.sink.close?.());
    assert.equal(world.clock.sleeping, 0, `after ${when} and close() something sleeps on`);
    assert.deepEqual(await leftovers.list(), [], `after ${when} and close() something is left open`);
  } finally {
    leftovers.stop();
  }
}
