import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { folderStore } from "../../src/store/folder.ts";
import { type ObjectStore, readAll } from "../../src/store/object-store.ts";
import { subStore } from "../../src/store/sub-store.ts";
import { cases, listed, manualClock, text } from "./suite.ts";

const folders: string[] = [];
afterEach(async () => {
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
