// The Lambda entry: the configuration that ships, put together with the handler.
import makeConfig from "../../config/fanout.config.ts";
import { ConfigError, createWorker, openStore, resolveConfig, s3Store } from "../../src/index.ts";
import { createHandler } from "../../src/lambda/worker.ts";

export const handler = await createHandler({
  async createWorker(log) {
    const config = await resolveConfig(makeConfig, { env: process.env });
    for (const [name, address] of [
      ["RECEIPTS", config.receipts],
      ["DEAD_LETTERS", config.deadLetters],
    ] as const) {
      // A function's disk is gone with it: books that are to be durable cannot be there.
      if (!address.startsWith("s3://"))
        throw new ConfigError([`${name} must be an s3:// URL in a Lambda function`]);
    }
    return createWorker({
      ...config,
      source: (bucket) => s3Store({ bucket }),
      receipts: openStore(config.receipts),
      deadLetters: openStore(config.deadLetters),
      log,
    });
  },
});
