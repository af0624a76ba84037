// The CDK app of one deployment: `npm run deploy -- -c sinks=mixpanel,segment …`, see docs/deploy.md.
import { ConfigError } from "../src/index.ts";
import { loadCatalogFor } from "./catalog.ts";
import { readSettings } from "./settings.ts";
import { createApp, FanoutStack } from "./stack.ts";

try {
  const app = createApp();
  const { stack, ...settings } = readSettings(app.node);
  const metrics = await loadCatalogFor(settings.sinks);
  new FanoutStack(app, stack, { metrics, ...settings });
  app.synth();
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  process.stderr.write(`${error.problems.join("\n")}\n`);
  process.exitCode = 1;
}
