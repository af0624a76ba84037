// The bytes that a record came with.

export function bytesOf(
  record: { readonly raw: string } | { readonly bytes?: Uint8Array },
): Buffer | undefined {
  if ("raw" in record) return Buffer.from(record.raw, "latin1");
  return record.bytes === undefined ? undefined : Buffer.from(record.bytes);
}

export function textOf({ raw }: { readonly raw: string }): string {
  return Buffer.from(raw, "latin1").toString();
}
