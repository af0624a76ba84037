// What an import costs: minified bundles, each in fresh processes, beyond Node's own modules that everybody needs.
import { spawnSync } from "node:child_process";
import { stat } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Plugin } from "esbuild";
import { atMost, kilobytes, median, milliseconds, type Row, type Section } from "../row.ts";

const repository = fileURLToPath(new URL("../../", import.meta.url));

const coreLimits = { ms: 40, kilobytes: 60 };
const adapterLimits = { ms: 10, kilobytes: 20 };

/** What the core is without the S3 client: a worker on whatever stores it is given. */
const coreEntry = 'export { createWorker, createHttp, folderStore } from "./src/index.ts"';

/** With the vendor's SDK, of which an adapter may use a part, none, or have none. */
const adapters = {
  timestream: "@aws-sdk/client-timestream-write",
  segment: "@segment/analytics-node",
  mixpanel: "mixpanel",
  hubspot: "@hubspot/api-client",
  file: undefined,
} as const;

export const coldStart: Section = {
  name: "cold",
  async measure({ quick, folder }) {
    const bundles: Bundle[] = [await bundle(folder, "bare", "export {}", false)];
    bundles.push(await bundle(folder, "core", coreEntry, false));
    for (const [name, sdk] of Object.entries(adapters)) {
      bundles.push(await bundle(folder, name, `export * from "./adapters/${name}/index.ts"`, false));
      if (sdk === undefined) continue;
      bundles.push(
        await bundle(folder, `${name}-sdk`, `import * as sdk from "${sdk}"; export { sdk }`, true),
      );
    }
    const costs = importCosts(bundles, quick ? 5 : 15);
    const cost = (name: string) => {
      const { ms, kilobytes: size } = costs.get(name) ?? { ms: Number.NaN, kilobytes: Number.NaN };
      return { ms: ms - (costs.get("bare")?.ms ?? Number.NaN), kilobytes: size };
    };
    const rows: Row[] = [];
    const add = (what: string, name: string, limits: typeof coreLimits, detail?: string) => {
      rows.push(
        atMost(`cold import: ${what}`, cost(name).ms, limits.ms, milliseconds, detail),
        atMost(`minified: ${what}`, cost(name).kilobytes, limits.kilobytes, kilobytes),
      );
    };
    add("the core without the S3 client", "core", coreLimits);
    for (const [name, sdk] of Object.entries(adapters)) {
      const { ms, kilobytes: size } = cost(`${name}-sdk`);
      const detail = sdk === undefined ? undefined : `the SDK: ${milliseconds(ms)}, ${kilobytes(size)}`;
      add(`the adapter ${name} without an SDK`, name, adapterLimits, detail);
    }
    return rows;
  },
};

interface Bundle {
  readonly name: string;
  readonly file: string;
  /** Of what a cold start loads: not of what is imported later, such as what provisions a vendor. */
  readonly kilobytes: number;
}

/** @param sdk With the vendor's packages; else they are empty, and of the core there is what the adapter uses. */
async function bundle(folder: string, name: string, entry: string, sdk: boolean): Promise<Bundle> {
  const isWhole = sdk || name === "core";
  const file = path.join(folder, `cold-${name}`, "main.mjs");
  await build({
    stdin: { contents: entry, resolveDir: repository, loader: "ts", sourcefile: "main.ts" },
    outfile: file,
    absWorkingDir: folder,
    bundle: true,
    minify: true,
    platform: "node",
    format: "esm",
    target: "node24",
    // CommonJS packages ask for Node's modules by require; without the SDKs there are none.
    banner: isWhole ? { js: requireHere } : {},
    plugins: isWhole ? [withoutLater] : [withoutLater, withoutSdks],
    logLevel: "error",
  });
  return { name, file, kilobytes: (await stat(file)).size / 1000 };
}

const requireHere =
  'import{createRequire as requireHere}from"node:module";const require=requireHere(import.meta.url);';

/** Whatever is asked of such a package is there, and does nothing. */
const nothing =
  "const it=new Proxy(function(){},{get:(_,n)=>n==='then'?undefined:it,construct:()=>it,apply:()=>it});module.exports=Object.create(it)";

/** What is imported later stays out, and with it what only that needs. */
const withoutLater: Plugin = {
  name: "without later imports",
  setup({ onResolve }) {
    onResolve({ filter: /.*/ }, ({ kind, path: name }) => {
      return kind === "dynamic-import" ? { path: name, external: true } : undefined;
    });
  },
};

const withoutSdks: Plugin = {
  name: "without SDKs",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(@aws-sdk|@hubspot|@segment|mixpanel$)/ }, ({ path: name }) => ({
      path: name,
      namespace: "sdk",
      sideEffects: false,
    }));
    onLoad({ filter: /.*/, namespace: "sdk" }, () => ({ contents: nothing, loader: "js" }));
  },
};

interface ImportCost {
  readonly ms: number;
  readonly kilobytes: number;
}

/** Everybody needs these, so their time is nobody's. */
const bare = [
  "http",
  "https",
  "zlib",
  "crypto",
  "fs",
  "fs/promises",
  "os",
  "path",
  "stream",
  "stream/promises",
];

/** Imports one bundle in a process of its own, and says how long that took. */
const probe = `${bare.map((name) => `import "node:${name}";`).join("")}
const start = performance.now();
await import(process.argv[1]);
console.log(performance.now() - start);
process.exit();`;

function importCosts(bundles: readonly Bundle[], rounds: number): Map<string, ImportCost> {
  const times = bundles.map((): number[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [index, { file }] of bundles.entries()) {
      const args = ["--input-type=module", "--eval", probe, file];
      const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
      if (status !== 0) throw new Error(`${file} cannot be imported: ${stderr.slice(-300)}`);
      times[index]?.push(Number(stdout));
    }
  }
  return new Map(
    bundles.map(({ name, kilobytes: size }, index) => [
      name,
      { ms: median(times[index] ?? []), kilobytes: size },
    ]),
  );
}
