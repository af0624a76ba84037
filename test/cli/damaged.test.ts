// What an operator's commands say when a part of the stores cannot be read, or a sink is there no more.
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fanout } from "../support/fanout.ts";
import { serveVendors, type Vendors } from "../support/vendors.ts";

const patience = { timeout: 60_000 };
let cwd: string;
let vendors: Vendors;
let env: Record<string, string>;

beforeAll(async () => {
  cwd = await mkdtemp(path.join(os.tmpdir(), "fanout-damaged-"));
  vendors = await serveVendors();
  env = { ...vendors.env, SINKS: "segment,segment-groups,mixpanel" };
  await mkdir(path.join(cwd, "in"));
  await mkdir(path.join(cwd, "in/Error/processing-failed"), { recursive: true });
  const record = {
    metric_name: "scan_completed",
    metadata: { tenant_id: "acme", tenant_name: "Acme", event_id: "e1" },
    data: { event_time: new Date().toISOString() },
  };
  await writeFile(path.join(cwd, "in/batch-1"), JSON.stringify(record));
  await writeFile(path.join(cwd, "in/Error/processing-failed/batch-2"), "{}");
  // Segment refuses for good, Mixpanel is down: letters of two sinks, and a deferral.
  vendors.faults.segment = { kind: "status", status: 400 };
  vendors.faults.mixpanel = { kind: "status", status: 403, body: "{}" };
  expect((await fanout(["run", "in"], env, cwd)).code).toBe(3);
}, 60_000);
afterAll(async () => {
  await vendors.close();
  await rm(cwd, { recursive: true, force: true });
});

test("an exact name wins, also of a sink that is configured no more", patience, async () => {
  const without = { ...env, SINKS: "segment-groups,mixpanel" };
  const list = async (sink: string) => {
    const { stdout } = await fanout(["dlq", "list", "--sink", sink, "--json"], without, cwd);
    return JSON.parse(stdout).causes.map((cause: { sink: string }) => cause.sink);
  };
  expect(await list("segment")).toEqual(["segment"]);
  const args = ["dlq", "drop", "--sink", "segment", "--reason", "it is retired", "--json"];
  const { code, stderr } = await fanout(args, without, cwd);
  expect({ code, stderr }).toMatchObject({
    code: 0,
    stderr: expect.stringContaining("--sink segment is no sink"),
  });
  expect(await list("segment-groups")).toEqual(["segment-groups"]);
});

test("what the stream's transform refused is no object that books must know", patience, async () => {
  const { code, stdout } = await fanout(["books", "--in", "in", "--json"], env, cwd);
  expect(JSON.parse(stdout)).toMatchObject({ unknownObjects: { count: 0 } });
  expect(code).toBe(0);
});

describe("a deferral that is damaged", () => {
  const folder = () => path.join(cwd, ".fanout/receipts/deferrals/sink=mixpanel");
  let id = "";
  beforeAll(async () => {
    const [name = ""] = await readdir(folder());
    id = `${name.slice(0, 10)}-mixpanel`;
    await writeFile(path.join(folder(), name), '{"broken');
  });

  test.each([
    ["drop", ["drop", "--stage", "pending", "--reason", "x"]],
    ["drop --dry-run", ["drop", "--stage", "pending", "--reason", "x", "--dry-run"]],
    ["replay --dry-run", ["replay", "--dry-run"]],
  ])("is named by %s, which fails", patience, async (_, args) => {
    const { code, stdout, stderr } = await fanout(["dlq", ...args], env, cwd);
    expect(`${stdout}${stderr}`).toContain("sink=mixpanel/");
    expect(code).toBe(1);
  });

  test("is named beside an id that nothing else has", patience, async () => {
    const { code, stderr } = await fanout(["dlq", "show", id], env, cwd);
    expect(code).not.toBe(0);
    expect(stderr).toContain("sink=mixpanel/");
    expect(stderr).toContain("of what can be read");
  });

  test("so is one whose time no date can have", patience, async () => {
    const [name = ""] = await readdir(folder());
    const deferral = { sink: "mixpanel", nextAttemptAt: 8_640_000_000_000_001 };
    await writeFile(path.join(folder(), name), JSON.stringify(deferral));
    const { code, stderr } = await fanout(["dlq", "list", "--json"], env, cwd);
    expect(stderr).toContain("sink=mixpanel/");
    expect(stderr).not.toContain("RangeError");
    expect(code).toBe(1);
  });
});
