// The body of a request, made of the JSON of its items.
import type { Item } from "./sink.ts";

/**
 * `before`, the items' JSON with commas between, `after`. Each item is written to its place: joined to one text and
 * encoded then, it would take ten times as long, since one character beyond Latin-1 makes all of that text wide.
 */
export function bodyOf(
  before: string,
  items: readonly Pick<Item<unknown>, "payload" | "text">[],
  after: string,
): Buffer {
  const texts = items.map(({ text, payload }) => text ?? JSON.stringify(payload));
  let length = Buffer.byteLength(before) + Buffer.byteLength(after) + items.length;
  for (const text of texts) length += Buffer.byteLength(text);
  const body = Buffer.allocUnsafeSlow(length);
  let at = body.write(before);
  for (const text of texts) {
    at += body.write(text, at);
    body[at++] = comma;
  }
  // The last comma stands where the end begins.
  if (items.length > 0) at--;
  at += body.write(after, at);
  return body.subarray(0, at);
}

const comma = 0x2c;
