import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseNotification } from "../../src/intake/notification.ts";

/** Lists of records in lists of records. */
const nested = (depth: number): object => (depth === 0 ? s3("a") : { Records: [nested(depth - 1)] });

function s3(key: string, more: { eventName?: string; object?: object } = {}) {
  const { eventName = "ObjectCreated:Put", object = {} } = more;
  return {
    eventVersion: "2.2",
    eventSource: "aws:s3",
    eventName,
    s3: { bucket: { name: "events" }, object: { key, size: 12, eTag: "etag-1", sequencer: "0A", ...object } },
  };
}
const body = (...records: readonly object[]) => JSON.stringify({ Records: records });
const sqs = (messageId: string, text: unknown) => ({ messageId, eventSource: "aws:sqs", body: text });
const sns = (message: unknown) => ({
  EventSource: "aws:sns",
  Sns: { Type: "Notification", Message: message },
});
const envelope = (message: string): string =>
  JSON.stringify({ Type: "Notification", TopicArn: "arn", Message: message });
const eventBridge = (type: string, object: object) => ({
  version: "0",
  source: "aws.s3",
  "detail-type": type,
  detail: { bucket: { name: "events" }, object },
});
const testEvent = { Service: "Amazon S3", Event: "s3:TestEvent", Bucket: "events", RequestId: "r" };
const object = (key: string, version = "etag-1") => ({ bucket: "events", key, version });

test.each([
  ["S3", { Records: [s3("a")] }, "0"],
  ["S3 in SQS", { Records: [sqs("m1", body(s3("a")))] }, "m1"],
  ["S3 in SNS", { Records: [sns(body(s3("a")))] }, "0"],
  ["S3 in SNS in SQS, delivered raw", { Records: [sqs("m1", body(s3("a")))] }, "m1"],
  ["S3 in SNS in SQS", { Records: [sqs("m1", envelope(body(s3("a"))))] }, "m1"],
  ["EventBridge", eventBridge("Object Created", { key: "a", etag: "etag-1" }), "0"],
  [
    "EventBridge in SQS",
    { Records: [sqs("m1", JSON.stringify(eventBridge("Object Created", { key: "a", etag: "etag-1" })))] },
    "m1",
  ],
  [
    "EventBridge in SNS in SQS",
    {
      Records: [
        sqs("m1", envelope(JSON.stringify(eventBridge("Object Created", { key: "a", etag: "etag-1" })))),
      ],
    },
    "m1",
  ],
  [
    "EventBridge in SNS",
    { Records: [sns(JSON.stringify(eventBridge("Object Created", { key: "a", etag: "etag-1" })))] },
    "0",
  ],
  [
    "S3 in SNS in SQS with a byte order mark",
    { Records: [sqs("m1", `\ufeff${envelope(`\ufeff${body(s3("a"))}`)}`)] },
    "m1",
  ],
  ["S3 without an event name", { Records: [{ ...s3("a"), eventName: undefined }] }, "0"],
] as const)("%s is understood", (_, event, id) => {
  expect(parseNotification(event)).toEqual([{ id, objects: [object("a")], ignored: 0 }]);
});

test("every record of a batch is a message of its own, under its SQS id or its place", () => {
  expect(parseNotification({ Records: [s3("a"), s3("b")] })).toEqual([
    { id: "0", objects: [object("a")], ignored: 0 },
    { id: "1", objects: [object("b")], ignored: 0 },
  ]);
  expect(
    parseNotification({ Records: [sqs("m1", body(s3("a"), s3("b"))), sqs("m2", body(s3("c")))] }),
  ).toEqual([
    { id: "m1", objects: [object("a"), object("b")], ignored: 0 },
    { id: "m2", objects: [object("c")], ignored: 0 },
  ]);
});

test("every path of AWS, mixed in one batch, each with its own object and id", () => {
  const event = {
    Records: [
      s3("direct"),
      sqs("m1", body(s3("in-sqs"), s3("in-sqs-too"))),
      sns(body(s3("in-sns"))),
      sqs("m2", envelope(body(s3("in-sns-in-sqs")))),
      sqs("m3", JSON.stringify(eventBridge("Object Created", { key: "in-eventbridge", etag: "etag-1" }))),
      sqs("m4", envelope(JSON.stringify(testEvent))),
      sqs("m5", body(s3("removed", { eventName: "ObjectRemoved:Delete" }))),
      sqs("m6", "no JSON"),
    ],
  };
  expect(parseNotification(event)).toEqual([
    { id: "0", objects: [object("direct")], ignored: 0 },
    { id: "m1", objects: [object("in-sqs"), object("in-sqs-too")], ignored: 0 },
    { id: "2", objects: [object("in-sns")], ignored: 0 },
    { id: "m2", objects: [object("in-sns-in-sqs")], ignored: 0 },
    { id: "m3", objects: [object("in-eventbridge")], ignored: 0 },
    { id: "m4", objects: [], ignored: 0 },
    { id: "m5", objects: [], ignored: 1 },
    { id: "m6", objects: [], ignored: 0, malformed: "the message is not JSON" },
  ]);
});

