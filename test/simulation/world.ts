// The simulated world: runs one schedule with the real worker, the real adapters and the real Lambda handler, and answers what the oracle saw.
import "./steady.ts";
import { Logger as PowertoolsLogger } from "@aws-lambda-powertools/logger";
import { Metrics } from "@aws-lambda-powertools/metrics";
import { ObjectBusy } from "../../src/books/claim.ts";
import { intakeLane } from "../../src/dead-letter/dead-letter.ts";
import { makePlan } from "../../src/dead-letter/plan.ts";
import type { HttpClient } from "../../src/delivery/http.ts";
import type { GiveUpOrder } from "../../src/give-up.ts";
import { createHandler, type LambdaContext } from "../../src/lambda/worker.ts";
import type { LetterOrder, LetterReport } from "../../src/letter-run.ts";
import type { LogFields, Logger } from "../../src/log.ts";
import { BooksDoNotClose } from "../../src/object-run.ts";
import { type ObjectStore, StoreError } from "../../src/store/object-store.ts";
import { virtualClock } from "../../src/testing/index.ts";
import { createWorker, type Worker, type WorkerOptions } from "../../src/worker.ts";
import { dice } from "./dice.ts";
import { createDisk, faceOf, putOn, withoutChance } from "./disk.ts";
import { createOracle, type LetterFileName, type Oracle, type Violation } from "./oracle.ts";
import {
  type GiveUpPlan,
  type InvocationPlan,
  type Plan,
  type ProcessPlan,
  type ReplayPlan,
  type RoundPlan,
  start,
} from "./plan.ts";
import { createProcess, never, type Process } from "./process.ts";
import { createScripted } from "./scripted.ts";
import { createTrouble } from "./trouble.ts";
import { createTwin, type TwinVendor } from "./twins.ts";
import type { Vendor } from "./vendor.ts";

export interface Outcome {
  readonly violations: readonly Violation[];
  /** How often each kind of trouble struck. */
  readonly counts: ReadonlyMap<string, number>;
  /** The names of all trouble, in order. */
  readonly struck: readonly string[];
  readonly trace: readonly string[];
  readonly timeline: Oracle["timeline"];
}

/**
 * What makes pending records end, once the world is well: answers which objects the process is to be given again.
 * The default gives it what a queue and a replayer would: messages that nobody acknowledged, and deferrals.
 */
export type Drain = (due: {
  readonly unacknowledged: readonly string[];
  readonly deferred: readonly string[];
}) => readonly string[];

export interface SimulateOptions {
  readonly traced?: boolean;
  readonly drain?: Drain;
  /** Puts a defect between the worker and the world. */
  readonly alter?: (options: WorkerOptions, process: Process) => WorkerOptions;
}

/** The drain's deadline, its pauses, and how often it tries: far more than a healthy world needs. */
const [drainMs, pauseMs, mostDrains] = [900_000, 200_000, 12] as const;
/** The last replays go on until no file changes: what is refused once more changes its name, and nothing else. */
const mostReplays = 4;
/** Longer than any claim of the rounds lives, and than any wait that a vendor asked for. */
const healingMs = 4_000_000;

const redeliver: Drain = ({ unacknowledged, deferred }) => [...new Set([...unacknowledged, ...deferred])];

