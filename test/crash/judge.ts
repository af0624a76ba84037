// The judge: what the vendors' ledgers, the letters and the books say of a world, against what was put into it.
import { readdir } from "node:fs/promises";
import { readDeferral } from "../../src/books/receipt.ts";
import { type DeadLetter, intakeLane } from "../../src/dead-letter/dead-letter.ts";
import { readLetters } from "../../src/dead-letter/store.ts";
import type { CrashObject, CrashRecord } from "./objects.ts";
import type { Arrival, SinkName } from "./vendors.ts";
import { sinkNames } from "./vendors.ts";
import { isSettled, type LaneState, type Run, type Snapshot, type World } from "./world.ts";

/** One process that was killed. */
export interface Kill {
  readonly run: Run;
  readonly moment: string;
  /** The books when the process, and the other one if there were two, was gone. */
  readonly snapshot: Snapshot;
}

export interface KillVerdict {
  readonly moment: string;
  /** Objects that the process had claimed for a sink or `_intake` without writing that receipt. */
  readonly unfinished: number;
  /** Records that were sent again to a vendor that had them; a record counts once for each process that sent it. */
  readonly duplicates: number;
  /** The valid records of the unfinished objects, sink by sink. */
  readonly bound: number;
  /** Records of objects that were under way, neither at a vendor nor in a letter at the end. */
  readonly lost: number;
}

export interface Verdict {
  readonly kills: readonly KillVerdict[];
  /** Sentences; empty when every promise is kept. */
  readonly violations: readonly string[];
  readonly records: number;
  /** Requests with records. */
  readonly requests: number;
  /** What a crash may leave: files without a name, letters that no receipt names, deferrals of which nothing is left. */
  readonly left: {
    readonly unfinishedFiles: number;
    readonly letterFiles: number;
    readonly deferrals: number;
  };
}

interface MarkedRecord extends CrashRecord {
  readonly object: CrashObject;
  readonly index: number;
}

const validOf = ({ records }: CrashObject) => records.filter(({ mark }) => mark !== undefined).length;

/** Judges a world in which no process runs and nothing is left to do. */
export async function judge(world: World, kills: readonly Kill[]): Promise<Verdict> {
  const violations: string[] = [];
  const records = new Map<string, MarkedRecord>();
  for (const object of world.objects) {
    for (const [index, record] of object.records.entries()) {
      if (record.mark !== undefined) records.set(record.mark, { ...record, object, index });
    }
  }
  const verdicts = kills.map((kill) => judgeKill(kill));
  const final = await world.look();

  for (const sink of sinkNames) {
    const arrivals = world.vendors.ledger.filter((arrival) => arrival.sink === sink);
    violations.push(...identities(sink, arrivals, records));
    violations.push(...resends(world, sink, arrivals, records, verdicts));
  }
  const letters = await lettersOf(world, final, violations);
  violations.push(...losses(world, records, letters, verdicts));
  violations.push(...booksFaults(final, letters));
  for (const snapshot of world.snapshots) violations.push(...forgotten(snapshot));
  for (const { kill, duplicates, bounds } of verdicts) {
    for (const sink of sinkNames) {
      if (duplicates[sink] <= bounds[sink]) continue;
      violations.push(
        `${sink}: ${duplicates[sink]} duplicates after the kill "${kill.moment}", its bound is ${bounds[sink]}`,
      );
    }
  }
  const sum = (bySink: Readonly<Record<SinkName, number>>) =>
    Object.values(bySink).reduce((total, count) => total + count, 0);
  return {
    kills: verdicts.map(({ kill, unfinished, duplicates, bounds, lost }) => ({
      moment: kill.moment,
      unfinished: new Set(unfinished.map(({ object }) => object)).size,
      duplicates: sum(duplicates),
      bound: sum(bounds),
      lost,
    })),
    violations,
    records: world.objects.reduce((total, object) => total + object.records.length, 0),
    requests: new Set(world.vendors.ledger.map(({ request }) => request)).size,
    left: await leftovers(world, final, violations),
  };
}

// ── kills ───────────────────────────────────────────────────────────────────────────────────────────────────

interface Judged {
  readonly kill: Kill;
  readonly unfinished: readonly LaneState[];
  readonly bounds: Readonly<Record<SinkName, number>>;
  readonly duplicates: Record<SinkName, number>;
  lost: number;
}

function judgeKill(kill: Kill): Judged {
  const unfinished = kill.snapshot.lanes.filter(({ claims }) =>
    claims.some(({ pid, hasReceipt }) => pid === kill.run.pid && !hasReceipt),
  );
  const bound = (sink: SinkName) =>
    unfinished.filter(({ lane }) => lane === sink).reduce((sum, { object }) => sum + validOf(object), 0);
  return {
    kill,
    unfinished,
    bounds: bySink(bound),
    duplicates: bySink(() => 0),
    lost: 0,
  };
}

function bySink(value: (sink: SinkName) => number): Record<SinkName, number> {
  return {
    timestream: value("timestream"),
    segment: value("segment"),
    mixpanel: value("mixpanel"),
    "hubspot-events": value("hubspot-events"),
  };
}

