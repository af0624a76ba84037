// `fanout dlq list`: what waits, by cause, and what to do about each.
import { isAboutLetters, isEmpty, type LetterFilter } from "../dead-letter/filter.ts";
import { adviceFor } from "../dead-letter/refusals.ts";
import { type Cause, type Delay, type Survey, survey } from "../dead-letter/survey.ts";
import type { RefusalAdvice, Sink } from "../delivery/sink.ts";
import { surveyQueue } from "../queues/survey.ts";
import type { DlqCommand } from "./dlq-options.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { count, duration, fittingTable, iso, painter, type Screen, screenOf, wrap } from "./words.ts";

/** Tenants that a cause names on a screen; a document has them all. */
const tenantsShown = 4;

/** @throws {StoreError} when a store cannot be read. */
export async function dlqList(command: DlqCommand): Promise<ExitCode> {
  const { config, stores, filter, queue, clock, json, stdout, stderr, signal } = command;
  let damaged = 0;
  const onDamaged = (error: Error) => {
    damaged++;
    stderr.write(`fanout: ${error.message}\n`);
  };
  const found =
    queue === undefined ? await survey(stores, filter, onDamaged) : await surveyQueue(queue, filter, signal);
  const now = clock.now();
  if (json) {
    stdout.write(`${JSON.stringify(document(found, config.sinks, now, damaged))}\n`);
  } else {
    const screen = screenOf(stdout);
    const isQueue = queue !== undefined;
    stdout.write(`${render(found, { sinks: config.sinks, filter, now, screen, isQueue, damaged })}\n`);
  }
  return damaged > 0 ? exitCodes.failed : exitCodes.ok;
}

/** What stands behind a cause, and what to do. */
export function adviceOf(
  { sink, code, action, reason, example }: Pick<Cause, "sink" | "code" | "action" | "reason" | "example">,
  sinks: readonly Sink<unknown>[],
): RefusalAdvice {
  if (action !== undefined) return { meaning: reason, action };
  const refusals = sinks.find(({ name }) => name === sink)?.refusals;
  return (
    adviceFor(code, refusals) ?? {
      meaning: `${sink} says no more about this code.`,
      action: `Look at one of them: fanout dlq show ${example}`,
    }
  );
}

/** What to do about what is pending. */
export function adviceOfDelay({ sink, nextAttemptAt }: Delay, now: number): string {
  const when = nextAttemptAt <= now ? "It is due" : `It is due in ${duration(nextAttemptAt - now)}`;
  return `${when}: the replayer takes it up then; at once does fanout dlq replay --sink ${sink} --stage pending`;
}

function document(
  { causes, delays, letters, pending }: Survey,
  sinks: readonly Sink<unknown>[],
  now: number,
  damaged: number,
) {
  return {
    at: iso(now),
    letters,
    pending,
    damagedFiles: damaged,
    causes: causes.map((cause) => {
      const { sink, fingerprint, stage, code, reason, tenants, otherTenants, oldest, newest, example } =
        cause;
      return {
        sink,
        fingerprint,
        stage,
        code,
        reason,
        ...adviceOf(cause, sinks),
        count: cause.count,
        tenants: Object.fromEntries(tenants),
        otherTenants,
        oldest: iso(oldest),
        newest: iso(newest),
        example,
      };
    }),
    delays: delays.map((delay) => ({
      ...delay,
      oldest: iso(delay.oldest),
      nextAttemptAt: iso(delay.nextAttemptAt),
      lastAttemptAt: iso(delay.lastAttemptAt),
    })),
  };
}

interface Rendering {
  readonly sinks: readonly Sink<unknown>[];
  readonly filter: LetterFilter;
  readonly now: number;
  readonly screen: Screen;
  /** Of a queue that is not ours: it holds nothing pending. */
  readonly isQueue: boolean;
  /** Files and deferrals that cannot be read: what they hold waits as well. */
  readonly damaged: number;
}

