import { hash } from "node:crypto";
import { access, readdir, unlink } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { sampleRecord } from "../../src/index.ts";
import type { QueueEntry } from "../../src/queues/queue.ts";
import { StoreError } from "../../src/store/object-store.ts";
import { world as s3World } from "../store/s3-world.ts";
import { eventRecord } from "../support/world.ts";
import {
  dropOrder,
  entriesOf,
  metrics,
  objectName,
  operatorsWorld,
  order,
  putAllBack,
  textOf,
} from "./world.ts";

const arrived = Date.UTC(2026, 10, 20, 9, 30);

/** As Firehose writes it: numbers as text. */
function failure(record: string | object, more: object = {}): string {
  const data = typeof record === "string" ? record : JSON.stringify(record);
  return JSON.stringify({
    attemptsMade: "4",
    arrivalTimestamp: String(arrived),
    errorCode: "Lambda.FunctionError",
    errorMessage: "The Lambda function was successfully invoked\nbut it returned an error result.",
    attemptEndingTimestamp: String(arrived + 90_000),
    rawData: Buffer.from(data).toString("base64"),
    lambdaArn: "arn:aws:lambda:eu-central-1:123456789012:function:transform",
    ...more,
  });
}

const records = (count: number) =>
  Array.from({ length: count }, (_, index) => JSON.stringify(eventRecord(index)));
const lines = (all: readonly string[]) => all.map((record) => `${failure(record)}\n`).join("");
const exists = (file: string) =>
  access(file).then(
    () => true,
    () => false,
  );
const statuses = (outcomes: readonly { readonly status: string }[]) => outcomes.map(({ status }) => status);

test("an object in S3 is listed, put back into its stream byte for byte, and gone; nothing is left of it", async () => {
  const world = await operatorsWorld();
  const s3 = await s3World();
  const key = `Error/processing-failed/2026/11/20/09/${objectName}.gz`;
  s3.twin.put("bucket", key, gzipSync(lines(records(3))));
  const queue = await world.open("s3://bucket/Error/processing-failed/", { s3: s3.client });
  expect(queue).toMatchObject({
    name: "firehose",
    target: "the delivery stream that each object came from, such as product-events",
  });
  const entries = await entriesOf(queue);
  expect(entries).toMatchObject([
    {
      code: "LAMBDA_FUNCTION_ERROR",
      reason: "The Lambda function was successfully invoked but it returned an error result.",
      attempts: 4,
      firstAt: arrived,
      lastAt: arrived + 90_000,
      place: `s3://bucket/${key}, record 1`,
      event: { id: "e0", metricName: "findings_upload_completed", tenantId: "tenant-0" },
    },
    { event: { id: "e1" } },
    { event: { id: "e2" } },
  ]);
  expect(statuses(await queue.putBack(entries, order))).toEqual(["delivered", "delivered", "delivered"]);
  expect(world.firehose.taken.get("product-events")).toEqual(records(3));
  expect(s3.twin.keys("bucket")).toEqual([]);
  expect([...world.deadLetters.objects.keys()]).toEqual([]);
  await queue.close?.();
});

test("documents with nothing between them, numbers as numbers and the format conversion's names are read alike", async () => {
  const world = await operatorsWorld();
  const converted = failure("x}{", { errorCode: undefined, errorMessage: undefined, attemptsMade: 2 });
  const renamed = converted.replace("{", '{"lastErrorCode":"Orc.ParseError","lastErrorMessage":"bad",');
  const file = await world.putObject(
    `\ufeff${failure(eventRecord(0))}${renamed}\r\n\n${failure("last", { errorCode: "500" })}`,
  );
  const queue = await world.open(file);
  const entries = await entriesOf(queue);
  expect(entries).toMatchObject([
    { code: "LAMBDA_FUNCTION_ERROR", attempts: 4 },
    { code: "ORC_PARSE_ERROR", reason: "bad", attempts: 2 },
    { code: "CODE_500" },
  ]);
  expect(await Promise.all(entries.map(textOf))).toEqual([JSON.stringify(eventRecord(0)), "x}{", "last"]);
});

