// `fanout certify`: runs the conformance cases on the sinks of a module, one of ours or of another package.
import { existsSync, statSync } from "node:fs";
import { registerHooks } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { ConfigError } from "../config.ts";
import { type CaseScore, type ScoreCard, scoreSink } from "../testing/score.ts";
import type { ConformanceSubject } from "../testing/subject.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";

export interface CertifyCommand {
  /** A twin's file, the folder that holds it, or what another package exports, such as `acme-sink/twin`. */
  readonly module: string;
  readonly json: boolean;
  readonly stdout: NodeJS.WritableStream;
}

/** In a folder, the first of these that is there. */
const fileNames = ["twin.ts", "twin.mts", "twin.js", "twin.mjs"];

/**
 * Exits with 0 when every promise is kept or skipped with a reason, else with 1.
 *
 * @throws {ConfigError} when the module cannot be loaded, or exports no subject of conformance as its default.
 */
export async function certify({ module, json, stdout }: CertifyCommand): Promise<ExitCode> {
  const cards: ScoreCard[] = [];
  for (const subject of await loadSubjects(module)) {
    try {
      cards.push(await scoreSink(subject));
    } catch (error) {
      throw new ConfigError([`the sink of ${module} cannot be certified: ${sentenceOf(error)}`]);
    }
  }
  const ok = cards.every(({ broken }) => broken === 0);
  stdout.write(json ? `${JSON.stringify({ ok, sinks: cards })}\n` : cards.map(render).join("\n"));
  return ok ? exitCodes.ok : exitCodes.failed;
}

async function loadSubjects(module: string): Promise<readonly ConformanceSubject[]> {
  const loaded = await load(module);
  const given =
    typeof loaded === "object" && loaded !== null && "default" in loaded ? loaded.default : undefined;
  const subjects: readonly unknown[] = Array.isArray(given) ? given : [given];
  if (subjects.length === 0 || !subjects.every(isSubject)) {
    throw new ConfigError([
      `${module} must export { sink, twin, secrets } as its default, or a list of them: see ConformanceSubject`,
    ]);
  }
  return subjects;
}

async function load(module: string): Promise<unknown> {
  const url = fileOf(module);
  // A package is looked for from where the command runs, not from where this file is installed.
  const parentURL = pathToFileURL(`${process.cwd()}${path.sep}`).href;
  const hooks = registerHooks({
    resolve: (specifier, context, next) =>
      next(specifier, specifier === module && url === undefined ? { ...context, parentURL } : context),
  });
  try {
    return await import(url ?? module);
  } catch (error) {
    throw new ConfigError([`${module} cannot be loaded: ${sentenceOf(error)}`]);
  } finally {
    hooks.deregister();
  }
}

/** The URL of a file, or undefined for what is to be a package. */
function fileOf(module: string): string | undefined {
  const place = path.resolve(module);
  if (!existsSync(place)) {
    if (/^\.{0,2}[/\\]/.test(module)) throw new ConfigError([`there is no file or folder ${module}`]);
    return undefined;
  }
  if (!statSync(place).isDirectory()) return pathToFileURL(place).href;
  const name = fileNames.find((each) => existsSync(path.join(place, each)));
  if (name === undefined) throw new ConfigError([`the folder ${module} holds no ${fileNames.join(", ")}`]);
  return pathToFileURL(path.join(place, name)).href;
}

function isSubject(value: unknown): value is ConformanceSubject {
  if (typeof value !== "object" || value === null) return false;
  // What these make is what the cases are about.
  const { sink, twin, secrets } = value as Partial<Record<keyof ConformanceSubject, unknown>>;
  return (
    typeof sink === "function" &&
    typeof twin === "function" &&
    Array.isArray(secrets) &&
    secrets.every((secret) => typeof secret === "string" && secret !== "")
  );
}

function sentenceOf(error: unknown): string {
  const [line = ""] = (error instanceof Error ? error.message : String(error)).split("\n");
  return line;
}

// ── the score card ────────────────────────────────────────────────────────────────────────────────────────────

const marks = { kept: "✓", broken: "✗", skipped: "–" } as const;

/** A problem's lines beyond these say the same in more detail. */
const problemLines = 6;

function render({ sink, kept, broken, skipped, cases }: ScoreCard): string {
  const counts = [`${kept} kept`, `${broken} broken`, `${skipped} skipped`].join(", ");
  const verdict = broken === 0 ? "certified" : "not certified";
  return `${sink}: ${verdict} (${counts})\n\n${cases.map(renderCase).join("")}`;
}

function renderCase(score: CaseScore): string {
  const head = `  ${marks[score.verdict]} ${score.name}\n`;
  if (score.verdict === "kept") return head;
  if (score.verdict === "skipped") return `${head}      skipped: ${score.reason}\n`;
  const [first = "", ...more] = score.problem.split("\n").slice(0, problemLines);
  const lines = [`why: ${score.promise}`, `was: ${first}`, ...more];
  return head + lines.map((line) => `      ${line}\n`).join("");
}
