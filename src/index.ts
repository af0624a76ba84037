// Public exports, nothing else.
export type { ObjectVersion } from "./books/books.ts";
export { claimMarginMs, ObjectBusy, type Owner } from "./books/claim.ts";
export {
  addReport,
  emptyRun,
  isBalanced,
  type ObjectReport,
  type RunReport,
  reportOf,
  type SinkReport,
} from "./books/report.ts";
export {
  ConfigError,
  type ConfigRequest,
  defineConfig,
  type FanoutConfig,
  type MakeConfig,
  resolveConfig,
} from "./config.ts";
export type { DeadLetter, Origin, Stage } from "./dead-letter/dead-letter.ts";
export { bodyOf, gzipped } from "./delivery/body.ts";
export type { BreakerPolicy } from "./delivery/breaker.ts";
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
export type { Provision, ProvisionContext, SinkPlan } from "./delivery/provision.ts";
export { type ProxyEnv, useProxies } from "./delivery/proxy.ts";
export type { RetryPolicy } from "./delivery/retry.ts";
export * from "./delivery/sink.ts";
export { allFinite, isoTime, quoteName } from "./delivery/values.ts";
export type { EventHead, JsonObject, JsonValue, MetricEvent } from "./event.ts";
export type { GivenUp, GiveUpOrder } from "./give-up.ts";
export type { ObjectRef } from "./intake/object-ref.ts";
export type { LetterOrder, LetterReport } from "./letter-run.ts";
export type { Logger } from "./log.ts";
export { MissingSinks } from "./missing-sinks.ts";
export { type RenewableOptions, type RenewalOptions, renewable } from "./renewal.ts";
export { loadCatalog, packedCatalog } from "./routing/catalog.ts";
export { type CatalogEntry, checkCatalog } from "./routing/catalog-check.ts";
export {
  type EventRule,
  eventRules,
  type InputTransformer,
  type MissingValue,
  renderInput,
  sampleBusEvent,
  sampleRecord,
} from "./routing/event-rules.ts";
export {
  defineMetric,
  type FieldType,
  type Metric,
  type MetricDefinition,
  type MetricField,
  type MetricSource,
  type SinkMapping,
} from "./routing/metric.ts";
export { type CatalogRefusal, createRecordCheck } from "./routing/record-check.ts";
export { catalogRoutes, type Route } from "./routing/route.ts";
export { folderStore } from "./store/folder.ts";
export * from "./store/object-store.ts";
export { openStore } from "./store/open.ts";
export { s3Store } from "./store/s3.ts";
export { DirectoryDown, type Tenant, type TenantDirectory } from "./tenants/directory.ts";
export { type HttpDirectoryOptions, httpDirectory } from "./tenants/http-directory.ts";
export { parseTenants, staticDirectory } from "./tenants/static-directory.ts";
export {
  createWorker,
  type LetterFile,
  type ProcessOptions,
  type Worker,
  type WorkerLimits,
  type WorkerOptions,
} from "./worker.ts";
