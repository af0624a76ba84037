// The role of people who run the `fanout` commands against a deployment: what these need, and nothing more.
import { Stack } from "aws-cdk-lib";
import * as iam from "aws-cdk-lib/aws-iam";
import type * as sqs from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";
import { deferralsPrefix } from "../src/books/books.ts";
import { writersPrefix } from "../src/books/writer-lease.ts";
import { manifestsPrefix, reportsPrefix } from "./backfill.ts";
import { timestreamPermissions } from "./delivery.ts";
import { secretsPermission } from "./function.ts";
import { objectKeyPermissions, queueKeyPermissions, secretKeyPermissions } from "./key.ts";
import { dataPrefix, deadLettersPrefix, errorPrefix, receiptsPrefix } from "./prefixes.ts";
import { createRole } from "./role.ts";
import { secretsOf } from "./sinks.ts";
import type { Storage } from "./storage.ts";

export interface OperatorsProps {
  /** ARNs of the roles and users that may take it. */
  readonly principals: readonly string[];
  readonly sinks: readonly string[];
  readonly storage: Storage;
  readonly streamArn: string;
  /** Queues whose messages `fanout dlq --queue` puts back: the rules' and the deliveries'. */
  readonly queues: readonly sqs.Queue[];
  /** Whose concurrency is bounded while a backfill runs. */
  readonly workerArns: readonly string[];
  readonly backfill: iam.Role;
  readonly secretPrefix: string;
  readonly timestreamDatabase: string;
}

export function createOperators(parent: Construct, props: OperatorsProps): iam.Role {
  const { principals, sinks, storage, streamArn, queues, backfill } = props;
  const { data, books } = storage;
  const scope = new Construct(parent, "Operators");
  const stack = Stack.of(scope);
  const secrets = secretsOf(sinks).map((adapter) => `${props.secretPrefix}${adapter}`);
  return createRole(scope, "Role", {
    principal: new iam.CompositePrincipal(...principals.map((arn) => new iam.ArnPrincipal(arn))),
    description: "What the fanout commands need",
    permissions: [
      { actions: ["s3:ListBucket"], resources: [data.bucketArn, books.bucketArn] },
      {
        actions: ["s3:GetObject", "s3:GetObjectVersion"],
        resources: [dataPrefix, errorPrefix].map((keys) => data.arnForObjects(`${keys}*`)),
        wildcard: "A command reads whichever object its letters and receipts name.",
      },
      {
        // What was put back into the stream is removed below the error prefix.
        actions: ["s3:DeleteObject"],
        resources: [data.arnForObjects(`${errorPrefix}*`)],
        wildcard: "The stream names its objects.",
      },
      {
        actions: ["s3:GetObject", "s3:PutObject"],
        resources: [receiptsPrefix, deadLettersPrefix].map((keys) => books.arnForObjects(`${keys}/*`)),
        wildcard: "A command delivers to any sink, writes new letters for what is left, and archives.",
      },
      {
        // Claims, deferrals and leases that ended, letters that are settled, and notes of what was taken. Receipts
        // and the archive stay.
        actions: ["s3:DeleteObject"],
        resources: [
          `${receiptsPrefix}/books/*.claim.json`,
          `${receiptsPrefix}/${deferralsPrefix}*`,
          `${receiptsPrefix}/${writersPrefix}*`,
          `${deadLettersPrefix}/sink=*`,
          `${deadLettersPrefix}/queues/*`,
        ].map((keys) => books.arnForObjects(keys)),
        wildcard: "Books and dead letters are named after objects; a command has those of every sink.",
      },
      { actions: ["firehose:PutRecordBatch"], resources: [streamArn] },
      {
        actions: ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"],
        resources: queues.map(({ queueArn }) => queueArn),
      },
      {
        // Whoever asks for a job names the ETag of its manifest.
        actions: ["s3:GetObject", "s3:PutObject"],
        resources: [books.arnForObjects(`${manifestsPrefix}*`)],
        wildcard: "Whoever makes a backfill names its manifest.",
      },
      {
        actions: ["s3:GetObject"],
        resources: [books.arnForObjects(`${reportsPrefix}*`)],
        wildcard: "A report is named after its job.",
      },
      {
        // The action knows no resource: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
        actions: ["s3:CreateJob"],
        resources: ["*"],
        wildcard:
          "A job has no name before it is made; what it may do is its role's, which may call workers.",
      },
      {
        actions: ["s3:DescribeJob", "s3:UpdateJobStatus"],
        resources: [stack.formatArn({ service: "s3", resource: "job", resourceName: "*" })],
        wildcard: "A job's name is a number that AWS gives it.",
      },
      {
        actions: ["iam:PassRole"],
        resources: [backfill.roleArn],
        conditions: { StringEquals: { "iam:PassedToService": "batchoperations.s3.amazonaws.com" } },
      },
      {
        // While a backfill runs, its worker is bounded; see docs/deploy.md.
        actions: ["lambda:PutFunctionConcurrency", "lambda:DeleteFunctionConcurrency"],
        resources: props.workerArns,
      },
      ...secretsPermission(scope, secrets),
      ...objectKeyPermissions(scope, { reads: [data, books], writes: [books] }),
      ...queues.slice(0, 1).flatMap((queue) => queueKeyPermissions(scope, queue)),
      ...secretKeyPermissions(scope, books.encryptionKey, secrets),
      ...timestreamPermissions(scope, sinks, props.timestreamDatabase),
    ],
  });
}
