// Finds where a record can begin again behind what is not JSON, byte by byte and over any number of windows.
import type { Doom } from "./doom.ts";
import { isBlank, JsonScanner } from "./json-scanner.ts";

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** No byte. */
const NOTHING = -1;
/** A colon behind a quote, as behind a key. In text a colon may stand before anything. */
const KEYS_COLON = -2;

/** What a brace may be: where a record begins, a part of what is not JSON, or the first byte of an object inside it. */
type Verdict = "begins" | "part" | "nested" | "more";

/** One search at a time. Positions are indexes into a buffer that moves on. */
export class Restart {
  readonly #maxBytes: number;
  readonly #doom: Doom;
  readonly #scanner = new JsonScanner();

  /** How far the search has come. What stands before is not needed any more. */
  at = 0;
  /** It also ends where the line does. */
  #inLine = false;
  /** The last byte before `at` that is no white space and can tell what stands behind it. */
  #before = NOTHING;
  /** How many blanks stand between `at` and the start of its line; -1 when anything else does. */
  #indent = -1;
  /** What stands before `at` is an object inside the record that broke; or such an object and one comma. */
  #sibling: "none" | "object" | "comma" = "none";

  /** Behind the brace or from the line end at `at` on: how many blanks have been read. */
  #blanks = 0;
  /** Of the object there: nothing is known, or it is being read, or its end is known. */
  #object: "unread" | "open" | "whole" = "unread";
  /** How many blanks behind that object have been read. */
  #tail = 0;

  /** @param maxBytes nothing longer is looked at in order to judge one brace. */
  constructor(maxBytes: number, doom: Doom) {
    this.#maxBytes = maxBytes;
    this.#doom = doom;
  }

  /** @param before the byte before `at`, unless it tells nothing: a comma or a bracket may stand between records. */
  begin(at: number, inLine: boolean, before: number | undefined): void {
    this.at = at;
    this.#inLine = inLine;
    this.#before = before ?? NOTHING;
    this.#indent = -1;
    this.#sibling = "none";
    this.#forget();
  }

