// The symmetric signature of https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md.
import { createHmac } from "node:crypto";

/** The secret's form, and how many bytes it has. */
const secretForm = /^whsec_([A-Za-z0-9+/]+={0,2})$/;
const [leastBytes, mostBytes] = [24, 64] as const;

/** @throws when the secret has another form, in one sentence without it. */
export function toKey(secret: string): Buffer {
  const key = Buffer.from(secretForm.exec(secret)?.[1] ?? "", "base64");
  if (key.byteLength < leastBytes || key.byteLength > mostBytes) {
    throw new Error(`a webhook's secret must be whsec_ and ${leastBytes} to ${mostBytes} bytes in base64`);
  }
  return key;
}

export interface Signed {
  readonly id: string;
  /** Seconds since the epoch. */
  readonly timestamp: string;
  readonly body: string;
}

/** What stands in `webhook-signature`. */
export function sign(key: Buffer, { id, timestamp, body }: Signed): string {
  return `v1,${createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64")}`;
}
