// The transform of the stream, as a Lambda function: what is an event of the catalog goes on, with its tenant's name.
import { Logger as PowertoolsLogger } from "@aws-lambda-powertools/logger";
import { type Metrics, MetricUnit } from "@aws-lambda-powertools/metrics";
import { type Clock, orAborted, systemClock } from "../delivery/clock.ts";
import { stableUuid } from "../delivery/ids.ts";
import { type JsonObject, type MetricEvent, parseEvent } from "../event.ts";
import { Splitter } from "../intake/splitter.ts";
import type { Metric } from "../routing/metric.ts";
import { createRecordCheck, isNothing } from "../routing/record-check.ts";
import { DirectoryDown, type Tenant, type TenantDirectory } from "../tenants/directory.ts";
import { createMetrics } from "./metrics.ts";
import type { TransformCode } from "./refusals.ts";

export interface TransformOptions {
  /** The catalog: what is not in it, or not as it says, is refused. */
  readonly metrics: readonly Metric[];
  /** Who knows the tenants' names and environments. Default: nobody, and events go on with what they have. */
  readonly directory?: TenantDirectory;
  /**
   * What becomes of an event whose tenant nobody can tell now. `pass`: it goes on without name and environment, and
   * is counted. `fail`: it is refused, and can be put in again when the directory is back. Default `pass`.
   */
  readonly directoryDown?: "pass" | "fail";
  /** Bytes of an answer. Default {@link longestAnswer}. */
  readonly maxAnswerBytes?: number;
  /** Default: Powertools' logger, set up by its own variables. */
  readonly logger?: PowertoolsLogger;
  /** Default: the namespace `FirehoseFanout`, without dimensions. */
  readonly metricsTo?: Metrics;
  readonly clock?: Clock;
}

/** What Firehose sends. https://docs.aws.amazon.com/firehose/latest/dev/data-transformation.html */
export interface TransformRequest {
  readonly deliveryStreamArn?: string;
  readonly records: readonly TransformRecord[];
}

export interface TransformRecord {
  readonly recordId: string;
  /** Milliseconds since the epoch. */
  readonly approximateArrivalTimestamp?: number;
  /** Base64. */
  readonly data: string;
}

/** https://docs.aws.amazon.com/firehose/latest/dev/data-transformation-status-model.html */
export interface TransformAnswer {
  readonly records: readonly TransformedRecord[];
}

/**
 * What is refused goes to the stream's error prefix with the bytes that came. `Dropped` is never said: Firehose
 * counts it as a success, and nothing is left of it.
 */
export type TransformedRecord =
  | { readonly recordId: string; readonly result: "Ok"; readonly data: string }
  | { readonly recordId: string; readonly result: "ProcessingFailed" };

/** What the handler asks of Lambda's context. */
export interface TransformContext {
  getRemainingTimeInMillis(): number;
}

/**
 * Fields of the log's line that carries the figures. They are no figures of CloudWatch's, each of which costs; the log can
 * be asked for them. Each counts records of Firehose's, except the last two.
 */
export const transformCounts = {
  records: "TransformRecords",
  /** Those of the refused that would have made the answer too large. */
  tooLarge: "TransformTooLarge",
  /** Events that had no `event_id`. */
  stamped: "TransformStamped",
  /** Events of tenants that the directory does not know. */
  tenantUnknown: "TransformTenantUnknown",
} as const;

/** Figures in CloudWatch. */
export const transformMetrics = {
  refused: "TransformRefused",
  /** Events whose tenant nobody could tell. */
  directoryDown: "TransformDirectoryDown",
} as const;

/** 6 MB is 6,291,556 bytes: what Lambda takes of a synchronous answer, as its error tells. Some are kept back.
 * https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html */
export const longestAnswer = 6 * 1024 * 1024 - 16 * 1024;
/** Of the time that is left, what the directory may take in all: then answers must still be made and sent. */
const directoryShare = 1 / 2;
const longestDirectoryMs = 20_000;
/** Questions to the directory under way at once. */
const questionsAtOnce = 8;
/** Firehose takes records of 1,000 KiB: https://docs.aws.amazon.com/firehose/latest/dev/limits.html */
const maxEventBytes = 4 * 1024 * 1024;

