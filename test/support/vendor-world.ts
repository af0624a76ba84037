// A world with one vendor in it: the sink, the core that drives it, and the vendor's twin behind the fault injector.
import type { SinkReport } from "../../src/books/report.ts";
import type { DeadLetter } from "../../src/dead-letter/dead-letter.ts";
import type { Sink } from "../../src/delivery/sink.ts";
import {
  injectFaults,
  type NextFault,
  type TwinHandler,
  twinHttp,
  type VirtualClock,
} from "../../src/testing/index.ts";
import type { WorkerOptions } from "../../src/worker.ts";
import { createWorld } from "./world.ts";

export interface VendorWorld {
  readonly clock: VirtualClock;
  /** What goes wrong with the requests from now on. */
  next: NextFault;
  /** Every request that reached the vendor or what stands in front of it, in order. */
  readonly requests: readonly { readonly at: number; readonly request: Request }[];
  /** Makes the records the object that is delivered; text stands as it is. */
  put(records: readonly (object | string)[]): void;
  /** One run, as of a new process: of what is not settled yet, within `seconds` (default 1 h). */
  deliver(seconds?: number): Promise<VendorRun>;
}

export interface VendorRun {
  readonly report: SinkReport;
  /** Why records are pending. */
  readonly reason: string | undefined;
  readonly letters: readonly DeadLetter[];
  /** The event ids of the letters with their codes, in order. */
  readonly refused: Readonly<Record<string, string>>;
  readonly tookMs: number;
}

/** @param create Is given the world's clock; the sink and the handler of its vendor's twin. */
export function vendorWorld(
  create: (clock: VirtualClock) => { readonly sink: Sink<unknown>; readonly handle: TwinHandler },
  options: Partial<WorkerOptions> = {},
): VendorWorld {
  const world = createWorld();
  const { clock } = world;
  const { sink, handle } = create(clock);
  const requests: { at: number; request: Request }[] = [];
  const faulty = injectFaults(handle, (request, n) => vendor.next(request, n), clock);
  const http = twinHttp((request) => {
    requests.push({ at: clock.now(), request: request.clone() });
    return faulty(request);
  }, clock);
  const vendor: VendorWorld = {
    clock,
    next: () => undefined,
    requests,
    put(records) {
      const lines = records.map((each) => (typeof each === "string" ? each : JSON.stringify(each)));
      world.source.objects.set("a", {
        bytes: Buffer.from(`${lines.join("\n")}\n`),
        lastModified: clock.now(),
      });
    },
    async deliver(seconds = 3600) {
      const start = clock.now();
      const worker = world.worker([sink], { http, ...options });
      const deadline = start + seconds * 1000;
      const { sinks } = await clock.run(worker.process({ bucket: "source", key: "a" }, { deadline }));
      const report = sinks[sink.name];
      if (report === undefined) throw new Error("the sink is in no report");
      const letters = await world.letters();
      const codes = letters.map(({ event, code }) => [event?.id ?? "no event", code] as const);
      return {
        report,
        reason: report.pendingReason,
        letters,
        refused: Object.fromEntries(codes),
        tookMs: clock.now() - start,
      };
    },
  };
  return vendor;
}
