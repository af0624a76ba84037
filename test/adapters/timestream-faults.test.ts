// What Timestream answers, or does not, and what becomes of the records: through the sink and the core.
import { describe, expect, test } from "vitest";
import { type TimestreamOptions, timestreamSink } from "../../adapters/timestream/index.ts";
import { createTimestreamTwin, type TimestreamTwinOptions } from "../../adapters/timestream/twin.ts";
import { drawFaults, type Fault, type NextFault } from "../../src/testing/index.ts";
import { vendorWorld } from "../support/vendor-world.ts";
import { eventRecord, idsOf } from "../support/world.ts";

const account = {
  database: "metrics",
  region: "eu-central-1",
  credentials: { accessKeyId: "AKID", secretAccessKey: "s3cret-key" },
};

function open(options: Partial<TimestreamOptions> = {}, twinOptions: TimestreamTwinOptions = {}) {
  const twins: ReturnType<typeof createTimestreamTwin>[] = [];
  const world = vendorWorld((clock) => {
    const twin = createTimestreamTwin({ clock, ...twinOptions });
    twins.push(twin);
    return {
      sink: timestreamSink({ ...account, endpoint: "http://timestream.test", ...options }),
      handle: twin.handle,
    };
  });
  const [twin] = twins;
  if (twin === undefined) throw new Error("a world makes its vendor at once");
  const writesAt = () => world.requests.filter(({ request }) => isWrite(request)).map(({ at }) => at);
  return Object.assign(world, { twin, writesAt });
}

const isWrite = (request: Request) => request.headers.get("x-amz-target")?.endsWith(".WriteRecords") === true;
const isCreate = (request: Request) => request.headers.get("x-amz-target")?.endsWith(".CreateTable") === true;

/** Events `e0 …` of one tenant. */
const events = (count: number, tenant = "acme") =>
  Array.from({ length: count }, (_, index) => eventRecord(index, tenant));

const error = (type: string, rest: object = {}) => JSON.stringify({ __type: type, message: "m", ...rest });
const awsError = (status: number, type: string, headers: Record<string, string> = {}): Fault => ({
  kind: "status",
  status,
  headers,
  body: error(`com.amazonaws.timestream.v20181101#${type}`),
});

/** The fault for the first writes, and none for any other request. */
const firstWrites = (count: number, fault: Fault): NextFault => {
  let writes = 0;
  return (request) => (isWrite(request) && ++writes <= count ? fault : undefined);
};

/** Stored each once, whatever was sent how often. */
function expectEachOnce(stored: ReadonlyMap<string, number>, ids: readonly string[]): void {
  expect(Object.fromEntries(stored)).toEqual(Object.fromEntries(ids.map((id) => [id, 1])));
}

/** Faults that another try outlives. */
const passing: readonly (readonly [string, Fault])[] = [
  ["a reset before the request arrives", { kind: "reset" }],
  ["a reset after the records are stored", { kind: "reset-after-store" }],
  ["a reset in the middle of the reply", { kind: "reset-in-reply" }],
  ["a reply cut in half", { kind: "truncated" }],
  ["200 with a proxy's page", { kind: "garbled", body: "<html>Welcome</html>" }],
  ["200 that confirms fewer than were sent", { kind: "garbled", body: '{"RecordsIngested":{"Total":2}}' }],
  ["200 that confirms nothing", { kind: "garbled", body: "{}" }],
  ["no reply, nothing stored", { kind: "hang" }],
  ["no reply, all stored", { kind: "hang", stored: true }],
  ["a reply that comes after the time is over", { kind: "delay", ms: 40_000 }],
  ["a body that trickles in beyond the time", { kind: "slow-body", ms: 20_000 }],
  ["400 without any details", { kind: "status", status: 400 }],
  ["400 with JSON that names no error", { kind: "status", status: 400, body: "{}" }],
  ["419 with half a body", { kind: "status", status: 419, body: '{"RejectedRecords":[{"Rec' }],
  ["429 of something in front", { kind: "status", status: 429 }],
  ["HTML with 502", { kind: "status", status: 502, body: "<html>" }],
  ["ThrottlingException", awsError(400, "ThrottlingException")],
  ["InternalServerException", awsError(500, "InternalServerException")],
  ["InvalidEndpointException", awsError(421, "InvalidEndpointException")],
  ["ExpiredTokenException", awsError(400, "ExpiredTokenException")],
  ["an unknown error with 500", awsError(500, "SomethingNewException")],
  [
    "ResourceNotFoundException while another worker makes the table",
    awsError(404, "ResourceNotFoundException"),
  ],
];

