// The files of a ZIP, one after another, and every byte of it that belongs to none of them.
import { crc32 } from "node:zlib";
import { type Entry, fromRandomAccessReaderPromise, RandomAccessReader, type ZipFile } from "yauzl";
import {
  type Damage,
  damaged,
  type Parts,
  type Reading,
  readBytes,
  type StoredObject,
  type StoredRange,
  stored,
} from "./container.ts";
import { Covered } from "./covered.ts";
import { inflate } from "./inflate.ts";

// Signatures, lengths and places of APPNOTE.TXT, https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT:
/** 4.3.7; the lengths of name and extra field stand at 26 and 28. */
const localHeader = { signature: 0x04034b50, bytes: 30 };
/** 4.3.12, without name, extra field and comment. */
const directoryHeaderBytes = 46;
/** 4.3.16, without its comment; the central directory's offset stands at 16, or all ones for ZIP64. */
const endBytes = 22;
/** 4.3.15; the offset of the ZIP64 end of central directory record stands at 8. */
const zip64Locator = { signature: 0x07064b50, bytes: 20 };
/** 4.3.14; the central directory's offset stands at 48. */
const zip64EndBytes = 56;
/** 4.4.4: the file is encrypted; its checksum and sizes stand behind the data. */
const flag = { encrypted: 0x0001, descriptor: 0x0008 };
/** 4.4.5. */
const method = { stored: 0, deflated: 8 };
/** 4.3.9: with and without signature, with sizes of four and of eight bytes. */
const descriptorLengths = [16, 12, 24, 20];
const descriptorSignature = Buffer.from("PK\x07\x08");
/** Every header of a ZIP begins with these. */
const mark = Buffer.from("PK");

const lineFeed = "\n";

/**
 * The files of a ZIP in the order of its central directory, which alone knows their sizes: Firehose writes local
 * headers without them (a data descriptor follows the data). A line feed stands between two of them. Where there is
 * no central directory to go by, the files are looked for one behind the other.
 */
export async function* unzip(reading: Reading): Parts {
  const { size } = reading;
  const reader = new StoreReader(reading);
  // Names are not used, so a strange one is no reason to refuse the data.
  const options = { autoClose: false, decodeStrings: false };
  const zip = await reader.attempt(() => fromRandomAccessReaderPromise(reader, size, options));
  const covered = new Covered();
  const files = { count: 0, missing: 0, between: false };
  const isListed = zip !== undefined && (yield* listed(reading, reader, zip, covered, files));
  const gaps = covered.gaps(size);
  const missing = `${files.missing} of its files are not where they should be`;
  if (isListed && gaps.length === 0 && files.missing > 0) {
    yield damaged("CONTAINER_CORRUPT", { start: size, end: size }, `the ZIP is corrupt: ${missing}`);
  }
  for (const gap of gaps) {
    if (isListed) {
      yield damaged(
        "CONTAINER_CORRUPT",
        gap,
        `the ZIP has bytes that belong to none of its files; ${missing}`,
      );
      continue;
    }
    const reached = yield* walk(reading, gap, files);
    if (reached === undefined) continue;
    const left = { start: reached, end: gap.end };
    const found = `files before it were read one behind the other: ${files.count}`;
    yield damaged("CONTAINER_CORRUPT", left, `the ZIP's central directory cannot be read; ${found}`);
  }
}

interface Files {
  count: number;
  /** Listed, and not found. What they held is among the bytes that belong to no file. */
  missing: number;
  /** A file has been given out, so the next one begins on a line of its own. */
  between: boolean;
}

