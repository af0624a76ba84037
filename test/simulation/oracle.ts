// The oracle knows what is true, from what it sees with its own eyes on disks and at vendors, and judges every step by it.
// Long, since its invariants share one ledger: a step of any process can concern all of them.
import { gunzipSync } from "node:zlib";
import { deferralsPrefix, openBooks } from "../../src/books/books.ts";
import type { Receipt } from "../../src/books/receipt.ts";
import { type DeadLetter, intakeLane, recordBytes } from "../../src/dead-letter/dead-letter.ts";
import type { Clock } from "../../src/delivery/clock.ts";
import {
  type Encoded,
  isSinkUnavailable,
  type Limits,
  type Outcome,
  type Sink,
  type Verdict,
} from "../../src/delivery/sink.ts";
import type { MetricEvent } from "../../src/event.ts";
import { type LetterReport, notDelivered } from "../../src/letter-run.ts";
import { silent } from "../../src/log.ts";
import { createCursor, type Ranges } from "../../src/ranges.ts";
import type { Disk } from "./disk.ts";
import { type EventPlan, type Plan, payloadCanary, secretCanary, start, tenantNameOf } from "./plan.ts";
import type { Process } from "./process.ts";
import { placeOf, type SeenItem, type Vendor } from "./vendor.ts";

/** What must hold; the numbers are those of the architecture's list. */
export type Invariant =
  | "1 nothing is lost"
  | "1 the books close"
  | "1 pending drains"
  | "1 a letter is the vendor's verdict"
  | "2 durable before acknowledged"
  | "2 letters before their receipt"
  | "2 a deferral until its receipt"
  | "3 known is never sent again"
  | "4 ids never change"
  | "5 no secret and no payload"
  | "6 tenants stay apart"
  | "7 sinks are islands"
  | "8 memory is bounded"
  | "9 one claim at a time"
  | "9 one writer at a time"
  | "9 a wait asked for is waited"
  | "9 a vendor's limits"
  | "9 no failure but the world's";

export interface Violation {
  readonly invariant: Invariant;
  readonly detail: string;
}

/** The lease of a sink that takes from one writer at a time. */
interface LeaseTruth {
  readonly process: Process;
  readonly generation: number;
  /** Milliseconds since the epoch by the store's clock. */
  readonly until: number;
  isReleased: boolean;
}

/** A claim as the disk shows it, and what its holder has learned under it. */
interface ClaimTruth {
  readonly process: Process;
  readonly generation: number;
  /** Part of the names of its letters. */
  readonly attempt: string;
  /** By the store's clock. */
  readonly expiresAt: number;
  /** When its holder stops, by the world's clock. */
  readonly deadline: number;
  /** Whether a record was still open when the claim was made: by the receipt that stood there. */
  readonly before: Receipt | undefined;
  readonly delivered: Set<number>;
  readonly filtered: Set<number>;
  /** Refused by the mapping, and by the vendor. */
  readonly misfits: Set<number>;
  readonly rejected: Set<number>;
  /** Whether what was pending is archived, to be given up. */
  givesUp: boolean;
  /** Items encoded and without a final outcome; undefined once an outcome was unknown. */
  held: number | undefined;
  heldBytes: number;
  taken: boolean;
}

interface LaneTruth {
  readonly object: string;
  readonly hash: string;
  readonly lane: string;
  readonly claims: Map<number, ClaimTruth>;
  readonly receipts: Map<number, Receipt>;
  latest: Receipt | undefined;
}

interface ObjectTruth {
  readonly key: string;
  readonly hash: string;
  readonly events: ReadonlyMap<number, EventPlan>;
  /** Those that were too far ahead when the object was read: no valid ones, until they are replayed. */
  readonly early: ReadonlySet<number>;
  readonly texts: readonly string[];
  readonly lanes: Map<string, LaneTruth>;
}

/** The payload of a watched sink: its own one, and the event that it was made of. */
interface Watched {
  readonly event: MetricEvent;
  readonly payload: unknown;
}

export interface OracleOptions {
  readonly plan: Plan;
  readonly clock: Clock;
  readonly receipts: Disk;
  readonly deadLetters: Disk;
  readonly vendors: readonly Vendor[];
  readonly versionOf: (key: string) => string;
  readonly trace: (line: string) => void;
}

export interface Oracle {
  readonly violations: readonly Violation[];
  violate(invariant: Invariant, detail: string): void;
  readonly booksWitness: { wrote: Wrote; removes: Removes };
  readonly lettersWitness: { wrote: Wrote; removes: Removes };
  /** The sink, watched. */
  watch(sink: Sink<unknown>, process: Process): Sink<unknown>;
  /** The process is to deliver the object in so many milliseconds. Call what it answers when that is over. */
  given(process: Process, object: string, remainingMs: number): () => void;
  /** The dead-letter files that count, of some lanes. */
  letterFiles(lanes: readonly string[]): LetterFileName[];
  /** The process answered that it has replayed them. */
  replayed(file: LetterFileName, report: LetterReport | undefined): void;
  /** What left the process for somebody's eyes: logs, errors, reports. */
  told(what: string, text: string): void;
  /** The process answered that the object is done. */
  acknowledged(object: string, sinks: readonly string[]): void;
  isDrained(): boolean;
  /** Who has a deferral on the disk: all that a replayer could find. */
  deferred(): { readonly object: string; readonly lane: string }[];
  /** When nothing will happen any more. */
  judge(): void;
  /** When what was mended has been replayed, too. */
  judgeLetters(): void;
  /** What sinks answered and when, record by record: the final outcomes. */
  readonly timeline: readonly Told[];
}

