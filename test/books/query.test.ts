import { setImmediate } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { bookPrefix, currentReceipts, type ObjectVersion } from "../../src/books/books.ts";
import { readDeferrals } from "../../src/books/deferrals.ts";
import { addBooks, type Books, type BooksOptions, completeness } from "../../src/books/query.ts";
import { addTenantBooks } from "../../src/books/tenant.ts";
import { whereIs } from "../../src/books/where.ts";
import type { ObjectStore } from "../../src/store/object-store.ts";
import { somethingWaits, takeAll, type Waiting } from "../support/waiting.ts";
import { delivered } from "../support/world.ts";

const never = new AbortController().signal;
const sinks = ["a", "b"];

const booksOf = ({ world }: Waiting, more: Partial<BooksOptions> = {}): Promise<Books> =>
  addBooks({
    receipts: world.receipts,
    deadLetters: world.deadLetters,
    sinks,
    owner: { id: "test" },
    ...more,
  });

const codes = ({ problems }: Books) => problems.map(({ code, lane }) => `${code} ${lane}`).sort();

/** Rewrites the newest receipt of a lane of the first object. */
async function change({ world }: Waiting, lane: string, how: (receipt: object) => object): Promise<void> {
  const keys = [...world.receipts.objects.keys()].filter((key) => key.includes(`/${lane}/`)).sort();
  const [key = ""] = keys.filter((each) => each.endsWith(".receipt.json"));
  const receipt: object = JSON.parse(world.receipts.objects.get(key)?.bytes.toString() ?? "{}");
  const bytes = Buffer.from(JSON.stringify(how(receipt)));
  world.receipts.objects.set(key, { bytes, lastModified: world.clock.now() });
}

describe("the books", () => {
  test("add up every sink, and close though letters and deliveries wait: they are explained", async () => {
    const books = await booksOf(await somethingWaits());
    expect(books).toMatchObject({ objects: 3, records: 33, valid: 30, invalid: 3, underWay: 0, unread: 0 });
    expect(books.problems).toEqual([]);
    expect(books.sinks).toMatchObject([
      { sink: "a", objects: 3, valid: 30, delivered: 18, deadLettered: 12, pending: 0, missing: 0 },
      { sink: "b", objects: 3, valid: 30, delivered: 0, deadLettered: 0, pending: 30, missing: 0 },
    ]);
    expect(books.sinks.map(completeness)).toEqual([0.6, 0]);
  });

  test("say 100 % when the sink is back and has everything", async () => {
    const waiting = await somethingWaits();
    takeAll(waiting.b);
    await waiting.run();
    const [, b] = (await booksOf(waiting)).sinks;
    expect(b).toMatchObject({ delivered: 30, pending: 0 });
    expect(b && completeness(b)).toBe(1);
  });

  test("of a day are those of its objects, and of its receipts where the name holds no day", async () => {
    const waiting = await somethingWaits();
    const { clock } = waiting.world;
    expect(await booksOf(waiting, { since: clock.now() })).toMatchObject({ objects: 0 });
    expect(await booksOf(waiting, { until: clock.now() })).toMatchObject({ objects: 3 });
    const named = await somethingWaits(1);
    const key = "stream-1-2025-06-02-03-04-05-uuid";
    named.world.putEvents(key, 2);
    await named.world.clock.run(named.world.worker([named.a, named.b]).process({ bucket: "source", key }));
    const day = Date.UTC(2025, 5, 2);
    const next = day + 86_400_000;
    expect(await booksOf(named, { since: day, until: next })).toMatchObject({ objects: 1, valid: 2 });
    expect(await booksOf(named, { since: next, until: next + 86_400_000 })).toMatchObject({ objects: 0 });
    expect(await booksOf(named)).toMatchObject({ objects: 2, valid: 12 });
  });
});

