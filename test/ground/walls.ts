// The walls of the house: who may import whom, and who may read the environment.
import path from "node:path";

/** Sources by their path from the repository's root, with forward slashes. */
export type Sources = ReadonlyMap<string, string>;

/** The folders from the inside to the outside; each may import what stands before it, and itself. */
const order = ["src", "adapters", "config", "infra"] as const;

/** What a third party's adapter could import, too. */
const publicToAdapters = new Set(["src/index.ts", "src/testing/index.ts"]);

/** Packages that know AWS, and the places of the core that may know them. */
const awsPackage = /^(@aws-sdk|@aws-lambda-powertools|@smithy)\/|^aws-lambda$/;
const awsPlaces = /^src\/(store\/s3\.ts$|lambda\/|queues\/|cli\/caller\.ts$)/;

/** Who reads the environment: what composes an installation. */
const environmentPlaces = /^(config\/|infra\/functions\/|src\/cli\/main\.ts$)/;

/** Every breach as one sentence, in the sources' order; empty when the walls stand. */
export function breaches(sources: Sources): string[] {
  return [
    ...[...sources].flatMap(([file, text]) => [
      ...importsOf(file, text).flatMap((found) => direction(file, found) ?? aws(file, found) ?? []),
      ...environment(file, text),
    ]),
    ...cycles(sources),
  ];
}

interface Import {
  /** A path from the root for relative imports, else the specifier as it stands. */
  readonly target: string;
  readonly relative: boolean;
  /** Erased when the program runs. `import { type A }` is not: its module still loads. */
  readonly typeOnly: boolean;
}

const statements = [
  /^import\s+(type\s)?(?:[^;"'`=()]*?\bfrom\s+)?["']([^"']+)["']/gm,
  /^export\s+(type\s)?\s*(?:\*(?:\s+as\s+\w+)?|\{[^}]*\})\s+from\s+["']([^"']+)["']/gm,
  /(\btypeof\s+)?\bimport\(\s*["'`]([^"'`]+)["'`]/g,
];

/** Every literal import of a file, static or not. Reads text, since TypeScript 7 has no API; Biome keeps the shape. */
export function importsOf(file: string, text: string): Import[] {
  const code = withoutComments(text);
  return statements.flatMap((statement) =>
    [...code.matchAll(statement)].map(([, type, specifier = ""]) => {
      const relative = specifier.startsWith(".");
      const target = relative ? path.posix.join(path.posix.dirname(file), specifier) : specifier;
      return { target, relative, typeOnly: type !== undefined };
    }),
  );
}

function direction(file: string, { target, relative }: Import): string | undefined {
  if (!relative) {
    // The package's own name would lead around every wall, and to dist.
    return /^firehose-fanout(\/|$)/.test(target)
      ? `${file} imports ${target} by the package's name`
      : undefined;
  }
  const from = order.findIndex((folder) => file.startsWith(`${folder}/`));
  const to = order.findIndex((folder) => target.startsWith(`${folder}/`));
  if (to === -1 || to > from) return `${file} imports ${target}, which stands outside of ${order[from]}`;
  if (order[from] !== "adapters") return undefined;
  const own = `${file.split("/").slice(0, 2).join("/")}/`;
  // What is deployed must not load what tests it.
  const isTwin = (name: string) => /[/-]twin\.ts$/.test(name);
  if (!isTwin(file) && (target === "src/testing/index.ts" || isTwin(target))) {
    return `${file} imports ${target}, which is for twins and tests`;
  }
  return target.startsWith(own) || publicToAdapters.has(target)
    ? undefined
    : `${file} imports ${target}, which no adapter may see`;
}

function aws(file: string, { target }: Import): string | undefined {
  return file.startsWith("src/") && awsPackage.test(target) && !awsPlaces.test(file)
    ? `${file} imports ${target}, which only src/store/s3.ts, src/lambda, src/queues and src/cli/caller.ts know`
    : undefined;
}

function environment(file: string, text: string): string[] {
  const reads = /\bprocess\??\.env\b|\bprocess\[["']env["']\]|\benv\b[^;]*from "(node:)?process"/;
  return reads.test(withoutComments(text)) && !environmentPlaces.test(file)
    ? [`${file} reads the environment; take an option instead`]
    : [];
}

/** The cycles of src that exist when it runs, each once, as "a → b → a". */
function cycles(sources: Sources): string[] {
  const found = new Set<string>();
  const done = new Set<string>();
  const visit = (file: string, trail: readonly string[]): void => {
    const seenAt = trail.indexOf(file);
    if (seenAt !== -1) found.add([...trail.slice(seenAt), file].join(" → "));
    const text = sources.get(file);
    if (seenAt !== -1 || done.has(file) || text === undefined) return;
    for (const { target, relative, typeOnly } of importsOf(file, text)) {
      if (relative && !typeOnly) visit(target, [...trail, file]);
    }
    done.add(file);
  };
  for (const file of sources.keys()) if (file.startsWith("src/")) visit(file, []);
  return [...found].map((cycle) => `a cycle: ${cycle}`);
}

/** Drops lines that are comments: an example in a docstring imports nothing. */
function withoutComments(text: string): string {
  return text.replaceAll(/^\s*(\/\/|\/\*|\*).*$/gm, "");
}
