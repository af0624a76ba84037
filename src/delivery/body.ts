// The body of a request, made of the JSON of its items.
import type { Item } from "./sink.ts";

type Part = Pick<Item<unknown>, "payload" | "text"> & { readonly bytes?: number };

/**
 * `before`, the items' JSON with commas between, `after`. Each item is written to its place: joined to one text and
 * encoded then, it would take ten times as long, since one character beyond Latin-1 makes all of that text wide.
 */
export function bodyOf(before: string, items: readonly Part[], after: string): Buffer {
  const texts = items.map(({ text, payload }) => text ?? JSON.stringify(payload));
  const counted = items.map(({ text, bytes }, index) =>
    text === undefined || bytes === undefined ? Buffer.byteLength(texts[index] ?? "") : bytes - 1,
  );
  const body = write(before, texts, counted, after);
  // Where a sink has counted an item's bytes wrong, they are counted here.
  return (
    body ??
    bodyOf(
      before,
      texts.map((text) => ({ payload: undefined, text })),
      after,
    )
  );
}

/** Undefined when a text has another length than it should. Behind the last one `after` leaves room for that to show. */
function write(
  before: string,
  texts: readonly string[],
  lengths: readonly number[],
  after: string,
): Buffer | undefined {
  const around = Buffer.byteLength(before) + Buffer.byteLength(after);
  const length = lengths.reduce((sum, each) => sum + each + 1, around);
  const body = Buffer.allocUnsafeSlow(length);
  let at = body.write(before);
  for (const [index, text] of texts.entries()) {
    const written = body.write(text, at);
    if (written !== lengths[index]) return undefined;
    at += written;
    body[at++] = comma;
  }
  // The last comma stands where the end begins.
  if (texts.length > 0) at--;
  at += body.write(after, at);
  return body.subarray(0, at);
}

const comma = 0x2c;
