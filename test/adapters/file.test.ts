import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { type FileHandle, mkdir, open, realpath } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { fileSink } from "../../adapters/file/index.ts";
import subject, { createFileTwin } from "../../adapters/file/twin.ts";
import {
  type Item,
  isSinkUnavailable,
  type MetricEvent,
  type SendContext,
  systemClock,
} from "../../src/index.ts";
import { describeSink } from "../../src/testing/index.ts";

// Everything is real but for the disk's failures, which no test can order from a disk.
vi.mock("node:fs/promises", { spy: true });
const { open: openReally } = await vi.importActual<typeof import("node:fs/promises")>("node:fs/promises");

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "file-sink-"));
});
afterEach(() => {
  vi.resetAllMocks();
  rmSync(directory, { recursive: true, force: true });
});

const day = "2026-01-02";

function event(change: Partial<MetricEvent> = {}): MetricEvent {
  const tenantId = change.tenantId ?? "acme";
  return {
    id: "e-1",
    metricName: "report_opened",
    tenantId,
    time: Date.UTC(2026, 0, 2, 3, 4, 5, 6),
    metadata: { tenant_id: tenantId },
    data: { event_time: "2026-01-02T04:04:05.006+01:00", count: 3 },
    ...change,
  };
}

function itemsOf(events: readonly MetricEvent[]): Item<string>[] {
  const sink = fileSink({ directory });
  return events.map((from) => {
    const encoded = sink.encode(from);
    if (!("payload" in encoded)) throw new Error(`not encoded: ${JSON.stringify(encoded)}`);
    return { event: from, ...encoded };
  });
}

function context(signal: AbortSignal = new AbortController().signal): SendContext {
  const http = () => Promise.reject(new Error("a file sink makes no request"));
  return { signal, attempt: 1, http, clock: systemClock };
}

/** Sends events of one tenant and day; by a new sink each time, as a new process would, unless one is given. */
function send(events: readonly MetricEvent[], { sink = fileSink({ directory }), signal }: SendOptions = {}) {
  const [first] = events;
  if (first === undefined) throw new Error("a batch is never empty");
  return sink.send({ partition: sink.partition?.(first) ?? "", items: itemsOf(events) }, context(signal));
}
interface SendOptions {
  readonly sink?: ReturnType<typeof fileSink>;
  readonly signal?: AbortSignal;
}

const path = (tenantId = "acme", of = day) => join(directory, tenantId, `${of}.ndjson`);
const ids = () => createFileTwin({ directory }).lines.map(({ line }) => line?.["id"]);
const many = (count: number, prefix = "e") =>
  Array.from({ length: count }, (_, index) => event({ id: `${prefix}-${index}` }));
const delivered = { status: "delivered" };

/** The next file that is opened to append takes half of what is written, and fails. */
function failHalfway(code: string): void {
  vi.mocked(open).mockImplementationOnce(async (...args) => {
    const file: FileHandle = await openReally(...args);
    const write = file.appendFile.bind(file);
    file.writeFile = async (data) => {
      await write(String(data).slice(0, String(data).length / 2));
      throw Object.assign(new Error("the disk says no"), { code });
    };
    return file;
  });
}

describeSink("file", subject, { describe, test });

describe("what is written", () => {
  test("an event is one line with its id, in its tenant's file of its UTC day", async () => {
    expect(await send([event()])).toEqual(delivered);
    expect(readFileSync(path(), "utf8")).toBe(
      '{"id":"e-1","metric_name":"report_opened","time":"2026-01-02T03:04:05.006Z","metadata":{"tenant_id":"acme"},' +
        '"data":{"event_time":"2026-01-02T04:04:05.006+01:00","count":3}}\n',
    );
  });

  test("tenants and days share no batch, and the day is that of the event, in UTC", () => {
    const { partition } = fileSink({ directory });
    expect(partition?.(event({ time: Date.UTC(2026, 0, 2) }))).toBe("acme/2026-01-02");
    expect(partition?.(event({ time: Date.UTC(2026, 0, 2) - 1 }))).toBe("acme/2026-01-01");
    expect(partition?.(event({ tenantId: "globex" }))).toBe("globex/2026-01-02");
  });

  test("any text survives, and none of it ends a line", async () => {
    const text = '\u2028 \u2029 \r\n \0 " \\ 💥 \ud800 ,"time":';
    await send([event({ id: text, metricName: text, data: { event_time: 1, [text]: text } })]);
    await send([event({ id: "after" })]);
    const { lines } = createFileTwin({ directory });
    expect(lines).toHaveLength(2);
    expect(lines[0]?.line).toMatchObject({ id: text, metric_name: text, data: { [text]: text } });
  });

  test("the bytes of an item are the bytes of its line", async () => {
    const events = [event({ data: { event_time: 1, text: "é💥" } })];
    await send(events);
    expect(itemsOf(events)[0]?.bytes).toBe(readFileSync(path()).byteLength);
  });

  test("a directory that does not exist yet is made", async () => {
    const deep = join(directory, "a", "b");
    expect(await send([event()], { sink: fileSink({ directory: deep }) })).toEqual(delivered);
    expect([...createFileTwin({ directory: deep }).stored]).toEqual([["e-1", 1]]);
  });
});

