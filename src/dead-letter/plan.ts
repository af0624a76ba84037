// What a replay would do now, computed offline: by today's mapping, routes and limits, and without a vendor.
import { currentReceipt, hashOf, type ObjectVersion } from "../books/books.ts";
import type { Receipt } from "../books/receipt.ts";
import { prepare } from "../delivery/encode.ts";
import { createRequestCounter, leastTimeMs, type RequestCounter } from "../delivery/simulate.ts";
import type { Repeats, Sink } from "../delivery/sink.ts";
import type { MetricEvent } from "../event.ts";
import { readEvents } from "../intake/events.ts";
import { contains, createCursor } from "../ranges.ts";
import { createRouter, everywhere, type Route } from "../routing/route.ts";
import { type ObjectStore, StoreError } from "../store/object-store.ts";
import { defaultLimits, type WorkerLimits } from "../worker.ts";
import { type DeadLetter, fingerprint, intakeLane, recordBytes, type Stage } from "./dead-letter.ts";
import { coverName, type LetterFilter } from "./filter.ts";
import { judgeLetter } from "./judge.ts";
import { type Pending, pendingOf, raise, type Stores, visitLetters, type WaitingFile } from "./query.ts";

export interface PlanOptions {
  readonly stores: Stores;
  readonly filter: LetterFilter;
  readonly sinks: readonly Sink<unknown>[];
  readonly routes?: readonly Route[];
  readonly limits?: Partial<WorkerLimits>;
  /** The store that the books call by this location, for what is pending. */
  readonly source: (bucket: string) => ObjectStore;
  readonly signal: AbortSignal;
  readonly onDamaged?: (error: StoreError) => void;
}

/** What a replay would make of some records: `records = passes + filtered + fails + stays`. */
export interface Verdicts {
  /** Would be sent, each to one sink; an invalid record that is valid now, to every sink that is missing it. */
  passes: number;
  filtered: number;
  /** Would be refused again before they are sent. */
  fails: number;
  /** Cannot be replayed here: their bytes were not kept, or their sink is not configured. */
  stays: number;
}

/** Why records would fail again. */
export interface Failure {
  readonly stage: Stage;
  readonly code: string;
  readonly reason: string;
  count: number;
}

/** All letters of one sink and fingerprint. */
export interface ClassPlan extends Verdicts {
  readonly sink: string;
  readonly fingerprint: string;
  readonly code: string;
  readonly reason: string;
  letters: number;
  /** By the fingerprint that they would have then. */
  readonly failures: Map<string, Failure>;
}

/** What is pending for one sink. */
export interface PendingPlan extends Verdicts {
  readonly sink: string;
  readonly objects: number;
  /** Events known to be pending; the object's unread rest is counted in the verdicts alone. */
  readonly pending: number;
  readonly failures: Map<string, Failure>;
  /** Events whose object is gone: nobody can deliver them any more. */
  readonly gone: number;
}

/** What one vendor would see. */
export interface SinkPlan {
  readonly sink: string;
  /** Records that would be sent: letters and what is pending. */
  readonly records: number;
  /** At least: retries and halved batches come on top. */
  readonly requests: number;
  /** At the sink's own rate, in milliseconds. Absent when it states none. */
  readonly leastMs?: number;
  /** Records of which nobody knows whether the vendor has them: requests of theirs were cut or had no answer. */
  readonly uncertain: number;
  readonly repeats: Repeats;
}

/** Letters or pending records of one object and lane, as they were when it was planned. */
export interface Cover {
  readonly object: ObjectVersion;
  readonly lane: string;
  letters: number;
  pending: number;
}

export interface Plan {
  readonly classes: readonly ClassPlan[];
  readonly pending: readonly PendingPlan[];
  readonly sinks: readonly SinkPlan[];
  readonly covers: readonly Cover[];
  /** Objects that are gone though something of them is pending. */
  readonly gone: readonly string[];
}

interface Vendor {
  readonly sink: Sink<unknown>;
  readonly isRouted: (event: MetricEvent) => boolean;
  records: number;
  requests: number;
  uncertain: number;
}

/** Objects that are read at once, for what is pending of them. */
const objectsAtOnce = 4;

/** What a vendor that says nothing may do. */
export function repeatsOf({ name, repeats }: Pick<Sink<unknown>, "name" | "repeats">): Repeats {
  const reason = `${name} does not say what it does with an event that it gets twice: expect both to count.`;
  return repeats ?? { effect: "counted", reason };
}

