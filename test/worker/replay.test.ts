// What becomes of the dead letters of one file that are tried again or given up.
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import type { DeadLetter } from "../../src/dead-letter/dead-letter.ts";
import { readLetters } from "../../src/dead-letter/store.ts";
import { ObjectBusy, type Outcome, sinkUnavailable } from "../../src/index.ts";
import { StoreError } from "../../src/store/object-store.ts";
import type { LetterFile, Worker } from "../../src/worker.ts";
import {
  createWorld,
  delivered,
  eventRecord,
  type ScriptedSink,
  scriptedSink,
  type World,
} from "../support/world.ts";

const ref = { bucket: "source", key: "a" };
const all = () => true;
const refuseAll = () => ({ status: "refused", reason: "the plan has no such event", code: "NO" }) as const;

/** Refuses the records of these ids, each for itself. */
const refusing = (ids: readonly string[]) => (sink: ScriptedSink) => {
  sink.reply = ({ items }) =>
    items.map(
      ({ payload }): Outcome =>
        ids.includes(payload.id)
          ? { status: "rejected", reason: "the plan has no such event", code: "NO" }
          : delivered,
    );
  return sink;
};

/** The only dead-letter file of a lane. */
async function fileOf(world: World, lane: string): Promise<LetterFile> {
  const receipt = (await world.latestReceipts())[lane];
  const [file, ...others] = receipt?.letters ?? [];
  if (receipt === undefined || file === undefined || others.length > 0) {
    throw new Error(`${lane} has ${receipt?.letters.length ?? "no receipt and no"} dead-letter files`);
  }
  return { object: receipt.object, lane, file };
}

async function archived(world: World): Promise<DeadLetter[]> {
  const letters: DeadLetter[] = [];
  for (const key of world.deadLetters.objects.keys()) {
    if (!key.startsWith("archive/")) continue;
    for await (const letter of readLetters(world.deadLetters, key)) letters.push(letter);
  }
  return letters;
}

const process = (world: World, worker: Worker) => world.clock.run(worker.process(ref));
const ids = (letters: readonly DeadLetter[]) => letters.map(({ event }) => event?.id).sort();

/** Ten events, of which the sink has refused three. */
async function threeRefused() {
  const world = createWorld();
  world.putEvents("a", 10);
  const sink = refusing(["e2", "e5", "e8"])(scriptedSink("a"));
  await process(world, world.worker([sink]));
  sink.requests.length = 0;
  return { world, sink, letterFile: await fileOf(world, "a") };
}

