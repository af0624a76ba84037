// Who tells the transform a tenant's name and environment, as the environment says.
import { readFile } from "node:fs/promises";
import {
  ConfigError,
  type HttpDirectoryOptions,
  httpDirectory,
  parseTenants,
  staticDirectory,
  type TenantDirectory,
} from "../src/index.ts";

type Env = Readonly<Record<string, string | undefined>>;

export interface TenantConfig {
  /** Undefined: nobody does. */
  readonly directory: TenantDirectory | undefined;
  readonly directoryDown: "pass" | "fail";
}

/**
 * - `TENANT_DIRECTORY`: an address with `{tenant_id}` in it, or a JSON file; without it nothing is added.
 * - `TENANT_DIRECTORY_TOKEN`: for the address, sent as a bearer token.
 * - `TENANT_DIRECTORY_DOWN`: `pass` (the default) or `fail`.
 *
 * @param renewal how a token that was rotated is found; see {@link HttpDirectoryOptions}.
 * @throws {ConfigError} one sentence a problem; none quotes a value.
 */
export async function tenantConfig(
  given: Env,
  renewal: Pick<HttpDirectoryOptions, "renewToken"> = {},
): Promise<TenantConfig> {
  const env: Env = Object.fromEntries(Object.entries(given).filter(([, value]) => value?.trim()));
  const down = env["TENANT_DIRECTORY_DOWN"] ?? "pass";
  const problems: string[] = [];
  if (down !== "pass" && down !== "fail")
    problems.push("TENANT_DIRECTORY_DOWN is not valid: it must be pass or fail");
  let token: string | undefined;
  try {
    token = tokenOf(env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    problems.push(...error.problems);
  }
  let directory: TenantDirectory | undefined;
  try {
    directory = await open(env["TENANT_DIRECTORY"], { ...(token !== undefined && { token }), ...renewal });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    problems.push(...error.problems);
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return { directory, directoryDown: down === "fail" ? "fail" : "pass" };
}

/** @throws {ConfigError} for one that no header can carry. */
export function tokenOf(env: Env): string | undefined {
  const token = env["TENANT_DIRECTORY_TOKEN"];
  if (token === undefined || /^[\x21-\x7e]+$/.test(token)) return token;
  throw new ConfigError([
    "TENANT_DIRECTORY_TOKEN is not valid: it must be visible ASCII characters, no space",
  ]);
}

async function open(
  place: string | undefined,
  how: Pick<HttpDirectoryOptions, "token" | "renewToken">,
): Promise<TenantDirectory | undefined> {
  if (place === undefined) return undefined;
  if (/^https?:/.test(place)) {
    try {
      return httpDirectory({ url: place, ...how });
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      throw new ConfigError([`TENANT_DIRECTORY is not valid: ${error.message}`]);
    }
  }
  const text = await readFile(place, "utf8").catch(() => {
    throw new ConfigError(["TENANT_DIRECTORY names a file that cannot be read"]);
  });
  return staticDirectory(parseTenants(text, "TENANT_DIRECTORY"));
}
