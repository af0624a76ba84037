// Whether the record of a dead letter is a valid event by the rules of today.
import { judgeRecord } from "../delivery/preview.ts";
import type { MetricEvent, TimePolicy } from "../event.ts";
import type { DeadLetter } from "./dead-letter.ts";

export interface LetterRules extends TimePolicy {
  /** Of the object version: what derived ids begin with. */
  readonly objectHash: string;
  readonly maxRecordBytes: number;
}

export type JudgedLetter =
  | { readonly event: MetricEvent }
  | { readonly refusal: Pick<DeadLetter, "code" | "reason"> };

/** As when the object was read, but by the rules of today: a time is judged from when the object was written. */
export function judgeLetter(letter: DeadLetter, bytes: Buffer, rules: LetterRules): JudgedLetter {
  const { objectHash, ...limits } = rules;
  const now = letter.origin.writtenAt;
  const judged = judgeRecord(bytes, {
    derivedId: () => `${objectHash.slice(0, 24)}-${letter.origin.index}`,
    maxRecordBytes: rules.maxRecordBytes,
    ...(now === undefined ? {} : { times: { ...limits, now } }),
  });
  // What used to be one record is several today, or none: nobody knows what it would have been.
  if ("records" in judged) return { refusal: letter };
  // It ends where its letter ends, which says nothing: what was said of it in its object does.
  const isCut = "refusal" in judged && judged.refusal.code === "CUT_OFF";
  return isCut && letter.stage === "intake" ? { refusal: letter } : judged;
}
