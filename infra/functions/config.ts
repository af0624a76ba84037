// What every function that delivers begins with: the configuration that ships, made from its environment.
import makeConfig from "../../config/fanout.config.ts";
import {
  ConfigError,
  type FanoutConfig,
  type Logger,
  renewable,
  resolveConfig,
  useProxies,
} from "../../src/index.ts";
import { openSecrets } from "./secrets.ts";

export interface FunctionConfig extends FanoutConfig {
  /** The sinks, which read their secrets again when a vendor refuses what they have. */
  renewableSinks(log: Logger): FanoutConfig["sinks"];
}

/** @throws {ConfigError} at the cold start, with a sentence for each variable and secret that is missing or wrong. */
export async function loadConfig(): Promise<FunctionConfig> {
  useProxies(process.env);
  const secrets = await openSecrets(process.env);
  const config = await resolveConfig(makeConfig, { env: secrets.env });
  // A function's disk is gone with it: books that are to be durable cannot be there.
  const problems = Object.entries({ RECEIPTS: config.receipts, DEAD_LETTERS: config.deadLetters })
    .filter(([, address]) => !address.startsWith("s3://"))
    .map(([name]) => `${name} must be an s3:// URL in a Lambda function`);
  if (problems.length > 0) throw new ConfigError(problems);
  const renew = async () =>
    await secrets.again(async (env) => (await resolveConfig(makeConfig, { env })).sinks);
  return { ...config, renewableSinks: (log) => renewable(config.sinks, { renew, log }) };
}
