import { describe, expect, test } from "vitest";
import { DirectoryDown, type HttpClient, httpDirectory, TransportError } from "../../src/index.ts";
import { virtualClock } from "../../src/testing/index.ts";

const url = "https://tenants.example/v1/{tenant_id}";
const never = () => new Promise<never>(() => {});

type Answer = { readonly status: number; readonly body?: string } | "silence" | "reset";

/** A directory whose server answers as `answer` says now. */
function world(first: Answer, options: Partial<Parameters<typeof httpDirectory>[0]> = {}) {
  const clock = virtualClock();
  const asked: { url: string; authorization: string | undefined }[] = [];
  const state = { answer: first, asked };
  const http: HttpClient = async (request, signal) => {
    asked.push({ url: request.url, authorization: request.headers["authorization"] });
    if (state.answer === "reset") throw new TransportError("reset");
    if (state.answer === "silence") {
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
      throw new TransportError("no complete reply in time");
    }
    return { headers: {}, body: "", ...state.answer };
  };
  const directory = httpDirectory({ url, http, clock, ...options });
  const find = (id: string, signal = new AbortController().signal) => clock.run(directory.find(id, signal));
  return { clock, state, find, directory };
}

const acme = { status: 200, body: '{"name":"Acme","environment":"production","plan":"ignored"}' };

test("a tenant is asked for once, and remembered for five minutes", async () => {
  const { find, state, clock } = world(acme, { token: "secret" });
  expect(await find("acme")).toEqual({ name: "Acme", environment: "production" });
  await clock.advance(5 * 60_000 - 1);
  await find("acme");
  expect(state.asked).toEqual([{ url: "https://tenants.example/v1/acme", authorization: "Bearer secret" }]);
  await clock.advance(1);
  await find("acme");
  expect(state.asked).toHaveLength(2);
});

test("that there is no such tenant is remembered for a minute", async () => {
  const { find, state, clock } = world({ status: 404 });
  expect([await find("new"), await find("new")]).toEqual([undefined, undefined]);
  expect(state.asked).toHaveLength(1);
  state.answer = acme;
  await clock.advance(60_000);
  expect(await find("new")).toEqual({ name: "Acme", environment: "production" });
});

test("an id is a value in the address, never a part of its path", async () => {
  const { find, state } = world(acme);
  for (const id of ["../admin", "a/b?c#d", "ü $&", "%2e"]) await find(id);
  expect(state.asked.map(({ url: each }) => each)).toEqual([
    "https://tenants.example/v1/..%2Fadmin",
    "https://tenants.example/v1/a%2Fb%3Fc%23d",
    "https://tenants.example/v1/%C3%BC%20%24%26",
    "https://tenants.example/v1/%252e",
  ]);
});

test("many who ask for one tenant at once ask one question", async () => {
  const { directory, state, clock } = world(acme);
  const { signal } = new AbortController();
  await clock.run(Promise.all(Array.from({ length: 20 }, () => directory.find("acme", signal))));
  expect(state.asked).toHaveLength(1);
});

describe("a directory that is down", () => {
  test.each<[string, Answer]>([
    ["does not answer", "silence"],
    ["resets the connection", "reset"],
    ["answers 500", { status: 500 }],
    ["answers 401", { status: 401 }],
    ["redirects", { status: 302 }],
    ["answers something else than JSON", { status: 200, body: "<html>" }],
    ["answers no tenant", { status: 200, body: "[]" }],
    ["answers a name that is no text", { status: 200, body: '{"name":7}' }],
  ])("because it %s is told as such, within a second", async (_why, answer) => {
    const { find, clock } = world(answer);
    const start = clock.now();
    await expect(find("acme")).rejects.toBeInstanceOf(DirectoryDown);
    expect(clock.now() - start).toBeLessThanOrEqual(1_000);
  });

  test("is left alone for ten seconds, whoever asks for whom, and asked again then", async () => {
    const { find, state, clock } = world({ status: 503 });
    await expect(find("acme")).rejects.toBeInstanceOf(DirectoryDown);
    await expect(find("other")).rejects.toBeInstanceOf(DirectoryDown);
    expect(state.asked).toHaveLength(1);
    state.answer = acme;
    await clock.advance(10_000);
    expect(await find("other")).toMatchObject({ name: "Acme" });
  });

  test("holds by what it said before, however old", async () => {
    const { find, state, clock } = world(acme);
    await find("acme");
    state.answer = "silence";
    await clock.advance(24 * 60 * 60_000);
    expect(await find("acme")).toMatchObject({ name: "Acme" });
  });

  test("is not called so because the one who asked ran out of time", async () => {
    const { directory, state, clock } = world("silence");
    const over = new AbortController();
    const asked = directory.find("acme", over.signal);
    over.abort();
    await expect(clock.run(asked)).rejects.toBeInstanceOf(DirectoryDown);
    state.answer = acme;
    expect(await clock.run(directory.find("acme", new AbortController().signal))).toMatchObject({
      name: "Acme",
    });
  });
});

test("memory is bounded: the tenant that was asked for the longest ago is forgotten", async () => {
  const { find, state } = world(acme, { maxTenants: 2 });
  for (const id of ["a", "b", "c", "b", "c", "a"]) await find(id);
  expect(state.asked.map(({ url: each }) => each.at(-1))).toEqual(["a", "b", "c", "a"]);
});

test.each([
  "tenants.example/{tenant_id}",
  "https://tenants.example/",
  "ftp://x/{tenant_id}",
  "https://{tenant_id} x/",
])("%s is no address of a directory", (wrong) => {
  expect(() => httpDirectory({ url: wrong, http: never })).toThrow(TypeError);
});

describe("a token that was rotated", () => {
  /** A directory that takes one token alone. */
  function guarded(renewToken: () => Promise<string | undefined>) {
    const state = { token: "old", read: 0 };
    const made = world(acme, {
      token: "old",
      renewToken: async () => {
        state.read++;
        return await renewToken();
      },
      http: async ({ headers }) =>
        headers["authorization"] === `Bearer ${state.token}`
          ? { headers: {}, ...acme }
          : { status: 401, headers: {}, body: "" },
    });
    return { ...made, server: state };
  }

  test("is read again, by many at once a single time, and nobody notices", async () => {
    const { directory, clock, server } = guarded(async () => "new");
    server.token = "new";
    const { signal } = new AbortController();
    const ids = Array.from({ length: 20 }, (_, index) => `tenant-${index}`);
    const found = await clock.run(Promise.all(ids.map((id) => directory.find(id, signal))));
    expect(found).toEqual(ids.map(() => ({ name: "Acme", environment: "production" })));
    expect(server.read).toBe(1);
  });

  test.each<[string, () => Promise<string | undefined>]>([
    ["has not changed", async () => undefined],
    ["is wrong again", async () => "wrong"],
    ["cannot be read", () => Promise.reject(new Error("denied"))],
  ])("that %s leaves the directory down, and is read once a minute at most", async (_, renewToken) => {
    const { find, clock, server } = guarded(renewToken);
    server.token = "new";
    await expect(find("a")).rejects.toThrow("the tenant directory answered 401");
    await clock.advance(30_000);
    await expect(find("a")).rejects.toThrow("the tenant directory answered 401");
    expect(server.read).toBe(1);
    await clock.advance(30_000);
    await expect(find("a")).rejects.toThrow("the tenant directory answered 401");
    expect(server.read).toBe(2);
  });
});