export async function simulate(plan: Plan, options: SimulateOptions = {}): Promise<Outcome> {
  const { alter = (made: WorkerOptions) => made } = options;
  const clock = virtualClock({ start });
  const trace: string[] = [];
  const tell = options.traced
    ? (line: string) => trace.push(`${String(clock.now() - start).padStart(9)} ms  ${line}`)
    : () => 0;
  const trouble = createTrouble(plan.seed, plan.mute, tell);
  const source = createDisk("memory://source");
  const receipts = createDisk("memory://receipts");
  const deadLetters = createDisk("memory://letters");
  for (const { key, records } of plan.objects) {
    putOn(source, key, Buffer.from(records.map(({ text }) => `${text}\n`).join("")), start);
  }
  const versionOf = (key: string) => source.objects.get(key)?.version ?? "";
  const vendors = plan.sinks.map((sink) =>
    sink.kind === "twin"
      ? createTwin(sink, trouble, clock)
      : createScripted(sink, plan.objects, trouble, clock),
  );
  const oracle = createOracle({
    plan,
    clock,
    receipts,
    deadLetters,
    vendors,
    versionOf,
    trace: tell,
  });
  const messages = createMessages();
  const processes = new Map<string, Running>();

  const run = (process: ProcessPlan): Running => {
    const known = processes.get(process.name);
    if (known !== undefined) return known;
    const made = startProcess(process);
    processes.set(process.name, made);
    return made;
  };

  const startProcess = (own: ProcessPlan): Running => {
    const process = createProcess(own, clock, trouble, tell);
    const seen = {
      process,
      trouble,
      clock,
      slowness: plan.slowness,
      lateReceipts: plan.lateReceipts,
      chunkBytes: plan.chunkBytes,
    };
    const books = { ...seen, faults: plan.storeFaults };
    const log = watchedLog(oracle, tell);
    const mine = vendors.filter(({ name }) => own.sinks.includes(name));
    const options: WorkerOptions = {
      sinks: mine.map((vendor) => oracle.watch(vendor.sinkOf(process), process)),
      source: () => faceOf(source, { ...seen, faults: plan.readFaults }),
      receipts: faceOf(receipts, { ...books, witness: oracle.booksWitness }),
      deadLetters: faceOf(deadLetters, { ...books, witness: oracle.lettersWitness }),
      clock: process.clock,
      random: dice(plan.seed, "jitter", own.name).number,
      http: httpOf(process, mine.filter(isTwin)),
      limits: {
        ...plan.limits,
        ...(plan.maxAheadMs === undefined || trouble.isMended ? {} : { maxAheadMs: plan.maxAheadMs }),
      },
      retry: { attempts: plan.attempts },
      breaker: plan.breaker,
      owner: { id: own.name, isGone: (id) => processes.get(id)?.process.isMissed === true },
      log,
    };
    const worker = createWorker(alter(options, process));
    const sinks = mine.map(({ name }) => name);
    const deliver = plan.mode === "direct" ? directly(worker) : byQueue(worker, process, oracle);
    return {
      process,
      sinks,
      async deliver(objects, remainingMs) {
        const deadline = process.clock.now() + remainingMs;
        // What is given again is the same message.
        if (!trouble.isOver) for (const object of objects) messages.given(object);
        const ends = objects.map((object) => oracle.given(process, object, remainingMs));
        const answers = Promise.all(
          deliver(objects, deadline).map(async (answer, index) => {
            const object = objects[index] ?? "";
            try {
              const report = await answer;
              if (process.isDead) return never();
              tell(`← ${own.name} acknowledges ${object}`);
              oracle.told("a report", JSON.stringify(report) ?? "");
              oracle.acknowledged(object, sinks);
              messages.acknowledged(object, sinks);
              return true;
            } catch (error) {
              if (process.isDead) return never();
              tell(`← ${own.name} fails ${object}: ${error instanceof Error ? error.message : error}`);
              judgeError(oracle, error);
              return false;
            } finally {
              ends[index]?.();
            }
          }),
        );
        const all = await Promise.race([answers, process.death]);
        return Array.isArray(all) && all.every(Boolean);
      },
      async plan() {
        const { receipts, deadLetters, source: sourceOf, limits = {} } = options;
        const untouched = (store: ObjectStore): ObjectStore => {
          const wrote = (): never => {
            throw new Error("a plan writes");
          };
          return { ...store, put: wrote, putIfAbsent: wrote, delete: wrote };
        };
        const answer = makePlan({
          stores: { receipts: untouched(receipts), deadLetters: untouched(deadLetters) },
          filter: {},
          // Not the watched ones: what is only planned is in no queue.
          sinks: mine.map((vendor) => vendor.sinkOf(process)),
          limits,
          source: (bucket) => untouched(sourceOf(bucket)),
          signal: new AbortController().signal,
        }).then(
          ({ classes, pending }) => {
            if (process.isDead) return never();
            for (const { sink, letters, passes, filtered, fails, stays } of classes) {
              if (letters === passes + filtered + fails + stays) continue;
              oracle.violate(
                "1 the books close",
                `a plan for ${sink} has ${letters} letters and other verdicts`,
              );
            }
            tell(`← ${own.name} has planned ${classes.length} causes, ${pending.length} pending sinks`);
            return undefined;
          },
          (error: unknown) => {
            if (process.isDead) return never();
            tell(`← ${own.name} fails its plan: ${error instanceof Error ? error.message : error}`);
            judgeError(oracle, error);
            return undefined;
          },
        );
        await Promise.race([answer, process.death]);
      },
      async giveUp({ object, lane }, order) {
        const version = { bucket: source.location, key: object, version: versionOf(object) };
        const answer = worker.giveUp(version, lane, order).then(
          (given) => {
            if (process.isDead) return never();
            tell(`← ${own.name} has given up ${JSON.stringify(given)} of ${object} for ${lane}`);
            return undefined;
          },
          (error: unknown) => {
            if (process.isDead) return never();
            tell(`← ${own.name} fails to give up: ${error instanceof Error ? error.message : error}`);
            judgeError(oracle, error);
            return undefined;
          },
        );
        await Promise.race([answer, process.death]);
      },
      async replay(place, order, remainingMs) {
        const { object, lane, file } = place;
        const version = { bucket: source.location, key: object, version: versionOf(object) };
        const end = oracle.given(process, object, remainingMs);
        const answer = worker
          .replay({ object: version, lane, file }, order, { deadline: process.clock.now() + remainingMs })
          .then(
            (report) => {
              if (process.isDead) return never();
              const { fingerprints, ...counts } = report ?? { fingerprints: new Map() };
              tell(`← ${own.name} has replayed ${withoutChance(file)}: ${JSON.stringify(counts)}`);
              oracle.told("a report of a replay", JSON.stringify([counts, ...fingerprints]));
              oracle.replayed(place, report);
              return report;
            },
            (error: unknown) => {
              if (process.isDead) return never();
              tell(`← ${own.name} fails its replay: ${error instanceof Error ? error.message : error}`);
              judgeError(oracle, error);
              return undefined;
            },
          );
        const report = await Promise.race([answer, process.death]);
        end();
        return report ?? undefined;
      },
    };
  };

  const invoke = async ({ process: name, objects, afterMs, remainingMs }: InvocationPlan) => {
    await clock.sleep(afterMs);
    const own = plan.processes.find((each) => each.name === name);
    if (own === undefined) return;
    const running = run(own);
    if (running.process.isDead) return;
    tell(`→ ${name} is given ${objects.join(", ")} and ${remainingMs} ms`);
    await running.deliver(objects, remainingMs);
  };

  /** As an operator's command does it: file by file, as they stand when it begins. */
  const replay = async ({ name, process: who, files, share, drops, isPaced, ...when }: ReplayPlan) => {
    await clock.sleep(when.afterMs);
    const own = plan.processes.find((each) => each.name === who);
    if (own === undefined) return;
    const running = run(own);
    if (running.process.isDead) return;
    const d = dice(plan.seed, name);
    const isWhole = own.sinks.length === plan.sinks.length;
    // A record of the intake's that is valid now is every sink's: whoever knows only some of them leaves it alone.
    const known = oracle.letterFiles(isWhole ? [...own.sinks, intakeLane] : own.sinks);
    const first = d.int(0, Math.max(0, known.length - 1));
    const chosen = [...known.slice(first), ...known.slice(0, first)].slice(0, files);
    if (dice(plan.seed, name, "plan").chance(0.3)) {
      trouble.count("operator: makes a plan");
      tell(`→ ${own.name} is to plan`);
      await running.plan();
      if (running.process.isDead) return;
    }
    tell(`→ ${own.name} is to ${drops ? "drop" : "replay"} letters of ${chosen.length} files`);
    const order: LetterOrder = {
      id: name,
      select: ({ origin }) => dice(plan.seed, name, origin.key, origin.index).chance(share),
      ...(drops ? { drop: { reason: "nobody wants them", by: "an operator" } } : {}),
      ...(isPaced ? { pace: () => running.process.clock.sleep(10) } : {}),
    };
    for (const file of chosen) {
      trouble.count(drops ? "operator: drops a file's letters" : "operator: replays a file's letters");
      await running.replay(file, order, when.remainingMs);
      if (running.process.isDead) return;
    }
  };

  const giveUp = async ({ name, process: who, afterMs }: GiveUpPlan) => {
    await clock.sleep(afterMs);
    const own = plan.processes.find((each) => each.name === who);
    if (own === undefined) return;
    const running = run(own);
    if (running.process.isDead) return;
    const waiting = oracle.deferred().filter(({ lane }) => lane === intakeLane || own.sinks.includes(lane));
    const chosen = waiting[dice(plan.seed, name).int(0, waiting.length - 1)];
    if (chosen === undefined) return;
    trouble.count("operator: gives up what is pending");
    tell(`→ ${own.name} is to give up what is pending of ${chosen.object} for ${chosen.lane}`);
    await running.giveUp(chosen, { id: name, reason: "nobody wants it", by: "an operator" });
  };

  const play = async (rounds: readonly RoundPlan[]) => {
    for (const { invocations, replays, givesUp, thenMs } of rounds) {
      const acts = [...invocations.map(invoke), ...replays.map(replay), ...givesUp.map(giveUp)];
      await clock.run(Promise.all(acts));
      await clock.advance(thenMs);
    }
    tell("· the world is well from now on");
    trouble.end();
    await clock.advance(healingMs);
    await drain(options.drain ?? redeliver);
    oracle.judge();
  };

  try {
    await play(plan.rounds);
    if (plan.repairs.length > 0 && oracle.violations.length === 0) {
      tell("· what was refused is mended, and the trouble goes on");
      trouble.mend();
      await play(plan.repairs);
      await replayAll();
      oracle.judge();
      oracle.judgeLetters();
    }
  } catch (error) {
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
    oracle.violate("9 no failure but the world's", what.slice(0, 600));
  }
  return {
    violations: oracle.violations,
    counts: trouble.counts,
    struck: trouble.struck,
    trace,
    timeline: oracle.timeline,
  };

  function last(): Running {
    const sinks = plan.sinks.map(({ name }) => name);
    return run({ name: trouble.isMended ? "last of all" : "last", sinks, isMissed: false });
  }

  /** What is taken now must not stay a dead letter. */
  async function replayAll(): Promise<void> {
    const running = last();
    const lanes = [...running.sinks, intakeLane];
    for (let round = 0; round < mostReplays; round++) {
      let isDone = true;
      for (const file of oracle.letterFiles(lanes)) {
        const order = { id: "last", select: () => true };
        const report = await clock.run(running.replay(file, order, drainMs));
        if (report === undefined || report.selected !== report.refused) isDone = false;
      }
      if (isDone) return;
      await clock.advance(pauseMs);
    }
  }

  async function drain(by: Drain): Promise<void> {
    const sinks = plan.sinks.map(({ name }) => name);
    const alive = [...processes.values()].filter(({ process }) => !process.isDead);
    const survivor = plan.drainedBy === "survivor" ? alive.at(-1) : undefined;
    for (const each of alive) if (each !== survivor) each.process.die("as nobody needs it any more");
    const running = survivor ?? last();
    const missing = sinks.some((name) => !(survivor === undefined || survivor.sinks.includes(name)));
    const all = missing ? [running, last()] : [running];
    for (let round = 0; round < mostDrains; round++) {
      let isDone = true;
      for (const each of all) {
        const isMine = (lane: string) => lane === intakeLane || each.sinks.includes(lane);
        const objects = by({
          unacknowledged: plan.objects.flatMap(({ key }) => (messages.isDue(key, each.sinks) ? [key] : [])),
          deferred: oracle.deferred().flatMap(({ object, lane }) => (isMine(lane) ? [object] : [])),
        });
        if (objects.length === 0) continue;
        isDone = false;
        tell(`→ ${each.process.name} is given ${objects.join(", ")} again`);
        await clock.run(each.deliver(objects, drainMs));
      }
      if (isDone) return;
      await clock.advance(pauseMs);
    }
  }
}