describe("a gap is found and named:", () => {
  test("a worker that began and never ended", async () => {
    const waiting = await somethingWaits(1);
    const { receipts, clock } = waiting.world;
    for (const key of [...receipts.objects.keys()]) {
      if (key.includes("/a/") && key.endsWith(".receipt.json")) receipts.objects.delete(key);
    }
    await clock.run(clock.sleep(24 * 60 * 60_000));
    const books = await booksOf(waiting);
    expect(codes(books)).toEqual(["NOT_CLOSED a"]);
    expect(books.sinks[0]).toMatchObject({ valid: 0, missing: 10 });
  });

  test("but not one that is at work", async () => {
    const waiting = await somethingWaits(1);
    takeAll(waiting.b);
    let during: Books | undefined;
    waiting.b.reply = async () => {
      during ??= await booksOf(waiting);
      return delivered;
    };
    await waiting.run();
    expect(during).toMatchObject({ underWay: 1, problems: [] });
  });

  test("a sink that never began", async () => {
    const waiting = await somethingWaits(1);
    const books = await booksOf(waiting, { sinks: ["a", "b", "c"] });
    expect(codes(books)).toEqual(["NOT_BEGUN c"]);
    expect(books.sinks[2]).toMatchObject({ sink: "c", missing: 10 });
    expect(codes(await booksOf(waiting, { sinks: ["a"], only: true }))).toEqual([]);
  });

  test("lanes that count different events", async () => {
    const waiting = await somethingWaits(1);
    await change(waiting, "a", (receipt) => {
      const { counts } = receipt as { counts: { delivered: number; valid: number } };
      return { ...receipt, counts: { ...counts, valid: counts.valid - 1, delivered: counts.delivered - 1 } };
    });
    expect(codes(await booksOf(waiting))).toEqual(["LANES_DISAGREE a"]);
  });

  test("a receipt whose outcomes do not add up", async () => {
    const waiting = await somethingWaits(1);
    await change(waiting, "a", (receipt) => {
      const { counts } = receipt as { counts: { delivered: number } };
      return { ...receipt, counts: { ...counts, delivered: counts.delivered + 1 } };
    });
    expect(codes(await booksOf(waiting))).toEqual(["COUNTS_DISAGREE a"]);
  });

  test("a dead-letter file that is gone", async () => {
    const waiting = await somethingWaits(1);
    const { objects } = waiting.world.deadLetters;
    for (const key of [...objects.keys()]) if (key.startsWith("sink=a/")) objects.delete(key);
    expect(codes(await booksOf(waiting))).toEqual(["LETTERS_GONE a"]);
  });

  test("a dead-letter file that is damaged", async () => {
    const waiting = await somethingWaits(1);
    const { objects } = waiting.world.deadLetters;
    for (const [key, { bytes }] of [...objects]) {
      if (key.startsWith("sink=a/")) objects.set(key, { bytes: bytes.subarray(0, 30), lastModified: 0 });
    }
    expect(codes(await booksOf(waiting))).toEqual(["LETTERS_DAMAGED a"]);
  });

  test("a dead-letter file that holds other letters than are counted", async () => {
    const waiting = await somethingWaits(1);
    const { objects } = waiting.world.deadLetters;
    const find = (start: string) => [...objects.keys()].find((key) => key.startsWith(start)) ?? "";
    const other = objects.get(find("sink=_intake/"));
    if (other === undefined) throw new Error("the test's letters are not there");
    objects.set(find("sink=a/"), other);
    expect(codes(await booksOf(waiting))).toEqual(["LETTERS_DIFFER a"]);
  });

  test("something pending without its deferral", async () => {
    const waiting = await somethingWaits(1);
    const { receipts } = waiting.world;
    for (const key of waiting.world.deferrals()) receipts.objects.delete(key);
    expect(codes(await booksOf(waiting))).toEqual(["DEFERRAL_GONE b"]);
  });

  test("something pending with a deferral that nobody understands", async () => {
    const waiting = await somethingWaits(1);
    const { receipts } = waiting.world;
    for (const key of waiting.world.deferrals()) {
      receipts.objects.set(key, { bytes: Buffer.from("{"), lastModified: 0 });
    }
    expect(codes(await booksOf(waiting))).toEqual(["DEFERRAL_DAMAGED b"]);
  });
});

describe("one tenant's books", () => {
  const tenantOf = ({ world }: Waiting, tenant: string) =>
    addTenantBooks({
      tenant,
      receipts: world.receipts,
      deadLetters: world.deadLetters,
      sinks,
      source: () => world.source,
      signal: never,
    });

  test("are added up event by event, and all tenants make the whole", async () => {
    const waiting = await somethingWaits();
    // Every third event is the first tenant's, and those are what sink a refused.
    expect(await tenantOf(waiting, "tenant-0")).toEqual({
      objects: 3,
      gone: 0,
      valid: 12,
      sinks: [
        { sink: "a", valid: 12, settled: 0, deadLettered: 12, dropped: 0, pending: 0, missing: 0 },
        { sink: "b", valid: 12, settled: 0, deadLettered: 0, dropped: 0, pending: 12, missing: 0 },
      ],
    });
    const all = await Promise.all([0, 1, 2].map((number) => tenantOf(waiting, `tenant-${number}`)));
    expect(all.reduce((sum, { valid }) => sum + valid, 0)).toBe(30);
    expect(all.map((each) => each.sinks[0]?.settled)).toEqual([0, 9, 9]);
  });

  test("know what was given up, letters and what was pending", async () => {
    const waiting = await somethingWaits(1);
    const { world, a, b } = waiting;
    const worker = world.worker([a, b]);
    const receipt = (await world.latestReceipts())["a"];
    const [file = ""] = receipt?.letters ?? [];
    if (receipt === undefined) throw new Error("the test's receipt is not there");
    const { object } = receipt;
    const drop = { reason: "a test account", by: "me" };
    await world.clock.run(worker.replay({ object, lane: "a", file }, { id: "d", select: () => true, drop }));
    await world.clock.run(worker.giveUp(object, "b", { id: "d", ...drop }));
    const books = await tenantOf(waiting, "tenant-0");
    expect(books.sinks).toMatchObject([
      { sink: "a", dropped: 4, settled: 0 },
      { sink: "b", dropped: 4, pending: 0, settled: 0 },
    ]);
  });

  test("say so when an object is gone", async () => {
    const waiting = await somethingWaits();
    waiting.world.source.objects.delete("object-1");
    expect(await tenantOf(waiting, "tenant-0")).toMatchObject({ objects: 3, gone: 1, valid: 8 });
  });
});