test("what was put back is gone from the list, the rest stays under the same ids, and the object until its last record", async () => {
  const world = await operatorsWorld();
  const file = await world.putObject(lines([...records(3), ...records(1)]));
  const first = await world.open(world.folder);
  const before = await entriesOf(first);
  expect(new Set(before.map(({ id }) => id)).size).toBe(4);
  await first.putBack(before.slice(1, 3), order);
  const second = await world.open(world.folder);
  const after = await entriesOf(second);
  expect(after.map(({ id }) => id)).toEqual([before[0]?.id, before[3]?.id]);
  expect(await exists(file)).toBe(true);
  expect(statuses(await putAllBack(second))).toEqual(["delivered", "delivered"]);
  expect(await exists(file)).toBe(false);
  const all = records(3);
  expect(world.firehose.taken.get("product-events")).toEqual([all[1], all[2], all[0], all[0]]);
});

test("entries can be put back while the queue is read, over many objects and calls", async () => {
  const world = await operatorsWorld();
  for (let index = 0; index < 3; index++) {
    await world.putObject(lines(records(400)), objectName.replace("-30-00-", `-3${index}-00-`));
  }
  const queue = await world.open(world.folder);
  const outcomes = await putAllBack(queue);
  expect(outcomes).toHaveLength(1200);
  expect(new Set(statuses(outcomes))).toEqual(new Set(["delivered"]));
  expect(world.firehose.calls).toEqual([500, 500, 200]);
  expect(await readdir(world.folder)).toEqual([]);
  expect([...world.deadLetters.objects.keys()]).toEqual([]);
});

test("no call is larger than Firehose takes, and a record that no call could carry stays, with the reason", async () => {
  const world = await operatorsWorld();
  const large = (bytes: number) => `"${"x".repeat(bytes - 2)}"`;
  const sizes = [1000 * 1024, 900_000, 900_000, 900_000, 1000 * 1024, 1000 * 1024 + 1];
  await world.putObject(lines(sizes.map(large)));
  const queue = await world.open(world.folder);
  const outcomes = await putAllBack(queue);
  expect(statuses(outcomes)).toEqual([...Array.from({ length: 5 }, () => "delivered"), "refused"]);
  expect(outcomes.at(-1)).toMatchObject({ code: "RECORD_TOO_LARGE" });
  expect(world.firehose.calls).toEqual([4, 1]);
  expect(await entriesOf(queue)).toHaveLength(1);
});

test("of a call that fails in part, the records that Firehose took leave, each by its place in the answer", async () => {
  const world = await operatorsWorld();
  await world.putObject(lines(records(5)));
  const all = records(5);
  world.firehose.refuse = (record) =>
    record === all[1] ? "ServiceUnavailableException" : record === all[3] ? "RecordInvalid" : undefined;
  const queue = await world.open(world.folder);
  expect(await putAllBack(queue)).toEqual([
    { status: "delivered" },
    { status: "kept", reason: "Firehose did not take it: Slow down." },
    { status: "delivered" },
    { status: "refused", code: "RECORD_INVALID", reason: "Firehose did not take it: Not taken." },
    { status: "delivered" },
  ]);
  expect(world.firehose.taken.get("product-events")).toEqual([all[0], all[2], all[4]]);
  expect(await Promise.all((await entriesOf(queue)).map(textOf))).toEqual([all[1], all[3]]);
});

test("a stream that is throttled for a second gets the rest a little later, and what it took only once", async () => {
  const world = await operatorsWorld();
  await world.putObject(lines(records(4)));
  world.firehose.refuse = (_, index, call) =>
    call < 3 && index > 0 ? "ServiceUnavailableException" : undefined;
  world.faults.firehose = (_, n) =>
    n === 1 ? { kind: "status", status: 500, body: '{"__type":"ServiceUnavailableException"}' } : undefined;
  const queue = await world.open(world.folder);
  expect(statuses(await putAllBack(queue))).toEqual(Array.from({ length: 4 }, () => "delivered"));
  expect(world.firehose.calls).toEqual([4, 3, 2]);
  expect(world.firehose.taken.get("product-events")).toEqual(records(4));
  expect(world.clock.slept).toBeGreaterThan(1000);
});

