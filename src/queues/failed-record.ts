// One JSON document of Firehose's about a record that it could not process, and what an operator is told of it.
import { oneLine, upperSnake } from "./aws-error.ts";

/** What the document says. */
export interface FailedRecord {
  /** The record as it was put into the stream. */
  readonly data: Buffer;
  readonly code: string;
  readonly reason: string;
  readonly action: string;
  readonly attempts: number;
  /** Milliseconds since the epoch; absent where the document does not say. */
  readonly arrivedAt?: number;
  readonly failedAt?: number;
  /** Where the stream is: where its transform is. Absent where the document names no transform. */
  readonly region?: string;
}

/** Why a document is none. */
export interface Damaged {
  readonly code: "NOT_A_FAILED_RECORD" | "RAW_DATA_INVALID";
  /** Without any value of the document. */
  readonly reason: string;
}

/**
 * Reads a document. Numbers may be text, and the format conversion writes the error's names in other ways.
 *
 * https://docs.aws.amazon.com/firehose/latest/dev/data-transformation-failure-handling.html
 * https://docs.aws.amazon.com/firehose/latest/dev/record-format-conversion-error-handling.html
 */
export function readFailedRecord(document: unknown): FailedRecord | Damaged {
  // A non-null object may be asked for any name; what it answers stays unknown.
  const fields =
    typeof document === "object" && document !== null ? (document as Record<string, unknown>) : {};
  const rawData = fields["rawData"];
  if (typeof rawData !== "string") {
    return {
      code: "NOT_A_FAILED_RECORD",
      reason: "the document has no rawData, so there is no record in it",
    };
  }
  const data = Buffer.from(rawData, "base64");
  // Node leaves out what is no base64, and nobody would see that a part of the record is missing.
  if (data.toString("base64") !== rawData) {
    return {
      code: "RAW_DATA_INVALID",
      reason: "the document's rawData is no base64, so the record cannot be read",
    };
  }
  const text = (...names: readonly string[]) =>
    names
      .map((name) => fields[name])
      .find((value): value is string => typeof value === "string" && value !== "");
  const errorCode = text("errorCode", "ErrorCode", "lastErrorCode");
  const code = errorCode === undefined ? "UNKNOWN" : upperSnake(errorCode);
  const message = text("errorMessage", "ErrorMessage", "lastErrorMessage");
  const arrivedAt = number(fields["arrivalTimestamp"]);
  const failedAt = number(fields["attemptEndingTimestamp"]);
  // Firehose writes `lambdaARN`; its page says `lambdaArn`.
  const region = /^arn:[^:]*:lambda:([a-z0-9-]+):/.exec(text("lambdaARN", "lambdaArn") ?? "")?.[1];
  return {
    data,
    code,
    reason: message === undefined ? "Firehose does not say why" : oneLine(message),
    action: actionFor(code),
    attempts: number(fields["attemptsMade"]) ?? 0,
    ...(arrivedAt === undefined ? {} : { arrivedAt }),
    ...(failedAt === undefined ? {} : { failedAt }),
    ...(region === undefined ? {} : { region }),
  };
}

function actionFor(code: string): string {
  if (code.includes("PROCESSING_FAILED")) {
    return "The transform refused the record: correct its producer or the catalog, see with plan what would pass, put that back and drop the rest.";
  }
  if (/^(LAMBDA|CODE_\d)/.test(code)) {
    return "The transform failed or did not answer: see its log of that time, and put the records back when it works.";
  }
  return "See the stream's own log of that time, and put the records back when the cause is mended.";
}

function number(value: unknown): number | undefined {
  const given = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  return typeof given === "number" && Number.isFinite(given) && given >= 0 ? Math.trunc(given) : undefined;
}
