// A worker between a source in memory and vendors' twins, with faults before the twins and time that moves by itself.
import { gunzipSync } from "node:zlib";
import { type Receipt, readReceipt } from "../../src/books/receipt.ts";
import type { DeadLetter } from "../../src/dead-letter/dead-letter.ts";
import type { ObjectReport, Sink, WorkerOptions } from "../../src/index.ts";
import {
  type Fault,
  injectFaults,
  type TwinHandler,
  twinHttp,
  type VirtualClock,
} from "../../src/testing/index.ts";
import { requestText } from "./bodies.ts";
import { createWorld, type World } from "./world.ts";

export interface Vendor {
  readonly sink: Sink<unknown>;
  /** The host that the sink is configured with. */
  readonly host: string;
  readonly handle: TwinHandler;
}

/** One request, as the vendor's side saw it. */
export interface SeenRequest {
  readonly host: string;
  readonly path: string;
  /** Milliseconds since the run began. */
  readonly at: number;
  readonly fault: Fault["kind"] | undefined;
  /** Elements of the body, or of its `inputs`. */
  readonly items: number;
}

export interface VendorRun {
  readonly world: World;
  readonly requests: SeenRequest[];
  /** What goes wrong with the nth request to a host, from 1. Default nothing. */
  next: (n: number, request: SeenRequest) => Fault | undefined;
  process(key?: string): Promise<ObjectReport>;
  /** The dead letters that the newest receipts name, of every object. */
  letters(): Promise<DeadLetter[]>;
  /** The newest receipt of every object and lane, but for the names of files, which are drawn anew in every run. */
  receipts(): Promise<Record<string, unknown>>;
}

/** A world with the object `a`; the caller puts the events into it. */
export function createVendorRun(
  vendors: (clock: VirtualClock) => readonly Vendor[],
  options: Partial<WorkerOptions> = {},
): VendorRun {
  const world = createWorld();
  const { clock } = world;
  const start = clock.now();
  const all = vendors(clock);
  const run: VendorRun = {
    world,
    requests: [],
    next: () => undefined,
    process: (key = "a") => clock.run(worker.process({ bucket: "source", key })),
    letters: async () => {
      const names = Object.values(await newestReceipts(world)).flatMap(({ letters }) => letters);
      return names.flatMap((name) => {
        const file = world.deadLetters.objects.get(name);
        if (file === undefined) throw new Error(`a receipt names ${name}, which is not there`);
        const lines = gunzipSync(file.bytes).toString("utf8").trimEnd().split("\n");
        return lines.map((line): DeadLetter => JSON.parse(line));
      });
    },
    receipts: async () => {
      const newest = Object.entries(await newestReceipts(world));
      return Object.fromEntries(newest.map(([place, { letters, ...rest }]) => [place, rest]));
    },
  };
  const handlers = new Map(
    all.map(({ host, handle }) => {
      let coming: Fault | undefined;
      let n = 0;
      const faulty = injectFaults(handle, () => coming, clock);
      const seen: TwinHandler = async (request) => {
        const { pathname: path } = new URL(request.url);
        const items = countItems(await requestText(request));
        n++;
        const one = { host, path, at: clock.now() - start, items };
        coming = run.next(n, { ...one, fault: undefined });
        run.requests.push({ ...one, fault: coming?.kind });
        return await faulty(request);
      };
      return [host, twinHttp(seen, clock)] as const;
    }),
  );
  const worker = world.worker(
    all.map(({ sink }) => sink),
    {
      http: (request, signal) => {
        const send = handlers.get(new URL(request.url).host);
        if (send === undefined) throw new Error(`nobody is ${request.url}`);
        return send(request, signal);
      },
      ...options,
    },
  );
  return run;
}

/** By the folder of its object and lane. */
async function newestReceipts({ receipts }: World): Promise<Record<string, Receipt>> {
  const newest: Record<string, Receipt> = {};
  for (const key of [...receipts.objects.keys()].filter((each) => each.endsWith(".receipt.json")).sort()) {
    newest[key.slice(0, key.lastIndexOf("/"))] = await readReceipt(receipts, key);
  }
  return newest;
}

function countItems(body: string): number {
  const value: unknown = JSON.parse(body);
  const list = typeof value === "object" && value !== null && "inputs" in value ? value.inputs : value;
  return Array.isArray(list) ? list.length : 0;
}
