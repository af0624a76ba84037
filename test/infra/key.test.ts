// A customer's key: what it encrypts, and what its policy must let AWS's services do. What roles may do with it is in
// rights.test.ts.
import { readFileSync } from "node:fs";
import path from "node:path";
import { App } from "aws-cdk-lib";
import { describe, expect, test } from "vitest";
import metrics from "../../config/metrics/index.ts";
import { keyPolicyFor } from "../../infra/key-policy.ts";
import type { Topology } from "../../infra/pipeline.ts";
import { FanoutStack } from "../../infra/stack.ts";
import { fieldsOf, type Resource, type Statement, statementsIn } from "../../infra/template.ts";
import { ConfigError } from "../../src/index.ts";
import { synthesise } from "./synthesised.ts";
import { account, region } from "./world/names.ts";
import { type Access, applies } from "./world/policy.ts";

const patienceMs = 60_000;
const key = `arn:aws:kms:${region}:${account}:key/0123abcd-0123-0123-0123-0123456789ab`;

test.each<Topology>(["per-sink", "single"])(
  "topology %s: everything that keeps data has the key",
  (topology) => {
    const { resources, findings } = synthesise({ topology, kmsKeyArn: key });
    expect(findings).toEqual([]);
    const all = (type: string) => resources.filter((each) => each.type === type);
    for (const { id, properties } of all("AWS::S3::Bucket")) {
      const [rule] = [fieldsOf(properties["BucketEncryption"])["ServerSideEncryptionConfiguration"]].flat();
      expect([id, rule]).toEqual([
        id,
        // S3 delivers access logs only to a bucket with S3's own key.
        id.includes("AccessLog")
          ? { ServerSideEncryptionByDefault: { SSEAlgorithm: "AES256" } }
          : {
              BucketKeyEnabled: true,
              ServerSideEncryptionByDefault: { SSEAlgorithm: "aws:kms", KMSMasterKeyID: key },
            },
      ]);
    }
    for (const { id, properties } of all("AWS::SQS::Queue")) {
      expect([id, properties["KmsMasterKeyId"]]).toEqual([id, key]);
      expect(properties["SqsManagedSseEnabled"]).not.toBe(true);
    }
    for (const { id, properties } of all("AWS::SNS::Topic")) {
      expect([id, properties["KmsMasterKeyId"]]).toEqual([id, key]);
    }
    for (const { id, properties } of all("AWS::Logs::LogGroup")) {
      expect([id, properties["KmsKeyId"]]).toEqual([id, key]);
    }
    const [stream] = all("AWS::KinesisFirehose::DeliveryStream");
    expect(stream?.properties["DeliveryStreamEncryptionConfigurationInput"]).toEqual({
      KeyType: "CUSTOMER_MANAGED_CMK",
      KeyARN: key,
    });
    // The key is the customer's: nothing of the stack makes or changes one.
    expect(resources.filter(({ type }) => type.startsWith("AWS::KMS"))).toEqual([]);
  },
  patienceMs,
);

test(
  "without the setting nothing knows of a key, and with it nothing else changes",
  () => {
    const before = synthesise().resources;
    expect(JSON.stringify(before)).not.toMatch(/kms:|Kms|KMS/);
    const withoutKey = (resources: readonly Resource[]) =>
      resources.map(({ id, type, properties }) => {
        const text = JSON.stringify(properties, (name, value: unknown) => {
          if (
            /^(KmsMasterKeyId|KmsKeyId|SqsManagedSseEnabled|BucketEncryption|DeliveryStreamEncryption\w+)$/.test(
              name,
            )
          )
            return undefined;
          return name === "Statement" && Array.isArray(value)
            ? value.filter((each) => !JSON.stringify(each).includes('"kms:'))
            : value;
        });
        return [id, type, text];
      });
    expect(withoutKey(synthesise({ kmsKeyArn: key }).resources)).toEqual(withoutKey(before));
  },
  patienceMs,
);

