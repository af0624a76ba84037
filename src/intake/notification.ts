// What a trigger says: any envelope around an S3 notification becomes objects to read, message by message.

/** An object to read. */
export interface ObjectRef {
  readonly bucket: string;
  /** As the bucket knows it, decoded. EventBridge keys are taken as they come: nothing says that they are encoded. */
  readonly key: string;
  /** The version id of a versioned bucket, else the ETag; absent when the notification names neither. */
  readonly version?: string;
}

/** One message of the trigger: it succeeds or fails as a whole, and alone. */
export type Message =
  | {
      /** The SQS message id; for every other trigger the position in the batch. */
      readonly id: string;
      readonly objects: readonly ObjectRef[];
      /** Notifications that are no work: removals, restores, lifecycle transitions. */
      readonly ignored: number;
    }
  | {
      readonly id: string;
      /** One sentence for an operator, without any value of the message. */
      readonly malformed: string;
    };

type Contents = { readonly objects: readonly ObjectRef[]; readonly ignored: number };
type Unwrapped = Contents | { readonly malformed: string };
type Fields = Readonly<Record<string, unknown>>;

/**
 * Reads a Lambda event: S3 notifications as they are, inside SQS, SNS or both, and EventBridge events.
 * Never throws: what it cannot read is a malformed message, and the others of the batch are unharmed.
 *
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
 */
export function parseNotification(event: unknown): readonly Message[] {
  const records = isFields(event) ? event["Records"] : undefined;
  if (!Array.isArray(records)) return [{ id: "0", ...unwrap(event) }];
  return records.map((record: unknown, position) => ({
    id: (isFields(record) ? text(record["messageId"]) : undefined) ?? String(position),
    ...unwrap(record),
  }));
}

/** Takes one envelope off and asks again, until an S3 notification, an EventBridge event or nonsense appears. */
function unwrap(value: unknown): Unwrapped {
  if (!isFields(value)) return { malformed: "the message is not a JSON object" };
  if (isFields(value["s3"])) return fromS3(value, value["s3"]);
  if (isFields(value["detail"])) return fromEventBridge(value, value["detail"]);
  if (Array.isArray(value["Records"])) return merge(value["Records"].map(unwrap));
  if ("body" in value) return unwrapText(value["body"]);
  if (isFields(value["Sns"])) return unwrapText(value["Sns"]["Message"]);
  if ("Message" in value) return unwrapText(value["Message"]);
  // S3 sends one when a notification is configured, to prove that it may.
  if (value["Event"] === "s3:TestEvent") return { objects: [], ignored: 0 };
  return { malformed: "the message is no S3 notification" };
}

function unwrapText(value: unknown): Unwrapped {
  if (typeof value !== "string") return { malformed: "the message has an envelope without text in it" };
  try {
    return unwrap(JSON.parse(value));
  } catch {
    return { malformed: "the message is not JSON" };
  }
}

function merge(parts: readonly Unwrapped[]): Unwrapped {
  const objects: ObjectRef[] = [];
  let ignored = 0;
  for (const part of parts) {
    if ("malformed" in part) return part;
    objects.push(...part.objects);
    ignored += part.ignored;
  }
  return { objects, ignored };
}

function fromS3(record: Fields, s3: Fields): Unwrapped {
  const name = record["eventName"];
  if (name !== undefined && !(typeof name === "string" && /^(s3:)?ObjectCreated:/.test(name))) {
    return { objects: [], ignored: 1 };
  }
  const object = isFields(s3["object"]) ? s3["object"] : {};
  const key = decodeKey(object["key"]);
  if (key === undefined)
    return { malformed: "the S3 notification has no key, or one that is not URL-encoded" };
  return created(s3["bucket"], key, object["versionId"], object["eTag"]);
}

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html */
function fromEventBridge(event: Fields, detail: Fields): Unwrapped {
  if (event["source"] !== "aws.s3") return { malformed: "the EventBridge event does not come from S3" };
  if (event["detail-type"] !== "Object Created") return { objects: [], ignored: 1 };
  const object = isFields(detail["object"]) ? detail["object"] : {};
  const key = text(object["key"]);
  if (key === undefined) return { malformed: "the EventBridge event has no key" };
  return created(detail["bucket"], key, object["version-id"], object["etag"]);
}

function created(bucket: unknown, key: string, versionId: unknown, etag: unknown): Unwrapped {
  const name = isFields(bucket) ? text(bucket["name"]) : undefined;
  if (name === undefined) return { malformed: "the notification names no bucket" };
  // A bucket whose versioning is suspended gives every object the version "null", which names no content.
  const version = (versionId === "null" ? undefined : text(versionId)) ?? text(etag);
  return { objects: [{ bucket: name, key, ...(version === undefined ? {} : { version }) }], ignored: 0 };
}

/** Keys of S3 notifications are form-encoded: `+` is a space, everything else unusual is `%XX` of UTF-8. */
function decodeKey(key: unknown): string | undefined {
  try {
    return text(key) === undefined ? undefined : decodeURIComponent(String(key).replaceAll("+", " "));
  } catch {
    return undefined;
  }
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function isFields(value: unknown): value is Fields {
  // A non-null, non-array object can be asked for any key; what it answers stays unknown.
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
