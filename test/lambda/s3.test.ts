// The handler over S3 itself, on a socket: what a fault of S3 comes to for the notification and the books.
import { S3Client } from "@aws-sdk/client-s3";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { systemClock } from "../../src/delivery/clock.ts";
import { createHandler } from "../../src/lambda/worker.ts";
import { s3Store } from "../../src/store/s3.ts";
import { injectFaults, type NextFault } from "../../src/testing/faults.ts";
import { serveTwin } from "../../src/testing/twin.ts";
import { breakBody, createS3Twin, type S3Twin, type S3TwinOptions, s3Refusal } from "../support/s3-twin.ts";
import { createWorld, eventRecord, type ScriptedSink, scriptedSink, type World } from "../support/world.ts";

const closing: (() => unknown)[] = [];
let written: string[];
beforeEach(() => {
  written = [];
  for (const stream of [process.stdout, process.stderr]) {
    vi.spyOn(stream, "write").mockImplementation((chunk) => {
      written.push(String(chunk));
      return true;
    });
  }
});
afterEach(async () => {
  vi.restoreAllMocks();
  for (const close of closing.splice(0).toReversed()) await close();
});

interface Given {
  readonly world: World;
  readonly twin: S3Twin;
  readonly sink: ScriptedSink;
  readonly handle: (...records: readonly object[]) => Promise<unknown>;
}

async function given(
  options: S3TwinOptions & {
    faults?: NextFault;
    change?: (response: Response, request: Request) => Response | Promise<Response>;
  } = {},
): Promise<Given> {
  const { faults = () => undefined, change = (response) => response } = options;
  const twin = createS3Twin(options);
  const answer = async (request: Request) => await change(await twin.handle(request), request);
  const served = await serveTwin(injectFaults(answer, faults));
  const client = new S3Client({
    endpoint: served.url,
    region: "eu-west-1",
    credentials: { accessKeyId: "A", secretAccessKey: "s" },
    maxAttempts: 1,
  });
  closing.push(served.close, () => client.destroy());
  const world = createWorld();
  const sink = scriptedSink("a");
  const source = s3Store({ bucket: "bucket", client, clock: { ...systemClock, sleep: async () => {} } });
  const handler = await createHandler({
    createWorker: (log) => world.worker([sink], { source: () => source, clock: systemClock, log }),
  });
  const context = { awsRequestId: "r", getRemainingTimeInMillis: () => 60_000 };
  const handle = (...records: readonly object[]) =>
    handler(
      {
        Records: records.map((record, index) => ({
          messageId: `m${index}`,
          body: JSON.stringify({ Records: [record] }),
        })),
      },
      context,
    );
  return { world, twin, sink, handle };
}

const created = (key: string, object: object = {}) => ({
  eventName: "ObjectCreated:Put",
  s3: { bucket: { name: "bucket" }, object: { key, ...object } },
});
const events = (from: number, count: number) =>
  Array.from({ length: count }, (_, index) => `${JSON.stringify(eventRecord(from + index))}\n`).join("");
const idsOf = (from: number, count: number) =>
  Array.from({ length: count }, (_, index) => `e${from + index}`);
const failed = (...ids: string[]) => ({
  batchItemFailures: ids.map((itemIdentifier) => ({ itemIdentifier })),
});
const lines = () => written.map((line): Record<string, unknown> => JSON.parse(line));

test("an object whose connection breaks again and again is delivered, each record once", async () => {
  const { twin, sink, handle } = await given({ change: (response) => breakBody(response, 50_000, "cut") });
  const version = twin.put("bucket", "k", events(0, 2000));
  expect(await handle(created("k", { eTag: version }))).toEqual(failed());
  expect([...sink.stored.keys()].sort()).toEqual(idsOf(0, 2000).sort());
  expect([...sink.stored.values()].every((times) => times === 1)).toBe(true);
});