/** The last kill that left the record's object unfinished for the lane, before `at`. */
function blame(
  verdicts: readonly Judged[],
  object: CrashObject,
  lane: string,
  at: number,
): Judged | undefined {
  return verdicts.findLast(
    ({ kill, unfinished }) =>
      (kill.run.endedAt ?? at) < at &&
      unfinished.some((state) => state.object === object && state.lane === lane),
  );
}

// ── what arrived ────────────────────────────────────────────────────────────────────────────────────────────

/** A record has one id and one payload at a vendor, for ever, and no other record has that id. */
function* identities(
  sink: SinkName,
  arrivals: readonly Arrival[],
  records: ReadonlyMap<string, MarkedRecord>,
): Generator<string> {
  const first = new Map<string, Arrival>();
  const owners = new Map<string, string>();
  for (const arrival of arrivals) {
    const { mark, id, payload } = arrival;
    if (!records.has(mark)) yield `${sink}: the record ${mark} arrived, and no object holds it`;
    const before = first.get(mark) ?? arrival;
    first.set(mark, before);
    if (before.id !== id) yield `${sink}: the record ${mark} came under two ids`;
    if (before.payload !== payload) yield `${sink}: the record ${mark} came with two payloads`;
    const owner = owners.get(id) ?? mark;
    owners.set(id, owner);
    if (owner !== mark) yield `${sink}: the records ${owner} and ${mark} share an id`;
  }
}

/** What is known to be delivered is not sent again; what may be is a duplicate that a kill answers for. */
function* resends(
  { runs, snapshots }: World,
  sink: SinkName,
  arrivals: readonly Arrival[],
  records: ReadonlyMap<string, MarkedRecord>,
  verdicts: readonly Judged[],
): Generator<string> {
  for (const [mark, ofRecord] of Map.groupBy(arrivals, (arrival) => arrival.mark)) {
    const record = records.get(mark);
    if (record === undefined) continue;
    const what = `${sink}: the record ${mark}`;
    for (const [place, arrival] of ofRecord.entries()) {
      const earlier = ofRecord.slice(0, place);
      if (earlier.some(({ request }) => request === arrival.request))
        yield `${what} stands twice in a request`;
      if (earlier.some(({ run, confirmed }) => run === arrival.run && confirmed))
        yield `${what} was sent again by the process that had been told it is stored`;
      for (const { number, endedAt = Number.POSITIVE_INFINITY } of runs) {
        const isOther = number !== arrival.run && earlier.some(({ run }) => run === number);
        if (isOther && endedAt > arrival.at) yield `${what} was sent by two processes at once`;
      }
      const known = snapshots.findLast(({ at }) => at < arrival.at);
      const state = known?.lanes.find(({ object, lane }) => object === record.object && lane === sink);
      if (isSettled(state?.receipt, record.index)) yield `${what} was sent again though a receipt settles it`;
      // One that a vendor refuses as a duplicate is sent in smaller and smaller requests: that is one resend.
      if (!arrival.wasStored || earlier.some(({ run }) => run === arrival.run)) continue;
      const guilty = blame(verdicts, record.object, sink, arrival.at);
      if (guilty === undefined) yield `${what} was sent again, and no kill left its object unfinished`;
      else guilty.duplicates[sink]++;
    }
  }
}

// ── what became of every record ─────────────────────────────────────────────────────────────────────────────

/** The letters that count, by lane. */
async function lettersOf(
  world: World,
  final: Snapshot,
  violations: string[],
): Promise<ReadonlyMap<LaneState, readonly DeadLetter[]>> {
  const all = new Map<LaneState, readonly DeadLetter[]>();
  const ids = new Set<string>();
  for (const state of final.lanes) {
    const { object, lane, receipt } = state;
    const letters: DeadLetter[] = [];
    for (const file of receipt?.letters ?? []) {
      try {
        for await (const letter of readLetters(world.deadLetters, file)) letters.push(letter);
      } catch {
        violations.push(`${lane}: a receipt of ${object.key} names ${file}, which cannot be read`);
      }
    }
    for (const { id, sink, origin } of letters) {
      if (ids.has(id))
        violations.push(`${lane}: the record ${origin.index} of ${object.key} has two letters`);
      ids.add(id);
      if (sink !== lane || origin.key !== object.key)
        violations.push(`${lane}: a receipt of ${object.key} names a letter of ${sink} about ${origin.key}`);
    }
    all.set(state, letters);
  }
  return all;
}

