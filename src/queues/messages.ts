// The messages of an SQS queue: received, held from others, given back, removed. Knows the SQS client.

import type { Message, SQSClient } from "@aws-sdk/client-sqs";
import { awsAgents } from "../delivery/proxy.ts";
import { awsFailure, storeError } from "./aws-error.ts";

export interface QueueMessage {
  /** The same as long as it waits. */
  readonly id: string;
  readonly body: string;
  /** Text attributes that whoever sent it gave it. */
  readonly attributes: Readonly<Record<string, string>>;
  /** When it came into its first queue, in milliseconds since the epoch. */
  readonly sentAt: number;
  /** How often it was received, this time included. */
  readonly receives: number;
  /** Of this receive. */
  readonly handle: string;
}

type Held = Pick<QueueMessage, "id" | "handle">;

export interface MessageBox {
  /** At most ten, hidden from others for `seconds`. Empty: nobody else's were visible anywhere. @throws {StoreError} */
  receive(seconds: number, signal: AbortSignal): Promise<readonly QueueMessage[]>;
  /**
   * Keeps messages hidden for so long from now on; 0 shows them to everybody. Answers the ids of those that are ours
   * no longer: their time was over. @throws {StoreError} when nothing is known.
   */
  hold(messages: readonly Held[], seconds: number): Promise<ReadonlySet<string>>;
  /** Answers the ids of those that may still be there, with the reason. Never rejects. */
  remove(messages: readonly Held[]): Promise<ReadonlyMap<string, string>>;
  close(): void;
}

/** https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteMessageBatch.html and its like. */
export const messagesPerCall = 10;

/**
 * A short poll asks some of the queue's servers alone, and may find nothing where there is something; a long one asks
 * them all. So long an empty queue keeps us waiting.
 * https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html
 */
const pollSeconds = 2;

/** Of the calls that give back what was looked at: a queue can hold many thousands of messages. */
const callsAtOnce = 8;

const connectionTimeout = 5_000;
const requestTimeout = 20_000;

export function createMessageBox(options: {
  readonly url: string;
  /** Default: one of its own, made at the first call. */
  readonly client?: SQSClient;
}): MessageBox {
  const { url } = options;
  let own: SQSClient | undefined;

  async function connect() {
    const sdk = await import("@aws-sdk/client-sqs");
    const region = regionIn(url);
    const client =
      options.client ??
      own ??
      new sdk.SQSClient({
        // Else the client warns that the queue is not where it would have looked for it.
        endpoint: new URL(url).origin,
        ...(region === undefined ? {} : { region }),
        requestHandler: { connectionTimeout, requestTimeout, ...awsAgents() },
      });
    if (options.client === undefined) own = client;
    return { sdk, client };
  }

  const failed = (doing: string, error: unknown) =>
    storeError(
      awsFailure(error, `${doing} the queue ${url}`, {
        QueueDoesNotExist: "there is no such queue",
        "AWS.SimpleQueueService.NonExistentQueue": "there is no such queue",
        OverLimit:
          "so many of its messages are in use that it gives out no more: wait until they are visible again",
        AccessDenied: "check that its messages may be received, deleted and have their visibility changed",
      }),
    );

  return {
    async receive(seconds, signal) {
      try {
        const { sdk, client } = await connect();
        const { Messages: messages = [] } = await client.send(
          new sdk.ReceiveMessageCommand({
            QueueUrl: url,
            MaxNumberOfMessages: messagesPerCall,
            VisibilityTimeout: seconds,
            WaitTimeSeconds: pollSeconds,
            MessageAttributeNames: ["All"],
            MessageSystemAttributeNames: ["All"],
          }),
          { abortSignal: signal },
        );
        return messages.flatMap((message) => fromSdk(message) ?? []);
      } catch (error) {
        if (signal.aborted) return [];
        throw failed("receiving from", error);
      }
    },

    async hold(messages, seconds) {
      const lost = new Set<string>();
      const left = batches(messages);
      const take = async () => {
        for (const batch of left) {
          const { sdk, client } = await connect();
          const { Failed: failures = [] } = await client.send(
            new sdk.ChangeMessageVisibilityBatchCommand({
              QueueUrl: url,
              Entries: batch.map(({ handle }, index) => ({
                Id: String(index),
                ReceiptHandle: handle,
                VisibilityTimeout: seconds,
              })),
            }),
          );
          for (const { Id: index } of failures) lost.add(batch[Number(index)]?.id ?? "");
        }
      };
      try {
        await Promise.all(Array.from({ length: callsAtOnce }, take));
      } catch (error) {
        throw failed("holding messages of", error);
      }
      return lost;
    },

    async remove(messages) {
      const left = new Map<string, string>();
      for (const batch of batches(messages)) {
        try {
          const { sdk, client } = await connect();
          const { Failed: failures = [] } = await client.send(
            new sdk.DeleteMessageBatchCommand({
              QueueUrl: url,
              Entries: batch.map(({ handle }, index) => ({ Id: String(index), ReceiptHandle: handle })),
            }),
          );
          for (const { Id: index, Code: code } of failures) {
            left.set(batch[Number(index)]?.id ?? "", `SQS answered ${code ?? "with an error"}`);
          }
        } catch (error) {
          const { message } = failed("deleting from", error);
          for (const { id } of batch) left.set(id, message);
        }
      }
      return left;
    },

    close() {
      own?.destroy();
      own = undefined;
    },
  };
}

/** `https://sqs.<region>.amazonaws.com/…`, and the older `https://<region>.queue.amazonaws.com/…`. */
function regionIn(url: string): string | undefined {
  const { hostname } = new URL(url);
  return (/^sqs(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws|api)\./.exec(hostname) ??
    /^([a-z0-9-]+)\.queue\.amazonaws\./.exec(hostname))?.[1];
}

function fromSdk(message: Message): QueueMessage | undefined {
  const { MessageId: id, ReceiptHandle: handle, Body: body = "", MessageAttributes: given = {} } = message;
  // SQS sends both with every message.
  if (id === undefined || handle === undefined) return undefined;
  const { SentTimestamp: sentAt, ApproximateReceiveCount: receives } = message.Attributes ?? {};
  const attributes = Object.entries(given).flatMap(([name, { StringValue: value }]) =>
    value === undefined ? [] : [[name, value] as const],
  );
  return {
    id,
    handle,
    body,
    attributes: Object.fromEntries(attributes),
    sentAt: Number(sentAt ?? 0),
    receives: Number(receives ?? 1),
  };
}

function* batches<T>(values: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < values.length; at += messagesPerCall) yield values.slice(at, at + messagesPerCall);
}
