// How a lane's room is told of.
import { expect, test } from "vitest";
import { defaultBreakerPolicy } from "../../src/delivery/breaker.ts";
import { createLane, createSinkState, type LaneRecord } from "../../src/delivery/lane.ts";
import { defaultRetryPolicy } from "../../src/delivery/retry.ts";
import type { Outcome, Sink } from "../../src/delivery/sink.ts";
import { virtualClock } from "../../src/testing/index.ts";

const record = (index: number): LaneRecord => ({
  event: { id: String(index), metricName: "uploads", tenantId: "acme", time: 0, metadata: {}, data: {} },
  raw: "{}",
  index,
  start: 2 * index,
  end: 2 * index + 2,
});

/** A lane to a vendor that is well, but for the first record: that one is locked for ever. */
function open(itemsPerRequest: number, maxItems: number) {
  const clock = virtualClock();
  const start = clock.now();
  const sizes: number[] = [];
  const sink: Sink<string> = {
    name: "locks",
    limits: { itemsPerRequest, bytesPerRequest: 1000, bytesPerItem: 10, concurrency: 4 },
    encode: ({ id }) => ({ payload: id, bytes: 1 }),
    send: async ({ items }) => {
      sizes.push(items.length);
      return items.map(({ payload }): Outcome => {
        return payload === "0" ? { status: "transient", reason: "locked" } : { status: "delivered" };
      });
    },
  };
  const lane = createLane({
    state: createSinkState(sink, clock, () => 0.5, defaultBreakerPolicy, 1),
    policy: { maxItems, maxBytes: 10_000, retry: defaultRetryPolicy },
    clock,
    random: () => 0.5,
    http: () => Promise.reject(new Error("nobody asks")),
    letters: { add: () => {} },
    origin: ({ index, start: from, end }) => ({
      bucket: "b",
      key: "k",
      version: "v",
      index,
      start: from,
      end,
    }),
    routed: () => true,
    signal: new AbortController().signal,
    deadline: start + 3_600_000,
  });
  return { lane, clock, sizes, elapsed: () => clock.now() - start };
}

test("there is room when outcomes make some, though one record of the request waits for its retries", async () => {
  const { lane, clock, elapsed } = open(10, 10);
  let index = 0;
  while (lane.offer(record(index))) index++;
  expect(index).toBe(10);
  await clock.run(lane.room());
  expect(elapsed()).toBe(0);
  expect(lane.tally.delivered).toBe(9);
  lane.flush();
  await clock.run(lane.idle());
  expect(lane.pending).toBe(1);
});

test("a record that waits for its retries holds up no batch that it leaves nothing to wait for", async () => {
  // The lane is full long before a request is.
  const { lane, clock, sizes, elapsed } = open(100, 10);
  for (let index = 0; index < 50; index++) {
    while (!lane.offer(record(index))) await clock.run(lane.room());
  }
  expect(elapsed()).toBe(0);
  expect(sizes).toEqual([10, 9, 9, 9, 9]);
  lane.flush();
  await clock.run(lane.idle());
  expect(lane.tally.delivered).toBe(49);
});
