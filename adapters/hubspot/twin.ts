// HubSpot as it documents itself: custom events' send/batch, and companies' batch/read and batch/upsert. Both sinks
// are proven against the same account, with one token and one quota, so the twin is one file.
import type { Clock, JsonObject, JsonValue, MetricEvent } from "../../src/index.ts";
import { type ConformanceSubject, sampleEvent, type Twin } from "../../src/testing/index.ts";
import { hubspotCompaniesSink, hubspotEventsSink } from "./index.ts";

export interface HubspotTwinOptions {
  /** Any other token is answered with 401. Default: any token will do, but there must be one. */
  readonly accessToken?: string;
  /** Fully qualified event names that are defined → their properties. Default: every event and property. */
  readonly events?: Readonly<Record<string, readonly string[]>>;
  /** Company properties that are defined. Default: every property. */
  readonly companyProperties?: readonly string[];
  /** The company property with unique values. Default `tenant_id`. */
  readonly idProperty?: string;
  /** More company properties with unique values. Default none. */
  readonly uniqueProperties?: readonly string[];
  /** Ids of companies that are there already. */
  readonly companies?: readonly string[];
  /** Requests about companies that the app may make; custom events are exempt. Default: no end of them. */
  readonly quota?: {
    readonly clock: Pick<Clock, "now">;
    /** Within any 10 s: 100, or 190 from Professional on. */
    readonly burst: number;
    /** In a day of UTC, which stands for the account's. Default 250,000, as for Free. */
    readonly daily?: number;
  };
}

/** One stored occurrence of a custom event, as it came. */
export interface TwinOccurrence {
  readonly uuid: string | undefined;
  readonly eventName: string;
  readonly occurredAt: string | undefined;
  readonly properties: Readonly<Record<string, string>>;
}

export interface HubspotTwin extends Twin {
  /** Occurrences by `uuid`, company writes by `objectWriteTraceId` (by id when an input has none). */
  readonly stored: ReadonlyMap<string, number>;
  readonly occurrences: readonly TwinOccurrence[];
  /** Each company's current properties by its id. A test may add companies, as people do in HubSpot. */
  readonly companies: Map<string, Record<string, string>>;
}

// The pages are those that events.ts, companies.ts and request.ts name; a twin keeps its own copy of the numbers,
// so that a slip in the adapter does not bend the vendor.
const maxEvents = 500;
const maxCompanies = 100;
const maxEventProperties = 50;
const maxCompanyValue = 65_536;
const burstMs = 10_000;
/** RFC 3339, which the description of the API means by `date-time`. */
const dateTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;
const dayMs = 86_400_000;

interface Refusal {
  readonly status: number;
  readonly category: string;
  readonly message: string;
}

