// The titles of all tests, as their files have them, by Vitest's own reading.
import { spawnSync } from "node:child_process";
import path from "node:path";

/** By file, from the repository's root: `group > group > title`, each with its `%s`. */
export function titlesByFile(root: string): ReadonlyMap<string, readonly string[]> {
  const vitest = path.join(root, "node_modules", "vitest", "vitest.mjs");
  const { stdout, stderr } = spawnSync(process.execPath, [vitest, "list", "--json"], {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 2 ** 26,
  });
  if (!stdout.includes("[")) throw new Error(`vitest lists no tests: ${stderr}`);
  // The shape is Vitest's; the test that uses it fails when it is another.
  const listed = JSON.parse(stdout.slice(stdout.indexOf("["))) as { name: string; file: string }[];
  const titles = new Map<string, string[]>();
  for (const { name, file } of listed) {
    const key = path.relative(root, file).split(path.sep).join("/");
    // As they are written: \" is a quote.
    titles.set(key, [...(titles.get(key) ?? []), name.replace(/\\(.)/g, "$1")]);
  }
  return titles;
}
