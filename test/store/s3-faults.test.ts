// What S3, the network and what stands in between do when they are ill, and what the store makes of it.
// One file, since every fault is one of the same server's, told by the same few lines.
import http from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { describe, expect, test } from "vitest";
import type { Clock } from "../../src/delivery/clock.ts";
import { type ObjectStore, readAll } from "../../src/store/object-store.ts";
import { s3Store } from "../../src/store/s3.ts";
import { classifyS3 } from "../../src/store/s3-error.ts";
import { type NextFault, seededRandom } from "../../src/testing/faults.ts";
import { serveTwin } from "../../src/testing/twin.ts";
import { breakBody, s3Refusal } from "../support/s3-twin.ts";
import { clientOf, closing, type World, world } from "./s3-world.ts";
import { listed, manualClock, text } from "./suite.ts";

/** Bytes among which a lost, doubled or moved piece would show. */
const content = Buffer.from(Array.from({ length: 60_000 }, (_, index) => `${index};`).join(""));

const everyCall = (store: ObjectStore): (() => Promise<unknown>)[] => [
  () => store.look("k"),
  () => readAll(store, "k"),
  () => store.put("k", text("x")),
  () => store.putIfAbsent("k", text("x")),
  () => store.delete("k"),
  () => listed(store, "k"),
];

const failureOf = async (promise: Promise<unknown>): Promise<unknown> =>
  await promise.then(
    () => "no failure",
    (error: unknown) => error,
  );

/** What every answer about an object says of it. */
const identity = { etag: '"0123456789abcdef0123456789abcdef"' };