/** The queue's side: what was given to whom, and not acknowledged yet. */
function createMessages() {
  const open = new Map<string, number>();
  const acknowledged = new Set<string>();
  return {
    given: (object: string) => open.set(object, (open.get(object) ?? 0) + 1),
    acknowledged(object: string, sinks: readonly string[]) {
      open.set(object, Math.max(0, (open.get(object) ?? 0) - 1));
      for (const sink of sinks) acknowledged.add(`${object} ${sink}`);
    },
    /** Every sink's queue has its own message about the object. */
    isDue: (object: string, sinks: readonly string[]) =>
      (open.get(object) ?? 0) > 0 || sinks.some((sink) => !acknowledged.has(`${object} ${sink}`)),
  };
}

interface Running {
  readonly process: Process;
  readonly sinks: readonly string[];
  /** Whether everything was acknowledged; settles too when the process dies. */
  deliver(objects: readonly string[], remainingMs: number): Promise<boolean>;
  /** What a replay of everything would do, by this process's sinks. */
  plan(): Promise<void>;
  giveUp(place: { readonly object: string; readonly lane: string }, order: GiveUpOrder): Promise<void>;
  /** Undefined also when it failed, or the process died. */
  replay(file: LetterFileName, order: LetterOrder, remainingMs: number): Promise<LetterReport | undefined>;
}

