import { execFile } from "node:child_process";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { promisify } from "node:util";
import { PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { afterEach, describe, expect, test } from "vitest";
import { type ObjectStore, readAll } from "../../src/store/object-store.ts";
import { s3Store } from "../../src/store/s3.ts";
import { classifyS3 } from "../../src/store/s3-error.ts";
import { subStore } from "../../src/store/sub-store.ts";
import { resetConnection, serveTwin, type TwinHandler } from "../../src/testing/twin.ts";
import { createS3Twin, type S3Twin, type S3TwinOptions, s3Fault } from "../support/s3-twin.ts";
import { cases, listed, type ManualClock, manualClock, text } from "./suite.ts";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

interface World {
  readonly store: ObjectStore;
  readonly twin: S3Twin;
  /** S3's. */
  readonly clock: ManualClock;
  /** By which the store waits. */
  readonly waits: ManualClock;
  readonly client: S3Client;
  readonly url: string;
  /** `METHOD /path` of every request that arrived. */
  readonly requests: string[];
}

/** A store over the twin on a real socket; `fault` may answer in the twin's place. */
async function world(
  options: S3TwinOptions & {
    attempts?: number;
    fault?: (request: Request, twin: S3Twin) => Response | undefined | Promise<Response | undefined>;
  } = {},
): Promise<World> {
  const clock = manualClock();
  // Another day for whoever asks the store's own clock for the time of S3.
  const waits = manualClock(0);
  const twin = createS3Twin({ clock, ...options });
  const requests: string[] = [];
  const handle: TwinHandler = async (request) => {
    requests.push(`${request.method} ${new URL(request.url).pathname}`);
    return (await options.fault?.(request, twin)) ?? (await twin.handle(request));
  };
  const served = await serveTwin(handle);
  const client = clientOf(served.url, options.attempts);
  closing.push(served.close);
  return {
    store: s3Store({ bucket: "bucket", client, clock: waits }),
    twin,
    clock,
    waits,
    client,
    url: served.url,
    requests,
  };
}

function clientOf(endpoint: string, maxAttempts = 1): S3Client {
  const client = new S3Client({
    endpoint,
    region: "eu-west-1",
    credentials: { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "the-secret" },
    maxAttempts,
  });
  closing.push(() => client.destroy());
  return client;
}

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
    const { store } = await world({ fault: loseFirstAnswer() });
    expect(await store.putIfAbsent("claim", text("owner 1"))).toBe(true);
  });

  test("knows its own write again when the client's second try is told that the key is taken", async () => {
    const { store, requests } = await world({ attempts: 2, fault: loseFirstAnswer() });
    expect(await store.putIfAbsent("claim", text("owner 1"))).toBe(true);
    expect(requests).toEqual(["PUT /bucket/claim", "PUT /bucket/claim", "GET /bucket/claim"]);
  });

  test("after a lost request, does not take another one's write for its own", async () => {
    const { store, twin } = await world({
      fault: (request, s3) => {
        if (request.method !== "PUT") return undefined;
        s3.put("bucket", "claim", "owner 2");
        throw resetConnection();
      },
    });
    expect(await store.putIfAbsent("claim", text("owner 1"))).toBe(false);
    expect(String(twin.get("bucket", "claim"))).toBe("owner 2");
  });

  test("is TRANSIENT when nobody can know", async () => {
    const { store } = await world({
      fault: (request) => (request.method === "PUT" ? s3Fault(500, "InternalError") : undefined),
    });
    await expect(store.putIfAbsent("claim", text("owner 1"))).rejects.toMatchObject({ code: "TRANSIENT" });
  });

  function loseFirstAnswer() {
    let lost = false;
    return async (request: Request, twin: S3Twin) => {
      if (lost || request.method !== "PUT") return undefined;
      lost = true;
      await twin.handle(request);
      throw resetConnection();
    };
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
      fault: async (request, twin) => {
        const response = await twin.handle(request);
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

describe("a fault of S3", () => {
  test("a body cut off in the middle is TRANSIENT, after the bytes that did arrive", async () => {
    for (const checksum of [true, false]) {
      const { store, twin } = await world({
        fault: async (request, s3) => {
          if (request.method !== "GET") return undefined;
          const whole = await s3.handle(request);
          if (!checksum) whole.headers.delete("x-amz-checksum-crc64nvme");
          return new Response(cutOff(Buffer.from(await whole.arrayBuffer()), 150_000), whole);
        },
      });
      twin.put("bucket", "k", "x".repeat(500_000));
      let bytes = 0;
      const reading = (async () => {
        for await (const chunk of store.read("k")) bytes += chunk.byteLength;
      })();
      await expect(reading).rejects.toMatchObject({
        code: "TRANSIENT",
        message: expect.stringContaining("s3://bucket/k"),
      });
      expect(bytes).toBeGreaterThan(0);
      expect(bytes).toBeLessThan(500_000);
    }
  });

  test("bytes that are not what their checksum says are TRANSIENT, not data's end", async () => {
    const { store, twin } = await world({
      fault: async (request, s3) => {
        const response = await s3.handle(request);
        const bytes = Buffer.from(await response.arrayBuffer());
        bytes[0] = 0x21;
        return new Response(bytes, response);
      },
    });
    twin.put("bucket", "k", "content");
    await expect(readAll(store, "k")).rejects.toMatchObject({ code: "TRANSIENT" });
  });

  test("503 SlowDown is TRANSIENT in every call", async () => {
    const { store } = await world({
      fault: () => s3Fault(503, "SlowDown", "Please reduce your request rate."),
    });
    for (const call of everyCall(store)) await expect(call()).rejects.toMatchObject({ code: "TRANSIENT" });
  });

  test("a connection that is cut or refused is TRANSIENT in every call", async () => {
    const { store } = await world({
      fault: () => {
        throw resetConnection();
      },
    });
    for (const call of everyCall(store)) await expect(call()).rejects.toMatchObject({ code: "TRANSIENT" });
    const gone = await serveTwin(() => new Response());
    await gone.close();
    const refused = s3Store({ bucket: "bucket", client: clientOf(gone.url) });
    await expect(refused.look("k")).rejects.toMatchObject({ code: "TRANSIENT" });
  });

  test("403 is DENIED in every call, in one sentence without S3's words or a secret", async () => {
    const { store } = await world({
      fault: () => s3Fault(403, "AccessDenied", "a-message-from-the-service"),
    });
    for (const call of everyCall(store)) {
      const failure = await call().catch((error: unknown) => error);
      expect(failure).toMatchObject({ code: "DENIED", message: expect.stringContaining("s3://bucket/k") });
      for (const word of ["the-secret", "AKIDEXAMPLE", "a-message-from-the-service", "Signature"]) {
        expect(JSON.stringify([String(failure), failure, Object.entries(failure as object)])).not.toContain(
          word,
        );
      }
    }
  });

  test("a bucket that does not exist is FAILED, not an empty one", async () => {
    const { client } = await world();
    const store = s3Store({ bucket: "no-such-bucket", client });
    await expect(listed(store, "")).rejects.toMatchObject({ code: "FAILED" });
    await expect(store.put("k", text("x"))).rejects.toMatchObject({ code: "FAILED" });
  });

  const everyCall = (store: ObjectStore): (() => Promise<unknown>)[] => [
    () => store.look("k"),
    () => readAll(store, "k"),
    () => store.put("k", text("x")),
    () => store.putIfAbsent("k", text("x")),
    () => store.delete("k"),
    () => listed(store, "k"),
  ];

  test.each([
    [{ name: "NoSuchKey", status: 404 }, "NOT_FOUND"],
    [{ name: "NoSuchVersion", status: 404 }, "NOT_FOUND"],
    [{ name: "NoSuchBucket", status: 404 }, "FAILED"],
    [{ name: "PreconditionFailed", status: 412 }, "CHANGED"],
    [{ name: "AccessDenied", status: 403 }, "DENIED"],
    [{ name: "ExpiredToken", status: 400 }, "DENIED"],
    [{ name: "PermanentRedirect", status: 301 }, "DENIED"],
    [{ name: "KMS.DisabledException", status: 400 }, "DENIED"],
    [{ name: "KMS.ThrottlingException", status: 400 }, "TRANSIENT"],
    [{ name: "ThrottlingException", status: 400 }, "TRANSIENT"],
    [{ name: "RequestTimeout", status: 400 }, "TRANSIENT"],
    [{ name: "SlowDown", status: 503 }, "TRANSIENT"],
    [{ name: "InternalError", status: 500 }, "TRANSIENT"],
    [{ name: "ConditionalRequestConflict", status: 409 }, "TRANSIENT"],
    [{ name: "InvalidObjectState", status: 403 }, "FAILED"],
    [{ name: "InvalidRequest", status: 400 }, "FAILED"],
    [{ name: "CredentialsProviderError" }, "DENIED"],
    [{ name: "Error", message: "Region is missing" }, "DENIED"],
    [{ name: "ECONNRESET" }, "TRANSIENT"],
    [{ name: "ENOTFOUND" }, "TRANSIENT"],
    [{ name: "TimeoutError" }, "TRANSIENT"],
    [{ name: "TypeError", message: "x is not a function" }, "FAILED"],
  ] as const)("%j is %s", (failure, code) => {
    expect(classifyS3(failure).code).toBe(code);
  });
});

describe("the S3 client", () => {
  test("a reader that stops early closes its connection, and so does a signal", async () => {
    const closed = Promise.withResolvers<void>();
    const endless = http.createServer((_, answer) => {
      answer.writeHead(200, { "content-length": 2 ** 40, etag: '"x"' });
      const more = () => {
        while (answer.write(Buffer.alloc(64 * 1024)));
      };
      answer.on("drain", more).on("close", closed.resolve);
      more();
    });
    await new Promise<void>((resolve) => endless.listen(0, "127.0.0.1", resolve));
    closing.push(() => endless.close());
    // A server that listens on TCP has an AddressInfo.
    const { port } = endless.address() as AddressInfo;
    const store = s3Store({ bucket: "bucket", client: clientOf(`http://127.0.0.1:${port}`) });
    for await (const _ of store.read("k")) break;
    await closed.promise;
    const over = new AbortController();
    const reading = (async () => {
      for await (const _ of store.read("k", { signal: over.signal })) over.abort();
    })();
    await expect(reading).rejects.toMatchObject({ code: "TRANSIENT" });
  });

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

function cutOff(bytes: Buffer, after: number): ReadableStream {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= after) return controller.error(new Error("cut off"));
      controller.enqueue(new Uint8Array(bytes.subarray(at, at + 50_000)));
      at += 50_000;
    },
  });
}
