// One Lambda function: Node 24 on arm64, its own log group, and a role with exactly what it is given.
import { Duration, RemovalPolicy } from "aws-cdk-lib";
import type * as kms from "aws-cdk-lib/aws-kms";
import * as lambda from "aws-cdk-lib/aws-lambda";
import * as logs from "aws-cdk-lib/aws-logs";
import type { Construct } from "constructs";
import { secretKeyPermissions } from "./key.ts";
import { namespaceOf } from "./metrics.ts";
import { createRole, type Permission } from "./role.ts";
import { secretArn } from "./secret.ts";

export interface FunctionProps {
  readonly description: string;
  readonly code: lambda.Code;
  readonly environment: Readonly<Record<string, string>>;
  readonly memoryMb: number;
  readonly timeoutSeconds: number;
  readonly permissions: readonly Permission[];
  /** Names of the secrets whose variables the function reads at its cold start. */
  readonly secrets: readonly string[];
  /** The network that the function runs in. Default: Lambda's own, which reaches every vendor. */
  readonly vpc?: Vpc | undefined;
  /** Encrypts the log, and perhaps the secrets. Default: AWS's own. */
  readonly key?: kms.IKey | undefined;
}

/** Subnets with a way out, such as a NAT gateway: vendors and AWS's own services are reached through it. */
export interface Vpc {
  readonly subnetIds: readonly string[];
  readonly securityGroupIds: readonly string[];
}

/** The names of files are in the log, never payloads; a month is enough to look back from an alarm. */
const logRetention = logs.RetentionDays.ONE_MONTH;

export function createFunction(scope: Construct, id: string, props: FunctionProps): lambda.Function {
  const { description, code, environment, memoryMb, timeoutSeconds, permissions, secrets, vpc, key } = props;
  const logGroup = new logs.LogGroup(scope, `${id}Logs`, {
    retention: logRetention,
    removalPolicy: RemovalPolicy.DESTROY,
    ...(key !== undefined && { encryptionKey: key }),
  });
  const role = createRole(scope, `${id}Role`, {
    principal: "lambda.amazonaws.com",
    description: `What the function may do that ${description}`,
    permissions: [
      // The ARN of a log group ends in ":*", which stands for its streams.
      { actions: ["logs:CreateLogStream", "logs:PutLogEvents"], resources: [logGroup.logGroupArn] },
      ...permissions,
      ...secretsPermission(scope, secrets),
      ...secretKeyPermissions(scope, key, secrets),
      ...(vpc === undefined ? [] : [vpcPermission]),
    ],
  });
  const made = new lambda.Function(scope, id, {
    description,
    code,
    handler: "index.handler",
    runtime: lambda.Runtime.NODEJS_24_X,
    architecture: lambda.Architecture.ARM_64,
    memorySize: memoryMb,
    timeout: Duration.seconds(timeoutSeconds),
    role,
    logGroup,
    // Its variables are names and numbers, no secrets: Lambda's own key is enough for them.
    environment: {
      ...environment,
      METRICS_NAMESPACE: namespaceOf(scope),
      ...(secrets.length > 0 && { SECRETS: secrets.join(",") }),
    },
  });
  const { defaultChild: resource } = made.node;
  if (vpc !== undefined && resource instanceof lambda.CfnFunction) {
    resource.vpcConfig = { subnetIds: [...vpc.subnetIds], securityGroupIds: [...vpc.securityGroupIds] };
  }
  return made;
}

/** The right to read these secrets; none for none. */
export function secretsPermission(scope: Construct, names: readonly string[]): readonly Permission[] {
  return names.map((name) => ({
    actions: ["secretsmanager:GetSecretValue"],
    resources: [secretArn(scope, name)],
  }));
}

/** https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions */
const vpcPermission: Permission = {
  actions: [
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
  ],
  resources: ["*"],
  wildcard:
    "Lambda makes the network interfaces of a function's VPC itself, and AWS documents no narrower right.",
};
