// A deferral leaves the books only when nothing is left of its lane, whoever drains it.
import { expect, test } from "vitest";
import { openBooks } from "../../src/books/books.ts";
import { drainDeferrals, readDeferrals, type WaitingDeferral } from "../../src/books/deferrals.ts";
import { silent } from "../../src/log.ts";
import { StoreError } from "../../src/store/object-store.ts";
import { createWorld, scriptedSink, type World } from "../support/world.ts";

/** An object of which the first record was read, and an invalid one was not: both lanes wait. */
async function halfRead() {
  const world = createWorld();
  world.putEvents("a", 40_000, (index) => (index === 39_999 ? { metadata: {} } : {}));
  const sink = scriptedSink("a", {
    limits: { itemsPerRequest: 10_000, bytesPerRequest: 1e9, bytesPerItem: 5_000, concurrency: 2 },
  });
  const read = world.source.read.bind(world.source);
  world.source.read = async function* (key, options) {
    let chunks = 0;
    for await (const chunk of read(key, options)) {
      if (chunks++ > 3) throw new StoreError("TRANSIENT", "the connection broke");
      yield chunk;
    }
  };
  await world.clock.run(world.worker([sink]).process({ bucket: "source", key: "a" }));
  world.source.read = read;
  return { world, sink };
}

async function waitingIn(world: World): Promise<WaitingDeferral[]> {
  const all: WaitingDeferral[] = [];
  for await (const each of readDeferrals(world.receipts, { onDamaged: () => {} })) all.push(each);
  return all;
}

test("of a lane that another worker holds it stays, and is found when that worker has died", async () => {
  const { world, sink } = await halfRead();
  const waiting = await waitingIn(world);
  expect(waiting.map(({ sink: lane }) => lane)).toEqual(["_intake", "a"]);
  const [{ object } = { object: { bucket: "", key: "", version: "" } }] = waiting;
  const other = openBooks(world.receipts, object, { id: "other" }, world.clock, silent);
  const known = (await other.read(["_intake"])).books.get("_intake");
  await other.claim("_intake", known, world.clock.now() + 60_000);

  const drain = async () =>
    await world.clock.run(
      drainDeferrals(world.worker([sink]), world.receipts, await waitingIn(world), {
        deadline: world.clock.now() + 60_000,
        clock: world.clock,
        log: silent,
      }),
    );
  expect(await drain()).toMatchObject({ settled: 1, busy: 1, failed: 0 });
  expect((await waitingIn(world)).map(({ sink: lane }) => lane)).toEqual(["_intake"]);

  // The other worker never wrote its receipt, and its claim has expired.
  await world.clock.advance(10 * 60_000);
  expect(await drain()).toMatchObject({ settled: 1, busy: 0, failed: 0 });
  expect(await waitingIn(world)).toEqual([]);
  expect((await world.latestReceipts())["_intake"]?.counts).toMatchObject({ valid: 39_999, deadLettered: 1 });
  expect(sink.stored.size).toBe(39_999);
});