export function createHubspotTwin(options: HubspotTwinOptions = {}): HubspotTwin {
  const { idProperty = "tenant_id", quota } = options;
  const stored = new Map<string, number>();
  const occurrences: TwinOccurrence[] = [];
  const uuids = new Set<string>();
  const companies = new Map((options.companies ?? []).map((id) => [id, { [idProperty]: id }]));
  const store = (id: string) => stored.set(id, (stored.get(id) ?? 0) + 1);
  const spend: Spend = quota === undefined ? () => ({}) : createQuota(quota);

  const sendEvents = (inputs: readonly JsonObject[]): Response => {
    if (inputs.length > maxEvents) return refuse(invalid(`at most ${maxEvents} inputs`));
    const seen = new Set<string>();
    for (const input of inputs) {
      const refusal = checkOccurrence(input, options.events);
      if (refusal !== undefined) return refuse(refusal);
      const { uuid } = input;
      if (typeof uuid !== "string") continue;
      // The real text is not published.
      if (uuids.has(uuid) || seen.has(uuid)) return refuse(invalid("Duplicate uuid: it was sent already"));
      seen.add(uuid);
    }
    for (const input of inputs) {
      const occurrence = toOccurrence(input);
      occurrences.push(occurrence);
      if (occurrence.uuid === undefined) continue;
      uuids.add(occurrence.uuid);
      store(occurrence.uuid);
    }
    return new Response(null, { status: 204 });
  };

  const readCompanies = (inputs: readonly JsonObject[], body: JsonObject): Response => {
    if (inputs.length > maxCompanies) return refuse(invalid(`at most ${maxCompanies} inputs`));
    if (body["idProperty"] !== idProperty) return refuse(invalid("idProperty has no unique values"));
    if (!isTexts(body["properties"]) || !isTexts(body["propertiesWithHistory"])) {
      return refuse(invalid("properties and propertiesWithHistory are required"));
    }
    const wanted = new Set(body["properties"]);
    const ids = inputs.map((input) => String(input["id"]));
    const results = ids.flatMap((id) => {
      const company = companies.get(id);
      const shown = Object.entries(company ?? {}).filter(([name]) => wanted.has(name));
      return company === undefined
        ? []
        : [{ id: recordId(id), ...stamps, properties: Object.fromEntries(shown) }];
    });
    const missing = ids.filter((id) => !companies.has(id));
    if (missing.length === 0) return complete(200, results);
    const message = "Could not get some COMPANY objects, they may be deleted or not exist.";
    return complete(207, results, [failed("OBJECT_NOT_FOUND", message, { ids: missing })]);
  };

  /** What is wrong with one input, as a detail of an error, or undefined. */
  const checkCompany = (id: string, properties: Readonly<Record<string, string>>): JsonObject | undefined => {
    for (const [name, value] of Object.entries(properties)) {
      if (options.companyProperties?.includes(name) === false) {
        return { code: "PROPERTY_DOESNT_EXIST", message: `Property "${name}" does not exist` };
      }
      if (value.length > maxCompanyValue) return { message: `${value} is too long for "${name}"` };
      const isTaken = [...companies].some(([other, held]) => other !== id && held[name] === value);
      if (isTaken && options.uniqueProperties?.includes(name) === true) {
        return { code: "CONFLICTING_UNIQUE_VALUE", message: `${value} is the ${name} of another company` };
      }
    }
    return undefined;
  };

  const upsertCompanies = (inputs: readonly JsonObject[]): Response => {
    if (inputs.length > maxCompanies) return refuse(invalid(`at most ${maxCompanies} inputs`));
    const ids = inputs.map((input) => input["id"]);
    if (!isTexts(ids) || ids.includes("")) return refuse(invalid("every input needs an id"));
    if (new Set(ids).size < ids.length) return refuse(invalid("duplicate ids in one batch"));
    if (inputs.some((input) => input["idProperty"] !== idProperty)) {
      return refuse(invalid("idProperty has no unique values"));
    }
    if (inputs.some((input) => !isProperties(input["properties"]))) {
      return refuse(invalid("properties must be texts"));
    }
    const results: JsonObject[] = [];
    const errors: JsonObject[] = [];
    for (const input of inputs) {
      const { id, properties, objectWriteTraceId } = input;
      if (typeof id !== "string" || !isProperties(properties)) continue; // checked above
      const trace = typeof objectWriteTraceId === "string" ? objectWriteTraceId : undefined;
      const problem = checkCompany(id, properties);
      if (problem !== undefined) {
        const context: JsonObject = trace === undefined ? {} : { objectWriteTraceId: [trace] };
        errors.push(failed("VALIDATION_ERROR", "Property values were not valid", context, [problem]));
        continue;
      }
      const isNew = !companies.has(id);
      const before = companies.get(id);
      const company = { ...before, ...properties, [idProperty]: id };
      companies.set(id, company);
      // The same values once more change nothing.
      if (JSON.stringify(before) !== JSON.stringify(company)) store(trace ?? id);
      results.push({
        id: recordId(id),
        ...stamps,
        new: isNew,
        properties: company,
        ...(trace === undefined ? {} : { objectWriteTraceId: trace }),
      });
    }
    return errors.length === 0 ? complete(200, results) : complete(207, results, errors);
  };

  const operations: Record<string, (inputs: readonly JsonObject[], body: JsonObject) => Response> = {
    "/events/v3/send/batch": sendEvents,
    "/crm/v3/objects/companies/batch/read": readCompanies,
    "/crm/v3/objects/companies/batch/upsert": upsertCompanies,
  };

  const handle = async (request: Request): Promise<Response> => {
    const token = /^Bearer (.+)$/.exec(request.headers.get("authorization") ?? "")?.[1];
    if (token === undefined || (options.accessToken !== undefined && token !== options.accessToken)) {
      return refuse({
        status: 401,
        category: "INVALID_AUTHENTICATION",
        message: "Authentication credentials not found",
      });
    }
    const { pathname } = new URL(request.url);
    const operation = Object.hasOwn(operations, pathname) ? operations[pathname] : undefined;
    if (request.method !== "POST" || operation === undefined) {
      // The real category is not published; it is none of those that speak of objects.
      return refuse({ status: 404, category: "RESOURCE_NOT_FOUND", message: "no such resource" });
    }
    const allowance: ReturnType<Spend> = operation === sendEvents ? {} : spend();
    if (allowance instanceof Response) return allowance;
    const body = parse(await request.text());
    // A JSON text that escapes half a character says something that is no Unicode (RFC 8259, 8.2).
    if (body !== undefined && !isText(body)) return refuse(invalid("Invalid input JSON"));
    const inputs = body?.["inputs"];
    if (body === undefined || !isObjects(inputs) || inputs.length === 0) {
      return refuse(invalid("Invalid input JSON"));
    }
    const response = operation(inputs, body);
    for (const [name, value] of Object.entries(allowance)) response.headers.set(name, value);
    return response;
  };

  return { handle, stored, occurrences, companies };
}

