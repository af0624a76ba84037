// A standard queue of SQS as its documentation describes it, as far as the project uses it.
import { createHash, randomUUID } from "node:crypto";
import type { Clock } from "../../src/delivery/clock.ts";
import type { TwinHandler } from "../../src/testing/twin.ts";
import { AwsRefusal, awsJson, type Fields, listOf, numberOf, textOf } from "./aws-json.ts";

export interface SqsTwinOptions {
  /** Moves visibility. */
  readonly clock: Pick<Clock, "now">;
  /** Default `/123456789012/dead-letters`. */
  readonly path?: string;
}

export interface SqsTwin {
  readonly handle: TwinHandler;
  readonly path: string;
  /** Puts a message into the queue; answers its id. */
  send(body: string, attributes?: Readonly<Record<string, string>>): string;
  /** The bodies of all messages, visible or not, in the order in which they came. */
  readonly bodies: readonly string[];
  /** Ids of the messages that anybody could receive now. */
  readonly visible: readonly string[];
  /** Receives as another consumer would: hides for so many seconds what it answers. */
  take(seconds: number): readonly string[];
  /** The next receive gives this message out, though somebody has it: SQS delivers at least once. */
  deliverAgain(id: string): void;
  /** The next `times` deletions of single messages fail. */
  failDeletions(times: number): void;
  /** Names of the operations that were called. */
  readonly calls: readonly string[];
}

/** https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html and its like. */
const [mostMessages, longestVisibility, longestWait] = [10, 12 * 60 * 60, 20] as const;
/** https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html */
const longestBody = 1024 * 1024;

interface Stored {
  readonly id: string;
  readonly body: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly sentAt: number;
  receives: number;
  firstReceivedAt: number | undefined;
  visibleAt: number;
  handle: string | undefined;
}

