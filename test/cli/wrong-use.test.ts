import { mkdir, mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fanout } from "../support/fanout.ts";

// Every test starts processes; on two busy cores each needs a second or two.
const patience = { timeout: 60_000 };

let cwd: string;
beforeAll(async () => {
  cwd = await mkdtemp(path.join(os.tmpdir(), "fanout-wrong-use-"));
  await mkdir(path.join(cwd, "bucket/Data"), { recursive: true });
});
afterAll(() => rm(cwd, { recursive: true, force: true }));

/** Nothing here comes so far as to send a request. */
const env = (more: Readonly<Record<string, string>> = {}) => ({
  SINKS: "segment",
  SEGMENT_WRITE_KEY: "key",
  ...more,
});

describe("wrong use", () => {
  test.each([
    ["no command", [], /Usage: fanout/],
    ["an unknown command", ["fly"], /unknown command 'fly'/],
    ["no path", ["run"], /missing required argument/],
    ["a path that is not there", ["run", "nowhere"], /there is no file or folder at .*nowhere/],
    ["an unknown scheme", ["run", "gs://bucket"], /has the scheme gs, known are s3:\/\/ and file:\/\//],
    ["an unknown sink", ["run", "bucket", "--sinks", "segment,pigeon"], /there is no sink named "pigeon"/],
    ["a deadline that is none", ["run", "bucket", "--deadline", "soon"], /--deadline must be a number/],
    ["a deadline that no timer holds", ["run", "bucket", "--deadline", "1e9"], /--deadline must be a number/],
    [
      "an option without its value",
      ["run", "bucket", "--sinks"],
      /^fanout: option '--sinks <names>' argument missing/,
    ],
    ["one path too many", ["run", "bucket", "more"], /too many arguments/],
    [
      "a configuration that is not there",
      ["run", "bucket", "--config", "x.ts"],
      /no configuration file at .*x\.ts/,
    ],
  ])("%s: exit 2 and one sentence", patience, async (_name, args, sentence) => {
    const { code, stdout, stderr } = await fanout(args, env(), cwd);
    expect(code).toBe(2);
    expect(stderr).toMatch(sentence);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(stdout).toBe("");
  });

  test("books around the input, which would hide all of it: exit 2 and one sentence", patience, async () => {
    for (const places of [{ RECEIPTS: "." }, { DEAD_LETTERS: "bucket" }]) {
      const { code, stdout, stderr } = await fanout(["run", "bucket/Data"], env(places), cwd);
      expect(stderr).toMatch(
        /^fanout: file:\S+\/bucket\/Data\/ is below file:\S+, where receipts or dead letters/,
      );
      expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    }
  });

  test("missing secrets: exit 2 and one sentence each that names the variable", patience, async () => {
    const { code, stderr } = await fanout(["run", "bucket"], { SINKS: "segment,mixpanel" }, cwd);
    expect(code).toBe(2);
    expect(stderr).toBe(
      "fanout: SEGMENT_WRITE_KEY is not set; the sink segment needs it\nfanout: MIXPANEL_TOKEN is not set; the sink mixpanel needs it\n",
    );
  });
});
