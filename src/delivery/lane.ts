// One sink's way through one object: encode, batch, send with retries, and one known outcome a record.
import {
  createDeadLetter,
  type DeadLetter,
  historyOf,
  type Origin,
  type Stage,
} from "../dead-letter/dead-letter.ts";
import type { LetterWriter } from "../dead-letter/store.ts";
import { type EventHead, headOf, type MetricEvent } from "../event.ts";
import { createIndexSet, type Ranges } from "../ranges.ts";
import { checkAnswer, waitOf } from "./answer-check.ts";
import { createBatcher, type ReadyBatch } from "./batch.ts";
import { type Breaker, type BreakerPolicy, createBreaker } from "./breaker.ts";
import { type Clock, orAborted, type Random } from "./clock.ts";
import { prepare } from "./encode.ts";
import type { HttpClient } from "./http.ts";
import { type LanePolicy, lanePolicyOf } from "./lane-policy.ts";
import { createLimiter, type Limiter } from "./limiter.ts";
import { type Again, type RetryPolicy, waitsOf, withRetries } from "./retry.ts";
import {
  type Item,
  isSinkUnavailable,
  type Outcome,
  type Sink,
  type Transient,
  type Verdict,
} from "./sink.ts";

/** A sink with what it keeps from object to object: its rate, its pauses, its breaker. */
export interface SinkState {
  readonly sink: Sink<unknown>;
  readonly limiter: Limiter;
  readonly breaker: Breaker;
}

export function createSinkState(
  sink: Sink<unknown>,
  clock: Clock,
  random: Random,
  breaker: BreakerPolicy,
  workers: number,
): SinkState {
  const { requestsPerSecond, ...limits } = sink.limits;
  // A quota is the account's, so all workers together keep to it.
  const share = requestsPerSecond === undefined ? {} : { requestsPerSecond: requestsPerSecond / workers };
  return {
    sink,
    limiter: createLimiter({ ...limits, ...share }, clock, random),
    breaker: createBreaker(breaker, clock),
  };
}

/** What is kept of a record until its outcome: of what was parsed, which takes several times its bytes, the head. */
export interface KeptRecord {
  readonly event: EventHead;
  /** The original bytes, one character each (latin1). No view of anything: a lane may hold one record of an object. */
  readonly raw: string;
  readonly index: number;
  readonly start: number;
  readonly end: number;
  /** The dead letter that it comes from, when it is replayed. */
  readonly letter?: DeadLetter | undefined;
}

/** A record on its way to a sink. */
export interface LaneRecord extends KeptRecord {
  readonly event: MetricEvent;
}

export interface LaneOptions {
  readonly state: SinkState;
  readonly policy: Partial<LanePolicy> & { readonly retry: RetryPolicy };
  readonly clock: Clock;
  readonly random: Random;
  readonly http: HttpClient;
  readonly letters: Pick<LetterWriter, "add">;
  /** Names a record's place in the object. */
  readonly origin: (record: KeptRecord) => Origin;
  /** Whether an event is meant for this sink at all. */
  readonly routed: (event: MetricEvent) => boolean;
  /** The worker's deadline. */
  readonly signal: AbortSignal;
  /** The same, in milliseconds since the epoch. */
  readonly deadline: number;
}

/** What became of the records that a lane took, and what it cost. */
export interface LaneTally {
  delivered: number;
  filtered: number;
  requests: number;
  retries: number;
  /** Time that requests took, in milliseconds: the sum and the longest. */
  requestMs: number;
  slowestMs: number;
  /** The newest `event_time` delivered, in milliseconds since the epoch. */
  newestTime: number | undefined;
}

export interface Lane {
  readonly name: string;
  readonly tally: LaneTally;
  /** Takes the record, or answers that there is no room now. A lane that is down has none. */
  offer(record: LaneRecord): boolean;
  /** Resolves when there is room again, or the lane is down. */
  room(): Promise<void>;
  /** Closes all open batches, so that they are sent. */
  flush(): void;
  /** Resolves when every record taken has its outcome; rejects when a defect keeps one from it. */
  idle(): Promise<void>;
  /** Why the lane takes nothing more in this run, once it doesn't. */
  readonly down: string | undefined;
  /** Records taken that are pending, with the last reason. */
  readonly pending: number;
  pendingRanges(): Ranges;
  readonly pendingReason: string | undefined;
  /** The sink is not to be tried before, in milliseconds since the epoch; the past when it may be. */
  readonly notBefore: number;
}

const defaultTimeoutMs = 30_000;

/** Made once: an abort without a reason makes one, stack and all, for every request. */
const requestOver = new Error("the request is over");

