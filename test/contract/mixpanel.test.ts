// What we send is what the vendor's SDK would have sent, and what the vendor's own description of the API allows.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Ajv } from "ajv";
import fc from "fast-check";
import mixpanel from "mixpanel";
import { HttpResponse, http as intercept } from "msw";
import { setupServer } from "msw/node";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { parse } from "yaml";
import { type MixpanelEvent, mixpanelSink } from "../../adapters/mixpanel/index.ts";
import { createHttp, type Item, type MetricEvent, systemClock } from "../../src/index.ts";
import { requestText } from "../support/bodies.ts";
import { hostileEvent } from "../support/hostile.ts";
import { sentOf, valuesOf } from "../support/payload.ts";

const serviceAccount = { username: "robot.1", secret: "s3cret", projectId: "42" };

interface Seen {
  readonly url: URL;
  readonly headers: Headers;
  readonly body: string;
}
const seen: Seen[] = [];
let answer = () => new HttpResponse("1");
const server = setupServer(
  intercept.post("https://api.mixpanel.com/import", async ({ request }) => {
    seen.push({ url: new URL(request.url), headers: request.headers, body: await requestText(request) });
    return answer();
  }),
);
beforeAll(() => {
  server.listen({ onUnhandledFrame: "error" });
  // With a proxy in the environment the SDK alone does not even start.
  for (const name of ["HTTPS_PROXY", "HTTP_PROXY"]) vi.stubEnv(name, "");
});
afterEach(() => seen.splice(0));
afterAll(() => {
  server.close();
  vi.unstubAllEnvs();
});

/** More than two of the SDK's chunks of 50, of every shape that the mapping knows. */
const events: readonly MetricEvent[] = Array.from({ length: 120 }, (_, n) => {
  const [tenantId, id, time] = [`tenant-${n % 7}`, `event-${n}`, Date.UTC(2026, 0, 1) + n];
  const shapes = [{ user_id: `user-${n}` }, { user_id: "null" }, {}];
  return {
    id,
    metricName: n % 2 === 0 ? "findings_upload_completed" : "scan_started",
    tenantId,
    time,
    metadata: { tenant_id: tenantId, event_id: id, ...shapes[n % 3] },
    data: {
      event_time: new Date(time).toISOString(),
      count: n,
      ratio: n / 3,
      ok: n % 2 === 0,
      none: null,
      text: 'ü€😀 "quoted" +/= \\ \n',
      long: "x".repeat(100 + n * 3),
      tags: ["a", 1, null],
      by: { severity: { high: 1 } },
      token: "not ours",
      time: "noon",
    },
  };
});

function batchOf(sink: ReturnType<typeof mixpanelSink>): Item<string>[] {
  return events.map((event) => {
    const encoded = sink.encode(event);
    if (!("payload" in encoded)) throw new Error(`not taken: ${JSON.stringify(encoded)}`);
    return { event, payload: encoded.payload, bytes: encoded.bytes };
  });
}

async function ours(): Promise<Seen> {
  answer = () => HttpResponse.json({ code: 200, num_records_imported: events.length, status: "OK" });
  const sink = mixpanelSink({ serviceAccount });
  const http = createHttp();
  const context = { http: http.send, signal: new AbortController().signal, attempt: 1, clock: systemClock };
  const outcome = await sink.send({ partition: "", items: batchOf(sink) }, context);
  http.close();
  expect(outcome).toEqual({ status: "delivered" });
  const [request, ...more] = seen.splice(0);
  expect(more).toEqual([]);
  if (request === undefined) throw new Error("nothing was sent");
  return request;
}

