import dns from "node:dns";
import http from "node:http";
import type { AddressInfo, LookupFunction } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { isPublicAddress } from "../../src/delivery/public-address.ts";
import { createHttp, isSinkUnavailable, TransportError } from "../../src/index.ts";

test.each([
  ...["8.8.8.8", "172.32.0.1", "172.15.255.255", "100.63.0.1", "223.255.255.255", "2606:4700::1111"],
  ...["2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"],
])("%s is public", (address) => {
  expect(isPublicAddress(address)).toBe(true);
});

test.each([
  ...["0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1"],
  ...["172.31.255.255", "192.168.1.1", "198.19.0.1", "203.0.113.7", "224.0.0.1", "255.255.255.255"],
  ...[
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:a9fe:a9fe",
    "::ffff:0:7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::10.0.0.1",
  ],
  ...[
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "ff02::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2001::1",
  ],
  ...["", "localhost", "1.2.3", "[::1]"],
])("%s is not public", (address) => {
  expect(isPublicAddress(address)).toBe(false);
});

let url: string;
let seen: number;
let server: http.Server;
beforeEach(async () => {
  seen = 0;
  server = http.createServer((_request, response) => {
    seen++;
    response.end("private");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  // A server that listens on TCP has an AddressInfo.
  url = `http://hooks.test:${(server.address() as AddressInfo).port}`;
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

/** A resolver that answers as told, request by request. */
function resolving(...answers: readonly (readonly string[])[]): LookupFunction & { asked: number } {
  const lookup: LookupFunction & { asked: number } = Object.assign(
    ((_hostname, options, callback) => {
      const addresses = (answers[lookup.asked++] ?? []).map((address) => ({
        address,
        family: address.includes(":") ? 6 : 4,
      }));
      expect(options.all).toBe(true);
      callback(null, addresses);
    }) satisfies LookupFunction,
    { asked: 0 },
  );
  return lookup;
}

const request = (to: string) => ({ method: "GET", url: to, headers: {}, publicOnly: true }) as const;
const soon = () => AbortSignal.timeout(2000);

test.each([[["127.0.0.1"]], [["8.8.8.8", "127.0.0.1"]], [["::1"]], [["10.0.0.1", "8.8.8.8"]]])(
  "a name that resolves to %j gets nothing, and the sink is unavailable",
  async (addresses) => {
    const client = createHttp({ lookup: resolving(addresses) });
    const error = await client.send(request(url), soon()).catch((thrown: unknown) => thrown);
    expect(isSinkUnavailable(error)).toBe(true);
    expect(String(error)).toMatch(/hooks\.test:\d+ is in a private network/);
    expect(seen).toBe(0);
    client.close();
  },
);

test.each(["127.0.0.1", "0x7f.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "localhost"])(
  "%s gets nothing, however it is written",
  async (host) => {
    const client = createHttp({
      lookup: (_name, options, callback) => dns.lookup("localhost", options, callback),
    });
    const error = await client
      .send(request(url.replace("hooks.test", host)), soon())
      .catch((thrown: unknown) => thrown);
    expect(isSinkUnavailable(error)).toBe(true);
    expect(seen).toBe(0);
    client.close();
  },
);

test("every connection is judged by what its own look-up says, whatever another one said before", async () => {
  const lookup = resolving([], ["127.0.0.1"]);
  const client = createHttp({ lookup });
  await expect(client.send(request(url), soon())).rejects.toBeInstanceOf(TransportError);
  await expect(client.send(request(url), soon())).rejects.toMatchObject({ code: "SINK_UNAVAILABLE" });
  expect([lookup.asked, seen]).toEqual([2, 0]);
  client.close();
});

test("a socket that another request may have does not serve one that may not", async () => {
  const client = createHttp({ lookup: resolving(["127.0.0.1"]) });
  const local = url.replace("hooks.test", "127.0.0.1");
  expect((await client.send({ method: "GET", url: local, headers: {} }, soon())).body).toBe("private");
  await expect(client.send(request(local), soon())).rejects.toMatchObject({ code: "SINK_UNAVAILABLE" });
  expect(seen).toBe(1);
  client.close();
});

test("a name that resolves to nothing is a broken connection, which time may cure", async () => {
  const client = createHttp({ lookup: resolving([]) });
  await expect(client.send(request(url), soon())).rejects.toBeInstanceOf(TransportError);
  client.close();
});