/** Reads what the central directory lists. False when the directory itself is broken. */
async function* listed(
  reading: Reading,
  reader: StoreReader,
  zip: ZipFile,
  covered: Covered,
  files: Files,
): AsyncGenerator<Buffer | Damage, boolean> {
  const entries = zip.eachEntry();
  let directoryBytes = 0;
  for (;;) {
    const next = await reader.attempt(() => entries.next());
    if (next === undefined) return false;
    if (next.done === true) break;
    files.count++;
    const entry = next.value;
    directoryBytes +=
      directoryHeaderBytes + entry.fileNameLength + entry.extraFieldLength + entry.fileCommentLength;
    const data = await locate(reader, entry, reading.size);
    if (data === undefined) {
      files.missing++;
      continue;
    }
    let { end } = data;
    if ((entry.generalPurposeBitFlag & flag.descriptor) !== 0) {
      end += descriptorLength(await reader.bytes(end, end + mostDescriptorBytes));
    }
    if (!covered.add({ start: entry.relativeOffsetOfLocalHeader, end })) {
      // Many files over the same bytes make a bomb of any size: https://www.bamsoftware.com/hacks/zipbomb/
      yield damaged(
        "CONTAINER_CORRUPT",
        data,
        `file ${files.count} of the ZIP lies over another one, or too far apart`,
      );
      continue;
    }
    if (data.start === data.end) continue;
    if (files.between) yield Buffer.from(lineFeed);
    files.between = true;
    yield* unzipFile(reading, entry, data);
  }
  for (const range of await directory(reading, reader, zip, directoryBytes)) covered.add(range);
  return true;
}

/** The central directory and all that follows it. */
async function directory(
  { size }: Reading,
  reader: StoreReader,
  zip: ZipFile,
  bytes: number,
): Promise<StoredRange[]> {
  const endAt = size - endBytes - zip.comment.length;
  const end = await reader.bytes(endAt, endAt + endBytes);
  const locatorAt = Math.max(endAt - zip64Locator.bytes, 0);
  const locator = await reader.bytes(locatorAt, endAt);
  let start = end.readUInt32LE(16);
  let behind = endAt;
  if (locator.length === zip64Locator.bytes && locator.readUInt32LE(0) === zip64Locator.signature) {
    behind = Number(locator.readBigUInt64LE(8));
    start = Number((await reader.bytes(behind, behind + zip64EndBytes)).readBigUInt64LE(48));
  }
  return [
    { start, end: start + bytes },
    { start: behind, end: size },
  ];
}

/**
 * Where a listed file's data stand. Undefined when its local header contradicts the directory: a wrong length there
 * would pass the file's data for a name, and another's for its own.
 */
async function locate(reader: StoreReader, entry: Entry, size: number): Promise<StoredRange | undefined> {
  const { relativeOffsetOfLocalHeader: offset, fileNameLength, compressedSize } = entry;
  const header = await reader.bytes(offset, offset + localHeader.bytes);
  if (!isLocalHeader(header) || header.readUInt16LE(26) !== fileNameLength) return undefined;
  const extraAt = offset + localHeader.bytes + fileNameLength;
  const start = extraAt + header.readUInt16LE(28);
  const end = start + compressedSize;
  if (end > size || !isExtraField(await reader.bytes(extraAt, start))) return undefined;
  return { start, end };
}

/** Blocks of an id, a length and as many bytes (4.5.1), and fewer zeros than make one, which aligning tools leave. */
function isExtraField(bytes: Buffer): boolean {
  let at = 0;
  while (at + 4 <= bytes.length) at += 4 + bytes.readUInt16LE(at + 2);
  return at <= bytes.length && bytes.subarray(at).every((byte) => byte === 0);
}

async function* unzipFile(reading: Reading, entry: Entry, data: StoredRange): Parts {
  const isReadable = entry.compressionMethod === method.stored || entry.compressionMethod === method.deflated;
  if (entry.isEncrypted() || !isReadable) {
    return yield damaged("CONTAINER_UNSUPPORTED", data, unsupported(entry.compressionMethod));
  }
  const windows =
    entry.compressionMethod === method.stored
      ? stored(reading, data.start, data.end)
      : inflate("deflate", reading, data.start, data.end);
  let checksum = 0;
  try {
    for (;;) {
      const next = await windows.next();
      if (next.done === true) {
        if (next.value === undefined) break;
        if ("damage" in next.value) return yield next.value;
        const { reached } = next.value;
        if (reached < data.end) {
          const rest = { start: reached, end: data.end };
          yield damaged("CONTAINER_CORRUPT", rest, "the deflated file in the ZIP ends before its end");
        }
        break;
      }
      checksum = crc32(next.value, checksum);
      yield next.value;
    }
  } finally {
    // Whoever stops early stops the store's reading too; after the end this does nothing.
    await windows.return({ reached: data.end });
  }
  if (checksum !== entry.crc32) {
    const range = { start: data.end, end: data.end };
    const reason = "the file in the ZIP does not match its checksum, so some record before this may be wrong";
    yield damaged("CONTAINER_CORRUPT", range, reason);
  }
}

