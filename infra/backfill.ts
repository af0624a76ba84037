// History: the role with which S3 Batch Operations calls the workers for the objects of a manifest. Waits for a job,
// and costs nothing until there is one.
import type * as iam from "aws-cdk-lib/aws-iam";
import type * as s3 from "aws-cdk-lib/aws-s3";
import { Construct } from "constructs";
import type { Delivery } from "./delivery.ts";
import { objectKeyPermissions } from "./key.ts";
import { createRole, forThisAccount } from "./role.ts";

export interface BackfillProps {
  readonly deliveries: readonly Delivery[];
  /** Holds the manifests and takes the reports: the workers hear of nothing in it. */
  readonly books: s3.Bucket;
  /** Ask the service for which account it comes, which AWS does not document that it tells. */
  readonly strictTrust: boolean;
}

/** Where a job finds its list of objects, and where it writes what became of each. */
export const manifestsPrefix = "backfill/manifests/";
export const reportsPrefix = "backfill/reports/";

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-iam-role-policies.html */
export function createBackfill(
  parent: Construct,
  { deliveries, books, strictTrust }: BackfillProps,
): iam.Role {
  const scope = new Construct(parent, "Backfill");
  return createRole(scope, "Role", {
    principal: "batchoperations.s3.amazonaws.com",
    ...(strictTrust && { trust: forThisAccount(scope) }),
    description: "What a backfill may do: read its manifest, call the workers, write its report",
    permissions: [
      {
        actions: ["lambda:InvokeFunction"],
        // Which of the two a call is checked against depends on whether the job names a version.
        resources: deliveries.flatMap(({ worker }) => [worker.functionArn, `${worker.functionArn}:*`]),
        wildcard: "The end of a function's name is its version: a job may name one, or none.",
      },
      {
        // A manifest in a bucket with versions may be named by its version.
        actions: ["s3:GetObject", "s3:GetObjectVersion"],
        resources: [books.arnForObjects(`${manifestsPrefix}*`)],
        wildcard: "Whoever makes a job names its manifest.",
      },
      {
        actions: ["s3:PutObject"],
        resources: [books.arnForObjects(`${reportsPrefix}*`)],
        wildcard: "A report is named after its job.",
      },
      ...objectKeyPermissions(scope, { reads: [books], writes: [books] }),
    ],
  });
}
