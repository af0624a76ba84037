// Plain good code for one vendor: it knows how to be fast, and nothing of retries, limits, accounting or broken records.
import { readFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { gunzipSync } from "node:zlib";
import type { Contender, Order } from "../contender.ts";

/** Mixpanel's: 2,000 events, 2 MB. */
const eventsPerRequest = 2000;
const bytesPerRequest = 2 * 1024 * 1024;

interface Record {
  readonly metric_name: string;
  readonly metadata: {
    readonly tenant_id: string;
    readonly event_id: string;
    readonly user_id: string;
    readonly [field: string]: unknown;
  };
  readonly data: { readonly event_time: string; readonly [field: string]: unknown };
}

export default async function plainMixpanel({ file, urls }: Order): Promise<Contender> {
  const stored = await readFile(file);
  const agent = new Agent({ keepAlive: true });
  const url = `${urls.mixpanel}/import?strict=1`;
  const headers = { authorization: "Basic YmVuY2g6", "content-type": "application/json" };

  const post = (body: string) =>
    new Promise<void>((resolve, reject) => {
      const outgoing = request(url, { method: "POST", headers, agent }, (incoming) => {
        incoming.resume();
        incoming.on("end", () => (incoming.statusCode === 200 ? resolve() : reject(new Error("refused"))));
      });
      outgoing.on("error", reject);
      outgoing.end(body);
    });

  return {
    async round() {
      const lines = gunzipSync(stored).toString("utf8").split("\n");
      let records = 0;
      let events: string[] = [];
      let length = 0;
      for (const line of lines) {
        if (line === "") continue;
        const event = JSON.stringify(toEvent(JSON.parse(line)));
        records++;
        // Counted in characters, with room for those that take several bytes.
        if (events.length === eventsPerRequest || length + event.length > bytesPerRequest * 0.95) {
          await post(`[${events.join(",")}]`);
          events = [];
          length = 0;
        }
        events.push(event);
        length += event.length + 1;
      }
      await post(`[${events.join(",")}]`);
      return { records };
    },
  };
}

function toEvent({ metric_name, metadata, data }: Record): object {
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
