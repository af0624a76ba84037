// What a receipt promises and does not keep: files that are gone, counts that do not add up.
import { intakeLane } from "../dead-letter/dead-letter.ts";
import { readLetters } from "../dead-letter/store.ts";
import { type ObjectStore, StoreError } from "../store/object-store.ts";
import { currentReceipt, type ObjectVersion } from "./books.ts";
import { type Receipt, readDeferral } from "./receipt.ts";

export type ProblemCode =
  /** A worker began with the object and never ended: nobody knows what the sink has. */
  | "NOT_CLOSED"
  /** Other sinks have the object, this one never began with it. */
  | "NOT_BEGUN"
  /** Two lanes of one object count different numbers of valid events. */
  | "LANES_DISAGREE"
  /** The counts of a receipt do not add up. */
  | "COUNTS_DISAGREE"
  /** A dead-letter file that a receipt names is not there. */
  | "LETTERS_GONE"
  /** A dead-letter file cannot be read to its end. */
  | "LETTERS_DAMAGED"
  /** The files hold more or fewer letters than the receipt counts. */
  | "LETTERS_DIFFER"
  /** Something is pending, and its deferral is not there: nobody will take it up. */
  | "DEFERRAL_GONE"
  /** The same, with one that nobody understands. */
  | "DEFERRAL_DAMAGED";

export interface Problem {
  readonly code: ProblemCode;
  readonly object: ObjectVersion | undefined;
  /** When no receipt says which object it is: below which key its books stand. */
  readonly place: string;
  readonly lane: string;
  /** One sentence. */
  readonly what: string;
}

/** A receipt may be replaced while its files are counted: then it is looked at again, so often at most. */
const looks = 3;

/**
 * What one receipt promises and does not keep.
 *
 * @param intake of the same object, when both can be compared.
 */
export async function problemsOf(
  { receipts, deadLetters }: { readonly receipts: ObjectStore; readonly deadLetters: ObjectStore },
  place: string,
  first: Receipt,
  intake: Receipt | undefined,
): Promise<Problem[]> {
  let receipt = first;
  for (let look = 1; ; look++) {
    const { object, lane, counts, pending, deferral } = receipt;
    const at = { object, place, lane };
    const found: Problem[] = [];
    const letters = await countLetters(deadLetters, receipt);
    if ("code" in letters) found.push({ ...at, ...letters });
    else if (letters.count !== counts.deadLettered) {
      const what = `the receipt counts ${counts.deadLettered} dead letters, its files hold ${letters.count}`;
      found.push({ ...at, code: "LETTERS_DIFFER", what });
    }
    if (pending.length > 0) {
      const problem = await deferralProblem(receipts, deferral);
      if (problem !== undefined) {
        const { code, is } = problem;
        const what = `${counts.pending} deliveries are pending and their deferral ${is}; fanout run takes them up`;
        found.push({ ...at, code, what });
      }
    }
    if (found.length > 0 && look < looks) {
      const newer = await currentReceipt(receipts, object, lane);
      if (newer !== undefined && newer.generation !== receipt.generation) {
        receipt = newer;
        continue;
      }
    }
    const counted = lane === intakeLane ? counts.valid + counts.deadLettered + counts.dropped : sumOf(counts);
    const promised = lane === intakeLane ? counts.records : counts.valid;
    if (counted !== promised) {
      const what = `its outcomes add up to ${counted}, and there are ${promised} records`;
      found.push({ ...at, code: "COUNTS_DISAGREE", what });
    }
    // Only what both have read to its end can be compared.
    const isComparable = intake !== undefined && intake.readTo === null && receipt.readTo === null;
    if (isComparable && lane !== intakeLane && !agree(receipt, intake)) {
      const what = `${lane} counts ${counts.valid} valid events, the intake ${intake.counts.valid}`;
      found.push({ ...at, code: "LANES_DISAGREE", what });
    }
    return found;
  }
}

/**
 * A replay of the intake's letters that was cut off has told the sinks of a record and not yet the intake; a sink that
 * reads the object later finds it by itself. So either all valid events are the same, or those of the first reading.
 */
function agree(lane: Receipt, intake: Receipt): boolean {
  const first = ({ counts, adopted }: Receipt) =>
    counts.valid - adopted.reduce((sum, { from, to }) => sum + (to ?? from) - from, 0);
  return lane.counts.valid === intake.counts.valid || first(lane) === first(intake);
}

function sumOf({ delivered, filtered, deadLettered, dropped, pending }: Receipt["counts"]): number {
  return delivered + filtered + deadLettered + dropped + pending;
}

async function deferralProblem(
  receipts: ObjectStore,
  key: string | undefined,
): Promise<{ readonly code: ProblemCode; readonly is: string } | undefined> {
  try {
    if (key !== undefined) {
      await readDeferral(receipts, key);
      return undefined;
    }
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    if (error.code === "FAILED") return { code: "DEFERRAL_DAMAGED", is: "cannot be understood" };
    if (error.code !== "NOT_FOUND") throw error;
  }
  return { code: "DEFERRAL_GONE", is: "is gone" };
}

async function countLetters(
  store: ObjectStore,
  { letters }: Receipt,
): Promise<{ count: number } | Pick<Problem, "code" | "what">> {
  let count = 0;
  for (const file of letters) {
    try {
      for await (const _ of readLetters(store, file)) count++;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      if (error.code === "NOT_FOUND") {
        return { code: "LETTERS_GONE", what: `its dead-letter file ${file} is not there` };
      }
      if (error.code === "FAILED") return { code: "LETTERS_DAMAGED", what: error.message };
      throw error;
    }
  }
  return { count };
}
