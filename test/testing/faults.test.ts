import { once } from "node:events";
import net from "node:net";
import { describe, expect, test } from "vitest";
import { createHttp, type HttpClient, TransportError } from "../../src/index.ts";
import {
  drawFaults,
  type Fault,
  injectFaults,
  type RetryAfterForm,
  retryAfter,
  seededRandom,
  serveTwin,
  twinHttp,
  virtualClock,
} from "../../src/testing/index.ts";

/** A twin that counts what reached it. */
function counter() {
  const seen: string[] = [];
  const handle = async (request: Request) => {
    seen.push(await request.text());
    return Response.json({ status: "stored", count: seen.length }, { status: 202 });
  };
  return { seen, handle };
}

const post = (send: HttpClient, url: string, signal: AbortSignal) =>
  send({ method: "POST", url: `${url}/x`, headers: { "content-type": "text/plain" }, body: "hello" }, signal);

/** What a client sees of a fault, and how many requests the twin had stored. */
const cases: readonly [name: string, fault: Fault, sees: unknown, stored: number][] = [
  [
    "a status in front of the twin, with its headers and body",
    { kind: "status", status: 429, headers: { "retry-after": "3" }, body: "<html>slow down</html>" },
    { status: 429, body: "<html>slow down</html>", retryAfterMs: 3000 },
    0,
  ],
  ["a status without a body", { kind: "status", status: 204 }, { status: 204, body: "" }, 0],
  [
    "a redirect",
    { kind: "status", status: 302, headers: { location: "/" } },
    { status: 302, headers: { location: "/" } },
    0,
  ],
  ["a reset before the twin", { kind: "reset" }, TransportError, 0],
  ["a reset after storing", { kind: "reset-after-store" }, TransportError, 1],
  ["a reset within the reply", { kind: "reset-in-reply" }, TransportError, 1],
  ["a reply cut in half", { kind: "truncated" }, { status: 202, body: '{"status":"sto' }, 1],
  [
    "a garbled reply, after storing, with the twin's own status",
    { kind: "garbled", body: "<html>OK</html>" },
    { status: 202, body: "<html>OK</html>" },
    1,
  ],
  [
    "other headers on the twin's own reply",
    { kind: "headers", headers: { "retry-after": "9", "content-type": "text/html" } },
    { status: 202, body: '{"status":"stored","count":1}', retryAfterMs: 9000 },
    1,
  ],
];

describe.each(["in process", "on loopback"])("%s", (where) => {
  test.each(cases)("%s", async (_name, fault, sees, stored) => {
    const twin = counter();
    const faulty = injectFaults(twin.handle, (_request, n) => (n === 1 ? fault : undefined));
    const served = where === "on loopback" ? await serveTwin(faulty) : undefined;
    const real = createHttp();
    try {
      const send = served === undefined ? twinHttp(faulty) : real.send;
      const url = served?.url ?? "http://twin.test";
      const first = post(send, url, new AbortController().signal);
      if (sees === TransportError) await expect(first).rejects.toBeInstanceOf(TransportError);
      else expect(await first).toMatchObject(Object(sees));
      expect(twin.seen).toEqual(Array(stored).fill("hello"));
      // The fault was the first request's alone.
      expect(await post(send, url, new AbortController().signal)).toMatchObject({ status: 202 });
    } finally {
      real.close();
      await served?.close();
    }
  });

  test("a hang lasts until the client gives up", async () => {
    const twin = counter();
    const faulty = injectFaults(twin.handle, () => ({ kind: "hang", stored: true }));
    const served = where === "on loopback" ? await serveTwin(faulty) : undefined;
    const real = createHttp();
    try {
      const gaveUp = new AbortController();
      const hanging = post(
        served === undefined ? twinHttp(faulty) : real.send,
        served?.url ?? "http://twin.test",
        gaveUp.signal,
      );
      await expect.poll(() => twin.seen).toEqual(["hello"]);
      gaveUp.abort();
      await expect(hanging).rejects.toBeInstanceOf(TransportError);
    } finally {
      real.close();
      await served?.close();
    }
  });
});

describe("a body that is no text", () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, value) => value);
  const handle = () => new Response(bytes, { headers: { "content-length": "256" } });
  const bodyAfter = async (fault: Fault) => {
    const response = await injectFaults(handle, () => fault)(new Request("http://twin.test"));
    return new Uint8Array(await response.arrayBuffer());
  };

  test("stays what it is, byte by byte, through every fault that passes it on", async () => {
    expect(await bodyAfter({ kind: "slow-body", ms: 0, pieces: 7 })).toEqual(bytes);
    expect(await bodyAfter({ kind: "headers", headers: {} })).toEqual(bytes);
    expect(await bodyAfter({ kind: "truncated" })).toEqual(bytes.slice(0, 128));
    expect(await bodyAfter({ kind: "truncated", bytes: 200 })).toEqual(bytes.slice(0, 200));
    const other = Uint8Array.of(0xff, 0, 0xfe);
    expect(await bodyAfter({ kind: "garbled", body: other })).toEqual(other);
    expect(await bodyAfter({ kind: "status", status: 500, body: other })).toEqual(other);
  });

  test("is scrambled by the seed alone, in some bytes and never in none", async () => {
    const scrambled = await bodyAfter({ kind: "scrambled", seed: 3 });
    expect(await bodyAfter({ kind: "scrambled", seed: 3 })).toEqual(scrambled);
    expect(await bodyAfter({ kind: "scrambled", seed: 4 })).not.toEqual(scrambled);
    expect(scrambled).toHaveLength(bytes.length);
    const changed = scrambled.filter((byte, index) => byte !== bytes[index]).length;
    expect(changed).toBeGreaterThan(10);
    expect(changed).toBeLessThan(80);
    for (let seed = 0; seed < 200; seed++) {
      const short = injectFaults(
        () => new Response("ok"),
        () => ({ kind: "scrambled", seed }),
      );
      const response = await short(new Request("http://twin.test"));
      expect(new Uint8Array(await response.arrayBuffer())).not.toEqual(new TextEncoder().encode("ok"));
    }
  });
});

