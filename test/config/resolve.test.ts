import { describe, expect, expectTypeOf, test } from "vitest";
import {
  ConfigError,
  type ConfigRequest,
  defineConfig,
  type MakeConfig,
  resolveConfig,
} from "../../src/index.ts";
import { scriptedSink } from "../support/world.ts";

const [a, b] = [scriptedSink("a"), scriptedSink("b")];
const good = { sinks: [a, b], receipts: "books/receipts", deadLetters: "books/letters" };

/** What a file without types may export. */
const untyped = (config: unknown): MakeConfig => {
  // A configuration in plain JavaScript is not checked by anybody else: that is what these tests are about.
  return () => config as ReturnType<MakeConfig>;
};
async function problemsOf(config: unknown, request: ConfigRequest = { env: {} }): Promise<readonly string[]> {
  try {
    await resolveConfig(untyped(config), request);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe("a configuration file's shape", () => {
  test("is answered as it is: the sinks are the file's own objects", async () => {
    const config = {
      ...good,
      routes: [{ metrics: ["m"], sinks: ["a"] }],
      retry: { attempts: 2 },
      limits: { maxItems: 5 },
    };
    expect(await resolveConfig(() => Promise.resolve(config), { env: {} })).toBe(config);
  });

  const { send: _send, ...mute } = a;
  const cases: [string, unknown, string[]][] = [
    ["nothing at all", undefined, ["the configuration: Invalid input: expected object, received undefined"]],
    ["no sink", { ...good, sinks: [] }, ["sinks: must name at least one sink"]],
    ["a sink that cannot send", { ...good, sinks: [mute] }, ["sinks.0.send: must be a function"]],
    [
      "a sink whose name no key can hold",
      { ...good, sinks: [{ ...a, name: "_intake" }] },
      ['sinks.0.name: must consist of a-z, 0-9 and "-"'],
    ],
    [
      "a sink without limits",
      { ...good, sinks: [{ ...a, limits: { ...a.limits, itemsPerRequest: 0 } }] },
      ["sinks.0.limits.itemsPerRequest: must be a whole number, 1 or more"],
    ],
    [
      "a sink with two writers",
      { ...good, sinks: [{ ...a, limits: { ...a.limits, writers: 2 } }] },
      ["sinks.0.limits.writers: must be 1, or left out"],
    ],
    [
      "two sinks of one name",
      { ...good, sinks: [a, b, a] },
      ["two sinks are named a; their books would mix"],
    ],
    ["no place for the books", { ...good, receipts: "" }, ["receipts: must be a folder or an s3:// URL"]],
    ["a name that nobody knows", { ...good, rotues: [] }, ['the configuration: Unrecognized key: "rotues"']],
    ["an option that nobody knows", { ...good, retry: { tries: 3 } }, ['retry: Unrecognized key: "tries"']],
    [
      "a route that names nothing",
      { ...good, routes: [{ metrics: "scan", sinks: "*" }] },
      ['routes.0.metrics: must be "*" or a list of names'],
    ],
    [
      "a time before now",
      { ...good, breaker: { openMs: -1 } },
      ["breaker.openMs: must be a number of milliseconds from 0 to 2147483647"],
    ],
    [
      "several at once",
      { sinks: [], deadLetters: "x", limits: { maxItems: 1.5 } },
      [
        "sinks: must name at least one sink",
        "receipts: must be a folder or an s3:// URL",
        "limits.maxItems: must be a whole number, 1 or more",
      ],
    ],
  ];
  test.each(cases)("%s is a sentence that says where", async (_, config, problems) => {
    expect(await problemsOf(config)).toEqual(problems);
  });

  const nan = Number.NaN;
  const infinite = Number.POSITIVE_INFINITY;
  const whole = "must be a whole number, 1 or more";
  const time = "must be a number of milliseconds from 0 to 2147483647";
  const insane: [string, string, readonly unknown[]][] = [
    ["limits.maxItems", whole, [0, -1, 1.5, nan, infinite, "20"]],
    ["limits.maxBytes", whole, [0, -1, 1.5, nan, infinite, null]],
    ["limits.maxRecordBytes", whole, [0, -1, 1.5, nan, infinite]],
    ["limits.patienceMs", time, [-1, nan, infinite, 2 ** 31, "500"]],
    ["retry.attempts", whole, [0, -1, 1.5, nan, infinite, "6"]],
    ["retry.firstMs", time, [-1, nan, infinite, 2 ** 31]],
    ["retry.maxMs", time, [-1, nan, infinite, 2 ** 31]],
    ["retry.longestWaitMs", time, [-1, nan, infinite, 2 ** 31]],
    ["breaker.failures", whole, [0, -1, 1.5, nan, infinite]],
    ["breaker.overMs", time, [-1, nan, infinite, 2 ** 31]],
    ["breaker.openMs", time, [-1, nan, infinite, 2 ** 31]],
  ];
  test.each(insane)("%s %s", async (where, sentence, values) => {
    const [group = "", option = ""] = where.split(".");
    for (const value of values) {
      const problems = await problemsOf({ ...good, [group]: { [option]: value } });
      expect(problems, String(value)).toEqual([`${where}: ${sentence}`]);
    }
  });

  const insaneLimits: [string, string, readonly unknown[]][] = [
    ["itemsPerRequest", whole, [0, -1, 1.5, nan, infinite]],
    ["bytesPerItem", whole, [0, -1, 1.5, nan, infinite]],
    ["concurrency", whole, [0, -1, 1.5, nan, infinite]],
    ["requestsPerSecond", "must be a number above 0", [0, -1, nan, infinite]],
    [
      "timeoutMs",
      "must be a number of milliseconds above 0, up to 2147483647",
      [0, -1, nan, infinite, 2 ** 31],
    ],
    ["envelopeBytes", "must be a whole number, 0 or more", [-1, 1.5, nan, infinite]],
    [
      "envelopeBytes",
      "must be less than bytesPerRequest, or no item fits into a request",
      [a.limits.bytesPerRequest, a.limits.bytesPerRequest + 1],
    ],
  ];
  test.each(insaneLimits)("a sink's %s %s", async (limit, sentence, values) => {
    for (const value of values) {
      const problems = await problemsOf({
        ...good,
        sinks: [b, { ...a, limits: { ...a.limits, [limit]: value } }],
      });
      expect(problems, String(value)).toEqual([`sinks.1.limits.${limit}: ${sentence}`]);
    }
  });

  test("a sink's backoff that leaves nothing to draw from is refused", async () => {
    const limits = { ...a.limits, backoff: { leastMs: 2_000, mostMs: 3_999 } };
    expect(await problemsOf({ ...good, sinks: [b, { ...a, limits }] })).toEqual([
      "sinks.1.limits.backoff.mostMs: must be at least twice leastMs, or there is nothing to draw from",
    ]);
  });

  test("the least that makes sense is taken", async () => {
    const limits = {
      ...a.limits,
      envelopeBytes: 0,
      requestsPerSecond: 0.1,
      timeoutMs: 1,
      backoff: { leastMs: 1, mostMs: 2 },
      itemsPerRequest: 1,
    };
    const config = {
      ...good,
      sinks: [{ ...a, limits }],
      limits: { maxItems: 1, maxBytes: 1, maxRecordBytes: 1, patienceMs: 0 },
      retry: { attempts: 1, firstMs: 0, maxMs: 0, longestWaitMs: 0 },
      breaker: { failures: 1, overMs: 0, openMs: 0 },
    };
    expect(await problemsOf(config)).toEqual([]);
  });

  test("values are not quoted: one of them may be a secret in the wrong place", async () => {
    const secret = "SECRET-MARKER";
    const wrong = {
      sinks: [{ name: secret, limits: secret, encode: secret, send: secret }, secret],
      receipts: { secret },
      deadLetters: [secret],
      routes: [{ metrics: secret, sinks: secret }, secret],
      limits: { maxItems: secret, patienceMs: secret },
      retry: secret,
      breaker: { failures: secret },
    };
    const problems = await problemsOf(wrong);
    expect(problems.length).toBeGreaterThanOrEqual(10);
    expect(problems.join("\n")).not.toContain(secret);
  });

  test("what the file itself throws comes through", async () => {
    const make = () => Promise.reject(new ConfigError(["ACME_TOKEN is not set"]));
    await expect(resolveConfig(make, { env: {} })).rejects.toThrow("ACME_TOKEN is not set");
  });
});

describe("routes", () => {
  const routes = [
    { metrics: "*", sinks: ["a", "lake", "warehouse"] },
    { metrics: ["m"], sinks: ["lake"] },
  ];

  test("must name sinks that are configured; each strange name is told once", async () => {
    expect(await problemsOf({ ...good, routes })).toEqual([
      "routes name the sink lake, which is not configured",
      "routes name the sink warehouse, which is not configured",
    ]);
  });

  test("may name others where only some sinks are asked for: one function a sink shares the file", async () => {
    expect(await problemsOf({ ...good, routes }, { env: { SINKS: "a,b" } })).toEqual([]);
    expect(await problemsOf({ ...good, routes }, { env: {}, sinks: ["a", "b"] })).toEqual([]);
  });
});

describe("--sinks", () => {
  const events = { ...a, name: "hubspot-events" };
  const companies = { ...a, name: "hubspot-companies" };
  const config = { ...good, sinks: [a, events, b, companies] };
  const asked = (...sinks: string[]): ConfigRequest => ({ env: {}, sinks });
  const kept = async (...sinks: string[]) =>
    (await resolveConfig(untyped(config), asked(...sinks))).sinks.map(({ name }) => name);

  test("keeps what it names, of a configuration that does not look at it: nothing else is delivered to", async () => {
    expect(await kept("b", "a")).toEqual(["a", "b"]);
    expect(await kept(" b ", "", "b")).toEqual(["b"]);
  });

  test("hubspot stands for both of its sinks, unless one has that very name", async () => {
    expect(await kept("hubspot")).toEqual(["hubspot-events", "hubspot-companies"]);
    const exact = {
      ...good,
      sinks: [
        { ...a, name: "segment" },
        { ...a, name: "segment-groups" },
      ],
    };
    const { sinks } = await resolveConfig(untyped(exact), asked("segment"));
    expect(sinks.map(({ name }) => name)).toEqual(["segment"]);
  });

  test("a name that is not configured is one sentence, which says what is", async () => {
    expect(await problemsOf(config, asked("a", "pigeon", "hub", "pigeon"))).toEqual([
      "--sinks names pigeon, which is not configured; known are a, hubspot-events, b, hubspot-companies",
      "--sinks names hub, which is not configured; known are a, hubspot-events, b, hubspot-companies",
    ]);
    for (const none of [[], [""], [" ", ""]])
      expect(await problemsOf(config, asked(...none))).toEqual(["--sinks names no sink"]);
  });
});

test("defineConfig types a file: what it gets, and what it must give", () => {
  const make = defineConfig(({ env, sinks }) => {
    expectTypeOf(env).toEqualTypeOf<Readonly<Record<string, string | undefined>>>();
    expectTypeOf(sinks).toEqualTypeOf<readonly string[] | undefined>();
    return good;
  });
  expectTypeOf(make).toEqualTypeOf<MakeConfig>();
  defineConfig(async () => good);
  // @ts-expect-error: the books have a place.
  defineConfig(() => ({ sinks: [a], deadLetters: "x" }));
  // @ts-expect-error: a sink is not a name.
  defineConfig(() => ({ ...good, sinks: ["mixpanel"] }));
  // @ts-expect-error: attempts are counted.
  defineConfig(() => ({ ...good, retry: { attempts: "3" } }));
});
