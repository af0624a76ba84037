// When a message that failed comes back to its queue: soon, where time alone may cure the failure, and not after the
// queue's whole visibility timeout.
import type { Random } from "../delivery/clock.ts";
import { awsAgents } from "../delivery/proxy.ts";
import { isFields, text } from "../intake/s3-events.ts";
import type { Logger } from "../log.ts";

/** A message of SQS as its event source mapping hands it over. */
export interface QueuedMessage {
  readonly queueArn: string;
  readonly receiptHandle: string;
  /** How often it has been received, this time included. */
  readonly receives: number;
  /** When it came into its queue, in milliseconds since the epoch; undefined when the record does not tell. */
  readonly sentAt?: number;
}

/** Hides a message for so many seconds from now on. Rejects when the queue refuses. */
export type ChangeVisibility = (message: QueuedMessage, seconds: number) => Promise<void>;

/**
 * Waits after a failure that time may cure, in seconds: 20, 40, 80 … up to 15 minutes, of which up to a half is drawn
 * off. A queue that gives a message up after {@link receives} receives gives it up after 1.9 to 3.9 hours: the first six
 * waits are 21 minutes, and thirteen of 15 minutes follow.
 */
const firstSeconds = 20;
const longestSeconds = 15 * 60;

/**
 * So many waits may be cut to the end of the claim that was in the way: those below 15 minutes. One claim may follow
 * another, as at a sink of one writer with a backlog; the thirteen full waits behind them are 1.6 hours at least.
 */
const waitsByClaim = 6;

/** After a failure that wants a person: it lies in the dead-letter queue, and rings, after 19 minutes. */
const lastingSeconds = 60;

/** How often a queue of this project's gives a message out before it goes to its dead-letter queue. */
export const receives = 20;

/** The message that a record of an event is; undefined for a record of another trigger. */
export function queuedMessage(record: unknown): QueuedMessage | undefined {
  if (!isFields(record)) return undefined;
  const attributes = isFields(record["attributes"]) ? record["attributes"] : {};
  const queueArn = text(record["eventSourceARN"]);
  const receiptHandle = text(record["receiptHandle"]);
  const count = Number(attributes["ApproximateReceiveCount"]);
  if (queueArn?.split(":")[2] !== "sqs" || receiptHandle === undefined) return undefined;
  const sentAt = Number(attributes["SentTimestamp"]);
  return {
    queueArn,
    receiptHandle,
    receives: Number.isInteger(count) && count > 0 ? count : 1,
    ...(Number.isSafeInteger(sentAt) && sentAt > 0 && { sentAt }),
  };
}

/** How a message failed. */
export interface ComeBack {
  /** Whether time alone may cure every failure of the message. */
  readonly isPassing: boolean;
  /** When the claim ends that was in the way, in milliseconds from now: it need not wait for longer. */
  readonly claimEndsInMs?: number | undefined;
}

/** Whole seconds until the message is given out again. */
export function secondsUntilBack(
  { isPassing, claimEndsInMs }: ComeBack,
  receivesSoFar: number,
  random: Random,
): number {
  if (!isPassing) return lastingSeconds;
  const bound = Math.min(longestSeconds, firstSeconds * 2 ** Math.min(receivesSoFar - 1, 10));
  const drawn = bound * (1 - random() / 2);
  const isByClaim = claimEndsInMs !== undefined && receivesSoFar <= waitsByClaim;
  const claimEnds = isByClaim ? claimEndsInMs / 1000 : drawn;
  return Math.max(1, Math.ceil(Math.min(drawn, claimEnds)));
}

/** Tells the queue; one that refuses is logged, since the message comes back after the queue's own time all the same. */
export async function comeBack(
  message: QueuedMessage,
  seconds: number,
  changeVisibility: ChangeVisibility,
  log: Logger,
): Promise<void> {
  try {
    await changeVisibility(message, seconds);
  } catch (error) {
    // What an SDK says may quote the request, which has no payload, but is long.
    const name = error instanceof Error ? error.name : "an unexpected error";
    log.warn("a message that failed comes back after its queue's visibility timeout", { reason: name });
  }
}

/**
 * By `sqs:ChangeMessageVisibility`, which the function's role needs. The client is loaded at the first failure.
 * https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html
 */
export function sqsVisibility(): ChangeVisibility {
  const open = async () => {
    const sdk = await import("@aws-sdk/client-sqs");
    // The region's endpoint is asked: an address that is made from an ARN need not be the queue's own.
    return { sdk, client: new sdk.SQSClient({ useQueueUrlAsEndpoint: false, requestHandler: awsAgents() }) };
  };
  let opening: ReturnType<typeof open> | undefined;
  return async ({ queueArn, receiptHandle }, seconds) => {
    opening ??= open();
    const { sdk, client } = await opening;
    await client.send(
      new sdk.ChangeMessageVisibilityCommand({
        QueueUrl: urlOf(queueArn),
        ReceiptHandle: receiptHandle,
        VisibilityTimeout: seconds,
      }),
    );
  };
}

/** https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-queue-message-identifiers.html */
function urlOf(arn: string): string {
  const [, partition, , region, account, name] = arn.split(":");
  const domain = partition === "aws-cn" ? "amazonaws.com.cn" : "amazonaws.com";
  return `https://sqs.${region}.${domain}/${account}/${name}`;
}