/** Why a record is refused: a code of the intake, of the schema, of the catalog, or one of ours; no value of it. */
interface Refusal {
  readonly code: string;
  readonly reason: string;
}

/** One of ours: a code without advice does not compile. */
interface OwnRefusal extends Refusal {
  readonly code: TransformCode;
}

const empty: OwnRefusal = { code: "EMPTY_RECORD", reason: "the record holds no event" };
const noData: OwnRefusal = { code: "NO_DATA", reason: "the record has no data" };
const down: OwnRefusal = { code: "DIRECTORY_DOWN", reason: "the tenant directory did not answer" };
const tooLarge: OwnRefusal = {
  code: "ANSWER_TOO_LARGE",
  reason: "the answer would be larger than Lambda takes",
};

type Read = { readonly events: readonly MetricEvent[] } | { readonly refusal: Refusal };

/**
 * The handler. Each `recordId` is answered once, in the order in which they came. A record may hold several events;
 * it is one thing to Firehose, so one event that is refused refuses all of them, and all are kept.
 *
 * `metadata.event_id` is stamped where it is missing, from what Firehose calls the record and the bytes in it:
 * another try with the same record gives the same id, and two records that are equal give two.
 */
export function createTransform(
  options: TransformOptions,
): (request: TransformRequest, context: TransformContext) => Promise<TransformAnswer> {
  const { directory, directoryDown = "pass", clock = systemClock } = options;
  const { maxAnswerBytes = longestAnswer, metricsTo = createMetrics() } = options;
  const logger = options.logger ?? new PowertoolsLogger({ serviceName: "firehose-fanout" });
  const check = createRecordCheck(options.metrics);

  function read(record: TransformRecord, stream: string): Read {
    if (typeof record.data !== "string") return { refusal: noData };
    const bytes = Buffer.from(record.data, "base64");
    const splitter = new Splitter(maxEventBytes);
    const events: MetricEvent[] = [];
    for (const part of [...splitter.push(bytes), ...splitter.finish()]) {
      if ("code" in part) return { refusal: part };
      const id = () => {
        return stableUuid("firehose", stream, record.recordId, String(part.index), part.raw);
      };
      const arrived = record.approximateArrivalTimestamp;
      const now = typeof arrived === "number" && arrived > 0 ? arrived : clock.now();
      const parsed = parseEvent(part.value, id, { now });
      if ("refusal" in parsed) return parsed;
      const refusal = check(parsed.event);
      if (refusal !== undefined) return { refusal };
      events.push(parsed.event);
    }
    return events.length === 0 ? { refusal: empty } : { events };
  }

  /** What is known of each tenant; those that nobody can tell now are missing. */
  async function findTenants(
    tenantIds: ReadonlySet<string>,
    budgetMs: number,
  ): Promise<ReadonlyMap<string, Tenant | undefined>> {
    const found = new Map<string, Tenant | undefined>();
    if (directory === undefined || tenantIds.size === 0) return found;
    const over = new AbortController();
    void clock.sleep(budgetMs, over.signal).then(() => over.abort());
    const queue = tenantIds.values();
    const take = async () => {
      for (const tenantId of queue) {
        if (over.signal.aborted) return;
        try {
          const answer = directory.find(tenantId, over.signal).then((tenant) => ({ tenant }));
          // A directory that does not watch its signal must not hold up the stream.
          const known = await orAborted(answer, over.signal);
          if (known !== undefined) found.set(tenantId, known.tenant);
        } catch (error) {
          if (!(error instanceof DirectoryDown)) {
            logger.error("the tenant directory failed", {
              reason: error instanceof Error ? error.name : "unknown",
            });
          }
        }
      }
    };
    try {
      await Promise.all(Array.from({ length: Math.min(questionsAtOnce, tenantIds.size) }, take));
    } finally {
      over.abort();
    }
    return found;
  }

  return async (request, context) => {
    const stream = request.deliveryStreamArn ?? "";
    const reads = request.records.map((record) => ({ record, read: read(record, stream) }));
    const tenantIds = new Set(
      reads.flatMap(({ read: each }) =>
        "events" in each ? each.events.map(({ tenantId }) => tenantId) : [],
      ),
    );
    const budgetMs = Math.min(longestDirectoryMs, context.getRemainingTimeInMillis() * directoryShare);
    const tenants = await findTenants(tenantIds, budgetMs);

    const tally = { stamped: 0, tenantUnknown: 0, directoryDown: 0, tooLarge: 0 };
    const refusals = new Map<string, number>();
    const refuse = (recordId: string, { code, reason }: Refusal): TransformedRecord => {
      const cause = `${code}: ${reason}`;
      refusals.set(cause, (refusals.get(cause) ?? 0) + 1);
      if (code === tooLarge.code) tally.tooLarge++;
      return { recordId, result: "ProcessingFailed" };
    };
    // Room for every refusal is kept from the beginning, so that a record always has an answer.
    let left = maxAnswerBytes - emptyAnswerBytes;
    for (const { record } of reads) left -= refusalBytes(record.recordId);

    const records = reads.map(({ record: { recordId }, read: each }): TransformedRecord => {
      if ("refusal" in each) return refuse(recordId, each.refusal);
      const { events } = each;
      const untold = directory === undefined ? 0 : count(events, ({ tenantId }) => !tenants.has(tenantId));
      if (untold > 0 && directoryDown === "fail") {
        tally.directoryDown += untold;
        return refuse(recordId, down);
      }
      const lines = events.map((event) => `${JSON.stringify(enrich(event, tenants.get(event.tenantId)))}\n`);
      const data = Buffer.from(lines.join("")).toString("base64");
      const extra = data.length + okBytes;
      if (extra > left) return refuse(recordId, tooLarge);
      left -= extra;
      tally.directoryDown += untold;
      tally.stamped += count(events, ({ metadata }) => isNothing(metadata["event_id"]));
      tally.tenantUnknown += count(
        events,
        ({ tenantId }) => tenants.has(tenantId) && tenants.get(tenantId) === undefined,
      );
      return { recordId, result: "Ok", data };
    });

    const refused = count(records, ({ result }) => result !== "Ok");
    if (refused > 0) {
      const causes = Object.fromEntries(refusals);
      logger.warn("records were refused; they are under the stream's error prefix", { refused, causes });
    }
    if (tally.directoryDown > 0) {
      logger.warn("the tenant directory is down", { events: tally.directoryDown, directoryDown });
    }
    metricsTo.addDimensions({});
    metricsTo.addMetric(transformMetrics.refused, MetricUnit.Count, refused);
    // A figure costs in each hour in which it is written.
    if (tally.directoryDown > 0)
      metricsTo.addMetric(transformMetrics.directoryDown, MetricUnit.Count, tally.directoryDown);
    const counts: Readonly<Record<keyof typeof transformCounts, number>> = {
      ...tally,
      records: records.length,
    };
    for (const [key, value] of Object.entries(counts)) {
      // A key of the tally that is a metric of its own is none of these.
      const name = Object.hasOwn(transformCounts, key)
        ? transformCounts[key as keyof typeof counts]
        : undefined;
      if (name !== undefined) metricsTo.addMetadata(name, String(value));
    }
    metricsTo.publishStoredMetrics();
    return { records };
  };
}

const emptyAnswerBytes = '{"records":[]}'.length;
const okBytes = '"result":"Ok","data":""'.length - '"result":"ProcessingFailed"'.length;

function refusalBytes(recordId: string): number {
  const refusal: TransformedRecord = { recordId, result: "ProcessingFailed" };
  return Buffer.byteLength(JSON.stringify(refusal)) + 1;
}

/** The record as it goes on: values that are none left out, its id stamped, its tenant told where it is known. */
function enrich(event: MetricEvent, tenant: Tenant | undefined): JsonObject {
  return {
    metric_name: event.metricName,
    metadata: {
      ...withValues(event.metadata),
      event_id: event.id,
      ...(tenant?.name !== undefined && { tenant_name: tenant.name }),
      ...(tenant?.environment !== undefined && { environment: tenant.environment }),
    },
    data: withValues(event.data),
  };
}

function withValues(fields: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => !isNothing(value)));
}

function count<T>(values: readonly T[], is: (value: T) => boolean): number {
  return values.reduce((sum, value) => sum + (is(value) ? 1 : 0), 0);
}
