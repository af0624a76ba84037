// The mapping: one event becomes one MULTI record, and what a request's records share is said once. The JSON is written
// here, and measures are kept as text: the SDK's schema takes several times as long, and objects several times the memory
// (docs/performance.md); test/contract/timestream.test.ts holds that both say the same.
import {
  allFinite,
  bodyOf,
  type Encoded,
  type JsonValue,
  type MetricEvent,
  quoteName,
} from "../../src/index.ts";
import type { Code } from "./refusals.ts";

/** What a measure can be declared as. A 64-bit integer is BIGINT: a safe JSON integer, or digits in a string. */
export type MeasureType = "DOUBLE" | "BIGINT" | "VARCHAR" | "BOOLEAN";

/** A dimension's name, and its value as text. */
type Dimension = readonly [name: string, value: string];

/** A complete record in parts; `toBody` moves what all records of a request share out of them. */
export class TimestreamRecord {
  readonly dimensions: readonly Dimension[];
  readonly measureName: string;
  /** As JSON. */
  readonly measureValues: string;
  /** Milliseconds since the epoch. */
  readonly time: number;

  constructor(parts: Pick<TimestreamRecord, "dimensions" | "measureName" | "measureValues" | "time">) {
    this.dimensions = parts.dimensions;
    this.measureName = parts.measureName;
    this.measureValues = parts.measureValues;
    this.time = parts.time;
  }

  /** The vendor's shape. */
  toJSON(): unknown {
    return JSON.parse(recordText(this, true, noNames));
  }
}

// https://docs.aws.amazon.com/timestream/latest/developerguide/ts-limits.html states the limits and names below.
const maxDimensions = 128;
const maxMeasures = 256;
const maxDimensionNameBytes = 60;
const maxMeasureNameBytes = 256;
const maxValueBytes = 2048;
/** Counted as the vendor meters it: https://docs.aws.amazon.com/timestream/latest/developerguide/metering-and-pricing.writes.html */
export const maxRecordBytes = 2048;
const timeBytes = 8;
const fixedBytes = { DOUBLE: 8, BIGINT: 8, BOOLEAN: 1 } as const;
const tableName = /^[a-zA-Z0-9_.-]{3,256}$/;
const reservedName = /^(?:time$|ts_|measure_name|measure_value)/;

/** The dimension that keeps two events of one millisecond apart: their key is time, dimensions and measure name. */
const eventId = "event_id";

const int64 = { digits: /^-?\d{1,19}$/, min: -(2n ** 63n), max: 2n ** 63n - 1n };

type Rejection = { readonly rejected: string; readonly code: Code };

/**
 * `metadata` without `tenant_id` (it is the table) → dimensions, plus `event_id` when metadata has none;
 * `data` without `event_time` (it is Time) → measures. Null and "" are no values and are left out; objects and
 * arrays are stored as their JSON text. What cannot be stored whole is rejected: nothing is cut or renamed, be it a
 * value, a name or a tenant. Half of a surrogate pair, which is no character, becomes U+FFFD in a value; names and
 * ids that hold one are rejected. NUL and other control characters pass.
 */
