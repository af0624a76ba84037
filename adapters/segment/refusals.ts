// Every code with which these sinks refuse an event: what it means, and what an operator can do.
import type { Refusals } from "../../src/index.ts";

export const refusals = {
  EVENT_NAME_MISSING: {
    meaning:
      "The configured eventName gave no text for the event, and Segment drops a track call without a name.",
    action: "Correct eventName in the configuration, then replay the letters.",
  },
  NOT_UNICODE: {
    meaning:
      "An id or a name holds half of a surrogate pair, so that two of them could become one at Segment.",
    action: "Correct the producer: text was cut in the middle of a character, mostly an emoji.",
  },
  NUMBER_NOT_FINITE: {
    meaning: "A number is larger than a double can be, such as 1e400, and JSON could only say null for it.",
    action: "Send it as text, or leave it out, where the record is made.",
  },
} as const satisfies Refusals;

/** So a code without advice does not compile. */
export type Code = keyof typeof refusals;

export interface Rejection {
  readonly rejected: string;
  readonly code: Code;
}

export function reject(code: Code, rejected: string): Rejection {
  return { rejected, code };
}
