// Which objects are no events, wherever they are told of: what the worker itself wrote, and what Firehose refused.
import { defaultErrorPrefixes } from "./error-prefixes.ts";
import type { ExactRef } from "./object-ref.ts";

export interface NoWorkOptions {
  /**
   * Where the worker itself writes, as `s3://bucket/prefix`: its books and its dead letters. Else every object would
   * make the next ones. Default none.
   */
  readonly own?: readonly string[];
  /** How the keys begin under which Firehose keeps what its transform refused. Default {@link defaultErrorPrefixes}. */
  readonly errorPrefixes?: readonly string[];
}

/** Why an object is none to be delivered, or why that cannot be told. */
export type NoWork = { readonly ignored: string } | { readonly code: "OWN_BUCKET"; readonly reason: string };

/** One rule for all who take notifications. It answers undefined for an object that is to be delivered. */
export function createNoWorkRule(options: NoWorkOptions): (ref: ExactRef) => NoWork | undefined {
  const { errorPrefixes = defaultErrorPrefixes } = options;
  const own = (options.own ?? []).map((location) => location.replace(/\/*$/, "/"));
  return ({ bucket, key }) => {
    const url = `s3://${bucket}/${key}`;
    for (const location of own) {
      if (!url.startsWith(location)) continue;
      if (location !== `s3://${bucket}/`) return { ignored: "the worker itself wrote it" };
      return {
        code: "OWN_BUCKET",
        reason: `the books or dead letters are at ${location} without a prefix, so nothing in that bucket can be told from them: give them a prefix`,
      };
    }
    if (errorPrefixes.some((prefix) => prefix !== "" && key.startsWith(prefix))) {
      return { ignored: "Firehose wrote it for what its transform refused" };
    }
    return undefined;
  };
}
