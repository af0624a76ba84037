// A sink's score card: every conformance case, kept, broken or skipped with its reason.
import { checkSkips, conformanceCases, reasonToSkip } from "./conformance.ts";
import type { ConformanceSubject } from "./subject.ts";
import { virtualClock } from "./virtual-clock.ts";

export type CaseScore = {
  readonly name: string;
  /** Why it matters. */
  readonly promise: string;
} & (
  | { readonly verdict: "kept" }
  /** `problem`: what happened instead. */
  | { readonly verdict: "broken"; readonly problem: string }
  | { readonly verdict: "skipped"; readonly reason: string }
);

export interface ScoreCard {
  /** The sink's name. */
  readonly sink: string;
  readonly kept: number;
  readonly broken: number;
  readonly skipped: number;
  readonly cases: readonly CaseScore[];
}

/** Real time: a case lasts milliseconds, since its own time is virtual. */
const longestCaseMs = 20_000;

/**
 * Runs every case, one after the other.
 *
 * @throws when a reason to skip is missing or is for a case that does not exist, and what making the sink throws.
 */
export async function scoreSink(subject: ConformanceSubject): Promise<ScoreCard> {
  checkSkips(subject);
  const clock = virtualClock();
  const { name: sink } = subject.sink(clock);
  subject.twin(clock);
  const cases: CaseScore[] = [];
  for (const each of conformanceCases) {
    const { name, promise, run } = each;
    const reason = reasonToSkip(each, subject);
    if (reason !== undefined) {
      cases.push({ name, promise, verdict: "skipped", reason });
      continue;
    }
    try {
      await inTime(run(subject));
      cases.push({ name, promise, verdict: "kept" });
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      cases.push({ name, promise, verdict: "broken", problem });
    }
  }
  const count = (verdict: CaseScore["verdict"]) => cases.filter((each) => each.verdict === verdict).length;
  return { sink, kept: count("kept"), broken: count("broken"), skipped: count("skipped"), cases };
}

async function inTime(work: Promise<void>): Promise<void> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new Error(`the case did not end within ${longestCaseMs / 1000} s`)),
    longestCaseMs,
  );
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
