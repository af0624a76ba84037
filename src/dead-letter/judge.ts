// Whether the record of a dead letter is a valid event by the rules of today.
import { prepare } from "../delivery/encode.ts";
import { judgeRecord } from "../delivery/preview.ts";
import type { Sink } from "../delivery/sink.ts";
import type { MetricEvent, TimePolicy } from "../event.ts";
import { createRouter, everywhere, type Route } from "../routing/route.ts";
import { type DeadLetter, intakeLane, recordBytes } from "./dead-letter.ts";

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

/**
 * Answers whether a letter would be refused again before it is sent: by the intake's rules or its sink's mapping. Of a
 * letter without bytes, or of a sink that is not there, nothing is known: it would not.
 */
export function createForesight(
  sinks: readonly Sink<unknown>[],
  routes: readonly Route[] = everywhere,
  limits: TimePolicy & { readonly maxRecordBytes: number },
): (objectHash: string, letter: DeadLetter) => boolean {
  const known = new Map(
    sinks.map((sink) => [sink.name, { sink, isRouted: createRouter(routes, sink.name) }]),
  );
  return (objectHash, letter) => {
    const bytes = recordBytes(letter);
    const own = known.get(letter.sink);
    if (bytes === undefined || (own === undefined && letter.sink !== intakeLane)) return false;
    const judged = judgeLetter(letter, bytes, { ...limits, objectHash });
    if ("refusal" in judged) return true;
    return own?.isRouted(judged.event) === true && "rejected" in prepare(own.sink, judged.event);
  };
}
