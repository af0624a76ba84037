// Amazon Timestream's write API as documented, in memory: for tests, and to try the sink without an account.
import { type Clock, systemClock } from "../../src/index.ts";
import { type ConformanceSubject, sampleEvent, type Twin } from "../../src/testing/index.ts";
import { timestreamSink } from "./index.ts";

export interface TimestreamTwinOptions {
  /** What the ingestion window and the creation rate are measured by. */
  readonly clock?: Pick<Clock, "now">;
  /** The databases that exist. Default: every name does. */
  readonly databases?: readonly string[];
  /** Milliseconds between two CreateTable requests; a sooner one is throttled. The vendor's are 1,000. Default 0: no limit. */
  readonly creationIntervalMs?: number;
  /** How long a new table is not found by writes. Default 0. */
  readonly tableVisibleAfterMs?: number;
}

export interface TimestreamTwin extends Twin {
  /** By `database/table`. */
  readonly tables: ReadonlyMap<string, TwinTable>;
  /** How many requests came, by operation: `WriteRecords`, `CreateTable`, … */
  readonly requests: ReadonlyMap<string, number>;
}

export interface TwinTable {
  readonly createdAt: number;
  readonly memoryStoreHours: number;
  readonly magneticStoreDays: number;
  readonly magneticStoreWrites: boolean;
  /** One a time, set of dimensions and measure name, in the order of arrival. */
  readonly records: ReadonlyMap<string, TwinRecord>;
}

export interface TwinRecord {
  readonly time: number;
  readonly measureName: string;
  readonly dimensions: ReadonlyMap<string, string>;
  readonly measures: ReadonlyMap<string, { readonly type: string; readonly value: string }>;
  readonly version: number;
}

interface MutableTable extends TwinTable {
  readonly records: Map<string, TwinRecord>;
  /** The type that each measure had first; it keeps it. */
  readonly columns: Map<string, string>;
  readonly dimensionNames: Set<string>;
  readonly measureNames: Set<string>;
}

type Json = { readonly [key: string]: unknown };

// https://docs.aws.amazon.com/timestream/latest/developerguide/ts-limits.html
const limits = {
  records: 100,
  dimensions: 128,
  measures: 256,
  dimensionNameBytes: 60,
  measureNameBytes: 256,
  valueBytes: 2048,
  recordBytes: 2048,
  /** Of a table: every dimension, every MeasureName, every measure of a MULTI record that it ever had. */
  tableDimensions: 128,
  tableMeasureNames: 8192,
  tableMeasures: 1024,
  aheadMs: 15 * 60_000,
};
const hourMs = 3_600_000;
const unitsPerMs = { SECONDS: 0.001, MILLISECONDS: 1, MICROSECONDS: 1e3, NANOSECONDS: 1e6 };
const valuePatterns: Readonly<Record<string, RegExp>> = {
  DOUBLE: /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/,
  BIGINT: /^-?\d{1,19}$/,
  BOOLEAN: /^(true|false)$/i,
  TIMESTAMP: /^\d+$/,
  VARCHAR: /./s,
};

/** What the vendor answers when it does not do as asked. */
class Refusal extends Error {
  readonly type: string;
  readonly body: Json;
  constructor(type: string, message: string, body: Json = {}) {
    super(message);
    this.type = type;
    this.body = body;
  }
}

/** RejectedRecordsException is the one with a status of its own. */
const statuses: Readonly<Record<string, number>> = {
  RejectedRecordsException: 419,
  InternalServerException: 500,
  ServiceQuotaExceededException: 402,
  UnknownOperationException: 404,
};

/**
 * Answers DescribeEndpoints, CreateTable, DescribeTable and WriteRecords. An identical resend succeeds, other
 * values under the same key are rejected by index, the rest of that request is stored. `stored` goes by the
 * dimension `event_id`.
 */
