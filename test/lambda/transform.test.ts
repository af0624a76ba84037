import { Logger } from "@aws-lambda-powertools/logger";
import { Metrics } from "@aws-lambda-powertools/metrics";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import metrics from "../../config/metrics/index.ts";
import { generateObjects } from "../../samples/generate.ts";
import {
  DirectoryDown,
  type JsonObject,
  sampleRecord,
  staticDirectory,
  type TenantDirectory,
} from "../../src/index.ts";
import {
  createTransform,
  longestAnswer,
  type TransformAnswer,
  type TransformOptions,
  type TransformRecord,
} from "../../src/lambda/transform.ts";
import { virtualClock } from "../../src/testing/index.ts";

const context = { getRemainingTimeInMillis: () => 60_000 };
const base64 = (text: string) => Buffer.from(text).toString("base64");
const textOf = (answer: TransformAnswer, index = 0) => {
  const record = answer.records[index];
  return record?.result === "Ok" ? Buffer.from(record.data, "base64").toString("utf8") : record?.result;
};
const linesOf = (answer: TransformAnswer, index = 0) =>
  (textOf(answer, index) ?? "")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));

const [first] = metrics;
if (first === undefined) throw new Error("the catalog has metrics");
// JSON that was just written from an object of this shape.
const good = JSON.parse(JSON.stringify(sampleRecord(first))) as { metadata: JsonObject; data: JsonObject };
const record = (change: { metadata?: JsonObject; data?: JsonObject } = {}) =>
  JSON.stringify({
    ...good,
    metadata: { ...good.metadata, ...change.metadata },
    data: { ...good.data, ...change.data },
  });
const { event_id: _, ...withoutId } = good.metadata;
const unstamped = JSON.stringify({ ...good, metadata: withoutId });

const arrived = Date.UTC(2026, 10, 20, 9, 31);
const records = (...texts: readonly string[]): TransformRecord[] =>
  texts.map((text, index) => ({
    recordId: `4957${index}`,
    approximateArrivalTimestamp: arrived,
    data: base64(text),
  }));

