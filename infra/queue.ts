// A queue for what somebody has to look at.
import { Duration } from "aws-cdk-lib";
import type * as kms from "aws-cdk-lib/aws-kms";
import * as sqs from "aws-cdk-lib/aws-sqs";
import type { Construct } from "constructs";

/** The most that SQS allows. A message keeps the age that it had in the queue before.
 * https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html */
export const deadLetterDays = 14;

/** What every queue has: encrypted, with SQS's own key or the customer's, over TLS only. */
export const safeQueue = (key: kms.IKey | undefined) =>
  key === undefined
    ? ({ encryption: sqs.QueueEncryption.SQS_MANAGED, enforceSSL: true } as const)
    : ({ encryption: sqs.QueueEncryption.KMS, encryptionMasterKey: key, enforceSSL: true } as const);

export function createDeadLetterQueue(scope: Construct, id: string, key: kms.IKey | undefined): sqs.Queue {
  return new sqs.Queue(scope, id, { ...safeQueue(key), retentionPeriod: Duration.days(deadLetterDays) });
}
