// A store over the S3 twin on a real socket, with faults in between.
import { S3Client, type S3ClientConfig } from "@aws-sdk/client-s3";
import { afterEach } from "vitest";
import type { ObjectStore } from "../../src/store/object-store.ts";
import { s3Store } from "../../src/store/s3.ts";
import { injectFaults, type NextFault } from "../../src/testing/faults.ts";
import { serveTwin } from "../../src/testing/twin.ts";
import { createS3Twin, type S3Twin, type S3TwinOptions } from "../support/s3-twin.ts";
import { type ManualClock, manualClock } from "./suite.ts";

/** What ends with the test that began it. */
export const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

export interface World {
  readonly store: ObjectStore;
  readonly twin: S3Twin;
  /** S3's. */
  readonly clock: ManualClock;
  /** By which the store waits. */
  readonly waits: ManualClock;
  readonly client: S3Client;
  readonly url: string;
  /** `METHOD /path` of every request that arrived. */
  readonly requests: string[];
}

export interface WorldOptions extends S3TwinOptions {
  /** How often the client sends a request. Default 1. */
  readonly attempts?: number;
  /** The client's. Default none. */
  readonly socketTimeout?: number;
  /** Goes wrong in the twin's place, or around it. */
  readonly faults?: NextFault;
  /** Changes what the twin answered. */
  readonly change?: (response: Response, request: Request) => Response | Promise<Response>;
}

export async function world(options: WorldOptions = {}): Promise<World> {
  const { faults = () => undefined, change = (response) => response } = options;
  const clock = manualClock();
  // Another day for whoever asks the store's own clock for the time of S3.
  const waits = manualClock(0);
  const twin = createS3Twin({ clock, ...options });
  const requests: string[] = [];
  const served = await serveTwin(
    injectFaults(
      async (request) => await change(await twin.handle(request), request),
      (request, n) => {
        requests.push(`${request.method} ${new URL(request.url).pathname}`);
        return faults(request, n);
      },
    ),
  );
  closing.push(served.close);
  const { attempts = 1, socketTimeout } = options;
  const client = clientOf(served.url, {
    maxAttempts: attempts,
    ...(socketTimeout !== undefined && { requestHandler: { socketTimeout } }),
  });
  const store = s3Store({ bucket: "bucket", client, clock: waits });
  return { store, twin, clock, waits, client, url: served.url, requests };
}

export function clientOf(endpoint: string, config: S3ClientConfig = { maxAttempts: 1 }): S3Client {
  const client = new S3Client({
    endpoint,
    region: "eu-west-1",
    credentials: { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "the-secret" },
    ...config,
  });
  closing.push(() => client.destroy());
  return client;
}
