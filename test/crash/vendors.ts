// The four vendors' twins with a ledger: which record arrived when, from which process, under which id, as what bytes.

import * as z from "zod";
import { createHubspotTwin } from "../../adapters/hubspot/twin.ts";
import { createMixpanelTwin } from "../../adapters/mixpanel/twin.ts";
import { createSegmentTwin } from "../../adapters/segment/twin.ts";
import { createTimestreamTwin } from "../../adapters/timestream/twin.ts";
import { resetConnection, serveTwin, type Twin } from "../../src/testing/index.ts";
import { requestText } from "../support/bodies.ts";
import { markField } from "./objects.ts";

export const sinkNames = ["timestream", "segment", "mixpanel", "hubspot-events"] as const;
export type SinkName = (typeof sinkNames)[number];

/** One record in one request. */
export interface Arrival {
  /** Counts all requests of the world, from 1. */
  readonly request: number;
  /** When, by the world's count of events. */
  readonly at: number;
  /** The process that sent it. */
  readonly run: number;
  readonly sink: SinkName;
  readonly mark: string;
  readonly id: string;
  /** What the vendor would keep, without what belongs to the request (Segment's `sentAt`). */
  readonly payload: string;
  /** The vendor had stored it before this request. */
  readonly wasStored: boolean;
  /** The process was told that the vendor has it. */
  confirmed: boolean;
}

/** A moment in a request that a kill can be bound to. */
export interface RequestEvent {
  readonly sink: SinkName;
  /** Read by the vendor and nothing stored, or stored and not yet answered. */
  readonly phase: "arrived" | "stored";
  /** The sinks that have answered this process so far. */
  readonly answered: ReadonlySet<SinkName>;
}

export interface ServeOptions {
  readonly run: number;
  /** Refuses every request with 401, and keeps no ledger of them. */
  readonly down?: SinkName | undefined;
  /** What it returns is waited for; the request is then cut off, as the process is dead. */
  readonly onRequest?: ((event: RequestEvent) => Promise<void> | undefined) | undefined;
}

export interface Served {
  readonly env: Readonly<Record<string, string>>;
  /** Lets requests under way end, and closes. */
  close(): Promise<void>;
}

export interface Vendors {
  readonly twins: Readonly<Record<SinkName, Twin>>;
  readonly ledger: readonly Arrival[];
  /** Serves the same vendors on ports of their own, so that a request tells which process sent it. */
  serve(options: ServeOptions): Promise<Served>;
}

/** @param tick Counts one event of the world. */
export function createVendors(tick: () => number): Vendors {
  const twins = {
    timestream: createTimestreamTwin(),
    segment: createSegmentTwin(),
    mixpanel: createMixpanelTwin(),
    "hubspot-events": createHubspotTwin(),
  };
  const ledger: Arrival[] = [];
  let requests = 0;

  const serve = async ({ run, down, onRequest }: ServeOptions): Promise<Served> => {
    const answered = new Set<SinkName>();
    const underWay = new Set<Promise<unknown>>();

    const answer = async (sink: SinkName, request: Request): Promise<Response> => {
      if (sink === down) return Response.json({}, { status: 401 });
      const { stored, handle } = twins[sink];
      const at = tick();
      requests++;
      const items = itemsOf[sink](await requestText(request), request.headers);
      const arrivals = items.map(
        (item): Arrival => ({
          ...item,
          request: requests,
          at,
          run,
          sink,
          wasStored: stored.has(item.id),
          confirmed: false,
        }),
      );
      const tell = async (phase: RequestEvent["phase"]) => {
        const hold = onRequest?.({ sink, phase, answered });
        if (hold === undefined) return;
        await hold;
        throw resetConnection();
      };
      await tell("arrived");
      ledger.push(...arrivals);
      const response = await handle(request);
      if (!response.ok) return response;
      await tell("stored");
      for (const arrival of arrivals) arrival.confirmed = true;
      answered.add(sink);
      return response;
    };

    const open = (sink: SinkName) =>
      serveTwin((request) => {
        const work = answer(sink, request);
        const done = work.catch(() => {}).finally(() => underWay.delete(done));
        underWay.add(done);
        return work;
      });
    const served = {
      timestream: await open("timestream"),
      segment: await open("segment"),
      mixpanel: await open("mixpanel"),
      hubspot: await open("hubspot-events"),
    };
    return {
      env: {
        AWS_REGION: "us-east-1",
        AWS_ACCESS_KEY_ID: "test",
        AWS_SECRET_ACCESS_KEY: "test",
        TIMESTREAM_DATABASE: "product",
        AWS_ENDPOINT_URL_TIMESTREAM_WRITE: served.timestream.url,
        SEGMENT_WRITE_KEY: "key",
        SEGMENT_HOST: served.segment.url,
        MIXPANEL_TOKEN: "token",
        MIXPANEL_HOST: served.mixpanel.url,
        HUBSPOT_ACCESS_TOKEN: "token",
        HUBSPOT_BASE_URL: served.hubspot.url,
      },
      close: async () => {
        await Promise.all(underWay);
        await Promise.all(Object.values(served).map((each) => each.close()));
      },
    };
  };

  return { twins, ledger, serve };
}