  /**
   * The place where the search ends, undefined when it has not arrived.
   *
   * @param base the offset of the buffer in the stream.
   */
  next(buffer: Buffer, base: number, ended: boolean): number | undefined {
    while (this.at < buffer.length) {
      const found = this.#skip(buffer);
      if (found === undefined) return undefined;
      const judge = found === OPEN_OBJECT ? this.#judge : this.#judgeLineEnd;
      const verdict = judge.call(this, buffer, base, ended);
      if (verdict === "more") return undefined;
      if (verdict === "begins") return this.at;
      if (verdict === "nested") {
        this.at += (found === OPEN_OBJECT ? 0 : this.#blanks) + this.#scanner.length;
        this.#before = CLOSE_OBJECT;
        this.#sibling = "object";
      } else {
        this.at++;
        this.#before = OPEN_OBJECT;
        this.#sibling = "none";
      }
      this.#indent = -1;
      this.#forget();
    }
    return undefined;
  }

  /** The buffer has lost `by` bytes at its start. */
  moved(by: number): void {
    this.at -= by;
  }

  /** Goes to the next brace, or to the end of the line if that ends the search. */
  #skip(buffer: Buffer): number | undefined {
    let at = this.at;
    let before = this.#before;
    let indent = this.#indent;
    let sibling = this.#sibling;
    let found: number | undefined;
    for (; at < buffer.length; at++) {
      const byte = buffer[at] ?? 0;
      const endsLine = isLineEnd(byte);
      if (byte === OPEN_OBJECT || (endsLine && this.#inLine)) {
        found = byte;
        break;
      }
      if (endsLine) indent = 0;
      else if (isBlank(byte)) {
        if (indent >= 0) indent++;
      } else {
        before = byte === COLON && before === QUOTE ? KEYS_COLON : byte;
        indent = -1;
        sibling = sibling === "object" && byte === COMMA ? "comma" : "none";
      }
    }
    this.at = at;
    this.#before = before;
    this.#indent = indent;
    this.#sibling = sibling;
    return found;
  }

  #judge(buffer: Buffer, base: number, ended: boolean): Verdict {
    if (this.#inLine || this.#indent === -1) {
      const opening = this.#inLine || this.#before === CLOSE_OBJECT ? this.#opening(buffer, ended) : "part";
      if (opening !== "begins") return opening;
    }
    // A line that starts with its brace starts a record.
    if (this.#indent === 0) return "begins";
    const mayBeInside = this.#inLine ? standsBeforeValue(this.#before) : this.#before !== CLOSE_OBJECT;
    return mayBeInside ? this.#nesting(buffer, this.at, base, ended) : "begins";
  }

  /** Whether the line that ends at `at` ends the search, or an object on the lines behind it is still inside. */
  #judgeLineEnd(buffer: Buffer, base: number, ended: boolean): Verdict {
    if (!standsBeforeValue(this.#before)) return "begins";
    while (isBlank(buffer[this.at + this.#blanks])) this.#blanks++;
    if (this.#blanks > this.#maxBytes) return "begins";
    const start = this.at + this.#blanks;
    if (start === buffer.length) return ended ? "begins" : "more";
    const isIndented = !isLineEnd(buffer[start - 1]);
    return buffer[start] === OPEN_OBJECT && isIndented ? this.#nesting(buffer, start, base, ended) : "begins";
  }

  /**
   * Whether a key follows the brace. Between records the two bytes `}{"` may also be the end of a string, but in JSON
   * only some bytes can follow a string, and a key rarely begins with one.
   */
  #opening(buffer: Buffer, ended: boolean): Verdict {
    const first = this.at + 1;
    while (isBlank(buffer[first + this.#blanks])) this.#blanks++;
    if (this.#blanks > this.#maxBytes) return "part";
    const at = first + this.#blanks;
    const end = this.#inLine ? at : at + 1;
    if (at < buffer.length && buffer[at] !== QUOTE) return "part";
    if (end >= buffer.length) return ended ? "part" : "more";
    return this.#inLine || !followsString(buffer[end]) ? "begins" : "part";
  }

  /**
   * Whether an object begins there that goes on as the values of a record do. Between two commas may also stand a
   * record, where records are separated by commas, unless the object before was such a value.
   */
  #nesting(buffer: Buffer, start: number, base: number, ended: boolean): Verdict {
    if (this.#object === "unread") {
      if (this.#doom.of(base + start) !== undefined) return "begins";
      this.#scanner.begin();
      this.#object = "open";
    }
    if (this.#object === "open") {
      const limit = start + this.#maxBytes;
      const verdict = this.#scanner.scan(buffer, start, Math.min(limit, buffer.length));
      if (verdict === "illegal")
        this.#doom.add(base + start, this.#scanner, base + start + this.#scanner.length);
      if (verdict === "more" && buffer.length <= limit && !ended) return "more";
      if (verdict !== "end") return "begins";
      this.#object = "whole";
    }
    const end = start + this.#scanner.length;
    while (isBlank(buffer[end + this.#tail])) this.#tail++;
    const at = end + this.#tail;
    if (at - start > this.#maxBytes) return "begins";
    if (at >= buffer.length) return ended ? "begins" : "more";
    const isBetweenCommas = this.#before === COMMA && buffer[at] === COMMA && this.#sibling !== "comma";
    return followsValue(buffer[at]) && !isBetweenCommas ? "nested" : "begins";
  }

  #forget(): void {
    this.#blanks = 0;
    this.#object = "unread";
    this.#tail = 0;
  }
}

function isLineEnd(byte: number | undefined): boolean {
  return byte === LINE_FEED || byte === CARRIAGE_RETURN;
}

function standsBeforeValue(byte: number): boolean {
  return byte === KEYS_COLON || byte === COMMA || byte === OPEN_ARRAY;
}

function followsValue(byte: number | undefined): boolean {
  return byte === COMMA || byte === CLOSE_OBJECT || byte === CLOSE_ARRAY;
}

/** What may follow a string in JSON, as a key or as a value. */
export function followsString(byte: number | undefined): boolean {
  return byte === COLON || followsValue(byte) || isBlank(byte);
}
