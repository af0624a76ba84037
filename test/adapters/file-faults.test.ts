// What a disk does when it is ill, and what becomes of the events: through the sink and the core.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { fileSink } from "../../adapters/file/index.ts";
import { createFileTwin } from "../../adapters/file/twin.ts";
import { seededRandom } from "../../src/testing/index.ts";
import { vendorWorld } from "../support/vendor-world.ts";
import { eventRecord, idsOf } from "../support/world.ts";

// Everything is real but for the disk's failures, which no test can order from a disk.
vi.mock("node:fs/promises", { spy: true });
const { open: openReally } = await vi.importActual<typeof import("node:fs/promises")>("node:fs/promises");

const scratch: string[] = [];
let made = 0;
beforeEach(() => {
  made = 0;
});
afterEach(() => {
  vi.resetAllMocks();
  for (const directory of scratch.splice(0)) rmSync(directory, { recursive: true, force: true });
});

/** What the disk does with one file that is opened to append. */
type DiskFault = (...args: Parameters<typeof openReally>) => Promise<FileHandle>;

const failure = (code: string) => Object.assign(new Error("the disk says no"), { code });
const refuse =
  (code: string): DiskFault =>
  () =>
    Promise.reject(failure(code));
/** Half of what is written arrives. */
const half =
  (code: string): DiskFault =>
  async (...args) => {
    const file = await openReally(...args);
    file.writeFile = async (text) => {
      await file.appendFile(String(text).slice(0, String(text).length / 2));
      throw failure(code);
    };
    return file;
  };
/** All is written, and nobody knows whether it lasts. */
const unsynced =
  (code: string): DiskFault =>
  async (...args) => {
    const file = await openReally(...args);
    file.sync = () => Promise.reject(failure(code));
    return file;
  };

const faults: readonly (readonly [string, string, DiskFault])[] = [
  ["no permission", "EACCES", refuse("EACCES")],
  ["a disk that became read-only", "EROFS", refuse("EROFS")],
  ["no file handles left", "EMFILE", refuse("EMFILE")],
  ["a full disk, half of a batch written", "ENOSPC", half("ENOSPC")],
  ["a bad sector, half of a batch written", "EIO", half("EIO")],
  ["a sync that fails, all of a batch written", "EIO", unsynced("EIO")],
];

/** Fails those of the files opened to append that `fails` says, from 1. */
function ill(fault: DiskFault, fails: (n: number) => boolean): void {
  vi.mocked(open).mockImplementation((...args) => {
    if (args[1] !== "a") return openReally(...args);
    made++;
    return fails(made) ? fault(...args) : openReally(...args);
  });
}

function openWorld() {
  const directory = mkdtempSync(join(tmpdir(), "file-faults-"));
  scratch.push(directory);
  const twin = createFileTwin({ directory });
  const world = vendorWorld(() => {
    const sink = fileSink({ directory });
    return { sink: { ...sink, limits: { ...sink.limits, itemsPerRequest: 20 } }, handle: twin.handle };
  });
  const content = () =>
    readdirSync(directory, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ndjson"))
      .sort()
      .map((name) => [name, readFileSync(join(directory, name), "utf8")]);
  return Object.assign(world, { twin, content });
}

function expectEachOnce(stored: ReadonlyMap<string, number>, count: number): void {
  expect(Object.fromEntries(stored)).toEqual(Object.fromEntries(idsOf(count).map((id) => [id, 1])));
}

describe("the disk's fault costs no event its life and writes none twice", () => {
  test.each(faults)("%s stops the sink, and the next run completes it", async (_, code, fault) => {
    const world = openWorld();
    world.put(Array.from({ length: 200 }, (_, index) => eventRecord(index)));
    ill(fault, (n) => n === 4);
    const stopped = await world.deliver();
    expect(stopped.letters).toEqual([]);
    expect(stopped.report.pending).toBeGreaterThan(0);
    expect(stopped.report.pending + stopped.report.delivered).toBe(200);
    expect(stopped.reason).toBe(`the file sink's directory cannot be written: ${code}`);
    expect((await world.deliver()).report).toMatchObject({ delivered: stopped.report.pending, pending: 0 });
    expectEachOnce(world.twin.stored, 200);
  });

  test("a disk that hangs holds the worker no longer than its deadline", async () => {
    const world = openWorld();
    world.put(Array.from({ length: 50 }, (_, index) => eventRecord(index)));
    ill(
      () => new Promise(() => {}),
      () => true,
    );
    const { report, tookMs } = await world.deliver(45);
    expect(report).toMatchObject({ delivered: 0, pending: 50 });
    expect(tookMs).toBe(45_000);
  });
});

describe("the same seed gives the same outcomes", () => {
  async function outcomes(seed: number, fault: DiskFault) {
    const world = openWorld();
    world.put(Array.from({ length: 200 }, (_, index) => eventRecord(index)));
    const random = seededRandom(seed);
    made = 0;
    ill(fault, () => random() < 0.2);
    const runs = [];
    // Each fault stops the sink, so it takes several runs.
    for (let run = 0; run < 30; run++) {
      runs.push(await world.deliver());
      if (runs.at(-1)?.report.pending === 0) break;
    }
    return { runs, content: world.content(), stored: world.twin.stored };
  }

  test.each(faults)("%s", async (_, __, fault) => {
    for (const seed of [1, 2]) {
      const once = await outcomes(seed, fault);
      expect(once.runs.length).toBeGreaterThan(1);
      expectEachOnce(once.stored, 200);
      expect(await outcomes(seed, fault)).toEqual(once);
    }
  });
});
