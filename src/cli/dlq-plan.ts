// `fanout dlq plan`: what a replay would do, before it does it, and a file by which it does exactly that.
import path from "node:path";
import { ConfigError } from "../config.ts";
import type { LetterFilter } from "../dead-letter/filter.ts";
import { type Failure, makePlan, type Plan } from "../dead-letter/plan.ts";
import { configFingerprint, type PlanFile, toPlanFile, writePlanFile } from "../dead-letter/plan-file.ts";
import { planQueue } from "../queues/plan.ts";
import { openStore } from "../store/open.ts";
import { type DlqCommand, quoted } from "./dlq-options.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { count, duration, fittingTable, painter, type Screen, screenOf, wrap } from "./words.ts";

export interface PlanFlags {
  /** Where the plan is written. Default `fanout-plan-<time>.json` in the current folder. */
  readonly out?: string;
}

/**
 * @throws {StoreError} when a store cannot be read.
 * @throws {ConfigError} when the plan cannot be written.
 */
export async function dlqPlan(command: DlqCommand, { out }: PlanFlags): Promise<ExitCode> {
  const { filter, queue, clock, json, stdout, stderr } = command;
  const at = clock.now();
  const screen = screenOf(stdout);
  if (queue !== undefined) {
    if (out !== undefined) {
      throw new ConfigError([
        "--out is for dead letters and what is pending; what a queue holds changes by itself",
      ]);
    }
    const plan = await planQueue(queue, filter, command.signal);
    const file = toPlanFile(plan, filter, at, configFingerprint(command.config));
    stdout.write(json ? `${JSON.stringify(file)}\n` : `${renderPlan(file, screen)}\n`);
    return exitCodes.ok;
  }
  let damaged = 0;
  const { plan, meant } = await planOf(command, at, (error) => {
    damaged++;
    stderr.write(`fanout: ${error.message}\n`);
  });
  const file = toPlanFile(plan, meant, at, configFingerprint(command.config));
  const name = out ?? `fanout-plan-${file.at.replace(/\.\d+Z$/, "Z").replaceAll(/[-:]/g, "")}.json`;
  await writePlanFile(name, file);
  if (json) {
    stdout.write(`${JSON.stringify({ ...file, file: path.resolve(name) })}\n`);
  } else {
    stdout.write(`${renderPlan(file, screen)}\n\n`);
    stdout.write("Nothing was sent. To do exactly this, whatever is refused meanwhile:\n");
    stdout.write(`  fanout dlq replay --plan ${quoted(name)}\n`);
  }
  return damaged > 0 ? exitCodes.failed : exitCodes.ok;
}

/** A plan of what had been refused before `at`, and the filter that says so. */
export async function planOf(
  { config, stores, filter, signal }: DlqCommand,
  at: number,
  onDamaged: (error: Error) => void,
): Promise<{ plan: Plan; meant: LetterFilter }> {
  const meant = { ...filter, until: Math.min(filter.until ?? Number.POSITIVE_INFINITY, at) };
  const plan = await makePlan({ ...config, stores, filter: meant, source: openStore, signal, onDamaged });
  return { plan, meant };
}

export function renderPlan(plan: PlanFile, screen: Screen): string {
  const paint = painter(screen);
  const { columns } = screen;
  const letters = plan.classes.reduce((sum, each) => sum + each.letters, 0);
  const pending = plan.pending.reduce((sum, each) => sum + each.pending, 0);
  const what = `${count(letters, "dead letter")} and ${count(pending, "pending delivery", "pending deliveries")}`;
  const parts = [
    wrap(`${what}, judged by today's mapping and configuration.`, columns).replace(what, paint("bold", what)),
  ];
  const painted = (value: number, style: "green" | "red" | "yellow") =>
    value === 0 ? "0" : paint(style, count(value));
  if (plan.classes.length > 0) {
    const rows = plan.classes.map((each) => [
      each.sink,
      each.code,
      each.fingerprint,
      count(each.letters),
      painted(each.passes, "green"),
      count(each.filtered),
      painted(each.fails, "red"),
      painted(each.stays, "yellow"),
    ]);
    const head = ["sink", "code", "fingerprint", "letters", "pass", "filter", "fail", "stay"];
    parts.push(fittingTable({ head, colAligns: aligned(3, head.length) }, rows, screen));
  }
  const failures = plan.classes.flatMap((each) => failureLines(each.sink, each.failures, columns));
  if (failures.length > 0) parts.push([paint("bold", "Would fail again"), ...failures].join("\n"));
  if (plan.classes.some(({ stays }) => stays > 0)) {
    parts.push(
      wrap("What stays has no bytes in its letter, or is of a sink that is not configured here.", columns),
    );
  }
  if (plan.pending.length > 0) {
    const rows = plan.pending.map((each) => [
      each.sink,
      count(each.objects),
      count(each.pending),
      painted(each.passes, "green"),
      count(each.filtered),
      painted(each.fails, "red"),
      painted(each.stays, "yellow"),
      painted(each.gone, "red"),
    ]);
    const head = ["sink", "objects", "pending", "pass", "filter", "fail", "stay", "object gone"];
    parts.push(fittingTable({ head, colAligns: aligned(1, head.length) }, rows, screen));
    const again = plan.pending.flatMap((each) => failureLines(each.sink, each.failures, columns));
    if (again.length > 0) parts.push([paint("bold", "Would become dead letters"), ...again].join("\n"));
  }
  for (const object of plan.gone.slice(0, goneShown)) {
    parts.push(paint("red", wrap(`${object} is gone, and with it what is pending of it`, columns)));
  }
  if (plan.gone.length > goneShown) parts.push(`and ${count(plan.gone.length - goneShown)} more objects`);
  if (plan.sinks.length > 0) {
    const rows = plan.sinks.map(({ sink, records, requests, leastMs, uncertain, repeats }) => [
      sink,
      count(records),
      count(requests),
      leastMs === undefined ? "no stated quota" : duration(Math.max(1000, leastMs)),
      count(uncertain),
      repeats.effect === "merged" ? "count once" : paint("yellow", "count again"),
    ]);
    const head = ["vendor", "records", "requests", "takes at least", "uncertain", "repeats"];
    const reasons = plan.sinks.map(({ sink, repeats }) =>
      wrap(repeats.reason, columns, `  ${sink}: `, "    "),
    );
    parts.push(
      `${fittingTable({ head, colAligns: aligned(1, head.length) }, rows, screen)}\n${reasons.join("\n")}\n` +
        wrap(
          "Nothing that is known as delivered is sent again. Uncertain are pending records: a request of theirs may " +
            "have arrived.",
          columns,
          "  ",
        ),
    );
  }
  return parts.join("\n\n");
}

const goneShown = 10;

function aligned(lefts: number, length: number): ("left" | "right")[] {
  return Array.from({ length }, (_, index) => (index < lefts ? "left" : "right"));
}

function failureLines(sink: string, failures: Readonly<Record<string, Failure>>, columns: number): string[] {
  return Object.entries(failures).map(([cause, { code, reason, count: number }]) =>
    wrap(`${count(number)} of ${sink}, ${code} ${cause}: ${reason}`, columns, "  ", "    "),
  );
}
