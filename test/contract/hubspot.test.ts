// What our sinks send is what HubSpot's own client sends, and what HubSpot's API descriptions allow.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Client } from "@hubspot/api-client";
import { Ajv } from "ajv";
import fc from "fast-check";
import { HttpResponse, http } from "msw";
import { setupServer } from "msw/node";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import {
  type HubspotOccurrence,
  hubspotCompaniesSink,
  hubspotEventsSink,
} from "../../adapters/hubspot/index.ts";
import { createHubspotTwin } from "../../adapters/hubspot/twin.ts";
import { createHttp, type Item, type MetricEvent, type Sink, systemClock } from "../../src/index.ts";
import { hostileEvent } from "../support/hostile.ts";
import { sentOf, valuesOf } from "../support/payload.ts";

const accessToken = "pat-eu1-of-the-contract";
const baseUrl = "https://hubspot.test";

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly authorization: string | null;
  readonly contentType: string | undefined;
  readonly accept: string | null;
  readonly body: unknown;
}

const twin = createHubspotTwin({ accessToken, companies: ["acme", "globex"] });
let seen: Seen[] = [];
/** Both clients are answered by the twin; a uuid may come twice here, since both send the same. */
const server = setupServer(
  http.post(`${baseUrl}/*`, async ({ request }) => {
    const { method, url, headers } = request;
    seen.push({
      method,
      url,
      authorization: headers.get("authorization"),
      contentType: headers.get("content-type")?.split(";")[0],
      accept: headers.get("accept"),
      body: await request.clone().json(),
    });
    if (url.endsWith("/send/batch")) return new HttpResponse(null, { status: 204 });
    return await twin.handle(request);
  }),
);

beforeAll(() => server.listen({ onUnhandledFrame: "error" }));
afterEach(() => {
  seen = [];
});
afterAll(() => server.close());

const client = () => new Client({ accessToken, basePath: baseUrl });

const batch: MetricEvent[] = ["acme", "globex"].map((tenantId, n) => ({
  id: `e${n}`,
  metricName: "upload_completed",
  tenantId,
  time: Date.UTC(2026, 5, 1, 12, 0, n, 5),
  metadata: { tenant_id: tenantId, event_id: `e${n}`, tenant_name: "Größe 😀", hubspot_company_id: "608051" },
  data: { event_time: "ignored", newFindings: n, ratio: 0.1, ok: false, huge: 1e21, quoted: '"\\\n' },
}));

async function sendOurs<P>(sink: Sink<P>): Promise<P[]> {
  const items: Item<P>[] = batch.map((event) => {
    const encoded = sink.encode(event);
    if (!("payload" in encoded)) throw new Error("not encoded");
    return { event, ...encoded };
  });
  const { send, close } = createHttp();
  const context = { signal: new AbortController().signal, attempt: 1, http: send, clock: systemClock };
  const outcome = await sink.send({ partition: "upload_completed", items }, context);
  close();
  expect([outcome].flat()).not.toHaveLength(0);
  for (const each of [outcome].flat()) expect(each).toEqual({ status: "delivered" });
  return items.map((item) => item.payload);
}

const eventsSink = hubspotEventsSink({
  accessToken,
  baseUrl: `${baseUrl}/`,
  portalId: 42,
  objectIdField: "hubspot_company_id",
});
const companiesSink = hubspotCompaniesSink({ accessToken, baseUrl });

test("custom events: our request is the one that HubSpot's client sends alone", async () => {
  const inputs = (await sendOurs(eventsSink)).map((payload) => valuesOf<HubspotOccurrence>(payload));
  // Their client wants a Date, and sends its text.
  const dated = inputs.map(({ objectId, occurredAt, ...input }) => {
    return { ...input, ...(objectId && { objectId }), occurredAt: new Date(occurredAt) };
  });
  await client().events.send.batchApi.send({ inputs: dated });
  const [ours, theirs, ...more] = seen;
  expect(more).toEqual([]);
  expect(ours).toEqual(theirs);
  expect(ours).toMatchObject({ method: "POST", url: `${baseUrl}/events/v3/send/batch` });
  expect(ours?.authorization).toBe(`Bearer ${accessToken}`);
});

