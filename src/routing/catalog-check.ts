// What can be wrong with a catalog, whichever sinks there are: every problem is one sentence.
import { ConfigError } from "../config.ts";
import type { Metric } from "./metric.ts";

export interface CatalogEntry {
  /** Where the metric was declared, for people. */
  readonly file: string;
  /** What the file exports. */
  readonly metric: unknown;
}

/** @throws {ConfigError} with every problem, those found before included. */
export function checkCatalog(
  entries: readonly CatalogEntry[],
  problems: readonly string[] = [],
): readonly Metric[] {
  if (problems.length > 0) throw new ConfigError(problems);
  return entries.map(({ metric }) => metric as Metric);
}
