import { http } from "msw";
import { setupServer } from "msw/node";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { createHttp, TransportError } from "../../src/index.ts";
import { type Fault, injectFaults, twinResolver } from "../../src/testing/index.ts";

const server = setupServer();
beforeAll(() => server.listen({ onUnhandledFrame: "error" }));
afterEach(() => server.resetHandlers());
afterAll(() => server.close());

const url = "https://api.acme.test/events";
const never = new AbortController().signal;

/** A twin behind msw, and the real client, which believes that it speaks HTTPS with the vendor. */
function through(next: (n: number) => Fault | undefined) {
  const seen: string[] = [];
  const handle = async (request: Request) => {
    seen.push(await request.text());
    return Response.json({ stored: seen.length });
  };
  server.use(http.all("https://api.acme.test/*", twinResolver(injectFaults(handle, (_, n) => next(n)))));
  const client = createHttp();
  const send = (signal = never) =>
    client.send({ method: "POST", url, headers: { "content-type": "text/plain" }, body: "hello" }, signal);
  return { seen, send };
}

test("a twin answers the real client in process, at the vendor's own address", async () => {
  const { seen, send } = through(() => undefined);
  expect(await send()).toMatchObject({ status: 200, body: '{"stored":1}' });
  expect(seen).toEqual(["hello"]);
});

test.each<[Fault, number]>([
  [{ kind: "reset" }, 0],
  [{ kind: "reset-after-store" }, 1],
  [{ kind: "reset-in-reply", afterBytes: 3 }, 1],
])("$kind is a broken connection to the client, once", async (fault, stored) => {
  const { seen, send } = through((n) => (n === 1 ? fault : undefined));
  await expect(send()).rejects.toBeInstanceOf(TransportError);
  expect(seen).toHaveLength(stored);
  expect(await send()).toMatchObject({ status: 200 });
});

test("statuses, headers, partial and slow replies come as they are", async () => {
  const faults: Fault[] = [
    { kind: "status", status: 429, headers: { "retry-after": "3" }, body: "<html>" },
    { kind: "truncated", bytes: 5 },
    { kind: "slow-body", ms: 1, pieces: 3 },
  ];
  const { send } = through((n) => faults[n - 1]);
  expect(await send()).toMatchObject({ status: 429, body: "<html>", retryAfterMs: 3000 });
  expect(await send()).toMatchObject({ status: 200, body: '{"sto' });
  expect(await send()).toMatchObject({ status: 200, body: '{"stored":2}' });
});

test("a hang lasts until the client gives up", async () => {
  const { seen, send } = through(() => ({ kind: "hang", stored: true }));
  const gaveUp = new AbortController();
  const hanging = send(gaveUp.signal);
  await expect.poll(() => seen).toEqual(["hello"]);
  gaveUp.abort();
  await expect(hanging).rejects.toBeInstanceOf(TransportError);
});