export function createTimestreamTwin(options: TimestreamTwinOptions = {}): TimestreamTwin {
  const clock = options.clock ?? systemClock;
  const tables = new Map<string, MutableTable>();
  const requests = new Map<string, number>();
  const stored = new Map<string, number>();
  let lastCreation = Number.NEGATIVE_INFINITY;

  function createTable(input: Json): Json {
    const key = tableKey(input);
    const retention = object(input["RetentionProperties"] ?? {}, "RetentionProperties");
    const memoryStoreHours = within(retention["MemoryStoreRetentionPeriodInHours"] ?? 6, 8766);
    const magneticStoreDays = within(retention["MagneticStoreRetentionPeriodInDays"] ?? 73_000, 73_000);
    const magnetic = object(input["MagneticStoreWriteProperties"] ?? {}, "MagneticStoreWriteProperties");
    if (clock.now() - lastCreation < (options.creationIntervalMs ?? 0)) {
      throw new Refusal("ThrottlingException", "Rate exceeded");
    }
    lastCreation = clock.now();
    if (tables.has(key)) throw new Refusal("ConflictException", "Resource already exists.");
    tables.set(key, {
      createdAt: clock.now(),
      memoryStoreHours,
      magneticStoreDays,
      magneticStoreWrites: magnetic["EnableMagneticStoreWrites"] === true,
      records: new Map(),
      columns: new Map(),
      dimensionNames: new Set(),
      measureNames: new Set(),
    });
    return {
      Table: { DatabaseName: input["DatabaseName"], TableName: input["TableName"], TableStatus: "ACTIVE" },
    };
  }

  function findTable(input: Json): MutableTable {
    const table = tables.get(tableKey(input));
    if (table === undefined || clock.now() < table.createdAt + (options.tableVisibleAfterMs ?? 0)) {
      throw new Refusal("ResourceNotFoundException", `The table ${input["TableName"]} does not exist.`);
    }
    return table;
  }

  function tableKey({ DatabaseName: database, TableName: table }: Json): string {
    for (const name of [database, table]) {
      if (typeof name !== "string" || !/^[a-zA-Z0-9_.-]{3,256}$/.test(name)) invalid("a resource name");
    }
    if (options.databases !== undefined && !options.databases.includes(String(database))) {
      throw new Refusal("ResourceNotFoundException", `The database ${database} does not exist.`);
    }
    return `${database}/${table}`;
  }

  function writeRecords(input: Json): Json {
    const table = findTable(input);
    const list = array(input["Records"], "Records");
    if (list.length < 1 || list.length > limits.records) invalid("the number of Records");
    const common = object(input["CommonAttributes"] ?? {}, "CommonAttributes");
    // The whole request is read before any of it is stored.
    const records = list.map((entry) => readRecord(common, object(entry, "Record")));
    const rejected: Json[] = [];
    const memoryFrom = clock.now() - table.memoryStoreHours * hourMs;
    for (const [index, record] of records.entries()) {
      const key = JSON.stringify([record.time, record.measureName, [...record.dimensions].sort()]);
      const existing = table.records.get(key);
      const fault = faultOf(record, table, clock.now());
      const conflict = fault ?? conflictOf(record, existing);
      if (conflict !== undefined) {
        // The magnetic store finds conflicts later, and does not tell.
        if (fault !== undefined || record.time >= memoryFrom)
          rejected.push({ RecordIndex: index, ...conflict });
        continue;
      }
      table.records.set(key, record);
      for (const [name, { type }] of record.measures) table.columns.set(name, type);
      for (const name of record.dimensions.keys()) table.dimensionNames.add(name);
      table.measureNames.add(record.measureName);
      const id = record.dimensions.get("event_id");
      if (existing === undefined && id !== undefined) stored.set(id, (stored.get(id) ?? 0) + 1);
    }
    if (rejected.length > 0) {
      throw new Refusal(
        "RejectedRecordsException",
        "One or more records have been rejected. See RejectedRecords for details.",
        { RejectedRecords: rejected },
      );
    }
    const memory = records.filter(({ time }) => time >= memoryFrom).length;
    const Total = records.length;
    return { RecordsIngested: { Total, MemoryStore: memory, MagneticStore: Total - memory } };
  }

  async function answer(request: Request): Promise<Json> {
    const [service, operation = ""] = (request.headers.get("x-amz-target") ?? "").split(".");
    if (service !== "Timestream_20181101") throw new Refusal("UnknownOperationException", "");
    requests.set(operation, (requests.get(operation) ?? 0) + 1);
    if (!request.headers.get("authorization")?.startsWith("AWS4-HMAC-SHA256 Credential=")) {
      throw new Refusal("MissingAuthenticationTokenException", "Missing Authentication Token");
    }
    if (request.headers.get("content-type") !== "application/x-amz-json-1.0") {
      throw new Refusal("UnknownOperationException", "");
    }
    const input = object(parse(await request.text()), "the request");
    switch (operation) {
      case "DescribeEndpoints":
        // The SDK keeps the port of its request and takes only the name from here.
        return { Endpoints: [{ Address: new URL(request.url).hostname, CachePeriodInMinutes: 1440 }] };
      case "CreateTable":
        return createTable(input);
      case "DescribeTable":
        findTable(input);
        return { Table: { DatabaseName: input["DatabaseName"], TableName: input["TableName"] } };
      case "WriteRecords":
        return writeRecords(input);
      default:
        throw new Refusal("UnknownOperationException", "");
    }
  }

  return {
    stored,
    tables,
    requests,
    handle: async (request) => {
      try {
        return respond(200, await answer(request));
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        const body = { __type: `com.amazonaws.timestream.v20181101#${error.type}`, message: error.message };
        return respond(statuses[error.type] ?? 400, { ...body, ...error.body });
      }
    },
  };
}

