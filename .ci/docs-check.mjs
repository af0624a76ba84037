// Executes the documentation: every ts block of README.md, CONTRIBUTING.md and docs/ compiles against the sources,
// every command of an sh block runs, and what is written from the sources' tables is what they say now. Each page
// gets a fresh copy of the repository, so a page may build up files and state from top to bottom, and no page leans
// on another. CONTRIBUTING.md tells writers the rules.
import { spawn, spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
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
import { fileURLToPath, pathToFileURL } from "node:url";
import { stripVTControlCharacters } from "node:util";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const bins = join(root, "node_modules", ".bin");
/** Nothing documented takes longer; a block that hangs must fail the check, not stop it. */
const blockTimeoutMs = 120_000;
/** Other names of the two executed languages: a block must not escape the check by its label. */
const mislabelled = ["bash", "shell", "console", "zsh", "typescript", "js", "javascript", "mts", "tsx"];

/** What documentation gets wrong, as opposed to a fault of the check. */
class Failure extends Error {}

const docs = existsSync(join(root, "docs")) ? readdirSync(join(root, "docs"), { recursive: true }) : [];
const pages = ["README.md", "CONTRIBUTING.md", ...docs.map((file) => join("docs", file)).sort()].filter(
  (page) => page.endsWith(".md") && existsSync(join(root, page)),
);
const skipped = [];
let executed = 0;
let failed = 0;

for (const script of ["errors-page.mjs", "sinks-pages.mjs"]) {
  const args = [join(root, ".ci", script), "--check"];
  if (spawnSync(join(bins, "node"), args, { stdio: "inherit" }).status !== 0) failed += 1;
}

for (const page of pages) {
  const copy = copyRepository();
  try {
    const blocks = readBlocks(page);
    compile(
      page,
      blocks.filter((block) => block.language === "ts"),
      copy,
    );
    for (const block of blocks) if (block.language === "sh") await runShell(block, copy);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    console.error(error.message);
    failed += 1;
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}
for (const line of skipped) console.log(`not run: ${line}`);
if (failed > 0) {
  console.error(`The documentation does not hold on ${failed} of ${pages.length} pages (see above).`);
  process.exitCode = 1;
} else {
  console.log(`The documentation holds: ${executed} blocks of ${pages.length} pages executed.`);
}

/** Every fenced block: `at` is "page:line" of its fence, `info` what follows the language. */
function readBlocks(page) {
  const blocks = [];
  let open;
  for (const [index, line] of readFileSync(join(root, page), "utf8").split("\n").entries()) {
    const fence = /^\s*(`{3,})([^\s`]*)\s*(.*)$/.exec(line);
    if (open === undefined && fence !== null) {
      const [, ticks, language, info] = fence;
      open = { at: `${page}:${index + 1}`, line: index + 1, ticks, language, info: info.trim(), lines: [] };
      if (mislabelled.includes(language)) {
        throw new Failure(`${open.at}: a \`${language}\` block is not checked; label it ts or sh.`);
      }
    } else if (fence !== null && fence[2] === "" && fence[1].length >= open.ticks.length) {
      blocks.push(open);
      open = undefined;
    } else if (open !== undefined) open.lines.push(line);
  }
  if (open !== undefined) throw new Failure(`${open.at}: the block never ends.`);
  return blocks;
}

/**
 * What git knows of the working tree, beside the installed packages. Its package.json maps the entries to the
 * sources, so that `import … from "firehose-fanout"` compiles and runs without a build.
 */
function copyRepository() {
  const copy = mkdtempSync(join(tmpdir(), "fanout-docs-"));
  const { stdout } = spawnSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: root,
    encoding: "utf8",
  });
  for (const file of stdout.split("\0")) {
    if (file !== "" && existsSync(join(root, file))) cpSync(join(root, file), join(copy, file));
  }
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
  const manifest = JSON.parse(readFileSync(join(copy, "package.json"), "utf8"));
  for (const [entry, target] of Object.entries(manifest.exports)) {
    if (target.types === undefined) continue;
    manifest.exports[entry] = target.types.replace("./dist/", "./").replace(/\.d\.ts$/, ".ts");
  }
  writeFileSync(join(copy, "package.json"), `${JSON.stringify(manifest, undefined, 2)}\n`);
  return copy;
}

