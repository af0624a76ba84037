// What a sink promises to make of its vendor's replies, and of those that somebody else wrote.
import assert from "node:assert/strict";
import { assertOnly, openWorld, type Status } from "../case-world.ts";
import type { ConformanceCase } from "../conformance.ts";
import { type Fault, retryAfter } from "../faults.ts";
import { privateValue } from "../subject.ts";

/** What keeps every record: it is sent again, or waits. */
const kept: readonly Status[] = ["transient", "unknown", "unavailable"];

const page = "<html><body>Bad Gateway</body></html>";

export const replyCases: readonly ConformanceCase[] = [
  {
    name: "401 and 403 make the sink unavailable",
    overHttp: true,
    promise: "A revoked key must cost no record its life: it is a fact about the sink.",
    run: async (subject) => {
      for (const status of [401, 403]) {
        const world = openWorld(subject);
        const result = await world.send(world.items(3), { fault: { kind: "status", status, body: "{}" } });
        assertOnly(result, ["unavailable"], `after ${status}`);
      }
    },
  },
  {
    name: "a page that says 404 costs no record its life",
    overHttp: true,
    promise: "A wrong host or path is the configuration's fault; every record would become a dead letter.",
    run: async (subject) => {
      for (const body of [page, ""]) {
        const world = openWorld(subject);
        const headers = { "content-type": "text/html" };
        const fault: Fault = { kind: "status", status: 404, headers, body: body || "<html></html>" };
        assertOnly(await world.send(world.items(3), { fault }), kept, "after a page with 404");
      }
    },
  },
  {
    name: "a conflict is no delivery, and rejects no batch",
    overHttp: true,
    promise: "A 409 does not say whose fault it is: halving finds the culprit, or time passes.",
    run: async (subject) => {
      for (const body of [page, "", "{}"]) {
        const world = openWorld(subject);
        const result = await world.send(world.items(3), { fault: { kind: "status", status: 409, body } });
        assertOnly(result, [...kept, "refused"], "after 409");
      }
    },
  },
  {
    name: "413 is refused, so that the core halves the request",
    overHttp: true,
    promise: "Who waits after 413 waits for ever; who gives up loses the records that would have fitted.",
    run: async (subject) => {
      for (const body of [page, "", "{}"]) {
        const world = openWorld(subject);
        const result = await world.send(world.items(4), { fault: { kind: "status", status: 413, body } });
        assertOnly(result, ["refused"], "after 413");
      }
    },
  },
  {
    name: "429 is transient and waits as long as it asks",
    overHttp: true,
    promise: "Who ignores Retry-After is throttled for longer.",
    run: async (subject) => {
      const dayMs = 86_400_000;
      const asks = [
        ...(["seconds", "fraction", "date", "rfc850-date", "asctime-date"] as const).map(
          (form) => [form, 7000] as const,
        ),
        ["seconds", dayMs] as const,
        ["garbage", 0] as const,
      ];
      for (const [form, waitMs] of asks) {
        const world = openWorld(subject);
        const headers = { "retry-after": retryAfter(form, waitMs, world.clock.now()) };
        const result = await world.send(world.items(3), { fault: { kind: "status", status: 429, headers } });
        // A day is long enough to leave the whole sink alone.
        assertOnly(
          result,
          waitMs < dayMs ? ["transient"] : ["transient", "unavailable"],
          `after 429 (${form})`,
        );
        const shortest = Math.min(...result.retryAfterMs.map((wait) => wait ?? 0));
        assert.ok(
          shortest >= waitMs,
          `Retry-After asks for ${waitMs} ms in the form ${form}; the sink waits ${shortest}`,
        );
        assert.equal(
          result.requests,
          1,
          "send asked again at once: trying again is the core's, after the wait",
        );
      }
      const silent = openWorld(subject);
      const result = await silent.send(silent.items(3), { fault: { kind: "status", status: 429 } });
      assertOnly(result, ["transient"], "after 429 without Retry-After");
    },
  },
  {
    name: "a server's fault is transient, whatever its body",
    overHttp: true,
    promise: "Gateways answer HTML; it must neither be parsed nor cost a record its life.",
    run: async (subject) => {
      for (const status of [408, 500, 502, 503, 504]) {
        for (const body of [page, "", '{"error":', "null"]) {
          const world = openWorld(subject);
          const result = await world.send(world.items(3), { fault: { kind: "status", status, body } });
          assertOnly(result, ["transient", "unknown"], `after ${status}`);
        }
      }
    },
  },
  {
    name: "a success that the vendor did not write is not one",
    overHttp: true,
    promise: "A proxy's friendly page with status 200 stored nothing.",
    run: async (subject) => {
      for (const body of ["<html>Welcome</html>", "", "null", "{", "[]", '"ok"']) {
        const world = openWorld(subject);
        const result = await world.send(world.items(3), { fault: { kind: "status", status: 200, body } });
        assertOnly(result, ["transient", "unknown"], `after 200 with ${JSON.stringify(body)}`);
      }
      for (const status of [201, 202, 203, 207]) {
        const world = openWorld(subject);
        const result = await world.send(world.items(3), { fault: { kind: "status", status, body: page } });
        assertOnly(result, ["transient", "unknown"], `after ${status} with a page`);
      }
    },
  },
  {
    name: "a garbled success refuses nothing",
    overHttp: true,
    promise: "What the vendor stored must not become a dead letter because its reply was damaged.",
    run: async (subject) => {
      const faults: Fault[] = [
        ...["<html>OK</html>", "", "null", "{}", "[]"].map((body) => ({ kind: "garbled", body }) as const),
        { kind: "garbled", body: Uint8Array.of(0xff, 0, 0xfe, 0x80) },
        ...[undefined, 0, 1, 7].map(
          (bytes) => ({ kind: "truncated", ...(bytes === undefined ? {} : { bytes }) }) as const,
        ),
        ...[1, 2, 3, 4, 5].map((seed) => ({ kind: "scrambled", seed }) as const),
        { kind: "headers", headers: { "content-type": "text/html" } },
      ];
      for (const fault of faults) {
        const world = openWorld(subject);
        const result = await world.send(world.items(3), { fault });
        assertOnly(result, ["transient", "unknown", "delivered"], `after a reply that was ${fault.kind}`);
      }
    },
  },
  {
    name: "a redirect is not followed",
    overHttp: true,
    promise: "A body with customers' events goes nowhere but to the configured host.",
    run: async (subject) => {
      for (const status of [301, 302, 303, 307, 308]) {
        const world = openWorld(subject);
        const hosts = new Set<string>();
        const result = await world.send(world.items(2), {
          handle: (request) => {
            hosts.add(new URL(request.url).host);
            return new Response(null, { status, headers: { location: "https://elsewhere.test/" } });
          },
        });
        assert.ok(!hosts.has("elsewhere.test"), `${status} was followed`);
        assertOnly(result, kept, `after ${status}`);
      }
    },
  },
  {
    name: "messages hold no secret and no record's value",
    promise: "Reasons and errors go to logs, dead letters and reports.",
    run: async (subject) => {
      const echo = `${subject.secrets.join(" ")} ${privateValue}`;
      const bodies = [`<html>${echo}</html>`, JSON.stringify({ error: echo, message: echo, errors: [echo] })];
      const faults: Fault[] = [200, 302, 400, 401, 403, 404, 409, 413, 422, 429, 500].flatMap((status) =>
        bodies.map((body) => ({ kind: "status" as const, status, body, headers: { "x-echo": "secret" } })),
      );
      for (const fault of [...faults, { kind: "reset" } as const, { kind: "truncated" } as const]) {
        const world = openWorld(subject);
        const { told } = await world.send(world.items(2), { fault });
        for (const secret of [...subject.secrets, privateValue]) {
          assert.ok(!told.includes(secret), `a message shows a secret or a value after ${fault.kind}`);
        }
      }
    },
  },
];
