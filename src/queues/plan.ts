// What putting back the entries of a queue would do now: asked of the queue, which sends nothing.
import type { LetterFilter } from "../dead-letter/filter.ts";
import type { ClassPlan, Plan } from "../dead-letter/plan.ts";
import { leastTimeMs } from "../delivery/simulate.ts";
import type { FailureQueue } from "./queue.ts";
import { entriesOf, entryFingerprint } from "./survey.ts";

/** Entries of which only the target can say whether they pass are counted as passing: they would be put back. */
export async function planQueue(
  queue: FailureQueue,
  filter: LetterFilter,
  signal: AbortSignal,
): Promise<Plan> {
  const classes = new Map<string, ClassPlan>();
  for await (const entry of entriesOf(queue, filter, signal)) {
    const { code, reason } = entry;
    const cause = entryFingerprint(queue, entry);
    let plan = classes.get(cause);
    if (plan === undefined) {
      const none = { letters: 0, passes: 0, filtered: 0, fails: 0, stays: 0 };
      plan = { sink: queue.name, fingerprint: cause, code, reason, ...none, failures: new Map() };
      classes.set(cause, plan);
    }
    plan.letters++;
    const verdict = await queue.judge(entry);
    if (verdict.status !== "fails") {
      plan.passes++;
      continue;
    }
    plan.fails++;
    const again = entryFingerprint(queue, { ...entry, code: verdict.code, reason: verdict.reason });
    const failure = plan.failures.get(again);
    if (failure !== undefined) failure.count++;
    else plan.failures.set(again, { stage: "intake", code: verdict.code, reason: verdict.reason, count: 1 });
  }
  const records = [...classes.values()].reduce((sum, { passes }) => sum + passes, 0);
  const requests = Math.ceil(records / queue.limits.itemsPerRequest);
  const leastMs = leastTimeMs(queue.limits, requests);
  const target = {
    sink: queue.name,
    records,
    requests,
    ...(leastMs === undefined ? {} : { leastMs }),
    uncertain: 0,
    repeats: queue.repeats,
  };
  return {
    classes: [...classes.values()].sort((a, b) => b.letters - a.letters),
    pending: [],
    sinks: records === 0 ? [] : [target],
    covers: [],
    gone: [],
  };
}