describe("each event once", () => {
  test("a batch that is sent again adds no line, whatever batches it comes in", async () => {
    await send(many(500));
    await send(many(500));
    await send(many(250));
    await send([...many(10), ...many(10, "new")]);
    expect(ids()).toEqual([...many(500), ...many(10, "new")].map(({ id }) => id));
  });

  test("an event that comes twice in one batch is one line", async () => {
    expect(await send([event(), event(), event({ id: "e-2" })])).toEqual(delivered);
    expect(ids()).toEqual(["e-1", "e-2"]);
  });

  test("two metrics that were made of one source event share its id, and are both kept", async () => {
    await send([event(), event({ metricName: "another" })]);
    await send([event({ metricName: "a third" })]);
    expect(createFileTwin({ directory }).lines).toHaveLength(3);
  });

  test("the look finds lines wherever the pieces of a large file are cut", async () => {
    const large = many(40).map((from) => ({ ...from, data: { event_time: 1, text: "é💥".repeat(10_000) } }));
    await send(large);
    await send(large);
    expect(ids()).toEqual(large.map(({ id }) => id));
  });

  test("batches that one sink is given at once take turns, and do not miss each other's lines", async () => {
    const sink = fileSink({ directory });
    const turns: number[] = [];
    vi.mocked(open).mockImplementation(async (...args) => {
      // Whoever did not wait would have begun by making the folder.
      turns.push(vi.mocked(mkdir).mock.calls.length);
      return await openReally(...args);
    });
    await Promise.all([send(many(300), { sink }), send(many(300), { sink }), send(many(200, "b"), { sink })]);
    // The first batch also opens the two folders that have a new name in them.
    expect(turns).toEqual([1, 1, 1, 2, 3]);
    expect(ids()).toHaveLength(500);
    expect(new Set(ids()).size).toBe(500);
  });
});

describe("after a crash or a full disk", () => {
  test("a line that was half written does not spoil the next one, and its event is written whole", async () => {
    await send([event({ id: "before" })]);
    const half = itemsOf([event()])[0]?.payload.slice(0, -20) ?? "";
    appendFileSync(path(), half);
    expect(await send([event(), event({ id: "after" })])).toEqual(delivered);
    expect(ids()).toEqual(["before", undefined, "e-1", "after"]);
    expect(readFileSync(path(), "utf8").split("\n")[1]).toBe(half);
    await send([event(), event({ id: "after" })]);
    expect(ids()).toEqual(["before", undefined, "e-1", "after"]);
  });

  test("a line cut in the middle of a character is still only that line", async () => {
    const [whole] = itemsOf([event({ data: { event_time: 1, text: "💥" } })]);
    const bytes = Buffer.from(whole?.payload ?? "");
    mkdirSync(join(directory, "acme"));
    writeFileSync(path(), bytes.subarray(0, bytes.indexOf("💥") + 2));
    await send([event({ id: "after" })]);
    expect(ids()).toEqual([undefined, "after"]);
  });

  test("a whole line that only lacks its end counts, and gets its end", async () => {
    await send([event()]);
    const whole = readFileSync(path(), "utf8");
    writeFileSync(path(), whole.trimEnd());
    await send([event(), event({ id: "after" })]);
    expect(ids()).toEqual(["e-1", "after"]);
  });

  test("a disk that fills up makes the sink unavailable; the next try completes the batch, each event once", async () => {
    const sink = fileSink({ directory });
    failHalfway("ENOSPC");
    const error: unknown = await send(many(100), { sink }).then(undefined, (thrown: unknown) => thrown);
    expect(isSinkUnavailable(error)).toBe(true);
    expect(error).toMatchObject({ message: "the file sink's directory cannot be written: ENOSPC" });
    expect(ids().length).toBeLessThan(100);
    expect(await send(many(100), { sink })).toEqual(delivered);
    expect(
      ids()
        .filter((id) => id !== undefined)
        .sort(),
    ).toEqual(
      many(100)
        .map(({ id }) => id)
        .sort(),
    );
    expect(ids().filter((id) => id === undefined)).toHaveLength(1);
  });

  test.each(["EACCES", "EROFS", "EIO"])("%s is the directory's fault, not a record's", async (code) => {
    vi.mocked(open).mockRejectedValueOnce(Object.assign(new Error(`${code}: ${directory}`), { code }));
    const error: unknown = await send([event()]).then(undefined, (thrown: unknown) => thrown);
    expect(isSinkUnavailable(error)).toBe(true);
    expect(error).toMatchObject({ message: expect.stringContaining(code) });
    expect(error).not.toMatchObject({ message: expect.stringContaining("acme") });
  });

  test("a file where a folder should be is the directory's fault, too", async () => {
    writeFileSync(join(directory, "acme"), "");
    await expect(send([event()])).rejects.toSatisfy(isSinkUnavailable);
    mkdirSync(path("globex"), { recursive: true });
    await expect(send([event({ tenantId: "globex" })])).rejects.toSatisfy(isSinkUnavailable);
  });

  test("delivered means on the disk: also lines that an earlier try had written are synced first", async () => {
    const synced: string[] = [];
    vi.mocked(open).mockImplementation(async (...args) => {
      const file = await openReally(...args);
      const sync = file.sync.bind(file);
      file.sync = async () => {
        await sync();
        synced.push(String(args[0]));
      };
      return file;
    });
    await send([event()]);
    expect(synced.sort()).toEqual([directory, join(directory, "acme"), path()]);
    synced.length = 0;
    await send([event()]);
    expect(synced).toEqual([path()]);
  });
});

