// A sink that is sent no more than so many records a second, whatever its own limits allow.
import type { Sink } from "./sink.ts";

/** Requests a second that a pace is made of: often enough to be even, seldom enough not to be single records. */
const mostRequestsPerSecond = 10;

/**
 * The same sink with smaller limits: smaller requests, and fewer of them. So the rate is kept by whoever keeps limits,
 * for what is replayed and for what was pending alike.
 *
 * @param recordsPerSecond above 0.
 */
export function paced<P>(sink: Sink<P>, recordsPerSecond: number): Sink<P> {
  const { limits } = sink;
  const own = limits.requestsPerSecond ?? Number.POSITIVE_INFINITY;
  const items = Math.floor(recordsPerSecond / Math.min(mostRequestsPerSecond, own));
  const itemsPerRequest = Math.max(1, Math.min(limits.itemsPerRequest, items));
  const partition = sink.partition?.bind(sink);
  const coalesceKey = sink.coalesceKey?.bind(sink);
  const close = sink.close?.bind(sink);
  return {
    ...sink,
    // A sink may be an object of a class, whose methods and getters a spread leaves behind.
    name: sink.name,
    limits: {
      ...limits,
      itemsPerRequest,
      requestsPerSecond: Math.min(own, recordsPerSecond / itemsPerRequest),
    },
    encode: (event) => sink.encode(event),
    send: (batch, context) => sink.send(batch, context),
    ...(partition && { partition }),
    ...(coalesceKey && { coalesceKey }),
    ...(close && { close }),
  };
}