describe("a sink's letters", () => {
  test("that the sink takes now are delivered with the ids they had, and leave the store", async () => {
    const { world, sink, letterFile } = await threeRefused();
    sink.reply = () => delivered;
    const report = await world.clock.run(world.worker([sink]).replay(letterFile, { id: "r", select: all }));
    expect(report).toMatchObject({ selected: 3, delivered: 3, refused: 0, kept: 0, dropped: 0, requests: 1 });
    expect(sink.requests).toEqual([["e2", "e5", "e8"]]);
    expect(await world.letters()).toEqual([]);
    expect(world.deadLetters.objects.size).toBe(0);
    const { a } = await world.latestReceipts();
    expect(a?.counts).toMatchObject({ valid: 10, delivered: 10, deadLettered: 0, pending: 0 });
    expect(a?.replays).toEqual([
      { id: "r", at: world.clock.now(), delivered: 3, filtered: 0, refused: 0, dropped: 0 },
    ]);
  });

  test("that the sink refuses again keep what happened before", async () => {
    const { world, sink, letterFile } = await threeRefused();
    await world.clock.advance(60_000);
    sink.reply = ({ items }) =>
      items.map(({ payload }) =>
        payload.id === "e5" ? { status: "rejected", reason: "still not", code: "STILL" } : delivered,
      );
    const report = await world.clock.run(world.worker([sink]).replay(letterFile, { id: "r", select: all }));
    expect(report).toMatchObject({ selected: 3, delivered: 2, refused: 1 });
    const [letter, ...others] = await world.letters();
    expect(others).toEqual([]);
    expect(letter).toMatchObject({
      code: "STILL",
      event: { id: "e5" },
      origin: { index: 5 },
      history: [{ code: "NO", reason: expect.stringContaining("the plan has no such event") }],
    });
    expect(report?.fingerprints).toEqual(new Map([[letter?.fingerprint, 1]]));
    const { a } = await world.latestReceipts();
    expect(a?.counts).toMatchObject({ delivered: 9, deadLettered: 1 });
  });

  test("that were not selected stay as they were", async () => {
    const { world, sink, letterFile } = await threeRefused();
    const before = await world.letters();
    sink.reply = () => delivered;
    const select = ({ event }: DeadLetter) => event?.id === "e5";
    const report = await world.clock.run(world.worker([sink]).replay(letterFile, { id: "r", select }));
    expect(report).toMatchObject({ selected: 1, delivered: 1 });
    expect(await world.letters()).toEqual(before.filter((letter) => !select(letter)));
    expect(world.deadLetters.objects.size).toBe(1);
  });

  test.each([
    [
      "is down",
      () => {
        throw sinkUnavailable("the token is revoked");
      },
      "the token is revoked",
    ],
    ["never answers", () => new Promise<never>(() => {}), "the time was over"],
  ] as const)("of a sink that %s stay as they were, and nothing is written", async (_, reply, why) => {
    const { world, sink, letterFile } = await threeRefused();
    const before = [
      await world.letters(),
      await world.latestReceipts(),
      [...world.deadLetters.objects.keys()],
    ];
    sink.reply = reply;
    const deadline = world.clock.now() + 60_000;
    const run = world.worker([sink]).replay(letterFile, { id: "r", select: all }, { deadline });
    const report = await world.clock.run(run);
    expect(report).toMatchObject({ selected: 3, delivered: 0, refused: 0, kept: 3 });
    expect(report?.keptReason).toContain(why === "the time was over" ? "" : why);
    expect([
      await world.letters(),
      await world.latestReceipts(),
      [...world.deadLetters.objects.keys()],
    ]).toEqual(before);
    // And the claim was given back: who comes next need not wait.
    sink.reply = () => delivered;
    const next = await world.clock.run(world.worker([sink]).replay(letterFile, { id: "s", select: all }));
    expect(next).toMatchObject({ delivered: 3 });
  });

  test("replayed by two at once are sent by one of them", async () => {
    const { world, sink, letterFile } = await threeRefused();
    sink.reply = async (_batch, { clock }) => {
      await clock.sleep(1_000);
      return delivered;
    };
    const runs = ["r", "s"].map((id) => world.worker([sink]).replay(letterFile, { id, select: all }));
    const results = await world.clock.run(Promise.allSettled(runs));
    const refused = results.filter(({ status }) => status === "rejected");
    expect(refused).toMatchObject([{ reason: expect.any(ObjectBusy) }]);
    expect([...sink.stored.values()].every((times) => times === 1)).toBe(true);
    const { a } = await world.latestReceipts();
    expect(a?.counts).toMatchObject({ delivered: 10, deadLettered: 0 });
  });

  test("of a file that somebody else has replayed meanwhile are nobody's", async () => {
    const { world, sink, letterFile } = await threeRefused();
    sink.reply = () => delivered;
    await world.clock.run(world.worker([sink]).replay(letterFile, { id: "r", select: all }));
    const again = await world.clock.run(world.worker([sink]).replay(letterFile, { id: "r", select: all }));
    expect(again).toBeUndefined();
    expect(sink.requests).toHaveLength(1);
  });

  test("that cannot be read are not taken for none", async () => {
    const { world, sink, letterFile } = await threeRefused();
    sink.reply = () => delivered;
    const stored = world.deadLetters.objects.get(letterFile.file);
    if (stored === undefined) throw new Error("the file is gone");
    const bytes = stored.bytes.subarray(0, stored.bytes.length - 12);
    world.deadLetters.objects.set(letterFile.file, { ...stored, bytes });
    const run = world.worker([sink]).replay(letterFile, { id: "r", select: all });
    await expect(world.clock.run(run)).rejects.toThrow(/dead letters cannot be read/);
    expect((await world.latestReceipts())["a"]?.counts).toMatchObject({ delivered: 7, deadLettered: 3 });
    expect(world.deadLetters.objects.has(letterFile.file)).toBe(true);
  });

  test("one command is one line in the books, however many files it has replayed", async () => {
    const { world, sink, letterFile } = await threeRefused();
    sink.reply = () => delivered;
    for (const id of ["e2", "e5"]) {
      const select = ({ event }: DeadLetter) => event?.id === id;
      const file = { ...letterFile, ...(await fileOf(world, "a")) };
      await world.clock.run(world.worker([sink]).replay(file, { id: "r", select }));
    }
    const { a } = await world.latestReceipts();
    expect(a?.replays).toMatchObject([{ id: "r", delivered: 2 }]);
  });
});

