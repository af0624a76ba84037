// The Lambda entry: the configuration that ships, put together with the handler.
import makeConfig from "../../config/fanout.config.ts";
import {
  ConfigError,
  createWorker,
  type ObjectStore,
  openStore,
  resolveConfig,
  s3Store,
} from "../../src/index.ts";
import { createHandler } from "../../src/lambda/worker.ts";
import { readEnvironment } from "./secrets.ts";

/** One store a bucket: its client's connections outlive an object. */
const buckets = new Map<string, ObjectStore>();

const config = await resolveConfig(makeConfig, { env: await readEnvironment(process.env) });
// A function's disk is gone with it: books that are to be durable cannot be there.
const problems = Object.entries({ RECEIPTS: config.receipts, DEAD_LETTERS: config.deadLetters })
  .filter(([, address]) => !address.startsWith("s3://"))
  .map(([name]) => `${name} must be an s3:// URL in a Lambda function`);
if (problems.length > 0) throw new ConfigError(problems);

export const handler = await createHandler({
  own: [config.receipts, config.deadLetters],
  createWorker: (log) =>
    createWorker({
      ...config,
      source(bucket) {
        const store = buckets.get(bucket) ?? s3Store({ bucket });
        buckets.set(bucket, store);
        return store;
      },
      receipts: openStore(config.receipts),
      deadLetters: openStore(config.deadLetters),
      log,
    }),
});
