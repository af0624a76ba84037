import { execFileSync } from "node:child_process";
import {
  appendFile,
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { folderStore } from "../../src/store/folder.ts";
import { type ObjectStore, readAll } from "../../src/store/object-store.ts";
import { subStore } from "../../src/store/sub-store.ts";
import { cases, listed, manualClock, text } from "./suite.ts";

const folders: string[] = [];
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) close();
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

async function world() {
  const folder = await mkdtemp(path.join(tmpdir(), "folder store "));
  folders.push(folder);
  const clock = manualClock();
  const root = path.join(folder, "root");
  return { store: folderStore({ root, clock }), clock, root };
}

describe("a folder", () => {
  for (const { name, run } of cases) test(name, async () => run(await world()));
});

describe("a prefix of a folder", () => {
  for (const { name, run } of cases) {
    test(name, async () => {
      const { store, clock } = await world();
      await store.put("under-it", text("a neighbour"));
      await run({ store: subStore(store, "under/and/below"), clock });
      expect(await listed(store, "under-")).toEqual(["under-it"]);
    });
  }
});

describe("the suite", () => {
  const careless = (store: ObjectStore): ObjectStore => ({
    ...store,
    look: (key) => store.look(key),
    read: (key, { version: _, ...options } = {}) => store.read(key, options),
    putIfAbsent: async (key, bytes) => {
      await store.put(key, bytes);
      return true;
    },
  });
  for (const { name, run } of cases.filter(({ conditional }) => conditional)) {
    test(`fails on a folder that ignores conditions: ${name}`, async () => {
      const { store, clock } = await world();
      await expect(run({ store: careless(store), clock })).rejects.toThrow();
    });
  }
});

describe("a folder as a store", () => {
  test("does not exist before the first write, and is empty until then", async () => {
    const { store, root } = await world();
    expect(await listed(store, "")).toEqual([]);
    expect(await store.look("k")).toBeUndefined();
    await store.delete("k");
    await expect(readdir(root)).rejects.toThrow();
    await store.put("a/b", text("x"));
    expect(await readdir(root)).toEqual(["a"]);
  });

  test("keeps every key inside: what would lead out is refused in every call", async () => {
    const { store, root } = await world();
    await mkdir(root);
    await writeFile(path.join(root, "../secret"), "outside");
    for (const key of ["../secret", "a/../../secret", "/etc/passwd", "", "a//b", "a/", "./a", "..", "a\0b"]) {
      for (const call of [
        () => store.look(key),
        () => readAll(store, key),
        () => store.put(key, text("x")),
        () => store.putIfAbsent(key, text("x")),
        () => store.delete(key),
      ]) {
        await expect(call(), key).rejects.toMatchObject({ code: "FAILED" });
      }
    }
    await expect(listed(store, "../")).rejects.toMatchObject({ code: "FAILED" });
    expect(await readFile(path.join(root, "../secret"), "utf8")).toBe("outside");
  });

  test("a listing shows no unfinished file, follows no link and ends where links run in circles", async () => {
    const { store, root } = await world();
    await store.put("a/real", text("x"));
    await writeFile(path.join(root, "a", ".11111111-2222-4333-8444-555555555555.unfinished"), "half");
    await symlink(root, path.join(root, "a", "circle"));
    expect(await listed(store, "")).toEqual(["a/real"]);
    const key = "a/.11111111-2222-4333-8444-555555555555.unfinished";
    await expect(store.put(key, text("x"))).rejects.toMatchObject({ code: "FAILED" });
  });

  test("leaves nothing behind but the objects, also after lost races and failures", async () => {
    const { store, root } = await world();
    await Promise.all(Array.from({ length: 10 }, (_, owner) => store.putIfAbsent("k", text(`${owner}`))));
    await store.put("k", text("x"));
    await expect(store.put("k/below", text("x"))).rejects.toMatchObject({ code: "FAILED" });
    await mkdir(path.join(root, "folder/full"), { recursive: true });
    await expect(store.put("folder", text("x"))).rejects.toMatchObject({ code: "FAILED" });
    await expect(store.putIfAbsent("folder", text("x"))).rejects.toMatchObject({ code: "FAILED" });
    expect(await readdir(root, { recursive: true })).toEqual(["folder", "k", "folder/full"]);
  });

  test("a folder of the key's name is no object", async () => {
    const { store } = await world();
    await store.put("a/b", text("x"));
    expect(await store.look("a")).toBeUndefined();
    await expect(readAll(store, "a")).rejects.toMatchObject({ code: "NOT_FOUND" });
    await expect(readAll(store, "a/b/c")).rejects.toMatchObject({ code: "NOT_FOUND" });
    await store.delete("a");
    expect(await listed(store, "")).toEqual(["a/b"]);
  });

  test("the version is the content's MD5: a copy keeps it, new content of equal size and time does not", async () => {
    const { store, root } = await world();
    await store.put("k", text("123456789"));
    const info = await store.look("k");
    expect(info?.version).toBe("25f9e794323b453885f5181f1b624d0b");
    const time = new Date(info?.lastModified ?? 0);
    await writeFile(path.join(root, "copy"), "123456789");
    expect((await store.look("copy"))?.version).toBe(info?.version);
    // Written by somebody else, in place, with the old time put back.
    const file = path.join(root, "k");
    const { ctimeNs } = await stat(file, { bigint: true });
    do {
      // Again within the same tick of the file system's clock, nobody could tell the two apart.
      await writeFile(file, "987654321");
      await utimes(file, time, time);
    } while ((await stat(file, { bigint: true })).ctimeNs === ctimeNs);
    expect(await store.look("k")).toMatchObject({ size: 9, lastModified: info?.lastModified });
    expect((await store.look("k"))?.version).not.toBe(info?.version);
  });

  test("every millisecond of the clock survives the file's time stamp", async () => {
    const { store, clock } = await world();
    for (let round = 0; round < 50; round++) {
      clock.advance(1);
      await store.put("k", text("x"));
      expect((await store.look("k"))?.lastModified).toBe(clock.now());
    }
  });

  test("a reader goes on with the version that it opened while another takes its place", async () => {
    const { store } = await world();
    await store.put("k", Buffer.alloc(900_000, "a"));
    const version = (await store.look("k"))?.version ?? "";
    const seen: Uint8Array[] = [];
    for await (const chunk of store.read("k", { version })) {
      if (seen.push(chunk) === 1) await store.put("k", Buffer.alloc(900_000, "b"));
    }
    expect(Buffer.concat(seen).equals(Buffer.alloc(900_000, "a"))).toBe(true);
  });

  test("no two folders share a location, and a location leads back to its folder", () => {
    const roots = ["/a b", "/a%20b", "/a?b", "/a#b", "/ä", "/a\\b", "/a\nb", "/"];
    const locations = roots.map((root) => folderStore({ root }).location);
    expect(new Set(locations).size).toBe(roots.length);
    for (const [index, location] of locations.entries()) {
      expect(decodeURIComponent(new URL(`${location}/k`).pathname)).toBe(path.join(roots[index] ?? "", "k"));
    }
    expect(folderStore({ root: "/var/data/" }).location).toBe("file:///var/data");
    expect(folderStore({ root: "relative" }).location).toBe(`file://${path.resolve("relative")}`);
  });
});

