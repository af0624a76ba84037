import { describe, expect, test } from "vitest";
import { parseNotification } from "../../src/intake/notification.ts";

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
const envelope = (message: string) =>
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

test("a malformed message fails alone, with a reason that repeats nothing of it", () => {
  const messages = parseNotification({
    Records: [sqs("m1", "{secret"), sqs("m2", body(s3("a"))), sqs("m3", '"secret"'), sqs("m4", undefined)],
  });
  expect(messages).toEqual([
    { id: "m1", malformed: "the message is not JSON" },
    { id: "m2", objects: [object("a")], ignored: 0 },
    { id: "m3", malformed: "the message is not a JSON object" },
    { id: "m4", malformed: "the message has an envelope without text in it" },
  ]);
});

test.each([
  ["nothing", undefined],
  ["a string", "x"],
  ["an array", []],
  ["an empty object", {}],
  ["a record of another service", { Records: [{ eventSource: "aws:dynamodb", dynamodb: {} }] }],
  ["a record that is no object", { Records: [1] }],
  ["no bucket", { Records: [{ ...s3("a"), s3: { object: { key: "a" } } }] }],
  ["no key", { Records: [{ ...s3("a"), s3: { bucket: { name: "b" } } }] }],
  ["an empty key", { Records: [s3("")] }],
  ["a key that is not URL-encoded", { Records: [s3("100%")] }],
  ["a key that is not UTF-8", { Records: [s3("%FF")] }],
  ["an SNS message that is no text", { Records: [sns({})] }],
  ["an event of another source", { ...eventBridge("Object Created", { key: "a" }), source: "my.app" }],
  ["an EventBridge event without a key", eventBridge("Object Created", {})],
  ["one bad notification among good ones in a message", { Records: [sqs("0", body(s3("a"), s3("%")))] }],
])("%s is malformed, and nothing throws", (_, event) => {
  expect(parseNotification(event)).toEqual([{ id: "0", malformed: expect.stringMatching(/^the .+/) }]);
});

test("an empty batch has no message", () => {
  expect(parseNotification({ Records: [] })).toEqual([]);
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
    "",
  ])("%j is not: counted, and acknowledged", (eventName) => {
    expect(parseNotification({ Records: [s3("a", { eventName })] })).toEqual([
      { id: "0", objects: [], ignored: 1 },
    ]);
  });

  test("an EventBridge event about anything but a created object is not", () => {
    expect(parseNotification(eventBridge("Object Deleted", { key: "a" }))).toEqual([
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
    expect(parseNotification(event)).toMatchObject([{ objects: [{ key: "a+b%2B.gz", version: "v" }] }]);
  });

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
