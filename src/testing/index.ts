// What sink authors import to test a sink.
export * from "./twin.ts";
