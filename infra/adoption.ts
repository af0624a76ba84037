// What a destroyed stack has left behind, for the next one: a stack of the same name that has these buckets and nothing
// else. The deployment after it finds them there under the ids that it would give its own, and keeps them.
import { CfnDeletionPolicy, Stack } from "aws-cdk-lib";
import * as s3 from "aws-cdk-lib/aws-s3";
import { Construct, type Node } from "constructs";
import * as z from "zod";
import { ConfigError } from "../src/index.ts";
import { readContext } from "./context.ts";

/** Names of buckets. */
export interface Leftovers {
  readonly data: string;
  readonly books: string;
  /** Default: the deployment makes a new one, and the old one forgets by itself. */
  readonly accessLog?: string;
}

/** The ids of the constructs in storage.ts, from which CloudFormation's logical ids come. */
const constructs = { data: "Data", books: "Books", accessLog: "AccessLog" } as const;

/** The setting of each. */
export const leftoverSettings = {
  data: "dataBucket",
  books: "booksBucket",
  accessLog: "accessLogBucket",
} as const;

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html */
const bucketName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, "must be the name of a bucket")
  .exactOptional();

const schema = z.object({ dataBucket: bucketName, booksBucket: bucketName, accessLogBucket: bucketName });

/** @throws {ConfigError} one sentence for each setting that is wrong or missing. */
export function readLeftovers(node: Node): Leftovers {
  const { dataBucket: data, booksBucket: books, accessLogBucket: accessLog } = readContext(node, schema);
  if (data === undefined || books === undefined) {
    throw new ConfigError([
      "-c dataBucket and -c booksBucket need each other: events without their books would be sent again, and books without their events cannot be drained",
    ]);
  }
  const found = { data, books, ...(accessLog !== undefined && { accessLog }) };
  const names = Object.values(found);
  if (new Set(names).size < names.length) throw new ConfigError(["each bucket must have a name of its own"]);
  // CloudFormation names a bucket after its id.
  const confused = Object.entries(constructs).flatMap(([which, id]) =>
    Object.entries(found)
      .filter(([of, name]) => of !== which && name.includes(`fanoutstorage${id.toLowerCase()}`))
      .map(([of, name]) => `-c ${settingOf(of)} is ${name}, which is by its name the ${settingOf(which)}`),
  );
  if (confused.length > 0) throw new ConfigError(confused);
  return found;
}

function settingOf(which: string): string {
  // Both come from the keys of the same object.
  return leftoverSettings[which as keyof typeof leftoverSettings];
}

/**
 * Nothing is said of the buckets but that they are there. CloudFormation takes for granted that an imported resource is as
 * the template says, and changes it only where the next template says otherwise: so whatever the deployment says of
 * them is a change, and is applied. A notification to the old stack's topic would stay otherwise.
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resource-import-resolve-drift.html
 *
 * Nor are their names in a template, now or later: a setting that is forgotten once would make new buckets then.
 */
export class AdoptionStack extends Stack {
  /** Logical id → what identifies the resource, as `cdk import --resource-mapping` wants it. */
  readonly mapping: Readonly<Record<string, { readonly BucketName: string }>>;

  constructor(scope: Construct, id: string, leftovers: Leftovers) {
    super(scope, id);
    const storage = new Construct(new Construct(this, "Fanout"), "Storage");
    const entries = Object.entries(constructs).flatMap(([which, construct]) => {
      const name = leftovers[which as keyof typeof constructs];
      if (name === undefined) return [];
      const bucket = new s3.CfnBucket(new Construct(storage, construct), "Resource");
      // Whatever happens to this stack, the buckets stay.
      bucket.cfnOptions.deletionPolicy = CfnDeletionPolicy.RETAIN;
      bucket.cfnOptions.updateReplacePolicy = CfnDeletionPolicy.RETAIN;
      return [[this.getLogicalId(bucket), { BucketName: name }] as const];
    });
    this.mapping = Object.fromEntries(entries);
  }
}
