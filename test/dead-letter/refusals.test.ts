import { describe, expect, test } from "vitest";
import { adviceFor, coreRefusals, deliveryRefusals } from "../../src/dead-letter/refusals.ts";
import { classifyReply, sinkUnavailable } from "../../src/delivery/sink.ts";
import { createWorld, scriptedSink } from "../support/world.ts";

describe("the core's table", () => {
  test("has every code with which the core refuses an event for a sink, and no other", async () => {
    const met = new Set<string>();
    for (let status = 100; status < 600; status++) {
      try {
        const verdict = classifyReply("Acme", { status, headers: {}, body: "" });
        if (verdict?.status === "refused") met.add(verdict.code);
      } catch {
        // A fact about the whole sink has no code.
      }
    }
    const world = createWorld();
    world.putEvents("a", 2);
    const failing = scriptedSink("failing", {
      encode: () => {
        throw new TypeError("a defect");
      },
    });
    const large = scriptedSink("large", { encode: ({ id }) => ({ payload: { id }, bytes: 1e9 }) });
    await world.clock.run(world.worker([failing, large]).process({ bucket: "source", key: "a" }));
    for (const { code } of await world.letters()) met.add(code);
    met.add(await codeOfReplayToSinkThatIsDown());
    met.add(await codeOfReplayOfAnotherRecord());
    expect([...met].sort()).toEqual(Object.keys(deliveryRefusals).sort());
  });

  test("says in sentences what a code means and what to do", () => {
    for (const [code, { meaning, action }] of Object.entries(coreRefusals)) {
      expect(code).toMatch(/^[A-Z][A-Z0-9_]+$/);
      for (const sentence of [meaning, action]) expect(sentence, code).toMatch(/^[A-Za-z_].+\.$/);
    }
  });
});

/** A record that was too old for its worker becomes an event, of which a sink hears while it is down. */
async function codeOfReplayToSinkThatIsDown(): Promise<string> {
  const world = createWorld();
  world.putEvents("a", 1, () => ({ data: { event_time: "2020-01-01T00:00:00Z" } }));
  const sink = scriptedSink("down");
  const strict = world.worker([sink], { limits: { maxAgeMs: 1000 } });
  await world.clock.run(strict.process({ bucket: "source", key: "a" }));
  const { object, lane, letters } = (await world.latestReceipts())["_intake"] ?? {};
  const [file] = letters ?? [];
  if (object === undefined || lane === undefined || file === undefined) throw new Error("there is no letter");
  sink.reply = () => {
    throw sinkUnavailable("the sink is down");
  };
  const order = { id: "replay", select: () => true };
  await world.clock.run(world.worker([sink]).replay({ object, lane, file }, order));
  return (await world.letters()).find(({ sink: name }) => name === "down")?.code ?? "no letter";
}

/** A letter is replayed after its object was replaced by one with another record at the same place. */
async function codeOfReplayOfAnotherRecord(): Promise<string> {
  const world = createWorld();
  world.putEvents("a", 1, () => ({ metadata: {} }));
  const sink = scriptedSink("a");
  await world.clock.run(world.worker([sink]).process({ bucket: "source", key: "a" }));
  const { object, lane, letters } = (await world.latestReceipts())["_intake"] ?? {};
  const [file] = letters ?? [];
  if (object === undefined || lane === undefined || file === undefined) throw new Error("there is no letter");
  world.putEvents("a", 1, () => ({ metadata: { other: true } }));
  await world.clock.run(world.worker([sink]).replay({ object, lane, file }, { id: "r", select: () => true }));
  return (await world.letters())[0]?.code ?? "no letter";
}

describe("the advice for a code", () => {
  const own = {
    HTTP_404: { meaning: "Gone.", action: "Make it." },
    NOT_JSON: { meaning: "A.", action: "B." },
  };

  test("is the sink's own where it has some, else the core's", () => {
    expect(adviceFor("HTTP_404", own)).toBe(own.HTTP_404);
    expect(adviceFor("NOT_JSON", own)).toBe(own.NOT_JSON);
    expect(adviceFor("HTTP_413", own)).toBe(coreRefusals.HTTP_413);
    expect(adviceFor("ENCODE_FAILED")).toBe(coreRefusals.ENCODE_FAILED);
  });

  test.each(["HTTP_404", "constructor", "__proto__", "toString", ""])(
    "is none for %j, which nobody knows",
    (code) => {
      expect(adviceFor(code)).toBeUndefined();
      expect(adviceFor(code, {})).toBeUndefined();
    },
  );
});
