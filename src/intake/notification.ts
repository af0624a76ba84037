// What a trigger says: any envelope around an S3 notification becomes objects to read, message by message.
import type { ObjectRef } from "./object-ref.ts";
import {
  type Fields,
  type Finding,
  fromBatchTask,
  fromBusDetail,
  fromCloudTrail,
  fromEventBridge,
  fromS3,
  isBusDetail,
  isCloudTrail,
  isFields,
  text,
} from "./s3-events.ts";

/** One message of the trigger: it succeeds or fails as a whole, and alone. */
export interface Message {
  /** The SQS message id or the task's of S3 Batch Operations; for every other trigger the position in the batch. */
  readonly id: string;
  /** In the order of the message, which says nothing: S3 promises none. */
  readonly objects: readonly ObjectRef[];
  /** Notifications that are no work: removals, restores, lifecycle transitions, calls that failed, S3's test. */
  readonly ignored: number;
  /**
   * Why the message cannot be read, or not all of it: one sentence for an operator, without any value of the
   * message. What could be read is work all the same, since nobody will find it anywhere else.
   */
  readonly malformed?: string;
}

/** Envelopes that are taken off one message. The longest path of AWS has six: a destination's record in SNS in SQS,
 * with the list, the SNS record and S3's list of what the function was asked. */
const mostEnvelopes = 10;

/**
 * Reads a Lambda event: S3 notifications as they are, inside SQS, SNS or both; EventBridge events of S3's and of
 * CloudTrail's; what Lambda's destinations say of an invocation; a list of EventBridge Pipes; S3 Batch Operations.
 * Never throws: what it cannot read is malformed, and the other messages of the batch are unharmed.
 *
 * `sequencer` is not looked at: it orders the events of one key, and every version of an object is delivered on
 * its own, once, whichever notification comes first. Nor is `eventVersion`: its 2.x differ in what they add.
 *
 * @param self The ARN of the function that asks. What it has done itself with success is not done again, or a
 * destination for success that leads back to it would never end.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
 */
export function parseNotification(event: unknown, self?: string): readonly Message[] {
  const read = (value: unknown) => unwrap(value, 0, functionOf(self));
  if (isBatchJob(event)) {
    return event.tasks.map((task: unknown, position) => {
      const fields = isFields(task) ? task : {};
      return messageOf(text(fields["taskId"]) ?? String(position), [fromBatchTask(fields)]);
    });
  }
  const records = recordsOf(event);
  if (records === undefined) return [messageOf("0", read(event))];
  return records.map((record: unknown, position) =>
    messageOf((isFields(record) ? text(record["messageId"]) : undefined) ?? String(position), read(record)),
  );
}

/** Whether S3 Batch Operations asks, which wants an answer for each task. */
export function isBatchJob(event: unknown): event is Fields & { readonly tasks: readonly unknown[] } {
  return isFields(event) && "invocationSchemaVersion" in event && Array.isArray(event["tasks"]);
}

/**
 * The batch of a trigger. EventBridge Pipes hand it over as a list.
 * https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-batching-concurrency.html
 */
export function recordsOf(event: unknown): readonly unknown[] | undefined {
  if (Array.isArray(event)) return event.length === 0 ? undefined : event;
  const records = isFields(event) ? event["Records"] : undefined;
  return Array.isArray(records) ? records : undefined;
}

function messageOf(id: string, findings: Iterable<Finding>): Message {
  const objects: ObjectRef[] = [];
  let ignored = 0;
  let malformed: string | undefined;
  for (const finding of findings) {
    if (finding === "ignored") ignored++;
    else if ("object" in finding) objects.push(finding.object);
    else malformed ??= finding.malformed;
  }
  // An empty list of S3's: acknowledged without work, too.
  if (objects.length === 0 && malformed === undefined) ignored ||= 1;
  return { id, objects, ignored, ...(malformed === undefined ? {} : { malformed }) };
}

/** Takes one envelope off and asks again, until a notification of S3's, in whatever form, or nonsense appears. */
function* unwrap(value: unknown, envelopes: number, self: string | undefined): Generator<Finding> {
  if (envelopes > mostEnvelopes) yield { malformed: "the message has more envelopes than any path of AWS" };
  else if (Array.isArray(value) && value.length > 0) {
    for (const each of value) yield* unwrap(each, envelopes + 1, self);
  } else if (!isFields(value)) yield { malformed: "the message is not a JSON object" };
  else if (isFields(value["s3"])) yield fromS3(value, value["s3"]);
  else if ("requestPayload" in value) yield* fromDestination(value, envelopes + 1, self);
  else if (isFields(value["detail"])) {
    const { detail } = value;
    // Lambda's destinations may be a bus, too, and their events have the source "lambda".
    if ("requestPayload" in detail) yield* unwrap(detail, envelopes + 1, self);
    else yield fromEventBridge(value, detail);
  } else if (isCloudTrail(value)) yield fromCloudTrail(value);
  else if (isBusDetail(value)) yield fromBusDetail(value);
  else if (Array.isArray(value["Records"])) {
    for (const record of value["Records"]) yield* unwrap(record, envelopes + 1, self);
  } else if ("body" in value) yield* unwrapText(value["body"], envelopes + 1, self);
  else if (isFields(value["Sns"])) yield* unwrapText(value["Sns"]["Message"], envelopes + 1, self);
  else if ("Message" in value) yield* unwrapText(value["Message"], envelopes + 1, self);
  // S3 sends one when a notification is configured, to prove that it may.
  else if (value["Event"] === "s3:TestEvent") yield "ignored";
  else yield { malformed: "the message is no S3 notification" };
}

function* unwrapText(value: unknown, envelopes: number, self: string | undefined): Generator<Finding> {
  // A pipe's or a rule's input transformer may have parsed it.
  if (typeof value === "object" && value !== null) return yield* unwrap(value, envelopes, self);
  if (typeof value !== "string") return yield { malformed: "the message has an envelope without text in it" };
  let content: unknown;
  try {
    content = JSON.parse(value.replace(/^\uFEFF/, ""));
  } catch {
    return yield { malformed: "the message is not JSON" };
  }
  yield* unwrap(content, envelopes, self);
}

/**
 * What a destination is told of an invocation: the payload is what the function was asked. A success of another
 * function's, one that scans objects first, say, is a notification like any other; a success of our own is done.
 *
 * https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
 */
function* fromDestination(record: Fields, envelopes: number, self: string | undefined): Generator<Finding> {
  const { requestContext, requestPayload } = record;
  const { condition, functionArn } = isFields(requestContext) ? requestContext : {};
  const isOwn = self !== undefined && functionOf(text(functionArn)) === self;
  if (isOwn && condition === "Success") return yield "ignored";
  yield* unwrap(requestPayload, envelopes, self);
}

/** Without the version or the alias at its end, which the two sides may name differently. */
function functionOf(arn: string | undefined): string | undefined {
  return arn?.split(":").slice(0, 7).join(":");
}
