// What a preview shows of values that are nobody's business on a screen or in a ticket: that there is one.
import type { JsonValue, MetricEvent } from "../event.ts";
import type { Metric } from "../routing/metric.ts";
import { jsonIn, valuesOf } from "./payload.ts";

/** Fields whose texts are credentials, going by their names. */
const secretName = /token|secret|passw|authorization|credential|api[_-]?key/i;
/** Wherever it stands in a text. */
const eMail = /[^\s@<>"'(),;:]+@[^\s@<>"'(),;:]+\.[^\s@<>"'(),;:]+/g;

/** Credentials inside a text: a header's, an address's query's, and those before its host. */
const inText = [
  /(\b(?:bearer|basic) +)[\w.~+/=-]{16,}/gi,
  /([?&][\w.-]*(?:token|secret|passw|api[_-]?key|signature)[\w.-]*=)[^&#\s"']+/gi,
  /(:\/\/[^\s/:@]*:)[^\s/@]+(?=@)/g,
] as const;

/** Shorter values are taken out only where they are all of a text: a part of other words they may be by chance. */
const shortestInside = 4;

const marks = { secret: "‹secret›", personal: "‹personal›", eMail: "‹e-mail›" } as const;

/**
 * What the payload says, its shape and all other values as they are. Taken out are credentials by their fields' names,
 * e-mail addresses, and what the catalog declares to be personal data, wherever the sink's mapping has put it.
 */
export function redact(payload: unknown, event: MetricEvent, metrics: readonly Metric[]): JsonValue {
  const personal = personalValues(event, metrics);
  const long = [...personal].filter((text) => text.length >= shortestInside);
  const visit = (value: JsonValue, isSecret: boolean): JsonValue => {
    if (value === null || typeof value === "boolean") return value;
    if (typeof value === "object") {
      if (isList(value)) return value.map((entry) => visit(entry, isSecret));
      const entries = Object.entries(value);
      return Object.fromEntries(
        entries.map(([name, entry]) => [name, visit(entry, isSecret || secretName.test(name))]),
      );
    }
    if (personal.has(String(value))) return marks.personal;
    if (typeof value !== "string") return value;
    if (isSecret) return marks.secret;
    // A nested field of a table, say.
    const inner = jsonIn(value);
    if (inner !== undefined) return `${JSON.stringify(visit(inner, false))}${/\s*$/.exec(value)?.[0] ?? ""}`;
    const open = inText.reduce((text, each) => text.replaceAll(each, `$1${marks.secret}`), value);
    return long
      .reduce((text, each) => text.replaceAll(each, marks.personal), open)
      .replaceAll(eMail, marks.eMail);
  };
  return visit(valuesOf(payload), false);
}

function isList(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value);
}

/** Texts and numbers of the event's personal fields, in the form in which a payload may have them. */
function personalValues(event: MetricEvent, metrics: readonly Metric[]): ReadonlySet<string> {
  const metric = metrics.find(({ name }) => name === event.metricName);
  const values: JsonValue[] = [
    [event.metadata, metric?.dimensions] as const,
    [event.data, metric?.data] as const,
  ].flatMap(([record, fields = {}]) =>
    Object.entries(fields).flatMap(([name, { personal }]) => {
      const value = Object.hasOwn(record, name) ? record[name] : undefined;
      return personal === undefined || value === undefined ? [] : [value];
    }),
  );
  return new Set(values.flatMap(leaves));
}

function leaves(value: JsonValue): string[] {
  if (typeof value === "object" && value !== null) return Object.values(value).flatMap(leaves);
  return typeof value === "string" || typeof value === "number" ? [String(value)] : [];
}