test.each(["2.0", "2.1", "2.2", "2.3", "3.0", undefined, 2])(
  "event version %j is read like any other, with whatever fields it adds",
  (eventVersion) => {
    const record = {
      ...s3("a", { object: { somethingNew: { deep: [1] } } }),
      eventVersion,
      userIdentity: { principalId: "AWS:X" },
      glacierEventData: null,
    };
    expect(parseNotification({ Records: [record], more: true })).toEqual([
      { id: "0", objects: [object("a")], ignored: 0 },
    ]);
  },
);

test("the order of the records is kept, and a sequencer changes nothing", () => {
  const records = ["0B", "0A", "00000000000000000C", "not hex", undefined].map((sequencer) =>
    s3("a", { object: { sequencer } }),
  );
  const [message] = parseNotification({ Records: [sqs("m1", body(...records))] });
  expect(message).toEqual({ id: "m1", objects: records.map(() => object("a")), ignored: 0 });
});

test("ten thousand records are read, in one message and as one batch", () => {
  const records = Array.from({ length: 10_000 }, (_, index) => s3(`k${index}`));
  const [message] = parseNotification({ Records: [sqs("m1", body(...records))] });
  expect(message?.objects).toHaveLength(10_000);
  expect(message?.objects.at(-1)).toEqual(object("k9999"));
  expect(parseNotification({ Records: records })).toHaveLength(10_000);
});

test("a malformed message fails alone, with a reason that repeats nothing of it", () => {
  const messages = parseNotification({
    Records: [sqs("m1", "{secret"), sqs("m2", body(s3("a"))), sqs("m3", '"secret"'), sqs("m4", undefined)],
  });
  expect(messages).toEqual([
    { id: "m1", objects: [], ignored: 0, malformed: "the message is not JSON" },
    { id: "m2", objects: [object("a")], ignored: 0 },
    { id: "m3", objects: [], ignored: 0, malformed: "the message is not a JSON object" },
    { id: "m4", objects: [], ignored: 0, malformed: "the message has an envelope without text in it" },
  ]);
});

test("of a message that is malformed in part, the rest is work all the same", () => {
  const records = [s3("a"), s3("%"), s3("b"), { secret: 1 }, s3("c", { eventName: "ObjectRemoved:Delete" })];
  expect(parseNotification({ Records: [sqs("m1", body(...records))] })).toEqual([
    {
      id: "m1",
      objects: [object("a"), object("b")],
      ignored: 1,
      malformed: "the S3 notification has no key, or one that is not URL-encoded",
    },
  ]);
});

test.each([
  ["nothing", undefined],
  ["null", null],
  ["a number", 1],
  ["a string", "x"],
  ["an array", []],
  ["an empty object", {}],
  ["a record of another service", { Records: [{ eventSource: "aws:dynamodb", dynamodb: {} }] }],
  ["records that are no list", { Records: s3("a") }],
  ["records that are null", { Records: null }],
  ["a record that is no object", { Records: [1] }],
  ["a record that is null", { Records: [null] }],
  ["a record that is a string", { Records: ["secret"] }],
  ["a record that is a list", { Records: [[s3("a")]] }],
  ["an event whose name is null", { Records: [{ ...s3("a"), eventName: null }] }],
  ["an event whose name is empty", { Records: [s3("a", { eventName: "" })] }],
  ["no bucket", { Records: [{ ...s3("a"), s3: { object: { key: "a" } } }] }],
  ["a bucket without a name", { Records: [{ ...s3("a"), s3: { bucket: {}, object: { key: "a" } } }] }],
  [
    "a name that is no text",
    { Records: [{ ...s3("a"), s3: { bucket: { name: 1 }, object: { key: "a" } } }] },
  ],
  ["no key", { Records: [{ ...s3("a"), s3: { bucket: { name: "b" } } }] }],
  ["an empty key", { Records: [s3("")] }],
  ["a key that is no text", { Records: [s3("a", { object: { key: ["a"] } })] }],
  ["a key that is not URL-encoded", { Records: [s3("100%")] }],
  ["a key that is not UTF-8", { Records: [s3("%FF")] }],
  ["an SNS message that is no text", { Records: [sns({})] }],
  [
    "the sentence with which SNS asks for a subscription",
    { Records: [sqs("0", envelope("You have chosen to subscribe to the topic"))] },
  ],
  ["an event of another source", { ...eventBridge("Object Created", { key: "a" }), source: "my.app" }],
  ["an EventBridge event without a key", eventBridge("Object Created", {})],
  ["an EventBridge event without a type", { ...eventBridge("", { key: "a" }) }],
  ["fifty lists in lists", { Records: [nested(50)] }],
  [
    "a hundred thousand lists in lists",
    { Records: [sqs("0", `${'{"Records":['.repeat(100_000)}1${"]}".repeat(100_000)}`)] },
  ],
  ["a hundred thousand open brackets", { Records: [sqs("0", "[".repeat(100_000))] }],
  [
    "twelve envelopes",
    { Records: [sqs("0", Array.from({ length: 12 }).reduce<string>(envelope, body(s3("a"))))] },
  ],
])("%s is malformed, and nothing throws", (_, event) => {
  expect(parseNotification(event)).toEqual([
    { id: "0", objects: [], ignored: 0, malformed: expect.stringMatching(/^the .+/) },
  ]);
});

