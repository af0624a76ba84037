// One raw Snappy block, decoded: the format that xerial's and Hadoop's framings are made of.
//
// It is written here and not taken from a package since every one of those was wanting: `snappy` is a native binary
// for each platform, which a bundle for Lambda on arm64 cannot carry; `snappyjs` and the builds to WebAssembly throw a
// bare "invalid" away over everything that they had decoded, and a damaged block must still give what stands before
// its damage. The format is two pages: https://github.com/google/snappy/blob/main/format_description.txt

/**
 * A larger block is refused before anything is allocated. Hadoop's are 256 KB
 * (https://hadoop.apache.org/docs/current/hadoop-project-dist/hadoop-common/core-default.xml,
 * io.compression.codec.snappy.buffersize), xerial's 32 KB (https://github.com/xerial/snappy-java).
 */
export const maxBlockBytes = 16 * 1024 * 1024;

/** What a block of so many bytes takes at most: all literals, each with the longest header (snappy.cc). */
export function maxCompressedBytes(bytes: number): number {
  return 32 + bytes + Math.floor(bytes / 6);
}

export const maxCompressedBlockBytes: number = maxCompressedBytes(maxBlockBytes);

/** A copy makes 64 bytes of 3 at most: a block that promises more cannot keep it, and gets no memory for it. */
const mostOutOfOne = 64 / 3;

export interface Block {
  /** What could be decoded. */
  readonly bytes: Buffer;
  /** How many bytes the block says it holds; undefined when it does not say. */
  readonly promised: number | undefined;
  /** Where in the input the damage is, and what it is. Absent when the block is whole. */
  readonly fault?: { readonly at: number; readonly reason: string };
}

/** The length that a block begins with: a varint of five bytes at most. Undefined when it is none. */
export function blockLength(
  input: Uint8Array,
): { readonly promised: number; readonly at: number } | undefined {
  let promised = 0;
  for (let at = 0; at < 5; at++) {
    const byte = input[at];
    if (byte === undefined) return undefined;
    promised += (byte & 0x7f) * 2 ** (7 * at);
    if (byte < 0x80) return promised < 2 ** 32 ? { promised, at: at + 1 } : undefined;
  }
  return undefined;
}

/**
 * Decodes one block. Never throws, never reads or writes outside of the block, never allocates more than
 * {@link maxBlockBytes}.
 *
 * @param wholeBytes how long the block should be, when `input` is only the part of it that is there.
 */
export function decodeBlock(input: Buffer, wholeBytes: number = input.length): Block {
  const none = Buffer.alloc(0);
  const length = blockLength(input);
  if (length === undefined) {
    return { bytes: none, promised: undefined, fault: { at: 0, reason: "has no length" } };
  }
  const { promised } = length;
  if (promised > maxBlockBytes) {
    const reason = `is larger than ${maxBlockBytes} bytes`;
    return { bytes: none, promised, fault: { at: 0, reason } };
  }
  if (promised > wholeBytes * mostOutOfOne) {
    return { bytes: none, promised, fault: { at: 0, reason: "is too short for its length" } };
  }
  const output = Buffer.allocUnsafe(promised);
  const end = input.length;
  let from = length.at;
  let to = 0;
  const broken = (reason: string): Block => ({
    bytes: output.subarray(0, to),
    promised,
    fault: { at: from, reason },
  });
  while (from < end) {
    const tag = input[from] ?? 0;
    const kind = tag & 3;
    if (kind === 0) {
      // A literal: its length less one stands in the tag, or, from 60 on, in one to four bytes behind it.
      const extra = Math.max((tag >>> 2) - 59, 0);
      const start = from + 1 + extra;
      if (start > end) return broken("ends inside of an element");
      const bytes = (extra === 0 ? tag >>> 2 : input.readUIntLE(from + 1, extra)) + 1;
      if (bytes > promised - to) return broken("holds more than it should");
      const there = Math.min(bytes, end - start);
      input.copy(output, to, start, start + there);
      to += there;
      if (there < bytes) {
        from = end;
        return broken("ends inside of an element");
      }
      from = start + bytes;
      continue;
    }
    // A copy of what stands `offset` bytes back, in an element of 2, 3 or 5 bytes.
    const size = kind === 1 ? 2 : kind === 2 ? 3 : 5;
    if (from + size > end) return broken("ends inside of an element");
    const bytes = kind === 1 ? ((tag >>> 2) & 7) + 4 : (tag >>> 2) + 1;
    const offset =
      kind === 1 ? ((tag >>> 5) << 8) | (input[from + 1] ?? 0) : input.readUIntLE(from + 1, size - 1);
    if (offset === 0 || offset > to) return broken("copies from outside of itself");
    if (bytes > promised - to) return broken("holds more than it should");
    // Byte by byte, since a copy may reach into what it is writing: that is how runs are made.
    for (let at = to - offset; at < to - offset + bytes; at++) output[at + offset] = output[at] ?? 0;
    to += bytes;
    from += size;
  }
  if (to < promised) return broken("holds less than it should");
  return { bytes: output, promised };
}