/**
 * Reads every letter that is meant, and every object of which something pending is meant. Memory depends on causes and
 * objects, not on letters.
 *
 * @throws {StoreError} when a store cannot be read.
 */
export async function makePlan(options: PlanOptions): Promise<Plan> {
  const { stores, filter, sinks, routes = everywhere, source, signal, onDamaged } = options;
  const limits = { ...defaultLimits, ...options.limits };
  const classes = new Map<string, ClassPlan>();
  const pending = new Map<string, { -readonly [K in keyof PendingPlan]: PendingPlan[K] }>();
  const covers = new Map<string, Cover>();
  const gone: string[] = [];
  const vendors = new Map(
    sinks.map((sink) => {
      const vendor: Vendor = {
        sink,
        isRouted: createRouter(routes, sink.name),
        records: 0,
        requests: 0,
        uncertain: 0,
      };
      return [sink.name, vendor];
    }),
  );

  const cover = (object: ObjectVersion, lane: string): Cover => {
    const key = coverName(hashOf(object), lane);
    const { bucket, key: name, version } = object;
    const known = covers.get(key) ?? { object: { bucket, key: name, version }, lane, letters: 0, pending: 0 };
    covers.set(key, known);
    return known;
  };

  /** Judges one event for one sink, and puts it into the sink's batches. */
  const judge = (
    { sink, isRouted }: Vendor,
    counter: RequestCounter,
    event: MetricEvent,
    recordSize: number,
    into: Verdicts & { readonly failures: Map<string, Failure> },
  ): keyof Verdicts => {
    const prepared = isRouted(event) ? prepare(sink, event) : { filtered: "no route" };
    if ("filtered" in prepared) return "filtered";
    if ("rejected" in prepared) {
      const { code, rejected: reason } = prepared;
      addFailure(into.failures, { stage: "encode", sink: sink.name, code, reason });
      return "fails";
    }
    counter.add(prepared, event.time, recordSize);
    return "passes";
  };

  const openCounters = () => {
    const counters = new Map<string, RequestCounter>();
    return {
      of({ sink }: Vendor): RequestCounter {
        const counter = counters.get(sink.name) ?? createRequestCounter(sink.limits, limits);
        counters.set(sink.name, counter);
        return counter;
      },
      close() {
        for (const [name, counter] of counters) {
          counter.flush();
          const vendor = vendors.get(name);
          if (vendor !== undefined) vendor.requests += counter.requests;
        }
      },
    };
  };

  const receiptsOf = async (file: WaitingFile): Promise<ReadonlyMap<string, Receipt>> => {
    const found = await Promise.all(
      sinks.map(
        async ({ name }) => [name, await currentReceipt(stores.receipts, file.object, name)] as const,
      ),
    );
    return new Map(found.flatMap(([name, receipt]) => (receipt === undefined ? [] : [[name, receipt]])));
  };

  await visitLetters(
    stores,
    filter,
    async (file, letters) => {
      const counters = openCounters();
      const isIntake = file.lane === intakeLane;
      let others: ReadonlyMap<string, Receipt> | undefined;
      const covered = cover(file.object, file.lane);
      for await (const letter of letters) {
        covered.letters++;
        const plan = classOf(classes, letter);
        plan.letters++;
        const bytes = recordBytes(letter);
        const own = vendors.get(file.lane);
        if (bytes === undefined || (own === undefined && !isIntake)) {
          plan.stays++;
          continue;
        }
        const judged = judgeLetter(letter, bytes, { ...limits, objectHash: file.objectHash });
        if ("refusal" in judged) {
          addFailure(plan.failures, { stage: letter.stage, sink: letter.sink, ...judged.refusal });
          plan.fails++;
          continue;
        }
        const { event } = judged;
        if (own !== undefined) {
          const verdict = judge(own, counters.of(own), event, bytes.byteLength, plan);
          plan[verdict]++;
          if (verdict === "passes") own.records++;
          continue;
        }
        others ??= await receiptsOf(file);
        plan.passes++;
        for (const [name, { readTo, adopted }] of others) {
          const vendor = vendors.get(name);
          const { index } = letter.origin;
          // A sink that has not come so far will read the record itself, and find it valid.
          const isMissing = (readTo === null || index < readTo) && !contains(adopted, index);
          if (vendor === undefined || !isMissing) continue;
          const verdict = judge(vendor, counters.of(vendor), event, bytes.byteLength, plan);
          if (verdict === "passes") vendor.records++;
        }
      }
      counters.close();
    },
    onDamaged,
  );

  const readObject = async (deferrals: readonly Pending[]): Promise<void> => {
    const [first] = deferrals;
    if (first === undefined) return;
    const { object, objectHash } = first;
    const counters = openCounters();
    const parts = deferrals.flatMap((deferral) => {
      const vendor = vendors.get(deferral.sink);
      const plan = pendingPlanOf(pending, deferral.sink);
      plan.objects++;
      plan.pending += deferral.count;
      cover(object, deferral.sink).pending += deferral.count;
      if (vendor === undefined) {
        if (deferral.sink !== intakeLane) plan.stays += deferral.count;
        return [];
      }
      vendor.uncertain += deferral.count;
      return [{ vendor, plan, deferral, isPending: createCursor(deferral.ranges) }];
    });
    if (parts.length === 0) return;
    const store = source(object.bucket);
    const from = Math.min(...parts.map(({ deferral }) => deferral.ranges[0]?.from ?? 0));
    try {
      const info = await store.look(object.key, { version: object.version, signal });
      if (info === undefined) throw new StoreError("NOT_FOUND", `${object.bucket}/${object.key} is gone`);
      const rules = { idPrefix: objectHash.slice(0, 24), from, signal, ...limits };
      for await (const { events } of readEvents(store, info, rules)) {
        for (const { event, index, start, end } of events) {
          for (const { vendor, plan, isPending } of parts) {
            if (!isPending(index)) continue;
            const verdict = judge(vendor, counters.of(vendor), event, end - start, plan);
            plan[verdict]++;
            if (verdict === "passes") vendor.records++;
          }
        }
      }
    } catch (error) {
      if (!(error instanceof StoreError && (error.code === "NOT_FOUND" || error.code === "CHANGED")))
        throw error;
      gone.push(`${object.bucket}/${object.key}`);
      for (const { plan, deferral } of parts) plan.gone += deferral.count;
    }
    counters.close();
  };
  const byObject = new Map<string, Pending[]>();
  for await (const deferral of pendingOf(stores.receipts, filter, onDamaged ?? raise)) {
    const waiting = byObject.get(deferral.objectHash);
    if (waiting === undefined) byObject.set(deferral.objectHash, [deferral]);
    else waiting.push(deferral);
  }
  const queue = byObject.values();
  const take = async () => {
    for (const deferrals of queue) await readObject(deferrals);
  };
  await Promise.all(Array.from({ length: objectsAtOnce }, take));

  return {
    classes: [...classes.values()].sort((a, b) => b.letters - a.letters),
    pending: [...pending.values()],
    sinks: [...vendors.values()]
      .filter(({ records }) => records > 0)
      .map(({ sink, records, requests, uncertain }) => {
        const leastMs = leastTimeMs(sink.limits, requests);
        return {
          sink: sink.name,
          records,
          requests,
          ...(leastMs === undefined ? {} : { leastMs }),
          uncertain,
          repeats: repeatsOf(sink),
        };
      }),
    covers: [...covers.values()],
    gone: gone.sort(),
  };
}

