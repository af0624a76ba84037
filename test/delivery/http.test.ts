import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import { setImmediate } from "node:timers/promises";
import { inspect } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import zlib from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseRetryAfter } from "../../src/delivery/http.ts";
import { createHttp, type HttpRequest, maxReplyBytes, systemClock, TransportError } from "../../src/index.ts";
import { version } from "../../src/version.ts";

const never = new AbortController().signal;

let cleanUp: (() => unknown)[];
beforeEach(() => {
  cleanUp = [];
});
afterEach(async () => {
  for (const each of cleanUp.reverse()) await each();
});

function client(options: Parameters<typeof createHttp>[0] = {}) {
  const created = createHttp(options);
  cleanUp.push(() => created.close());
  return created;
}

/** A server that answers in HTTP; `connections` counts the sockets that it was given. */
async function serve(handle: http.RequestListener) {
  const server = http.createServer(handle);
  const counted = { connections: 0 };
  server.on("connection", () => {
    counted.connections++;
  });
  cleanUp.push(() => server.closeAllConnections());
  return Object.assign(counted, { url: await listen(server) });
}

/** A server that does what it likes with a socket. */
async function serveRaw(onSocket: (socket: net.Socket, n: number) => void) {
  const sockets: net.Socket[] = [];
  const server = net.createServer((socket) => {
    // The client's end of a broken connection is what is tested, not this one.
    socket.on("error", () => {});
    sockets.push(socket);
    onSocket(socket, sockets.length);
  });
  cleanUp.push(() => {
    for (const socket of sockets) socket.destroy();
  });
  const url = await listen(server);
  return { url, sockets };
}

async function listen(server: net.Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanUp.push(() => server.close());
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a TCP server has a port");
  return `http://127.0.0.1:${address.port}`;
}

/** Says `text` to each request on the socket, once its head is there. */
const saying = (text: string) => (socket: net.Socket) => {
  socket.on("data", (chunk) => {
    if (chunk.includes("\r\n\r\n")) socket.write(text);
  });
};

const get = (url: string, change: Partial<HttpRequest> = {}): HttpRequest => ({
  method: "GET",
  url,
  headers: {},
  ...change,
});

async function transportErrorOf(sending: Promise<unknown>): Promise<TransportError> {
  const error = await sending.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof TransportError)) throw new Error("not a TransportError", { cause: error });
  return error;
}

