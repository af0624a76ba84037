// `fanout new-sink`: a sink, its twin, a test and a page, which compile, pass and certify before the first edit.
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { ConfigError } from "../config.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";

export interface NewSinkCommand {
  /** `[a-z0-9-]+`, beginning with a letter: the sink's name in books and letters. */
  readonly name: string;
  /** The folder of the sink. Default `adapters/<name>` in this repository, `<name>` elsewhere. */
  readonly dir?: string;
  readonly cwd: string;
  readonly stdout: NodeJS.WritableStream;
}

interface Plan {
  /** Path → content. */
  readonly files: Readonly<Record<string, string>>;
  readonly test: string;
  readonly certify: string;
  /** How the sink comes into a configuration. */
  readonly use: string;
}

/** @throws {ConfigError} when the name is none, or a file is there already: nothing is overwritten. */
export async function newSink({ name, dir, cwd, stdout }: NewSinkCommand): Promise<ExitCode> {
  if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(name)) {
    throw new ConfigError([
      `"${name}" is no name of a sink: it consists of a-z, 0-9 and "-", a letter first`,
    ]);
  }
  if (taken.includes(name)) {
    throw new ConfigError([`"${name}" is no name of a sink: the library has a ${name}Sink of its own`]);
  }
  const manifest = await readManifest(cwd);
  const isHere = manifest.name === "firehose-fanout";
  const folder = path.relative(cwd, path.resolve(cwd, dir ?? (isHere ? path.join("adapters", name) : name)));
  const plan = await (isHere ? planHere(name, folder) : planElsewhere(name, folder, cwd, manifest));
  const present = Object.keys(plan.files).filter((file) => existsSync(path.join(cwd, file)));
  if (present.length > 0) throw new ConfigError(present.map((file) => `${file} is there already`));
  for (const [file, text] of Object.entries(plan.files)) {
    await makeFolder(cwd, path.dirname(file));
    // Whoever was faster keeps the file.
    await writeFile(path.join(cwd, file), text, { flag: "wx" });
  }
  const list = Object.keys(plan.files).map((file) => `  ${file}\n`);
  stdout.write(`${list.join("")}\nIt works as it is:\n  ${plan.test}\n  ${plan.certify}\n\n${plan.use}\n`);
  return exitCodes.ok;
}

/** A sink's functions are called `<name>Sink`, beside `defineSink` and `describeSink`, which its files import. */
const taken: readonly string[] = ["define", "describe"];

async function makeFolder(cwd: string, folder: string): Promise<void> {
  try {
    await mkdir(path.join(cwd, folder), { recursive: true });
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown error";
    throw new ConfigError([`the folder ${folder} cannot be made (${code}): give another with --dir`]);
  }
}

/** What stands for a place in a command that is to be copied. */
function quoted(place: string): string {
  return /^[\w./-]+$/.test(place) ? place : `"${place}"`;
}

/** As `import` and `certify` want it: without a dot in front it would be a package. */
function fromHere(place: string): string {
  return path.isAbsolute(place) || place.startsWith("..") ? place : `./${place}`;
}

/** In this repository: TypeScript that imports the sources. */
async function planHere(name: string, folder: string): Promise<Plan> {
  const test = path.posix.join("test/adapters", `${name}.test.ts`);
  const page = path.posix.join("docs/sinks", `${name}.md`);
  const from = (file: string, target: string) => {
    const relative = path.posix.relative(path.posix.dirname(file), target);
    return relative.startsWith(".") ? relative : `./${relative}`;
  };
  const [index, twin] = [path.posix.join(folder, "index.ts"), path.posix.join(folder, "twin.ts")];
  const run = `npx vitest run ${test}`;
  const certify = `npm run fanout -- certify ${quoted(folder)}`;
  const words = (file: string) => ({
    ...namesOf(name),
    core: from(file, "src/index.ts"),
    testing: from(file, "src/testing/index.ts"),
    index: from(file, index),
    twin: from(file, twin),
    runner: "vitest",
    run_test: run,
    certify,
  });
  return {
    files: {
      [index]: await fill("index", words(index)),
      [twin]: await fill("twin", words(twin)),
      [test]: await fill("test", words(test)),
      [page]: await fill("docs", words(page)),
    },
    test: run,
    certify,
    use: "To deploy it, give it variables in config/fanout.config.ts, and rows in docs/configuration.md.",
  };
}

/** In another project: `.mts`, which Node runs as it is, and which is published as JavaScript. */
async function planElsewhere(name: string, folder: string, cwd: string, manifest: Manifest): Promise<Plan> {
  const runner = manifest.packages.includes("vitest") ? "vitest" : "node:test";
  const test = path.join(folder, `${name}.test.mts`);
  const run = `${runner === "vitest" ? "npx vitest run" : "node --test"} ${quoted(test)}`;
  const certify = `npx fanout certify ${quoted(fromHere(folder))}`;
  const words = {
    ...namesOf(name),
    core: "firehose-fanout",
    testing: "firehose-fanout/testing",
    index: "./index.mts",
    twin: "./twin.mts",
    runner,
    run_test: run,
    certify,
  };
  const files = {
    [path.join(folder, "index.mts")]: await fill("index", words),
    [path.join(folder, "twin.mts")]: await fill("twin", words),
    [test]: await fill("test", words),
    [path.join(folder, "README.md")]: await fill("docs", words),
  };
  const { camel } = words;
  return {
    // Only where there is none: what others compile by is theirs.
    files: existsSync(path.join(cwd, "tsconfig.json"))
      ? files
      : { ...files, "tsconfig.json": `${JSON.stringify(tsconfig, undefined, 2)}\n` },
    test: run,
    certify,
    use: `To use it: import { ${camel}Sink } from "${fromHere(path.join(folder, "index.mts"))}" in fanout.config.mts.`,
  };
}

/** Compiles `.mts` for editors; with `tsc` it makes the JavaScript that is published, as Node runs no TypeScript there. */
const tsconfig = {
  compilerOptions: {
    target: "es2024",
    module: "nodenext",
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    verbatimModuleSyntax: true,
    erasableSyntaxOnly: true,
    rewriteRelativeImportExtensions: true,
    skipLibCheck: true,
    types: ["node"],
    declaration: true,
    rootDir: ".",
    outDir: "dist",
  },
  exclude: ["dist", "node_modules"],
};

function namesOf(name: string) {
  const Name = name
    .split("-")
    .map((part) => part.charAt(0).toUpperCase() + part.slice(1))
    .join("");
  return { name, Name, camel: Name.charAt(0).toLowerCase() + Name.slice(1) };
}

async function fill(template: string, words: Readonly<Record<string, string>>): Promise<string> {
  const text = await readFile(new URL(`./templates/${template}.txt`, import.meta.url), "utf8");
  return text.replaceAll(/__([A-Za-z]+(?:_[a-z]+)?)__/g, (whole, word: string) => words[word] ?? whole);
}

interface Manifest {
  readonly name: string | undefined;
  /** What the project installs. */
  readonly packages: readonly string[];
}

async function readManifest(cwd: string): Promise<Manifest> {
  try {
    const manifest: { name?: unknown; dependencies?: object; devDependencies?: object } | null = JSON.parse(
      await readFile(path.join(cwd, "package.json"), "utf8"),
    );
    const { name, dependencies, devDependencies } = manifest ?? {};
    return {
      name: typeof name === "string" ? name : undefined,
      packages: Object.keys({ ...dependencies, ...devDependencies }),
    };
  } catch {
    return { name: undefined, packages: [] };
  }
}
