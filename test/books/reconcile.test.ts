// Objects that no receipt knows: found by listings, sink by sink.
import { expect, test } from "vitest";
import { reconcile } from "../../src/books/reconcile.ts";
import { StoreError } from "../../src/store/object-store.ts";
import { createWorld, scriptedSink } from "../support/world.ts";

async function twoObjects() {
  const world = createWorld();
  world.putEvents("Data/known", 3);
  world.putEvents("Data/unknown", 3);
  world.putEvents("Data/half", 3);
  const [a, b] = [scriptedSink("a"), scriptedSink("b")];
  await world.clock.run(world.worker([a, b]).process({ bucket: "source", key: "Data/known" }));
  await world.clock.run(world.worker([a]).process({ bucket: "source", key: "Data/half" }));
  const { source, receipts } = world;
  const options = () => ({ source, objects: source.list("Data/"), receipts, sinks: ["a", "b"] });
  return { world, options };
}

test("counts the objects that each sink has no receipt of, and reads no object and no receipt", async () => {
  const { world, options } = await twoObjects();
  const reads = world.source.reads + world.receipts.reads;
  const told: string[] = [];
  const found = await reconcile({
    ...options(),
    onUnknown: ({ key }, sinks) => told.push(`${key}: ${sinks.join(", ")}`),
  });
  expect(found).toMatchObject({ objects: 3, unknown: { a: 1, b: 2 } });
  expect(told).toEqual(["Data/half: b", "Data/unknown: a, b"]);
  expect(world.source.reads + world.receipts.reads).toBe(reads);
});

test("looks at what seems unknown where versions name objects, and listings have none of them", async () => {
  const { world, options } = await twoObjects();
  const list = world.source.list.bind(world.source);
  // As S3 lists a bucket with versions: by ETag, and never by the name that receipts have.
  const source = {
    ...world.source,
    location: world.source.location,
    async *list(prefix: string) {
      for await (const each of list(prefix)) yield { ...each, version: "an-etag" };
    },
  };
  const objects = () => source.list("Data/");
  const asListed = { ...options(), source, objects: objects() };
  expect(await reconcile(asListed)).toMatchObject({ unknown: { a: 3, b: 3 } });
  const looked = { ...options(), source, objects: objects(), look: true };
  expect(await reconcile(looked)).toMatchObject({ unknown: { a: 1, b: 2 } });
});

test("fails when it cannot list: who cannot count is not calm", async () => {
  const { world, options } = await twoObjects();
  world.receipts.before = (operation) => {
    if (operation === "list") throw new StoreError("DENIED", "403");
  };
  await expect(reconcile(options())).rejects.toThrow("403");
});
