// What operators are told beside the code of a dead letter: the core's own table, and how to look a code up.
import type { RefusalAdvice, Refusals } from "../delivery/sink.ts";
import type { RefusalCode } from "../event.ts";
import type { InvalidCode } from "../intake/records.ts";
import { intakeRefusals } from "../intake/refusals.ts";
import type { notDelivered } from "../letter-run.ts";
import type { originDiffers } from "../origin-proof.ts";

/** With these the core keeps a valid event from a sink: in its lane, by `classifyReply`, and in a replay. */
export type DeliveryCode =
  | "ENCODE_FAILED"
  | "ITEM_TOO_LARGE"
  | `HTTP_${400 | 409 | 413 | 414 | 415 | 422}`
  | typeof notDelivered
  | typeof originDiffers;

const compare =
  "Compare the letters of this fingerprint: what they share and delivered records lack is the cause.";

/** Complete: a code without advice does not compile. A sink that says more about one of them wins. */
export const deliveryRefusals: Readonly<Record<DeliveryCode, RefusalAdvice>> = {
  ENCODE_FAILED: {
    meaning:
      "The sink's mapping failed on this record with an error of its own, which is a defect of the mapping.",
    action: "Run the mapping on the letter's record, repair it and replay the letters.",
  },
  ITEM_TOO_LARGE: {
    meaning: "What the mapping made of the record is larger than the sink takes in one piece.",
    action: "Send less in the record, or route its metric to other sinks only.",
  },
  HTTP_400: {
    meaning: "The vendor finds the request invalid, also with this record alone, and says no more.",
    action: compare,
  },
  HTTP_409: {
    meaning: "The record conflicts with what the vendor has.",
    action:
      "See what the vendor has under this record's ids; if the record is right, change it there and replay.",
  },
  HTTP_413: {
    meaning: "The vendor finds a request with this record alone too large.",
    action: "Send less in the record, or route its metric to other sinks only.",
  },
  HTTP_414: {
    meaning: "The request's address became too long with this record alone.",
    action: "Shorten the ids and names that the sink puts into the address.",
  },
  HTTP_415: {
    meaning: "The vendor does not take the format in which this record was sent.",
    action: "See whether the sink's address is the vendor's, and whether the vendor has changed its API.",
  },
  HTTP_422: {
    meaning: "The vendor can read this record and refuses what it says.",
    action: compare,
  },
  NOT_DELIVERED: {
    meaning:
      "The record was no event before; replayed, it is one, and this sink was not ready for it. Nobody refused it.",
    action: "See to what the reason names, then replay the sink's letters.",
  },
  ORIGIN_DIFFERS: {
    meaning:
      "The letter says that its object held this record, and the object holds another one, or none, at that place. " +
      "Nothing of it was sent.",
    action:
      "Treat it as a sign that somebody wrote a letter who may not: see who can write to the dead letters. Keep the " +
      "letter as evidence, or drop it.",
  },
};

/** Every code that the core itself gives, of the intake and of the delivery. */
export const coreRefusals: Readonly<Record<InvalidCode | RefusalCode | DeliveryCode, RefusalAdvice>> = {
  ...intakeRefusals,
  ...deliveryRefusals,
};

/**
 * What stands behind a letter's code, and what to do. The sink's own table comes first, since it knows its vendor.
 * Undefined for a code that neither knows, of a sink that tells nothing or of another version.
 */
export function adviceFor(code: string, refusals: Refusals = {}): RefusalAdvice | undefined {
  // A code comes from a file: "constructor" must find nothing.
  for (const table of [refusals, coreRefusals as Refusals]) {
    if (Object.hasOwn(table, code)) return table[code];
  }
  return undefined;
}