test("no JSON makes it throw, and every message of a batch is answered for", () => {
  const anything = fc.oneof(
    fc.jsonValue(),
    fc.json().map((text) => sqs("m", text)),
  );
  fc.assert(
    fc.property(fc.array(anything), (records) => {
      expect(parseNotification({ Records: records })).toHaveLength(records.length);
    }),
  );
});

test("an empty batch has no message, and an empty message nothing to do", () => {
  expect(parseNotification({ Records: [] })).toEqual([]);
  expect(parseNotification({ Records: [sqs("m1", body())] })).toEqual([
    { id: "m1", objects: [], ignored: 0 },
  ]);
});

describe("what is work", () => {
  test.each([
    "ObjectCreated:Put",
    "ObjectCreated:CompleteMultipartUpload",
    "ObjectCreated:Copy",
    "s3:ObjectCreated:Post",
  ])("%s is", (eventName) => {
    expect(parseNotification({ Records: [s3("a", { eventName })] })).toMatchObject([{ ignored: 0 }]);
  });

  test.each([
    "ObjectRemoved:Delete",
    "ObjectRestore:Completed",
    "LifecycleExpiration:Delete",
    "ObjectTagging:Put",
    "s3:ObjectRemoved:DeleteMarkerCreated",
    "ReducedRedundancyLostObject",
    "ObjectCreatedX:Put",
  ])("%j is not: counted, and acknowledged", (eventName) => {
    expect(parseNotification({ Records: [s3("a", { eventName })] })).toEqual([
      { id: "0", objects: [], ignored: 1 },
    ]);
  });

  test.each([
    "Object Deleted",
    "Object Restore Completed",
    "Object Tags Added",
    "Object Storage Class Changed",
  ])("%j of EventBridge is not", (type) => {
    expect(parseNotification(eventBridge(type, { key: "a" }))).toEqual([
      { id: "0", objects: [], ignored: 1 },
    ]);
  });

  test("the test event of S3 is acknowledged, however it is wrapped", () => {
    const text = JSON.stringify(testEvent);
    const nothing = { objects: [], ignored: 0 };
    expect(parseNotification(testEvent)).toEqual([{ id: "0", ...nothing }]);
    expect(parseNotification({ Records: [sqs("m1", text), sqs("m2", envelope(text)), sns(text)] })).toEqual([
      { id: "m1", ...nothing },
      { id: "m2", ...nothing },
      { id: "2", ...nothing },
    ]);
  });
});

describe("the object", () => {
  test.each([
    ["year%3D2026/a+b%2Bc.gz", "year=2026/a b+c.gz"],
    ["%E6%97%A5/%C3%A9.json", "日/é.json"],
    ["a%252Fb", "a%2Fb"],
    ["plain/key-1_x.zip", "plain/key-1_x.zip"],
  ])("has its key decoded: %s", (key, decoded) => {
    expect(parseNotification({ Records: [s3(key)] })).toMatchObject([{ objects: [{ key: decoded }] }]);
  });

  test("has its key as it comes from EventBridge", () => {
    const event = eventBridge("Object Created", { key: "a+b%2B.gz", etag: "e", "version-id": "v" });
    expect(parseNotification(event)).toMatchObject([
      { objects: [{ key: "a+b%2B.gz", alternativeKey: "a b+.gz", version: "v" }] },
    ]);
  });

  test.each(["plain/key=1.gz", "100%", "%FF", "日"])(
    "has no second key where EventBridge's cannot be an encoded one: %s",
    (key) => {
      const [message] = parseNotification(eventBridge("Object Created", { key }));
      expect(message?.objects).toEqual([{ bucket: "events", key }]);
    },
  );

  test.each([
    [{ versionId: "v1" }, "v1"],
    [{ versionId: "null" }, "etag-1"],
    [{ versionId: null }, "etag-1"],
    [{ versionId: "" }, "etag-1"],
  ])("has the version of %j", (more, version) => {
    expect(parseNotification({ Records: [s3("a", { object: more })] })).toMatchObject([
      { objects: [{ version }] },
    ]);
  });

  test("has no version when the notification names none", () => {
    const [message] = parseNotification({ Records: [s3("a", { object: { eTag: undefined } })] });
    expect(message).toEqual({ id: "0", objects: [{ bucket: "events", key: "a" }], ignored: 0 });
  });
});
