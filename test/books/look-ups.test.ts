// Look-ups whose round trips take time: they are made several at once, and only of what is asked for.
import { expect, test } from "vitest";
import { hashOf } from "../../src/books/books.ts";
import { whereIs } from "../../src/books/where.ts";
import { pendingOf, raise } from "../../src/dead-letter/query.ts";
import { sinkUnavailable } from "../../src/index.ts";
import { mapInOrder } from "../../src/map-in-order.ts";
import { createWorld, scriptedSink } from "../support/world.ts";

const tripMs = 20;

/** So many objects, each with a deferral of one sink; from now on every call of the store takes a round trip. */
async function waiting(objects: number) {
  const world = createWorld();
  const sink = scriptedSink("a");
  sink.reply = () => {
    throw sinkUnavailable("the token is revoked");
  };
  for (let index = 0; index < objects; index++) {
    world.putEvents(`o${index}`, 1);
    await world.clock.run(world.worker([sink]).process({ bucket: "source", key: `o${index}` }));
  }
  let reads = 0;
  world.receipts.before = async (operation) => {
    if (operation === "read") reads++;
    await world.clock.sleep(tripMs);
  };
  return { world, reads: () => reads };
}

test("200 deferrals are looked up in less than a second, though each takes three round trips", async () => {
  const { world } = await waiting(200);
  const began = world.clock.now();
  const found: string[] = [];
  await world.clock.run(
    (async () => {
      for await (const { object } of pendingOf(world.receipts, {}, raise)) found.push(object.key);
    })(),
  );
  expect(found).toHaveLength(200);
  // Read, listed and read again: 3 × 200 × 20 ms would be 12 s, one after the other.
  expect(world.clock.now() - began).toBeLessThan(1_000);
});

test("a derived id reads the receipts of its own object alone", async () => {
  const { world, reads } = await waiting(30);
  const version = (await world.source.look("o7"))?.version ?? "";
  const id = `${hashOf({ bucket: world.source.location, key: "o7", version }).slice(0, 24)}-0`;
  const found = await world.clock.run(
    whereIs({ id, stores: world, sinks: ["a"], signal: new AbortController().signal }),
  );
  expect(found).toMatchObject([{ object: { key: "o7" }, sinks: [{ sink: "a", status: "pending" }] }]);
  expect(reads()).toBeLessThanOrEqual(6);
});

test("results come in the order of what was looked up, and a failure in its turn", async () => {
  const clock = createWorld().clock;
  let open = 0;
  let most = 0;
  const look = async (value: number) => {
    most = Math.max(most, ++open);
    await clock.sleep(100 - value);
    open--;
    if (value === 7) throw new Error("the seventh");
    return value;
  };
  const seen: number[] = [];
  const all = (async () => {
    for await (const value of mapInOrder([1, 2, 3, 4, 5, 6, 7, 8], 3, look)) seen.push(value);
  })();
  await expect(clock.run(all)).rejects.toThrow("the seventh");
  expect(seen).toEqual([1, 2, 3, 4, 5, 6]);
  expect(most).toBe(3);
});
