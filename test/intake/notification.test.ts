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
    { id: "m4", objects: [], ignored: 1 },
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
  const records = [s3("a"), s3(""), s3("b"), { secret: 1 }, s3("c", { eventName: "ObjectRemoved:Delete" })];
  expect(parseNotification({ Records: [sqs("m1", body(...records))] })).toEqual([
    {
      id: "m1",
      objects: [object("a"), object("b")],
      ignored: 1,
      malformed: "the notification names no key",
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
  ["a record that is an empty list", { Records: [[]] }],
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

test("no JSON at all makes it throw: what it says nothing of is an empty batch, and every task has its message", () => {
  const shapes = fc.record(
    {
      invocationSchemaVersion: fc.string(),
      tasks: fc.array(fc.jsonValue()),
      requestContext: fc.jsonValue(),
      requestPayload: fc.jsonValue(),
      eventSource: fc.constantFrom("s3.amazonaws.com", "aws:s3"),
      eventName: fc.constantFrom("PutObject", "ObjectCreated:Put", 1),
      requestParameters: fc.jsonValue(),
      resources: fc.jsonValue(),
      bucket: fc.jsonValue(),
      object: fc.jsonValue(),
      detail: fc.jsonValue(),
      source: fc.constant("aws.s3"),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(fc.oneof(fc.jsonValue(), shapes, fc.array(shapes)), (event) => {
      for (const { objects, ignored, malformed } of parseNotification(event, "arn")) {
        expect(objects.length + ignored + (malformed === undefined ? 0 : 1)).toBeGreaterThan(0);
      }
      if (!Array.isArray(event) && typeof event === "object" && event !== null && "tasks" in event) {
        if (Array.isArray(event.tasks) && "invocationSchemaVersion" in event) {
          expect(parseNotification(event)).toHaveLength(event.tasks.length);
        }
      }
    }),
  );
});

test("an empty batch has no message, and an empty message is counted as no work", () => {
  expect(parseNotification({ Records: [] })).toEqual([]);
  expect(parseNotification({ Records: [sqs("m1", body())] })).toEqual([
    { id: "m1", objects: [], ignored: 1 },
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
    "Replication:OperationFailedReplication",
    "LifecycleTransition",
    "IntelligentTiering",
    "ObjectAcl:Put",
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

  test("the test event of S3 is counted and acknowledged, however it is wrapped", () => {
    const text = JSON.stringify(testEvent);
    const nothing = { objects: [], ignored: 1 };
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
      { objects: [{ key: "a+b%2B.gz", alternativeKeys: ["a b+.gz", "a+b+.gz"], version: "v" }] },
    ]);
  });

  test.each([
    ["100%", { key: "100%" }],
    ["%FF", { key: "%FF" }],
    ["50%25/a", { key: "50%/a", alternativeKeys: ["50%25/a"] }],
    ["Data/a+b", { key: "Data/a b", alternativeKeys: ["Data/a+b"] }],
    ["Data/a+b%41", { key: "Data/a bA", alternativeKeys: ["Data/a+bA", "Data/a+b%41"] }],
  ])("may have a raw key in S3's old form, as a hand-made input transformer writes it: %s", (raw, keys) => {
    const [message] = parseNotification({ Records: [s3(raw, { object: { eTag: undefined } })] });
    expect(message?.objects).toEqual([{ bucket: "events", ...keys }]);
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

// ── paths beside S3's own ───────────────────────────────────────────────────────────────────────────────────

const cloudTrail = (eventName: string, more: object = {}) => ({
  version: "0",
  source: "aws.s3",
  "detail-type": "AWS API Call via CloudTrail",
  detail: {
    eventSource: "s3.amazonaws.com",
    eventName,
    requestParameters: { bucketName: "events", key: "Data/a", Host: "events.s3.amazonaws.com" },
    ...more,
  },
});

describe("S3 through CloudTrail", () => {
  test.each(["PutObject", "CopyObject", "CompleteMultipartUpload", "PostObject"])(
    "%s makes an object",
    (name) => {
      const event = cloudTrail(name);
      const found = [{ bucket: "events", key: "Data/a" }];
      expect(parseNotification(event)).toEqual([{ id: "0", objects: found, ignored: 0 }]);
      const envelopes = [sqs("m1", JSON.stringify(event)), sqs("m2", envelope(JSON.stringify(event)))];
      // A rule with the input path $.detail hands over nothing else.
      const bare = sqs("m3", JSON.stringify(event.detail));
      expect(parseNotification({ Records: [...envelopes, bare] })).toEqual(
        ["m1", "m2", "m3"].map((id) => ({ id, objects: found, ignored: 0 })),
      );
    },
  );

  test.each([
    ["the answer", { responseElements: { "x-amz-version-id": "v1" } }],
    ["what else was known", { responseElements: null, additionalEventData: { "x-amz-version-id": "v1" } }],
  ])("has the version that stands in %s", (_, more) => {
    expect(parseNotification(cloudTrail("PutObject", more))).toMatchObject([
      { objects: [{ version: "v1" }] },
    ]);
  });

  test("has its key as it comes, and decoded only where there is no such object", () => {
    const requestParameters = { bucketName: "events", key: "Data/a+b%41" };
    expect(parseNotification(cloudTrail("PutObject", { requestParameters }))).toMatchObject([
      { objects: [{ key: "Data/a+b%41", alternativeKeys: ["Data/a bA", "Data/a+bA"] }] },
    ]);
  });

  test.each(["arn:aws:s3:us-east-1:123456789012:accesspoint/writers", "writers-x1-s3alias", undefined])(
    "has the bucket behind an access point: %s",
    (bucketName) => {
      const resources = [
        { type: "AWS::S3::Object", ARN: "arn:aws:s3:::events/Data/a" },
        { type: "AWS::S3::Bucket", ARN: "arn:aws:s3:::events", accountId: "123456789012" },
      ];
      const call = { requestParameters: { bucketName, key: "Data/a" }, resources };
      expect(parseNotification(cloudTrail("PutObject", call))).toMatchObject([
        { objects: [{ bucket: "events", key: "Data/a" }] },
      ]);
      expect(parseNotification(cloudTrail("PutObject", { ...call, resources: [] }))).toMatchObject([
        { objects: [], malformed: "the notification names no bucket" },
      ]);
    },
  );

  test("a call that failed made no object: counted, and acknowledged", () => {
    expect(parseNotification(cloudTrail("PutObject", { errorCode: "AccessDenied" }))).toEqual([
      { id: "0", objects: [], ignored: 1 },
    ]);
  });

  test.each([
    "GetObject",
    "HeadObject",
    "DeleteObject",
    "DeleteObjects",
    "ListObjectsV2",
    "CreateMultipartUpload",
    "UploadPart",
    "UploadPartCopy",
    "AbortMultipartUpload",
    "PutObjectTagging",
    "PutBucketPolicy",
    "RestoreObject",
  ])("%s makes none: counted, and acknowledged", (name) => {
    expect(parseNotification(cloudTrail(name))).toEqual([{ id: "0", objects: [], ignored: 1 }]);
  });
});

describe("what cannot be told from a creation is malformed, so that it comes back and somebody looks", () => {
  test.each([
    ["a call of S3's that is not known", cloudTrail("RenameObject")],
    ["a call without a name", cloudTrail("")],
    ["a call without a key", cloudTrail("PutObject", { requestParameters: { bucketName: "events" } })],
    ["a call of another service", cloudTrail("PutObject", { eventSource: "kms.amazonaws.com" })],
    ["an event of S3's that is not known", { Records: [s3("a", { eventName: "ObjectCreatedX:Put" })] }],
    ["a type of event that is not known", eventBridge("Object Made", { key: "a" })],
    ["a detail without its reason", { bucket: { name: "events" }, object: { key: "a" } }],
    ["a hand-made message", { bucket: "events", key: "a" }],
    [
      "an event of one's own that holds one of S3's",
      { source: "my.app", "detail-type": "x", detail: s3("a") },
    ],
  ])("%s", (_, event) => {
    expect(parseNotification(event)).toEqual([
      { id: "0", objects: [], ignored: 0, malformed: expect.stringMatching(/^the .+/) },
    ]);
  });
});

describe("EventBridge", () => {
  test.each(["PutObject", "POST Object", "CopyObject", "CompleteMultipartUpload"])(
    "created by %s, whole, replayed from an archive, and as the detail alone",
    (reason) => {
      const event = eventBridge("Object Created", { key: "a", etag: "etag-1" });
      const detail = { ...event.detail, reason };
      for (const each of [{ ...event, detail }, { ...event, detail, "replay-name": "r" }, detail]) {
        expect(parseNotification(each)).toEqual([{ id: "0", objects: [object("a")], ignored: 0 }]);
      }
    },
  );
});

describe("Lambda's destinations", () => {
  const worker = "arn:aws:lambda:us-east-1:123456789012:function:worker";
  const other = "arn:aws:lambda:us-east-1:123456789012:function:scanner:$LATEST";
  const outcome = (condition: string, functionArn: string, requestPayload: unknown) => ({
    version: "1.0",
    timestamp: "2026-11-20T09:30:00.000Z",
    requestContext: { requestId: "r", functionArn, condition, approximateInvokeCount: 3 },
    requestPayload,
    responseContext: { statusCode: 200, functionError: "Unhandled" },
    responsePayload: { errorMessage: "NOT_FOUND: …" },
  });
  const onBus = (detail: object) => ({
    source: "lambda",
    "detail-type": "Lambda Function Invocation Result - Failure",
    detail,
  });
  const payloads: readonly (readonly [string, unknown])[] = [
    ["S3's list", { Records: [s3("a")] }],
    ["SNS's", { Records: [sns(body(s3("a")))] }],
    ["EventBridge's event", eventBridge("Object Created", { key: "a", etag: "etag-1" })],
    ["a pipe's list", [sqs("m9", body(s3("a")))]],
    ["another destination's", outcome("Success", other, { Records: [s3("a")] })],
  ];

  test.each(payloads)(
    "what failed for good names the objects that the function was asked for: %s",
    (_, asked) => {
      const found = { objects: [object("a")], ignored: 0 };
      for (const condition of ["RetriesExhausted", "EventAgeExceeded"]) {
        const failure = outcome(condition, `${worker}:$LATEST`, asked);
        const text = JSON.stringify(failure);
        const records = [
          sqs("m1", text),
          sqs("m2", envelope(text)),
          sns(text),
          sqs("m3", JSON.stringify(onBus(failure))),
          sqs("m4", envelope(JSON.stringify(onBus(failure)))),
        ];
        expect(parseNotification({ Records: records }, worker)).toEqual(
          ["m1", "m2", "2", "m3", "m4"].map((id) => ({ id, ...found })),
        );
        expect(parseNotification(failure, worker)).toEqual([{ id: "0", ...found }]);
      }
    },
  );

  test("a success of our own is done: counted, and acknowledged, so that it cannot go round for ever", () => {
    const asked = { Records: [s3("a")] };
    for (const self of [worker, `${worker}:live`]) {
      expect(parseNotification(outcome("Success", `${worker}:$LATEST`, asked), self)).toEqual([
        { id: "0", objects: [], ignored: 1 },
      ]);
      // Two functions that are each other's destination.
      const around = outcome("Success", other, outcome("Success", `${worker}:$LATEST`, asked));
      expect(parseNotification(around, self)).toEqual([{ id: "0", objects: [], ignored: 1 }]);
    }
  });

  test("a success of another function is a notification: nobody has delivered the object yet", () => {
    const event = outcome("Success", other, { Records: [s3("a")] });
    for (const self of [worker, undefined]) {
      expect(parseNotification(event, self)).toEqual([{ id: "0", objects: [object("a")], ignored: 0 }]);
    }
  });

  test.each([undefined, null, "secret", {}, []])("a payload that says nothing is malformed: %j", (asked) => {
    expect(parseNotification({ ...outcome("RetriesExhausted", worker, {}), requestPayload: asked })).toEqual([
      { id: "0", objects: [], ignored: 0, malformed: expect.stringMatching(/^the message /) },
    ]);
  });
});

describe("a list, as EventBridge Pipes hand it over", () => {
  test("of SQS messages is a batch like that of a queue", () => {
    const event = JSON.stringify(eventBridge("Object Created", { key: "b", etag: "etag-1" }));
    const pipe = [sqs("m1", body(s3("a"))), sqs("m2", envelope(event)), sqs("m3", "no JSON")];
    expect(parseNotification(pipe)).toEqual([
      { id: "m1", objects: [object("a")], ignored: 0 },
      { id: "m2", objects: [object("b")], ignored: 0 },
      { id: "m3", objects: [], ignored: 0, malformed: "the message is not JSON" },
    ]);
  });

  test("whose input transformer passed on the body alone, or parsed it, is understood", () => {
    const parsed = JSON.parse(body(s3("a"))) as unknown;
    expect(parseNotification([parsed, { messageId: "m1", body: parsed }])).toEqual([
      { id: "0", objects: [object("a")], ignored: 0 },
      { id: "m1", objects: [object("a")], ignored: 0 },
    ]);
  });

  test("of another source is malformed, record by record", () => {
    const stream = { eventSource: "aws:kinesis", data: Buffer.from(body(s3("a"))).toString("base64") };
    expect(parseNotification([stream])).toEqual([
      { id: "0", objects: [], ignored: 0, malformed: "the message is no S3 notification" },
    ]);
  });
});

describe("S3 Batch Operations", () => {
  const job = (invocationSchemaVersion: string, ...tasks: object[]) => ({
    invocationSchemaVersion,
    invocationId: "i",
    job: { id: "j" },
    tasks: tasks.map((task, index) => ({ taskId: `t${index + 1}`, ...task })),
  });

  test.each([
    ["1.0", { s3BucketArn: "arn:aws:s3:::events" }],
    ["1.0", { s3BucketArn: "arn:aws-cn:s3:::events" }],
    ["2.0", { s3Bucket: "events" }],
  ])("schema %s names a bucket as %j; each task is a message", (schema, bucket) => {
    const event = job(
      schema,
      { ...bucket, s3Key: "Data/year%3D2026/a+b", s3VersionId: "v1" },
      { ...bucket, s3Key: "Data/b", s3VersionId: null },
    );
    const first = { bucket: "events", key: "Data/year=2026/a b", version: "v1" };
    const alternativeKeys = ["Data/year=2026/a+b", "Data/year%3D2026/a+b"];
    expect(parseNotification(event)).toEqual([
      { id: "t1", objects: [{ ...first, alternativeKeys }], ignored: 0 },
      { id: "t2", objects: [{ bucket: "events", key: "Data/b" }], ignored: 0 },
    ]);
  });

  test.each([{ s3Bucket: "events" }, { s3Key: "Data/a" }, { s3Key: "Data/a", s3BucketArn: "events" }, {}])(
    "a task that names no object is malformed: %j",
    (task) => {
      expect(parseNotification(job("1.0", task))).toMatchObject([
        { id: "t1", objects: [], malformed: expect.stringMatching(/^the notification names no/) },
      ]);
    },
  );
});
