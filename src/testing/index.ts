// What sink authors import to test a sink.
export {
  type ConformanceCase,
  conformanceCases,
  describeSink,
  type TestRunner,
} from "./conformance.ts";
export * from "./faults.ts";
export { type CaseScore, type ScoreCard, scoreSink } from "./score.ts";
export { type ConformanceSubject, sampleEvent } from "./subject.ts";
export * from "./twin.ts";
export * from "./virtual-clock.ts";