/** An answer an object; one that rejects is not acknowledged. */
type Deliver = (objects: readonly string[], deadline: number) => Promise<unknown>[];

function directly(worker: Worker): Deliver {
  return (objects, deadline) => objects.map((key) => worker.process({ bucket: "source", key }, { deadline }));
}

/** The handler, as a queue calls it: a message an object, the last one twice. */
function byQueue(worker: Worker, process: Process, oracle: Oracle): Deliver {
  const metrics = new Metrics({ namespace: "simulation" });
  // Its one way out. What it says is read, and nothing is printed.
  metrics.publishStoredMetrics = (): Metrics => {
    oracle.told("a metric", JSON.stringify(metrics.serializeMetrics()));
    metrics.clearMetrics();
    metrics.clearDimensions();
    return metrics;
  };
  const handler = createHandler({
    createWorker: () => worker,
    logger: new WatchedLogger(oracle),
    metrics,
    clock: process.clock,
  });
  return (objects, deadline) => {
    const context: LambdaContext = {
      awsRequestId: "request",
      getRemainingTimeInMillis: () => deadline - process.clock.now(),
    };
    // Lambda ends a function that does not end by itself, and freezes what it was about to do.
    void process.clock
      .sleep(deadline - process.clock.now())
      .then(() => finished || process.die("since its time is over"));
    let finished = false;
    const messages = [...objects, ...objects.slice(-1)].map((key, index) => ({
      messageId: `m${index}`,
      eventSource: "aws:sqs",
      body: JSON.stringify({
        Records: [
          {
            eventSource: "aws:s3",
            eventName: "ObjectCreated:Put",
            s3: { bucket: { name: "source" }, object: { key } },
          },
        ],
      }),
    }));
    const answer = handler
      .then((handle) => handle({ Records: messages }, context))
      .finally(() => {
        finished = true;
      });
    return objects.map(async (_, index) => {
      const given = await answer;
      if (!("batchItemFailures" in given)) throw new Error("a queue was answered as a job is");
      const failed = given.batchItemFailures.some(({ itemIdentifier }) => itemIdentifier === `m${index}`);
      // The handler has told why in its log.
      if (failed) throw new StoreError("TRANSIENT", "the message was given back");
    });
  };
}

