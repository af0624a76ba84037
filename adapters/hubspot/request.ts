// One request to HubSpot over the core's HTTP client, and what the reply means. The bodies are built here: the vendor's SDK
// copies every input field by field, at four times the cost of the body, and adds 350 KB to a cold start
// (docs/performance.md); test/contract/hubspot.test.ts holds that both say the same.
import {
  classifyReply,
  type HttpReply,
  type JsonObject,
  type JsonValue,
  type Refused,
  type SendContext,
  sinkUnavailable,
  type Transient,
} from "../../src/index.ts";
import { type Code, hubspotWords } from "./refusals.ts";

/** What both sinks need to reach HubSpot. */
export interface HubspotConnection {
  /** Of a private app, or OAuth. Scopes: `behavioral_events.event_definitions.read_write` or companies read and write. */
  readonly accessToken: string;
  /** Default `https://api.hubapi.com`. Plain http is for local servers; a slash at its end does not matter. */
  readonly baseUrl?: string;
}

/** https://developers.hubspot.com/docs/api-reference/overview */
const defaultBaseUrl = "https://api.hubapi.com";

/** The window of the burst limits: https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines */
const burstWindowMs = 10_000;

/** "Locked, wait at least 2 seconds": https://developers.hubspot.com/docs/api-reference/error-handling */
const lockedWaitMs = 2_000;

/**
 * A spent day ends at midnight in the account's time zone, which no reply tells (usage guidelines), and a
 * migration (477) names its end in Retry-After or not at all: without it, ask again every hour.
 */
const longPauseMs = 3_600_000;

/** @throws when the options can never work, in one sentence without the token. */
export function checkConnection(options: HubspotConnection): Required<HubspotConnection> {
  if (!/^[\x21-\x7e]+$/.test(options.accessToken)) {
    throw new Error("hubspot: accessToken is empty or holds characters that no token has");
  }
  const baseUrl = (options.baseUrl ?? defaultBaseUrl).replace(/\/+$/, "");
  if (!/^https?:\/\/[^/]/.test(baseUrl) || !URL.canParse(baseUrl)) {
    throw new Error("hubspot: baseUrl is not an http or https address");
  }
  return { accessToken: options.accessToken, baseUrl };
}

/** One request with a body of JSON. */
export function post(
  { accessToken, baseUrl }: Required<HubspotConnection>,
  path: string,
  body: string | Uint8Array,
  { http, signal }: Pick<SendContext, "http" | "signal">,
): Promise<HttpReply> {
  const headers = {
    authorization: `Bearer ${accessToken}`,
    accept: "application/json, */*;q=0.8",
    "content-type": "application/json",
  };
  return http({ method: "POST", url: `${baseUrl}${path}`, headers, body }, signal);
}

/**
 * What a reply means whichever call it answers; undefined for 2xx.
 *
 * @param sent The names of the properties that were sent, which alone may stand in a reason.
 * @throws {SinkUnavailable} for credentials, scopes, the subscription, the daily quota, migrations and wrong hosts.
 */
