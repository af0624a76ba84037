// The function that counts, once an hour, what nobody delivers: by listings alone, so that is all that it may do.
import { Duration } from "aws-cdk-lib";
import * as events from "aws-cdk-lib/aws-events";
import * as targets from "aws-cdk-lib/aws-events-targets";
import type * as kms from "aws-cdk-lib/aws-kms";
import type * as lambda from "aws-cdk-lib/aws-lambda";
import { Construct } from "constructs";
import { createFunction, type Vpc } from "./function.ts";
import { receiptsPrefix } from "./prefixes.ts";
import { reconcileHours } from "./schedule.ts";
import type { Storage } from "./storage.ts";

export interface ReconciliationProps {
  readonly storage: Storage;
  readonly sinks: readonly string[];
  readonly code: lambda.Code;
  readonly vpc?: Vpc | undefined;
  readonly key?: kms.IKey | undefined;
}

/** A month of 200 million events is a few hundred thousand keys, of which a run lists some days. */
const memoryMb = 256;
const timeoutSeconds = 5 * 60;

export function createReconciliation(parent: Construct, props: ReconciliationProps): lambda.Function {
  const { data, books } = props.storage;
  const scope = new Construct(parent, "Reconciliation");
  const reconciler = createFunction(scope, "Reconciler", {
    description: "counts objects that no receipt knows",
    code: props.code,
    memoryMb,
    timeoutSeconds,
    secrets: [],
    vpc: props.vpc,
    key: props.key,
    environment: {
      DATA_BUCKET: data.bucketName,
      RECEIPTS: `s3://${books.bucketName}/${receiptsPrefix}`,
      SINKS: props.sinks.join(","),
    },
    permissions: [
      { actions: ["s3:ListBucketVersions"], resources: [data.bucketArn] },
      { actions: ["s3:ListBucket"], resources: [books.bucketArn] },
    ],
  });
  // The next run counts what this one could not.
  reconciler.configureAsyncInvoke({ retryAttempts: 0, maxEventAge: Duration.hours(reconcileHours) });
  new events.Rule(scope, "Schedule", {
    description: "Count objects that no receipt knows",
    schedule: events.Schedule.rate(Duration.hours(reconcileHours)),
    targets: [
      new targets.LambdaFunction(reconciler, {
        retryAttempts: 0,
        maxEventAge: Duration.hours(reconcileHours),
      }),
    ],
  });
  return reconciler;
}
