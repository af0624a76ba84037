// The Lambda entry of the stream's transform: the catalog that ships, and the tenants that the environment names.
import metrics from "../../config/metrics/index.ts";
import { tenantConfig, tokenOf } from "../../config/tenants.ts";
import { useProxies } from "../../src/index.ts";
import { createMetrics } from "../../src/lambda/metrics.ts";
import { createTransform } from "../../src/lambda/transform.ts";
import { openSecrets } from "./secrets.ts";

useProxies(process.env);
const secrets = await openSecrets(process.env);
const { directory, directoryDown } = await tenantConfig(secrets.env, {
  // One that no header can carry is as if there were none, and is looked for again.
  renewToken: async () => await secrets.again((env) => tokenOf(env)),
});

export const handler = createTransform({
  metrics,
  directoryDown,
  metricsTo: createMetrics(process.env["METRICS_NAMESPACE"]),
  ...(directory && { directory }),
});
