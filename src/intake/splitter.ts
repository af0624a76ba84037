// Cuts a stream of windows into records, and parses them.
import { isUtf8 } from "node:buffer";
import type { Damage } from "./container.ts";
import { isTooDeep, maxDepth } from "./depth.ts";
import { Doom, type Fault } from "./doom.ts";
import { Finder } from "./finder.ts";
import { isBlank, JsonScanner } from "./json-scanner.ts";
import type { InvalidCode, InvalidRecord, RawRecord } from "./records.ts";
import { followsString, Restart } from "./restart.ts";
import { isUtf16 } from "./utf16.ts";

const LINE_FEED = 0x0a;
const COMMA = 0x2c;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const byteOrderMark = Buffer.from("\ufeff");

/** Two records with nothing between them: where the first is likely to end. */
const joint = Buffer.from('}{"');

/**
 * How much may wait for a line feed or `}{"` to come: about a window. What is longer is scanned as it comes, or one
 * line of a million records between spaces would have to be held.
 */
const patienceBytes = 64 * 1024;

type Mode =
  /** Before a record, or at one that has only just begun to arrive. */
  | "between"
  /** Inside an object or array, whose end only the scanner can find. */
  | "scanning"
  /** In what is not JSON, until a record can begin. */
  | "resyncing"
  /** In what starts like no object or array, until the line ends or an object begins. */
  | "line";

/**
 * The reader's state. No proper prefix of a JSON object is JSON, so a slice that parses is a whole record: the slice
 * up to the next line feed or `}{"` is tried first, and only what does not parse is scanned byte by byte.
 *
 * Positions are indexes into `#buffer`, which moves on with `#base`; the start of a record whose bytes have been let
 * go is negative.
 */
export class Splitter {
  readonly #maxBytes: number;
  readonly #scanner = new JsonScanner();
  readonly #lineFeed = new Finder(LINE_FEED);
  readonly #joint = new Finder(joint, followsString);
  /** Why the last records that were scanned failed. */
  readonly #doom = new Doom();
  /** While resyncing or in a line. */
  readonly #restart: Restart;

  /** What has arrived and is still needed: a window, or the beginning of `#storage`. */
  #buffer: Buffer = Buffer.alloc(0);
  /**
   * Written to again and again, so no record may be a view of it. New memory for every window would make V8 mark the
   * whole heap again and again, for a sixth of an event's CPU (`npm run bench`).
   */
  #storage: Buffer = Buffer.alloc(0);
  /** The offset of `#buffer` in the stream. */
  #base = 0;
  #index = 0;

