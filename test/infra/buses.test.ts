// Buses that have their ARN in the catalog: rules on them, and what the rules may do, follow the ARN's own parts.
import { App, Stack } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { expect, test } from "vitest";
import metrics from "../../config/metrics/index.ts";
import { createRules } from "../../infra/rules.ts";
import { ConfigError, type Metric } from "../../src/index.ts";
import { checkCatalog } from "../../src/routing/catalog-check.ts";

const env = { account: "123456789012", region: "eu-central-1" };
const [first] = metrics;
if (first === undefined) throw new Error("the catalog is empty");
const on = (bus: string): Metric => ({ ...first, source: { ...first.source, bus } });

function rules(metric: Metric, where?: typeof env): Template {
  const stack = new Stack(new App(), "Stack", where && { env: where });
  createRules(stack, {
    metrics: [metric],
    streamArn: "arn:aws:firehose:eu-central-1:123456789012:deliverystream/x",
  });
  return Template.fromStack(stack);
}

test.each([
  ["arn:aws:events:eu-central-1:123456789012:event-bus/product", "rule/product/*"],
  ["arn:aws:events:eu-central-1:123456789012:event-bus/aws.partner/a/b", "rule/aws.partner/a/b/*"],
  ["arn:aws:events:eu-central-1:123456789012:event-bus/default", "rule/*"],
])("the bus %s is lawful, and its rules are those of the ARN's account and region", (bus, ending) => {
  const metric = on(bus);
  expect(checkCatalog([{ file: `config/metrics/${metric.name}.ts`, metric }])).toEqual([metric]);
  for (const where of [env, undefined]) {
    const template = rules(metric, where);
    template.hasResourceProperties("AWS::Events::Rule", { EventBusName: bus });
    expect(JSON.stringify(template.toJSON())).toContain(
      `"aws:SourceArn":["arn:aws:events:eu-central-1:123456789012:${ending}"]`,
    );
  }
});

test.each([
  ["account", "arn:aws:events:eu-central-1:999999999999:event-bus/product"],
  ["region", "arn:aws:events:us-east-1:123456789012:event-bus/product"],
])("a bus of another %s is refused in one sentence, where the stack knows its own", (_, bus) => {
  let refusal: unknown;
  try {
    rules(on(bus), env);
  } catch (error) {
    refusal = error;
  }
  expect(refusal).toBeInstanceOf(ConfigError);
  expect(refusal instanceof ConfigError ? refusal.problems : []).toEqual([
    `the metric ${first.name} names the bus ${bus}, and a rule needs a bus of its own account and region (123456789012, eu-central-1): forward its events to one of these`,
  ]);
});
