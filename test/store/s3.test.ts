import { execFile } from "node:child_process";
import { Readable } from "node:stream";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { PutObjectCommand } from "@aws-sdk/client-s3";
import { describe, expect, test } from "vitest";
import { systemClock } from "../../src/delivery/clock.ts";
import { type ObjectStore, readAll } from "../../src/store/object-store.ts";
import { subStore } from "../../src/store/sub-store.ts";
import type { Fault } from "../../src/testing/faults.ts";
import { createS3Twin, s3Refusal } from "../support/s3-twin.ts";
import { type World, world } from "./s3-world.ts";
import { cases, text } from "./suite.ts";

describe("an S3 bucket", () => {
  for (const { name, run } of cases) test(name, async () => run(await world({ pageSize: 3 })));
});

describe("an S3 bucket with versioning", () => {
  for (const { name, run } of cases) test(name, async () => run(await world({ versioning: true })));
});

describe("a prefix of an S3 bucket", () => {
  for (const { name, run } of cases) {
    test(name, async () => {
      const { store, twin, clock } = await world({ pageSize: 3 });
      twin.put("bucket", "under", "a neighbour");
      twin.put("bucket", "under-it", "another one");
      await run({ store: subStore(store, "under/"), clock });
      expect(twin.keys("bucket").filter((key) => !key.startsWith("under/"))).toEqual(["under", "under-it"]);
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
    test(`fails on a store that ignores conditions: ${name}`, async () => {
      const { store, clock } = await world();
      await expect(run({ store: careless(store), clock })).rejects.toThrow();
    });
  }
});

describe("putIfAbsent on S3", () => {
  test("tries again after 409, waiting by the injected clock", async () => {
    const { store, twin, waits, requests } = await world();
    twin.conflict(3);
    expect(await store.putIfAbsent("k", text("mine"))).toBe(true);
    expect(requests).toHaveLength(4);
    expect(waits.slept).toBeGreaterThan(0);
  });

  test("is TRANSIENT when the conflict does not end, and has written nothing", async () => {
    const { store, twin } = await world();
    twin.conflict(1000);
    await expect(store.putIfAbsent("k", text("mine"))).rejects.toMatchObject({ code: "TRANSIENT" });
    expect(twin.keys("bucket")).toEqual([]);
  });

  test("after a lost answer, knows its own write again by its bytes", async () => {
    const { store } = await world({ faults: loseFirstAnswer });
    expect(await store.putIfAbsent("claim", text("owner 1"))).toBe(true);
  });

  test("knows its own write again when the client's second try is told that the key is taken", async () => {
    const { store, requests } = await world({ attempts: 2, faults: loseFirstAnswer });
    expect(await store.putIfAbsent("claim", text("owner 1"))).toBe(true);
    expect(requests).toEqual(["PUT /bucket/claim", "PUT /bucket/claim", "GET /bucket/claim"]);
  });

  test("after a lost request, does not take another one's write for its own", async () => {
    // As claims do, the two differ in their random attempt and in nothing else.
    const claim = (attempt: string) => JSON.stringify({ owner: "worker", attempt, expiresInMs: 60_000 });
    const given: World = await world({
      faults: ({ method }) => {
        if (method !== "PUT") return undefined;
        given.twin.put("bucket", "claim", claim("0f6c2d7e"));
        return { kind: "reset" };
      },
    });
    expect(await given.store.putIfAbsent("claim", text(claim("0f6c2d7f")))).toBe(false);
    expect(String(given.twin.get("bucket", "claim"))).toBe(claim("0f6c2d7e"));
  });

  test("is TRANSIENT when nobody can know", async () => {
    const { store } = await world({
      faults: ({ method }) => (method === "PUT" ? s3Refusal(500, "InternalError") : undefined),
    });
    await expect(store.putIfAbsent("claim", text("owner 1"))).rejects.toMatchObject({ code: "TRANSIENT" });
  });

  test("knows its own write again when its answer was lost, then a conflict came, and then the key is taken", async () => {
    const { store, requests } = await world({
      attempts: 2,
      // A clock that differs makes the SDK try everything twice.
      clock: systemClock,
      faults: (_, n) => {
        if (n === 1) return { kind: "reset-after-store" };
        return n === 2 ? s3Refusal(409, "ConditionalRequestConflict") : undefined;
      },
    });
    expect(await store.putIfAbsent("claim", text("owner 1"))).toBe(true);
    expect(requests.map((each) => each.slice(0, 3))).toEqual(["PUT", "PUT", "PUT", "GET"]);
  });

  const loseFirstAnswer = (_: Request, n: number): Fault | undefined =>
    n === 1 ? { kind: "reset-after-store" } : undefined;
});

test("what S3 holds with a Content-Encoding comes as it is stored, whatever the header says", async () => {
  const { store, client } = await world();
  for (const [encoding, bytes] of [
    ["gzip", gzipSync("content")],
    ["gzip", text("never compressed")],
    ["zip", text("PK")],
    ["snappy-java", text("x")],
  ] as const) {
    await client.send(
      new PutObjectCommand({ Bucket: "bucket", Key: "k", Body: bytes, ContentEncoding: encoding }),
    );
    expect((await readAll(store, "k")).equals(bytes)).toBe(true);
  }
});

describe("S3's names for versions", () => {
  test("look gives the version id where there is one, a listing the ETag, and both can be read", async () => {
    const { store, twin } = await world({ versioning: true });
    const id = twin.put("bucket", "k", "one");
    const looked = await store.look("k");
    expect(looked?.version).toBe(id);
    for await (const { version } of store.list("")) {
      expect(version).toMatch(/^[0-9a-f]{32}$/);
      expect(await store.look("k", { version })).toMatchObject({ version: id });
    }
    twin.put("bucket", "k", "two");
    expect(String(await readAll(store, "k", { version: id }))).toBe("one");
  });

  test("the version id null is no name: the ETag is", async () => {
    const { store } = await world({
      change: (response) => {
        response.headers.set("x-amz-version-id", "null");
        return response;
      },
    });
    await store.put("k", text("one"));
    expect((await store.look("k"))?.version).toMatch(/^[0-9a-f]{32}$/);
  });

  test("a deleted version is NOT_FOUND", async () => {
    const { store } = await world({ versioning: true });
    await expect(readAll(store, "k", { version: "twin.none" })).rejects.toMatchObject({ code: "NOT_FOUND" });
    expect(await store.look("k", { version: "twin.none" })).toBeUndefined();
  });
});

describe("the S3 client", () => {
  test("AWS_ENDPOINT_URL_S3 alone leads to a local S3, by IP or by name, whatever the bucket is called", async () => {
    for (const host of ["127.0.0.1", "localhost"]) {
      const { url, twin } = await world({ buckets: ["bucket", "with.dots"] });
      for (const bucket of ["bucket", "with.dots"]) {
        const output = await inNode(
          `import { s3Store } from "./src/store/s3.ts";
           const store = s3Store({ bucket: ${JSON.stringify(bucket)} });
           await store.put("a key+", Buffer.from("x"));
           for await (const { key } of store.list("")) process.stdout.write(key);`,
          { AWS_ENDPOINT_URL_S3: url.replace("127.0.0.1", host), ...credentials },
        );
        expect(output).toBe("a key+");
        expect(twin.keys(bucket)).toEqual(["a key+"]);
      }
    }
  });

  test("is not loaded before the first request", async () => {
    const output = await inNode(
      `import { createRequire } from "node:module";
       import { s3Store } from "./src/store/s3.ts";
       s3Store({ bucket: "bucket" });
       const { cache } = createRequire(import.meta.url);
       const loaded = () => Object.keys(cache).some((file) => file.includes("client-s3"));
       process.stdout.write(String(loaded()));
       await import("@aws-sdk/client-s3");
       process.stdout.write(" " + loaded());`,
      {},
    );
    expect(output).toBe("false true");
  });

  const credentials = {
    AWS_REGION: "eu-west-1",
    AWS_ACCESS_KEY_ID: "AKIDEXAMPLE",
    AWS_SECRET_ACCESS_KEY: "the-secret",
  };

  async function inNode(program: string, env: Readonly<Record<string, string>>): Promise<string> {
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", program], {
      env: { PATH: process.env["PATH"] ?? "", HOME: "/nonexistent", ...env },
    });
    return stdout;
  }
});

