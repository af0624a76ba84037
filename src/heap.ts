// Keeps V8 from a guess about memory that is wrong for records: for processes that are ours alone, a command or a function.
import { setFlagsFromString } from "node:v8";

/**
 * Records live until their batch is answered, longer than the young generation, so V8 takes to making them in the old
 * one. There the dead ones keep others alive, however young, until the next full collection: the CPU of an event
 * grows by half and memory by a third (`npm run bench`; docs/performance.md). It counts for code that is compiled later.
 */
export function keepRecordsYoung(): void {
  setFlagsFromString("--no-allocation-site-pretenuring");
}
