// Two buckets: what the stream delivers, and what the workers keep about it; and a third for who asked them what.
import { Duration, RemovalPolicy } from "aws-cdk-lib";
import * as iam from "aws-cdk-lib/aws-iam";
import type * as kms from "aws-cdk-lib/aws-kms";
import * as s3 from "aws-cdk-lib/aws-s3";
import type * as sns from "aws-cdk-lib/aws-sns";
import { Construct } from "constructs";
import { ConfigError } from "../src/index.ts";
import { dataPrefix, deadLettersPrefix, receiptsPrefix } from "./prefixes.ts";

export interface StorageProps {
  /** Told of every new object below {@link dataPrefix}. It must let S3 publish. */
  readonly notify: sns.Topic;
  readonly dataDays: number;
  readonly booksDays: number;
  /** Encrypts events and books. Default: S3's own. */
  readonly key?: kms.IKey | undefined;
}

export interface Storage {
  readonly data: s3.Bucket;
  readonly books: s3.Bucket;
}

/** Longer than anybody takes to ask who read what; the logs grow with every request. */
const accessLogDays = 90;

/** The parts of an upload that never ended are invisible and cost as much as objects. */
const abandonedUploadDays = 7;

/**
 * A notification can wait for 14 days in its queue's dead-letter queue, and a deferral for as long as its sink is
 * down: the object must still be there when somebody comes back to either.
 */
export const leastDataDays = 30;

/** How long a version that was replaced or removed can be had again: longer than anybody takes to notice. */
const replacedDays = 30;

/** All stay when the stack goes: they are the events, and the proof of what became of them. */
export function createStorage(parent: Construct, props: StorageProps): Storage {
  const { notify, dataDays, booksDays, key } = props;
  if (!(dataDays >= leastDataDays)) {
    throw new ConfigError([
      `dataDays is ${dataDays}; objects must live for ${leastDataDays} days or more, or deferrals outlive them`,
    ]);
  }
  if (!(booksDays > dataDays)) {
    throw new ConfigError([
      `booksDays is ${booksDays}; the books must live longer than the objects (${dataDays} days), or a late notification delivers an object twice`,
    ]);
  }
  const scope = new Construct(parent, "Storage");
  const common = {
    blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
    objectOwnership: s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
    enforceSSL: true,
    minimumTLSVersion: 1.2,
    // One that a failed first deployment made is removed with it, or the second one could not make it again.
    removalPolicy: RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
  };
  const ownKey = { encryption: s3.BucketEncryption.S3_MANAGED };
  // A key of the bucket's own, made from the customer's every few minutes, instead of a request to KMS for each object.
  const encrypted =
    key === undefined
      ? ownKey
      : { encryption: s3.BucketEncryption.KMS, encryptionKey: key, bucketKeyEnabled: true };
  const expireAfter = (days: number): s3.LifecycleRule => ({
    expiration: Duration.days(days),
    abortIncompleteMultipartUploadAfter: Duration.days(abandonedUploadDays),
  });
  const accessLog = new s3.Bucket(scope, "AccessLog", {
    ...common,
    // S3 delivers access logs only to a bucket that is encrypted with its own key.
    // https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
    ...ownKey,
    lifecycleRules: [expireAfter(accessLogDays)],
  });
  // CDK is compiled without exactOptionalPropertyTypes: its Bucket differs from its IBucket in nothing else.
  const serverAccessLogsBucket = accessLog as s3.IBucket;
  const data = new s3.Bucket(scope, "Data", {
    ...common,
    ...encrypted,
    lifecycleRules: [expireAfter(dataDays)],
    serverAccessLogsBucket,
    serverAccessLogsPrefix: "data/",
  });
  const books = new s3.Bucket(scope, "Books", {
    ...common,
    ...encrypted,
    // What a function replaces or removes can be had again: no role may delete a version.
    versioned: true,
    lifecycleRules: [
      { ...expireAfter(booksDays), noncurrentVersionExpiration: Duration.days(replacedDays) },
      { expiredObjectDeleteMarker: true },
    ],
    serverAccessLogsBucket,
    serverAccessLogsPrefix: "books/",
  });

  books.addToResourcePolicy(
    new iam.PolicyStatement({
      sid: "EvidenceIsCreatedAndNeverOverwritten",
      effect: iam.Effect.DENY,
      principals: [new iam.AnyPrincipal()],
      actions: ["s3:PutObject"],
      resources: [`${receiptsPrefix}/books/*`, `${deadLettersPrefix}/sink=*`].map((keys) =>
        books.arnForObjects(keys),
      ),
      // Parts of an upload cannot carry the header; its completion must.
      // https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
      conditions: {
        Null: { "s3:if-none-match": "true" },
        BoolIfExists: { "s3:ObjectCreationOperation": "true" },
      },
    }),
  );

  // The L2's own way to notify is a function of CDK's with rights on every bucket; CloudFormation can do it alone.
  const { defaultChild: resource } = data.node;
  if (!(resource instanceof s3.CfnBucket)) throw new Error("a bucket of CDK's has another form than it had");
  resource.notificationConfiguration = {
    topicConfigurations: [
      {
        event: "s3:ObjectCreated:*",
        topic: notify.topicArn,
        filter: { s3Key: { rules: [{ name: "prefix", value: dataPrefix }] } },
      },
    ],
  };
  // S3 tries the topic when it is told of it, so the topic's policy comes first.
  data.node.addDependency(notify);
  return { data, books };
}
