import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Batcher, createBatcher, type ReadyBatch } from "../../src/delivery/batch.ts";
import type { Limits } from "../../src/delivery/sink.ts";

interface Item {
  /** In the order of arrival. */
  readonly n: number;
  readonly bytes: number;
  readonly event: { readonly time: number };
  readonly partition: string;
  readonly key: string | undefined;
  older: Item[] | undefined;
}

const limitsOf = (itemsPerRequest: number, bytesPerRequest: number, envelopeBytes?: number): Limits => ({
  itemsPerRequest,
  bytesPerRequest,
  bytesPerItem: bytesPerRequest,
  concurrency: 1,
  ...(envelopeBytes === undefined ? {} : { envelopeBytes }),
});

const itemOf = (n: number, change: Partial<Omit<Item, "n" | "older">> = {}): Item => ({
  n,
  bytes: 1,
  event: { time: 0 },
  partition: "",
  key: undefined,
  ...change,
  older: undefined,
});

const add = (batcher: Batcher<Item>, item: Item) => batcher.add(item, item.partition, item.key);
const numbers = (batch: ReadyBatch<Item> | undefined) => batch?.slots.map(({ n }) => n);
const countOf = ({ slots }: ReadyBatch<Item>) =>
  slots.reduce((sum, slot) => sum + 1 + (slot.older?.length ?? 0), 0);
const bytesOf = ({ slots }: ReadyBatch<Item>) => slots.reduce((sum, { bytes }) => sum + bytes, 0);

/** Some limits, and a stream of items and of moments when the fullest batch is taken. */
const streams = fc
  .record({
    count: fc.integer({ min: 1, max: 6 }),
    room: fc.integer({ min: 5, max: 25 }),
    envelope: fc.nat(9),
  })
  .chain(({ count, room, envelope }) =>
    fc.record({
      limits: fc.constant(limitsOf(count, room + envelope, envelope)),
      room: fc.constant(room),
      steps: fc.array(
        fc.oneof(
          {
            weight: 15,
            arbitrary: fc.record({
              bytes: fc.integer({ min: 1, max: room }),
              event: fc.record({ time: fc.nat(5) }),
              partition: fc.constantFrom("a", "b"),
              key: fc.option(fc.constantFrom("x", "y", "z"), { nil: undefined }),
            }),
          },
          { weight: 1, arbitrary: fc.constant("take the fullest" as const) },
        ),
        { maxLength: 80 },
      ),
    }),
  );

