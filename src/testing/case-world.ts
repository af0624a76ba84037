// A new sink before a new twin, in time that moves by itself: what every conformance case begins with.
import assert from "node:assert/strict";
import { inspect } from "node:util";
import { answerProblem } from "../delivery/answer-check.ts";
import { createBatcher } from "../delivery/batch.ts";
import { prepare } from "../delivery/encode.ts";
import { type Item, isSinkUnavailable, type Outcome, type Sink, type Verdict } from "../delivery/sink.ts";
import { headOf, type JsonValue, type MetricEvent } from "../event.ts";
import { type Fault, injectFaults } from "./faults.ts";
import { type ConformanceSubject, ofTenant, sampleEvent } from "./subject.ts";
import { type Twin, type TwinHandler, twinHttp } from "./twin.ts";
import { type VirtualClock, virtualClock } from "./virtual-clock.ts";

export type Status = Outcome["status"] | "refused" | "unavailable" | "unknown";

/** What one `send` came to, in one shape. */
export interface Result {
  /** One an item. `unknown`: something was thrown; `unavailable`: a fact about the whole sink was. */
  readonly statuses: readonly Status[];
  /** One an item, or the one of the whole sink. */
  readonly retryAfterMs: readonly (number | undefined)[];
  /** Everything that was returned or thrown, as a careless logger would print it. */
  readonly told: string;
  /** What the core does not take of the answer, in a sentence; undefined when it takes all of it. */
  readonly problem?: string | undefined;
  /** The codes that the sink refused items with, or the whole batch. */
  readonly codes: readonly string[];
  /** How many requests were made. */
  readonly requests: number;
  /** False when `send` neither returned nor threw, though nothing was left to wait for. */
  readonly settled: boolean;
}

export interface SendOptions {
  /** What goes wrong with every request. */
  readonly fault?: Fault;
  /** Answers instead of the twin. */
  readonly handle?: TwinHandler;
  /** Ends the request's time. Default: one that nobody uses. */
  readonly abort?: AbortController;
  /** Milliseconds after the first request has reached the vendor: then the request's time is over. Default: never. */
  readonly timeoutMs?: number;
  readonly attempt?: number;
  /** Runs `send`, and what it calls in the end. */
  readonly around?: { watch<T>(work: () => T): T; ignore<T>(work: () => T): T };
}

/** An item, with what may share a request with it. */
export interface WorldItem extends Item<unknown> {
  readonly partition: string;
}

/** The event as an item; none when the sink does not take it. */
export function itemsOf(sink: Sink<unknown>, event: MetricEvent): WorldItem[] {
  const prepared = prepare(sink, event);
  if (!("payload" in prepared)) return [];
  const { payload, bytes, partition } = prepared;
  return [{ event: headOf(event), payload, bytes, partition }];
}

/** What became of an event after everything that the core does for it. */
export type Fate = "delivered" | "filtered" | "rejected" | "pending";

export interface World {
  readonly clock: VirtualClock;
  readonly sink: Sink<unknown>;
  readonly twin: Twin;
  event(n: number): MetricEvent;
  /** The event, or the same one of event 0's tenant, where only that may share a request with event 0. */
  alongside(event: MetricEvent): MetricEvent;
  /** Events from the nth on that may share a request with event 0, each of its own coalescing key. */
  events(count: number, from?: number): MetricEvent[];
  /** At most `count` of them as items: no more than a request holds. */
  items(count: number, from?: number): WorldItem[];
  /** One call of `send`. */
  send(batch: readonly WorldItem[], options?: SendOptions): Promise<Result>;
  /** One call of `send`, after which all must be delivered. */
  deliver(batch: readonly WorldItem[], options?: SendOptions): Promise<void>;
  /**
   * What the core does: batches, sends, halves what is refused, sends again what is open. The fate of each event, in
   * order, and all that the sink said.
   */
  settle(events: readonly MetricEvent[]): Promise<{ readonly fates: Fate[]; readonly told: string }>;
}

