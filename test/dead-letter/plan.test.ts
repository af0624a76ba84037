import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fingerprint } from "../../src/dead-letter/dead-letter.ts";
import type { LetterFilter } from "../../src/dead-letter/filter.ts";
import { makePlan, type PlanOptions } from "../../src/dead-letter/plan.ts";
import {
  configFingerprint,
  filterOfPlan,
  readPlanFile,
  toPlanFile,
  writePlanFile,
} from "../../src/dead-letter/plan-file.ts";
import { replay } from "../../src/dead-letter/replay.ts";
import type { Sink } from "../../src/delivery/sink.ts";
import { silent } from "../../src/log.ts";
import { breakDown, somethingWaits, takeAll, type Waiting } from "../support/waiting.ts";
import { scriptedSink } from "../support/world.ts";

const never = new AbortController().signal;

const planOf = (
  { world }: Waiting,
  sinks: readonly Sink<unknown>[],
  filter: LetterFilter = {},
  more: Partial<PlanOptions> = {},
) => makePlan({ stores: world, filter, sinks, source: () => world.source, signal: never, ...more });

describe("a plan", () => {
  test("counts what would pass, be filtered and fail by the mapping of now, and sends nothing", async () => {
    const waiting = await somethingWaits();
    const mapped = scriptedSink("a", {
      encode: ({ id }) => {
        if (id.endsWith("-0")) return { filtered: "not for us" };
        if (id.endsWith("-3")) return { rejected: "still no plan", code: "NO_PLAN" };
        return { payload: { id }, bytes: 10 };
      },
    });
    const { classes, sinks } = await planOf(waiting, [mapped, waiting.b], { sinks: ["a"] });
    const again = fingerprint("encode", "a", "NO_PLAN", "still no plan");
    expect(classes).toEqual([
      expect.objectContaining({ sink: "a", letters: 12, passes: 6, filtered: 3, fails: 3, stays: 0 }),
    ]);
    expect(classes[0]?.failures).toEqual(
      new Map([[again, { stage: "encode", code: "NO_PLAN", reason: "still no plan", count: 3 }]]),
    );
    expect(sinks).toMatchObject([{ sink: "a", records: 6, requests: 3, uncertain: 0 }]);
    expect(mapped.requests).toEqual([]);
  });

  test("is exactly what a replay does then: as many pass, in as many requests", async () => {
    const waiting = await somethingWaits();
    const a = takeAll(waiting.a);
    const b = takeAll(waiting.b);
    const { classes, pending, sinks } = await planOf(waiting, [a, b]);
    const { clock } = waiting.world;
    const result = await clock.run(
      replay({
        stores: waiting.world,
        filter: { until: clock.now() },
        worker: waiting.world.worker([a, b]),
        sinks: ["a", "b"],
        id: "r",
        canary: 0,
        maxFailures: Number.POSITIVE_INFINITY,
        clock,
        signal: never,
        log: silent,
        wouldFail: (_, { stage }) => stage === "intake",
      }),
    );
    const letters = classes.reduce((sum, each) => sum + each.passes, 0);
    const fails = classes.reduce((sum, each) => sum + each.fails, 0);
    expect(result.tally).toMatchObject({ delivered: letters, drained: pending[0]?.passes });
    expect(result.selected).toMatchObject({ letters, fails });
    expect(result.tally.requests).toBe(sinks.reduce((sum, each) => sum + each.requests, 0));
    expect([a.requests.length, b.requests.length]).toEqual(sinks.map(({ requests }) => requests));
  });

  test("batches as a lane does: by partition, by bytes, and one slot for what supersedes the other", async () => {
    const waiting = await somethingWaits(1);
    const one = await planOf(waiting, [waiting.a], { sinks: ["a"] });
    expect(one.sinks).toMatchObject([{ records: 4, requests: 1 }]);
    const each = scriptedSink("a", { partition: ({ id }) => id });
    expect((await planOf(waiting, [each], { sinks: ["a"] })).sinks).toMatchObject([
      { records: 4, requests: 4 },
    ]);
    const large = scriptedSink("a", { encode: ({ id }) => ({ payload: { id }, bytes: 5_000 }) });
    expect((await planOf(waiting, [large], { sinks: ["a"] })).sinks).toMatchObject([
      { records: 4, requests: 2 },
    ]);
    const merged = scriptedSink("a", {
      coalesceKey: () => "same",
      encode: ({ id }) => ({ payload: { id }, bytes: 5_000 }),
    });
    expect((await planOf(waiting, [merged], { sinks: ["a"] })).sinks).toMatchObject([
      { records: 4, requests: 1 },
    ]);
  });

  test("tells the least time at the vendor's own rate, and none where it states no rate", async () => {
    const waiting = await somethingWaits();
    const limits = { ...waiting.a.limits, itemsPerRequest: 1, requestsPerSecond: 2 };
    const slow = scriptedSink("a", { limits });
    const { sinks } = await planOf(waiting, [slow], { sinks: ["a"] });
    expect(sinks).toMatchObject([{ requests: 12, leastMs: 5_500 }]);
    expect((await planOf(waiting, [waiting.a], { sinks: ["a"] })).sinks[0]).not.toHaveProperty("leastMs");
  });

  test("says what a repeat means at each vendor, and expects the worst of one that says nothing", async () => {
    const waiting = await somethingWaits();
    const merging = { ...waiting.a, repeats: { effect: "merged", reason: "by its id" } } as const;
    const { sinks } = await planOf(waiting, [merging, waiting.b]);
    expect(sinks.map(({ repeats }) => repeats.effect)).toEqual(["merged", "counted"]);
    // Of what is pending a request may have arrived; a letter was refused, so it has not.
    expect(sinks.map(({ uncertain }) => uncertain)).toEqual([0, 30]);
  });

  test("counts an invalid record that is valid now once, and what it makes for each sink that is missing it", async () => {
    const waiting = await somethingWaits(1);
    const { deadLetters } = waiting.world;
    const [key = ""] = [...deadLetters.objects.keys()].filter((each) => each.startsWith("sink=_intake/"));
    const letter = JSON.parse(gunzipSync(deadLetters.objects.get(key)?.bytes ?? Buffer.of()).toString());
    const record = JSON.stringify({
      metric_name: "m",
      metadata: { tenant_id: "t", event_id: "repaired" },
      data: { event_time: "2026-01-01T00:00:00Z" },
    });
    const bytes = gzipSync(`${JSON.stringify({ ...letter, record })}\n`);
    deadLetters.objects.set(key, { bytes, lastModified: waiting.world.clock.now() });
    const { classes, sinks } = await planOf(waiting, [takeAll(waiting.a), takeAll(waiting.b)], {
      sinks: ["_intake"],
    });
    expect(classes).toMatchObject([{ sink: "_intake", letters: 1, passes: 1, fails: 0 }]);
    expect(sinks).toMatchObject([
      { sink: "a", records: 1, requests: 1 },
      { sink: "b", records: 1, requests: 1 },
    ]);
  });

  test("names objects that are gone, with what is lost", async () => {
    const waiting = await somethingWaits();
    waiting.world.source.objects.delete("object-1");
    const { pending, gone } = await planOf(waiting, [waiting.a, waiting.b]);
    expect(gone).toEqual(["memory://source/object-1"]);
    expect(pending).toMatchObject([{ sink: "b", objects: 3, pending: 30, passes: 20, gone: 10 }]);
  });

  test("leaves letters of a sink that is not configured where they are", async () => {
    const waiting = await somethingWaits();
    const { classes, pending } = await planOf(waiting, [scriptedSink("c")]);
    expect(classes.find(({ sink }) => sink === "a")).toMatchObject({ letters: 12, stays: 12, passes: 0 });
    expect(pending).toMatchObject([{ sink: "b", pending: 30, stays: 30 }]);
  });
});

