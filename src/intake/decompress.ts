// The bytes of an object as they were before compression, in windows: memory does not depend on the object's size.
import { crc32, createGunzip, createInflateRaw } from "node:zlib";
import { type Entry, fromRandomAccessReaderPromise, RandomAccessReader } from "yauzl";
import type { ObjectStore } from "../store/object-store.ts";

export interface CompressedObject {
  readonly store: ObjectStore;
  readonly key: string;
  /** Read exactly this version; see {@link ObjectStore.read}. */
  readonly version?: string;
  /** Bytes as stored. */
  readonly size: number;
  readonly signal?: AbortSignal;
}

/** A place where the object cannot be decompressed. Every byte that could be read before it has been given out. */
export interface Damage {
  readonly damage: "TRUNCATED" | "CORRUPT" | "UNSUPPORTED";
  /** One sentence for an operator. */
  readonly reason: string;
}

/** 64 KB windows inflate and parse a fifth faster than 256 KB ones: they stay in the processor's cache. */
const windowBytes = 64 * 1024;

/**
 * Compressed bytes given to zlib at once. All that comes of them is held until it is read, and deflate makes at
 * most 1,032 bytes of one (https://www.zlib.net/zlib_tech.html): 16 KB bound that at 16 MB.
 */
const pieceBytes = 16 * 1024;

/**
 * Decompresses one object: gzip (of several members), ZIP (its files one after another, with a line feed between
 * two of them), anything else as it is. Its first bytes decide, never its name: a suffix and a Content-Encoding can lie.
 *
 * Damage is a value among the windows. After it more windows may follow: the next file of a ZIP. A window belongs
 * to whoever reads it; it is not written to again.
 *
 * @throws {StoreError} when the store fails: then nothing is known about the object.
 */
export async function* decompress(object: CompressedObject): AsyncGenerator<Buffer | Damage> {
  const magic = await firstBytes(object);
  if (magic.startsWith("1f8b08")) yield* gunzip(object);
  else if (magic === "504b0304" || magic === "504b0506") yield* unzip(object);
  else yield* stored(read(object, 0, object.size));
}

async function firstBytes(object: CompressedObject): Promise<string> {
  if (object.size === 0) return "";
  const chunks: Uint8Array[] = [];
  for await (const chunk of read(object, 0, Math.min(4, object.size))) chunks.push(chunk);
  return Buffer.concat(chunks).toString("hex");
}

function read(object: CompressedObject, start: number, end: number): AsyncIterable<Uint8Array> {
  const { store, key, version, signal } = object;
  if (start >= end) return none();
  return store.read(key, {
    start,
    end,
    ...(version === undefined ? {} : { version }),
    ...(signal === undefined ? {} : { signal }),
  });
}

async function* none(): AsyncGenerator<never> {}

async function* stored(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) yield* slices(chunk, windowBytes);
}

function* slices(chunk: Uint8Array, bytes: number): Generator<Buffer> {
  for (let start = 0; start < chunk.length; start += bytes) {
    yield Buffer.from(chunk.buffer, chunk.byteOffset + start, Math.min(bytes, chunk.length - start));
  }
}

async function* gunzip(object: CompressedObject): AsyncGenerator<Buffer | Damage> {
  const end = yield* inflate("gzip", (from) => read(object, from, object.size));
  if ("damage" in end) return yield end;
  // zlib stops at a zero byte after a member: padding, unless something stands behind it.
  let at = end.consumed;
  for await (const chunk of read(object, end.consumed, object.size)) {
    const junk = chunk.findIndex((byte) => byte !== 0);
    if (junk !== -1) {
      yield {
        damage: "CORRUPT",
        reason: `the gzip data is followed by something else, at byte ${at + junk}`,
      };
      return;
    }
    at += chunk.length;
  }
}

/**
 * Inflates, and tells how many bytes it took or why it cannot go on.
 *
 * zlib says nothing of what it inflated in the very call that fails, up to a window of good records. So what
 * failed is read a second time, from the start and byte by byte where it matters, for the bytes that were missing.
 */