test("a reply can be cut at any of its bytes, and those before it arrive", async () => {
  const body = Uint8Array.of(0x00, 0xff, 0x80, 0x0d, 0x0a, 0x41);
  let cutAt = 0;
  const faulty = injectFaults(
    () => new Response(body),
    () => ({ kind: "reset-in-reply", afterBytes: cutAt }),
  );
  const served = await serveTwin(faulty);
  try {
    for (cutAt = 0; cutAt <= body.length; cutAt++) {
      const socket = net.connect(Number(new URL(served.url).port), "127.0.0.1");
      const chunks: Buffer[] = [];
      socket.on("data", (chunk) => chunks.push(chunk));
      socket.on("error", () => {});
      socket.write("GET / HTTP/1.1\r\nhost: twin\r\n\r\n");
      await once(socket, "close");
      const raw = Buffer.concat(chunks);
      const came = unchunked(raw.subarray(raw.indexOf("\r\n\r\n") + 4));
      expect([...came.bytes]).toEqual([...body.subarray(0, cutAt)]);
      expect(came.complete).toBe(false);
    }
  } finally {
    await served.close();
  }
});

/** What has come of a body in chunks, of which each is `length\r\nbytes\r\n`, the last one empty. */
function unchunked(raw: Buffer): { readonly bytes: Buffer; readonly complete: boolean } {
  const parts: Buffer[] = [];
  for (let at = 0; at < raw.length; ) {
    const lineEnd = raw.indexOf("\r\n", at);
    const length = Number.parseInt(raw.toString("latin1", at, lineEnd), 16);
    if (length === 0) return { bytes: Buffer.concat(parts), complete: true };
    parts.push(raw.subarray(lineEnd + 2, lineEnd + 2 + length));
    at = lineEnd + 2 + length + 2;
  }
  return { bytes: Buffer.concat(parts), complete: false };
}

test.each<[RetryAfterForm, number | undefined]>([
  ["seconds", 7000],
  ["fraction", 7000],
  ["date", 7000],
  ["rfc850-date", 7000],
  ["asctime-date", 7000],
  ["garbage", undefined],
])("Retry-After as %s is understood by our client as it should be", async (form, wait) => {
  const clock = virtualClock();
  const headers = { "retry-after": retryAfter(form, 7000, clock.now()) };
  const http = twinHttp(
    injectFaults(counter().handle, () => ({ kind: "status", status: 429, headers })),
    clock,
  );
  expect((await post(http, "http://twin.test", new AbortController().signal)).retryAfterMs).toBe(wait);
});

test("a late reply and a slow body cost virtual time, not real time, and the twin has stored at once", async () => {
  const clock = virtualClock({ start: 0 });
  const twin = counter();
  const faults: Fault[] = [
    { kind: "delay", ms: 60_000 },
    { kind: "slow-body", ms: 1000, pieces: 3 },
  ];
  const http = twinHttp(
    injectFaults(twin.handle, (_request, n) => faults[n - 1], clock),
    clock,
  );
  const late = post(http, "http://twin.test", clock.signal(100_000));
  await clock.advance(59_999);
  expect(twin.seen).toHaveLength(1);
  expect(await clock.run(late)).toMatchObject({ status: 202, body: '{"status":"stored","count":1}' });
  expect(clock.now()).toBe(60_000);
  const slow = await clock.run(post(http, "http://twin.test", clock.signal(100_000)));
  expect(slow.body).toBe('{"status":"stored","count":2}');
  expect(clock.now()).toBe(63_000);
  await expect(
    clock.run(
      post(
        twinHttp(
          injectFaults(twin.handle, () => ({ kind: "slow-body", ms: 1000 }), clock),
          clock,
        ),
        "http://twin.test",
        clock.signal(2500),
      ),
    ),
  ).rejects.toBeInstanceOf(TransportError);
});

test("the same seed draws the same numbers, evenly spread, and another seed draws others", () => {
  const draw = (seed: number) => Array.from({ length: 10_000 }, seededRandom(seed));
  const numbers = draw(7);
  expect(draw(7)).toEqual(numbers);
  expect(draw(8)).not.toEqual(numbers);
  expect(numbers.every((number) => number >= 0 && number < 1)).toBe(true);
  for (let tenth = 0; tenth < 10; tenth += 1) {
    const share = numbers.filter((number) => Math.floor(number * 10) === tenth).length;
    expect(share).toBeGreaterThan(850);
    expect(share).toBeLessThan(1150);
  }
});

test("drawn faults keep their rate, use every kind, and depend on the seed alone", () => {
  const kinds: Fault[] = [{ kind: "reset" }, { kind: "truncated" }, { kind: "status", status: 500 }];
  const request = new Request("http://twin.test");
  const draw = (seed: number, rate: number) => {
    const next = drawFaults({ seed, rate, kinds });
    return Array.from({ length: 3000 }, (_, index) => next(request, index + 1)?.kind);
  };
  const drawn = draw(1, 0.3);
  expect(draw(1, 0.3)).toEqual(drawn);
  const failed = drawn.filter((kind) => kind !== undefined);
  expect(failed.length / drawn.length).toBeCloseTo(0.3, 1);
  expect(new Set(failed)).toEqual(new Set(["reset", "truncated", "status"]));
  expect(draw(1, 0).every((kind) => kind === undefined)).toBe(true);
  expect(draw(1, 1).every((kind) => kind !== undefined)).toBe(true);
});
