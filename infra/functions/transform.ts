// The Lambda entry of the stream's transform: the catalog that ships, and the tenants that the environment names.
import metrics from "../../config/metrics/index.ts";
import { tenantConfig } from "../../config/tenants.ts";
import { createMetrics } from "../../src/lambda/metrics.ts";
import { createTransform } from "../../src/lambda/transform.ts";
import { readEnvironment } from "./secrets.ts";

const { directory, directoryDown } = await tenantConfig(await readEnvironment(process.env));

export const handler = createTransform({
  metrics,
  directoryDown,
  metricsTo: createMetrics(process.env["METRICS_NAMESPACE"]),
  ...(directory && { directory }),
});
