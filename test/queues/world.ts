// An operator's world: SQS, Firehose and S3 on loopback, real clients, a folder, and stores in memory.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import { FirehoseClient } from "@aws-sdk/client-firehose";
import { SQSClient } from "@aws-sdk/client-sqs";
import { afterEach } from "vitest";
import { type Clock, loadCatalog, type Metric, type ObjectRef } from "../../src/index.ts";
import { createOpenQueue, type OpenQueueOptions } from "../../src/queues/open.ts";
import type { FailureQueue, QueueEntry, QueueOutcome } from "../../src/queues/queue.ts";
import { injectFaults, type NextFault } from "../../src/testing/faults.ts";
import { serveTwin, type TwinHandler } from "../../src/testing/twin.ts";
import type { Worker } from "../../src/worker.ts";
import { type ManualClock, manualClock } from "../store/suite.ts";
import { createFirehoseTwin, type FirehoseTwin } from "../support/firehose-twin.ts";
import { type MemoryStore, memoryStore } from "../support/memory-store.ts";
import { createSqsTwin, type SqsTwin } from "../support/sqs-twin.ts";

export const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

interface OpenOptions extends Partial<OpenQueueOptions> {
  /** The configuration has none. */
  readonly noCatalog?: true;
}

export interface OperatorsWorld {
  readonly clock: ManualClock;
  readonly sqs: SqsTwin;
  readonly firehose: FirehoseTwin;
  readonly deadLetters: MemoryStore;
  /** Where objects of Firehose's are put. */
  readonly folder: string;
  readonly queueUrl: string;
  /** For clients that look there: region, credentials and Firehose's endpoint. */
  readonly env: Readonly<Record<string, string>>;
  /** Goes wrong in the twins' place, or around them. */
  readonly faults: { sqs: NextFault; firehose: NextFault };
  /** Another operator each time. */
  open(address: string, options?: OpenOptions): Promise<FailureQueue>;
  /** Writes an object of Firehose's; answers its path. */
  putObject(content: string | Uint8Array, name?: string): Promise<string>;
  /** The lines of every archive file. */
  archived(): readonly Readonly<Record<string, unknown>>[];
}

export const metrics: readonly Metric[] = await loadCatalog(new URL("../../config/metrics", import.meta.url));

/** As Firehose names its objects. */
export const objectName = "product-events-1-2026-11-20-09-30-00-5f3c1f6e-2d1b-4c5a-9a53-0c6b1f0e7a11";

export const credentials = { accessKeyId: "test", secretAccessKey: "test" };

/** @param options.sqsClock where processes of their own look at what SQS says. Default: the world's clock. */
export async function operatorsWorld(
  options: { readonly sqsClock?: Pick<Clock, "now"> } = {},
): Promise<OperatorsWorld> {
  const clock = manualClock();
  const sqs = createSqsTwin({ clock: options.sqsClock ?? clock });
  const firehose = createFirehoseTwin();
  const faults: OperatorsWorld["faults"] = { sqs: () => undefined, firehose: () => undefined };
  const serve = async (handle: TwinHandler, which: keyof typeof faults) => {
    const served = await serveTwin(injectFaults(handle, (request, n) => faults[which](request, n)));
    closing.push(served.close);
    return served.url;
  };
  const [sqsUrl, firehoseUrl] = [await serve(sqs.handle, "sqs"), await serve(firehose.handle, "firehose")];
  const common = { region: "eu-central-1", credentials, maxAttempts: 1 };
  const sqsClient = new SQSClient({ ...common, endpoint: sqsUrl });
  const firehoseClient = new FirehoseClient({ ...common, endpoint: firehoseUrl });
  closing.push(
    () => sqsClient.destroy(),
    () => firehoseClient.destroy(),
  );
  const folder = await mkdtemp(path.join(os.tmpdir(), "fanout-queues-"));
  closing.push(() => rm(folder, { recursive: true }));
  const deadLetters = memoryStore("memory://dead-letters", clock);
  return {
    clock,
    sqs,
    firehose,
    deadLetters,
    folder,
    queueUrl: `${sqsUrl}${sqs.path}`,
    env: {
      AWS_REGION: common.region,
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      AWS_ENDPOINT_URL_FIREHOSE: firehoseUrl,
    },
    faults,
    open: (address, { noCatalog, ...options } = {}) =>
      createOpenQueue({
        deadLetters,
        worker: noWorker,
        ...(noCatalog ? {} : { metrics }),
        sqs: sqsClient,
        firehose: firehoseClient,
        clock,
        random: () => 0.5,
        ...options,
      })(address),
    async putObject(content, name = objectName) {
      const file = path.join(folder, name);
      await writeFile(file, content);
      return file;
    },
    archived() {
      const files = [...deadLetters.objects].filter(([key]) => key.startsWith("archive/"));
      return files.flatMap(([, { bytes }]) =>
        gunzipSync(bytes)
          .toString("utf8")
          .trimEnd()
          .split("\n")
          .map((line): Readonly<Record<string, unknown>> => JSON.parse(line)),
      );
    },
  };
}

const noWorker: Pick<Worker, "process"> = {
  process: () => Promise.reject(new Error("this world has no worker")),
};

export const order = { id: "r-1", signal: new AbortController().signal };
export const dropOrder = { ...order, reason: "a test of last year", by: "operator" };

export async function entriesOf(queue: FailureQueue): Promise<QueueEntry[]> {
  const entries: QueueEntry[] = [];
  for await (const entry of queue.entries(order)) entries.push(entry);
  return entries;
}

/** Puts back what a queue holds, as commands do: in batches while it is being read, and what is left at the end. */
export async function putAllBack(
  queue: FailureQueue,
  wanted: (entry: QueueEntry) => boolean = () => true,
): Promise<readonly QueueOutcome[]> {
  const outcomes: QueueOutcome[] = [];
  let batch: QueueEntry[] = [];
  for await (const entry of queue.entries(order)) {
    if (!wanted(entry)) continue;
    batch.push(entry);
    if (batch.length < queue.limits.itemsPerRequest) continue;
    outcomes.push(...(await queue.putBack(batch, order)));
    batch = [];
  }
  if (batch.length > 0) outcomes.push(...(await queue.putBack(batch, order)));
  return outcomes;
}

export async function textOf({ content }: QueueEntry): Promise<string> {
  return Buffer.from(typeof content === "function" ? await content() : content).toString("utf8");
}

/** A worker that does as it is told, object by object. */
export function scriptedWorker(act: (ref: ObjectRef) => void = () => {}) {
  const processed: string[] = [];
  return {
    processed,
    worker: {
      async process(ref: ObjectRef) {
        processed.push(`${ref.bucket}/${ref.key}`);
        act(ref);
        const object = { bucket: ref.bucket, key: ref.key, version: ref.version ?? "1" };
        return { object, records: 0, valid: 0, invalid: 0, sinks: {}, unread: false, settled: [], busy: [] };
      },
    },
  };
}
