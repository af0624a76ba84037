import { describe, expect, test } from "vitest";
import type { HubspotOccurrence } from "../../adapters/hubspot/index.ts";
import { createHubspotSchemaTwin } from "../../adapters/hubspot/schema-twin.ts";
import makeConfig from "../../config/fanout.config.ts";
import metrics from "../../config/metrics/index.ts";
import { type HttpClient, type Provision, resolveConfig, type Sink } from "../../src/index.ts";
import { plansFor } from "../../src/routing/sink-check.ts";
import { twinHttp } from "../../src/testing/index.ts";
import { sentOf } from "../support/payload.ts";

const env = {
  SINKS: "hubspot-events,hubspot-companies",
  HUBSPOT_ACCESS_TOKEN: "token",
  HUBSPOT_PORTAL_ID: "1234567",
};
const { sinks } = await resolveConfig(makeConfig, { env });

async function provision(name: string, http: HttpClient, dryRun = false): Promise<readonly Provision[]> {
  const sink: Sink<unknown> | undefined = sinks.find((each) => each.name === name);
  const signal = AbortSignal.timeout(5_000);
  return (await sink?.provision?.(plansFor(name, metrics), { http, signal, dryRun })) ?? [];
}

const statesOf = (done: readonly Provision[]) => [...new Set(done.map(({ state }) => state))];

describe.each(["hubspot-events", "hubspot-companies"])("%s", (name) => {
  test("a dry run shows what a real one makes, and changes nothing", async () => {
    const twin = createHubspotSchemaTwin();
    const http = twinHttp(twin.handle);
    const shown = await provision(name, http, true);
    expect(statesOf(shown)).toEqual(["missing"]);
    expect(twin.changes).toEqual([]);
    const made = await provision(name, http);
    expect(made.map(({ what }) => what)).toEqual(shown.map(({ what }) => what));
    expect(statesOf(made)).toEqual(["created"]);
  });

  test("doing it again finds everything there and changes nothing", async () => {
    const twin = createHubspotSchemaTwin();
    const http = twinHttp(twin.handle);
    await provision(name, http);
    const before = twin.changes.length;
    expect(statesOf(await provision(name, http))).toEqual(["present"]);
    expect(twin.changes).toHaveLength(before);
  });

  test("a wrong token, a missing scope and a broken server are told, and nothing goes on", async () => {
    for (const [status, words] of [
      [401, "access token"],
      [403, "scope"],
      [404, "API has ended"],
      [503, "try again"],
    ] as const) {
      let asked = 0;
      const http = twinHttp(() => {
        asked++;
        return Response.json({ category: "SOMETHING" }, { status });
      });
      await expect(provision(name, http)).rejects.toThrow(words);
      expect(asked).toBe(1);
    }
  });

  test("the token goes to HubSpot's header and into no message", async () => {
    const http: HttpClient = (request) => {
      expect(request.headers["Authorization"] ?? request.headers["authorization"]).toBe("Bearer token");
      expect(request.url).toMatch(/^https:\/\/api\.hubapi\.com\//);
      return Promise.resolve({ status: 400, headers: {}, body: '{"category":"VALIDATION_ERROR"}' });
    };
    const failure = await provision(name, http).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "SINK_UNAVAILABLE" });
    expect(String(failure)).not.toContain("Bearer");
  });
});

describe("event definitions", () => {
  test("are exactly what the sink sends, without what is hidden from it", async () => {
    const twin = createHubspotSchemaTwin();
    await provision("hubspot-events", twinHttp(twin.handle));
    const sink = sinks.find(({ name }) => name === "hubspot-events");
    for (const { event } of plansFor("hubspot-events", metrics)) {
      const occurrence = sentOf<HubspotOccurrence>(sink?.encode(event) ?? { filtered: "no sink" });
      const definition = [...twin.definitions.values()].find(
        ({ fullyQualifiedName }) => fullyQualifiedName === occurrence.eventName,
      );
      // What was defined has a list of objects there.
      const properties = definition?.["properties"] as readonly { name: string }[] | undefined;
      expect(properties?.map(({ name }) => name)).toEqual(Object.keys(occurrence.properties));
      expect(JSON.stringify(definition)).not.toContain("user_id");
    }
    expect(twin.definitions.size).toBe(metrics.length);
  });

  test("find their company by the tenant's id, and say in words what they mean", async () => {
    const twin = createHubspotSchemaTwin();
    await provision("hubspot-events", twinHttp(twin.handle));
    expect(twin.companyProperties.get("tenant_id")).toMatchObject({ hasUniqueValue: true, type: "string" });
    expect(twin.definitions.get("findings_uploaded")).toMatchObject({
      label: "Findings uploaded",
      primaryObject: "COMPANY",
      includeDefaultProperties: false,
      customMatchingId: {
        primaryObjectRule: { eventPropertyName: "tenant_id", targetObjectPropertyName: "tenant_id" },
      },
      properties: expect.arrayContaining([
        expect.objectContaining({
          name: "new_findings_count",
          type: "number",
          label: "New findings count",
          description: "Findings that were not known before. (findings)",
        }),
        expect.objectContaining({ name: "is_baseline", type: "enumeration" }),
      ]),
    });
  });

  test("that lack a property get it; a property of another type is told and left alone", async () => {
    const twin = createHubspotSchemaTwin();
    const http = twinHttp(twin.handle);
    await provision("hubspot-events", http);
    const defined = twin.definitions.get("user_invited") ?? {};
    // What was defined has a list of objects there.
    const properties = defined["properties"] as readonly { name: string }[];
    twin.definitions.set("user_invited", {
      ...defined,
      properties: properties
        .filter(({ name }) => name !== "seats_left")
        .map((each) => (each.name === "role" ? { ...each, type: "number" } : { ...each })),
    });
    const done = (await provision("hubspot-events", http)).filter(({ state }) => state !== "present");
    expect(done).toEqual([
      {
        what: "event property user_invited.role",
        state: "differs",
        note: "its type is number and must be string, which cannot be changed: archive it, or map another name",
      },
      { what: "event property user_invited.seats_left", state: "created" },
    ]);
  });
});

describe("company properties", () => {
  test("are exactly what the sink writes, with types of their fields", async () => {
    const twin = createHubspotSchemaTwin();
    await provision("hubspot-companies", twinHttp(twin.handle));
    expect(
      Object.fromEntries([...twin.companyProperties].map(([name, { type }]) => [name, type])),
    ).toMatchObject({
      tenant_id: "string",
      last_upload_new_findings: "number",
      last_scan_succeeded: "bool",
      fanout_plan_changed_at: "datetime",
      plan_monthly_price_usd: "number",
    });
  });

  test("an id whose values need not be unique is told: the sink could never find a company by it", async () => {
    const twin = createHubspotSchemaTwin();
    twin.companyProperties.set("tenant_id", { name: "tenant_id", type: "string", hasUniqueValue: false });
    const done = await provision("hubspot-companies", twinHttp(twin.handle));
    expect(done.filter(({ state }) => state === "differs").map(({ what }) => what)).toEqual([
      "company property tenant_id",
    ]);
  });

  test("a time may be kept as text", async () => {
    const twin = createHubspotSchemaTwin();
    twin.companyProperties.set("fanout_plan_changed_at", { name: "fanout_plan_changed_at", type: "string" });
    const done = await provision("hubspot-companies", twinHttp(twin.handle));
    expect(done.find(({ what }) => what.endsWith("fanout_plan_changed_at"))?.state).toBe("present");
  });
});
