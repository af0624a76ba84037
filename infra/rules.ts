// The catalog on the buses: one rule a metric, its transformer, its way into the stream, and what did not get there.
import { Stack, Validations } from "aws-cdk-lib";
import * as events from "aws-cdk-lib/aws-events";
import * as iam from "aws-cdk-lib/aws-iam";
import type * as sqs from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";
import type { Metric } from "../src/index.ts";
import { eventRules } from "../src/routing/event-rules.ts";
import { createDeadLetterQueue } from "./queue.ts";
import { createRole } from "./role.ts";

export interface RulesProps {
  readonly metrics: readonly Metric[];
  readonly streamArn: string;
}

/** EventBridge's own most: after that an event goes to the dead-letter queue.
 * https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html */
const retryPolicy = { maximumEventAgeInSeconds: 24 * 60 * 60, maximumRetryAttempts: 185 };

/** @returns the queue of events that the stream did not take. */
export function createRules(parent: Construct, { metrics, streamArn }: RulesProps): sqs.Queue {
  const scope = new Construct(parent, "Rules");
  const stack = Stack.of(scope);
  const undelivered = createDeadLetterQueue(scope, "Undelivered");
  Validations.of(undelivered).acknowledge({
    id: "AwsSolutions-SQS3",
    reason: "It is a dead-letter queue: of EventBridge's targets, which the check does not look at.",
  });
  const role = createRole(scope, "Role", {
    service: "events.amazonaws.com",
    description: "Puts the catalog's events into the stream",
    onlyFromAccount: true,
    permissions: [{ actions: ["firehose:PutRecord", "firehose:PutRecordBatch"], resources: [streamArn] }],
  });
  const rules = eventRules(metrics);
  for (const { name, busName, eventPattern, inputTransformer } of rules) {
    new events.CfnRule(scope, name, {
      description: `The metric ${name} of the catalog`,
      eventBusName: busName,
      eventPattern,
      targets: [
        {
          id: "stream",
          arn: streamArn,
          roleArn: role.roleArn,
          inputTransformer,
          retryPolicy,
          deadLetterConfig: { arn: undelivered.queueArn },
        },
      ],
    });
  }
  // By bus, not by rule: a queue's policy has 8,192 bytes, which hold no more than some seventy ARNs.
  // https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-policies.html
  const buses = [...new Set(rules.map(({ busName }) => busName))];
  const ofBus = (busName: string) =>
    stack.formatArn({
      service: "events",
      resource: "rule",
      resourceName: busName === "default" ? "*" : `${busName}/*`,
    });
  undelivered.addToResourcePolicy(
    new iam.PolicyStatement({
      principals: [new iam.ServicePrincipal("events.amazonaws.com")],
      actions: ["sqs:SendMessage"],
      resources: [undelivered.queueArn],
      conditions: { ArnLike: { "aws:SourceArn": buses.map(ofBus) } },
    }),
  );
  return undelivered;
}
