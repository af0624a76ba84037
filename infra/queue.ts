// A queue for what somebody has to look at.
import { Duration } from "aws-cdk-lib";
import * as sqs from "aws-cdk-lib/aws-sqs";
import type { Construct } from "constructs";

/** The most that SQS allows. A message keeps the age that it had in the queue before.
 * https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html */
export const deadLetterDays = 14;

/** What every queue has: encrypted, over TLS only. */
export const safeQueue = { encryption: sqs.QueueEncryption.SQS_MANAGED, enforceSSL: true } as const;

export function createDeadLetterQueue(scope: Construct, id: string): sqs.Queue {
  return new sqs.Queue(scope, id, { ...safeQueue, retentionPeriod: Duration.days(deadLetterDays) });
}