// ── what a request carries ──────────────────────────────────────────────────────────────────────────────────

type Item = Pick<Arrival, "mark" | "id" | "payload">;

/** A list of whatever `shape` reads as mark and id, each with its own bytes as they came. */
function items<T>(shape: z.ZodType<T>, read: (value: T) => Omit<Item, "payload">) {
  return z.array(
    z.unknown().transform((value): Item => ({ ...read(shape.parse(value)), payload: JSON.stringify(value) })),
  );
}

const marked = z.object({ [markField]: z.string() });
const segmentBody = z.object({
  batch: items(z.object({ messageId: z.string(), properties: marked }), ({ messageId, properties }) => ({
    mark: properties[markField],
    id: messageId,
  })),
});
const mixpanelBody = items(
  z.object({ properties: marked.extend({ $insert_id: z.string() }) }),
  ({ properties }) => ({ mark: properties[markField], id: properties.$insert_id }),
);
const hubspotBody = z.object({
  inputs: items(z.object({ uuid: z.string(), properties: marked }), ({ uuid, properties }) => ({
    mark: properties[markField],
    id: uuid,
  })),
});
const pairs = z.array(z.looseObject({ Name: z.string(), Value: z.string() })).default([]);
const timestreamBody = z.object({
  TableName: z.string(),
  CommonAttributes: z.looseObject({ Dimensions: pairs }),
  Records: z.array(z.looseObject({ Dimensions: pairs, MeasureValues: pairs })),
});

const itemsOf: Readonly<Record<SinkName, (body: string, headers: Headers) => readonly Item[]>> = {
  timestream: (body, headers) => {
    if (headers.get("x-amz-target") !== "Timestream_20181101.WriteRecords") return [];
    const { TableName, CommonAttributes, Records } = timestreamBody.parse(JSON.parse(body));
    return Records.map((record) => {
      // What all records of a request share stands once in it: which fields those are is no property of a record.
      const Dimensions = [...CommonAttributes.Dimensions, ...record.Dimensions].sort((a, b) =>
        a.Name < b.Name ? -1 : 1,
      );
      const whole = Object.entries({ TableName, ...CommonAttributes, ...record, Dimensions });
      return {
        mark: named(record.MeasureValues, markField),
        id: named(Dimensions, "event_id"),
        payload: JSON.stringify(whole.sort(([a], [b]) => (a < b ? -1 : 1))),
      };
    });
  },
  segment: (body) => segmentBody.parse(JSON.parse(body)).batch,
  mixpanel: (body) => mixpanelBody.parse(JSON.parse(body)),
  "hubspot-events": (body) => hubspotBody.parse(JSON.parse(body)).inputs,
};

function named(list: readonly { readonly Name: string; readonly Value: string }[], name: string): string {
  const value = list.find(({ Name }) => Name === name)?.Value;
  if (value === undefined) throw new Error(`a Timestream record without ${name}`);
  return value;
}
