// What one object, and one run of a replayer with nothing to do, ask of AWS: counted in the one world.
import type { Topology } from "../../infra/pipeline.ts";
import { generateObjects } from "../../samples/generate.ts";
import { sinkNames } from "../support/vendors.ts";
import { pointsIn } from "./cloudwatch.ts";
import { synthesise } from "./synthesised.ts";
import { createWorld, storedAt, type World } from "./world/world.ts";

export interface Counted {
  /** Of one object, over all workers of the topology: PUT and LIST, then GET and HEAD. */
  readonly objectWrites: number;
  readonly objectReads: number;
  /** Of one run of all replayers with nothing that waits: LISTs. */
  readonly idleReplayWrites: number;
  /** Of one run of the reconciler over a day of one object. */
  readonly reconcileWrites: number;
  /** Bytes of log that one object makes, over all workers. */
  readonly objectLogBytes: number;
  /** Custom metrics: each name with its dimensions is one. */
  readonly metrics: number;
  readonly alarms: number;
  readonly compositeAlarms: number;
}

/** Large enough that heads of requests, and what gzip learns first, do not count; a minute's object has three times as many. */
const manyEvents = 1_500;

/** Bytes that leave AWS for each vendor, an event. */
export async function countSent(): Promise<
  Readonly<Record<"segment" | "mixpanel" | "hubspot-events", number>>
> {
  // Timestream is within AWS, and would make a table for each tenant first.
  const sinks = sinkNames.filter((name) => name !== "timestream");
  const world = await createWorld(synthesise({ topology: "single", sinks }));
  try {
    const options = { records: manyEvents, tenants: 20, objects: 1, faultsOfEachKind: 0, seed: 1 };
    for (const { key, bytes } of generateObjects({ now: Date.now(), ...options }).objects) {
      world.deliver(key, bytes);
    }
    await world.run();
    const { bytes } = world.vendors;
    const share = (sink: keyof typeof bytes) => Math.round(bytes[sink] / storedAt(world, sink).ids);
    return {
      segment: share("segment"),
      mixpanel: share("mixpanel"),
      "hubspot-events": share("hubspot-events"),
    };
  } finally {
    await world.close();
  }
}

export async function count(topology: Topology): Promise<Counted> {
  const made = synthesise({ topology, sinks: sinkNames });
  const world = await createWorld(made);
  try {
    const story = (seed: number) =>
      generateObjects({ now: Date.now(), records: 60, tenants: 3, objects: 1, faultsOfEachKind: 0, seed })
        .objects;
    const deliver = async (seed: number) => {
      for (const { key, bytes } of story(seed)) world.deliver(key, bytes);
      await world.run();
    };
    // The first one meets cold functions, and makes tables.
    await deliver(1);
    await world.replay();
    const object = await asked(world, () => deliver(2));
    const replay = await asked(world, () => world.replay());
    const reconcile = await asked(world, () => world.reconcile());
    await world.invoke(/Transform/, { records: [] });
    const metrics = new Set(
      world.lines.flatMap(pointsIn).map(({ name, dimensions }) => JSON.stringify([name, dimensions])),
    );
    const countOf = (type: string) => made.resources.filter((each) => each.type === type).length;
    return {
      objectWrites: object.writes,
      objectReads: object.reads,
      idleReplayWrites: replay.writes,
      reconcileWrites: reconcile.writes,
      objectLogBytes: object.logBytes,
      metrics: metrics.size,
      alarms: countOf("AWS::CloudWatch::Alarm"),
      compositeAlarms: countOf("AWS::CloudWatch::CompositeAlarm"),
    };
  } finally {
    await world.close();
  }
}

/** Requests to S3 that cost: deletions are free. https://aws.amazon.com/s3/pricing/ */
async function asked(world: World, act: () => Promise<unknown>) {
  const [requests, lines] = [world.asked.length, world.lines.length];
  await act();
  const actions = world.asked.slice(requests).map(({ action }) => action);
  const number = (pattern: RegExp) => actions.filter((action) => pattern.test(action)).length;
  return {
    writes: number(/^s3:(PutObject|ListBucket)/),
    reads: number(/^s3:GetObject/),
    logBytes: world.lines.slice(lines).reduce((sum, line) => sum + line.length, 0),
  };
}
