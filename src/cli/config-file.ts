// From `--config`, or the place where a configuration usually is, to a configuration that has been checked.
import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import {
  ConfigError,
  type ConfigRequest,
  type FanoutConfig,
  type MakeConfig,
  resolveConfig,
} from "../config.ts";

/**
 * @param given the file that `--config` names, if any.
 * @throws {ConfigError} whatever is wrong with the file: one sentence a problem, which names the file.
 */
export async function loadConfig(given: string | undefined, request: ConfigRequest): Promise<FanoutConfig> {
  const file = given === undefined ? findConfig() : path.resolve(given);
  if (!existsSync(file)) throw new ConfigError([`there is no configuration file at ${file}`]);
  try {
    const module: unknown = await import(pathToFileURL(file).href);
    const make =
      typeof module === "object" && module !== null && "default" in module ? module.default : undefined;
    if (!isMakeConfig(make)) throw new ConfigError([`${file} must export defineConfig(…) as its default`]);
    return await resolveConfig(make, request);
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    const line = error instanceof Error ? lineIn(file, error) : "";
    throw new ConfigError([
      `the configuration ${file}${line} cannot be used: ${causeOf(error, request.env)}`,
    ]);
  }
}

/** The project's own configuration, else the one that ships beside this file: in the repository `.ts`, packed `.js`. */
function findConfig(): string {
  const own = ["ts", "mts", "js", "mjs"]
    .map((ending) => path.resolve(`fanout.config.${ending}`))
    .find(existsSync);
  const shipped = fileURLToPath(
    new URL(`../../config/fanout.config${path.extname(import.meta.url)}`, import.meta.url),
  );
  return own ?? shipped;
}

function isMakeConfig(value: unknown): value is MakeConfig {
  // What it makes is checked by resolveConfig; that it can be called is all that is asked here.
  return typeof value === "function";
}

/** A secret by its variable's name. Shorter values than this would be found in innocent words. */
const secretName = /key|token|secret|pass|credential/i;
const shortestSecret = 4;

/** What was thrown, in one line. Its author may have put what the environment says into it: secrets are taken out. */
function causeOf(error: unknown, env: ConfigRequest["env"]): string {
  const told = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const [first = ""] = told.replace(/^Error: /, "").split("\n");
  return Object.entries(env)
    .flatMap(([name, value = ""]) => (secretName.test(name) && value.length >= shortestSecret ? [value] : []))
    .reduce((text, secret) => text.replaceAll(secret, "…"), first);
}

/** `:12`, where the file's own line is known; V8 and Node write it behind the path. */
function lineIn(file: string, { stack = "" }: Error): string {
  const line = Number.parseInt(stack.split(`${file}:`)[1] ?? "", 10);
  return Number.isNaN(line) ? "" : `:${line}`;
}