test("companies: our look and our write are those that HubSpot's client sends alone", async () => {
  const inputs = await sendOurs(companiesSink);
  const { batchApi } = client().crm.companies;
  await batchApi.read({
    idProperty: "tenant_id",
    inputs: [{ id: "acme" }, { id: "globex" }],
    properties: ["tenant_id", "fanout_upload_completed_at"],
    propertiesWithHistory: [],
  });
  await batchApi.upsert({ inputs });
  const [ourLook, ourWrite, theirLook, theirWrite, ...more] = seen;
  expect(more).toEqual([]);
  expect(ourLook).toEqual(theirLook);
  expect(ourWrite).toEqual(theirWrite);
  expect(ourWrite).toMatchObject({ method: "POST", url: `${baseUrl}/crm/v3/objects/companies/batch/upsert` });
});

const folder = process.env["API_DESCRIPTIONS"];

describe("HubSpot's API descriptions", () => {
  /** Answers what is wrong with a value, or null. */
  const check = (file: string, schema: string, value: unknown) => compile(file, schema)(value);
  const compile = (file: string, schema: string) => {
    const description: object = JSON.parse(readFileSync(join(folder ?? "", file), "utf8"));
    // The descriptions are OpenAPI documents: their `example` and the like are no words of JSON Schema.
    const ajv = new Ajv({
      strict: false,
      formats: { "date-time": /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/, int32: true, uuid: true },
    });
    ajv.addSchema(description, "api");
    const validate = ajv.compile({ $ref: `api#/components/schemas/${schema}` });
    return (value: unknown) => (validate(value) ? null : validate.errors);
  };
  const events = "hubspot-events-send.2026-03.openapi.json";
  const companies = "hubspot-crm-companies.openapi.json";

  test.skipIf(folder === undefined)(
    "allow what we send (skipped unless API_DESCRIPTIONS names their folder, since they are not ours to ship)",
    async () => {
      await sendOurs(eventsSink);
      await sendOurs(companiesSink);
      const [sent, look, write] = seen.map((request) => request.body);
      expect(check(events, "BatchedBehavioralEventHttpCompletionRequest", sent)).toBeNull();
      expect(check(companies, "BatchReadInputSimplePublicObjectId", look)).toBeNull();
      expect(check(companies, "BatchInputSimplePublicObjectBatchInputUpsert", write)).toBeNull();
      // The check can fail.
      expect(
        check(events, "BatchedBehavioralEventHttpCompletionRequest", { inputs: [{ eventName: 1 }] }),
      ).not.toBeNull();
    },
  );

  test.skipIf(folder === undefined)(
    "allow what the sinks take, whatever a record holds (skipped unless API_DESCRIPTIONS names their folder, as above)",
    () => {
      const inputs = [
        [eventsSink, compile(events, "BatchedBehavioralEventHttpCompletionRequest")],
        [companiesSink, compile(companies, "BatchInputSimplePublicObjectBatchInputUpsert")],
      ] as const;
      fc.assert(
        fc.property(hostileEvent, (event) => {
          for (const [sink, problems] of inputs) {
            const encoded = sink.encode(event);
            if (!("payload" in encoded)) continue;
            expect(problems({ inputs: [sentOf(encoded)] })).toBeNull();
          }
        }),
        { numRuns: 500 },
      );
    },
  );

  test.skipIf(folder === undefined)(
    "describe what the twin answers (skipped unless API_DESCRIPTIONS names their folder, as above)",
    async () => {
      const account = createHubspotTwin({ companies: ["acme"], companyProperties: ["known"] });
      const ask = async (path: string, body: object) => {
        const headers = { authorization: "Bearer x" };
        const url = `${baseUrl}/crm/v3/objects/companies/batch/${path}`;
        const response = await account.handle(
          new Request(url, { method: "POST", headers, body: JSON.stringify(body) }),
        );
        return { status: response.status, body: await response.json() };
      };
      const input = (id: string, property: string) => ({
        id,
        idProperty: "tenant_id",
        properties: { [property]: "1" },
      });
      const question = { idProperty: "tenant_id", properties: ["tenant_id"], propertiesWithHistory: [] };
      for (const [path, body, status, schema] of [
        ["read", { ...question, inputs: [{ id: "acme" }] }, 200, "BatchResponseSimplePublicObject"],
        ["read", { ...question, inputs: [{ id: "no" }] }, 207, "BatchResponseSimplePublicObjectWithErrors"],
        ["upsert", { inputs: [input("acme", "known")] }, 200, "BatchResponseSimplePublicUpsertObject"],
        ["upsert", { inputs: [input("acme", "no")] }, 207, "BatchResponseSimplePublicUpsertObjectWithErrors"],
        ["upsert", { inputs: [] }, 400, "Error"],
      ] as const) {
        const answer = await ask(path, body);
        expect(answer.status).toBe(status);
        expect(check(companies, schema, answer.body)).toBeNull();
      }
    },
  );
});