export interface LetterFileName {
  readonly object: string;
  readonly lane: string;
  readonly file: string;
}

export interface Told {
  readonly sink: string;
  readonly record: string;
  readonly status: string;
  readonly at: number;
}

type Wrote = (process: Process, key: string, bytes: Buffer) => void;
type Removes = (process: Process, key: string) => void;

/** More would only repeat themselves. */
const mostViolations = 10;

export function createOracle({
  plan,
  clock,
  receipts,
  deadLetters,
  vendors,
  versionOf,
  trace,
}: OracleOptions): Oracle {
  const violations: Violation[] = [];
  const violate = (invariant: Invariant, detail: string) => {
    if (violations.length >= mostViolations) return;
    violations.push({ invariant, detail });
    trace(`‼ ${invariant}: ${detail}`);
  };
  const objects = new Map<string, ObjectTruth>();
  const byHash = new Map<string, ObjectTruth>();
  const letters = new Map<string, readonly DeadLetter[]>();
  const ids = new Map<string, string>();
  const payloads = new Map<string, string>();
  const held = new Map<string, ClaimTruth>();
  const waits = new Map<string, { readonly from: number; readonly until: number }>();
  const underWay = new Map<string, number>();
  const deadlines = new Map<string, number[]>();
  const timeline: Told[] = [];
  /** Which records a claim gave up, by the name of its files. */
  const archived = new Map<string, number[]>();
  /** Of which process and sink not every item's end is seen, since waits are between. */
  const unsteady = new Set<string>();
  const coalescing = new Set(
    plan.sinks.flatMap((sink) =>
      (sink.kind === "scripted" ? sink.coalesces : /groups|companies/.test(sink.name)) ? [sink.name] : [],
    ),
  );

  for (const { key, records } of plan.objects) {
    const events = new Map(
      records.flatMap(({ event }, n) => (event === undefined ? [] : [[n, event] as const])),
    );
    const { maxAheadMs = Number.POSITIVE_INFINITY } = plan;
    const early = new Set([...events].flatMap(([n, { time }]) => (time - start > maxAheadMs ? [n] : [])));
    const version = { bucket: "memory://source", key, version: versionOf(key) };
    // Only the name of the books is asked for: no store is touched.
    const { hash } = openBooks(noStore, version, { id: "oracle" }, clock, silent);
    const texts = records.map(({ text }) => text);
    const truth: ObjectTruth = { key, hash, events, early, texts, lanes: new Map() };
    objects.set(key, truth);
    byHash.set(hash, truth);
  }

  const laneOf = (object: ObjectTruth, lane: string): LaneTruth => {
    const known = object.lanes.get(lane);
    if (known !== undefined) return known;
    const fresh: LaneTruth = {
      object: object.key,
      hash: object.hash,
      lane,
      claims: new Map(),
      receipts: new Map(),
      latest: undefined,
    };
    object.lanes.set(lane, fresh);
    return fresh;
  };
  const deferralOf = (hash: string, lane: string) => `${deferralsPrefix}sink=${lane}/${hash}.json`;
  const nameOf = ({ object, lane }: LaneTruth) => `${object} for ${lane}`;

  // ── the books ───────────────────────────────────────────────────────────────────────────────────────────

  const parseKey = (key: string) => {
    const match = /^books\/[^/]+\/([0-9a-f]+)\/([^/]+)\/(\d{6})\.(claim|receipt)\.json$/.exec(key);
    const [, hash = "", lane = "", digits = "", what] = match ?? [];
    const object = byHash.get(hash);
    if (object === undefined) return undefined;
    return { hash, truth: laneOf(object, lane), object, generation: Number(digits), what };
  };

  const claimMade = (process: Process, truth: LaneTruth, generation: number, bytes: Buffer) => {
    const { expiresInMs, attempt }: { expiresInMs: number; attempt: string } = JSON.parse(
      bytes.toString("utf8"),
    );
    const now = clock.now();
    for (const [other, claim] of truth.claims) {
      if (truth.receipts.has(other) || claim.process.isMissed) continue;
      if (now < claim.expiresAt) {
        violate(
          "9 one claim at a time",
          `${nameOf(truth)}: ${process.name} takes generation ${generation} while ${claim.process.name} holds ${other}`,
        );
      }
      claim.taken = true;
    }
    const claim: ClaimTruth = {
      process,
      generation,
      attempt: attempt.slice(0, 8),
      expiresAt: now + expiresInMs,
      // Of two runs at once, nobody can tell which one has the claim.
      deadline: Math.min(...(deadlines.get(`${process.name} ${truth.object}`) ?? [now])),
      before: truth.latest,
      delivered: new Set(),
      filtered: new Set(),
      misfits: new Set(),
      rejected: new Set(),
      givesUp: false,
      held: 0,
      heldBytes: 0,
      taken: false,
    };
    truth.claims.set(generation, claim);
    held.set(`${process.name} ${truth.object} ${truth.lane}`, claim);
  };

  /** Of every sink of one writer, its newest lease. */
  const leases = new Map<string, LeaseTruth>();
  const leaseKey = /^writers\/sink=([^/]+)\/(\d+)\.(claim|released)\.json$/;
  const leaseWritten = (process: Process, key: string, bytes: Buffer) => {
    const [, sink = "", digits, what] = leaseKey.exec(key) ?? [];
    const generation = Number(digits);
    const newest = leases.get(sink);
    if (what === "released") {
      if (newest?.generation === generation) newest.isReleased = true;
      return;
    }
    // Who looked long ago may write a generation that was used: it finds the newer one, and leaves.
    if (newest !== undefined && generation < newest.generation) return;
    const now = clock.now();
    const isLive =
      newest !== undefined && !newest.isReleased && !newest.process.isMissed && now < newest.until;
    if (isLive && newest.process !== process) {
      violate(
        "9 one writer at a time",
        `${process.name} takes ${sink}'s lease while ${newest.process.name} has it`,
      );
    }
    const { expiresInMs }: { expiresInMs: number } = JSON.parse(bytes.toString("utf8"));
    leases.set(sink, { process, generation, until: now + expiresInMs, isReleased: false });
  };
  const leaseRemoved = (process: Process, key: string) => {
    const [, sink = "", digits] = leaseKey.exec(key) ?? [];
    if (leases.get(sink)?.generation === Number(digits)) {
      violate("9 one writer at a time", `${process.name} removes ${sink}'s newest lease`);
    }
  };

  /** The claims whose receipts the lane's books consist of, the newest first. */
  const chainOf = (truth: LaneTruth, from: Receipt): ClaimTruth[] => {
    const chain: ClaimTruth[] = [];
    for (let at: Receipt | undefined = from; at !== undefined; ) {
      const claim = truth.claims.get(at.generation);
      if (claim !== undefined) chain.push(claim);
      at = at.continues === null ? undefined : truth.receipts.get(at.continues);
    }
    return chain;
  };

  const receiptMade = (
    process: Process,
    hash: string,
    object: ObjectTruth,
    truth: LaneTruth,
    generation: number,
    bytes: Buffer,
  ) => {
    // The core wrote it, and its own tests hold the shape.
    const receipt = JSON.parse(bytes.toString("utf8")) as Receipt;
    const claim = truth.claims.get(generation);
    if (claim?.process !== process) {
      violate(
        "9 one claim at a time",
        `${nameOf(truth)}: ${process.name} writes receipt ${generation} without its claim`,
      );
      return;
    }
    truth.receipts.set(generation, receipt);
    if (truth.latest === undefined || truth.latest.generation < generation) truth.latest = receipt;
    if (receipt.pending.length > 0 !== (receipt.deferral !== undefined)) {
      violate(
        "1 the books close",
        `${nameOf(truth)}: receipt ${generation} is pending without naming a deferral`,
      );
    }
    if (
      receipt.pending.length > 0 &&
      receipt === truth.latest &&
      !receipts.objects.has(deferralOf(hash, truth.lane))
    ) {
      violate("2 a deferral until its receipt", `${nameOf(truth)}: receipt ${generation} has no deferral`);
    }
    // One that comes after a later one does not count, and what it names may be gone.
    if (receipt === truth.latest) checkReceipt(object, truth, receipt);
  };

  const checkReceipt = (object: ObjectTruth, truth: LaneTruth, receipt: Receipt) => {
    const { counts } = receipt;
    const name = `${nameOf(truth)}, receipt ${receipt.generation}`;
    const chain = chainOf(truth, receipt);
    // Who gives something up never reads on.
    const gaveUp = chain.find(({ givesUp }) => givesUp)?.before;
    const { readTo } = gaveUp ?? receipt;
    const isRead = (n: number) => readTo === null || n < readTo;
    const refused = lettersOf(name, receipt);
    if (refused === undefined) return;
    if (counts.deadLettered !== refused.length) {
      violate(
        "2 letters before their receipt",
        `${name} counts ${counts.deadLettered} letters of ${refused.length}`,
      );
    }
    const lettered = new Set(refused.map(({ origin }) => origin.index));
    if (lettered.size !== refused.length) violate("1 the books close", `${name} names a letter twice`);
    const { early } = object;
    const adopted = new Set([...early].filter((n) => isIn(receipt.adopted, n)));
    if (adopted.size !== sizeOf(receipt.adopted)) {
      violate("1 the books close", `${name} adopts ${JSON.stringify(receipt.adopted)}, valid from the first`);
    }
    const events = [...object.events.keys()].filter((n) => (isRead(n) && !early.has(n)) || adopted.has(n));
    const dropped = new Set(
      chain.flatMap(({ generation, attempt }) => droppedBy(truth, generation, attempt)),
    );
    if (gaveUp !== undefined && truth.lane !== intakeLane) {
      for (const n of events) if (!adopted.has(n) && isIn(gaveUp.pending, n)) dropped.add(n);
    }
    if (counts.dropped !== dropped.size) {
      violate(
        "2 letters before their receipt",
        `${name} drops ${counts.dropped}, the archive has ${dropped.size}`,
      );
    }
    if (truth.lane === intakeLane) {
      const invalid = object.texts.flatMap((_, n) =>
        isRead(n) && (!object.events.has(n) || early.has(n)) ? [n] : [],
      );
      const records = events.length + lettered.size + dropped.size;
      if (counts.valid !== events.length || counts.records !== records) {
        violate("1 the books close", `${name} counts ${JSON.stringify(counts)} of ${events.length} events`);
      }
      for (const n of invalid) {
        const places = [lettered.has(n), dropped.has(n), adopted.has(n)].filter(Boolean).length;
        if (places !== 1)
          violate("1 nothing is lost", `${name}: the invalid record ${n} is in ${places} places`);
      }
      if (lettered.size + dropped.size + adopted.size > invalid.length) {
        violate("1 the books close", `${name}: more letters than invalid records`);
      }
      return;
    }
    const isPending = createCursor(receipt.pending);
    const pending = new Set(events.filter((n) => isPending(n)));
    const delivered = new Set(chain.flatMap((claim) => [...claim.delivered]));
    const { length: sent } = chain.flatMap((claim) => [...claim.delivered]);
    const closes = counts.delivered + counts.filtered + counts.deadLettered + counts.dropped + counts.pending;
    if (counts.valid !== events.length || counts.valid !== closes) {
      violate("1 the books close", `${name} counts ${JSON.stringify(counts)} of ${events.length} events`);
    }
    if (counts.pending !== pending.size) {
      violate("1 the books close", `${name} counts ${counts.pending} pending of ${pending.size}`);
    }
    if (counts.delivered !== delivered.size || sent !== delivered.size) {
      violate(
        "1 the books close",
        `${name} counts ${counts.delivered} delivered of ${delivered.size}, told ${sent}`,
      );
    }
    const filtered: number[] = [];
    for (const n of events) {
      const places = [pending, delivered, lettered, dropped].filter((place) => place.has(n)).length;
      if (places > 1) violate("1 the books close", `${name}: record ${n} has ${places} outcomes`);
      if (places === 0) filtered.push(n);
    }
    for (const n of filtered) {
      if (chain.some((claim) => claim.filtered.has(n))) continue;
      if (coalescing.has(truth.lane) && isSuperseded(object, n, chain)) continue;
      violate("1 nothing is lost", `${name}: record ${n} has no outcome`);
    }
    for (const letter of refused) {
      const n = letter.origin.index;
      if (letter.code === notDelivered && adopted.has(n)) continue;
      const isMeant = chain.some((claim) =>
        (letter.stage === "encode" ? claim.misfits : claim.rejected).has(n),
      );
      if (!isMeant) {
        violate("1 a letter is the vendor's verdict", `${name}: nobody refused record ${n} (${letter.code})`);
      }
    }
  };

  const droppedBy = ({ hash, lane }: LaneTruth, generation: number, attempt: string): readonly number[] =>
    archived.get(`${lane} ${hash}-${String(generation).padStart(6, "0")}-${attempt}`) ?? [];

  /** A newer event of its tenant was delivered, or filtered, in its stead. */
  const isSuperseded = (object: ObjectTruth, n: number, chain: readonly ClaimTruth[]): boolean => {
    const own = object.events.get(n);
    return chain.some((claim) =>
      [...claim.delivered, ...claim.filtered].some((other) => {
        const event = object.events.get(other);
        return event !== undefined && event.tenant === own?.tenant && event.time >= own.time;
      }),
    );
  };

  const lettersOf = (name: string, receipt: Receipt): DeadLetter[] | undefined => {
    const files = receipt.letters.map((key) => (deadLetters.objects.has(key) ? letters.get(key) : undefined));
    if (new Set(receipt.letters).size !== files.length) {
      violate("1 the books close", `${name} names a file twice`);
    }
    if (files.includes(undefined)) {
      violate("2 letters before their receipt", `${name} names letters that are not there`);
      return undefined;
    }
    return files.flatMap((file) => file ?? []);
  };

  const booksWitness: Oracle["booksWitness"] = {
    wrote(process, key, bytes) {
      told(key, bytes.toString("utf8"));
      if (leaseKey.test(key)) leaseWritten(process, key, bytes);
      const place = parseKey(key);
      if (place === undefined) return;
      const { hash, object, truth, generation, what } = place;
      if (what === "claim") claimMade(process, truth, generation, bytes);
      else receiptMade(process, hash, object, truth, generation, bytes);
    },
    removes(process, key) {
      if (leaseKey.test(key)) return leaseRemoved(process, key);
      const place = parseKey(key);
      if (place !== undefined) {
        const { truth, generation, what } = place;
        const claim = truth.claims.get(generation);
        if (what === "receipt" || truth.receipts.has(generation) || claim?.process !== process) {
          violate("9 one claim at a time", `${nameOf(truth)}: ${process.name} removes ${what} ${generation}`);
        }
        truth.claims.delete(generation);
        return;
      }
      const [, lane = "", hash = ""] = /sink=([^/]+)\/([0-9a-f]+)\.json$/.exec(key) ?? [];
      const pending = byHash.get(hash)?.lanes.get(lane)?.latest?.pending ?? [];
      const isWritten = byHash.get(hash)?.lanes.get(lane)?.latest !== undefined;
      if (!isWritten || pending.length > 0) {
        violate("2 a deferral until its receipt", `${process.name} removes ${lane}'s, which is not settled`);
      }
    },
  };

  const lettersWitness: Oracle["lettersWitness"] = {
    wrote(process, key, bytes) {
      const [, of = "", from = "", digits] =
        /^archive\/deferrals\/sink=([^/]+)\/([0-9a-f]+)-(\d{6})\.json$/.exec(key) ?? [];
      if (digits !== undefined) {
        const claim = byHash.get(from)?.lanes.get(of)?.claims.get(Number(digits));
        if (claim?.process === process) claim.givesUp = true;
        return;
      }
      const lines = gunzipSync(bytes).toString("utf8").trimEnd().split("\n");
      // The core wrote them, and its own tests hold the shape.
      const file = lines.map((line) => JSON.parse(line) as DeadLetter);
      letters.set(key, file);
      const [, lane, name] = /^archive\/sink=([^/]+)\/.*\/([^/]+)-\d{4}\.jsonl\.gz$/.exec(key) ?? [];
      if (lane !== undefined) {
        const place = `${lane} ${name}`;
        archived.set(place, [...(archived.get(place) ?? []), ...file.map(({ origin }) => origin.index)]);
      }
      for (const letter of file) {
        const { record, recordBase64, ...rest } = letter;
        told(`a letter of ${letter.sink}`, JSON.stringify(rest));
        const object = objects.get(letter.origin.key);
        const text = object?.texts[letter.origin.index];
        if (recordBytes(letter)?.toString("utf8") !== text) {
          violate("1 nothing is lost", `a letter of ${letter.sink} has not the bytes of its record`);
        }
        const tenant = object?.events.get(letter.origin.index)?.tenant;
        if (letter.event?.tenantId !== (letter.sink === intakeLane ? undefined : tenant)) {
          violate("6 tenants stay apart", `a letter of ${letter.sink} names another tenant`);
        }
      }
    },
    removes(process, key) {
      const [, lane = "", hash = ""] = /^sink=([^/]+)\/.*\/([0-9a-f]+)-\d{6}-/.exec(key) ?? [];
      const latest = byHash.get(hash)?.lanes.get(lane)?.latest;
      if (latest === undefined || latest.letters.includes(key)) {
        violate("1 nothing is lost", `${process.name} removes the letters ${key}, which count`);
      }
    },
  };

  // ── the sinks ───────────────────────────────────────────────────────────────────────────────────────────

  const claimOf = (process: Process, sink: string, object: string) =>
    held.get(`${process.name} ${object} ${sink}`);

  const checkEvent = (event: MetricEvent): EventPlan | undefined => {
    const { object, n } = placeOf(event);
    const truth = objects.get(object)?.events.get(n);
    const place = `${object}#${n}`;
    const known = ids.get(place) ?? truth?.id ?? event.id;
    ids.set(place, known);
    if (event.id !== known) violate("4 ids never change", `${place} was ${known} and is ${event.id}`);
    if (event.tenantId !== truth?.tenant) violate("6 tenants stay apart", `${place} has another tenant`);
    return truth;
  };

  const encoded = (sink: Sink<unknown>, process: Process, event: MetricEvent, result: Encoded<unknown>) => {
    // What goes on between a death and the next call to the world is seen by nobody.
    if (process.isDead) return;
    checkEvent(event);
    const { object, n } = placeOf(event);
    const claim = claimOf(process, sink.name, object);
    if (claim === undefined) {
      violate(
        "9 one claim at a time",
        `${process.name} takes up ${object}#${n} for ${sink.name} without a claim`,
      );
      return;
    }
    if ("filtered" in result) claim.filtered.add(n);
    else if ("rejected" in result || result.bytes > mostBytes(sink.limits)) claim.misfits.add(n);
    else if (claim.held !== undefined && isSteady(sink, process, claim)) {
      claim.held++;
      claim.heldBytes += result.bytes + (objects.get(object)?.texts[n]?.length ?? 0);
      const { maxItems, maxBytes } = plan.limits;
      // One item may pass the bytes, since it is the one that fills the lane.
      const before = claim.heldBytes - result.bytes - (objects.get(object)?.texts[n]?.length ?? 0);
      if (claim.held > maxItems || before >= maxBytes) {
        violate(
          "8 memory is bounded",
          `${sink.name} holds ${claim.held} items of ${maxItems}, ${claim.heldBytes} bytes of ${maxBytes}`,
        );
      }
    }
  };

  const starting = (sink: Sink<unknown>, process: Process, partition: string, items: readonly SeenItem[]) => {
    const { name, limits } = sink;
    const bytes = items.reduce((sum, item) => sum + item.bytes, limits.envelopeBytes ?? 0);
    if (items.length === 0 || items.length > limits.itemsPerRequest) {
      violate("9 a vendor's limits", `${name} is sent ${items.length} items of ${limits.itemsPerRequest}`);
    }
    if (bytes > limits.bytesPerRequest) {
      violate("9 a vendor's limits", `${name} is sent ${bytes} bytes of ${limits.bytesPerRequest}`);
    }
    const now = process.clock.now();
    const wait = waits.get(`${process.name} ${name}`);
    // At the very moment of the reply another request may be on its way.
    if (wait !== undefined && wait.from < now && now < wait.until) {
      violate("9 a wait asked for is waited", `${name} is asked again ${wait.until - now} ms too early`);
    }
    const keys = new Set<string>();
    for (const item of items) {
      const { event } = item;
      const { object, n } = placeOf(event);
      const place = `${object}#${n}`;
      checkEvent(event);
      if (sink.partition !== undefined && sink.partition(event) !== partition) {
        violate("6 tenants stay apart", `${place} is sent to ${name} in another's partition`);
      }
      const key = sink.coalesceKey?.(event);
      if (key !== undefined && keys.has(key)) violate("9 a vendor's limits", `${name} is sent one key twice`);
      if (key !== undefined) keys.add(key);
      const payload = JSON.stringify(item.payload);
      const known = payloads.get(`${name} ${place}`) ?? payload;
      payloads.set(`${name} ${place}`, known);
      if (payload !== known) violate("4 ids never change", `${place} was sent to ${name} with other bytes`);
      checkUnknown(name, process, object, n);
    }
  };

  /** Nobody knows yet what became of the record, and it is this process's to find out. */
  const checkUnknown = (sink: string, process: Process, object: string, n: number) => {
    const claim = claimOf(process, sink, object);
    const truth = objects.get(object)?.lanes.get(sink);
    const place = `${object}#${n} to ${sink}`;
    if (claim === undefined || truth === undefined || truth.receipts.get(claim.generation) !== undefined) {
      violate("9 one claim at a time", `${process.name} sends ${place} without a claim`);
      return;
    }
    if (claim.taken) {
      violate("9 one claim at a time", `${process.name} sends ${place} under a claim that was taken over`);
    }
    if (claim.delivered.has(n) || claim.filtered.has(n) || claim.rejected.has(n)) {
      violate("3 known is never sent again", `${process.name} sends ${place} once more in the same run`);
    }
    if (
      claim.before !== undefined &&
      !isIn(claim.before.pending, n) &&
      !isReplayed(claim.before, object, n)
    ) {
      violate("3 known is never sent again", `${process.name} sends ${place}, settled by an earlier receipt`);
    }
  };

  /** A dead letter of its own, or a record of the intake's that is valid now. */
  const isReplayed = (before: Receipt, key: string, n: number): boolean => {
    const names = ({ letters: files }: Receipt) =>
      files.some((file) => letters.get(file)?.some(({ origin }) => origin.index === n));
    if (names(before)) return true;
    const object = objects.get(key);
    const intake = object?.lanes.get(intakeLane)?.latest;
    return object?.early.has(n) === true && !isIn(before.adopted, n) && intake !== undefined && names(intake);
  };

  const answered = (
    sink: Sink<unknown>,
    process: Process,
    items: readonly SeenItem[],
    answer: readonly Outcome[] | Verdict,
  ) => {
    const vendor = vendors.find(({ name }) => name === sink.name);
    let wait = 0;
    for (const [index, item] of items.entries()) {
      const { object, n } = placeOf(item.event);
      const claim = claimOf(process, sink.name, object);
      if (claim === undefined) continue;
      const outcome: Outcome | Verdict | undefined = "status" in answer ? answer : answer[index];
      const isFinal = outcome?.status !== undefined && outcome.status !== "transient";
      if (outcome !== undefined && isFinal && !(outcome.status === "refused" && items.length > 1)) {
        timeline.push({
          sink: sink.name,
          record: `${object}#${n}`,
          status: outcome.status,
          at: clock.now() - start,
        });
      }
      if (outcome?.status === "delivered") {
        claim.delivered.add(n);
        if (vendor?.holds(item) === false) {
          violate("1 nothing is lost", `${object}#${n} is called delivered, and ${sink.name} has it not`);
        }
      } else if (outcome?.status === "filtered") claim.filtered.add(n);
      else if (outcome?.status === "rejected") claim.rejected.add(n);
      else if (outcome?.status === "refused" && items.length === 1) claim.rejected.add(n);
      else if (outcome?.status === "transient") wait = Math.max(wait, outcome.retryAfterMs ?? 0);
      if (outcome?.status === "refused" && items.length > 1) continue;
      if (!isFinal || sink.coalesceKey !== undefined) loseCount(sink, process, claim);
      if (claim.held !== undefined) {
        claim.held--;
        claim.heldBytes -= item.bytes + (objects.get(object)?.texts[n]?.length ?? 0);
      }
    }
    askedToWait(sink.name, process, wait);
  };

  const failed = (sink: Sink<unknown>, process: Process, items: readonly SeenItem[], error: unknown) => {
    for (const { event } of items) {
      const claim = claimOf(process, sink.name, placeOf(event).object);
      if (claim !== undefined) loseCount(sink, process, claim);
    }
    if (isSinkUnavailable(error)) askedToWait(sink.name, process, error.retryAfterMs ?? 0);
  };

  /** Behind a rate, a pause, a wrong clock or the deadline, items become pending without anybody seeing it. */
  const isSteady = ({ name, limits }: Sink<unknown>, process: Process, claim: ClaimTruth) =>
    clock.now() < claim.deadline &&
    limits.requestsPerSecond === undefined &&
    !unsteady.has(`${process.name} ${name}`) &&
    process.clock.now() === clock.now();

  const loseCount = (sink: Sink<unknown>, process: Process, claim: ClaimTruth) => {
    claim.held = undefined;
    unsteady.add(`${process.name} ${sink.name}`);
  };

  const askedToWait = (sink: string, process: Process, ms: number) => {
    if (ms === 0) return;
    const now = process.clock.now();
    const before = waits.get(`${process.name} ${sink}`);
    if (before === undefined || before.until < now + ms) {
      waits.set(`${process.name} ${sink}`, { from: now, until: now + ms });
    }
  };

  const watch: Oracle["watch"] = (sink, process) => ({
    ...sink,
    encode(event) {
      let result: Encoded<unknown>;
      try {
        result = sink.encode(event);
      } catch (error) {
        encoded(sink, process, event, { rejected: "the mapping failed", code: "ENCODE_FAILED" });
        throw error;
      }
      encoded(sink, process, event, result);
      if (!("payload" in result)) return result;
      const watched: Watched = { event, payload: result.payload };
      return { ...result, payload: watched };
    },
    async send({ partition, items }, context) {
      const seen = items.map(({ event: head, payload, bytes }): SeenItem => {
        // `encode`, above, has made it.
        const watched = payload as Watched;
        return { event: { ...watched.event, ...head }, payload: watched.payload, bytes };
      });
      const own = items.map((item, index) => ({ ...item, payload: seen[index]?.payload }));
      const place = `${process.name} ${sink.name}`;
      const others = underWay.get(place) ?? 0;
      underWay.set(place, others + 1);
      if (others >= sink.limits.concurrency) {
        violate(
          "9 a vendor's limits",
          `${sink.name} has ${others + 1} requests of ${sink.limits.concurrency}`,
        );
      }
      let isOver = false;
      const end = () => {
        isOver = true;
        underWay.set(place, (underWay.get(place) ?? 0) - 1);
      };
      // One that never settles is over when its caller gives it up, and what comes later nobody hears.
      const giveUp = () => {
        if (isOver) return;
        end();
        failed(sink, process, seen, undefined);
      };
      context.signal.addEventListener("abort", giveUp, { once: true });
      starting(sink, process, partition, seen);
      try {
        const answer = await sink.send({ partition, items: own }, context);
        if (!isOver && !process.isDead) answered(sink, process, seen, answer);
        return answer;
      } catch (error) {
        if (!isOver && !process.isDead) failed(sink, process, seen, error);
        throw error;
      } finally {
        if (!isOver) end();
      }
    },
  });

  // ── what is told ────────────────────────────────────────────────────────────────────────────────────────

  const told = (what: string, text: string) => {
    for (const canary of [payloadCanary, secretCanary]) {
      if (text.includes(canary)) violate("5 no secret and no payload", `${what} tells a ${canary}`);
    }
  };

  const isSettled = (object: string, lane: string): boolean => {
    const latest = objects.get(object)?.lanes.get(lane)?.latest;
    return latest !== undefined && latest.pending.length === 0 && latest.readTo === null;
  };

  const lanesOf = (sinks: readonly string[]) => [...sinks, intakeLane];
  const allLanes = lanesOf(plan.sinks.map(({ name }) => name));

  return {
    violations,
    violate,
    booksWitness,
    lettersWitness,
    watch,
    told,
    given(process, object, remainingMs) {
      const place = `${process.name} ${object}`;
      // The handler keeps some of its time back: less than half of it.
      const deadline = clock.now() + (plan.mode === "lambda" ? remainingMs / 2 : remainingMs);
      const open = deadlines.get(place) ?? [];
      deadlines.set(place, open);
      open.push(deadline);
      return () => open.splice(open.indexOf(deadline), 1);
    },
    letterFiles: (lanes) =>
      [...objects.values()].flatMap(({ key, lanes: known }) =>
        lanes.flatMap((lane) =>
          (known.get(lane)?.latest?.letters ?? []).map((file) => ({ object: key, lane, file })),
        ),
      ),
    replayed({ object, lane, file }, report) {
      if (report === undefined || report.selected === report.kept) return;
      if (objects.get(object)?.lanes.get(lane)?.latest?.letters.includes(file)) {
        violate("2 durable before acknowledged", `${file} was replayed, and its receipt still names it`);
      }
    },
    acknowledged(object, sinks) {
      for (const lane of lanesOf(sinks)) {
        const truth = objects.get(object)?.lanes.get(lane);
        // Whoever holds the invalid records answers for them.
        const isElsewhere = lane === intakeLane && truth !== undefined;
        if (truth?.latest === undefined && !isElsewhere) {
          violate("2 durable before acknowledged", `${object} is acknowledged without a receipt for ${lane}`);
        }
        if (truth?.latest === undefined || truth.latest.pending.length === 0) continue;
        if (!receipts.objects.has(deferralOf(truth.hash, lane))) {
          violate(
            "2 durable before acknowledged",
            `${object} is acknowledged, and ${lane} pends without a deferral`,
          );
        }
      }
    },
    isDrained: () => [...objects.keys()].every((key) => allLanes.every((lane) => isSettled(key, lane))),
    judge() {
      for (const { key } of objects.values()) {
        for (const lane of allLanes) {
          if (!isSettled(key, lane)) {
            const latest = objects.get(key)?.lanes.get(lane)?.latest;
            violate("1 pending drains", `${key} for ${lane} ends with ${JSON.stringify(latest?.counts)}`);
          }
        }
        const intake = objects.get(key)?.lanes.get(intakeLane)?.latest?.adopted ?? [];
        for (const { name } of vendors) {
          const own = objects.get(key)?.lanes.get(name)?.latest?.adopted ?? [];
          const lost = [...(objects.get(key)?.early ?? [])].filter((n) => isIn(intake, n) && !isIn(own, n));
          if (lost.length > 0) {
            violate(
              "1 nothing is lost",
              `${key} for ${name}: ${lost} left the intake's letters and never came`,
            );
          }
        }
      }
      for (const { name, kept } of vendors) {
        for (const each of kept()) {
          const { tenant } = each;
          const isOwn =
            "tenantName" in each
              ? each.tenantName === tenantNameOf(tenant)
              : objects.get(each.object)?.events.get(each.n)?.tenant === tenant;
          if (!isOwn) violate("6 tenants stay apart", `${name} keeps ${JSON.stringify(each)}`);
        }
      }
    },
    judgeLetters() {
      for (const { object, lane, file } of this.letterFiles(allLanes)) {
        const vendor = vendors.find(({ name }) => name === lane);
        for (const { origin, code } of letters.get(file) ?? []) {
          const n = origin.index;
          const isTaken =
            lane === intakeLane
              ? objects.get(object)?.early.has(n) === true
              : code === notDelivered || vendor?.refuses?.({ object, n }) === false;
          if (isTaken) {
            violate(
              "1 pending drains",
              `${object}#${n} for ${lane} stays a dead letter, though it is taken now`,
            );
          }
        }
      }
    },
    timeline,
    deferred: () =>
      [...receipts.objects.keys()].flatMap((key) => {
        const [, lane = "", hash = ""] = /^deferrals\/sink=([^/]+)\/([0-9a-f]+)\.json$/.exec(key) ?? [];
        const object = byHash.get(hash)?.key;
        return object === undefined ? [] : [{ object, lane }];
      }),
  };
}

function mostBytes({ bytesPerItem, bytesPerRequest, envelopeBytes = 0 }: Limits): number {
  return Math.min(bytesPerItem, bytesPerRequest - envelopeBytes);
}

function sizeOf(ranges: Ranges): number {
  return ranges.reduce((sum, { from, to }) => sum + (to ?? Number.POSITIVE_INFINITY) - from, 0);
}

function isIn(ranges: Ranges, n: number): boolean {
  return ranges.some(({ from, to }) => n >= from && (to === null || n < to));
}

const untouched = () => {
  throw new Error("the oracle's books are never opened");
};
const noStore = {
  location: "memory://nowhere",
  look: untouched,
  read: untouched,
  put: untouched,
  putIfAbsent: untouched,
  delete: untouched,
  list: untouched,
};
