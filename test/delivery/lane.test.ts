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

test("there is room when outcomes make some, though one record of the request waits for its retries", async () => {
  const clock = virtualClock();
  const start = clock.now();
  const sink: Sink<string> = {
    name: "locks",
    limits: { itemsPerRequest: 10, bytesPerRequest: 100, bytesPerItem: 10, concurrency: 4 },
    encode: ({ id }) => ({ payload: id, bytes: 1 }),
    send: async ({ items }) =>
      items.map(({ payload }): Outcome => {
        return payload === "0" ? { status: "transient", reason: "locked" } : { status: "delivered" };
      }),
  };
  const lane = createLane({
    state: createSinkState(sink, clock, () => 0.5, defaultBreakerPolicy),
    policy: { maxItems: 10, maxBytes: 1000, retry: defaultRetryPolicy },
    clock,
    random: () => 0.5,
    http: () => Promise.reject(new Error("nobody asks")),
    letters: { add: () => {} },
    origin: ({ index, start, end }) => ({ bucket: "b", key: "k", version: "v", index, start, end }),
    routed: () => true,
    signal: new AbortController().signal,
    deadline: start + 3_600_000,
  });
  let index = 0;
  while (lane.offer(record(index))) index++;
  expect(index).toBe(10);
  await clock.run(lane.room());
  expect(clock.now() - start).toBe(0);
  expect(lane.tally.delivered).toBe(9);
  lane.flush();
  await clock.run(lane.idle());
  expect(lane.pending).toBe(1);
});
