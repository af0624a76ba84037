// What the S3 client throws, as a StoreError: one code for the caller, one sentence for the operator, no secret.
import { StoreError, type StoreErrorCode } from "./object-store.ts";

/** What a store does with a key, and what its caller must be allowed for it. */
const permissions = {
  "looking at": "s3:GetObject",
  reading: "s3:GetObject (s3:GetObjectVersion with versioning)",
  writing: "s3:PutObject",
  deleting: "s3:DeleteObject",
  listing: "s3:ListBucket",
} as const;

export type Doing = keyof typeof permissions;

/**
 * One sentence from S3's code, status and request id: its messages, and the error itself with the signed request
 * behind it, stay out of logs.
 */
export function s3Error(doing: Doing, url: string, error: unknown, signal?: AbortSignal): StoreError {
  if (error instanceof StoreError) return error;
  if (signal?.aborted) return new StoreError("TRANSIENT", `${doing} ${url} was given up: its time was over`);
  const failure = describe(error);
  const { code, hint } = classifyS3(failure, doing);
  const { name, status, requestId } = failure;
  const facts = [
    // Where the answer has no body, the client makes up a name that says less than the status.
    status !== undefined && /^(Unknown|UnknownError|Error)$/.test(name) ? undefined : name,
    status === undefined ? undefined : `HTTP ${status}`,
    requestId === undefined ? undefined : `request ${requestId}`,
  ].filter((fact) => fact !== undefined);
  return new StoreError(
    code,
    `${doing} ${url} failed: ${facts.join(", ")}${hint === undefined ? "" : `: ${hint}`}`,
  );
}

export interface S3Failure {
  /** S3's error code, or a system error's code such as `ECONNRESET`, or an error's name. */
  readonly name: string;
  /** Absent when no answer came. */
  readonly status?: number | undefined;
  readonly requestId?: string | undefined;
  readonly message?: string | undefined;
  /** Where the bucket is, when S3 says so. */
  readonly region?: string | undefined;
}

/** What S3 says of an object that no longer holds what was asked for. */
export const overwritten =
  "the object was overwritten: what it held is gone, and what replaced it has a notification of its own";

/**
 * Codes that say "later" whatever their status: RequestTimeout and KMS's throttling come as 400, as does what was
 * damaged on its way to S3.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
 * https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html#API_Decrypt_Errors
 */
const laterCodes =
  /SlowDown|Throttl|TooManyRequests|RequestLimitExceeded|^RequestTimeout$|^KMS\..*(Internal|DependencyTimeout|KeyUnavailable)|^(BadDigest|IncompleteBody|XAmzContentSHA256Mismatch)$/;
const laterWithoutAnswer =
  /^(ECONN(RESET|REFUSED|ABORTED)|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENETDOWN|ENOTFOUND|EAI_AGAIN|ERR_STREAM_PREMATURE_CLOSE|HPE_\w+|TimeoutError|AbortError)$/;
/** What the SDK's streams say when a body ends early. */
const brokenBody = /^(Connection lost|aborted|Premature close|socket hang up)/i;
/** What the SDK says when a body is not what its checksum promised; not before its end, when it has been given out. */
const brokenChecksum = /^Checksum mismatch/;

const credentials = /Credential|TokenProvider|^(InvalidToken|InvalidAccessKeyId|SignatureDoesNotMatch)$/;
const otherRegion =
  /^(PermanentRedirect|TemporaryRedirect|Redirect|AuthorizationHeaderMalformed|IllegalLocationConstraintException)$/;

