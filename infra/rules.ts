// The catalog on the buses: one rule a metric, its transformer, its way into the stream, and what did not get there.
import { Arn, ArnFormat, Fn, Stack, Token, Validations } from "aws-cdk-lib";
import * as events from "aws-cdk-lib/aws-events";
import * as iam from "aws-cdk-lib/aws-iam";
import type * as kms from "aws-cdk-lib/aws-kms";
import type * as sqs from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";
import { ConfigError, type Metric } from "../src/index.ts";
import { patternProblems } from "../src/routing/event-pattern-check.ts";
import { type EventRule, eventRules } from "../src/routing/event-rules.ts";
import { createDeadLetterQueue } from "./queue.ts";
import { createRole, forThisAccount } from "./role.ts";

export interface RulesProps {
  readonly metrics: readonly Metric[];
  readonly streamArn: string;
  /** Accounts whose events are taken. Default: this one's alone, since a bus may be open to others. */
  readonly eventAccounts?: readonly string[];
  readonly key?: kms.IKey | undefined;
}

/** EventBridge's own most: after that an event goes to the dead-letter queue.
 * https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html */
const retryPolicy = { maximumEventAgeInSeconds: 24 * 60 * 60, maximumRetryAttempts: 185 };

export interface Rules {
  /** Gets the events that the stream did not take. */
  readonly undelivered: sqs.Queue;
  /** By metric: the names of its bus and its rule. */
  readonly names: ReadonlyMap<string, { readonly busName: string; readonly ruleName: string }>;
}

export function createRules(parent: Construct, props: RulesProps): Rules {
  const { metrics, streamArn, eventAccounts, key } = props;
  const scope = new Construct(parent, "Rules");
  const stack = Stack.of(scope);
  const undelivered = createDeadLetterQueue(scope, "Undelivered", key);
  Validations.of(undelivered).acknowledge({
    id: "AwsSolutions-SQS3",
    reason: "It is a dead-letter queue: of EventBridge's targets, which the check does not look at.",
  });
  const rules = eventRules(metrics);
  checkBuses(rules, stack);
  // By bus, not by rule: a queue's policy has 8,192 bytes, which hold no more than some seventy ARNs.
  // https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-policies.html
  const sources = [...new Set(rules.map(({ busName }) => rulesOf(busName)))];
  const role = createRole(scope, "Role", {
    principal: "events.amazonaws.com",
    description: "Puts the catalog's events into the stream",
    // https://docs.aws.amazon.com/eventbridge/latest/userguide/cross-service-confused-deputy-prevention.html
    trust: { ...forThisAccount(scope), ArnLike: { "aws:SourceArn": sources } },
    permissions: [{ actions: ["firehose:PutRecord", "firehose:PutRecordBatch"], resources: [streamArn] }],
  });
  // The catalog has checked each pattern beside one account: several make it longer.
  const problems = rules.flatMap(({ name, eventPattern }) =>
    [...patternProblems({ account: eventAccounts ?? [], ...eventPattern })]
      .filter(({ path }) => path === "")
      .map(({ message }) => `${name}: source.pattern: with eventAccounts, ${message}`),
  );
  if (problems.length > 0) throw new ConfigError(problems);
  const names = new Map<string, { readonly busName: string; readonly ruleName: string }>();
  for (const { name, busName, eventPattern, inputTransformer } of rules) {
    const rule = new events.CfnRule(scope, name, {
      description: `The metric ${name} of the catalog`,
      eventBusName: busName,
      eventPattern: { account: eventAccounts ?? [stack.account], ...eventPattern },
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
    // What `Ref` gives of a rule on another bus than the default one is `bus|rule`. A partner's bus has slashes itself.
    const bus = nameOf(busName);
    const before = bus === "default" ? 1 : 1 + bus.split("/").length;
    names.set(name, { busName: bus, ruleName: Fn.select(before, Fn.split("/", rule.attrArn)) });
  }
  undelivered.addToResourcePolicy(
    new iam.PolicyStatement({
      principals: [new iam.ServicePrincipal("events.amazonaws.com")],
      actions: ["sqs:SendMessage"],
      resources: [undelivered.queueArn],
      conditions: { ArnLike: { "aws:SourceArn": sources } },
    }),
  );
  return { undelivered, names };

  /** The ARN of all rules of a bus, which is named or has its ARN. */
  function rulesOf(bus: string): string {
    const { resourceName: _, ...place } = bus.startsWith("arn:")
      ? Arn.split(bus, ArnFormat.SLASH_RESOURCE_NAME)
      : {};
    const name = nameOf(bus);
    return stack.formatArn({
      ...place,
      service: "events",
      resource: "rule",
      resourceName: name === "default" ? "*" : `${name}/*`,
    });
  }
}

/** Of a bus that is named or has its ARN. */
function nameOf(bus: string): string {
  return bus.startsWith("arn:") ? (Arn.split(bus, ArnFormat.SLASH_RESOURCE_NAME).resourceName ?? bus) : bus;
}

/**
 * A rule lives on a bus of its own account and region.
 * https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-cross-account.html
 *
 * @throws {ConfigError} one sentence for each rule on another one's bus, as far as the stack knows its own.
 */
function checkBuses(rules: readonly EventRule[], stack: Stack): void {
  const problems = rules
    .filter(({ busName }) => busName.startsWith("arn:"))
    .flatMap(({ name, busName }) => {
      const { account, region } = Arn.split(busName, ArnFormat.SLASH_RESOURCE_NAME);
      const isOther = (own: string, its: string | undefined) => !Token.isUnresolved(own) && own !== its;
      return isOther(stack.account, account) || isOther(stack.region, region)
        ? [
            `the metric ${name} names the bus ${busName}, and a rule needs a bus of its own account and region (${stack.account}, ${stack.region}): forward its events to one of these`,
          ]
        : [];
    });
  if (problems.length > 0) throw new ConfigError(problems);
}
