import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import metrics from "../../config/metrics/index.ts";
import { ConfigError, loadCatalog, packedCatalog } from "../../src/index.ts";
import { sound } from "./support.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "fanout-catalog-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

const load = async () => await loadCatalog(pathToFileURL(`${folder}${path.sep}`));
const write = (name: string, text: string) => writeFile(path.join(folder, name), text);
const problems = async () => {
  const error = await load().catch((thrown: unknown) => thrown);
  if (error instanceof ConfigError) return error.problems;
  throw error;
};

test("the six metrics that ship are there, each in the file of its name", async () => {
  const files = (await readdir("config/metrics")).filter((name) => name !== "index.ts");
  expect(metrics.map(({ name }) => `${name}.ts`)).toEqual(files.sort());
  expect(metrics).toHaveLength(6);
});

test("a seventh metric is one file more, and nothing else", async () => {
  const repository = path.join(folder, "repository");
  await mkdir(path.join(repository, "config"), { recursive: true });
  await cp("config/metrics", path.join(repository, "config/metrics"), { recursive: true });
  await cp("src", path.join(repository, "src"), { recursive: true });
  await cp("package.json", path.join(repository, "package.json"));
  await cp("node_modules/zod", path.join(repository, "node_modules/zod"), { recursive: true });
  const text = `export default ${JSON.stringify(sound)};`;
  await writeFile(path.join(repository, "config/metrics/door_opened.ts"), text);
  const all = await loadCatalog(pathToFileURL(path.join(repository, "config/metrics/")));
  expect(all.map(({ name }) => name)).toEqual([...metrics.map(({ name }) => name), "door_opened"].sort());
});

test("what is no module of its own is left alone: the index, declarations, other files", async () => {
  await write("door_opened.js", `export default ${JSON.stringify(sound)};`);
  await write("index.js", "throw new Error('not a metric')");
  await write("door_opened.d.ts", "export {}");
  await write("notes.md", "# notes");
  expect(await load()).toEqual([sound]);
});

test("every problem of every file is told, those of files that do not load, too", async () => {
  await write("door_opened.js", `export default ${JSON.stringify({ ...sound, owner: "" })};`);
  await write("broken.js", "export default {");
  await write("empty.js", "export const metric = 1;");
  const told = (await problems()).join("\n");
  expect(told).toMatch(/broken\.js: it cannot be loaded: \S/);
  expect(told).toMatch(/door_opened\.js: door_opened: owner: must not be empty/);
  expect(told).toMatch(/empty\.js: its default export must be defineMetric\(…\)/);
});

test("a folder without a metric, and one that is not there, are told", async () => {
  expect(await problems()).toEqual([expect.stringContaining("holds no metric")]);
  await rm(folder, { recursive: true });
  expect(await problems()).toEqual([expect.stringContaining("holds no metric")]);
  await mkdir(folder);
});

test("a bundle's packed catalog is the catalog, checked like the files", async () => {
  await write(packedCatalog, JSON.stringify(metrics));
  expect(await load()).toEqual(metrics);
  await write(packedCatalog, JSON.stringify([{ ...sound, tenantId: "$.nowhere" }]));
  expect(await problems()).toEqual([
    "catalog.json, entry 1: door_opened: tenantId: the sample has nothing at $.nowhere: correct the path, or add the value to the sample",
  ]);
});
