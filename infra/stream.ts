// Firehose: what the rules put in is transformed, batched, compressed and written to the bucket.
import { RemovalPolicy, Stack } from "aws-cdk-lib";
import * as iam from "aws-cdk-lib/aws-iam";
import * as firehose from "aws-cdk-lib/aws-kinesisfirehose";
import type * as kms from "aws-cdk-lib/aws-kms";
import type * as lambda from "aws-cdk-lib/aws-lambda";
import * as logs from "aws-cdk-lib/aws-logs";
import type * as s3 from "aws-cdk-lib/aws-s3";
import { Construct } from "constructs";
import { createFunction, type Vpc } from "./function.ts";
import { objectKeyPermissions } from "./key.ts";
import { dataPrefix, errorPrefix } from "./prefixes.ts";
import { createRole, forThisAccount } from "./role.ts";

/** What Firehose makes of a batch. The worker reads both, and finds out which one it is by itself. */
export type Compression = "GZIP" | "ZIP";

export interface StreamProps {
  readonly bucket: s3.Bucket;
  readonly compression: Compression;
  readonly buffer: Buffer;
  readonly transformCode: lambda.Code;
  readonly transformEnvironment: Readonly<Record<string, string>>;
  readonly transformSecrets: readonly string[];
  /** Ask Firehose for which account it comes, which AWS does not document that it tells. */
  readonly strictTrust: boolean;
  readonly vpc?: Vpc | undefined;
  /** Encrypts records until they are in the bucket. Default: AWS's own. */
  readonly key?: kms.IKey | undefined;
}

export interface Stream {
  readonly name: string;
  readonly arn: string;
  readonly transform: lambda.Function;
}

/** A batch becomes an object with whichever comes first. */
export interface Buffer {
  readonly seconds: number;
  /** Of records, before compression. */
  readonly mb: number;
}

/** The transform's batch comes before the bucket's, so between an event and its object lie two minutes at most. */
export const defaultBuffer: Buffer = { seconds: 60, mb: 5 };

/**
 * Firehose itself takes up to 900 s and 128 MB. Alarms ring where something is 15 minutes old, and a worker has five
 * minutes for an object.
 */
export const mostBuffer: Buffer = { seconds: 600, mb: 64 };

const transformBufferSeconds = 60;

/**
 * What the transform gets at once: a request and an answer have 6 MB each, of which base64 takes a third, and what
 * it adds to each record must fit as well.
 * https://docs.aws.amazon.com/firehose/latest/dev/data-transformation.html
 */
const transformMb = 1;

/** Five minutes is the most that Firehose waits; a batch of 1 MB takes a fraction of a second. */
const transformSeconds = 60;
const transformMemoryMb = 512;

/** Firehose asks a function that failed again so often, then writes the batch below the error prefix. */
const transformRetries = 3;

/** Keys sort by time, and their parts are Hive's, which every query engine knows. UTC. */
const byHour = "year=!{timestamp:yyyy}/month=!{timestamp:MM}/day=!{timestamp:dd}/hour=!{timestamp:HH}/";

