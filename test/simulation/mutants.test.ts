import { describe, expect, test } from "vitest";
import { catchAll, starts, tableOfCatches } from "./catch.ts";
import { mutants, rewrite } from "./mutants.ts";

describe("deliberate defects", () => {
  test("are all caught, from whatever seed the hunt begins", async () => {
    // `npm run simulate -- --mutants` hunts from all of them.
    const some = starts.slice(0, 2);
    const catches = await catchAll(some);
    process.stdout.write(tableOfCatches(catches, some));
    expect(catches.filter(({ missed }) => missed > 0).map(({ name }) => name)).toEqual([]);
    expect(catches.length).toBeGreaterThan(mutants.length);
  }, 120_000);

  test("stop when the line that they replace is not there any more", () => {
    const gone = { file: "src/worker.ts", from: "no line says this", to: "" };
    expect(() => rewrite(gone)).toThrow("bring its mutant up to date");
  });
});
