// What HubSpot must know before events come: definitions of custom events, and properties of companies.
import {
  CoreApi,
  createConfiguration,
  type PropertyCreate,
  type PropertyCreateFieldTypeEnum,
  type PropertyCreateTypeEnum,
  ServerConfiguration,
  wrapHttpLibrary,
} from "@hubspot/api-client/lib/codegen/crm/properties/index.js";
import {
  type HttpReply,
  type JsonObject,
  type JsonValue,
  type Metric,
  type MetricField,
  type Provision,
  type ProvisionContext,
  type SinkPlan,
  sinkUnavailable,
} from "../../src/index.ts";
import { autoName, type CompanyMapping, companyEncode } from "./company-mapping.ts";
import { toName } from "./property.ts";
import { classify, isAboutObjects, objects, parseObject } from "./request.ts";
import { type Transport, throughSdk } from "./through-sdk.ts";

interface Account {
  readonly accessToken: string;
  readonly baseUrl: string;
}

/** One event definition that must be there, with its properties. */
export interface WantedDefinition {
  /** Without `pe{portalId}_`. */
  readonly name: string;
  readonly metric: Metric;
  readonly properties: readonly string[];
}

/** One company property that must be there. */
export interface WantedProperty {
  readonly name: string;
  readonly kind: Kind;
  readonly description: string;
  readonly unique?: boolean;
}

type Kind = "string" | "number" | "boolean" | "datetime";

/**
 * https://developers.hubspot.com/docs/api-reference/events-manage-event-definitions-v3/guide. The SDK has no client
 * for it. Its path goes on behind the version that the sinks use, in one place like theirs.
 */
const definitionsPath = "/events/v3/event-definitions";
/** https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide */
const [companies, companyGroup] = ["companies", "companyinformation"] as const;
/** The guide of the definitions: characters of a label. */
const longestLabel = 100;

const trueOrFalse = [
  { label: "Yes", value: "true", displayOrder: 0, hidden: false },
  { label: "No", value: "false", displayOrder: 1, hidden: false },
];

/** The company property that holds the tenant's id; the sink of companies is told its name, definitions match by it. */
const tenantProperty = "tenant_id";

// ── custom events ───────────────────────────────────────────────────────────────────────────────────────────

/** Definitions that are missing are made, with their properties; of those that are there, missing properties. */
export async function provisionEvents(
  account: Account,
  definitions: readonly WantedDefinition[],
  context: ProvisionContext,
): Promise<Provision[]> {
  // A definition that matches by it is refused where it is not there.
  const done = await provisionCompanies(account, [idOf(tenantProperty)], context);
  for (const definition of definitions)
    done.push(...(await provisionDefinition(account, definition, context)));
  return done;
}

async function provisionDefinition(
  account: Account,
  { name, metric, properties }: WantedDefinition,
  context: ProvisionContext,
): Promise<Provision[]> {
  const what = `event definition ${name}`;
  const wanted = properties.map((property) => eventProperty(metric, property));
  const path = `${definitionsPath}/${encodeURIComponent(name)}`;
  const found = await request(account, context, "GET", path);
  if (found === undefined) {
    const note = `on companies, by ${tenantProperty}, with ${properties.length} properties: ${properties.join(", ")}`;
    if (context.dryRun) return [{ what, state: "missing", note }];
    const made = await request(account, context, "POST", definitionsPath, {
      name,
      label: metric.title.slice(0, longestLabel),
      description: `${metric.description} ${metric.when}`,
      primaryObject: "COMPANY",
      // Browser, page and campaign: nothing that happens in a product's own services.
      includeDefaultProperties: false,
      propertyDefinitions: wanted,
      customMatchingId: {
        primaryObjectRule: { eventPropertyName: "tenant_id", targetObjectPropertyName: tenantProperty },
      },
    });
    return [{ what, state: made === "conflict" ? "present" : "created", note }];
  }
  if (found === "conflict") throw sinkUnavailable(`HubSpot cannot say whether it has the ${what}: try again`);
  const known = new Map(objects(found["properties"]).map((each) => [each["name"], each["type"]]));
  const done: Provision[] = [{ what, state: "present" }];
  for (const property of wanted) {
    const type = known.get(property.name);
    const its = `event property ${name}.${property.name}`;
    if (type === property.type) continue;
    if (type !== undefined) {
      done.push({ what: its, state: "differs", note: `${differs(type, property.type)}` });
    } else if (context.dryRun) done.push({ what: its, state: "missing" });
    else {
      const made = await request(account, context, "POST", `${path}/property`, property);
      done.push({ what: its, state: made === "conflict" ? "present" : "created" });
    }
  }
  return done;
}