/** Writes a page's snippets, those with a path where they say, and compiles them as strictly as the sources. */
function compile(page, blocks, copy) {
  if (blocks.length === 0) return;
  const files = blocks.map((block) => {
    const file = block.info === "" ? `snippets/line-${block.line}.ts` : block.info;
    if (!/^[\w-][\w./-]*\.ts$/.test(file) || file.includes("..")) {
      throw new Failure(
        `${block.at}: after "ts" comes nothing or the path of the file, not "${block.info}".`,
      );
    }
    mkdirSync(dirname(join(copy, file)), { recursive: true });
    // Blank lines first: then tsc's line is the page's line.
    const lead = block.info === "" ? "\n".repeat(block.line) : "";
    writeFileSync(join(copy, file), `${lead}${block.lines.join("\n")}\n`);
    return file;
  });
  // A snippet declares what its reader goes on to use.
  const config = {
    extends: "./tsconfig.json",
    compilerOptions: { noUnusedLocals: false },
    include: [],
    files,
  };
  writeFileSync(join(copy, "tsconfig.docs.json"), JSON.stringify(config));
  const tsc = join(bins, "tsc");
  const { status, stdout } = spawnSync(tsc, ["--project", "tsconfig.docs.json", "--pretty", "false"], {
    cwd: copy,
    encoding: "utf8",
  });
  if (status !== 0) {
    throw new Failure(
      `${stdout.replaceAll(/^snippets\/line-\d+\.ts/gm, page)}${page}: a snippet does not compile.`,
    );
  }
  executed += blocks.length;
}

/** Runs a block's commands one after the other in one shell, each until the exit code that the page states. */
async function runShell(block, copy) {
  const reason = /^no-run: *(.*)$/.exec(block.info)?.[1];
  if (reason) {
    skipped.push(`${block.at} (${reason})`);
    return;
  }
  if (block.info !== "") {
    throw new Failure(`${block.at}: after "sh" comes nothing or "no-run: the reason", not "${block.info}".`);
  }
  const script = readCommands(block).map(({ text, code }) => {
    const quoted = `'${text.replaceAll("'", "'\\''")}'`;
    const complaint = `printf '%s\\n' "exit code $code instead of ${code}:" ${quoted} >&2`;
    return `${text}\ncode=$?; if [ $code -ne ${code} ]; then ${complaint}; exit 1; fi`;
  });
  const { ok, output } = await shell(`set -o pipefail\n${script.join("\n")}\n`, copy);
  if (!ok)
    throw new Failure(
      `${lastLines(output)}\n${block.at}: a documented command does not do what the page says.`,
    );
  executed += 1;
}

function lastLines(output) {
  return stripVTControlCharacters(output).trimEnd().split("\n").slice(-40).join("\n");
}

/** Lines after "$ " where there are such lines (the others show output), else every line that is not a comment. */
function readCommands(block) {
  const session = block.lines.some((line) => line.startsWith("$ "));
  const commands = [];
  let continued = false;
  for (const line of block.lines) {
    if (!continued && (session ? !line.startsWith("$ ") : /^\s*(#|$)/.test(line))) continue;
    const text = !continued && session ? line.slice(2) : line;
    if (continued) commands.push(`${commands.pop()}\n${text}`);
    else commands.push(text);
    continued = text.endsWith("\\");
  }
  return commands.map((text) => {
    const code = /\s#\s*exit (\d+)\s*$/.exec(text)?.[1] ?? "0";
    return { text, code };
  });
}

/** A shell without the caller's credentials and settings, whose Node processes stay on loopback. */
function shell(script, copy) {
  const home = join(copy, ".fanout", "home");
  mkdirSync(home, { recursive: true });
  const env = {
    PATH: `${bins}${delimiter}${process.env.PATH}`,
    HOME: home,
    LANG: "C.UTF-8",
    CI: "true",
    NO_COLOR: "1",
    NODE_OPTIONS: `--import=${pathToFileURL(join(copy, ".ci", "loopback-only.mjs")).href}`,
  };
  // Its own process group, so that a server which the block leaves behind ends with it.
  const child = spawn("bash", ["-c", script], {
    cwd: copy,
    env,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
  const end = () => {
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {
      // The group is gone already, as it should be.
    }
  };
  const timer = setTimeout(() => {
    output += `still running after ${blockTimeoutMs / 1000} s\n`;
    end();
  }, blockTimeoutMs);
  return new Promise((resolve) => {
    child.on("exit", (code) => {
      clearTimeout(timer);
      end();
      // Let what is still in the pipes arrive.
      child.on("close", () => resolve({ ok: code === 0, output }));
    });
  });
}
