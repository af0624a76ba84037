// The Lambda entry as Lambda runs it: a process of its own, its environment, an event, and what it writes.
import { execFile } from "node:child_process";
import { hash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { generateObjects } from "../../samples/generate.ts";
import { type ServedTwin, serveTwin } from "../../src/testing/index.ts";
import { createS3Twin } from "../support/s3-twin.ts";
import { serveVendors, type Vendors } from "../support/vendors.ts";

const entry = new URL("../../infra/functions/worker.ts", import.meta.url).href;
const marker = "SECRET-MARKER";

interface Invoked {
  readonly code: number | string | null;
  /** What the handler answered, or the message that it threw. */
  readonly answer: unknown;
  readonly thrown: string | undefined;
  /** Every line that was written, to either stream. */
  readonly lines: readonly string[];
  readonly stderr: string;
}

/** A cold start and one invocation with 30 s, in exactly this environment. */
function invoke(event: unknown, env: Readonly<Record<string, string>>): Promise<Invoked> {
  const script = `
    const { handler } = await import(${JSON.stringify(entry)});
    const context = { awsRequestId: "request-1", getRemainingTimeInMillis: () => 30_000 };
    const result = await handler(${JSON.stringify(event)}, context).then(
      (answer) => ({ answer }),
      (error) => ({ thrown: error.message }),
    );
    console.log("RESULT" + JSON.stringify(result));
    process.exit();`;
  return new Promise((resolve) => {
    const args = ["--input-type=module", "--eval", script];
    execFile(process.execPath, args, { env: { ...env } }, (error, stdout, stderr) => {
      const lines = `${stdout}${stderr}`.split("\n").filter((line) => line !== "");
      const result: unknown = JSON.parse(lines.find((line) => line.startsWith("RESULT"))?.slice(6) ?? "{}");
      const isObject = typeof result === "object" && result !== null;
      resolve({
        code: error === null ? 0 : (error.code ?? null),
        answer: isObject && "answer" in result ? result.answer : undefined,
        thrown: isObject && "thrown" in result ? String(result.thrown) : undefined,
        lines: lines.filter((line) => !line.startsWith("RESULT")),
        stderr,
      });
    });
  });
}

/** S3's notification of one object, as S3 sends it to SQS and SQS to Lambda. */
function queued(bucket: string, key: string, eTag: string) {
  const object = { key: encodeURIComponent(key).replaceAll("%2F", "/"), size: 1, eTag, sequencer: "00" };
  const record = {
    eventSource: "aws:s3",
    eventName: "ObjectCreated:Put",
    s3: { bucket: { name: bucket }, object },
  };
  return { messageId: key, eventSource: "aws:sqs", body: JSON.stringify({ Records: [record] }) };
}

const { objects, truth } = generateObjects({ now: Date.now(), records: 80, tenants: 3, objects: 2 });
const s3 = createS3Twin({ buckets: ["events", "books", "shared"] });
let servedS3: ServedTwin;
let vendors: Vendors;
let env: Readonly<Record<string, string>>;

beforeAll(async () => {
  servedS3 = await serveTwin(s3.handle);
  vendors = await serveVendors();
  env = {
    ...vendors.env,
    AWS_SECRET_ACCESS_KEY: `${marker}-aws`,
    SEGMENT_WRITE_KEY: `${marker}-segment`,
    HUBSPOT_ACCESS_TOKEN: `${marker}-hubspot`,
    AWS_ENDPOINT_URL_S3: servedS3.url,
    RECEIPTS: "s3://books/receipts",
    DEAD_LETTERS: "s3://books/dead-letters",
  };
});
afterAll(async () => {
  await vendors.close();
  await servedS3.close();
});

describe("the worker's Lambda entry", () => {
  test("takes an SQS batch from S3 to four vendors, in lines of JSON without a secret, and a redelivery does what is left", async () => {
    const event = {
      Records: [
        ...objects.map(({ key, bytes }) => queued("events", key, s3.put("events", key, bytes))),
        queued("events", "Data/gone.gz", "0123456789abcdef0123456789abcdef"),
      ],
    };
    // Mixpanel gets a wrong token at first.
    const first = await invoke(event, { ...env, MIXPANEL_TOKEN: `${marker}-mixpanel` });
    expect(first.stderr).not.toMatch(/Warning/);
    expect(first.answer).toEqual({ batchItemFailures: [{ itemIdentifier: "Data/gone.gz" }] });
    expect(first.lines.join("\n")).not.toContain(marker);
    const documents: Record<string, unknown>[] = first.lines.map((line) => JSON.parse(line));

    const processed = documents.filter((each) => each["message"] === "object processed");
    const records = (name: string) => processed.reduce((total, each) => total + Number(each[name]), 0);
    const sum = (metric: string, sink: string) =>
      documents
        .filter((each) => "_aws" in each && each["Sink"] === sink && metric in each)
        .reduce((total, each) => total + Number(each[metric]), 0);
    expect([records("records"), records("invalid")]).toEqual([truth.records, truth.invalid]);
    for (const sink of ["timestream", "segment", "hubspot-events"] as const) {
      expect(sum("Delivered", sink)).toBe(vendors.stored[sink].size);
      expect(sum("Delivered", sink) + sum("DeadLettered", sink)).toBe(truth.valid);
    }
    expect(sum("Pending", "mixpanel")).toBe(truth.valid);
    expect(documents).toContainEqual(
      expect.objectContaining({ level: "WARN", sink: "mixpanel", reason: expect.stringContaining("401") }),
    );
    expect(documents).toContainEqual(
      expect.objectContaining({ level: "ERROR", code: "NOT_FOUND", object: "events/Data/gone.gz" }),
    );
    expect(s3.keys("books", "receipts/deferrals/sink=mixpanel/")).toHaveLength(objects.length);
    expect(s3.keys("books", "dead-letters/sink=_intake/")).not.toEqual([]);

    const requests = { ...vendors.requests };
    const second = await invoke(event, env);
    expect(second.answer).toEqual(first.answer);
    expect(vendors.stored.mixpanel.size).toBe(truth.valid);
    expect(s3.keys("books", "receipts/deferrals/")).toEqual([]);
    expect({ ...vendors.requests, mixpanel: 0 }).toEqual({ ...requests, mixpanel: 0 });
    for (const times of Object.values(vendors.stored).flatMap((stored) => [...stored.values()]))
      expect(times).toBe(1);
  });

  test("in a bucket of its own books and letters, answers for what it wrote by ignoring it: no loops", async () => {
    const shared = { ...env, SINKS: "segment" };
    const places = { RECEIPTS: "s3://shared/fanout/receipts", DEAD_LETTERS: "s3://shared/fanout/letters/" };
    s3.put("shared", "Data/bad", '{"metric_name": \n');
    const notify = (keys: readonly string[]) => ({
      Records: keys.map((key) => queued("shared", key, hash("md5", s3.get("shared", key) ?? "", "hex"))),
    });
    const first = await invoke(notify(["Data/bad"]), { ...shared, ...places });
    expect(first.answer).toEqual({ batchItemFailures: [] });
    const written = s3.keys("shared", "fanout/");
    expect(written.some((key) => key.startsWith("fanout/receipts/"))).toBe(true);
    expect(written.some((key) => key.startsWith("fanout/letters/"))).toBe(true);
    const second = await invoke(notify(written), { ...shared, ...places });
    expect(second.answer).toEqual({ batchItemFailures: [] });
    expect(s3.keys("shared", "fanout/")).toEqual(written);
    const documents: Record<string, unknown>[] = second.lines.map((line) => JSON.parse(line));
    expect(documents).toContainEqual(expect.objectContaining({ Ignored: written.length }));
  });

  test("throws without a queue, so that Lambda tries again", async () => {
    const { body } = queued("events", "Data/gone.gz", "0123456789abcdef0123456789abcdef");
    const { thrown } = await invoke(JSON.parse(body), env);
    expect(thrown).toMatch(/^NOT_FOUND: s3:\/\/events\/Data\/gone\.gz, version [0-9a-f]+, does not exist/);
  });
});

describe("a cold start fails with a sentence that names the variable, and without a secret", () => {
  const cases: [string, Record<string, string>, RegExp[]][] = [
    ["a missing secret", { MIXPANEL_TOKEN: "" }, [/MIXPANEL_TOKEN is not set; the sink mixpanel needs it/]],
    [
      "several at once",
      { TIMESTREAM_DATABASE: "", SEGMENT_HOST: "segment.test" },
      [/TIMESTREAM_DATABASE is not set/, /SEGMENT_HOST is not valid/],
    ],
    [
      "books on the function's own disk",
      { RECEIPTS: "", DEAD_LETTERS: "/tmp/letters" },
      [/RECEIPTS must be an s3:\/\/ URL/, /DEAD_LETTERS must be an s3:\/\/ URL/],
    ],
  ];
  test.each(cases)("%s", async (_, change, sentences) => {
    const { code, answer, lines } = await invoke({ Records: [] }, { ...env, ...change });
    expect(code).toBe(1);
    expect(answer).toBeUndefined();
    for (const sentence of sentences) expect(lines.join("\n")).toMatch(sentence);
    expect(lines.join("\n")).not.toContain(marker);
  });
});