  #mode: Mode = "between";
  /** The start of the record under way. */
  #at = 0;
  /** How many records in a row have ended at a line feed. */
  #lines = 0;
  /**
   * Records that begin before this are scanned: the line feed or `}{"` there has been tried and is not their end. So is
   * the record behind a broken one, because where much is broken, exceptions would cost more than scans.
   */
  #distrusted = 0;
  /** What is wrong with the record under way: the offset in the stream of a byte, or that there are too few of them. */
  #fault: Fault | undefined;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.#restart = new Restart(maxBytes, this.#doom);
  }

  push(window: Buffer): RawRecord[] {
    this.#append(window);
    return this.#split(false);
  }

  /** Ends the stream, or the part of it before a damage. */
  finish(damage?: Damage): RawRecord[] {
    const records = this.#split(true);
    if (damage === undefined) return records;
    const at = this.#base + this.#buffer.length;
    const { damage: code, reason, start, end } = damage;
    records.push({ index: this.#index++, start: at, end: at, code, reason, stored: { start, end } });
    return records;
  }

  #split(ended: boolean): RawRecord[] {
    const records: RawRecord[] = [];
    for (;;) {
      const record = this.#next(ended);
      if (record === undefined) return records;
      records.push(record);
    }
  }

  /** The next record, or undefined when more bytes are needed. */
  #next(ended: boolean): RawRecord | undefined {
    if (this.#mode === "between") {
      const record = this.#begin(ended);
      if (record !== undefined || this.#mode === "between") return record;
    }
    if (this.#mode === "scanning") {
      const record = this.#scan(ended);
      if (record !== undefined || this.#mode === "scanning") return record;
    }
    const end = this.#restart.next(this.#buffer, this.#base, ended);
    if (end !== undefined) return this.#close(end, false);
    return ended ? this.#close(this.#buffer.length, true) : undefined;
  }

  /** Between records: finds the next one's start, and its end in the easy case. Else it chooses the mode to go on in. */
  #begin(ended: boolean): RawRecord | undefined {
    const first = this.#skipBlanks(ended);
    if (first === undefined) return undefined;
    this.#fault = undefined;
    if (first !== OPEN_OBJECT && first !== OPEN_ARRAY) {
      this.#search("line", this.#at + 1);
      return undefined;
    }
    const fault = this.#doom.of(this.#base + this.#at);
    if (fault !== undefined) {
      this.#fail(fault);
      return undefined;
    }
    if (this.#at >= this.#distrusted) {
      const candidate = this.#candidate(ended);
      if (candidate !== Number.POSITIVE_INFINITY) {
        const record = this.#try(candidate, first === OPEN_OBJECT ? CLOSE_OBJECT : CLOSE_ARRAY);
        if (record !== undefined) return record;
        this.#distrusted = candidate;
        this.#lines = 0;
      } else if (this.#buffer.length - this.#at < patienceBytes) return undefined;
      else this.#distrusted = this.#buffer.length;
    }
    this.#mode = "scanning";
    this.#scanner.begin();
    return undefined;
  }

  /** The nearest place where the record at hand is likely to end; infinity when none has arrived. */
  #candidate(ended: boolean): number {
    const lineFeed = this.#lineFeed.next(this.#buffer, this.#at + 1);
    // Where records stand on lines, searching for joints would be in vain.
    if (this.#lines > 1 && lineFeed !== Number.POSITIVE_INFINITY) return lineFeed;
    const joined = this.#joint.next(this.#buffer, this.#at + 1) + 1;
    const nearest = lineFeed < joined ? lineFeed : joined;
    return ended && nearest === Number.POSITIVE_INFINITY ? this.#buffer.length : nearest;
  }

  /** The record up to the candidate, if that is what it is. */
  #try(candidate: number, close: number): RawRecord | undefined {
    const buffer = this.#buffer;
    const start = this.#at;
    const end = this.#trimmed(candidate);
    // The last byte tells most of what cannot parse, for less than an exception costs.
    if (buffer[end - 1] !== close || end - start > this.#maxBytes) return undefined;
    const record = this.#parse(end);
    if (record === undefined) return undefined;
    this.#at = candidate;
    this.#lines = buffer[candidate] === LINE_FEED ? this.#lines + 1 : 0;
    return record;
  }

  /** Goes to the next byte that is neither white space nor a byte order mark; undefined when it has not arrived. */
  #skipBlanks(ended: boolean): number | undefined {
    const buffer = this.#buffer;
    for (let at = this.#at; ; at += byteOrderMark.length) {
      while (isBlank(buffer[at])) at++;
      this.#at = at;
      const first = buffer[at];
      if (first !== byteOrderMark[0]) return first;
      const mark = buffer.subarray(at, at + byteOrderMark.length);
      if (mark.equals(byteOrderMark)) continue;
      const unfinished = !ended && mark.equals(byteOrderMark.subarray(0, mark.length));
      return unfinished ? undefined : first;
    }
  }

  #scan(ended: boolean): RawRecord | undefined {
    const buffer = this.#buffer;
    const start = this.#at;
    const limit = start + this.#maxBytes;
    const verdict = this.#scanner.scan(buffer, start, Math.min(limit, buffer.length));
    if (verdict === "end") {
      const end = start + this.#scanner.length;
      // What the scanner accepts parses; if ever it did not, the record would be invalid, and no other harmed.
      const record = this.#parse(end) ?? this.#invalid(end, "NOT_JSON", this.#notJson());
      this.#mode = "between";
      this.#at = end;
      return record;
    }
    if (verdict === "illegal") this.#failScanned(this.#base + start + this.#scanner.length);
    else if (buffer.length > limit) this.#search("resyncing", limit);
    else if (ended) this.#failScanned("ended");
    return undefined;
  }

  #failScanned(fault: Fault): void {
    this.#doom.add(this.#base + this.#at, this.#scanner, fault);
    this.#fail(fault);
  }

  #fail(fault: Fault): void {
    this.#fault = fault;
    this.#search(this.#buffer[this.#at] === OPEN_OBJECT ? "resyncing" : "line", this.#at + 1);
  }

  /** Searches from there on for the end of a record that only the beginning of another tells, or the end of its line. */
  #search(mode: "resyncing" | "line", from: number): void {
    this.#mode = mode;
    const before = this.#buffer[from - 1];
    const separates = before === COMMA || before === OPEN_ARRAY;
    this.#restart.begin(from, mode === "line", separates ? undefined : before);
  }

  /** Ends a record whose end was searched for. */
  #close(next: number, ended: boolean): RawRecord {
    const line = this.#mode === "line";
    const fault = this.#fault;
    let record: RawRecord | undefined;
    if (next - this.#at > this.#maxBytes) {
      record = this.#invalid(next, "TOO_LARGE", `the record is larger than ${this.#maxBytes} bytes`);
    } else {
      const end = this.#trimmed(next);
      if (line && beginsScalar(this.#buffer[this.#at])) record = this.#parse(end);
      if (record === undefined && fault === "ended" && ended) {
        record = this.#invalid(end, "CUT_OFF", "the object ends inside this record");
      }
      record ??= this.#invalid(end, "NOT_JSON", this.#notJson());
      if ("code" in record && record.bytes !== undefined && isUtf16(record.bytes)) {
        record = { ...record, code: "UTF_16", reason: "the record is UTF-16, and JSON must be UTF-8" };
      }
    }
    this.#mode = "between";
    this.#at = next;
    if ("code" in record) this.#distrusted = Math.max(this.#distrusted, next + 1);
    return record;
  }

  /** The record up to `end`, or undefined when it is not JSON. */
  #parse(end: number): RawRecord | undefined {
    const start = this.#at;
    // Without a name of the encoding Node looks for none.
    const text = this.#buffer.toString(undefined, start, end);
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      return undefined;
    }
    // Decoding puts U+FFFD where bytes are not UTF-8, and somebody may have meant one.
    if (text.includes("\ufffd") && !isUtf8(this.#buffer.subarray(start, end))) {
      return this.#invalid(end, "INVALID_UTF8", "the record has bytes that are not UTF-8");
    }
    // Nothing shorter can be so deep: each level has two brackets.
    if (end - start > 2 * maxDepth && isTooDeep(text, value)) {
      return this.#invalid(end, "TOO_DEEP", `the record is nested deeper than ${maxDepth} levels`);
    }
    // One wide character makes all of a text wide; its bytes take half of that, for as long as the record is held.
    const raw = text.length === end - start ? text : this.#buffer.toString("latin1", start, end);
    return { value, raw, index: this.#index++, start: this.#base + start, end: this.#base + end };
  }

  #invalid(end: number, code: InvalidCode, reason: string): InvalidRecord {
    return {
      index: this.#index++,
      start: this.#base + this.#at,
      end: this.#base + end,
      code,
      reason,
      ...(code === "TOO_LARGE" ? {} : { bytes: Buffer.from(this.#buffer.subarray(this.#at, end)) }),
    };
  }

  #trimmed(end: number): number {
    let at = end;
    while (isBlank(this.#buffer[at - 1])) at--;
    return at;
  }

  #notJson(): string {
    if (this.#fault === undefined) return "the record is not JSON";
    if (this.#fault === "ended") return "the record is not JSON: it ends before its last bracket";
    return `the record is not JSON: wrong byte at offset ${this.#fault - this.#base - this.#at}`;
  }

  /** Puts a window behind what is still needed. A byte is copied a bounded number of times, however long its record. */
  #append(window: Buffer): void {
    const old = this.#buffer;
    const searching = this.#mode === "resyncing" || this.#mode === "line";
    // The bytes of what has grown too large will not be kept, so they can go.
    const done = searching && this.#restart.at - this.#at > this.#maxBytes ? this.#restart.at : this.#at;
    const rest = old.length - done;
    const length = rest + window.length;
    if (rest === 0 && this.#storage.length === 0) {
      // Many a stream is one window, which is read where it is.
      this.#buffer = window;
    } else {
      if (length <= this.#storage.length) old.copyWithin(0, done);
      else {
        this.#storage = Buffer.allocUnsafeSlow(2 * length);
        old.copy(this.#storage, 0, done);
      }
      window.copy(this.#storage, rest);
      this.#buffer = this.#storage.subarray(0, length);
    }
    this.#base += done;
    this.#at -= done;
    this.#distrusted -= done;
    for (const search of [this.#lineFeed, this.#joint, this.#restart]) search.moved(done);
  }
}

/** Junk is not tried: an exception costs more than a good record. */
function beginsScalar(byte: number | undefined): boolean {
  // `"`, `-`, the digits, and the first letters of `true`, `false` and `null`.
  return byte !== undefined && '"-0123456789tfn'.includes(String.fromCharCode(byte));
}