test.each([
  ["there is no such stream", "?stream=other", undefined, "ResourceNotFoundException, HTTP 400"],
  [
    "nobody may put records",
    "",
    { kind: "status", status: 400, body: '{"__type":"AccessDeniedException","message":"secret"}' },
    "check that firehose:PutRecordBatch is allowed",
  ],
  ["the answer does not come", "", { kind: "reset-after-store" }, "ECONNRESET"],
  ["the answer is nonsense", "", { kind: "garbled", body: "<html>" }, "putting records into the stream"],
  [
    "the answer says nothing of it",
    "",
    { kind: "garbled", body: "{}" },
    "Firehose did not say what became of it",
  ],
] as const)("when %s, everything stays, and the reason says it", async (_, query, fault, reason) => {
  const world = await operatorsWorld();
  const file = await world.putObject(lines(records(2)));
  world.faults.firehose = () => fault;
  const queue = await world.open(`${file}${query}`);
  const outcomes = await putAllBack(queue);
  expect(statuses(outcomes)).toEqual(["kept", "kept"]);
  for (const outcome of outcomes) {
    expect(outcome).toMatchObject({ reason: expect.stringContaining(reason) });
    expect(JSON.stringify(outcome)).not.toContain("secret");
  }
  expect(await entriesOf(queue)).toHaveLength(2);
});

test("a crash between the put and its note means that the record is put once more, and never that it is lost", async () => {
  const world = await operatorsWorld();
  const file = await world.putObject(lines(records(2)));
  const gone = { id: "gone" };
  const crashed = await world.open(file, { owner: gone });
  world.deadLetters.before = (operation, key) => {
    if (operation === "put" && key.includes("/taken/"))
      throw new StoreError("TRANSIENT", "the store is away");
    // Nor does a process that is gone give its claims back.
    if (operation === "delete") throw new StoreError("TRANSIENT", "the store is away");
  };
  expect(await putAllBack(crashed)).toMatchObject(
    Array.from({ length: 2 }, () => ({
      status: "kept",
      reason: expect.stringContaining("once more: the store is away"),
    })),
  );
  world.deadLetters.before = () => {};

  const early = await world.open(file);
  expect(statuses(await putAllBack(early))).toEqual(["kept", "kept"]);
  const resumed = await world.open(file, { owner: { id: "resumed", isGone: (id) => id === gone.id } });
  expect(statuses(await putAllBack(resumed))).toEqual(["delivered", "delivered"]);
  expect(world.firehose.taken.get("product-events")).toEqual([...records(2), ...records(2)]);
  expect(await exists(file)).toBe(false);
});

test("a claim of another machine that nobody gives back expires", async () => {
  const world = await operatorsWorld();
  const file = await world.putObject(lines(records(1)));
  const crashed = await world.open(file);
  world.deadLetters.before = (operation) => {
    if (operation === "delete") throw new StoreError("TRANSIENT", "the store is away");
  };
  world.faults.firehose = () => ({ kind: "reset" });
  await putAllBack(crashed);
  world.faults.firehose = () => undefined;
  world.deadLetters.before = () => {};
  const other = await world.open(file);
  world.clock.advance(1000);
  expect(await putAllBack(other)).toMatchObject([
    { status: "kept", reason: expect.stringContaining("another worker has claimed firehose until") },
  ]);
  world.clock.advance(3 * 60_000);
  expect(statuses(await putAllBack(other))).toEqual(["delivered"]);
});

test("an object that was noted as empty and not deleted is deleted by whoever reads it next, and nothing of it is put again", async () => {
  const world = await operatorsWorld();
  let away = true;
  const flaky = await s3World({
    faults: (request) => (away && request.method === "DELETE" ? { kind: "status", status: 503 } : undefined),
  });
  flaky.twin.put("bucket", objectName, lines(records(2)));
  const queue = await world.open("s3://bucket", { s3: flaky.client });
  expect(statuses(await putAllBack(queue))).toEqual(["delivered", "delivered"]);
  expect(flaky.twin.keys("bucket")).toEqual([objectName]);
  away = false;
  expect(await entriesOf(queue)).toEqual([]);
  expect(flaky.twin.keys("bucket")).toEqual([]);
  expect([...world.deadLetters.objects.keys()]).toEqual([]);
});

