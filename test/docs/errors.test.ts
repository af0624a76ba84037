import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { rowsOf } from "./table.ts";

const root = path.join(import.meta.dirname, "..", "..");

test("what docs/errors.md quotes of pending reasons is what the sources say", () => {
  const page = readFileSync(path.join(root, "docs/errors.md"), "utf8");
  const [chapter = ""] = /^## What pending records wait for\n.*?(?=^## |<!--)/ms.exec(page) ?? [];
  const quoted = rowsOf(chapter)
    .flatMap(({ cells: [reason = ""] }) => [...reason.matchAll(/`([^`]+)`/g)].map(([, words]) => words ?? ""))
    // Single words are a status, or a code of the system's.
    .filter((words) => words.includes(" "));
  expect(quoted.length).toBeGreaterThan(9);
  // A status in a sentence comes from a template.
  const said = sources().replace(/\$\{[^}]*\}/g, "0");
  expect(quoted.filter((words) => !said.includes(words.replace(/\d+/g, "0")))).toEqual([]);
});

function sources(): string {
  return ["src", "adapters"]
    .flatMap((folder) =>
      readdirSync(path.join(root, folder), { recursive: true, encoding: "utf8" }).map((file) =>
        path.join(root, folder, file),
      ),
    )
    .filter((file) => file.endsWith(".ts") && !file.endsWith("twin.ts"))
    .map((file) => readFileSync(file, "utf8"))
    .join("\n");
}
