import { Writable } from "node:stream";
import { expect, test } from "vitest";
import metrics from "../../config/metrics/index.ts";
import { catalog, renderCatalog } from "../../src/cli/catalog.ts";
import { ConfigError } from "../../src/index.ts";
import { sound } from "../routing/support.ts";

function collect() {
  const chunks: string[] = [];
  const stdout = new Writable({
    write(chunk, _encoding, done) {
      chunks.push(String(chunk));
      done();
    },
  });
  return { stdout, text: () => chunks.join("") };
}

test("the dictionary has every metric with every field, its meaning, and every name in every tool", async () => {
  const { stdout, text } = collect();
  expect(await catalog({ format: "md", stdout })).toBe(0);
  for (const { title, description, when, name, owner, dimensions, data, sinks } of metrics) {
    const chapter = text().split(`\n## ${title}\n`)[1]?.split("\n## ")[0] ?? "";
    for (const said of [description, when, `\`${name}\``, owner]) expect(chapter).toContain(said);
    for (const [field, { description: meaning, unit }] of Object.entries({ ...dimensions, ...data })) {
      const row = chapter.split("\n").find((line) => line.startsWith(`| \`${field}\` |`)) ?? "";
      expect(row).toContain(meaning);
      expect(row).toContain(unit ?? "");
    }
    for (const [sink, mapping] of Object.entries(sinks)) {
      const row = chapter.split("\n").find((line) => line.startsWith(`| ${sink} |`)) ?? "";
      for (const called of Object.keys(mapping.properties ?? { [mapping.name ?? name]: "" })) {
        expect(row).toContain(called);
      }
    }
  }
});

test("personal data is marked, with who sees it and who does not", () => {
  const text = renderCatalog([sound]);
  expect(text).toMatch(/\| `who` \|.*\| yes, seen by lake only \|/);
  expect(text).toContain("| board | Door Opened | `who` |");
  expect(text).toContain("| lake | `door_opened` |  |");
});

test("a table is a table whatever the words are", () => {
  const text = renderCatalog([{ ...sound, title: "A | B_c", description: "one\n| two | `three` <b>" }]);
  const rows = text.split("\n").filter((line) => line.startsWith("|"));
  for (const row of rows) expect(row.match(/(?<!\\)\|/g)?.length).toBeGreaterThanOrEqual(3);
  expect(text).toContain("one \\| two \\| \\`three\\` \\<b\\>");
});

test("--json is the catalog itself", async () => {
  const { stdout, text } = collect();
  expect(await catalog({ format: "json", stdout })).toBe(0);
  expect(JSON.parse(text())).toEqual({ metrics: JSON.parse(JSON.stringify(metrics)) });
});

test("a folder without metrics is told", async () => {
  const { stdout } = collect();
  await expect(catalog({ folder: "docs", format: "md", stdout })).rejects.toBeInstanceOf(ConfigError);
});
