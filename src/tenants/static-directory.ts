// A directory that is known beforehand: an object, or a JSON file of one.
import { ConfigError } from "../config.ts";
import { readTenant, type Tenant, type TenantDirectory } from "./directory.ts";

/** @param tenants by their ids. */
export function staticDirectory(tenants: Readonly<Record<string, Tenant>>): TenantDirectory {
  const known = new Map(Object.entries(tenants));
  return { find: (tenantId) => Promise.resolve(known.get(tenantId)) };
}

/**
 * @param text JSON: `{"<tenant id>": {"name": "…", "environment": "…"}}`.
 * @param where the text is from, for the sentence that says what is wrong with it.
 * @throws {ConfigError} one sentence a problem, without any value.
 */
export function parseTenants(text: string, where: string): Readonly<Record<string, Tenant>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ConfigError([`${where}: it is no JSON`]);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ConfigError([`${where}: it must be an object of tenants by their ids`]);
  }
  const problems: string[] = [];
  const tenants = Object.entries(value).flatMap(([id, said]: [string, unknown]) => {
    const tenant = readTenant(said);
    if (tenant !== undefined) return [[id, tenant] as const];
    problems.push(
      `${where}: a tenant must be an object with name and environment, both text: ${id.slice(0, 80)}`,
    );
    return [];
  });
  if (problems.length > 0) throw new ConfigError(problems);
  return Object.fromEntries(tenants);
}