test("two operators at once put every record back once: one of them is told that it is too late", async () => {
  const world = await operatorsWorld();
  const file = await world.putObject(lines(records(40)));
  const queues = await Promise.all([world.open(file), world.open(file), world.open(file)]);
  const entries = await Promise.all(queues.map(entriesOf));
  const outcomes = await Promise.all(
    queues.map(async (queue, index) => {
      const all: string[] = [];
      for (let at = 0; at < 40; at += 10) {
        const batch = (entries[index] ?? []).slice(at, at + 10);
        all.push(...statuses(await queue.putBack(batch, order)));
      }
      return all;
    }),
  );
  const delivered = outcomes.flat().filter((status) => status === "delivered").length;
  const taken = world.firehose.taken.get("product-events") ?? [];
  expect(new Set(taken).size).toBe(taken.length);
  expect(delivered).toBe(taken.length);
  expect(new Set(outcomes.flat())).toEqual(new Set(["delivered", "kept"]));
  const rest = await world.open(file).then(putAllBack, () => []);
  expect(delivered + rest.length).toBe(40);
  expect(new Set(taken)).toEqual(new Set(records(40)));
});

test("who comes late is told that it is no longer there, also when the object itself is gone", async () => {
  const world = await operatorsWorld();
  const file = await world.putObject(lines(records(2)));
  const [one, two] = [await world.open(file), await world.open(file)];
  const [mine, theirs] = [await entriesOf(one), await entriesOf(two)];
  await one.putBack(mine.slice(0, 1), order);
  expect(await two.putBack(theirs.slice(0, 1), order)).toMatchObject([
    { status: "kept", reason: expect.stringContaining("no longer there") },
  ]);
  await one.putBack(mine.slice(1), order);
  expect(await exists(file)).toBe(false);
  expect(statuses(await two.putBack(theirs, order))).toEqual(["kept", "kept"]);
  await two.drop(theirs, dropOrder);
  expect(world.archived()).toEqual([]);
  expect(world.firehose.taken.get("product-events")).toEqual(records(2));
});

test("an object that another operator finished while it was listed is no error", async () => {
  const world = await operatorsWorld();
  const names = ["-30-00-", "-31-00-"].map((minute) => objectName.replace("-30-00-", minute));
  const files = await Promise.all(names.map((name) => world.putObject(lines(records(2)), name)));
  const queue = await world.open(world.folder);
  const seen: QueueEntry[] = [];
  for await (const entry of queue.entries(order)) {
    seen.push(entry);
    if (seen.length === 1) await unlink(files[1] ?? "");
  }
  expect(seen).toHaveLength(2);
});

test("damaged documents are entries: they stay, say what is wrong, and can be dropped with their bytes", async () => {
  const world = await operatorsWorld();
  const invalid = failure("secret").replace(/"rawData":"[^"]*"/, '"rawData":"%%%"');
  const damaged = ['{"errorCode":"Lambda.FunctionError"}', invalid, "half a line {", '{"a":'];
  const file = await world.putObject(`${failure(eventRecord(0))}\n${damaged.join("\n")}`);
  const queue = await world.open(file);
  const entries = await entriesOf(queue);
  expect(entries.map(({ code }) => code)).toEqual([
    "LAMBDA_FUNCTION_ERROR",
    "NOT_A_FAILED_RECORD",
    "RAW_DATA_INVALID",
    "NOT_JSON",
    "CUT_OFF",
  ]);
  expect(await queue.judge(entries[1] ?? never())).toMatchObject({
    status: "fails",
    code: "NOT_A_FAILED_RECORD",
  });
  const outcomes = await queue.putBack(entries, order);
  expect(statuses(outcomes)).toEqual(["delivered", "refused", "refused", "refused", "refused"]);
  const left = await entriesOf(queue);
  expect(left.map(({ id }) => id)).toEqual(entries.slice(1).map(({ id }) => id));
  await queue.drop(left, dropOrder);
  expect(await exists(file)).toBe(false);
  expect(world.archived().map(({ record }) => record)).toEqual(damaged);
});