function render({ causes, delays, letters, pending }: Survey, rendering: Rendering): string {
  const { filter, now, screen, sinks, isQueue, damaged } = rendering;
  const paint = painter(screen);
  const { columns } = screen;
  const parts: string[] = [];
  const details: string[] = [];
  // With a filter, others may wait all the same.
  const those = isEmpty(filter) ? "" : " of that kind";
  if (damaged > 0) {
    const what = `${count(damaged, "file or deferral", "files or deferrals")} cannot be read, so what waits in them is not shown: see above, and fanout books.`;
    parts.push(paint("red", wrap(what, columns)));
  }
  const calm = damaged > 0 ? "yellow" : "green";
  if (letters === 0) {
    parts.push(
      paint(calm, isQueue ? `Nothing${those} waits in the queue.` : `No dead letter${those} waits.`),
    );
  } else {
    const head = ["sink", "code", "fingerprint", "letters", "oldest", "newest"];
    const colAligns = ["left", "left", "left", "right", "right", "right"] as const;
    const rows = causes.map(({ sink, code, fingerprint, count: number, oldest, newest }) => [
      sink,
      code,
      fingerprint,
      paint("red", count(number)),
      duration(now - oldest),
      duration(now - newest),
    ]);
    parts.push(
      `${paint("bold", isQueue ? count(letters, "entry", "entries") : count(letters, "dead letter"))} of ${count(causes.length, "cause")}. ` +
        `Ages: since the first refusal, and since the last.\n${fittingTable({ head, colAligns: [...colAligns] }, rows, screen)}`,
    );
    for (const cause of causes) {
      const { sink, code, fingerprint, example } = cause;
      const { meaning, action } = adviceOf(cause, sinks);
      details.push(
        [
          `${paint("bold", `${sink} ${code}`)} ${fingerprint}`,
          wrap(cause.reason, columns, "  says    "),
          ...(meaning === cause.reason ? [] : [wrap(meaning, columns, "  means   ")]),
          wrap(tenantsOf(cause), columns, "  tenants "),
          paint("cyan", wrap(action, columns, "  do      ")),
          `  show    fanout dlq show ${example}${isQueue ? " --queue …" : ""}`,
        ].join("\n"),
      );
    }
  }
  if (isQueue) return [...parts, ...details].join("\n\n");
  if (delays.length > 0) {
    const head = ["sink", "pending", "objects", "since", "next attempt"];
    const colAligns = ["left", "right", "right", "right", "right"] as const;
    const rows = delays.map(({ sink, count: number, unread, objects, oldest, nextAttemptAt }) => [
      sink,
      paint("yellow", unread > 0 ? `${count(number)} or more` : count(number)),
      count(objects),
      duration(now - oldest),
      nextAttemptAt <= now ? "now" : `in ${duration(nextAttemptAt - now)}`,
    ]);
    parts.push(
      `${paint("bold", count(pending, "delivery", "deliveries"))} pending: nobody refused them, they need time.\n` +
        fittingTable({ head, colAligns: [...colAligns] }, rows, screen),
    );
    for (const delay of delays) {
      details.push(
        [
          paint("bold", delay.sink),
          wrap(delay.reason, columns, "  because "),
          paint("cyan", wrap(adviceOfDelay(delay, now), columns, "  do      ")),
          `  show    fanout dlq show ${delay.example}`,
        ].join("\n"),
      );
    }
  } else if (isAboutLetters(filter)) {
    parts.push(
      wrap("What is pending is left out: deferrals hold ranges of records, not what is in them.", columns),
    );
  } else {
    parts.push(paint(calm, `Nothing${those} is pending${damaged > 0 ? ", as far as it can be read" : ""}.`));
  }
  return [...parts, ...details].join("\n\n");
}

function tenantsOf({ tenants, otherTenants }: Cause): string {
  const sorted = [...tenants].sort(([, a], [, b]) => b - a);
  const named = sorted
    .slice(0, tenantsShown)
    .map(([tenant, number]) => `${tenant === "" ? "unknown" : tenant} ${count(number)}`);
  const more = sorted.length - named.length;
  if (more > 0) named.push(`${count(more)} more${otherTenants > 0 ? " at least" : ""}`);
  return named.join(", ");
}