describe("letters that are given up", () => {
  test("move to the archive with the reason and who gave it", async () => {
    const { world, sink, letterFile } = await threeRefused();
    const before = await world.letters();
    const drop = { reason: "test data", by: "operator" };
    const report = await world.clock.run(
      world.worker([sink]).replay(letterFile, { id: "d", select: ({ event }) => event?.id !== "e5", drop }),
    );
    expect(report).toMatchObject({ selected: 2, dropped: 2, delivered: 0, requests: 0 });
    expect(sink.requests).toEqual([]);
    expect(ids(await world.letters())).toEqual(["e5"]);
    const at = world.clock.now();
    expect(await archived(world)).toEqual(
      before
        .filter(({ event }) => event?.id !== "e5")
        .map((letter) => ({ ...letter, dropped: { at, ...drop } })),
    );
    const { a } = await world.latestReceipts();
    expect(a?.counts).toMatchObject({ valid: 10, delivered: 7, deadLettered: 1, dropped: 2 });
  });

  test("stay where they are when the archive cannot be written", async () => {
    const { world, sink, letterFile } = await threeRefused();
    world.deadLetters.before = (operation, key) => {
      if (operation === "putIfAbsent" && key.startsWith("archive/"))
        throw new StoreError("FAILED", "no room");
    };
    const drop = { reason: "test data", by: "operator" };
    const run = world.worker([sink]).replay(letterFile, { id: "d", select: all, drop });
    await expect(world.clock.run(run)).rejects.toThrow("no room");
    expect(ids(await world.letters())).toEqual(["e2", "e5", "e8"]);
  });
});