/** Types of event properties are string, number, enumeration and datetime: the guide of the definitions. */
function eventProperty(metric: Metric, name: string) {
  const field = fieldOf(metric, name);
  const kind = kindOf(field);
  return {
    name,
    label: words(name),
    description: describe(field, name),
    type: kind === "boolean" ? "enumeration" : kind,
    ...(kind === "boolean" ? { options: trueOrFalse } : {}),
  };
}

// ── companies ───────────────────────────────────────────────────────────────────────────────────────────────

/** Company properties that are missing are made; those that are there are left as they are. */
export async function provisionCompanies(
  account: Account,
  wanted: readonly WantedProperty[],
  context: ProvisionContext,
): Promise<Provision[]> {
  const api = (transport: Transport) =>
    new CoreApi(
      createConfiguration({
        baseServer: new ServerConfiguration(account.baseUrl, {}),
        authMethods: { oauth2: { accessToken: account.accessToken } },
        httpApi: wrapHttpLibrary({ send: transport }),
      }),
    );
  const listed = understand(await throughSdk(context, (transport) => api(transport).getAll(companies)));
  if (listed === "conflict") {
    throw sinkUnavailable("HubSpot does not list the properties of companies: try again");
  }
  const known = new Map(objects(listed["results"]).map((each) => [each["name"], each]));
  const done: Provision[] = [];
  for (const property of wanted) {
    const what = `company property ${property.name}`;
    const found = known.get(property.name);
    const shape = companyTypes[property.kind];
    if (found !== undefined) {
      // Text holds a time as well: see the sink's `timeProperty`.
      const fits =
        found["type"] === shape.type || (property.kind === "datetime" && found["type"] === "string");
      if (!fits) done.push({ what, state: "differs", note: differs(found["type"], shape.type) });
      else if (property.unique === true && found["hasUniqueValue"] !== true) {
        const note =
          "its values must be unique, which can only be said when it is made: archive it or choose another";
        done.push({ what, state: "differs", note });
      } else done.push({ what, state: "present" });
      continue;
    }
    const note = `${shape.type}${property.unique === true ? ", unique values" : ""}: ${property.description}`;
    if (context.dryRun) {
      done.push({ what, state: "missing", note });
      continue;
    }
    const create: PropertyCreate = {
      name: property.name,
      label: words(property.name),
      description: property.description,
      groupName: companyGroup,
      // The SDK's types are enums of exactly these words; its code takes the words.
      type: shape.type as PropertyCreateTypeEnum,
      fieldType: shape.fieldType as PropertyCreateFieldTypeEnum,
      ...(property.kind === "boolean" ? { options: trueOrFalse } : {}),
      ...(property.unique === true ? { hasUniqueValue: true } : {}),
    };
    const made = understand(
      await throughSdk(context, (transport) => api(transport).create(companies, create)),
    );
    done.push({ what, state: made === "conflict" ? "present" : "created", note });
  }
  return done;
}

/** https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide: types and their field types. */
const companyTypes = {
  string: { type: "string", fieldType: "text" },
  number: { type: "number", fieldType: "number" },
  boolean: { type: "bool", fieldType: "booleancheckbox" },
  datetime: { type: "datetime", fieldType: "date" },
} as const;