test("of an object that is cut off the good records are put back, and what could not be read is dropped as it is stored", async () => {
  const world = await operatorsWorld();
  const whole = gzipSync(lines(records(2000)));
  const stored = whole.subarray(0, whole.length - 1000);
  const file = await world.putObject(stored, `${objectName}.gz`);
  const queue = await world.open(file);
  const entries = await entriesOf(queue);
  const broken = entries.filter(({ code }) => code !== "LAMBDA_FUNCTION_ERROR");
  expect(broken.map(({ code }) => code)).toEqual(["CUT_OFF", "CONTAINER_TRUNCATED"]);
  const outcomes = await putAllBack(queue);
  const taken = world.firehose.taken.get("product-events") ?? [];
  expect(taken).toEqual(records(2000).slice(0, taken.length));
  expect(taken.length).toBeGreaterThan(100);
  expect(outcomes.filter(({ status }) => status === "delivered")).toHaveLength(taken.length);
  await queue.drop(await entriesOf(queue), dropOrder);
  expect(await exists(file)).toBe(false);
  expect(world.archived()).toMatchObject([{ code: "CUT_OFF" }, { code: "CONTAINER_TRUNCATED" }]);
});

test("a document too large to be kept in memory is shown, dropped and archived in whole all the same", async () => {
  const world = await operatorsWorld();
  const large = JSON.stringify({ rawData: "x".repeat(5 * 1024 * 1024) });
  const file = await world.putObject(gzipSync(`${failure("a")}\n${large}\n${failure("b")}\n`));
  const queue = await world.open(file);
  const entries = await entriesOf(queue);
  expect(entries.map(({ code }) => code)).toEqual([
    "LAMBDA_FUNCTION_ERROR",
    "TOO_LARGE",
    "LAMBDA_FUNCTION_ERROR",
  ]);
  const digest = (text: unknown) => hash("sha256", String(text).trimEnd());
  expect(digest(await textOf(entries[1] ?? never()))).toBe(digest(large));
  await queue.drop(entries.slice(1, 2), dropOrder);
  expect(world.archived().map(({ record }) => digest(record))).toEqual([digest(large)]);
  expect(await entriesOf(queue)).toHaveLength(2);
});

test("a drop is in the archive with its reason before it is gone; doing it again after a crash leaves one file", async () => {
  const world = await operatorsWorld();
  const file = await world.putObject(lines(records(3)));
  const queue = await world.open(file);
  const entries = await entriesOf(queue);
  world.deadLetters.before = (operation) => {
    if (operation === "put") throw new StoreError("TRANSIENT", "the store is away");
  };
  await expect(queue.drop(entries.slice(0, 2), dropOrder)).rejects.toThrow("the store is away");
  world.deadLetters.before = () => {};
  expect(await entriesOf(queue)).toHaveLength(3);
  await queue.drop(entries.slice(0, 2), dropOrder);
  expect(await entriesOf(queue)).toHaveLength(1);
  const archive = [...world.deadLetters.objects.keys()].filter((key) => key.startsWith("archive/"));
  expect(archive).toEqual([
    expect.stringMatching(/^archive\/queues\/firehose\/date=2026-11-21\/[0-9a-f]{32}\.jsonl\.gz$/),
  ]);
  expect(world.archived()).toEqual([
    expect.objectContaining({
      id: entries[0]?.id,
      queue: "firehose",
      code: "LAMBDA_FUNCTION_ERROR",
      event: { id: "e0", metricName: "findings_upload_completed", tenantId: "tenant-0" },
      dropped: { reason: "a test of last year", by: "operator", at: world.clock.now() },
      record: records(1)[0],
    }),
    expect.objectContaining({ record: records(2)[1] }),
  ]);
  expect(world.firehose.taken.get("product-events")).toEqual([]);
});

test("a drop of what another operator is putting back changes nothing", async () => {
  const world = await operatorsWorld();
  const file = await world.putObject(lines(records(1)));
  const [one, two] = [await world.open(file), await world.open(file)];
  const [mine, theirs] = [await entriesOf(one), await entriesOf(two)];
  let dropping: Promise<unknown> | undefined;
  world.faults.firehose = () => {
    dropping ??= two.drop(theirs, dropOrder).catch((error: unknown) => error);
    return undefined;
  };
  // The put waits for the answer, and the drop meets the claim meanwhile or finds the record gone.
  expect(statuses(await one.putBack(mine, order))).toEqual(["delivered"]);
  await dropping;
  expect(world.archived()).toEqual([]);
});

