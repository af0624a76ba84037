// All functions of a deployment meet: one store, the template's queues, each function under its own role's rights, in
// every order that matters. The judge counts at the vendors.
import { App } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { AdoptionStack } from "../../infra/adoption.ts";
import type { Topology } from "../../infra/pipeline.ts";
import { fieldsOf, resourcesOf } from "../../infra/template.ts";
import { generateObjects } from "../../samples/generate.ts";
import { reconcilerMetrics } from "../../src/lambda/reconciler.ts";
import type { Fault } from "../../src/testing/index.ts";
import { breakBody, s3Refusal } from "../support/s3-twin.ts";
import { type SinkName, sinkNames } from "../support/vendors.ts";
import { type Synthesised, synthesise } from "./synthesised.ts";
import { createWorld, storedAt, type World } from "./world/world.ts";

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

const made = new Map<string, Synthesised>();
const template = (topology: Topology, sinks: readonly string[] = sinkNames): Synthesised => {
  const name = JSON.stringify([topology, sinks]);
  const known = made.get(name) ?? synthesise({ topology, sinks });
  made.set(name, known);
  return known;
};

const story = (objects: number, { records = 60, seed = 1 } = {}) =>
  generateObjects({ now: Date.now(), records, tenants: 3, objects, faultsOfEachKind: 1, seed });
type Story = ReturnType<typeof story>;

/** Refused by every vendor at once, as a wrong credential is. */
const denied: Fault = { kind: "status", status: 403, body: '{"__type":"AccessDeniedException"}' };

/** What a vendor must hold of a story: it refuses one kind of record itself. */
function expected({ truth }: Story, sink: SinkName): number {
  const { "odd-tenant": odd, "long-value": long } = truth.byKind;
  return truth.valid - (sink === "timestream" ? odd : sink === "hubspot-events" ? long : 0);
}

function deliver(world: World, { objects }: Story): readonly (readonly [string, string])[] {
  return objects.map(({ key, bytes }) => [key, world.deliver(key, bytes)] as const);
}

const rows: string[] = [];
const open: World[] = [];

async function begin(template: Synthesised, options: Parameters<typeof createWorld>[1] = {}): Promise<World> {
  const world = await createWorld(template, options);
  open.push(world);
  return world;
}

/** What nobody was allowed to do, and what failed. */
const deniedIn = ({ asked }: World) => [
  ...new Set(
    asked
      .filter(({ allowed }) => !allowed)
      .map(({ principal, action, resource }) => `${principal.split("/").at(-1)}: ${action} ${resource}`),
  ),
];
const waitingIn = (world: World) => ({
  messages: [...world.queues.values()].reduce((sum, { messages }) => sum + messages.size, 0),
  deferrals: world.s3.keys(world.books, "receipts/deferrals/").length,
});

function judge(
  world: World,
  stories: readonly Story[],
  sinks: readonly SinkName[] = sinkNames,
  missing: Partial<Record<SinkName, number>> = {},
) {
  for (const sink of sinks) {
    const want = stories.reduce((sum, each) => sum + expected(each, sink), 0) - (missing[sink] ?? 0);
    expect({ sink, ...storedAt(world, sink) }).toEqual({ sink, ids: want, twice: 0 });
  }
  expect(deniedIn(world)).toEqual([]);
}

function tell(world: World, topology: Topology): void {
  const stored = sinkNames.map((sink) => storedAt(world, sink));
  const { messages, deferrals } = waitingIn(world);
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  rows.push(
    [
      expect.getState().currentTestName?.split(" > ").at(-1),
      topology,
      sum(stored.map(({ ids }) => ids)),
      sum(stored.map(({ twice }) => twice)),
      deniedIn(world).length,
      `${messages} messages, ${deferrals} deferrals`,
    ].join(" | "),
  );
}