describe("names of tenants", () => {
  test.each([
    "..",
    ".",
    "a/b",
    "../acme",
    "a\\b",
    "a\0b",
    "a\nb",
    "a\u0085b",
    "acme.",
    "acme ",
    "x".repeat(201),
    "é".repeat(101),
    "a\ud800",
    ".acme",
    " ",
    "\u3000",
    "e\u0301",
    "org:1",
    "a?",
    'a"b',
    "CON",
    "nul.txt",
    "Com1 .x",
    "LPT²",
    "conout$",
  ])("a tenant that a folder cannot be named after is rejected, not renamed (%j)", (tenantId) => {
    expect(fileSink({ directory }).encode(event({ tenantId }))).toEqual({
      rejected: expect.stringMatching(/^metadata\.tenant_id names a folder, which /),
      code: "TENANT_ID_NO_FOLDER_NAME",
    });
  });

  test.each([
    "ACME",
    "acme",
    "org-1",
    "-",
    " a",
    "a.b",
    "console",
    "com10",
    "__proto__",
    "constructor",
    "Ünïcödé 💥",
    "x".repeat(200),
  ])("a tenant that a folder can be named after is (%j)", async (tenantId) => {
    expect(await send([event({ tenantId })])).toEqual(delivered);
    expect(createFileTwin({ directory }).lines).toMatchObject([{ tenantId, day, line: { id: "e-1" } }]);
  });

  test("a name that leads to another tenant's folder is rejected, and that folder stays as it is", async () => {
    await send([event({ tenantId: "Acme" })]);
    // What a file system that ignores case does with "acme", a link does on every one.
    symlinkSync(join(directory, "Acme"), join(directory, "acme"));
    expect(await send([event({ id: "e-2" }), event({ id: "e-3" })])).toEqual(
      [1, 2].map(() => ({
        status: "rejected",
        code: "TENANT_ID_NO_FOLDER_NAME",
        reason: expect.any(String),
      })),
    );
    expect(readFileSync(path("Acme"), "utf8")).not.toContain("e-2");
  });
});

describe("disks that see names their own way", () => {
  /** The next folder's real name, as such a disk would tell it. */
  const realName = (name: string) => vi.mocked(realpath).mockResolvedValueOnce(join(directory, name));

  test("one that keeps names decomposed takes the tenant whose name it is", async () => {
    realName("Ünï".normalize("NFD"));
    expect(await send([event({ tenantId: "Ünï" })])).toEqual(delivered);
    expect(createFileTwin({ directory }).lines).toMatchObject([{ tenantId: "Ünï" }]);
  });

  test.each([
    ["ignores case", "ACME"],
    ["has short names", "acme-and-sons"],
    ["ignores what cannot be seen", "acme\u200b"],
  ])("one that %s mixes no two tenants", async (_, other) => {
    realName(other);
    const answer = await send([event({ tenantId: "acme" })]);
    expect(answer).toMatchObject([{ status: "rejected", code: "TENANT_ID_NO_FOLDER_NAME" }]);
    expect(createFileTwin({ directory }).lines).toEqual([]);
  });
});

describe("time", () => {
  test("an abort settles at once, and the next batch still waits for the write under way", async () => {
    const sink = fileSink({ directory });
    const gate = Promise.withResolvers<void>();
    vi.mocked(open).mockImplementationOnce(async (...args) => {
      await gate.promise;
      return await openReally(...args);
    });
    const controller = new AbortController();
    const slow = send(many(5), { sink, signal: controller.signal });
    const next = send(many(5), { sink });
    controller.abort();
    expect(await slow).toMatchObject({ status: "transient" });
    gate.resolve();
    expect(await next).toEqual(delivered);
    expect(ids()).toEqual(many(5).map(({ id }) => id));
  });

  test("what is aborted before its turn writes nothing", async () => {
    expect(await send([event()], { signal: AbortSignal.abort() })).toMatchObject({ status: "transient" });
    expect(ids()).toEqual([]);
  });
});

test("the twin counts what is in the folder, and takes no requests", async () => {
  mkdirSync(join(directory, "acme"));
  writeFileSync(path(), '{"id":"a"}\n{"id":"a"}\n\n{"half\n{"id":"b"}');
  writeFileSync(join(directory, "notes.txt"), '{"id":"c"}\n');
  const twin = createFileTwin({ directory });
  expect([...twin.stored]).toEqual([
    ["a", 2],
    ["b", 1],
  ]);
  expect(twin.lines.filter(({ line }) => line === undefined)).toHaveLength(2);
  expect((await twin.handle(new Request("http://127.0.0.1/"))).status).toBe(404);
});
