// Builds dist/: what the package publishes. Node runs no .ts inside node_modules, so consumers get JavaScript and
// declarations; in this repository nothing reads dist.
import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const { bin } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

// A file of the last build whose source is gone must not be published.
rmSync(join(root, "dist"), { recursive: true, force: true });
const tsc = join(root, "node_modules", ".bin", "tsc");
const { status } = spawnSync(tsc, ["--project", "tsconfig.build.json"], { cwd: root, stdio: "inherit" });
if (status !== 0) stop("The build failed: tsc says why above.");

// What `fanout new-sink` writes is text to the compiler.
cpSync(join(root, "src/cli/templates"), join(root, "dist/src/cli/templates"), { recursive: true });

for (const [name, path] of Object.entries(bin)) {
  const file = join(root, path);
  if (!existsSync(file)) stop(`The command ${name} is to be ${path}, which the build did not write.`);
  if (!readFileSync(file, "utf8").startsWith("#!/usr/bin/env node\n")) {
    stop(
      `The source of ${path} must begin with #!/usr/bin/env node: a shell would run it as a script of its own.`,
    );
  }
  chmodSync(file, 0o755);
}

function stop(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}
