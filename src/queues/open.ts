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
 *   end says where the records are put, when the names of the objects do not, and `?region=<region>` in which region
 *   that is, when the documents do not; `?stream=<name>&region=<region>` says both;
 * - `s3://bucket/aws/lambda/async/<function>/` or a folder: what Lambda gave up of the worker's asynchronous invocations.
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
    const { place, ...target } = placeAndTarget(address);
    const source = await openSource(place, {
      clock,
      ...(options.s3 === undefined ? {} : { client: options.s3 }),
    });
    const taken = createTakenBook({ store: deadLetters, name: firehoseQueueName, owner, clock, log });
    return await openFirehoseFailed({
      source,
      writer,
      worker,
      noWork,
      taken,
      deadLetters,
      read,
      clock,
      log,
      ...target,
    });
  };
}

/** What stands behind the `?`, each at most once. */
function placeAndTarget(address: string): { place: string; stream?: string; region?: string } {
  const [, place, query] = /^(.*?)\?((?:stream|region)=.*)$/s.exec(address) ?? [];
  if (place === undefined || query === undefined) return { place: address };
  const given = new Map<string, string>();
  for (const part of query.split("&")) {
    const [, name = "", value = ""] = /^(\w*)=?(.*)$/s.exec(part) ?? [];
    const problem =
      name !== "stream" && name !== "region"
        ? `${JSON.stringify(part)} says nothing that is known: an address ends in ?stream=<name>, ?region=<region> or ?stream=<name>&region=<region>`
        : given.has(name)
          ? `the address says ${name} twice`
          : problemOf(name, value);
    if (problem !== undefined) throw new ConfigError([problem]);
    given.set(name, value);
  }
  const { stream, region } = Object.fromEntries(given);
  return {
    place,
    ...(stream === undefined ? {} : { stream }),
    ...(region === undefined ? {} : { region }),
  };
}

function problemOf(name: "stream" | "region", value: string): string | undefined {
  const quotedValue = JSON.stringify(value);
  if (name === "region") {
    return regionName.test(value) ? undefined : `${quotedValue} is no AWS region, such as eu-central-1`;
  }
  return streamName.test(value)
    ? undefined
    : `${quotedValue} is no name of a delivery stream: it has letters, digits, _ . and -, 64 at most`;
}

/** Of every partition: `us-gov-west-1`, `us-isob-east-1`. */
const regionName = /^[a-z]{2}(-[a-z]+)+-\d+$/;

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
