// What becomes of records about which the rules of today and those of their first reading differ.
import { describe, expect, test } from "vitest";
import { type Outcome, sinkUnavailable } from "../../src/delivery/sink.ts";
import { createWorld, delivered, scriptedSink } from "../support/world.ts";

const ref = { bucket: "source", key: "a" };
const day = 86_400_000;
/** Ten events, of which one is of 2020: only without a limit it is a valid one. */
const withAnOldOne = (index: number) =>
  index === 4 ? { data: { event_time: "2020-01-01T00:00:00Z", new_findings_count: 1 } } : {};

describe("rules that change while records are pending", () => {
  /** Everything that is valid by these rules is pending for the sink. */
  async function allPending(limits: { readonly maxAgeMs?: number }) {
    const world = createWorld();
    world.putEvents("a", 10, withAnOldOne);
    const sink = scriptedSink("a");
    sink.reply = () => {
      throw sinkUnavailable("down");
    };
    await world.clock.run(world.worker([sink], { limits }).process(ref));
    sink.reply = () => delivered;
    return { world, sink };
  }

  test("to stricter ones lose nothing without a word, and with the old ones all of it drains", async () => {
    const { world, sink } = await allPending({});
    const stricter = world.worker([sink], { limits: { maxAgeMs: 30 * day } });
    const refused = world.clock.run(stricter.process(ref));
    await expect(refused).rejects.toMatchObject({ code: "BOOKS_DO_NOT_CLOSE" });
    expect((await world.latestReceipts())["a"]?.counts).toMatchObject({ pending: 10, delivered: 0 });
    await world.clock.run(world.worker([sink]).process(ref));
    expect((await world.latestReceipts())["a"]?.counts).toMatchObject({ pending: 0, delivered: 10 });
  });

  test("to laxer ones add no record that was never counted: its letter waits to be replayed", async () => {
    const { world, sink } = await allPending({ maxAgeMs: 30 * day });
    await world.clock.run(world.worker([sink]).process(ref));
    expect((await world.latestReceipts())["a"]?.counts).toMatchObject({ pending: 0, delivered: 9 });
    expect(await world.letters()).toMatchObject([{ sink: "_intake", origin: { index: 4 } }]);
  });
});

describe("the time that a replayed record's own is judged by", () => {
  test("is when its object was written: a refused one does not become valid by waiting", async () => {
    const world = createWorld();
    const ahead = { data: { event_time: new Date(world.clock.now() + 2 * day).toISOString() } };
    world.putEvents("a", 3, (index) => (index === 1 ? ahead : {}));
    await world.clock.advance(1.5 * day);
    const sink = scriptedSink("a");
    await world.clock.run(world.worker([sink]).process(ref));
    const receipt = (await world.latestReceipts())["_intake"];
    const [file = ""] = receipt?.letters ?? [];
    if (receipt === undefined) throw new Error("the intake has no receipt");
    const order = { id: "r", select: () => true };
    const letters = { object: receipt.object, lane: "_intake", file };
    const report = await world.clock.run(world.worker([sink]).replay(letters, order));
    expect(report).toMatchObject({ selected: 1, delivered: 0, refused: 1 });
  });

  test("is when its object was written: a valid one does not become too old by waiting", async () => {
    const world = createWorld();
    world.putEvents("a", 3);
    await world.clock.advance(40 * day);
    const sink = scriptedSink("a");
    const limits = { maxAgeMs: 30 * day };
    const refused: Outcome = { status: "rejected", reason: "the plan has no such event", code: "NO" };
    sink.reply = ({ items }) => items.map(() => refused);
    await world.clock.run(world.worker([sink], { limits }).process(ref));
    const receipt = (await world.latestReceipts())["a"];
    const [file = ""] = receipt?.letters ?? [];
    if (receipt === undefined) throw new Error("the sink has no receipt");
    sink.reply = () => delivered;
    const order = { id: "r", select: () => true };
    const letters = { object: receipt.object, lane: "a", file };
    const report = await world.clock.run(world.worker([sink], { limits }).replay(letters, order));
    expect(report).toMatchObject({ selected: 3, delivered: 3, refused: 0 });
  });
});
