import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { PassThrough } from "node:stream";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { newSink } from "../../src/cli/new-sink.ts";
import { fanout } from "../support/fanout.ts";

// Every test starts processes; on two busy cores each needs a second or two.
const patience = { timeout: 120_000 };
const root = path.join(import.meta.dirname, "..", "..");
const bins = path.join(root, "node_modules/.bin");
const run = promisify(execFile);

let cwd: string;
beforeEach(async () => {
  cwd = await mkdtemp(path.join(os.tmpdir(), "fanout-new-sink-"));
});
afterEach(() => rm(cwd, { recursive: true, force: true }));

/** Runs one of our tools in the folder; rejects with what it says unless it exits with 0. */
async function tool(name: string, ...args: readonly string[]): Promise<string> {
  const env = { PATH: `${bins}${path.delimiter}${process.env["PATH"]}`, CI: "true", NO_COLOR: "1" };
  const { stdout, stderr } = await run(path.join(bins, name), args, { cwd, env });
  return stdout + stderr;
}

const write = (file: string, value: object) => writeFile(path.join(cwd, file), JSON.stringify(value));

describe("in this repository", () => {
  beforeEach(async () => {
    await write("package.json", { name: "firehose-fanout", type: "module" });
    for (const name of ["src", "node_modules", "tsconfig.json", "vitest.config.ts"]) {
      await symlink(path.join(root, name), path.join(cwd, name));
    }
    const biome: object = JSON.parse(await readFile(path.join(root, "biome.json"), "utf8"));
    await write("biome.json", { ...biome, vcs: { enabled: false } });
  });

  test("the sink is formatted, compiles, passes its test and certifies as it is", patience, async () => {
    const { code, stdout, stderr } = await fanout(["new-sink", "acme-crm"], {}, cwd);
    expect([code, stderr]).toEqual([0, ""]);
    const files = [
      "adapters/acme-crm/index.ts",
      "adapters/acme-crm/twin.ts",
      "test/adapters/acme-crm.test.ts",
    ];
    for (const file of [...files, "docs/sinks/acme-crm.md"]) {
      expect(stdout).toContain(`  ${file}\n`);
      expect(await readFile(path.join(cwd, file), "utf8")).not.toMatch(/__/);
    }
    await write("tsconfig.new.json", { extends: "./tsconfig.json", include: files });
    const [, , tested, certified] = await Promise.all([
      tool("biome", "ci", "adapters", "test"),
      tool("tsc", "--noEmit", "--project", "tsconfig.new.json"),
      tool("vitest", "run", "test/adapters/acme-crm.test.ts"),
      fanout(["certify", "adapters/acme-crm"], {}, cwd),
    ]);
    expect(tested).toMatch(/Tests {2}28 passed/);
    expect(certified.stdout).toMatch(/^acme-crm: certified \(27 kept, 0 broken, 0 skipped\)/);
  });
});

describe("in a project of one's own", () => {
  beforeEach(async () => {
    await write("package.json", { private: true });
    // The package's sources stand for its JavaScript: .ci/pack-check.mjs does the same with what is packed, and
    // compiles against its declarations.
    await mkdir(path.join(cwd, "node_modules"));
    await mkdir(path.join(cwd, "package"));
    const exports = { ".": "./src/index.ts", "./testing": "./src/testing/index.ts" };
    await write("package/package.json", { name: "firehose-fanout", type: "module", exports });
    await symlink(path.join(root, "src"), path.join(cwd, "package/src"));
    await symlink(path.join(cwd, "package"), path.join(cwd, "node_modules/firehose-fanout"));
  });

  test("the sink passes its test under Node alone and certifies as it is", patience, async () => {
    const { code, stdout } = await fanout(["new-sink", "acme", "--dir", "sinks/acme"], {}, cwd);
    expect(code).toBe(0);
    expect(stdout).toContain("  node --test sinks/acme/acme.test.mts\n  npx fanout certify ./sinks/acme\n");
    const [tested, certified] = await Promise.all([
      tool("node", "--test", "sinks/acme/acme.test.mts"),
      fanout(["certify", "./sinks/acme"], {}, cwd),
    ]);
    expect(tested).toMatch(/pass 28\n.*fail 0\n/s);
    expect(certified.stdout).toMatch(/^acme: certified \(27 kept, 0 broken, 0 skipped\)/);
  });

  test(
    "the test is Vitest's where the project has it, and a tsconfig.json stays as it is",
    patience,
    async () => {
      await write("package.json", { private: true, devDependencies: { vitest: "5.1.1" } });
      await write("tsconfig.json", {});
      const { stdout } = await fanout(["new-sink", "acme"], {}, cwd);
      expect(stdout).toContain("  npx vitest run acme/acme.test.mts\n");
      expect(await readFile(path.join(cwd, "acme/acme.test.mts"), "utf8")).toContain('from "vitest"');
      expect(await readFile(path.join(cwd, "tsconfig.json"), "utf8")).toBe("{}");
    },
  );

  test("nothing is written over, not even in part", patience, async () => {
    await mkdir(path.join(cwd, "acme"));
    await writeFile(path.join(cwd, "acme/README.md"), "mine");
    const { code, stdout, stderr } = await fanout(["new-sink", "acme"], {}, cwd);
    expect([code, stdout, stderr]).toEqual([2, "", "fanout: acme/README.md is there already\n"]);
    expect(existsSync(path.join(cwd, "acme/index.mts"))).toBe(false);
  });

  test("the folder may be anywhere, and what is told can be copied", async () => {
    const told = async (dir: string) => {
      const stdout = new PassThrough();
      await newSink({ name: "acme", dir, cwd, stdout });
      return String(stdout.read());
    };
    expect(await told(path.join(cwd, "absolute"))).toContain("npx fanout certify ./absolute\n");
    expect(existsSync(path.join(cwd, "absolute/index.mts"))).toBe(true);
    const spaced = await told("my sinks/acme/");
    expect(spaced).toContain('  node --test "my sinks/acme/acme.test.mts"\n');
    expect(spaced).toContain('  npx fanout certify "./my sinks/acme"\n');
    expect(spaced).toContain('from "./my sinks/acme/index.mts"');
    await writeFile(path.join(cwd, "file"), "mine");
    await expect(told("file/acme")).rejects.toMatchObject({
      problems: ["the folder file/acme cannot be made (ENOTDIR): give another with --dir"],
    });
  });

  test.each(["define", "describe"])("%s is no name: the library has that sink", async (name) => {
    await expect(newSink({ name, cwd, stdout: new PassThrough() })).rejects.toMatchObject({
      problems: [`"${name}" is no name of a sink: the library has a ${name}Sink of its own`],
    });
  });

  test.each(["Acme", "../acme", "1acme", "acme-", "a--b", "_intake", ""])("%j is no name", async (name) => {
    await expect(newSink({ name, cwd, stdout: new PassThrough() })).rejects.toMatchObject({
      problems: [`"${name}" is no name of a sink: it consists of a-z, 0-9 and "-", a letter first`],
    });
  });
});
