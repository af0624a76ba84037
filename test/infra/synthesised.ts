// A stack of this project's, synthesised into a folder that is gone afterwards.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Template } from "aws-cdk-lib/assertions";
import { Code } from "aws-cdk-lib/aws-lambda";
import { AwsSolutionsChecks } from "cdk-nag";
import metrics from "../../config/metrics/index.ts";
import type { EventFanoutProps } from "../../infra/pipeline.ts";
import { createApp, FanoutStack } from "../../infra/stack.ts";
import { type Resource, resourcesOf } from "../../infra/template.ts";

export const allSinks = [
  "timestream",
  "segment",
  "segment-groups",
  "mixpanel",
  "hubspot-events",
  "hubspot-companies",
];

export interface Synthesised {
  readonly resources: readonly Resource[];
  /** The template as it is deployed. */
  readonly text: string;
  /** Rules of AWS Solutions that are broken without a reason beside it. */
  readonly findings: readonly string[];
}

/** Without the functions' code, which takes longer than all the rest. */
export function synthesise(props: Partial<EventFanoutProps> = {}): Synthesised {
  const outdir = mkdtempSync(path.join(tmpdir(), "fanout-synth-"));
  try {
    const app = createApp({ outdir });
    const stack = new FanoutStack(app, "fanout", {
      metrics,
      sinks: allSinks,
      code: () => Code.fromInline("export {};"),
      ...props,
    });
    const template: unknown = app.synth().getStackByName(stack.stackName).template;
    // Throws when resources wait for each other.
    Template.fromStack(stack);
    const { violations } = new AwsSolutionsChecks(app).validateScope(app);
    return {
      resources: resourcesOf(template),
      text: JSON.stringify(template),
      findings: violations.map(({ ruleName }) => ruleName),
    };
  } finally {
    rmSync(outdir, { recursive: true, force: true });
  }
}
