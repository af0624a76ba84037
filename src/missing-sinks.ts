// A replay that would lose something: some sinks of the object are not configured here.
import type { ObjectVersion } from "./books/books.ts";

/**
 * Records that are no events yet would leave the dead letters without reaching these sinks, which have read the object
 * and will not read it again.
 */
export class MissingSinks extends Error {
  readonly code = "SINKS_MISSING";
  constructor(object: ObjectVersion, sinks: readonly string[]) {
    super(
      `${object.bucket}/${object.key}: its invalid records are for ${sinks.join(", ")} too, so configure every sink that ` +
        "has delivered the object, or say that these are to go without",
    );
  }
}
