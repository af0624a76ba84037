// Tells UTF-16 from bytes that are simply broken.

/** Looked at, in bytes. */
const sample = 64;

/**
 * Whether the bytes are likely UTF-16: they begin with its byte order mark, or at least half of their characters have
 * a zero byte on the same side, as those of ASCII do. JSON is UTF-8 (RFC 8259, 8.1) and holds no zero byte.
 */
export function isUtf16(bytes: Uint8Array): boolean {
  const [first, second] = bytes;
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)) return true;
  const length = Math.min(bytes.length, sample);
  const zeros: [number, number] = [0, 0];
  for (let at = 0; at < length; at++) if (bytes[at] === 0) zeros[at % 2 === 0 ? 0 : 1]++;
  const [even, odd] = zeros;
  return length >= 2 && Math.max(even, odd) * 4 >= length && Math.min(even, odd) === 0;
}