export function createSqsTwin({ clock, path = "/123456789012/dead-letters" }: SqsTwinOptions): SqsTwin {
  const messages = new Map<string, Stored>();
  const again = new Set<string>();
  const calls: string[] = [];
  let failures = 0;

  const queueOf = (input: Fields) => {
    if (new URL(textOf(input["QueueUrl"])).pathname !== path) {
      throw new AwsRefusal("com.amazonaws.sqs#QueueDoesNotExist", "The specified queue does not exist.");
    }
  };
  const within = (value: number, least: number, most: number, name: string) => {
    if (Number.isInteger(value) && value >= least && value <= most) return value;
    throw new AwsRefusal(
      "com.amazon.coral.service#InvalidParameterValueException",
      `${name} is out of range`,
    );
  };
  const receive = (most: number, seconds: number) => {
    const given: Stored[] = [];
    for (const message of messages.values()) {
      if (given.length === most) break;
      if (message.visibleAt > clock.now() && !again.delete(message.id)) continue;
      message.receives++;
      message.firstReceivedAt ??= clock.now();
      message.visibleAt = clock.now() + seconds * 1000;
      message.handle = randomUUID();
      given.push(message);
    }
    return given;
  };
  /** One verdict an entry, as the batch operations give it. */
  const batch = (
    input: Fields,
    act: (message: Stored | undefined, entry: Fields, handle: string) => string | undefined,
  ) => {
    queueOf(input);
    const entries = listOf(input["Entries"]);
    if (entries.length === 0) throw new AwsRefusal("com.amazonaws.sqs#EmptyBatchRequest", "no entry");
    if (entries.length > mostMessages)
      throw new AwsRefusal("com.amazonaws.sqs#TooManyEntriesInBatchRequest", "11");
    const ids = entries.map((entry) => textOf(entry["Id"]));
    if (new Set(ids).size < ids.length)
      throw new AwsRefusal("com.amazonaws.sqs#BatchEntryIdsNotDistinct", "twice");
    const Failed: Fields[] = [];
    const Successful: Fields[] = [];
    for (const [index, entry] of entries.entries()) {
      const handle = textOf(entry["ReceiptHandle"]);
      const message = [...messages.values()].find((each) => each.handle === handle);
      const code = act(message, entry, handle);
      if (code === undefined) Successful.push({ Id: ids[index] });
      else Failed.push({ Id: ids[index], Code: code, SenderFault: code !== "InternalError", Message: code });
    }
    return { Failed, Successful };
  };

  const operations = {
    ReceiveMessage(input: Fields) {
      queueOf(input);
      const most = within(numberOf(input["MaxNumberOfMessages"], 1), 1, mostMessages, "MaxNumberOfMessages");
      const seconds = within(
        numberOf(input["VisibilityTimeout"], 30),
        0,
        longestVisibility,
        "VisibilityTimeout",
      );
      // A long poll of an empty queue is answered at once: time stands still here.
      within(numberOf(input["WaitTimeSeconds"], 0), 0, longestWait, "WaitTimeSeconds");
      const names = input["MessageAttributeNames"];
      const all = Array.isArray(names) && names.includes("All");
      const given = receive(most, seconds);
      return given.length === 0 ? {} : { Messages: given.map((message) => shown(message, all)) };
    },
    ChangeMessageVisibilityBatch: (input: Fields) =>
      batch(input, (message, entry) => {
        const seconds = within(
          numberOf(entry["VisibilityTimeout"]),
          0,
          longestVisibility,
          "VisibilityTimeout",
        );
        // "Message does not exist or is not available for visibility timeout change."
        if (message === undefined || message.visibleAt <= clock.now()) return "InvalidParameterValue";
        message.visibleAt = clock.now() + seconds * 1000;
        return undefined;
      }),
    DeleteMessageBatch: (input: Fields) =>
      batch(input, (message) => {
        if (failures > 0) {
          failures--;
          return "InternalError";
        }
        // With an older receipt than the newest the request succeeds, and nothing need be deleted.
        if (message !== undefined) messages.delete(message.id);
        return undefined;
      }),
  };
  const answer = awsJson({ service: "AmazonSQS", version: "1.0", operations });

  return {
    path,
    async handle(request) {
      calls.push(request.headers.get("x-amz-target")?.split(".")[1] ?? "");
      return await answer(request);
    },
    send(body, attributes = {}) {
      if (Buffer.byteLength(body) > longestBody) throw new Error("the message is larger than SQS takes");
      const id = randomUUID();
      const now = clock.now();
      messages.set(id, {
        id,
        body,
        attributes,
        sentAt: now,
        receives: 0,
        firstReceivedAt: undefined,
        visibleAt: now,
        handle: undefined,
      });
      return id;
    },
    get bodies() {
      return [...messages.values()].map(({ body }) => body);
    },
    get visible() {
      return [...messages.values()].filter(({ visibleAt }) => visibleAt <= clock.now()).map(({ id }) => id);
    },
    take: (seconds) => receive(mostMessages, seconds).map(({ id }) => id),
    deliverAgain: (id) => void again.add(id),
    failDeletions(times) {
      failures = times;
    },
    calls,
  };
}

function shown(
  { id, body, attributes, sentAt, receives, firstReceivedAt, handle }: Stored,
  all: boolean,
): Fields {
  const given = Object.entries(attributes);
  return {
    MessageId: id,
    ReceiptHandle: handle,
    MD5OfBody: createHash("md5").update(body).digest("hex"),
    Body: body,
    Attributes: {
      SenderId: "AIDAEXAMPLE",
      SentTimestamp: String(sentAt),
      ApproximateReceiveCount: String(receives),
      ApproximateFirstReceiveTimestamp: String(firstReceivedAt),
    },
    ...(all && given.length > 0
      ? {
          MD5OfMessageAttributes: md5OfAttributes(given),
          MessageAttributes: Object.fromEntries(
            given.map(([name, value]) => [name, { DataType: "String", StringValue: value }]),
          ),
        }
      : {}),
  };
}

/** https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html */
function md5OfAttributes(attributes: readonly (readonly [string, string])[]): string {
  const md5 = createHash("md5");
  const sized = (text: string) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(Buffer.byteLength(text));
    md5.update(length).update(text);
  };
  const stringType = Buffer.from([1]);
  for (const [name, value] of attributes.toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    sized(name);
    sized("String");
    md5.update(stringType);
    sized(value);
  }
  return md5.digest("hex");
}
