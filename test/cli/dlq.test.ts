// The operator's commands in processes of their own: what they print, how they end, and what a kill leaves.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { currentReceipts } from "../../src/books/books.ts";
import { visitLetters } from "../../src/dead-letter/query.ts";
import { stableUuid } from "../../src/delivery/ids.ts";
import { openStore } from "../../src/store/open.ts";
import { seededRandom } from "../../src/testing/index.ts";
import { fanout, startFanout } from "../support/fanout.ts";
import { serveVendors, type Vendors } from "../support/vendors.ts";

// Every test starts processes; on two busy cores each needs a second or two.
const patience = { timeout: 120_000 };
const objects = 8;
const records = 40;
const all = objects * records;
const writeKey = "a-secret-write-key";

let cwd: string;
let vendors: Vendors;
let env: Record<string, string>;
beforeEach(async () => {
  cwd = await mkdtemp(path.join(os.tmpdir(), "fanout-dlq-"));
  vendors = await serveVendors();
  env = { ...vendors.env, SINKS: "segment", SEGMENT_WRITE_KEY: writeKey };
  await mkdir(path.join(cwd, "in"));
  for (let object = 0; object < objects; object++) {
    const lines = Array.from({ length: records }, (_, index) =>
      JSON.stringify({
        metric_name: "scan_completed",
        metadata: { tenant_id: `tenant-${index % 2}`, event_id: `e${object}-${index}` },
        data: { event_time: new Date().toISOString() },
      }),
    );
    await writeFile(path.join(cwd, `in/batch-${object}`), lines.join("\n"));
  }
});
afterEach(async () => {
  await vendors.close();
  await rm(cwd, { recursive: true, force: true });
});

const stores = () => ({
  receipts: openStore(path.join(cwd, ".fanout/receipts")),
  deadLetters: openStore(path.join(cwd, ".fanout/dead-letters")),
});

/** Segment refuses every record: all of them are dead letters. */
async function refuseAll(): Promise<void> {
  vendors.faults.segment = { kind: "status", status: 400 };
  const { code, stderr } = await fanout(["run", "in", "--json"], env, cwd);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  delete vendors.faults.segment;
}

const dlq = async (...args: string[]) => {
  const { code, stdout, stderr } = await fanout(["dlq", ...args, "--json"], env, cwd);
  return { code, stderr, report: stdout === "" ? undefined : JSON.parse(stdout) };
};

/** The events that are dead letters now. */
async function waiting(): Promise<Set<string>> {
  const ids = new Set<string>();
  await visitLetters(stores(), {}, async (_, letters) => {
    for await (const { event } of letters) ids.add(event?.id ?? "");
  });
  return ids;
}

const eventIds = Array.from(
  { length: all },
  (_, index) => `e${Math.floor(index / records)}-${index % records}`,
);
/** As Segment's adapter derives it. */
const messageId = (id: string) => stableUuid(`tenant-${Number(id.split("-")[1]) % 2}`, "scan_completed", id);

interface AuditFile {
  readonly outcome?: string;
  readonly id?: string;
  readonly who?: string;
  readonly given?: object;
  readonly counts?: Record<string, number>;
}

async function audits(what: "begun" | "ended"): Promise<AuditFile[]> {
  const folder = path.join(cwd, ".fanout/dead-letters/audit");
  const files = await readdir(folder, { recursive: true }).catch(() => []);
  const names = files.filter((file) => file.endsWith(`.${what}.json`)).sort();
  return await Promise.all(
    names.map(async (name) => JSON.parse(await readFile(path.join(folder, name), "utf8"))),
  );
}

