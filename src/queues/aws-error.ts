// What the SQS and Firehose clients throw, in one sentence for an operator, and whether another try may do.
import { StoreError } from "../store/object-store.ts";
import { fieldsOf, statusOf } from "../store/s3-error.ts";

export interface AwsFailure {
  /** The service's error code, a system error's code such as `ECONNRESET`, or an error's name. */
  readonly name: string;
  /** Throttled, timed out, reset, the service's own fault. */
  readonly isPassing: boolean;
  /** No secret and no payload: the services' own messages, which may quote a request, stay out. */
  readonly reason: string;
}

const passing =
  /^BrokenChecksum$|Throttl|TooManyRequests|RequestLimitExceeded|ServiceUnavailable|InternalFailure|InternalError|LimitExceeded|^(ECONN(RESET|REFUSED|ABORTED)|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN|TimeoutError|RequestTimeout)$/;
const credentials =
  /Credential|TokenProvider|^(UnrecognizedClient|ExpiredToken|InvalidClientTokenId|InvalidSignature|IncompleteSignature|SignatureDoesNotMatch|InvalidAccessKeyId|MissingAuthenticationToken)/;
const denied = /AccessDenied|NotAuthorized/;

/** @param hints what an operator can do about the errors that the caller knows, by the beginning of their names. */
export function awsFailure(
  error: unknown,
  what: string,
  hints: Readonly<Record<string, string>> = {},
): AwsFailure {
  const status = statusOf(error);
  const name = nameOf(error, status);
  const isPassing = passing.test(name) || status === 429 || (status !== undefined && status >= 500);
  const requestId = fieldsOf(error, "$metadata")?.["requestId"];
  const facts = [
    name,
    ...(status === undefined ? [] : [`HTTP ${status}`]),
    ...(typeof requestId === "string" ? [`request ${requestId}`] : []),
  ];
  const hint = Object.entries(hints).find(([start]) => name.startsWith(start))?.[1] ?? hintOf(error, name);
  return {
    name,
    isPassing,
    reason: `${what} failed: ${facts.join(", ")}${hint === undefined ? "" : `: ${hint}`}`,
  };
}

/** As an error of a store's, which a command knows how to tell. */
export function storeError({ name, isPassing, reason }: AwsFailure): StoreError {
  const isDenied = credentials.test(name) || denied.test(name);
  return new StoreError(isPassing ? "TRANSIENT" : isDenied ? "DENIED" : "FAILED", reason);
}

function nameOf(error: unknown, status: number | undefined): string {
  if (!(error instanceof Error)) return "an unknown error";
  const code = "code" in error && typeof error.code === "string" ? error.code : undefined;
  // What the SQS client says of a message that is not what its sender's checksum promised.
  if (/^Invalid MD5 checksum/.test(error.message)) return "BrokenChecksum";
  return status === undefined ? (code ?? error.name) : error.name;
}

function hintOf(error: unknown, name: string): string | undefined {
  if (error instanceof Error && /^Region is missing/.test(error.message)) {
    return "no AWS region is configured, set AWS_REGION";
  }
  if (credentials.test(name)) return "check the AWS credentials";
  if (denied.test(name))
    return "check that the action is allowed, and the use of the KMS key if there is one";
  return undefined;
}

/** `Lambda.FunctionError` → `LAMBDA_FUNCTION_ERROR`: how codes of others stand beside ours. */
export function upperSnake(code: string): string {
  const words = code
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1_$2")
    .replaceAll(/[^A-Za-z0-9]+/g, "_")
    .replaceAll(/^_+|_+$/g, "")
    .toUpperCase();
  if (words === "") return "UNKNOWN";
  return /^\d/.test(words) ? `CODE_${words}` : words;
}

const longestReason = 300;

/** What a service said, as one line of bearable length. */
export function oneLine(text: string): string {
  const line = text.replaceAll(/\s+/g, " ").trim();
  return line.length > longestReason ? `${line.slice(0, longestReason)}…` : line;
}