async function readBody(incoming: http.IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

describe("a request", () => {
  const echo: http.RequestListener = async (incoming, outgoing) => {
    const body = await readBody(incoming);
    const { method, url, headers } = incoming;
    outgoing.end(JSON.stringify({ method, url, headers, body: body.toString("base64") }));
  };

  test.each([
    ["text", "ü€😀", Buffer.from("ü€😀")],
    ["bytes", new Uint8Array([0, 255, 13, 10]), Buffer.from([0, 255, 13, 10])],
    ["an empty text", "", Buffer.of()],
  ])("arrives as it was: method, path, query, headers and a body of %s", async (_, body, bytes) => {
    const { url } = await serve(echo);
    for (const method of ["POST", "PUT", "PATCH", "DELETE"] as const) {
      const headers = { authorization: "Basic abc", "content-type": "application/json" };
      const reply = await client().send({ method, url: `${url}/a/b?c=%20d`, headers, body }, never);
      expect(JSON.parse(reply.body)).toMatchObject({
        method,
        url: "/a/b?c=%20d",
        headers: { ...headers, "content-length": String(bytes.byteLength) },
        body: bytes.toString("base64"),
      });
    }
  });

  test("says who sends it, unless it says so itself, and wants its reply as it is", async () => {
    const { url } = await serve(echo);
    const { headers } = JSON.parse((await client().send(get(url), never)).body);
    expect(headers).toMatchObject({
      "user-agent": `firehose-fanout/${version}`,
      "accept-encoding": "identity",
    });
    const own = await client().send({ ...get(url), headers: { "user-agent": "vendor-sdk/1" } }, never);
    expect(JSON.parse(own.body).headers).toMatchObject({ "user-agent": "vendor-sdk/1" });
  });

  test("without a body has none, and no length of one", async () => {
    const { url } = await serve(echo);
    const reply = JSON.parse((await client().send(get(url), never)).body);
    expect(reply).toMatchObject({ method: "GET", body: "" });
    expect(reply.headers).not.toHaveProperty("content-length");
    expect(reply.headers).not.toHaveProperty("transfer-encoding");
  });

  test("goes over TLS when its address says https, and only then", async () => {
    const first: number[] = [];
    const { url } = await serveRaw((socket) => {
      socket.once("data", (chunk) => {
        first.push(chunk[0] ?? 0);
        socket.destroy();
      });
    });
    await transportErrorOf(client().send(get(url.replace("http:", "https:")), never));
    await transportErrorOf(client().send(get(url), never));
    // 22 begins a TLS handshake (RFC 8446, 5.1).
    expect(first).toEqual([22, "G".charCodeAt(0)]);
  });
});

describe("a reply", () => {
  test.each([200, 202, 204, 301, 302, 304, 307, 308, 400, 401, 404, 413, 429, 500, 503, 526])(
    "%i is a value, whatever it says; redirects are not followed",
    async (status) => {
      const seen: (string | undefined)[] = [];
      const { url } = await serve((incoming, outgoing) => {
        seen.push(incoming.url);
        outgoing.writeHead(status, { location: "/elsewhere" });
        outgoing.end([204, 304].includes(status) ? undefined : "said");
      });
      const reply = await client().send(get(`${url}/here`), never);
      expect(reply).toMatchObject({ status, body: [204, 304].includes(status) ? "" : "said" });
      expect(seen).toEqual(["/here"]);
    },
  );

  test.each<[string, (bytes: Buffer) => Buffer]>([
    ["gzip", zlib.gzipSync],
    ["x-gzip", zlib.gzipSync],
    ["GZIP", zlib.gzipSync],
    ["deflate", zlib.deflateSync],
    ["deflate", zlib.deflateRawSync],
    ["br", zlib.brotliCompressSync],
    ["zstd", zlib.zstdCompressSync],
    ["identity", (bytes) => bytes],
    ["deflate, gzip", (bytes) => zlib.gzipSync(zlib.deflateSync(bytes))],
  ])("is decoded when it comes as %s, which nobody asked for", async (coding, encode) => {
    const said = '{"code":200,"num_records_imported":3,"text":"ü"}';
    const { url } = await serve((_, outgoing) => {
      outgoing.writeHead(200, { "content-encoding": coding }).end(encode(Buffer.from(said)));
    });
    expect((await client().send(get(url), never)).body).toBe(said);
  });

  test("that says gzip and has no body, such as a 204, has none", async () => {
    const { url } = await serve((_, outgoing) => {
      outgoing.writeHead(200, { "content-encoding": "gzip" }).end();
    });
    expect((await client().send(get(url), never)).body).toBe("");
  });

  test.each<[string, string, Buffer]>([
    ["is damaged", "gzip", zlib.gzipSync("{}").subarray(0, 12)],
    ["is not what its header says", "br", Buffer.from("{}")],
    ["is in a coding that nobody knows", "compress", Buffer.from("{}")],
    ["inflates beyond what a reply may be", "gzip", zlib.gzipSync(Buffer.alloc(maxReplyBytes + 1))],
  ])("that %s is no reply: nobody knows what the vendor stored", async (_, coding, bytes) => {
    const { url } = await serve((__, outgoing) => {
      outgoing.writeHead(200, { "content-encoding": coding }).end(bytes);
    });
    const error = await transportErrorOf(client().send(get(url), never));
    expect(error.message).toMatch(/the reply is not in the coding that it names$/);
  });

  test("has its headers in lower case, repeated ones joined, and text in UTF-8 however its bytes were cut", async () => {
    const { url } = await serve(async (_, outgoing) => {
      outgoing.setHeader("X-Said", ["one", "two"]);
      outgoing.setHeader("Set-Cookie", ["a=1", "b=2"]);
      for (const byte of Buffer.from("ü€😀")) {
        outgoing.write(Buffer.of(byte));
        await setImmediate();
      }
      outgoing.end();
    });
    const reply = await client().send(get(url), never);
    expect(reply.body).toBe("ü€😀");
    expect(reply.headers).toMatchObject({ "x-said": "one, two", "set-cookie": "a=1, b=2" });
  });

  test("may be preceded by interim ones", async () => {
    const { url } = await serveRaw(
      saying("HTTP/1.1 103 Early Hints\r\nlink: </>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
    );
    expect(await client().send(get(url), never)).toMatchObject({ status: 200, body: "ok" });
  });

  test("without a length lasts until the connection ends", async () => {
    const { url } = await serveRaw((socket) => {
      socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\n\r\nall of it"));
    });
    expect(await client().send(get(url), never)).toMatchObject({ status: 200, body: "all of it" });
  });

  test("over the limit is read to its end, but not kept: memory stays bounded, and the socket is good for the next", async () => {
    setFlagsFromString("--expose-gc");
    const collect: unknown = runInNewContext("gc");
    const held = () => {
      if (typeof collect === "function") collect();
      return process.memoryUsage().arrayBuffers;
    };
    const [pieces, piece] = [128, Buffer.alloc(1024 * 1024, "x")];
    const before = held();
    const [written, measured] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const server = await serve(async (incoming, outgoing) => {
      if (incoming.url !== "/long") return outgoing.end("short");
      for (let n = 0; n < pieces; n++) if (!outgoing.write(piece)) await once(outgoing, "drain");
      written.resolve();
      await measured.promise;
      return outgoing.end();
    });
    const { send } = client();
    const sending = send(get(`${server.url}/long`), never);
    await written.promise;
    // What is on its way in the sockets' buffers comes on top of what is kept; what is freed is swept a little later.
    await expect.poll(() => held() - before).toBeLessThan(4 * maxReplyBytes);
    measured.resolve();
    const reply = await sending;
    expect(reply.status).toBe(200);
    expect(reply.body.length).toBeLessThanOrEqual(maxReplyBytes);
    expect(reply.body.length).toBeGreaterThan(maxReplyBytes / 2);
    expect(reply.body).toMatch(/^x+$/);
    expect((await send(get(server.url), never)).body).toBe("short");
    expect(server.connections).toBe(1);
  });
});

describe("sockets", () => {
  test("are used again after every kind of reply, since its body was read", async () => {
    const server = await serve(async (incoming, outgoing) => {
      await readBody(incoming);
      const status = Number(incoming.url?.slice(1));
      outgoing.writeHead(status);
      outgoing.end(status === 204 ? undefined : "x".repeat(200_000));
    });
    const { send } = client();
    for (const status of [200, 204, 302, 400, 429, 500, 200]) {
      await send(
        { method: "POST", url: `${server.url}/${status}`, headers: {}, body: "x".repeat(100_000) },
        never,
      );
    }
    expect(server.connections).toBe(1);
  });

  test("are as many as requests at once, up to the limit; the other requests wait", async () => {
    let underWay = 0;
    let most = 0;
    const server = await serve(async (_, outgoing) => {
      underWay++;
      most = Math.max(most, underWay);
      for (let turn = 0; turn < 20; turn++) await setImmediate();
      underWay--;
      outgoing.end();
    });
    const { send } = client({ maxSockets: 3 });
    await Promise.all(Array.from({ length: 12 }, () => send(get(server.url), never)));
    expect([most, server.connections]).toEqual([3, 3]);
  });

  test("that the server has closed in between are not used again", async () => {
    const server = await serveRaw((socket) => {
      socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"));
    });
    const { send } = client();
    await send(get(server.url), never);
    // The server's end closes when it has heard that the client's has.
    const [socket] = server.sockets;
    if (socket !== undefined && !socket.closed) await once(socket, "close");
    expect(await send(get(server.url), never)).toMatchObject({ status: 200 });
    expect(server.sockets).toHaveLength(2);
  });

  test("that the server closes just as the next request comes fail that request, which may then be sent again", async () => {
    const server = await serveRaw((socket, n) => {
      let requests = 0;
      socket.on("data", () => {
        requests++;
        if (n === 1 && requests === 2) socket.resetAndDestroy();
        else socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
      });
    });
    const { send } = client();
    const post = () => send({ method: "POST", url: server.url, headers: {}, body: "events" }, never);
    await post();
    // Nobody knows whether the server acted on it, so it is not sent again in here.
    await transportErrorOf(post());
    expect(server.sockets).toHaveLength(1);
    expect(await post()).toMatchObject({ status: 200 });
    expect(server.sockets).toHaveLength(2);
  });

  test("are cut by close, those in use as well", async () => {
    const server = await serveRaw(() => {});
    const { send, close } = createHttp();
    const sending = send(get(server.url), never);
    await expect.poll(() => server.sockets.length).toBe(1);
    close();
    await transportErrorOf(sending);
  });
});

describe("no complete reply is a TransportError", () => {
  const ending = (text: string) => (socket: net.Socket) => {
    socket.once("data", () => socket.end(text));
  };
  const resetting = (text: string) => (socket: net.Socket) => {
    socket.once("data", () => socket.write(text, () => socket.resetAndDestroy()));
  };

  test.each([
    ["closed without a word", ending("")],
    ["reset without a word", (socket: net.Socket) => socket.once("data", () => socket.resetAndDestroy())],
    ["closed within the head", ending("HTTP/1.1 200 OK\r\ncontent-le")],
    ["closed before the body", ending("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n")],
    ["closed within the body", ending("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")],
    [
      "closed between two chunks",
      ending("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"),
    ],
    ["closed within a chunk", ending("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nabc")],
    ["reset within the body", resetting("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")],
    ["not HTTP", ending("SSH-2.0-OpenSSH\r\n")],
    ["a head without an end", ending(`HTTP/1.1 200 OK\r\nx: ${"y".repeat(100_000)}\r\n\r\n`)],
    ["a chunk without a size", ending("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n")],
    [
      "an upgrade nobody asked for",
      saying("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"),
    ],
  ])("%s", async (_, onSocket) => {
    const { url } = await serveRaw(onSocket);
    const error = await transportErrorOf(client().send(get(url), AbortSignal.timeout(10_000)));
    expect(error.code).toBe("TRANSPORT");
    expect(error.message).not.toContain("in time");
  });

  test("a reply that was cut off is not told as none", async () => {
    const { url } = await serveRaw(ending("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"));
    expect((await transportErrorOf(client().send(get(url), never))).message).toMatch(/: ECONNRESET$/);
  });

  test("nobody listens", async () => {
    const server = net.createServer();
    const url = await listen(server);
    server.close();
    await once(server, "close");
    expect((await transportErrorOf(client().send(get(url), never))).message).toBe(
      `${new URL(url).host}: ECONNREFUSED`,
    );
  });

  test.each([
    ["no address", get("secret-path?key=secret")],
    ["an address with an impossible port", get("http://127.0.0.1:99999/secret-path")],
    ["another protocol", get("ftp://127.0.0.1/secret-path")],
    [
      "a header that no request can have",
      get("http://127.0.0.1:1/secret-path", { headers: { x: "secret\n" } }),
    ],
  ])("%s", async (_, request) => {
    const error = await transportErrorOf(client().send(request, never));
    expect(inspect(error, { depth: 9 })).not.toContain("secret");
  });
});

describe("an abort settles at once and frees the socket", () => {
  const inTime = "no complete reply in time";

  test("before anything began: nobody hears of the request", async () => {
    const server = await serveRaw(() => {});
    const error = await transportErrorOf(client().send(get(server.url), AbortSignal.abort()));
    expect(error.message).toBe(`${new URL(server.url).host}: ${inTime}`);
    await setImmediate();
    expect(server.sockets).toEqual([]);
  });

  test.each([
    ["while the connection is made", "https:", ""],
    ["while the head is awaited", "http:", ""],
    ["while the body is awaited", "http:", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n"],
    ["within the body", "http:", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"],
  ])("%s", async (_, protocol, said) => {
    const heard = Promise.withResolvers<net.Socket>();
    const { url } = await serveRaw((socket) => {
      socket.once("data", () => {
        if (said === "") heard.resolve(socket);
        else socket.write(said, () => heard.resolve(socket));
      });
    });
    const abort = new AbortController();
    const sending = transportErrorOf(client().send(get(url.replace("http:", protocol)), abort.signal));
    const socket = await heard.promise;
    // Time for what was said to be heard; without it the case is one of the others.
    for (let turn = 0; turn < 5; turn++) await setImmediate();
    const closed = once(socket, "close");
    abort.abort(new Error("a reason of the caller's"));
    expect((await sending).message).toBe(`${new URL(url).host}: ${inTime}`);
    await closed;
  });

  test("while all sockets are in use, and then the request is never sent", async () => {
    const heard: (string | undefined)[] = [];
    const held: http.ServerResponse[] = [];
    const { url } = await serve((incoming, outgoing) => {
      heard.push(incoming.url);
      held.push(outgoing);
    });
    const { send } = client({ maxSockets: 1 });
    const first = send(get(`${url}/first`), never);
    await expect.poll(() => heard).toEqual(["/first"]);
    const abort = new AbortController();
    const second = transportErrorOf(send(get(`${url}/second`), abort.signal));
    abort.abort();
    // The first one is still under way.
    expect((await second).message).toContain(inTime);
    await transportErrorOf(send(get(`${url}/late`), abort.signal));
    held[0]?.end();
    await first;
    const third = send(get(`${url}/third`), never);
    await expect.poll(() => heard).toEqual(["/first", "/third"]);
    held[1]?.end();
    await third;
  });

  test("and a request that is over leaves nothing at its signal", async () => {
    const { url } = await serve((_, outgoing) => outgoing.end());
    const { signal } = new AbortController();
    const listeners = new Set<unknown>();
    const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
    signal.addEventListener = (...parameters: Parameters<typeof add>) => {
      listeners.add(parameters[1]);
      add(...parameters);
    };
    signal.removeEventListener = (...parameters: Parameters<typeof remove>) => {
      listeners.delete(parameters[1]);
      remove(...parameters);
    };
    const { send } = client();
    for (let n = 0; n < 5; n++) await send(get(url), signal);
    await expect.poll(() => listeners.size).toBe(0);
  });
});

test("no message holds a path, a query, a header, a body or a password, whatever fails", async () => {
  const request = (url: string): HttpRequest => ({
    method: "POST",
    url: `${url.replace("//", "//user:secret-password@")}/secret-path?key=secret-query`,
    headers: { authorization: "secret-header" },
    body: "secret-body",
  });
  const says = ["", "secret-reply", "HTTP/1.1 200 OK\r\nx-secret: y\r\ncontent-length: 99\r\n\r\nsecret"];
  for (const said of says) {
    for (const protocol of ["http:", "https:"]) {
      const { url } = await serveRaw((socket) => socket.once("data", () => socket.end(said)));
      const error = await transportErrorOf(client().send(request(url.replace("http:", protocol)), never));
      expect(error.message).toContain(new URL(url).host);
      expect(inspect(error, { depth: 9, showHidden: true })).not.toContain("secret");
    }
  }
});

describe("Retry-After", () => {
  const now = Date.UTC(2026, 0, 1, 12);

  test.each([
    ["0", 0],
    ["7", 7_000],
    [" 7 ", 7_000],
    ["1.5", 1_500],
    ["86400", 86_400_000],
    ["Thu, 01 Jan 2026 12:00:30 GMT", 30_000],
    ["Thursday, 01-Jan-26 12:00:30 GMT", 30_000],
    ["Thu Jan  1 12:00:30 2026", 30_000],
    ["Thu, 01 Jan 2026 11:59:30 GMT", 0],
    ["Mon, 01 Jan 1990 00:00:00 GMT", 0],
    [undefined, undefined],
    ["", undefined],
    ["-1", undefined],
    ["+1", undefined],
    ["1e3", undefined],
    ["7 s", undefined],
    ["7, 8", undefined],
    ["99999999999999", 86_400_000],
    ["soon", undefined],
    ["try 7", undefined],
    ["Monday 5", undefined],
    ["Thu, 99 Foo 2026 12:00:30 GMT", undefined],
    ["2026-01-01T12:00:30Z", undefined],
    ["Infinity", undefined],
  ])("%j is a wait of %j", (value, wait) => {
    const zone = process.env["TZ"];
    try {
      for (const each of ["UTC", "Asia/Tokyo", "America/New_York"]) {
        process.env["TZ"] = each;
        expect(parseRetryAfter(value, now)).toBe(wait);
      }
    } finally {
      if (zone === undefined) delete process.env["TZ"];
      else process.env["TZ"] = zone;
    }
  });

  test("of a reply is there in milliseconds, by the clock that was given, or not at all", async () => {
    const { url } = await serve((incoming, outgoing) => {
      const value = new URL(incoming.url ?? "", "http://x").searchParams.get("value");
      outgoing.writeHead(429, value === null ? {} : { "retry-after": value });
      outgoing.end();
    });
    const { send } = client({ clock: { ...systemClock, now: () => now } });
    const asked = async (value: string) =>
      await send(get(`${url}/?value=${encodeURIComponent(value)}`), never);
    expect((await asked("3")).retryAfterMs).toBe(3_000);
    expect((await asked("0")).retryAfterMs).toBe(0);
    // A wait of years would be given up for good before it ends.
    for (const forever of ["1000000000", "9".repeat(400), "Fri, 01 Jan 2999 00:00:00 GMT"])
      expect((await asked(forever)).retryAfterMs).toBe(86_400_000);
    expect((await asked("Thu, 01 Jan 2026 12:01:00 GMT")).retryAfterMs).toBe(60_000);
    expect(await asked("soon")).not.toHaveProperty("retryAfterMs");
    expect(await send(get(url), never)).not.toHaveProperty("retryAfterMs");
  });
});
