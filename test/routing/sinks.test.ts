// What the catalog makes of sinks: who gets a metric, who sees what of it, and who cannot take it.
import { describe, expect, test } from "vitest";
import makeConfig from "../../config/fanout.config.ts";
import metrics from "../../config/metrics/index.ts";
import {
  type Batch,
  type FanoutConfig,
  type Metric,
  type MetricEvent,
  resolveConfig,
  type Sink,
} from "../../src/index.ts";
import { concealing } from "../../src/routing/conceal.ts";
import { catalogRoutes, createRouter } from "../../src/routing/route.ts";
import { plansFor, sampleEvent } from "../../src/routing/sink-check.ts";
import { sentOf } from "../support/payload.ts";
import { createWorld } from "../support/world.ts";
import { sound, withDimension } from "./support.ts";

const event = sampleEvent(sound);

/** A sink that remembers what its mapping and its request were given. */
interface Spy extends Sink<MetricEvent> {
  readonly seen: MetricEvent[];
  readonly requests: Batch<MetricEvent>[];
}

function spy(name: string, more: Partial<Sink<MetricEvent>> = {}): Spy {
  const seen: MetricEvent[] = [];
  const requests: Batch<MetricEvent>[] = [];
  return {
    name,
    limits: { itemsPerRequest: 1, bytesPerRequest: 1e6, bytesPerItem: 1e6, concurrency: 1 },
    encode(given) {
      seen.push(given);
      return { payload: given, bytes: 1 };
    },
    send: async ({ partition, items }) => {
      requests.push({
        partition,
        items: items.map(({ event, payload, bytes }) => ({ event, payload, bytes })),
      });
      return { status: "delivered" };
    },
    ...more,
    seen,
    requests,
  };
}

