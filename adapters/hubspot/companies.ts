// HubSpot companies: the newest event of a tenant and metric becomes properties of the tenant's company.
import {
  BatchApi,
  createConfiguration,
  ServerConfiguration,
  wrapHttpLibrary,
} from "@hubspot/api-client/lib/codegen/crm/companies/index.js";
import {
  type JsonValue,
  type Limits,
  type MetricEvent,
  type Outcome,
  type Sink,
  stableUuid,
} from "../../src/index.ts";
import { readLook, readWrite } from "./company-replies.ts";
import { collectProperties, isName, type Properties, type PropertyRules, toName } from "./property.ts";
import { checkConnection, type HubspotConnection, type Transport, throughSdk } from "./request.ts";

/** Every property must exist at HubSpot, the ids' one as a unique-value property. */
export interface HubspotCompaniesOptions extends HubspotConnection {
  /** The company property that holds the tenant's id. Default `tenant_id`. */
  readonly idProperty?: string;
  /**
   * Metric name → company property → field of data; other metrics are filtered. Default: every metric, and every
   * field of text, number or boolean as `{metric}_{field}`; lists and objects stay out. Values are written as they
   * are, never added up; null and empty text do not clear a property.
   */
  readonly properties?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /**
   * The company property (type datetime, or text) that keeps the time of a metric's newest event, so that a replay
   * of an older one is filtered as superseded. Default `fanout_{metric}_at`. HubSpot has no conditional write: two
   * workers that look and write at the same moment can still leave the older value.
   */
  readonly timeProperty?: (metricName: string) => string;
  /**
   * Whether an unknown tenant makes a new company. Default false: its event is rejected, not filtered, since it was
   * meant for HubSpot; the dead letter can be replayed once the company exists.
   */
  readonly createUnknown?: boolean;
}

/** One input of `batch/upsert`. */
export interface HubspotCompanyInput {
  readonly id: string;
  readonly idProperty: string;
  readonly objectWriteTraceId: string;
  readonly properties: Properties;
}

/**
 * Text values: https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide (65,536 characters);
 * names: https://knowledge.hubspot.com/properties/create-and-edit-properties (100).
 */
const rules: PropertyRules = { nameLength: 100, valueLength: () => 65_536 };

/**
 * Requests that an app may make in 10 s, Professional and up; below it is 100, where a 429 slows the sink down:
 * https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines
 */
const requestsPer10s = 190;

const limits: Limits = {
  // https://developers.hubspot.com/docs/api-reference/crm-companies-v3/guide
  itemsPerRequest: 100,
  // HubSpot names no size; ours is far above a hundred usual inputs (30 KB).
  bytesPerRequest: 2 ** 20,
  bytesPerItem: 2 ** 20 - 16,
  envelopeBytes: '{"inputs":[]}'.length,
  // Two sends of one tenant at once would both look before either writes, and the older value could stay.
  concurrency: 1,
  // A send is two requests: a look and a write.
  requestsPerSecond: requestsPer10s / 10 / 2,
};

const unknownCompany: Outcome = {
  status: "rejected",
  reason: "HubSpot has no company of this tenant, and createUnknown is off",
  code: "UNKNOWN_COMPANY",
};
const superseded: Outcome = {
  status: "filtered",
  reason: "superseded: the company shows a newer event of this metric",
};
const unaccounted: Outcome = { status: "transient", reason: "HubSpot's reply does not mention the input" };

/** Companies through `POST /crm/v3/objects/companies/batch/upsert`. @throws when an option can never work. */
export function hubspotCompaniesSink(options: HubspotCompaniesOptions): Sink<HubspotCompanyInput> {
  const { accessToken, baseUrl } = checkConnection(options);
  const { idProperty = "tenant_id", properties: mapping, createUnknown = false } = options;
  const timeProperty = options.timeProperty ?? ((metricName) => `fanout_${metricName}_at`);
  const names = [idProperty, ...Object.values(mapping ?? {}).flatMap((fields) => Object.keys(fields))];
  const unlawful = names.find((name) => !isName(name));
  if (unlawful !== undefined) throw new Error(`hubspot-companies: ${unlawful} is no lawful property name`);
  const api = (transport: Transport) =>
    new BatchApi(
      createConfiguration({
        baseServer: new ServerConfiguration(baseUrl, {}),
        authMethods: { oauth2: { accessToken } },
        httpApi: wrapHttpLibrary({ send: transport }),
      }),
    );

  return {
    name: "hubspot-companies",
    limits,
    partition: (event) => event.metricName,
    coalesceKey: (event) => event.tenantId,

    encode(event) {
      const { metricName, tenantId: id } = event;
      let fields = allScalars(event);
      if (mapping !== undefined) {
        const mapped = Object.hasOwn(mapping, metricName) ? mapping[metricName] : undefined;
        if (mapped === undefined) return { filtered: "not mapped" };
        fields = mappedFields(event, mapped);
      }
      const time = [timeProperty(metricName), new Date(event.time).toISOString()] as const;
      const collected = collectProperties([...fields, time], rules);
      if ("rejected" in collected) return collected;
      const objectWriteTraceId = stableUuid(id, metricName, event.id);
      const payload = { id, idProperty, objectWriteTraceId, properties: collected.properties };
      return { payload, bytes: Buffer.byteLength(JSON.stringify(payload)) + 1 };
    },

    async send({ partition: metricName, items }, context) {
      const timeName = timeProperty(metricName);
      const lookReply = await throughSdk(context, (transport) =>
        api(transport).read({
          idProperty,
          inputs: items.map(({ payload }) => ({ id: payload.id })),
          properties: [idProperty, timeName],
          propertiesWithHistory: [],
        }),
      );
      const look = readLook(lookReply, idProperty, timeName);
      if ("status" in look) return look;
      const settled = items.map(({ event, payload }): Outcome | undefined => {
        const newest = look.newest.get(payload.id);
        if (newest === undefined) return look.doubt ?? (createUnknown ? undefined : unknownCompany);
        return newest > event.time ? superseded : undefined;
      });

      const inputs = items.flatMap(({ payload }, index) => (settled[index] === undefined ? [payload] : []));
      if (inputs.length === 0) return settled.map((outcome) => outcome ?? unaccounted);
      const writeReply = await throughSdk(context, (transport) => api(transport).upsert({ inputs }));
      const write = readWrite(writeReply, inputs);
      if ("status" in write && write.status === "refused") return write;
      return items.map(({ payload }, index) => {
        const outcome = "status" in write ? write : write.outcomes.get(payload.objectWriteTraceId);
        return settled[index] ?? outcome ?? unaccounted;
      });
    },
  };
}

function* allScalars({ metricName, data }: MetricEvent): Iterable<readonly [string, JsonValue]> {
  for (const [field, value] of Object.entries(data)) {
    if (field !== "event_time" && typeof value !== "object") yield [`${metricName}_${toName(field)}`, value];
  }
}

function* mappedFields(
  { data }: MetricEvent,
  mapped: Readonly<Record<string, string>>,
): Iterable<readonly [string, JsonValue]> {
  for (const [property, field] of Object.entries(mapped)) {
    const value = Object.hasOwn(data, field) ? data[field] : undefined;
    if (value !== undefined) yield [property, value];
  }
}