/** The properties that a sink of companies writes: exactly those that its mapping makes of the plans. */
export function companyProperties(plans: readonly SinkPlan[], options: CompanyMapping): WantedProperty[] {
  const { idProperty, mapping, timeProperty } = options;
  const encode = companyEncode(options);
  const wanted = plans.flatMap(({ metric, event }): WantedProperty[] => {
    const item = encode(event);
    if (!("payload" in item)) return [];
    const mapped = mapping?.[metric.name];
    return Object.keys(item.payload.properties).map((name) => {
      if (name === timeProperty(metric.name)) {
        const description = `When the newest of ${metric.title} happened: an older one changes nothing.`;
        return { name, kind: "datetime", description };
      }
      const [, field] =
        Object.entries(metric.data ?? {}).find(([each]) =>
          mapped === undefined ? autoName(metric.name, each) === name : mapped[name] === each,
        ) ?? [];
      const said = field === undefined ? "" : `: ${describe(field, name)}`;
      return { name, kind: kindOf(field), description: `The newest of ${metric.title}${said}` };
    });
  });
  return [idOf(idProperty), ...wanted];
}

function idOf(name: string): WantedProperty {
  return { name, kind: "string", unique: true, description: "The tenant's id in the product." };
}

// ── both ────────────────────────────────────────────────────────────────────────────────────────────────────

/** What the transform adds to every event. */
const added: Readonly<Record<string, string>> = {
  tenant_id: "The tenant's id in the product; it finds the company.",
  tenant_name: "The tenant's name in the product.",
  environment: "Where the tenant lives, such as production.",
};

function fieldOf({ dimensions = {}, data = {} }: Metric, name: string): MetricField | undefined {
  return Object.entries({ ...dimensions, ...data }).find(([field]) => toName(field) === name)?.[1];
}

function kindOf(field: MetricField | undefined): Kind {
  if (field === undefined || field.type === "string") return "string";
  return field.type === "boolean" ? "boolean" : "number";
}

function describe(field: MetricField | undefined, name: string): string {
  if (field === undefined) return added[name] ?? "";
  return field.unit === undefined ? field.description : `${field.description} (${field.unit})`;
}

/** `new_findings_count` → `New findings count`. */
function words(name: string): string {
  const text = name.replaceAll("_", " ");
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`.slice(0, longestLabel);
}

function differs(is: JsonValue | undefined, must: string): string {
  const shown = typeof is === "string" ? is : "unknown";
  return `its type is ${shown} and must be ${must}, which cannot be changed: archive it, or map another name`;
}

/** Undefined: there is none. `conflict`: somebody was faster. */
type Answer = JsonObject | undefined | "conflict";

async function request(
  { accessToken, baseUrl }: Account,
  { http, signal }: ProvisionContext,
  method: "GET" | "POST",
  path: string,
  body?: object,
): Promise<Answer> {
  const headers = {
    authorization: `Bearer ${accessToken}`,
    accept: "application/json",
    ...(body === undefined ? {} : { "content-type": "application/json" }),
  };
  const message = { method, url: `${baseUrl}${path}`, headers };
  const reply = await http(body === undefined ? message : { ...message, body: JSON.stringify(body) }, signal);
  // Of what is to be made, 404 says that it could not be.
  if (method === "GET" && reply.status === 404 && isAboutObjects(reply)) return undefined;
  return understand(reply);
}

/** @throws {SinkUnavailable} for whatever keeps the definitions from being made. */
function understand(reply: HttpReply): Exclude<Answer, undefined> {
  if (reply.status === 409) return "conflict";
  const verdict = classify(reply);
  if (verdict !== undefined) {
    const action = verdict.status === "transient" ? "try again" : "look at what HubSpot has of these names";
    throw sinkUnavailable(`${verdict.reason}; nothing more was made: ${action}`);
  }
  const body = parseObject(reply.body);
  if (body === undefined)
    throw sinkUnavailable(`HubSpot answered ${reply.status} without JSON: check its host`);
  return body;
}
