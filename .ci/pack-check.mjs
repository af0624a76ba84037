// Proves the package as a consumer gets it: packs it, looks at its files, lints its entries and types, installs
// the tarball into an empty folder, imports everything, runs the command and compiles against the declarations.
import { spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const bins = join(root, "node_modules", ".bin");
// npm, npx, node and the linters all run on the pinned Node.
const env = { ...process.env, PATH: `${bins}${delimiter}${process.env.PATH}`, NO_COLOR: "1" };
const { name, bin, exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

/** Wildcard entries stand for one entry a folder: are-the-types-wrong skips wildcards, so all are spelled out. */
const adapters = readdirSync(join(root, "adapters"), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name)
  .sort();
const entries = Object.keys(exports)
  .filter((entry) => entry !== "./package.json")
  .flatMap((entry) =>
    entry.includes("*") ? adapters.map((adapter) => entry.replace("*", adapter)) : [entry],
  );

/** What may be in the tarball. Maps are not: their sources are not published. */
const allowed =
  /^(package\.json|LICENSE|README\.md|CHANGELOG\.md|dist\/(src|adapters|config)\/.+(\.js|\.d\.ts)|dist\/src\/cli\/templates\/\w+\.txt)$/;
/** What must be: the command finds its default configuration beside itself. */
const required = [
  "package.json",
  "LICENSE",
  "README.md",
  "dist/config/fanout.config.js",
  ...Object.values(bin),
];
/** A few names of an entry, so that an entry that resolves to an empty file is noticed. */
const named = {
  ".": ["createWorker", "createHttp", "classifyReply", "sinkUnavailable", "StoreError", "stableUuid"],
  "./testing": ["serveTwin", "twinHttp", "describeSink", "conformanceCases", "scoreSink", "injectFaults"],
};

/** What the check found, as opposed to a fault of the check. */
class Failure extends Error {}

const scratch = mkdtempSync(join(tmpdir(), "fanout-pack-"));
try {
  const tarball = pack();
  checkFiles(tarball);
  lint(tarball);
  const consumer = install(tarball);
  importAll(consumer);
  runCommand(consumer);
  writeSink(consumer);
  compileConsumer(consumer);
  console.log(
    `The package holds: ${entries.length} entries import and type-check, the command answers, a new sink certifies.`,
  );
} catch (error) {
  if (!(error instanceof Failure)) throw error;
  console.error(error.message);
  process.exitCode = 1;
} finally {
  rmSync(scratch, { recursive: true, force: true });
  // dist belongs into the tarball only; left here, it would be a second, ageing copy of the sources.
  rmSync(join(root, "dist"), { recursive: true, force: true });
}

function pack() {
  run("npm", ["pack", "--silent", "--foreground-scripts=false", "--pack-destination", scratch], root, {
    otherwise: "npm pack failed: the sources do not build (see above).",
  });
  const tarball = readdirSync(scratch).find((file) => file.endsWith(".tgz"));
  if (tarball === undefined) throw new Failure("npm pack wrote no tarball.");
  return join(scratch, tarball);
}

function checkFiles(tarball) {
  const listing = run("tar", ["-tzf", tarball], scratch, { otherwise: "The tarball cannot be listed." });
  const files = listing
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.replace(/^package\//, ""));
  const strange = files.filter((file) => !allowed.test(file));
  if (strange.length > 0) throw new Failure(`The tarball holds what it must not: ${strange.join(", ")}.`);
  const missing = required.filter((file) => !files.includes(file));
  if (missing.length > 0) throw new Failure(`The tarball lacks ${missing.join(", ")}.`);
}

function lint(tarball) {
  run("publint", ["run", tarball, "--strict"], root, {
    otherwise: "publint refuses the package (see above).",
  });
  const paths = entries.map((entry) => entry.replace(/^\.\//, ""));
  run("attw", [tarball, "--profile", "esm-only", "--no-emoji", "--entrypoints", ...paths], root, {
    otherwise: "are-the-types-wrong finds an entry whose types and code disagree (see above).",
  });
}

function install(tarball) {
  const consumer = join(scratch, "consumer");
  mkdirSync(consumer);
  // Otherwise npm installs into a folder above that happens to have packages.
  writeFileSync(join(consumer, "package.json"), "{}");
  const flags = ["--no-audit", "--no-fund", "--no-progress", "--loglevel=error", "--prefer-offline"];
  run("npm", ["install", ...flags, tarball], consumer, {
    otherwise: "The tarball does not install into an empty folder (see above).",
  });
  return consumer;
}

function importAll(consumer) {
  const script = `
    const named = ${JSON.stringify(named)};
    for (const entry of ${JSON.stringify(entries)}) {
      const module = await import(entry.replace(".", ${JSON.stringify(name)}));
      const names = named[entry] ?? [];
      const lacking = names.filter((name) => module[name] === undefined);
      if (lacking.length > 0) throw new Error(entry + " does not export " + lacking.join(", "));
      // An adapter and the Lambda entry are at least one factory.
      if (!Object.values(module).some((value) => typeof value === "function")) throw new Error(entry + " exports no function");
    }`;
  run("node", ["--input-type=module", "--eval", script], consumer, {
    otherwise: "An entry of the installed package does not import, or lacks a name (see above).",
  });
}

function runCommand(consumer) {
  for (const command of Object.keys(bin)) {
    const help = run("npx", ["--no", "--", command, "--help"], consumer, {
      otherwise: `The installed command does not run: npx ${command} --help (see above).`,
    });
    if (!/usage/i.test(help)) throw new Failure(`npx ${command} --help shows no usage.`);
  }
  // Without a configuration of its own it must find the one that is packed, which then misses its variables.
  const { status, stdout, stderr } = spawnSync("npx", ["--no", "--", "fanout", "run", "."], {
    cwd: consumer,
    env: { ...env, SINKS: "segment", SEGMENT_WRITE_KEY: "" },
    encoding: "utf8",
  });
  if (status !== 2 || !stderr.includes("SEGMENT_WRITE_KEY")) {
    throw new Failure(
      `${stdout}${stderr}The installed command does not load its own configuration: it should exit with 2 and name ` +
        `the missing SEGMENT_WRITE_KEY, not exit with ${status}.`,
    );
  }
}

/** What an author does first: a sink that compiles, passes its test and certifies without an edit, also once built. */
function writeSink(consumer) {
  const fanout = (...args) => [["--no", "--", "fanout", ...args], "npx"];
  const steps = [
    [...fanout("new-sink", "acme"), /acme\/index\.mts/],
    [["--test", "acme/acme.test.mts"], "node", /fail 0/],
    [...fanout("certify", "./acme"), /^acme: certified .*0 broken, 0 skipped/],
    [["--project", "."], "tsc", /^$/],
    [...fanout("certify", "./dist/acme"), /^acme: certified .*0 broken, 0 skipped/],
  ];
  for (const [args, command, expected] of steps) {
    const said = run(command, args, consumer, {
      otherwise: `A new sink does not work as it is: ${command} ${args.join(" ")} (see above).`,
    });
    if (!expected.test(said)) {
      throw new Failure(
        `${said}A new sink does not work as it is: ${command} ${args.join(" ")} says otherwise.`,
      );
    }
  }
}

/**
 * Without `skipLibCheck`: a declaration of ours that needs a package the consumer does not get must fail here.
 * What other packages' declarations lack (Powertools' need @types/aws-lambda) is theirs.
 */
function compileConsumer(consumer) {
  const imports = entries.map(
    (entry, index) => `import * as entry${index} from "${entry.replace(".", name)}";`,
  );
  const source = `${imports.join("\n")}
import { type Encoded, type MetricEvent, type Outcome, type Sink, stableUuid } from "${name}";

export const all = [${entries.map((_, index) => `entry${index}`).join(", ")}];
export const sink: Sink<string> = {
  name: "mine",
  limits: { itemsPerRequest: 1, bytesPerRequest: 10, bytesPerItem: 10, concurrency: 1 },
  encode: (event: MetricEvent): Encoded<string> => ({ payload: event.id, bytes: 1 }),
  send: async (batch): Promise<readonly Outcome[]> => batch.items.map(() => ({ status: "delivered" })),
};
// @ts-expect-error a string: were the declarations lost, this would be any, and no error.
export const wrong: number = stableUuid("a");
`;
  // Node's types and no others: TypeScript would find every package of our own @types through a type root.
  const types = join(scratch, "types");
  mkdirSync(types);
  symlinkSync(join(root, "node_modules", "@types", "node"), join(types, "node"));
  const config = {
    compilerOptions: {
      target: "es2024",
      module: "nodenext",
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      noEmit: true,
      skipLibCheck: false,
      types: ["node"],
      typeRoots: [types],
    },
    files: ["consumer.mts"],
  };
  writeFileSync(join(consumer, "consumer.mts"), source);
  writeFileSync(join(consumer, "tsconfig.json"), JSON.stringify(config));
  const { stdout } = spawnSync("tsc", ["--project", ".", "--pretty", "false"], {
    cwd: consumer,
    env,
    encoding: "utf8",
  });
  const ours = stdout
    .split("\n")
    .filter((line) => line.startsWith("consumer.mts") || line.startsWith(`node_modules/${name}/`));
  if (/^error/m.test(stdout) || ours.length > 0) {
    throw new Failure(
      `${stdout}A consumer's strict TypeScript refuses the published declarations (see above).`,
    );
  }
}

/** Runs to the end and returns what the tool said; on failure shows what the tool said, then one sentence. */
function run(command, args, cwd, { otherwise }) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, env, encoding: "utf8" });
  if (status === 0) return `${stdout}${stderr}`;
  throw new Failure(`${stdout ?? ""}${stderr ?? ""}${error ? `${error.message}\n` : ""}${otherwise}`);
}
