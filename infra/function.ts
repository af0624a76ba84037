// One Lambda function: Node 24 on arm64, its own log group, and a role with exactly what it is given.
import { Duration, RemovalPolicy, Stack } from "aws-cdk-lib";
import * as lambda from "aws-cdk-lib/aws-lambda";
import * as logs from "aws-cdk-lib/aws-logs";
import type { Construct } from "constructs";
import { createRole, type Permission } from "./role.ts";

export interface FunctionProps {
  readonly description: string;
  readonly code: lambda.Code;
  readonly environment: Readonly<Record<string, string>>;
  readonly memoryMb: number;
  readonly timeoutSeconds: number;
  readonly permissions: readonly Permission[];
  /** Names of the secrets whose variables the function reads at its cold start. */
  readonly secrets: readonly string[];
}

/** The names of files are in the log, never payloads; a month is enough to look back from an alarm. */
const logRetention = logs.RetentionDays.ONE_MONTH;

export function createFunction(scope: Construct, id: string, props: FunctionProps): lambda.Function {
  const { description, code, environment, memoryMb, timeoutSeconds, permissions, secrets } = props;
  const stack = Stack.of(scope);
  const logGroup = new logs.LogGroup(scope, `${id}Logs`, {
    retention: logRetention,
    removalPolicy: RemovalPolicy.DESTROY,
  });
  const role = createRole(scope, `${id}Role`, {
    service: "lambda.amazonaws.com",
    description: `What the function may do that ${description}`,
    permissions: [
      // The ARN of a log group ends in ":*", which stands for its streams.
      { actions: ["logs:CreateLogStream", "logs:PutLogEvents"], resources: [logGroup.logGroupArn] },
      ...permissions,
      ...secrets.map((name) => ({
        actions: ["secretsmanager:GetSecretValue"],
        // Secrets Manager ends an ARN in six characters of its own, which nobody knows before the secret is made.
        resources: [stack.formatArn({ service: "secretsmanager", resource: `secret:${name}-??????` })],
      })),
    ],
  });
  return new lambda.Function(scope, id, {
    description,
    code,
    handler: "index.handler",
    runtime: lambda.Runtime.NODEJS_24_X,
    architecture: lambda.Architecture.ARM_64,
    memorySize: memoryMb,
    timeout: Duration.seconds(timeoutSeconds),
    role,
    logGroup,
    environment: { ...environment, ...(secrets.length > 0 && { SECRETS: secrets.join(",") }) },
  });
}