describe("the S3 twin", () => {
  test("takes streamed bodies in signed-trailer chunks and stores what was in them", async () => {
    const { client, twin } = await world();
    const content = Buffer.from("streamed ".repeat(20_000));
    await client.send(
      new PutObjectCommand({
        Bucket: "bucket",
        Key: "k",
        Body: Readable.from([content.subarray(0, 100_000), content.subarray(100_000)]),
        ContentLength: content.byteLength,
      }),
    );
    expect(twin.get("bucket", "k")?.equals(content)).toBe(true);
  });

  test("refuses content that its checksum does not fit, in a header and in a trailer", async () => {
    const twin = createS3Twin();
    const put = (headers: Record<string, string>, body: string) =>
      twin.handle(
        new Request("http://twin/bucket/k", {
          method: "PUT",
          headers: { authorization: "any", ...headers },
          body,
        }),
      );
    const chunked = (checksum: string) =>
      put(
        {
          "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
          "x-amz-decoded-content-length": "9",
          "x-amz-trailer": "x-amz-checksum-crc32",
        },
        `4\r\n1234\r\n5\r\n56789\r\n0\r\nx-amz-checksum-crc32:${checksum}\r\n\r\n`,
      );
    // The check values of CRC-32 and CRC-64/NVME for "123456789": cbf43926 and ae8b14860a799888.
    expect((await put({ "x-amz-checksum-crc32": "y/Q5Jg==" }, "123456789")).status).toBe(200);
    expect((await put({ "x-amz-checksum-crc64nvme": "rosUhgp5mIg=" }, "123456789")).status).toBe(200);
    expect((await chunked("y/Q5Jg==")).status).toBe(200);
    expect(String(twin.get("bucket", "k"))).toBe("123456789");
    for (const refused of [
      await put({ "x-amz-checksum-crc32": "y/Q5Jg==" }, "12345678"),
      await put({ "x-amz-checksum-crc64nvme": "rosUhgp5mIg=" }, "12345678"),
      await put({ "content-md5": "AAAA" }, "x"),
      await chunked("AAAAAA=="),
    ]) {
      expect(refused.status).toBe(400);
      expect(await refused.text()).toContain("<Code>BadDigest</Code>");
    }
  });

  test("refuses what it does not do, and whoever does not sign", async () => {
    const twin = createS3Twin();
    const status = async (path: string, init: RequestInit = {}) =>
      (await twin.handle(new Request(`http://twin${path}`, { headers: { authorization: "any" }, ...init })))
        .status;
    expect(await status("/bucket/k?tagging")).toBe(501);
    expect(await status("/bucket/k?uploads", { method: "POST" })).toBe(501);
    expect(await status("/bucket?list-type=2&delimiter=/")).toBe(501);
    expect(await status("/bucket?list-type=2", { headers: {} })).toBe(403);
  });

  test("with versioning, a deletion hides the object and keeps its versions", async () => {
    const { store, twin } = await world({ versioning: true });
    const id = twin.put("bucket", "k", "one");
    await store.delete("k");
    expect(twin.keys("bucket")).toEqual([]);
    expect(await store.look("k")).toBeUndefined();
    expect(String(await readAll(store, "k", { version: id }))).toBe("one");
  });
});
