// The two ways in which Firehose strings Snappy blocks together: xerial's and Hadoop's.
import { type Damage, damaged, type Parts, type Reading, slices, windowBytes } from "./container.ts";
import {
  blockLength,
  decodeBlock,
  maxBlockBytes,
  maxCompressedBlockBytes,
  maxCompressedBytes,
} from "./snappy.ts";
import { Source } from "./source.ts";

/**
 * xerial's stream begins with this, a version and the oldest version that can read it, 4 bytes each. snappy-java has
 * known one version only, and each length is checked anyway: the two are not looked at.
 * https://github.com/xerial/snappy-java/blob/master/src/main/java/org/xerial/snappy/SnappyCodec.java
 */
export const xerialMagic: Buffer = Buffer.from("\x82SNAPPY\0", "latin1");
const xerialHeaderBytes = 16;

/** Lengths are 4 bytes, big-endian. */
const lengthBytes = 4;

/**
 * xerial's stream: the header, then blocks, each behind its length. Streams may follow each other: where a length
 * should stand, a header may.
 */
export async function* unsnapXerial(reading: Reading): Parts {
  const source = new Source(reading);
  try {
    for (;;) {
      const start = source.position;
      reading.position = start;
      const head = await source.take(lengthBytes);
      if (head.length === 0) return;
      if (head.length < lengthBytes) return yield truncated(reading, start);
      if (head.equals(xerialMagic.subarray(0, lengthBytes))) {
        const rest = await source.take(xerialHeaderBytes - lengthBytes);
        if (!xerialMagic.subarray(lengthBytes).equals(rest.subarray(0, lengthBytes))) {
          if (rest.length < lengthBytes) return yield truncated(reading, start);
          return yield corrupt(start, reading.size, "has a header that is none");
        }
        if (rest.length < xerialHeaderBytes - lengthBytes) return yield truncated(reading, start);
        continue;
      }
      const length = head.readUInt32BE();
      if (length === 0 || length > maxCompressedBlockBytes) {
        return yield corrupt(start, reading.size, "has a block of no possible length");
      }
      const { promised } = yield* block(reading, source, start, length);
      if (promised === undefined && source.position === reading.size) return;
    }
  } finally {
    await source.close();
  }
}

/**
 * Hadoop's: blocks of a length before compression, each of one or more chunks, each behind its compressed length,
 * until the block's length is reached.
 * https://github.com/apache/hadoop/blob/trunk/hadoop-common-project/hadoop-common/src/main/java/org/apache/hadoop/io/compress/BlockCompressorStream.java
 */
export async function* unsnapHadoop(reading: Reading): Parts {
  const source = new Source(reading);
  try {
    let left = 0;
    for (;;) {
      const start = source.position;
      reading.position = start;
      const head = await source.take(lengthBytes);
      if (head.length === 0 && left === 0) return;
      if (head.length < lengthBytes) return yield truncated(reading, start);
      const length = head.readUInt32BE();
      if (left === 0) {
        if (length > maxHadoopBlockBytes) {
          return yield corrupt(start, reading.size, "has a block of no possible length");
        }
        left = length;
        continue;
      }
      if (length === 0 || length > maxCompressedBlockBytes) {
        return yield corrupt(start, reading.size, "has a chunk of no possible length");
      }
      const { promised } = yield* block(reading, source, start, length);
      if (source.position === reading.size && promised === undefined) return;
      if (promised === undefined || promised > left) {
        return yield corrupt(source.position, reading.size, "has a chunk that does not fit its block");
      }
      left -= promised;
    }
  } finally {
    await source.close();
  }
}

/**
 * Larger blocks are not taken for Hadoop's. It can be as long as what was written in one call: Firehose buffers 128 MB
 * at most (https://docs.aws.amazon.com/firehose/latest/dev/limits.html), and this is the most below a first byte of 9.
 */
const maxHadoopBlockBytes = 0x08ffffff;

/** The first two characters of an object or array in UTF-16 BE, RFC 8259, 2: as a length, 0x5b0020, say. */
const begunInUtf16 = /^\0[{[\t\n\r ]\0[{}[\]"\-0-9tfn\t\n\r ]/;

/** What {@link looksLikeHadoop} wants to see. */
export const hadoopHeadBytes = 20;

/**
 * Whether an object can be Hadoop's Snappy, which has no magic of its own.
 *
 * No JSON is ever taken for it: its first byte is below 9 and its fifth is 0 or 1, control characters that JSON has
 * nowhere. Nor is it ever taken for JSON, for the same reason. In UTF-16 an object or array begins with two characters
 * that no such stream is allowed to begin with. Other binary data would also need three lengths that agree with each
 * other and a first element that is a literal which fits.
 *
 * @param head the first {@link hadoopHeadBytes} bytes, or fewer when the object has no more.
 */
export function looksLikeHadoop(head: Buffer, size: number): boolean {
  // What Hadoop writes for a stream of nothing.
  if (size === lengthBytes) return head.readUInt32BE() === 0;
  if (head.length < 2 * lengthBytes || begunInUtf16.test(head.toString("latin1", 0, 4))) return false;
  const blockBytes = head.readUInt32BE(0);
  const chunkBytes = head.readUInt32BE(lengthBytes);
  if (blockBytes === 0 || blockBytes > maxHadoopBlockBytes) return false;
  if (chunkBytes === 0 || chunkBytes > maxCompressedBlockBytes) return false;
  const chunk = head.subarray(2 * lengthBytes);
  const length = blockLength(chunk);
  if (length === undefined) return false;
  const { promised, at } = length;
  if (promised === 0 || promised > Math.min(blockBytes, maxBlockBytes)) return false;
  if (chunkBytes > maxCompressedBytes(promised)) return false;
  const tag = chunk[at];
  if (tag === undefined || (tag & 3) !== 0) return false;
  const extra = Math.max((tag >>> 2) - 59, 0);
  if (chunk.length < at + 1 + extra) return false;
  const literal = (extra === 0 ? tag >>> 2 : chunk.readUIntLE(at + 1, extra)) + 1;
  return literal <= promised && at + 1 + extra + literal <= chunkBytes;
}

/** One block of `length` bytes behind its length, which stands at `start`. A damaged one costs itself alone. */
async function* block(
  reading: Reading,
  source: Source,
  start: number,
  length: number,
): AsyncGenerator<Buffer | Damage, { promised: number | undefined }> {
  const at = source.position;
  const input = await source.take(length);
  const { bytes, promised, fault } = decodeBlock(input, length);
  yield* slices(bytes, windowBytes);
  if (input.length < length) {
    yield truncated(reading, at + (fault?.at ?? input.length));
    return { promised: undefined };
  }
  if (fault !== undefined) {
    yield corrupt(
      bytes.length === 0 ? start : at + fault.at,
      at + length,
      `has a block that ${fault.reason}`,
    );
  }
  return { promised };
}

function corrupt(start: number, end: number, what: string) {
  return damaged("CONTAINER_CORRUPT", { start, end }, `the Snappy data ${what}`);
}

function truncated({ size }: Reading, start: number) {
  return damaged("CONTAINER_TRUNCATED", { start, end: size }, "the Snappy data ends too early");
}
