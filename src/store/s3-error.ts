// What the S3 client throws, as a StoreError: one code for the caller, one sentence for the operator, no secret.
import { StoreError, type StoreErrorCode } from "./object-store.ts";

/**
 * One sentence from S3's code, status and request id: its messages, and the error itself with the signed request
 * behind it, stay out of logs.
 */
export function s3Error(doing: string, error: unknown, signal?: AbortSignal): StoreError {
  if (signal?.aborted) return new StoreError("TRANSIENT", `${doing} was given up: its time was over`);
  const failure = describe(error);
  const { code, hint } = classifyS3(failure);
  const facts = [
    failure.status === undefined ? undefined : `HTTP ${failure.status}`,
    failure.requestId === undefined ? undefined : `request ${failure.requestId}`,
  ].filter((fact) => fact !== undefined);
  const what = `${failure.name}${facts.length === 0 ? "" : ` (${facts.join(", ")})`}`;
  return new StoreError(code, `${doing} failed: ${what}${hint === undefined ? "" : `: ${hint}`}`);
}

export interface S3Failure {
  /** S3's error code, or a system error's code such as `ECONNRESET`, or an error's name. */
  readonly name: string;
  /** Absent when no answer came. */
  readonly status?: number | undefined;
  readonly requestId?: string | undefined;
  readonly message?: string | undefined;
}

/** Codes that say "later" whatever their status: RequestTimeout and KMS's throttling come as 400.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html */
const laterCodes =
  /SlowDown|Throttl|TooManyRequests|RequestLimitExceeded|^RequestTimeout$|KMSInternal|DependencyTimeout/;
const laterWithoutAnswer =
  /^(ECONN(RESET|REFUSED|ABORTED)|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENETDOWN|ENOTFOUND|EAI_AGAIN|ERR_STREAM_PREMATURE_CLOSE|TimeoutError|AbortError)$/;
/** What the SDK's streams say when a body ends early or is not what its checksum promised. */
const brokenBody = /^(Checksum mismatch|Connection lost|aborted|Premature close|socket hang up)/i;

/** What a failure of S3 means to the store's callers. */
export function classifyS3(failure: S3Failure): { readonly code: StoreErrorCode; readonly hint?: string } {
  const { name, status, message = "" } = failure;
  if (laterCodes.test(name)) return { code: "TRANSIENT" };
  if (/Credential|TokenProvider|^(ExpiredToken|InvalidToken|AuthorizationHeaderMalformed)/.test(name)) {
    return { code: "DENIED", hint: "check the AWS credentials and region" };
  }
  if (status === undefined) {
    if (laterWithoutAnswer.test(name) || brokenBody.test(message)) return { code: "TRANSIENT" };
    if (/^Region is missing/.test(message))
      return { code: "DENIED", hint: "no AWS region is configured, set AWS_REGION" };
    return { code: "FAILED" };
  }
  if (name === "InvalidObjectState")
    return { code: "FAILED", hint: "the object is archived, restore it first" };
  if (name === "NoSuchBucket") return { code: "FAILED", hint: "there is no such bucket" };
  if (name.startsWith("KMS.")) return { code: "DENIED", hint: "check the key that encrypts the bucket" };
  if (status === 301 || status === 307) return { code: "DENIED", hint: "the bucket is in another region" };
  if (status === 401 || status === 403) {
    return {
      code: "DENIED",
      hint: "check the permissions (without s3:ListBucket a missing object is answered like this as well)",
    };
  }
  if (status === 404) return { code: "NOT_FOUND" };
  if (status === 412)
    return { code: "CHANGED", hint: "the object is no longer the version that was asked for" };
  if (status === 409 || status === 429 || status >= 500) return { code: "TRANSIENT" };
  return { code: "FAILED" };
}

function describe(error: unknown): S3Failure {
  if (!(error instanceof Error)) return { name: "an unknown error" };
  const status = statusOf(error);
  const code = "code" in error && typeof error.code === "string" ? error.code : undefined;
  const requestId = metadataOf(error)?.["requestId"];
  return {
    name: status === undefined ? (code ?? error.name) : error.name,
    status,
    requestId: typeof requestId === "string" ? requestId : undefined,
    message: error.message,
  };
}

/** The HTTP status of the answer that this error stands for; undefined when none came. */
export function statusOf(error: unknown): number | undefined {
  const status = metadataOf(error)?.["httpStatusCode"];
  return typeof status === "number" ? status : undefined;
}

/** How many times the SDK sent the request that ended in this error. */
export function attemptsOf(error: unknown): number {
  const attempts = metadataOf(error)?.["attempts"];
  return typeof attempts === "number" ? attempts : 1;
}

function metadataOf(error: unknown): Record<string, unknown> | undefined {
  if (!(error instanceof Error) || !("$metadata" in error)) return undefined;
  const metadata = error.$metadata;
  // A non-null object may be read by any string; what comes out is unknown.
  return typeof metadata === "object" && metadata !== null
    ? (metadata as Record<string, unknown>)
    : undefined;
}
