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
  /** Operator → key → values: when it holds. Default: always. */
  readonly conditions?: Conditions;
}

export type Conditions = Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;

export interface RoleProps {
  /** Who takes the role: the name of a service, or a principal. */
  readonly principal: string | iam.IPrincipal;
  readonly description: string;
  readonly permissions: readonly Permission[];
  /** Why or for whom the service comes, which it must say when it takes the role. Default: nothing is asked. */
  readonly trust?: Conditions;
}

/** The service comes on behalf of this account. Only for services that say so. */
export const forThisAccount = (scope: Construct) => ({
  StringEquals: { "aws:SourceAccount": Stack.of(scope).account },
});

/** The permissions stand in the role itself, so whatever uses the role is created after all of them. */
export function createRole(scope: Construct, id: string, props: RoleProps): iam.Role {
  const { description, permissions, trust } = props;
  const stack = Stack.of(scope);
  const principal =
    typeof props.principal === "string" ? new iam.ServicePrincipal(props.principal) : props.principal;
  const statements = permissions.map(
    ({ actions, resources, conditions }) =>
      new iam.PolicyStatement({
        actions: [...actions],
        resources: [...resources],
        ...(conditions !== undefined && { conditions }),
      }),
  );
  const role = new iam.Role(scope, id, {
    description,
    assumedBy: trust === undefined ? principal : new iam.PrincipalWithConditions(principal, trust),
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
