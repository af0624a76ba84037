// Puts records into a Firehose delivery stream: in calls that Firehose takes, with one outcome a record.

import type { FirehoseClient } from "@aws-sdk/client-firehose";
import type { Clock, Random } from "../delivery/clock.ts";
import { awsAgents } from "../delivery/proxy.ts";
import { type RetryPolicy, withRetries } from "../delivery/retry.ts";
import { awsFailure, oneLine, upperSnake } from "./aws-error.ts";
import type { QueueOutcome } from "./queue.ts";

export interface DeliveryStream {
  readonly name: string;
  /** Always told: the one that the shell is configured for may have another stream of the same name. */
  readonly region: string;
}

export interface StreamWriter {
  /**
   * One outcome a record, in their order; never rejects. `kept` may mean that nobody knows: the record may be in the
   * stream all the same.
   */
  put(
    stream: DeliveryStream,
    records: readonly Uint8Array[],
    signal: AbortSignal,
  ): Promise<readonly QueueOutcome[]>;
  /** Closes the clients that it made. */
  close(): void;
}

export interface StreamWriterOptions {
  /** Default: one of the writer's own for each region, made when it is needed. */
  readonly client?: FirehoseClient;
  readonly clock: Clock;
  readonly random: Random;
}

/** https://docs.aws.amazon.com/firehose/latest/APIReference/API_PutRecordBatch.html: 500 records, 4 MB in all, and
 * 1,000 KiB each, before base64. */
export const recordsPerCall = 500;
const bytesPerCall = 4 * 1024 * 1024;
export const bytesPerRecord = 1000 * 1024;

/** The smallest quota of a region: https://docs.aws.amazon.com/firehose/latest/dev/limits.html */
export const callsPerSecond = 1000;

/** What one call of `put` may take, waits included. */
export const putBudgetMs = 60_000;
/** A stream that is throttled is so for a second: its quotas are per second. The same page. */
const retries: RetryPolicy = { attempts: 5, firstMs: 500, maxMs: 5_000, longestWaitMs: 10_000 };

/** An answer of Firehose's that does not come is worth another try before the budget is spent. */
const requestTimeout = 20_000;
const connectionTimeout = 5_000;

/** The page above: "The error codes are ServiceUnavailableException or InternalFailure"; throttling for good measure. */
const passing = /ServiceUnavailable|InternalFailure|Throttl/;

const notSent: QueueOutcome = { status: "kept", reason: "the time was over before it was sent" };

export function createStreamWriter(options: StreamWriterOptions): StreamWriter {
  const { clock, random } = options;
  const own = new Map<string, FirehoseClient>();

  async function connect(region: string) {
    const sdk = await import("@aws-sdk/client-firehose");
    const known = options.client ?? own.get(region);
    if (known !== undefined) return { sdk, client: known };
    const client = new sdk.FirehoseClient({
      region,
      requestHandler: { connectionTimeout, requestTimeout, ...awsAgents() },
    });
    own.set(region, client);
    return { sdk, client };
  }

  /** One call; writes the outcomes of these records, and answers which of them are worth another one. */
  async function call(
    stream: DeliveryStream,
    records: readonly Uint8Array[],
    wanted: readonly number[],
    outcomes: QueueOutcome[],
    signal: AbortSignal,
  ): Promise<readonly number[]> {
    try {
      const { sdk, client } = await connect(stream.region);
      const { RequestResponses: replies = [] } = await client.send(
        new sdk.PutRecordBatchCommand({
          DeliveryStreamName: stream.name,
          Records: wanted.map((index) => ({ Data: records[index] ?? new Uint8Array(0) })),
        }),
        { abortSignal: signal },
      );
      return wanted.filter((index, position) => {
        const { RecordId, ErrorCode, ErrorMessage } = replies[position] ?? {};
        if (ErrorCode === undefined && RecordId !== undefined) {
          outcomes[index] = { status: "delivered" };
          return false;
        }
        if (ErrorCode === undefined) {
          outcomes[index] = { status: "kept", reason: "Firehose did not say what became of it" };
          return false;
        }
        const reason = `Firehose did not take it: ${oneLine(ErrorMessage ?? ErrorCode)}`;
        const again = passing.test(ErrorCode);
        outcomes[index] = again
          ? { status: "kept", reason }
          : { status: "refused", code: upperSnake(ErrorCode), reason };
        return again;
      });
    } catch (error) {
      const { reason, isPassing } = awsFailure(error, `putting records into the stream ${stream.name}`, {
        ResourceNotFound: "there is no such delivery stream in this account and region",
        InvalidSource: "its source is a Kinesis stream or a topic, so records must be put there",
        InvalidKMSResource: "its KMS key cannot be used",
        AccessDenied: "check that firehose:PutRecordBatch is allowed",
      });
      const outcome: QueueOutcome = signal.aborted ? notSent : { status: "kept", reason };
      for (const index of wanted) outcomes[index] = outcome;
      return isPassing && !signal.aborted ? wanted : [];
    }
  }

  return {
    async put(stream, records, signal) {
      const deadline = clock.now() + putBudgetMs;
      const outcomes: QueueOutcome[] = records.map((record) =>
        record.byteLength > bytesPerRecord ? tooLarge : notSent,
      );
      for (const chunk of chunksOf(records)) {
        if (signal.aborted || clock.now() >= deadline) break;
        let left: readonly number[] = chunk;
        await withRetries(
          async () => {
            left = await call(stream, records, left, outcomes, signal);
            return left.length === 0 ? "done" : { retryAfterMs: 0 };
          },
          { policy: retries, clock, random, signal, deadline },
        );
      }
      return outcomes;
    },
    close() {
      for (const client of own.values()) client.destroy();
      own.clear();
    },
  };
}

const tooLarge: QueueOutcome = {
  status: "refused",
  code: "RECORD_TOO_LARGE",
  reason: `the record has more than ${bytesPerRecord} bytes, which is the most that Firehose takes`,
};

/** The indexes of the records that can be sent, call by call. */
function* chunksOf(records: readonly Uint8Array[]): Generator<readonly number[]> {
  let chunk: number[] = [];
  let bytes = 0;
  for (const [index, { byteLength }] of records.entries()) {
    if (byteLength > bytesPerRecord) continue;
    if (chunk.length === recordsPerCall || bytes + byteLength > bytesPerCall) {
      yield chunk;
      chunk = [];
      bytes = 0;
    }
    chunk.push(index);
    bytes += byteLength;
  }
  if (chunk.length > 0) yield chunk;
}
