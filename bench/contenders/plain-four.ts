// Plain good code for four vendors: it knows how to be fast, and nothing of retries, limits, accounting or broken records.
import { createHash, createHmac } from "node:crypto";
import { readFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { gunzipSync } from "node:zlib";
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

export default async function plainFour({ file, urls }: Order): Promise<Contender> {
  const stored = await readFile(file);
  const agent = new Agent({ keepAlive: true });
  const json = { "content-type": "application/json", authorization: "Basic YmVuY2g6" };

  const post = (url: string, headers: Record<string, string>, body: string) =>
    new Promise<void>((resolve, reject) => {
      const outgoing = request(url, { method: "POST", headers, agent }, (incoming) => {
        incoming.resume();
        incoming.on("end", () =>
          (incoming.statusCode ?? 0) < 300 ? resolve() : reject(new Error("refused")),
        );
      });
      outgoing.on("error", reject);
      outgoing.end(body);
    });

  /** As many at a time as the vendor's limits and 500-byte records allow. */
  const send = async (events: readonly Event[]) => {
    const tables = Map.groupBy(events, ({ metadata }) => metadata.tenant_id);
    for (const [table, all] of tables) {
      for (const some of chunks(all, 100)) {
        const body = JSON.stringify({
          DatabaseName: "product",
          TableName: table,
          Records: some.map(toRecord),
        });
        await post(urls.timestream, signed(body), body);
      }
    }
    for (const some of chunks(events, 550)) {
      await post(`${urls.segment}/v1/batch`, json, JSON.stringify({ batch: some.map(toTrack) }));
    }
    for (const some of chunks(events, 2000)) {
      await post(`${urls.mixpanel}/import?strict=1`, json, JSON.stringify(some.map(toImport)));
    }
    for (const some of chunks(events, 500)) {
      const inputs = some.map(toOccurrence);
      await post(`${urls.hubspot}/events/v3/send/batch`, json, JSON.stringify({ inputs }));
    }
  };

  return {
    async round() {
      // objects.ts wrote this shape.
      const lines = gunzipSync(stored).toString("utf8").trimEnd().split("\n");
      const events = lines.map((line) => JSON.parse(line) as Event);
      await send(events);
      return { records: events.length };
    },
  };
}

function toRecord({ metric_name, metadata, data }: Event): object {
  const { tenant_id: _, ...dimensions } = metadata;
  const { event_time, ...measures } = data;
  return {
    Dimensions: Object.entries(dimensions).map(([Name, Value]) => ({ Name, Value })),
    MeasureName: metric_name,
    MeasureValueType: "MULTI",
    MeasureValues: Object.entries(measures).map(([Name, value]) => {
      const Type = typeof value === "number" ? "DOUBLE" : typeof value === "boolean" ? "BOOLEAN" : "VARCHAR";
      return { Name, Value: String(value), Type };
    }),
    Time: String(Date.parse(event_time)),
    TimeUnit: "MILLISECONDS",
  };
}

function toTrack({ metric_name, metadata, data }: Event): object {
  const { tenant_id, event_id, user_id, tenant_name, environment } = metadata;
  return {
    type: "track",
    messageId: event_id,
    timestamp: data.event_time,
    context: { groupId: tenant_id },
    event: metric_name,
    properties: { ...data, tenant_id, tenant_name, environment },
    userId: user_id,
  };
}

function toImport({ metric_name, metadata, data }: Event): object {
  const { tenant_id, event_id, user_id, ...dimensions } = metadata;
  const { event_time, ...measures } = data;
  return {
    event: metric_name,
    properties: {
      time: Date.parse(event_time),
      distinct_id: user_id,
      $insert_id: event_id,
      company_id: [tenant_id],
      ...dimensions,
      ...measures,
    },
  };
}

function toOccurrence({ metric_name, metadata, data }: Event): object {
  const { event_id, ...dimensions } = metadata;
  const { event_time, ...measures } = data;
  const properties: Record<string, string> = dimensions;
  for (const [name, value] of Object.entries(measures)) properties[name] = String(value);
  return { uuid: event_id, eventName: metric_name, occurredAt: event_time, properties };
}

function signed(body: string): Record<string, string> {
  const date = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
  const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
  const hmac = (key: string | Buffer, text: string) => createHmac("sha256", key).update(text).digest();
  const scope = `${date.slice(0, 8)}/us-east-1/timestream/aws4_request`;
  const target = "Timestream_20181101.WriteRecords";
  const canonical = `POST\n/\n\nhost:bench\nx-amz-date:${date}\nx-amz-target:${target}\n\nhost;x-amz-date;x-amz-target\n${sha256(body)}`;
  const key = scope.split("/").reduce<string | Buffer>(hmac, "AWS4bench");
  const signature = hmac(key, `AWS4-HMAC-SHA256\n${date}\n${scope}\n${sha256(canonical)}`).toString("hex");
  return {
    "content-type": "application/x-amz-json-1.0",
    "x-amz-date": date,
    "x-amz-target": target,
    authorization: `AWS4-HMAC-SHA256 Credential=bench/${scope}, SignedHeaders=host;x-amz-date;x-amz-target, Signature=${signature}`,
  };
}

function* chunks<T>(all: readonly T[], size: number): Generator<T[]> {
  for (let at = 0; at < all.length; at += size) yield all.slice(at, at + size);
}