describe("a file that somebody else writes to while it is read", () => {
  const before = Buffer.alloc(900_000, "a");
  const over = async (file: string, bytes: Buffer) => {
    const { mtimeNs } = await stat(file, { bigint: true });
    // Again within the same tick of the file system's clock, nobody could tell the two apart.
    do await writeFile(file, bytes);
    while ((await stat(file, { bigint: true })).mtimeNs === mtimeNs);
  };
  const changes: Readonly<Record<string, (file: string) => Promise<void>>> = {
    "overwritten in place": (file) => over(file, Buffer.alloc(900_000, "b")),
    truncated: (file) => truncate(file, 300_000),
    "truncated to nothing": (file) => truncate(file, 0),
    "truncated, with the old time put back": async (file) => {
      const { atime, mtime } = await stat(file);
      await truncate(file, 300_000);
      await utimes(file, atime, mtime);
    },
    "appended to": (file) => appendFile(file, "b"),
  };
  for (const [name, change] of Object.entries(changes)) {
    for (const named of [true, false]) {
      test(`and ${name} is CHANGED, ${named ? "with" : "without"} a version, and none of the new bytes is given out`, async () => {
        const { store, root } = await world();
        await store.put("k", before);
        const version = named ? { version: (await store.look("k"))?.version ?? "" } : {};
        const seen: Uint8Array[] = [];
        const reading = (async () => {
          for await (const chunk of store.read("k", version)) {
            if (seen.push(chunk) === 1) await change(path.join(root, "k"));
          }
        })();
        await expect(reading).rejects.toMatchObject({
          code: "CHANGED",
          message: expect.stringContaining(path.join(root, "k")),
        });
        expect(Buffer.concat(seen).equals(before.subarray(0, Buffer.concat(seen).length))).toBe(true);
      });
    }
  }

  test("and deleted or replaced is read to its end: the open file stays what it was", async () => {
    for (const change of [
      (store: ObjectStore) => store.delete("k"),
      (store: ObjectStore) => store.put("k", Buffer.alloc(10, "b")),
    ]) {
      const { store } = await world();
      await store.put("k", before);
      const seen: Uint8Array[] = [];
      for await (const chunk of store.read("k")) if (seen.push(chunk) === 1) await change(store);
      expect(Buffer.concat(seen).equals(before)).toBe(true);
    }
  });
});

