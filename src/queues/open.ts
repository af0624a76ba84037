// From an address to the queue behind it: Firehose's objects in a bucket or folder, or messages in SQS.
import { randomUUID } from "node:crypto";
import type { FirehoseClient } from "@aws-sdk/client-firehose";
import type { SQSClient } from "@aws-sdk/client-sqs";
import type { Owner } from "../books/claim.ts";
import { ConfigError } from "../config.ts";
import { type Clock, type Random, systemClock } from "../delivery/clock.ts";
import { createNoWorkRule } from "../intake/no-work.ts";
import { type Logger, silent } from "../log.ts";
import { eventRules } from "../routing/event-rules.ts";
import type { Metric } from "../routing/metric.ts";
import type { ObjectStore } from "../store/object-store.ts";
import { type OpenOptions, openSource } from "../store/open.ts";
import type { Worker } from "../worker.ts";
import { firehoseQueueName, openFirehoseFailed } from "./firehose-failed.ts";
import { createMessageBox } from "./messages.ts";
import { createStreamWriter } from "./put-records.ts";
import type { FailureQueue, OpenQueue } from "./queue.ts";
import { createSqsQueue } from "./sqs.ts";
import { createRecordReader } from "./stream-record.ts";
import { createTakenBook } from "./taken.ts";

export interface OpenQueueOptions {
  /** Keeps the archive of what is dropped, and the notes of what was taken of Firehose's objects. */
  readonly deadLetters: ObjectStore;
  /** Processes the objects that notifications name. */
  readonly worker: Pick<Worker, "process">;
  /** Where the worker writes, as `s3://bucket/prefix`: its own objects are not given back to it. Default none. */
  readonly own?: readonly string[];
  /** The catalog: what the rules make of bus events, and what the transform takes. Default: nothing is known of them. */
  readonly metrics?: readonly Metric[];
  /** Who claims Firehose's objects. Default: a name of its own, which nobody can know to be gone. */
  readonly owner?: Owner;
  /** Default: clients of the queue's own, in the region that a queue, a stream or a function is in. */
  readonly firehose?: FirehoseClient;
  readonly sqs?: SQSClient;
  /** For `s3://`. */
  readonly s3?: NonNullable<OpenOptions["client"]>;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly log?: Logger;
}

/**
 * Opens what an address names:
 *
 * - `https://sqs.<region>.amazonaws.com/<account>/<queue>`: a dead-letter queue, of EventBridge's targets, of the
 *   worker's notifications, or of both;
 * - `s3://bucket/Error/processing-failed/` or a folder: what the stream could not process. `?stream=<name>` at its
 *   end says where the records are put, when the names of the objects do not.
 *
 * The function throws a {@link ConfigError} for an address that names neither, and a `StoreError` where nothing can be
 * read.
 */
export function createOpenQueue(options: OpenQueueOptions): OpenQueue {
  const { deadLetters, worker, metrics, clock = systemClock, random = Math.random, log = silent } = options;
  const { owner = { id: randomUUID() } } = options;
  const read = createRecordReader(metrics);
  const noWork = createNoWorkRule(options);
  const rules = metrics === undefined ? undefined : eventRules(metrics);

  return async (address): Promise<FailureQueue> => {
    const writer = createStreamWriter({
      clock,
      random,
      ...(options.firehose === undefined ? {} : { client: options.firehose }),
    });
    if (/^https?:\/\//i.test(address)) {
      const url = queueUrl(address);
      const box = createMessageBox({ url, ...(options.sqs === undefined ? {} : { client: options.sqs }) });
      return createSqsQueue({ url, box, writer, worker, noWork, rules, deadLetters, read, clock, log });
    }
    const [, place = address, stream] = /^(.*)\?stream=(.*)$/s.exec(address) ?? [];
    if (stream !== undefined && !streamName.test(stream)) {
      throw new ConfigError([
        `${JSON.stringify(stream)} is no name of a delivery stream: it has letters, digits, _ . and -, 64 at most`,
      ]);
    }
    const source = await openSource(place, {
      clock,
      ...(options.s3 === undefined ? {} : { client: options.s3 }),
    });
    const taken = createTakenBook({ store: deadLetters, name: firehoseQueueName, owner, clock, log });
    return await openFirehoseFailed({
      source,
      writer,
      taken,
      deadLetters,
      read,
      clock,
      ...(stream === undefined ? {} : { stream }),
    });
  };
}

/** https://docs.aws.amazon.com/firehose/latest/APIReference/API_CreateDeliveryStream.html */
const streamName = /^[A-Za-z0-9_.-]{1,64}$/;

function queueUrl(address: string): string {
  const url = URL.parse(address);
  if (url === null || !/^\/[^/]+\/[^/]+$/.test(url.pathname) || url.search !== "" || url.hash !== "") {
    throw new ConfigError([
      `${JSON.stringify(address)} is no queue: write https://sqs.<region>.amazonaws.com/<account>/<queue>, a folder, or s3://bucket/prefix`,
    ]);
  }
  return address;
}
