// Time for tests: it stands still until it is moved, so an hour of retries takes no time and always ends alike.
import type { Transform, TransformCallback } from "node:stream";
import { setImmediate, setTimeout } from "node:timers/promises";
import zlib from "node:zlib";
import type { Clock } from "../delivery/clock.ts";

/** Timers that are due at the same moment fire in the order in which they were set, one by one. */
export interface VirtualClock extends Clock {
  /** Moves time on by `ms`, firing every timer that falls due, those that earlier ones set included. */
  advance(ms: number): Promise<void>;
  /**
   * Moves time by itself until the promise settles, and settles as it does: whenever nothing is left to happen
   * at this moment, time jumps to the next timer. Work on files and zlib counts as still happening; sockets do
   * not, since an idle one looks like a busy one: run sinks against twins in process, with `twinHttp`.
   *
   * Rejects when no timer is left and the promise has not settled within {@link idleMs} of real time.
   */
  run<T>(promise: Promise<T>): Promise<T>;
  /** Sleeps that have neither ended nor been aborted. */
  readonly sleeping: number;
}

export interface VirtualClockOptions {
  /** Milliseconds since the epoch. Default 2026-01-01T00:00:00Z. */
  readonly start?: number;
}

/** How long real work may take without a sign of life before `run` calls a promise dead. */
export const idleMs = 1000;

/** Rounds of the event loop without any work seen, before a moment counts as over. */
const quietRounds = 3;

/** Like the system clock's: Node's timers take a 32-bit count of milliseconds. */
const longestTimer = 2 ** 31 - 1;

interface Timer {
  readonly due: number;
  readonly fire: () => void;
}

/** A clock that tests move by hand (`advance`) or let run (`run`). One driver at a time. */
export function virtualClock(options: VirtualClockOptions = {}): VirtualClock {
  watchZlib();
  let now = options.start ?? Date.UTC(2026, 0, 1);
  /** In order of `due`; equal ones in order of setting. */
  const timers: Timer[] = [];
  let sleeping = 0;

  const set = (ms: number, fire: () => void): Timer => {
    // Whole milliseconds, as of a real clock: what is written down must be an integer.
    const timer = { due: now + Math.min(Math.max(Math.ceil(ms), 0), longestTimer), fire };
    let low = 0;
    let high = timers.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((timers[middle]?.due ?? 0) <= timer.due) low = middle + 1;
      else high = middle;
    }
    timers.splice(low, 0, timer);
    return timer;
  };
  const unset = (timer: Timer) => {
    const index = timers.indexOf(timer);
    if (index >= 0) timers.splice(index, 1);
  };
  /** Fires the next timer that is due by `until`; false when there is none. */
  const fireNext = (until: number): boolean => {
    const timer = timers[0];
    if (timer === undefined || timer.due > until) return false;
    timers.shift();
    now = timer.due;
    timer.fire();
    return true;
  };

  return {
    now: () => now,
    get sleeping() {
      return sleeping;
    },
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve();
        sleeping++;
        const done = () => {
          sleeping--;
          unset(timer);
          signal?.removeEventListener("abort", done);
          resolve();
        };
        const timer = set(ms, done);
        signal?.addEventListener("abort", done, { once: true });
      }),
    signal: (ms) => {
      const controller = new AbortController();
      const reason = new DOMException("The operation was aborted due to timeout", "TimeoutError");
      set(Math.ceil(ms), () => controller.abort(reason));
      return controller.signal;
    },
    advance: async (ms) => {
      const until = now + ms;
      do await settle();
      while (fireNext(until));
      now = until;
      await settle();
    },
    run: async (promise) => {
      let settled = false;
      const note = () => {
        settled = true;
      };
      promise.then(note, note);
      let idleSince: number | undefined;
      for (;;) {
        await settle(() => settled);
        if (settled) return await promise;
        if (fireNext(Number.POSITIVE_INFINITY)) {
          idleSince = undefined;
          continue;
        }
        idleSince ??= performance.now();
        if (performance.now() - idleSince > idleMs) {
          throw new Error(
            `the promise can never settle: no timer is left, and nothing happened in ${idleMs} ms of real time`,
          );
        }
        await setTimeout(1);
      }
    },
  };
}

/** Waits until what can happen without time passing has happened, or `stop` says so; for real work at most {@link idleMs}. */
async function settle(stop: () => boolean = () => false): Promise<void> {
  const start = performance.now();
  for (let rounds = 0, quiet = 0; quiet < quietRounds && !stop(); rounds += 1) {
    // Spinning is fastest for work that takes microseconds; what takes longer wants the processor for itself.
    if (rounds < 200) await setImmediate();
    else await setTimeout(1);
    quiet = isBusy() && performance.now() - start < idleMs ? 0 : quiet + 1;
  }
}

/** Whether this process waits for its own immediates, for files, for look-ups or for zlib. */
function isBusy(): boolean {
  for (const stream of transforming) {
    if (stream.destroyed) transforming.delete(stream);
    // A full reader's side is zlib waiting for its reader, who may well be waiting for time to pass.
    else if (stream.readableLength < stream.readableHighWaterMark) return true;
  }
  return process.getActiveResourcesInfo().some((name) => name === "Immediate" || name.includes("Req"));
}

/** zlib's streams between a chunk's arrival and its end. Node lists files' requests, but not zlib's. */
const transforming = new Set<Transform>();
let watching = false;

/** Notes every chunk that any zlib stream of this process works on, through the contract of `Transform`. */
function watchZlib(): void {
  if (watching) return;
  watching = true;
  let owner: unknown = zlib.Gunzip.prototype;
  while (isTransformPart(owner) && !Object.hasOwn(owner, "_transform")) owner = Object.getPrototypeOf(owner);
  if (!isTransformPart(owner)) return;
  const transform = owner._transform;
  owner._transform = function (this: Transform, chunk, encoding, callback) {
    transforming.add(this);
    transform.call(this, chunk, encoding, (error, data) => {
      transforming.delete(this);
      callback(error, data);
    });
  };
}

interface TransformPart {
  _transform(this: Transform, chunk: unknown, encoding: BufferEncoding, callback: TransformCallback): void;
}

function isTransformPart(value: unknown): value is TransformPart {
  return (
    typeof value === "object" &&
    value !== null &&
    "_transform" in value &&
    typeof value._transform === "function"
  );
}
