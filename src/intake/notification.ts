// What a trigger says: any envelope around an S3 notification becomes objects to read, message by message.

/** An object to read. */
export interface ObjectRef {
  readonly bucket: string;
  /** As the bucket knows it, decoded. */
  readonly key: string;
  /** The version id of a versioned bucket, else the ETag; absent when the notification names neither. */
  readonly version?: string;
  /**
   * The key to try when there is no object of that `key`: nothing says whether EventBridge encodes its keys, so
   * they are taken as they come, and this is what they would be if they were encoded.
   */
  readonly alternativeKey?: string;
}

/** One message of the trigger: it succeeds or fails as a whole, and alone. */
export interface Message {
  /** The SQS message id; for every other trigger the position in the batch. */
  readonly id: string;
  /** In the order of the message, which says nothing: S3 promises none. */
  readonly objects: readonly ObjectRef[];
  /** Notifications that are no work: removals, restores, lifecycle transitions. */
  readonly ignored: number;
  /**
   * Why the message cannot be read, or not all of it: one sentence for an operator, without any value of the
   * message. What could be read is work all the same, since nobody will find it anywhere else.
   */
  readonly malformed?: string;
}

type Fields = Readonly<Record<string, unknown>>;
type Finding = { readonly object: ObjectRef } | { readonly malformed: string } | "ignored";

/** Envelopes that are taken off one message. The longest path of AWS has three: SQS, SNS, the list of S3's records. */
const mostEnvelopes = 8;

/**
 * Reads a Lambda event: S3 notifications as they are, inside SQS, SNS or both, and EventBridge events.
 * Never throws: what it cannot read is malformed, and the other messages of the batch are unharmed.
 *
 * `sequencer` is not looked at: it orders the events of one key, and every version of an object is delivered on
 * its own, once, whichever notification comes first. Nor is `eventVersion`: its 2.x differ in what they add.
 *
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
 */
export function parseNotification(event: unknown): readonly Message[] {
  const records = isFields(event) ? event["Records"] : undefined;
  if (!Array.isArray(records)) return [messageOf("0", event)];
  return records.map((record: unknown, position) =>
    messageOf((isFields(record) ? text(record["messageId"]) : undefined) ?? String(position), record),
  );
}

function messageOf(id: string, value: unknown): Message {
  const objects: ObjectRef[] = [];
  let ignored = 0;
  let malformed: string | undefined;
  for (const finding of unwrap(value, 0)) {
    if (finding === "ignored") ignored++;
    else if ("object" in finding) objects.push(finding.object);
    else malformed ??= finding.malformed;
  }
  return { id, objects, ignored, ...(malformed === undefined ? {} : { malformed }) };
}

/** Takes one envelope off and asks again, until an S3 notification, an EventBridge event or nonsense appears. */
function* unwrap(value: unknown, envelopes: number): Generator<Finding> {
  if (envelopes > mostEnvelopes) yield { malformed: "the message has more envelopes than any path of AWS" };
  else if (!isFields(value)) yield { malformed: "the message is not a JSON object" };
  else if (isFields(value["s3"])) yield fromS3(value, value["s3"]);
  else if (isFields(value["detail"])) yield fromEventBridge(value, value["detail"]);
  else if (Array.isArray(value["Records"])) {
    for (const record of value["Records"]) yield* unwrap(record, envelopes + 1);
  } else if ("body" in value) yield* unwrapText(value["body"], envelopes + 1);
  else if (isFields(value["Sns"])) yield* unwrapText(value["Sns"]["Message"], envelopes + 1);
  else if ("Message" in value) yield* unwrapText(value["Message"], envelopes + 1);
  // S3 sends one when a notification is configured, to prove that it may.
  else if (value["Event"] !== "s3:TestEvent") yield { malformed: "the message is no S3 notification" };
}

function* unwrapText(value: unknown, envelopes: number): Generator<Finding> {
  if (typeof value !== "string") return yield { malformed: "the message has an envelope without text in it" };
  let content: unknown;
  try {
    content = JSON.parse(value.replace(/^\uFEFF/, ""));
  } catch {
    return yield { malformed: "the message is not JSON" };
  }
  yield* unwrap(content, envelopes);
}

function fromS3(record: Fields, s3: Fields): Finding {
  const event = record["eventName"];
  // What cannot be told from a creation is not thrown away as if it were none.
  if (event !== undefined) {
    const name = text(event);
    if (name === undefined) return { malformed: "the S3 notification has an event without a name" };
    if (!/^(s3:)?ObjectCreated:/.test(name)) return "ignored";
  }
  const object = isFields(s3["object"]) ? s3["object"] : {};
  const key = decodeKey(object["key"]);
  if (key === undefined)
    return { malformed: "the S3 notification has no key, or one that is not URL-encoded" };
  return created(s3["bucket"], { key }, object["versionId"], object["eTag"]);
}

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html */
function fromEventBridge(event: Fields, detail: Fields): Finding {
  if (event["source"] !== "aws.s3") return { malformed: "the EventBridge event does not come from S3" };
  const type = text(event["detail-type"]);
  if (type === undefined) return { malformed: "the EventBridge event has no detail-type" };
  if (type !== "Object Created") return "ignored";
  const object = isFields(detail["object"]) ? detail["object"] : {};
  const key = text(object["key"]);
  if (key === undefined) return { malformed: "the EventBridge event has no key" };
  const decoded = decodeKey(key);
  const keys = decoded === undefined || decoded === key ? { key } : { key, alternativeKey: decoded };
  return created(detail["bucket"], keys, object["version-id"], object["etag"]);
}

function created(
  bucket: unknown,
  keys: Pick<ObjectRef, "key" | "alternativeKey">,
  versionId: unknown,
  etag: unknown,
): Finding {
  const name = isFields(bucket) ? text(bucket["name"]) : undefined;
  if (name === undefined) return { malformed: "the notification names no bucket" };
  // A bucket whose versioning is suspended gives every object the version "null", which names no content.
  const version = (versionId === "null" ? undefined : text(versionId)) ?? text(etag);
  return { object: { bucket: name, ...keys, ...(version === undefined ? {} : { version }) } };
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
