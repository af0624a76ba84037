// Finds where one JSON object or array ends, byte by byte and over any number of windows, or where it stops being JSON.

/** `end`: the container is complete. `illegal`: no JSON goes on like this. `more`: so far so good. */
export type Verdict = "end" | "illegal" | "more";

// What the grammar of RFC 8259 allows next.
const VALUE = 0;
const VALUE_OR_END = 1;
const KEY = 2;
const KEY_OR_END = 3;
const COLON = 4;
const COMMA_OR_END = 5;
const STRING = 6;
const ESCAPED = 7;
const HEX = 8;
const LITERAL = 9;
const MINUS = 10;
const ZERO = 11;
const DIGITS = 12;
const POINT = 13;
const FRACTION = 14;
const EXPONENT = 15;
const EXPONENT_SIGN = 16;
const EXPONENT_DIGITS = 17;

/**
 * Strict: it accepts exactly what `JSON.parse` accepts, but for one thing: inside strings it takes any byte from
 * 0x80 up, since malformed UTF-8 moves no boundary.
 */
export class JsonScanner {
  /**
   * Bytes read since {@link begin}. At `end` it is the container's length, at `illegal` the offset of the byte
   * that must not stand there.
   */
  length = 0;
  /** Where the containers that are still open began, outermost first: an object's offset, `~offset` for an array. */
  readonly open: number[] = [];
  #state = VALUE;
  /** The string under way is an object's key. */
  #isKey = false;
  /** What is left of `true`, `false`, `null`, or how many digits of a `\u` escape. */
  #literal = "";
  #left = 0;

  begin(): void {
    this.length = 0;
    this.open.length = 0;
    this.#state = VALUE;
  }

  /**
   * Reads on. `start` is where the container begins in `bytes`, `end` where to stop; what was read since
   * {@link begin} is not looked at again. The first byte must be `{` or `[`.
   */
  scan(bytes: Uint8Array, start: number, end: number): Verdict {
    let state = this.#state;
    let at = start + this.length;
    let verdict: Verdict = "more";
    scanning: while (at < end) {
      const byte = bytes[at] ?? 0;
      switch (state) {
        case STRING:
          if (byte === 0x22) state = this.#isKey ? COLON : COMMA_OR_END;
          else if (byte === 0x5c) state = ESCAPED;
          else if (byte < 0x20) break;
          at++;
          continue;
        case ESCAPED:
          if (byte === 0x75) {
            state = HEX;
            this.#left = 4;
          } else if (isEscape(byte)) state = STRING;
          else break;
          at++;
          continue;
        case HEX:
          if (!isHexDigit(byte)) break;
          this.#left--;
          if (this.#left === 0) state = STRING;
          at++;
          continue;
        case COMMA_OR_END:
          if (byte === 0x2c) state = this.#inArray() ? VALUE : KEY;
          else if (byte === 0x7d || byte === 0x5d) {
            if (this.#inArray() !== (byte === 0x5d)) break;
            this.open.pop();
            if (this.open.length === 0) {
              at++;
              verdict = "end";
              break scanning;
            }
          } else if (!isBlank(byte)) break;
          at++;
          continue;
        case COLON:
          if (byte === 0x3a) state = VALUE;
          else if (!isBlank(byte)) break;
          at++;
          continue;
        case KEY:
        case KEY_OR_END:
          if (byte === 0x22) {
            this.#isKey = true;
            state = STRING;
          } else if (byte === 0x7d && state === KEY_OR_END) {
            state = COMMA_OR_END;
            continue;
          } else if (!isBlank(byte)) break;
          at++;
          continue;
        case VALUE:
        case VALUE_OR_END:
          if (byte === 0x22) {
            this.#isKey = false;
            state = STRING;
          } else if (byte === 0x7b) {
            this.open.push(at - start);
            state = KEY_OR_END;
          } else if (byte === 0x5b) {
            this.open.push(~(at - start));
            state = VALUE_OR_END;
          } else if (byte === 0x5d && state === VALUE_OR_END) {
            state = COMMA_OR_END;
            continue;
          } else if (byte === 0x2d) state = MINUS;
          else if (byte === 0x30) state = ZERO;
          else if (isDigit(byte)) state = DIGITS;
          else if (byte === 0x74 || byte === 0x66 || byte === 0x6e) {
            this.#literal = byte === 0x74 ? "true" : byte === 0x66 ? "false" : "null";
            this.#left = this.#literal.length - 1;
            state = LITERAL;
          } else if (!isBlank(byte)) break;
          at++;
          continue;
        case LITERAL:
          if (byte !== this.#literal.charCodeAt(this.#literal.length - this.#left)) break;
          this.#left--;
          if (this.#left === 0) state = COMMA_OR_END;
          at++;
          continue;
        case MINUS:
          if (!isDigit(byte)) break;
          state = byte === 0x30 ? ZERO : DIGITS;
          at++;
          continue;
        case ZERO:
        case DIGITS:
        case FRACTION:
          if (isDigit(byte) && state !== ZERO) at++;
          else if (byte === 0x2e && state !== FRACTION) {
            state = POINT;
            at++;
          } else if (byte === 0x65 || byte === 0x45) {
            state = EXPONENT;
            at++;
          } else state = COMMA_OR_END;
          continue;
        case POINT:
          if (!isDigit(byte)) break;
          state = FRACTION;
          at++;
          continue;
        case EXPONENT:
        case EXPONENT_SIGN:
          if (isDigit(byte)) state = EXPONENT_DIGITS;
          else if (state === EXPONENT && (byte === 0x2b || byte === 0x2d)) state = EXPONENT_SIGN;
          else break;
          at++;
          continue;
        case EXPONENT_DIGITS:
          if (isDigit(byte)) at++;
          else state = COMMA_OR_END;
          continue;
      }
      verdict = "illegal";
      break;
    }
    this.#state = state;
    this.length = at - start;
    return verdict;
  }

  #inArray(): boolean {
    return (this.open.at(-1) ?? 0) < 0;
  }
}

/** White space of RFC 8259. */
export function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function isHexDigit(byte: number): boolean {
  return isDigit(byte) || (byte >= 0x41 && byte <= 0x46) || (byte >= 0x61 && byte <= 0x66);
}

/** What may follow a backslash, `u` apart: `"` `\` `/` `b` `f` `n` `r` `t`. */
function isEscape(byte: number): boolean {
  return (
    byte === 0x22 ||
    byte === 0x5c ||
    byte === 0x2f ||
    byte === 0x62 ||
    byte === 0x66 ||
    byte === 0x6e ||
    byte === 0x72 ||
    byte === 0x74
  );
}
