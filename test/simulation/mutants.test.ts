import { describe, expect, test } from "vitest";
import { catchAll, tableOfCatches } from "./catch.ts";
import { mutants, rewrite } from "./mutants.ts";

describe("deliberate defects", () => {
  test("are all caught, from whatever seed the hunt begins", async () => {
    const catches = await catchAll();
    process.stdout.write(`${tableOfCatches(catches)}`);
    expect(catches.filter(({ missed }) => missed > 0).map(({ name }) => name)).toEqual([]);
    expect(catches.length).toBeGreaterThan(mutants.length);
  }, 120_000);

  test("stop when the line that they replace is not there any more", () => {
    const gone = { file: "src/worker.ts", from: "no line says this", to: "" };
    expect(() => rewrite(gone)).toThrow("bring its mutant up to date");
  });
});