const denied = "check permissions, and whether the account has Timestream";
/** Faults that hold for every record, and what the sink says of them. */
const facts: readonly (readonly [string, Fault, string])[] = [
  ["401", { kind: "status", status: 401, body: "{}" }, "answered 401"],
  ["403", { kind: "status", status: 403, body: "<html>" }, "answered 403"],
  ["AccessDeniedException", awsError(400, "AccessDeniedException"), denied],
  ["AccessDeniedException with 403", awsError(403, "AccessDeniedException"), denied],
  ["an unknown key", awsError(400, "UnrecognizedClientException"), "UnrecognizedClientException"],
  ["an unknown error with 400", awsError(400, "SomethingNewException"), "SomethingNewException"],
  ["another host's 404", { kind: "status", status: 404, body: "<html>" }, "answered 404"],
  [
    "a redirect",
    { kind: "status", status: 307, headers: { location: "http://elsewhere.test" } },
    "answered 307",
  ],
];

describe("the wait between two attempts", () => {
  const at = new Date(Date.UTC(2026, 0, 1) + 20_000).toUTCString();
  test.each<[string, Fault, number, number]>([
    [
      "Retry-After in seconds",
      { kind: "status", status: 503, headers: { "retry-after": "20" } },
      20_000,
      20_500,
    ],
    [
      "Retry-After as a date",
      { kind: "status", status: 503, headers: { "retry-after": at } },
      19_000,
      20_500,
    ],
    [
      "a garbled Retry-After is none",
      { kind: "status", status: 503, headers: { "retry-after": "soon" } },
      1,
      1000,
    ],
    ["no Retry-After", { kind: "status", status: 503 }, 1, 1000],
    ["a throttle with a wait", awsError(400, "ThrottlingException", { "retry-after": "20" }), 20_000, 20_500],
    ["a throttle without", awsError(400, "ThrottlingException"), 1, 1000],
  ])("%s", async (_, fault, least, most) => {
    const world = open();
    world.put(events(5));
    world.next = firstWrites(1, fault);
    expect((await world.deliver()).report).toMatchObject({ delivered: 5, pending: 0 });
    const [first = 0, second = 0] = world.writesAt();
    expect(second - first).toBeGreaterThanOrEqual(least);
    expect(second - first).toBeLessThanOrEqual(most);
    expectEachOnce(world.twin.stored, idsOf(5));
  });

  test("an hour is not waited for: the records are pending after one request", async () => {
    const world = open();
    world.put(events(5));
    world.next = () => ({ kind: "status", status: 503, headers: { "retry-after": "3600" } });
    const { report, tookMs } = await world.deliver();
    expect(report).toMatchObject({ delivered: 0, pending: 5, requests: 1 });
    expect(tookMs).toBeLessThan(1000);
  });
});

describe("a fault that passes costs no record its life and stores none twice", () => {
  test.each(passing)("%s", async (_, fault) => {
    const world = open();
    world.put(events(5));
    world.next = firstWrites(1, fault);
    const { report, letters } = await world.deliver();
    expect(letters).toEqual([]);
    expect(report).toMatchObject({ delivered: 5, pending: 0 });
    expectEachOnce(world.twin.stored, idsOf(5));
  });

  test("a slow body within the time is a reply like any other", async () => {
    const world = open();
    world.put(events(5));
    world.next = firstWrites(9, { kind: "slow-body", ms: 1000 });
    const { report } = await world.deliver();
    expect(report).toMatchObject({ delivered: 5, requests: 1, retries: 0 });
  });

  test("a resend after a lost reply is the same request but for its signature", async () => {
    const world = open();
    world.put(events(5));
    let writes = 0;
    // The first one finds no table.
    world.next = (request) =>
      isWrite(request) && ++writes === 2 ? { kind: "reset-after-store" } : undefined;
    await world.deliver();
    const sent = world.requests.filter(({ request }) => isWrite(request));
    const bodies = await Promise.all(sent.map(({ request }) => request.text()));
    expect(bodies).toHaveLength(3);
    expect(new Set(bodies).size).toBe(1);
    expectEachOnce(world.twin.stored, idsOf(5));
  });
});

