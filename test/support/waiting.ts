// Worlds in which something waits: letters that a sink refused, invalid records, a sink that is down.
import type { Outcome } from "../../src/delivery/sink.ts";
import { sinkUnavailable } from "../../src/delivery/sink.ts";
import { createWorld, delivered, type ScriptedSink, scriptedSink, type World } from "./world.ts";

export const refusal = { status: "rejected", reason: "the plan has no such event", code: "NO_PLAN" } as const;

/** Refuses the records whose ids the test names, each for itself. */
export function refuse(sink: ScriptedSink, isRefused: (id: string) => boolean): ScriptedSink {
  sink.reply = ({ items }) =>
    items.map(({ payload }): Outcome => (isRefused(payload.id) ? refusal : delivered));
  return sink;
}

export function takeAll(sink: ScriptedSink): ScriptedSink {
  sink.reply = () => delivered;
  return sink;
}

export function breakDown(sink: ScriptedSink): ScriptedSink {
  sink.reply = () => {
    throw sinkUnavailable(`${sink.name} is closed`);
  };
  return sink;
}

export interface Waiting {
  readonly world: World;
  readonly a: ScriptedSink;
  readonly b: ScriptedSink;
  /** Delivers every object once more, for what is pending. */
  readonly run: () => Promise<void>;
}

const hour = 60 * 60_000;

/**
 * Three objects of ten events and one invalid record: sink `a` refused every third event, sink `b` was down. An hour
 * has passed since.
 */
export async function somethingWaits(objects = 3): Promise<Waiting> {
  const world = createWorld();
  const keys = Array.from({ length: objects }, (_, index) => `object-${index}`);
  for (const [number, key] of keys.entries()) {
    world.putEvents(key, 10, (index) => ({
      metadata: { tenant_id: `tenant-${index % 3}`, event_id: `e${number}-${index}` },
    }));
    const object = world.source.objects.get(key);
    if (object === undefined) throw new Error("the object of this test is not there");
    const bytes = Buffer.concat([object.bytes, Buffer.from('{"metric_name": 7}\n')]);
    world.source.objects.set(key, { ...object, bytes });
  }
  const a = refuse(scriptedSink("a"), (id) => Number(id.split("-")[1]) % 3 === 0);
  const b = breakDown(scriptedSink("b"));
  const run = async () => {
    const worker = world.worker([a, b]);
    for (const key of keys) await world.clock.run(worker.process({ bucket: "source", key }));
  };
  await run();
  await world.clock.run(world.clock.sleep(hour));
  a.requests.length = 0;
  b.requests.length = 0;
  return { world, a, b, run };
}
