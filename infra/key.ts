// One key of the customer's for everything that the deployment stores: which role needs it, through which service, for
// what. Without the key there are no such rights, since AWS's own keys ask for none.
import { Arn, ArnFormat, Stack, Token } from "aws-cdk-lib";
import * as kms from "aws-cdk-lib/aws-kms";
import type * as s3 from "aws-cdk-lib/aws-s3";
import type * as sqs from "aws-cdk-lib/aws-sqs";
import type { Construct } from "constructs";
import { ConfigError } from "../src/index.ts";
import type { Permission } from "./role.ts";
import { secretArn } from "./secret.ts";

/** Not an alias, which policies cannot name. */
export const keyArnForm = /^arn:aws[\w-]*:kms:[a-z0-9-]+:\d{12}:key\/[\w-]+$/;

/**
 * The stack cannot change the policy of a key that it did not make: see key-policy.ts.
 *
 * @throws {ConfigError} when the stack knows where it is, and the key is elsewhere: a log group takes no such key.
 */
export function importKey(scope: Construct, arn: string): kms.IKey {
  if (!keyArnForm.test(arn)) throw new ConfigError([`kmsKey is ${arn}; it must be the ARN of a KMS key`]);
  const stack = Stack.of(scope);
  const { account, region } = Arn.split(arn, ArnFormat.SLASH_RESOURCE_NAME);
  const isOther = (own: string, its: string | undefined) => !Token.isUnresolved(own) && own !== its;
  if (isOther(stack.account, account) || isOther(stack.region, region)) {
    throw new ConfigError([
      `kmsKey is ${arn}; the key must be of the stack's account and region (${stack.account}, ${stack.region})`,
    ]);
  }
  return kms.Key.fromKeyArn(scope, "Key", arn);
}

export interface ObjectUse {
  readonly reads?: readonly s3.Bucket[];
  readonly writes?: readonly s3.Bucket[];
}

/**
 * What reading and writing objects takes beside S3's own rights: a PUT generates a data key, a GET decrypts it.
 * HEAD and listings ask for no key.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
 */
export function objectKeyPermissions(
  scope: Construct,
  { reads = [], writes = [] }: ObjectUse,
): readonly Permission[] {
  const of = (action: string, buckets: readonly s3.Bucket[]): readonly Permission[] => {
    const [key] = buckets.flatMap(({ encryptionKey }) => encryptionKey ?? []);
    if (key === undefined) return [];
    return [
      {
        actions: [action],
        resources: [key.keyArn],
        conditions: {
          ...through(scope, "s3"),
          StringLike: {
            // The context of an object is its bucket's ARN where the bucket has a key of its own, as these have. An
            // object that was put there with headers to the contrary has its own ARN.
            // https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-key.html
            "kms:EncryptionContext:aws:s3:arn": buckets.flatMap((bucket) => [
              bucket.bucketArn,
              bucket.arnForObjects("*"),
            ]),
          },
        },
      },
    ];
  };
  return [...of("kms:Decrypt", reads), ...of("kms:GenerateDataKey", writes)];
}

/**
 * What receiving messages takes beside SQS's own rights, which say of which queues. A message of a dead-letter queue may
 * still be encrypted as in the queue that it comes from, so the condition names no queue.
 * https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
 */
export function queueKeyPermissions(scope: Construct, queue: sqs.Queue): readonly Permission[] {
  const { encryptionMasterKey: key } = queue;
  if (key === undefined) return [];
  return [{ actions: ["kms:Decrypt"], resources: [key.keyArn], conditions: through(scope, "sqs") }];
}

/**
 * What reading secrets takes when whoever made them chose the same key.
 * https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
 */
export function secretKeyPermissions(
  scope: Construct,
  key: kms.IKey | undefined,
  names: readonly string[],
): readonly Permission[] {
  if (key === undefined || names.length === 0) return [];
  return [
    {
      actions: ["kms:Decrypt"],
      resources: [key.keyArn],
      conditions: {
        ...through(scope, "secretsmanager"),
        StringLike: { "kms:EncryptionContext:SecretARN": names.map((name) => secretArn(scope, name)) },
      },
    },
  ];
}

/**
 * The key is used by this service for the role, and not by the role itself.
 * https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-via-service
 */
function through(scope: Construct, service: string) {
  const { region, urlSuffix } = Stack.of(scope);
  return { StringEquals: { "kms:ViaService": `${service}.${region}.${urlSuffix}` } };
}
