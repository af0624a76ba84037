import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { version } from "../src/version.ts";

test("the version that requests and the command tell is the package's", () => {
  const text = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  expect(JSON.parse(text)).toMatchObject({ version });
});
