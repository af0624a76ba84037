// Ours, as it is delivered: the worker with its books, ids, validation, retries and accounting, and the real sinks.
import { readFile } from "node:fs/promises";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import { keepRecordsYoung } from "../../src/heap.ts";
import {
  createWorker,
  defineSink,
  folderStore,
  type MetricEvent,
  type ObjectReport,
  type Sink,
  sinkUnavailable,
  systemClock,
} from "../../src/index.ts";
import { type MemoryStore, memoryStore } from "../../test/support/memory-store.ts";
import type { VendorUrls } from "../acceptors.ts";
import {
  type Contender,
  type CoreOrder,
  type Cost,
  costNow,
  type Order,
  type SinkName,
} from "../contender.ts";
import { heldObject } from "../held-object.ts";

export default async function core({
  file,
  urls,
  core: setup = { sinks: ["null"] },
}: Order): Promise<Contender> {
  // As the Lambda function does.
  keepRecordsYoung();
  const key = path.basename(file);
  const source =
    setup.fromFile === true
      ? folderStore({ root: path.dirname(file) })
      : heldObject(key, await readFile(file));
  const least =
    setup.sinks.includes("null") || setup.fromFile === true ? undefined : await fewest(file, setup, urls);
  const [receipts, deadLetters] = [books(), books()];
  const workerOf = (sinks: readonly Sink<unknown>[]) =>
    createWorker({ sinks, source: () => source, receipts, deadLetters });
  const deliver = async (sinks: readonly Sink<unknown>[], signal?: AbortSignal) => {
    const worker = workerOf(sinks);
    try {
      return await worker.process({ bucket: "bench", key }, signal === undefined ? {} : { signal });
    } finally {
      await worker.close();
    }
  };
  // One for all rounds, as a function has it, and its connections.
  const worker = workerOf(await sinksOf(setup, urls));
  return {
    async prepare() {
      receipts.objects.clear();
      deadLetters.objects.clear();
      if (setup.drains !== true) return;
      const report = await deliver((await sinksOf(setup, urls)).map(unusable));
      check(report, setup, ({ pending }) => pending);
    },
    async round() {
      if (setup.hangs !== undefined) {
        return await withoutHanging(deliver, await sinksOf(setup, urls), setup.hangs);
      }
      const report = await worker.process({ bucket: "bench", key });
      check(report, setup, ({ delivered, deadLettered }, name) =>
        name === setup.rejects ? deadLettered : delivered,
      );
      const requests = Object.entries(report.sinks).map(([name, { requests: sent }]) => {
        return [name, { sent, least: least?.[name] ?? 0 }] as const;
      });
      return { records: report.records, requests: Object.fromEntries(requests) };
    },
  };
}

type Deliver = (sinks: readonly Sink<unknown>[], signal?: AbortSignal) => Promise<ObjectReport>;

function books(): MemoryStore {
  return memoryStore("memory://books", systemClock);
}

/** Nothing that the bench did not mean may make a run cheaper. */
function check(
  { valid, invalid, sinks }: ObjectReport,
  { sinks: names }: CoreOrder,
  meant: (report: ObjectReport["sinks"][string], name: string) => number,
): void {
  const isMeant = names.every((name) => {
    const report = sinks[name];
    return report !== undefined && meant(report, name) === report.valid && report.valid > 0;
  });
  if (invalid > 0 || !isMeant)
    throw new Error(`not what was meant of ${valid} records: ${JSON.stringify(sinks)}`);
}

/** The round is over when every sink but the hanging one has delivered everything. */
async function withoutHanging(deliver: Deliver, sinks: readonly Sink<unknown>[], hanging: string) {
  const ended = new AbortController();
  let over: Cost = costNow();
  const watched = sinks.map((sink): Sink<unknown> => {
    if (sink.name === hanging) return sink;
    return {
      ...sink,
      async send(batch, context) {
        const outcome = await sink.send(batch, context);
        over = costNow();
        clearTimeout(quiet);
        quiet = setTimeout(() => ended.abort(), quietMs);
        return outcome;
      },
    };
  });
  let quiet = setTimeout(() => ended.abort(), 60_000);
  const report = await deliver(watched, ended.signal);
  clearTimeout(quiet);
  for (const [name, { delivered, valid }] of Object.entries(report.sinks)) {
    if (name !== hanging && delivered !== valid)
      throw new Error(`${name} delivered ${delivered} of ${valid}`);
  }
  return { records: report.records, over };
}

