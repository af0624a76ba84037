import nodeTest from "node:test";
import { describe, expect, expectTypeOf, test } from "vitest";
import file from "../../adapters/file/twin.ts";
import hubspot from "../../adapters/hubspot/twin.ts";
import type { Sink } from "../../src/index.ts";
import {
  type ConformanceSubject,
  conformanceCases,
  describeSink,
  scoreSink,
  type TestRunner,
} from "../../src/testing/index.ts";
import { type BrokenSink, brokenSinks, looking, subjectOf } from "./broken-sinks.ts";

describeSink("an honest sink", subjectOf(), { describe, test });

describe("every case has a sink that breaks it and nothing else", () => {
  test.each(brokenSinks)("$breaks: $how", async ({ breaks, change }: BrokenSink) => {
    const { cases } = await scoreSink(subjectOf(change));
    const broken = cases.filter(({ verdict }) => verdict === "broken");
    expect(broken.map(({ name }) => name)).toEqual([breaks]);
  });

  test("no case is without one", () => {
    expect(new Set(brokenSinks.map(({ breaks }) => breaks))).toEqual(
      new Set(conformanceCases.map(({ name }) => name)),
    );
  });
});

describe("a case that does not apply", () => {
  const [{ name: first }] = conformanceCases as [(typeof conformanceCases)[number]];
  const broken = subjectOf((sink) => ({ ...sink, name: "a/b" }));

  test("is skipped with its reason, which the score card tells", async () => {
    const card = await scoreSink({ ...broken, skip: { [first]: "its name is art" } });
    expect(card).toMatchObject({ sink: "a/b", broken: 0, skipped: 1, kept: conformanceCases.length - 1 });
    expect(card.cases[0]).toMatchObject({ verdict: "skipped", reason: "its name is art" });
  });

  test.each([
    [{ [first]: "" }, "skipped without a reason"],
    [{ [first]: "  " }, "skipped without a reason"],
    [{ "a case of old": "gone" }, 'no conformance case "a case of old"'],
  ])("is skipped for nothing else: %j", async (skip, sentence) => {
    await expect(scoreSink({ ...broken, skip })).rejects.toThrow(sentence);
    expect(() => describeSink("x", { ...broken, skip }, { describe, test })).toThrow(sentence);
  });

  test("is skipped in the test runner, and the others run", async () => {
    const ran: string[] = [];
    const skipped: Record<string, string> = {};
    const bodies: Promise<void>[] = [];
    const runner: TestRunner = {
      describe: (_name, body) => body(),
      test: (name, body) => {
        bodies.push(
          body({ skip: (reason) => Object.assign(skipped, { [name]: reason }) }).then(() => {
            ran.push(name);
          }),
        );
      },
    };
    describeSink("x", { ...broken, skip: { [first]: "its name is art" } }, runner);
    await Promise.all(bodies);
    expect(ran).toHaveLength(conformanceCases.length);
    expect(skipped).toEqual({ [first]: "its name is art" });
  });
});

describe("a sink that makes no requests", () => {
  const { makesNoRequests } = file;

  test("keeps or skips every case, those about replies without a word of its own about each", async () => {
    const { skip, ...subject } = file;
    const { cases } = await scoreSink(subject);
    const verdictOf = (overHttp: boolean) =>
      new Set(
        conformanceCases
          .filter((each) => (each.overHttp === true) === overHttp)
          .map(({ name }) => cases.find((each) => each.name === name)?.verdict),
      );
    expect(verdictOf(true)).toEqual(new Set(["skipped"]));
    expect(cases.filter(({ verdict }) => verdict === "broken").map(({ name }) => name)).toEqual([
      "a poisoned record is rejected alone, in its place",
    ]);
  });

  test("is not believed when it makes one", async () => {
    const { cases } = await scoreSink({ ...subjectOf(), makesNoRequests });
    expect(cases).toContainEqual(
      expect.objectContaining({
        name: "no item, one, a full request and one more",
        problem: expect.stringContaining("makes no requests, and it made one"),
      }),
    );
  });
});

describe("of two sends at once the newest value stands", () => {
  const name = "the newest value stands when two send at once";
  const verdictOf = async (subject: ConformanceSubject) =>
    (await scoreSink(subject)).cases.find((each) => each.name === name);

  test.each([
    ["declares one writer with one request under way", looking({ writers: 1, concurrency: 1 })],
    ["has a vendor that writes on a condition", looking({}, { isConditional: true })],
    ["lets its own sends wait for each other, and declares one writer", inTurn(looking({ writers: 1 }))],
  ])("when the sink looks before it writes and %s", async (_, change) => {
    const { cases } = await scoreSink(subjectOf(change));
    expect(cases.filter(({ verdict }) => verdict === "broken")).toEqual([]);
  });

  test("but not where each worker lets its own sends wait, and there are several workers", async () => {
    expect(await verdictOf(subjectOf(inTurn(looking())))).toMatchObject({
      verdict: "broken",
      problem: expect.stringMatching(/another worker sent a newer one before request 2 .*limits\.writers: 1/),
    });
  });

  test("at HubSpot's companies because they declare one writer, and for no other reason", async () => {
    const [, companies] = hubspot;
    if (companies === undefined) throw new Error("HubSpot has two sinks");
    expect(await verdictOf(companies)).toMatchObject({ verdict: "kept" });
    const { writers, ...limits } = companies.sink().limits;
    expect(writers).toBe(1);
    const { cases } = await scoreSink({ ...companies, sink: () => ({ ...companies.sink(), limits }) });
    expect(cases.filter(({ verdict }) => verdict === "broken")).toMatchObject([{ name }]);
  });
});

/** The sink, one `send` of each of which waits for the one before. */
function inTurn<P>(change: (sink: Sink<P>) => Sink<P>): (sink: Sink<P>) => Sink<P> {
  return (given) => {
    const sink = change(given);
    let turn: Promise<unknown> = Promise.resolve();
    return {
      ...sink,
      send(batch, context) {
        const sent = turn.then(() => sink.send(batch, context));
        turn = sent.catch(() => {});
        return sent;
      },
    };
  };
}

test("a vendor that never refuses a record needs a reason, not silence", async () => {
  const { poison, ...without } = subjectOf();
  const { cases } = await scoreSink(without);
  expect(cases.filter(({ verdict }) => verdict === "broken")).toMatchObject([
    { name: "a poisoned record is rejected alone, in its place", problem: expect.stringContaining("`skip`") },
  ]);
});

test("Vitest's and Node's own runner both fit", () => {
  expectTypeOf({ describe, test }).toExtend<TestRunner>();
  expectTypeOf({ describe: nodeTest.describe, test: nodeTest }).toExtend<TestRunner>();
  expect(conformanceCases.every(({ promise }) => promise.endsWith("."))).toBe(true);
});
