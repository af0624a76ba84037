// Deflated data, bare or as gzip, in windows, with all that stands before a damage.
import { createGunzip, createInflateRaw } from "node:zlib";
import { type Damage, damaged, type Parts, type Reading, read, slices, windowBytes } from "./container.ts";

/**
 * Compressed bytes given to zlib at once. All that comes of them is held until it is read, and deflate makes at
 * most {@link deflateRatio} bytes of one: 16 KB bound that at 16 MB.
 */
const pieceBytes = 16 * 1024;

/** What deflate can make of one byte at most: https://www.zlib.net/zlib_tech.html, "Maximum Compression Factor". */
export const deflateRatio = 1032;

/** A whole object of gzip members. Zeros behind them are padding, as tapes and block devices leave it. */
export async function* gunzip(reading: Reading): Parts {
  const { size } = reading;
  const end = yield* inflate("gzip", reading, 0, size);
  if ("damage" in end) return yield end;
  let at = end.reached;
  for await (const chunk of read(reading, at, size)) {
    const junk = chunk.findIndex((byte) => byte !== 0);
    if (junk !== -1) {
      const range = { start: at + junk, end: size };
      return yield damaged("CONTAINER_CORRUPT", range, "the gzip data is followed by something else");
    }
    at += chunk.length;
  }
}

/**
 * Inflates the stored bytes from `start` on, up to `end` at most, and tells which byte it reached or why it cannot
 * go on.
 *
 * zlib says nothing of what it inflated in the very call that fails, up to a window of good records. So what
 * failed is read a second time, from the start and byte by byte where it matters, for the bytes that were missing.
 */
export async function* inflate(
  format: "gzip" | "deflate",
  reading: Reading,
  start: number,
  end: number,
): AsyncGenerator<Buffer, { readonly reached: number } | Damage> {
  const first = yield* inflateOnce(format, reading, { start, end, skip: 0, careful: end });
  if (first.error === undefined) return { reached: first.reached };
  if (first.error === "Z_BUF_ERROR") {
    return damaged("CONTAINER_TRUNCATED", { start: end, end }, `the ${format} data ends too early`);
  }
  const second = yield* inflateOnce(format, reading, {
    start,
    end,
    skip: first.produced,
    careful: first.reached,
  });
  const reason = second.isChecksum
    ? `the ${format} data does not match its checksum, so some record before this may be wrong`
    : `the ${format} data is corrupt`;
  return damaged("CONTAINER_CORRUPT", { start: second.reached, end }, reason);
}

interface Span {
  readonly start: number;
  readonly end: number;
  /** How many bytes of output to leave out. */
  readonly skip: number;
  /** From which stored byte on to go byte by byte. */
  readonly careful: number;
}

interface Inflated {
  /** The stored byte before which zlib took everything. */
  readonly reached: number;
  readonly produced: number;
  /** zlib's code, when it failed. */
  readonly error?: string;
  readonly isChecksum?: boolean;
}

async function* inflateOnce(
  format: "gzip" | "deflate",
  reading: Reading,
  { start, end, skip, careful }: Span,
): AsyncGenerator<Buffer, Inflated> {
  const stream = (format === "gzip" ? createGunzip : createInflateRaw)({ chunkSize: windowBytes });
  // Chunks are taken as they come, since a stream that fails throws away what nobody has taken yet.
  let output: Buffer[] = [];
  let failure: { error: string; isChecksum: boolean } | undefined;
  let ended = false;
  let wake = () => {};
  stream.on("data", (chunk: Buffer) => output.push(chunk));
  stream.on("end", () => {
    ended = true;
    wake();
  });
  stream.on("error", ({ code, message }: NodeJS.ErrnoException) => {
    // zlib's inflate.c says "incorrect data check" and "incorrect length check" of a gzip member's trailer.
    failure ??= { error: code ?? message, isChecksum: message.startsWith("incorrect ") };
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
      const from = Math.max(skip - produced, 0);
      produced += chunk.length;
      return from < chunk.length ? chunk.subarray(from) : [];
    });
  };
  let reached = start;
  try {
    let offset = start;
    feeding: for await (const chunk of read(reading, start, end)) {
      const edge = Math.min(Math.max(careful - offset, 0), chunk.length);
      offset += chunk.length;
      for (const piece of pieces(chunk, edge)) {
        await settled((done) => stream.write(piece, (cause) => (cause ? undefined : done())));
        reading.position = reached;
        yield* take();
        if (failure !== undefined || ended) break feeding;
        reached += piece.length;
      }
    }
    if (failure === undefined && !ended) {
      await settled(() => stream.end());
      reading.position = reached;
      yield* take();
    }
    if (failure !== undefined) return { reached, produced, ...failure };
    return { reached: start + stream.bytesWritten, produced };
  } finally {
    stream.destroy();
  }
}

/** The bytes up to `edge` in pieces, those behind it one by one. */
function* pieces(chunk: Uint8Array, edge: number): Generator<Buffer> {
  yield* slices(chunk.subarray(0, edge), pieceBytes);
  yield* slices(chunk.subarray(edge), 1);
}
