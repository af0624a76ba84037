// The code of one Lambda function: an entry and the adapters that it may use, in one file.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { buildSync } from "esbuild";
import { type Metric, packedCatalog } from "../src/index.ts";

/** A file of infra/functions. */
export type Entry = "worker" | "transform" | "replayer" | "reconciler";

export interface Bundle {
  /** Holds `index.mjs`, and the catalog where the entry reads it; gone when this process ends. */
  readonly directory: string;
  /** Bytes of `index.mjs`. */
  readonly bytes: number;
  /** The files that are in it, from the repository's root, by the bytes that each takes. */
  readonly inputs: ReadonlyMap<string, number>;
}

const root = path.resolve(import.meta.dirname, "..");
const adapters = readdirSync(path.join(root, "adapters"));

/** CommonJS packages ask for Node's own modules by `require`, which a module of Lambda's does not have by itself. */
const banner =
  'import { createRequire as requireFrom } from "node:module"; const require = requireFrom(import.meta.url);';

const built = new Map<string, Bundle>();

/** Where bundles lie until CDK has copied them; made with the first one. */
let scratch: string | undefined;
function scratchFolder(): string {
  if (scratch !== undefined) return scratch;
  const made = mkdtempSync(path.join(tmpdir(), "fanout-bundles-"));
  process.once("exit", () => rmSync(made, { recursive: true, force: true }));
  scratch = made;
  return made;
}

/**
 * Bundles an entry, once a process for the same arguments. The configuration imports its adapters lazily, one by
 * one; those that are not wanted stay imports of files that are not there, and nobody asks for them as long as
 * `SINKS` names no sink of theirs. AWS's clients are in it, too: what was tested is what runs.
 */
export function bundle(entry: Entry, wanted: readonly string[], metrics: readonly Metric[]): Bundle {
  const name = [entry, ...wanted].join("-");
  const catalog = JSON.stringify(metrics);
  const done = built.get(name + catalog);
  if (done !== undefined) return done;
  const directory = path.join(scratchFolder(), String(built.size));
  const { metafile } = buildSync({
    absWorkingDir: root,
    entryPoints: { index: `infra/functions/${entry}.ts` },
    outdir: directory,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    platform: "node",
    target: "node24",
    format: "esm",
    minify: true,
    // The log tells errors by their names, and unforeseen ones by the functions in their stack.
    keepNames: true,
    legalComments: "none",
    banner: { js: banner },
    external: [
      ...adapters.filter((adapter) => !wanted.includes(adapter)).map((adapter) => `./adapters/${adapter}/*`),
      // The configuration itself asks it for the region where the environment names none; Lambda's always does.
      ...(wanted.includes("timestream") ? [] : ["@aws-sdk/client-timestream-write"]),
    ],
    metafile: true,
    logLevel: "silent",
  });
  const [output] = Object.values(metafile.outputs);
  const inputs = Object.entries(output?.inputs ?? {}).map(
    ([file, { bytesInOutput }]) => [file, bytesInOutput] as const,
  );
  if (output?.inputs["config/metrics/index.ts"] !== undefined) {
    writeFileSync(path.join(directory, packedCatalog), catalog);
  }
  const made: Bundle = { directory, bytes: output?.bytes ?? 0, inputs: new Map(inputs) };
  built.set(name + catalog, made);
  return made;
}
