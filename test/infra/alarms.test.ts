// Every alarm rings for its cause and falls silent after it. Where our own code writes the figure, the real functions of
// the one world write it; where AWS does, the figure is what its page says.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Topology } from "../../infra/pipeline.ts";
import { fieldsOf, flatten, listOf } from "../../infra/template.ts";
import { generateObjects } from "../../samples/generate.ts";
import { breakBody, s3Refusal } from "../support/s3-twin.ts";
import { sinkNames } from "../support/vendors.ts";
import { type Point, pointsIn, type State, statesOf } from "./cloudwatch.ts";
import { type Synthesised, synthesise } from "./synthesised.ts";
import { createWorld, type World } from "./world/world.ts";

const minute = 60_000;
const hour = 60 * minute;
const refused = { kind: "status", status: 403, body: '{"__type":"AccessDeniedException"}' } as const;

describe("an alarm of each sink, in the topology of one worker a sink,", () => {
  const topology: Topology = "per-sink";
  let made: Synthesised;
  let world: World;
  const rows: string[] = [];
  const rung = new Set<string>();
  /** Figures of AWS's own services. */
  let services: Point[] = [];

  beforeAll(async () => {
    made = synthesise({ topology, sinks: sinkNames, quietMinutes: 30, quietMetrics: ["user_invited"] });
    world = await createWorld(made);
  }, 60_000);
  afterAll(async () => {
    await world.close();
    process.stdout.write(`\n${["cause | figure | alarm | cleared", ...rows].join("\n")}\n`);
  });

  /** The id of an alarm in the template, by the name that the documentation calls it. */
  const idOf = (name: string) => {
    const id = `FanoutAlarms${name.replaceAll(/[-_]/g, "")}`;
    const found = made.resources.find((each) => each.id.slice(0, -8) === id);
    if (found === undefined) throw new Error(`there is no alarm ${name}`);
    return found.id;
  };
  const stateOf = (name: string): State | undefined => {
    const points = [...world.lines.flatMap(pointsIn), ...services];
    return statesOf(made.resources, points, world.clock.now()).get(idOf(name));
  };
  /** The alarm's figure, for the table. */
  const metricOf = (name: string, index = 0) => {
    const properties = fieldsOf(made.resources.find(({ id }) => id === idOf(name))?.properties);
    const queries = listOf(properties["Metrics"])
      .map(fieldsOf)
      .filter((each) => "MetricStat" in each);
    const own =
      queries.length === 0 ? properties : fieldsOf(fieldsOf(queries[index]?.["MetricStat"])["Metric"]);
    return {
      namespace: String(own["Namespace"]),
      name: String(own["MetricName"]),
      dimensions: Object.fromEntries(
        listOf(own["Dimensions"])
          .map(fieldsOf)
          .map(({ Name, Value }) => [String(Name), flatten(Value)]),
      ),
    };
  };
  const tell = (cause: string, name: string, index = 0) => {
    const { namespace, name: figure } = metricOf(name, index);
    rung.add(idOf(name));
    rows.push([cause, `${namespace} ${figure}`, `${topology}: ${name}`, "yes"].join(" | "));
  };
  const deliveries = sinkNames;
  const object = (seed: number, records = 60) =>
    generateObjects({ now: world.clock.now(), records, tenants: 3, objects: 1, faultsOfEachKind: 1, seed })
      .objects[0];
  const deliver = (seed: number, records?: number) => {
    const made_ = object(seed, records);
    if (made_ === undefined) throw new Error("there is no object");
    world.deliver(made_.key, made_.bytes);
    return made_;
  };

  test("of what waits: a vendor is down, and records are refused", async () => {
    const names = [
      ...sinkNames.map((sink) => `${sink}-waiting-long`),
      ...["intake", "timestream", "hubspot-events"].map((lane) => `${lane}-waiting-letters`),
    ];
    await world.replay();
    for (const name of names) expect([name, stateOf(name)]).toEqual([name, "OK"]);
    deliver(1);
    await world.run();
    for (const sink of sinkNames) world.vendors.faults[sink] = refused;
    // Few, since each is tried alone in the end, at the rate that a vendor grants.
    deliver(2, 6);
    await world.run();
    world.advance(2 * hour);
    await world.replay();
    for (const name of names) expect([name, stateOf(name)]).toEqual([name, "ALARM"]);
    expect(stateOf("late-or-lost")).toBe("ALARM");
    for (const sink of sinkNames) delete world.vendors.faults[sink];
    // Refused by the others as well: letters of every sink.
    for (const sink of sinkNames) world.vendors.faults[sink] = { kind: "status", status: 400, body: "{}" };
    world.advance(hour);
    await world.replay();
    for (const sink of sinkNames) {
      expect([sink, stateOf(`${sink}-waiting-letters`)]).toEqual([sink, "ALARM"]);
      delete world.vendors.faults[sink];
    }
    // Operators have seen to it: nothing waits any more.
    for (const key of world.s3.keys(world.books, "dead-letters/sink=")) world.s3.remove(world.books, key);
    world.advance(hour);
    await world.replay();
    for (const sink of sinkNames) {
      for (const name of [`${sink}-waiting-letters`, `${sink}-waiting-long`]) {
        expect([name, stateOf(name)]).toEqual([name, "OK"]);
        tell(
          name.endsWith("long")
            ? "the vendor refuses the credential for two hours"
            : "the vendor refuses records",
          name,
        );
      }
    }
    expect(stateOf("intake-waiting-letters")).toBe("OK");
    tell("records are no events", "intake-waiting-letters");
  });

  test("of the invalid records of an object that breaks off", async () => {
    world.s3Fault = async (request, usual) => {
      const isObject = new URL(request.url).pathname.startsWith(`/${world.data}/Data`);
      if (!isObject || request.method !== "GET") return await usual();
      if (request.headers.has("range")) {
        const { status, headers, body } = s3Refusal(503, "SlowDown");
        return new Response(body ?? null, { status, headers: headers ?? {} });
      }
      return await breakBody(await usual(), 2_048, "cut");
    };
    deliver(3, 300);
    await world.run();
    world.advance(2 * hour);
    await world.replay();
    expect(stateOf("intake-waiting-long")).toBe("ALARM");
    delete world.s3Fault;
    world.advance(3 * hour);
    await world.replay();
    world.advance(hour);
    await world.replay();
    expect(stateOf("intake-waiting-long")).toBe("OK");
    tell("S3 breaks an object off for two hours", "intake-waiting-long");
  });

  test("of freshness: what is delivered is old", async () => {
    world.advance(hour);
    const old = object(4);
    world.advance(hour);
    for (let time = 1; time <= 3; time++) {
      if (time > 1) world.advance(5 * minute);
      const { bytes = Buffer.alloc(0), key = "" } = old ?? {};
      world.deliver(`${key}-${time}`, bytes);
      await world.run();
    }
    for (const sink of sinkNames) expect([sink, stateOf(`${sink}-freshness`)]).toEqual([sink, "ALARM"]);
    for (let time = 5; time <= 7; time++) {
      world.advance(5 * minute);
      deliver(time);
      await world.run();
    }
    for (const sink of sinkNames) {
      expect([sink, stateOf(`${sink}-freshness`)]).toEqual([sink, "OK"]);
      tell("events reach their object two hours late", `${sink}-freshness`);
    }
  });

  test("of what nobody can count: a deferral that is damaged, a listing that is denied, a silent function", async () => {
    const lane = sinkNames[0];
    const key = `receipts/deferrals/sink=${lane}/damaged.json`;
    const name = `${lane}-fails`;
    const errorsOf = async (): Promise<Point[]> => {
      const results = await world.replay();
      // Lambda counts an error for each invocation that fails: AWS/Lambda Errors.
      // https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
      return results.map(({ thrown, function: id }) => ({
        namespace: "AWS/Lambda",
        name: "Errors",
        dimensions: { FunctionName: `<${id}>` },
        at: world.clock.now(),
        value: thrown === undefined ? 0 : 1,
      }));
    };
    services = await errorsOf();
    expect(stateOf(name)).toBe("OK");
    world.s3.put(world.books, key, JSON.stringify({ nextAttemptAt: 1e300 }));
    world.advance(hour);
    services = await errorsOf();
    expect(stateOf(name)).toBe("ALARM");
    world.s3.remove(world.books, key);
    world.s3Fault = async (request, usual) => {
      const isListing = request.method === "GET" && request.url.includes("list-type=2");
      if (!isListing || !request.url.includes("dead-letters")) return await usual();
      const { status, headers, body } = s3Refusal(403, "AccessDenied");
      return new Response(body ?? null, { status, headers: headers ?? {} });
    };
    world.advance(hour);
    services = await errorsOf();
    for (const each of deliveries) expect([each, stateOf(`${each}-fails`)]).toEqual([each, "ALARM"]);
    delete world.s3Fault;
    world.advance(hour);
    services = await errorsOf();
    for (const each of deliveries) {
      expect([each, stateOf(`${each}-fails`)]).toEqual([each, "OK"]);
      tell("a deferral is damaged, or a listing is denied", `${each}-fails`, 2);
    }
  });

  test("of objects that no receipt knows, and of what the stream could not process", async () => {
    const count = async () => {
      const [done] = await world.reconcile();
      expect(done?.thrown).toBeUndefined();
    };
    world.advance(2 * hour);
    await count();
    expect(stateOf("objects-unknown")).toBe("OK");
    const lost = object(8);
    if (lost === undefined) throw new Error("there is no object");
    // Written, and nobody is told of it.
    const version = world.s3.put(world.data, lost.key, lost.bytes);
    world.s3.put(world.data, "Error/processing-failed/year=2026/month=12/day=01/hour=00/x", "{}");
    world.advance(hour);
    await count();
    expect(stateOf("objects-unknown")).toBe("ALARM");
    expect(stateOf("error-objects")).toBe("ALARM");
    expect(stateOf("error-objects-new")).toBe("ALARM");
    expect(stateOf("late-or-lost")).toBe("ALARM");
    world.notifyAgain(lost.key, version);
    await world.run();
    // What lies there and waits for a decision is no news for ever: the alarm that is read first ends.
    world.advance(4 * hour);
    await count();
    for (const name of ["error-objects-new", "objects-unknown"])
      expect([name, stateOf(name)]).toEqual([name, "OK"]);
    expect(stateOf("error-objects")).toBe("ALARM");
    world.s3.remove(world.data, "Error/processing-failed/year=2026/month=12/day=01/hour=00/x");
    world.advance(2 * hour);
    await count();
    for (const name of ["objects-unknown", "error-objects"])
      expect([name, stateOf(name)]).toEqual([name, "OK"]);
    tell("a notification is lost", "objects-unknown");
    tell("a batch of the stream was refused just now", "error-objects-new");
    tell("a batch of the stream is refused", "error-objects");
    // Listings alone, and nothing else is asked of S3.
    const [role] = [...world.roles.keys()].filter((each) => each.includes("Reconciler"));
    const asked = world.asked.filter(
      ({ principal, action }) => principal === role && action.startsWith("s3:"),
    );
    expect([...new Set(asked.map(({ action }) => action))].sort()).toEqual([
      "s3:ListBucket",
      "s3:ListBucketVersions",
    ]);
  });

  test("of the transform: records are refused, and the tenants' directory is down", async () => {
    const transform = async (data: string) => {
      const record = { recordId: "1", data: Buffer.from(data).toString("base64") };
      await world.invoke(/Transform/, { records: [record] });
    };
    await transform("{}");
    expect(stateOf("transform-refused")).toBe("ALARM");
    world.advance(hour);
    expect(stateOf("transform-refused")).toBe("OK");
    tell("a record is no event of the catalog", "transform-refused");
    const down = { namespace: "FirehoseFanout/fanout", name: "TransformDirectoryDown", dimensions: {} };
    services = lately(down, 3);
    expect(stateOf("tenant-directory-down")).toBe("ALARM");
    services = lately(down, 0);
    expect(stateOf("tenant-directory-down")).toBe("OK");
    tell("the directory does not answer", "tenant-directory-down");
  });

  test("of messages that fail again and again, which a queue's own figure of age leaves out", async () => {
    expect(stateOf("messages-late")).toBe("OK");
    world.s3Fault = async (request, usual) =>
      request.method === "PUT" && request.url.includes(".receipt.json")
        ? new Response(s3Refusal(503, "SlowDown").body ?? null, { status: 503 })
        : await usual();
    for (const sink of sinkNames.slice(1)) world.paused.add(sink);
    deliver(9, 6);
    await world.run();
    world.advance(16 * minute);
    await world.run();
    expect(stateOf("messages-late")).toBe("ALARM");
    expect(stateOf("late-or-lost")).toBe("ALARM");
    delete world.s3Fault;
    world.paused.clear();
    world.advance(hour);
    await world.run();
    expect(stateOf("messages-late")).toBe("OK");
    tell("receipts cannot be written for a quarter of an hour", "messages-late");
  }, 60_000);

  test("of notifications that are no work, for hours", async () => {
    const [worker] = [...world.queues.values()];
    const own = { bucket: { name: world.books }, object: { key: "receipts/books/x", size: 1, eTag: "e" } };
    const record = { eventSource: "aws:s3", eventName: "ObjectCreated:Put", awsRegion: "us-east-1", s3: own };
    expect(worker).toBeDefined();
    for (let time = 1; time <= 3; time++) {
      world.advance(hour);
      await world.invoke(/mixpanelWorker/, { Records: [record] });
      if (time === 2) expect(stateOf("notifications-ignored")).toBe("OK");
    }
    expect(stateOf("notifications-ignored")).toBe("ALARM");
    world.advance(2 * hour);
    expect(stateOf("notifications-ignored")).toBe("OK");
    tell("a trigger sends what the worker wrote itself", "notifications-ignored");
  });

  const idLike = (type: string, id: RegExp) => {
    const found = made.resources.find((each) => each.type === type && id.test(each.id));
    if (found === undefined) throw new Error(`there is no ${type} like ${id}`);
    return found.id;
  };
  /** As the services' own pages name their figures and dimensions, and not as the alarms do. */
  const ofStream = (name: string) => ({
    // https://docs.aws.amazon.com/firehose/latest/dev/monitoring-with-cloudwatch-metrics.html
    namespace: "AWS/Firehose",
    name,
    dimensions: { DeliveryStreamName: `<${idLike("AWS::KinesisFirehose::DeliveryStream", /./)}>` },
  });
  const ofQueue = (name: string, id: RegExp) => ({
    // https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
    namespace: "AWS/SQS",
    name,
    dimensions: { QueueName: `<${idLike("AWS::SQS::Queue", id)}.QueueName>` },
  });
  const ofFunction = (name: string, id: RegExp) => ({
    // https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    namespace: "AWS/Lambda",
    name,
    dimensions: { FunctionName: `<${idLike("AWS::Lambda::Function", id)}>` },
  });
  /** A figure every five minutes of the last hours. */
  const lately = (figure: Pick<Point, "namespace" | "name" | "dimensions">, value: number): Point[] =>
    Array.from({ length: 40 }, (_, at) => ({ ...figure, at: world.clock.now() - at * 5 * minute, value }));

  test("of the services around the functions, which all lead to the one that is read first", () => {
    const construct = (sink: string) => `FanoutDelivery${sink.replaceAll("-", "")}`;
    const visible = "ApproximateNumberOfMessagesVisible";
    const cases = [
      [
        "Firehose cannot call the transform",
        "stream-transform-failed",
        ofStream("ExecuteProcessing.Success"),
        0.5,
        1,
      ],
      ["Firehose cannot write", "stream-freshness", ofStream("DeliveryToS3.DataFreshness"), 1_200, 60],
      ["more comes than the quota allows", "stream-throttled", ofStream("ThrottledRecords"), 5, 0],
      ["the stream takes no event", "rules-dead-letters", ofQueue(visible, /Undelivered/), 1, 0],
      ["the transform throws", "transform-fails", ofFunction("Errors", /StreamTransform/), 1, 0],
      ["the transform is throttled", "transform-fails", ofFunction("Throttles", /StreamTransform/), 1, 0],
      ["the reconciler throws", "reconciler-fails", ofFunction("Errors", /Reconciler/), 1, 0],
      ...deliveries.flatMap((name) => [
        [
          "the worker is too slow",
          `${name}-queue-age`,
          ofQueue("ApproximateAgeOfOldestMessage", new RegExp(`^${construct(name)}Queue`)),
          1_200,
          5,
        ] as const,
        [
          "a notification fails for good",
          `${name}-queue-dead-letters`,
          ofQueue(visible, new RegExp(`^${construct(name)}DeadLetters`)),
          1,
          0,
        ] as const,
        [
          "the worker throws",
          `${name}-fails`,
          ofFunction("Errors", new RegExp(`^${construct(name)}Worker`)),
          1,
          0,
        ] as const,
        [
          "the worker is throttled",
          `${name}-fails`,
          ofFunction("Throttles", new RegExp(`^${construct(name)}Worker`)),
          1,
          0,
        ] as const,
      ]),
    ] as const;
    for (const [cause, name, figure, bad, good] of cases) {
      services = [...alive(), ...lately(figure, bad)];
      expect([name, stateOf(name), stateOf("late-or-lost")]).toEqual([name, "ALARM", "ALARM"]);
      services = [...alive(), ...lately(figure, good)];
      expect([name, stateOf(name), stateOf("late-or-lost")]).toEqual([name, "OK", "OK"]);
      tell(cause, name);
    }
  });

  /** https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html */
  const ofRule = (name: string) => {
    const { dimensions } = metricOf("user_invited-silent");
    expect(Object.keys(dimensions).sort()).toEqual(["EventBusName", "RuleName"]);
    return { namespace: "AWS/Events", name, dimensions };
  };

  test("of a stream whose records all stay in the transform", () => {
    const name = "stream-comes-to-nothing";
    const came = lately(ofStream("IncomingRecords"), 5);
    services = [...alive(), ...came];
    expect([stateOf(name), stateOf("late-or-lost")]).toEqual(["OK", "OK"]);
    const without = alive().filter((point) => point.name !== "SucceedProcessing.Records");
    services = [...without, ...came];
    expect([stateOf(name), stateOf("late-or-lost")]).toEqual(["ALARM", "ALARM"]);
    // A stream that nothing comes to processes nothing, and rightly.
    services = without.filter((point) => point.name !== "IncomingRecords");
    expect(stateOf(name)).toBe("OK");
    tell("every record is refused", name, 1);
  });

  /** What runs by itself has run, and records have come. */
  const alive = (): Point[] => [
    ...lately(ofStream("IncomingRecords"), 1),
    ...lately(ofStream("SucceedProcessing.Records"), 1),
    ...lately(ofRule("MatchedEvents"), 1),
    ...lately(ofFunction("Invocations", /Reconciler/), 1),
    ...deliveries.flatMap((name) =>
      lately(ofFunction("Invocations", new RegExp(`^FanoutDelivery${name.replaceAll("-", "")}Replayer`)), 1),
    ),
  ];

  test("of silence, which is no figure at all", () => {
    const silent = [
      "stream-silent",
      "user_invited-silent",
      "reconciler-silent",
      ...deliveries.map((name) => `${name}-replayer-silent`),
    ];
    for (const name of silent) {
      services = [];
      expect([name, stateOf(name)]).toEqual([name, "ALARM"]);
      services = alive();
      expect([name, stateOf(name)]).toEqual([name, "OK"]);
      tell("nothing is written", name);
    }
  });

  test("that look at what a schedule writes have a period that holds two runs, since periods slide", () => {
    const everyMs = (name: string) => (/objects|reconciler/.test(name) ? hour : 5 * minute);
    const bound = [
      ...sinkNames.flatMap((sink) => [`${sink}-waiting-letters`, `${sink}-waiting-long`, `${sink}-fails`]),
      ...["intake-waiting-letters", "intake-waiting-long", "objects-unknown", "error-objects"],
      ...["error-objects-new", "reconciler-fails", "reconciler-silent"],
      ...sinkNames.map((sink) => `${sink}-replayer-silent`),
    ];
    for (const name of bound) {
      const properties = fieldsOf(made.resources.find(({ id }) => id === idOf(name))?.properties);
      const periods = listOf(properties["Metrics"])
        .map(fieldsOf)
        .flatMap(({ MetricStat: stat }) => (stat === undefined ? [] : [Number(fieldsOf(stat)["Period"])]));
      const shortest = Math.min(...periods, Number(properties["Period"] ?? Number.POSITIVE_INFINITY));
      expect([name, shortest * 1000 >= 2 * everyMs(name)]).toEqual([name, true]);
    }
  });

  test("leave no alarm of the template out", () => {
    const alarms = made.resources.filter(({ type }) => type === "AWS::CloudWatch::Alarm").map(({ id }) => id);
    expect(alarms.filter((id) => !rung.has(id))).toEqual([]);
  });
});

test("the topology of one worker for all sinks has the same alarms, those of its queue and functions once", () => {
  const alarmsOf = (topology: Topology) =>
    synthesise({ topology, sinks: sinkNames })
      .resources.filter(({ type }) => type === "AWS::CloudWatch::Alarm")
      .map(({ id, properties }) => {
        const { Threshold, EvaluationPeriods, ComparisonOperator, TreatMissingData, MetricName } = properties;
        const name = id.slice("FanoutAlarms".length, -8);
        return [
          name,
          { Threshold, EvaluationPeriods, ComparisonOperator, TreatMissingData, MetricName },
        ] as const;
      });
  const own = /^(?:timestream|segment|mixpanel|hubspotevents)(?=queue|fails|replayer)/;
  const perSink = new Map(alarmsOf("per-sink").map(([name, each]) => [name.replace(own, "all"), each]));
  expect(new Map(alarmsOf("single"))).toEqual(perSink);
});
