// What the templates of both topologies promise: who may do what, what is encrypted, and that nothing falls through.
import { beforeAll, describe, expect, test } from "vitest";
import metrics from "../../config/metrics/index.ts";
import type { Topology } from "../../infra/pipeline.ts";
import {
  type Fields,
  fieldsOf,
  flatten,
  hasWildcard,
  listOf,
  type Resource,
  statementsOf,
} from "../../infra/template.ts";
import { defineMetric, type Metric } from "../../src/index.ts";
import { eventRules } from "../../src/routing/event-rules.ts";
import { allSinks, type Synthesised, synthesise } from "./synthesised.ts";

/** A synthesis takes two seconds of a core, which a busy machine may not have at once. */
const patienceMs = 60_000;

describe.each<Topology>(["per-sink", "single"])("topology %s", (topology) => {
  let made: Synthesised;
  const groups = topology === "single" ? [allSinks] : allSinks.map((sink) => [sink]);

  beforeAll(() => {
    made = synthesise({ topology, alarmEmail: "ops@example.com" });
  }, patienceMs);

  const all = (type: string): readonly Resource[] =>
    made.resources.filter((resource) => resource.type === type);
  const byId = (reference: unknown): Resource => {
    const [, id] = /^<([^.>]+)/.exec(flatten(reference)) ?? [];
    const found = made.resources.find((resource) => resource.id === id);
    if (found === undefined) throw new Error(`the template has no ${flatten(reference)}`);
    return found;
  };
  const workers = () => all("AWS::Lambda::EventSourceMapping");
  const environmentOf = (resource: Resource) =>
    fieldsOf(fieldsOf(resource.properties["Environment"])["Variables"]);
  const rulesOf = (target: "stream" | "function") =>
    all("AWS::Events::Rule").filter(
      ({ properties }) => (properties["ScheduleExpression"] === undefined) === (target === "stream"),
    );

  test("breaks no rule of AWS Solutions without a reason", () => {
    expect(made.findings).toEqual([]);
  });

  test("every metric of the catalog has its rule on its bus, as the catalog says, with retries and a dead-letter queue", () => {
    const found = rulesOf("stream").map(({ properties }) => {
      const [target] = listOf(properties["Targets"]).map(fieldsOf);
      expect(byId(fieldsOf(target?.["DeadLetterConfig"])["Arn"]).type).toBe("AWS::SQS::Queue");
      expect(target?.["RetryPolicy"]).toEqual({
        MaximumEventAgeInSeconds: 86_400,
        MaximumRetryAttempts: 185,
      });
      expect(byId(target?.["Arn"]).type).toBe("AWS::KinesisFirehose::DeliveryStream");
      const { InputPathsMap, InputTemplate } = fieldsOf(target?.["InputTransformer"]);
      return {
        name: String(properties["Description"]).split(" ")[2],
        busName: properties["EventBusName"],
        eventPattern: properties["EventPattern"],
        inputTransformer: { inputPathsMap: InputPathsMap, inputTemplate: InputTemplate },
      };
    });
    const ofAccount = { account: [{ Ref: "AWS::AccountId" }] };
    expect(found).toEqual(
      eventRules(metrics).map((rule) => ({ ...rule, eventPattern: { ...ofAccount, ...rule.eventPattern } })),
    );
  });

  test("the stream buffers a minute or 5 MB, compresses, transforms, and keeps what is refused apart", () => {
    const [stream] = all("AWS::KinesisFirehose::DeliveryStream");
    const destination = fieldsOf(stream?.properties["ExtendedS3DestinationConfiguration"]);
    expect(destination).toMatchObject({
      BufferingHints: { IntervalInSeconds: 60, SizeInMBs: 5 },
      CompressionFormat: "GZIP",
      Prefix: expect.stringMatching(/^Data\//),
      ErrorOutputPrefix: expect.stringMatching(/^Error\/!\{firehose:error-output-type\}\//),
    });
    const [processor] = listOf(fieldsOf(destination["ProcessingConfiguration"])["Processors"]).map(fieldsOf);
    const parameters = Object.fromEntries(
      listOf(processor?.["Parameters"])
        .map(fieldsOf)
        .map(({ ParameterName: name, ParameterValue: value }) => [name, value]),
    );
    expect(byId(parameters["LambdaArn"]).type).toBe("AWS::Lambda::Function");
    expect(parameters).toMatchObject({ BufferSizeInMBs: "1", NumberOfRetries: "3" });
    expect(stream?.properties["DeliveryStreamEncryptionConfigurationInput"]).toEqual({
      KeyType: "AWS_OWNED_CMK",
    });
  });

  test("every bucket is encrypted, closed to the public, stays when the stack goes, and answers over TLS only", () => {
    expect(all("AWS::S3::Bucket")).toHaveLength(3);
    for (const { id, properties } of all("AWS::S3::Bucket")) {
      expect(properties["PublicAccessBlockConfiguration"]).toEqual({
        BlockPublicAcls: true,
        BlockPublicPolicy: true,
        IgnorePublicAcls: true,
        RestrictPublicBuckets: true,
      });
      expect(JSON.stringify(properties["BucketEncryption"])).toContain("AES256");
      expect(JSON.parse(made.text)).toHaveProperty(
        ["Resources", id, "DeletionPolicy"],
        "RetainExceptOnCreate",
      );
      const policy = all("AWS::S3::BucketPolicy").find(
        (each) => flatten(each.properties["Bucket"]) === `<${id}>`,
      );
      expect(denials(policy?.properties)).toContainEqual({ Bool: { "aws:SecureTransport": "false" } });
    }
  });

  test("objects outlive what waits for them, and the books outlive the objects", () => {
    const days = (name: string) => {
      const [bucket] = all("AWS::S3::Bucket").filter(({ id }) => id.startsWith(`FanoutStorage${name}`));
      const rules = listOf(fieldsOf(bucket?.properties["LifecycleConfiguration"])["Rules"]).map(fieldsOf);
      expect(rules[0]).toMatchObject({
        Status: "Enabled",
        AbortIncompleteMultipartUpload: { DaysAfterInitiation: 7 },
      });
      return Number(rules[0]?.["ExpirationInDays"]);
    };
    // 14 days in a dead-letter queue, 7 days until the replayer gives a deferral up.
    expect(days("Data")).toBeGreaterThan(14 + 7);
    expect(days("Books")).toBeGreaterThan(days("Data"));
  });

  test("what a function replaces or removes in the books can be had again for a month", () => {
    const [books] = all("AWS::S3::Bucket").filter(({ id }) => id.startsWith("FanoutStorageBooks"));
    expect(books?.properties["VersioningConfiguration"]).toEqual({ Status: "Enabled" });
    const rules = listOf(fieldsOf(books?.properties["LifecycleConfiguration"])["Rules"]).map(fieldsOf);
    expect(rules).toMatchObject([
      { NoncurrentVersionExpiration: { NoncurrentDays: 30 } },
      { ExpiredObjectDeleteMarker: true },
    ]);
  });

  test("only objects below Data/ are told of, to a topic that no other account's bucket reaches", () => {
    const [bucket] = all("AWS::S3::Bucket").filter(({ id }) => id.startsWith("FanoutStorageData"));
    const [notification, ...others] = listOf(
      fieldsOf(bucket?.properties["NotificationConfiguration"])["TopicConfigurations"],
    ).map(fieldsOf);
    expect(others).toEqual([]);
    expect(notification).toMatchObject({
      Event: "s3:ObjectCreated:*",
      Filter: { S3Key: { Rules: [{ Name: "prefix", Value: "Data/" }] } },
    });
    const topic = byId(notification?.["Topic"]);
    const [policy] = all("AWS::SNS::TopicPolicy").filter(({ properties }) =>
      flatten(listOf(properties["Topics"])[0]).includes(topic.id),
    );
    // S3 tries the topic as soon as it is told of it.
    const { Resources: resources } = fieldsOf(JSON.parse(made.text));
    expect(fieldsOf(fieldsOf(resources)[bucket?.id ?? ""])["DependsOn"]).toContain(policy?.id);
    const statements = listOf(fieldsOf(policy?.properties["PolicyDocument"])["Statement"]).map(fieldsOf);
    const allowed = statements.filter(({ Effect: effect }) => effect === "Allow");
    expect(allowed).toMatchObject([
      {
        Action: "sns:Publish",
        Principal: { Service: "s3.amazonaws.com" },
        Condition: { StringEquals: { "aws:SourceAccount": { Ref: "AWS::AccountId" } } },
      },
    ]);
  });

  test("each sink, or all of them, has one queue and one worker, throttled, which fails objects one by one", () => {
    expect(workers()).toHaveLength(groups.length);
    const sinks = workers().map(({ properties }) => {
      expect(properties).toMatchObject({
        BatchSize: 1,
        FunctionResponseTypes: ["ReportBatchItemFailures"],
      });
      const of = String(fieldsOf(environmentOf(byId(properties["FunctionName"])))["SINKS"]);
      expect(fieldsOf(properties["ScalingConfig"])["MaximumConcurrency"]).toBe(
        of === "hubspot-companies" ? 2 : 4,
      );
      const queue = byId(properties["EventSourceArn"]);
      const worker = byId(properties["FunctionName"]);
      // https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html: six times.
      expect(Number(queue.properties["VisibilityTimeout"])).toBeGreaterThanOrEqual(
        6 * Number(worker.properties["Timeout"]),
      );
      expect(fieldsOf(queue.properties["RedrivePolicy"])["maxReceiveCount"]).toBe(20);
      const subscription = all("AWS::SNS::Subscription").find(
        (each) => flatten(each.properties["Endpoint"]) === `<${queue.id}.Arn>`,
      );
      expect(subscription?.properties).toMatchObject({ Protocol: "sqs", RawMessageDelivery: true });
      return environmentOf(worker)["SINKS"];
    });
    expect(sinks.sort()).toEqual(groups.map((names) => names.join(",")).sort());
  });

  test("what fails for good lies in a dead-letter queue: of rules, of subscriptions, of queues", () => {
    const queueOf = (policy: unknown) => {
      const { deadLetterTargetArn } = fieldsOf(policy);
      expect(byId(deadLetterTargetArn).type).toBe("AWS::SQS::Queue");
      return byId(deadLetterTargetArn).id;
    };
    const queues = all("AWS::SQS::Queue");
    const behind = new Set([
      ...queues
        .filter(({ properties }) => properties["RedrivePolicy"])
        .map(({ properties }) => queueOf(properties["RedrivePolicy"])),
      ...all("AWS::SNS::Subscription")
        .filter(({ properties }) => properties["Protocol"] === "sqs")
        .map(({ properties }) => queueOf(properties["RedrivePolicy"])),
      ...rulesOf("stream").map(
        ({ properties }) =>
          byId(fieldsOf(fieldsOf(listOf(properties["Targets"])[0])["DeadLetterConfig"])["Arn"]).id,
      ),
    ]);
    // One a queue, and one for the rules; each keeps what it has for as long as SQS can, longer than what feeds it.
    expect(queues).toHaveLength(groups.length * 2 + 1);
    for (const { id, properties } of queues) {
      const isDeadLetters = properties["RedrivePolicy"] === undefined;
      expect(behind.has(id)).toBe(isDeadLetters);
      expect(properties["MessageRetentionPeriod"]).toBe((isDeadLetters ? 14 : 4) * 86_400);
    }
  });

  test("every queue is encrypted, and every queue and topic is asked over TLS only", () => {
    for (const { properties } of all("AWS::SQS::Queue")) {
      expect(properties["SqsManagedSseEnabled"]).toBe(true);
    }
    const guarded = (type: string, of: string) =>
      all(type)
        .filter(({ properties }) =>
          denials(properties).some((each) => JSON.stringify(each).includes("SecureTransport")),
        )
        .flatMap(({ properties }) => listOf(properties[of]).map((each) => byId(each).id))
        .sort();
    const ids = (type: string) => all(type).map(({ id }) => id);
    expect(guarded("AWS::SQS::QueuePolicy", "Queues")).toEqual(ids("AWS::SQS::Queue").sort());
    expect(guarded("AWS::SNS::TopicPolicy", "Topics")).toEqual(ids("AWS::SNS::Topic").sort());
  });

  test("every function runs Node 24 on arm64, with a role and a log group of its own that forgets", () => {
    const functions = all("AWS::Lambda::Function");
    expect(functions).toHaveLength(groups.length * 2 + 2);
    for (const { properties } of functions) {
      expect(properties).toMatchObject({ Runtime: "nodejs24.x", Architectures: ["arm64"] });
      expect(byId(fieldsOf(properties["LoggingConfig"])["LogGroup"]).properties["RetentionInDays"]).toBe(30);
    }
    const roles = functions.map(({ properties }) => byId(properties["Role"]).id);
    expect(new Set(roles).size).toBe(functions.length);
  });

  test("no role has a managed policy, a wildcard for an action, or a resource beyond the proven ones", () => {
    for (const { properties } of all("AWS::IAM::Role")) {
      expect(properties["ManagedPolicyArns"]).toBeUndefined();
    }
    const statements = statementsOf(made.resources);
    expect(statements.flatMap(({ actions }) => actions).filter((action) => /[*?]/.test(action))).toEqual([]);
    const wild = new Set(
      statements
        .filter(hasWildcard)
        .flatMap(({ actions, resources }) =>
          resources
            .filter((resource) => /[*?]/.test(resource))
            .flatMap((resource) =>
              actions.map((action) => `${action} ${resource.replaceAll(/[0-9A-F]{8}(?=[.>])/g, "")}`),
            ),
        ),
    );
    const books = "<FanoutStorageBooks.Arn>";
    const lanes = [...allSinks, "_intake"];
    const leases = [`${books}/receipts/writers/sink=hubspot-companies/*`];
    const kept = lanes.flatMap((lane) =>
      ["receipts/books/*/", "receipts/deferrals/sink=", "dead-letters/sink="].map(
        (keys) => `${books}/${keys}${lane}/*`,
      ),
    );
    const removed = lanes.flatMap((lane) => [
      `${books}/receipts/books/*/${lane}/*.claim.json`,
      `${books}/receipts/deferrals/sink=${lane}/*`,
    ]);
    const account = "<AWS::Region>:<AWS::AccountId>";
    expect([...wild].sort()).toEqual(
      [
        ...["Data", "Error"].flatMap((prefix) =>
          ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"].map(
            (action) => `${action} <FanoutStorageData.Arn>/${prefix}/*`,
          ),
        ),
        "s3:GetObjectVersion <FanoutStorageData.Arn>/Data/*",
        ...[...kept, ...leases].flatMap((resource) =>
          ["s3:GetObject", "s3:PutObject"].map((action) => `${action} ${resource}`),
        ),
        ...[...removed, ...leases].map((resource) => `s3:DeleteObject ${resource}`),
        ...["lambda:InvokeFunction", "lambda:GetFunctionConfiguration"].map(
          (action) => `${action} <FanoutStreamTransform.Arn>:*`,
        ),
        ...["segment", "mixpanel", "hubspot"].map(
          (adapter) =>
            `secretsmanager:GetSecretValue arn:<AWS::Partition>:secretsmanager:${account}:secret:fanout/${adapter}-??????`,
        ),
        ...["timestream:WriteRecords", "timestream:CreateTable"].map(
          (action) => `${action} arn:<AWS::Partition>:timestream:${account}:database/product/table/*`,
        ),
        "timestream:DescribeEndpoints *",
        ...workers().map(
          ({ properties }) =>
            `lambda:InvokeFunction <${byId(properties["FunctionName"]).id.replace(/[0-9A-F]{8}$/, "")}.Arn>:*`,
        ),
        ...["s3:GetObject", "s3:GetObjectVersion"].map((action) => `${action} ${books}/backfill/manifests/*`),
        `s3:PutObject ${books}/backfill/reports/*`,
      ].sort(),
    );
  });

  test("a function has its own sinks' secrets, books and letters, and no other's", () => {
    for (const { properties } of all("AWS::Lambda::Function")) {
      const role = byId(properties["Role"]);
      const text = JSON.stringify(statementsOf([role]));
      const isReconciler = JSON.stringify(properties).includes("counts objects");
      const { SINKS } = fieldsOf(fieldsOf(properties["Environment"])["Variables"]);
      const sinks = isReconciler ? "" : String(SINKS ?? "");
      for (const sink of allSinks) {
        for (const keys of [
          `receipts/books/*/${sink}/*`,
          `deferrals/sink=${sink}/`,
          `dead-letters/sink=${sink}/`,
        ]) {
          expect(text.includes(keys)).toBe(sinks.split(",").includes(sink));
        }
      }
      for (const adapter of ["segment", "mixpanel", "hubspot"]) {
        expect(text.includes(`secret:fanout/${adapter}-`)).toBe(sinks.includes(adapter));
      }
      expect(text.includes("timestream:")).toBe(sinks.includes("timestream"));
    }
  });

  test("EventBridge and Firehose act for this account alone, and can do nothing but pass events on", () => {
    const [events] = all("AWS::IAM::Role").filter(({ id }) => id.startsWith("FanoutRulesRole"));
    expect(events?.properties["AssumeRolePolicyDocument"]).toMatchObject({
      Statement: [
        {
          Condition: {
            StringEquals: { "aws:SourceAccount": { Ref: "AWS::AccountId" } },
            ArnLike: { "aws:SourceArn": expect.anything() },
          },
        },
      ],
    });
    expect(events && statementsOf([events]).map(({ actions, resources }) => [actions, resources])).toEqual([
      [
        ["firehose:PutRecord", "firehose:PutRecordBatch"],
        [expect.stringMatching(/^<FanoutStreamFirehose\w*\.Arn>$/)],
      ],
    ]);
    const [queue] = all("AWS::SQS::QueuePolicy").filter(({ id }) => id.startsWith("FanoutRulesUndelivered"));
    expect(JSON.stringify(queue?.properties)).toContain(":rule/product/*");
  });

  test("no secret and no value that could be one stands in the template", () => {
    for (const resource of all("AWS::Lambda::Function")) {
      expect(Object.keys(environmentOf(resource))).not.toContainEqual(expect.stringMatching(/KEY|TOKEN/));
    }
    expect(all("AWS::SecretsManager::Secret")).toEqual([]);
    expect(made.text).not.toContain("resolve:secretsmanager");
  });

  test("each replayer runs every five minutes, beside the worker of the same sinks", () => {
    const schedules = rulesOf("function").filter(({ id }) => !id.includes("Reconciliation"));
    const sinks = schedules.map(({ properties }) => {
      expect(properties["ScheduleExpression"]).toBe("rate(5 minutes)");
      return environmentOf(byId(fieldsOf(listOf(properties["Targets"])[0])["Arn"]))["SINKS"];
    });
    expect(sinks.sort()).toEqual(groups.map((names) => names.join(",")).sort());
  });

  test("whatever stops or waits raises an alarm that reaches people, and tells them when it is over", () => {
    const [topic] = all("AWS::SNS::Topic").filter(({ id }) => id.startsWith("FanoutAlarms"));
    const alarms = all("AWS::CloudWatch::Alarm").map(({ properties }) => {
      expect(listOf(properties["AlarmActions"]).map(flatten)).toEqual([`<${topic?.id}>`]);
      expect(properties["OKActions"]).toEqual(properties["AlarmActions"]);
      expect(String(properties["AlarmDescription"])).toMatch(/\.$/);
      return properties;
    });
    // What each of them watches is in alarms.test.ts; here, that nothing is left out.
    const text = JSON.stringify(alarms);
    for (const { id } of all("AWS::Lambda::Function")) {
      const errors = `"FunctionName","Value":{"Ref":"${id}"}`;
      expect(text.includes(errors), id).toBe(true);
    }
    for (const { id } of all("AWS::SQS::Queue")) expect(text.includes(`"${id}","QueueName"`), id).toBe(true);
  });

  test("a human reads one alarm first, which all those are behind that mean late or lost", () => {
    const [composite] = all("AWS::CloudWatch::CompositeAlarm");
    const rule = flatten(composite?.properties["AlarmRule"]);
    const advice =
      /waitingletters|transformrefused|tenantdirectorydown|errorobjects(?!new)|notificationsignored/;
    for (const { id } of all("AWS::CloudWatch::Alarm"))
      expect([id, rule.includes(`<${id}.Arn>`)]).toEqual([id, !advice.test(id)]);
    expect(composite?.properties["OKActions"]).toEqual(composite?.properties["AlarmActions"]);
  });

  test("the dashboard shows every sink's freshness, deliveries and what waits, and every queue's backlog", () => {
    const [dashboard] = all("AWS::CloudWatch::Dashboard");
    const body = flatten(dashboard?.properties["DashboardBody"]);
    for (const sink of allSinks) {
      for (const figure of ["Freshness", "Delivered", "WaitingDeadLetters", "PendingAge"]) {
        expect(body).toContain(`"FirehoseFanout/fanout","${figure}","Sink","${sink}"`);
      }
    }
    for (const { properties } of workers()) {
      expect(body).toContain(
        `"ApproximateNumberOfMessagesVisible","QueueName","<${byId(properties["EventSourceArn"]).id}.QueueName>"`,
      );
    }
  });
});

test("one more metric is one more rule, and changes nothing else but its code", () => {
  const seventh: Metric = defineMetric({
    name: "report_exported",
    title: "Report exported",
    description: "Somebody took a report home.",
    when: "Once an export.",
    owner: "reporting",
    source: { bus: "product", source: "acme.reports", detailType: "Report Exported" },
    sample: { tenantId: "acme-robotics", pages: 3 },
    tenantId: "$.detail.tenantId",
    data: { pages: { type: "integer", from: "$.detail.pages", description: "Its pages." } },
    sinks: { mixpanel: {} },
  });
  const before = synthesise().resources;
  const after = synthesise({ metrics: [...metrics, seventh] }).resources;
  const ids = new Set(before.map(({ id }) => id));
  const added = after.filter(({ id }) => !ids.has(id));
  expect(added.map(({ type }) => type)).toEqual(["AWS::Events::Rule"]);
  expect(after.filter(({ id }) => ids.has(id))).toEqual(before);
});

test("services say for which account they come where AWS documents it, and elsewhere where it is asked for", () => {
  const conditioned = (strictTrust: boolean) =>
    synthesise({ sinks: ["mixpanel"], strictTrust })
      .resources.filter(({ type }) => type === "AWS::IAM::Role")
      .filter(({ properties }) =>
        JSON.stringify(properties["AssumeRolePolicyDocument"]).includes("aws:SourceAccount"),
      )
      .map(({ id }) => id.replace(/[0-9A-F]{8}$/, ""));
  expect(conditioned(false)).toEqual(["FanoutRulesRole"]);
  expect(conditioned(true).sort()).toEqual(["FanoutBackfillRole", "FanoutRulesRole", "FanoutStreamRole"]);
});

test("two deployments of one account share no name, and their figures do not add up", () => {
  const named = (type: string) => /Name$/.exec(type);
  const { resources, text } = synthesise({ slack: { workspaceId: "T0", channelId: "C0" } });
  const fixed = resources.flatMap(({ type, properties }) =>
    Object.entries(properties).flatMap(([key, value]) =>
      named(key) !== null && typeof value === "string" ? [`${type} ${key} ${value}`] : [],
    ),
  );
  // Names of metrics and buses are no names of resources; a database is named by a setting.
  expect(
    fixed.filter((each) => !/MetricName|EventBusName|DatabaseName|DisplayName|AlarmName fanout/.test(each)),
  ).toEqual(["AWS::Chatbot::SlackChannelConfiguration ConfigurationName fanout-C0"]);
  expect(text).not.toMatch(/"FirehoseFanout"/);
});

test("more accounts than an event pattern has room for are told before the deployment", () => {
  const eventAccounts = Array.from({ length: 140 }, (_, index) => `${100_000_000_000 + index}`);
  expect(() => synthesise({ sinks: ["mixpanel"], eventAccounts })).toThrow(
    /source\.pattern: with eventAccounts, the whole pattern has \d+ characters, and EventBridge takes 2048/,
  );
});

test("events of other accounts are taken where a setting says so", () => {
  const { resources } = synthesise({ sinks: ["mixpanel"], eventAccounts: ["111111111111", "222222222222"] });
  const patterns = resources
    .filter(({ type }) => type === "AWS::Events::Rule")
    .flatMap(({ properties }) => properties["EventPattern"] ?? []);
  expect(patterns).toHaveLength(metrics.length);
  for (const pattern of patterns)
    expect(pattern).toMatchObject({ account: ["111111111111", "222222222222"] });
});

test("a boundary, tags and a network of one's own are on everything that can have them", () => {
  const boundary = "arn:aws:iam::123456789012:policy/boundary";
  const { resources, findings } = synthesise({
    permissionsBoundaryArn: boundary,
    resourceTags: { team: "growth" },
    vpc: { subnetIds: ["subnet-0123456789abcdef0"], securityGroupIds: ["sg-0123456789abcdef0"] },
    operators: ["arn:aws:iam::123456789012:role/on-call"],
  });
  const all = (type: string) => resources.filter((each) => each.type === type);
  for (const { properties } of all("AWS::IAM::Role"))
    expect(properties["PermissionsBoundary"]).toBe(boundary);
  for (const type of ["AWS::S3::Bucket", "AWS::SQS::Queue", "AWS::Lambda::Function", "AWS::SNS::Topic"])
    for (const { properties } of all(type))
      expect(properties["Tags"]).toContainEqual({ Key: "team", Value: "growth" });
  for (const { properties } of all("AWS::Lambda::Function"))
    expect(properties["VpcConfig"]).toEqual({
      SubnetIds: ["subnet-0123456789abcdef0"],
      SecurityGroupIds: ["sg-0123456789abcdef0"],
    });
  expect(findings).toEqual([]);
});

test("the operators' role is there when somebody may take it, and nobody else may", () => {
  const principal = "arn:aws:iam::123456789012:role/on-call";
  expect(synthesise().text).not.toContain("FanoutOperators");
  const { resources } = synthesise({ operators: [principal] });
  const [role] = resources.filter(({ id }) => id.startsWith("FanoutOperatorsRole"));
  expect(role?.properties["AssumeRolePolicyDocument"]).toMatchObject({
    Statement: [{ Action: "sts:AssumeRole", Principal: { AWS: principal } }],
  });
});

test("each sink has its own concurrency and rate, and a sink of one writer no more than a queue must have", () => {
  const { resources } = synthesise({
    concurrency: 6,
    concurrencyOf: { mixpanel: 3 },
    rates: { mixpanel: 12.5 },
  });
  const of = (sink: string) => {
    const id = `FanoutDelivery${sink.replaceAll("-", "")}`;
    const [worker] = resources.filter(
      (each) => each.id.startsWith(`${id}Worker`) && "Environment" in each.properties,
    );
    const [trigger] = resources.filter((each) => each.id.startsWith(`${id}Trigger`));
    const { WORKERS, RATES } = fieldsOf(fieldsOf(worker?.properties["Environment"])["Variables"]);
    return { WORKERS, RATES, ...fieldsOf(trigger?.properties["ScalingConfig"]) };
  };
  expect(of("mixpanel")).toEqual({ WORKERS: "4", RATES: "mixpanel=12.5", MaximumConcurrency: 3 });
  expect(of("segment")).toEqual({ WORKERS: "7", RATES: undefined, MaximumConcurrency: 6 });
  expect(of("hubspot-companies")).toEqual({ WORKERS: "3", RATES: undefined, MaximumConcurrency: 2 });
});

test("the sinks of one writer are those whose adapters say so", async () => {
  const { resolveConfig } = await import("../../src/index.ts");
  const { default: makeConfig } = await import("../../config/fanout.config.ts");
  const { placeholders } = await import("../../infra/catalog.ts");
  const { deployableSinks, hasOneWriter } = await import("../../infra/sinks.ts");
  const { sinks } = await resolveConfig(makeConfig, {
    env: placeholders,
    sinks: Object.keys(deployableSinks),
  });
  for (const { name, limits } of sinks)
    expect([name, hasOneWriter(name)]).toEqual([name, limits.writers === 1]);
});

test("what CloudFormation's own linter calls an error stops the synthesis, with its place", () => {
  // AWS Solutions has nothing against it, and no setting lets it through.
  const vpc = { subnetIds: ["subnet-0123456789abcdef0"], securityGroupIds: ["sg-1"] };
  expect(() => synthesise({ sinks: ["mixpanel"], vpc })).toThrow(
    /ERROR VpcConfig\.SecurityGroupIds\.0: 'sg-1'[\s\S]*Fanout\/Stream\/Transform/,
  );
});

test("ZIP can be chosen", () => {
  expect(synthesise({ compression: "ZIP" }).text).toContain('"CompressionFormat":"ZIP"');
});

test("without the sink Timestream there is no database and no right to one; a database of one's own is not made", () => {
  expect(synthesise({ sinks: ["mixpanel"] }).text).not.toMatch(/timestream/i);
  const own = synthesise({ sinks: ["timestream"], timestream: { database: "ours", create: false } });
  expect(own.resources.filter(({ type }) => type === "AWS::Timestream::Database")).toEqual([]);
  expect(own.text).toContain("database/ours/table/*");
});

test("a Slack channel sees alarms' figures, and its guardrail allows nothing else", () => {
  const { resources, findings } = synthesise({
    sinks: ["mixpanel"],
    slack: { workspaceId: "T0", channelId: "C0" },
  });
  const [slack] = resources.filter(({ type }) => type === "AWS::Chatbot::SlackChannelConfiguration");
  expect(slack?.properties).toMatchObject({ SlackWorkspaceId: "T0", SlackChannelId: "C0" });
  const [guardrail] = resources.filter(({ type }) => type === "AWS::IAM::ManagedPolicy");
  expect(listOf(slack?.properties["GuardrailPolicies"]).map(flatten)).toEqual([`<${guardrail?.id}>`]);
  const actions = guardrail && statementsOf([guardrail]).flatMap((each) => each.actions);
  expect(actions?.every((action) => /^cloudwatch:(Get|Describe)/.test(action))).toBe(true);
  expect(findings).toEqual([]);
});

test("a token for the tenants' directory comes from a secret, its address from the settings", () => {
  const { resources } = synthesise({
    sinks: ["mixpanel"],
    tenants: { directory: "https://crm.example/{tenant_id}", down: "fail", secret: true },
  });
  const [transform] = resources.filter(
    ({ id, type }) => type === "AWS::Lambda::Function" && /Transform/.test(id),
  );
  expect(transform?.properties["Environment"]).toEqual({
    Variables: {
      TENANT_DIRECTORY: "https://crm.example/{tenant_id}",
      TENANT_DIRECTORY_DOWN: "fail",
      METRICS_NAMESPACE: "FirehoseFanout/fanout",
      SECRETS: "fanout/transform",
    },
  });
});

describe("settings that make no sense are refused with a sentence", () => {
  test.each([
    ["no sink", { sinks: [] }, "the pipeline has no sink"],
    ["a sink twice", { sinks: ["mixpanel", "mixpanel"] }, "the sink mixpanel is named twice"],
    ["a sink that stands for two", { sinks: ["hubspot"] }, "the sink hubspot cannot be deployed; known are"],
    ["a sink on the function's own disk", { sinks: ["file"] }, "the sink file cannot be deployed"],
    ["a throttle of one", { concurrency: 1 }, "from 2 to 1000"],
    ["a throttle of one for one sink", { concurrencyOf: { mixpanel: 1 } }, "from 2 to 1000"],
    ["a rate of a sink that is not there", { rates: { mixpanl: 1 } }, "rates names mixpanl"],
    [
      "objects that die before what waits for them",
      { dataDays: 10 },
      "dataDays is 10; objects must live for 30",
    ],
    ["books that die before the objects", { booksDays: 60 }, "booksDays is 60; the books must live longer"],
  ])("%s", (_, props, sentence) => {
    expect(() => synthesise(props)).toThrow(sentence);
  });
});

/** The conditions under which a resource's policy denies everything to everybody. */
function denials(properties: Fields | undefined): readonly unknown[] {
  return listOf(fieldsOf(properties?.["PolicyDocument"])["Statement"])
    .map(fieldsOf)
    .filter(({ Effect: effect }) => effect === "Deny")
    .map(({ Condition: condition }) => condition);
}

test("what is delivered comes as often as the stream's objects, so freshness looks that far back", () => {
  const periodOf = (seconds: number) => {
    const { resources } = synthesise({ sinks: ["mixpanel"], buffer: { seconds } });
    const alarm = resources.find(({ id }) => /^FanoutAlarmsmixpanelfreshness/.test(id));
    return Number(alarm?.properties["Period"]);
  };
  expect([60, 300, 600].map(periodOf)).toEqual([300, 600, 1200]);
});

test("a metric that must not be quiet is watched on its rule, also of a partner's bus", () => {
  const bus = "aws.partner/acme.example/feed";
  const [metric] = metrics;
  if (metric === undefined) throw new Error("the catalog is empty");
  const of = (busName: string) => {
    const { text } = synthesise({
      metrics: [{ ...metric, source: { ...metric.source, bus: busName } }],
      sinks: ["mixpanel"],
      quietMinutes: 30,
      quietMetrics: [metric.name],
    });
    return /"Fn::Select":\[(\d),\{"Fn::Split":\["\/"/.exec(text)?.[1];
  };
  // arn:…:rule/<rule>, arn:…:rule/<bus>/<rule>, and a bus with two slashes of its own.
  expect(["default", "product", bus].map(of)).toEqual(["1", "2", "4"]);
});
