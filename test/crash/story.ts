// A story: a world, up to five kills in it, then processes until everything is settled, then the judge.
import * as z from "zod";
import { deferralsPrefix } from "../../src/books/books.ts";
import { readDeferral } from "../../src/books/receipt.ts";
import { seededRandom } from "../../src/testing/index.ts";
import type { Finished } from "../support/fanout.ts";
import { judge, type Kill, type Verdict } from "./judge.ts";
import { type Moment, moments, type Plan } from "./moments.ts";
import { makeObjects } from "./objects.ts";
import { createWorld, isSettled, type LaneState, type Run, type Snapshot, type World } from "./world.ts";

export const killsPerStory = 5;

export interface Story extends Verdict {
  readonly seed: number;
  /** Processes started. */
  readonly runs: number;
  readonly seconds: number;
}

/** What a drawn moment needs, a request more than there were say, may not come: then it is drawn again. */
const mostDraws = 4;
/** After the last kill: one, and another one for what two processes left each other. */
const mostRunsToSettle = 2;

const count = z.number();
const report = z.object({
  /** Objects that another process had, say. */
  failed: count,
  balanced: z.boolean(),
  sinks: z.record(
    z.string(),
    z.object({ valid: count, delivered: count, filtered: count, deadLettered: count, pending: count }),
  ),
});

/** The same seed kills at the same moments; consecutive seeds go through all of them. */
export async function tellStory(seed: number, kills = killsPerStory): Promise<Story> {
  const started = performance.now();
  const random = seededRandom(seed);
  const violations: string[] = [];
  const killed: Kill[] = [];
  const world = await createWorld();
  const told = () => ({ seed, runs: world.runs.length, seconds: (performance.now() - started) / 1000 });
  try {
    for (let number = 0; number < kills; number++) {
      const moment = moments[((seed - 1) * killsPerStory + number) % moments.length] ?? moments[0];
      const kill = await killAt(world, moment, seed, random, violations);
      if (kill !== undefined) killed.push(kill);
    }
    for (let left = mostRunsToSettle; left > 0; left--) {
      const finished = await world.end(await world.start());
      violations.push(...unexpected(finished, [0], "after the kills"));
      if (finished.code === 0) break;
    }
    const verdict = await judge(world, killed);
    return { ...verdict, ...told(), violations: [...violations, ...verdict.violations] };
  } catch (error) {
    // Books that nobody can read, say: what is broken is in the world.
    violations.push(error instanceof Error ? error.message : String(error));
    const left = { unfinishedFiles: 0, letterFiles: 0, deferrals: 0 };
    return { ...told(), kills: [], records: 0, requests: 0, left, violations };
  } finally {
    await world.close();
  }
}

async function killAt(
  world: World,
  moment: Moment,
  seed: number,
  random: () => number,
  violations: string[],
): Promise<Kill | undefined> {
  for (let draw = 1; draw <= mostDraws; draw++) {
    if (moment.needs === "deferral" && !(await hasDeferral(world))) {
      await addObjects(world, seed, random);
      const finished = await world.end(await world.start({ down: "mixpanel" }));
      violations.push(...unexpected(finished, [3], `before "${moment.name}"`));
    }
    const newObjects = await addObjects(world, seed, random);
    const openLanes = openIn(await world.look()).length;
    const plan = moment.plan({ random, openLanes, newObjects });
    const { dead, others } = await carryOut(world, plan);
    for (const finished of others) {
      const expected = plan.second === undefined ? [plan.down === undefined ? 0 : 3] : [0, 1];
      violations.push(...unexpected(finished, expected, `"${moment.name}"`));
    }
    const snapshot = await world.look();
    if (dead !== undefined) return { run: dead, moment: moment.name, snapshot };
  }
  violations.push(`the moment "${moment.name}" did not come in ${mostDraws} runs`);
  return undefined;
}

/** Starts the processes of a plan and waits for all of them. */
async function carryOut(world: World, plan: Plan): Promise<{ dead?: Run; others: Finished[] }> {
  const { second, onRequest, afterMs } = plan;
  const started: Promise<Run>[] = [];
  let isOver = false;

  const begin = (own: Plan): Promise<Run> => {
    const place = started.length;
    const kill = async () => (await started[place])?.kill();
    const run = world.start({
      step: own.step,
      down: own.down,
      onRequest:
        own.onRequest &&
        ((event) => {
          if (isOver || own.onRequest?.(event) !== true) return undefined;
          isOver = true;
          return hold();
        }),
      onBegun: own.afterMs === undefined ? undefined : () => void setTimeout(kill, own.afterMs),
    });
    const hold = async () => {
      if (second === "meets") await world.end(await begin({}));
      const held = await run;
      held.kill();
      await held.finished;
    };
    started.push(run);
    return run;
  };

  await begin({ ...plan, ...(afterMs === undefined ? {} : { afterMs }) });
  if (second === "together" && onRequest !== undefined) await begin({ onRequest });
  const others: Finished[] = [];
  let dead: Run | undefined;
  // A process that meets the first one is started while that one is waited for.
  for (let place = 0; place < started.length; place++) {
    const run = await started[place];
    if (run === undefined) continue;
    const finished = await world.end(run);
    if (finished.code === null) dead = run;
    else others.push(finished);
  }
  return dead === undefined ? { others } : { dead, others };
}

async function addObjects(world: World, seed: number, random: () => number): Promise<number> {
  const records = 90 + Math.floor(random() * 200);
  const number = world.objects.length;
  const objects = makeObjects({ seed, number, records, now: Date.now() });
  await world.add(objects);
  return objects.length;
}

/** Whether a process will remove a deferral: one that stands where something is left to do. */
async function hasDeferral(world: World): Promise<boolean> {
  const open = openIn(await world.look());
  for await (const { key } of world.receipts.list(deferralsPrefix)) {
    const { object, sink } = await readDeferral(world.receipts, key);
    if (open.some((state) => state.object.key === object.key && state.lane === sink)) return true;
  }
  return false;
}

function openIn({ lanes }: Snapshot): readonly LaneState[] {
  return lanes.filter(
    ({ object, receipt }) => !object.records.every((_record, index) => isSettled(receipt, index)),
  );
}

/** What a process that was left alone must come to. */
function* unexpected(
  { code, stdout, stderr }: Finished,
  expected: readonly number[],
  when: string,
): Generator<string> {
  if (code === null || !expected.includes(code)) {
    yield `a process ended with ${code} ${when}: ${stderr.trim()}`;
    return;
  }
  const busy =
    /^fanout: \S+: (?:another worker has claimed|somebody else has written|the receipt of .* came so late)/;
  const strange = stderr.split("\n").find((line) => line !== "" && !busy.test(line) && code === 1);
  if (strange !== undefined) yield `a process failed ${when}: ${strange}`;
  const { balanced, failed, sinks } = report.parse(JSON.parse(stdout));
  const isClosed = Object.values(sinks).every(
    (sink) => sink.valid === sink.delivered + sink.filtered + sink.deadLettered + sink.pending,
  );
  // What is missing of an object that failed is in no count, so it must not say that all is accounted for.
  if (balanced !== (failed === 0)) yield `a process calls its books balanced or not, wrongly, ${when}`;
  if (!isClosed) yield `the books of a process do not close ${when}`;
  if (code === 0 && Object.values(sinks).some(({ pending }) => pending > 0))
    yield `a process ended with 0 and left records pending ${when}`;
}
