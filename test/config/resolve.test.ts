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
      ["sinks.0.limits.itemsPerRequest: Too small: expected number to be >0"],
    ],
    [
      "two sinks of one name",
      { ...good, sinks: [a, b, a] },
      ["two sinks are named a; their books would mix"],
    ],
    [
      "no place for the books",
      { ...good, receipts: "" },
      ["receipts: Too small: expected string to have >=1 characters"],
    ],
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
      ["breaker.openMs: Too small: expected number to be >=0"],
    ],
    [
      "several at once",
      { sinks: [], deadLetters: "x", limits: { maxItems: 1.5 } },
      [
        "sinks: must name at least one sink",
        "receipts: Invalid input: expected string, received undefined",
        "limits.maxItems: Invalid input: expected int, received number",
      ],
    ],
  ];
  test.each(cases)("%s is a sentence that says where", async (_, config, problems) => {
    expect(await problemsOf(config)).toEqual(problems);
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
