// HubSpot's definitions of events and properties of companies, as it documents them: what `provision` meets.
import type { JsonObject, JsonValue } from "../../src/index.ts";
import type { TwinHandler } from "../../src/testing/index.ts";

export interface HubspotSchemaTwin {
  readonly handle: TwinHandler;
  /** By name. A test may add some, as people do in HubSpot. */
  readonly definitions: Map<string, JsonObject>;
  /** By name. */
  readonly companyProperties: Map<string, JsonObject>;
  /** Requests that changed something, as "METHOD path". */
  readonly changes: readonly string[];
}

/**
 * https://developers.hubspot.com/docs/api-reference/events-manage-event-definitions-v3/guide and
 * https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide
 */
const [definitionsPath, propertiesPath] = ["/events/v3/event-definitions", "/crm/v3/properties/companies"];
const lawfulName = /^[a-z][a-z0-9_]{0,49}$/;
const lawfulCompanyName = /^[a-z][a-z0-9_]{0,99}$/;
const eventTypes: readonly JsonValue[] = ["string", "number", "enumeration", "datetime"];
const companyFieldTypes: Readonly<Record<string, readonly JsonValue[]>> = {
  string: ["text", "textarea"],
  number: ["number"],
  bool: ["booleancheckbox"],
  datetime: ["date"],
};
const [mostProperties, longestLabel] = [50, 100];

/** @param portalId makes the fully qualified names of definitions. */
export function createHubspotSchemaTwin(portalId = "1234567"): HubspotSchemaTwin {
  const definitions = new Map<string, JsonObject>();
  const companyProperties = new Map<string, JsonObject>();
  const changes: string[] = [];

  const define = (body: JsonObject): Response => {
    const { name, label, primaryObject = "CONTACT", includeDefaultProperties, customMatchingId } = body;
    const properties = toObjects(body["propertyDefinitions"]);
    if (typeof name !== "string" || !lawfulName.test(name)) return refuse(400, "name is not lawful");
    if (typeof label !== "string" || label === "" || label.length > longestLabel) {
      return refuse(400, "label is required");
    }
    if (typeof includeDefaultProperties !== "boolean" || properties === undefined) {
      return refuse(400, "includeDefaultProperties and propertyDefinitions are required");
    }
    if (properties.length > mostProperties) return refuse(400, "too many properties");
    if (!properties.every(isEventProperty)) return refuse(400, "a property is not lawful");
    if (definitions.has(name)) return refuse(409, "an event of this name is there already");
    const rule = toObject(toObject(customMatchingId)?.["primaryObjectRule"]);
    if (rule !== undefined) {
      const own = properties.some((property) => property["name"] === rule["eventPropertyName"]);
      const target = companyProperties.get(String(rule["targetObjectPropertyName"]));
      if (!own || target?.["hasUniqueValue"] !== true)
        return refuse(400, "no such unique property to match by");
    }
    const definition = { ...body, primaryObject, properties, fullyQualifiedName: `pe${portalId}_${name}` };
    definitions.set(name, definition);
    return Response.json(definition, { status: 201 });
  };

  const addProperty = (name: string, property: JsonObject): Response => {
    const definition = definitions.get(name);
    if (definition === undefined) return refuse(404, "no such event");
    if (!isEventProperty(property)) return refuse(400, "the property is not lawful");
    const properties = toObjects(definition["properties"]) ?? [];
    if (properties.some((each) => each["name"] === property["name"]))
      return refuse(409, "it is there already");
    definitions.set(name, { ...definition, properties: [...properties, property] });
    return Response.json(property, { status: 201 });
  };

  const addCompanyProperty = (property: JsonObject): Response => {
    const { name, label, type, fieldType, groupName, options } = property;
    if (typeof name !== "string" || !lawfulCompanyName.test(name) || typeof label !== "string") {
      return refuse(400, "name and label are required");
    }
    if (typeof type !== "string" || companyFieldTypes[type]?.includes(fieldType ?? null) !== true) {
      return refuse(400, "type and fieldType do not fit");
    }
    if (groupName !== "companyinformation") return refuse(400, "no such group");
    if (type === "bool" && toObjects(options)?.length !== 2) return refuse(400, "a boolean has two options");
    if (companyProperties.has(name)) return refuse(409, "it is there already");
    companyProperties.set(name, property);
    return Response.json(property, { status: 201 });
  };

  const handle: TwinHandler = async (request) => {
    if (!/^Bearer .+$/.test(request.headers.get("authorization") ?? "")) return refuse(401, "no token");
    const { pathname } = new URL(request.url);
    const { method } = request;
    const name = decodeURIComponent(pathname.slice(definitionsPath.length + 1).split("/")[0] ?? "");
    if (method === "GET") {
      if (pathname === propertiesPath) return Response.json({ results: [...companyProperties.values()] });
      const definition = pathname.startsWith(`${definitionsPath}/`) ? definitions.get(name) : undefined;
      return definition === undefined ? refuse(404, "no such resource") : Response.json(definition);
    }
    const body = parse(await request.text());
    if (method !== "POST" || body === undefined) return refuse(400, "Invalid input JSON");
    const answer =
      pathname === propertiesPath
        ? addCompanyProperty(body)
        : pathname === definitionsPath
          ? define(body)
          : pathname === `${definitionsPath}/${name}/property`
            ? addProperty(name, body)
            : refuse(404, "no such resource");
    if (answer.ok) changes.push(`${method} ${pathname}`);
    return answer;
  };

  return { handle, definitions, companyProperties, changes };
}

function isEventProperty({ name, label, type, options }: JsonObject): boolean {
  if (typeof name !== "string" || !lawfulName.test(name) || typeof label !== "string" || label === "")
    return false;
  if (!eventTypes.includes(type ?? null)) return false;
  return type !== "enumeration" || (toObjects(options)?.length ?? 0) > 0;
}

function refuse(status: number, message: string): Response {
  const category = status === 404 ? "OBJECT_NOT_FOUND" : status === 409 ? "CONFLICT" : "VALIDATION_ERROR";
  return Response.json({ status: "error", category, message }, { status });
}

function parse(text: string): JsonObject | undefined {
  try {
    const value: JsonValue = JSON.parse(text);
    return toObject(value);
  } catch {
    return undefined;
  }
}

function toObject(value: JsonValue | undefined): JsonObject | undefined {
  return typeof value === "object" && value !== null && !isList(value) ? value : undefined;
}

function toObjects(value: JsonValue | undefined): readonly JsonObject[] | undefined {
  if (typeof value !== "object" || value === null || !isList(value)) return undefined;
  const found = value.map(toObject).filter((each) => each !== undefined);
  return found.length === value.length ? found : undefined;
}

function isList(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value);
}
