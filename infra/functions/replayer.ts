// The replayer's Lambda entry: the configuration that ships, put together with the handler.
import { createWorker, type ObjectStore, openStore } from "../../src/index.ts";
import { createMetrics } from "../../src/lambda/metrics.ts";
import { createReplayer } from "../../src/lambda/replayer.ts";
import { loadConfig } from "./config.ts";

/** One store a bucket: its client's connections outlive an object. Books call a bucket by its location. */
const sources = new Map<string, ObjectStore>();

const { renewableSinks, ...worker } = await loadConfig();
const receipts = openStore(worker.receipts);
const deadLetters = openStore(worker.deadLetters);

export const handler = await createReplayer({
  metrics: createMetrics(process.env["METRICS_NAMESPACE"]),
  sinks: worker.sinks.map(({ name }) => name),
  receipts,
  deadLetters,
  createWorker: (log) =>
    createWorker({
      ...worker,
      sinks: renewableSinks(log),
      source(location) {
        const store = sources.get(location) ?? openStore(location);
        sources.set(location, store);
        return store;
      },
      receipts,
      deadLetters,
      log,
    }),
});
