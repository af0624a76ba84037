import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { breaches, importsOf } from "./walls.ts";

const root = path.join(import.meta.dirname, "..", "..");

function repository(): Map<string, string> {
  const folders = readdirSync(root, { withFileTypes: true }).filter((entry) =>
    ["src", "adapters", "config", "infra"].includes(entry.name),
  );
  const files = folders.flatMap(({ name }) =>
    readdirSync(path.join(root, name), { recursive: true, encoding: "utf8" }).map((file) =>
      path.join(name, file),
    ),
  );
  return new Map(
    files
      .filter((file) => file.endsWith(".ts"))
      .sort()
      .map((file) => [file.split(path.sep).join("/"), readFileSync(path.join(root, file), "utf8")]),
  );
}

test("the repository's own walls stand", () => {
  const sources = repository();
  expect(sources.has("src/index.ts")).toBe(true);
  expect(breaches(sources)).toEqual([]);
});

test("what is allowed is no breach", () => {
  const sources = {
    "src/worker.ts": 'import { a } from "./event.ts";\nimport fs from "node:fs";\nimport { z } from "zod";',
    "src/event.ts": 'import type { B } from "./worker.ts";\n/**\n * import x from "../config/a.ts"\n */',
    "src/store/s3.ts": 'const sdk = await import("@aws-sdk/client-s3");',
    "src/lambda/worker.ts": 'import { Logger } from "@aws-lambda-powertools/logger";',
    "src/queues/messages.ts": 'import type { SQSClient } from "@aws-sdk/client-sqs";',
    "src/cli/main.ts": "const { SINKS } = process.env;",
    "adapters/a/index.ts": 'import { send } from "./send.ts";\nimport v from "vendor";',
    "adapters/a/send.ts": 'import type { Sink } from "../../src/index.ts";',
    "adapters/a/twin.ts": 'import { serveTwin } from "../../src/testing/index.ts";',
    "config/fanout.config.ts": 'import { a } from "../adapters/a/index.ts";\nprocess.env["A"];',
    "infra/functions/worker.ts": 'import config from "../../config/fanout.config.ts";\nprocess.env.A;',
  };
  expect(breaches(new Map(Object.entries(sources)))).toEqual([]);
});

test.each([
  ["src/a.ts", 'import { sink } from "../adapters/a/index.ts";'],
  ["src/a.ts", 'import type { Config } from "../config/fanout.config.ts";'],
  ["src/a.ts", 'export * from "../infra/app.ts";'],
  ["src/a.ts", 'export { x } from "../test/support/s3-twin.ts";'],
  ["src/a.ts", 'const { generateObjects } = await import("../samples/generate.ts");'],
  ["src/a.ts", 'import "../bench/a.ts";'],
  ["src/a.ts", 'import {\n  a,\n  b,\n} from "../config/a.ts";'],
  ["src/a.ts", 'import def, { a } from "../config/a.ts";'],
  ["src/a.ts", 'export type { A } from "../config/a.ts";'],
  ["src/a.ts", 'type A = import("../config/a.ts").A;'],
  ["src/a.ts", 'import { createWorker } from "firehose-fanout";'],
  ["adapters/a/index.ts", 'import { b } from "../b/index.ts";'],
  ["adapters/a/index.ts", 'import { lane } from "../../src/delivery/lane.ts";'],
  ["adapters/a/index.ts", 'import { shared } from "../shared.ts";'],
  ["adapters/a/index.ts", 'import config from "../../config/fanout.config.ts";'],
  ["adapters/a/index.ts", 'import type { Twin } from "../../src/testing/index.ts";'],
  ["adapters/a/index.ts", 'import subject from "./twin.ts";'],
  ["adapters/a/twin.ts", 'import { s3Twin } from "../../test/support/s3-twin.ts";'],
  ["config/a.ts", 'import { app } from "../infra/app.ts";'],
  ["infra/app.ts", 'import { generateObjects } from "../samples/generate.ts";'],
])("the wall holds against %s: %s", (file, text) => {
  expect(breaches(new Map([[file, text]]))).toHaveLength(1);
});

test.each([
  ["src/worker.ts", 'import { S3Client } from "@aws-sdk/client-s3";'],
  ["src/store/folder.ts", 'import type { S3Client } from "@aws-sdk/client-s3";'],
  ["src/log.ts", 'import { Logger } from "@aws-lambda-powertools/logger";'],
  ["src/intake/notification.ts", 'import type { S3Event } from "aws-lambda";'],
])("AWS stays where it belongs: %s, %s", (file, text) => {
  expect(breaches(new Map([[file, text]]))).toHaveLength(1);
});

test.each([
  ["src/worker.ts", "const host = process.env.HOST;"],
  ["src/cli/run.ts", 'const host = process.env["HOST"];'],
  ["src/lambda/worker.ts", 'const { HOST } = process["env"];'],
  ["adapters/segment/index.ts", 'import { env } from "node:process";'],
  ["infra/pipeline.ts", "const all = { ...process.env };"],
])("nobody else reads the environment: %s, %s", (file, text) => {
  expect(breaches(new Map([[file, text]]))).toHaveLength(1);
});

test("a cycle that exists at run time is shown whole, through lazy and renamed imports too", () => {
  const sources = new Map([
    ["src/a.ts", 'import { b } from "./b.ts";'],
    ["src/b.ts", 'export * from "./deep/c.ts";'],
    ["src/deep/c.ts", 'const lazy = () => import("../a.ts");'],
  ]);
  expect(breaches(sources)).toEqual(["a cycle: src/a.ts → src/b.ts → src/deep/c.ts → src/a.ts"]);
});

test("an import of types alone closes no cycle, an inline type does", () => {
  const cycle = (second: string) =>
    breaches(
      new Map([
        ["src/a.ts", 'import { b } from "./b.ts";'],
        ["src/b.ts", second],
      ]),
    );
  expect(cycle('import type { A } from "./a.ts";')).toEqual([]);
  expect(cycle('export type { A } from "./a.ts";')).toEqual([]);
  // `verbatimModuleSyntax` keeps the statement as `import {} from`, so the module loads.
  expect(cycle('import { type A } from "./a.ts";')).toEqual(["a cycle: src/a.ts → src/b.ts → src/a.ts"]);
});

test("a string that looks like an import is none, and an exported string is none", () => {
  expect(importsOf("src/a.ts", 'export const name = "x";\nexport const list = ["./a.ts"];')).toEqual([]);
});
