// A stored object, taken in pieces of the length that its reader wants.
import { type Reading, read } from "./container.ts";

export class Source {
  /** The stored byte that comes next. */
  position = 0;
  readonly #chunks: AsyncGenerator<Uint8Array>;
  /** What has arrived and was not taken. */
  #rest: Uint8Array = new Uint8Array(0);

  constructor(reading: Reading) {
    this.#chunks = read(reading, 0, reading.size);
  }

  /** The next `length` bytes; fewer only where the object ends. Never holds more than these and a chunk. */
  async take(length: number): Promise<Buffer> {
    const parts: Uint8Array[] = [];
    let missing = length;
    while (missing > 0) {
      if (this.#rest.length === 0) {
        const next = await this.#chunks.next();
        if (next.done === true) break;
        this.#rest = next.value;
      }
      const part = this.#rest.subarray(0, missing);
      this.#rest = this.#rest.subarray(part.length);
      missing -= part.length;
      parts.push(part);
    }
    this.position += length - missing;
    const [only, ...more] = parts;
    if (only !== undefined && more.length === 0)
      return Buffer.from(only.buffer, only.byteOffset, only.length);
    return Buffer.concat(parts);
  }

  /** Ends the store's reading. */
  async close(): Promise<void> {
    await this.#chunks.return(undefined);
  }
}
