// The way out where a proxy is the only one: HTTP_PROXY, HTTPS_PROXY and NO_PROXY, for every request of ours and of AWS's
// clients. Node's own agents do it (https://nodejs.org/api/http.html#built-in-proxy-support), when they are told to.
import http from "node:http";
import https from "node:https";

/** Environment variables, in either case; those of the name in lower case win, as with curl. */
export type ProxyEnv = Readonly<Record<string, string | undefined>>;

let environment: ProxyEnv = {};

/**
 * The proxies of the whole process: of every client that is made from now on, ours and AWS's. Who composes an installation
 * says it once, since a machine has one way out; the core itself reads no environment.
 */
export function useProxies(env: ProxyEnv): void {
  environment = env;
}

/** What {@link useProxies} was told last; none by default. */
export function proxiesOfProcess(): ProxyEnv {
  return environment;
}

const of = (env: ProxyEnv, name: string) => env[name.toLowerCase()] || env[name] || undefined;

/** Whether a request to the address goes through a proxy. */
export function isProxied(url: URL, env: ProxyEnv): boolean {
  const proxy = of(env, url.protocol === "https:" ? "HTTPS_PROXY" : "HTTP_PROXY");
  return proxy !== undefined && !isExempt(url, of(env, "NO_PROXY") ?? "");
}

/** The forms that Node takes, ranges of addresses excepted: `*`, a host, `.domain`, `*.domain`, each with a port or without. */
function isExempt({ hostname, port, protocol }: URL, list: string): boolean {
  const own = port === "" ? (protocol === "https:" ? "443" : "80") : port;
  return list.split(/[\s,]+/).some((entry) => {
    const [, host = "", at] = /^(.*?)(?::(\d+))?$/.exec(entry.toLowerCase()) ?? [];
    if (host === "" || (at !== undefined && at !== own)) return false;
    if (host === "*") return true;
    const suffix = /^\*?(\..+)$/.exec(host)?.[1];
    return suffix === undefined ? hostname === host : hostname.endsWith(suffix);
  });
}

/** Agents that heed the environment's proxies, where it has one. */
export function createAgents(
  options: http.AgentOptions,
  env: ProxyEnv,
): { readonly http: http.Agent; readonly https: https.Agent } {
  const proxied = hasProxy(env) ? { ...options, proxyEnv: proxiesIn(env) } : options;
  return { http: new http.Agent(proxied), https: new https.Agent(proxied) };
}

/**
 * For the request handler of a client of AWS's: nothing where the environment names no proxy, so that the client makes its
 * own agents.
 */
export function awsAgents(env: ProxyEnv = environment): {
  readonly httpAgent?: http.Agent;
  readonly httpsAgent?: https.Agent;
} {
  if (!hasProxy(env)) return {};
  const { http: httpAgent, https: httpsAgent } = createAgents({ keepAlive: true, maxSockets: 50 }, env);
  return { httpAgent, httpsAgent };
}

function hasProxy(env: ProxyEnv): boolean {
  return of(env, "HTTP_PROXY") !== undefined || of(env, "HTTPS_PROXY") !== undefined;
}

function proxiesIn(env: ProxyEnv): http.ProxyEnv {
  const [httpProxy, httpsProxy, none] = [of(env, "HTTP_PROXY"), of(env, "HTTPS_PROXY"), of(env, "NO_PROXY")];
  return {
    ...(httpProxy !== undefined && { HTTP_PROXY: httpProxy }),
    ...(httpsProxy !== undefined && { HTTPS_PROXY: httpsProxy }),
    ...(none !== undefined && { NO_PROXY: none }),
  };
}
