// The file sink's counterpart: a reader of its folder. No request ever reaches it, so it answers each with 404.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JsonObject, JsonValue } from "../../src/index.ts";
import { type ConformanceSubject, sampleEvent, type Twin } from "../../src/testing/index.ts";
import { fileSink } from "./index.ts";

export interface FileTwinOptions {
  /** The sink's own `directory`. */
  readonly directory: string;
}

export interface FileLine {
  /** The folder's name. */
  readonly tenantId: string;
  /** The file's, `yyyy-MM-dd`. */
  readonly day: string;
  /** `undefined` when the line is not JSON: what a crash left half written. */
  readonly line: JsonObject | undefined;
}

export interface FileTwin extends Twin {
  /** Every line that the folder holds now, file by file in the order of their names. */
  readonly lines: readonly FileLine[];
}

/** Reads the folder anew at each look; holds nothing itself. */
export function createFileTwin({ directory }: FileTwinOptions): FileTwin {
  return {
    handle: () => new Response(null, { status: 404 }),
    get lines() {
      return readFolder(directory);
    },
    get stored() {
      const counts = new Map<string, number>();
      for (const { line } of readFolder(directory)) {
        const id = line?.["id"];
        if (typeof id === "string") counts.set(id, (counts.get(id) ?? 0) + 1);
      }
      return counts;
    },
  };
}

let root: string | undefined;
let directory = "";

/** A folder of its own for every sink; all of them go with the process. */
function newDirectory(): string {
  if (root === undefined) {
    const made = mkdtempSync(join(tmpdir(), "file-sink-"));
    process.once("exit", () => rmSync(made, { recursive: true, force: true }));
    root = made;
  }
  directory = mkdtempSync(join(root, "world-"));
  return directory;
}

const diskHangs = "a file sink makes no request that could hang; its own tests have a disk that does";

/** What `fanout certify` and the tests run the conformance cases with. */
export default {
  sink: () => fileSink({ directory: newDirectory() }),
  twin: () => createFileTwin({ directory }),
  // The directory's path may name a customer or a person.
  secrets: [tmpdir()],
  // One day, since days share no batch.
  event: (n, now) => ({ ...sampleEvent(n, now), time: now }),
  makesNoRequests: true,
  skip: {
    "a poisoned record is rejected alone, in its place": "a disk refuses no record for what it says",
    "a hang ends as unknown when its time is over": diskHangs,
    "an abort settles at once": diskHangs,
  },
} satisfies ConformanceSubject;

function readFolder(directory: string): FileLine[] {
  const files = readdirSync(directory, { recursive: true, encoding: "utf8" });
  return files.sort().flatMap((name) => {
    const [tenantId = "", file = ""] = name.split(/[/\\]/);
    if (!file.endsWith(".ndjson")) return [];
    const lines = readFileSync(join(directory, name), "utf8").split("\n");
    // What follows the last newline is a line only when there is something.
    if (lines.at(-1) === "") lines.pop();
    return lines.map((text) => ({ tenantId, day: file.slice(0, -".ndjson".length), line: parse(text) }));
  });
}

function parse(text: string): JsonObject | undefined {
  try {
    const value: JsonValue = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? // TypeScript does not take readonly arrays out of the union by isArray.
        (value as JsonObject)
      : undefined;
  } catch {
    return undefined;
  }
}