describe("personal data", () => {
  test("is not there for a sink that may not see it: not in its mapping, not in its request", async () => {
    const board = spy("board", { partition: ({ metadata }) => JSON.stringify(metadata) });
    const blind = concealing(board, [sound]);
    const { clock, source, worker } = createWorld();
    const { id, metricName, tenantId, time, metadata, data } = event;
    expect(JSON.stringify(metadata)).toContain("user-1");
    await clock.advance(time - clock.now());
    const bytes = Buffer.from(JSON.stringify({ metric_name: metricName, metadata, data }));
    source.objects.set("a", { bytes, lastModified: clock.now() });
    await clock.run(worker([blind]).process({ bucket: "source", key: "a" }));

    const { who: _, ...visible } = metadata;
    const head = { id, metricName, tenantId, time };
    const view = { ...head, metadata: visible, data };
    expect(board.seen).toEqual([view]);
    expect(board.requests).toEqual([
      { partition: JSON.stringify(visible), items: [{ event: head, payload: view, bytes: 1 }] },
    ]);
  });

  test("is there for a sink that may, which stays the very same object", () => {
    const lake = spy("lake");
    expect(concealing(lake, [sound])).toBe(lake);
  });

  test("of one metric hides nothing of another", () => {
    const other = { ...event, metricName: "other" };
    expect(concealing(spy("board"), [sound]).encode(other)).toMatchObject({ payload: other });
  });

  test("hidden from a sink of a class leaves it working, with all that it has", async () => {
    class Counting implements Sink<string> {
      readonly name = "board";
      readonly limits = spy("board").limits;
      readonly refusals = { X: { meaning: "m", action: "a" } };
      #closed = 0;
      encode(given: MetricEvent) {
        return { payload: this.key(given), bytes: 1 };
      }
      coalesceKey(given: MetricEvent): string {
        return this.key(given);
      }
      key(given: MetricEvent): string {
        return Object.keys(given.metadata).join();
      }
      async send() {
        return { status: "delivered" } as const;
      }
      async close() {
        this.#closed++;
        expect(this.#closed).toBe(1);
      }
    }
    const blind = concealing(new Counting(), [sound]);
    expect(blind).toMatchObject({ name: "board", refusals: { X: { action: "a" } } });
    expect(blind.encode(event)).toEqual({
      payload: "tenant_id,event_id,door,tenant_name,environment",
      bytes: 1,
    });
    expect(blind.coalesceKey?.(event)).not.toContain("who");
    expect(blind.partition).toBeUndefined();
    await blind.close?.();
  });

  test("of the metrics that ship reaches no sink but those that are named", async () => {
    const env = {
      SINKS: "timestream,segment,segment-groups,mixpanel,hubspot-events,hubspot-companies,file",
      AWS_REGION: "eu-west-1",
      TIMESTREAM_DATABASE: "product",
      SEGMENT_WRITE_KEY: "key",
      MIXPANEL_TOKEN: "token",
      HUBSPOT_ACCESS_TOKEN: "token",
    };
    const { sinks } = await resolveConfig(makeConfig, { env });
    const told = sinks.flatMap((sink) =>
      metrics.flatMap((metric) => {
        const text = JSON.stringify(sentOf(sink.encode(sampleEvent(metric))));
        return ["user-17", "user-3", "someone@example.com"].flatMap((value) =>
          text.includes(`"${value}"`) ? [`${sink.name} ${value}`] : [],
        );
      }),
    );
    expect([...new Set(told)].sort()).toEqual([
      "hubspot-events someone@example.com",
      "mixpanel user-17",
      "mixpanel user-3",
      "segment user-17",
      "segment user-3",
    ]);
  });
});

describe("routes of a catalog", () => {
  const routes = catalogRoutes(
    [sound, { ...sound, name: "door_shut", sinks: { lake: {} } }],
    ["lake", "board"],
  );
  const goes = (metricName: string, sink: string) => createRouter(routes, sink)({ ...event, metricName });

  test("bring a metric to the sinks that it names, and only there", () => {
    expect(["lake", "board", "else"].map((sink) => goes("door_opened", sink))).toEqual([true, true, false]);
    expect(["lake", "board"].map((sink) => goes("door_shut", sink))).toEqual([true, false]);
  });

  test("bring nowhere what the catalog does not know: nobody has said who may see it", () => {
    expect(["lake", "board", "else"].map((sink) => goes("unknown", sink))).toEqual([false, false, false]);
  });

  test("name no sink that is not there", () => {
    expect(catalogRoutes([sound], ["lake"])[0]).toEqual({ metrics: ["door_opened"], sinks: ["lake"] });
  });
});

describe("a configuration with a catalog", () => {
  const resolve = (
    catalog: readonly Metric[],
    sinks: readonly Sink<unknown>[],
    more: Partial<FanoutConfig> = {},
  ) =>
    resolveConfig(() => ({ sinks, metrics: catalog, receipts: "r", deadLetters: "d", ...more }), { env: {} });

  test("gets its routes and its blind sinks from it", async () => {
    const config = await resolve([sound], [spy("board"), spy("lake")]);
    expect(config.routes).toEqual(catalogRoutes([sound], ["board", "lake"]));
    const told = config.sinks.map((sink) => JSON.stringify(sink.encode(event)).includes("user-1"));
    expect(told).toEqual([false, true]);
  });

  test("keeps routes of its own", async () => {
    const routes = [{ metrics: "*", sinks: ["lake"] }] as const;
    expect((await resolve([sound], [spy("lake")], { routes })).routes).toBe(routes);
  });

  test("is refused where a sink would refuse a metric, in the sink's words and with its advice", async () => {
    const narrow = spy("board", {
      encode: () => ({ rejected: "the name is too long", code: "NAME_TOO_LONG" }),
      refusals: { NAME_TOO_LONG: { meaning: "m", action: "Shorten it." } },
    });
    await expect(resolve([sound], [narrow])).rejects.toMatchObject({
      problems: [
        "door_opened: sinks.board: the metric's sample would be a dead letter (NAME_TOO_LONG): the name is too long. Shorten it.",
      ],
    });
  });

  test("is refused where a sink would send nothing of a metric", async () => {
    const deaf = spy("board", { encode: () => ({ filtered: "not mapped" }) });
    await expect(resolve([sound], [deaf])).rejects.toThrow(
      "door_opened: sinks.board: the sink would never send it (not mapped)",
    );
  });

  test("is not refused for a sink that does not get the metric, as long as it gets something", async () => {
    const narrow = spy("cellar", { encode: () => ({ rejected: "no", code: "NO" }) });
    const routes = [{ metrics: ["other"], sinks: ["cellar"] }];
    await expect(resolve([sound], [narrow], { routes })).resolves.toBeDefined();
  });

  test("is refused where nothing at all goes to a sink, which would be silent for ever", async () => {
    await expect(resolve([sound], [spy("lake"), spy("cellar")])).rejects.toMatchObject({
      problems: ["no metric goes to the sink cellar: name it under the sinks of a metric, or in a route"],
    });
  });

  test("is refused by the adapters themselves: HubSpot takes 50 properties of an event", async () => {
    const { hubspotEventsSink } = await import("../../adapters/hubspot/index.ts");
    const field = { type: "string", from: "$.detail.door", description: "d" } as const;
    const dimensions = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`f_${index}`, field]));
    const wide: Metric = { ...sound, sinks: { "hubspot-events": {} }, dimensions };
    await expect(resolve([wide], [hubspotEventsSink({ accessToken: "token" })])).rejects.toThrow(
      /door_opened: sinks\.hubspot-events: .*TOO_MANY_PROPERTIES/,
    );
  });
});

test("a plan holds every field that an event can have", () => {
  const metric = withDimension("room", {
    type: "string",
    from: "$.detail.door",
    description: "d",
    optional: true,
  });
  const [plan] = plansFor("lake", [metric]);
  expect(plan?.event.metadata).toEqual({
    tenant_id: "acme",
    event_id: expect.any(String),
    door: "front",
    who: "user-1",
    room: "front",
    tenant_name: "Acme Robotics",
    environment: "production",
  });
  expect(plansFor("cellar", [metric])).toEqual([]);
});
