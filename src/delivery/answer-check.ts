// What a sink answers, checked as it crosses: its author may write plain JavaScript, or have stripped the types. What is no
// outcome is unknown, so it counts as an attempt and ends as pending, with a sentence that names the mistake.
import { longestRetryAfterMs } from "./http.ts";
import type { Outcome, Transient, Verdict } from "./sink.ts";

/** A code that letters, plans and advice are grouped by. */
const code = /^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*$/;

export function isCode(value: unknown): value is string {
  return typeof value === "string" && code.test(value) && value.length <= longestCode;
}
const longestCode = 64;

/** What a sink may ask to wait, in milliseconds: nothing but a number, and a day at most; undefined for anything else. */
export function waitOf(value: unknown): number | undefined {
  if (typeof value !== "number" || Number.isNaN(value) || value < 0) return undefined;
  return Math.min(value, longestRetryAfterMs);
}

/** What is wrong with a sink's answer to so many items: the first thing, as {@link checkAnswer} tells it. */
export function answerProblem(answer: unknown, items: number): string | undefined {
  if (!Array.isArray(answer)) return verdictProblem(answer);
  if (answer.length > items) return `${answer.length} outcomes for ${items} items`;
  for (const outcome of answer) {
    const problem = outcomeProblem(outcome);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** Costs a look at each outcome; most are the same object, which is looked at once. */
export function checkAnswer(answer: unknown, items: number): readonly Outcome[] | Verdict {
  if (Array.isArray(answer)) return checkOutcomes(answer, items);
  const problem = verdictProblem(answer);
  if (problem !== undefined) return unknown(`the sink's answer is wrong: ${problem}`);
  // The check has just proven it: a verdict of the three kinds, with all that its kind needs.
  return lawful(answer as Verdict);
}

function checkOutcomes(outcomes: readonly unknown[], items: number): readonly Outcome[] | Verdict {
  if (outcomes.length > items) {
    return unknown(`the sink's answer is wrong: ${outcomes.length} outcomes for ${items} items`);
  }
  let last: unknown;
  return outcomes.map((outcome) => {
    // One that is missing is told as such by the lane.
    if (outcome === last || outcome === undefined) return outcome as Outcome;
    const problem = outcomeProblem(outcome);
    if (problem !== undefined) return unknown(`the sink's outcome for the record is wrong: ${problem}`);
    const checked = lawful(outcome as Outcome);
    if (checked === outcome) last = outcome;
    return checked;
  });
}

const unknown = (reason: string): Transient => ({ status: "transient", reason });

/** A wait that is none is left out, and a longer one than a day cut. */
function lawful<T extends Outcome | Verdict>(outcome: T): T | Transient {
  if (outcome.status !== "transient" || outcome.retryAfterMs === undefined) return outcome;
  const { retryAfterMs, ...rest }: Transient = outcome;
  const wait = waitOf(retryAfterMs);
  if (wait === retryAfterMs) return outcome;
  return wait === undefined ? rest : { ...rest, retryAfterMs: wait };
}

function verdictProblem(value: unknown): string | undefined {
  const status = statusOf(value);
  if (status === undefined) return `it is ${kindOf(value)}, neither outcomes nor a verdict with a status`;
  if (status === "delivered") return undefined;
  if (status === "transient") return textProblem(value, "reason");
  if (status === "refused") return textProblem(value, "reason") ?? codeProblem(value);
  if (status === "rejected" || status === "filtered")
    return `${status} is an outcome of one item: answer one outcome an item`;
  return `${named(status)}, and a verdict is delivered, transient or refused`;
}

function outcomeProblem(value: unknown): string | undefined {
  const status = statusOf(value);
  if (status === undefined) return `it is ${kindOf(value)}, not an outcome with a status`;
  if (status === "delivered") return undefined;
  if (status === "filtered" || status === "transient") return textProblem(value, "reason");
  if (status === "rejected") return textProblem(value, "reason") ?? codeProblem(value);
  if (status === "refused") return "refused is a verdict of a whole batch: an item is rejected";
  return `${named(status)}, and an outcome is delivered, filtered, rejected or transient`;
}

/** Undefined when it has none that is text. */
function statusOf(value: unknown): string | undefined {
  const status = fieldOf(value, "status");
  return typeof status === "string" ? status : undefined;
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

function textProblem(value: unknown, name: string): string | undefined {
  const text = fieldOf(value, name);
  return typeof text === "string" && text !== "" ? undefined : `it has no ${name} that is text`;
}

function codeProblem(value: unknown): string | undefined {
  return isCode(fieldOf(value, "code")) ? undefined : "it has no code in UPPER_SNAKE_CASE";
}

/** A word may be quoted; whatever else stands there may be a record's. */
function named(status: string): string {
  return /^[A-Za-z_-]{1,20}$/.test(status)
    ? `its status is "${status}"`
    : "its status is no word that is known";
}

export function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (value === undefined) return "nothing";
  if (typeof value !== "object") return `a ${typeof value}`;
  if (typeof Reflect.get(value, "then") === "function") return "a promise";
  return Array.isArray(value) ? "a list" : "an object";
}