export function toRecord(
  event: MetricEvent,
  types: ReadonlyMap<string, MeasureType>,
): Encoded<TimestreamRecord> {
  if (!tableName.test(event.tenantId)) {
    return reject(
      "TENANT_ID_NO_TABLE_NAME",
      "metadata.tenant_id names the table: it must be 3 to 256 of a-z, A-Z, 0-9, _, . and -",
    );
  }
  const measureName = nameOf("metric_name", event.metricName, maxMeasureNameBytes);
  if ("rejected" in measureName) return measureName;
  let size = timeBytes + measureName.bytes;
  let bytes = recordAround + measureName.headBytes;

  const names = new Set<string>();
  const dimensions: Dimension[] = [];
  for (const [name, value] of Object.entries(event.metadata)) {
    if (name === "tenant_id" || isNothing(value)) continue;
    const known = nameOf("a name in metadata", name, maxDimensionNameBytes);
    if ("rejected" in known) return known;
    const text = toText(value);
    const length = Buffer.byteLength(text);
    if (!isWhole(value, length)) return faultOfValue("metadata", name, value);
    size += known.bytes + length;
    bytes += known.headBytes + length + JSON.stringify(text).length - text.length + dimensionEnd;
    names.add(name);
    dimensions.push([name, text]);
  }
  if (!names.has(eventId)) {
    const { id } = event;
    const length = Buffer.byteLength(id);
    size += eventId.length + length;
    bytes += headOf(eventId).length + length + JSON.stringify(id).length - id.length + dimensionEnd;
    names.add(eventId);
    dimensions.push([eventId, id]);
  } else if (event.metadata[eventId] !== event.id) {
    return reject(
      "EVENT_ID_NOT_TEXT",
      "metadata.event_id must be usable text: it is the id that keeps events apart",
    );
  }

  const measures: string[] = [];
  for (const [name, value] of Object.entries(event.data)) {
    if (name === "event_time" || isNothing(value)) continue;
    const known = nameOf("a name in data", name, maxMeasureNameBytes);
    if ("rejected" in known) return known;
    const text = toText(value);
    const length = Buffer.byteLength(text);
    if (!isWhole(value, length)) return faultOfValue("data", name, value);
    if (names.has(name)) {
      return reject(
        "NAME_TAKEN",
        `${quoteName(name)} is a dimension already, so no measure can have the name`,
      );
    }
    const type = types.get(name) ?? typeOf(value);
    if (!fits(value, type)) {
      // Not quoted, so that each field is a cause of its own: the configuration names them, not the records.
      return reject("MEASURE_TYPE", `data.${name} is declared ${type} and its value is not`);
    }
    const json = JSON.stringify(text);
    size += known.bytes + (type === "VARCHAR" ? length : fixedBytes[type]);
    bytes += known.headBytes + length + json.length - text.length + measureEnd;
    measures.push(`${known.head}${json},"Type":"${type}"}`);
  }

  if (measures.length === 0) return reject("NO_MEASURES", "data holds nothing to store besides its time");
  if (dimensions.length > maxDimensions) {
    return reject("TOO_MANY_DIMENSIONS", `metadata makes more than ${maxDimensions} dimensions`);
  }
  if (measures.length > maxMeasures) {
    return reject("TOO_MANY_MEASURES", `data makes more than ${maxMeasures} measures`);
  }
  if (size > maxRecordBytes) {
    return reject(
      "RECORD_TOO_LARGE",
      `the record has ${size} bytes of names and values, over ${maxRecordBytes}`,
    );
  }
  const { metricName, time } = event;
  const parts = { dimensions, measureName: metricName, measureValues: measures.join(), time };
  return { payload: new TimestreamRecord(parts), bytes };
}

/** The body of WriteRecords. What every record has is said once, in CommonAttributes; a dimension never stands in both. */
export function toBody(database: string, table: string, records: readonly TimestreamRecord[]): Buffer {
  const [first] = records;
  const shared = (first?.dimensions ?? []).filter((one, index) =>
    records.every(({ dimensions }) => hasAt(dimensions, index, one)),
  );
  const sharedNames = new Set(shared.map(([name]) => name));
  const measureName = records.every((record) => record.measureName === first?.measureName)
    ? first?.measureName
    : undefined;
  const common = [
    '"MeasureValueType":"MULTI","TimeUnit":"MILLISECONDS"',
    ...(measureName === undefined ? [] : [`"MeasureName":${JSON.stringify(measureName)}`]),
    ...(shared.length === 0 ? [] : [`"Dimensions":[${dimensionsText(shared, noNames)}]`]),
  ];
  const own = records.map((record) => {
    const payload = recordText(record, measureName === undefined, sharedNames);
    return { payload, bytes: Buffer.byteLength(payload) + 1 };
  });
  const names = JSON.stringify({ DatabaseName: database, TableName: table });
  return bodyOf(`${names.slice(0, -1)},"CommonAttributes":{${common.join()}},"Records":[`, own, "]}");
}

/** In their usual order the dimensions of two records stand at the same place. */
function hasAt(dimensions: readonly Dimension[], index: number, one: Dimension): boolean {
  const there = dimensions[index];
  if (there !== undefined && isSame(there, one)) return true;
  return dimensions.some((other) => isSame(other, one));
}

function isSame([name, value]: Dimension, [otherName, otherValue]: Dimension): boolean {
  return name === otherName && value === otherValue;
}

const noNames: ReadonlySet<string> = new Set();

