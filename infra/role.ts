// A role that may do what it is told, and nothing else; every wildcard in it has its reason.
import { Stack, Validations } from "aws-cdk-lib";
import * as iam from "aws-cdk-lib/aws-iam";
import { flattenCfnReference } from "cdk-nag/lib/utils/flatten-cfn-reference.js";
import type { Construct } from "constructs";

export interface Permission {
  /** Exact names of actions. */
  readonly actions: readonly string[];
  readonly resources: readonly string[];
  /** Why a resource ends in a wildcard: acknowledged with it, in the policy checks and in the audit trail. */
  readonly wildcard?: string;
}

export interface RoleProps {
  /** The service that takes the role. */
  readonly service: string;
  readonly description: string;
  readonly permissions: readonly Permission[];
  /** The service takes it only on behalf of this account; for services that say on whose behalf they come. */
  readonly onlyFromAccount?: boolean;
}

/** The permissions stand in the role itself, so whatever uses the role is created after all of them. */
export function createRole(scope: Construct, id: string, props: RoleProps): iam.Role {
  const { service, description, permissions, onlyFromAccount = false } = props;
  const stack = Stack.of(scope);
  const principal = new iam.ServicePrincipal(service);
  const statements = permissions.map(
    ({ actions, resources }) => new iam.PolicyStatement({ actions: [...actions], resources: [...resources] }),
  );
  const role = new iam.Role(scope, id, {
    description,
    assumedBy: onlyFromAccount
      ? principal.withConditions({ StringEquals: { "aws:SourceAccount": stack.account } })
      : principal,
    inlinePolicies: { permissions: new iam.PolicyDocument({ statements }) },
  });
  for (const { resources, wildcard } of permissions) {
    if (wildcard === undefined) continue;
    const found = resources
      .map((resource) => flattenCfnReference(stack.resolve(resource)))
      .filter((resource) => resource.includes("*"));
    for (const resource of found) {
      Validations.of(role).acknowledge({
        id: `AwsSolutions-IAM5[Resource::${resource}]`,
        reason: wildcard,
      });
    }
  }
  return role;
}