export function createStream(parent: Construct, props: StreamProps): Stream {
  const { bucket, compression, buffer, transformCode, transformEnvironment, transformSecrets } = props;
  const { strictTrust, key } = props;
  const scope = new Construct(parent, "Stream");
  const transform = createFunction(scope, "Transform", {
    description: "checks and enriches the stream's records",
    code: transformCode,
    environment: transformEnvironment,
    secrets: transformSecrets,
    memoryMb: transformMemoryMb,
    timeoutSeconds: transformSeconds,
    permissions: [],
    vpc: props.vpc,
    key,
  });
  const logGroup = new logs.LogGroup(scope, "DeliveryLogs", {
    retention: logs.RetentionDays.ONE_MONTH,
    removalPolicy: RemovalPolicy.DESTROY,
    ...(key !== undefined && { encryptionKey: key }),
  });
  const logStream = new logs.LogStream(scope, "DeliveryLog", {
    logGroup,
    removalPolicy: RemovalPolicy.DESTROY,
  });
  // https://docs.aws.amazon.com/firehose/latest/dev/controlling-access.html#using-iam-s3
  const role = createRole(scope, "Role", {
    principal: "firehose.amazonaws.com",
    description: "Lets the stream call its transform and write to its bucket",
    ...(strictTrust && { trust: forThisAccount(scope) }),
    permissions: [
      {
        actions: ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"],
        resources: [bucket.bucketArn],
      },
      {
        actions: ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"],
        resources: [bucket.arnForObjects(`${dataPrefix}*`), bucket.arnForObjects(`${errorPrefix}*`)],
        wildcard: "The stream names its objects itself, below the two prefixes that it is given.",
      },
      {
        actions: ["lambda:InvokeFunction", "lambda:GetFunctionConfiguration"],
        // https://docs.aws.amazon.com/firehose/latest/dev/controlling-access.html#using-iam-s3: a version may be named.
        resources: [transform.functionArn, `${transform.functionArn}:*`],
        wildcard: "The end of a function's name is its version: the stream may name one, or none.",
      },
      {
        actions: ["logs:PutLogEvents"],
        resources: [
          Stack.of(scope).formatArn({
            service: "logs",
            resource: `log-group:${logGroup.logGroupName}:log-stream:${logStream.logStreamName}`,
          }),
        ],
      },
      // A large batch goes up in parts, and S3 decrypts what the parts' key is made of.
      ...objectKeyPermissions(scope, { reads: [bucket], writes: [bucket] }),
    ],
  });
  bucket.addToResourcePolicy(
    new iam.PolicyStatement({
      sid: "NobodyButTheStreamWritesEvents",
      effect: iam.Effect.DENY,
      principals: [new iam.AnyPrincipal()],
      actions: ["s3:PutObject"],
      resources: [bucket.arnForObjects(`${dataPrefix}*`)],
      // Of a session of a role, the key holds the role's own ARN.
      // https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalarn
      conditions: { ArnNotEquals: { "aws:PrincipalArn": role.roleArn } },
    }),
  );
  const stream = new firehose.CfnDeliveryStream(scope, "Firehose", {
    deliveryStreamType: "DirectPut",
    // For a customer's key Firehose makes itself a grant with the rights of whoever deploys: neither the role nor who puts
    // records needs a right.
    // https://docs.aws.amazon.com/firehose/latest/APIReference/API_DeliveryStreamEncryptionConfigurationInput.html
    deliveryStreamEncryptionConfigurationInput:
      key === undefined
        ? { keyType: "AWS_OWNED_CMK" }
        : { keyType: "CUSTOMER_MANAGED_CMK", keyArn: key.keyArn },
    extendedS3DestinationConfiguration: {
      bucketArn: bucket.bucketArn,
      roleArn: role.roleArn,
      prefix: `${dataPrefix}${byHour}`,
      errorOutputPrefix: `${errorPrefix}!{firehose:error-output-type}/${byHour}`,
      bufferingHints: { intervalInSeconds: buffer.seconds, sizeInMBs: buffer.mb },
      compressionFormat: compression,
      cloudWatchLoggingOptions: {
        enabled: true,
        logGroupName: logGroup.logGroupName,
        logStreamName: logStream.logStreamName,
      },
      processingConfiguration: {
        enabled: true,
        processors: [
          {
            type: "Lambda",
            parameters: Object.entries({
              LambdaArn: transform.functionArn,
              RoleArn: role.roleArn,
              NumberOfRetries: String(transformRetries),
              BufferSizeInMBs: String(transformMb),
              BufferIntervalInSeconds: String(transformBufferSeconds),
            }).map(([parameterName, parameterValue]) => ({ parameterName, parameterValue })),
          },
        ],
      },
    },
  });
  return { name: stream.ref, arn: stream.attrArn, transform };
}