class WatchedLogger extends PowertoolsLogger {
  readonly #tell: (level: string, input: unknown, extra: readonly unknown[]) => void;
  constructor(oracle: Oracle) {
    super({ serviceName: "simulation" });
    this.#tell = (level, input, extra) => {
      const text = JSON.stringify([input, ...extra]);
      oracle.told("a log line", text);
      if (level === "error") oracle.violate("9 no failure but the world's", text);
    };
  }
  override debug(...[input, ...extra]: Parameters<PowertoolsLogger["debug"]>): void {
    this.#tell("debug", input, extra);
  }
  override info(...[input, ...extra]: Parameters<PowertoolsLogger["info"]>): void {
    this.#tell("info", input, extra);
  }
  override warn(...[input, ...extra]: Parameters<PowertoolsLogger["warn"]>): void {
    this.#tell("warn", input, extra);
  }
  override error(...[input, ...extra]: Parameters<PowertoolsLogger["error"]>): void {
    this.#tell("error", input, extra);
  }
}

function judgeError(oracle: Oracle, error: unknown): void {
  const text = error instanceof Error ? `${error.message}\n${error.stack ?? ""}` : String(error);
  oracle.told("an error", text);
  if (error instanceof ObjectBusy || (error instanceof StoreError && error.code === "TRANSIENT")) return;
  // The core's own proof is one of the guards: what it stops is no less wrong.
  const invariant = error instanceof BooksDoNotClose ? "1 the books close" : "9 no failure but the world's";
  oracle.violate(invariant, text.slice(0, 600));
}

function watchedLog(oracle: Oracle, tell: (line: string) => void): Logger {
  const line = (level: string) => (message: string, fields?: LogFields) => {
    const text = `${level}: ${message} ${JSON.stringify(fields ?? {})}`;
    oracle.told("a log line", text);
    tell(`  ${text}`);
  };
  return { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") };
}

function isTwin(vendor: Vendor): vendor is TwinVendor {
  return "http" in vendor;
}

/** One process's way to its vendors. */
function httpOf(process: Process, vendors: readonly TwinVendor[]): HttpClient {
  const byHost = new Map(vendors.map(({ host, http }) => [host, http]));
  return async (request, signal) => {
    const { host } = new URL(request.url);
    const send = byHost.get(host);
    if (send === undefined) throw new Error(`nobody is ${host}`);
    await process.step(`before a request to ${host}`);
    const reply = await send(request, signal);
    await process.step(`after a request to ${host}`);
    return reply;
  };
}
