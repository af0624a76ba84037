// Objects as files under one folder: S3's promises kept on a local disk.
import { createHash, randomUUID } from "node:crypto";
import { type BigIntStats, constants } from "node:fs";
import { type FileHandle, link, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import { type Clock, systemClock } from "../delivery/clock.ts";
import {
  type ObjectInfo,
  type ObjectStore,
  type ReadOptions,
  StoreError,
  type StoreErrorCode,
} from "./object-store.ts";

export interface FolderOptions {
  /** The folder whose files are the objects; a file's path below it is its key. Made at the first write. */
  readonly root: string;
  /** The store's clock: what `look` calls now and what a write stamps on its file. Default the system's. */
  readonly clock?: Clock;
}

/** Bytes a chunk of `read`: large enough that files cost few calls, small beside any window. */
const chunkBytes = 256 * 1024;

/** A listing after a look should not read a file again, and a folder of any size must fit into memory. */
const rememberedDigests = 10_000;

/** What is not yet an object. A crash can leave one behind; no listing shows it. */
const temporaryName = /^\.[0-9a-f-]{36}\.unfinished$/;

/**
 * An {@link ObjectStore} over a folder. A version is the MD5 of the content, so the first look at a file reads
 * all of it. Writes are made durable as a new file, then named: readers hold either the old file or the new one.
 * A file that somebody else writes to in place while it is read is {@link StoreError} `CHANGED`.
 *
 * Only regular files are objects, also behind symbolic links, which a listing does not follow.
 */
export function folderStore(options: FolderOptions): ObjectStore {
  const root = path.resolve(options.root);
  const { clock = systemClock } = options;
  const digests = new Map<string, { readonly of: string; readonly digest: string }>();

  /** The key's file. */
  function fileOf(key: string, doing: string): string {
    const complaint = complain(key);
    if (complaint !== undefined)
      throw new StoreError("FAILED", `${doing} ${nameOf(key)} failed: ${complaint}`);
    return path.join(root, key);
  }

  const nameOf = (key: string) => path.join(root, key);

  const failed = (doing: string, key: string, error: unknown, signal?: AbortSignal) =>
    fileError(`${doing} ${nameOf(key)}`, error, signal);

  async function digestOf(
    file: string,
    { handle, stats }: Opened,
    signal: AbortSignal | undefined,
  ): Promise<string> {
    // A new file or new content changes the inode or its change time, whatever clock stamps the rest.
    const of = `${stats.ino} ${stats.size} ${stats.mtimeNs} ${stats.ctimeNs}`;
    const known = digests.get(file);
    if (known?.of === of) return known.digest;
    const hash = createHash("md5");
    // One buffer for all of it: nobody else sees it.
    const buffer = Buffer.allocUnsafe(chunkBytes);
    for (let at = 0, end = false; !end; ) {
      signal?.throwIfAborted();
      const { bytesRead } = await handle.read(buffer, 0, chunkBytes, at);
      hash.update(buffer.subarray(0, bytesRead));
      at += bytesRead;
      end = bytesRead === 0;
    }
    const digest = hash.digest("hex");
    if (digests.size >= rememberedDigests) digests.clear();
    digests.set(file, { of, digest });
    return digest;
  }

  /** Undefined when the key names no regular file. */
  async function opened(file: string): Promise<Opened | undefined> {
    let handle: FileHandle | undefined;
    try {
      // Without O_NONBLOCK, opening a pipe would wait for a writer.
      handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
      const stats = await handle.stat({ bigint: true });
      if (stats.isFile()) return { handle, stats };
    } catch (error) {
      // What cannot be opened for reading at all, a socket say, is no object either.
      if (!isMissing(error) && codeOf(error) !== "ENXIO") {
        await handle?.close();
        throw error;
      }
    }
    await handle?.close();
    return undefined;
  }

  async function inspect(key: string, file: string, signal?: AbortSignal): Promise<ObjectInfo | undefined> {
    const found = await opened(file);
    if (found === undefined) return undefined;
    try {
      return {
        key,
        size: Number(found.stats.size),
        version: await digestOf(file, found, signal),
        lastModified: Math.round(Number(found.stats.mtimeNs) / 1e6),
      };
    } finally {
      await found.handle.close();
    }
  }

  /** Makes a durable file without a name of its own, hands it on, and removes what is left of it. */
  async function write(key: string, bytes: Uint8Array, name: (from: string, to: string) => Promise<void>) {
    const file = fileOf(key, "writing");
    const folder = path.dirname(file);
    await makeFolder(folder);
    const temporary = path.join(folder, `.${randomUUID()}.unfinished`);
    try {
      const handle = await open(temporary, "wx");
      try {
        await handle.writeFile(bytes);
        const now = new Date(clock.now());
        await handle.utimes(now, now);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await name(temporary, file);
      digests.delete(file);
      await syncFolder(folder);
    } finally {
      await rm(temporary, { force: true });
    }
  }

  async function* walk(folder: string, prefix: string): AsyncGenerator<ObjectInfo> {
    for (const entry of await entriesOf(path.join(root, folder))) {
      const key = folder + entry;
      if (entry.endsWith("/")) {
        if (key.startsWith(prefix) || prefix.startsWith(key)) yield* walk(key, prefix);
      } else if (key.startsWith(prefix)) {
        const info = await inspect(key, path.join(root, key)).catch((error: unknown) => {
          throw failed("looking at", key, error);
        });
        if (info !== undefined) yield info;
        else if (entry.includes("\ufffd"))
          throw new StoreError("FAILED", `${nameOf(key)}: a name is not UTF-8`);
      }
    }
  }

  return {
    location: fileLocation(root),

    async look(key, { version, signal } = {}) {
      const file = fileOf(key, "looking at");
      try {
        signal?.throwIfAborted();
        const info = await inspect(key, file, signal);
        if (info === undefined) return undefined;
        if (version !== undefined && info.version !== version) throw changed("looking at", file);
        return { ...info, now: clock.now() };
      } catch (error) {
        throw failed("looking at", key, error, signal);
      }
    },

    async *read(key, { version, start = 0, end, signal }: ReadOptions = {}) {
      const file = fileOf(key, "reading");
      if (end !== undefined && end <= start) return;
      let handle: FileHandle | undefined;
      try {
        signal?.throwIfAborted();
        const found = await opened(file);
        if (found === undefined)
          throw new StoreError("NOT_FOUND", `reading ${file} failed: there is no such file`);
        handle = found.handle;
        // The open file stays the one that was compared, whatever takes its name meanwhile.
        if (version !== undefined && (await digestOf(file, found, signal)) !== version) {
          throw changed("reading", file);
        }
        for await (const chunk of chunks(handle, start, end, signal)) {
          await stayedAs(found, file);
          yield chunk;
        }
        // A file that became shorter ends early.
        await stayedAs(found, file);
      } catch (error) {
        throw failed("reading", key, error, signal);
      } finally {
        await handle?.close();
      }
    },

    async put(key, bytes) {
      try {
        await write(key, bytes, rename);
      } catch (error) {
        throw failed("writing", key, error);
      }
    },

    async putIfAbsent(key, bytes) {
      try {
        await write(key, bytes, link);
        return true;
      } catch (error) {
        // A folder of that name is in the way of the key, it does not hold it.
        if (codeOf(error) === "EEXIST" && (await isFile(nameOf(key)))) return false;
        throw failed("writing", key, error);
      }
    },

    async delete(key) {
      const file = fileOf(key, "deleting");
      try {
        if (!(await isFile(file))) return;
        await rm(file, { force: true });
        digests.delete(file);
        await syncFolder(path.dirname(file));
      } catch (error) {
        throw failed("deleting", key, error);
      }
    },

    async *list(prefix) {
      const folder = prefix.slice(0, prefix.lastIndexOf("/") + 1);
      if (folder !== "") fileOf(folder.slice(0, -1), "listing");
      try {
        yield* walk(folder, prefix);
      } catch (error) {
        throw failed("listing", prefix, error);
      }
    },
  };
}

interface Opened {
  readonly handle: FileHandle;
  readonly stats: BigIntStats;
}

/** @throws {StoreError} `CHANGED` when somebody wrote to the open file. Its change time tells less: losing its name changes that. */
async function stayedAs({ handle, stats }: Opened, file: string): Promise<void> {
  const now = await handle.stat({ bigint: true });
  if (now.size !== stats.size || now.mtimeNs !== stats.mtimeNs) throw changed("reading", file);
}

/**
 * `file://` and the path, readable: only what a URL would take for something else is encoded, so that two
 * folders never share a location and `new URL` finds the folder again.
 */
function fileLocation(root: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not stay.
  const encoded = root.replace(/[\u0000-\u0020%?#\\\u007f]/g, encodeURIComponent);
  return `file://${encoded === "/" ? "" : encoded}`;
}

/** Why a key can be no file below the root; undefined when it can. */
function complain(key: string): string | undefined {
  const names = key.split("/");
  if (names.some((name) => name === "" || name === "." || name === "..")) {
    return 'a key in a folder is names joined by single slashes, none of them "." or ".."';
  }
  if (key.includes("\0")) return "a key in a folder holds no NUL";
  if (names.some((name) => temporaryName.test(name))) return "the name is kept for unfinished files";
  return undefined;
}

/** Names of files, and of folders with a slash behind them, in the order in which the keys that they begin sort. */
async function entriesOf(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries
      .filter((entry) => entry.isDirectory() || (entry.isFile() && !temporaryName.test(entry.name)))
      .map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name))
      .map((name) => ({ name, bytes: Buffer.from(name) }))
      .sort((a, b) => Buffer.compare(a.bytes, b.bytes))
      .map(({ name }) => name);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

async function* chunks(
  handle: FileHandle,
  start: number,
  end: number | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  for (let at = start; end === undefined || at < end; ) {
    signal?.throwIfAborted();
    const length = end === undefined ? chunkBytes : Math.min(chunkBytes, end - at);
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(length), 0, length, at);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
    at += bytesRead;
  }
}

/** A folder, and a durable entry for each of its parents that had to be made. */
async function makeFolder(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true });
  if (first === undefined) return;
  for (let made = folder; made.length >= first.length; made = path.dirname(made)) {
    await syncFolder(path.dirname(made));
  }
}

