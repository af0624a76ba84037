import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readAll } from "../../src/store/object-store.ts";
import { openSource, openStore, sourceObjects } from "../../src/store/open.ts";
import { type ServedTwin, serveTwin } from "../../src/testing/twin.ts";
import { createS3Twin } from "../support/s3-twin.ts";
import { text } from "./suite.ts";

let folder: string;
let served: ServedTwin;
let client: S3Client;
const twin = createS3Twin({ buckets: ["batches"] });

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "open "));
  await mkdir(path.join(folder, "in/2026"), { recursive: true });
  for (const file of ["in/2026/a.gz", "in/b.gz", "in/b.gz.bak"])
    await writeFile(path.join(folder, file), file);
  for (const key of ["2026/a.gz", "b.gz", "b.gz.bak"]) twin.put("batches", key, key);
  served = await serveTwin(twin.handle);
  client = new S3Client({
    endpoint: served.url,
    region: "eu-west-1",
    credentials: { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "the-secret" },
  });
});
afterAll(async () => {
  client.destroy();
  await served.close();
  await rm(folder, { recursive: true, force: true });
});

/** Names that are unique among all stores. */
async function found(address: string): Promise<string[]> {
  const source = await openSource(address, { client });
  const names: string[] = [];
  for await (const { key } of sourceObjects(source)) names.push(`${source.store.location}/${key}`);
  return names;
}

describe("a source", () => {
  test("is everything in a folder or a bucket", async () => {
    const all = ["2026/a.gz", "b.gz", "b.gz.bak"];
    const location = `file://${folder.replaceAll(" ", "%20")}/in`;
    expect(await found(path.join(folder, "in"))).toEqual(all.map((key) => `${location}/${key}`));
    expect(await found(path.join(folder, "in/"))).toEqual(all.map((key) => `${location}/${key}`));
    expect(await found(location)).toEqual(all.map((key) => `${location}/${key}`));
    for (const address of ["s3://batches", "s3://batches/"]) {
      expect(await found(address)).toEqual(all.map((key) => `s3://batches/${key}`));
    }
  });

  test("is the one object whose name is given in full, under the name that it has in a listing", async () => {
    expect(await found(path.join(folder, "in/b.gz"))).toEqual([
      `file://${folder.replaceAll(" ", "%20")}/in/b.gz`,
    ]);
    expect(await found("s3://batches/b.gz")).toEqual(["s3://batches/b.gz"]);
  });

  test("is what a prefix begins", async () => {
    expect(await found("s3://batches/2026/")).toEqual(["s3://batches/2026/a.gz"]);
    expect(await found("s3://batches/b")).toEqual(["s3://batches/b.gz", "s3://batches/b.gz.bak"]);
    expect(await found("s3://batches/none")).toEqual([]);
  });

  test("that is not there is said by name", async () => {
    await expect(openSource(path.join(folder, "nowhere"))).rejects.toMatchObject({
      code: "NOT_FOUND",
      message: expect.stringContaining("nowhere"),
    });
  });
});

describe("a store to write to", () => {
  test("keeps everything under its prefix, in a bucket and in a folder that does not exist yet", async () => {
    for (const prefix of ["books", "books/"]) {
      const store = openStore(`s3://batches/${prefix}`, { client });
      expect(store.location).toBe("s3://batches/books");
      await store.put("receipt", text(prefix));
      expect(String(twin.get("batches", "books/receipt"))).toBe(prefix);
    }
    const store = openStore(path.join(folder, "out/books"));
    await store.put("receipt", text("x"));
    expect(String(await readAll(openStore(folder), "out/books/receipt"))).toBe("x");
  });

  test.each([
    ["", "names no store"],
    ["  ", "names no store"],
    ["s3://", "names no bucket"],
    ["s3:///prefix", "names no bucket"],
    ["s3://a", "names no bucket that S3 could have"],
    ["s3://under score/x", "names no bucket that S3 could have"],
    ["gs://bucket/prefix", "has the scheme gs"],
    ["https://bucket.s3.amazonaws.com/", "has the scheme https"],
    ["file://host/path", "is not the URL of a local folder"],
  ])("refuses %j in one sentence", async (address, sentence) => {
    const expected = expect.objectContaining({ code: "FAILED", message: expect.stringContaining(sentence) });
    expect(() => openStore(address)).toThrow(expected);
    await expect(openSource(address)).rejects.toEqual(expected);
  });
});
