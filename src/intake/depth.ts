// How deep a JSON value is nested.

/**
 * A deeper record is invalid. `JSON.stringify` overflows its stack from about 4,000 levels on, `structuredClone`
 * earlier (Node 24, default stack), and a mapping that walks a record pays for its depth at every leaf. No metric comes near.
 */
export const maxDepth = 500;

/** As many brackets as most records have. Counting these few takes less than a walk. */
const usualBrackets = 8;

/** Whether a value, whose text is given too, is nested deeper than {@link maxDepth} containers. */
export function isTooDeep(text: string, value: unknown): boolean {
  return hasMoreBrackets(text) && isDeeper(value, maxDepth);
}

function hasMoreBrackets(text: string): boolean {
  let count = 0;
  for (const bracket of ["{", "["]) {
    for (let at = text.indexOf(bracket); at !== -1; at = text.indexOf(bracket, at + 1)) {
      count++;
      if (count > usualBrackets) return true;
    }
  }
  return false;
}

/** Recurses no deeper than the limit, so it cannot overflow itself. */
function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (levels === 0) return true;
  if (Array.isArray(value)) return value.some((item) => isDeeper(item, levels - 1));
  // What JSON.parse made has own properties only, `__proto__` included. An array of values would cost twice as much.
  const properties = value as Record<string, unknown>;
  for (const key in properties) if (isDeeper(properties[key], levels - 1)) return true;
  return false;
}