function addFailure(
  failures: Map<string, Failure>,
  { stage, sink, code, reason }: { stage: Stage; sink: string; code: string; reason: string },
): void {
  const cause = fingerprint(stage, sink, code, reason);
  const known = failures.get(cause);
  if (known === undefined) failures.set(cause, { stage, code, reason, count: 1 });
  else known.count++;
}

function classOf(classes: Map<string, ClassPlan>, letter: DeadLetter): ClassPlan {
  const { sink, fingerprint: cause, code, reason } = letter;
  const key = `${sink} ${cause}`;
  const known = classes.get(key);
  if (known !== undefined) return known;
  const none = { letters: 0, passes: 0, filtered: 0, fails: 0, stays: 0 };
  const made = { sink, fingerprint: cause, code, reason, ...none, failures: new Map<string, Failure>() };
  classes.set(key, made);
  return made;
}

function pendingPlanOf(
  plans: Map<string, { -readonly [K in keyof PendingPlan]: PendingPlan[K] }>,
  sink: string,
) {
  const known = plans.get(sink);
  if (known !== undefined) return known;
  const none = { objects: 0, pending: 0, passes: 0, filtered: 0, fails: 0, stays: 0, gone: 0 };
  const made = { sink, ...none, failures: new Map<string, Failure>() };
  plans.set(sink, made);
  return made;
}
