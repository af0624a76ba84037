// What the trigger is told: each of them has its own way to learn what failed.
import { isBatchJob, recordsOf } from "../intake/notification.ts";
import { isFields, text } from "../intake/s3-events.ts";

/** SQS and EventBridge Pipes take back what is named here, and only that; other triggers ignore it. */
export interface BatchResponse {
  readonly batchItemFailures: readonly { readonly itemIdentifier: string }[];
}

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-invoke-lambda.html, "Request and response model" */
export interface BatchJobResponse {
  readonly invocationSchemaVersion: string;
  readonly treatMissingKeysAs: "TemporaryFailure";
  readonly invocationId: string;
  readonly results: readonly {
    readonly taskId: string;
    readonly resultCode: "Succeeded" | "TemporaryFailure" | "PermanentFailure";
    /** Stands in the job's report. */
    readonly resultString: string;
  }[];
}

export type Answer = BatchResponse | BatchJobResponse;

/** What became of one message. */
export interface MessageResult {
  readonly id: string;
  /** None: it is acknowledged. */
  readonly failures: readonly { readonly code: string; readonly reason: string }[];
  /** Of the objects that did not fail, without any value of theirs. */
  readonly settled: string;
}

/**
 * @param isPassing whether time alone may cure a failure of that code.
 * @throws what failed first, where the trigger cannot be told which message failed: else Lambda would take it for done.
 */
export function answerTo(
  event: unknown,
  results: readonly MessageResult[],
  isPassing: (code: string) => boolean,
): Answer {
  if (isBatchJob(event)) {
    return {
      invocationSchemaVersion: text(event["invocationSchemaVersion"]) ?? "1.0",
      // Each task has a result; should one be missing all the same, it is nothing that succeeded.
      treatMissingKeysAs: "TemporaryFailure",
      invocationId: text(event["invocationId"]) ?? "",
      results: results.map(({ id, failures: [failure], settled }) => ({
        taskId: id,
        resultCode:
          failure === undefined
            ? "Succeeded"
            : isPassing(failure.code)
              ? "TemporaryFailure"
              : "PermanentFailure",
        resultString: failure === undefined ? settled : `${failure.code}: ${failure.reason}`,
      })),
    };
  }
  const failed = results.filter(({ failures }) => failures.length > 0);
  const first = failed[0]?.failures[0];
  if (first !== undefined && !fromQueue(event)) throw new Error(`${first.code}: ${first.reason}`);
  return { batchItemFailures: failed.map(({ id }) => ({ itemIdentifier: id })) };
}

/** Whether every message has an id of SQS's, by which it can be given back. */
function fromQueue(event: unknown): boolean {
  const records = recordsOf(event);
  return records?.every((each) => isFields(each) && "messageId" in each) ?? false;
}
