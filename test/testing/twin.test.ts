import { once } from "node:events";
import net from "node:net";
import { setImmediate } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  createHttp,
  type HttpClient,
  type HttpReply,
  type HttpRequest,
  TransportError,
} from "../../src/index.ts";
import {
  resetConnection,
  type ServedTwin,
  serveTwin,
  type TwinHandler,
  twinHttp,
  virtualClock,
} from "../../src/testing/index.ts";

const never = new AbortController().signal;

let cleanUp: (() => unknown)[];
beforeEach(() => {
  cleanUp = [];
});
afterEach(async () => {
  for (const each of cleanUp.reverse()) await each();
});

async function serve(handle: TwinHandler, port?: number): Promise<ServedTwin> {
  const served = await serveTwin(handle, port);
  cleanUp.push(() => served.close());
  return served;
}

/** A twin, and the way to it. */
type Reach = (handle: TwinHandler) => Promise<{ readonly url: string; readonly http: HttpClient }>;

const ways: readonly [string, Reach][] = [
  ["in process", async (handle) => ({ url: "http://twin.test", http: twinHttp(handle) })],
  [
    "on loopback",
    async (handle) => {
      const { url } = await serve(handle);
      const http = createHttp();
      cleanUp.push(() => http.close());
      return { url, http: http.send };
    },
  ],
];

const post = (url: string, body: string | Uint8Array = "hello"): HttpRequest => ({
  method: "POST",
  url: `${url}/path?query=1`,
  headers: { "content-type": "text/plain", "x-key": "value" },
  body,
});

/** A body that never ends, in pieces given by `pull`; says when it is cancelled. */
function endless(pull: (controller: ReadableStreamDefaultController<Uint8Array>) => void | Promise<void>) {
  const cancelled = Promise.withResolvers<void>();
  const stream = new ReadableStream<Uint8Array>({ pull, cancel: () => cancelled.resolve() });
  return { stream, cancelled: cancelled.promise };
}

describe.each(ways)("a twin %s", (_, reach) => {
  test("sees the request as it was sent", async () => {
    const seen: unknown[] = [];
    const { url, http } = await reach(async (request) => {
      const { pathname, search } = new URL(request.url);
      seen.push([request.method, pathname, search, request.headers.get("x-key"), await request.text()]);
      return new Response(null, { status: 204 });
    });
    expect(await http(post(url, "ü€😀"), never)).toMatchObject({ status: 204, body: "" });
    await http(post(url, new TextEncoder().encode("bytes")), never);
    await http({ method: "GET", url, headers: {} }, never);
    expect(seen).toEqual([
      ["POST", "/path", "?query=1", "value", "ü€😀"],
      ["POST", "/path", "?query=1", "value", "bytes"],
      ["GET", "/", "", null, ""],
    ]);
  });

  test("answers with a status, headers, a body and a wait", async () => {
    const { url, http } = await reach(
      () => new Response("slow down", { status: 429, headers: { "retry-after": "3", "X-Left": "0" } }),
    );
    const reply: HttpReply = await http(post(url), never);
    expect(reply).toMatchObject({ status: 429, body: "slow down", retryAfterMs: 3_000 });
    expect(reply.headers).toMatchObject({ "x-left": "0" });
  });

  test("answers with a body of many pieces", async () => {
    const piece = "x".repeat(100_000);
    let left = 20;
    const body = () =>
      new ReadableStream<Uint8Array>({
        pull(controller) {
          if (left-- > 0) controller.enqueue(new TextEncoder().encode(piece));
          else controller.close();
        },
      });
    const { url, http } = await reach(() => new Response(body()));
    expect((await http(post(url), never)).body).toBe(piece.repeat(20));
  });

  test("cuts the connection before its reply and within it", async () => {
    const cut = await reach(() => {
      throw resetConnection();
    });
    await expect(cut.http(post(cut.url), never)).rejects.toBeInstanceOf(TransportError);
    const broken = new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.enqueue(new TextEncoder().encode("half"));
        controller.error(resetConnection());
      },
    });
    const within = await reach(() => new Response(broken));
    await expect(within.http(post(within.url), never)).rejects.toBeInstanceOf(TransportError);
  });

  test("is told when its client goes away, and not before", async () => {
    const arrived = Promise.withResolvers<Request>();
    const { url, http } = await reach((request) => {
      arrived.resolve(request);
      return new Promise<never>(() => {});
    });
    const abort = new AbortController();
    const sending = http(post(url), abort.signal);
    const { signal } = await arrived.promise;
    for (let turn = 0; turn < 5; turn++) await setImmediate();
    expect(signal.aborted).toBe(false);
    const told = once(signal, "abort");
    abort.abort();
    await expect(sending).rejects.toMatchObject({
      code: "TRANSPORT",
      message: `${new URL(url).host}: no complete reply in time`,
    });
    await told;
  });

  test("hears nothing of a request that was aborted before it began", async () => {
    let heard = 0;
    const { url, http } = await reach(() => {
      heard++;
      return new Response();
    });
    await expect(http(post(url), AbortSignal.abort())).rejects.toBeInstanceOf(TransportError);
    await setImmediate();
    expect(heard).toBe(0);
  });
});

