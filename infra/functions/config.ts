// What every function that delivers begins with: the configuration that ships, made from its environment.
import makeConfig from "../../config/fanout.config.ts";
import { ConfigError, type FanoutConfig, resolveConfig } from "../../src/index.ts";
import { readEnvironment } from "./secrets.ts";

/** @throws {ConfigError} at the cold start, with a sentence for each variable and secret that is missing or wrong. */
export async function loadConfig(): Promise<FanoutConfig> {
  const config = await resolveConfig(makeConfig, { env: await readEnvironment(process.env) });
  // A function's disk is gone with it: books that are to be durable cannot be there.
  const problems = Object.entries({ RECEIPTS: config.receipts, DEAD_LETTERS: config.deadLetters })
    .filter(([, address]) => !address.startsWith("s3://"))
    .map(([name]) => `${name} must be an s3:// URL in a Lambda function`);
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}
