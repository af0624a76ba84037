// Public exports, nothing else.
export { type Clock, type Random, systemClock } from "./delivery/clock.ts";
export {
  createHttp,
  type HttpClient,
  type HttpOptions,
  type HttpReply,
  type HttpRequest,
  maxReplyBytes,
  TransportError,
} from "./delivery/http.ts";
export { stableUuid } from "./delivery/ids.ts";
export * from "./delivery/sink.ts";
export type { JsonObject, JsonValue, MetricEvent } from "./event.ts";
export * from "./store/object-store.ts";