describe("the intake's letters", () => {
  /** Of ten records two have no tenant, which today's rules would take: they came with times that were refused. */
  async function twoInvalid(sinks: readonly ScriptedSink[]) {
    const world = createWorld();
    const old = { data: { event_time: "2020-01-01T00:00:00Z", new_findings_count: 1 } };
    world.putEvents("a", 10, (index) => (index === 3 || index === 7 ? old : {}));
    const limits = { maxAgeMs: 30 * 86_400_000 };
    await process(world, world.worker(sinks, { limits }));
    for (const sink of sinks) sink.requests.length = 0;
    return { world, letterFile: await fileOf(world, "_intake"), limits };
  }

  test("that are valid today go to every sink, once, and all books say so", async () => {
    const sinks = [scriptedSink("a"), scriptedSink("b")];
    const { world, letterFile } = await twoInvalid(sinks);
    const report = await world.clock.run(world.worker(sinks).replay(letterFile, { id: "r", select: all }));
    expect(report).toMatchObject({ selected: 2, delivered: 2, refused: 0, kept: 0 });
    for (const sink of sinks) expect(sink.requests).toEqual([["e3", "e7"]]);
    const { a, b, _intake } = await world.latestReceipts();
    expect(_intake?.counts).toMatchObject({ records: 10, valid: 10, deadLettered: 0 });
    for (const receipt of [a, b]) expect(receipt?.counts).toMatchObject({ valid: 10, delivered: 10 });
    expect(await world.letters()).toEqual([]);
    // And a notification that comes again finds nothing to do.
    await process(world, world.worker(sinks));
    for (const sink of sinks) expect(sink.requests).toHaveLength(1);
  });

  test("that name a record which the object does not hold reach no sink, and say so", async () => {
    const sinks = [scriptedSink("a"), scriptedSink("b")];
    const { world, letterFile } = await twoInvalid(sinks);
    // As a function that was taken over would: its role may write letters of invalid records.
    const [first, second] = await world.letters();
    if (first === undefined || second === undefined) throw new Error("there are no letters");
    const invented = { ...first, record: JSON.stringify(eventRecord(99)) };
    const elsewhere = { ...second, origin: { ...second.origin, index: 99 } };
    const lines = [invented, elsewhere].map((letter) => `${JSON.stringify(letter)}\n`).join("");
    world.deadLetters.objects.set(letterFile.file, { bytes: gzipSync(lines), lastModified: 0 });
    const report = await world.clock.run(world.worker(sinks).replay(letterFile, { id: "r", select: all }));
    expect(report).toMatchObject({ selected: 2, delivered: 0, refused: 2, kept: 0 });
    for (const sink of sinks) expect(sink.requests).toEqual([]);
    expect((await world.letters()).map(({ code }) => code)).toEqual(["ORIGIN_DIFFERS", "ORIGIN_DIFFERS"]);
  });

  test("whose object is gone are kept, until somebody says that they go without a proof", async () => {
    const sinks = [scriptedSink("a")];
    const { world, letterFile } = await twoInvalid(sinks);
    world.source.objects.clear();
    const replay = (unproven: boolean) =>
      world.clock.run(world.worker(sinks).replay(letterFile, { id: "r", select: all, unproven }));
    expect(await replay(false)).toMatchObject({
      selected: 2,
      delivered: 0,
      kept: 2,
      keptReason: expect.stringContaining("--unproven"),
    });
    expect(sinks[0]?.requests).toEqual([]);
    expect(await replay(true)).toMatchObject({ selected: 2, delivered: 2, kept: 0 });
    expect(sinks[0]?.requests).toEqual([["e3", "e7"]]);
  });

  test("that are still invalid stay, with one refusal more", async () => {
    const sinks = [scriptedSink("a")];
    const { world, letterFile, limits } = await twoInvalid(sinks);
    const report = await world.clock.run(
      world.worker(sinks, { limits }).replay(letterFile, { id: "r", select: all }),
    );
    expect(report).toMatchObject({ selected: 2, delivered: 0, refused: 2 });
    expect(await world.letters()).toMatchObject(
      [3, 7].map((index) => ({
        code: "EVENT_TIME_TOO_OLD",
        origin: { index },
        history: [{ code: "EVENT_TIME_TOO_OLD" }],
      })),
    );
    expect(sinks[0]?.requests).toEqual([]);
  });

  test("that one sink refuses and another is not ready for become letters of those sinks", async () => {
    const [good, strict, down] = [scriptedSink("good"), scriptedSink("strict"), scriptedSink("down")];
    const sinks = [good, strict, down];
    const { world, letterFile } = await twoInvalid(sinks);
    strict.reply = refuseAll;
    down.reply = () => {
      throw sinkUnavailable("the token is revoked");
    };
    const report = await world.clock.run(world.worker(sinks).replay(letterFile, { id: "r", select: all }));
    expect(report).toMatchObject({ selected: 2, delivered: 2, kept: 0 });
    expect(good.requests).toEqual([["e3", "e7"]]);
    const letters = await world.letters();
    expect(letters.map(({ sink, code }) => `${sink} ${code}`).sort()).toEqual([
      "down NOT_DELIVERED",
      "down NOT_DELIVERED",
      "strict NO",
      "strict NO",
    ]);
    const receipts = await world.latestReceipts();
    expect(receipts["strict"]?.counts).toMatchObject({ valid: 10, delivered: 8, deadLettered: 2 });
    expect(receipts["down"]?.counts).toMatchObject({ valid: 10, delivered: 8, deadLettered: 2 });
    expect(receipts["_intake"]?.counts).toMatchObject({ records: 10, valid: 10, deadLettered: 0 });
    // Which can be replayed in their turn.
    down.reply = () => delivered;
    const file = await fileOf(world, "down");
    const next = await world.clock.run(world.worker(sinks).replay(file, { id: "s", select: all }));
    expect(next).toMatchObject({ selected: 2, delivered: 2 });
    expect(down.stored.get("e3")).toBe(1);
  });

  test("do not pass by a sink that has read the object and that this worker does not have", async () => {
    const [first, second] = [scriptedSink("a"), scriptedSink("b")];
    const { world, letterFile } = await twoInvalid([first, second]);
    const worker = world.worker([first]);
    const order = { id: "r", select: all };
    await expect(world.clock.run(worker.replay(letterFile, order))).rejects.toThrow(
      /invalid records are for b too/,
    );
    expect(first.requests).toEqual([]);
    const report = await world.clock.run(worker.replay(letterFile, { ...order, without: ["b"] }));
    expect(report).toMatchObject({ delivered: 2 });
    expect(first.requests).toEqual([["e3", "e7"]]);
  });

  test("a crash between the sinks' receipts and the intake's sends nothing twice", async () => {
    const sinks = [scriptedSink("a"), scriptedSink("b")];
    const { world, letterFile } = await twoInvalid(sinks);
    world.receipts.before = (operation, key) => {
      if (operation === "putIfAbsent" && key.includes("/_intake/") && key.endsWith(".receipt.json")) {
        throw new StoreError("FAILED", "the process is gone");
      }
    };
    const run = world.worker(sinks).replay(letterFile, { id: "r", select: all });
    await expect(world.clock.run(run)).rejects.toThrow("the process is gone");
    world.receipts.before = () => {};
    expect(ids(await world.letters())).toHaveLength(2);
    const again = await world.clock.run(world.worker(sinks).replay(letterFile, { id: "r", select: all }));
    expect(again).toMatchObject({ selected: 2, delivered: 2 });
    for (const sink of sinks) expect(sink.requests).toEqual([["e3", "e7"]]);
    const { a, b, _intake } = await world.latestReceipts();
    expect(_intake?.counts).toMatchObject({ records: 10, valid: 10, deadLettered: 0 });
    for (const receipt of [a, b]) expect(receipt?.counts).toMatchObject({ valid: 10, delivered: 10 });
  });

  test("a sink that has not begun the object takes the record as it reads the object itself", async () => {
    const [first, late] = [scriptedSink("a"), scriptedSink("late")];
    const { world, letterFile } = await twoInvalid([first]);
    await world.clock.run(world.worker([first, late]).replay(letterFile, { id: "r", select: all }));
    expect(late.requests).toEqual([]);
    await process(world, world.worker([first, late]));
    expect([...late.stored.keys()].sort()).toEqual(Array.from({ length: 10 }, (_, index) => `e${index}`));
    expect([...late.stored.values()].every((times) => times === 1)).toBe(true);
  });
});

