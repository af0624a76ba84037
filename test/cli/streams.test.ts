import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { serveTwin, type TwinHandler } from "../../src/testing/index.ts";
import { fanout } from "../support/fanout.ts";
import { createS3Twin } from "../support/s3-twin.ts";

// Every test starts processes; on two busy cores each needs a second or two.
const patience = { timeout: 60_000 };
const event = (id: number) =>
  JSON.stringify({
    metric_name: "scan_completed",
    metadata: { tenant_id: "acme", event_id: `e${id}` },
    data: { event_time: "2026-11-20T09:30:00Z", findings: id },
  });

let cwd: string;
beforeEach(async () => {
  cwd = await mkdtemp(path.join(os.tmpdir(), "fanout-streams-"));
  await mkdir(path.join(cwd, "in"));
  await mkdir(path.join(cwd, "empty"));
  await writeFile(path.join(cwd, "in/batch"), [event(1), event(2)].join("\n"));
});
afterEach(() => rm(cwd, { recursive: true, force: true }));

const env = { SINKS: "file" };

/** A configuration of one sink that takes everything, with these further members; they are JavaScript. */
const configured = (members: string, first = "") =>
  writeFile(
    path.join(cwd, "fanout.config.mjs"),
    `${first}
    const limits = { itemsPerRequest: 1, bytesPerRequest: 1e6, bytesPerItem: 1e5, concurrency: 1 };
    export default () => ({
      sinks: [{
        name: "own",
        limits,
        encode: () => ({ payload: 1, bytes: 1 }),
        send: async () => ({ status: "delivered" }),
        ${members}
      }],
      receipts: "books",
      deadLetters: "letters",
    });`,
  );

