// A world that crashes: a bucket in a folder, the vendors, and real processes of the command line between them.
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { deferralsPrefix, openBooks } from "../../src/books/books.ts";
import { type Receipt, readReceipt } from "../../src/books/receipt.ts";
import { intakeLane } from "../../src/dead-letter/dead-letter.ts";
import { systemClock } from "../../src/delivery/clock.ts";
import { silent } from "../../src/log.ts";
import { type ObjectStore, readAll } from "../../src/store/object-store.ts";
import { openStore } from "../../src/store/open.ts";
import { type Finished, startFanout } from "../support/fanout.ts";
import type { CrashObject } from "./objects.ts";
import { begunLine, type StepSpec, stepVariable } from "./steps.ts";
import { createVendors, type ServeOptions, sinkNames, type Vendors } from "./vendors.ts";

export const lanes = [...sinkNames, intakeLane] as const;
export type Lane = (typeof lanes)[number];

/** A record's index against what a receipt says: whether nothing more may be sent of it. */
export function isSettled(receipt: Receipt | undefined, index: number): boolean {
  if (receipt === undefined) return false;
  return !receipt.pending.some(({ from, to }) => index >= from && (to === null || index < to));
}

/** What stands in the books of one object and lane. */
export interface LaneState {
  readonly object: CrashObject;
  readonly lane: Lane;
  readonly receipt: Receipt | undefined;
  readonly claims: readonly {
    readonly generation: number;
    readonly pid: number;
    readonly hasReceipt: boolean;
  }[];
}

/** The books at one moment. */
export interface Snapshot {
  /** By the world's count of events. */
  readonly at: number;
  /** All objects that were there by then, every lane of each. */
  readonly lanes: readonly LaneState[];
  /** The keys of the deferrals. */
  readonly deferrals: ReadonlySet<string>;
}

/** One process. */
export interface Run {
  readonly number: number;
  readonly pid: number;
  readonly startedAt: number;
  /** When the process was gone; undefined as long as it is there. */
  endedAt: number | undefined;
  readonly finished: Promise<Finished>;
  kill(): void;
}

export interface StartOptions extends Pick<ServeOptions, "down" | "onRequest"> {
  /** Where the process kills itself. */
  readonly step?: StepSpec | undefined;
  /** Called when it begins to write its books. */
  readonly onBegun?: (() => void) | undefined;
}

export interface World {
  readonly vendors: Vendors;
  readonly objects: readonly CrashObject[];
  readonly runs: readonly Run[];
  readonly snapshots: readonly Snapshot[];
  readonly receipts: ObjectStore;
  readonly deadLetters: ObjectStore;
  /** The folder of the books and the letters, where unfinished files stay. */
  readonly folder: string;
  add(objects: readonly CrashObject[]): Promise<void>;
  start(options?: StartOptions): Promise<Run>;
  /** Waits for the process's end, and until the vendors have handled what it sent. */
  end(run: Run): Promise<Finished>;
  /** Reads the books, when no process runs. */
  look(): Promise<Snapshot>;
  close(): Promise<void>;
}

const preload = new URL("./preload.ts", import.meta.url).href;

export async function createWorld(): Promise<World> {
  const root = await mkdtemp(path.join(os.tmpdir(), "fanout-crash-"));
  let events = 0;
  const tick = () => ++events;
  const vendors = createVendors(tick);
  const bucket = openStore(path.join(root, "bucket"));
  const receipts = openStore(path.join(root, ".fanout", "receipts"));
  const deadLetters = openStore(path.join(root, ".fanout", "dead-letters"));
  const objects: CrashObject[] = [];
  const hashes = new Map<CrashObject, string>();
  const runs: Run[] = [];
  const snapshots: Snapshot[] = [];
  const closing = new Map<Run, () => Promise<void>>();

  const look = async (): Promise<Snapshot> => {
    const states = new Map<string, { receipt: Receipt | undefined; claims: Map<number, number> }>();
    const receipted = new Set<string>();
    for await (const { key } of receipts.list("books/")) {
      const [, place = "", digits, what] = /([^/]+\/[^/]+)\/(\d{6})\.(claim|receipt)\.json$/.exec(key) ?? [];
      if (what === undefined) throw new Error(`${key} is no file of the books`);
      const state = states.get(place) ?? { receipt: undefined, claims: new Map() };
      states.set(place, state);
      if (what === "receipt") {
        state.receipt = await readReceipt(receipts, key);
        receipted.add(`${place} ${Number(digits)}`);
      } else {
        // What `processOwner` wrote: machine, process, start.
        const { owner } = JSON.parse((await readAll(receipts, key)).toString("utf8"));
        state.claims.set(Number(digits), Number(/\|(\d+)\|[^|]*$/.exec(owner)?.[1]));
      }
    }
    const deferrals = new Set<string>();
    for await (const { key } of receipts.list(deferralsPrefix)) deferrals.add(key);
    const snapshot: Snapshot = {
      at: tick(),
      deferrals,
      lanes: objects.flatMap((object) =>
        lanes.map((lane): LaneState => {
          const place = `${hashes.get(object)}/${lane}`;
          const { receipt, claims = [] } = states.get(place) ?? {};
          return {
            object,
            lane,
            receipt,
            claims: [...claims].map(([generation, pid]) => ({
              generation,
              pid,
              hasReceipt: receipted.has(`${place} ${generation}`),
            })),
          };
        }),
      ),
    };
    snapshots.push(snapshot);
    return snapshot;
  };

  return {
    vendors,
    objects,
    runs,
    snapshots,
    receipts,
    deadLetters,
    folder: path.join(root, ".fanout"),

    async add(more) {
      for (const object of more) {
        const { key, bytes } = object;
        const file = path.join(root, "bucket", key);
        await mkdir(path.dirname(file), { recursive: true });
        await writeFile(file, bytes);
        const version = createHash("md5").update(bytes).digest("hex");
        const owner = { id: "the harness, which claims nothing" };
        const place = { bucket: bucket.location, key, version };
        hashes.set(object, openBooks(receipts, place, owner, systemClock, silent).hash);
        objects.push(object);
      }
    },

    async start({ step, onBegun, ...serving } = {}) {
      const number = runs.length + 1;
      const { env, close } = await vendors.serve({ ...serving, run: number });
      const isWatched = step !== undefined || onBegun !== undefined;
      const watching = {
        NODE_OPTIONS: `--import=${preload}`,
        [stepVariable]: JSON.stringify(step ?? { nth: 0 }),
      };
      const { process, finished } = startFanout(
        ["run", "bucket", "--json"],
        isWatched ? { ...env, ...watching } : env,
        root,
      );
      const run: Run = {
        number,
        pid: process.pid ?? 0,
        startedAt: tick(),
        endedAt: undefined,
        finished,
        kill: () => process.kill("SIGKILL"),
      };
      process.once("exit", () => {
        run.endedAt = tick();
      });
      process.stderr?.on("data", (chunk: Buffer) => {
        if (chunk.includes(begunLine)) onBegun?.();
      });
      runs.push(run);
      closing.set(run, close);
      return run;
    },

    async end(run) {
      const finished = await run.finished;
      await closing.get(run)?.();
      return finished;
    },

    look,

    async close() {
      for (const run of runs) if (run.endedAt === undefined) run.kill();
      await Promise.all(runs.map((run) => run.finished));
      await Promise.all([...closing.values()].map((close) => close()));
      await rm(root, { recursive: true, force: true });
    },
  };
}
