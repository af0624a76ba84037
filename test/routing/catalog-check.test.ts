import { describe, expect, test } from "vitest";
import { ConfigError, checkCatalog, type Metric } from "../../src/index.ts";
import { sound, withData, withDimension } from "./support.ts";

const file = "config/metrics/door_opened.ts";

function problemsOf(...metrics: readonly unknown[]): readonly string[] {
  try {
    checkCatalog(metrics.map((metric) => ({ file, metric })));
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

test("a sound metric is answered as it is", () => {
  expect(checkCatalog([{ file, metric: sound }])).toEqual([sound]);
});

const text = { type: "string", from: "$.detail.door", description: "d" } as const;

const wrong: [string, Metric, string][] = [
  ["a name with a capital", { ...sound, name: "doorOpened" }, "the name must begin with a to z"],
  ["a name of 51 characters", { ...sound, name: "a".repeat(51) }, "50 characters at most"],
  [
    "another name than the file's",
    { ...sound, name: "door_shut" },
    "call it door_shut.ts, or the metric door_opened",
  ],
  ["no data", { ...sound, data: {} }, "it has no data"],
  ["no sink", { ...sound, dimensions: {}, sinks: {} }, "it goes to no sink"],
  [
    "a tenant that is nowhere",
    { ...sound, tenantId: "$.detail.tenant" },
    "tenantId: the sample has nothing at $.detail.tenant",
  ],
  [
    "a tenant that is a number",
    { ...sound, tenantId: "$.detail.count" },
    "tenantId: the sample's value at $.detail.count must be text",
  ],
  [
    "a time that is none",
    { ...sound, eventTime: "$.detail.door" },
    "sample: it makes no event: data.event_time must be",
  ],
  [
    "a path into nothing",
    withDimension("room", { ...text, from: "$.detail.room.name" }),
    "room: the sample has nothing at $.detail.room.name",
  ],
  [
    "a path with brackets",
    withDimension("room", { ...text, from: "$.detail['door']" }),
    "room: $.detail['door'] is no path",
  ],
  [
    "a path with a wildcard",
    withDimension("room", { ...text, from: "$.detail.*" }),
    "room: $.detail.* is no path",
  ],
  [
    "a path over 256 characters",
    withDimension("room", { ...text, from: `$.detail.${"a".repeat(250)}` }),
    "is no path",
  ],
  [
    "a path into a prototype",
    withDimension("room", { ...text, from: "$.detail.constructor.name" }),
    "room: the sample has nothing at $.detail.constructor.name",
  ],
  [
    "a value of another type",
    withDimension("room", { ...text, from: "$.detail.count" }),
    "room: the sample's value at $.detail.count must be text",
  ],
  [
    "a fraction for an integer",
    withData({ whole: { type: "integer", from: "$.detail.seconds", description: "d" } }),
    "whole: the sample's value at $.detail.seconds must be a whole number",
  ],
  [
    "a sample outside of the declared values",
    withDimension("room", { ...text, values: ["back"] }),
    "room: the sample's value at $.detail.door is none of the declared values",
  ],
  [
    "values of a number",
    withData({ floor: { type: "integer", from: "$.detail.count", description: "d", values: ["1"] } }),
    "floor: only a string can have values",
  ],
  [
    "a unit of text",
    withDimension("room", { ...text, unit: "rooms" }),
    "room: only a number can have a unit",
  ],
  [
    "a field that every event has",
    withDimension("tenant_name", text),
    "tenant_name: every event has a field of this name",
  ],
  ["a field named as the id", withData({ event_id: text }), "event_id: every event has a field of this name"],
  ["a name that Timestream keeps", withData({ ts_door: text }), "ts_door: Timestream keeps this name"],
  ["a name that Timestream and Mixpanel keep", withData({ time: text }), "time: Timestream keeps this name"],
  ["a name that Mixpanel keeps", withDimension("distinct_id", text), "distinct_id: Mixpanel keeps this name"],
  ["a name that HubSpot keeps", withData({ hs_door: text }), "hs_door: HubSpot keeps this name"],
  ["a field of 51 characters", withData({ ["a".repeat(51)]: text }), "50 characters at most"],
  ["a field with a dash", withData({ "front-door": text }), "front-door: the field's name must begin"],
  [
    "a field that is dimension and data",
    withData({ door: text }),
    "door: it is a dimension and data at once",
  ],
  [
    "a field shown to a strange sink",
    withDimension("room", { ...text, personal: { visibleTo: ["cellar"] } }),
    "room: it is visible to cellar, which does not get the metric",
  ],
  [
    "a property of no field",
    { ...sound, sinks: { ...sound.sinks, board: { properties: { door: "door" } } } },
    "sinks.board.properties.door: door is no field of data",
  ],
  [
    "a property with a blank",
    { ...sound, sinks: { ...sound.sinks, board: { properties: { "Doors opened": "openings" } } } },
    "sinks.board.properties.Doors opened: its name must begin with a to z",
  ],
  [
    "a property that HubSpot keeps",
    { ...sound, sinks: { ...sound.sinks, board: { properties: { hs_doors: "openings" } } } },
    "sinks.board.properties.hs_doors: HubSpot keeps this name",
  ],
  [
    "a property of personal data that its sink may not see",
    {
      ...withData({ opened_by: { ...text, from: "$.detail.who.id", personal: { visibleTo: ["lake"] } } }),
      sinks: { lake: {}, board: { properties: { last_by: "opened_by" } } },
    },
    "sinks.board.properties.last_by: opened_by tells of a person, and board may not see it",
  ],
  [
    "a readable name of 256 bytes",
    { ...sound, sinks: { ...sound.sinks, board: { name: "é".repeat(128) } } },
    "sinks.board.name: it has more than 255 bytes",
  ],
  [
    "a bus with a blank",
    { ...sound, source: { ...sound.source, bus: "my house" } },
    "source.bus: a bus has letters",
  ],
  [
    "an ARN that is no event bus's",
    { ...sound, source: { ...sound.source, bus: "arn:aws:events:eu-central-1:123456789012:rule/house" } },
    "source.bus: a bus has letters",
  ],
  [
    "an ARN without an account",
    { ...sound, source: { ...sound.source, bus: "arn:aws:events:eu-central-1::event-bus/house" } },
    "source.bus: a bus has letters",
  ],
  [
    "a source of AWS's on another bus",
    { ...sound, source: { ...sound.source, source: "aws.s3" } },
    "source.source: only AWS puts events",
  ],
  [
    "a pattern that names the source again",
    { ...sound, source: { ...sound.source, pattern: { source: ["x"] } } },
    "source.pattern.source: a pattern names",
  ],
  [
    "a pattern that the sample does not match",
    { ...sound, source: { ...sound.source, pattern: { detail: { door: ["back"] } } } },
    "source.pattern: the metric's own sample does not match it",
  ],
  [
    "a pattern whose values stand in no list",
    { ...sound, source: { ...sound.source, pattern: { detail: { door: "front" } } } },
    'source.pattern.detail.door: must be a list of values: write ["front"]',
  ],
  [
    "a pattern over 2,048 characters",
    { ...sound, source: { ...sound.source, pattern: { detail: { door: ["a".repeat(2048)] } } } },
    "characters, and EventBridge takes 2048: shorten it",
  ],
  [
    "a pattern that is over 2,048 characters only with its account",
    { ...sound, source: { ...sound.source, pattern: { detail: { door: ["front", "a".repeat(1940)] } } } },
    "characters, and EventBridge takes 2048: shorten it",
  ],
  [
    "an operator that EventBridge does not have",
    { ...sound, source: { ...sound.source, pattern: { detail: { door: [{ contains: "front" }] } } } },
    "source.pattern.detail.door: there is no operator contains: use exactly, prefix, suffix",
  ],
  [
    "a mistake in a branch of $or",
    {
      ...sound,
      source: { ...sound.source, pattern: { detail: { $or: [{ door: ["front"] }, { who: [] }] } } },
    },
    "source.pattern.detail.$or[1].who: it is an empty list",
  ],
  [
    "a branch of $or that names the source again",
    { ...sound, source: { ...sound.source, pattern: { $or: [{ source: ["x"] }, { id: ["y"] }] } } },
    "source.pattern.source: the pattern names this field twice",
  ],
  [
    "101 fields",
    withData(Object.fromEntries(Array.from({ length: 93 }, (_, index) => [`field_${index}`, text]))),
    "it has 101 fields, and EventBridge moves 100",
  ],
  [
    "names that make a template over 8,192 characters",
    withData(
      Object.fromEntries(Array.from({ length: 90 }, (_, index) => [`f${index}_`.padEnd(50, "a"), text])),
    ),
    "and EventBridge takes 8192: shorten them",
  ],
];

test.each(wrong)("%s is told in one sentence", (_what, metric, sentence) => {
  const problems = problemsOf(metric);
  expect(problems.filter((problem) => problem.includes(sentence))).toHaveLength(1);
  for (const problem of problems) expect(problem).toMatch(/^config\/metrics\/door_opened\.ts: /);
});

test("a property of personal data that its sink may see is no mistake", () => {
  const personal = { visibleTo: ["board"] };
  const metric = withData({ opened_by: { ...text, from: "$.detail.who.id", personal } });
  expect(
    problemsOf({ ...metric, sinks: { lake: {}, board: { properties: { last_by: "opened_by" } } } }),
  ).toEqual([]);
});

test("a hundred fields are not too many", () => {
  const fields = Object.fromEntries(Array.from({ length: 92 }, (_, index) => [`field_${index}`, text]));
  expect(problemsOf(withData(fields))).toEqual([]);
});

test.each([
  [undefined, `${file}: its default export must be defineMetric(…)`],
  [{ ...sound, title: " " }, `${file}: door_opened: title: must not be empty`],
  [{ ...sound, owner: undefined }, `${file}: door_opened: owner: must be text`],
  [
    { ...sound, data: { n: { type: "float", from: "$.x", description: "d" } } },
    "data.n.type: must be string, integer, number or boolean",
  ],
  [
    { ...sound, sinks: { lake: { nome: "x" } } },
    `${file}: door_opened: sinks.lake: there is no nome here: correct the name, or leave it out`,
  ],
  [
    { ...sound, detail: {} },
    `${file}: door_opened: there is no detail here: correct the name, or leave it out`,
  ],
])("what is no metric at all is told: %#", (metric, sentence) => {
  expect(problemsOf(metric).join("\n")).toContain(sentence);
});

test("all problems of all files are told at once", () => {
  const problems = problemsOf({ ...sound, name: "A", tenantId: "$.x" }, { ...sound, owner: 7 });
  expect(problems.length).toBeGreaterThanOrEqual(4);
});

describe("metrics beside each other", () => {
  const other = { ...sound, name: "door_shut", sinks: { lake: {}, board: { name: "Door Shut" } } };
  const check = (second: Metric) => {
    try {
      checkCatalog([
        { file: "a/door_opened.ts", metric: sound },
        { file: "b/door_shut.ts", metric: second },
      ]);
      return [];
    } catch (error) {
      if (error instanceof ConfigError) return error.problems;
      throw error;
    }
  };

  test("may have the same fields", () => {
    expect(check(other)).toEqual([]);
  });

  test("may not give one column two types, or two roles", () => {
    expect(
      check({ ...other, data: { ...other.data, openings: { ...other.data.openings, type: "number" } } }),
    ).toEqual([
      "b/door_shut.ts: door_shut: openings: it is data of type number here and data of type integer in door_opened, but would be one column: rename one of them, or make them alike",
    ]);
    const { door, ...dimensions } = other.dimensions;
    expect(check({ ...other, dimensions, data: { ...other.data, door } })[0]).toContain(
      "door: it is data of type string here and a dimension in door_opened",
    );
  });

  test("may not share a name in a sink", () => {
    expect(check({ ...other, sinks: { board: { name: "Door Opened" } }, dimensions: {} })).toEqual([
      "b/door_shut.ts: door_shut: sinks.board: the metric Door Opened is door_opened's already: choose another name",
    ]);
  });

  test("may not have the same name", () => {
    expect(check({ ...sound })).toContain(
      "b/door_shut.ts: door_opened: a/door_opened.ts declares a metric of this name, too: rename one",
    );
  });
});