async function* inflate(
  format: "gzip" | "deflate",
  open: (from: number) => AsyncIterable<Uint8Array>,
): AsyncGenerator<Buffer, { consumed: number } | Damage> {
  const first = yield* inflateOnce(format, open(0), 0, Number.POSITIVE_INFINITY);
  if (first.error === undefined) return { consumed: first.consumed };
  if (first.error === "Z_BUF_ERROR") {
    return {
      damage: "TRUNCATED",
      reason: `the ${format} data ends too early, after ${first.consumed} bytes`,
    };
  }
  const second = yield* inflateOnce(format, open(0), first.produced, first.consumed);
  return { damage: "CORRUPT", reason: `the ${format} data is corrupt at byte ${second.consumed}` };
}

/**
 * @param skip how many bytes of output to leave out.
 * @param careful from which byte on to go byte by byte.
 * @returns what zlib took and made before it ended or failed.
 */
async function* inflateOnce(
  format: "gzip" | "deflate",
  input: AsyncIterable<Uint8Array>,
  skip: number,
  careful: number,
): AsyncGenerator<Buffer, { consumed: number; produced: number; error?: string }> {
  const stream = (format === "gzip" ? createGunzip : createInflateRaw)({ chunkSize: windowBytes });
  // Chunks are taken as they come, since a stream that fails throws away what nobody has taken yet.
  let output: Buffer[] = [];
  let error: string | undefined;
  let ended = false;
  let wake = () => {};
  stream.on("data", (chunk: Buffer) => output.push(chunk));
  stream.on("end", () => {
    ended = true;
    wake();
  });
  stream.on("error", (cause: NodeJS.ErrnoException) => {
    error ??= cause.code ?? cause.message;
    wake();
  });
  /** Until zlib has taken all, has come to its end, or has failed. */
  const settled = (act: (done: () => void) => void) =>
    new Promise<void>((resolve) => {
      wake = resolve;
      act(resolve);
    });
  let produced = 0;
  const take = () => {
    const taken = output;
    output = [];
    return taken.flatMap((chunk) => {
      const from = Math.min(Math.max(skip - produced, 0), chunk.length);
      produced += chunk.length;
      return from === chunk.length ? [] : [chunk.subarray(from)];
    });
  };
  let consumed = 0;
  try {
    let offset = 0;
    reading: for await (const chunk of input) {
      const edge = Math.min(Math.max(careful - offset, 0), chunk.length);
      offset += chunk.length;
      for (const piece of pieces(chunk, edge)) {
        await settled((done) => stream.write(piece, (cause) => (cause ? undefined : done())));
        yield* take();
        if (error !== undefined || ended) break reading;
        consumed += piece.length;
      }
    }
    if (error === undefined && !ended) {
      await settled(() => stream.end());
      yield* take();
    }
    if (error !== undefined) return { consumed, produced, error };
    return { consumed: stream.bytesWritten, produced };
  } finally {
    stream.destroy();
  }
}

/** The bytes up to `edge` in pieces, those behind it one by one. */
function* pieces(chunk: Uint8Array, edge: number): Generator<Buffer> {
  yield* slices(chunk.subarray(0, edge), pieceBytes);
  yield* slices(chunk.subarray(edge), 1);
}

/** ZIP compression methods (APPNOTE.TXT, 4.4.5). */
const methodStored = 0;
const methodDeflated = 8;

/**
 * The files of a ZIP in the order of its central directory, which alone knows their sizes: Firehose writes local
 * headers without them (a data descriptor follows the data).
 */
