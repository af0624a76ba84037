// The database whose tables, one a tenant, appear by themselves.
import { RemovalPolicy, Validations } from "aws-cdk-lib";
import * as timestream from "aws-cdk-lib/aws-timestream";
import type { Construct } from "constructs";

/** Stays when the stack goes. Accounts that did not use Timestream before June 2025 cannot make one. */
export function createTimestreamDatabase(scope: Construct, databaseName: string): timestream.CfnDatabase {
  const database = new timestream.CfnDatabase(scope, "Timestream", { databaseName });
  database.applyRemovalPolicy(RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE);
  Validations.of(database).acknowledge(
    {
      id: "AwsSolutions-TS3",
      reason:
        "Timestream encrypts every database with the account's own key for the service; a customer's key adds " +
        "control over who decrypts, which the roles have: name a database of your own where that is wanted.",
    },
    {
      id: "CloudFormation-Validate::W3697",
      reason: "Known, and said in docs/deploy.md: the sink is for accounts that have Timestream.",
    },
  );
  return database;
}
