// Which bytes of a stored object have been looked at: what is left over at the end was nobody's.
import type { StoredRange } from "./container.ts";

/**
 * Pieces that are kept apart at most. The files of a ZIP stand one after another, so their ranges join into one:
 * whoever scatters them over more places than this wants memory, not to be read.
 */
const mostPieces = 4096;

export class Covered {
  /** Ascending, with bytes between any two. */
  readonly #pieces: { start: number; end: number }[] = [];

  /** False, and nothing is added, when a byte of it is covered already or there are too many pieces. */
  add({ start, end }: StoredRange): boolean {
    if (start >= end) return true;
    const next = this.#after(start);
    const before = this.#pieces[next - 1];
    const after = this.#pieces[next];
    if ((before !== undefined && before.end > start) || (after !== undefined && after.start < end))
      return false;
    const joinsBefore = before?.end === start;
    const joinsAfter = after?.start === end;
    if (joinsBefore && joinsAfter) {
      before.end = after.end;
      this.#pieces.splice(next, 1);
    } else if (joinsBefore) before.end = end;
    else if (joinsAfter) after.start = start;
    else if (this.#pieces.length >= mostPieces) return false;
    else this.#pieces.splice(next, 0, { start, end });
    return true;
  }

  /** What is not covered of an object of so many bytes. */
  gaps(size: number): StoredRange[] {
    const gaps: StoredRange[] = [];
    let at = 0;
    for (const { start, end } of [...this.#pieces, { start: size, end: size }]) {
      if (start > at) gaps.push({ start: at, end: start });
      at = Math.max(at, end);
    }
    return gaps;
  }

  /** The index of the first piece that begins behind `start`. */
  #after(start: number): number {
    let low = 0;
    let high = this.#pieces.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#pieces[middle]?.start ?? 0) <= start) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
