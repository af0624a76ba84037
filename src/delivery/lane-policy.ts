// How much of an object a sink's lane holds at once: what memory allows, and room for the sink's own requests.
import type { Limits } from "./sink.ts";

export interface LanePolicy {
  /** Records that a lane holds at once. Default 20,000, or two requests of its sink, up to 200,000 … */
  readonly maxItems: number;
  /** … and the bytes of them, originals and payloads. Default 8 MiB, or two requests of its sink, up to 128 MiB. */
  readonly maxBytes: number;
}

/** Full requests for a hundred tenants' tables, and two of every HTTP vendor's … */
const usual: LanePolicy = { maxItems: 20_000, maxBytes: 8 * 1024 * 1024 };
/** … and what a function of 1 GB bears of one lane, so that limits which mean "none" do not fill the memory. */
const largest: LanePolicy = { maxItems: 200_000, maxBytes: 128 * 1024 * 1024 };
/** Of the original behind an item: the larger of the two sizes that the bench measures. */
const usualRecordBytes = 1024;

/**
 * What is set is a bound, also where a request of the sink is larger: requests are smaller then. What is not set leaves
 * room for a request that is under way and for the next one, which fills meanwhile: sinks of files have large ones.
 */
export function lanePolicyOf(limits: Limits, set: Partial<LanePolicy>): LanePolicy {
  const { itemsPerRequest, bytesPerRequest } = limits;
  const items = 2 * itemsPerRequest;
  const bytes = 2 * (bytesPerRequest + itemsPerRequest * usualRecordBytes);
  return {
    maxItems: set.maxItems ?? Math.min(largest.maxItems, Math.max(usual.maxItems, items)),
    maxBytes: set.maxBytes ?? Math.min(largest.maxBytes, Math.max(usual.maxBytes, bytes)),
  };
}
