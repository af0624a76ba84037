// What waits in a queue that is not ours, as far as a filter lets it through, and in groups.
import { fingerprint } from "../dead-letter/dead-letter.ts";
import type { LetterFilter } from "../dead-letter/filter.ts";
import { matches } from "../dead-letter/filter.ts";
import { createSurveyor, type Survey } from "../dead-letter/survey.ts";
import type { FailureQueue, QueueEntry } from "./queue.ts";

/** The class of an entry's failure. */
export function entryFingerprint(queue: FailureQueue, { code, reason }: QueueEntry): string {
  // No stage of ours refused it; any one keeps classes of different queues apart.
  return fingerprint("intake", queue.name, code, reason);
}

/** The entries that a filter lets through. An id may be the beginning of one. */
export async function* entriesOf(
  queue: FailureQueue,
  filter: LetterFilter,
  signal: AbortSignal,
): AsyncGenerator<QueueEntry> {
  const { ids = [], objects = [], stages = [] } = filter;
  // Nothing in such a queue has come to a stage.
  if (stages.length > 0) return;
  for await (const entry of queue.entries({ signal })) {
    const { id, code, lastAt, place, event } = entry;
    if (ids.length > 0 && !ids.some((each) => id.startsWith(each))) continue;
    if (objects.length > 0 && !objects.some((each) => place.includes(each))) continue;
    const waiting = { sink: queue.name, stage: "intake", code, lastAt } as const;
    const cause = entryFingerprint(queue, entry);
    if (matches(filter, { ...waiting, fingerprint: cause, ...(event === undefined ? {} : { event }) })) {
      yield entry;
    }
  }
}

export async function surveyQueue(
  queue: FailureQueue,
  filter: LetterFilter,
  signal: AbortSignal,
): Promise<Survey> {
  const surveyor = createSurveyor();
  for await (const entry of entriesOf(queue, filter, signal)) {
    const { id, code, reason, action, firstAt, lastAt, event } = entry;
    surveyor.add({
      sink: queue.name,
      stage: "queue",
      fingerprint: entryFingerprint(queue, entry),
      code,
      reason,
      action,
      since: firstAt,
      lastAt,
      tenantId: event?.tenantId,
      example: id,
    });
  }
  return surveyor.survey();
}
