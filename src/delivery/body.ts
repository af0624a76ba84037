// The body of a request, made of the JSON texts of its items.
import { promisify } from "node:util";
import { constants, gzip } from "node:zlib";
import type { Item } from "./sink.ts";

/**
 * `before`, the items' texts with commas between, `after`. Each text is written to its place: joined to one and
 * encoded then, it would take ten times as long, since one character beyond Latin-1 makes all of that text wide.
 *
 * @param items with the bytes that `encode` has counted: those of the text, and one for its comma.
 */
export function bodyOf(
  before: string,
  items: readonly Pick<Item<string>, "payload" | "bytes">[],
  after: string,
): Buffer {
  // A sink that has counted wrong pays for it with time alone.
  return (
    write(before, items, after) ??
    Buffer.from(`${before}${items.map(({ payload }) => payload).join()}${after}`)
  );
}

/** Undefined when a text has another length than it should: behind the last one is room for a character that shows it. */
function write(
  before: string,
  items: readonly Pick<Item<string>, "payload" | "bytes">[],
  after: string,
): Buffer | undefined {
  let length = Buffer.byteLength(before) + Buffer.byteLength(after);
  for (const { bytes } of items) length += bytes;
  const body = Buffer.allocUnsafeSlow(length + longestCharacter);
  let at = body.write(before);
  for (const { payload, bytes } of items) {
    const written = body.write(payload, at);
    if (written !== bytes - 1) return undefined;
    at += written;
    body[at++] = comma;
  }
  // The last comma stands where the end begins.
  if (items.length > 0) at--;
  at += body.write(after, at);
  return body.subarray(0, at);
}

const comma = 0x2c;
/** Of UTF-8, in bytes. */
const longestCharacter = 4;

const compress = promisify(gzip);

/** A body of a few packets costs its round trip, whatever its length. */
const leastBytesToCompress = 8 * 1024;

/**
 * The body after gzip, and the header that says so; a short one, or one that is not wanted so, as it is. For vendors whose pages say that they take
 * it. zlib does it on a thread of its own, so other sinks have their turns meanwhile.
 */
export async function gzipped(
  body: Buffer,
  isWanted = true,
): Promise<{ readonly body: Buffer; readonly headers: Readonly<Record<string, string>> }> {
  if (!isWanted || body.byteLength < leastBytesToCompress) return { body, headers: {} };
  // Level 1: of a batch of like events, level 6 takes off some more for twice the time.
  return {
    body: await compress(body, { level: constants.Z_BEST_SPEED }),
    headers: { "content-encoding": "gzip" },
  };
}
