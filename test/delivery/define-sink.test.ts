import { expect, expectTypeOf, test } from "vitest";
import {
  type Batch,
  classifyReply,
  defineSink,
  type Encoded,
  type MetricEvent,
  type Sink,
} from "../../src/index.ts";

const limits = { itemsPerRequest: 10, bytesPerRequest: 1000, bytesPerItem: 100, concurrency: 1 };

test("what encode makes is what send gets, without an annotation", () => {
  const sink = defineSink({
    name: "acme",
    limits,
    partition: (event) => event.tenantId,
    encode(event) {
      if (event.metricName === "") return { filtered: "no name" };
      if (event.time < 0) return { rejected: "no time", code: "TIME_INVALID" };
      return { payload: { id: event.id, at: event.time }, bytes: 10 };
    },
    async send({ items }, { http, signal }) {
      expectTypeOf(items[0]?.payload.id).toEqualTypeOf<string | undefined>();
      expectTypeOf(items.map(({ payload }) => payload.at)).toEqualTypeOf<number[]>();
      // @ts-expect-error no field of that name was encoded.
      expectTypeOf(items[0]?.payload.nothing).toBeUndefined();
      const body = JSON.stringify(items.map(({ payload }) => payload));
      const reply = await http({ method: "POST", url: "https://acme.test", headers: {}, body }, signal);
      return classifyReply("Acme", reply) ?? { status: "delivered" };
    },
  });
  expectTypeOf(sink).toEqualTypeOf<Sink<{ id: string; at: number }>>();
  expectTypeOf<Parameters<typeof sink.send>[0]>().toEqualTypeOf<Batch<{ id: string; at: number }>>();
  // A worker takes sinks of any payload.
  expectTypeOf(sink).toExtend<Sink<unknown>>();
  expect(sink.name).toBe("acme");
});

test("the payload of a mapping function flows as well, and arrow functions do", () => {
  const toPayload = (event: MetricEvent): Encoded<{ readonly id: string }> => ({
    payload: { id: event.id },
    bytes: 1,
  });
  const sink = defineSink({
    name: "acme",
    limits,
    encode: toPayload,
    send: async ({ items }) =>
      items.map(({ payload }) => ({ status: "rejected", reason: payload.id, code: "NO" })),
  });
  expectTypeOf(sink).toEqualTypeOf<Sink<{ readonly id: string }>>();
});

test("an outcome that does not exist, or an item without its bytes, does not compile", () => {
  defineSink({
    name: "acme",
    limits,
    // @ts-expect-error bytes are missing.
    encode: (event) => ({ payload: event.id }),
    send: async () => ({ status: "delivered" }),
  });
  defineSink({
    name: "acme",
    limits,
    encode: (event) => ({ payload: event.id, bytes: 1 }),
    // @ts-expect-error there is no such outcome.
    send: async ({ items }) => items.map(() => ({ status: "perhaps" })),
  });
  expect.assertions(0);
});