describe("where an event is", () => {
  const where = ({ world }: Waiting, id: string, search = false) =>
    whereIs({
      id,
      stores: world,
      sinks,
      signal: never,
      ...(search ? { search: { store: world.source, objects: world.source.list("") } } : {}),
    });
  const statuses = async (places: ReturnType<typeof where>) =>
    (await places).map((place) => [
      place.found,
      ...place.sinks.map(({ sink, status }) => `${sink}: ${status}`),
    ]);

  test("is known of one that is a dead letter somewhere", async () => {
    const waiting = await somethingWaits();
    const places = where(waiting, "e1-3");
    expect(await statuses(places)).toEqual([["dead letter", "a: dead letter", "b: pending"]]);
    expect((await places)[0]?.sinks[0]?.letter).toMatch(/^[0-9a-f]{10}-a-3$/);
  });

  test("is not known of one that was delivered, until its objects are searched", async () => {
    const waiting = await somethingWaits();
    takeAll(waiting.b);
    await waiting.run();
    expect(await where(waiting, "e1-4")).toEqual([]);
    expect(await statuses(where(waiting, "e1-4", true))).toEqual([
      ["object", "a: delivered", "b: delivered"],
    ]);
    expect(await where(waiting, "nobody", true)).toEqual([]);
  });

  test("is known of a derived id, since it names its object", async () => {
    const waiting = await somethingWaits(1);
    const { world, a, b } = waiting;
    world.putEvents("plain", 3, () => ({ metadata: { tenant_id: "t" } }));
    takeAll(a);
    await world.clock.run(world.worker([a, b]).process({ bucket: "source", key: "plain" }));
    let object: ObjectVersion | undefined;
    for await (const receipt of currentReceipts(world.receipts)) {
      if (receipt.object.key === "plain") object = receipt.object;
    }
    if (object === undefined) throw new Error("the test's object is not there");
    const id = `${bookPrefix(object).split("/").at(-2)?.slice(0, 24)}-1`;
    expect(await statuses(where(waiting, id))).toEqual([["derived id", "a: delivered", "b: pending"]]);
  });

  test("is no sink's matter when its record is no valid event", async () => {
    const waiting = await somethingWaits(1);
    const [letter] = (await waiting.world.letters()).filter(({ sink }) => sink === "_intake");
    const hash = [...waiting.world.receipts.objects.keys()][0]?.split("/")[2] ?? "";
    expect(await statuses(where(waiting, `${hash.slice(0, 24)}-${letter?.origin.index}`))).toEqual([
      ["derived id", "_intake: no event"],
    ]);
  });

  test("does not pretend to know which of both, when an object has delivered and filtered events", async () => {
    const waiting = await somethingWaits(1);
    takeAll(waiting.b);
    waiting.b.reply = ({ items }) =>
      items.map((_, index) => (index % 2 === 0 ? delivered : { status: "filtered", reason: "superseded" }));
    await waiting.run();
    expect(await statuses(where(waiting, "e0-1", true))).toEqual([
      ["object", "a: delivered", "b: delivered or filtered"],
    ]);
  });
});

describe("what cannot be read while the store is still listing", () => {
  /** As a store on a disk or a network: other things happen between two keys. */
  const unhurried = (store: ObjectStore): ObjectStore => ({
    ...store,
    async *list(prefix) {
      for await (const info of store.list(prefix)) {
        yield info;
        await setImmediate();
      }
    },
  });
  const damage = async (prefix: string, ending: string) => {
    const waiting = await somethingWaits();
    const { receipts, clock } = waiting.world;
    for (const key of receipts.objects.keys()) {
      if (key.startsWith(prefix) && key.endsWith(ending))
        receipts.objects.set(key, { bytes: Buffer.from("{"), lastModified: clock.now() });
    }
    return { ...waiting, world: { ...waiting.world, receipts: { ...receipts, ...unhurried(receipts) } } };
  };

  // Vitest fails for a rejection that nobody waits for; a process would end with it.
  test("is an error of whoever reads the books", async () => {
    await expect(booksOf(await damage("books/", ".receipt.json"))).rejects.toThrow(/is not a receipt/);
  });

  test("of the deferrals is told, one by one", async () => {
    const { world } = await damage("deferrals/", ".json");
    const told: string[] = [];
    const onDamaged = ({ message }: Error) => told.push(message);
    expect(await readDeferrals(world.receipts, { onDamaged }).next()).toMatchObject({ done: true });
    expect(told.length).toBeGreaterThan(0);
    for (const sentence of told) expect(sentence).toMatch(/is not a deferral/);
  });
});
