// What one run did: counts that must close, object by object and added up.
import type { ObjectVersion } from "./books.ts";

/** `valid = delivered + filtered + deadLettered + pending`, or there is no report. */
export interface SinkReport {
  /** Events that this run had to deliver to the sink. */
  readonly valid: number;
  readonly delivered: number;
  readonly filtered: number;
  readonly deadLettered: number;
  readonly pending: number;
  readonly requests: number;
  readonly retries: number;
  /** Time in requests, in milliseconds: the sum and the longest. */
  readonly requestMs: number;
  readonly slowestMs: number;
  /** The newest `event_time` delivered, in milliseconds since the epoch. */
  readonly newestTime?: number;
  /** Why records are pending: the last reason. */
  readonly pendingReason?: string;
}

export interface ObjectReport {
  readonly object: ObjectVersion;
  /** Records that this run took up: `records = valid + invalid`. What an earlier run has settled is not counted again. */
  readonly records: number;
  readonly valid: number;
  readonly invalid: number;
  readonly sinks: Readonly<Record<string, SinkReport>>;
  /** The object was not read to its end; the rest is pending for every sink and not in any count. */
  readonly unread: boolean;
  /** Lanes that were asked for and of which nothing is left to do: sinks, and `_intake`. */
  readonly settled: readonly string[];
  /** Lanes that were asked for and that another worker holds: what became of them is not known here. */
  readonly busy: readonly string[];
}

export interface RunReport extends Omit<ObjectReport, "object" | "unread" | "settled" | "busy"> {
  readonly objects: number;
  /** Objects not read to their end. */
  readonly unread: number;
}

export const emptyRun: RunReport = { objects: 0, records: 0, valid: 0, invalid: 0, sinks: {}, unread: 0 };

export const emptySink: SinkReport = {
  valid: 0,
  delivered: 0,
  filtered: 0,
  deadLettered: 0,
  pending: 0,
  requests: 0,
  retries: 0,
  requestMs: 0,
  slowestMs: 0,
};

/** Adds an object's report to a run's. */
export function addReport(run: RunReport, report: ObjectReport): RunReport {
  const sinks: Record<string, SinkReport> = { ...run.sinks };
  for (const [name, sink] of Object.entries(report.sinks))
    sinks[name] = addSink(sinks[name] ?? emptySink, sink);
  return {
    objects: run.objects + 1,
    records: run.records + report.records,
    valid: run.valid + report.valid,
    invalid: run.invalid + report.invalid,
    sinks,
    unread: run.unread + (report.unread ? 1 : 0),
  };
}

function addSink(a: SinkReport, b: SinkReport): SinkReport {
  const newest = Math.max(a.newestTime ?? Number.NEGATIVE_INFINITY, b.newestTime ?? Number.NEGATIVE_INFINITY);
  const reason = b.pendingReason ?? a.pendingReason;
  return {
    valid: a.valid + b.valid,
    delivered: a.delivered + b.delivered,
    filtered: a.filtered + b.filtered,
    deadLettered: a.deadLettered + b.deadLettered,
    pending: a.pending + b.pending,
    requests: a.requests + b.requests,
    retries: a.retries + b.retries,
    requestMs: a.requestMs + b.requestMs,
    slowestMs: Math.max(a.slowestMs, b.slowestMs),
    ...(newest === Number.NEGATIVE_INFINITY ? {} : { newestTime: newest }),
    ...(reason === undefined ? {} : { pendingReason: reason }),
  };
}

/** Whether the counts close, in the whole and for every sink. */
export function isBalanced(report: Pick<ObjectReport, "records" | "valid" | "invalid" | "sinks">): boolean {
  return report.records === report.valid + report.invalid && Object.values(report.sinks).every(closes);
}

/** Whether every event of the sink has exactly one outcome. */
export function closes(sink: SinkReport): boolean {
  return sink.valid === sink.delivered + sink.filtered + sink.deadLettered + sink.pending;
}

/** Records that wait, over all sinks. */
export function pendingOf(report: Pick<ObjectReport, "sinks">): number {
  return Object.values(report.sinks).reduce((sum, sink) => sum + sink.pending, 0);
}

const done = new WeakMap<object, ObjectReport>();

/** The error, with what was durable before it: the lanes whose receipts are written. */
export function failedAfter(error: unknown, report: ObjectReport): unknown {
  if (typeof error === "object" && error !== null) done.set(error, report);
  return error;
}

/**
 * What `worker.process` did before it rejected with this error: the sinks whose receipts are written, which no later
 * run will report. Undefined when there is nothing.
 */
export function reportOf(error: unknown): ObjectReport | undefined {
  return typeof error === "object" && error !== null ? done.get(error) : undefined;
}

/** Adds what was done of an object that failed: it is none of the run's objects. */
export function addPart(run: RunReport, error: unknown): RunReport {
  const report = reportOf(error);
  return report === undefined ? run : { ...addReport(run, report), objects: run.objects };
}
