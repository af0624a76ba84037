// Secrets of Secrets Manager that somebody else makes: how a policy names them.
import { Stack } from "aws-cdk-lib";
import type { Construct } from "constructs";

/** Secrets Manager ends an ARN in six characters of its own, which nobody knows before the secret is made. */
export function secretArn(scope: Construct, name: string): string {
  return Stack.of(scope).formatArn({ service: "secretsmanager", resource: `secret:${name}-??????` });
}