describe("a plan file", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), "fanout-plan-"));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  test("is read as it was written", async () => {
    const waiting = await somethingWaits();
    const filter = { sinks: ["a"], until: 7 };
    const plan = toPlanFile(await planOf(waiting, [waiting.a], { sinks: ["a"] }), filter, 1000, "config");
    const file = path.join(folder, "plan.json");
    await writePlanFile(file, plan);
    expect(await readPlanFile(file)).toEqual(plan);
    expect(filterOfPlan(plan)).toEqual(filter);
    expect(plan.covers.map(({ lane, letters }) => [lane, letters])).toEqual([
      ["a", 4],
      ["a", 4],
      ["a", 4],
    ]);
    // Nothing of a record.
    expect(await readFile(file, "utf8")).not.toContain("tenant-0");
  });

  test.each([
    ["no file", undefined],
    ["no JSON", "{"],
    ["something else", '{"format":1}'],
    ["a later version", '{"format":2}'],
  ])("that is %s is refused in one sentence", async (_, text) => {
    const file = path.join(folder, "plan.json");
    if (text !== undefined) await writeFile(file, text);
    await expect(readPlanFile(file)).rejects.toThrow(/^(the plan .* cannot be read|.* is no plan that)/);
  });

  test("knows when the mapping, the limits or the routes are others", () => {
    const sink = scriptedSink("a");
    const same = configFingerprint({ sinks: [sink] });
    expect(configFingerprint({ sinks: [scriptedSink("a")] })).toBe(same);
    const others = [
      { sinks: [scriptedSink("a", { encode: () => ({ filtered: "x" }) })] },
      { sinks: [scriptedSink("a", { limits: { ...sink.limits, concurrency: 9 } })] },
      { sinks: [sink], routes: [] },
      { sinks: [sink], limits: { maxRecordBytes: 1 } },
      { sinks: [breakDown(scriptedSink("b"))] },
    ];
    for (const config of others) expect(configFingerprint(config)).not.toBe(same);
  });
});
