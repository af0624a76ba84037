// The stack of one deployment: the pipeline, and what somebody wants to know of it afterwards.
import { App, CfnOutput, Stack, type StackProps, Validations } from "aws-cdk-lib";
import { AwsSolutionsChecks } from "cdk-nag";
import type { Construct } from "constructs";
import { manifestsPrefix, reportsPrefix } from "./backfill.ts";
import { EventFanout, type EventFanoutProps } from "./pipeline.ts";
import { deadLettersPrefix, receiptsPrefix } from "./prefixes.ts";

/** CDK's newer behaviour, where the older one is the default for the sake of old stacks. */
const features = {
  "@aws-cdk/aws-s3:serverAccessLogsUseBucketPolicy": true,
  "@aws-cdk/core:checkSecretUsage": true,
  // What CloudFormation's own linter calls an error is one, and stops the synthesis; by default it is a warning.
  "@aws-cdk/core:validateAgainstDefaultRules": true,
};

/** An app that refuses what breaks the rules of CloudFormation's linter or of AWS Solutions, unless a reason stands beside. */
export function createApp(options: { readonly outdir?: string } = {}): App {
  const app = new App({ ...options, analyticsReporting: false, context: features });
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  return app;
}

export class FanoutStack extends Stack {
  readonly pipeline: EventFanout;

  constructor(scope: Construct, id: string, props: EventFanoutProps & StackProps) {
    super(scope, id, { description: "Events from the buses to every tool that needs them", ...props });
    this.pipeline = new EventFanout(this, "Fanout", props);
    const { storage, stream, alarms, undelivered, dashboard, deliveries, backfill, operators } =
      this.pipeline;
    const books = `s3://${storage.books.bucketName}`;
    const outputs: Record<string, readonly [string, string]> = {
      Stream: [stream.name, "Where records can be put without a bus"],
      Bucket: [storage.data.bucketName, "What the stream delivered"],
      Receipts: [`${books}/${receiptsPrefix}`, "RECEIPTS of the command line"],
      DeadLetters: [`${books}/${deadLettersPrefix}`, "DEAD_LETTERS of the command line"],
      Undelivered: [undelivered.queueUrl, "Bus events that the stream did not take"],
      Alarms: [alarms.topicArn, "Subscribe people and chats"],
      BackfillRole: [backfill.roleArn, "Of a job of S3 Batch Operations that delivers history"],
      BackfillManifests: [`${books}/${manifestsPrefix}`, "Where that job finds its manifest"],
      BackfillReports: [`${books}/${reportsPrefix}`, "Where it writes its report"],
      ...Object.fromEntries(
        deliveries.map(({ name, sinks, worker }) => [
          `Worker${pascal(name)}`,
          [worker.functionArn, `Delivers to ${sinks.join(", ")}`] as const,
        ]),
      ),
    };
    if (dashboard !== undefined) outputs["Dashboard"] = [dashboard.dashboardName, "In CloudWatch"];
    if (operators !== undefined) outputs["Operators"] = [operators.roleArn, "Role for the fanout commands"];
    for (const [name, [value, description]] of Object.entries(outputs)) {
      new CfnOutput(this, name, { value, description });
    }
  }
}

/** `hubspot-events` → `HubspotEvents`: an output's name has letters and digits alone. */
function pascal(name: string): string {
  return name.replaceAll(/(?:^|-)([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
