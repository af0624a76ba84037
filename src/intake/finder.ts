// The next place of some bytes, remembered: however often it is asked for, no byte is searched twice.

/** Looks ahead in a buffer that moves on. */
export class Finder {
  readonly #needle: number | Buffer;
  readonly #length: number;
  /** A place before such a byte is none; before a byte that has not arrived, not yet. */
  readonly #unlessBefore: ((byte: number) => boolean) | undefined;
  #at = -1;
  #searched = 0;

  constructor(needle: number | Buffer, unlessBefore?: (byte: number) => boolean) {
    this.#needle = needle;
    this.#length = typeof needle === "number" ? 1 : needle.length;
    this.#unlessBefore = unlessBefore;
  }

  /** The first place from `from` on, infinity when there is none yet. `from` must never go back. */
  next(buffer: Buffer, from: number): number {
    if (this.#at >= from) return this.#at;
    let start = Math.max(from, this.#searched);
    for (;;) {
      const found = buffer.indexOf(this.#needle, start);
      const next = found === -1 ? undefined : buffer[found + this.#length];
      if (found === -1 || (next === undefined && this.#unlessBefore !== undefined)) {
        this.#searched = found === -1 ? Math.max(0, buffer.length - this.#length + 1) : found;
        this.#at = Number.POSITIVE_INFINITY;
        return this.#at;
      }
      if (next === undefined || this.#unlessBefore?.(next) !== true) {
        this.#at = found;
        return found;
      }
      start = found + 1;
    }
  }

  /** The buffer has lost `by` bytes at its start, and may have more at its end. */
  moved(by: number): void {
    this.#at = this.#at === Number.POSITIVE_INFINITY ? -1 : this.#at - by;
    this.#searched = Math.max(0, this.#searched - by);
  }
}
