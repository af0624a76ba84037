// The catalog that ships, beside the sinks that are deployed: what a function would refuse at its cold start is told
// before there is one.
import { type Metric, resolveConfig } from "../src/index.ts";
import { adaptersOf } from "./sinks.ts";

/** What a configuration needs to be made; nobody is asked for anything before the first event. */
export const placeholders = {
  AWS_REGION: "us-east-1",
  TIMESTREAM_DATABASE: "product",
  SEGMENT_WRITE_KEY: "none",
  MIXPANEL_TOKEN: "none",
  HUBSPOT_ACCESS_TOKEN: "none",
  WEBHOOK_URL: "https://example.com/",
  WEBHOOK_SECRET: `whsec_${"none".repeat(8)}`,
  RECEIPTS: "s3://books/receipts",
  DEAD_LETTERS: "s3://books/dead-letters",
};

/**
 * Both are imported here, since they tell what is wrong as soon as they are loaded.
 *
 * @throws {ConfigError} one sentence for each metric that is wrong, or that one of these sinks would refuse.
 */
export async function loadCatalogFor(sinks: readonly string[]): Promise<readonly Metric[]> {
  adaptersOf(sinks);
  const { default: metrics } = await import("../config/metrics/index.ts");
  const { default: makeConfig } = await import("../config/fanout.config.ts");
  if (sinks.length === 0) return metrics;
  const config = await resolveConfig(makeConfig, { env: placeholders, sinks });
  for (const sink of config.sinks) await sink.close?.();
  return metrics;
}
