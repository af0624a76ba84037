// Every metric of the catalog on its way from a bus to the tools, through the rules as they are deployed.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import metrics from "../../config/metrics/index.ts";
import { createRehearsal, type Rehearsal, rehearsedSinks, type Story } from "../../samples/rehearsal.ts";
import {
  type JsonObject,
  type JsonValue,
  type Metric,
  type MissingValue,
  sampleBusEvent,
} from "../../src/index.ts";

const missings: readonly MissingValue[] = ["null", "empty", "absent"];
const rehearsals = new Map<MissingValue, Rehearsal>();

beforeAll(async () => {
  process.env["AWS_ACCESS_KEY_ID"] = "test";
  process.env["AWS_SECRET_ACCESS_KEY"] = "test";
  for (const missing of missings) rehearsals.set(missing, await createRehearsal({ metrics, missing }));
});
afterAll(async () => {
  await Promise.all([...rehearsals.values()].map((each) => each.close()));
});

function rehearse(
  event: JsonObject,
  { missing = "empty", compression = "GZIP" }: { missing?: MissingValue; compression?: "GZIP" | "ZIP" } = {},
): Promise<Story> {
  const rehearsal = rehearsals.get(missing);
  if (rehearsal === undefined) throw new Error("beforeAll makes one of each");
  // A new event: the tools know the id of an old one.
  return rehearsal.run({ ...event, id: crypto.randomUUID() }, compression);
}

/** The event with another value at a path of dots; without one, with none. */
function changed(event: JsonObject, path: string, value?: JsonValue): JsonObject {
  const [, key = "", ...rest] = path.split(".");
  const { [key]: old, ...others } = event;
  if (rest.length === 0) return value === undefined ? others : { ...others, [key]: value };
  if (typeof old !== "object" || old === null || Array.isArray(old)) throw new Error(`${path} is not there`);
  // A non-null object of JSON that is no list has JSON for its values.
  return { ...others, [key]: changed(old as JsonObject, ["$", ...rest].join("."), value) };
}

/** What the catalog says that each tool holds of it. */
const wanted = (metric: Metric) =>
  Object.fromEntries(rehearsedSinks.map((sink) => [sink, Object.hasOwn(metric.sinks, sink) ? 1 : 0]));
const nothing = Object.fromEntries(rehearsedSinks.map((sink) => [sink, 0]));
const [first] = metrics;
if (first === undefined) throw new Error("the catalog that ships has metrics");

describe.each(metrics.map((metric) => ({ name: metric.name, metric })))("$name", ({ metric }) => {
  test.each(["GZIP", "ZIP"] as const)(
    "reaches the tools that the catalog names, once, by %s",
    async (compression) => {
      const story = await rehearse(sampleBusEvent(metric), { compression });
      expect(story.matched.map((each) => each.metric)).toEqual([metric.name]);
      expect(story.objects).toHaveLength(1);
      expect(story.objects[0]?.key).toMatch(compression === "GZIP" ? /^Data\/.*\.gz$/ : /^Data\/.*\.zip$/);
      expect(story).toMatchObject({ givenBack: 0, report: { valid: 1, invalid: 0 }, stored: wanted(metric) });
    },
  );

  const optional = Object.values({ ...metric.dimensions, ...metric.data }).filter((field) => field.optional);
  test.each(missings)("goes through without its optional fields, whose place is %s then", async (missing) => {
    const event = optional.reduce((left, { from }) => changed(left, from), sampleBusEvent(metric));
    const story = await rehearse(event, { missing });
    expect(story).toMatchObject({ report: { valid: 1, invalid: 0 }, stored: wanted(metric) });
  });

  test.each(missings)(
    "without its tenant, whose place is %s then, ends under Error/, whole",
    async (missing) => {
      const story = await rehearse(changed(sampleBusEvent(metric), metric.tenantId), { missing });
      expect(story.transformed.map(({ result }) => result)).toEqual(["ProcessingFailed"]);
      expect(story.causes).toEqual([
        "TENANT_ID_MISSING: metadata.tenant_id must be a string that is not blank",
      ]);
      expect(story.objects.map(({ key }) => key)).toEqual([
        expect.stringMatching(/^Error\/processing-failed\//),
      ]);
      expect(story).toMatchObject({ report: undefined, stored: nothing });
    },
  );

  test("text with quotes, braces and line breaks comes through whole", async () => {
    const text = Object.entries(metric.dimensions ?? {}).find(
      ([, { type, values }]) => type === "string" && values === undefined,
    );
    if (text === undefined) throw new Error("every metric that ships has a dimension of free text");
    const [name, { from }] = text;
    const nasty = '"}{\\"\n\u2028{"a":1}';
    const { transformed, report } = await rehearse(changed(sampleBusEvent(metric), from, nasty));
    const [line = ""] = transformed.map((each) =>
      each.result === "Ok" ? Buffer.from(each.data, "base64").toString() : "",
    );
    expect(line).toMatch(/^[^\n]+\n$/);
    expect(JSON.parse(line)).toMatchObject({ metadata: { [name]: nasty } });
    expect(report).toMatchObject({ valid: 1, invalid: 0 });
  });
});

describe("an event that is none of the catalog's", () => {
  test.each([
    ["another source", { ...sampleBusEvent(first), source: "acme.other" }],
    ["another detail-type", { ...sampleBusEvent(first), "detail-type": "Other" }],
    ["what its pattern leaves out", changed(sampleBusEvent(first), "$.detail.status", "open")],
    ["nothing at all", {}],
  ])("meets no rule: %s", async (_, event) => {
    expect(await rehearse(event)).toMatchObject({
      matched: [],
      transformed: [],
      objects: [],
      stored: nothing,
    });
  });
});

describe("a large event", () => {
  const [[name, { from }] = ["", { from: "" }]] = Object.entries(first.dimensions ?? {});
  const sized = (bytes: number) => changed(sampleBusEvent(first), from, "x".repeat(bytes));

  test("of 900 KB goes all the way; a tool that refuses it leaves a dead letter", async () => {
    const story = await rehearse(sized(900_000));
    expect(name).toBe("repository");
    expect(story.matched).toMatchObject([{ tooLarge: false }]);
    for (const sink of Object.values(story.report?.sinks ?? {})) {
      expect(sink).toMatchObject({ valid: 1, pending: 0 });
      expect(sink.delivered + sink.deadLettered).toBe(1);
    }
  });

  test("of 1 MB is more than the stream takes: the rules' dead-letter queue has it", async () => {
    const story = await rehearse(sized(1024 * 1024 - 2000));
    expect(story.matched).toMatchObject([{ tooLarge: true }]);
    expect(story).toMatchObject({ transformed: [], objects: [], stored: nothing });
  });
});
