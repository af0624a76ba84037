// Credentials that are rotated while a process runs: who refuses the old ones makes them be read again, once.
import { type Clock, systemClock } from "./delivery/clock.ts";
import { type Batch, isSinkUnavailable, type SendContext, type Sink } from "./delivery/sink.ts";
import { type Logger, silent } from "./log.ts";

export interface RenewalOptions {
  /** Between two readings, however many refusals there are, in milliseconds. Default 1 min. */
  readonly restMs?: number;
  readonly clock?: Clock;
}

const defaultRestMs = 60_000;

/**
 * Reads for whoever asks: those who ask meanwhile share one reading, and who asks too soon after it gets nothing.
 *
 * @param read answers undefined when nothing has changed.
 */
export function createRenewal<T>(
  read: () => Promise<T | undefined>,
  { restMs = defaultRestMs, clock = systemClock }: RenewalOptions = {},
): () => Promise<T | undefined> {
  let running: Promise<T | undefined> | undefined;
  let notBefore = Number.NEGATIVE_INFINITY;
  return () => {
    if (running !== undefined) return running;
    if (clock.now() < notBefore) return Promise.resolve(undefined);
    notBefore = clock.now() + restMs;
    running = read().finally(() => {
      running = undefined;
    });
    return running;
  };
}

export interface RenewableOptions extends RenewalOptions {
  /**
   * Makes the sinks anew, from credentials that it reads now; undefined when these have not changed. Its error's message
   * is logged, so it must hold no secret.
   */
  readonly renew: () => Promise<readonly Sink<unknown>[] | undefined>;
  readonly log?: Logger;
}

/**
 * The same sinks, which send a batch once more with new credentials when the vendor refuses the old ones: an error of
 * {@link sinkUnavailable} with `credentials: "refused"`. Without new ones the refusal stands. Limits and mapping stay as
 * they were made first.
 */
export function renewable(
  sinks: readonly Sink<unknown>[],
  { renew, log = silent, ...options }: RenewableOptions,
): readonly Sink<unknown>[] {
  const current = new Map(sinks.map((sink) => [sink.name, sink]));
  const all = new Set(sinks);
  const renewed = createRenewal(async () => {
    try {
      const made = await renew();
      log.info(
        made === undefined
          ? "a vendor refuses the credentials, and these have not changed"
          : "a vendor refused the credentials, which have changed and are taken from now on",
      );
      for (const sink of made ?? []) {
        all.add(sink);
        current.set(sink.name, sink);
      }
    } catch (error) {
      const reason = error instanceof Error ? error.message : "not an error";
      log.error("a vendor refuses the credentials, and these could not be read again", { reason });
    }
    return undefined;
  }, options);

  return sinks.map((first) => {
    const { partition, coalesceKey, provision } = first;
    return {
      ...first,
      // A sink may be a class's: what its methods call `this` is the sink itself.
      name: first.name,
      limits: first.limits,
      encode: first.encode.bind(first),
      ...(partition !== undefined && { partition: partition.bind(first) }),
      ...(coalesceKey !== undefined && { coalesceKey: coalesceKey.bind(first) }),
      ...(provision !== undefined && { provision: provision.bind(first) }),
      async send(batch: Batch<unknown>, context: SendContext) {
        const used = current.get(first.name) ?? first;
        try {
          return await used.send(batch, context);
        } catch (error) {
          if (!isSinkUnavailable(error) || error.credentials !== "refused") throw error;
          // Another request may have found it first.
          if (current.get(first.name) === used) await renewed();
          const fresh = current.get(first.name) ?? used;
          if (fresh === used) throw error;
          return await fresh.send(batch, context);
        }
      },
      async close() {
        const own = [...all].filter(({ name }) => name === first.name);
        await Promise.all(own.map(async (sink) => await sink.close?.()));
      },
    };
  });
}
