// What sink authors import to test a sink.
export * from "./conformance.ts";
export * from "./faults.ts";
export * from "./twin.ts";
export * from "./virtual-clock.ts";
