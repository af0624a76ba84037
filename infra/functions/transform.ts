// The Lambda entry of the stream's transform: the catalog that ships, and the tenants that the environment names.
import metrics from "../../config/metrics/index.ts";
import { tenantConfig } from "../../config/tenants.ts";
import { createMetrics } from "../../src/lambda/metrics.ts";
import { createTransform } from "../../src/lambda/transform.ts";
import { openSecrets } from "./secrets.ts";

const secrets = await openSecrets(process.env);
const { directory, directoryDown } = await tenantConfig(secrets.env, {
  renewToken: async () => await secrets.again((env) => env["TENANT_DIRECTORY_TOKEN"]),
});

export const handler = createTransform({
  metrics,
  directoryDown,
  metricsTo: createMetrics(process.env["METRICS_NAMESPACE"]),
  ...(directory && { directory }),
});