test("an object that is overwritten while it is read: it is not acknowledged, and an error line says why", async () => {
  const state: Given = await given({
    change: (response) => breakBody(response, 100_000, "cut"),
    faults: ({ method, headers }) => {
      // The second part is asked for: by then the object is another.
      const isResumed = Number(/^bytes=(\d+)-/.exec(headers.get("range") ?? "")?.[1] ?? 0) > 90_000;
      if (method === "GET" && isResumed) state.twin.put("bucket", "k", events(5000, 10));
      return undefined;
    },
  });
  const version = state.twin.put("bucket", "k", events(0, 2000));
  const answer = await state.handle(created("k", { eTag: version }));
  expect(answer).toEqual(failed("m0"));
  // What was delivered may be in the books, the rest is open there: nobody takes the object for done.
  for (const { pending } of Object.values(await state.world.latestReceipts())) {
    expect(pending.at(-1)).toMatchObject({ to: null });
  }
  expect([...state.sink.stored.keys()].some((id) => idsOf(5000, 10).includes(id))).toBe(false);
  expect(lines()).toContainEqual(
    expect.objectContaining({
      level: "ERROR",
      code: "CHANGED",
      object: "bucket/k",
      reason: expect.stringContaining("what replaced it has a notification of its own"),
    }),
  );
});

test("an object that was overwritten before it was read fails; the newer one is delivered by its own notification", async () => {
  const { twin, sink, handle } = await given();
  const old = twin.put("bucket", "k", events(0, 3));
  const now = twin.put("bucket", "k", events(10, 3));
  expect(await handle(created("k", { eTag: old }), created("k", { eTag: now }))).toEqual(failed("m0"));
  expect([...sink.stored.keys()]).toEqual(idsOf(10, 3));
  expect(await handle(created("k", { eTag: old }))).toEqual(failed("m0"));
  expect(lines().filter(({ code }) => code === "CHANGED")).toHaveLength(2);
});

test("the version that a notification names is the one that is read, whatever came after it", async () => {
  const { twin, sink, handle } = await given({ versioning: true });
  const first = twin.put("bucket", "k", events(0, 3));
  const second = twin.put("bucket", "k", events(10, 3));
  twin.remove("bucket", "k");
  expect(await handle(created("k", { versionId: second }), created("k", { versionId: first }))).toEqual(
    failed(),
  );
  expect([...sink.stored.keys()]).toEqual([...idsOf(10, 3), ...idsOf(0, 3)]);
});

test("a deleted version, a delete marker and a deleted object fail, each alone and with an error line", async () => {
  const { twin, sink, handle } = await given({ versioning: true });
  const version = twin.put("bucket", "k", events(0, 3));
  twin.put("bucket", "k", events(10, 3));
  twin.remove("bucket", "k", version);
  twin.put("bucket", "gone", events(20, 3));
  twin.remove("bucket", "gone");
  const fine = twin.put("bucket", "fine", events(30, 3));
  const answer = await handle(
    created("k", { versionId: version }),
    created("gone"),
    created("fine", { versionId: fine }),
  );
  expect(answer).toEqual(failed("m0", "m1"));
  expect([...sink.stored.keys()]).toEqual(idsOf(30, 3));
  const errors = lines().filter(({ level }) => level === "ERROR");
  expect(errors.map(({ code, messageId }) => ({ code, messageId }))).toEqual([
    { code: "NOT_FOUND", messageId: "m0" },
    { code: "NOT_FOUND", messageId: "m1" },
  ]);
});

test('a version id "null", of a bucket whose versioning is suspended, is none: the ETag counts', async () => {
  const { twin, sink, handle } = await given();
  const eTag = twin.put("bucket", "k", events(0, 3));
  expect(await handle(created("k", { versionId: "null", eTag }))).toEqual(failed());
  expect(sink.stored.size).toBe(3);
});

test.each([
  [400, "ExpiredToken", "DENIED", "ERROR"],
  [403, "AccessDenied", "DENIED", "ERROR"],
  [503, "SlowDown", "TRANSIENT", "WARN"],
  [400, "KMS.DisabledException", "DENIED", "ERROR"],
  [301, "PermanentRedirect", "DENIED", "ERROR"],
])(
  "%i %s fails the message as %s, and nothing is written to the books",
  async (status, name, code, level) => {
    const { world, twin, handle } = await given({ faults: () => s3Refusal(status, name) });
    twin.put("bucket", "k", events(0, 3));
    expect(await handle(created("k"))).toEqual(failed("m0"));
    expect([...world.receipts.objects.keys()]).toEqual([]);
    expect(lines()).toContainEqual(expect.objectContaining({ level, code, object: "bucket/k" }));
  },
);
