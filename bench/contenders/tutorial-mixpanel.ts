// The handler of a tutorial: `for each record, pRetry(() => fetch(…))`, all at once, and allSettled tells what failed.
import { readFile } from "node:fs/promises";
import { gunzipSync } from "node:zlib";
import pRetry from "p-retry";
import type { Contender, Order } from "../contender.ts";

/** What a queue hands to a Lambda function at once, in many tutorials. */
const recordsAtOnce = 10;

export default async function tutorialMixpanel({ file, urls }: Order): Promise<Contender> {
  const stored = await readFile(file);
  const send = async (line: string) => {
    const { metric_name, metadata, data } = JSON.parse(line);
    const response = await fetch(`${urls.mixpanel}/import?strict=1`, {
      method: "POST",
      headers: { authorization: "Basic YmVuY2g6", "content-type": "application/json" },
      body: JSON.stringify([
        {
          event: metric_name,
          properties: {
            ...metadata,
            ...data,
            time: Date.parse(data.event_time),
            distinct_id: metadata.user_id,
            $insert_id: metadata.event_id,
          },
        },
      ]),
    });
    if (!response.ok) throw new Error(`Mixpanel answered ${response.status}`);
    await response.json();
  };
  return {
    async round() {
      const lines = gunzipSync(stored).toString("utf8").trimEnd().split("\n");
      for (let at = 0; at < lines.length; at += recordsAtOnce) {
        const results = await Promise.allSettled(
          lines.slice(at, at + recordsAtOnce).map((line) => pRetry(() => send(line), { retries: 3 })),
        );
        if (results.some(({ status }) => status === "rejected")) throw new Error("a record was refused");
      }
      return { records: lines.length };
    },
  };
}
