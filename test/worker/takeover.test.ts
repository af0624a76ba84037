// Two workers at one object: whose claim it is, and whose books count.
import { expect, test } from "vitest";
import { openBooks } from "../../src/books/books.ts";
import { ObjectBusy } from "../../src/books/claim.ts";
import { sinkUnavailable } from "../../src/delivery/sink.ts";
import { silent } from "../../src/log.ts";
import { createWorld, delivered, scriptedSink } from "../support/world.ts";

const ref = { bucket: "source", key: "a" };

test("of two workers that looked before and after a claim was given back, one gets the lane", async () => {
  const { clock, receipts } = createWorld();
  const object = { bucket: "memory://source", key: "a", version: "1" };
  const [first, early, late] = ["first", "early", "late"].map((id) =>
    openBooks(receipts, object, { id }, clock, silent),
  );
  if (first === undefined || early === undefined || late === undefined) throw new Error("three are made");
  const deadline = clock.now() + 1_000;
  const before = (await early.read(["a"])).books.get("a");
  const { claim } = await first.claim("a", (await first.read(["a"])).books.get("a"), deadline);
  const during = (await late.read(["a"])).books.get("a");
  await first.release(claim);
  expect((await late.claim("a", during, deadline)).claim.generation).toBe(1);
  await expect(early.claim("a", before, deadline)).rejects.toThrow(ObjectBusy);
});

test("a receipt that comes after its claim was taken over leaves the next worker's deferral alone", async () => {
  const world = createWorld();
  world.putEvents("a", 3);
  const down = scriptedSink("a");
  down.reply = () => {
    throw sinkUnavailable("down");
  };
  await world.clock.run(world.worker([down]).process(ref));
  const late = {
    ...world.receipts,
    async putIfAbsent(key: string, bytes: Uint8Array) {
      if (key.endsWith("/a/000002.receipt.json")) await world.clock.sleep(130_000);
      return await world.receipts.putIfAbsent(key, bytes);
    },
  };
  const well = scriptedSink("a");
  well.reply = () => delivered;
  const deadline = world.clock.now() + 1_000;
  const first = world
    .worker([well], { receipts: late })
    .process(ref, { deadline })
    .catch((error: unknown) => error);
  await world.clock.advance(62_000);
  await world.clock.run(world.worker([down]).process(ref));
  expect(await world.clock.run(first)).toBeInstanceOf(ObjectBusy);
  const receipt = (await world.latestReceipts())["a"];
  expect(receipt).toMatchObject({ generation: 3, counts: { pending: 3 } });
  expect(world.deferrals()).toEqual([receipt?.deferral]);
});