/** Every valid record is stored at each vendor or in a letter of it, never both; every other one is in `_intake`. */
function* losses(
  world: World,
  records: ReadonlyMap<string, MarkedRecord>,
  letters: ReadonlyMap<LaneState, readonly DeadLetter[]>,
  verdicts: readonly Judged[],
): Generator<string> {
  function* lose(object: CrashObject, lane: string, what: string): Generator<string> {
    const guilty = blame(verdicts, object, lane, Number.POSITIVE_INFINITY);
    if (guilty !== undefined) guilty.lost++;
    yield `${lane}: ${what} of ${object.key} is lost: neither stored nor in a letter that counts`;
  }
  const refused = new Set<string>();
  for (const [{ object, lane }, list] of letters) {
    for (const { origin, record } of list) {
      const original = object.records[origin.index];
      // White space around a record is no part of it, not even behind a string that was cut off.
      if (original?.text.trim() !== record)
        yield `${lane}: the letter about record ${origin.index} of ${object.key} holds other bytes`;
      if ((original?.mark === undefined) !== (lane === intakeLane))
        yield `${lane}: has a letter about record ${origin.index} of ${object.key}, which is not its to refuse`;
      refused.add(`${lane} ${object.key} ${origin.index}`);
    }
  }
  for (const sink of sinkNames) {
    const { stored } = world.vendors.twins[sink];
    const ids = new Map<string, string>();
    for (const { sink: to, mark, id } of world.vendors.ledger) if (to === sink) ids.set(mark, id);
    for (const [mark, { object, index }] of records) {
      const isStored = stored.has(ids.get(mark) ?? "");
      const isRefused = refused.has(`${sink} ${object.key} ${index}`);
      if (isStored && isRefused) yield `${sink}: the record ${mark} is stored and has a letter`;
      if (!isStored && !isRefused) yield* lose(object, sink, `the record ${mark}`);
    }
    for (const [id, times] of stored) if (times !== 1) yield `${sink}: ${id} is stored ${times} times`;
    if (stored.size > ids.size) yield `${sink}: stores ids that no request in the ledger carried`;
  }
  for (const object of world.objects) {
    for (const [index, { mark }] of object.records.entries()) {
      if (mark === undefined && !refused.has(`${intakeLane} ${object.key} ${index}`))
        yield* lose(object, intakeLane, `the invalid record ${index}`);
    }
  }
}

// ── the books ───────────────────────────────────────────────────────────────────────────────────────────────

/** Every lane has a receipt that says what happened, and no claim is open. */
function* booksFaults(
  { lanes }: Snapshot,
  letters: ReadonlyMap<LaneState, readonly DeadLetter[]>,
): Generator<string> {
  for (const state of lanes) {
    const { object, lane, receipt, claims } = state;
    const place = `${lane} of ${object.key}`;
    if (receipt === undefined) {
      yield `${place} has no receipt`;
      continue;
    }
    const { counts, pending, readTo, generation } = receipt;
    if (pending.length > 0 || readTo !== null || counts.pending > 0)
      yield `${place}: its receipt leaves something pending`;
    if (claims.some((claim) => claim.generation > generation)) yield `${place}: a claim is open`;
    const written = letters.get(state)?.length ?? 0;
    if (counts.deadLettered !== written)
      yield `${place}: its receipt counts ${counts.deadLettered} letters, ${written} are there`;
    const valid = validOf(object);
    if (counts.valid !== valid)
      yield `${place}: its receipt counts ${counts.valid} valid records of ${valid}`;
    const { delivered, filtered, deadLettered, records } = counts;
    const sum = lane === intakeLane ? records - deadLettered : delivered + filtered + deadLettered;
    if (sum !== valid || (lane === intakeLane && records !== object.records.length))
      yield `${place}: the counts of its receipt do not close`;
  }
}

/** At any time, what a receipt leaves to do has its deferral: whoever drains deferrals finds it. */
function* forgotten({ lanes, deferrals }: Snapshot): Generator<string> {
  for (const { object, lane, receipt } of lanes) {
    if (receipt === undefined || receipt.pending.length === 0) continue;
    if (receipt.deferral === undefined || !deferrals.has(receipt.deferral))
      yield `${lane} of ${object.key}: something was pending, and there was no deferral`;
  }
}

/** Counts what may stay, and finds what may not. */
async function leftovers(world: World, final: Snapshot, violations: string[]): Promise<Verdict["left"]> {
  const files = await readdir(world.folder, { recursive: true, withFileTypes: true });
  const unfinishedFiles = files.filter(({ name }) => name.endsWith(".unfinished")).length;
  const named = new Set(final.lanes.flatMap(({ receipt }) => receipt?.letters ?? []));
  let letterFiles = 0;
  let listed = 0;
  for await (const { key } of world.deadLetters.list("")) {
    listed++;
    if (!named.has(key)) letterFiles++;
  }
  for await (const _object of world.receipts.list("")) listed++;
  for (const key of final.deferrals) {
    const deferral = await readDeferral(world.receipts, key);
    const { receipt } =
      final.lanes.find(({ object, lane }) => object.key === deferral.object.key && lane === deferral.sink) ??
      {};
    // Whoever takes it up must find by the books that nothing is left of it.
    if (receipt === undefined || receipt.pending.length > 0 || receipt.generation <= deferral.generation)
      violations.push(`${key}: a deferral is left, and the books do not say that it is void`);
  }
  if (files.filter((each) => each.isFile()).length !== listed + unfinishedFiles)
    violations.push("a file is left that is neither listed nor known as unfinished");
  return { unfinishedFiles, letterFiles, deferrals: final.deferrals.size };
}
