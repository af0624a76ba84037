// The text of a stretch of bytes, decoded at once: a call a record costs an eighth of all reading.

/** Decoded at once, in bytes: about a window. */
const stretchBytes = 64 * 1024;

/** A needle may look at so many bytes behind the place that it finds. */
const lookahead = 4;

/**
 * Follows a reader through a buffer, record by record. It keeps the reader's place in the text beside its place in
 * the bytes, which differ where characters take several bytes. When it loses step, it says so by having no text, until
 * the stretch is over: no byte is decoded ahead twice.
 */
export class TextAhead {
  /** Empty: out of step. */
  #text = "";
  /** Where in the text the reader is. */
  #at = 0;
  /** Where in the bytes the text ends. */
  #end = 0;

  /**
   * The text from the reader's place, `start`, to its next `needle`, or undefined when it must be decoded apart. The
   * caller knows that in the bytes that place is `end`.
   */
  upTo(end: number, needle: Needle, buffer: Buffer, start: number): string | undefined {
    if (start >= this.#end) this.#decode(buffer, start);
    if (this.#text === "") return undefined;
    if (end + lookahead > this.#end) {
      this.lose();
      return undefined;
    }
    const from = this.#at;
    this.#at = needle(this.#text, from);
    return this.#text.slice(from, this.#at);
  }

  /** The reader has gone on by so many bytes, of one character each. */
  skip(bytes: number): void {
    this.#at += bytes;
  }

  /** The reader has gone elsewhere. */
  lose(): void {
    this.#text = "";
  }

  /** The buffer has lost `by` bytes at its start. */
  moved(by: number): void {
    this.#end -= by;
  }

  #decode(buffer: Buffer, start: number): void {
    this.#end = wholeCharacters(buffer, start, Math.min(buffer.length, start + stretchBytes));
    this.#at = 0;
    const text = buffer.toString("utf8", start, this.#end);
    // Decoding puts U+FFFD where bytes are not UTF-8: then each record is looked at alone.
    this.#text = text.includes("\ufffd") ? "" : text;
  }
}

/** Finds, in the text, the same place that was found in the bytes. */
export type Needle = (text: string, from: number) => number;

/** The largest end at which no character is cut in two. A character that only just fits may be left out as well. */
function wholeCharacters(buffer: Buffer, start: number, end: number): number {
  let at = end;
  while (at > start && ((buffer[at - 1] ?? 0) & 0xc0) === 0x80) at--;
  if (at > start && (buffer[at - 1] ?? 0) >= 0xc0) at--;
  return at;
}
