import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { type FailureCode, failureAdvice } from "../../src/lambda/failures.ts";

test("every code that the handler gives by itself is in the table", () => {
  const sources = ["lambda/worker.ts", "intake/no-work.ts"].map((file) =>
    readFileSync(new URL(`../../src/${file}`, import.meta.url), "utf8"),
  );
  const given = [...sources.join("\n").matchAll(/code: "([A-Z_]+)"/g)].map(([, code]) => code ?? "");
  expect(new Set(given)).toEqual(
    new Set<FailureCode>(["OUT_OF_TIME", "OWN_BUCKET", "MALFORMED", "UNEXPECTED"]),
  );
  for (const code of given) expect(failureAdvice).toHaveProperty(code);
});

test("the table says in sentences what a code means and what to do", () => {
  for (const { meaning, action } of Object.values(failureAdvice)) {
    for (const sentence of [meaning, action]) expect(sentence).toMatch(/^[A-Z].+\.$/);
  }
});
