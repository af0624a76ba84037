// What HubSpot's replies about companies mean, input by input.
import type {
  HttpReply,
  JsonObject,
  JsonValue,
  Outcome,
  Refused,
  Transient,
  Verdict,
} from "../../src/index.ts";
import type { HubspotCompanyInput } from "./company-mapping.ts";
import type { Code } from "./refusals.ts";
import { classify, explain, isObject, objects, parseObject } from "./request.ts";

export interface Look {
  /** The id of every company that HubSpot has → the time of its newest event, -Infinity when none is kept. */
  readonly newest: ReadonlyMap<string, number>;
  /** Ids whose company is archived; by default HubSpot does not show them at all. */
  readonly archived: ReadonlySet<string>;
  /** Ids of which HubSpot says that it has no company. Of an id that stands nowhere nobody knows. */
  readonly absent: ReadonlySet<string>;
  /** HubSpot answered with a company whose id nobody asked for: it takes one of the ids for another tenant's. */
  readonly hasOthers: boolean;
}

export interface Write {
  /** By `objectWriteTraceId`. An input that is missing here is unknown. */
  readonly outcomes: ReadonlyMap<string, Outcome>;
}

/** Categories of one input's error that time cures; what else HubSpot says of one input is for good. */
const curable: readonly (JsonValue | undefined)[] = [
  "CONFLICT",
  "INTERNAL_ERROR",
  "RATE_LIMITS",
  "SERVICE_UNAVAILABLE",
  "TIMEOUT",
];

/** From this attempt on, a 409 is for good: each attempt has looked before it wrote. */
const conflictsFrom = 3;

/**
 * Reads the reply to `batch/read`: 200, or 207 with errors of `OBJECT_NOT_FOUND` that name the ids that are not there
 * in `context.ids`.
 */
export function readLook(
  reply: HttpReply,
  asked: readonly string[],
  idProperty: string,
  timeProperty: string,
): Look | Transient | Refused {
  const verdict = classify(reply);
  if (verdict !== undefined) return verdict;
  const body = parseObject(reply.body);
  if (!Array.isArray(body?.["results"])) return unreadable(reply);
  const newest = new Map<string, number>();
  const archived = new Set<string>();
  for (const result of body["results"]) {
    const properties = isObject(result) ? result["properties"] : undefined;
    const id = isObject(properties) ? properties[idProperty] : undefined;
    if (!isObject(result) || !isObject(properties) || typeof id !== "string") continue;
    if (result["archived"] === true) archived.add(id);
    else newest.set(id, parseTime(properties[timeProperty]));
  }
  return {
    newest,
    archived,
    absent: readAbsent(body),
    hasOthers: [...newest.keys(), ...archived].some((id) => !asked.includes(id)),
  };
}

function readAbsent(body: JsonObject): ReadonlySet<string> {
  const errors = objects(body["errors"]);
  const ids = errors
    .filter(({ category }) => category === "OBJECT_NOT_FOUND")
    .flatMap(({ context }) => (isObject(context) && Array.isArray(context["ids"]) ? context["ids"] : []))
    .filter((id) => typeof id === "string");
  // HubSpot's description does not say whether an error that names three ids counts once or three times. Another
  // number says that errors were left out, and then nobody knows what the rest would say.
  const count = body["numErrors"];
  const isWhole = count === undefined || count === errors.length || count === ids.length;
  return new Set(isWhole ? ids : []);
}

/**
 * Reads the reply to `batch/upsert`: 200 or 201, or 207 with errors that name their inputs in
 * `context.objectWriteTraceId`.
 */
export function readWrite(
  reply: HttpReply,
  inputs: readonly HubspotCompanyInput[],
  attempt: number,
): Write | Verdict {
  // Another writer made the same company between our look and our write: next time it is there. What conflicts
  // again and again is one input's fault, and must not keep the others waiting for ever.
  if (reply.status === 409 && attempt < conflictsFrom)
    return { status: "transient", reason: "HubSpot answered 409: a conflicting write" };
  const sent = () => inputs.flatMap(({ properties }) => Object.keys(properties));
  const verdict = classify(reply, sent);
  if (verdict !== undefined) return verdict;
  const body = parseObject(reply.body);
  if (body === undefined || !Array.isArray(body["results"])) return unreadable(reply);
  const results = objects(body["results"]);
  const errors = objects(body["errors"]);

  const outcomes = new Map<string, Outcome>();
  for (const result of results) {
    const input = inputs.find((each) => isResultOf(result, each));
    if (input !== undefined) outcomes.set(input.objectWriteTraceId, { status: "delivered" });
  }
  let unnamed: Outcome | undefined;
  for (const error of errors) {
    const outcome = toOutcome(error, sent);
    const ids = isObject(error["context"]) ? error["context"]["objectWriteTraceId"] : undefined;
    for (const id of Array.isArray(ids) ? ids : []) if (typeof id === "string") outcomes.set(id, outcome);
    if (!Array.isArray(ids) || ids.length === 0) unnamed = outcome;
  }
  if (outcomes.size > 0) return { outcomes };
  // Nothing was stored and nobody is blamed: halving finds the culprit.
  if (unnamed?.status === "rejected" && results.length === 0) return { ...unnamed, status: "refused" };
  // No result says whose it is, but there is one for every input, and no id stands twice in a batch.
  const nameless = results.every(
    ({ objectWriteTraceId, properties }) =>
      objectWriteTraceId === undefined &&
      inputs.every(({ idProperty }) => !isObject(properties) || properties[idProperty] === undefined),
  );
  // Whatever is no object in the list is no result, and then nobody knows whose are missing.
  const isWhole = results.length === body["results"].length && results.length === inputs.length;
  const complete = nameless && errors.length === 0 && isWhole;
  return complete ? { status: "delivered" } : { outcomes };
}

/** The description of the API has no `objectWriteTraceId` in a result, the SDK's model has: the id property does, too. */
function isResultOf(result: JsonObject, input: HubspotCompanyInput): boolean {
  const trace = result["objectWriteTraceId"];
  if (typeof trace === "string") return trace === input.objectWriteTraceId;
  return isObject(result["properties"]) && result["properties"][input.idProperty] === input.id;
}

function toOutcome(error: JsonObject, sent: () => Iterable<string>): Outcome {
  if (curable.includes(error["category"])) {
    return { status: "transient", reason: "HubSpot could not write the company now" };
  }
  return {
    status: "rejected",
    ...explain("INPUT_REFUSED" satisfies Code, "HubSpot refused the input", error, sent),
  };
}

function unreadable(reply: HttpReply): Transient {
  return { status: "transient", reason: `HubSpot answered ${reply.status} with a body that is no result` };
}

/** HubSpot shows a datetime as ISO 8601, a text as it was written; epoch milliseconds are what its own tools write. */
function parseTime(value: JsonValue | undefined): number {
  if (typeof value !== "string") return Number.NEGATIVE_INFINITY;
  const time = /^\d+$/.test(value) ? Number(value) : Date.parse(value);
  return Number.isNaN(time) ? Number.NEGATIVE_INFINITY : time;
}
