// The mapping: what an event writes to its tenant's company, and which events cannot be there.
import { type Encoded, type MetricEvent, quoteName, stableUuid } from "../../src/index.ts";
import {
  checkTenantId,
  collectProperties,
  type Field,
  type Properties,
  type PropertyRules,
  reject,
  toName,
  toTime,
} from "./property.ts";

/** One input of `batch/upsert`. */
export interface HubspotCompanyInput {
  readonly id: string;
  readonly idProperty: string;
  readonly objectWriteTraceId: string;
  readonly properties: Properties;
}

/** The sink's options, defaults filled in. */
export interface CompanyMapping {
  readonly idProperty: string;
  readonly mapping: Readonly<Record<string, Readonly<Record<string, string>>>> | undefined;
  readonly timeProperty: (metricName: string) => string;
}

/**
 * Text values: https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide (65,536 characters);
 * names: https://knowledge.hubspot.com/properties/create-and-edit-properties (100).
 */
const rules: PropertyRules = { nameLength: 100, valueLength: () => 65_536 };

/** Of the names that a record can make by itself: HubSpot's own, and those of the times that this sink keeps. */
const reservedName = /^(hs|hubspot|fanout)_/;

export function companyEncode({
  idProperty,
  mapping,
  timeProperty,
}: CompanyMapping): (event: MetricEvent) => Encoded<HubspotCompanyInput> {
  return (event) => {
    const { metricName, tenantId: id } = event;
    let fields = [...allScalars(event)];
    if (mapping !== undefined) {
      const mapped = Object.hasOwn(mapping, metricName) ? mapping[metricName] : undefined;
      if (mapped === undefined) return { filtered: "not mapped" };
      fields = [...mappedFields(event, mapped)];
    }
    const badTenant = checkTenantId(id, rules.valueLength(id));
    if (badTenant !== undefined) return badTenant;
    const time = toTime(event.time);
    if (typeof time !== "string") return time;
    const timeName = timeProperty(metricName);
    // Names that the configuration chose are meant, but for the one that says whose company it is.
    const reserved = [timeName, ...fields.map(([name]) => name)].find(
      (name, index) => name === idProperty || (mapping === undefined && index > 0 && reservedName.test(name)),
    );
    if (reserved !== undefined) {
      return reject(
        "PROPERTY_NAME_RESERVED",
        `metric and field make the reserved name ${quoteName(reserved)}`,
      );
    }
    const collected = collectProperties([...fields, [timeName, time]], rules);
    if ("rejected" in collected) return collected;
    const objectWriteTraceId = stableUuid(id, metricName, event.id);
    const payload = { id, idProperty, objectWriteTraceId, properties: collected.properties };
    return { payload, bytes: Buffer.byteLength(JSON.stringify(payload)) + 1 };
  };
}

/** The property of a field that no mapping names. */
export function autoName(metricName: string, field: string): string {
  return `${metricName}_${toName(field)}`;
}

function* allScalars({ metricName, data }: MetricEvent): Iterable<Field> {
  for (const [field, value] of Object.entries(data)) {
    if (field !== "event_time" && typeof value !== "object") yield [autoName(metricName, field), value];
  }
}

function* mappedFields({ data }: MetricEvent, mapped: Readonly<Record<string, string>>): Iterable<Field> {
  for (const [property, field] of Object.entries(mapped)) {
    const value = Object.hasOwn(data, field) ? data[field] : undefined;
    if (value !== undefined) yield [property, value];
  }
}
