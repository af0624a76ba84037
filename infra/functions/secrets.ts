// The environment of a Lambda function: its own variables, and those that its secrets hold.

import { GetSecretValueCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { awsAgents } from "../../src/delivery/proxy.ts";
import { ConfigError } from "../../src/index.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** A function that hangs at its cold start says nothing; Lambda gives it 10 s before the first event's own time. */
const timeoutMs = 5_000;

/**
 * `SECRETS` names secrets of Secrets Manager, separated by commas. Each one is a JSON object of variables, such as
 * `{"MIXPANEL_TOKEN": "…"}`. The function's own variables win.
 *
 * @throws {ConfigError} one sentence for each secret that cannot be read or is no such object; never with a value.
 */
async function readEnvironment(env: Environment): Promise<Environment> {
  const names = (env["SECRETS"] ?? "").split(",").filter((name) => name !== "");
  if (names.length === 0) return env;
  const client = new SecretsManagerClient({ requestHandler: awsAgents() });
  const results = await Promise.all(names.map(async (name) => await readSecret(client, name)));
  client.destroy();
  const problems = results.flatMap((result) => ("problem" in result ? [result.problem] : []));
  if (problems.length > 0) throw new ConfigError(problems);
  return Object.assign({}, ...results.map((result) => ("variables" in result ? result.variables : {})), env);
}

/** What secrets hold, now and whenever they are asked again. */
export interface Secrets {
  /** With the function's own variables, which win. */
  readonly env: Environment;
  /**
   * What `make` makes of an environment in which a secret has changed since; undefined when none has. Where it throws,
   * the change is still one the next time.
   *
   * @throws {ConfigError} as {@link readEnvironment} does.
   */
  again<T>(make: (env: Environment) => T | Promise<T>): Promise<T | undefined>;
}

/** @throws {ConfigError} as {@link readEnvironment} does. */
export async function openSecrets(own: Environment): Promise<Secrets> {
  const env = await readEnvironment(own);
  let known = JSON.stringify(env);
  return {
    env,
    async again(make) {
      const fresh = await readEnvironment(own);
      const text = JSON.stringify(fresh);
      if (text === known) return undefined;
      const made = await make(fresh);
      known = text;
      return made;
    },
  };
}

type Secret = { readonly variables: Environment } | { readonly problem: string };

async function readSecret(client: SecretsManagerClient, name: string): Promise<Secret> {
  let text: string | undefined;
  try {
    const command = new GetSecretValueCommand({ SecretId: name });
    const { SecretString } = await client.send(command, { abortSignal: AbortSignal.timeout(timeoutMs) });
    text = SecretString;
  } catch (error) {
    const why = error instanceof Error ? error.name : "unknown";
    return {
      problem: `the secret ${name} could not be read (${why}): does it exist, and may the role read it?`,
    };
  }
  const variables = parseVariables(text);
  return variables === undefined
    ? { problem: `the secret ${name} must be a JSON object of variables, each of which is a string` }
    : { variables };
}

function parseVariables(text: string | undefined): Environment | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text ?? "");
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const entries: [string, unknown][] = Object.entries(value);
  const strings = entries.filter((entry): entry is [string, string] => typeof entry[1] === "string");
  return strings.length === entries.length ? Object.fromEntries(strings) : undefined;
}