/** A server that is no HTTP server where it need not be. */
async function rawStore(
  answer: (request: http.IncomingMessage, socket: Socket, response: http.ServerResponse) => void,
  config: Parameters<typeof clientOf>[1] = { maxAttempts: 1 },
  clock: Clock = manualClock(0),
): Promise<ObjectStore> {
  const server = http.createServer((request, response) => {
    request.resume().on("end", () => answer(request, request.socket, response));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  // A server that listens on TCP has an AddressInfo.
  const { port } = server.address() as AddressInfo;
  const client = clientOf(`http://127.0.0.1:${port}`, config);
  return s3Store({ bucket: "bucket", client, clock });
}

// ── a read that breaks ──────────────────────────────────────────────────────────────────────────────────────

describe("a body that breaks off", () => {
  /** What each GET asked for. */
  const recording = () => {
    const asked: { range: string | null; ifMatch: string | null; versionId: string | null }[] = [];
    const note = ({ method, url, headers }: Request) => {
      if (method !== "GET") return;
      const versionId = new URL(url).searchParams.get("versionId");
      asked.push({ range: headers.get("range"), ifMatch: headers.get("if-match"), versionId });
    };
    return { asked, note };
  };

  test.each([
    ["with a checksum", false, true],
    ["without a checksum", false, false],
    ["of a version", true, true],
  ])("is gone on with by range, of the same content, each byte once: %s", async (_, versioning, checksum) => {
    const random = seededRandom(7);
    const { asked, note } = recording();
    const { store, twin } = await world({
      versioning,
      change: async (response, request) => {
        note(request);
        if (!checksum) response.headers.delete("x-amz-checksum-crc64nvme");
        const length = Number(response.headers.get("content-length"));
        // Also a single byte, and all but the last one.
        const after = [1, length - 1, Math.floor(random() * length)][Math.floor(random() * 3)] ?? 0;
        return asked.length % 4 === 0 ? response : await breakBody(response, after, "cut");
      },
    });
    const version = twin.put("bucket", "k", content);
    expect((await readAll(store, "k")).equals(content)).toBe(true);
    expect((await readAll(store, "k", { version })).equals(content)).toBe(true);
    expect(
      (await readAll(store, "k", { version, start: 1000, end: 250_001 })).equals(
        content.subarray(1000, 250_001),
      ),
    ).toBe(true);
    expect((await readAll(store, "k", { start: 300_000 })).equals(content.subarray(300_000))).toBe(true);
    expect(asked.length).toBeGreaterThan(8);
    const resumed = asked.slice(1).filter(({ range }) => range !== null);
    const name = versioning
      ? { ifMatch: null, versionId: version }
      : { ifMatch: `"${version}"`, versionId: null };
    for (const each of resumed.filter(({ range }) => range !== "bytes=300000-"))
      expect(each).toMatchObject(name);
  });

  test("is gone on with as often as it takes, as long as each try brings something", async () => {
    let gets = 0;
    const { store, twin } = await world({
      change: (response) => {
        gets++;
        return breakBody(response, 10_000, "cut");
      },
    });
    const short = content.subarray(0, 205_000);
    twin.put("bucket", "k", short);
    expect((await readAll(store, "k")).equals(short)).toBe(true);
    expect(gets).toBeGreaterThanOrEqual(21);
  });

  test("is TRANSIENT after three tries in a row that bring nothing, with longer waits, after the bytes that did come", async () => {
    let gets = 0;
    const waits = manualClock(0);
    const store = await rawStore(
      (_, socket, response) => {
        const range = gets === 0 ? {} : { "content-range": "bytes 5-9/10" };
        response.writeHead(gets === 0 ? 200 : 206, {
          ...identity,
          ...range,
          "content-length": gets === 0 ? 10 : 5,
        });
        response.flushHeaders();
        if (gets++ === 0) response.write("01234", () => socket.end());
        else socket.end();
      },
      { maxAttempts: 1 },
      waits,
    );
    let seen = "";
    const reading = (async () => {
      for await (const chunk of store.read("k")) seen += String(chunk);
    })();
    expect(await failureOf(reading)).toMatchObject({
      code: "TRANSIENT",
      message: expect.stringMatching(/^reading s3:\/\/bucket\/k failed: /),
    });
    expect(seen).toBe("01234");
    expect(gets).toBe(4);
    expect(waits.slept).toBe(100 + 200 + 400);
  });

  test.each([
    [
      "overwritten",
      "CHANGED",
      /: the object was overwritten: what it held is gone, and what replaced it has a/,
    ],
    ["deleted", "NOT_FOUND", /: there is no such object$/],
  ])(
    "of an object that is %s meanwhile is %s, and no byte of another content is read",
    async (what, code, sentence) => {
      const given: World = await world({
        change: (response) => breakBody(response, 100_000, "cut"),
        faults: ({ method, headers }) => {
          if (method !== "GET" || headers.get("range") === null) return undefined;
          if (what === "deleted") given.twin.remove("bucket", "k");
          else given.twin.put("bucket", "k", Buffer.alloc(content.length, "new"));
          return undefined;
        },
      });
      given.twin.put("bucket", "k", content);
      const seen: Uint8Array[] = [];
      const reading = (async () => {
        for await (const chunk of given.store.read("k")) seen.push(chunk);
      })();
      expect(await failureOf(reading)).toMatchObject({ code, message: expect.stringMatching(sentence) });
      expect(Buffer.concat(seen).equals(content.subarray(0, Buffer.concat(seen).length))).toBe(true);
    },
  );

  test("of a version is gone on with although the object was overwritten and deleted meanwhile", async () => {
    let gets = 0;
    const { store, twin } = await world({
      versioning: true,
      change: (response) => (gets++ === 0 ? breakBody(response, 100_000, "cut") : response),
      faults: (_, n) => {
        if (n === 2) {
          twin.put("bucket", "k", "new");
          twin.remove("bucket", "k");
        }
        return undefined;
      },
    });
    twin.put("bucket", "k", content);
    expect((await readAll(store, "k")).equals(content)).toBe(true);
  });

  test.each([
    [403, "AccessDenied", "DENIED"],
    [400, "ExpiredToken", "DENIED"],
    [503, "SlowDown", "TRANSIENT"],
  ])("and is then answered %i %s is %s at once", async (status, code, meaning) => {
    const { store, twin, requests } = await world({
      change: (response) => breakBody(response, 1000, "cut"),
      faults: (_, n) => (n === 1 ? undefined : s3Refusal(status, code)),
    });
    twin.put("bucket", "k", content);
    expect(await failureOf(readAll(store, "k"))).toMatchObject({ code: meaning });
    expect(requests).toHaveLength(2);
  });

  test("is not gone on with once its reader's time is over", async () => {
    const over = new AbortController();
    const { store, twin, requests } = await world({
      change: (response) => breakBody(response, 1000, "cut"),
      faults: (_, n) => {
        if (n === 2) over.abort();
        return undefined;
      },
    });
    twin.put("bucket", "k", content);
    expect(await failureOf(readAll(store, "k", { signal: over.signal }))).toMatchObject({
      code: "TRANSIENT",
      message: "reading s3://bucket/k was given up: its time was over",
    });
    expect(requests).toHaveLength(2);
  });
});

describe("a body that stops moving", () => {
  test("is gone on with on another connection", async () => {
    let gets = 0;
    const { store, twin } = await world({
      attempts: 4,
      socketTimeout: 200,
      change: (response) => (gets++ < 2 ? breakBody(response, 100_000, "hang") : response),
    });
    twin.put("bucket", "k", content);
    expect((await readAll(store, "k")).equals(content)).toBe(true);
    expect(gets).toBeGreaterThanOrEqual(3);
  });

  test("every time is TRANSIENT, after a bounded number of tries", async () => {
    let gets = 0;
    const store = await rawStore(
      (_, __, response) => {
        gets++;
        response.writeHead(200, { ...identity, "content-length": 10 }).flushHeaders();
      },
      { maxAttempts: 1, requestHandler: { socketTimeout: 30 } },
    );
    expect(await failureOf(readAll(store, "k"))).toMatchObject({ code: "TRANSIENT" });
    expect(gets).toBe(4);
  });

  test("because its reader rests is no hang: whatever becomes of the connection, each byte comes once", async () => {
    const size = 16 * 1024 * 1024;
    const closed = Promise.withResolvers<void>();
    const asked: (string | undefined)[] = [];
    const store = await rawStore(
      (request, socket, response) => {
        const { range } = request.headers;
        asked.push(range);
        let at = Number(/\d+/.exec(range ?? "0"));
        socket.once("close", () => closed.resolve());
        response.writeHead(range === undefined ? 200 : 206, {
          ...identity,
          "content-length": size - at,
          ...(range !== undefined && { "content-range": `bytes ${at}-${size - 1}/${size}` }),
        });
        const more = () => {
          for (let goesOn = true; goesOn && at < size; ) {
            const piece = counted(at, Math.min(at + 64 * 1024, size));
            at += piece.length;
            goesOn = response.write(piece);
          }
          if (at === size) response.end();
        };
        response.on("drain", more);
        more();
      },
      { maxAttempts: 4, requestHandler: { socketTimeout: 200 } },
    );
    let at = 0;
    for await (const chunk of store.read("k")) {
      expect(counted(at, at + chunk.byteLength).equals(chunk)).toBe(true);
      // The lanes are full: nothing is taken until the client has given the connection up.
      if (at === 0) await closed.promise;
      at += chunk.byteLength;
    }
    expect(at).toBe(size);
    expect(asked.length).toBeGreaterThan(1);
  });

  /** Every fourth byte tells its place. */
  function counted(start: number, end: number): Buffer {
    const first = start - (start % 4);
    const bytes = Buffer.alloc(end + 4 - first);
    for (let at = first; at < end; at += 4) bytes.writeUInt32LE(at, at - first);
    return bytes.subarray(start - first, end - first);
  }

  test("for less than the client's patience, again and again, is only slow", async () => {
    const { store, twin, requests } = await world({
      change: async (response) => {
        const bytes = new Uint8Array(await response.arrayBuffer());
        let at = 0;
        const body = new ReadableStream({
          pull(controller) {
            if (at === bytes.length) return controller.close();
            controller.enqueue(bytes.subarray(at, ++at));
          },
        });
        return new Response(body, response);
      },
    });
    twin.put("bucket", "k", content.subarray(0, 500));
    expect((await readAll(store, "k")).equals(content.subarray(0, 500))).toBe(true);
    expect(requests).toHaveLength(1);
  });
});

describe("a body that is not as long as its head says", () => {
  const head = (length: number) =>
    `HTTP/1.1 200 OK\r\netag: "0123456789abcdef0123456789abcdef"\r\ncontent-length: ${length}\r\n\r\n`;

  test("but longer ends where the head says, and what follows is nobody's", async () => {
    const store = await rawStore((_, socket) => socket.write(`${head(5)}0123456789`));
    expect(String(await readAll(store, "k"))).toBe("01234");
    expect(String(await readAll(store, "k"))).toBe("01234");
  });

  test("but shorter is not the object: the rest is asked for", async () => {
    const asked: (string | undefined)[] = [];
    const store = await rawStore((request, socket) => {
      asked.push(request.headers.range);
      if (request.headers.range === undefined) socket.end(`${head(10)}01234`);
      else {
        const range = "content-range: bytes 5-9/10\r\n";
        socket.end(
          head(5).replace("200 OK", "206 Partial Content").replace("\r\n\r\n", `\r\n${range}\r\n56789`),
        );
      }
    });
    expect(String(await readAll(store, "k"))).toBe("0123456789");
    expect(asked).toEqual([undefined, "bytes=5-"]);
  });

  test("and in chunks, which end properly, is none the less a part: the rest is asked for", async () => {
    const asked: (string | undefined)[] = [];
    const store = await rawStore((request, _, response) => {
      const { range } = request.headers;
      asked.push(range);
      const first = range === "bytes=2-6";
      response.writeHead(206, { ...identity, "content-range": `bytes ${first ? 2 : 5}-6/10` });
      response.write(first ? "234" : "56");
      response.end();
    });
    expect(String(await readAll(store, "k", { start: 2, end: 7 }))).toBe("23456");
    expect(asked).toEqual(["bytes=2-6", "bytes=5-6"]);
  });

  test("and of which there is no more when the rest is asked for is CHANGED", async () => {
    const store = await rawStore((request, socket, response) => {
      if (request.headers.range !== undefined) response.writeHead(416).end();
      else socket.end(`${head(10)}01234`);
    });
    expect(await failureOf(readAll(store, "k"))).toMatchObject({ code: "CHANGED" });
  });
});

test("bytes that are not what their checksum says are TRANSIENT, not data's end, and not asked for again", async () => {
  const { store, twin, requests } = await world({
    change: async (response) => {
      const bytes = Buffer.from(await response.arrayBuffer());
      bytes[0] = 0x21;
      return new Response(bytes, response);
    },
  });
  twin.put("bucket", "k", "content");
  expect(await failureOf(readAll(store, "k"))).toMatchObject({
    code: "TRANSIENT",
    message: expect.stringMatching(/the bytes that came are not what S3's checksum of them says$/),
  });
  expect(requests).toHaveLength(1);
});

test("an empty object has no byte to be asked for, in whole and by range", async () => {
  const { store, twin } = await world();
  twin.put("bucket", "empty", "");
  expect(await readAll(store, "empty")).toHaveLength(0);
  expect(await readAll(store, "empty", { start: 0, end: 4 })).toHaveLength(0);
  expect(await readAll(store, "empty", { start: 10 })).toHaveLength(0);
});

// ── answers that are none ───────────────────────────────────────────────────────────────────────────────────

describe("what does not heed what it was asked", () => {
  test("a range: the whole object is not taken for a part of it", async () => {
    const { store, twin } = await world({
      change: async (response, request) => {
        const whole = Buffer.from(content);
        if (request.method !== "GET") return response;
        const headers = new Headers(response.headers);
        headers.delete("content-range");
        headers.set("content-length", String(whole.length));
        return new Response(whole, { status: 200, headers });
      },
    });
    twin.put("bucket", "k", content);
    for (const range of [{ start: 5 }, { end: 10 }, { start: 5, end: 10 }]) {
      expect(await failureOf(readAll(store, "k", range))).toMatchObject({
        code: "TRANSIENT",
        message: expect.stringMatching(/none of S3's: it is not the range that was asked for$/),
      });
    }
  });

  test.each(["bytes 6-9/100", "bytes 5-8/100", "bytes 5-10/100", "bytes */100", "5-9"])(
    "a range of its own choice is none that was asked for: %s",
    async (contentRange) => {
      const { store, twin } = await world({
        change: (response) => {
          response.headers.set("content-range", contentRange);
          return response;
        },
      });
      twin.put("bucket", "k", content.subarray(0, 100));
      const failure = await failureOf(readAll(store, "k", { start: 5, end: 10 }));
      expect(failure).toMatchObject({ code: "TRANSIENT" });
    },
  );

  test("a version: another content is CHANGED, read, in part and looked at", async () => {
    const given: World = await world({
      // As a stand-in without conditions would: If-Match and version ids are for nothing.
      change: async (_, { url, method, headers }) => {
        const range = headers.get("range");
        const plain = new Request(url.split("?")[0] ?? "", {
          method,
          headers: { authorization: "any", ...(range !== null && { range }) },
        });
        return await given.twin.handle(plain);
      },
    });
    given.twin.put("bucket", "k", "new content");
    for (const version of ["0123456789abcdef0123456789abcdef", "some.version.id"]) {
      for (const call of [
        () => readAll(given.store, "k", { version }),
        () => readAll(given.store, "k", { version, start: 2 }),
        () => given.store.look("k", { version }),
      ]) {
        expect(await failureOf(call())).toMatchObject({
          code: "CHANGED",
          message: expect.stringContaining("the object was overwritten"),
        });
      }
    }
  });

  test("a proxy's 200 is no object, no listing and no write", async () => {
    for (const body of ["", "<html><body>Log in<br></body></html>", '{"ok":']) {
      const { store } = await world({ faults: () => ({ kind: "status", status: 200, body }) });
      for (const call of everyCall(store).filter((_, index) => index !== 4)) {
        expect(await failureOf(call())).toMatchObject({
          code: "TRANSIENT",
          message: expect.stringContaining("the answer is none of S3's"),
        });
      }
    }
  });

  test("a proxy's error page is as bad as its status", async () => {
    for (const [status, code] of [
      [502, "TRANSIENT"],
      [503, "TRANSIENT"],
      [403, "DENIED"],
      [304, "FAILED"],
    ] as const) {
      const { store } = await world({
        faults: () => ({ kind: "status", status, body: "<html><br></html>" }),
      });
      for (const call of everyCall(store)) {
        const failure = await failureOf(call());
        expect(failure).toMatchObject({ code, message: expect.stringContaining(`failed: HTTP ${status}`) });
        expect(String(failure)).not.toContain("html");
      }
    }
  });

  test("what is no HTTP at all is TRANSIENT", async () => {
    const store = await rawStore((_, socket) => socket.end("220 ready\r\n\r\n"));
    for (const call of everyCall(store)) expect(await failureOf(call())).toMatchObject({ code: "TRANSIENT" });
  });
});

// ── refusals ────────────────────────────────────────────────────────────────────────────────────────────────

describe("a refusal of S3", () => {
  test.each([
    [503, "SlowDown"],
    [500, "InternalError"],
    [503, "ServiceUnavailable"],
    [429, "TooManyRequests"],
    [400, "RequestTimeout"],
    [400, "KMS.ThrottlingException"],
  ])("%i %s is TRANSIENT in every call", async (status, code) => {
    const { store } = await world({ faults: () => s3Refusal(status, code) });
    for (const call of everyCall(store).slice(1)) {
      expect(await failureOf(call())).toMatchObject({
        code: "TRANSIENT",
        message: expect.stringContaining(`failed: ${code}, HTTP ${status}`),
      });
    }
    expect(await failureOf(store.look("k"))).toMatchObject({ code: "TRANSIENT" });
  });

  test("that passes is seen by nobody: the SDK asks again", async () => {
    const { store, twin } = await world({
      attempts: 3,
      faults: (_, n) => (n % 3 === 0 ? undefined : s3Refusal(500, "InternalError")),
    });
    twin.put("bucket", "k", "content");
    expect(String(await readAll(store, "k"))).toBe("content");
  });

  test("a connection that is cut or refused is TRANSIENT in every call", async () => {
    const { store } = await world({ faults: () => ({ kind: "reset" }) });
    for (const call of everyCall(store)) expect(await failureOf(call())).toMatchObject({ code: "TRANSIENT" });
    const gone = await serveTwin(() => new Response());
    await gone.close();
    const refused = s3Store({ bucket: "bucket", client: clientOf(gone.url) });
    expect(await failureOf(refused.look("k"))).toMatchObject({ code: "TRANSIENT" });
  });

  test("403 is DENIED in every call, in one sentence that names the permission, without S3's words or a secret", async () => {
    const { store } = await world({ faults: () => s3Refusal(403, "AccessDenied") });
    const permissions = [
      "s3:GetObject",
      "s3:GetObject",
      "s3:PutObject",
      "s3:PutObject",
      "s3:DeleteObject",
      "s3:ListBucket",
    ];
    for (const [index, call] of everyCall(store).entries()) {
      const failure = await failureOf(call());
      expect(failure).toMatchObject({ code: "DENIED", message: expect.stringContaining("s3://bucket/k") });
      expect(String(failure)).toContain(`check that ${permissions[index]} `);
      expect(String(failure)).toContain("without s3:ListBucket a missing object is denied as well");
      for (const word of ["the-secret", "AKIDEXAMPLE", "a-message-from-the-service", "Signature"]) {
        expect(JSON.stringify([String(failure), failure, Object.entries(failure as object)])).not.toContain(
          word,
        );
      }
    }
  });

  /** In mid-run: what worked a moment ago. */
  const afterwards =
    (fault: ReturnType<typeof s3Refusal>): NextFault =>
    (_, n) =>
      n === 1 ? undefined : fault;

  test.each([
    [400, "ExpiredToken", "DENIED", /: the AWS credentials have expired$/],
    [403, "InvalidAccessKeyId", "DENIED", /: check the AWS credentials$/],
    [403, "SignatureDoesNotMatch", "DENIED", /: check the AWS credentials$/],
    [403, "RequestTimeTooSkewed", "DENIED", /: the clock of this machine is wrong by more than 15 minutes$/],
    [
      400,
      "KMS.DisabledException",
      "DENIED",
      /: check the KMS key that encrypts it: it must be there, enabled/,
    ],
    [400, "KMS.NotFoundException", "DENIED", /: check the KMS key that encrypts it/],
    [400, "KMS.KMSInvalidStateException", "DENIED", /: check the KMS key that encrypts it/],
    [400, "KMS.KeyUnavailableException", "TRANSIENT", /KMS.KeyUnavailableException, HTTP 400$/],
    [403, "InvalidObjectState", "FAILED", /: the object is archived, restore it first$/],
    [403, "AllAccessDisabled", "DENIED", /AllAccessDisabled, HTTP 403: check that s3:GetObject/],
  ])("%i %s in mid-run is %s, and looking tells as much as reading", async (status, name, code, sentence) => {
    const { store, twin } = await world({ faults: afterwards(s3Refusal(status, name)) });
    twin.put("bucket", "k", "content");
    expect(await store.look("k")).toBeDefined();
    for (const [doing, call] of [
      ["looking at", () => store.look("k")],
      ["reading", () => readAll(store, "k")],
    ] as const) {
      expect(await failureOf(call())).toMatchObject({
        code,
        message: expect.stringMatching(new RegExp(`^${doing} s3://bucket/k failed: ${name}, HTTP ${status}`)),
      });
      expect(String(await failureOf(call()))).toMatch(sentence);
    }
  });

  test.each([
    [301, "PermanentRedirect"],
    [307, "TemporaryRedirect"],
    [400, "AuthorizationHeaderMalformed"],
  ])("%i %s names the bucket's region where S3 does", async (status, code) => {
    const telling = await world({
      faults: () => s3Refusal(status, code, { "x-amz-bucket-region": "eu-central-2" }),
    });
    const silent = await world({
      faults: () => s3Refusal(status, code, { "x-amz-bucket-region": "<no region>" }),
    });
    for (const call of ["look", "list"] as const) {
      const failures = [telling, silent].map(({ store }) =>
        failureOf(call === "look" ? store.look("k") : listed(store, "k")),
      );
      const [named, unnamed] = await Promise.all(failures);
      expect(named).toMatchObject({ code: "DENIED" });
      expect(String(named)).toMatch(/: the bucket is in eu-central-2: set AWS_REGION accordingly$/);
      expect(String(unnamed)).toMatch(/: the bucket is in another region: set AWS_REGION accordingly$/);
    }
  });

  test("a clock that is wrong is put right by the SDK, as long as S3 tells the time", async () => {
    const { store, twin } = await world({
      attempts: 2,
      faults: (_, n) =>
        n === 1
          ? s3Refusal(403, "RequestTimeTooSkewed", { date: new Date(Date.now() + 3_600_000).toUTCString() })
          : undefined,
    });
    twin.put("bucket", "k", "content");
    expect(String(await readAll(store, "k"))).toBe("content");
  });

  test("a bucket that does not exist is FAILED, not an empty one", async () => {
    const { client } = await world();
    const store = s3Store({ bucket: "no-such-bucket", client });
    expect(await failureOf(listed(store, ""))).toMatchObject({ code: "FAILED" });
    expect(await failureOf(store.put("k", text("x")))).toMatchObject({ code: "FAILED" });
  });

  test("an object that is gone is NOT_FOUND in one sentence, and undefined to whoever looks", async () => {
    const { store, twin } = await world({ versioning: true });
    const gone = twin.put("bucket", "k", "one");
    twin.put("bucket", "k", "two");
    twin.remove("bucket", "k", gone);
    const sentences = [
      ["missing", undefined, "NoSuchKey, HTTP 404, request TWIN\\d+: there is no such object"],
      ["k", gone, "NoSuchVersion, HTTP 404, request TWIN\\d+: that version of the object was deleted"],
    ] as const;
    for (const [key, version, sentence] of sentences) {
      const options = version === undefined ? {} : { version };
      expect(await store.look(key, options)).toBeUndefined();
      expect(await failureOf(readAll(store, key, options))).toMatchObject({
        code: "NOT_FOUND",
        message: expect.stringMatching(new RegExp(`^reading s3://bucket/${key} failed: ${sentence}$`)),
      });
    }
  });

  test("a delete marker is no object, by its own version id and as the newest version", async () => {
    const { store, twin, client } = await world({ versioning: true });
    const version = twin.put("bucket", "k", "content");
    const { DeleteObjectCommand } = await import("@aws-sdk/client-s3");
    const { VersionId: marker = "" } = await client.send(
      new DeleteObjectCommand({ Bucket: "bucket", Key: "k" }),
    );
    expect(await store.look("k", { version: marker })).toBeUndefined();
    expect(await store.look("k")).toBeUndefined();
    expect(await failureOf(readAll(store, "k", { version: marker }))).toMatchObject({
      code: "NOT_FOUND",
      message: expect.stringMatching(/: that version is a delete marker, the object was deleted$/),
    });
    expect(await failureOf(readAll(store, "k"))).toMatchObject({ code: "NOT_FOUND" });
    expect(String(await readAll(store, "k", { version }))).toBe("content");
  });

  test.each([
    [{ name: "NoSuchKey", status: 404 }, "NOT_FOUND"],
    [{ name: "NoSuchVersion", status: 404 }, "NOT_FOUND"],
    [{ name: "NoSuchBucket", status: 404 }, "FAILED"],
    [{ name: "MethodNotAllowed", status: 405 }, "NOT_FOUND"],
    [{ name: "PreconditionFailed", status: 412 }, "CHANGED"],
    [{ name: "AccessDenied", status: 403 }, "DENIED"],
    [{ name: "ExpiredToken", status: 400 }, "DENIED"],
    [{ name: "InvalidToken", status: 400 }, "DENIED"],
    [{ name: "PermanentRedirect", status: 301 }, "DENIED"],
    [{ name: "KMS.DisabledException", status: 400 }, "DENIED"],
    [{ name: "KMS.KMSInternalException", status: 400 }, "TRANSIENT"],
    [{ name: "KMS.DependencyTimeoutException", status: 400 }, "TRANSIENT"],
    [{ name: "KMS.ThrottlingException", status: 400 }, "TRANSIENT"],
    [{ name: "ThrottlingException", status: 400 }, "TRANSIENT"],
    [{ name: "RequestTimeout", status: 400 }, "TRANSIENT"],
    [{ name: "BadDigest", status: 400 }, "TRANSIENT"],
    [{ name: "IncompleteBody", status: 400 }, "TRANSIENT"],
    [{ name: "SlowDown", status: 503 }, "TRANSIENT"],
    [{ name: "InternalError", status: 500 }, "TRANSIENT"],
    [{ name: "ConditionalRequestConflict", status: 409 }, "TRANSIENT"],
    [{ name: "OperationAborted", status: 409 }, "TRANSIENT"],
    [{ name: "InvalidObjectState", status: 403 }, "FAILED"],
    [{ name: "InvalidRequest", status: 400 }, "FAILED"],
    [{ name: "KeyTooLongError", status: 400 }, "FAILED"],
    [{ name: "NotImplemented", status: 501 }, "FAILED"],
    [{ name: "NotModified", status: 304 }, "FAILED"],
    [{ name: "CredentialsProviderError" }, "DENIED"],
    [{ name: "Error", message: "Region is missing" }, "DENIED"],
    [{ name: "ECONNRESET" }, "TRANSIENT"],
    [{ name: "ENOTFOUND" }, "TRANSIENT"],
    [{ name: "HPE_INVALID_CONSTANT" }, "TRANSIENT"],
    [{ name: "TimeoutError" }, "TRANSIENT"],
    [{ name: "TypeError", message: "x is not a function" }, "FAILED"],
  ] as const)("%j is %s", (failure, code) => {
    expect(classifyS3(failure).code).toBe(code);
  });
});

// ── connections ─────────────────────────────────────────────────────────────────────────────────────────────

describe("a connection", () => {
  test.each([
    [
      "stops early",
      async (store: ObjectStore) => {
        for await (const _ of store.read("k")) break;
      },
    ],
    [
      "throws",
      async (store: ObjectStore) => {
        for await (const _ of store.read("k")) throw new Error("the reader's own");
      },
    ],
    [
      "is out of time",
      async (store: ObjectStore) => {
        const over = new AbortController();
        for await (const _ of store.read("k", { signal: over.signal })) over.abort();
      },
    ],
    [
      "is out of time while it rests",
      async (store: ObjectStore) => {
        const over = new AbortController();
        const reading = store.read("k", { signal: over.signal })[Symbol.asyncIterator]();
        await reading.next();
        over.abort();
        await reading.next();
      },
    ],
    [
      "turns away a version that is not the one",
      async (store: ObjectStore) => {
        await readAll(store, "k", { version: "some.version.id" });
      },
    ],
  ])("is closed when its reader %s", async (_, act) => {
    for (const checksum of [true, false]) {
      const sockets = new Set<Socket>();
      const closed = Promise.withResolvers<void>();
      // Endless, so that only a client that goes away ends it.
      const store = await rawStore((_, socket, response) => {
        sockets.add(socket);
        socket.on("close", () => closed.resolve());
        response.writeHead(200, {
          "content-length": 2 ** 40,
          ...identity,
          ...(checksum && { "x-amz-checksum-crc32": "y/Q5Jg==" }),
        });
        const more = () => {
          while (response.write(Buffer.alloc(64 * 1024)));
        };
        response.on("drain", more);
        more();
      });
      await failureOf(act(store));
      await closed.promise;
      expect(sockets.size).toBe(1);
    }
  });

  test("that died while nobody looked, as in a frozen function, costs a retry and nothing else", async () => {
    const requests = new Map<Socket, number>();
    const store = await rawStore(
      (request, socket, response) => {
        const n = (requests.get(socket) ?? 0) + 1;
        requests.set(socket, n);
        // The other end of a connection that was given up meanwhile knows nothing of it.
        if (n > 1) {
          socket.resetAndDestroy();
          return;
        }
        response.writeHead(200, { ...identity, ...(request.method === "GET" && { "content-length": 2 }) });
        response.end(request.method === "GET" ? "ok" : undefined);
      },
      { maxAttempts: 2 },
    );
    await store.put("k", text("one"));
    expect(String(await readAll(store, "k"))).toBe("ok");
    await store.put("k", text("two"));
    expect([...requests.values()].reduce((sum, each) => sum + each, 0)).toBeGreaterThan(requests.size);
  });

  test("on which no answer comes is given up", async () => {
    const { store } = await world({ socketTimeout: 30, faults: () => ({ kind: "hang" }) });
    for (const call of everyCall(store)) expect(await failureOf(call())).toMatchObject({ code: "TRANSIENT" });
  });
});

// ── keys ────────────────────────────────────────────────────────────────────────────────────────────────────

describe("a key reaches S3 as it is", () => {
  test.each([
    ["a/../b", "/bucket/a/../b"],
    ["../secret", "/bucket/../secret"],
    ["./a/.", "/bucket/./a/."],
    ["/leading", "/bucket//leading"],
    ["a//b", "/bucket/a//b"],
    ["folder/", "/bucket/folder/"],
    ["a b+c%20", "/bucket/a%20b%2Bc%2520"],
    [
      "日本/é?#&=;:@$,!*'()~\\\"<>|^`{}[]",
      "/bucket/%E6%97%A5%E6%9C%AC/%C3%A9%3F%23%26%3D%3B%3A%40%24%2C%21%2A%27%28%29~%5C%22%3C%3E%7C%5E%60%7B%7D%5B%5D",
    ],
    ["\u0001\n\t\u007f", "/bucket/%01%0A%09%7F"],
    ["x".repeat(1024), `/bucket/${"x".repeat(1024)}`],
  ])("%j", async (key, path) => {
    const paths: (string | undefined)[] = [];
    const store = await rawStore((request, _, response) => {
      paths.push(request.url?.split("?")[0]);
      response.writeHead(request.method === "DELETE" ? 204 : 200, {
        etag: '"0123456789abcdef0123456789abcdef"',
      });
      response.end();
    });
    await store.look(key);
    await readAll(store, key);
    await store.put(key, text("x"));
    await store.delete(key);
    expect(paths).toEqual([path, path, path, path]);
  });

  test("of 1,024 bytes, and not of one more: that is FAILED with the reason", async () => {
    const { store, twin } = await world();
    const longest = `${"日".repeat(341)}x`;
    await store.put(longest, text("x"));
    expect(twin.keys("bucket")).toEqual([longest]);
    expect(String(await readAll(store, longest))).toBe("x");
    for (const call of [() => store.put(`${longest}y`, text("x")), () => store.look(`${longest}y`)]) {
      expect(await failureOf(call())).toMatchObject({
        code: "FAILED",
        message: expect.stringMatching(/KeyTooLongError.*: a key has at most 1,024 bytes$/),
      });
    }
  });
});
