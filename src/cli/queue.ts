// The queues behind the pipeline for `fanout dlq … --queue`, put together from the configuration.
import type { FanoutConfig } from "../config.ts";
import type { Logger } from "../log.ts";
import { createOpenQueue } from "../queues/open.ts";
import type { OpenQueue } from "../queues/queue.ts";
import { openStore } from "../store/open.ts";
import { createWorker, type Worker, type WorkerOptions } from "../worker.ts";
import { processOwner } from "./owner.ts";

/**
 * The worker is made when the first notification is put back; closing a queue closes it, too.
 *
 * @param note gets each warning as a sentence.
 */
export function queueOpener(config: FanoutConfig, note: (sentence: string) => void): OpenQueue {
  const tell: Logger["warn"] = (message, { reason } = {}) =>
    note(reason === undefined ? message : `${message}: ${reason}`);
  const log: Logger = { debug() {}, info() {}, warn: tell, error: tell };
  return async (address) => {
    const deadLetters = openStore(config.deadLetters);
    const owner = processOwner();
    const { metrics } = config;
    let worker: Worker | undefined;
    const make = (): Worker => {
      const receipts = openStore(config.receipts);
      const options: WorkerOptions = { ...config, source, receipts, deadLetters, owner, log };
      return createWorker(options);
    };
    const open = createOpenQueue({
      deadLetters,
      worker: {
        process(ref, options) {
          worker ??= make();
          return worker.process(ref, options);
        },
      },
      own: [config.receipts, config.deadLetters],
      owner,
      log,
      ...(metrics === undefined ? {} : { metrics }),
    });
    const queue = await open(address);
    return {
      ...queue,
      async close() {
        await queue.close?.();
        await worker?.close();
      },
    };
  };
}

/** Notifications name buckets of S3. */
const source = (bucket: string) => openStore(`s3://${bucket}`);
