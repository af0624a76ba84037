// A directory that is asked over HTTP, as rarely as can be: it remembers what it was told, and that it was not told.
import { type Clock, orAborted, systemClock } from "../delivery/clock.ts";
import { createHttp, type HttpClient, type HttpReply } from "../delivery/http.ts";
import { createRenewal } from "../renewal.ts";
import { DirectoryDown, readTenant, type Tenant, type TenantDirectory } from "./directory.ts";

export interface HttpDirectoryOptions {
  /**
   * `{tenant_id}` stands for the id, such as `https://tenants.internal/v1/tenants/{tenant_id}`. A GET there answers
   * 200 with `{"name": "…", "environment": "…"}`, or 404 when there is no such tenant.
   */
  readonly url: string;
  /** Sent as `authorization: Bearer …`. Default none. */
  readonly token?: string;
  /**
   * Reads the token again when the directory answers 401 or 403, at most once a minute; the question is then asked once
   * more, with a time of its own. Undefined, or an error: there is no other one. Default: the token never changes.
   */
  readonly renewToken?: () => Promise<string | undefined>;
  /** How long one question may take. Default 1 s. */
  readonly timeoutMs?: number;
  /** How long an answer holds. Default 5 min. */
  readonly cacheMs?: number;
  /** How long it holds that there is no such tenant: a new one should not wait long for its name. Default 1 min. */
  readonly negativeCacheMs?: number;
  /** After a question without an answer nothing is asked for so long. Default 10 s. */
  readonly restMs?: number;
  /** Tenants that are remembered; the one that was asked for the longest ago goes. Default 50,000. */
  readonly maxTenants?: number;
  readonly http?: HttpClient;
  readonly clock?: Clock;
}

interface Remembered {
  readonly tenant: Tenant | undefined;
  readonly until: number;
}

/**
 * While the directory is down, what it said before still holds, however old: a name hardly ever changes, and an old
 * one is better than none.
 *
 * @throws {TypeError} when the address can never work.
 */
export function httpDirectory(options: HttpDirectoryOptions): TenantDirectory {
  const { url, clock = systemClock } = options;
  const { timeoutMs = 1_000, cacheMs = 5 * 60_000, negativeCacheMs = 60_000 } = options;
  const { restMs = 10_000, maxTenants = 50_000 } = options;
  const http = options.http ?? createHttp({ clock }).send;
  if (!/^https?:\/\//.test(url) || !url.includes("{tenant_id}") || !URL.canParse(url)) {
    throw new TypeError("the tenant directory's address must be an http(s) URL that holds {tenant_id}");
  }
  let { token } = options;
  const renewed = createRenewal(async () => await options.renewToken?.(), { clock });
  /** Maps keep their order: what was put in last is at the end. */
  const remembered = new Map<string, Remembered>();
  const asked = new Map<string, Promise<Tenant | undefined>>();
  let restUntil = Number.NEGATIVE_INFINITY;

  /** Asks again with another token when the directory does not take the one that it was given. */
  async function ask(tenantId: string, signal: AbortSignal): Promise<Tenant | undefined> {
    const used = token;
    try {
      const reply = await get(tenantId, used, signal);
      if (reply.status !== 401 && reply.status !== 403) return tenantOf(reply);
      // Another question may have found it first.
      if (token === used)
        token =
          (await orAborted(
            renewed().catch(() => undefined),
            signal,
          )) ?? used;
      return tenantOf(token === used ? reply : await get(tenantId, token, signal));
    } catch (error) {
      // Whoever asked has no time left: that says nothing of the directory.
      if (!signal.aborted) restUntil = clock.now() + restMs;
      throw error instanceof DirectoryDown ? error : new DirectoryDown("the tenant directory gave no answer");
    }
  }

  async function get(
    tenantId: string,
    bearer: string | undefined,
    signal: AbortSignal,
  ): Promise<Pick<HttpReply, "status" | "body">> {
    const headers = {
      accept: "application/json",
      ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
    };
    const over = new AbortController();
    const cut = () => over.abort();
    signal.addEventListener("abort", cut, { once: true });
    if (signal.aborted) cut();
    void clock.sleep(timeoutMs, over.signal).then(cut);
    try {
      // A function, since replaceAll reads `$&` and the like in a text.
      const address = url.replaceAll("{tenant_id}", () => encodeURIComponent(tenantId));
      return await http({ method: "GET", url: address, headers }, over.signal);
    } finally {
      signal.removeEventListener("abort", cut);
      cut();
    }
  }

  function remember(tenantId: string, tenant: Tenant | undefined): void {
    remembered.delete(tenantId);
    remembered.set(tenantId, {
      tenant,
      until: clock.now() + (tenant === undefined ? negativeCacheMs : cacheMs),
    });
    for (const oldest of remembered.keys()) {
      if (remembered.size <= maxTenants) break;
      remembered.delete(oldest);
    }
  }

  return {
    async find(tenantId, signal) {
      const known = remembered.get(tenantId);
      if (known !== undefined && known.until > clock.now()) return known.tenant;
      try {
        // An id with half a character has no address; no event has one.
        if (!tenantId.isWellFormed()) return undefined;
        if (clock.now() < restUntil) throw new DirectoryDown("the tenant directory was down a moment ago");
        const running = asked.get(tenantId) ?? ask(tenantId, signal).finally(() => asked.delete(tenantId));
        asked.set(tenantId, running);
        const tenant = await running;
        remember(tenantId, tenant);
        return tenant;
      } catch (error) {
        if (known === undefined) throw error;
        return known.tenant;
      }
    },
  };
}

function tenantOf({ status, body }: Pick<HttpReply, "status" | "body">): Tenant | undefined {
  if (status === 404) return undefined;
  if (status !== 200) throw new DirectoryDown(`the tenant directory answered ${status}`);
  const tenant = readTenant(parse(body));
  if (tenant === undefined) throw new DirectoryDown("the tenant directory's answer is no tenant");
  return tenant;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
