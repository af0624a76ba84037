// The CDK app of one deployment: `npm run deploy -- -c sinks=mixpanel,segment …`, see docs/deploy.md.
import metrics from "../config/metrics/index.ts";
import { readSettings } from "./settings.ts";
import { createApp, FanoutStack } from "./stack.ts";

const app = createApp();
const { stack, ...settings } = readSettings(app.node);
new FanoutStack(app, stack, { metrics, ...settings });
app.synth();