describe("a fact about the account stops the sink: records are pending, none is a dead letter", () => {
  test.each(facts)("%s, at start and in mid-run", async (_, fault, reason) => {
    const start = open();
    start.put(events(250));
    start.next = () => fault;
    const refused = await start.deliver();
    expect(refused).toMatchObject({ report: { delivered: 0, pending: 250 }, letters: [] });
    expect(refused.reason).toContain(reason);

    const midRun = open({ concurrency: 1 });
    midRun.put(events(250));
    let writes = 0;
    // The first write finds no table, the second stores.
    midRun.next = (request) => (isWrite(request) && ++writes > 2 ? fault : undefined);
    const stopped = await midRun.deliver();
    expect(stopped).toMatchObject({ report: { delivered: 100, pending: 150 }, letters: [] });
    expect(stopped.reason).toContain(reason);
    midRun.next = () => undefined;
    expect((await midRun.deliver()).report).toMatchObject({ delivered: 150, pending: 0 });
    expectEachOnce(midRun.twin.stored, idsOf(250));
  });

  test("a customer who came after June 2025 is told so, and no discovery goes on for ever", async () => {
    const world = vendorWorld((clock) => ({
      sink: timestreamSink(account),
      handle: createTimestreamTwin({ clock }).handle,
    }));
    world.put(events(5));
    world.next = () => awsError(400, "AccessDeniedException");
    const { report, reason } = await world.deliver();
    expect(report).toMatchObject({ pending: 5, requests: 1 });
    expect(reason).toContain("it takes no new customers since 20 June 2025");
  });

  test("what an error calls itself is shown only when it looks like an error's name", async () => {
    const world = open();
    world.put(events(1));
    world.next = () => ({ kind: "status", status: 400, body: error("token s3cret-key of acme") });
    const { reason } = await world.deliver();
    expect(reason).toBe(
      "Timestream answered 400 (an error without a name): check permissions and the endpoint",
    );
  });
});

describe("an error's name counts wherever the reply has it", () => {
  type Named = (name: string) => { readonly headers?: Record<string, string>; readonly body: string };
  const long = "com.amazonaws.timestream.v20181101#";
  const suffix = ":http://internal.amazon.com/coral/com.amazon.coral.service/";
  test.each<[string, Named]>([
    ["__type", (name) => ({ body: error(name) })],
    ["__type with a namespace", (name) => ({ body: error(`${long}${name}`) })],
    ["__type with a URL behind it", (name) => ({ body: error(`${name}${suffix}`) })],
    ["code instead of __type", (name) => ({ body: JSON.stringify({ code: name }) })],
    ["the header and an empty object", (name) => ({ headers: { "x-amzn-errortype": name }, body: "{}" })],
    ["the header and no body", (name) => ({ headers: { "x-amzn-errortype": name }, body: "" })],
    [
      "the header with namespace and URL",
      (name) => ({ headers: { "x-amzn-errortype": `${long}${name}${suffix}` }, body: "{}" }),
    ],
    [
      // That header is for services that once spoke the query protocol; Timestream never did.
      "__type beside another name in x-amzn-query-error",
      (name) => ({ headers: { "x-amzn-query-error": "AccessDenied;Sender" }, body: error(name) }),
    ],
  ])("%s", async (_, named) => {
    const world = open();
    world.put(events(2));
    world.next = () => ({ kind: "status", status: 400, ...named("ThrottlingException") });
    const throttled = await world.deliver(60);
    expect(throttled).toMatchObject({
      report: { pending: 2 },
      reason: expect.stringContaining("ThrottlingException"),
      letters: [],
    });
    world.next = () => ({ kind: "status", status: 400, ...named("ValidationException") });
    const codes = { e0: "VALIDATION_EXCEPTION", e1: "VALIDATION_EXCEPTION" };
    expect((await world.deliver()).refused).toEqual(codes);
  });

  test.each<[string, Record<string, string>]>([
    ["nowhere", {}],
    ["in x-amzn-query-error alone", { "x-amzn-query-error": "ValidationException;Sender" }],
  ])("a name that stands %s leaves the records pending", async (_, headers) => {
    const world = open();
    world.put(events(2));
    world.next = () => ({ kind: "status", status: 400, headers, body: '{"message":"m"}' });
    const run = await world.deliver();
    expect(run).toMatchObject({
      report: { pending: 2 },
      reason: expect.stringContaining("without a readable error"),
      letters: [],
    });
  });
});

