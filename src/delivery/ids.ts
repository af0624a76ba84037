// Ids that vendors dedupe by: the same parts give the same id, for ever and in every process.
import { hash } from "node:crypto";

/**
 * A UUID (version 8, RFC 9562) from any strings. Parts are length-prefixed, so `("a", "bc")` and `("ab", "c")`
 * differ. 36 characters of `[0-9a-f-]`: it fits every id field that a vendor limits.
 */
export function stableUuid(...parts: readonly string[]): string {
  let text = "";
  for (const part of parts) text += `${part.length}:${wellFormed(part)}`;
  if (text === last?.text) return last.uuid;
  const hex = hash("sha256", text, "hex");
  const variant = ((Number.parseInt(hex.slice(16, 17), 16) & 0x3) | 0x8).toString(16);
  const uuid = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
  last = { text, uuid };
  return uuid;
}

/** Sinks encode a record one after another, and some name it by the same parts. */
let last: { readonly text: string; readonly uuid: string } | undefined;

/** Half characters are all the same once they are bytes; as JSON's escapes they stay apart. */
function wellFormed(part: string): string {
  return part.isWellFormed() ? part : JSON.stringify(part);
}
