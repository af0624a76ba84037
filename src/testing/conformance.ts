// What every sink promises, as cases that any test framework can run: `run` throws when the promise is broken.
import { deliveryCases } from "./cases/delivery.ts";
import { mappingCases } from "./cases/mapping.ts";
import { replyCases } from "./cases/replies.ts";
import { timeCases } from "./cases/time.ts";
import { writerCases } from "./cases/writers.ts";
import type { ConformanceSubject } from "./subject.ts";

export interface ConformanceCase {
  readonly name: string;
  /** Why it matters. */
  readonly promise: string;
  /** It is about requests and their replies, so a sink that makes none has nothing to keep. */
  readonly overHttp?: true;
  /** @throws AssertionError when the promise is broken. */
  run(subject: ConformanceSubject): Promise<void>;
}

export const conformanceCases: readonly ConformanceCase[] = [
  ...mappingCases,
  ...deliveryCases,
  ...writerCases,
  ...replyCases,
  ...timeCases,
];

/** `describe` and `test` of Vitest, of `node:test`, or of whatever else calls with a context that can skip. */
export interface TestRunner {
  describe(name: string, body: () => void): unknown;
  test(name: string, body: (context: TestContext) => Promise<void>): unknown;
}

interface TestContext {
  skip(reason: string): unknown;
}

/**
 * Makes a test of every case.
 *
 * @example describeSink("acme", subject, { describe, test });
 * @throws when a reason to skip is missing or is for a case that does not exist.
 */
export function describeSink(
  name: string,
  subject: ConformanceSubject,
  { describe, test }: TestRunner,
): void {
  checkSkips(subject);
  describe(`${name} is a sink`, () => {
    for (const each of conformanceCases) {
      test(each.name, async (context) => {
        const reason = reasonToSkip(each, subject);
        if (reason === undefined) await each.run(subject);
        else context.skip(reason);
      });
    }
  });
}

/** Why the case does not hold for this sink; undefined when it does. */
export function reasonToSkip(
  { name, overHttp }: ConformanceCase,
  { skip, makesNoRequests }: ConformanceSubject,
): string | undefined {
  return skip?.[name] ?? (overHttp && makesNoRequests ? "the sink makes no request" : undefined);
}

/** @throws when a reason to skip is missing or is for a case that does not exist. */
export function checkSkips({ skip = {} }: ConformanceSubject): void {
  for (const [name, reason] of Object.entries(skip)) {
    if (!conformanceCases.some((each) => each.name === name)) {
      throw new Error(`there is no conformance case "${name}" to skip`);
    }
    if (typeof reason !== "string" || reason.trim() === "") {
      throw new Error(`the conformance case "${name}" is skipped without a reason`);
    }
  }
}
