// One writer at a time, whoever asks in whichever order.
import { describe, expect, test } from "vitest";
import { createWriterLeases } from "../../src/books/writer-lease.ts";
import { ObjectBusy } from "../../src/index.ts";
import { seededRandom } from "../../src/testing/index.ts";
import { createWorld, delivered, scriptedSink } from "../support/world.ts";

const minute = 60_000;

function leasesOf(world: ReturnType<typeof createWorld>, id: string) {
  return createWriterLeases(world.receipts, { id }, world.clock);
}

describe("a lease", () => {
  test("is one worker's until it leaves, and then the next one's", async () => {
    const world = createWorld();
    const deadline = world.clock.now() + 5 * minute;
    const leave = await leasesOf(world, "a").join("crm", deadline);
    await expect(leasesOf(world, "b").join("crm", deadline)).rejects.toThrow(ObjectBusy);
    // Another sink's is another lease.
    await (await leasesOf(world, "b").join("other", deadline))();
    await leave();
    await (await leasesOf(world, "b").join("crm", deadline))();
  });

  test("of a worker that died ends with its time, and says until when it lasts", async () => {
    const world = createWorld();
    const deadline = world.clock.now() + 5 * minute;
    await leasesOf(world, "dead").join("crm", deadline);
    await expect(leasesOf(world, "b").join("crm", deadline)).rejects.toMatchObject({
      until: deadline + minute,
    });
    await world.clock.advance(6 * minute);
    await leasesOf(world, "b").join("crm", world.clock.now() + minute);
  });

  test("is shared by the runs of one worker, for as long as the longest needs it", async () => {
    const world = createWorld();
    const own = leasesOf(world, "a");
    const first = await own.join("crm", world.clock.now() + minute);
    const second = await own.join("crm", world.clock.now() + 9 * minute);
    await first();
    await world.clock.advance(5 * minute);
    await expect(leasesOf(world, "b").join("crm", world.clock.now() + minute)).rejects.toThrow(ObjectBusy);
    await second();
    await leasesOf(world, "b").join("crm", world.clock.now() + minute);
  });

  test("is not taken by who looked long ago, though what it creates was used and removed", async () => {
    const world = createWorld();
    const deadline = world.clock.now() + minute;
    await (await leasesOf(world, "a").join("crm", deadline))();
    // It lists now, finds the lease given back, and comes to its write after two others had it.
    const { promise: others, resolve: goOn } = Promise.withResolvers<void>();
    let isLate = false;
    world.receipts.before = async (operation, key) => {
      if (operation !== "putIfAbsent" || !key.endsWith("2.claim.json") || isLate) return;
      isLate = true;
      await others;
    };
    const late = leasesOf(world, "late").join("crm", deadline);
    await world.clock.advance(0);
    await (await leasesOf(world, "b").join("crm", deadline))();
    const holds = await leasesOf(world, "c").join("crm", deadline);
    goOn();
    await expect(late).rejects.toThrow(ObjectBusy);
    await holds();
  });

  test("has one holder in any interleaving of many workers, of which some die", async () => {
    for (let seed = 1; seed <= 40; seed++) {
      const world = createWorld();
      const random = seededRandom(seed);
      world.receipts.before = () => world.clock.sleep(random() * 50);
      let holders = 0;
      let most = 0;
      let joined = 0;
      const live = async (id: number) => {
        for (let round = 0; round < 5; round++) {
          await world.clock.sleep(random() * 2_000);
          const until = world.clock.now() + 1_000;
          try {
            const leave = await leasesOf(world, `${id}-${round}`).join("crm", until);
            joined++;
            most = Math.max(most, ++holders);
            await world.clock.sleep(random() * 500);
            holders--;
            if (random() < 0.8) await leave();
          } catch (error) {
            expect(error).toBeInstanceOf(ObjectBusy);
          }
        }
      };
      await world.clock.run(Promise.all(Array.from({ length: 6 }, (_, id) => live(id))));
      expect([seed, most]).toEqual([seed, 1]);
      expect(joined).toBeGreaterThan(0);
    }
  });
});