/** Letters of invalid records that receipts count, over all objects. */
function invalidCounted(world: World): number {
  const last = new Map<string, unknown>();
  for (const key of world.s3.keys(world.books, "receipts/books/")) {
    const [, object] = /^(.*)\/_intake\/\d+\.receipt\.json$/.exec(key) ?? [];
    if (object !== undefined) last.set(object, JSON.parse(String(world.s3.get(world.books, key))));
  }
  return [...last.values()].reduce<number>(
    (sum, each) => sum + Number(fieldsOf(fieldsOf(each)["counts"])["deadLettered"]),
    0,
  );
}

/** Objects that no receipt knows, as the reconciler counts them. */
async function unknownCounted(world: World): Promise<number> {
  const before = world.lines.length;
  for (const { thrown } of await world.reconcile()) expect(thrown).toBeUndefined();
  const [counted] = world.lines
    .slice(before)
    .filter((line) => line.includes(`"${reconcilerMetrics.unknown}":`))
    .map((line) => fieldsOf(JSON.parse(line))[reconcilerMetrics.unknown]);
  // Where there is none, no figure is written.
  return Number(counted ?? 0);
}

/** The suite of one topology; each has a file of its own, so that both run at once. */
export function describeWorld(topology: Topology): void {
  // Seconds of a core, which a busy machine may not have at once.
  beforeAll(() => void template(topology), 60_000);
  afterEach(async () => {
    for (const world of open.splice(0)) await world.close();
  });
  afterAll(() => {
    const head = "scenario | topology | delivered | twice | denied | waiting";
    process.stdout.write(`\n${[head, ...rows].join("\n")}\n`);
  });

  test("all workers begin at once with six objects", async () => {
    const world = await begin(template(topology));
    const all = story(6, { records: 120 });
    deliver(world, all);
    await world.run();
    judge(world, [all]);
    expect(waitingIn(world)).toEqual({ messages: 0, deferrals: 0 });
    expect(invalidCounted(world)).toBe(all.truth.invalid);
    // Letters wait, and every replayer counts them.
    for (const { thrown } of await world.replay()) expect(thrown).toBeUndefined();
    const gauges = world.lines.filter((line) => line.includes('"WaitingDeadLetters":'));
    const count = (sink: string) =>
      Math.max(
        ...gauges
          .map((line) => fieldsOf(JSON.parse(line)))
          .filter((each) => each["Sink"] === sink)
          .map((each) => Number(each["WaitingDeadLetters"])),
      );
    expect(count("_intake")).toBe(all.truth.invalid);
    expect(count("timestream")).toBe(all.truth.byKind["odd-tenant"]);
    expect(count("hubspot-events")).toBe(all.truth.byKind["long-value"]);
    tell(world, topology);
  });

  test("one worker is late by six hours, after all others have their receipts, and a notification comes again", async () => {
    const world = await begin(template(topology));
    const all = story(3);
    if (topology === "per-sink") world.paused.add("mixpanel");
    const objects = deliver(world, all);
    await world.run();
    world.advance(6 * hour);
    world.paused.clear();
    await world.run();
    // S3 tells of an object once more, after all its receipts exist.
    for (const [key, version] of objects) world.notifyAgain(key, version);
    await world.run();
    judge(world, [all]);
    expect(waitingIn(world)).toEqual({ messages: 0, deferrals: 0 });
    tell(world, topology);
  });

  test("every vendor is down for three days, and drained afterwards", async () => {
    const down = sinkNames;
    const world = await begin(template(topology));
    const all = story(2);
    for (const sink of down) world.vendors.faults[sink] = denied;
    deliver(world, all);
    await world.run();
    for (const sink of down) expect(storedAt(world, sink).ids).toBe(0);
    await world.replay();
    world.advance(3 * day);
    for (const sink of down) delete world.vendors.faults[sink];
    for (const { thrown } of await world.replay()) expect(thrown).toBeUndefined();
    judge(world, [all]);
    expect(waitingIn(world)).toEqual({ messages: 0, deferrals: 0 });
    tell(world, topology);
  });

  test("an object that breaks off waits for every lane, and all replayers at once take it up", async () => {
    const world = await begin(template(topology));
    const all = story(1, { records: 1_200 });
    // S3 breaks the object's body off after 8 KB, and the rest of it cannot be had.
    world.s3Fault = async (request, usual) => {
      const isObject = new URL(request.url).pathname.startsWith(`/${world.data}/Data`);
      if (!isObject || request.method !== "GET") return await usual();
      if (request.headers.has("range")) return slowDown();
      return await breakBody(await usual(), 8_192, "cut");
    };
    deliver(world, all);
    await world.run();
    const lanes = [...sinkNames, "_intake"];
    expect(waitingIn(world)).toEqual({ messages: 0, deferrals: lanes.length });
    delete world.s3Fault;
    // All replayers meet at the invalid records: one gets them, and for the others they stay.
    for (let attempt = 1; attempt <= 2; attempt++) {
      world.advance(day);
      for (const { thrown } of await world.replay()) expect(thrown).toBeUndefined();
    }
    judge(world, [all]);
    expect(waitingIn(world)).toEqual({ messages: 0, deferrals: 0 });
    expect(invalidCounted(world)).toBe(all.truth.invalid);
    tell(world, topology);
  });

  test("a failure that passes costs seconds, and no message the half hour of its queue", async () => {
    const world = await begin(template(topology));
    const all = story(1);
    world.s3Fault = async (request, usual) =>
      request.method === "PUT" && request.url.includes(".receipt.json") ? slowDown() : await usual();
    deliver(world, all);
    await world.run();
    delete world.s3Fault;
    expect(waitingIn(world).messages).toBe(world.workers);
    world.advance(20_000);
    await world.run();
    // Vendors have what was sent before the receipts failed; it is sent once more, with the same ids.
    expect(waitingIn(world)).toEqual({ messages: 0, deferrals: 0 });
    expect(deniedIn(world)).toEqual([]);
    expect(invalidCounted(world)).toBe(all.truth.invalid);
    tell(world, topology);
  });

  test("a sink is removed by a redeployment, while it had receipts of every object", async () => {
    const world = await begin(template(topology));
    const [before, after] = [story(2), story(2, { seed: 2 })];
    const objects = deliver(world, before);
    await world.run();
    const left = sinkNames.filter((name) => name !== "segment");
    await world.redeploy(template(topology, left));
    for (const [key, version] of objects) world.notifyAgain(key, version);
    deliver(world, after);
    await world.run();
    await world.replay();
    judge(world, [before, after], left);
    judge(world, [before], ["segment"]);
    tell(world, topology);
  });

  test("a sink is added by a redeployment, and gets the older objects from a notification that comes again", async () => {
    const first = sinkNames.filter((name) => name !== "segment");
    const world = await begin(template(topology, first));
    const [before, after] = [story(2), story(2, { seed: 2 })];
    const objects = deliver(world, before);
    await world.run();
    await world.redeploy(template(topology));
    deliver(world, after);
    for (const [key, version] of objects) world.notifyAgain(key, version);
    await world.run();
    judge(world, [before, after]);
    expect(waitingIn(world)).toEqual({ messages: 0, deferrals: 0 });
    tell(world, topology);
  });

  test("the stack is destroyed and deployed again with its leftovers: receipts hold, and what waits is drained", async () => {
    const world = await begin(template(topology));
    const [before, waiting, after] = [story(2), story(1, { seed: 2 }), story(2, { seed: 3 })];
    const unheard = story(1, { seed: 4 });
    const objects = deliver(world, before);
    await world.run();
    // Vendors are down when the stack goes: everything of this object waits.
    for (const sink of sinkNames) world.vendors.faults[sink] = denied;
    deliver(world, waiting);
    await world.run();
    expect(waitingIn(world).deferrals).toBeGreaterThanOrEqual(sinkNames.length);
    // The queues go with what they hold.
    const late = deliver(world, unheard);
    const { data, books } = world;
    await world.destroy();
    for (const sink of sinkNames) delete world.vendors.faults[sink];
    world.advance(day);

    const app = new App({ analyticsReporting: false });
    const adoption = new AdoptionStack(app, "fanout", { data, books });
    world.cloud.import(resourcesOf(Template.fromStack(adoption).toJSON()), adoption.mapping);
    await world.redeploy(template(topology));
    expect([world.data, world.books]).toEqual([data, books]);
    // The new workers hear of old objects again, and the new replayers find what the old ones left.
    for (const [key, version] of objects) world.notifyAgain(key, version);
    await world.run();
    for (const { thrown } of await world.replay()) expect(thrown).toBeUndefined();
    // S3 tells of new objects again.
    deliver(world, after);
    await world.run();
    judge(world, [before, waiting, after]);
    // The new reconciler counts what the old queues took with them; somebody runs it again.
    expect(await unknownCounted(world)).toBe(1);
    for (const [key, version] of late) world.notifyAgain(key, version);
    await world.run();
    const all = [before, waiting, after, unheard];
    judge(world, all);
    expect(await unknownCounted(world)).toBe(0);
    expect(waitingIn(world)).toEqual({ messages: 0, deferrals: 0 });
    // The letters of then are counted now.
    expect(invalidCounted(world)).toBe(all.reduce((sum, { truth }) => sum + truth.invalid, 0));
    tell(world, topology);
  });

  test("credentials are rotated while functions run: workers and replayers find the new ones by themselves", async () => {
    const world = await begin(template(topology));
    const [before, after] = [story(1), story(1, { seed: 2 })];
    const rotated = ["segment", "mixpanel", "hubspot-events"] as const;
    deliver(world, before);
    await world.run();
    for (const sink of rotated) world.vendors.rotate(sink);
    deliver(world, after);
    await world.run();
    // Within the very request that found it: nothing waited.
    judge(world, [before, after]);
    expect(waitingIn(world)).toEqual({ messages: 0, deferrals: 0 });

    // While a vendor is down, something waits for its replayer, which then meets the next credentials.
    const last = story(1, { seed: 3 });
    world.vendors.faults.mixpanel = { kind: "status", status: 403, body: "{}" };
    deliver(world, last);
    await world.run();
    await world.replay();
    delete world.vendors.faults.mixpanel;
    world.advance(day);
    world.vendors.rotate("mixpanel");
    for (const { thrown } of await world.replay()) expect(thrown).toBeUndefined();
    judge(world, [before, after, last]);
    expect(waitingIn(world)).toEqual({ messages: 0, deferrals: 0 });
    // A vendor that is down for hours is no reason to ask for its secret with every object.
    const asked = world.asked.filter(({ action }) => action === "secretsmanager:GetSecretValue").length;
    expect(asked).toBeLessThanOrEqual(topology === "per-sink" ? 14 : 18);
    expect(world.lines.join("\n")).not.toMatch(/token-rotated|key-rotated/);
    tell(world, topology);
  });

  test("the buckets keep versions", async () => {
    const world = await begin(template(topology), { versioning: true });
    const all = story(2);
    world.vendors.faults.mixpanel = denied;
    deliver(world, all);
    await world.run();
    world.advance(day);
    delete world.vendors.faults.mixpanel;
    await world.replay();
    judge(world, [all]);
    expect(waitingIn(world)).toEqual({ messages: 0, deferrals: 0 });
    // Receipts are named by version ids, which the reconciler's listing must know.
    expect(await unknownCounted(world)).toBe(0);
    tell(world, topology);
  });
}

function slowDown(): Response {
  const { status, headers, body } = s3Refusal(503, "SlowDown");
  return new Response(body ?? null, { status, headers: headers ?? {} });
}