const accessToken = "pat-eu1-very-secret";
const baseUrl = "https://api.hubapi.test";
const secrets = [accessToken];

/** Both sinks. What `fanout certify` and the tests run the conformance cases with. */
export default [
  {
    sink: () => hubspotEventsSink({ accessToken, baseUrl }),
    twin: () => {
      const properties = ["tenant_id", "user_id", "checked_count", "ratio", "note"];
      return createHubspotTwin({ accessToken, events: { conformance_checked: properties } });
    },
    secrets,
    // A property that the event's definition lacks.
    poison: (n, now) => withField(sampleEvent(n, now), "undefined_here"),
  },
  {
    sink: () => hubspotCompaniesSink({ accessToken, baseUrl, createUnknown: true }),
    twin: () => {
      const twin = createHubspotTwin({ accessToken, uniqueProperties: ["conformance_checked_serial"] });
      twin.companies.set("holder", { tenant_id: "holder", conformance_checked_serial: "taken" });
      return twin;
    },
    secrets,
    // A value that another company holds, of a property whose values are unique.
    poison: (n, now) => withField(sampleEvent(n, now), "serial"),
  },
] satisfies ConformanceSubject[];

function withField(event: MetricEvent, name: string): MetricEvent {
  return { ...event, data: { ...event.data, [name]: "taken" } };
}

/** Spends one request: the headers that say what is left, or the 429 that ends it. */
type Spend = () => Response | Record<string, string>;

function createQuota(quota: NonNullable<HubspotTwinOptions["quota"]>): Spend {
  const daily = quota.daily ?? 250_000;
  let recent: number[] = [];
  let day = 0;
  let today = 0;
  return () => {
    const now = quota.clock.now();
    recent = recent.filter((at) => at > now - burstMs);
    if (Math.floor(now / dayMs) !== day) {
      day = Math.floor(now / dayMs);
      today = 0;
    }
    const over = today >= daily ? "DAILY" : recent.length >= quota.burst ? "TEN_SECONDLY_ROLLING" : undefined;
    if (over === undefined) {
      recent.push(now);
      today += 1;
    }
    const headers = {
      "X-HubSpot-RateLimit-Daily": String(daily),
      "X-HubSpot-RateLimit-Daily-Remaining": String(daily - today),
      "X-HubSpot-RateLimit-Interval-Milliseconds": String(burstMs),
      "X-HubSpot-RateLimit-Max": String(quota.burst),
      "X-HubSpot-RateLimit-Remaining": String(quota.burst - recent.length),
    };
    if (over === undefined) return headers;
    const body = {
      status: "error",
      message: "You have reached your limit.",
      errorType: "RATE_LIMIT",
      policyName: over,
    };
    return Response.json(body, { status: 429, headers });
  };
}