describe("what is pending", () => {
  async function pending() {
    const world = createWorld();
    world.putEvents("a", 10);
    const sink = scriptedSink("a");
    sink.reply = () => {
      throw sinkUnavailable("the token is revoked");
    };
    const worker = world.worker([sink]);
    const { object } = await process(world, worker);
    sink.requests.length = 0;
    return { world, sink, worker, object };
  }
  const order = { id: "d", reason: "the object is gone", by: "operator" };

  test("and given up is in the archive, out of the books, and never sent", async () => {
    const { world, sink, worker, object } = await pending();
    const given = await world.clock.run(worker.giveUp(object, "a", order));
    expect(given).toMatchObject({ dropped: 10, unread: false });
    const archive = world.deadLetters.objects.get(given?.archive ?? "")?.bytes.toString();
    expect(JSON.parse(archive ?? "")).toEqual({
      object,
      sink: "a",
      ranges: [{ from: 0, to: 10 }],
      count: 10,
      dropped: { at: world.clock.now(), reason: order.reason, by: order.by },
    });
    expect(world.deferrals()).toEqual([]);
    const { a } = await world.latestReceipts();
    expect(a?.counts).toMatchObject({ valid: 10, delivered: 0, pending: 0, dropped: 10 });
    sink.reply = () => delivered;
    await process(world, worker);
    expect(sink.requests).toEqual([]);
    expect(await world.clock.run(worker.giveUp(object, "a", order))).toBeUndefined();
  });

  test("stays pending when the archive cannot be written, and nobody need wait for the claim", async () => {
    const { world, sink, worker, object } = await pending();
    world.deadLetters.before = () => {
      throw new StoreError("FAILED", "no room");
    };
    await expect(world.clock.run(worker.giveUp(object, "a", order))).rejects.toThrow("no room");
    world.deadLetters.before = () => {};
    sink.reply = () => delivered;
    await world.clock.advance(60_000);
    await process(world, worker);
    expect(sink.stored.size).toBe(10);
  });
});

test("a letter's record may hold what other readers take for the end of a line", async () => {
  const world = createWorld();
  const text = "one\u2028two\u2029three\u0085four\r";
  const record = JSON.stringify({ ...eventRecord(0), note: text });
  world.source.objects.set("a", { bytes: Buffer.from(`${record}\n`), lastModified: world.clock.now() });
  const sink = scriptedSink("a");
  sink.reply = refuseAll;
  await process(world, world.worker([sink]));
  sink.reply = () => delivered;
  const report = await world.clock.run(
    world.worker([sink]).replay(await fileOf(world, "a"), { id: "r", select: all }),
  );
  expect(report).toMatchObject({ delivered: 1 });
});
