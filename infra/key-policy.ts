// The policy that a customer's key needs before a deployment uses it. Roles of the stack have their rights in their own
// policies, so the key's has what no role does: what AWS's services do in their own names.
import { Arn, ArnFormat } from "aws-cdk-lib";

export interface KeyPolicy {
  readonly Version: "2012-10-17";
  readonly Statement: readonly KeyStatement[];
}

export interface KeyStatement {
  readonly Sid: string;
  readonly Effect: "Allow";
  readonly Principal: Readonly<Record<string, string | readonly string[]>>;
  readonly Action: string | readonly string[];
  readonly Resource: "*";
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/**
 * A service's request has the resource that it encrypts as its context, so no other account's can be meant. AWS
 * documents that EventBridge does not name its account (aws:SourceAccount) here.
 * https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
 */
export function keyPolicyFor(keyArn: string): KeyPolicy {
  const { partition, region, account } = Arn.split(keyArn, ArnFormat.SLASH_RESOURCE_NAME);
  const here = (service: string, resource: string) =>
    `arn:${partition}:${service}:${region}:${account}:${resource}`;
  const suffix = partition === "aws-cn" ? "amazonaws.com.cn" : "amazonaws.com";
  return {
    Version: "2012-10-17",
    Statement: [
      {
        // Every key has it by default: without it no role's own policy counts.
        // https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html
        Sid: "PoliciesOfTheAccountDecide",
        Effect: "Allow",
        Principal: { AWS: `arn:${partition}:iam::${account}:root` },
        Action: "kms:*",
        Resource: "*",
      },
      {
        // S3 tells of new objects, CloudWatch of alarms.
        Sid: "ServicesPublishToTopics",
        Effect: "Allow",
        Principal: { Service: ["s3.amazonaws.com", "cloudwatch.amazonaws.com"] },
        Action: ["kms:GenerateDataKey*", "kms:Decrypt"],
        Resource: "*",
        Condition: { ArnLike: { "kms:EncryptionContext:aws:sns:topicArn": here("sns", "*") } },
      },
      {
        // SNS hands over to the queues; EventBridge to the queue of what the stream did not take.
        // https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
        Sid: "ServicesSendToQueues",
        Effect: "Allow",
        Principal: { Service: ["sns.amazonaws.com", "events.amazonaws.com"] },
        Action: ["kms:GenerateDataKey*", "kms:Decrypt"],
        Resource: "*",
        Condition: { ArnLike: { "kms:EncryptionContext:aws:sqs:arn": here("sqs", "*") } },
      },
      {
        // https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
        Sid: "LogGroupsAreEncrypted",
        Effect: "Allow",
        Principal: { Service: `logs.${region}.${suffix}` },
        Action: ["kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"],
        Resource: "*",
        Condition: { ArnLike: { "kms:EncryptionContext:aws:logs:arn": here("logs", "log-group:*") } },
      },
    ],
  };
}