function checkOccurrence(input: JsonObject, events: HubspotTwinOptions["events"]): Refusal | undefined {
  const { eventName, properties } = input;
  if (typeof eventName !== "string" || !isProperties(properties)) {
    return invalid("eventName and properties are required, every property a text");
  }
  const { occurredAt } = input;
  if (
    typeof occurredAt === "string" &&
    !(dateTime.test(occurredAt) && !Number.isNaN(Date.parse(occurredAt)))
  ) {
    return invalid("occurredAt is no date-time");
  }
  if (events !== undefined && !Object.hasOwn(events, eventName)) return invalid("no such event definition");
  const defined = events?.[eventName];
  const entries = Object.entries(properties);
  if (entries.length > maxEventProperties) return invalid(`at most ${maxEventProperties} properties`);
  for (const [name, value] of entries) {
    if (!/^[a-z][a-z0-9_]{0,49}$/.test(name)) return invalid("a property's name is not lawful");
    if (value.length > (/^https?:\/\//.test(value) ? 1024 : 256))
      return invalid("a property's value is too long");
    if (defined?.includes(name) === false) return invalid("no such property in the event definition");
  }
  return undefined;
}

function toOccurrence({ uuid, eventName, occurredAt, properties }: JsonObject): TwinOccurrence {
  return {
    uuid: typeof uuid === "string" ? uuid : undefined,
    eventName: String(eventName),
    occurredAt: typeof occurredAt === "string" ? occurredAt : undefined,
    properties: isProperties(properties) ? properties : {},
  };
}

const correlationId = "00000000-0000-4000-8000-000000000000";
const moment = "2026-01-01T00:00:00.000Z";
const stamps = { createdAt: moment, updatedAt: moment, archived: false };

/** HubSpot numbers its records; any number that stays the same will do. */
function recordId(id: string): string {
  let sum = 7;
  for (const character of id) sum = (sum * 31 + (character.codePointAt(0) ?? 0)) % 1_000_000_007;
  return String(sum);
}

function invalid(message: string): Refusal {
  return { status: 400, category: "VALIDATION_ERROR", message };
}

function refuse({ status, category, message }: Refusal): Response {
  return Response.json({ status: "error", category, message, correlationId }, { status });
}

function complete(
  status: 200 | 207,
  results: readonly JsonObject[],
  errors?: readonly JsonObject[],
): Response {
  const body = { status: "COMPLETE", startedAt: moment, completedAt: moment, results };
  return Response.json(errors === undefined ? body : { ...body, numErrors: errors.length, errors }, {
    status,
  });
}

function failed(
  category: string,
  message: string,
  context: JsonObject,
  errors: readonly JsonObject[] = [],
): JsonObject {
  return { status: "error", category, message, context, errors, links: {} };
}

function parse(text: string): JsonObject | undefined {
  try {
    const value: JsonValue = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Whether all text of a value is valid Unicode, names included. */
function isText(value: JsonValue): boolean {
  if (typeof value === "string") return value.isWellFormed();
  if (typeof value !== "object" || value === null) return true;
  return Object.entries(value).every(([name, entry]) => name.isWellFormed() && isText(entry));
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isObjects(value: JsonValue | undefined): value is readonly JsonObject[] {
  return Array.isArray(value) && value.every(isObject);
}

function isProperties(value: JsonValue | undefined): value is Readonly<Record<string, string>> {
  return isObject(value) && Object.values(value).every((each) => typeof each === "string");
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((each) => typeof each === "string");
}
