// What numbers a worker can work with: sinks' limits, and the policies that configurations and libraries set.
import * as z from "zod";

const called = z.custom((value) => typeof value === "function", "must be a function");

/** NaN and the infinities are no numbers to zod. */
function number(error: string) {
  return z.number({ error });
}
const aWhole = "must be a whole number, 1 or more";
const whole = z.int({ error: aWhole }).positive(aWhole);
const aWholeOrNone = "must be a whole number, 0 or more";
const wholeOrNone = z.int({ error: aWholeOrNone }).nonnegative(aWholeOrNone);
const aRate = "must be a number above 0";
const rate = number(aRate).positive(aRate);
/** A timer of Node's holds no more: https://nodejs.org/api/timers.html#settimeoutcallback-delay-args. 24 days. */
const longestMs = 2 ** 31 - 1;
const aTime = `must be a number of milliseconds from 0 to ${longestMs}`;
const milliseconds = number(aTime).nonnegative(aTime).max(longestMs, aTime);
/** Nothing waits for it. */
const aSpan = "must be a number of milliseconds, 0 or more";
const span = number(aSpan).nonnegative(aSpan);
const aWait = `must be a number of milliseconds above 0, up to ${longestMs}`;
const someMilliseconds = number(aWait).positive(aWait).max(longestMs, aWait);

export const sinkSchema = z.looseObject({
  // It is part of the books' keys.
  name: z.string().regex(/^[a-z0-9][a-z0-9-]*$/, 'must consist of a-z, 0-9 and "-"'),
  limits: z
    .looseObject({
      itemsPerRequest: whole,
      bytesPerRequest: whole,
      bytesPerItem: whole,
      envelopeBytes: wholeOrNone.optional(),
      concurrency: whole,
      requestsPerSecond: rate.optional(),
      timeoutMs: someMilliseconds.optional(),
      backoff: z
        .looseObject({ leastMs: someMilliseconds, mostMs: someMilliseconds })
        .refine(({ leastMs, mostMs }) => mostMs >= 2 * leastMs, {
          path: ["mostMs"],
          error: "must be at least twice leastMs, or there is nothing to draw from",
        })
        .optional(),
    })
    .refine(({ envelopeBytes = 0, bytesPerRequest }) => envelopeBytes < bytesPerRequest, {
      path: ["envelopeBytes"],
      error: "must be less than bytesPerRequest, or no item fits into a request",
    }),
  encode: called,
  send: called,
});

export const policySchemas = {
  limits: z
    .strictObject({
      maxItems: whole,
      maxBytes: whole,
      maxRecordBytes: whole,
      patienceMs: milliseconds,
      maxInflatedBytes: whole,
      maxRatio: rate,
      maxAgeMs: span,
      maxAheadMs: span,
    })
    .partial()
    .optional(),
  retry: z
    .strictObject({
      attempts: whole,
      firstMs: milliseconds,
      maxMs: milliseconds,
      longestWaitMs: milliseconds,
    })
    .partial()
    .optional(),
  breaker: z
    .strictObject({ failures: whole, overMs: milliseconds, openMs: milliseconds })
    .partial()
    .optional(),
};

const optionsSchema = z.looseObject({ sinks: z.array(sinkSchema), ...policySchemas });

/** Every problem of a worker's options in one sentence; none when they are right. */
export function optionProblems(options: unknown): string[] {
  const checked = optionsSchema.safeParse(options);
  return checked.success ? [] : checked.error.issues.map(sentence);
}

/** zod's own words say what was expected and what kind of thing was there, never its value. */
export function sentence({ path, message }: z.core.$ZodIssue): string {
  const where = path.length === 0 ? "the configuration" : path.map(String).join(".");
  return `${where}: ${message}`;
}