/** A name lasts only when its folder is on the disk. Some file systems offer no such thing: there, nothing is lost by asking. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } catch (error) {
    if (!["EINVAL", "EPERM", "EISDIR", "ENOTSUP"].includes(codeOf(error) ?? "")) throw error;
  } finally {
    await handle.close();
  }
}

async function isFile(file: string): Promise<boolean> {
  try {
    return (await stat(file)).isFile();
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  const code = codeOf(error);
  return code === "ENOENT" || code === "ENOTDIR";
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

function changed(doing: string, file: string): StoreError {
  return new StoreError(
    "CHANGED",
    `${doing} ${file} failed: its content is no longer the version that was asked for`,
  );
}

const codes: Readonly<Record<string, StoreErrorCode>> = {
  EACCES: "DENIED",
  EPERM: "DENIED",
  EROFS: "DENIED",
  EAGAIN: "TRANSIENT",
  EBUSY: "TRANSIENT",
  EINTR: "TRANSIENT",
  EIO: "TRANSIENT",
  EMFILE: "TRANSIENT",
  ENFILE: "TRANSIENT",
  ESTALE: "TRANSIENT",
  ETIMEDOUT: "TRANSIENT",
};

const hints: Readonly<Record<string, string>> = {
  EACCES: "this user may not do that there, check the permissions of the file and its folders",
  EEXIST: "a folder or something else that is no file, or a file where a folder should be, is in the way",
  EISDIR: "a folder of that name is in the way",
  ELOOP: "its symbolic links lead in a circle",
  EPERM: "not permitted here (a write that must not overwrite needs a file system with hard links)",
  ENOTDIR: "a file is in the way where a folder should be",
  ENOTEMPTY: "a folder of that name is in the way",
  ENAMETOOLONG: "a name in the key is too long for a file",
  ENOSPC: "the disk is full",
};

function fileError(doing: string, error: unknown, signal?: AbortSignal): StoreError {
  if (error instanceof StoreError) return error;
  if (signal?.aborted) return new StoreError("TRANSIENT", `${doing} was given up: its time was over`);
  const code = codeOf(error);
  const hint = code === undefined ? undefined : hints[code];
  const what = code ?? (error instanceof Error ? error.name : "an unknown error");
  return new StoreError(
    (code === undefined ? undefined : codes[code]) ?? "FAILED",
    `${doing} failed: ${what}${hint === undefined ? "" : `: ${hint}`}`,
    { cause: error },
  );
}
