// One tenant's day: an append that adds only the lines that are missing, and is on the disk when it resolves.
import { createReadStream } from "node:fs";
import { mkdir, open, realpath } from "node:fs/promises";
import { basename, dirname } from "node:path";

/**
 * Appends those of the lines whose event the file does not hold yet; makes the file and its folder when they are
 * missing. Answers `"not-its-folder"`, and writes nothing, when the folder is another one by its real name.
 *
 * @throws what the file system throws.
 */
export async function appendMissing(
  path: string,
  lines: readonly string[],
): Promise<"written" | "not-its-folder"> {
  const folder = dirname(path);
  await mkdir(folder, { recursive: true });
  // Where upper and lower case are one, another tenant's folder may have answered; and a link leads anywhere.
  // Some systems keep names decomposed, and give them back so.
  if (basename(await realpath(folder)).normalize("NFC") !== basename(folder)) return "not-its-folder";
  const missing = new Map(lines.map((line) => [keyOf(line), line]));
  const found = await lookFor(missing, path);
  for (const key of found.keys) missing.delete(key);
  const file = await open(path, "a");
  try {
    await file.writeFile((found.torn ? "\n" : "") + [...missing.values()].join(""));
    // Also when nothing was missing: an earlier try may have written the lines without getting as far as this.
    await file.sync();
  } finally {
    await file.close();
  }
  if (!found.exists) await Promise.all([folder, dirname(folder)].map(syncFolder));
  return "written";
}

/** The part of a line that names its event: `{"id":"…","metric_name":"…"`. Quotes inside are escaped: no value holds the end. */
function keyOf(line: string): string {
  return line.slice(0, line.indexOf(',"time":'));
}

interface Found {
  readonly exists: boolean;
  readonly keys: ReadonlySet<string>;
  /** The file's last line has no end. */
  readonly torn: boolean;
}

/** Reads a day's file in pieces, and says which of the wanted lines it holds whole. */
async function lookFor(wanted: ReadonlyMap<string, string>, path: string): Promise<Found> {
  const keys = new Set<string>();
  const note = (line: string) => {
    const key = keyOf(line);
    // Half a line is never JSON.
    if (wanted.has(key) && isJson(line)) keys.add(key);
  };
  let rest: Buffer = Buffer.alloc(0);
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
      const bytes: Buffer = Buffer.concat([rest, chunk]);
      let start = 0;
      for (let end = bytes.indexOf("\n"); end !== -1; end = bytes.indexOf("\n", start)) {
        note(bytes.toString("utf8", start, end));
        start = end + 1;
      }
      rest = bytes.subarray(start);
    }
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
    return { exists: false, keys, torn: false };
  }
  note(rest.toString("utf8"));
  return { exists: true, keys, torn: rest.byteLength > 0 };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Makes a new name in a folder last. Windows opens no folders, and keeps a journal of their names. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === "win32") return;
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** What the operating system calls the failure, when it is one of its own. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