const credentials = { accessKeyId: "AKID", secretAccessKey: "s3cret-key" };
const region = "eu-central-1";
const endpoint = "https://timestream.test";

/** What `fanout certify` and the tests run the conformance cases with. */
export default {
  sink: () => timestreamSink({ database: "metrics", region, credentials, endpoint }),
  twin: (clock) => createTimestreamTwin({ clock }),
  secrets: [credentials.secretAccessKey],
  // Further ahead than Timestream takes.
  poison: (n, now) => ({ ...sampleEvent(n, now), time: now + 2 * limits.aheadMs }),
} satisfies ConformanceSubject;

/** One record with the common attributes merged in. What the API description forbids refuses the whole request. */
function readRecord(common: Json, own: Json): TwinRecord {
  const merged = { ...common, ...own };
  const dimensions = new Map<string, string>();
  for (const source of [common, own]) {
    for (const entry of array(source["Dimensions"] ?? [], "Dimensions")) {
      const { Name, Value, DimensionValueType: type = "VARCHAR" } = object(entry, "Dimension");
      const name = nameOf(Name);
      if (dimensions.has(name)) invalid("a dimension that stands twice");
      if (type !== "VARCHAR") invalid("DimensionValueType");
      dimensions.set(name, text(Value, "a dimension's Value"));
    }
  }
  if (merged["MeasureValueType"] !== "MULTI") invalid("MeasureValueType: this twin knows MULTI alone");
  if (merged["MeasureValue"] !== undefined) invalid("MeasureValue beside MULTI");
  const measures = new Map<string, { type: string; value: string }>();
  for (const entry of array(merged["MeasureValues"] ?? [], "MeasureValues")) {
    const { Name, Value, Type } = object(entry, "MeasureValue");
    const name = nameOf(Name);
    const type = text(Type, "Type");
    const value = text(Value, "a measure's Value");
    if (measures.has(name) || dimensions.has(name)) invalid("a measure whose name is taken");
    if (!(valuePatterns[type] ?? invalid("a measure's Type")).test(value)) invalid(`a ${type}'s Value`);
    measures.set(name, { type, value });
  }
  if (measures.size === 0) invalid("MULTI without MeasureValues");
  const unit = text(merged["TimeUnit"] ?? "MILLISECONDS", "TimeUnit");
  const perMs = Object.entries(unitsPerMs).find(([name]) => name === unit)?.[1] ?? invalid("TimeUnit");
  const time = text(merged["Time"], "Time");
  if (!/^-?\d{1,19}$/.test(time)) invalid("Time");
  const version = merged["Version"] ?? 1;
  if (typeof version !== "number" || version < 1) invalid("Version");
  const measureName = nameOf(merged["MeasureName"]);
  return { time: Number(time) / perMs, measureName, dimensions, measures, version };
}