async function* unzip(object: CompressedObject): AsyncGenerator<Buffer | Damage> {
  const reader = new StoreReader(object);
  // Names are not used, so a strange one is no reason to refuse the data.
  const options = { autoClose: false, decodeStrings: false };
  const zip = await reader.attempt(() => fromRandomAccessReaderPromise(reader, object.size, options));
  if (zip === undefined) {
    yield* salvage(object);
    yield { damage: "CORRUPT", reason: "the ZIP has no readable central directory; its first file was read" };
    return;
  }
  const entries = zip.eachEntry();
  let files = 0;
  let between = false;
  for (;;) {
    const next = await reader.attempt(() => entries.next());
    if (next === undefined) {
      yield { damage: "CORRUPT", reason: `the ZIP's central directory is corrupt after ${files} files` };
      return;
    }
    if (next.done === true) return;
    files++;
    const entry = next.value;
    if (entry.compressedSize === 0) continue;
    if (between) yield Buffer.from("\n");
    between = true;
    const header = await reader.attempt(() => zip.readLocalFileHeaderPromise(entry, { minimal: true }));
    if (header === undefined)
      yield { damage: "CORRUPT", reason: `file ${files} of the ZIP has no local header` };
    else yield* unzipFile(object, entry, header.fileDataStart);
  }
}

async function* unzipFile(
  object: CompressedObject,
  entry: Entry,
  start: number,
): AsyncGenerator<Buffer | Damage> {
  const { compressionMethod: method, compressedSize } = entry;
  if (entry.isEncrypted() || (method !== methodStored && method !== methodDeflated)) {
    yield { damage: "UNSUPPORTED", reason: `ZIP method ${method}, or encryption, is not supported` };
    return;
  }
  const open = (from: number) => read(object, start + from, start + compressedSize);
  const windows = method === methodStored ? stored(open(0)) : inflate("deflate", open);
  let checksum = 0;
  try {
    for (;;) {
      const next = await windows.next();
      if (next.done === true) {
        if (next.value !== undefined && "damage" in next.value) return yield next.value;
        break;
      }
      checksum = crc32(next.value, checksum);
      yield next.value;
    }
  } finally {
    // Whoever stops early stops the store's reading too; after the end this does nothing.
    await windows.return({ consumed: 0 });
  }
  if (checksum !== entry.crc32) {
    yield {
      damage: "CORRUPT",
      reason: "the ZIP's checksum does not match: some record before this may be wrong",
    };
  }
}

/** What a ZIP without its end, where the central directory is, still gives: its first file, as far as it goes. */
async function* salvage(object: CompressedObject): AsyncGenerator<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of read(object, 0, Math.min(localHeaderBytes, object.size))) chunks.push(chunk);
  const header = Buffer.concat(chunks);
  if (header.length < localHeaderBytes) return;
  const method = header.readUInt16LE(8);
  const start = localHeaderBytes + header.readUInt16LE(26) + header.readUInt16LE(28);
  // Zero when a data descriptor follows: then deflated data still knows its end.
  const size = header.readUInt32LE(18);
  const end = size === 0 ? object.size : Math.min(start + size, object.size);
  const open = (from: number) => read(object, start + from, end);
  if (method === methodDeflated) yield* inflate("deflate", open);
  else if (method === methodStored && size !== 0) yield* stored(open(0));
}

/** The fixed part of a local file header (APPNOTE.TXT, 4.3.7); the lengths of the rest stand at 26 and 28. */
const localHeaderBytes = 30;

/** Lets yauzl read from a store. What it reads first, the object's end, is kept: the central directory is in it. */
class StoreReader extends RandomAccessReader {
  readonly #object: CompressedObject;
  #end: { readonly start: number; readonly bytes: Buffer } | undefined;
  #failure: { readonly error: unknown } | undefined;

  constructor(object: CompressedObject) {
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
    this.#bytes(position, position + length).then(
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

  async #bytes(start: number, end: number): Promise<Buffer> {
    if (this.#end !== undefined && start >= this.#end.start) {
      return this.#end.bytes.subarray(start - this.#end.start, end - this.#end.start);
    }
    const chunks: Uint8Array[] = [];
    for await (const chunk of read(this.#object, start, Math.min(end, this.#object.size))) chunks.push(chunk);
    const bytes = Buffer.concat(chunks);
    this.#end ??= { start, bytes };
    return bytes;
  }
}
