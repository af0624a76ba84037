// Public exports for functions, nothing else.

export type { Answer, BatchJobResponse, BatchResponse } from "./answer.ts";
export { createMetrics } from "./metrics.ts";
export {
  createReplayer,
  type ReplayerContext,
  type ReplayerOptions,
  type ReplayerReport,
} from "./replayer.ts";
export {
  createTransform,
  type TransformAnswer,
  type TransformOptions,
  type TransformRequest,
} from "./transform.ts";
export {
  createHandler,
  defaultErrorPrefixes,
  type LambdaContext,
  type LambdaOptions,
} from "./worker.ts";