describe("fanout dlq", () => {
  test("lists, shows, plans, replays exactly that, and the books say 100 %", patience, async () => {
    await refuseAll();
    const list = await dlq("list");
    expect(list).toMatchObject({
      code: 0,
      stderr: "",
      report: { letters: all, pending: 0, damagedFiles: 0 },
    });
    const [cause] = list.report.causes;
    expect(cause).toMatchObject({
      sink: "segment",
      code: "HTTP_400",
      count: all,
      tenants: { "tenant-0": all / 2, "tenant-1": all / 2 },
      action: expect.stringMatching(/./),
    });

    const shown = await dlq("show", cause.example);
    expect(shown.report).toMatchObject({ id: cause.example, code: "HTTP_400", today: [{ status: "sent" }] });
    expect(JSON.parse(shown.report.record).metric_name).toBe("scan_completed");
    expect(JSON.stringify(shown.report)).not.toContain(writeKey);

    const plan = await dlq("plan", "--tenant", "tenant-1", "--out", "plan.json");
    expect(plan.report.classes).toMatchObject([{ letters: all / 2, passes: all / 2, fails: 0 }]);
    const before = vendors.requests.segment;
    const dry = await dlq("replay", "--plan", "plan.json", "--dry-run");
    expect(dry).toMatchObject({ code: 0, report: { classes: [{ passes: all / 2 }] } });
    expect(vendors.requests.segment).toBe(before);

    const replayed = await dlq("replay", "--plan", "plan.json");
    expect(replayed).toMatchObject({
      code: 0,
      report: { outcome: "finished", delivered: all / 2, refused: 0, selected: { letters: all / 2 } },
    });
    expect([...vendors.stored.segment.keys()].sort()).toEqual(
      eventIds
        .filter((id) => Number(id.split("-")[1]) % 2 === 1)
        .map(messageId)
        .sort(),
    );
    expect(await dlq("replay")).toMatchObject({ code: 0, report: { delivered: all / 2 } });
    expect(Math.max(...vendors.stored.segment.values())).toBe(1);
    const books = await fanout(["books", "--json"], env, cwd);
    expect(books.code).toBe(0);
    expect(JSON.parse(books.stdout).sinks).toMatchObject([
      { sink: "segment", valid: all, delivered: all, completeness: 1, acknowledges: "accepted" },
    ]);
    const [begun] = await audits("begun");
    expect(begun).toMatchObject({ id: plan.report.id, who: expect.stringMatching(/.@./) });
    expect((await audits("ended")).map(({ outcome, counts }) => [outcome, counts?.["delivered"]])).toEqual([
      ["finished", all / 2],
      ["finished", all / 2],
    ]);
  });

  test(
    "says what has changed since a plan was made, and leaves what the plan does not mean",
    patience,
    async () => {
      await refuseAll();
      await dlq("plan", "--object", "batch-0", "--object", "batch-1", "--out", "plan.json");
      expect(await dlq("replay", "--object", "batch-0")).toMatchObject({ code: 0 });
      const replayed = await dlq("replay", "--plan", "plan.json");
      expect(replayed).toMatchObject({ code: 0, report: { delivered: records } });
      expect(replayed.stderr).toMatch(
        /^fanout: since the plan was made, segment [0-9a-f]{12}: 40 letters instead of 80/m,
      );
      expect((await waiting()).size).toBe(all - 2 * records);
      // Once more there is nothing left of it; of a plan that was made elsewhere there never was.
      expect(await dlq("replay", "--plan", "plan.json")).toMatchObject({ code: 0, report: { tried: 0 } });
      const text = await readFile(path.join(cwd, "plan.json"), "utf8");
      await writeFile(
        path.join(cwd, "plan.json"),
        text.replaceAll(/"bucket": ".*"/g, '"bucket": "elsewhere"'),
      );
      const other = await dlq("replay", "--plan", "plan.json");
      expect(other.code).toBe(2);
      expect(other.stderr).toMatch(/know none of the objects of this plan: it was made of other stores\n$/);
    },
  );

  test("halts after its canary, and says so with exit 1", patience, async () => {
    await refuseAll();
    vendors.faults.segment = { kind: "status", status: 400 };
    const { code, report } = await dlq("replay", "--canary", "5%");
    expect(code).toBe(1);
    expect(report).toMatchObject({ outcome: "halted", tried: all / 20, refused: all / 20 });
    expect(await waiting()).toEqual(new Set(eventIds));
    expect(await audits("ended")).toMatchObject([{ outcome: "halted", counts: { refused: all / 20 } }]);
  });

  test("drops with a reason, and never without one or without a filter", patience, async () => {
    await refuseAll();
    const { code, stderr } = await dlq("drop");
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringMatching(/^fanout: drop wants to know why.*\nfanout: drop without a filter/),
    });
    expect((await waiting()).size).toBe(all);
    const args = ["--tenant", "tenant-0", "--reason", "a test account"];
    expect(await dlq("drop", ...args, "--dry-run")).toMatchObject({ code: 0, report: { letters: all / 2 } });
    expect(await dlq("drop", ...args)).toMatchObject({ code: 0, report: { dropped: all / 2 } });
    expect((await waiting()).size).toBe(all / 2);
    const [{ given, counts } = {}] = [...(await audits("begun")), ...(await audits("ended"))];
    expect({ given, counts }).toMatchObject({ given: { reason: "a test account" } });
    const archive = await readdir(path.join(cwd, ".fanout/dead-letters/archive"));
    expect(archive).toEqual(["sink=segment"]);
    // The audit says what was meant, also beside --all.
    await dlq("drop", "--all", "--tenant", "nobody", "--reason", "none");
    expect((await waiting()).size).toBe(all / 2);
    expect(await audits("begun")).toMatchObject([
      { given: { command: "--tenant tenant-0" } },
      { given: { command: "--all --tenant nobody" } },
    ]);
  });
});

