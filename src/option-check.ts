// What numbers a worker can work with: sinks' limits, and the policies that configurations and libraries set.
import type { BreakerPolicy } from "./delivery/breaker.ts";
import type { RetryPolicy } from "./delivery/retry.ts";
import type { Sink } from "./delivery/sink.ts";
import type { Route } from "./routing/route.ts";
import {
  expected,
  list,
  must,
  number,
  object,
  optional,
  problemsOf,
  type Shape,
  unrecognized,
} from "./shape.ts";
import type { WorkerLimits } from "./worker.ts";

const called = must((value) => typeof value === "function", "must be a function");

const whole = number(
  (value) => Number.isSafeInteger(value) && value >= 1,
  "must be a whole number, 1 or more",
);
const wholeOrNone = number(
  (value) => Number.isSafeInteger(value) && value >= 0,
  "must be a whole number, 0 or more",
);
const rate = number((value) => value > 0 && Number.isFinite(value), "must be a number above 0");
/** A timer of Node's holds no more: https://nodejs.org/api/timers.html#settimeoutcallback-delay-args. 24 days. */
const longestMs = 2 ** 31 - 1;
const milliseconds = number(
  (value) => value >= 0 && value <= longestMs,
  `must be a number of milliseconds from 0 to ${longestMs}`,
);
/** Nothing waits for it. */
const span = number(
  (value) => value >= 0 && Number.isFinite(value),
  "must be a number of milliseconds, 0 or more",
);
const someMilliseconds = number(
  (value) => value > 0 && value <= longestMs,
  `must be a number of milliseconds above 0, up to ${longestMs}`,
);

// It is part of the books' keys.
const lawfulName = must(
  (value): value is string => typeof value === "string" && /^[a-z0-9][a-z0-9-]*$/.test(value),
  (value) => (typeof value === "string" ? 'must consist of a-z, 0-9 and "-"' : expected("string")(value)),
);

/** What the check of a sink proves; its other members are the core's own to look at. */
type Checked = Pick<Sink<unknown>, "name" | "limits"> & { readonly encode: unknown; readonly send: unknown };

const names = must(
  (value): value is Route["sinks"] =>
    value === "*" ||
    (Array.isArray(value) && [...value].every((name) => typeof name === "string" && name !== "")),
  'must be "*" or a list of names',
);

export const routesShape = list(object<Route>({ metrics: names, sinks: names }, { closed: unrecognized }));

export const sinkShape: Shape<Checked> = object<Checked>({
  name: lawfulName,
  limits: object<Sink<unknown>["limits"]>(
    {
      itemsPerRequest: whole,
      bytesPerRequest: whole,
      bytesPerItem: whole,
      envelopeBytes: optional(wholeOrNone),
      concurrency: whole,
      requestsPerSecond: optional(rate),
      writers: optional(must((value): value is 1 => value === 1, "must be 1, or left out")),
      timeoutMs: optional(someMilliseconds),
      backoff: optional(
        object<{ leastMs: number; mostMs: number }>(
          { leastMs: someMilliseconds, mostMs: someMilliseconds },
          {
            together: ({ leastMs, mostMs }) =>
              mostMs >= 2 * leastMs
                ? undefined
                : ["mostMs", "must be at least twice leastMs, or there is nothing to draw from"],
          },
        ),
      ),
    },
    {
      together: ({ envelopeBytes = 0, bytesPerRequest }) =>
        envelopeBytes < bytesPerRequest
          ? undefined
          : ["envelopeBytes", "must be less than bytesPerRequest, or no item fits into a request"],
    },
  ),
  encode: called,
  send: called,
});

interface Policies {
  readonly limits?: Partial<WorkerLimits>;
  readonly retry?: Partial<RetryPolicy>;
  readonly breaker?: Partial<BreakerPolicy>;
  readonly workers?: number;
}

export const policyShapes = {
  workers: optional(whole),
  limits: optional(
    object<Partial<WorkerLimits>>(
      {
        maxItems: optional(whole),
        maxBytes: optional(whole),
        maxRecordBytes: optional(whole),
        patienceMs: optional(milliseconds),
        maxInflatedBytes: optional(whole),
        maxRatio: optional(rate),
        maxAgeMs: optional(span),
        maxAheadMs: optional(span),
      },
      { closed: unrecognized },
    ),
  ),
  retry: optional(
    object<Partial<RetryPolicy>>(
      {
        attempts: optional(whole),
        firstMs: optional(milliseconds),
        maxMs: optional(milliseconds),
        longestWaitMs: optional(milliseconds),
      },
      { closed: unrecognized },
    ),
  ),
  breaker: optional(
    object<Partial<BreakerPolicy>>(
      { failures: optional(whole), overMs: optional(milliseconds), openMs: optional(milliseconds) },
      { closed: unrecognized },
    ),
  ),
};

/** Every problem of a worker's options in one sentence; none when they are right. */
export function optionProblems(options: unknown): string[] {
  return problemsOf(optionsShape, options, "the options");
}

/** The worker's other members are its own to look at. */
interface CheckedOptions extends Policies {
  readonly sinks: readonly Checked[];
  readonly source: unknown;
  readonly receipts: unknown;
  readonly deadLetters: unknown;
  readonly metrics?: unknown;
  readonly routes?: readonly Route[];
  readonly clock?: unknown;
  readonly random?: unknown;
  readonly http?: unknown;
  readonly owner?: unknown;
  readonly log?: unknown;
  readonly onRecords?: unknown;
}

const withMethods = (what: string, ...names: readonly string[]) =>
  must(
    (value): value is unknown =>
      typeof value === "object" &&
      value !== null &&
      names.every((name) => typeof Reflect.get(value, name) === "function"),
    `must be ${what}, with ${names.join(", ")}`,
  );
const store = withMethods("a store", "look", "read", "put", "putIfAbsent", "delete", "list");

const optionsShape = object<CheckedOptions>(
  {
    sinks: list(sinkShape, { empty: "must name at least one sink" }),
    source: must(
      (value): value is unknown => typeof value === "function",
      "must be a function that answers the store of a bucket",
    ),
    receipts: store,
    deadLetters: store,
    metrics: optional(must(Array.isArray, "must be what loadCatalog returns")),
    routes: optional(routesShape),
    clock: optional(withMethods("a clock", "now", "sleep", "signal")),
    random: optional(called),
    http: optional(called),
    owner: optional(
      must(
        (value): value is unknown => typeof Reflect.get(Object(value), "id") === "string",
        "must have an id",
      ),
    ),
    log: optional(withMethods("a logger", "debug", "info", "warn", "error")),
    onRecords: optional(called),
    ...policyShapes,
  },
  { closed: unrecognized },
);
