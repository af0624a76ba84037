// Whatever docs/faults.md says to be proven is proven: each test that it names is there, under that name.
import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { rowsOf } from "./table.ts";
import { titlesByFile } from "./titles.ts";

const root = path.join(import.meta.dirname, "..", "..");
const page = readFileSync(path.join(root, "docs/faults.md"), "utf8");
const [proven = "", unproven = ""] = page.split(/^## Without a test, and why$/m);
const titles = titlesByFile(root);

/** `file` › `group` › `title` › `case`, of which groups and case may be missing. */
function testsIn(cell: string): string[][] {
  return cell.split("<br>").map((one) => [...one.matchAll(/`([^`]+)`/g)].map(([, name = ""]) => name));
}

/** What is wrong with the name of a test, or undefined. */
function faultOf([file = "", ...names]: readonly string[], source = sourceOf(file)): string | undefined {
  const all = titles.get(file);
  if (all === undefined || names.length === 0)
    return `${file} is no file of tests, or no title stands behind it`;
  const has = (wanted: readonly string[]) =>
    all.some((title) => title === wanted.join(" > ") || title.endsWith(` > ${wanted.join(" > ")}`));
  if (has(names)) return undefined;
  const [name = "", ...groups] = names.toReversed();
  if (groups.length === 0 || !has(groups.toReversed())) return `${file} has no test ${names.join(" > ")}`;
  // A case is one of the words that its test is given.
  const isCase = ['"', "'", "`"].some((quote) => source.includes(`${quote}${name}${quote}`));
  return isCase ? undefined : `${file} has no case ${name}`;
}

function sourceOf(file: string): string {
  return titles.has(file) ? readFileSync(path.join(root, file), "utf8") : "";
}

test("docs/faults.md: every test that a row names exists under that name", () => {
  const rows = rowsOf(proven);
  expect(rows.length).toBeGreaterThan(150);
  const wrong = rows.flatMap(({ line, cells }) => {
    const named = testsIn(cells[2] ?? "");
    const faults = named.map((names) => faultOf(names)).filter((fault) => fault !== undefined);
    return faults.map((fault) => `line ${line}: ${fault}`);
  });
  expect(wrong).toEqual([]);
});

test("docs/faults.md: every row has a fault, an outcome and a test, or a reason for having none", () => {
  const blank = (cells: readonly string[], count: number) =>
    cells.length !== count || cells.some((cell) => cell === "");
  expect(rowsOf(proven).filter(({ cells }) => blank(cells, 3))).toEqual([]);
  expect(rowsOf(unproven).length).toBeGreaterThan(10);
  expect(rowsOf(unproven).filter(({ cells }) => blank(cells, 2))).toEqual([]);
});

test("docs/faults.md: every code in it is a code of docs/errors.md", () => {
  const errors = readFileSync(path.join(root, "docs/errors.md"), "utf8");
  const outcomes = rowsOf(proven).map(({ cells: [, outcome = ""] }) => outcome);
  const codes = outcomes.flatMap((outcome) => [...outcome.matchAll(/\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b/g)]);
  expect(codes.length).toBeGreaterThan(40);
  expect(codes.map(([code]) => code).filter((code) => !errors.includes(`\`${code}\``))).toEqual([]);
});

test("a test that was renamed, a case that is gone and a file that moved are seen", () => {
  const file = "test/docs/faults.test.ts";
  const title = "docs/faults.md: every test that a row names exists under that name";
  expect(faultOf([file, title])).toBeUndefined();
  expect(faultOf([file, title.slice(1)])).toContain("has no test");
  expect(faultOf([file, "another group", title])).toContain("has no test");
  expect(faultOf([file, title, "no such case".toUpperCase()])).toContain("has no case");
  expect(faultOf([file])).toContain("no title");
  expect(faultOf(["test/docs/moved.test.ts", title])).toContain("no file of tests");
});
