// What S3 and its neighbours say about one object: that it was created, that it was not, or nothing of use.
import { encodedKeys, type ObjectRef, rawKeys } from "./object-ref.ts";

export type Fields = Readonly<Record<string, unknown>>;

/**
 * What one notification comes to. `ignored` is what certainly made no object. Whatever cannot be told from a creation
 * is malformed, so that its message fails and somebody looks: acknowledged, it would be lost.
 */
export type Finding = { readonly object: ObjectRef } | { readonly malformed: string } | "ignored";

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html */
const creations = /^(s3:)?ObjectCreated(:|$)/;
const otherEvents =
  /^(s3:)?(ObjectRemoved|ObjectRestore|ReducedRedundancyLostObject|Replication|LifecycleExpiration|LifecycleTransition|IntelligentTiering|ObjectTagging|ObjectAcl)(:|$)/;

/** A record of S3's own notifications. */
export function fromS3(record: Fields, s3: Fields): Finding {
  const event = record["eventName"];
  // Whoever made a record without a name of an event meant a creation.
  if (event !== undefined) {
    const name = text(event);
    if (name === undefined) return { malformed: "the S3 notification has an event without a name" };
    if (otherEvents.test(name)) return "ignored";
    if (!creations.test(name)) return { malformed: "the S3 notification has an event that is not known" };
  }
  const { object, bucket } = s3;
  const { key, versionId, eTag } = isFields(object) ? object : {};
  return created(isFields(bucket) ? bucket["name"] : undefined, encodedKeys(key), versionId, eTag);
}

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventBridge.html, "Amazon S3 events". */
const otherTypes = new Set([
  "Object Deleted",
  "Object Restore Initiated",
  "Object Restore Completed",
  "Object Restore Expired",
  "Object Storage Class Changed",
  "Object Access Tier Changed",
  "Object ACL Updated",
  "Object Tags Added",
  "Object Tags Deleted",
]);

/**
 * An event of S3's on a bus.
 *
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
 */
export function fromEventBridge(event: Fields, detail: Fields): Finding {
  const { source, "detail-type": type } = event;
  if (source !== "aws.s3") return { malformed: "the EventBridge event does not come from S3" };
  if (type === "Object Created") return fromBusDetail(detail);
  if (otherTypes.has(text(type) ?? "")) return "ignored";
  if (isCloudTrail(detail)) return fromCloudTrail(detail);
  return { malformed: "the EventBridge event has a detail-type that is not known" };
}

/** The page above, "reason": which call made the object. */
const createdBy = /^(PutObject|POST Object|CopyObject|CompleteMultipartUpload)$/;

/** The `detail` of such an event alone, which is all that a rule with the input path `$.detail` hands over. */
export function isBusDetail({ bucket, object, reason }: Fields): boolean {
  return isFields(bucket) && isFields(object) && createdBy.test(text(reason) ?? "");
}

export function fromBusDetail({ bucket, object }: Fields): Finding {
  const { key, "version-id": versionId, etag } = isFields(object) ? object : {};
  return created(isFields(bucket) ? bucket["name"] : undefined, rawKeys(key), versionId, etag);
}

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/cloudtrail-logging-s3-info.html, "object-level actions". */
const creatingCalls = /^(PutObject|PostObject|POST Object|CopyObject|CompleteMultipartUpload)$/;
const otherCalls =
  /^((Get|Head|List|Delete|Abort|Select|Describe|Restore)[A-Z]\w*|(Create|Initiate)MultipartUpload|UploadPart(Copy)?|CreateSession|CreateBucket|PutBucket\w+|PutObject(Acl|Tagging|Retention|LegalHold|LockConfiguration)|PutPublicAccessBlock|WriteGetObjectResponse)$/;

/** A call that CloudTrail saw, on a bus or as the `detail` alone. */
export function isCloudTrail({ eventSource }: Fields): boolean {
  return eventSource === "s3.amazonaws.com";
}

/** https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html */
export function fromCloudTrail(call: Fields): Finding {
  const name = text(call["eventName"]);
  if (name === undefined) return { malformed: "the CloudTrail event does not name its call" };
  if (otherCalls.test(name)) return "ignored";
  if (!creatingCalls.test(name)) return { malformed: "the CloudTrail event has a call that is not known" };
  // Of a call that failed: it made no object.
  if (text(call["errorCode"]) !== undefined) return "ignored";
  const { requestParameters, responseElements, additionalEventData } = call;
  const { bucketName, key } = isFields(requestParameters) ? requestParameters : {};
  const [versionId] = [responseElements, additionalEventData].flatMap((fields) =>
    isFields(fields) ? (text(fields["x-amz-version-id"]) ?? []) : [],
  );
  return created(bucketOf(bucketName, call["resources"]), rawKeys(key), versionId, undefined);
}

/** Who calls by an access point names that, by its ARN or its alias; the bucket is then among the resources. */
function bucketOf(named: unknown, resources: unknown): string | undefined {
  const name = text(named);
  if (name !== undefined && !/^arn:|-s3alias$/.test(name)) return name;
  const all = Array.isArray(resources) ? resources.filter(isFields) : [];
  const bucket = all.find(({ type }) => type === "AWS::S3::Bucket");
  return bucketIn(bucket?.["ARN"]);
}

/**
 * A task of S3 Batch Operations. Schema 1.0 names the bucket by its ARN, 2.0 by its name. The key is as the manifest
 * has it, which must be encoded.
 *
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-invoke-lambda.html
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-create-job.html, "Specifying a manifest"
 */
export function fromBatchTask({ s3Key, s3Bucket, s3BucketArn, s3VersionId }: Fields): Finding {
  return created(s3Bucket ?? bucketIn(s3BucketArn), encodedKeys(s3Key), s3VersionId, undefined);
}

function created(
  bucket: unknown,
  keys: Pick<ObjectRef, "key" | "alternativeKeys"> | undefined,
  versionId: unknown,
  etag: unknown,
): Finding {
  if (keys === undefined) return { malformed: "the notification names no key" };
  const name = text(bucket);
  if (name === undefined) return { malformed: "the notification names no bucket" };
  // A bucket whose versioning is suspended gives every object the version "null", which names no content.
  const version = (versionId === "null" ? undefined : text(versionId)) ?? text(etag);
  return { object: { bucket: name, ...keys, ...(version === undefined ? {} : { version }) } };
}

/** `arn:aws:s3:::bucket`; AWS's own examples have a region, an account and a key in other places. */
function bucketIn(arn: unknown): string | undefined {
  return /^arn:[^:]*:s3:(?:[^:]*:){2}([^/:]+)$/.exec(text(arn) ?? "")?.[1];
}

export function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

export function isFields(value: unknown): value is Fields {
  // A non-null, non-array object can be asked for any key; what it answers stays unknown.
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
