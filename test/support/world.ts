// A worker in a small world: stores in memory, sinks that do as they are told, time that moves by itself.
import { gunzipSync } from "node:zlib";
import { type Receipt, readReceipt } from "../../src/books/receipt.ts";
import type { DeadLetter } from "../../src/dead-letter/dead-letter.ts";
import type { Batch, Outcome, SendContext, Sink, Verdict } from "../../src/delivery/sink.ts";
import type { MetricEvent } from "../../src/event.ts";
import { seededRandom, type VirtualClock, virtualClock } from "../../src/testing/index.ts";
import { createWorker, type Worker, type WorkerOptions } from "../../src/worker.ts";
import { type MemoryStore, memoryStore } from "./memory-store.ts";

export type Reply = readonly Outcome[] | Verdict;
export const delivered: Outcome & Verdict = { status: "delivered" };

/** A sink whose replies a test decides; it remembers what it was sent and what it said to have delivered. */
export interface ScriptedSink extends Sink<{ readonly id: string }> {
  /** The ids of each request, in order. */
  readonly requests: string[][];
  /** How often each id was delivered. */
  readonly stored: Map<string, number>;
  /** When each id was first delivered, by the clock. */
  readonly storedAt: Map<string, number>;
  reply: (
    batch: Batch<{ readonly id: string }>,
    context: SendContext,
    request: number,
  ) => Reply | Promise<Reply>;
}

export function scriptedSink(
  name: string,
  overrides: Partial<
    Pick<Sink<{ readonly id: string }>, "limits" | "encode" | "partition" | "coalesceKey">
  > = {},
): ScriptedSink {
  const sink: ScriptedSink = {
    name,
    limits: {
      itemsPerRequest: 10,
      bytesPerRequest: 10_000,
      bytesPerItem: 5_000,
      concurrency: 2,
      timeoutMs: 10_000,
    },
    encode: (event) => ({ payload: { id: event.id }, bytes: 10 }),
    requests: [],
    stored: new Map(),
    storedAt: new Map(),
    reply: () => delivered,
    async send(batch, context) {
      const ids = batch.items.map(({ payload }) => payload.id);
      sink.requests.push(ids);
      const reply = await sink.reply(batch, context, sink.requests.length);
      for (const [index, id] of ids.entries()) {
        const outcome = "status" in reply ? reply : reply[index];
        if (outcome?.status !== "delivered") continue;
        sink.stored.set(id, (sink.stored.get(id) ?? 0) + 1);
        if (!sink.storedAt.has(id)) sink.storedAt.set(id, context.clock.now());
      }
      return reply;
    },
    ...overrides,
  };
  return sink;
}

export interface World {
  readonly clock: VirtualClock;
  readonly source: MemoryStore;
  readonly receipts: MemoryStore;
  readonly deadLetters: MemoryStore;
  worker(sinks: readonly Sink<unknown>[], options?: Partial<WorkerOptions>): Worker;
  /** Puts an object of events `e0 …` into the source. */
  putEvents(key: string, count: number, change?: (index: number) => object): void;
  /** The dead letters that receipts name. */
  letters(): Promise<DeadLetter[]>;
  latestReceipts(): Promise<Record<string, Receipt>>;
  deferrals(): string[];
}

export function createWorld(): World {
  const clock = virtualClock();
  const source = memoryStore("memory://source", clock);
  const receipts = memoryStore("memory://receipts", clock);
  const deadLetters = memoryStore("memory://dead-letters", clock);

  const latestReceipts = async () => {
    const latest: Record<string, Receipt> = {};
    for (const key of [...receipts.objects.keys()].filter((each) => each.endsWith(".receipt.json")).sort()) {
      const receipt = await readReceipt(receipts, key);
      latest[receipt.lane] = receipt;
    }
    return latest;
  };

  return {
    clock,
    source,
    receipts,
    deadLetters,
    worker: (sinks, options = {}) =>
      createWorker({
        sinks,
        source: () => source,
        receipts,
        deadLetters,
        clock,
        random: seededRandom(1),
        http: () => Promise.reject(new Error("no sink of this world uses HTTP")),
        ...options,
      }),
    putEvents(key, count, change = () => ({})) {
      const lines = Array.from(
        { length: count },
        (_, index) => `${JSON.stringify({ ...eventRecord(index), ...change(index) })}\n`,
      );
      source.objects.set(key, { bytes: Buffer.from(lines.join("")), lastModified: clock.now() });
    },
    async letters() {
      const names = Object.values(await latestReceipts()).flatMap((receipt) => receipt.letters);
      return names.flatMap((name) => {
        const file = deadLetters.objects.get(name);
        if (file === undefined) throw new Error(`a receipt names ${name}, which is not there`);
        return gunzipSync(file.bytes)
          .toString("utf8")
          .trimEnd()
          .split("\n")
          .map((line): DeadLetter => JSON.parse(line));
      });
    },
    latestReceipts,
    deferrals: () => [...receipts.objects.keys()].filter((key) => key.startsWith("deferrals/")),
  };
}

/** A valid record; its event's id is `e<index>`. */
export function eventRecord(index: number, tenant = `tenant-${index % 3}`): object {
  return {
    metric_name: "findings_upload_completed",
    metadata: { tenant_id: tenant, event_id: `e${index}` },
    data: {
      event_time: new Date(Date.UTC(2026, 0, 1) + index * 1000).toISOString(),
      new_findings_count: index,
    },
  };
}

export const idsOf = (count: number): string[] => Array.from({ length: count }, (_, index) => `e${index}`);

export const idOf = (event: MetricEvent): string => event.id;
