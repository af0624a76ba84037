// Deliberate defects, none of them in shipped code: each is put into a worker at one of its seams or, where the core has none, into one line of its source as that is loaded.
import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import type { Outcome, Sink, Verdict } from "../../src/delivery/sink.ts";
import type { ObjectStore } from "../../src/store/object-store.ts";
import type { WorkerOptions } from "../../src/worker.ts";

export interface Mutant {
  /** What is wrong with it. */
  readonly name: string;
  readonly defect: Seam | Rewrite;
}

/** Puts something broken in the place of what the worker is given. */
export type Seam = (options: WorkerOptions) => WorkerOptions;

/** Replaces a text that stands in a source file exactly once. */
export interface Rewrite {
  /** Below the repository's root. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

export const mutants: readonly Mutant[] = [
  {
    name: "acknowledges before it is durable",
    defect: (options) => ({
      ...options,
      receipts: over(options.receipts, (store) => ({
        async putIfAbsent(key, bytes) {
          if (!key.endsWith(".receipt.json")) return await store.putIfAbsent(key, bytes);
          void later(options)
            .then(() => store.putIfAbsent(key, bytes))
            .catch(() => {});
          return true;
        },
      })),
    }),
  },
  {
    name: "writes the receipt before its letters",
    defect: (options) => ({
      ...options,
      deadLetters: over(options.deadLetters, (store) => ({
        async putIfAbsent(key, bytes) {
          void later(options)
            .then(() => store.putIfAbsent(key, bytes))
            .catch(() => {});
          return true;
        },
      })),
    }),
  },
  {
    name: "sends delivered items again with the next attempt",
    defect: {
      file: "src/delivery/lane.ts",
      from: "open = open.filter((entry) => !entry.settled);",
      to: "open = open.every((entry) => entry.settled) ? [] : open;",
    },
  },
  {
    name: "sends to a sink of one writer while another one does",
    defect: {
      file: "src/books/writer-lease.ts",
      from: 'if (typeof state === "object") throw busy(sink, state.until);',
      to: "",
    },
  },
  {
    name: "changes ids between attempts",
    defect: (options) => ({
      ...options,
      sinks: options.sinks.map((sink) => ({
        ...sink,
        send: ({ partition, items }, context) =>
          sink.send(
            {
              partition,
              items: items.map((item) => ({
                ...item,
                event: {
                  ...item.event,
                  id: context.attempt === 1 ? item.event.id : `${item.event.id}-again`,
                },
              })),
            },
            context,
          ),
      })),
    }),
  },
  {
    name: "ignores Retry-After",
    defect: (options) => ({
      ...options,
      sinks: options.sinks.map((sink) => answering(sink, (outcome) => ({ ...outcome, retryAfterMs: 0 }))),
    }),
  },
  {
    name: "mixes tenants up in a request",
    defect: (options) => ({
      ...options,
      sinks: options.sinks.map((sink) =>
        sink.partition === undefined ? sink : { ...sink, partition: () => "tenant-0" },
      ),
    }),
  },
  {
    name: "lets a poison record take its batch along",
    defect: (options) => ({
      ...options,
      sinks: options.sinks.map((sink) => ({
        ...sink,
        async send(batch, context) {
          const answer = await sink.send(batch, context);
          if (!("status" in answer) || answer.status !== "refused") return answer;
          return batch.items.map((): Outcome => ({ ...answer, status: "rejected" }));
        },
      })),
    }),
  },
  {
    name: "never closes an open breaker",
    defect: {
      file: "src/delivery/breaker.ts",
      from: "if (clock.now() < open.until) return open.reason;",
      to: "return open.reason;",
    },
  },
  {
    name: "queues without a bound",
    defect: (options) => ({
      ...options,
      limits: { ...options.limits, maxItems: Number.MAX_SAFE_INTEGER, maxBytes: Number.MAX_SAFE_INTEGER },
    }),
  },
  {
    name: "forgets a record of the range from which a lane detaches",
    defect: {
      file: "src/delivery/passes.ts",
      from: "run.todo = startingAt(run.todo, index);",
      to: "run.todo = startingAt(run.todo, index + 1);",
    },
  },
  {
    name: "takes over a live claim",
    defect: (options) => ({
      ...options,
      owner: { id: options.owner?.id ?? "nobody", isGone: () => true },
    }),
  },
  {
    name: "removes a deferral before the receipt of its end",
    defect: (options) => ({
      ...options,
      receipts: over(options.receipts, (store) => ({
        async putIfAbsent(key, bytes) {
          const [, hash, lane] = /\/([0-9a-f]+)\/([^/]+)\/\d{6}\.receipt\.json$/.exec(key) ?? [];
          if (lane !== undefined) await store.delete(`deferrals/sink=${lane}/${hash}.json`);
          return await store.putIfAbsent(key, bytes);
        },
      })),
    }),
  },
  {
    name: "lets a full lane keep the reader from all others",
    defect: {
      file: "src/delivery/passes.ts",
      from: "const until = alone ? Number.POSITIVE_INFINITY : start + patienceMs - run.waitedMs;",
      to: "const until = Number.POSITIVE_INFINITY;",
    },
  },
  {
    name: "logs what an error quotes",
    defect: {
      file: "src/delivery/lane.ts",
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is source.
      from: "return isMeant ? error.message : `the sink failed: ${error.name}`;",
      to: "return isMeant ? error.message : error.message;",
    },
  },
  {
    name: "does everything again when something is pending",
    defect: {
      file: "src/object-run.ts",
      from: "todo: receipt.pending,",
      to: "todo: everything,",
    },
  },
  {
    name: "forgets to whom a repaired record was given",
    defect: {
      file: "src/letter-run.ts",
      from: "adopted: [...union(receipt.adopted, taken.ranges())],",
      to: "adopted: receipt.adopted,",
    },
  },
];

/** Defects that the simulation has found in the core, put back. Rare ones: each with a seed that shows it. */
export const found: readonly (Mutant & { readonly seed: number })[] = [
  {
    name: "claims the generation after one that was given back",
    seed: 4654,
    defect: { file: "src/books/books.ts", from: "generation--;", to: "" },
  },
  {
    name: "judges a replayed record's time by when its letter was made",
    seed: 7476,
    defect: {
      file: "src/dead-letter/judge.ts",
      from: "const now = letter.origin.writtenAt;",
      to: "const now = letter.history?.[0]?.firstAt ?? letter.firstAt;",
    },
  },
  {
    name: "removes what a late receipt replaced, though another worker has taken over",
    seed: 514,
    defect: {
      file: "src/books/books.ts",
      from: 'if ((await store.look(keyOf(lane, generation + 1, "claim"))) !== undefined) {',
      to: "if (generation === 0) {",
    },
  },
];

/** @throws when nothing is called so. */
export function mutantNamed(name: string): Mutant {
  const all = [...mutants, ...found];
  const mutant = all.find((each) => each.name === name);
  if (mutant !== undefined) return mutant;
  throw new Error(`no mutant "${name}"; there are\n${all.map((each) => `  ${each.name}`).join("\n")}`);
}

const root = new URL("../../", import.meta.url);

/**
 * From here on this thread loads the file with its defect.
 * @throws when the text is not there, or not alone: then the source has changed, and the mutant must change with it.
 */
export function rewrite({ file, from, to }: Rewrite): void {
  const url = new URL(file, root);
  if (readFileSync(url, "utf8").split(from).length !== 2) {
    throw new Error(`${file} does not say "${from}" exactly once any more: bring its mutant up to date`);
  }
  registerHooks({
    load(asked, context, nextLoad) {
      const loaded = nextLoad(asked, context);
      if (asked !== url.href) return loaded;
      return { ...loaded, source: String(loaded.source).replace(from, to) };
    },
  });
}

/** What was only promised happens a second later, if the process still lives. */
function later({ clock }: WorkerOptions): Promise<void> {
  return clock?.sleep(1_000) ?? Promise.resolve();
}

function over(store: ObjectStore, change: (store: ObjectStore) => Partial<ObjectStore>): ObjectStore {
  return { ...store, ...change(store) };
}

/** What the sink says of items is heard differently. */
function answering(sink: Sink<unknown>, hear: <T extends Outcome | Verdict>(outcome: T) => T): Sink<unknown> {
  return {
    ...sink,
    async send(batch, context) {
      const answer = await sink.send(batch, context);
      return "status" in answer ? hear(answer) : answer.map((outcome) => hear(outcome));
    },
  };
}
