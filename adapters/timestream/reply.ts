// What the vendor's replies mean: a pure function from what the SDK throws to outcomes.
import { classifyReply, type Outcome, sinkUnavailable, type Verdict } from "../../src/index.ts";
import type { Code } from "./refusals.ts";

const delivered: Outcome = { status: "delivered" };

/**
 * Another try may do. Skew errors are here because the clock is corrected from the reply, and an expired token because
 * the SDK fetches a new one.
 * https://docs.aws.amazon.com/timestream/latest/developerguide/API_WriteRecords.html#API_WriteRecords_Errors
 */
const temporary = new Set([
  "ThrottlingException",
  "InternalServerException",
  "InvalidEndpointException",
  "ExpiredTokenException",
  "RequestTimeTooSkewed",
  "RequestExpired",
  "RequestInTheFuture",
]);

/** The request is at fault, and so one of its records. SerializationException: text that is no valid Unicode, say. */
const refused = new Map<string, Code>([
  ["ValidationException", "VALIDATION_EXCEPTION"],
  ["SerializationException", "SERIALIZATION_EXCEPTION"],
]);

/** What to check when the sink cannot be used, by the vendor's name of the error. */
const checks = new Map([
  [
    "AccessDeniedException",
    "check permissions, and whether the account has Timestream: it takes no new customers since 20 June 2025",
  ],
  ["ServiceQuotaExceededException", "check the account's quotas, such as its number of tables"],
]);

/** How the SDK names an error whose reply was no JSON, or JSON that names none. */
const nameless = new Set(["SyntaxError", "Unknown"]);

/** The parts of an error of the SDK that decide; `status` is absent when there was no complete reply. */
export interface Failure {
  readonly name: string;
  readonly status: number | undefined;
  readonly retryAfterMs: number | undefined;
  /** The request's time was off, which is told by several names, such as that of a wrong signature. It is right now. */
  readonly wasOff: boolean;
  /** The error itself; when the SDK failed to discover its endpoint, the error behind that. */
  readonly error: unknown;
}

export function failureOf(thrown: unknown): Failure {
  const reason = field(thrown, "reason");
  const error = reason instanceof Error ? reason : thrown;
  const status = field(field(error, "$metadata"), "httpStatusCode");
  const response = field(error, "$response");
  const retryAfterMs = field(response, "retryAfterMs");
  return {
    name: error instanceof Error ? error.name : "",
    status: typeof status === "number" ? status : undefined,
    retryAfterMs: typeof retryAfterMs === "number" ? retryAfterMs : undefined,
    wasOff: field(response, "wasOff") === true,
    error,
  };
}

/**
 * What a failed request means for its `count` records. The status decides before the name: a proxy's HTML page
 * with 503 surfaces as a SyntaxError.
 *
 * @throws {SinkUnavailable} for credentials, permissions and quotas; and what has no known meaning, as it is.
 */
export function judge(failure: Failure, count: number): readonly Outcome[] | Verdict {
  const { name, status, retryAfterMs, wasOff, error } = failure;
  const wait = retryAfterMs === undefined ? {} : { retryAfterMs };
  if (status === undefined) {
    if (field(error, "code") === "TRANSPORT" && error instanceof Error) {
      return { status: "transient", reason: error.message };
    }
    if (name === "CredentialsProviderError") throw sinkUnavailable("there are no AWS credentials");
    if (error instanceof Error && error.message === "Region is missing") {
      throw sinkUnavailable("there is no AWS region");
    }
    throw error;
  }
  if (status < 300) {
    return { status: "transient", reason: `Timestream answered ${status} with something else than its JSON` };
  }
  // In a redirect, say, such a name is something else's.
  if (status >= 400 && status < 500) {
    if (name === "RejectedRecordsException") return byIndex(field(error, "RejectedRecords"), count);
    if (temporary.has(name) || wasOff) {
      const throttled = name === "ThrottlingException" ? ({ throttled: true } as const) : {};
      return { status: "transient", reason: `Timestream answered ${shown(name)}`, ...wait, ...throttled };
    }
    const check = checks.get(name);
    if (check !== undefined) throw sinkUnavailable(`Timestream answered ${name}: ${check}`);
    const code = refused.get(name);
    if (code !== undefined) {
      return { status: "refused", reason: "Timestream finds the request invalid", code };
    }
    // The vendor's two statuses for its own errors; a damaged body leaves open which it was.
    if ((status === 400 || status === 419) && nameless.has(name)) {
      return {
        status: "transient",
        reason: `Timestream answered ${status} without a readable error`,
        ...wait,
      };
    }
  }
  const verdict = classifyReply("Timestream", { status, headers: {}, body: "", ...wait });
  if (verdict !== undefined && (verdict.status === "transient" || status === 413)) return verdict;
  // Signature, a proxy's page: what is not among the vendor's few faults of a request is one of ours.
  throw sinkUnavailable(`Timestream answered ${status} (${shown(name)}): check permissions and the endpoint`);
}

/** The name comes from the reply, so it may be anything; only what looks like the name of an error is shown. */
function shown(name: string): string {
  return /^[A-Za-z]{1,60}$/.test(name) ? name : "an error without a name";
}

/**
 * The listed records were rejected, all others stored; of a record that is listed twice the first reason counts.
 * When an entry names no record of the request, nobody knows which was meant; then the whole request counts as
 * refused, since halving it finds the record, and sending a stored one again is a success.
 */
function byIndex(entries: unknown, count: number): readonly Outcome[] | Verdict {
  const outcomes = Array.from({ length: count }, () => delivered);
  const list: readonly unknown[] = Array.isArray(entries) ? entries : [];
  // Whatever index it has, it can mean no other.
  if (count === 1 && list.length > 0) return [rejection(list[0])];
  const known = list.every((entry) => {
    const index = field(entry, "RecordIndex");
    if (typeof index !== "number" || !(index in outcomes)) return false;
    if (outcomes[index] === delivered) outcomes[index] = rejection(entry);
    return true;
  });
  if (known && list.length > 0) return outcomes;
  const code: Code = "REJECTED_RECORD_UNKNOWN";
  return { status: "refused", reason: "Timestream rejected a record without saying which", code };
}

/** The vendor's own sentence can hold values of the record, so only its kind is passed on. */
function rejection(entry: unknown): Outcome {
  const text = String(field(entry, "Reason") ?? "");
  if (field(entry, "ExistingVersion") !== undefined || /already exists|record version/i.test(text)) {
    return rejected("RECORD_CONFLICT", "a record with the same event_id and time but other values is stored");
  }
  if (/time range|timestamp|retention/i.test(text)) {
    return rejected("TIME_OUT_OF_RANGE", "the event's time is outside of what the table takes");
  }
  if (/exceed|limit/i.test(text))
    return rejected("LIMIT_EXCEEDED", "the record exceeds a limit of its table");
  return rejected("RECORD_REJECTED", "Timestream rejected the record for a reason of no known kind");
}

function rejected(code: Code, reason: string): Outcome {
  return { status: "rejected", reason, code };
}

export function field(value: unknown, name: string): unknown {
  // An object's properties are unknown until looked at, which is all that this record type says.
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
