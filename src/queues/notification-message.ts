// A notification that the worker did not acknowledge: the objects that it names are processed, through the books.
import { ObjectBusy } from "../books/claim.ts";
import type { Clock } from "../delivery/clock.ts";
import type { createNoWorkRule } from "../intake/no-work.ts";
import { type Message, parseNotification } from "../intake/notification.ts";
import { type ExactRef, firstFound } from "../intake/object-ref.ts";
import { isFields } from "../intake/s3-events.ts";
import { StoreError } from "../store/object-store.ts";
import type { Worker } from "../worker.ts";
import type { QueueMessage } from "./messages.ts";
import type { QueueEntry, QueueOutcome, QueueVerdict } from "./queue.ts";

/** What the message names. */
export function readNotification({ id, body }: QueueMessage): Message {
  // As a queue hands it to a function, whatever is in it.
  const [message] = parseNotification({ Records: [{ messageId: id, body }] });
  return message ?? { id, objects: [], ignored: 0, malformed: "the message is empty" };
}

/** What the list shows: the queue keeps no word about why the worker failed. */
export function describeNotification(
  message: Pick<QueueMessage, "body" | "receives" | "sentAt">,
  notification: Message,
): Pick<QueueEntry, "code" | "reason" | "action" | "attempts" | "firstAt" | "lastAt"> {
  const { malformed } = notification;
  const givenUp = destinationIn(message.body);
  const times = {
    attempts: givenUp?.attempts ?? Math.max(1, message.receives - 1),
    firstAt: message.sentAt,
    lastAt: message.sentAt,
  };
  const unknown = refusedUnread(notification);
  if (unknown !== undefined) {
    return {
      ...times,
      ...unknown,
      action: unknownAction(message.body),
    };
  }
  return {
    ...times,
    code: "NOT_ACKNOWLEDGED",
    reason:
      malformed ??
      givenUp?.reason ??
      "the worker failed this notification as often as its queue lets it, or could not be told of it",
    action:
      malformed === undefined
        ? "See the worker's log of that time; when the cause is mended, put it back: what was delivered is not sent again."
        : "Not all of it can be read: see what it is, deliver the objects that it names with fanout run s3://bucket/key, and drop the message only when that is done.",
  };
}

/** Why a message of which nothing at all could be read cannot be put back. */
export function refusedUnread({
  objects,
  ignored,
  malformed,
}: Message): { readonly code: "MESSAGE_UNKNOWN"; readonly reason: string } | undefined {
  if (malformed === undefined || objects.length > 0 || ignored > 0) return undefined;
  return { code: "MESSAGE_UNKNOWN", reason: malformed };
}

/** @param code of its entry. */
export function judgeNotification({ malformed, objects }: Message, code: string): QueueVerdict {
  if (malformed !== undefined) return { status: "fails", code, reason: malformed };
  if (objects.length === 0) return { status: "passes" };
  return { status: "unknown", reason: "the worker has to read the objects and their books" };
}

/**
 * What Lambda says of an invocation that it gave up, where the queue is the function's on-failure destination.
 * https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
 */
function destinationIn(body: string): { readonly attempts: number; readonly reason: string } | undefined {
  let content: unknown;
  try {
    content = JSON.parse(body);
  } catch {
    return undefined;
  }
  const context = isFields(content) ? content["requestContext"] : undefined;
  if (!isFields(context)) return undefined;
  const { condition, approximateInvokeCount: count } = context;
  if (typeof condition !== "string" || !/^[A-Za-z]{1,40}$/.test(condition)) return undefined;
  return {
    attempts: typeof count === "number" && Number.isSafeInteger(count) && count > 0 ? count : 1,
    reason: `Lambda ended the worker's asynchronous invocation with ${condition}`,
  };
}

/** Whoever drops what names an object, and is not read, loses the object. */
export function unknownAction(body: string): string {
  return /s3|bucket|key/i.test(body)
    ? "It may name an object of S3 in a form that is not known here: see what it is, deliver the object with fanout run s3://bucket/key, and drop the message only when that is done."
    : "Nothing here can put it back: see what it is and who sent it, then drop it.";
}

export interface NotificationRun {
  readonly worker: Pick<Worker, "process">;
  /** The rule of the worker's function. */
  readonly noWork: ReturnType<typeof createNoWorkRule>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Called before each object; false when the message is somebody else's by now. */
  readonly hold: () => Promise<boolean>;
}

/** So long one object may take. What is left then is a deferral, which is as good. */
export const objectBudgetMs = 10 * 60_000;

type Failure = Exclude<QueueOutcome, { readonly status: "delivered" }>;

/**
 * `delivered` when every object is settled or no work, or what is left of it is deferred durably. An object that fails
 * does not keep the others waiting.
 */
export async function processNotification(
  { objects, malformed }: Message,
  run: NotificationRun,
): Promise<QueueOutcome> {
  const { worker, noWork, clock, signal, hold } = run;
  let failure: Failure | undefined =
    malformed === undefined ? undefined : { status: "refused", code: "MALFORMED", reason: malformed };

  const processOne = async (ref: ExactRef): Promise<Failure | undefined> => {
    const refusal = noWork(ref);
    if (refusal !== undefined) return "code" in refusal ? { status: "refused", ...refusal } : undefined;
    if (!(await hold())) return lost;
    try {
      await worker.process(ref, { deadline: clock.now() + objectBudgetMs, signal });
      return undefined;
    } catch (error) {
      if (error instanceof ObjectBusy) return { status: "kept", reason: error.message };
      if (!(error instanceof StoreError)) {
        // What others' code says in an error may quote what it worked on.
        const reason = `an unexpected ${error instanceof Error ? error.name : "error"}`;
        return { status: "refused", code: "UNEXPECTED", reason };
      }
      const { code, message: reason } = error;
      return code === "TRANSIENT" ? { status: "kept", reason } : { status: "refused", code, reason };
    }
  };
  const codeOf = (outcome: Failure | undefined) => (outcome?.status === "refused" ? outcome.code : undefined);

  for (const ref of objects) {
    if (signal.aborted)
      return { status: "kept", reason: "the command was ended before all of its objects were done" };
    const outcome = await firstFound(ref, processOne, codeOf);
    if (outcome === lost) return lost;
    failure ??= outcome;
  }
  return failure ?? { status: "delivered" };
}

export const lost: Failure = {
  status: "kept",
  reason: "somebody else has the message, or it is gone: list the queue again",
};
