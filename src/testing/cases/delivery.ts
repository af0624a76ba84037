// What `send` promises about items: as many as the limits say, one outcome each, the same ones again.
import assert from "node:assert/strict";
import { inspect } from "node:util";
import { adviceFor } from "../../dead-letter/refusals.ts";
import { prepare } from "../../delivery/encode.ts";
import type { MetricEvent } from "../../event.ts";
import { assertOnly, itemsOf, openWorld, storedIn } from "../case-world.ts";
import type { ConformanceCase } from "../conformance.ts";
import type { Fault } from "../faults.ts";
import type { TwinHandler } from "../twin.ts";

/** Everything of a value, whatever it is made of. */
const whole = { depth: null, maxArrayLength: null, maxStringLength: null } as const;

export const deliveryCases: readonly ConformanceCase[] = [
  {
    name: "no item, one, a full request and one more",
    promise:
      "Whatever number of events comes, the batches that the sink's own limits make are ones that its vendor takes.",
    run: async (subject) => {
      const none = openWorld(subject);
      await none.send([]);
      assert.equal(storedIn(none.twin), 0, "a batch without items stored something");

      const one = openWorld(subject);
      await one.deliver(one.items(1));
      assert.equal(storedIn(one.twin), 1, "the twin stored another number of items than one");

      const full = openWorld(subject);
      const items = full.items(full.sink.limits.itemsPerRequest);
      await full.deliver(items);
      assert.equal(
        storedIn(full.twin),
        items.length,
        "the twin stored another number of items than a full request's",
      );

      const heavyBytes = Math.min(full.sink.limits.bytesPerItem, 2 ** 16) / 2;
      const heavy = openWorld({ ...subject, event: (n) => weighty(full.event(n), heavyBytes) });
      // A sink may keep nothing of a text, or refuse one that is so long.
      if ("payload" in prepare(heavy.sink, heavy.event(0))) {
        await heavy.deliver(heavy.items(heavy.sink.limits.itemsPerRequest));
      }

      const more = openWorld(subject);
      const events = more.events(items.length);
      const { fates } = await more.settle([...events, more.event(events.length + 1)]);
      assert.deepEqual(new Set(fates), new Set(["delivered"]), "one event more than a request holds");
      assert.equal(storedIn(more.twin), items.length + 1, "one event more than a request holds");
    },
  },
  {
    name: "a poisoned record is rejected alone, in its place",
    promise: "One record that the vendor refuses for good is one dead letter; those around it are delivered.",
    run: async (subject) => {
      const poison = subject.poison?.bind(subject);
      assert.ok(poison !== undefined, "the subject has no `poison`: give it one, or a reason under `skip`");
      for (const places of [[0], [1], [4], [1, 3]]) {
        const world = openWorld(subject);
        const events = world.events(5);
        for (const place of places) {
          events[place] = world.alongside(poison(100 + place, world.clock.now()));
        }
        const { fates } = await world.settle(events);
        const expected = events.map((_, index) => (places.includes(index) ? "rejected" : "delivered"));
        const numbers = places.map((place) => place + 1).join(" and ");
        assert.deepEqual(fates, expected, `with a poisoned record as number ${numbers} of 5`);
        assert.equal(
          storedIn(world.twin),
          5 - places.length,
          "the twin holds another number of records than the good ones",
        );
      }
    },
  },
  {
    name: "every answer is one that the core takes",
    promise:
      "An outcome that is none is unknown, and sent again for nothing; a code that nobody explains helps no operator.",
    run: async (subject) => {
      const poison = subject.poison?.bind(subject);
      const world = openWorld(subject);
      const { refusals } = world.sink;
      const bad =
        poison === undefined ? [] : itemsOf(world.sink, world.alongside(poison(100, world.clock.now())));
      const good = world.items(2);
      const faults: readonly (Fault | undefined)[] = [
        undefined,
        ...[400, 409, 413, 429, 500].map((status): Fault => ({ kind: "status", status, body: "{}" })),
        { kind: "garbled", body: "<html>" },
        { kind: "status", status: 429, headers: { "retry-after": "31536000" } },
      ];
      for (const fault of faults) {
        for (const batch of [good, [...good, ...bad], good.slice(0, 1), bad]) {
          if (batch.length === 0) continue;
          const { problem, codes } = await openWorld(subject).send(
            batch,
            fault === undefined ? {} : { fault },
          );
          assert.ok(problem === undefined, `the answer is wrong: ${problem}`);
          for (const code of codes) {
            const isKnown = refusals === undefined || adviceFor(code, refusals) !== undefined;
            assert.ok(isKnown, `the sink's refusals do not explain its code ${code}`);
          }
        }
      }
    },
  },
  {
    name: "sending again adds nothing",
    promise: "After a lost reply the batch is sent again; the vendor must see the same ids.",
    run: async (subject) => {
      for (const kind of ["reset-after-store", "reset-in-reply"] as const) {
        const world = openWorld(subject);
        const items = world.items(10);
        const before = inspect(items, whole);
        await world.send(items, { fault: { kind } });
        assert.equal(
          inspect(items, whole),
          before,
          "send changed its items, which are sent again as they are",
        );
        // An id from the time of sending would be the same within a moment.
        await world.clock.advance(60_000);
        const lost = [...world.twin.stored.keys()];
        const events = world.events(items.length);
        // Attempts of one batch, as after a lost reply; then the same events in another run, as after a crash.
        await world.send(items, { attempt: 2 });
        const { fates } = await world.settle(events);
        assert.ok(
          !fates.includes("pending") && !fates.includes("rejected"),
          `sent again, an item is ${fates.join(", ")}`,
        );
        assert.equal(storedIn(world.twin), items.length, "what was sent again was stored again");
        for (const id of lost) assert.ok(world.twin.stored.has(id), "the second try used other ids");
      }
    },
  },
  {
    name: "two deliveries at once do not mix",
    promise:
      "The core has several requests under way; each has its own outcome, and what one knows the other does not.",
    run: async (subject) => {
      for (const failing of [0, 1]) {
        const world = openWorld(subject);
        const batches = [world.items(3), world.items(3, 3)];
        // The replies come in the other order.
        const handlers = batches.map(
          (_, index): TwinHandler =>
            async (request) => {
              await world.clock.sleep(index === 0 ? 2000 : 1000);
              if (index === failing) return new Response("<html>", { status: 500 });
              return await world.twin.handle(request);
            },
        );
        const results = await Promise.all(
          batches.map((batch, index) => world.send(batch, { handle: handlers[index] ?? world.twin.handle })),
        );
        for (const [index, result] of results.entries()) {
          // A sink that makes no request meets no failure.
          const fails = index === failing && result.requests > 0;
          assertOnly(
            result,
            fails ? ["transient", "unknown"] : ["delivered"],
            `of two deliveries at once, in number ${index + 1},`,
          );
        }
        const expected = results
          .flatMap(({ statuses }) => statuses)
          .filter((status) => status === "delivered").length;
        assert.equal(
          storedIn(world.twin),
          expected,
          "the twin holds other items than those that were delivered",
        );
      }
    },
  },
];

/** The event with a text of so many bytes, a third as many characters. */
function weighty(event: MetricEvent, bytes: number): MetricEvent {
  return { ...event, data: { ...event.data, note: "€".repeat(bytes / 3) } };
}