describe("discovery of the endpoint", () => {
  const discovering = () => {
    const twin = { requests: new Map<string, number>() as ReadonlyMap<string, number>, stored: new Map() };
    const world = vendorWorld((clock) => {
      const made = createTimestreamTwin({ clock });
      Object.assign(twin, { requests: made.requests, stored: made.stored });
      return { sink: timestreamSink(account), handle: made.handle };
    });
    return Object.assign(world, { twin });
  };
  const isDiscovery = (request: Request) =>
    request.headers.get("x-amz-target")?.endsWith(".DescribeEndpoints");

  test.each<[string, Fault]>([
    ["throttled", awsError(400, "ThrottlingException")],
    ["ill", awsError(500, "InternalServerException")],
    ["HTML with 503", { kind: "status", status: 503, body: "<html>" }],
    ["cut", { kind: "reset" }],
    ["no endpoints in its reply", { kind: "status", status: 200, body: "{}" }],
    ["an empty list in its reply", { kind: "status", status: 200, body: '{"Endpoints":[]}' }],
    ["silent", { kind: "hang" }],
  ])("once %s: the records wait, and are delivered", async (_, fault) => {
    const world = discovering();
    world.put(events(5));
    let asked = 0;
    world.next = (request) => (isDiscovery(request) && ++asked === 1 ? fault : undefined);
    const { report, letters } = await world.deliver();
    expect(letters).toEqual([]);
    expect(report).toMatchObject({ delivered: 5, pending: 0 });
    expectEachOnce(world.twin.stored, idsOf(5));
  });
});