function recordText(
  { time, measureName, measureValues, dimensions }: TimestreamRecord,
  isNamed: boolean,
  sharedNames: ReadonlySet<string>,
): string {
  const name = isNamed ? `,"MeasureName":${JSON.stringify(measureName)}` : "";
  const text = dimensionsText(dimensions, sharedNames);
  const own = text === "" ? "" : `,"Dimensions":[${text}]`;
  return `{"Time":"${time}"${name}${own},"MeasureValues":[${measureValues}]}`;
}

function dimensionsText(dimensions: readonly Dimension[], without: ReadonlySet<string>): string {
  let text = "";
  for (const [name, value] of dimensions) {
    if (without.has(name)) continue;
    const head = lawful.get(name)?.head ?? headOf(name);
    text += `${text === "" ? "" : ","}${head}${JSON.stringify(value)}}`;
  }
  return text;
}

/** What a record has around its fields, and what ends a field, at most. */
const recordAround = '{"Time":"-9007199254740991","MeasureName":,"Dimensions":[],"MeasureValues":[]},'.length;
const dimensionEnd = "},".length;
const measureEnd = ',"Type":"BOOLEAN"},'.length;

function reject(code: Code, rejected: string): Rejection {
  return { rejected, code };
}

/** A column without a value is how the vendor stores an absent one; it takes no empty value. */
function isNothing(value: JsonValue): boolean {
  return value === null || value === "";
}

function toText(value: JsonValue): string {
  return typeof value === "object" ? JSON.stringify(value) : String(value).toWellFormed();
}

/** Every number is a DOUBLE unless declared: a column's type is the first one seen, and 5 comes before 5.5. */
function typeOf(value: JsonValue): MeasureType {
  if (typeof value === "number") return "DOUBLE";
  return typeof value === "boolean" ? "BOOLEAN" : "VARCHAR";
}

function fits(value: JsonValue, type: MeasureType): boolean {
  if (type === "VARCHAR") return true;
  if (type === "BOOLEAN") return typeof value === "boolean";
  if (type === "DOUBLE") return typeof value === "number";
  if (typeof value === "number") return Number.isSafeInteger(value);
  if (typeof value !== "string" || !int64.digits.test(value)) return false;
  const integer = BigInt(value);
  return integer >= int64.min && integer <= int64.max;
}

/** A lawful name. */
interface Name {
  readonly bytes: number;
  /** The JSON of a field of that name, up to its value. */
  readonly head: string;
  readonly headBytes: number;
}

/** Records have the same few names over and over, and nothing is wrong with nearly all of them. */
const lawful = new Map<string, Name>();
const mostLawful = 1000;

function nameOf(what: string, name: string, maxBytes: number): Name | Rejection {
  // What is kept has at most so many bytes as every kind of name may have.
  const known = lawful.get(name);
  if (known !== undefined) return known;
  const bytes = Buffer.byteLength(name);
  // The name itself stays out of these two: it may be megabytes long.
  if (bytes > maxBytes) {
    return reject("NAME_TOO_LONG", `${what} has more than ${maxBytes} bytes`);
  }
  if (name === "" || name.includes(":") || !name.isWellFormed()) {
    return reject("NAME_INVALID", `${what} is empty, holds a colon or is not well-formed Unicode`);
  }
  if (reservedName.test(name)) {
    return reject("NAME_RESERVED", `${what}, ${quoteName(name)}, is one that Timestream keeps`);
  }
  const head = headOf(name);
  const lawfulName = { bytes, head, headBytes: Buffer.byteLength(head) };
  if (lawful.size < mostLawful && bytes <= maxDimensionNameBytes) lawful.set(name, lawfulName);
  return lawfulName;
}

function headOf(name: string): string {
  return `{"Name":${JSON.stringify(name)},"Value":`;
}

/** Whether all of a value can be stored; `bytes` are those of its text. */
function isWhole(value: JsonValue, bytes: number): boolean {
  return bytes <= maxValueBytes && (typeof value === "string" || allFinite(value));
}

function faultOfValue(where: string, name: string, value: JsonValue): Rejection {
  return allFinite(value)
    ? reject(
        "VALUE_TOO_LONG",
        `the field ${quoteName(name)} of ${where} has more than ${maxValueBytes} bytes`,
      )
    : reject(
        "NUMBER_NOT_FINITE",
        `the field ${quoteName(name)} of ${where} holds a number larger than a double can be`,
      );
}
