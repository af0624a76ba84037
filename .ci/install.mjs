// Makes `npm start` and `npm test` work alone on a bare clone: installs when the lock file changed, then proves
// that the pinned Node is there. Runs under the system's Node (20 or newer), so plain JavaScript, no packages.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { lstatSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const modules = join(root, "node_modules");
const stamp = join(modules, ".package-lock-hash");
const busy = join(root, ".fanout", "install.busy");
const pinnedMajor = "24";

const hash = createHash("sha256")
  .update(readFileSync(join(root, "package-lock.json")))
  .digest("hex");
const fresh = () => readText(stamp) === hash;

if (!fresh()) {
  await alone(() => {
    if (!fresh()) install();
  });
}

function install() {
  // `npm ci` would empty the folder behind it, which is another checkout's: the documentation's check works so.
  if (lstatSync(modules, { throwIfNoEntry: false })?.isSymbolicLink()) {
    stop(
      "The packages of package-lock.json are not installed, and node_modules is a link: run `node .ci/install.mjs` " +
        "in the checkout that it leads to.",
    );
  }
  process.stderr.write("Installing the pinned packages (about half a minute)…\n");
  // The `node` in node_modules/.bin is about to be replaced, so npm must not run on it. `--include=dev`: with
  // NODE_ENV=production npm leaves out the toolchain, the pinned Node with it.
  const { status, stdout, stderr, error } = spawnSync(
    "npm",
    ["ci", "--include=dev", "--loglevel=error", "--no-progress", "--no-audit", "--no-fund"],
    { cwd: root, encoding: "utf8", env: { ...process.env, PATH: pathWithoutModules() } },
  );
  if (status !== 0) {
    stop(
      `${stdout ?? ""}${stderr ?? ""}npm ci failed${error ? ` (${error.message})` : ""}: the packages of ` +
        "package-lock.json are not installed. Check the network and the registry that npm is configured with, then run it again.",
    );
  }
  checkNode();
  writeFileSync(stamp, hash);
}

/** The package `node` gets its binary from an install script, which npm skips where scripts are switched off. */
function checkNode() {
  const { stdout } = spawnSync(join(modules, ".bin", "node"), ["--version"], { encoding: "utf8" });
  const version = stdout?.trim() ?? "";
  if (version.startsWith(`v${pinnedMajor}.`)) return;
  stop(
    `Node ${pinnedMajor} is pinned as a package, but node_modules/.bin/node ${version ? `is ${version}` : "is missing"}: ` +
      'npm skipped its install script. Allow it (`npm config get ignore-scripts` must say "false"), remove ' +
      "node_modules and run this again.",
  );
}

/** Two installs into one folder break each other: the second waits for the first, unless that one died. */
async function alone(work) {
  mkdirSync(dirname(busy), { recursive: true });
  let told = false;
  for (;;) {
    try {
      writeFileSync(busy, String(process.pid), { flag: "wx" });
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
      const holder = Number(readText(busy));
      if (holder > 0 && !isAlive(holder)) {
        rmSync(busy, { force: true });
        continue;
      }
      if (!told) process.stderr.write(`Another install is under way; waiting (no? then remove ${busy})…\n`);
      told = true;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }
  process.on("exit", () => rmSync(busy, { force: true }));
  work();
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

function pathWithoutModules() {
  const own = join(modules, ".bin");
  return (process.env.PATH ?? "")
    .split(delimiter)
    .filter((entry) => entry !== own)
    .join(delimiter);
}

function readText(file) {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

function stop(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}
