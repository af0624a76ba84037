// Preloaded (`node --import`) into a process that is to be killed: it counts the steps of the folder store's writes by
// patching `node:fs/promises`, and kills its own process at the one that was asked for. Nothing shipped knows of it.
import { writeSync } from "node:fs";
import fs, { type FileHandle } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import path from "node:path";
import { begunLine, type FileKind, type Phase, type StepSpec, stepVariable } from "./steps.ts";

interface Target {
  readonly kind: FileKind;
  readonly lane: string;
}

const { open, link, rename, rm } = fs;
// The harness writes it from a StepSpec.
const spec = JSON.parse(process.env[stepVariable] ?? '{"nth":0}') as StepSpec;
const targets = new Map<string, Target>();
let begun = false;
let matched = 0;

/** Counts a step; true when the process must not outlive it. */
function isDue(phase: Phase, { kind, lane }: Target): boolean {
  if (!begun) writeSync(process.stderr.fd, `${begunLine}\n`);
  begun = true;
  if (phase !== (spec.phase ?? phase) || kind !== (spec.kind ?? kind) || lane !== (spec.lane ?? lane))
    return false;
  matched++;
  return matched === spec.nth;
}

/** No handler, no flush, no later line runs. */
function die(): never {
  process.kill(process.pid, "SIGKILL");
  throw new Error("SIGKILL does not return");
}

function step(phase: Phase, target: Target): void {
  if (isDue(phase, target)) die();
}

/** Of an unfinished file, by its folder and content, since it has no name yet; undefined for what is not ours. */
function targetOf(file: string, content: string): Target | undefined {
  const folder = path.dirname(file);
  const sink = /\/sink=([^/]+)/.exec(folder)?.[1];
  if (sink !== undefined)
    return { kind: folder.includes("/deferrals/") ? "deferral" : "letters", lane: sink };
  if (!folder.includes("/books/")) return undefined;
  return { kind: content.startsWith('{"owner"') ? "claim" : "receipt", lane: path.basename(folder) };
}

function watched(file: string, handle: FileHandle): FileHandle {
  const writeFile = handle.writeFile.bind(handle);
  return Object.assign(handle, {
    writeFile: async (bytes: Uint8Array) => {
      const target = targetOf(file, Buffer.from(bytes).toString("latin1"));
      if (target === undefined) return await writeFile(bytes);
      targets.set(file, target);
      step("empty", target);
      if (isDue("half", target)) {
        await writeFile(bytes.subarray(0, bytes.byteLength >> 1));
        die();
      }
      await writeFile(bytes);
    },
  });
}

async function naming(from: string, to: string, name: (from: string, to: string) => Promise<void>) {
  const target = targets.get(from);
  if (target !== undefined) step("whole", target);
  await name(from, to);
  if (target !== undefined) step("named", target);
}

Object.assign(fs, {
  open: async (file: string, flags?: string | number, mode?: number) => {
    const handle = await open(file, flags, mode);
    return flags === "wx" ? watched(file, handle) : handle;
  },
  link: (from: string, to: string) => naming(from, to, link),
  rename: (from: string, to: string) => naming(from, to, rename),
  rm: async (file: string, options?: Parameters<typeof rm>[1]) => {
    const lane = /\/deferrals\/sink=([^/]+)\/[^/.][^/]*$/.exec(file)?.[1];
    const target: Target | undefined = lane === undefined ? undefined : { kind: "deferral", lane };
    if (target !== undefined) step("removing", target);
    await rm(file, options);
    if (target !== undefined) step("removed", target);
  },
});
syncBuiltinESMExports();