/** Attempts of one batch in `settle`: enough for what one lost reply leads to. */
const attempts = 4;

/** @param beside Its clock and its twin are this world's, too: the new sink is that of another process. */
export function openWorld(subject: ConformanceSubject, beside?: World): World {
  const clock = beside?.clock ?? virtualClock();
  const sink = subject.sink(clock);
  // One is made for each sink, also where another one answers.
  const own = subject.twin(clock);
  const twin = beside?.twin ?? own;
  const now = clock.now();
  const event = (n: number) => subject.event?.(n, now) ?? sampleEvent(n, now);

  const alongside = (own: MetricEvent): MetricEvent => {
    const first = event(0);
    return sink.partition?.(own) === sink.partition?.(first) ? own : ofTenant(own, first.tenantId);
  };

  const events = (count: number, from = 0): MetricEvent[] => {
    const chosen: MetricEvent[] = [];
    const partition = sink.partition?.(event(0));
    const keys = new Set<string>();
    for (let n = from; chosen.length < count; n++) {
      assert.ok(n < from + 10 * count + 100, `of ${n} events, only ${chosen.length} may share a request`);
      const next = alongside(event(n));
      const key = sink.coalesceKey?.(next) ?? String(n);
      if (keys.has(key) || sink.partition?.(next) !== partition) continue;
      keys.add(key);
      chosen.push(next);
    }
    return chosen;
  };

  const items = (count: number, from = 0): WorldItem[] => {
    const { itemsPerRequest, bytesPerRequest, envelopeBytes = 0 } = sink.limits;
    const chosen: WorldItem[] = [];
    let room = bytesPerRequest - envelopeBytes;
    for (const each of events(Math.min(count, itemsPerRequest), from)) {
      const [item] = itemsOf(sink, freeze(each));
      assert.ok(item !== undefined, `the sink does not take ${each.id}: ${inspect(prepare(sink, each))}`);
      room -= item.bytes;
      if (room < 0) break;
      chosen.push(item);
    }
    return chosen;
  };

  const send = async (batch: readonly WorldItem[], options: SendOptions = {}): Promise<Result> => {
    const { around } = options;
    const abort = options.abort ?? new AbortController();
    const settled = new AbortController();
    let requests = 0;
    const faulty = injectFaults(options.handle ?? twin.handle, () => options.fault, clock);
    // Time counts from here: an SDK may use real timers before its first request, in which virtual time would pass.
    const timed: TwinHandler = (request) => {
      const { timeoutMs } = options;
      if (requests === 0 && timeoutMs !== undefined) {
        void clock.sleep(timeoutMs, settled.signal).then(() => {
          if (!settled.signal.aborted) abort.abort();
        });
      }
      requests++;
      return faulty(request);
    };
    const http = twinHttp(timed, clock);
    const context = {
      signal: abort.signal,
      attempt: options.attempt ?? 1,
      http:
        around === undefined
          ? http
          : (...call: Parameters<typeof http>) => around.ignore(() => http(...call)),
      clock,
    };
    const partition = batch[0]?.partition ?? sink.partition?.(event(0)) ?? "";
    // `async`, so that what `send` throws before its first await arrives as what it throws after.
    let isSettled = false;
    const begin = async () => {
      try {
        return await sink.send({ partition, items: batch }, context);
      } finally {
        isSettled = true;
      }
    };
    try {
      const answer = await clock.run(around === undefined ? begin() : around.watch(begin));
      const isTrue = requests === 0 || subject.makesNoRequests === undefined;
      assert.ok(isTrue, "the subject says that its sink makes no requests, and it made one");
      const problem = answerProblem(answer, batch.length);
      const outcomes = asList(answer, batch.length);
      return {
        problem,
        codes: outcomes.flatMap((outcome) => ("code" in outcome ? outcome.code : [])),
        statuses: outcomes.map(({ status }) => status),
        retryAfterMs: outcomes.map((outcome) =>
          "retryAfterMs" in outcome ? outcome.retryAfterMs : undefined,
        ),
        told: inspect(answer, { depth: 9 }),
        requests,
        settled: isSettled,
      };
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      const told = inspect(error, { depth: 9 });
      if (!isSinkUnavailable(error)) {
        const statuses = batch.map(() => "unknown" as const);
        return { statuses, codes: [], retryAfterMs: [], told, requests, settled: isSettled };
      }
      const { retryAfterMs } = error;
      const statuses = batch.map(() => "unavailable" as const);
      return { statuses, codes: [], retryAfterMs: [retryAfterMs], told, requests, settled: isSettled };
    } finally {
      settled.abort();
    }
  };

  const deliver = async (batch: readonly WorldItem[], options: SendOptions = {}) => {
    const result = await send(batch, options);
    assert.deepEqual(new Set(result.statuses), new Set(["delivered"]), `not all delivered: ${result.told}`);
  };

  const settle: World["settle"] = async (events) => {
    const fates = events.map((): Fate => "pending");
    const told: string[] = [];
    interface Entry extends WorldItem {
      readonly index: number;
      older: Entry[] | undefined;
    }
    const attempt = async (entries: readonly Entry[], number: number): Promise<Entry[]> => {
      const result = await send(entries, { attempt: number });
      told.push(result.told);
      if (result.statuses[0] === "refused" && entries.length > 1) {
        const half = Math.ceil(entries.length / 2);
        return [
          ...(await attempt(entries.slice(0, half), number)),
          ...(await attempt(entries.slice(half), number)),
        ];
      }
      return entries.filter((entry, at) => {
        const status = result.statuses[at];
        if (status === "delivered" || status === "filtered" || status === "rejected")
          fates[entry.index] = status;
        else if (status === "refused") fates[entry.index] = "rejected";
        else return true;
        for (const { index } of entry.older ?? []) fates[index] = "filtered";
        return false;
      });
    };
    const batcher = createBatcher<Entry>(sink.limits);
    const batches = events.flatMap((each, index) => {
      const prepared = prepare(sink, each);
      told.push(inspect("payload" in prepared ? "" : prepared, { depth: 9 }));
      if ("filtered" in prepared) fates[index] = "filtered";
      if ("rejected" in prepared) fates[index] = "rejected";
      if (!("payload" in prepared)) return [];
      const { payload, bytes, partition, coalesceKey } = prepared;
      const entry = { event: headOf(each), payload, bytes, partition, index, older: undefined };
      return batcher.add(entry, partition, coalesceKey) ?? [];
    });
    for (const { slots } of [...batches, ...batcher.takeAll()]) {
      let open: readonly Entry[] = slots;
      for (let number = 1; open.length > 0 && number <= attempts; number++) {
        open = await attempt(open, number);
        await clock.advance(60_000);
      }
    }
    return { fates, told: told.join("\n") };
  };

  return { clock, sink, twin, event, alongside, events, items, send, deliver, settle };
}

function asList(answer: readonly Outcome[] | Verdict, count: number): readonly (Outcome | Verdict)[] {
  assert.ok(typeof answer === "object" && answer !== null, "send must return outcomes, or a verdict");
  if ("status" in answer) return Array.from({ length: count }, () => answer);
  assert.equal(answer.length, count, "send must return one outcome an item");
  return answer;
}

export function assertOnly(result: Result, allowed: readonly Status[], when: string): void {
  for (const status of result.statuses) {
    assert.ok(
      allowed.includes(status),
      `${when} an item is ${status}, not ${allowed.join(" or ")}: ${result.told}`,
    );
  }
}

/** How often the twin stored something, whatever it was. */
export function storedIn({ stored }: Twin): number {
  let sum = 0;
  for (const count of stored.values()) sum += count;
  return sum;
}

/** Makes any write to the event throw. */
export function freeze(event: MetricEvent): MetricEvent {
  const deep = (value: JsonValue | MetricEvent): void => {
    if (typeof value !== "object" || value === null || Object.isFrozen(value)) return;
    Object.freeze(value);
    for (const entry of Object.values(value)) deep(entry);
  };
  deep(event);
  return event;
}