test("today's catalog says what would pass the transform, and what would be refused again", async () => {
  const world = await operatorsWorld();
  const [metric] = metrics;
  if (metric === undefined) throw new Error("the catalog is empty");
  const good = JSON.stringify(sampleRecord(metric));
  const samples = [good, good + good, good.replace(metric.name, "no_such_metric"), "no json", `${good}x`, ""];
  const file = await world.putObject(lines(samples));
  const judged = async (options: { readonly noCatalog?: true }) => {
    const queue = await world.open(file, options);
    return await Promise.all((await entriesOf(queue)).map((entry) => queue.judge(entry)));
  };
  expect(await judged({})).toMatchObject([
    { status: "passes" },
    { status: "passes" },
    { status: "fails", code: "METRIC_UNKNOWN" },
    { status: "fails", code: "NOT_JSON" },
    { status: "fails", code: "NOT_JSON" },
    { status: "fails", code: "EMPTY_RECORD" },
  ]);
  expect((await judged({ noCatalog: true })).map(({ status }) => status)).toEqual([
    "unknown",
    "unknown",
    "unknown",
    "fails",
    "fails",
    "fails",
  ]);
});

test("?stream= says where records go when the objects' names do not; without it one sentence asks for it", async () => {
  const world = await operatorsWorld();
  const file = await world.putObject(lines(records(1)), "renamed.json");
  await expect(world.open(file)).rejects.toThrow(
    /^the name of file:.*renamed\.json does not begin with a delivery stream's: add \?stream=<name> to the address$/,
  );
  await expect(world.open(`${file}?stream=no/name`)).rejects.toThrow("is no name of a delivery stream");
  const queue = await world.open(`${file}?stream=product-events`);
  expect(queue.target).toBe("the delivery stream product-events");
  expect(statuses(await putAllBack(queue))).toEqual(["delivered"]);
  expect(world.firehose.taken.get("product-events")).toEqual(records(1));
});

test("one object among good ones whose name tells no stream stays, and costs the others nothing", async () => {
  const world = await operatorsWorld();
  await world.putObject(lines(records(1)));
  await world.putObject(lines(records(2)), "zzz.json");
  const queue = await world.open(world.folder);
  expect(await putAllBack(queue)).toMatchObject([
    { status: "delivered" },
    { status: "refused", code: "STREAM_UNKNOWN" },
    { status: "refused", code: "STREAM_UNKNOWN" },
  ]);
});

test("an address of one object means that object alone, and an empty one is nobody's to delete", async () => {
  const world = await operatorsWorld();
  const s3 = await s3World({ versioning: true });
  s3.twin.put("bucket", "Error/", "");
  s3.twin.put("bucket", `Error/${objectName}`, lines(records(1)));
  s3.twin.put("bucket", `Error/${objectName}.more`, lines(records(2)));
  const one = await world.open(`s3://bucket/Error/${objectName}`, { s3: s3.client });
  const [entry] = await entriesOf(one);
  const all = await world.open("s3://bucket/Error/?stream=product-events", { s3: s3.client });
  expect((await entriesOf(all)).map(({ id }) => id)[0]).toBe(entry?.id);
  expect(await entriesOf(all)).toHaveLength(3);
  expect(statuses(await putAllBack(one))).toEqual(["delivered"]);
  expect(await entriesOf(all)).toHaveLength(2);
});

test("a command that was ended puts nothing more back", async () => {
  const world = await operatorsWorld();
  await world.putObject(lines(records(2)));
  const queue = await world.open(world.folder);
  const entries = await entriesOf(queue);
  const ended = { ...order, signal: AbortSignal.abort() };
  expect(statuses(await queue.putBack(entries, ended))).toEqual(["kept", "kept"]);
  expect(world.firehose.calls).toEqual([]);
  const nothing: QueueEntry[] = [];
  for await (const entry of queue.entries(ended)) nothing.push(entry);
  expect(nothing).toEqual([]);
});

test("a note that cannot be read stops the listing: else everything would be put back twice", async () => {
  const world = await operatorsWorld();
  const file = await world.putObject(lines(records(2)));
  const queue = await world.open(file);
  const [first] = await entriesOf(queue);
  await queue.putBack([first ?? never()], order);
  const [key = ""] = [...world.deadLetters.objects.keys()].filter((each) => each.includes("/taken/"));
  await world.deadLetters.put(key, Buffer.from("{"));
  await expect(entriesOf(queue)).rejects.toThrow("does not say which records were taken");
});

function never(): never {
  throw new Error("there is no such entry");
}
