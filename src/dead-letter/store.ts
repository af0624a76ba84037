// Writes and reads dead letters: gzip JSONL, one or more files for what one lane refuses of one object.
import { pipeline, Readable } from "node:stream";
import { promisify } from "node:util";
import { createGunzip, gzip } from "node:zlib";
import { type ObjectStore, StoreError } from "../store/object-store.ts";
import type { DeadLetter } from "./dead-letter.ts";

const compress = promisify(gzip);

/** Lines are gathered up to so many characters before they become a file. */
const charactersPerFile = 4 * 1024 * 1024;

export interface LetterWriter {
  /** Takes a letter; it is durable after the next `flush`. */
  add(letter: DeadLetter): void;
  /** Writes what is gathered when it makes a file, or all of it. Rejects when the store does, and from then on. */
  flush(when: "full" | "now"): Promise<void>;
  /** The keys written so far. They count only once a receipt names them. */
  readonly files: readonly string[];
  readonly count: number;
}

export interface LetterPlace {
  readonly sink: string;
  /** `yyyy-mm-dd` of the claim. */
  readonly date: string;
  /** Unique to the claim: a worker that lost its own may still be writing. */
  readonly name: string;
  /** A prefix of the keys: `archive/` for what was given up. Default: none. */
  readonly below?: string;
}

export function createLetterWriter(store: ObjectStore, place: LetterPlace): LetterWriter {
  const { sink, date, name, below = "" } = place;
  const files: string[] = [];
  let lines: string[] = [];
  let characters = 0;
  let count = 0;
  // One write at a time: part numbers then follow the letters' order. One that fails is the last one.
  let writing = Promise.resolve();
  let failed = false;

  const write = async () => {
    if (lines.length === 0) return;
    const text = lines.join("");
    lines = [];
    characters = 0;
    const key = `${below}sink=${sink}/date=${date}/${name}-${String(files.length + 1).padStart(4, "0")}.jsonl.gz`;
    files.push(key);
    try {
      // Create-only, so that a function may be denied to overwrite letters, which are evidence. The name is unique to
      // the claim, so a key that is taken was not written by this run.
      if (!(await store.putIfAbsent(key, await compress(text)))) {
        throw new StoreError("FAILED", `${store.location}/${key} is there already and holds other letters`);
      }
    } catch (error) {
      failed = true;
      lines = [];
      throw error;
    }
  };

  return {
    add(letter) {
      count++;
      // Nothing that is gathered now can become durable, and memory has an end.
      if (failed) return;
      const line = `${JSON.stringify(letter)}\n`;
      lines.push(line);
      characters += line.length;
    },
    flush(when) {
      if (when === "now" || characters >= charactersPerFile) writing = writing.then(write);
      return writing;
    },
    files,
    get count() {
      return count;
    },
  };
}

/**
 * The letters of one file, in the order in which they were written.
 *
 * @throws {StoreError} when the file cannot be read, or is damaged.
 */
export async function* readLetters(store: ObjectStore, key: string): AsyncGenerator<DeadLetter> {
  const gunzip = pipeline(Readable.from(store.read(key)), createGunzip(), () => {});
  try {
    for await (const line of linesOf(gunzip.setEncoding("utf8"))) {
      // Only this module writes such files, and what it writes is a DeadLetter a line.
      yield JSON.parse(line) as DeadLetter;
    }
  } catch (cause) {
    if (cause instanceof StoreError || !(cause instanceof Error)) throw cause;
    // What JSON.parse says may quote the record.
    const what = cause instanceof SyntaxError ? "a line of it is no JSON" : cause.message;
    throw new StoreError(
      "FAILED",
      `${store.location}/${key} is damaged, so its dead letters cannot be read: ${what}`,
    );
  }
}

/** Node's readline takes U+2028 and U+2029 for ends of lines too, which JSON leaves as they are in a string. */
async function* linesOf(chunks: AsyncIterable<string>): AsyncGenerator<string> {
  let parts: string[] = [];
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf("\n"); end >= 0; end = chunk.indexOf("\n", start)) {
      parts.push(chunk.slice(start, end));
      yield parts.join("");
      parts = [];
      start = end + 1;
    }
    if (start < chunk.length) parts.push(chunk.slice(start));
  }
  if (parts.length > 0) yield parts.join("");
}
