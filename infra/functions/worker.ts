// The Lambda entry: the configuration that ships, put together with the handler.
import { createWorker, type ObjectStore, openStore, s3Store } from "../../src/index.ts";
import { createMetrics } from "../../src/lambda/metrics.ts";
import { createHandler } from "../../src/lambda/worker.ts";
import { loadConfig } from "./config.ts";

/** One store a bucket: its client's connections outlive an object. */
const buckets = new Map<string, ObjectStore>();

const { renewableSinks, ...worker } = await loadConfig();

export const handler = await createHandler({
  metrics: createMetrics(process.env["METRICS_NAMESPACE"]),
  own: [worker.receipts, worker.deadLetters],
  createWorker: (log) =>
    createWorker({
      ...worker,
      sinks: renewableSinks(log),
      source(bucket) {
        const store = buckets.get(bucket) ?? s3Store({ bucket });
        buckets.set(bucket, store);
        return store;
      },
      receipts: openStore(worker.receipts),
      deadLetters: openStore(worker.deadLetters),
      log,
    }),
});
