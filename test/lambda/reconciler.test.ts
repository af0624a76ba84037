// The reconciler's handler: which objects it expects to be known by now, and what it says when it cannot count.
import { Metrics } from "@aws-lambda-powertools/metrics";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createReconciler } from "../../src/lambda/reconciler.ts";
import { StoreError } from "../../src/store/object-store.ts";
import { createWorld } from "../support/world.ts";

beforeEach(() => {
  for (const stream of [process.stdout, process.stderr]) vi.spyOn(stream, "write").mockReturnValue(true);
});
afterEach(() => {
  vi.restoreAllMocks();
});

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;

function reconcilerWorld() {
  const world = createWorld();
  const dayOf = (now: number) => new Date(now).toISOString().slice(0, 10);
  /** Writes an object below the prefix of today, as the stream does. */
  const write = (name: string) => world.putEvents(`Data/${dayOf(world.clock.now())}/${name}`, 1);
  const run = createReconciler({
    source: world.source,
    receipts: world.receipts,
    sinks: ["a"],
    prefixOf: (day) => `Data/${dayOf(day)}/`,
    errorPrefix: "Error/",
    clock: world.clock,
    metrics: new Metrics({ namespace: "Test" }),
  });
  return { world, write, run };
}

test.each([
  [30 * minuteMs, 0],
  [31 * minuteMs, 1],
  [3 * dayMs, 1],
  [3 * dayMs + 1, 0],
])("an object that no receipt knows, written %i ms ago, makes %i unknown ones", async (age, unknown) => {
  const { world, write, run } = reconcilerWorld();
  write("one");
  await world.clock.advance(age);
  expect(await run()).toMatchObject({ objects: unknown, unknown: { a: unknown } });
});

test("what the stream refused is counted however old it is", async () => {
  const { world, run } = reconcilerWorld();
  world.putEvents("Error/one", 1);
  await world.clock.advance(30 * dayMs);
  expect(await run()).toMatchObject({ objects: 0, refused: 1 });
});

test.each(["Data/", "books/", "Error/"])("fails when it may not list %s", async (denied) => {
  const { world, write, run } = reconcilerWorld();
  write("one");
  await world.clock.advance(31 * minuteMs);
  for (const store of [world.source, world.receipts]) {
    store.before = (operation, key) => {
      if (operation === "list" && key.startsWith(denied)) throw new StoreError("DENIED", "403");
    };
  }
  await expect(run()).rejects.toThrow("403");
});