interface Entry extends KeptRecord, Item<unknown> {
  readonly event: EventHead;
  readonly partition: string;
  readonly coalesceKey: string | undefined;
  older: Entry[] | undefined;
  settled: boolean;
}

interface Attempt {
  readonly number: number;
  readonly firstAt: number;
}

export function createLane(options: LaneOptions): Lane {
  const { state, policy, clock, letters, signal } = options;
  const { sink, limiter, breaker } = state;
  const { limits } = sink;
  const retry = { ...policy.retry, ...(limits.backoff && waitsOf(limits.backoff)) };
  const { maxItems, maxBytes } = lanePolicyOf(limits, policy);
  const batcher = createBatcher<Entry>(limits);
  const ready: ReadyBatch<Entry>[] = [];
  const pendingIndexes = createIndexSet();
  const tally: LaneTally = {
    delivered: 0,
    filtered: 0,
    requests: 0,
    retries: 0,
    requestMs: 0,
    slowestMs: 0,
    newestTime: undefined,
  };
  let heldItems = 0;
  let heldBytes = 0;
  let sending = 0;
  let down: string | undefined;
  let pendingReason: string | undefined;
  let flushed = false;
  let defect: { readonly error: unknown } | undefined;
  let waiters: (() => void)[] = [];

  const isFull = () => heldItems >= maxItems || heldBytes >= maxBytes;

  /** Ends all waiting: the run is over, or the lane is down. */
  const halt = new AbortController();
  const halted = AbortSignal.any([signal, halt.signal]);

  const wake = () => {
    const woken = waiters;
    waiters = [];
    for (const each of woken) each();
  };

  const woken = () => new Promise<void>((resolve) => waiters.push(resolve));

  // ── outcomes ────────────────────────────────────────────────────────────────────────────────────────────

  const settle = (entry: Entry) => {
    entry.settled = true;
    heldItems--;
    heldBytes -= entry.bytes + sizeOf(entry);
  };

  const deadLetter = (record: KeptRecord, stage: Stage, code: string, reason: string, attempt?: Attempt) => {
    const { event } = record;
    const now = clock.now();
    letters.add(
      createDeadLetter(
        {
          stage,
          sink: sink.name,
          origin: options.origin(record),
          event: { id: event.id, metricName: event.metricName, tenantId: event.tenantId },
          code,
          reason,
          attempts: attempt?.number ?? 0,
          firstAt: attempt?.firstAt ?? now,
          lastAt: now,
          ...(record.letter === undefined ? {} : { history: historyOf(record.letter) }),
        },
        Buffer.from(record.raw, "latin1"),
      ),
    );
  };

  const postpone = (entry: Entry, reason: string) => {
    for (const each of [entry, ...(entry.older ?? [])]) {
      settle(each);
      pendingIndexes.add(each.index);
    }
    pendingReason = reason;
  };

  const supersede = (entry: Entry) => {
    for (const older of entry.older ?? []) {
      settle(older);
      tally.filtered++;
    }
  };

  /** Gives one item its final outcome; a transient one stays open. */
  const conclude = (entry: Entry, outcome: Outcome, attempt: Attempt) => {
    switch (outcome.status) {
      case "delivered":
        settle(entry);
        tally.delivered++;
        if (tally.newestTime === undefined || entry.event.time > tally.newestTime)
          tally.newestTime = entry.event.time;
        supersede(entry);
        return;
      case "filtered":
        settle(entry);
        tally.filtered++;
        supersede(entry);
        return;
      case "rejected": {
        settle(entry);
        deadLetter(entry, "send", outcome.code, outcome.reason, attempt);
        // The newest is not wanted, so the older ones get their own turn.
        for (const older of entry.older ?? []) collect(older);
        return;
      }
      case "transient":
        return;
    }
  };

  // ── sending ─────────────────────────────────────────────────────────────────────────────────────────────

  /** Nothing more is taken or sent in this run; what is not sent is pending. */
  const stop = (reason: string) => {
    if (down !== undefined) return;
    down = reason;
    ready.push(...batcher.takeAll());
    for (const batch of ready.splice(0)) for (const entry of batch.slots) postpone(entry, reason);
    halt.abort();
    wake();
  };
  // Another object's requests may find first that the sink is down: what waits for its turn here need not find it again.
  breaker.onOpen(stop, signal);

  const failed = (reason: string, startedAt: number, fault?: Transient) => {
    // Our own deadline says nothing of the sink.
    if (signal.aborted) breaker.abandon(startedAt);
    else if (fault?.throttled !== true) breaker.failure(reason, startedAt);
    // A sink that throttles is there. It is waited for as long as if it had said how long.
    else breaker.failure(reason, startedAt, policy.retry.longestWaitMs);
  };

  const request = async (
    partition: string,
    entries: readonly Entry[],
    attempt: number,
  ): Promise<readonly Outcome[] | Verdict> => {
    // And nothing else of an entry: its bytes may hold what this sink is not to see.
    const items = entries.map(({ event, payload, bytes }) => ({ event, payload, bytes }));
    // One controller a request, and its timer through the clock: what AbortSignal.any and a timeout signal make
    // stays in memory for as long as the run's signal and the timeout last.
    const over = new AbortController();
    const cut = () => over.abort(requestOver);
    signal.addEventListener("abort", cut, { once: true });
    const timeoutMs = limits.timeoutMs ?? defaultTimeoutMs;
    const late = clock.sleep(timeoutMs, over.signal).then((): Verdict => {
      cut();
      return { status: "transient", reason: signal.aborted ? deadlineCame : "no reply in time" };
    });
    const startedAt = clock.now();
    tally.requests++;
    if (attempt > 1) tally.retries++;
    try {
      const context = { signal: over.signal, attempt, http: options.http, clock };
      const answered = await Promise.race([sink.send({ partition, items }, context), late]);
      const answer = checkAnswer(answered, items.length);
      const faults = "status" in answer ? [answer] : answer;
      const throttle = faults.find(isThrottle);
      if (throttle !== undefined) limiter.throttled(startedAt);
      if ("status" in answer && answer.status === "transient") {
        failed(answer.reason, startedAt, answer);
      } else {
        breaker.success();
        if (throttle === undefined) limiter.succeeded();
      }
      return answer;
    } catch (error) {
      const reason = describe(error);
      if (isSinkUnavailable(error)) {
        breaker.trip(reason, waitOf(error.retryAfterMs));
        stop(reason);
      } else {
        failed(reason, startedAt);
      }
      return { status: "transient", reason };
    } finally {
      signal.removeEventListener("abort", cut);
      cut();
      const took = clock.now() - startedAt;
      tally.requestMs += took;
      tally.slowestMs = Math.max(tally.slowestMs, took);
    }
  };

  /** Waits until a request may start; else says why none will. */
  const enter = async (): Promise<string | undefined> => {
    for (;;) {
      if (!(await limiter.acquire(halted, options.deadline))) return down ?? deadlineCame;
      const answer = down ?? breaker.enter();
      if (answer === undefined) return undefined;
      limiter.release();
      if (typeof answer === "string") {
        stop(answer);
        return answer;
      }
      // What somebody's trial finds may be a wait, so ask for everything again.
      await orAborted(answer, halted);
    }
  };

  /** One attempt: sends the items, halving a refused batch until the culprit stands alone. */
  const attemptOnce = async (
    partition: string,
    items: readonly Entry[],
    attempt: Attempt,
    note: (reason: string) => void,
  ): Promise<Again> => {
    let retryAfterMs = 0;
    let throttled = true;
    // The larger parts first: where requests are slow, most is delivered before a deadline ends the search.
    const parts = [items];
    for (const part of parts) {
      const again = await attemptPart(partition, part, attempt, note);
      if (again === "halved") {
        const half = Math.ceil(part.length / 2);
        parts.push(part.slice(0, half), part.slice(half));
      } else {
        retryAfterMs = Math.max(retryAfterMs, again.retryAfterMs);
        throttled &&= again.throttled === true;
      }
    }
    return { retryAfterMs, throttled };
  };

  const attemptPart = async (
    partition: string,
    items: readonly Entry[],
    attempt: Attempt,
    note: (reason: string) => void,
  ): Promise<Again | "halved"> => {
    const refusal = await enter();
    if (refusal !== undefined) {
      note(refusal);
      return notAgain;
    }
    let answer: readonly Outcome[] | Verdict;
    try {
      answer = await request(partition, items, attempt.number);
    } finally {
      limiter.release();
    }
    if ("status" in answer && answer.status === "refused") {
      const [only] = items;
      if (only === undefined) return notAgain;
      if (items.length === 1) {
        conclude(only, { status: "rejected", reason: answer.reason, code: answer.code }, attempt);
        return notAgain;
      }
      return "halved";
    }
    let wait = 0;
    let throttled = true;
    for (const [index, entry] of items.entries()) {
      // An outcome that is missing is unknown, never success.
      const outcome = "status" in answer ? answer : (answer[index] ?? missing);
      conclude(entry, outcome, attempt);
      if (outcome.status === "transient") {
        note(outcome.reason);
        wait = Math.max(wait, outcome.retryAfterMs ?? 0);
        throttled &&= isThrottle(outcome);
      }
    }
    // There is room again, though what is left of the items may wait for long.
    wake();
    // What a vendor asks of one request holds for all of them.
    if (wait > 0) limiter.pause(wait);
    if (wait > policy.retry.longestWaitMs) {
      const reason = `${sink.name} asks to be left alone for ${Math.ceil(wait / 1000)} s`;
      breaker.trip(reason, wait);
      stop(reason);
    }
    return { retryAfterMs: wait, throttled };
  };

  const deliver = async (batch: ReadyBatch<Entry>): Promise<void> => {
    const firstAt = clock.now();
    let reason = deadlineCame;
    let open = batch.slots;
    await withRetries(
      async (number) => {
        const attempt = { number, firstAt };
        const again = await attemptOnce(batch.partition, open, attempt, (why) => {
          reason = why;
        });
        open = open.filter((entry) => !entry.settled);
        return open.length === 0 || down !== undefined ? "done" : again;
      },
      { policy: retry, clock, random: options.random, signal: halted, deadline: options.deadline },
    );
    for (const entry of open) postpone(entry, reason);
    // An array that has grown old holds on to its items, however young, until the next full collection.
    batch.slots.length = 0;
  };

  const pump = () => {
    if (flushed) ready.push(...batcher.takeAll());
    // What keeps a full lane from making room is in batches that no record will fill.
    while (isFull() && sending + ready.length < limits.concurrency) {
      // Where all records share one, it goes on filling as long as requests under way will make room: more than it has.
      const fullest = batcher.takeFullest(sending + ready.length === 0 ? 0 : 0.5, heldItems / 2);
      if (fullest === undefined) break;
      ready.push(fullest);
    }
    while (sending < limits.concurrency) {
      const batch = ready.shift();
      if (batch === undefined) return;
      sending++;
      deliver(batch)
        .catch((error: unknown) => {
          // Only a defect gets here. The lane must end without a receipt, since nobody knows what was sent.
          defect ??= { error };
          stop("a defect ended the lane");
        })
        .finally(() => {
          sending--;
          if (defect === undefined) pump();
          wake();
        });
    }
  };

  /** Puts an encoded item into its batch. */
  const collect = (entry: Entry) => {
    if (down !== undefined) return postpone(entry, down);
    entry.older = undefined;
    const full = batcher.add(entry, entry.partition, entry.coalesceKey);
    if (full !== undefined) ready.push(full);
  };

  const take = (record: LaneRecord) => {
    const { event, raw, index, start, end, letter } = record;
    if (!options.routed(event)) {
      tally.filtered++;
      return;
    }
    const prepared = prepare(sink, event);
    if ("filtered" in prepared) {
      tally.filtered++;
      return;
    }
    if ("rejected" in prepared) return deadLetter(record, "encode", prepared.code, prepared.rejected);
    heldItems++;
    heldBytes += prepared.bytes + sizeOf(record);
    const { payload, bytes, partition, coalesceKey } = prepared;
    collect({
      event: headOf(event),
      raw,
      index,
      start,
      end,
      letter,
      payload,
      bytes,
      partition,
      coalesceKey,
      older: undefined,
      settled: false,
    });
  };

  return {
    name: sink.name,
    tally,
    offer(record) {
      if (down !== undefined) return false;
      if (breaker.open !== undefined) stop(breaker.open.reason);
      if (down !== undefined || isFull()) return false;
      flushed = false;
      take(record);
      pump();
      return true;
    },
    async room() {
      while (down === undefined && isFull()) await woken();
    },
    flush() {
      flushed = true;
      pump();
    },
    async idle() {
      while (defect === undefined && (heldItems > 0 || sending > 0)) await woken();
      if (defect !== undefined) throw defect.error;
    },
    get down() {
      return down;
    },
    get pending() {
      return pendingIndexes.size;
    },
    pendingRanges: () => pendingIndexes.ranges(),
    get pendingReason() {
      return pendingReason ?? down;
    },
    get notBefore() {
      return Math.max(limiter.pausedUntil, breaker.open?.until ?? 0);
    },
  };
}

function sizeOf({ start, end }: KeptRecord): number {
  return end - start;
}

/** Only these errors' messages are made to be shown; any other may quote a payload, a header, a reply. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return "the sink failed without an error";
  const isMeant = isSinkUnavailable(error) || ("code" in error && error.code === "TRANSPORT");
  return isMeant ? error.message : `the sink failed: ${error.name}`;
}

const missing: Outcome = { status: "transient", reason: "the sink gave no outcome for the record" };

/** Nothing that another attempt would be good for, or that it would have to wait for. */
const notAgain: Again = { retryAfterMs: 0 };

const deadlineCame = "the deadline came first";

/** Refused for its pace, without a wait that the vendor asks for. */
function isThrottle(outcome: Outcome | Verdict): outcome is Transient {
  return outcome.status === "transient" && outcome.throttled === true && outcome.retryAfterMs === undefined;
}