describe("what is no regular file", () => {
  const makers: Readonly<Record<string, (file: string) => unknown>> = {
    "a pipe": (file) => execFileSync("mkfifo", [file]),
    "a socket": async (file) => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(file, resolve));
      closing.push(() => server.close());
    },
    "a folder": (file) => mkdir(file),
    "a link to nothing": (file) => symlink("nothing", file),
    "a link to a folder": (file) => symlink("/", file),
    "a link to a pipe": (file) => {
      execFileSync("mkfifo", [`${file}.pipe`]);
      return symlink(`${file}.pipe`, file);
    },
    "a device": (file) => symlink("/dev/zero", file),
  };
  for (const [name, make] of Object.entries(makers)) {
    test(`${name} with the name of a key is no object, and nobody waits for it`, async () => {
      const { store, root } = await world();
      await mkdir(root);
      await make(path.join(root, "k"));
      expect(await store.look("k")).toBeUndefined();
      await expect(readAll(store, "k")).rejects.toMatchObject({ code: "NOT_FOUND" });
      expect(await listed(store, "")).toEqual([]);
      await store.delete("k");
      await expect(store.putIfAbsent("k", text("x"))).rejects.toMatchObject({
        code: "FAILED",
        message: expect.stringContaining("in the way"),
      });
    });
  }

  test("links that lead in a circle are FAILED, in a sentence", async () => {
    const { store, root } = await world();
    await mkdir(root);
    await symlink("k", path.join(root, "k"));
    for (const call of [() => store.look("k"), () => readAll(store, "k")]) {
      await expect(call()).rejects.toMatchObject({
        code: "FAILED",
        message: expect.stringMatching(/ELOOP: its symbolic links lead in a circle$/),
      });
    }
  });

  test("a link to a file is that file to whoever knows its name, and a write replaces the link alone", async () => {
    const { store, root } = await world();
    await store.put("real", text("content"));
    await symlink("real", path.join(root, "k"));
    expect(String(await readAll(store, "k"))).toBe("content");
    expect((await store.look("k"))?.version).toBe((await store.look("real"))?.version);
    await store.put("k", text("new"));
    expect(String(await readAll(store, "real"))).toBe("content");
    expect(String(await readAll(store, "k"))).toBe("new");
  });
});

test("what this user may not read or write is DENIED, in one sentence that names the file", async () => {
  const { store, root } = await world();
  await store.put("closed/k", text("x"));
  await store.put("k", text("x"));
  await chmod(path.join(root, "k"), 0);
  await chmod(path.join(root, "closed"), 0);
  await chmod(path.dirname(root), 0o755);
  await chmod(root, 0o755);
  await asNobody(async () => {
    const calls: readonly (readonly [string, () => Promise<unknown>])[] = [
      ["k", () => store.look("k")],
      ["k", () => readAll(store, "k")],
      ["k", () => listed(store, "k")],
      ["closed/k", () => store.look("closed/k")],
      ["closed", () => listed(store, "closed/")],
      ["new", () => store.put("new", text("x"))],
      ["new", () => store.putIfAbsent("new", text("x"))],
      ["k", () => store.delete("k")],
    ];
    for (const [key, call] of calls) {
      await expect(call(), `${call}`).rejects.toMatchObject({
        code: "DENIED",
        message: expect.stringMatching(new RegExp(`${root}/${key}.* failed: EACCES: this user may not`)),
      });
    }
  });
  await chmod(path.join(root, "closed"), 0o755);
});

test.skipIf(process.platform !== "linux")("no file stays open, however a read ends", async () => {
  const { store, root } = await world();
  await store.put("k", Buffer.alloc(900_000, "a"));
  const file = path.join(root, "k");
  const over = new AbortController();
  const ends: readonly (() => Promise<unknown>)[] = [
    () => readAll(store, "k"),
    async () => {
      for await (const _ of store.read("k")) break;
    },
    async () => {
      for await (const _ of store.read("k")) throw new Error("the reader's own");
    },
    async () => {
      for await (const _ of store.read("k", { signal: over.signal })) over.abort();
    },
    () => readAll(store, "k", { version: "another" }),
    () => store.look("k"),
    () => store.look("k", { version: "another" }),
    () => listed(store, ""),
    async () => {
      for await (const _ of store.list("")) break;
    },
    async () => {
      for await (const _ of store.read("k")) await truncate(file, 10);
    },
  ];
  for (const end of ends) {
    await end().catch(() => {});
    expect(await openFiles(root), `${end}`).toEqual([]);
  }
});

/** What this process holds open below a folder. */
async function openFiles(folder: string): Promise<string[]> {
  const handles = await readdir("/proc/self/fd");
  const files = await Promise.all(handles.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => "")));
  return files.filter((each) => each.startsWith(folder));
}

/** As a user without rights: root may do everything. */
async function asNobody(act: () => Promise<void>): Promise<void> {
  if (process.geteuid?.() !== 0) return await act();
  process.seteuid?.(65_534);
  try {
    await act();
  } finally {
    process.seteuid?.(0);
  }
}