test("one request of ours says, event by event, what the SDK's own requests say", async () => {
  const request = await ours();

  answer = () => new HttpResponse("1");
  const { username, secret, projectId } = serviceAccount;
  const credentials = new mixpanel.ServiceAccountCredentials(username, secret, projectId);
  const sdk = mixpanel.init("project-token", { credentials });
  const given = batchOf(mixpanelSink({ serviceAccount })).map(({ payload }) =>
    valuesOf<MixpanelEvent>(payload),
  );
  await new Promise<void>((resolve, reject) => {
    sdk.import_batch([...given], (errors) => (errors ? reject(errors[0]) : resolve()));
  });

  expect(seen).toHaveLength(3);
  const theirs = seen
    .toSorted((left, right) => firstTime(left) - firstTime(right))
    .flatMap((chunk) => decode(chunk));
  // The token names the project; a service account does it with project_id, and our events go without.
  for (const { properties } of theirs) {
    expect(properties).toMatchObject({ token: "project-token" });
    Reflect.deleteProperty(properties, "token");
  }
  expect(JSON.parse(request.body)).toEqual(theirs);
  for (const chunk of seen) {
    expect(request.headers.get("authorization")).toBe(chunk.headers.get("authorization"));
    expect(request.url.searchParams.get("project_id")).toBe(chunk.url.searchParams.get("project_id"));
    // Theirs asks not to be located in the query, ours in each event.
    expect(chunk.url.searchParams.get("ip")).toBe("0");
  }
  expect(request.url.searchParams.get("strict")).toBe("1");
  expect(request.headers.get("content-type")).toBe("application/json");
});

/** The SDK's body: a form with one field, JSON in base64, its `+` not escaped. */
function decode({ body }: Seen): MixpanelEvent[] {
  expect(body.startsWith("data=")).toBe(true);
  return JSON.parse(Buffer.from(body.slice("data=".length), "base64").toString("utf8"));
}

function firstTime(chunk: Seen): number {
  return Number(decode(chunk)[0]?.properties["time"]);
}

/** A folder with `mixpanel-ingestion.2023-09.openapi.yaml`, Mixpanel's OpenAPI description, which is not ours to copy. */
const { API_DESCRIPTIONS: descriptions } = process.env;

/** Mixpanel's description of `/import`, and what its schema says of a body. */
async function description() {
  const file = join(descriptions ?? "", "mixpanel-ingestion.2023-09.openapi.yaml");
  const { post } = parse(await readFile(file, "utf8")).paths["/import"];
  // `title` and `description` of OpenAPI 3.0 are JSON Schema's own; nothing else than its keywords is used here.
  const validate = new Ajv({ strict: false, allErrors: true }).compile(
    post.requestBody.content["application/json"].schema,
  );
  return { post, validate };
}

test.skipIf(descriptions === undefined)(
  "whatever a record holds, what the sink takes is valid by Mixpanel's OpenAPI description (skipped without API_DESCRIPTIONS)",
  async () => {
    const { validate } = await description();
    const sink = mixpanelSink({ serviceAccount });
    fc.assert(
      fc.property(hostileEvent, (event) => {
        const encoded = sink.encode(event);
        if (!("payload" in encoded)) return;
        expect(validate([sentOf(encoded)]), JSON.stringify(validate.errors)).toBe(true);
      }),
      { numRuns: 500 },
    );
  },
);

test.skipIf(descriptions === undefined)(
  "the body is valid by Mixpanel's OpenAPI description (skipped unless API_DESCRIPTIONS names its folder)",
  async () => {
    const { post, validate } = await description();
    const { url, body } = await ours();
    expect(validate(JSON.parse(body)), JSON.stringify(validate.errors)).toBe(true);
    // The validator is not asleep: what the description forbids, it finds.
    const { $insert_id: _, ...rest } = (JSON.parse(body) as MixpanelEvent[])[0]?.properties ?? {};
    for (const wrong of [[], [{ event: "e", properties: rest }], [{ event: 1, properties: {} }], {}]) {
      expect(validate(wrong)).toBe(false);
    }
    for (const { in: place, name, required } of post.parameters) {
      if (place === "query" && required === true) expect(url.searchParams.has(name), name).toBe(true);
    }
  },
);
