// What every sink promises, as cases that any test framework can run: `run` throws when the promise is broken.
import assert from "node:assert/strict";
import { inspect } from "node:util";
import { type Item, isSinkUnavailable, type Outcome, type Sink, type Verdict } from "../delivery/sink.ts";
import type { JsonValue, MetricEvent } from "../event.ts";
import { type Fault, injectFaults } from "./faults.ts";
import { type Twin, type TwinHandler, twinHttp } from "./twin.ts";
import { type VirtualClock, virtualClock } from "./virtual-clock.ts";

/** What is tested: a sink and the twin of its vendor. */
export interface ConformanceSubject {
  /** A new sink and a new, empty twin that lets it in. Both take their time from `clock`, if they take any. */
  create(clock: VirtualClock): ConformancePair | Promise<ConformancePair>;
  /** What the sink must never tell: keys, tokens, passwords, and the forms in which it sends them. */
  readonly secrets: readonly string[];
  /** An event that the sink takes and that differs from every other `n`'s. Default {@link sampleEvent}. */
  event?(n: number, now: number): MetricEvent;
  /** Cases that do not hold for this sink, by name, each with its reason. */
  readonly skip?: Readonly<Record<string, string>>;
}

export interface ConformancePair {
  readonly sink: Sink<unknown>;
  readonly twin: Twin;
}

export interface ConformanceCase {
  readonly name: string;
  /** Why it matters. */
  readonly promise: string;
  /** @throws AssertionError when the promise is broken. */
  run(subject: ConformanceSubject): Promise<void>;
}

/** No sink may show this in a message: it stands for what a customer's record holds. */
const privateValue = "private-3f9c1d";

/** An event of metric `conformance_checked`, one tenant, user, id and second each. */
export function sampleEvent(n: number, now: number): MetricEvent {
  const [tenantId, id, time] = [`tenant-${n}`, `conformance-${n}`, now - n * 1000];
  return {
    id,
    metricName: "conformance_checked",
    tenantId,
    time,
    metadata: { tenant_id: tenantId, event_id: id, user_id: `user-${n}` },
    data: {
      event_time: new Date(time).toISOString(),
      checked_count: n,
      ratio: 0.5,
      note: `${privateValue} ü€😀 "\\`,
    },
  };
}

