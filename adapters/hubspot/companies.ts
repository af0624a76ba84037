// HubSpot companies: the newest event of a tenant and metric becomes properties of the tenant's company.
import type { Limits, Outcome, Sink, Verdict } from "../../src/index.ts";
import { companyEncode, type HubspotCompanyInput } from "./company-mapping.ts";
import { readLook, readWrite } from "./company-replies.ts";
import { isName } from "./property.ts";
import { type Code, companiesRefusals } from "./refusals.ts";
import { checkConnection, type HubspotConnection, post } from "./request.ts";

export type { HubspotCompanyInput };

/** Every property must exist at HubSpot, the ids' one as a unique-value property. */
export interface HubspotCompaniesOptions extends HubspotConnection {
  /** The company property that holds the tenant's id. Default `tenant_id`. */
  readonly idProperty?: string;
  /**
   * Metric name → company property → field of data; other metrics are filtered. Default: every metric, and every
   * field of text, number or boolean as `{metric}_{field}`; lists and objects stay out, and a name that would be the
   * id's, or begins with `hs_`, `hubspot_` or `fanout_`, rejects the record. Values are written as they are, never
   * added up or cut; null and empty text do not clear a property.
   */
  readonly properties?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /**
   * The company property (type datetime, or text) that keeps the time of a metric's newest event, so that a replay
   * of an older one is filtered as superseded. Default `fanout_{metric}_at`. HubSpot has no conditional write: a
   * writer that does not share the books can still leave the older value.
   */
  readonly timeProperty?: (metricName: string) => string;
  /**
   * Whether an unknown tenant makes a new company. Default false: its event is rejected, not filtered, since it was
   * meant for HubSpot; the dead letter can be replayed once the company exists.
   */
  readonly createUnknown?: boolean;
}

/**
 * Requests that an app may make in 10 s, Professional and up; below it is 100, where a 429 slows the sink down:
 * https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines
 */
const requestsPer10s = 190;

/** https://developers.hubspot.com/docs/api-reference/crm-companies-v3/guide */
const batchPath = "/crm/v3/objects/companies/batch";

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
  // It reads what a company has before it writes, and HubSpot has no condition on a write.
  writers: 1,
};

const unknownCompany: Outcome = {
  status: "rejected",
  reason: "HubSpot has no company of this tenant, and createUnknown is off",
  code: "UNKNOWN_COMPANY" satisfies Code,
};
const archivedCompany: Outcome = {
  status: "rejected",
  reason: "the company of this tenant is archived",
  code: "COMPANY_ARCHIVED" satisfies Code,
};
/** Nothing has been written, so halving the batch finds whose id it is. */
const ambiguousTenant: Verdict = {
  status: "refused",
  reason: "HubSpot finds the company of another tenant by the id of this one",
  code: "TENANT_ID_AMBIGUOUS" satisfies Code,
};
const superseded: Outcome = {
  status: "filtered",
  reason: "superseded: the company shows a newer event of this metric",
};
/** What is not known to be missing may be there, with a newer event's time. */
const unanswered: Outcome = {
  status: "transient",
  reason: "HubSpot's reply does not say whether it has the company",
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
  if (names.lastIndexOf(idProperty) > 0) {
    throw new Error(
      `hubspot-companies: ${idProperty} identifies the company, so no field can be written there`,
    );
  }
  const account = { accessToken, baseUrl };

  return {
    name: "hubspot-companies",
    limits,
    refusals: companiesRefusals,
    repeats: {
      effect: "merged",
      reason: "A company's properties are set to the values that they have already.",
    },
    partition: (event) => event.metricName,
    coalesceKey: (event) => event.tenantId,
    encode: companyEncode({ idProperty, mapping, timeProperty }),

    async provision(plans, context) {
      // Only the command that provisions needs it, and another client of the SDK with it.
      const { companyProperties, provisionCompanies } = await import("./provision.ts");
      const wanted = companyProperties(plans, { idProperty, mapping, timeProperty });
      return await provisionCompanies(account, wanted, context);
    },

    async send({ partition: metricName, items }, context) {
      const ids = items.map(({ payload }) => payload.id);
      if (new Set(ids.map(alike)).size < ids.length) return ambiguousTenant;
      const timeName = timeProperty(metricName);
      const question = {
        idProperty,
        inputs: ids.map((id) => ({ id })),
        properties: [idProperty, timeName],
        propertiesWithHistory: [],
      };
      const lookReply = await post(account, `${batchPath}/read`, JSON.stringify(question), context);
      const look = readLook(lookReply, ids, idProperty, timeName);
      if ("status" in look) return look;
      if (look.hasOthers) return ambiguousTenant;
      const settled = items.map(({ event, payload }): Outcome | undefined => {
        if (look.archived.has(payload.id)) return archivedCompany;
        const newest = look.newest.get(payload.id);
        if (newest !== undefined) return newest > event.time ? superseded : undefined;
        if (!look.absent.has(payload.id)) return unanswered;
        return createUnknown ? undefined : unknownCompany;
      });

      const open = items.filter((_, index) => settled[index] === undefined);
      if (open.length === 0) return settled.map((outcome) => outcome ?? unaccounted);
      const inputs = open.map(({ payload }) => payload);
      const writeReply = await post(account, `${batchPath}/upsert`, JSON.stringify({ inputs }), context);
      const write = readWrite(writeReply, inputs, context.attempt);
      if ("status" in write && write.status === "refused") return write;
      return items.map(({ payload }, index) => {
        const outcome = "status" in write ? write : write.outcomes.get(payload.objectWriteTraceId);
        return settled[index] ?? outcome ?? unaccounted;
      });
    },
  };
}

/**
 * HubSpot does not say whether it tells ids apart that differ in case, white space or normal form alone. Two of them
 * never share a request, so that the look of each shows whose company HubSpot takes it for.
 */
function alike(id: string): string {
  return id.normalize("NFKC").replace(/\s/g, "").toLowerCase();
}
