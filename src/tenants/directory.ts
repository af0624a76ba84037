// The port to whatever knows the tenants: a name and an environment for an id.

export interface TenantDirectory {
  /**
   * Undefined when there is no such tenant.
   *
   * @throws {DirectoryDown} when nobody can say now. Whoever asks has the signal to end it.
   */
  find(tenantId: string, signal: AbortSignal): Promise<Tenant | undefined>;
}

export interface Tenant {
  /** As people know it. */
  readonly name?: string;
  /** Such as `production`. */
  readonly environment?: string;
}

/** The message names no tenant. */
export class DirectoryDown extends Error {
  override readonly name = "DirectoryDown";
  readonly code = "DIRECTORY_DOWN";
}

/** What a directory says of a tenant, as JSON: `{"name": "Acme", "environment": "production"}`, either may be missing. */
export function readTenant(value: unknown): Tenant | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const name = "name" in value ? value.name : undefined;
  const environment = "environment" in value ? value.environment : undefined;
  const isText = (each: unknown) => each === undefined || each === null || typeof each === "string";
  if (!isText(name) || !isText(environment)) return undefined;
  return {
    ...(typeof name === "string" && name.trim() !== "" && { name }),
    ...(typeof environment === "string" && environment.trim() !== "" && { environment }),
  };
}