describe("stdout", () => {
  test(
    "holds one document and nothing else with --json, whatever configuration and sink say",
    patience,
    async () => {
      await configured(
        'close() { console.info("closed"); }, encode() { console.log("sink"); return { payload: 1, bytes: 1 }; },',
        'console.log("loading");',
      );
      const { code, stdout, stderr } = await fanout(["run", "in", "--json"], {}, cwd);
      expect(code).toBe(0);
      expect(stdout.split("\n")).toEqual([expect.stringMatching(/^\{"objects":1,.*\}$/), ""]);
      expect(JSON.parse(stdout)).toMatchObject({ records: 2, sinks: { own: { delivered: 2 } } });
      expect(stderr).toBe("loading\nsink\nsink\nclosed\n");
    },
  );

  test("holds the help that was asked for, except with --json", patience, async () => {
    for (const args of [["--help"], ["run", "--help"], ["help", "run"]]) {
      const { code, stdout, stderr } = await fanout(args, {}, cwd);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(stdout).toContain("Usage: fanout");
      for (const line of stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(80);
    }
    const quiet = await fanout(["run", "--json", "--help"], {}, cwd);
    expect({ code: quiet.code, stdout: quiet.stdout }).toEqual({ code: 0, stdout: "" });
  });

  test("has no colours and no bar in a file", patience, async () => {
    const { code, stdout, stderr } = await fanout(["run", "in"], env, cwd);
    expect(code).toBe(0);
    expect(stdout).toContain("│ file │     2 │");
    expect(stdout + stderr).not.toContain("\u001b");
    expect(stderr).toBe("");
  });

  const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
  const inShell = (command: string) =>
    new Promise<{ code: number; stderr: string }>((resolve) => {
      const options = { cwd, env: { PATH: process.env["PATH"], SINKS: "file" } };
      const script = command.replace("fanout", `"${process.execPath}" "${main}"`);
      const child = execFile("bash", ["--norc", "-c", script], options, (_error, _stdout, stderr) =>
        resolve({ code: child.exitCode ?? -1, stderr }),
      );
    });

  test(
    "that was closed early, as head does, is no failure; one that is full is, in one sentence",
    patience,
    async () => {
      const closed = "fanout run in --json | (exec 0<&-; wait); exit $PIPESTATUS";
      expect(await inShell(closed)).toEqual({ code: 0, stderr: "" });
      expect(await inShell("fanout run in --json > /dev/full")).toEqual({
        code: 1,
        stderr: "fanout: the report could not be written: ENOSPC\n",
      });
    },
  );
});

describe("closing", () => {
  test("a sink that does not close is a warning: the report is as it was", patience, async () => {
    await configured('close: () => Promise.reject(new Error("the socket is stuck")),');
    const { code, stdout, stderr } = await fanout(["run", "in", "--json"], {}, cwd);
    expect(stderr).toBe("fanout: a sink did not close: the socket is stuck\n");
    expect(JSON.parse(stdout)).toMatchObject({
      records: 2,
      balanced: true,
      sinks: { own: { delivered: 2 } },
    });
    expect(code).toBe(0);
  });

  test("a sink that leaves a timer behind does not hold the process", patience, async () => {
    await configured("close() { setInterval(() => {}, 1000); },");
    const { code, stdout } = await fanout(["run", "in", "--json"], {}, cwd);
    expect(code).toBe(0);
    expect(JSON.parse(stdout).sinks.own.delivered).toBe(2);
  });
});

describe("a place without any object", () => {
  const nothing = { objects: 0, records: 0, balanced: true, sinks: { file: { valid: 0 } } };

  test("is a warning that says where was looked, a report of nothing, and exit 0", patience, async () => {
    const { code, stdout, stderr } = await fanout(["run", "empty", "--json"], env, cwd);
    expect(stderr).toBe(
      `fanout: no object was found at file://${cwd}/empty/ (dead letters and receipts are never input)\n`,
    );
    expect(JSON.parse(stdout)).toMatchObject(nothing);
    expect(code).toBe(0);
    expect(await fanout(["run", "in", "--json"], env, cwd)).toMatchObject({ code: 0, stderr: "" });
  });

  const s3 = createS3Twin({ buckets: ["events"] });
  s3.put("events", "2026/a", event(1));
  const inS3 = async (address: string, handle: TwinHandler) => {
    const served = await serveTwin(handle);
    try {
      const aws = {
        AWS_REGION: "eu-west-1",
        AWS_ACCESS_KEY_ID: "AKIDEXAMPLE",
        AWS_SECRET_ACCESS_KEY: "SECRET-MARKER",
        AWS_ENDPOINT_URL_S3: served.url,
      };
      return await fanout(["run", address, "--json"], { ...env, ...aws }, cwd);
    } finally {
      await served.close();
    }
  };

  test("is the same in S3", patience, async () => {
    const { code, stdout, stderr } = await inS3("s3://events/2025/", s3.handle);
    expect(stderr).toMatch(/^fanout: no object was found at s3:\/\/events\/2025\/ [^\n]*\n$/);
    expect(JSON.parse(stdout)).toMatchObject(nothing);
    expect(code).toBe(0);
  });

  test(
    "is not a bucket that does not exist, or is denied: one sentence, exit 2 and 1",
    patience,
    async () => {
      for (const address of ["s3://missing", "s3://missing/2026/", "s3://missing/2026/a"]) {
        const { code, stdout, stderr } = await inS3(address, s3.handle);
        expect(stderr).toMatch(/^fanout: listing s3:\/\/missing\/[^\n]*: there is no such bucket\n$/);
        expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
      }
      const denied = () =>
        new Response("<Error><Code>AccessDenied</Code><Message>SECRET-MARKER</Message></Error>", {
          status: 403,
        });
      for (const address of ["s3://events", "s3://events/2026/a"]) {
        const { code, stdout, stderr } = await inS3(address, denied);
        expect(stderr).toMatch(/^fanout: [^\n]*s3:\/\/events\/[^\n]*HTTP 403[^\n]*\n$/);
        expect(stderr).not.toContain("SECRET-MARKER");
        expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      }
    },
  );
});
