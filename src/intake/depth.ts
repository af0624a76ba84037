// How deep a JSON value is nested.

/**
 * A deeper record is invalid. `JSON.stringify` overflows its stack from about 4,000 levels on, `structuredClone`
 * earlier (Node 24, default stack), and a mapping that walks a record pays for its depth at every leaf. No metric comes near.
 */
export const maxDepth = 200;

/**
 * Whether a value lies deeper than {@link maxDepth} containers. Counting brackets in its text costs next to nothing, so
 * only what has very many of them is walked, and without recursion.
 */
export function isTooDeep(text: string, value: unknown): boolean {
  return hasBrackets(text, maxDepth + 1) && walk(value);
}

function hasBrackets(text: string, least: number): boolean {
  let count = 0;
  for (const bracket of ["{", "["]) {
    for (let at = text.indexOf(bracket); at !== -1; at = text.indexOf(bracket, at + 1)) {
      count++;
      if (count === least) return true;
    }
  }
  return false;
}

/** Level by level. */
function walk(value: unknown): boolean {
  let level = containers([value]);
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > maxDepth) return true;
    level = level.flatMap((container) => containers(Object.values(container)));
  }
  return false;
}

function containers(values: readonly unknown[]): object[] {
  return values.filter((value) => typeof value === "object" && value !== null);
}
