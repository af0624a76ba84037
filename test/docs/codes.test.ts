// No code without advice: whatever the sources spell like a code is in a table, or it is none, and here is why.
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import fanoutConfig from "../../config/fanout.config.ts";
import { resolveConfig } from "../../src/config.ts";
import { coreRefusals } from "../../src/dead-letter/refusals.ts";
import { failureAdvice } from "../../src/lambda/failures.ts";
import { transformRefusals } from "../../src/lambda/refusals.ts";

const root = path.join(import.meta.dirname, "..", "..");

/** Words that are spelled like a code and never stand in a letter or a failure. */
const otherWords = new Map([
  ["SINK_UNAVAILABLE", "the brand of an error that leaves records pending"],
  ["Z_BUF_ERROR", "zlib's name for data that end too early"],
  ["SINKS_MISSING", "the code of an error that ends a replay, whose sentence says what to do"],
  ["RATE_LIMITS", "HubSpot's word, which leaves records pending"],
  ["INTERNAL_ERROR", "HubSpot's word, which leaves records pending"],
  ["SERVICE_UNAVAILABLE", "HubSpot's word, which leaves records pending"],
]);

/** Files and folders whose codes stand in no letter and in no failure of the worker. */
const otherFiles = new Map([
  ["src/books/problems.ts", "what fanout books finds: each has its sentence beside its code"],
  ["src/books/query.ts", "the same"],
  ["src/delivery/proxy.ts", "variables of the environment"],
  ["src/queues", "entries of queues that are not ours: each has its action beside its code"],
]);

/** Each quoted word of capitals with its file; a word without `_` only where it is the value of a `code`. */
function words(folder: string): { readonly file: string; readonly word: string }[] {
  return globSync(`${folder}/**/*.ts`, { cwd: root })
    .filter((file) => !file.startsWith("src/testing/") && path.basename(file) !== "twin.ts")
    .filter((file) => ![...otherFiles.keys()].some((place) => `${file}/`.startsWith(`${place}/`)))
    .flatMap((file) => {
      const source = readFileSync(path.join(root, file), "utf8");
      return [...source.matchAll(/(?<=code: )"([A-Z]+)"|"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)"/g)].map(
        ([, code, long]) => ({ file, word: code ?? long ?? "" }),
      );
    });
}

/** Values that every sink accepts; nothing is sent. */
const env = {
  SINKS: "file,hubspot-companies,hubspot-events,mixpanel,segment,segment-groups,timestream,webhook",
  TIMESTREAM_DATABASE: "none",
  AWS_REGION: "eu-west-1",
  SEGMENT_WRITE_KEY: "none",
  MIXPANEL_TOKEN: "none",
  HUBSPOT_ACCESS_TOKEN: "none",
  WEBHOOK_URL: "https://none.test",
  WEBHOOK_SECRET: `whsec_${"none".repeat(8)}`,
};

test("every code of the core has its advice", () => {
  const found = words("src").filter(({ word }) => !otherWords.has(word));
  expect(new Set(found.map(({ word }) => word)).size).toBeGreaterThan(25);
  const known = new Set([
    ...Object.keys(coreRefusals),
    ...Object.keys(failureAdvice),
    ...Object.keys(transformRefusals),
  ]);
  expect(found.filter(({ word }) => !known.has(word))).toEqual([]);
});

test("every code of an adapter has its advice, in a table of its own or in the core's", async () => {
  const { sinks } = await resolveConfig(fanoutConfig, { env });
  const found = words("adapters").filter(({ word }) => !otherWords.has(word));
  expect(new Set(found.map(({ word }) => word)).size).toBeGreaterThan(40);
  const without = found.filter(({ file, word }) => {
    const [, adapter = ""] = file.split("/");
    const own = sinks.filter(({ name }) => name.startsWith(adapter));
    expect(own, `a sink of adapters/${adapter}`).not.toEqual([]);
    return !(word in coreRefusals) && !own.some(({ refusals = {} }) => word in refusals);
  });
  expect(without).toEqual([]);
});

test("what is said to be no code is a word of the sources, and in no table", () => {
  const all = new Set([...words("src"), ...words("adapters")].map(({ word }) => word));
  expect([...otherWords.keys()].filter((word) => !all.has(word) || word in coreRefusals)).toEqual([]);
});