/** Why this record is not stored, whatever is there already; in the vendor's words where they are known. */
function faultOf(record: TwinRecord, table: MutableTable, now: number): Json | undefined {
  const { time, measureName, dimensions, measures } = record;
  const hours = table.magneticStoreWrites ? table.magneticStoreDays * 24 : table.memoryStoreHours;
  const [from, to] = [now - hours * hourMs, now + limits.aheadMs];
  if (time < from || time >= to) {
    const range = `[${new Date(from).toISOString()}, ${new Date(to).toISOString()})`;
    const of = table.magneticStoreWrites ? "the data ingestion window" : "the memory store";
    return { Reason: `The record timestamp is outside the time range ${range} of ${of}.` };
  }
  if (dimensions.size > limits.dimensions || measures.size > limits.measures) {
    return { Reason: "The number of dimensions or measures exceeds the limit." };
  }
  if (
    countWith(table.dimensionNames, dimensions.keys()) > limits.tableDimensions ||
    countWith(table.measureNames, [measureName]) > limits.tableMeasureNames ||
    countWith(table.columns, measures.keys()) > limits.tableMeasures
  ) {
    return { Reason: "The number of dimensions or measures exceeds the limit of the table." };
  }
  let size = 8 + bytes(measureName);
  let longestDimension = 0;
  let longestMeasure = bytes(measureName);
  let longestValue = 0;
  for (const [name, value] of dimensions) {
    size += bytes(name) + bytes(value);
    longestDimension = Math.max(longestDimension, bytes(name));
    longestValue = Math.max(longestValue, bytes(value));
  }
  for (const [name, { type, value }] of measures) {
    size += bytes(name) + (type === "VARCHAR" ? bytes(value) : type === "BOOLEAN" ? 1 : 8);
    longestMeasure = Math.max(longestMeasure, bytes(name));
    longestValue = Math.max(longestValue, bytes(value));
    if ((table.columns.get(name) ?? type) !== type)
      return { Reason: `The measure ${name} has another type.` };
  }
  if (longestDimension > limits.dimensionNameBytes || longestMeasure > limits.measureNameBytes) {
    return { Reason: "The length of a name exceeds the limit." };
  }
  if (longestValue > limits.valueBytes || size > limits.recordBytes) {
    return { Reason: "The size of the record exceeds the limit." };
  }
  return undefined;
}

/** How many names there would be with these. */
function countWith(
  known: { readonly size: number; has(name: string): boolean },
  names: Iterable<string>,
): number {
  let count = known.size;
  for (const name of names) if (!known.has(name)) count += 1;
  return count;
}

/** Why this record does not replace the one with its key. */
function conflictOf({ version, measures }: TwinRecord, existing: TwinRecord | undefined): Json | undefined {
  if (existing === undefined || version > existing.version) return undefined;
  if (version < existing.version) {
    const Reason = `The record version ${version} is lower than the existing version ${existing.version}. A higher version is required to update the measure value.`;
    return { Reason, ExistingVersion: existing.version };
  }
  if (JSON.stringify([...measures].sort()) === JSON.stringify([...existing.measures].sort()))
    return undefined;
  return {
    Reason:
      "A record already exists with the same time, dimensions, measure name, and record version. A higher record version must be specified in order to update the measure value.",
    ExistingVersion: existing.version,
  };
}

function nameOf(value: unknown): string {
  const name = text(value, "a name");
  const reserved = name === "time" || /^(ts_|measure_name|measure_value)/.test(name);
  return reserved || name.includes(":") ? invalid("a name that is reserved or holds a colon") : name;
}

function text(value: unknown, what: string): string {
  // The vendor reads JSON strictly: a number is not a string.
  if (value !== undefined && typeof value !== "string") throw new Refusal("SerializationException", what);
  return value === undefined || value === "" ? invalid(what) : value;
}

function within(value: unknown, max: number): number {
  return typeof value === "number" && value >= 1 && value <= max ? value : invalid("a retention period");
}

function object(value: unknown, what: string): Json {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return invalid(what);
  // A value from JSON.parse that is a non-null, non-array object has string keys.
  return value as Json;
}

function array(value: unknown, what: string): readonly unknown[] {
  return Array.isArray(value) ? value : invalid(what);
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    throw new Refusal("SerializationException", "the request is not JSON");
  }
}

function invalid(what: string): never {
  throw new Refusal("ValidationException", `Invalid: ${what}.`);
}

function respond(status: number, body: Json): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { "content-type": "application/x-amz-json-1.0" },
  });
}

function bytes(value: string): number {
  return Buffer.byteLength(value);
}
