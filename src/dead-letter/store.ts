// Writes and reads dead letters: gzip JSONL, one or more files for what one lane refuses of one object.
import { createInterface } from "node:readline";
import { pipeline, Readable } from "node:stream";
import { promisify } from "node:util";
import { createGunzip, gzip } from "node:zlib";
import type { ObjectStore } from "../store/object-store.ts";
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
      await store.put(key, await compress(text));
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

/** The letters of one file, in the order in which they were written. */
export async function* readLetters(store: ObjectStore, key: string): AsyncGenerator<DeadLetter> {
  const gunzip = pipeline(Readable.from(store.read(key)), createGunzip(), () => {});
  for await (const line of createInterface({ input: gunzip })) {
    // Only this module writes such files, and what it writes is a DeadLetter a line.
    yield JSON.parse(line) as DeadLetter;
  }
}