describe("tables", () => {
  test("101 records of a tenant are two requests", async () => {
    const world = open({ concurrency: 1 });
    world.put(events(101));
    expect((await world.deliver()).report).toMatchObject({ delivered: 101, requests: 2 });
    expectEachOnce(world.twin.stored, idsOf(101));
  });

  test("a throttle amid a tenant's requests stores each record once", async () => {
    const world = open();
    world.put(events(350));
    let writes = 0;
    world.next = (request) =>
      isWrite(request) && [2, 3, 5].includes(++writes) ? awsError(400, "ThrottlingException") : undefined;
    expect((await world.deliver()).report).toMatchObject({ delivered: 350, pending: 0 });
    expectEachOnce(world.twin.stored, idsOf(350));
  });

  test("200 new tenants get their tables at one a second, and none is throttled", async () => {
    const world = open({}, { creationIntervalMs: 1000 });
    world.put(Array.from({ length: 200 }, (_, index) => eventRecord(index, `tenant-${index}`)));
    const { report, tookMs } = await world.deliver();
    expect(report).toMatchObject({ delivered: 200, pending: 0, retries: 0 });
    expect(world.twin.requests.get("CreateTable")).toBe(200);
    expect(tookMs).toBeGreaterThanOrEqual(199_000);
    expect(tookMs).toBeLessThan(210_000);
  });

  test.each<[string, Fault, string]>([
    [
      "a quota of tables that is spent",
      awsError(402, "ServiceQuotaExceededException"),
      "check the account's quotas, such as its number of tables",
    ],
    ["a missing permission", awsError(400, "AccessDeniedException"), "check permissions"],
    ["retention that is refused", awsError(400, "ValidationException"), "check the retention settings"],
  ])("%s stops the sink when a table is to be made; later all is delivered", async (_, fault, reason) => {
    const world = open();
    world.put(events(5));
    world.next = (request) => (isCreate(request) ? fault : undefined);
    const stopped = await world.deliver();
    expect(stopped).toMatchObject({ report: { delivered: 0, pending: 5 }, letters: [] });
    expect(stopped.reason).toContain(reason);
    world.next = () => undefined;
    expect((await world.deliver()).report).toMatchObject({ delivered: 5, pending: 0 });
  });

  test.each<[string, Fault]>([
    ["throttled", awsError(400, "ThrottlingException")],
    ["cut", { kind: "reset" }],
    ["cut after the table was made", { kind: "reset-after-store" }],
    ["made by another worker meanwhile", awsError(400, "ConflictException")],
  ])("a creation that is %s loses nothing", async (kind, fault) => {
    const world = open();
    world.put(events(5));
    let creations = 0;
    world.next = (request) => (isCreate(request) && ++creations === 1 ? fault : undefined);
    const { report, letters } = await world.deliver();
    expect(letters).toEqual([]);
    // Of a table that another worker made the twin knows nothing, so the records wait for its first sight.
    expect(report).toMatchObject({ delivered: 5, pending: 0 });
    expect(creations).toBe(kind === "cut after the table was made" ? 1 : 2);
    expectEachOnce(world.twin.stored, idsOf(5));
  });

  const at = { event_time: "2026-01-01T00:00:00Z" };
  const numbered = (from: number, count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`f${from + index}`, true]));
  const record = (index: number, parts: { name?: string; metadata?: object; data?: object }) => ({
    metric_name: parts.name ?? "logins",
    metadata: { ...parts.metadata, tenant_id: "acme", event_id: `e${index}` },
    data: { ...(parts.data ?? { count: 1 }), ...at },
  });
  test.each<[string, object[], string]>([
    [
      "128 dimensions",
      // And event_id, the 129th.
      [0, 1].map((index) => record(index, { metadata: numbered(index * 64, 64) })),
      "e1",
    ],
    [
      "1,024 measures",
      [0, 1, 2, 3, 4].map((n) => record(n, { data: numbered(n * 256, n < 4 ? 256 : 1) })),
      "e4",
    ],
    ["8,192 measure names", Array.from({ length: 8193 }, (_, n) => record(n, { name: `m${n}` })), "e8192"],
  ])(
    "a table takes %s; a record beyond that is a dead letter, the others are delivered",
    async (_, records, id) => {
      const world = open({ concurrency: 1 });
      world.put(records);
      const { report, refused } = await world.deliver();
      expect(refused).toEqual({ [id]: "LIMIT_EXCEEDED" });
      expect(report).toMatchObject({ delivered: records.length - 1, deadLettered: 1, pending: 0 });
    },
  );

  test("a database that goes away in mid-run stops the sink and is named", async () => {
    const world = open({ concurrency: 1 });
    world.put(events(250));
    let requests = 0;
    world.next = () => (++requests > 3 ? awsError(404, "ResourceNotFoundException") : undefined);
    const stopped = await world.deliver();
    expect(stopped).toMatchObject({ report: { delivered: 100, pending: 150 }, letters: [] });
    expect(stopped.reason).toBe("Timestream has no database named metrics");
    world.next = () => undefined;
    expect((await world.deliver()).report).toMatchObject({ delivered: 150, pending: 0 });
  });

  test("a vendor that hangs holds the worker no longer than its deadline", async () => {
    const world = open();
    world.put(events(5));
    world.next = () => ({ kind: "hang" });
    const { report, tookMs } = await world.deliver(20);
    expect(report).toMatchObject({ delivered: 0, pending: 5 });
    expect(tookMs).toBe(20_000);
  });
});

