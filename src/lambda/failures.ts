// What operators are told beside the code with which an object, or a whole notification, was not acknowledged.
import type { ObjectBusy } from "../books/claim.ts";
import type { RefusalAdvice } from "../delivery/sink.ts";
import type { BooksDoNotClose } from "../object-run.ts";
import type { StoreErrorCode } from "../store/object-store.ts";

export type FailureCode =
  | StoreErrorCode
  | ObjectBusy["code"]
  | BooksDoNotClose["code"]
  | "MALFORMED"
  | "OUT_OF_TIME"
  | "OWN_BUCKET"
  | "UNEXPECTED";

/** Complete: a code without advice does not compile. */
export const failureAdvice: Readonly<Record<FailureCode, RefusalAdvice>> = {
  NOT_FOUND: {
    meaning: "The object, or the version of it that the notification names, is no longer there.",
    action:
      "See who deletes objects before they are delivered, such as a lifecycle rule. If there is a copy, write it to " +
      "the bucket: it has a notification of its own.",
  },
  CHANGED: {
    meaning: "The object was overwritten: what the notification meant is gone.",
    action:
      "Nothing for what replaced it, which has a notification of its own. See who overwrites objects; versioning " +
      "keeps what was there.",
  },
  DENIED: {
    meaning: "The store refuses the credentials or lacks a permission for them; the message names it.",
    action:
      "Grant the permission, also for the KMS key if there is one; then move the messages back to their queue.",
  },
  TRANSIENT: {
    meaning: "The store throttled, did not answer in time, or broke off.",
    action:
      "Nothing: the next delivery of the notification tries again. If it lasts, look at the store's own status.",
  },
  FAILED: {
    meaning: "The store refuses the call for a reason that no other try cures; the message says which.",
    action: "Do what the message says, such as restoring an archived object; then move the messages back.",
  },
  OBJECT_BUSY: {
    meaning: "Another worker has a live claim on the object, or had one and died without giving it back.",
    action:
      "Nothing: a claim ends a minute after its worker's deadline at the latest, and the next delivery goes on. If " +
      "it is frequent, let the queue's visibility timeout be six times the function's.",
  },
  OUT_OF_TIME: {
    meaning: "The function's time was over before it began with the object.",
    action:
      "Nothing: the next delivery begins with it. If it is frequent, let the queue give fewer messages at once.",
  },
  MALFORMED: {
    meaning:
      "The message, or a part of it, is no notification about an S3 object in a form that is known here.",
    action:
      "See who else sends to this queue or topic. What could be read of the message has been delivered. If the rest " +
      "names an object, deliver it with `fanout run s3://bucket/key`; only then may the message be deleted.",
  },
  OWN_BUCKET: {
    meaning:
      "The books or the dead letters are in the events' bucket without a prefix, so they look like events.",
    action:
      "Give `RECEIPTS` and `DEAD_LETTERS` a prefix or a bucket of their own; then move the messages back.",
  },
  BOOKS_DO_NOT_CLOSE: {
    meaning:
      "The counts of a sink do not add up, which is a defect; nothing of it is acknowledged. A Lambda's log shows it " +
      "as UNEXPECTED.",
    action: "Report it with the counts that the message holds; the records are safe in their object.",
  },
  UNEXPECTED: {
    meaning: "An error that nobody foresaw: a defect. Its message is left out, since it may quote a record.",
    action:
      "Report the error's name and the place that the log line has under `at`; the objects are still there.",
  },
};
