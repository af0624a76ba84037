// Writes Snappy from its format description, with every kind of element; shares nothing with the decoder.
// https://github.com/google/snappy/blob/main/format_description.txt

/** A number in [0, 1): chooses among elements that say the same. */
export type Choose = () => number;

export interface Encoded {
  readonly bytes: Buffer;
  /**
   * For every stored byte, by its offset, and for the end: how many bytes of the content are known when all before
   * it has been read.
   */
  readonly known: readonly number[];
}

/** mulberry32. */
export function choices(seed: number): Choose {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One raw block. */
export function encodeBlock(content: Buffer, choose: Choose = () => 0): Encoded {
  const writer = new Writer();
  writer.put(varint(content.length), 0);
  const seen = new Map<string, number>();
  let at = 0;
  let literal = 0;
  while (at < content.length) {
    const key = content.toString("latin1", at, at + 4);
    const before = key.length === 4 ? seen.get(key) : undefined;
    seen.set(key, at);
    let length = 0;
    if (before !== undefined)
      while (length < 64 && content[before + length] === content[at + length]) length++;
    // A match may run past the place where it starts, up to the content's end.
    length = Math.min(length, content.length - at);
    if (before === undefined || length < 4) {
      at++;
      continue;
    }
    writer.literal(content, literal, at, choose);
    writer.copy(at - before, length, at + length, choose);
    at += length;
    literal = at;
  }
  writer.literal(content, literal, at, choose);
  return writer.done(at);
}

export interface Framing {
  readonly blockBytes?: number;
  readonly choose?: Choose;
}

/** xerial's stream, of a header and blocks. */
export function xerial(content: Buffer, { blockBytes = 32_768, choose }: Framing = {}): Encoded {
  const writer = new Writer();
  writer.put(Buffer.from("82534e41505059000000000100000001", "hex"), 0);
  for (const [start, block] of cut(content, blockBytes)) writer.framed(encodeBlock(block, choose), start);
  return writer.done(content.length);
}

/** Hadoop's stream: blocks, here of several chunks each. */
export function hadoop(
  content: Buffer,
  { blockBytes = 262_144, chunkBytes = blockBytes, choose }: Framing & { readonly chunkBytes?: number } = {},
): Encoded {
  const writer = new Writer();
  for (const [start, block] of cut(content, blockBytes)) {
    writer.put(uint32(block.length), start);
    for (const [offset, chunk] of cut(block, chunkBytes)) {
      writer.framed(encodeBlock(chunk, choose), start + offset);
    }
  }
  return writer.done(content.length);
}

/** One stream behind the other. */
export function concatenated(...streams: readonly Encoded[]): Encoded {
  const known: number[] = [0];
  for (const stream of streams) {
    const base = known.pop() ?? 0;
    for (const bytes of stream.known) known.push(base + bytes);
  }
  return { bytes: Buffer.concat(streams.map(({ bytes }) => bytes)), known };
}

class Writer {
  readonly #parts: Buffer[] = [];
  readonly #known: number[] = [];

  /** Bytes that make nothing known until the last of them. */
  put(bytes: Buffer, known: number): void {
    this.#parts.push(bytes);
    for (const _ of bytes) this.#known.push(known);
  }

  framed({ bytes, known }: Encoded, start: number): void {
    this.put(uint32(bytes.length), start);
    this.#parts.push(bytes);
    for (const count of known.slice(0, -1)) this.#known.push(start + count);
  }

  literal(content: Buffer, from: number, to: number, choose: Choose): void {
    if (from === to) return;
    const less = to - from - 1;
    // The shortest form, or a longer one, which is as good.
    const least = less < 60 ? 0 : less < 0x100 ? 1 : less < 0x10000 ? 2 : less < 0x1000000 ? 3 : 4;
    const extra = least + Math.floor(choose() * (5 - least));
    const head = Buffer.alloc(1 + extra);
    head[0] = (extra === 0 ? less : 59 + extra) << 2;
    if (extra > 0) head.writeUIntLE(less, 1, extra);
    this.put(head, from);
    for (let at = from; at < to; at++) this.put(content.subarray(at, at + 1), at);
  }

  copy(offset: number, length: number, to: number, choose: Choose): void {
    const kinds = [
      ...(length >= 4 && length <= 11 && offset < 2048 ? [1] : []),
      ...(offset < 65_536 ? [2] : []),
      3,
    ];
    const kind = kinds[Math.floor(choose() * kinds.length)];
    const element = Buffer.alloc(kind === 1 ? 2 : kind === 2 ? 3 : 5);
    if (kind === 1) {
      element[0] = ((offset >>> 8) << 5) | ((length - 4) << 2) | 1;
      element[1] = offset & 0xff;
    } else {
      element[0] = ((length - 1) << 2) | (kind ?? 3);
      element.writeUIntLE(offset, 1, element.length - 1);
    }
    this.put(element, to - length);
  }

  done(known: number): Encoded {
    return { bytes: Buffer.concat(this.#parts), known: [...this.#known, known] };
  }
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let left = value;
  for (; left > 0x7f; left = Math.floor(left / 128)) bytes.push((left & 0x7f) | 0x80);
  return Buffer.from([...bytes, left]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function* cut(content: Buffer, size: number): Generator<[number, Buffer]> {
  for (let at = 0; at < content.length; at += size) yield [at, content.subarray(at, at + size)];
}
