// Remembers where JSON broke, so that nothing that must break there is read up to there again.
import type { JsonScanner } from "./json-scanner.ts";

/** What is wrong with a record: the offset in the stream of a byte that must not stand there, or that there are too few. */
export type Fault = number | "ended";

/**
 * A container that was open where a scan failed fails there as well. Without this, a thousand lines that each open one
 * more container would be scanned a thousand times.
 *
 * Two failures are kept: the farthest, and the latest. A short failure between must not let the far one be forgotten;
 * more are not needed, since what is inside of a string for one scan is outside for every other that still goes on.
 */
export class Doom {
  #farthest: Failure = { starts: [], until: -1, fault: "ended" };
  #latest: Failure = this.#farthest;

  /** @param start where the container that was scanned begins in the stream. */
  add(start: number, scanner: JsonScanner, fault: Fault): void {
    const starts = scanner.open.map((offset) => start + (offset < 0 ? ~offset : offset));
    const failure = { starts, until: start + scanner.length, fault };
    if (failure.until >= this.#farthest.until) this.#farthest = failure;
    else this.#latest = failure;
  }

  /** Why the container that begins there fails, if that is known. */
  of(start: number): Fault | undefined {
    return fails(this.#farthest, start) ?? fails(this.#latest, start);
  }
}

interface Failure {
  /** Where the containers begin that were open, ascending. */
  readonly starts: readonly number[];
  /** Where the scan failed. */
  readonly until: number;
  readonly fault: Fault;
}

function fails({ starts, until, fault }: Failure, start: number): Fault | undefined {
  if (start > until) return undefined;
  let low = 0;
  let high = starts.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((starts[middle] ?? 0) < start) low = middle + 1;
    else high = middle;
  }
  return starts[low] === start ? fault : undefined;
}
