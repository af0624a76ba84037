// How a replay or a drop ended: for a person, for a program, and for a shell.
import type { ReplayResult } from "../dead-letter/replay.ts";
import type { DlqCommand } from "./dlq-options.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { count, duration, painter, type Screen, screenOf, wrap } from "./words.ts";

export interface Ending {
  readonly result: ReplayResult;
  /** The audit's; undefined when there was none. */
  readonly key: string | undefined;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly again: Again;
}

/** The command once more as a shell takes it, behind `fanout dlq`: as it was given, or for some causes alone. */
export type Again = (fingerprints?: readonly string[]) => string;

/** Prints it; answers what a shell is told. */
export function tellResult(
  { clock, json, stdout }: DlqCommand,
  { result, key, startedAt, again }: Ending,
): ExitCode {
  const seconds = (clock.now() - startedAt) / 1000;
  const told = { key, seconds, screen: screenOf(stdout), again };
  stdout.write(
    json ? `${JSON.stringify(documentOf(result, key, seconds))}\n` : `${renderResult(result, told)}\n`,
  );
  return codeOf(result);
}

function codeOf({ outcome, selected, left, busy, failures, tally }: ReplayResult): ExitCode {
  if (outcome === "interrupted") return exitCodes.interrupted;
  if (outcome === "halted" || failures.length > 0 || tally.refused > 0 || selected.fails > 0) {
    return exitCodes.failed;
  }
  return left.size > 0 || busy > 0 ? exitCodes.pending : exitCodes.ok;
}

function documentOf(result: ReplayResult, key: string | undefined, seconds: number) {
  const { outcome, why, selected, tally, refused, canary, left, busy, failures } = result;
  return {
    outcome,
    ...(why === undefined ? {} : { why }),
    selected,
    ...tally,
    refusedByFingerprint: Object.fromEntries(refused),
    ...(canary === undefined ? {} : { canary }),
    left: Object.fromEntries(left),
    busy,
    failures,
    audit: key,
    seconds: Math.round(seconds * 1000) / 1000,
    peakRssMiB: Math.round(process.resourceUsage().maxRSS / 1024),
  };
}

interface Told {
  readonly key: string | undefined;
  readonly seconds: number;
  readonly screen: Screen;
  readonly again: Again;
}

function renderResult(result: ReplayResult, { key, seconds, screen, again }: Told): string {
  const paint = painter(screen);
  const { columns } = screen;
  const { outcome, why, selected, tally, refused, canary, left, busy, failures } = result;
  const { letters, pending, stays, fails } = selected;
  const took = duration(Math.max(1000, seconds * 1000));
  const lines: string[] = [];
  if (letters + pending === 0) {
    lines.push(
      paint(fails + stays > 0 ? "yellow" : "green", "There is nothing to try, so nothing was done."),
    );
  } else {
    const mark = { finished: "Finished", halted: "Halted", interrupted: "Interrupted" }[outcome];
    const style = outcome === "finished" ? "green" : outcome === "halted" ? "red" : "yellow";
    const selection = `${count(letters, "dead letter")} and ${count(pending, "pending delivery", "pending deliveries")}`;
    lines.push(`${paint(style, mark)} after ${took}: ${selection} were selected.`);
  }
  if (why !== undefined) lines.push(paint("red", wrap(`${why}.`, columns, "  ")));
  const facts: readonly (readonly [number, string, "green" | "red" | undefined])[] = [
    [tally.delivered, "dead letters delivered", "green"],
    [tally.drained, "pending deliveries delivered", "green"],
    [tally.filtered, "filtered", undefined],
    [tally.dropped, "dropped into the archive", undefined],
    [tally.refused, "refused again, with one refusal more", "red"],
    [
      tally.requests,
      `${tally.requests === 1 ? "request" : "requests"}, ${count(tally.retries)} of them retries`,
      undefined,
    ],
  ];
  for (const [number, text, style] of facts) {
    if (number > 0)
      lines.push(`  ${style === undefined ? count(number) : paint(style, count(number))} ${text}`);
  }
  for (const [fingerprint, number] of refused) lines.push(`    ${count(number)} of ${fingerprint}`);
  for (const [reason, number] of left) {
    lines.push(paint("yellow", wrap(`${count(number)} left as they were: ${reason}`, columns, "  ")));
  }
  if (fails > 0) {
    lines.push(
      paint(
        "yellow",
        wrap(
          `${count(fails)} not tried: by today's mapping they would be refused again; fanout dlq plan says why`,
          columns,
          "  ",
        ),
      ),
    );
  }
  if (stays > 0) {
    lines.push(
      wrap(
        `${count(stays)} not tried: their bytes were not kept, or their sink is not configured here`,
        columns,
        "  ",
      ),
    );
  }
  if (busy > 0) lines.push(paint("yellow", `  ${count(busy, "file")} in the hands of another worker now`));
  for (const failure of failures) lines.push(paint("red", wrap(failure, columns, "  ")));
  if (canary !== undefined && canary.returned.length > 0 && canary.passed.length > 0) {
    lines.push(
      "  What passed in the canary can go on without the others:",
      `    fanout dlq ${again(canary.passed)}`,
    );
  }
  const isLeft = left.size > 0 || busy > 0 || outcome === "interrupted";
  if (isLeft) lines.push(`  For the rest, run it again: fanout dlq ${again()}`);
  if (key !== undefined) lines.push(wrap(key, columns, "  audit: "));
  return lines.join("\n");
}
