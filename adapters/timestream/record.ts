// The mapping: one event becomes one MULTI record, and what a request's records share is said once.
import type { _Record, Dimension, MeasureValue } from "@aws-sdk/client-timestream-write";
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

/** A complete record of the vendor's shape; `toBody` moves what all share out of it. */
export interface TimestreamRecord {
  readonly Dimensions: readonly Dimension[];
  readonly MeasureName: string;
  readonly MeasureValues: readonly MeasureValue[];
  readonly Time: string;
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
  const nameFault = faultOfName("metric_name", event.metricName, maxMeasureNameBytes);
  if (nameFault !== undefined) return nameFault;
  let size = timeBytes + Buffer.byteLength(event.metricName);

  const names = new Set<string>();
  const Dimensions: Dimension[] = [];
  for (const [name, value] of Object.entries(event.metadata)) {
    if (name === "tenant_id" || isNothing(value)) continue;
    const fault = faultOfName("a name in metadata", name, maxDimensionNameBytes);
    if (fault !== undefined) return fault;
    const text = toText(value);
    const bytes = Buffer.byteLength(text);
    if (!isWhole(value, bytes)) return faultOfValue("metadata", name, value);
    size += Buffer.byteLength(name) + bytes;
    names.add(name);
    Dimensions.push({ Name: name, Value: text });
  }
  if (!names.has(eventId)) {
    size += eventId.length + Buffer.byteLength(event.id);
    names.add(eventId);
    Dimensions.push({ Name: eventId, Value: event.id });
  } else if (event.metadata[eventId] !== event.id) {
    return reject(
      "EVENT_ID_NOT_TEXT",
      "metadata.event_id must be usable text: it is the id that keeps events apart",
    );
  }

  const MeasureValues: MeasureValue[] = [];
  for (const [name, value] of Object.entries(event.data)) {
    if (name === "event_time" || isNothing(value)) continue;
    const fault = faultOfName("a name in data", name, maxMeasureNameBytes);
    if (fault !== undefined) return fault;
    const text = toText(value);
    const bytes = Buffer.byteLength(text);
    if (!isWhole(value, bytes)) return faultOfValue("data", name, value);
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
    size += Buffer.byteLength(name) + (type === "VARCHAR" ? bytes : fixedBytes[type]);
    MeasureValues.push({ Name: name, Value: text, Type: type });
  }

  if (MeasureValues.length === 0)
    return reject("NO_MEASURES", "data holds nothing to store besides its time");
  if (Dimensions.length > maxDimensions) {
    return reject("TOO_MANY_DIMENSIONS", `metadata makes more than ${maxDimensions} dimensions`);
  }
  if (MeasureValues.length > maxMeasures) {
    return reject("TOO_MANY_MEASURES", `data makes more than ${maxMeasures} measures`);
  }
  if (size > maxRecordBytes) {
    return reject(
      "RECORD_TOO_LARGE",
      `the record has ${size} bytes of names and values, over ${maxRecordBytes}`,
    );
  }
  const payload = { Dimensions, MeasureName: event.metricName, MeasureValues, Time: String(event.time) };
  return { payload, bytes: Buffer.byteLength(JSON.stringify(payload)) + 1 };
}

/** The body of WriteRecords. What every record has is said once, in CommonAttributes; a dimension never stands in both. */
export function toBody(database: string, table: string, records: readonly TimestreamRecord[]): Buffer {
  const [first] = records;
  // In their usual order the dimensions of two records stand at the same place.
  const shared = (first?.Dimensions ?? []).filter((one, index) =>
    records.every(
      ({ Dimensions }) => isSame(Dimensions[index], one) || Dimensions.some((other) => isSame(other, one)),
    ),
  );
  const sharedNames = new Set(shared.map(({ Name }) => Name));
  const measureName = records.every((record) => record.MeasureName === first?.MeasureName)
    ? first?.MeasureName
    : undefined;
  const common = {
    MeasureValueType: "MULTI",
    TimeUnit: "MILLISECONDS",
    ...(measureName === undefined ? {} : { MeasureName: measureName }),
    ...(shared.length === 0 ? {} : { Dimensions: shared }),
  } satisfies _Record;
  const own = records.map(({ Dimensions, MeasureName, MeasureValues, Time }) => {
    const dimensions = Dimensions.filter(({ Name }) => !sharedNames.has(Name));
    return {
      payload: {
        Time,
        ...(measureName === undefined ? { MeasureName } : {}),
        ...(dimensions.length === 0 ? {} : { Dimensions: dimensions }),
        MeasureValues: [...MeasureValues],
      } satisfies _Record,
    };
  });
  const around = { DatabaseName: database, TableName: table, CommonAttributes: common };
  return bodyOf(`${JSON.stringify(around).slice(0, -1)},"Records":[`, own, "]}");
}

function isSame(one: Dimension | undefined, other: Dimension): boolean {
  return one !== undefined && one.Name === other.Name && one.Value === other.Value;
}

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

/** Records have the same few names over and over, and nothing is wrong with nearly all of them. */
const lawful = new Set<string>();
const mostLawful = 1000;

function faultOfName(what: string, name: string, maxBytes: number): Rejection | undefined {
  // A lawful name is one of at most so many bytes, which every kind of name may have.
  if (lawful.has(name)) return undefined;
  // The name itself stays out of these two: it may be megabytes long.
  if (Buffer.byteLength(name) > maxBytes) {
    return reject("NAME_TOO_LONG", `${what} has more than ${maxBytes} bytes`);
  }
  if (name === "" || name.includes(":") || !name.isWellFormed()) {
    return reject("NAME_INVALID", `${what} is empty, holds a colon or is not well-formed Unicode`);
  }
  if (reservedName.test(name)) {
    return reject("NAME_RESERVED", `${what}, ${quoteName(name)}, is one that Timestream keeps`);
  }
  if (lawful.size < mostLawful && Buffer.byteLength(name) <= maxDimensionNameBytes) lawful.add(name);
  return undefined;
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