describe("in process", () => {
  test("an error of the handler's own is a bug in a test, and is shown as it is", async () => {
    const bug = new TypeError("a bug");
    const http = twinHttp(() => {
      throw bug;
    });
    await expect(http(post("http://twin.test"), never)).rejects.toBe(bug);
  });

  test("a date in Retry-After is counted from the clock's present", async () => {
    const clock = virtualClock({ start: Date.UTC(2026, 0, 1) });
    const headers = { "retry-after": "Thu, 01 Jan 2026 00:00:05 GMT" };
    const http = twinHttp(() => new Response("", { status: 503, headers }), clock);
    expect(await http(post("http://twin.test"), never)).toMatchObject({ retryAfterMs: 5_000 });
  });

  test("a reply that is slower than the client's time is given up", async () => {
    const clock = virtualClock();
    const http = twinHttp(async () => {
      await clock.sleep(10_000);
      return new Response();
    }, clock);
    const start = clock.now();
    await expect(clock.run(http(post("http://twin.test"), clock.signal(3_000)))).rejects.toBeInstanceOf(
      TransportError,
    );
    expect(clock.now() - start).toBe(3_000);
  });

  test("a request that is over leaves nothing at a signal that outlives it", async () => {
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
    await twinHttp(() => new Response())(post("http://twin.test"), signal);
    // The one that is left is of Node's `Request`, which holds it weakly.
    expect(listeners.size).toBeLessThanOrEqual(1);
  });
});

describe("on loopback", () => {
  test("a reply whose client went away is cancelled, when it waits for the client to read", async () => {
    const body = endless((controller) => controller.enqueue(new Uint8Array(64 * 1024)));
    const { url } = await serve(() => new Response(body.stream));
    const { hostname, port } = new URL(url);
    const socket = net.connect(Number(port), hostname);
    socket.write("GET / HTTP/1.1\r\nhost: twin\r\n\r\n");
    await once(socket, "data");
    // Nothing is read from now on, until the server's buffers are full.
    socket.pause();
    for (let turn = 0; turn < 50; turn++) await setImmediate();
    socket.destroy();
    await body.cancelled;
  });

  test("a reply whose client went away is cancelled, when it waits for its own next piece", async () => {
    let pulled = 0;
    const body = endless(async (controller) => {
      pulled++;
      if (pulled > 1) await new Promise<never>(() => {});
      controller.enqueue(new Uint8Array(10));
    });
    const { url } = await serve(() => new Response(body.stream));
    const { send, close } = createHttp();
    cleanUp.push(close);
    const abort = new AbortController();
    const sending = send(post(url), abort.signal);
    await expect.poll(() => pulled).toBe(2);
    abort.abort();
    await expect(sending).rejects.toBeInstanceOf(TransportError);
    await body.cancelled;
  });

  test("the port is free again after close, even when a request hangs", async () => {
    const hanging = await serveTwin(() => new Promise<never>(() => {}));
    const { send, close } = createHttp();
    cleanUp.push(close);
    const sending = send(post(hanging.url), never);
    const failing = expect(sending).rejects.toBeInstanceOf(TransportError);
    await setImmediate();
    await hanging.close();
    await failing;
    const again = await serve(() => new Response("again"), Number(new URL(hanging.url).port));
    expect(again.url).toBe(hanging.url);
    expect(await send(post(again.url), never)).toMatchObject({ body: "again" });
  });

  test("a port in use is an error, not a hang", async () => {
    const { url } = await serve(() => new Response());
    await expect(serveTwin(() => new Response(), Number(new URL(url).port))).rejects.toMatchObject({
      code: "EADDRINUSE",
    });
  });

  test("it listens on 127.0.0.1 alone", async () => {
    const { url } = await serve(() => new Response());
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    const other = net.connect(Number(new URL(url).port), "127.0.0.2");
    const [error] = await once(other, "error");
    expect(error).toMatchObject({ code: "ECONNREFUSED" });
  });
});
