import { describe, expect, test } from "vitest";
import {
  classifyReply,
  type HttpReply,
  isSinkUnavailable,
  type Logger,
  type Outcome,
  renewable,
  type Sink,
  sinkUnavailable,
} from "../src/index.ts";
import { virtualClock } from "../src/testing/index.ts";

/** A vendor that takes one password, and a sink of a class, whose methods need their `this`. */
function world(options: { readonly renew?: (made: readonly Sink<unknown>[]) => unknown } = {}) {
  const clock = virtualClock();
  const state = { password: "old", secret: "old", reads: 0, sent: 0, closed: 0, said: [] as string[] };
  class Guarded implements Sink<string> {
    readonly name: string;
    readonly limits = { itemsPerRequest: 1, bytesPerRequest: 1, bytesPerItem: 1, concurrency: 1 };
    readonly #password: string;
    constructor(name: string, password: string) {
      this.name = name;
      this.#password = password;
    }
    encode() {
      return { payload: this.#password, bytes: 1 };
    }
    send(): Promise<readonly Outcome[]> {
      state.sent++;
      if (this.#password === state.password) return Promise.resolve([{ status: "delivered" }]);
      return Promise.reject(sinkUnavailable("the password is wrong", { credentials: "refused" }));
    }
    close() {
      state.closed++;
      return Promise.resolve();
    }
  }
  const make = () => ["a", "b"].map((name): Sink<unknown> => new Guarded(name, state.secret));
  const log: Logger = {
    debug() {},
    info: (message) => void state.said.push(message),
    warn() {},
    error: (message, fields) => void state.said.push(`${message}: ${fields?.["reason"]}`),
  };
  let known = state.secret;
  const renew = async () => {
    state.reads++;
    await clock.sleep(50);
    options.renew?.([]);
    if (known === state.secret) return undefined;
    known = state.secret;
    return make();
  };
  const sinks = renewable(make(), { renew, clock, log });
  const context = { signal: new AbortController().signal, attempt: 1, clock, http: () => Promise.reject() };
  const event = { id: "e", time: 0, metricName: "m", tenantId: "t" };
  const send = (index: number) =>
    clock.run(
      (async () =>
        await sinks[index]?.send({ partition: "", items: [{ event, payload: "", bytes: 1 }] }, context))(),
    );
  return { clock, state, sinks, send };
}

const delivered = [{ status: "delivered" }];

test("a batch is sent once more with the new credentials, and from then on with these alone", async () => {
  const { state, send, sinks } = world();
  state.password = state.secret = "new";
  expect(await send(0)).toEqual(delivered);
  expect(await send(0)).toEqual(delivered);
  expect(state).toMatchObject({ reads: 1, sent: 3 });
  // The reading was for all sinks that the configuration makes.
  expect(await send(1)).toEqual(delivered);
  expect(state).toMatchObject({ reads: 1, sent: 4 });
  await Promise.all(sinks.map((sink) => sink.close?.()));
  expect(state.closed).toBe(4);
});

test("many requests that are refused at once share one reading", async () => {
  const { state, clock, send } = world();
  state.password = state.secret = "new";
  const all = await clock.run(Promise.all(Array.from({ length: 8 }, (_, index) => send(index % 2))));
  expect(all).toEqual(Array.from({ length: 8 }, () => delivered));
  expect(state.reads).toBe(1);
});

describe("the refusal stands", () => {
  test("when nothing has changed; and the secret is read once a minute, however often it is refused", async () => {
    const { state, clock, send } = world();
    state.password = "new";
    for (let second = 0; second < 60; second += 10) {
      await expect(send(0)).rejects.toThrow("the password is wrong");
      await clock.advance(10_000);
    }
    expect(state.reads).toBe(1);
    state.secret = "new";
    expect(await send(0)).toEqual(delivered);
    expect(state.reads).toBe(2);
  });

  test("when the new credentials are refused as well", async () => {
    const { state, send } = world();
    state.password = "newer";
    state.secret = "new";
    await expect(send(0)).rejects.toThrow("the password is wrong");
    expect(state).toMatchObject({ reads: 1, sent: 2 });
  });

  test("when the secret cannot be read, which is said", async () => {
    const { state, send } = world({
      renew() {
        throw new Error("the secret fanout/a could not be read");
      },
    });
    state.password = state.secret = "new";
    await expect(send(0)).rejects.toThrow("the password is wrong");
    expect(state.said).toEqual([
      "a vendor refuses the credentials, and these could not be read again: the secret fanout/a could not be read",
    ]);
  });

  test("when it is about something else", async () => {
    const { state, sinks, send } = world();
    await expect(send(0)).resolves.toEqual(delivered);
    const [down] = renewable(
      sinks.map((sink) => ({ ...sink, send: () => Promise.reject(sinkUnavailable("the quota is spent")) })),
      { renew: () => Promise.reject(new Error("never asked")) },
    );
    const context = {
      signal: new AbortController().signal,
      attempt: 1,
      clock: virtualClock(),
      http: () => Promise.reject(),
    };
    await expect(down?.send({ partition: "", items: [] }, context)).rejects.toThrow("the quota is spent");
    expect(state.reads).toBe(0);
  });
});

test.each([
  [401, "refused"],
  [403, "refused"],
  [404, undefined],
  [301, undefined],
])("a reply of %i says that credentials are %s", (status, credentials) => {
  const reply: HttpReply = { status, headers: {}, body: "" };
  try {
    classifyReply("vendor", reply);
    expect.unreachable();
  } catch (error) {
    expect(isSinkUnavailable(error) && error.credentials).toBe(credentials);
  }
});

test("what a sink's class keeps for itself, its methods still find", () => {
  const { sinks } = world();
  const event = { id: "e", time: 0, metricName: "m", tenantId: "t", metadata: {}, data: {} };
  expect(sinks[0]?.encode(Object.assign(event, { fields: {} }))).toEqual({ payload: "old", bytes: 1 });
});