test("a key of another account or region is refused where the stack knows its own", () => {
  const make = (env: { account: string; region: string }) =>
    new FanoutStack(new App(), "fanout", { metrics, sinks: ["mixpanel"], kmsKeyArn: key, env });
  expect(() => make({ account, region: "eu-central-1" })).toThrow(ConfigError);
  expect(() => make({ account: "999999999999", region })).toThrow(/kmsKey is arn:.*account and region/);
  expect(() => synthesise({ kmsKeyArn: "alias/fanout" })).toThrow(/kmsKey is alias\/fanout/);
});

describe("the key's policy", () => {
  const statements = statementsIn("key", keyPolicyFor(key));
  const decide = (access: Access, all: readonly Statement[] = statements) =>
    all.some((statement) => applies(statement, access));
  const topic = (of: string) => ({
    "kms:EncryptionContext:aws:sns:topicArn": `arn:aws:sns:${region}:${of}:objects`,
  });
  const queue = (of: string) => ({
    "kms:EncryptionContext:aws:sqs:arn": `arn:aws:sqs:${region}:${of}:queue`,
  });
  const logs = (of: string) => ({
    "kms:EncryptionContext:aws:logs:arn": `arn:aws:logs:${region}:${of}:log-group:worker`,
  });
  const dataKey = ["kms:GenerateDataKey", "kms:Decrypt"];
  const services = [
    { principal: "s3.amazonaws.com", actions: dataKey, context: topic },
    { principal: "cloudwatch.amazonaws.com", actions: dataKey, context: topic },
    { principal: "sns.amazonaws.com", actions: dataKey, context: queue },
    { principal: "events.amazonaws.com", actions: dataKey, context: queue },
    {
      principal: `logs.${region}.amazonaws.com`,
      actions: [...dataKey, "kms:Encrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo"],
      context: logs,
    },
  ];
  const uses = (of: string): readonly Access[] =>
    services.flatMap(({ principal, actions, context }) =>
      actions.map((action) => ({ principal, action, resource: key, context: context(of) })),
    );

  test("lets each service do what its page says, for this account alone", () => {
    for (const use of uses(account)) expect([use, decide(use)]).toEqual([use, true]);
    for (const use of uses("999999999999")) expect([use, decide(use)]).toEqual([use, false]);
    for (const use of uses(account)) {
      const direct = { ...use, context: {} };
      expect([use, decide(direct)]).toEqual([use, false]);
      const managed = { ...use, action: "kms:ScheduleKeyDeletion" };
      expect([use, decide(managed)]).toEqual([use, false]);
      const other = { ...use, principal: "lambda.amazonaws.com" };
      expect([use, decide(other)]).toEqual([use, false]);
    }
  });

  test("has no statement, service or action that nobody needs, the account's own and DescribeKey apart", () => {
    const idle = statements.slice(1).flatMap((statement, at) => {
      const { Service: given } = fieldsOf(statement.principal);
      const names = [given].flat().map(String);
      const lesser = [
        ...statement.actions.map((action) => ({
          what: action,
          left: { ...statement, actions: statement.actions.filter((each) => each !== action) },
        })),
        ...names.map((name) => ({
          what: name,
          left: { ...statement, principal: { Service: names.filter((each) => each !== name) } },
        })),
      ];
      return lesser
        .filter(({ left }) => {
          const all = statements.map((each, index) => (index === at + 1 ? left : each));
          return uses(account).every((use) => decide(use, all));
        })
        .map(({ what }) => what);
    });
    // https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html names it, too.
    expect(idle).toEqual(["kms:Describe*"]);
  });

  test("stands in docs/deploy.md as the command writes it", () => {
    const page = readFileSync(path.resolve(import.meta.dirname, "../../docs/deploy.md"), "utf8");
    const [, block = ""] = /### A key of your own[\s\S]*?```json\n([\s\S]*?)```/.exec(page) ?? [];
    expect(JSON.parse(block)).toEqual(keyPolicyFor("arn:aws:kms:REGION:ACCOUNT:key/KEY"));
  });
});