describe("whatever comes", () => {
  test("every batch keeps the limits, its partition and one slot a key; nothing is lost or doubled", () => {
    fc.assert(
      fc.property(streams, ({ limits, room, steps }) => {
        const batcher = createBatcher<Item>(limits);
        const items: Item[] = [];
        const batches: ReadyBatch<Item>[] = [];
        for (const step of steps) {
          if (step === "take the fullest") {
            const batch = batcher.takeFullest(0, 0);
            if (batch !== undefined) batches.push(batch);
            continue;
          }
          const item = itemOf(items.length, step);
          items.push(item);
          const full = add(batcher, item);
          if (full === undefined) continue;
          batches.push(full);
          // It had to make room: nothing is sent in smaller requests than need be.
          const held = full.slots.find(({ key }) => key !== undefined && key === item.key);
          const needed = bytesOf(full) + item.bytes - (held?.bytes ?? 0);
          expect((held === undefined && full.slots.length === limits.itemsPerRequest) || needed > room).toBe(
            true,
          );
        }
        batches.push(...batcher.takeAll());

        const seen: number[] = [];
        for (const batch of batches) {
          expect(batch.slots.length).toBeGreaterThan(0);
          expect(batch.slots.length).toBeLessThanOrEqual(limits.itemsPerRequest);
          expect(bytesOf(batch) + (limits.envelopeBytes ?? 0)).toBeLessThanOrEqual(limits.bytesPerRequest);
          const keys = batch.slots.flatMap(({ key }) => (key === undefined ? [] : [key]));
          expect(new Set(keys).size).toBe(keys.length);
          for (const slot of batch.slots) {
            const older = slot.older ?? [];
            seen.push(slot.n, ...older.map(({ n }) => n));
            for (const each of [slot, ...older]) expect(each.partition).toBe(batch.partition);
            for (const each of older) {
              expect(each.key).toBe(slot.key);
              expect(each.key).toBeDefined();
              // Nothing hangs on what hangs itself, where nobody would look for it.
              expect(each.older).toBeUndefined();
              // The newest has the slot; at the same time, the one that came later.
              const newer = slot.event.time - each.event.time || slot.n - each.n;
              expect(newer).toBeGreaterThan(0);
            }
          }
        }
        expect(seen.toSorted((a, b) => a - b)).toEqual(items.map(({ n }) => n));
        for (const name of ["a", "b"]) {
          const order = batches
            .filter(({ partition }) => partition === name)
            .flatMap(({ slots }) => slots.filter(({ key }) => key === undefined).map(({ n }) => n));
          expect(order).toEqual(order.toSorted((a, b) => a - b));
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("the limits", () => {
  test("a batch is closed by the item that no longer fits by count, not before", () => {
    const batcher = createBatcher<Item>(limitsOf(3, 100));
    expect([0, 1, 2].map((n) => add(batcher, itemOf(n)))).toEqual([undefined, undefined, undefined]);
    expect(numbers(add(batcher, itemOf(3)))).toEqual([0, 1, 2]);
    expect(batcher.takeAll().map(numbers)).toEqual([[3]]);
  });

  test("the envelope's bytes count, and a request may be filled to the last byte", () => {
    const batcher = createBatcher<Item>(limitsOf(10, 12, 2));
    expect(add(batcher, itemOf(0, { bytes: 5 }))).toBeUndefined();
    expect(add(batcher, itemOf(1, { bytes: 5 }))).toBeUndefined();
    expect(numbers(add(batcher, itemOf(2)))).toEqual([0, 1]);
  });

  test("a full partition closes its own batch alone", () => {
    const batcher = createBatcher<Item>(limitsOf(1, 100));
    add(batcher, itemOf(0, { partition: "a" }));
    expect(add(batcher, itemOf(1, { partition: "b" }))).toBeUndefined();
    expect(add(batcher, itemOf(2, { partition: "a" }))).toMatchObject({ partition: "a", slots: [{ n: 0 }] });
  });
});

describe("a coalescing key", () => {
  const keyed = (n: number, time: number, bytes = 1) => itemOf(n, { key: "k", event: { time }, bytes });

  test.each([
    ["in order", [1, 2, 3], 2],
    ["against the order", [3, 2, 1], 0],
    ["mixed", [2, 3, 1], 1],
    ["all at one time, when the one that stands later in the stream is the newest", [5, 5, 5], 2],
  ])("sends the newest of what came %s", (_, times, newest) => {
    const batcher = createBatcher<Item>(limitsOf(10, 100));
    for (const [n, time] of times.entries()) expect(add(batcher, keyed(n, time))).toBeUndefined();
    const [batch] = batcher.takeAll();
    expect(numbers(batch)).toEqual([newest]);
    expect(batch?.slots[0]?.older?.map(({ n }) => n).sort()).toEqual([0, 1, 2].filter((n) => n !== newest));
  });

  test("needs no further slot and no further bytes: a full batch takes it still", () => {
    const batcher = createBatcher<Item>(limitsOf(2, 10));
    add(batcher, keyed(0, 1, 5));
    add(batcher, itemOf(1, { bytes: 5 }));
    expect(add(batcher, keyed(2, 2, 5))).toBeUndefined();
    expect(add(batcher, keyed(3, 0, 9))).toBeUndefined();
    expect(batcher.takeAll().map(numbers)).toEqual([[2, 1]]);
  });

  test("whose newest is too large for its slot goes into the next request, never twice into one", () => {
    const batcher = createBatcher<Item>(limitsOf(10, 10));
    add(batcher, keyed(0, 1, 4));
    add(batcher, itemOf(1, { bytes: 4 }));
    expect(numbers(add(batcher, keyed(2, 2, 7)))).toEqual([0, 1]);
    expect(batcher.takeAll().map(numbers)).toEqual([[2]]);
  });

  test("gives back the bytes of what it replaces", () => {
    const batcher = createBatcher<Item>(limitsOf(10, 10));
    add(batcher, keyed(0, 1, 9));
    add(batcher, keyed(1, 2, 1));
    expect(add(batcher, itemOf(2, { bytes: 9 }))).toBeUndefined();
    expect(batcher.takeAll().map(numbers)).toEqual([[1, 2]]);
  });

  test("of another partition is another key", () => {
    const batcher = createBatcher<Item>(limitsOf(10, 100));
    add(batcher, itemOf(0, { key: "k", partition: "a" }));
    add(batcher, itemOf(1, { key: "k", partition: "b" }));
    expect(batcher.takeAll().map(numbers)).toEqual([[0], [1]]);
  });
});

describe("taking", () => {
  test("the fullest batch is the one that frees the most items, superseded ones included", () => {
    const batcher = createBatcher<Item>(limitsOf(10, 100));
    for (const n of [0, 1]) add(batcher, itemOf(n, { partition: "two slots" }));
    for (const n of [2, 3, 4]) add(batcher, itemOf(n, { partition: "three in one slot", key: "k" }));
    const first = batcher.takeFullest(0, 0);
    expect(first).toMatchObject({ partition: "three in one slot", slots: [{ n: 4 }] });
    expect(first && countOf(first)).toBe(3);
    expect(batcher.takeFullest(0, 0)).toMatchObject({ partition: "two slots" });
    expect(batcher.takeFullest(0, 0)).toBeUndefined();
  });

  test("the fullest batch has the most items, whether in slots of their own or not", () => {
    const batcher = createBatcher<Item>(limitsOf(10, 100));
    for (const n of [0, 1]) add(batcher, itemOf(n, { partition: "two in one slot", key: "k" }));
    for (const n of [2, 3, 4]) add(batcher, itemOf(n, { partition: "three slots" }));
    add(batcher, itemOf(5, { partition: "one slot" }));
    const taken = [batcher.takeFullest(0, 0), batcher.takeFullest(0, 0), batcher.takeFullest(0, 0)];
    expect(taken.map((batch) => batch?.partition)).toEqual(["three slots", "two in one slot", "one slot"]);
  });

  test("what has only begun to fill stays open for whoever asks for more, be it by items or by bytes", () => {
    const batcher = createBatcher<Item>(limitsOf(10, 100));
    for (const n of [0, 1, 2, 3]) add(batcher, itemOf(n, { bytes: 1 }));
    expect(batcher.takeFullest(0.5, 10)).toBeUndefined();
    add(batcher, itemOf(4, { bytes: 1 }));
    expect(numbers(batcher.takeFullest(0.5, 10))).toEqual([0, 1, 2, 3, 4]);
    add(batcher, itemOf(5, { bytes: 50 }));
    expect(numbers(batcher.takeFullest(0.5, 10))).toEqual([5]);
    add(batcher, itemOf(6, { bytes: 1 }));
    expect(batcher.takeFullest(0.5, 2)).toBeUndefined();
    expect(numbers(batcher.takeFullest(0.5, 1))).toEqual([6]);
  });

  test("what is taken is gone, and its partition begins anew", () => {
    const batcher = createBatcher<Item>(limitsOf(2, 100));
    add(batcher, itemOf(0, { key: "k" }));
    expect(batcher.takeAll()).toHaveLength(1);
    expect(batcher.takeAll()).toEqual([]);
    expect(add(batcher, itemOf(1, { key: "k" }))).toBeUndefined();
    expect(add(batcher, itemOf(2))).toBeUndefined();
    expect(batcher.takeAll().map(numbers)).toEqual([[1, 2]]);
  });
});
