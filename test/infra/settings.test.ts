import { App } from "aws-cdk-lib";
import { describe, expect, test } from "vitest";
import { readSettings } from "../../infra/settings.ts";
import { ConfigError } from "../../src/index.ts";

const read = (context: Readonly<Record<string, string>>) => readSettings(new App({ context }).node);

test("without a setting, the tools that every account can have, in a stack of the project's name", () => {
  expect(read({})).toEqual({
    stack: "firehose-fanout",
    sinks: ["segment", "mixpanel", "hubspot-events"],
    timestream: { database: "product", create: true },
    strictTrust: false,
    buffer: {},
    hasDashboard: true,
  });
});

test("settings of the command line are text, and become what the pipeline takes", () => {
  const settings = read({
    stack: "fanout-staging",
    sinks: "timestream, mixpanel",
    topology: "single",
    compression: "ZIP",
    secretPrefix: "staging/",
    timestreamDatabase: "metrics",
    createTimestreamDatabase: "false",
    concurrency: "8,mixpanel=2",
    rates: "mixpanel=12.5",
    dataDays: "120",
    booksDays: "500",
    alarmEmail: "ops@example.com",
    slackWorkspace: "T0",
    slackChannel: "C0",
    tenantDirectory: "https://crm.example/tenants/{tenant_id}",
    tenantDirectoryDown: "fail",
    tenantDirectorySecret: "true",
    eventAccounts: "111111111111, 222222222222",
    strictTrust: "true",
    operators: "arn:aws:iam::123456789012:role/on-call",
    permissionsBoundary: "arn:aws:iam::123456789012:policy/boundary",
    kmsKey: "arn:aws:kms:us-east-1:123456789012:key/0123abcd-0123-0123-0123-0123456789ab",
    vpcSubnets: "subnet-0123456789abcdef0, subnet-0123456789abcdef1",
    vpcSecurityGroups: "sg-0123456789abcdef0",
    tags: "team=growth,cost=42",
    bufferSeconds: "300",
    bufferMb: "64",
    dashboard: "false",
    quietMinutes: "30",
    quietMetrics: "login, upload",
  });
  expect(settings).toEqual({
    stack: "fanout-staging",
    sinks: ["timestream", "mixpanel"],
    topology: "single",
    compression: "ZIP",
    secretPrefix: "staging/",
    timestream: { database: "metrics", create: false },
    concurrency: 8,
    concurrencyOf: { mixpanel: 2 },
    rates: { mixpanel: 12.5 },
    dataDays: 120,
    booksDays: 500,
    alarmEmail: "ops@example.com",
    slack: { workspaceId: "T0", channelId: "C0" },
    tenants: { directory: "https://crm.example/tenants/{tenant_id}", down: "fail", secret: true },
    eventAccounts: ["111111111111", "222222222222"],
    strictTrust: true,
    operators: ["arn:aws:iam::123456789012:role/on-call"],
    permissionsBoundaryArn: "arn:aws:iam::123456789012:policy/boundary",
    kmsKeyArn: "arn:aws:kms:us-east-1:123456789012:key/0123abcd-0123-0123-0123-0123456789ab",
    vpc: {
      subnetIds: ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
      securityGroupIds: ["sg-0123456789abcdef0"],
    },
    resourceTags: { team: "growth", cost: "42" },
    buffer: { seconds: 300, mb: 64 },
    hasDashboard: false,
    quietMinutes: 30,
    quietMetrics: ["login", "upload"],
  });
});

describe("a setting that is wrong is one sentence, with its name", () => {
  test.each([
    ["eventAccounts", "12", "-c eventAccounts must be account numbers of 12 digits"],
    ["operators", "me", "-c operators must be ARNs of IAM roles or users"],
    ["permissionsBoundary", "mine", "-c permissionsBoundary must be the ARN of a managed policy"],
    ["vpcSubnets", "subnet-0123456789abcdef0", "-c vpcSubnets and vpcSecurityGroups need each other"],
    ["kmsKey", "alias/fanout", "-c kmsKey must be the ARN of a KMS key"],
    ["kmsKey", "arn:aws:kms:us-east-1:123456789012:alias/fanout", "-c kmsKey must be the ARN of a KMS key"],
    ["vpcSubnets", "subnet-x", "-c vpcSubnets must be ids such as subnet-"],
    ["tags", "growth", "-c tags must be name=value"],
    ["rates", "mixpanel", "-c rates must be sinks with their requests a second"],
    ["bufferSeconds", "900", "-c bufferSeconds must be 600 or less"],
    ["bufferMb", "1", "-c bufferMb must be 5 or more"],
    ["dashboard", "no", "-c dashboard must be true or false"],
    ["topology", "both", "-c topology must be per-sink or single"],
    ["compression", "gzip2", "-c compression must be GZIP or ZIP"],
    ["stack", "my stack", "-c stack must begin with a letter"],
    ["dataDays", "many", "-c dataDays must be a number of days"],
    ["booksDays", "1.5", "-c booksDays must be a whole number of days"],
    ["concurrency", "x", "-c concurrency must be a number, or sinks with theirs"],
    ["timestreamDatabase", "a b", "-c timestreamDatabase must be 3 to 256 of"],
    ["createTimestreamDatabase", "yes", "-c createTimestreamDatabase must be true or false"],
    ["alarmEmail", "nobody", "-c alarmEmail must be an e-mail address"],
    ["slackChannel", "C0", "-c slackChannel and slackWorkspace need each other"],
    ["tenantDirectory", "http://crm/{tenant_id}", "-c tenantDirectory must be an https:// address"],
    ["tenantDirectoryDown", "wait", "-c tenantDirectoryDown must be pass or fail"],
  ])("%s=%s", (name, value, sentence) => {
    expect(() => read({ [name]: value })).toThrow(ConfigError);
    expect(() => read({ [name]: value })).toThrow(sentence);
  });

  test("all of them at once", () => {
    expect(() => read({ topology: "x", compression: "y" })).toThrow(/topology.*\n.*compression/);
  });
});
