// WriteRecords without the SDK's stack, which takes 450 µs of CPU a request where this takes 200, bodies of 75 KB
// included (docs/performance.md): with a table a tenant, requests are many. The SDK still says who signs, and where
// requests go; test/contract/timestream.test.ts holds that it would send the same.
import { type TimestreamWriteClient, WriteRecordsCommand } from "@aws-sdk/client-timestream-write";
import type { HttpReply, SendContext } from "../../src/index.ts";
import { field } from "./reply.ts";
import { isOff, signed } from "./signature.ts";

/** Requests to `WriteRecords`, by one client of the SDK. */
export interface Writer {
  /**
   * Returns how many records the vendor owns up to.
   *
   * @throws what the SDK would throw: also for a reply that says no.
   */
  write(body: Buffer, context: SendContext): Promise<number>;
}

/** The SDK is asked so often where requests go: it discovers the endpoint anew when the vendor says so. */
const placeLastsMs = 60_000;

export function createWriter(client: TimestreamWriteClient): Writer {
  let place: Place | undefined;
  let skewMs = 0;

  const ask = (signal: AbortSignal, now: number): Place => {
    const asked = { address: addressOf(client, signal), until: now + placeLastsMs, signal };
    // What failed is asked for again.
    asked.address.catch(() => {
      if (place === asked) place = undefined;
    });
    return asked;
  };

  const findAddress = async ({ signal, clock }: SendContext): Promise<Address> => {
    for (;;) {
      const now = clock.now();
      if (place === undefined || now >= place.until) place = ask(signal, now);
      const asked = place;
      try {
        return await asked.address;
      } catch (error) {
        // That another request, which had asked for all of them, ran out of time says nothing of this one.
        if (asked.signal === signal || !asked.signal.aborted) throw error;
      }
    }
  };

  return {
    async write(body, context) {
      const { http, signal, clock } = context;
      const [{ url, host, path }, region, credentials] = await Promise.all([
        findAddress(context),
        client.config.region(),
        client.config.credentials(),
      ]);
      const headers = {
        host,
        "content-type": "application/x-amz-json-1.0",
        "x-amz-target": "Timestream_20181101.WriteRecords",
      };
      const proven = signed({ path, region, credentials, time: clock.now() + skewMs, headers, body });
      // Not signed: what stands between may change it.
      const sent = { ...proven, "user-agent": "firehose-fanout" };
      const reply = await http({ method: "POST", url, headers: sent, body }, signal);
      const wasOff = isOff(proven, reply.headers);
      if (wasOff) skewMs = Date.parse(reply.headers["date"] ?? "") - clock.now();
      return ingested(reply, wasOff);
    },
  };
}

function ingested({ status, headers, body, retryAfterMs }: HttpReply, wasOff: boolean): number {
  let said: unknown;
  try {
    said = JSON.parse(body);
  } catch {
    said = undefined;
  }
  if (status < 300 && said !== undefined) {
    const total = field(field(said, "RecordsIngested"), "Total");
    return typeof total === "number" ? total : 0;
  }
  // https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html#operation-error-serialization
  const unnamed = said === undefined ? "SyntaxError" : "Unknown";
  const type = headers["x-amzn-errortype"] ?? field(said, "__type") ?? field(said, "code") ?? unnamed;
  throw Object.assign(new Error(), {
    name: String(type).split(":")[0]?.split("#").at(-1),
    $metadata: { httpStatusCode: status },
    $response: { retryAfterMs, wasOff },
    RejectedRecords: field(said, "RejectedRecords"),
  });
}

interface Place {
  readonly address: Promise<Address>;
  readonly until: number;
  /** Of the request that has asked. */
  readonly signal: AbortSignal;
}

interface Address {
  readonly url: string;
  readonly host: string;
  readonly path: string;
}

/** Where the SDK would send: what the options, the environment or its discovery of endpoints say. */
async function addressOf(client: TimestreamWriteClient, abortSignal: AbortSignal): Promise<Address> {
  const command = new WriteRecordsCommand({ DatabaseName: "", TableName: "", Records: [] });
  let found: Address | undefined;
  command.middlewareStack.add(
    () => async (args) => {
      // What the steps before have built is an HTTP request with a protocol, a host and a path.
      const { protocol, hostname, port, path } = args.request as Target;
      const host = port === undefined ? hostname : `${hostname}:${port}`;
      found = { url: `${protocol}//${host}${path}`, host, path };
      return { output: { $metadata: {} }, response: {} };
    },
    // Behind the discovery of the endpoint. Nothing is sent.
    { step: "build", priority: "low", name: "writeRecordsAddress" },
  );
  await client.send(command, { abortSignal });
  if (found === undefined) throw new Error("the SDK has no address for WriteRecords");
  return found;
}

interface Target {
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number;
  readonly path: string;
}