// What Powertools prints is looked at, not shown.
let printed: string[];
beforeEach(() => {
  printed = [];
  for (const name of ["log", "warn", "error"] as const) {
    vi.spyOn(console, name).mockImplementation((text: unknown) => void printed.push(String(text)));
  }
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** Prints to the console that is looked at. */
function handler(options: Partial<TransformOptions> = {}) {
  const metricsTo = new Metrics({ namespace: "FirehoseFanout" });
  metricsTo.clearDefaultDimensions();
  const logger = new Logger({ serviceName: "test" });
  Object.assign(metricsTo, { console });
  Object.assign(logger, { console });
  return createTransform({ metrics, metricsTo, logger, ...options });
}

function transform(options: Partial<TransformOptions> = {}) {
  const handle = handler(options);
  return (...texts: readonly string[]) =>
    handle({ deliveryStreamArn: "arn", records: records(...texts) }, context);
}

const measured = (): Record<string, number> =>
  Object.assign(
    {},
    ...printed
      .filter((text) => text.includes("_aws"))
      // Figures are numbers, and the counts beside them text.
      .map((text) =>
        JSON.parse(text, (_, value: unknown) =>
          typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value,
        ),
      ),
  );

describe("an event of the catalog", () => {
  test("goes on as one line, with its newline", async () => {
    const answer = await transform()(record());
    expect(textOf(answer)).toBe(`${record()}\n`);
  });

  test("of every metric goes on", async () => {
    const answer = await transform()(...metrics.map((metric) => JSON.stringify(sampleRecord(metric))));
    expect(answer.records.map(({ result }) => result)).toEqual(metrics.map(() => "Ok"));
  });

  test("loses the values that are none: EventBridge writes null or empty text where a path is missing", async () => {
    for (const user_id of [null, ""]) {
      const [line] = linesOf(await transform()(record({ metadata: { user_id } })));
      expect(line.metadata).not.toHaveProperty("user_id");
    }
  });

  test("keeps zero, false, quotes, line feeds and half characters as they are", async () => {
    const metadata = { repository: 'a "b"\n\\ }{ \ud800' };
    const [line] = linesOf(
      await transform()(record({ metadata, data: { days_open: 0, auto_fixed: false } })),
    );
    expect(line).toMatchObject({ metadata, data: { days_open: 0, auto_fixed: false } });
  });

  test("may share a record with others, however they are framed", async () => {
    for (const between of ["", "\n", "\r\n\r\n", "  "]) {
      const answer = await transform()(`${record()}${between}${record()}${between}`);
      expect(linesOf(answer)).toHaveLength(2);
    }
  });
});

describe("what is refused", () => {
  test.each([
    ["no JSON", "{"],
    ["nothing", ""],
    ["white space", " \n "],
    ["a number", "42"],
    ["a list of events", `[${record()}]`],
    ["an event without a tenant", record({ metadata: { tenant_id: "" } })],
    ["an event without a time", record({ data: { event_time: null } })],
    ["an event of tomorrow's tomorrow", record({ data: { event_time: "2026-11-22T10:00:00Z" } })],
    ["a metric that nobody declared", record().replace(first.name, "unknown_metric")],
    ["a field that nobody declared", record({ metadata: { email: "a@example.com" } })],
    ["a field of another type", record({ data: { days_open: "many" } })],
    ["a value outside of the declared ones", record({ metadata: { severity: "awful" } })],
    ["an event id that is no text", record({ metadata: { event_id: 7 } })],
    ["a good event beside a bad one", `${record()}\n${record({ data: { days_open: "many" } })}`],
  ])("%s fails, so that Firehose keeps its bytes", async (_what, text) => {
    const answer = await transform()(text, record());
    expect(answer.records.map(({ result }) => result)).toEqual(["ProcessingFailed", "Ok"]);
    expect(measured()).toMatchObject({ TransformRecords: 2, TransformRefused: 1 });
  });

  test("data that is missing or no base64 fails alone", async () => {
    const handle = handler();
    // What Firehose never sends, and must not stop the others.
    const strange = [{ recordId: "a" }, { recordId: "b", data: "!!" }] as unknown as TransformRecord[];
    const answer = await handle({ records: [...strange, ...records(record())] }, context);
    expect(answer.records.map(({ result }) => result)).toEqual([
      "ProcessingFailed",
      "ProcessingFailed",
      "Ok",
    ]);
  });

  test("is told with its cause, without a value of the record", async () => {
    await transform()(
      record({ data: { days_open: "s3cret" } }),
      record({ metadata: { s3cret: 1 } }),
      "s3cret",
    );
    const told = printed.join("\n");
    expect(told).toContain("FIELD_INVALID: data.days_open must be a whole number");
    expect(told).toContain("FIELD_UNDECLARED");
    expect(told).not.toContain("s3cret");
  });
});

describe("an event without an id", () => {
  test("is stamped with one that another try with the same record gives again", async () => {
    const [one] = linesOf(await transform()(unstamped));
    const [again] = linesOf(await transform()(unstamped));
    expect(one.metadata.event_id).toMatch(/^[0-9a-f-]{36}$/);
    expect(again).toEqual(one);
    expect(measured()).toMatchObject({ TransformStamped: 1 });
  });

  test("differs from an equal one: in another record, in the same record, in another stream", async () => {
    const handle = transform();
    const answer = await handle(unstamped, `${unstamped}${unstamped}`);
    const ids = [...linesOf(answer), ...linesOf(answer, 1)].map(({ metadata }) => metadata.event_id);
    const other = await handler()({ deliveryStreamArn: "another", records: records(unstamped) }, context);
    ids.push(linesOf(other)[0].metadata.event_id);
    expect(new Set(ids).size).toBe(4);
  });

  test("an id that is there stays", async () => {
    const [line] = linesOf(await transform()(record({ metadata: { event_id: "mine" } })));
    expect(line.metadata.event_id).toBe("mine");
    expect(measured()).toMatchObject({ TransformStamped: 0 });
  });
});

describe("the tenant directory", () => {
  const known = staticDirectory({ "acme-robotics": { name: "Acme Robotics", environment: "production" } });
  const down: TenantDirectory = { find: () => Promise.reject(new DirectoryDown("down")) };

  test("adds name and environment, and knows better than who sent them", async () => {
    const [line] = linesOf(
      await transform({ directory: known })(record({ metadata: { tenant_name: "Old" } })),
    );
    expect(line.metadata).toMatchObject({ tenant_name: "Acme Robotics", environment: "production" });
  });

  test("is asked once a tenant, however many events there are", async () => {
    const find = vi.fn(known.find);
    await transform({ directory: { find } })(record(), record(), `${record()}${record()}`, "not JSON");
    expect(find).toHaveBeenCalledTimes(1);
  });

  test("that does not know a tenant lets its events go on, and they are counted", async () => {
    const answer = await transform({ directory: known })(record({ metadata: { tenant_id: "new" } }));
    expect(linesOf(answer)[0].metadata).not.toHaveProperty("tenant_name");
    expect(measured()).toMatchObject({ TransformTenantUnknown: 1 });
    expect(measured()).not.toHaveProperty("TransformDirectoryDown");
  });

  test("that is down lets events go on with what they have, and they are counted", async () => {
    const answer = await transform({ directory: down })(record({ metadata: { tenant_name: "Sent" } }));
    expect(linesOf(answer)[0].metadata).toMatchObject({ tenant_name: "Sent" });
    expect(measured()).toMatchObject({ TransformDirectoryDown: 1, TransformRefused: 0 });
  });

  test("that is down refuses events where the configuration says so", async () => {
    const answer = await transform({ directory: down, directoryDown: "fail" })(record(), "not JSON");
    expect(answer.records.map(({ result }) => result)).toEqual(["ProcessingFailed", "ProcessingFailed"]);
    expect(measured()).toMatchObject({ TransformDirectoryDown: 1, TransformRefused: 2 });
  });

  test.each<[string, TenantDirectory]>([
    ["throws something else", { find: () => Promise.reject(new Error("s3cret")) }],
    [
      "throws at once",
      {
        find: () => {
          throw new Error("s3cret");
        },
      },
    ],
  ])("that %s is down as well, and its words are not told", async (_what, directory) => {
    const answer = await transform({ directory })(record());
    expect(answer.records[0]?.result).toBe("Ok");
    expect(printed.join("\n")).not.toContain("s3cret");
  });

  test("that hangs takes half of the time that is left, 20 s at most", async () => {
    for (const [remaining, most] of [
      [10_000, 5_000],
      [300_000, 20_000],
    ] as const) {
      const clock = virtualClock();
      const start = clock.now();
      const directory: TenantDirectory = { find: () => new Promise<never>(() => {}) };
      const handle = handler({ directory, clock });
      const texts = Array.from({ length: 20 }, (_each, index) =>
        record({ metadata: { tenant_id: `tenant-${index}` } }),
      );
      const run = handle({ records: records(...texts) }, { getRemainingTimeInMillis: () => remaining });
      const answer = await clock.run(run);
      expect(clock.now() - start).toBe(most);
      expect(answer.records.every(({ result }) => result === "Ok")).toBe(true);
    }
  });
});

describe("whatever comes", () => {
  const long = fc
    .integer({ min: 0, max: 3_000 })
    .map((length) => record({ metadata: { repository: "ü".repeat(length + 1) } }));
  const arbitrary = fc.oneof(
    fc.constantFrom(record(), unstamped, `${record()}${unstamped}`, "", "{", "null"),
    long,
    fc.string({ unit: "binary" }),
    fc.json(),
    fc.json().map((text) => `${record()}${text}`),
  );

  test("each recordId is answered once, in its order, within the size, and never with a throw", async () => {
    const handle = transform({ directory: staticDirectory({ "acme-robotics": { name: "Acme" } }) });
    const small = transform({ maxAnswerBytes: 20_000 });
    await fc.assert(
      fc.asyncProperty(fc.array(arbitrary, { maxLength: 30 }), fc.boolean(), async (texts, isSmall) => {
        const answer = await (isSmall ? small : handle)(...texts);
        expect(answer.records.map(({ recordId }) => recordId)).toEqual(
          texts.map((_each, index) => `4957${index}`),
        );
        expect(Buffer.byteLength(JSON.stringify(answer))).toBeLessThanOrEqual(
          isSmall ? 20_000 : longestAnswer,
        );
        for (const [index, { result }] of answer.records.entries()) {
          if (result === "Ok") expect(textOf(answer, index)?.endsWith("}\n")).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
  });

  test("bytes that are no text, and ids and times of any kind, are answered like the others", async () => {
    const handle = handler();
    const bytes = fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.constant(Buffer.from(record())));
    const one = fc.record({
      recordId: fc.string({ unit: "binary" }),
      approximateArrivalTimestamp: fc.oneof(fc.constant(arrived), fc.double(), fc.integer()),
      data: bytes.map((each) => Buffer.from(each).toString("base64")),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(one, { maxLength: 10 }), async (given) => {
        const answer = await handle({ records: given }, context);
        expect(answer.records.map(({ recordId }) => recordId)).toEqual(given.map(({ recordId }) => recordId));
        for (const [index, { result }] of answer.records.entries()) {
          if (result === "Ok") expect(linesOf(answer, index)).not.toEqual([]);
        }
      }),
    );
  });

  test("what would make the answer too large fails, and what is small still goes on behind it", async () => {
    const large = record({ metadata: { repository: "r".repeat(900_000) } });
    const answer = await transform()(...Array<string>(6).fill(large), record());
    const results = answer.records.map(({ result }) => result);
    expect(results).toEqual(["Ok", "Ok", "Ok", "Ok", "Ok", "ProcessingFailed", "Ok"]);
    expect(Buffer.byteLength(JSON.stringify(answer))).toBeLessThanOrEqual(6_291_556);
    expect(measured()).toMatchObject({ TransformTooLarge: 1, TransformRefused: 1 });
  });

  test("10,000 mixed records: every recordId once, every good event there, nothing else", async () => {
    const { objects, truth } = generateObjects({ now: arrived, records: 9_965, faultsOfEachKind: 5 });
    const mixed = objects.flatMap((object) => object.records);
    const handle = transform();
    const batch = 500;
    const ids: string[] = [];
    let [ok, failed] = [0, 0];
    for (let from = 0; from < mixed.length; from += batch) {
      const part = mixed.slice(from, from + batch);
      const answer = await handle(...part.map(({ text }) => text));
      ids.push(...answer.records.map(({ recordId }) => `${from} ${recordId}`));
      for (const [index, { result }] of answer.records.entries()) {
        const { kind, text } = part[index] ?? { kind: "cut", text: "" };
        const isValid = ["good", "long-value", "odd-tenant"].includes(kind);
        expect(result, kind).toBe(isValid ? "Ok" : "ProcessingFailed");
        if (result === "Ok") {
          ok++;
          // The same event, its stamp apart.
          const [line] = linesOf(answer, index);
          const sent = JSON.parse(text);
          expect({ ...line, metadata: { event_id: "", ...line.metadata } }).toMatchObject(sent);
        } else failed++;
      }
    }
    expect(new Set(ids).size).toBe(mixed.length);
    expect({ ok, failed }).toEqual({ ok: truth.valid, failed: truth.invalid });
    expect(mixed.length).toBe(10_000);
  });
});

test("a healthy invocation logs nothing and measures everything", async () => {
  await transform()(record());
  expect(printed).toHaveLength(1);
  expect(measured()).toMatchObject({
    TransformRecords: 1,
    TransformRefused: 0,
    TransformTooLarge: 0,
    TransformStamped: 0,
    TransformTenantUnknown: 0,
  });
});
