import { describe, expect, test } from "vitest";
import { classifyReply, type Sink, sinkUnavailable, type Verdict } from "../../src/index.ts";
import { type ConformanceSubject, conformanceCases, type Twin } from "../../src/testing/index.ts";

const secret = "key-5d41402abc";
type Payload = { readonly id: string; readonly note: unknown };

/** The smallest honest vendor: it stores each id once and says how many it was sent. */
function honestTwin(): Twin {
  const stored = new Map<string, number>();
  return {
    stored,
    handle: async (request) => {
      const ids = JSON.parse(await request.text()) as Payload[];
      for (const { id } of ids) stored.set(id, 1);
      return Response.json({ taken: ids.length });
    },
  };
}

/** The smallest honest sink. */
function honestSink(): Sink<Payload> {
  return {
    name: "honest",
    limits: {
      itemsPerRequest: 100,
      bytesPerRequest: 50_000,
      bytesPerItem: 1000,
      envelopeBytes: 2,
      concurrency: 1,
    },
    encode: (event) => {
      const payload = { id: event.id, note: event.data["note"] };
      return { payload, bytes: Buffer.byteLength(JSON.stringify(payload)) + 1 };
    },
    send: async ({ items }, { http, signal }): Promise<Verdict> => {
      const reply = await http(
        {
          method: "POST",
          url: "http://honest.test/",
          headers: { authorization: secret },
          body: JSON.stringify(items.map((item) => item.payload)),
        },
        signal,
      );
      const verdict = classifyReply("Honest", reply);
      if (verdict !== undefined) return verdict;
      return reply.body === `{"taken":${items.length}}`
        ? { status: "delivered" }
        : { status: "transient", reason: "Honest answered something else" };
    },
  };
}

const subject = (change: (sink: Sink<Payload>) => Sink<Payload> = (sink) => sink): ConformanceSubject => ({
  create: () => ({ sink: change(honestSink()), twin: honestTwin() }),
  secrets: [secret],
});

describe("an honest sink keeps every promise", () => {
  test.each(conformanceCases)("$name", async ({ run }) => await run(subject()));
});

/** A way to break a promise, and the case that must see it. */
const broken: readonly [caseName: string, how: string, change: (sink: Sink<Payload>) => Sink<Payload>][] = [
  ["names and limits are usable", "a name with a slash", (sink) => ({ ...sink, name: "a/b" })],
  [
    "names and limits are usable",
    "no concurrency",
    (sink) => ({ ...sink, limits: { ...sink.limits, concurrency: 0 } }),
  ],
  [
    "encoding is pure and the same for ever",
    "random ids",
    (sink) => ({ ...sink, encode: () => ({ payload: { id: String(Math.random()), note: "" }, bytes: 50 }) }),
  ],
  [
    "encoding is pure and the same for ever",
    "a changed event",
    (sink) => ({ ...sink, encode: (event) => sink.encode(Object.assign(event, { time: 0 })) }),
  ],
  [
    "one item is delivered",
    "an outcome too many",
    (sink) => ({ ...sink, send: async () => [{ status: "delivered" }, { status: "delivered" }] }),
  ],
  [
    "one item is delivered",
    "nothing sent",
    (sink) => ({ ...sink, send: async () => ({ status: "delivered" }) }),
  ],
  [
    "a full request is delivered",
    "half of it sent",
    (sink) => ({
      ...sink,
      send: async (batch, context) => {
        const items = batch.items.slice(0, Math.ceil(batch.items.length / 2));
        return await sink.send({ ...batch, items }, context);
      },
    }),
  ],
  [
    "bytes are never under the real share",
    "characters counted for bytes",
    (sink) => ({
      ...sink,
      encode: (event) => {
        const payload = { id: event.id, note: event.data["note"] };
        return { payload, bytes: JSON.stringify(payload).length + 1 };
      },
    }),
  ],
  [
    "sending again adds nothing",
    "an id from the attempt",
    (sink) => ({
      ...sink,
      send: async (batch, context) => {
        const items = batch.items.map((item) => ({
          ...item,
          payload: { ...item.payload, id: `${item.payload.id}-${context.attempt}` },
        }));
        return await sink.send({ ...batch, items }, context);
      },
    }),
  ],
  ["a cut connection is unknown", "hope", swallowing({ status: "delivered" })],
  ["a cut connection is unknown", "despair", swallowing({ status: "refused", reason: "cut", code: "CUT" })],
  [
    "401 and 403 make the sink unavailable",
    "a refusal",
    swallowing({ status: "refused", reason: "no", code: "NO" }),
  ],
  [
    "a redirect is not followed",
    "following it",
    (sink) => ({
      ...sink,
      send: async (batch, context) => {
        const reply = await context.http(
          { method: "GET", url: "http://honest.test/", headers: {} },
          context.signal,
        );
        const { location } = reply.headers;
        if (location !== undefined)
          await context.http({ method: "GET", url: location, headers: {} }, context.signal);
        return await sink.send(batch, context);
      },
    }),
  ],
  [
    "429 is transient and waits as long as it asks",
    "Retry-After forgotten",
    (sink) => ({
      ...sink,
      send: async (batch, context) => {
        await sink.send(batch, context);
        return { status: "transient", reason: "throttled" };
      },
    }),
  ],
  ["a server's fault is transient, whatever its body", "a refusal", statusOnly],
  ["a success that the vendor did not write is not one", "a trusted status", statusOnly],
  [
    "a garbled success refuses nothing",
    "a refusal",
    (sink) => ({
      ...sink,
      send: async (batch, context) => {
        const answer = await sink.send(batch, context);
        const isTransient = "status" in answer && answer.status === "transient";
        return isTransient ? { status: "refused", reason: "garbled", code: "GARBLED" } : answer;
      },
    }),
  ],
  [
    "an abort settles at once",
    "a second wait",
    (sink) => ({
      ...sink,
      send: async (batch, context) => {
        try {
          return await sink.send(batch, context);
        } finally {
          await context.clock.sleep(1000);
        }
      },
    }),
  ],
  [
    "messages hold no secret and no record's value",
    "the body in the reason",
    (sink) => ({
      ...sink,
      send: async (batch, { http, signal }) => {
        const { body } = await http({ method: "GET", url: "http://honest.test/", headers: {} }, signal);
        throw sinkUnavailable(`Honest said ${body} to ${batch.items.length}`);
      },
    }),
  ],
];

/** Sends, and says `verdict` whatever is thrown. */
function swallowing(verdict: Verdict): (sink: Sink<Payload>) => Sink<Payload> {
  return (sink) => ({ ...sink, send: (batch, context) => sink.send(batch, context).catch(() => verdict) });
}

/** Believes a 200, refuses for anything else. */
function statusOnly(sink: Sink<Payload>): Sink<Payload> {
  return {
    ...sink,
    send: async (_batch, { http, signal }) => {
      const { status } = await http({ method: "GET", url: "http://honest.test/", headers: {} }, signal);
      return status === 200 ? { status: "delivered" } : { status: "refused", reason: "no", code: "NO" };
    },
  };
}

describe("a broken promise is seen", () => {
  test.each(broken)("%s: %s", async (caseName, _how, change) => {
    const seen = conformanceCases.find(({ name }) => name === caseName);
    await expect(seen?.run(subject(change))).rejects.toThrow();
  });

  test("every case has a sink that breaks it", () => {
    expect(new Set(broken.map(([caseName]) => caseName))).toEqual(
      new Set(conformanceCases.map(({ name }) => name)),
    );
  });
});
