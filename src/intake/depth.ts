// How deep a JSON value is nested.

/**
 * A deeper record is invalid. `JSON.stringify` overflows its stack from about 4,000 levels on, `structuredClone`
 * earlier (Node 24, default stack), and a mapping that walks a record pays for its depth at every leaf. No metric comes near.
 */
export const maxDepth = 500;

/**
 * Whether a value lies deeper than {@link maxDepth} containers. Counting brackets in its text costs next to nothing, so
 * only what has very many of them is walked, and without recursion.
 */
export function isTooDeep(text: string, value: unknown): boolean {
  return hasBrackets(text, maxDepth + 1) && walk(value);
}

/** Gives up where what is left is too short: each level needs its closing bracket too. */
function hasBrackets(text: string, least: number): boolean {
  let missing = least;
  for (const bracket of ["[", "{"]) {
    let at = -1;
    while (text.length - at > 2 * missing) {
      at = text.indexOf(bracket, at + 1);
      if (at === -1) break;
      missing--;
      if (missing === 0) return true;
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
