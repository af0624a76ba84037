// HubSpot properties: text under a name of their own alphabet, from the fields of a record.
import { isoTime, type JsonValue, quoteName } from "../../src/index.ts";
import type { Code } from "./refusals.ts";

export type Properties = Record<string, string>;

export type Field = readonly [name: string, value: JsonValue];

export interface PropertyRules {
  /** Characters of a name. */
  readonly nameLength: number;
  /** Characters of a value. */
  readonly valueLength: (value: string) => number;
  readonly count?: number;
}

export interface Rejection {
  readonly rejected: string;
  readonly code: Code;
}

export type Collected = { readonly properties: Properties } | Rejection;

/** https://developers.hubspot.com/changelog/new-property-limits-for-the-custom-behavioural-events-api */
const lawfulName = /^[a-z][a-z0-9_]*$/;

/** Characters of a value that every property takes. */
const alwaysFits = 256;

/** Ours: no document that people made is deeper, and JSON of endless depth ends a process. */
const maxDepth = 100;

export function isName(text: string): boolean {
  return lawfulName.test(text);
}

/** Records have the same few fields over and over, and a look takes a tenth of an expression. */
const lawful = new Map<string, string>();
const mostLawful = 1000;

/**
 * A field's name in HubSpot's alphabet: `newFindings` and `new-findings` become `new_findings`; a lawful name
 * stays as it is. What cannot become lawful (`2fa`, `数`) is left for {@link collectProperties} to reject.
 */
export function toName(field: string): string {
  const known = lawful.get(field);
  if (known !== undefined) return known;
  const name = isName(field)
    ? field
    : field
        .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
        .replace(/[^A-Za-z0-9]+/g, "_")
        .replace(/^_+|_+$/g, "")
        .toLowerCase();
  if (lawful.size < mostLawful && isName(name)) lawful.set(field, name);
  return name;
}

/**
 * Whether HubSpot can hold the tenant's id as it is. It trims some texts
 * (https://developers.hubspot.com/changelog/breaking-change-enhanced-validations-for-non-string-properties-in-hubspots-crmobject-apis),
 * and what is no valid Unicode becomes U+FFFD: either could make one tenant's id another's.
 */
export function checkTenantId(tenantId: string, longest: number): Rejection | undefined {
  if (tenantId.length <= longest && tenantId.isWellFormed() && !/^\s|\s$|\p{Cc}/u.test(tenantId)) return;
  return reject("TENANT_ID_INVALID", "HubSpot cannot hold metadata.tenant_id as it is");
}

/** A time as HubSpot takes it: ISO 8601 with a year of four digits. */
export function toTime(time: number): string | Rejection {
  return time >= yearZero && time < yearTenThousand
    ? isoTime(time)
    : reject("TIME_INVALID", "data.event_time is not in the years 0 to 9999");
}

const yearZero = Date.parse("0000-01-01T00:00:00Z");
const yearTenThousand = Date.UTC(10_000, 0);

/**
 * Values as text: numbers as JSON writes them (`0`, `1e+21`), `true` and `false` by name, lists and objects as
 * JSON; null and empty text are left out, half a character (a lone surrogate) becomes U+FFFD. Nothing is cut,
 * renamed apart or dropped: what HubSpot would not keep whole is rejected, since two fields of one name would lose
 * one of them there, without a word.
 */
export function collectProperties(fields: Iterable<Field>, rules: PropertyRules): Collected {
  const properties: Properties = {};
  let count = 0;
  for (const [name, value] of fields) {
    if (value === null || value === "") continue;
    if (name.length > rules.nameLength || (lawful.get(name) !== name && !isName(name))) {
      return reject(
        "PROPERTY_NAME_INVALID",
        `${quoteName(name)} is no property name: a to z first, then a to z, 0 to 9 or _, at most ${rules.nameLength}`,
      );
    }
    if (Object.hasOwn(properties, name)) {
      return reject("PROPERTY_NAME_COLLISION", `two fields become the property ${quoteName(name)}`);
    }
    const problem = misfit(value);
    if (problem === "number") {
      return reject("NUMBER_NOT_FINITE", `the property ${quoteName(name)} has a number that no double holds`);
    }
    if (problem === "depth") {
      return reject(
        "PROPERTY_VALUE_TOO_DEEP",
        `the property ${quoteName(name)} is nested over ${maxDepth} levels`,
      );
    }
    const text = (typeof value === "object" ? JSON.stringify(value) : String(value)).toWellFormed();
    const longest = text.length <= alwaysFits ? alwaysFits : rules.valueLength(text);
    if (text.length > longest) {
      return reject(
        "PROPERTY_VALUE_TOO_LONG",
        `the property ${quoteName(name)} has ${text.length} characters; HubSpot takes ${longest}`,
      );
    }
    properties[name] = text;
    count += 1;
  }
  if (rules.count !== undefined && count > rules.count) {
    return reject(
      "TOO_MANY_PROPERTIES",
      `the record makes ${count} properties; HubSpot takes ${rules.count}`,
    );
  }
  return { properties };
}

export function reject(code: Code, rejected: string): Rejection {
  return { rejected, code };
}

/** What JSON text would not say as it is, or undefined. */
function misfit(value: JsonValue, depth = 0): "number" | "depth" | undefined {
  if (typeof value === "number") return Number.isFinite(value) ? undefined : "number";
  if (typeof value !== "object" || value === null) return undefined;
  if (depth === maxDepth) return "depth";
  for (const entry of Object.values(value)) {
    const problem = misfit(entry, depth + 1);
    if (problem !== undefined) return problem;
  }
  return undefined;
}
