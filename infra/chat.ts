// Alarms in a Slack channel: what the chat may look at is what an alarm shows, and nobody can ask it for more.

import { Stack, Validations } from "aws-cdk-lib";
import * as chatbot from "aws-cdk-lib/aws-chatbot";
import * as iam from "aws-cdk-lib/aws-iam";
import type * as sns from "aws-cdk-lib/aws-sns";
import { Construct } from "constructs";
import { createRole } from "./role.ts";

export interface SlackChannel {
  /** From the console, where somebody has let AWS into the workspace once. */
  readonly workspaceId: string;
  readonly channelId: string;
}

export interface ChatProps {
  readonly topic: sns.Topic;
  readonly channel: SlackChannel;
}

/** An alarm's text and its graph. https://docs.aws.amazon.com/chatbot/latest/adminguide/chatbot-iam-policies.html */
const actions = ["cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData", "cloudwatch:GetMetricStatistics"];
const reason = "CloudWatch's figures belong to no resource that a policy could name.";

export function createChat(parent: Construct, { topic, channel }: ChatProps): void {
  const scope = new Construct(parent, "Chat");
  const role = createRole(scope, "Role", {
    principal: "chatbot.amazonaws.com",
    description: "What a chat sees of an alarm",
    permissions: [{ actions, resources: ["*"], wildcard: reason }],
  });
  // Without a guardrail of its own a channel has AdministratorAccess for one.
  const guardrail = new iam.ManagedPolicy(scope, "Guardrail", {
    description: "The most that anybody in the channel may do",
    statements: [new iam.PolicyStatement({ actions, resources: ["*"] })],
  });
  Validations.of(guardrail).acknowledge({ id: "AwsSolutions-IAM5[Resource::*]", reason });
  new chatbot.CfnSlackChannelConfiguration(scope, "Slack", {
    // Two deployments may tell the same channel.
    configurationName: `${Stack.of(scope).stackName}-${channel.channelId}`,
    slackWorkspaceId: channel.workspaceId,
    slackChannelId: channel.channelId,
    iamRoleArn: role.roleArn,
    guardrailPolicies: [guardrail.managedPolicyArn],
    snsTopicArns: [topic.topicArn],
    loggingLevel: "ERROR",
  });
}
