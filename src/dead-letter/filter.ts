// Which of all that waits is meant: dead letters, and what is pending of an object.
import type { ObjectVersion } from "../books/books.ts";
import { type DeadLetter, intakeLane, type Stage } from "./dead-letter.ts";

/** The step at which something waits; `pending` is no refusal: the sink only needs time. */
export type WaitingStage = Stage | "pending";

/** Everything must hold; of a list one is enough. An absent or empty list holds for everything. */
export interface LetterFilter {
  /** Lanes: names of sinks, or `_intake`, exactly. {@link lanesNamed} makes them of what an operator writes. */
  readonly sinks?: readonly string[];
  readonly tenants?: readonly string[];
  readonly metrics?: readonly string[];
  readonly stages?: readonly WaitingStage[];
  readonly codes?: readonly string[];
  /** Or how they begin. */
  readonly fingerprints?: readonly string[];
  /** Refused last at or after, and before: milliseconds since the epoch. */
  readonly since?: number;
  readonly until?: number;
  /** Keys, or locations and keys, or how one of both ends behind a slash: the file's name is enough. */
  readonly objects?: readonly string[];
  /** See {@link letterId}. */
  readonly ids?: readonly string[];
  /** Only these objects and lanes, by {@link coverName}: those of a plan. */
  readonly within?: ReadonlySet<string>;
}

export function coverName(objectHash: string, lane: string): string {
  return `${objectHash} ${lane}`;
}

/** What a filter looks at. */
export interface Waiting {
  readonly sink: string;
  readonly stage: WaitingStage;
  readonly code?: string;
  readonly fingerprint?: string;
  readonly lastAt: number;
  readonly event?: { readonly tenantId: string; readonly metricName: string };
}

/** Digits of an object's hash in a printed id: a billion objects have few that begin alike. */
const idDigits = 10;
/** Of an id that is typed: fewer would mean too many. */
const fewestIdDigits = 4;

/**
 * The id by which operators name a dead letter, `3f2a91bc04-mixpanel-17`: of the object, the sink, and the record's
 * index in the object. The same however often the record is refused. Without an index: what is pending of the object.
 */
export function letterId(objectHash: string, lane: string, index?: number): string {
  return `${objectHash.slice(0, idDigits)}-${lane}${index === undefined ? "" : `-${index}`}`;
}

/**
 * Whether an id means this letter, or this object's deferral. Its hash may have fewer or more digits than are printed;
 * digits alone mean everything of the object.
 */
export function meansId(id: string, objectHash: string, lane: string, index?: number): boolean {
  const [, digits = "", rest = ""] = /^([0-9a-f]*)(.*)$/s.exec(id.toLowerCase()) ?? [];
  if (digits.length < fewestIdDigits || !objectHash.startsWith(digits)) return false;
  return rest === "" || rest === (index === undefined ? `-${lane}` : `-${lane}-${index}`);
}

/** Everything but the ids and the object, which are asked of a whole object first. */
export function matches(filter: LetterFilter, waiting: Waiting): boolean {
  const { sinks, tenants, metrics, stages, codes, fingerprints, since, until } = filter;
  const { sink, stage, code = "", fingerprint = "", lastAt, event } = waiting;
  return (
    oneOf(sinks, (name) => name === sink) &&
    oneOf(stages, (name) => name === stage) &&
    oneOf(codes, (name) => name === code) &&
    oneOf(fingerprints, (name) => name !== "" && fingerprint.startsWith(name)) &&
    oneOf(tenants, (name) => name === event?.tenantId) &&
    oneOf(metrics, (name) => name === event?.metricName) &&
    (since === undefined || lastAt >= since) &&
    (until === undefined || lastAt < until)
  );
}

/** Whether the filter leaves anything of the object to look at. */
export function matchesObject(filter: LetterFilter, object: ObjectVersion): boolean {
  const whole = `${object.bucket}/${object.key}`;
  return oneOf(filter.objects, (name) => whole === name || whole.endsWith(`/${name.replace(/^\/+/, "")}`));
}

/** Whether one of the ids means the letter; a letter's own UUID does, too. */
export function matchesIds(filter: LetterFilter, objectHash: string, letter: DeadLetter): boolean {
  const { id: own, sink, origin } = letter;
  return oneOf(filter.ids, (id) => id === own || meansId(id, objectHash, sink, origin.index));
}

/** Whether the object may hold what an id means: an id begins with the object's hash, or is a letter's own UUID. */
export function mayHoldIds({ ids }: LetterFilter, objectHash: string): boolean {
  return oneOf(ids, (id) => {
    if (isUuid(id)) return true;
    const [digits = ""] = /^[0-9a-f]*/.exec(id.toLowerCase()) ?? [];
    return digits.length >= fewestIdDigits && objectHash.startsWith(digits);
  });
}

/**
 * The lanes that a name stands for: the sink of exactly that name, and only where there is none, all whose names go on
 * behind a dash (`hubspot` is `hubspot-events` and `hubspot-companies`). `intake` stands for the invalid records. Empty
 * when it is nobody's name.
 */
export function lanesNamed(name: string, lanes: readonly string[]): readonly string[] {
  if (name === "intake" || name === intakeLane) return [intakeLane];
  if (lanes.includes(name)) return [name];
  return lanes.filter((lane) => lane.startsWith(`${name}-`));
}

/** Whether the filter leaves everything in. */
export function isEmpty(filter: LetterFilter): boolean {
  return Object.values(filter).every(
    (value) => value === undefined || (Array.isArray(value) && value.length === 0),
  );
}

/** Whether the filter asks for what deferrals do not hold, so that none of them can be meant. */
export function isAboutLetters({
  tenants,
  metrics,
  codes,
  fingerprints,
  stages,
  ids,
}: LetterFilter): boolean {
  const asks = [tenants, metrics, codes, fingerprints].some((list) => list !== undefined && list.length > 0);
  const elsewhere = stages !== undefined && stages.length > 0 && !stages.includes("pending");
  return asks || elsewhere || (ids?.some(isUuid) ?? false);
}

function isUuid(id: string): boolean {
  return /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(id);
}

function oneOf<T>(list: readonly T[] | undefined, holds: (each: T) => boolean): boolean {
  return list === undefined || list.length === 0 || list.some(holds);
}
