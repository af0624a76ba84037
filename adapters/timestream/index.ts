// The sink for Amazon Timestream for LiveAnalytics: one table a tenant, one MULTI record an event.
import { CreateTableCommand } from "@aws-sdk/client-timestream-write";
import {
  type Outcome,
  type SendContext,
  type Sink,
  sinkUnavailable,
  type Transient,
  type Verdict,
} from "../../src/index.ts";
import { type ClientOptions, createCaller, untilAborted } from "./client.ts";
import { type MeasureType, maxRecordBytes, type TimestreamRecord, toBody, toRecord } from "./record.ts";
import { refusals } from "./refusals.ts";
import { failureOf, judge } from "./reply.ts";

export type { MeasureType, TimestreamRecord } from "./record.ts";

export interface TimestreamOptions extends ClientOptions {
  /** Must exist; tables are made in it, one a tenant, named exactly as `metadata.tenant_id`. */
  readonly database: string;
  /** Types of measures by field of `data`, such as `{ rows: "BIGINT" }`. Default: every number is a DOUBLE. */
  readonly measures?: Readonly<Record<string, MeasureType>>;
  /** New tables keep records this long in memory: 1 to 8,766 h, default 336. */
  readonly memoryStoreHours?: number;
  /** New tables keep records this long on disk: 1 to 73,000 d, default 365. */
  readonly magneticStoreDays?: number;
  /**
   * New tables take events that are older than the memory store's hours. Default true, unlike the vendor's: a
   * replay or a deferral brings events late, and without it they are rejected for good. The price: queries
   * see such events up to 6 hours later, and a conflict among them does not show in the reply.
   */
  readonly enableMagneticStoreWrites?: boolean;
  /** Requests under way at once, default 8: what one core signs (3 ms each) while replies take some 25 ms. */
  readonly concurrency?: number;
}

/** https://docs.aws.amazon.com/timestream/latest/developerguide/ts-limits.html: records a WriteRecords request. */
const recordsPerRequest = 100;
/** JSON around a record's bytes: every byte may need 6 (\u0000), every field some 45, and there are up to 384 fields. */
const bytesPerRecord = maxRecordBytes * 6 + (128 + 256) * 45;
/** The vendor states no limit for a body, so the number of records decides. */
const bytesPerRequest = recordsPerRequest * bytesPerRecord + 2048;
/** Same page: create, update and delete requests a second, an account and region. */
const creationIntervalMs = 1000;
/** When a new table's records are tried: the vendor does not say how soon after its creation writes find it. */
const newTableWaitsMs = [0, 500, 1000, 2000, 4000];

const delivered: Verdict = { status: "delivered" };

/**
 * Delivered means stored, or stored before with the same values; a resend is harmless. Two events of one
 * millisecond are told apart by the dimension `event_id`, which every record has. See `toRecord` for the mapping.
 */
export function timestreamSink(options: TimestreamOptions): Sink<TimestreamRecord> {
  const { database } = options;
  const measures = new Map(Object.entries(options.measures ?? {}));
  const call = createCaller(options);
  const creations = new Map<string, Promise<Transient | undefined>>();
  let nextCreation = 0;

  /** Undefined: the table is there now. */
  async function createTable(table: string, context: SendContext): Promise<Transient | undefined> {
    const { clock, signal } = context;
    const start = Math.max(clock.now(), nextCreation);
    nextCreation = start + creationIntervalMs;
    await clock.sleep(start - clock.now(), signal);
    const command = new CreateTableCommand({
      DatabaseName: database,
      TableName: table,
      RetentionProperties: {
        MemoryStoreRetentionPeriodInHours: options.memoryStoreHours ?? 336,
        MagneticStoreRetentionPeriodInDays: options.magneticStoreDays ?? 365,
      },
      MagneticStoreWriteProperties: { EnableMagneticStoreWrites: options.enableMagneticStoreWrites ?? true },
    });
    try {
      await call(context, ({ client }, abort) => client.send(command, abort));
      return undefined;
    } catch (error) {
      const failure = failureOf(error);
      // Another worker was faster.
      if (failure.name === "ConflictException") return undefined;
      if (failure.name === "ResourceNotFoundException") {
        throw sinkUnavailable(`Timestream has no database named ${database}`);
      }
      const verdict = judge(failure, 1);
      if ("status" in verdict && verdict.status === "transient") return verdict;
      throw sinkUnavailable("Timestream refuses to create a table: check the retention settings");
    }
  }

  /** Concurrent batches of one tenant share one creation. */
  function ensureTable(table: string, context: SendContext): Promise<Transient | undefined> {
    const running = creations.get(table);
    const creation = running ?? createTable(table, context).finally(() => creations.delete(table));
    creations.set(table, creation);
    return untilAborted(creation, context.signal);
  }

  return {
    name: "timestream",
    refusals,
    repeats: { effect: "merged", reason: "Timestream stores an equal record once." },
    limits: {
      itemsPerRequest: recordsPerRequest,
      bytesPerRequest,
      bytesPerItem: bytesPerRecord,
      envelopeBytes: 2048,
      concurrency: options.concurrency ?? 8,
    },
    encode: (event) => toRecord(event, measures),
    partition: (event) => event.tenantId,
    async send({ partition: table, items }, context): Promise<readonly Outcome[] | Verdict> {
      const { clock, signal } = context;
      const records = items.map(({ payload }) => payload);
      const body = toBody(database, table, records);
      const write = async () => {
        try {
          const ingested = await call(context, ({ writer }) => writer.write(body, context));
          // A reply that does not own up to every record has delivered none that we know of.
          if (ingested >= items.length) return delivered;
          return {
            status: "transient",
            reason: "Timestream confirms fewer records than it was sent",
          } as const;
        } catch (error) {
          const failure = failureOf(error);
          return failure.name === "ResourceNotFoundException" ? undefined : judge(failure, items.length);
        }
      };
      let answer = await write();
      if (answer !== undefined) return answer;
      try {
        answer = await ensureTable(table, context);
      } catch (error) {
        return judge(failureOf(error), items.length);
      }
      for (const wait of newTableWaitsMs) {
        if (answer !== undefined) break;
        await clock.sleep(wait, signal);
        answer = await write();
      }
      return answer ?? { status: "transient", reason: "Timestream does not know the new table yet" };
    },
  };
}
