// The bytes of an object as they were before compression, in windows: memory does not depend on the object's size.
import {
  type Damage,
  damaged,
  type Parts,
  type Reading,
  readBytes,
  type StoredObject,
  stored,
} from "./container.ts";
import { deflateRatio, gunzip } from "./inflate.ts";
import {
  hadoopHeadBytes,
  looksLikeHadoop,
  unsnapHadoop,
  unsnapXerial,
  xerialMagic,
} from "./snappy-frames.ts";

/** How much may come out of a container. What is stored as it is has no limit. */
export interface InflationLimits {
  /**
   * Bytes of one object after decompression. Default 16 GiB: 128 times the most that Firehose buffers, and some
   * minutes of reading. Memory does not depend on it.
   */
  readonly maxInflatedBytes?: number;
  /**
   * How many bytes may come of one stored byte, over the whole object, once more than 16 MiB have come. Default
   * 1,032, the most that deflate can do: records that are all alike come near it (250 at 500 bytes each, measured),
   * so a lower limit is for those who know their data.
   */
  readonly maxRatio?: number;
}

export const defaultInflationLimits: Required<InflationLimits> = {
  maxInflatedBytes: 16 * 1024 ** 3,
  maxRatio: deflateRatio,
};

/** So much may come of any object: a few kilobytes of equal records are no bomb. */
const harmlessBytes = 16 * 1024 * 1024;

/**
 * Decompresses one object: gzip (of several members), ZIP (its files one after another, with a line feed between
 * two of them), Snappy as xerial or Hadoop frames it, anything else as it is. Its bytes decide, never its name: a
 * suffix and a Content-Encoding can lie.
 *
 * Damage is a value among the windows. After it more windows may follow: the next file of a ZIP. A window belongs
 * to whoever reads it; it is not written to again.
 *
 * @throws {StoreError} when the store fails: then nothing is known about the object.
 */
export function decompress(object: StoredObject, limits: InflationLimits = {}): Parts {
  const reading: Reading = { ...object, position: 0 };
  return joined(opened(reading, { ...defaultInflationLimits, ...limits }));
}

async function* opened(reading: Reading, limits: Required<InflationLimits>): Parts {
  const { size } = reading;
  const head = await readBytes(reading, 0, headBytes);
  if (begins(head, gzipMagic)) yield* capped(gunzip(reading), reading, limits);
  else if (zipMagics.some((magic) => begins(head, magic))) {
    // Imported here: most objects are no ZIP, and a cold start would load as much again for it as for all else here.
    const { unzip } = await import("./zip.ts");
    yield* capped(unzip(reading), reading, limits);
  } else if (begins(head, xerialMagic)) yield* capped(unsnapXerial(reading), reading, limits);
  else if (looksLikeHadoop(head, size)) yield* capped(unsnapHadoop(reading), reading, limits);
  else {
    const foreign = foreignMagics.find(({ magic }) => begins(head, magic));
    if (foreign === undefined) yield* stored(reading, 0, size);
    else yield damaged("CONTAINER_UNSUPPORTED", { start: 0, end: size }, `the object is ${foreign.name}`);
  }
}

/** RFC 1952, 2.3.1. The method, which follows, has been 8 ever since. */
const gzipMagic = Buffer.from("1f8b", "hex");

/** A local file header, or, of a ZIP without files, the end of its central directory, in ZIP64 the longer one. */
const zipMagics = ["PK\x03\x04", "PK\x05\x06", "PK\x06\x06"].map((magic) => Buffer.from(magic));

/**
 * Known, and not read here: one letter says so, instead of one for every line feed among compressed bytes. No JSON
 * begins like any of them.
 */
const foreignMagics = [
  // RFC 8878, 3.1.1.
  { magic: Buffer.from("28b52ffd", "hex"), name: "Zstandard data" },
  // The official framing, which Firehose does not use: https://github.com/google/snappy/blob/main/framing_format.txt
  { magic: Buffer.from("ff060000734e61507059", "hex"), name: "Snappy in the official framing format" },
  // "BZh", the block size, then pi: https://en.wikipedia.org/wiki/Bzip2#File_format
  ...[..."123456789"].map((level) => ({
    magic: Buffer.from(`BZh${level}1AY&SY`),
    name: "bzip2 data",
  })),
  // https://tukaani.org/xz/xz-file-format.txt, 2.1.1.1.
  { magic: Buffer.from("fd377a585a00", "hex"), name: "xz data" },
  // What Firehose's record format conversion writes: https://parquet.apache.org/docs/file-format/. A page header, in
  // Thrift's compact protocol, begins with 0x15.
  { magic: Buffer.from("PAR1\x15"), name: "a Parquet file; let Firehose write JSON instead" },
  // https://avro.apache.org/docs/1.12.0/specification/#object-container-files
  { magic: Buffer.from("Obj\x01"), name: "an Avro file" },
];

const headBytes = Math.max(hadoopHeadBytes, ...foreignMagics.map(({ magic }) => magic.length));

function begins(head: Buffer, magic: Buffer): boolean {
  return head.subarray(0, magic.length).equals(magic);
}

/** Stops a bomb: what came before the limit is given out, what is left in the object is damage. */
async function* capped(parts: Parts, reading: Reading, limits: Required<InflationLimits>): Parts {
  const { size } = reading;
  const most = Math.min(limits.maxInflatedBytes, Math.max(harmlessBytes, size * limits.maxRatio));
  let left = most;
  for await (const part of parts) {
    if (Buffer.isBuffer(part)) {
      if (part.length > left) {
        if (left > 0) yield part.subarray(0, left);
        const range = { start: reading.position, end: size };
        return yield damaged("CONTAINER_BOMB", range, `the object inflates to more than ${most} bytes`);
      }
      left -= part.length;
    }
    yield part;
  }
}

/** Damages of one kind that touch each other are one. */
async function* joined(parts: Parts): Parts {
  let last: Damage | undefined;
  for await (const part of parts) {
    if (last !== undefined) {
      if (!Buffer.isBuffer(part) && part.damage === last.damage && part.start === last.end) {
        last = { ...last, end: part.end };
        continue;
      }
      yield last;
      last = undefined;
    }
    if (Buffer.isBuffer(part)) yield part;
    else last = part;
  }
  if (last !== undefined) yield last;
}