describe("a sink that takes from one writer at a time", () => {
  const limits = {
    itemsPerRequest: 5,
    bytesPerRequest: 10_000,
    bytesPerItem: 5_000,
    concurrency: 1,
    writers: 1,
  } as const;

  test("never has two workers at it, other sinks are not held up, and what it misses comes later", async () => {
    const world = createWorld();
    world.putEvents("old", 20);
    world.putEvents("new", 20);
    let sending = 0;
    let most = 0;
    const crm = () => scriptedSink("crm", { limits });
    const stored = new Map<string, number>();
    const slow = (sink: ReturnType<typeof crm>) => {
      sink.reply = async ({ items }, { clock }) => {
        most = Math.max(most, ++sending);
        await clock.sleep(1_000);
        sending--;
        for (const { payload } of items) stored.set(payload.id, (stored.get(payload.id) ?? 0) + 1);
        return delivered;
      };
      return sink;
    };
    const free = [scriptedSink("free"), scriptedSink("free")];
    const workers = free.map((other) => world.worker([slow(crm()), other]));
    const run = async (index: number, key: string) =>
      await workers[index]?.process({ bucket: "source", key }, { deadline: world.clock.now() + 10 * minute });
    const [first, second] = await world.clock.run(Promise.allSettled([run(0, "old"), run(1, "new")]));
    expect(first).toMatchObject({ status: "fulfilled" });
    // Its notification is not acknowledged, though the other sink has all of it.
    expect(second).toMatchObject({ status: "rejected", reason: { code: "OBJECT_BUSY" } });
    expect(free.map((sink) => sink.stored.size)).toEqual([20, 20]);
    await world.clock.run(run(1, "new"));
    expect(most).toBe(1);
    expect([...stored.values()]).toEqual(Array.from({ length: 20 }, () => 2));
    expect(free.map((sink) => sink.requests.flat().length)).toEqual([20, 20]);
  });

  test("lets one worker deliver several objects at once", async () => {
    const world = createWorld();
    for (const key of ["a", "b", "c"]) world.putEvents(key, 10);
    const sink = scriptedSink("crm", { limits });
    const worker = world.worker([sink]);
    const all = ["a", "b", "c"].map((key) => worker.process({ bucket: "source", key }));
    await world.clock.run(Promise.all(all));
    expect(sink.requests.flat()).toHaveLength(30);
  });
});

describe("who is to wait for another writer", () => {
  const ref = (key: string) => ({ bucket: "source", key });
  const slow = (clock: ReturnType<typeof createWorld>["clock"], ms: number) => {
    const sink = scriptedSink("crm", {
      limits: { itemsPerRequest: 100, bytesPerRequest: 1e6, bytesPerItem: 1e5, concurrency: 1, writers: 1 },
    });
    sink.reply = async ({ items }) => {
      await clock.sleep(ms);
      return items.map(() => ({ status: "delivered" }));
    };
    return sink;
  };

  test("delivers when the other one is done, and uses up no receive of its message", async () => {
    const world = createWorld();
    for (const key of ["a", "b"]) world.putEvents(key, 3);
    const [one, other] = [slow(world.clock, 20_000), slow(world.clock, 20_000)];
    const first = world.worker([one]).process(ref("a"));
    const second = world.worker([other]).process(ref("b"), { writerWaitMs: 2 * minute });
    const reports = await world.clock.run(Promise.all([first, second]));
    expect(reports.map(({ sinks }) => sinks["crm"]?.delivered)).toEqual([3, 3]);
  });

  test("keeps no other sink waiting meanwhile", async () => {
    const world = createWorld();
    for (const key of ["a", "b"]) world.putEvents(key, 3);
    const [one, other, free] = [slow(world.clock, 60_000), slow(world.clock, 1), scriptedSink("free")];
    const first = world.worker([one]).process(ref("a"));
    const started = world.clock.now();
    const second = world
      .worker([other, free])
      .process(ref("b"), { writerWaitMs: 2 * minute })
      .catch(() => world.clock.now() - started);
    const [, after] = await world.clock.run(Promise.all([first, second]));
    expect(free.requests.flat()).toHaveLength(3);
    expect(after).toBeLessThan(1_000);
  });

  test("is told that it is busy when the wait is over, or when it is to end", async () => {
    const world = createWorld();
    for (const key of ["a", "b"]) world.putEvents(key, 3);
    const [one, other] = [slow(world.clock, 25_000), slow(world.clock, 1)];
    const first = world.worker([one]).process(ref("a"));
    const started = world.clock.now();
    const second = world
      .worker([other])
      .process(ref("b"), { writerWaitMs: 10_000 })
      .catch((error: unknown) => ({ error, after: world.clock.now() - started }));
    const [, told] = await world.clock.run(Promise.all([first, second]));
    expect(told).toMatchObject({ error: expect.any(ObjectBusy) });
    expect("after" in told && told.after <= 10_000).toBe(true);
  });
});