/** Without an answer for so long, the others have nothing left to send. Longer than the reader's patience. */
const quietMs = 1_000;

function sinksOf(
  { sinks, hangs, rejects, gzip = false }: CoreOrder,
  urls: VendorUrls,
): Promise<Sink<unknown>[]> {
  return Promise.all(
    sinks.map((name) => {
      if (name === hangs) return makers[name](() => urls.hanging, gzip);
      return makers[name]((vendor) => (name === rejects ? urls.rejecting : urls[vendor]), gzip);
    }),
  );
}

/** An adapter is imported only where it is measured, as in the configuration: collecting garbage walks its SDK, too. */
const makers: Record<
  SinkName,
  (url: (name: keyof VendorUrls) => string, gzip: boolean) => Promise<Sink<unknown>>
> = {
  null: async () => nullSink,
  timestream: async (url) => {
    const { timestreamSink } = await import("../../adapters/timestream/index.ts");
    const credentials = { accessKeyId: "bench", secretAccessKey: "bench" };
    return timestreamSink({
      database: "product",
      region: "us-east-1",
      endpoint: url("timestream"),
      credentials,
    });
  },
  segment: async (url, gzip) => {
    const { segmentSink } = await import("../../adapters/segment/index.ts");
    return segmentSink({ writeKey: "bench", host: url("segment"), gzip });
  },
  mixpanel: async (url, gzip) => {
    const { mixpanelSink } = await import("../../adapters/mixpanel/index.ts");
    // Its documented rate would be all that is measured.
    return unpaced(mixpanelSink({ token: "bench", host: url("mixpanel"), gzip }));
  },
  "hubspot-events": async (url) => {
    const { hubspotEventsSink } = await import("../../adapters/hubspot/index.ts");
    return hubspotEventsSink({ accessToken: "bench", baseUrl: url("hubspot") });
  },
};

function unpaced<P>(sink: Sink<P>): Sink<P> {
  const { requestsPerSecond: _, ...limits } = sink.limits;
  return { ...sink, limits };
}

/** Takes everything, at once, and wants nothing of it but its id. */
const nullSink = defineSink({
  name: "null",
  limits: { itemsPerRequest: 500, bytesPerRequest: 2 ** 21, bytesPerItem: 2 ** 20, concurrency: 10 },
  encode: ({ id }) => ({ payload: id, bytes: 500 }),
  send: async () => ({ status: "delivered" }),
});

/** The same sink on a day when its token has expired. */
function unusable(sink: Sink<unknown>): Sink<unknown> {
  return { ...sink, send: () => Promise.reject(sinkUnavailable("its token has expired")) };
}

/** By sink: requests that would do if all items were there at once, filled to the last byte. */
async function fewest(file: string, setup: CoreOrder, urls: VendorUrls): Promise<Record<string, number>> {
  const texts = gunzipSync(await readFile(file))
    .toString("utf8")
    .split(/\n|(?<=\})(?=\{"metric_name")/)
    .filter((text) => text !== "");
  const least: Record<string, number> = {};
  for (const sink of await sinksOf(setup, urls)) {
    const { itemsPerRequest, bytesPerRequest, envelopeBytes = 0 } = sink.limits;
    const partitions = new Map<string, { items: number; bytes: number }>();
    for (const text of texts) {
      // objects.ts wrote this shape.
      const { metric_name, metadata, data } = JSON.parse(text) as {
        metric_name: string;
        metadata: { tenant_id: string; event_id: string };
        data: { event_time: string };
      };
      const event: MetricEvent = {
        id: metadata.event_id,
        metricName: metric_name,
        tenantId: metadata.tenant_id,
        time: Date.parse(data.event_time),
        metadata,
        data,
      };
      const encoded = sink.encode(event);
      if (!("payload" in encoded)) throw new Error(`${sink.name} takes no ${JSON.stringify(encoded)}`);
      const name = sink.partition?.(event) ?? "";
      const { items, bytes } = partitions.get(name) ?? { items: 0, bytes: 0 };
      partitions.set(name, { items: items + 1, bytes: bytes + encoded.bytes });
    }
    least[sink.name] = [...partitions.values()].reduce((sum, { items, bytes }) => {
      return (
        sum +
        Math.max(Math.ceil(items / itemsPerRequest), Math.ceil(bytes / (bytesPerRequest - envelopeBytes)))
      );
    }, 0);
  }
  return least;
}
