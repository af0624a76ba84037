// What Lambda's on-failure destination wrote into a bucket: one document an invocation of the worker that it gave up.
import { type Message, parseNotification } from "../intake/notification.ts";
import type { RawRecord } from "../intake/records.ts";
import { isFields } from "../intake/s3-events.ts";

export interface FailedInvocation {
  /** What the function was asked. */
  readonly notification: Message;
  /** The document as it was written. */
  readonly body: string;
}

/** Undefined for a record that is no such document. */
export function readInvocation(record: RawRecord): FailedInvocation | undefined {
  if ("code" in record || !isFields(record.value) || !("requestPayload" in record.value)) return undefined;
  const [notification] = parseNotification(record.value);
  if (notification === undefined) return undefined;
  return { notification, body: Buffer.from(record.raw, "latin1").toString("utf8") };
}

/**
 * `aws/lambda/async/<function>/yyyy/MM/dd/yyyy-MM-ddTHH.mm.ss-<uuid>`, by its end, which a copy has, too.
 * https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
 */
export function isInvocationKey(key: string): boolean {
  return /\d{4}-\d{2}-\d{2}T\d{2}\.\d{2}\.\d{2}-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(key);
}