export const conformanceCases: readonly ConformanceCase[] = [
  {
    name: "names and limits are usable",
    promise: "Receipts and letters are named after a sink, and the core divides by its limits.",
    run: async (subject) => {
      const { sink } = await open(subject);
      assert.match(sink.name, /^[a-z0-9][a-z0-9-]*$/);
      for (const [name, limit] of Object.entries(sink.limits)) {
        assert.ok(limit > 0 || name === "envelopeBytes", `limits.${name} must be over 0`);
      }
      assert.ok(sink.limits.bytesPerItem + (sink.limits.envelopeBytes ?? 0) <= sink.limits.bytesPerRequest);
    },
  },
  {
    name: "encoding is pure and the same for ever",
    promise:
      "A retry, a replay or another process must send the same bytes and ids, so that vendors can dedupe.",
    run: async (subject) => {
      const [first, second] = [await open(subject), await open(subject)];
      for (let n = 0; n < 20; n += 1) {
        const event = first.event(n);
        const before = structuredClone(event);
        const encoded = first.sink.encode(freeze(event));
        assert.deepEqual(event, before, "encode changed its event");
        assert.deepEqual(
          first.sink.encode(event),
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
    name: "one item is delivered",
    promise: "The smallest request works.",
    run: async (subject) => {
      const world = await open(subject);
      await world.deliver(world.items(1));
      assert.equal(world.twin.stored.size, 1);
    },
  },
  {
    name: "a full request is delivered",
    promise: "A batch up to the sink's own limits is one that the vendor takes, each item of it once.",
    run: async (subject) => {
      const world = await open(subject);
      const items = world.items(world.sink.limits.itemsPerRequest);
      await world.deliver(items);
      assert.equal(world.twin.stored.size, items.length, "the twin stored another number of items");
    },
  },
  {
    name: "bytes are never under the real share",
    promise: "The core fills a request by what `encode` says; too little said is a request refused.",
    run: async (subject) => {
      for (const count of [1, 50]) {
        const world = await open(subject);
        const items = world.items(count);
        const bodies: number[] = [];
        const measure: TwinHandler = async (request) => {
          const compressed = request.headers.has("content-encoding");
          if (!compressed) bodies.push((await request.clone().arrayBuffer()).byteLength);
          return await world.twin.handle(request);
        };
        await world.send(items, { handle: measure });
        const said = items.reduce((sum, { bytes }) => sum + bytes, world.sink.limits.envelopeBytes ?? 0);
        const real = Math.max(0, ...bodies);
        assert.ok(
          said >= real,
          `${count} items: encode and envelopeBytes say ${said} bytes, the body has ${real}`,
        );
      }
    },
  },
  {
    name: "sending again adds nothing",
    promise: "After a lost reply the batch is sent again; the vendor must see the same ids.",
    run: async (subject) => {
      for (const kind of ["reset-after-store", "reset-in-reply"] as const) {
        const world = await open(subject);
        const items = world.items(10);
        const lost = await world.send(items, { fault: { kind } });
        assertNever(lost, ["delivered", "filtered", "rejected", "refused", "unavailable"], `after ${kind}`);
        const ids = [...world.twin.stored.keys()];
        await world.deliver(items);
        await world.deliver(items, { attempt: 2 });
        assert.equal(world.twin.stored.size, items.length);
        for (const id of ids) assert.ok(world.twin.stored.has(id), "the second try used other ids");
      }
    },
  },
  {
    name: "a cut connection is unknown",
    promise: "Nobody knows what became of the items, so they are neither delivered nor dead letters.",
    run: async (subject) => {
      const world = await open(subject);
      const result = await world.send(world.items(3), { fault: { kind: "reset" } });
      assertNever(result, ["delivered", "filtered", "rejected", "refused", "unavailable"], "after a reset");
      assert.equal(world.twin.stored.size, 0);
    },
  },
  {
    name: "401 and 403 make the sink unavailable",
    promise: "A revoked key must cost no record its life: it is a fact about the sink.",
    run: async (subject) => {
      for (const status of [401, 403]) {
        const world = await open(subject);
        const result = await world.send(world.items(3), { fault: { kind: "status", status, body: "{}" } });
        assert.deepEqual(
          new Set(result.statuses),
          new Set(["unavailable"]),
          `${status} was not thrown as that`,
        );
      }
    },
  },
  {
    name: "a redirect is not followed",
    promise: "A body with customers' events goes nowhere but to the configured host.",
    run: async (subject) => {
      for (const status of [301, 302, 307, 308]) {
        const world = await open(subject);
        const hosts = new Set<string>();
        const result = await world.send(world.items(2), {
          handle: (request) => {
            hosts.add(new URL(request.url).host);
            return new Response(null, { status, headers: { location: "https://elsewhere.test/" } });
          },
        });
        assert.ok(!hosts.has("elsewhere.test"), `${status} was followed`);
        assertNever(result, ["delivered", "filtered", "rejected", "refused"], `after ${status}`);
      }
    },
  },
  {
    name: "429 is transient and waits as long as it asks",
    promise: "Who ignores Retry-After is throttled for longer.",
    run: async (subject) => {
      const headers = { "retry-after": "7" };
      const world = await open(subject);
      const asked = await world.send(world.items(3), { fault: { kind: "status", status: 429, headers } });
      assertOnly(asked, ["transient"], "after 429");
      assert.deepEqual(new Set(asked.retryAfterMs), new Set([7000]));
      const silent = await world.send(world.items(3), { fault: { kind: "status", status: 429 } });
      assertOnly(silent, ["transient"], "after 429 without Retry-After");
    },
  },
  {
    name: "a server's fault is transient, whatever its body",
    promise: "Gateways answer HTML; it must neither be parsed nor cost a record its life.",
    run: async (subject) => {
      for (const status of [408, 500, 502, 503, 504]) {
        for (const body of ["<html>Bad Gateway</html>", "", '{"error":']) {
          const world = await open(subject);
          const result = await world.send(world.items(3), { fault: { kind: "status", status, body } });
          assertOnly(result, ["transient", "unknown"], `after ${status}`);
        }
      }
    },
  },
  {
    name: "a success that the vendor did not write is not one",
    promise: "A proxy's friendly page with status 200 stored nothing.",
    run: async (subject) => {
      for (const body of ["<html>Welcome</html>", "", "null", "{", "[]", '"ok"']) {
        const world = await open(subject);
        const result = await world.send(world.items(3), { fault: { kind: "status", status: 200, body } });
        assertOnly(result, ["transient", "unknown"], `after 200 with ${JSON.stringify(body)}`);
      }
    },
  },
  {
    name: "a garbled success refuses nothing",
    promise: "What the vendor stored must not become a dead letter because its reply was damaged.",
    run: async (subject) => {
      const faults: Fault[] = ["<html>OK</html>", "", "null", "{}", "[]"].map((body) => ({
        kind: "garbled",
        body,
      }));
      for (const fault of [...faults, { kind: "truncated" } as const]) {
        const world = await open(subject);
        const result = await world.send(world.items(3), { fault });
        assertOnly(result, ["transient", "unknown", "delivered"], `after a reply that was ${fault.kind}`);
      }
    },
  },
  {
    name: "an abort settles at once",
    promise: "A hanging vendor holds up its own lane no longer than the deadline.",
    run: async (subject) => {
      const world = await open(subject);
      const [start, items, abort] = [world.clock.now(), world.items(3), new AbortController()];
      // The vendor has it and says nothing, ever; then the time is over.
      const silent: TwinHandler = () => {
        setImmediate(() => abort.abort());
        return new Promise<never>(() => {});
      };
      const late = await world.send(items, { handle: silent, signal: abort.signal });
      assertOnly(late, ["transient", "unknown"], "after an abort");
      const never = await world.send(items, { signal: AbortSignal.abort() });
      assertOnly(never, ["transient", "unknown"], "with a signal aborted before");
      assert.equal(world.clock.now(), start, "send waited after the abort");
    },
  },
  {
    name: "messages hold no secret and no record's value",
    promise: "Reasons and errors go to logs, dead letters and reports.",
    run: async (subject) => {
      const echo = `${subject.secrets.join(" ")} ${privateValue}`;
      const bodies = [`<html>${echo}</html>`, JSON.stringify({ error: echo, message: echo, errors: [echo] })];
      const faults: Fault[] = [200, 302, 400, 401, 403, 404, 413, 429, 500].flatMap((status) =>
        bodies.map((body) => ({ kind: "status" as const, status, body, headers: { "x-echo": "secret" } })),
      );
      for (const fault of [...faults, { kind: "reset" } as const, { kind: "truncated" } as const]) {
        const world = await open(subject);
        const { told } = await world.send(world.items(2), { fault });
        for (const secret of [...subject.secrets, privateValue]) {
          assert.ok(!told.includes(secret), `a message shows a secret or a value after ${fault.kind}`);
        }
      }
    },
  },
];

type Status = Outcome["status"] | "refused" | "unavailable" | "unknown";

/** What one `send` came to, in one shape. */
interface Result {
  /** One an item. `unknown`: something was thrown; `unavailable`: a fact about the whole sink was. */
  readonly statuses: readonly Status[];
  readonly retryAfterMs: readonly (number | undefined)[];
  /** Everything that was returned or thrown, as a careless logger would print it. */
  readonly told: string;
}

interface SendOptions {
  /** What goes wrong with every request. */
  readonly fault?: Fault;
  /** Answers instead of the twin. */
  readonly handle?: TwinHandler;
  readonly signal?: AbortSignal;
  readonly attempt?: number;
}

async function open(subject: ConformanceSubject) {
  const clock = virtualClock();
  const { sink, twin } = await subject.create(clock);
  const now = clock.now();
  const event = (n: number) => subject.event?.(n, now) ?? sampleEvent(n, now);

  /** At most `count` items that may share a request: of one partition, each of its own coalescing key, within the bytes. */
  const items = (count: number): Item<unknown>[] => {
    const chosen: Item<unknown>[] = [];
    const first = event(0);
    const keys = new Set<string>();
    let room = sink.limits.bytesPerRequest - (sink.limits.envelopeBytes ?? 0);
    for (let n = 0; chosen.length < count; n += 1) {
      const next = sink.partition === undefined ? event(n) : ofTenant(event(n), first);
      assert.ok(n < 10 * count + 100, `of ${n} events, only ${chosen.length} may share a request`);
      const key = sink.coalesceKey?.(next) ?? String(n);
      if (keys.has(key) || sink.partition?.(next) !== sink.partition?.(first)) continue;
      const encoded = sink.encode(freeze(next));
      assert.ok("payload" in encoded, `the sink does not take event ${n}: ${inspect(encoded)}`);
      room -= encoded.bytes;
      if (room < 0) break;
      keys.add(key);
      chosen.push({ event: next, payload: encoded.payload, bytes: encoded.bytes });
    }
    return chosen;
  };

  const send = async (batch: readonly Item<unknown>[], options: SendOptions = {}): Promise<Result> => {
    const handle = injectFaults(options.handle ?? twin.handle, () => options.fault, clock);
    const context = {
      signal: options.signal ?? new AbortController().signal,
      attempt: options.attempt ?? 1,
      http: twinHttp(handle, clock),
      clock,
    };
    const [head] = batch;
    const partition = head === undefined ? "" : (sink.partition?.(head.event) ?? "");
    try {
      // `async`, so that what `send` throws before its first await arrives as what it throws after.
      const sending = (async () => await sink.send({ partition, items: batch }, context))();
      const answer = await clock.run(sending);
      const outcomes = asList(answer, batch.length);
      return {
        statuses: outcomes.map(({ status }) => status),
        retryAfterMs: outcomes.map((outcome) =>
          "retryAfterMs" in outcome ? outcome.retryAfterMs : undefined,
        ),
        told: inspect(answer, { depth: 9 }),
      };
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      const status = isSinkUnavailable(error) ? "unavailable" : "unknown";
      return { statuses: batch.map(() => status), retryAfterMs: [], told: inspect(error, { depth: 9 }) };
    }
  };

  const deliver = async (batch: readonly Item<unknown>[], options: SendOptions = {}) => {
    const result = await send(batch, options);
    assert.deepEqual(new Set(result.statuses), new Set(["delivered"]), `not all delivered: ${result.told}`);
  };

  return { clock, sink, twin, event, items, send, deliver };
}

function asList(answer: readonly Outcome[] | Verdict, count: number): readonly (Outcome | Verdict)[] {
  if ("status" in answer) return Array.from({ length: count }, () => answer);
  assert.equal(answer.length, count, "send must return one outcome an item");
  return answer;
}

function assertOnly(result: Result, allowed: readonly Status[], when: string): void {
  for (const status of result.statuses) {
    assert.ok(
      allowed.includes(status),
      `${when} an item is ${status}, not ${allowed.join(" or ")}: ${result.told}`,
    );
  }
}

function assertNever(result: Result, forbidden: readonly Status[], when: string): void {
  for (const status of result.statuses)
    assert.ok(!forbidden.includes(status), `${when} an item is ${status}`);
}

/** A sink with partitions is mostly partitioned by tenant. */
function ofTenant(event: MetricEvent, { tenantId }: MetricEvent): MetricEvent {
  return { ...event, tenantId, metadata: { ...event.metadata, tenant_id: tenantId } };
}

/** Makes any write to the event throw. */
function freeze(event: MetricEvent): MetricEvent {
  const deep = (value: JsonValue | MetricEvent): void => {
    if (typeof value !== "object" || value === null || Object.isFrozen(value)) return;
    Object.freeze(value);
    for (const entry of Object.values(value)) deep(entry);
  };
  deep(event);
  return event;
}
