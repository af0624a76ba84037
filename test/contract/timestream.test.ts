// What the sink sends is what the vendor's SDK sends alone, and what the vendor's API description allows.
import { createHash, createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import {
  CreateTableCommand,
  TimestreamWriteClient,
  WriteRecordsCommand,
  type WriteRecordsCommandInput,
} from "@aws-sdk/client-timestream-write";
import { HttpResponse, http as mock } from "msw";
import { setupServer } from "msw/node";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { timestreamSink } from "../../adapters/timestream/index.ts";
import { createTimestreamTwin } from "../../adapters/timestream/twin.ts";
import { createHttp, type MetricEvent, systemClock } from "../../src/index.ts";

const endpoint = "https://timestream.eu-central-1.test";
const account = {
  region: "eu-central-1",
  credentials: { accessKeyId: "AKID", secretAccessKey: "secret", sessionToken: "session" },
};
const time = Date.now();

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Every request on any transport of this process that left for the endpoint, in order. */
const seen: Seen[] = [];
let twin = createTimestreamTwin();
const server = setupServer(
  mock.post(`${endpoint}/`, async ({ request }) => {
    const { method, url, headers } = request;
    seen.push({ method, url, headers: Object.fromEntries(headers), body: await request.clone().text() });
    const { status, headers: replied, body } = await twin.handle(request);
    return new HttpResponse(body, { status, headers: replied });
  }),
);
beforeAll(() => server.listen({ onUnhandledFrame: "error" }));
afterEach(() => {
  seen.length = 0;
  twin = createTimestreamTwin();
});
afterAll(() => server.close());

const events: readonly MetricEvent[] = [
  {
    id: "e-1",
    tenantId: "acme",
    metricName: "findings_upload_completed",
    time,
    metadata: { tenant_id: "acme", event_id: "e-1", region: "eu", seats: 12 },
    data: {
      event_time: time,
      rows: 5,
      ratio: 0.25,
      ok: true,
      source: 'Müller & Söhne "x"',
      empty: null,
      tags: ["a"],
    },
  },
  {
    id: "e-2",
    tenantId: "acme",
    metricName: "findings_upload_completed",
    time: time + 1,
    metadata: { tenant_id: "acme", event_id: "e-2", region: "eu", seats: 13 },
    data: { event_time: time + 1, rows: 5.5 },
  },
];

/** The same events as someone would write them by hand for the SDK: every record complete, nothing in common. */
const byHand: WriteRecordsCommandInput = {
  DatabaseName: "metrics",
  TableName: "acme",
  Records: [
    {
      Dimensions: [
        { Name: "event_id", Value: "e-1" },
        { Name: "region", Value: "eu" },
        { Name: "seats", Value: "12" },
      ],
      MeasureName: "findings_upload_completed",
      MeasureValueType: "MULTI",
      MeasureValues: [
        { Name: "rows", Value: "5", Type: "DOUBLE" },
        { Name: "ratio", Value: "0.25", Type: "DOUBLE" },
        { Name: "ok", Value: "true", Type: "BOOLEAN" },
        { Name: "source", Value: 'Müller & Söhne "x"', Type: "VARCHAR" },
        { Name: "tags", Value: '["a"]', Type: "VARCHAR" },
      ],
      Time: String(time),
      TimeUnit: "MILLISECONDS",
    },
    {
      Dimensions: [
        { Name: "event_id", Value: "e-2" },
        { Name: "region", Value: "eu" },
        { Name: "seats", Value: "13" },
      ],
      MeasureName: "findings_upload_completed",
      MeasureValueType: "MULTI",
      MeasureValues: [{ Name: "rows", Value: "5.5", Type: "DOUBLE" }],
      Time: String(time + 1),
      TimeUnit: "MILLISECONDS",
    },
  ],
};

/** Delivers the events with the sink over our HTTP client; returns what left, by operation. */
async function throughSink(): Promise<ReadonlyMap<string, Seen>> {
  const sink = timestreamSink({ database: "metrics", endpoint, ...account });
  const http = createHttp();
  const items = events.map((event) => {
    const encoded = sink.encode(event);
    if (!("payload" in encoded)) throw new Error("not encoded");
    return { event, ...encoded };
  });
  const context = { http: http.send, clock: systemClock, attempt: 1, signal: AbortSignal.timeout(5000) };
  expect(await sink.send({ partition: "acme", items }, context)).toEqual({ status: "delivered" });
  http.close();
  return byOperation();
}

/** Sends the same with the SDK alone, over its own transport. */
async function throughSdk(): Promise<ReadonlyMap<string, Seen>> {
  const client = new TimestreamWriteClient({ endpoint, ...account });
  await client.send(
    new CreateTableCommand({
      DatabaseName: "metrics",
      TableName: "acme",
      RetentionProperties: {
        MemoryStoreRetentionPeriodInHours: 336,
        MagneticStoreRetentionPeriodInDays: 365,
      },
      MagneticStoreWriteProperties: { EnableMagneticStoreWrites: true },
    }),
  );
  await client.send(new WriteRecordsCommand(byHand));
  client.destroy();
  return byOperation();
}

function byOperation(): ReadonlyMap<string, Seen> {
  return new Map(seen.splice(0).map((one) => [one.headers["x-amz-target"]?.split(".")[1] ?? "", one]));
}

describe("the sink's requests and those of the SDK alone", () => {
  test("mean the same to the vendor", async () => {
    const ours = await throughSink();
    const ourTables = twin.tables;
    twin = createTimestreamTwin();
    const theirs = await throughSdk();

    expect(expand(ours.get("WriteRecords"))).toEqual(expand(theirs.get("WriteRecords")));
    expect(bodyOf(ours.get("CreateTable"))).toEqual(bodyOf(theirs.get("CreateTable")));
    const content = (tables: typeof ourTables) =>
      [...tables].map(([key, { records }]) => [key, [...records]]);
    expect(JSON.stringify(content(ourTables))).toBe(JSON.stringify(content(twin.tables)));
  });

  test("go to the same place with the same headers, but for attempt, time and signature", async () => {
    const ours = await throughSink();
    twin = createTimestreamTwin();
    const theirs = await throughSdk();
    for (const operation of ["CreateTable", "WriteRecords"]) {
      expect(envelope(ours.get(operation))).toEqual(envelope(theirs.get(operation)));
    }
    expect(envelope(ours.get("WriteRecords"))).toMatchObject({
      method: "POST",
      url: `${endpoint}/`,
      headers: { "content-type": "application/x-amz-json-1.0", "x-amz-security-token": "session" },
    });
  });

  test("carry a signature that fits what is on the wire", async () => {
    const requests = [...(await throughSink()).values()];
    expect(requests.length).toBe(2);
    for (const request of requests) {
      expect(request.headers["authorization"]).toBe(sign(request));
      expect(Number(request.headers["content-length"])).toBe(Buffer.byteLength(request.body));
    }
  });
});

const folder = process.env["API_DESCRIPTIONS"];
describe("the vendor's API description", () => {
  test.skipIf(folder === undefined)(
    "allows every body that the sink sends (needs API_DESCRIPTIONS, a folder with timestream-write.service-2.json)",
    async () => {
      // The file is the vendor's, in its published format; `shapeFaults` looks at what it uses of it.
      const description = JSON.parse(
        readFileSync(`${folder}/timestream-write.service-2.json`, "utf8"),
      ) as Description;
      const ours = await throughSink();
      expect([...ours.keys()].sort()).toEqual(["CreateTable", "WriteRecords"]);
      for (const [operation, request] of ours) {
        const shape = description.operations[operation]?.input.shape ?? "";
        expect(shapeFaults(description, shape, bodyOf(request), operation)).toEqual([]);
      }
      // The validator can say no.
      expect(
        shapeFaults(description, "WriteRecordsRequest", { TableName: 5, Records: [], X: 1 }, ""),
      ).toEqual([
        ".DatabaseName is required",
        ".TableName is no string",
        ".Records is shorter than 1",
        ".X is unknown",
      ]);
      expect(shapeFaults(description, "Record", { TimeUnit: "HOURS", Time: "" }, "")).toEqual([
        ".TimeUnit is none of the enum",
        ".Time is shorter than 1",
      ]);
      expect(
        shapeFaults(description, "CreateTableRequest", { DatabaseName: "a b", TableName: "x" }, ""),
      ).toEqual([".DatabaseName does not match its pattern"]);
    },
  );
});

interface Description {
  readonly operations: Readonly<Record<string, { readonly input: { readonly shape: string } }>>;
  readonly shapes: Readonly<Record<string, Shape>>;
}
interface Shape {
  readonly type: "structure" | "list" | "string" | "integer" | "long" | "boolean";
  readonly required?: readonly string[];
  readonly members?: Readonly<Record<string, { readonly shape: string }>>;
  readonly member?: { readonly shape: string };
  readonly min?: number;
  readonly max?: number;
  readonly pattern?: string;
  readonly enum?: readonly string[];
}

function shapeFaults(
  { shapes, operations }: Description,
  name: string,
  value: unknown,
  at: string,
): string[] {
  const shape = shapes[name];
  if (shape === undefined) return [`${at}: there is no shape ${name}`];
  const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = shape;
  const below = (inner: string, part: unknown, key: string) =>
    shapeFaults({ shapes, operations }, inner, part, `${at}${key}`);
  const within = (size: number, less: string, more: string) => [
    ...(size < min ? [`${at} is ${less} than ${min}`] : []),
    ...(size > max ? [`${at} is ${more} than ${max}`] : []),
  ];
  switch (shape.type) {
    case "structure": {
      if (typeof value !== "object" || value === null || Array.isArray(value)) return [`${at} is no object`];
      const missing = (shape.required ?? []).filter((key) => !(key in value));
      return [
        ...missing.map((key) => `${at}.${key} is required`),
        ...Object.entries(value).flatMap(([key, part]) => {
          const member = shape.members?.[key];
          return member === undefined ? [`${at}.${key} is unknown`] : below(member.shape, part, `.${key}`);
        }),
      ];
    }
    case "list":
      if (!Array.isArray(value)) return [`${at} is no list`];
      return [
        ...within(value.length, "shorter", "longer"),
        ...value.flatMap((part, i) => below(shape.member?.shape ?? "", part, `[${i}]`)),
      ];
    case "string":
      if (typeof value !== "string") return [`${at} is no string`];
      return [
        ...within(value.length, "shorter", "longer"),
        ...(shape.enum?.includes(value) === false ? [`${at} is none of the enum`] : []),
        ...(shape.pattern !== undefined && !new RegExp(`^(?:${shape.pattern})$`).test(value)
          ? [`${at} does not match its pattern`]
          : []),
      ];
    case "boolean":
      return typeof value === "boolean" ? [] : [`${at} is no boolean`];
    default:
      return Number.isInteger(value) ? within(Number(value), "less", "more") : [`${at} is no integer`];
  }
}

function bodyOf(request: Seen | undefined): unknown {
  return JSON.parse(request?.body ?? "null");
}

/** A WriteRecords body with its common attributes merged into every record, dimensions by name. */
function expand(request: Seen | undefined): unknown {
  // The SDK's, and ours, which the API description holds.
  const { CommonAttributes = {}, Records = [], ...rest } = bodyOf(request) as WriteRecordsCommandInput;
  return {
    ...rest,
    Records: Records.map((record) => {
      const dimensions = [...(CommonAttributes.Dimensions ?? []), ...(record.Dimensions ?? [])];
      return {
        ...CommonAttributes,
        ...record,
        Dimensions: dimensions.toSorted((a, b) => ((a.Name ?? "") < (b.Name ?? "") ? -1 : 1)),
      };
    }),
  };
}

/** Headers that differ from one request to the next, or follow from the body. */
const volatile = [
  "amz-sdk-invocation-id",
  "amz-sdk-request",
  "authorization",
  "content-length",
  "user-agent",
  "x-amz-content-sha256",
  "x-amz-date",
  "x-amz-user-agent",
  // Of the connection, not of the request: each transport says how it keeps its sockets.
  "connection",
  // Our client wants replies as they are, which the signature does not cover.
  "accept-encoding",
];

function envelope(request: Seen | undefined): unknown {
  const headers = Object.entries(request?.headers ?? {}).filter(([name]) => !volatile.includes(name));
  const [scheme, scope, signed] = request?.headers["authorization"]?.split(/,? /) ?? [];
  return {
    method: request?.method,
    url: request?.url,
    headers: Object.fromEntries(headers),
    scheme,
    scope,
    signed: signed?.split(/[=;]/).filter((name) => !volatile.includes(name)),
  };
}

/** Signature Version 4, from https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html */
function sign({ method, url, headers, body }: Seen): string {
  const date = headers["x-amz-date"] ?? "";
  const names = /SignedHeaders=([^,]+)/.exec(headers["authorization"] ?? "")?.[1] ?? "";
  const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
  const hmac = (key: string | Buffer, text: string) => createHmac("sha256", key).update(text).digest();
  const signed = names.split(";").map((name) => `${name}:${headers[name]?.trim()}\n`);
  const canonical = [method, new URL(url).pathname, "", signed.join(""), names, sha256(body)].join("\n");
  const scope = `${date.slice(0, 8)}/${account.region}/timestream/aws4_request`;
  const key = scope.split("/").reduce<string | Buffer>(hmac, `AWS4${account.credentials.secretAccessKey}`);
  const signature = hmac(key, ["AWS4-HMAC-SHA256", date, scope, sha256(canonical)].join("\n")).toString(
    "hex",
  );
  return `AWS4-HMAC-SHA256 Credential=${account.credentials.accessKeyId}/${scope}, SignedHeaders=${names}, Signature=${signature}`;
}
