import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ScoreCard } from "../../src/testing/index.ts";
import { fanout } from "../support/fanout.ts";

// Every test starts a process; on two busy cores each needs a second or two.
const patience = { timeout: 60_000 };
const root = path.join(import.meta.dirname, "..", "..");

let cwd: string;
beforeAll(async () => {
  cwd = await mkdtemp(path.join(os.tmpdir(), "fanout-certify-"));
  const honest = pathToFileURL(path.join(root, "test/testing/broken-sinks.ts")).href;
  const packaged = path.join(cwd, "node_modules/acme-sink");
  await mkdir(packaged, { recursive: true });
  await mkdir(path.join(cwd, "empty"));
  // Only for `import`, as many packages are.
  const manifest = { name: "acme-sink", exports: { "./twin": { import: "./twin.mjs" }, ".": "./index.mjs" } };
  await writeFile(path.join(packaged, "package.json"), JSON.stringify(manifest));
  await writeFile(path.join(packaged, "index.mjs"), "export const acmeSink = () => {};");
  await writeFile(
    path.join(packaged, "twin.mjs"),
    `import { subjectOf } from ${JSON.stringify(honest)};\nexport default subjectOf();`,
  );
  await writeFile(
    path.join(cwd, "broken.mjs"),
    `import { brokenSinks, subjectOf } from ${JSON.stringify(honest)};
    const { change } = brokenSinks.find(({ breaks }) => breaks.startsWith("413"));
    export default [subjectOf(), subjectOf(change)];`,
  );
  await writeFile(path.join(cwd, "throws.mjs"), 'throw new Error("no key\\nand more");');
  const noSink = '{ sink: () => { throw new Error("url is missing") }, twin: () => ({}), secrets: [] }';
  await writeFile(path.join(cwd, "no-sink.mjs"), `export default ${noSink};`);
});
afterAll(() => rm(cwd, { recursive: true, force: true }));

test("a sink of another package is certified, found from where the command runs", patience, async () => {
  const { code, stdout, stderr } = await fanout(["certify", "acme-sink/twin"], {}, cwd);
  expect(stderr).toBe("");
  expect(stdout).toMatch(/^honest: certified \(27 kept, 0 broken, 0 skipped\)\n/);
  expect(stdout).toContain("  ✓ 429 is transient and waits as long as it asks\n");
  expect(code).toBe(0);
});

test(
  "a broken promise says which, why it matters and what was, and fails the command",
  patience,
  async () => {
    const { code, stdout } = await fanout(["certify", "./broken.mjs"], {}, cwd);
    expect(code).toBe(1);
    expect(stdout).toContain("honest: certified (27 kept, 0 broken, 0 skipped)");
    expect(stdout).toContain("honest: not certified (26 kept, 1 broken, 0 skipped)");
    expect(stdout).toContain(
      "  ✗ 413 is refused, so that the core halves the request\n" +
        "      why: Who waits after 413 waits for ever; who gives up loses the records that would have fitted.\n" +
        "      was: after 413 an item is transient, not refused",
    );
  },
);

test(
  "the document holds every case with its verdict, for each sink of a folder's twin",
  patience,
  async () => {
    const { code, stdout } = await fanout(
      ["certify", path.join(root, "adapters/segment"), "--json"],
      {},
      cwd,
    );
    expect(code).toBe(0);
    const { ok, sinks }: { ok: boolean; sinks: ScoreCard[] } = JSON.parse(stdout);
    expect(ok).toBe(true);
    expect(sinks.map(({ sink }) => sink)).toEqual(["segment", "segment-groups"]);
    for (const { kept, broken, skipped, cases } of sinks) {
      expect([kept + skipped, broken]).toEqual([cases.length, 0]);
      for (const each of cases) if (each.verdict === "skipped") expect(each.reason).not.toBe("");
    }
  },
);

test.each([
  ["./nowhere.ts", "fanout: there is no file or folder ./nowhere.ts"],
  ["nobody-sink/twin", "fanout: nobody-sink/twin cannot be loaded: Cannot find package 'nobody-sink'"],
  ["./throws.mjs", "fanout: ./throws.mjs cannot be loaded: no key\n"],
  ["acme-sink", "fanout: acme-sink must export { sink, twin, secrets } as its default"],
  ["./no-sink.mjs", "fanout: the sink of ./no-sink.mjs cannot be certified: url is missing"],
  ["empty", "fanout: the folder empty holds no twin.ts, twin.mts, twin.js, twin.mjs"],
])("%s is wrong use, in one sentence", patience, async (module, sentence) => {
  const { code, stdout, stderr } = await fanout(["certify", module], {}, cwd);
  expect(stderr).toContain(sentence);
  expect(stderr.trimEnd().split("\n")).toHaveLength(1);
  expect([code, stdout]).toEqual([2, ""]);
});
