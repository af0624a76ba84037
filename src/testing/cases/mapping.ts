// What a mapping promises: the same bytes for ever, truth about their number, and nothing of one tenant at another's.
import assert from "node:assert/strict";
import { gunzipSync } from "node:zlib";
import { type Prepared, prepare, wrongMapping } from "../../delivery/encode.ts";
import type { MetricEvent } from "../../event.ts";
import { freeze, itemsOf, openWorld, storedIn, type World } from "../case-world.ts";
import type { ConformanceCase } from "../conformance.ts";
import { hostileEvents } from "../hostile.ts";
import { type ConformanceSubject, ofTenant, privateValue } from "../subject.ts";
import type { TwinHandler } from "../twin.ts";

export const mappingCases: readonly ConformanceCase[] = [
  {
    name: "names and limits are usable",
    promise: "Receipts and letters are named after a sink, and the core divides by its limits.",
    run: async (subject) => {
      const { sink } = openWorld(subject);
      assert.match(sink.name, /^[a-z0-9][a-z0-9-]*$/);
      const { backoff, writers, ...limits } = sink.limits;
      assert.ok(writers === undefined || writers === 1, "limits.writers must be 1, or left out");
      for (const [name, limit] of Object.entries(limits)) {
        assert.ok(limit > 0 || name === "envelopeBytes", `limits.${name} must be over 0`);
      }
      if (backoff !== undefined) {
        const { leastMs, mostMs } = backoff;
        assert.ok(
          leastMs > 0 && mostMs >= 2 * leastMs,
          "limits.backoff must be over 0, mostMs twice leastMs",
        );
      }
      assert.ok(sink.limits.bytesPerItem + (sink.limits.envelopeBytes ?? 0) <= sink.limits.bytesPerRequest);
      for (const [code, { meaning, action }] of Object.entries(sink.refusals ?? {})) {
        assert.match(code, /^[A-Z][A-Z0-9_]*$/);
        assert.ok(meaning !== "" && action !== "", `${code} needs a meaning and an action`);
      }
    },
  },
  {
    name: "encode answers at once, with an item or a reason",
    promise:
      "The core measures what `encode` makes and tells operators its codes; a promise or an item without bytes it cannot send.",
    run: async (subject) => {
      const world = openWorld(subject);
      const events = [...Array.from({ length: 20 }, (_, n) => world.event(n)), ...poisoned(subject, world)];
      for (const event of events) {
        const problem = preparedProblem(prepare(world.sink, freeze(event)));
        assert.ok(problem === undefined, problem);
      }
    },
  },
  {
    name: "encoding is pure and the same for ever",
    promise:
      "A retry, a replay or another process must send the same bytes and ids, so that vendors can dedupe.",
    run: async (subject) => {
      const [first, second] = [openWorld(subject), openWorld(subject)];
      for (let n = 0; n < 20; n++) {
        const event = first.event(n);
        const before = structuredClone(event);
        const encoded = first.sink.encode(freeze(event));
        assert.deepEqual(event, before, "encode changed its event");
        await first.clock.advance(90 * dayMs);
        assert.deepEqual(
          later(() => first.sink.encode(event)),
          encoded,
          "the same event encodes differently the second time",
        );
        assert.deepEqual(
          second.sink.encode(before),
          encoded,
          "the same event encodes differently in another sink",
        );
      }
    },
  },
  {
    name: "bytes are never under the real share",
    promise: "The core fills a request by what `encode` says; too little said is a request refused.",
    run: async (subject) => {
      const hostile = hostileEvents(openWorld(subject).event).flatMap(({ event }) =>
        itemsOf(openWorld(subject).sink, event),
      );
      const batches = [
        (world: World) => world.items(1),
        (world: World) => world.items(50),
        ...hostile.map((item) => () => [item]),
      ];
      for (const choose of batches) {
        const world = openWorld(subject);
        const items = choose(world);
        const bodies: number[] = [];
        const measure: TwinHandler = async (request) => {
          const coding = request.headers.get("content-encoding");
          const body = Buffer.from(await request.clone().arrayBuffer());
          if (coding === null || coding === "gzip")
            bodies.push((coding === null ? body : gunzipSync(body)).byteLength);
          return await world.twin.handle(request);
        };
        await world.send(items, { handle: measure });
        const said = items.reduce((sum, { bytes }) => sum + bytes, world.sink.limits.envelopeBytes ?? 0);
        const real = Math.max(0, ...bodies);
        assert.ok(
          said >= real,
          `${items.length} items: encode and envelopeBytes say ${said} bytes, the body has ${real}`,
        );
      }
    },
  },
  {
    name: "a hostile record costs itself alone",
    promise:
      "Records come from anywhere; what cannot be sent is one dead letter with a code, not a stopped sink.",
    run: async (subject) => {
      const world = openWorld(subject);
      for (const { what, event } of hostileEvents((n) => world.event(n + 2))) {
        const encoded = prepare(world.sink, freeze(event));
        if ("rejected" in encoded) {
          const { code, rejected } = encoded;
          assert.notEqual(code, "ENCODE_FAILED", `encode threw at an event with ${what}`);
          assert.match(code, /^[A-Z][A-Z0-9_]*$/);
          const { refusals } = world.sink;
          const known = refusals === undefined || code === "ITEM_TOO_LARGE" || Object.hasOwn(refusals, code);
          assert.ok(known, `the sink's refusals do not explain its code ${code}`);
          assert.ok(
            rejected !== "" && !/[\p{Cc}\p{Cs}]/u.test(rejected),
            `a reason for ${what} is no sentence`,
          );
        }
        const around = openWorld(subject);
        const good = [around.event(0), around.event(1)] as const;
        const { fates, told } = await around.settle([good[0], event, good[1]]);
        assert.deepEqual([fates[0], fates[2]], ["delivered", "delivered"], `beside an event with ${what}`);
        assert.notEqual(fates[1], "pending", `an event with ${what} is tried for ever`);
        assert.ok(!told.includes(privateValue), `a message shows a value of an event with ${what}`);
      }
    },
  },
  {
    name: "tenants stay apart",
    promise: "One tenant's event never reaches another tenant, and never passes for another tenant's.",
    run: async (subject) => {
      const world = openWorld(subject);
      const event = world.event(0);
      const [one, other] = [ofTenant(event, "tenant-one"), ofTenant(event, "tenant-other")];
      const { fates } = await world.settle([one, other]);
      assert.deepEqual(fates, ["delivered", "delivered"], "two tenants with one event id");
      assert.equal(
        storedIn(world.twin),
        2,
        "two tenants used the same event id, and the twin took them for one event",
      );

      const requests: string[] = [];
      const listen: TwinHandler = async (request) => {
        requests.push(`${request.url} ${await request.clone().text()}`);
        return await world.twin.handle(request);
      };
      // Later than the first, since a vendor may keep the newest only.
      const later = { ...ofTenant(world.event(1), "tenant-one"), time: event.time + 1 };
      await world.deliver(itemsOf(world.sink, later), { handle: listen });
      for (const text of requests) {
        assert.ok(
          !text.includes("tenant-other"),
          "a request for one tenant names another, who was served before",
        );
      }

      const alike = [
        "tenant-1",
        "Tenant-1",
        "tenant-1 ",
        "tenant_1",
        "tenant.1",
        "tenant-１",
        "tenant-\u00e9",
        "tenant-e\u0301",
      ];
      const seen = new Map<string, string>();
      for (const tenantId of alike) {
        const encoded = prepare(world.sink, ofTenant(event, tenantId));
        if (!("payload" in encoded)) continue;
        const where = JSON.stringify([encoded.partition, encoded.payload]);
        const known = seen.get(where);
        assert.ok(known === undefined, `events of two tenants become the same: ${known} and ${tenantId}`);
        seen.set(where, tenantId);
      }
    },
  },
];

/** Those that the vendor refuses, where the subject can make one. */
function poisoned(subject: ConformanceSubject, world: World): MetricEvent[] {
  return subject.poison === undefined ? [] : [subject.poison(0, world.clock.now())];
}

/** A wrong mapping's, as the core tells it; one that throws is another case's to see. */
function preparedProblem(prepared: Prepared<unknown>): string | undefined {
  const isWrong = "rejected" in prepared && prepared.rejected.startsWith(wrongMapping);
  return isWrong ? prepared.rejected : undefined;
}

const dayMs = 86_400_000;

/** Runs what takes no time some hundred days later: what is made of the day or the month differs by then. */
function later<T>(work: () => T): T {
  const real = Date;
  const now = () => real.now() + 100.5 * dayMs + 3_723_004;
  try {
    globalThis.Date = new Proxy(real, {
      construct: (target, given, made) => Reflect.construct(target, given.length > 0 ? given : [now()], made),
      apply: () => new real(now()).toString(),
      get: (target, name) => (name === "now" ? now : Reflect.get(target, name)),
    });
    return work();
  } finally {
    globalThis.Date = real;
  }
}