describe("one record at fault costs itself alone", () => {
  test.each<[string, number, string, string]>([
    ["ValidationException that names no record", 400, error("ValidationException"), "VALIDATION_EXCEPTION"],
    ["SerializationException", 400, error("SerializationException"), "SERIALIZATION_EXCEPTION"],
    ["413 of a proxy", 413, "<html>", "HTTP_413"],
    [
      "a rejected record without an index",
      419,
      error("RejectedRecordsException", { RejectedRecords: [{ Reason: "The record timestamp is outside" }] }),
      "TIME_OUT_OF_RANGE",
    ],
    [
      "a rejected record with an index out of range",
      419,
      error("RejectedRecordsException", { RejectedRecords: [{ RecordIndex: 1000, Reason: "?" }] }),
      "RECORD_REJECTED",
    ],
    ["a rejection without a list", 419, error("RejectedRecordsException"), "REJECTED_RECORD_UNKNOWN"],
  ])("%s", async (_, status, body, code) => {
    const twins: ReturnType<typeof createTimestreamTwin>[] = [];
    const world = vendorWorld((clock) => {
      const twin = createTimestreamTwin({ clock });
      twins.push(twin);
      return {
        sink: timestreamSink({ ...account, endpoint: "http://timestream.test" }),
        handle: async (request) =>
          isWrite(request) && (await request.clone().text()).includes('"e37"')
            ? new Response(body, { status })
            : await twin.handle(request),
      };
    });
    world.put(events(100));
    const { report, refused } = await world.deliver();
    expect(refused).toEqual({ e37: code });
    expect(report).toMatchObject({ delivered: 99, deadLettered: 1, pending: 0 });
    expectEachOnce(
      twins[0]?.stored ?? new Map(),
      idsOf(100).filter((id) => id !== "e37"),
    );
    // Halving 100 down to one takes 2 requests a level.
    expect(report.requests).toBeLessThanOrEqual(15);
  });
});

describe("the same seed gives the same outcomes", () => {
  /** 240 events of three tenants, some of whose requests fail as the seed draws; then the vendor is well again. */
  async function outcomes(seed: number, kinds: readonly Fault[]) {
    const world = open();
    world.put(Array.from({ length: 240 }, (_, index) => eventRecord(index)));
    const draw = drawFaults({ seed, rate: 0.3, kinds });
    let faults = 0;
    world.next = (request, n) => {
      const fault = draw(request, n);
      if (fault !== undefined) faults++;
      return fault;
    };
    const ill = await world.deliver();
    world.next = () => undefined;
    const well = await world.deliver();
    return { world, ill, well, faults };
  }
  const comparable = ({ world, ill, well }: Awaited<ReturnType<typeof outcomes>>) => ({
    ill,
    well,
    stored: [...world.twin.stored],
    requests: world.requests.map(({ at, request }) => [at, request.headers.get("x-amz-target")]),
  });

  test.each([...passing, ...facts].map(([name, fault]) => [name, fault] as const))("%s", async (_, fault) => {
    for (const seed of [1, 2]) {
      const once = await outcomes(seed, [fault]);
      expect(once.ill.letters).toEqual([]);
      expect(once.faults).toBeGreaterThan(0);
      expect(once.ill.report.delivered + once.ill.report.pending).toBe(240);
      expect(once.well.report).toMatchObject({ delivered: once.ill.report.pending, pending: 0 });
      expectEachOnce(once.world.twin.stored, idsOf(240));
      expect(comparable(await outcomes(seed, [fault]))).toEqual(comparable(once));
    }
  });

  test("all of them mixed, and another seed gives others", async () => {
    const all = [...passing, ...facts].map(([, fault]) => fault);
    const runs = [];
    for (const seed of [1, 2, 3, 4, 5]) {
      const once = await outcomes(seed, all);
      expectEachOnce(once.world.twin.stored, idsOf(240));
      expect(comparable(await outcomes(seed, all))).toEqual(comparable(once));
      runs.push(JSON.stringify(comparable(once).requests));
    }
    expect(new Set(runs).size).toBe(5);
  });
});
