// A proxy is the only way out: what is asked of it, and what never reaches it.
import { once } from "node:events";
import http from "node:http";
import net, { type LookupFunction } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { awsAgents, isProxied } from "../../src/delivery/proxy.ts";
import { createHttp, isSinkUnavailable, TransportError, useProxies } from "../../src/index.ts";

let asked: string[];
let proxy: string;
const open: { close(): void }[] = [];

/** Takes whatever it is asked for; a tunnel leads to whoever closes it. */
beforeEach(async () => {
  asked = [];
  const server = http.createServer(({ method, url, headers }, response) => {
    asked.push(`${method} ${url} for ${headers.host}`);
    response.end("by the proxy");
  });
  server.on("connect", ({ url, headers }, socket: net.Socket) => {
    asked.push(`CONNECT ${url} for ${headers.host}`);
    socket.end("HTTP/1.1 502 Bad Gateway\r\n\r\n");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a TCP server has a port");
  proxy = `http://127.0.0.1:${address.port}`;
  open.push({
    close() {
      server.closeAllConnections();
      server.close();
    },
  });
});
afterEach(() => {
  for (const each of open.splice(0)) each.close();
});

function client(env: Readonly<Record<string, string>>, lookup?: LookupFunction) {
  const made = createHttp({ proxy: env, ...(lookup && { lookup }) });
  open.push(made);
  return (url: string, publicOnly = false) =>
    made.send({ method: "GET", url, headers: {}, publicOnly }, AbortSignal.timeout(5_000));
}

const finds =
  (...addresses: readonly string[]): LookupFunction =>
  (_name, _options, callback) =>
    callback(
      null,
      addresses.map((address) => ({ address, family: net.isIP(address) })),
    );

test.each(["HTTP_PROXY", "http_proxy"])("%s takes plain requests", async (name) => {
  const send = client({ [name]: proxy });
  expect((await send("http://vendor.test/import?strict=1")).body).toBe("by the proxy");
  expect(asked).toEqual(["GET http://vendor.test/import?strict=1 for vendor.test"]);
});

test.each(["HTTPS_PROXY", "https_proxy"])("%s gets a tunnel for what is encrypted", async (name) => {
  const send = client({ [name]: proxy });
  await expect(send("https://vendor.test/import")).rejects.toBeInstanceOf(TransportError);
  expect(asked).toEqual(["CONNECT vendor.test:443 for vendor.test:443"]);
});

test("each scheme has its own, and without one nothing goes through it", async () => {
  await expect(client({ HTTPS_PROXY: proxy })("http://127.0.0.1:1/")).rejects.toThrow("ECONNREFUSED");
  await expect(client({})("http://127.0.0.1:1/")).rejects.toThrow("ECONNREFUSED");
  expect(asked).toEqual([]);
});

test.each(["127.0.0.1", "*", "other.test, 127.0.0.1:1"])("NO_PROXY=%s exempts its hosts", async (none) => {
  await expect(client({ HTTP_PROXY: proxy, NO_PROXY: none })("http://127.0.0.1:1/")).rejects.toThrow(
    "ECONNREFUSED",
  );
  expect(asked).toEqual([]);
});

describe("a request that may go to public addresses alone", () => {
  test("is resolved here, and the proxy is asked for that very address", async () => {
    const send = client({ HTTP_PROXY: proxy, HTTPS_PROXY: proxy }, finds("93.184.215.14"));
    await expect(send("https://hooks.test/a", true)).rejects.toBeInstanceOf(TransportError);
    expect((await send("http://hooks.test/a", true)).body).toBe("by the proxy");
    expect(asked).toEqual([
      "CONNECT 93.184.215.14:443 for 93.184.215.14:443",
      "GET http://hooks.test/a for hooks.test",
    ]);
  });

  test.each([["127.0.0.1"], ["8.8.8.8", "169.254.169.254"]])("and not for %j", async (...addresses) => {
    const send = client({ HTTP_PROXY: proxy, HTTPS_PROXY: proxy }, finds(...addresses));
    const error = await send("https://hooks.test/a", true).catch((thrown: unknown) => thrown);
    expect(isSinkUnavailable(error)).toBe(true);
    expect(asked).toEqual([]);
  });

  test("nor for one that is written out", async () => {
    const send = client({ HTTP_PROXY: proxy, HTTPS_PROXY: proxy });
    const error = await send("https://[::ffff:10.0.0.1]/a", true).catch((thrown: unknown) => thrown);
    expect(isSinkUnavailable(error)).toBe(true);
    expect(asked).toEqual([]);
  });
});

test.each([
  ["https://a.example.com/", ".example.com", false],
  ["https://example.com/", ".example.com", true],
  ["https://a.example.com/", "*.example.com", false],
  ["https://notexample.com/", "example.com", true],
  ["https://example.com/", "EXAMPLE.com:443", false],
  ["https://example.com/", "example.com:8443", true],
  ["https://example.com:8443/", "example.com:8443", false],
])("%s with NO_PROXY=%s goes through the proxy: %s", (url, none, expected) => {
  expect(isProxied(new URL(url), { HTTPS_PROXY: proxy, NO_PROXY: none })).toBe(expected);
});

test("what the whole process was told, every client takes that is made afterwards", async () => {
  const before = createHttp();
  useProxies({ HTTP_PROXY: proxy });
  const after = createHttp();
  open.push(before, after, { close: () => useProxies({}) });
  const request = { method: "GET", url: "http://vendor.test/", headers: {} } as const;
  expect((await after.send(request, AbortSignal.timeout(5_000))).body).toBe("by the proxy");
  await expect(before.send(request, AbortSignal.timeout(5_000))).rejects.toThrow();
  expect(awsAgents()).toHaveProperty("httpsAgent");
  expect(asked).toHaveLength(1);
});

test("AWS's clients make their own agents where there is no proxy, and get such that heed one", () => {
  expect(awsAgents({})).toEqual({});
  const { httpAgent, httpsAgent } = awsAgents({ HTTPS_PROXY: proxy });
  open.push({
    close() {
      httpAgent?.destroy();
      httpsAgent?.destroy();
    },
  });
  expect(httpsAgent).toBeDefined();
});
