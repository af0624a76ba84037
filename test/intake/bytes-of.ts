// The bytes that a record came with: a valid one keeps them as text, which is as good.

export function bytesOf(
  record: { readonly text: string } | { readonly bytes?: Uint8Array },
): Buffer | undefined {
  if ("text" in record) return Buffer.from(record.text);
  return record.bytes === undefined ? undefined : Buffer.from(record.bytes);
}
