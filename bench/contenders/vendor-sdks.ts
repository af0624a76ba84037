// The four vendors' SDKs, each used as its documentation does: parse the object, hand the events over.
import { readFile } from "node:fs/promises";
import { gunzipSync } from "node:zlib";
import { TimestreamWriteClient, WriteRecordsCommand } from "@aws-sdk/client-timestream-write";
import { Client } from "@hubspot/api-client";
import { Analytics } from "@segment/analytics-node";
import mixpanel from "mixpanel";
import type { VendorUrls } from "../acceptors.ts";
import type { Contender, Order } from "../contender.ts";

interface Event {
  readonly metric_name: string;
  readonly metadata: Readonly<Record<string, string>> & {
    readonly tenant_id: string;
    readonly event_id: string;
    readonly user_id: string;
  };
  readonly data: Readonly<Record<string, string | number | boolean>> & { readonly event_time: string };
}

export default async function vendorSdks({ file, urls }: Order): Promise<Contender> {
  const stored = await readFile(file);
  const senders = [timestream(urls), segment(urls), toMixpanel(urls), hubspot(urls)];
  return {
    async round() {
      const lines = gunzipSync(stored).toString("utf8").trimEnd().split("\n");
      // objects.ts wrote this shape.
      const events = lines.map((line) => JSON.parse(line) as Event);
      await Promise.all(senders.map((send) => send(events)));
      return { records: events.length };
    },
  };
}

type Send = (events: readonly Event[]) => Promise<void>;

/** https://docs.aws.amazon.com/timestream/latest/developerguide/code-samples.write.html: 100 records a request. */
function timestream({ timestream: endpoint }: VendorUrls): Send {
  const credentials = { accessKeyId: "bench", secretAccessKey: "bench" };
  const client = new TimestreamWriteClient({ region: "us-east-1", endpoint, credentials });
  return async (events) => {
    const tables = Map.groupBy(events, ({ metadata }) => metadata.tenant_id);
    for (const [TableName, all] of tables) {
      for (const some of chunks(all, 100)) {
        const Records = some.map(({ metric_name, metadata, data: { event_time, ...measures } }) => ({
          Dimensions: Object.entries(metadata).flatMap(([Name, Value]) =>
            Name === "tenant_id" ? [] : [{ Name, Value }],
          ),
          MeasureName: metric_name,
          MeasureValueType: "MULTI" as const,
          MeasureValues: Object.entries(measures).map(([Name, value]) => ({
            Name,
            Value: String(value),
            Type: types[typeof value] ?? types.string,
          })),
          Time: String(Date.parse(event_time)),
          TimeUnit: "MILLISECONDS" as const,
        }));
        await client.send(new WriteRecordsCommand({ DatabaseName: "product", TableName, Records }));
      }
    }
  };
}

const types: Readonly<Record<string, "DOUBLE" | "BOOLEAN" | "VARCHAR">> & { readonly string: "VARCHAR" } = {
  number: "DOUBLE",
  boolean: "BOOLEAN",
  string: "VARCHAR",
};

/** https://segment.com/docs/connections/sources/catalog/libraries/server/node/: `track` each, then `closeAndFlush`. */
function segment({ segment: host }: VendorUrls): Send {
  return async (events) => {
    const analytics = new Analytics({ writeKey: "bench", host });
    let failed: unknown;
    analytics.on("error", (error) => {
      failed = error;
    });
    for (const { metric_name, metadata, data } of events) {
      analytics.track({
        userId: metadata.user_id,
        event: metric_name,
        properties: { ...data, ...metadata },
        timestamp: new Date(data.event_time),
        messageId: metadata.event_id,
      });
    }
    await analytics.closeAndFlush();
    if (failed !== undefined) throw failed;
  };
}

/** https://developer.mixpanel.com/docs/nodejs: `import_batch`, which sends 50 a request. */
function toMixpanel({ mixpanel: url }: VendorUrls): Send {
  const { hostname: host, port } = new URL(url);
  // The SDK hands its configuration to Node's http, so it takes a port; its types do not know that.
  const config = { protocol: "http", host, port, key: "bench" };
  const client = mixpanel.init("bench", config);
  return async (events) => {
    for (const some of chunks(events, 2000)) {
      const batch = some.map(({ metric_name, metadata, data }) => ({
        event: metric_name,
        properties: {
          ...metadata,
          ...data,
          time: Date.parse(data.event_time),
          distinct_id: metadata.user_id,
          $insert_id: metadata.event_id,
        },
      }));
      await new Promise<void>((resolve, reject) => {
        client.import_batch(batch, (errors) => (errors ? reject(errors[0]) : resolve()));
      });
    }
  };
}

/** https://developers.hubspot.com/docs/api-reference/events-send-event-completions-v3/guide: 500 a request. */
function hubspot({ hubspot: basePath }: VendorUrls): Send {
  const client = new Client({ accessToken: "bench", basePath });
  return async (events) => {
    for (const some of chunks(events, 500)) {
      await client.events.send.batchApi.send({
        inputs: some.map(({ metric_name, metadata, data: { event_time, ...measures } }) => ({
          uuid: metadata.event_id,
          eventName: metric_name,
          occurredAt: new Date(event_time),
          properties: Object.fromEntries(
            Object.entries({ ...metadata, ...measures }).map(([name, value]) => [name, String(value)]),
          ),
        })),
      });
    }
  };
}

function* chunks<T>(all: readonly T[], size: number): Generator<T[]> {
  for (let at = 0; at < all.length; at += size) yield all.slice(at, at + size);
}
