// HubSpot's companies, which cannot be written on a condition: whoever meets there, the newest value stands in the end.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { hubspotCompaniesSink } from "../../adapters/hubspot/index.ts";
import { createHubspotTwin, type HubspotTwin } from "../../adapters/hubspot/twin.ts";
import { hashOf } from "../../src/books/books.ts";
import { addBooks } from "../../src/books/query.ts";
import { coverName } from "../../src/dead-letter/filter.ts";
import { replay } from "../../src/dead-letter/replay.ts";
import { ObjectBusy, type Sink } from "../../src/index.ts";
import { createReplayer } from "../../src/lambda/replayer.ts";
// Workers import it when they first replay, which takes real time: a clock that runs would jump over all of its timers.
import "../../src/letter-run.ts";
import { silent } from "../../src/log.ts";
import type { ObjectStore } from "../../src/store/object-store.ts";
import { type TwinHandler, twinHttp } from "../../src/testing/index.ts";
import type { WorkerOptions } from "../../src/worker.ts";
import { createWorld, eventRecord, type World } from "../support/world.ts";

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
/** A deferral is due a minute after it was made: what is deferred last is not due yet when the first one starts. */
const beforeMs = 45 * second;
/** And is due when the others come. A request may take 30 s, so the first one's is not cut. */
const betweenMs = 20 * second;
const sinkName = "hubspot-companies";
const kinds = ["a worker", "the replayer", "a replay"] as const;
type Kind = (typeof kinds)[number];