/**
 * Reads local files one behind the other, and tells how far it came. Undefined when the end came inside of a file,
 * which it has said.
 */
async function* walk(
  reading: Reading,
  { start, end }: StoredRange,
  files: Files,
): AsyncGenerator<Buffer | Damage, number | undefined> {
  let at = start;
  for (;;) {
    const header = await readBytes(reading, at, Math.min(at + localHeader.bytes, end));
    if (!isLocalHeader(header)) return at;
    const flags = header.readUInt16LE(6);
    const how = header.readUInt16LE(8);
    const from = at + localHeader.bytes + header.readUInt16LE(26) + header.readUInt16LE(28);
    // Zero when a data descriptor follows, all ones in ZIP64: then only deflated data still knows its end.
    const bytes = header.readUInt32LE(18);
    const isSized = (flags & flag.descriptor) === 0 && bytes !== 0xffffffff;
    const to = isSized ? Math.min(from + bytes, end) : end;
    if (from > end || (!isSized && how !== method.deflated)) return at;
    files.count++;
    if (files.between) yield Buffer.from(lineFeed);
    files.between = true;
    at = to;
    if ((flags & flag.encrypted) !== 0 || (how !== method.stored && how !== method.deflated)) {
      yield damaged("CONTAINER_UNSUPPORTED", { start: from, end: to }, unsupported(how));
      if (!isSized) return undefined;
    } else if (how === method.stored) {
      yield* stored(reading, from, to);
      if (to < from + bytes) {
        yield damaged("CONTAINER_TRUNCATED", { start: to, end: to }, "the ZIP ends inside of a file");
        return undefined;
      }
    } else {
      const result = yield* inflate("deflate", reading, from, to);
      if ("damage" in result) {
        yield result;
        if (to === end) return undefined;
      } else at = result.reached;
    }
    if ((flags & flag.descriptor) !== 0) {
      at += descriptorLength(await readBytes(reading, at, Math.min(at + mostDescriptorBytes, end)));
    }
  }
}

function isLocalHeader(header: Buffer): boolean {
  return header.length === localHeader.bytes && header.readUInt32LE(0) === localHeader.signature;
}

/** A descriptor and the mark of what follows it. */
const mostDescriptorBytes = Math.max(...descriptorLengths) + mark.length;

/** How many of these bytes are a data descriptor: up to the next header. Without one, only a signature tells. */
function descriptorLength(bytes: Buffer): number {
  const length = descriptorLengths.find((each) => bytes.subarray(each, each + mark.length).equals(mark));
  if (length !== undefined) return length;
  const isSigned = bytes.subarray(0, descriptorSignature.length).equals(descriptorSignature);
  return isSigned ? Math.min(descriptorLengths[0] ?? 0, bytes.length) : 0;
}

function unsupported(how: number): string {
  return `a file in the ZIP is encrypted, or compressed by method ${how}, which is not supported`;
}

/** Lets yauzl read from a store. What it reads first, the object's end, is kept: the central directory is in it. */
class StoreReader extends RandomAccessReader {
  readonly #object: StoredObject;
  #end: { readonly start: number; readonly bytes: Buffer } | undefined;
  #failure: { readonly error: unknown } | undefined;

  constructor(object: StoredObject) {
    super();
    this.#object = object;
  }

  /** What yauzl makes of the ZIP, or undefined when the ZIP is at fault. Errors of the store stay what they are. */
  async attempt<T>(act: () => Promise<T>): Promise<T | undefined> {
    try {
      return await act();
    } catch {
      if (this.#failure !== undefined) throw this.#failure.error;
      return undefined;
    }
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null) => void,
  ): void {
    this.bytes(position, position + length).then(
      (bytes) => {
        bytes.copy(buffer, offset);
        callback(bytes.length === length ? null : new Error("the ZIP points outside of itself"));
      },
      (error: unknown) => {
        this.#failure = { error };
        callback(new Error("the store failed"));
      },
    );
  }

  /** Fewer bytes where the object ends. */
  async bytes(start: number, end: number): Promise<Buffer> {
    if (this.#end !== undefined && start >= this.#end.start) {
      return this.#end.bytes.subarray(start - this.#end.start, end - this.#end.start);
    }
    const bytes = await readBytes(this.#object, start, end);
    this.#end ??= { start, bytes };
    return bytes;
  }
}
