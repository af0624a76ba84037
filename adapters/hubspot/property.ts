// HubSpot properties: text under a name of their own alphabet, from the fields of a record.
import type { JsonValue } from "../../src/index.ts";

export type Properties = Record<string, string>;

export interface PropertyRules {
  /** Characters of a name. */
  readonly nameLength: number;
  /** Characters of a value. */
  readonly valueLength: (value: string) => number;
  readonly count?: number;
}

export type Collected =
  | { readonly properties: Properties }
  | { readonly rejected: string; readonly code: string };

/** https://developers.hubspot.com/changelog/new-property-limits-for-the-custom-behavioural-events-api */
const lawfulName = /^[a-z][a-z0-9_]*$/;

export function isName(text: string): boolean {
  return lawfulName.test(text);
}

/**
 * A field's name in HubSpot's alphabet: `newFindings` and `new-findings` become `new_findings`; a lawful name
 * stays as it is. What cannot become lawful (`2fa`, `数`) is left for {@link collectProperties} to reject.
 */
export function toName(field: string): string {
  if (isName(field)) return field;
  return field
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .replace(/[^A-Za-z0-9]+/g, "_")
    .replace(/^_+|_+$/g, "")
    .toLowerCase();
}

/**
 * Values as text: numbers as JSON writes them (`0`, `1e+21`), `true` and `false` by name, lists and objects as
 * JSON; null and empty text are left out. Nothing is cut, renamed apart or dropped: what HubSpot would not keep
 * whole is rejected, since two fields of one name would lose one of them there, without a word.
 */
export function collectProperties(
  fields: Iterable<readonly [name: string, value: JsonValue]>,
  rules: PropertyRules,
): Collected {
  const properties: Properties = {};
  let count = 0;
  for (const [name, value] of fields) {
    if (value === null || value === "") continue;
    if (!isName(name) || name.length > rules.nameLength) {
      const shown = JSON.stringify(name.slice(0, rules.nameLength));
      return reject(
        "PROPERTY_NAME_INVALID",
        `${shown} is no property name: a to z first, then a to z, 0 to 9 or _, at most ${rules.nameLength}`,
      );
    }
    if (Object.hasOwn(properties, name)) {
      return reject("PROPERTY_NAME_COLLISION", `two fields become the property ${name}`);
    }
    if (typeof value === "number" && !Number.isFinite(value)) {
      return reject("NUMBER_TOO_LARGE", `the property ${name} is a number that no double holds`);
    }
    const text = typeof value === "object" ? JSON.stringify(value) : String(value);
    const longest = rules.valueLength(text);
    if (text.length > longest) {
      return reject(
        "PROPERTY_VALUE_TOO_LONG",
        `the property ${name} has ${text.length} characters; HubSpot takes ${longest}`,
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

function reject(code: string, rejected: string): Collected {
  return { rejected, code };
}