beforeEach(() => {
  // The replayer's metrics.
  for (const stream of [process.stdout, process.stderr]) vi.spyOn(stream, "write").mockReturnValue(true);
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** What a party stops at: its write of the company, and whether the write has reached HubSpot by then. */
interface Stop {
  readonly write: "before" | "after";
  readonly reached: Promise<void>;
  goOn(): void;
}

/** Somebody with a process of its own and one object, whose only event sets the company's figure. */
interface Party {
  readonly kind: Kind;
  /** Makes it stop at its next write. */
  stopAtWrite(write?: Stop["write"]): Stop;
  /** From here on it changes nothing any more, anywhere. */
  die(): void;
  /** Does its work, or finds another one at it: until when that one may be, if it says so. */
  comes(): Promise<"done" | { readonly busy: number | undefined }>;
  /** The same work of another process: the notification's next delivery, the next run, the command once more. */
  next(): Party;
}

interface Meeting {
  readonly world: World;
  /** One for each kind; the first has the oldest value, 1, the next one 2. */
  readonly parties: readonly Party[];
  /** The figure that the company shows. */
  shown(): string | undefined;
  /** Fails unless every event is in the books once, and nothing waits. */
  settled(): Promise<{ readonly delivered: number; readonly filtered: number }>;
}

interface MeetingOptions {
  /** Which of them comes first. Default the one with the oldest value. */
  readonly first?: number;
  /** False: the same sink without `limits.writers`. */
  readonly isLeased?: boolean;
}

async function meetingOf(
  order: readonly Kind[],
  { first = 0, isLeased = true }: MeetingOptions = {},
): Promise<Meeting> {
  const world = createWorld();
  const { clock, receipts, deadLetters } = world;
  const twin = createHubspotTwin();
  const stores = { receipts, deadLetters };
  const files = order.map((kind, index) => {
    const key = `${index}-${kind.replace(" ", "-")}`;
    world.putEvents(key, 1, () => figure(index + 1));
    return { kind, key };
  });
  // What a replay is for was refused, since the company was unknown; what the replayer is for found HubSpot closed.
  const attempt = async ({ kind, key }: { readonly kind: Kind; readonly key: string }) => {
    if (kind === "a worker") return;
    const closed: TwinHandler = () => new Response(null, { status: 401 });
    const http = twinHttp(kind === "the replayer" ? closed : twin.handle, clock);
    await clock.run(world.worker([companies(isLeased)], { http }).process({ bucket: "source", key }));
  };
  for (const each of files.filter((_, index) => index === first)) await attempt(each);
  await clock.advance(2 * hour);
  for (const each of files.filter((_, index) => index !== first)) await attempt(each);
  await clock.advance(beforeMs);
  twin.companies.set("acme", { tenant_id: "acme" });

  const partyOf = (kind: Kind, key: string): Party => {
    const process = createProcess(world, twin);
    const sink = companies(isLeased);
    const worker = world.worker([sink], process.options);
    const comes = {
      "a worker": async () => {
        try {
          await worker.process({ bucket: "source", key });
          return "done";
        } catch (error) {
          if (!(error instanceof ObjectBusy)) throw error;
          return { busy: error.until };
        }
      },
      "the replayer": async () => {
        const run = await createReplayer({ ...stores, sinks: [sinkName], clock, createWorker: () => worker });
        const context = { awsRequestId: "r", getRemainingTimeInMillis: () => 15 * minute };
        const { busy, failed, settled } = await run({}, context);
        expect(failed).toBe(0);
        // It drains all that is due, what another replayer has among it.
        return busy > 0 && settled === 0 ? { busy: undefined } : "done";
      },
      "a replay": async () => {
        const info = await world.source.look(key);
        const object = { bucket: world.source.location, key, version: info?.version ?? "" };
        const { busy, failures } = await replay({
          stores: process.stores,
          // As a plan says it: this object's letters, and no others.
          filter: { until: clock.now(), within: new Set([coverName(hashOf(object), sinkName)]) },
          worker,
          sinks: [sinkName],
          id: "replay-1",
          canary: 0.01,
          maxFailures: Number.POSITIVE_INFINITY,
          clock,
          signal: new AbortController().signal,
          log: silent,
        });
        expect(failures).toEqual([]);
        return busy > 0 ? { busy: undefined } : "done";
      },
    } as const;
    return { kind, ...process, comes: comes[kind], next: () => partyOf(kind, key) };
  };

  return {
    world,
    parties: files.map(({ kind, key }) => partyOf(kind, key)),
    shown: () => twin.companies.get("acme")?.["findings_upload_completed_new_findings_count"],
    async settled() {
      const books = await addBooks({ ...stores, sinks: [sinkName], owner: { id: "reader" } });
      const [own] = books.sinks;
      expect(books.problems).toEqual([]);
      expect(world.deferrals()).toEqual([]);
      expect(own).toMatchObject({ valid: order.length, deadLettered: 0, dropped: 0, pending: 0, missing: 0 });
      return { delivered: own?.delivered ?? 0, filtered: own?.filtered ?? 0 };
    },
  };
}

/** The event that sets the company's figure: the larger, the newer. */
function figure(value: number): object {
  const time = new Date(Date.UTC(2026, 0, 1) + value * 1000).toISOString();
  return {
    ...eventRecord(value),
    metadata: { tenant_id: "acme", event_id: `e${value}` },
    data: { event_time: time, new_findings_count: value },
  };
}

function companies(isLeased: boolean): Sink<unknown> {
  const sink = hubspotCompaniesSink({ accessToken: "pat-eu1-very-secret" });
  const { writers, ...limits } = sink.limits;
  expect(writers).toBe(1);
  return isLeased ? sink : { ...sink, limits };
}

/** A process, which may stop at a write to HubSpot, and die. */
function createProcess({ clock, receipts, deadLetters }: World, twin: HubspotTwin) {
  let stop: (Omit<Stop, "reached"> & { reach(): void; readonly goesOn: Promise<void> }) | undefined;
  let isDead = false;
  const never = new Promise<never>(() => {});
  const handle: TwinHandler = async (request) => {
    if (isDead) return await never;
    const now = new URL(request.url).pathname.endsWith("/upsert") ? stop : undefined;
    if (now === undefined) return await twin.handle(request);
    stop = undefined;
    const early = now.write === "after" ? await twin.handle(request) : undefined;
    now.reach();
    await now.goesOn;
    return early ?? (await twin.handle(request));
  };
  const mortal = (store: ObjectStore): ObjectStore => ({
    ...store,
    put: (...call) => (isDead ? never : store.put(...call)),
    putIfAbsent: (...call) => (isDead ? never : store.putIfAbsent(...call)),
    delete: (...call) => (isDead ? never : store.delete(...call)),
  });
  const stores = { receipts: mortal(receipts), deadLetters: mortal(deadLetters) };
  const options: Partial<WorkerOptions> = { ...stores, http: twinHttp(handle, clock) };
  return {
    options,
    stores,
    die() {
      isDead = true;
    },
    stopAtWrite(write: Stop["write"] = "before"): Stop {
      const { promise: reached, resolve: reach } = Promise.withResolvers<void>();
      const { promise: goesOn, resolve: goOn } = Promise.withResolvers<void>();
      stop = { write, reach, goesOn, goOn };
      return { write, reached, goOn };
    },
  };
}

/** Every kind with every other, and with another of its own. */
const pairs = kinds.flatMap((first) => kinds.map((second): [Kind, Kind] => [first, second]));

/** The first one looks and stops at its write; the others come, all at once; the first one goes on. */
async function meet({ world: { clock }, shown }: Meeting, first: Party, others: readonly Party[]) {
  const stop = first.stopAtWrite();
  const running = first.comes();
  await clock.run(stop.reached);
  await clock.advance(betweenMs);
  const came = await clock.run(Promise.all(others.map((each) => each.comes())));
  const meanwhile = shown();
  stop.goOn();
  expect(await clock.run(running)).toBe("done");
  return { came: came.map((each) => (each === "done" ? each : "busy")), meanwhile };
}

/** The one with the older value and the one with the newer value. */
async function twoOf(order: readonly [Kind, Kind], options?: MeetingOptions) {
  const meeting = await meetingOf(order, options);
  const [older, newer] = meeting.parties;
  if (older === undefined || newer === undefined) throw new Error("there are two");
  return { ...meeting, older, newer };
}

describe("between the look of one with the older value and its write", () => {
  test.each(pairs)("of %s, %s with the newer one must wait, and has the last word", async (...order) => {
    const { older, newer, ...meeting } = await twoOf(order);
    const { world, shown, settled } = meeting;
    expect(await meet(meeting, older, [newer])).toEqual({ came: ["busy"], meanwhile: undefined });
    expect(shown()).toBe("1");
    expect(await world.clock.run(newer.next().comes())).toBe("done");
    expect(shown()).toBe("2");
    expect(await settled()).toEqual({ delivered: 2, filtered: 0 });
  });

  test.each(pairs)("of %s, %s with the newer one would lose it without the lease", async (...order) => {
    const { older, newer, ...meeting } = await twoOf(order, { isLeased: false });
    expect(await meet(meeting, older, [newer])).toEqual({ came: ["done"], meanwhile: "2" });
    expect(meeting.shown()).toBe("1");
    // And no book tells.
    expect(await meeting.settled()).toEqual({ delivered: 2, filtered: 0 });
  });
});

test.each(pairs)("%s with the older value finds it superseded by %s with the newer one", async (...order) => {
  const { older, newer, ...meeting } = await twoOf(order, { first: 1 });
  expect(await meet(meeting, newer, [older])).toEqual({ came: ["busy"], meanwhile: undefined });
  expect(await meeting.world.clock.run(older.next().comes())).toBe("done");
  expect(meeting.shown()).toBe("2");
  expect(await meeting.settled()).toEqual({ delivered: 1, filtered: 1 });
});

describe("of two workers, the replayer and a replay at once one sends, and the others come back", () => {
  const all: readonly Kind[] = ["a worker", "the replayer", "a replay", "a worker"];
  const turns = all.map((_, index) => [...all.slice(index), ...all.slice(0, index)]);

  test.each(turns)("the oldest value first: %s, %s, %s, %s", async (...order) => {
    const meeting = await meetingOf(order);
    const [first, ...others] = meeting.parties;
    if (first === undefined) throw new Error("there are four");
    const { came } = await meet(meeting, first, others);
    expect(came).toEqual(["busy", "busy", "busy"]);
    for (const each of others) expect(await meeting.world.clock.run(each.next().comes())).toBe("done");
    expect(meeting.shown()).toBe("4");
    expect(await meeting.settled()).toEqual({ delivered: 4, filtered: 0 });
  });

  test.each(turns)("the newest value second: %s, %s, %s, %s", async (...order) => {
    const meeting = await meetingOf(order);
    const [first, ...others] = meeting.parties;
    if (first === undefined) throw new Error("there are four");
    await meet(meeting, first, others);
    for (const each of others.toReversed()) {
      expect(await meeting.world.clock.run(each.next().comes())).toBe("done");
      expect(meeting.shown()).toBe("4");
    }
    expect(await meeting.settled()).toEqual({ delivered: 2, filtered: 2 });
  });
});

describe("when one dies at its write, its lease is left", () => {
  const deaths = kinds.flatMap((kind) => [["before", kind] as const, ["after", kind] as const]);

  /** How long each may send when nothing ends it before, and the time that it has for its books. */
  const leaseMs: Record<Kind, number> = {
    "a worker": 11 * minute,
    "the replayer": 15.5 * minute,
    "a replay": 11 * minute,
  };

  /** It looks and dies: the other one comes in vain up to the last moment of the lease. */
  async function die({ world: { clock } }: Meeting, dies: Party, write: Stop["write"], other: Party) {
    const until = clock.now() + leaseMs[dies.kind];
    const stop = dies.stopAtWrite(write);
    // It never ends.
    void dies.comes();
    await clock.run(stop.reached);
    dies.die();
    expect(await clock.run(other.comes())).toEqual({ busy: until });
    await clock.advance(until - clock.now() - 1);
    expect(await clock.run(other.next().comes())).toEqual({ busy: until });
    await clock.advance(until - clock.now());
  }

  test.each(deaths)("%s it is sent by %s: a worker takes over when the lease ends", async (write, kind) => {
    const { older, newer, ...meeting } = await twoOf([kind, "a worker"]);
    const { world, shown, settled } = meeting;
    await die(meeting, older, write, newer);
    expect(shown()).toBe(write === "after" ? "1" : undefined);
    expect(await world.clock.run(newer.next().comes())).toBe("done");
    expect(shown()).toBe("2");
    // Whoever takes up what the dead one had finds its value superseded.
    await world.clock.advance(hour);
    expect(await world.clock.run(older.next().comes())).toBe("done");
    expect(shown()).toBe("2");
    expect(await settled()).toEqual({ delivered: 1, filtered: 1 });
  });

  test.each(deaths)("%s the newest value is sent by %s: it is not lost", async (write, kind) => {
    const { older, newer, ...meeting } = await twoOf(["a worker", kind], { first: 1 });
    const { world, shown, settled } = meeting;
    await die(meeting, newer, write, older);
    expect(await world.clock.run(older.next().comes())).toBe("done");
    expect(shown()).toBe(write === "after" ? "2" : "1");
    await world.clock.advance(hour);
    expect(await world.clock.run(newer.next().comes())).toBe("done");
    expect(shown()).toBe("2");
    const isKnown = write === "after";
    expect(await settled()).toEqual({ delivered: isKnown ? 1 : 2, filtered: isKnown ? 1 : 0 });
  });
});