describe("a replay that ends early", () => {
  test(
    "by Ctrl-C writes the books and the audit with exit 130, and another one goes on",
    patience,
    async () => {
      await refuseAll();
      const running = startFanout(["dlq", "replay", "--rate", "100/s", "--json"], env, cwd);
      await expect
        .poll(() => vendors.stored.segment.size, { interval: 10, timeout: 20_000 })
        .toBeGreaterThan(20);
      running.process.kill("SIGINT");
      const { code, stdout, stderr } = await running.finished;
      expect(code).toBe(130);
      expect(stderr).toContain("fanout: ending, as asked; a second signal stops at once\n");
      const report = JSON.parse(stdout);
      expect(report.outcome).toBe("interrupted");
      expect(report.delivered).toBeGreaterThan(0);
      expect((await waiting()).size).toBe(all - report.delivered);
      expect(await audits("ended")).toMatchObject([
        { outcome: "interrupted", counts: { delivered: report.delivered } },
      ]);
      expect(await dlq("replay")).toMatchObject({ code: 0, report: { delivered: all - report.delivered } });
      expect(vendors.stored.segment.size).toBe(all);
    },
  );

  test(
    "killed with SIGKILL ten times loses nothing, sends nothing again that is known, and its audit is complete",
    patience,
    async () => {
      await refuseAll();
      const { report: plan } = await dlq("plan", "--out", "plan.json");
      const random = seededRandom(7);
      /** How often each event was at the vendor when it was known to be delivered. */
      const known = new Map<string, number>();
      vendors.faults.segment = { kind: "delay", ms: 20 };
      let kills = 0;
      while (kills < 10) {
        const begunBefore = (await audits("begun")).length;
        const args = ["dlq", "replay", "--plan", "plan.json", "--rate", "150/s", "--json"];
        const running = startFanout(args, env, cwd);
        const begun = async () => (await audits("begun")).length > begunBefore;
        await expect.poll(begun, { interval: 5, timeout: 20_000 }).toBe(true);
        await new Promise((resolve) => setTimeout(resolve, random() * 120));
        running.process.kill("SIGKILL");
        expect((await running.finished).code).toBeNull();
        kills++;
        const left = await waiting();
        for (const id of eventIds) {
          if (left.has(id) || known.has(id)) continue;
          known.set(id, vendors.stored.segment.get(messageId(id)) ?? 0);
        }
      }
      // The kills were in the middle of it.
      expect(known.size).toBeGreaterThan(0);
      expect(known.size).toBeLessThan(all);
      delete vendors.faults.segment;
      const last = await dlq("replay", "--plan", "plan.json");
      expect(last).toMatchObject({ code: 0, report: { outcome: "finished", delivered: all - known.size } });

      expect(vendors.stored.segment.size).toBe(all);
      expect((await waiting()).size).toBe(0);
      for (const [id, times] of known)
        expect({ id, times: vendors.stored.segment.get(messageId(id)) }).toEqual({ id, times });
      const duplicates = [...vendors.stored.segment.values()].reduce((sum, times) => sum + times - 1, 0);
      // A kill leaves at most what four objects had under way.
      expect(duplicates).toBeLessThanOrEqual(kills * 4 * records);

      const begun = await audits("begun");
      const ended = await audits("ended");
      expect(begun).toHaveLength(kills + 1);
      expect(ended.map(({ outcome }) => outcome)).toEqual([
        ...Array.from({ length: kills }, () => "killed"),
        "finished",
      ]);
      expect(begun.every(({ id }) => id === plan.id)).toBe(true);
      let delivered = 0;
      for await (const { replays } of currentReceipts(stores().receipts)) {
        for (const replay of replays) if (replay.id === plan.id) delivered += replay.delivered;
      }
      expect(delivered).toBe(all);
      expect((await fanout(["books"], env, cwd)).code).toBe(0);
    },
  );

  test("or that another one joins: two at once deliver everything once", patience, async () => {
    await refuseAll();
    vendors.faults.segment = { kind: "delay", ms: 20 };
    const both = await Promise.all([dlq("replay", "--canary", "0"), dlq("replay", "--canary", "0")]);
    expect(both.reduce((sum, { report }) => sum + report.delivered, 0)).toBe(all);
    for (const { code, report } of both) {
      expect([0, 3]).toContain(code);
      expect(report.failures).toEqual([]);
    }
    expect(vendors.stored.segment.size).toBe(all);
    expect(Math.max(...vendors.stored.segment.values())).toBe(1);
    expect(await audits("ended")).toHaveLength(2);
  });

  test(
    "a sink that is down leaves what is pending, and its return drains it to 100 %",
    patience,
    async () => {
      vendors.faults.segment = { kind: "status", status: 403 };
      expect((await fanout(["run", "in"], env, cwd)).code).toBe(3);
      const list = await dlq("list");
      expect(list.report).toMatchObject({ letters: 0, pending: all, delays: [{ sink: "segment", objects }] });
      const stuck = await dlq("replay");
      expect(stuck).toMatchObject({ code: 3, report: { drained: 0, outcome: "finished" } });
      delete vendors.faults.segment;
      expect(await dlq("replay")).toMatchObject({ code: 0, report: { drained: all } });
      const books = await fanout(["books", "--json", "--in", "in"], env, cwd);
      expect(JSON.parse(books.stdout)).toMatchObject({
        complete: true,
        sinks: [{ completeness: 1, pending: 0 }],
      });
      const [one = ""] = await readdir(path.join(cwd, "in"));
      await writeFile(path.join(cwd, `in/${one}-new`), "{}");
      // The one object of that name, and not its neighbours whose names go on.
      expect((await fanout(["books", "--json", "--in", `in/${one}`], env, cwd)).code).toBe(0);
      const gap = await fanout(["books", "--json", "--in", "in"], env, cwd);
      expect(gap.code).toBe(1);
      expect(JSON.parse(gap.stdout).unknownObjects).toMatchObject({ count: 1 });
    },
  );
});