export function classify(
  reply: HttpReply,
  sent: () => Iterable<string> = () => [],
): Transient | Refused | undefined {
  const { status } = reply;
  const body = parseObject(reply.body);
  if (status === 401) {
    throw sinkUnavailable("HubSpot answered 401: the access token is wrong, expired or revoked", {
      credentials: "refused",
    });
  }
  if (status === 403) {
    throw sinkUnavailable(
      "HubSpot answered 403: the app lacks a scope, or the account the subscription (custom events need Enterprise)",
      // A scope that was added comes with another token.
      { credentials: "refused" },
    );
  }
  if (status === 477) {
    throw sinkUnavailable("HubSpot answered 477: the account is being moved", {
      retryAfterMs: reply.retryAfterMs ?? longPauseMs,
    });
  }
  if (status === 429) {
    const spent = reply.headers["x-hubspot-ratelimit-daily-remaining"] === "0";
    if (body?.["policyName"] === "DAILY" || (body?.["policyName"] === undefined && spent)) {
      throw sinkUnavailable("HubSpot's daily quota is spent", {
        retryAfterMs: reply.retryAfterMs ?? longPauseMs,
      });
    }
    const window = Number(reply.headers["x-hubspot-ratelimit-interval-milliseconds"]);
    const retryAfterMs = reply.retryAfterMs ?? (window > 0 ? window : burstWindowMs);
    return { status: "transient", reason: "HubSpot answered 429: too many requests", retryAfterMs };
  }
  if (status === 423) {
    const retryAfterMs = Math.max(lockedWaitMs, reply.retryAfterMs ?? 0);
    return { status: "transient", reason: "HubSpot answered 423: locked", retryAfterMs };
  }
  if (status === 404 && !isAboutObjects(reply)) {
    throw sinkUnavailable(
      "HubSpot answered 404, but not that an object is missing: check baseUrl, and whether this version of its API has ended",
    );
  }
  const verdict: Transient | Refused | undefined =
    status === 404
      ? { status: "refused", reason: "HubSpot answered 404", code: "OBJECT_NOT_FOUND" satisfies Code }
      : classifyReply("HubSpot", reply);
  return verdict?.status === "refused"
    ? { ...verdict, ...explain(verdict.code, verdict.reason, body, sent) }
    : verdict;
}

/**
 * Whether a 404 speaks of what a request names, an event's definition or a company: then HubSpot says so in its fixed
 * words. An address that it does not know, such as that of an API that has ended, is answered with 404 as well.
 */
export function isAboutObjects({ body }: HttpReply): boolean {
  const words = wordsOf(parseObject(body));
  return words.includes("OBJECT_NOT_FOUND") || words.includes("PROPERTY_DOESNT_EXIST");
}

/** What an error says in fixed words that are known, the most telling first. */
function wordsOf(error: JsonObject | undefined): readonly (typeof hubspotWords)[number][] {
  const { category, subCategory } = error ?? {};
  // `crm.OBJECT_NOT_FOUND`, say: https://developers.hubspot.com/docs/api-reference/error-handling
  const detail = typeof subCategory === "string" ? subCategory.split(".").at(-1) : undefined;
  const said = [category, detail, ...objects(error?.["errors"]).map(({ code }) => code)];
  return hubspotWords.filter((word) => said.includes(word));
}

/**
 * The code and the reason of a refusal, with what the error body says in fixed words that are known, and the properties
 * that it blames, as far as they are names that were sent. Its messages, and words that are not known, may be values of a
 * record: they stay out.
 */
export function explain(
  fallback: string,
  reason: string,
  error: JsonObject | undefined,
  sent: () => Iterable<string> = () => [],
): { readonly code: string; readonly reason: string } {
  const words = wordsOf(error);
  const unknown: Code | undefined = typeof error?.["category"] === "string" ? "INPUT_REFUSED" : undefined;
  const [first = unknown ?? fallback] = words;
  const blamed = blamedIn(error);
  const names = blamed.size === 0 ? [] : [...new Set(sent())].filter((name) => blamed.has(name));
  const about = names.length === 0 ? "" : `, of ${names.slice(0, mostNames).join(", ")}`;
  return { code: first, reason: `${reason}${words.length === 0 ? "" : `: ${words.join(", ")}`}${about}` };
}

/** More of them make no sentence. */
const mostNames = 5;

/** https://developers.hubspot.com/docs/api-reference/error-handling: `context.propertyName` is a list of names. */
function blamedIn(error: JsonObject | undefined): ReadonlySet<string> {
  const all = error === undefined ? [] : [error, ...objects(error["errors"])];
  const names = all.flatMap(({ context }) => (isObject(context) ? [context["propertyName"]].flat() : []));
  return new Set(names.filter((name) => typeof name === "string"));
}

/** The object that a body holds, or undefined. */
export function parseObject(text: string): JsonObject | undefined {
  try {
    return objects([JSON.parse(text)])[0];
  } catch {
    return undefined;
  }
}

/** The objects of a list; none when it is no list. */
export function objects(value: JsonValue | undefined): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