/** What a failure of S3 means to the store's callers. */
export function classifyS3(
  failure: S3Failure,
  doing: Doing = "reading",
): { readonly code: StoreErrorCode; readonly hint?: string } {
  const { name, status, message = "", region } = failure;
  if (laterCodes.test(name)) return { code: "TRANSIENT" };
  if (name === "ExpiredToken") return { code: "DENIED", hint: "the AWS credentials have expired" };
  if (credentials.test(name)) return { code: "DENIED", hint: "check the AWS credentials" };
  if (name === "RequestTimeTooSkewed") {
    return { code: "DENIED", hint: "the clock of this machine is wrong by more than 15 minutes" };
  }
  if (otherRegion.test(name) || status === 301 || status === 307) {
    const place = region === undefined ? "another region" : region;
    return { code: "DENIED", hint: `the bucket is in ${place}: set AWS_REGION accordingly` };
  }
  if (status === undefined) {
    if (laterWithoutAnswer.test(name) || brokenBody.test(message)) return { code: "TRANSIENT" };
    if (brokenChecksum.test(message)) {
      return { code: "TRANSIENT", hint: "the bytes that came are not what S3's checksum of them says" };
    }
    if (/^Region is missing/.test(message))
      return { code: "DENIED", hint: "no AWS region is configured, set AWS_REGION" };
    return { code: "FAILED" };
  }
  if (status >= 200 && status < 300) return { code: "TRANSIENT", hint: "the answer is none of S3's" };
  if (name === "InvalidObjectState")
    return { code: "FAILED", hint: "the object is archived, restore it first" };
  if (name === "NoSuchBucket") return { code: "FAILED", hint: "there is no such bucket" };
  if (name === "KeyTooLongError") return { code: "FAILED", hint: "a key has at most 1,024 bytes" };
  if (name.startsWith("KMS.")) {
    return {
      code: "DENIED",
      hint: "check the KMS key that encrypts it: it must be there, enabled, and allow this role its use",
    };
  }
  if (status === 401 || status === 403) {
    return {
      code: "DENIED",
      hint: `check that ${permissions[doing]} is allowed, and the use of the KMS key if there is one; without s3:ListBucket a missing object is denied as well`,
    };
  }
  if (name === "NoSuchVersion") return { code: "NOT_FOUND", hint: "that version of the object was deleted" };
  // https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeleteMarker.html
  if (status === 405)
    return { code: "NOT_FOUND", hint: "that version is a delete marker, the object was deleted" };
  if (status === 404) return { code: "NOT_FOUND", hint: "there is no such object" };
  if (status === 412) return { code: "CHANGED", hint: overwritten };
  if (status === 501) return { code: "FAILED" };
  if (status === 408 || status === 409 || status === 429 || status >= 500) return { code: "TRANSIENT" };
  return { code: "FAILED" };
}

function describe(error: unknown): S3Failure {
  if (!(error instanceof Error)) return { name: "an unknown error" };
  const status = statusOf(error);
  const code = "code" in error && typeof error.code === "string" ? error.code : undefined;
  const requestId = fieldsOf(error, "$metadata")?.["requestId"];
  const response = "$response" in error ? error.$response : undefined;
  const region =
    fieldsOf(response, "headers")?.["x-amz-bucket-region"] ?? ("Region" in error ? error.Region : undefined);
  return {
    name: status === undefined ? (code ?? error.name) : error.name,
    status,
    requestId: typeof requestId === "string" ? requestId : undefined,
    message: error.message,
    region: typeof region === "string" && /^[a-z0-9-]{1,40}$/.test(region) ? region : undefined,
  };
}

/** The HTTP status of the answer that this error stands for; undefined when none came. */
export function statusOf(error: unknown): number | undefined {
  const status = fieldsOf(error, "$metadata")?.["httpStatusCode"];
  return typeof status === "number" ? status : undefined;
}

/** How many times the SDK sent the request that ended in this error. */
export function attemptsOf(error: unknown): number {
  const attempts = fieldsOf(error, "$metadata")?.["attempts"];
  return typeof attempts === "number" ? attempts : 1;
}

/** The object under `name` of a value of which nothing is known. */
export function fieldsOf(value: unknown, name: string): Readonly<Record<string, unknown>> | undefined {
  if (typeof value !== "object" || value === null || !(name in value)) return undefined;
  // A non-null object may be read by any string; what comes out is unknown.
  const field = (value as Readonly<Record<string, unknown>>)[name];
  return typeof field === "object" && field !== null
    ? (field as Readonly<Record<string, unknown>>)
    : undefined;
}
