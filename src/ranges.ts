// Sets of record indexes, kept as ranges: what is pending of an object, however large it is.

/** Half open: `from` is in, `to` is not. `to: null` is "to the object's end, wherever that is". */
export interface Range {
  readonly from: number;
  readonly to: number | null;
}

/** Every index of an object. */
export const everything: readonly Range[] = [{ from: 0, to: null }];

/** Ascending, disjoint, not touching: the shape that every function here takes and gives. */
export type Ranges = readonly Range[];

/** Any ranges in any order, made into {@link Ranges}. */
export function union(...sets: readonly Ranges[]): Ranges {
  const merged: { from: number; to: number | null }[] = [];
  for (const { from, to } of sets.flat().sort((a, b) => a.from - b.from)) {
    const last = merged.at(-1);
    if (last !== undefined && (last.to === null || from <= last.to)) {
      if (last.to !== null && (to === null || to > last.to)) last.to = to;
    } else if (to === null || to > from) {
      merged.push({ from, to });
    }
  }
  return merged;
}

/** Those from `index` on. */
export function startingAt(ranges: Ranges, index: number): Ranges {
  return ranges
    .filter(({ to }) => to === null || to > index)
    .map(({ from, to }) => ({ from: Math.max(from, index), to }));
}

/** Whether an index is in the set. */
export function contains(ranges: Ranges, index: number): boolean {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const range = ranges[middle];
    if (range === undefined || index < range.from) high = middle;
    else if (range.to === null || index < range.to) return true;
    else low = middle + 1;
  }
  return false;
}

/** Answers whether ascending indexes are in the set, each in constant time. */
export function createCursor(ranges: Ranges): (index: number) => boolean {
  let at = 0;
  return (index) => {
    for (;;) {
      const range = ranges[at];
      if (range === undefined) return false;
      if (range.to !== null && index >= range.to) at++;
      else return index >= range.from;
    }
  };
}

/** Single indexes in nearly ascending order, kept small by joining neighbours. */
export interface IndexSet {
  /** Adds an index that is not in the set. */
  add(index: number): void;
  readonly size: number;
  ranges(): Ranges;
}

/** The fewest loose ranges that are joined at once: little memory, and rare work. */
const compactAt = 4096;

export function createIndexSet(): IndexSet {
  let loose: { from: number; to: number }[] = [];
  let joined: Ranges = [];
  let size = 0;
  const ranges = () => {
    joined = union(joined, loose);
    loose = [];
    return joined;
  };
  return {
    add(index) {
      size++;
      const last = loose.at(-1);
      if (last !== undefined && last.to === index) last.to = index + 1;
      else loose.push({ from: index, to: index + 1 });
      // As many as are joined already, or joining them would cost ever more: gaps everywhere leave nothing to join.
      if (loose.length >= Math.max(compactAt, joined.length)) ranges();
    },
    get size() {
      return size;
    },
    ranges,
  };
}
